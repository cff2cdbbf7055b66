//! The right answers, added up while the rows are made: by plain integers, without any store.

use super::USERS_PER_SUBJECT;
use super::event::{civil, model_name, subject_name};
use super::{ASKED_SUBJECT, ASKED_TYPE, DAY_MS, DAYS, LATE_DAYS, MODELS, Row, START_MS, SUBJECTS, TYPES};
use std::collections::BTreeMap;

/// Days before the first arrival on which an event may have happened, and a day for jitter.
const DAYS_BEFORE: i64 = LATE_DAYS + 2;
const DAY_SLOTS: usize = (DAYS + DAYS_BEFORE + 2) as usize;
/// The models, and one slot for none.
const MODEL_SLOTS: usize = MODELS as usize + 1;
/// Subjects in the answer to the question for the top.
pub const TOP: usize = 100;

/// Lines of an answer, the same for every contestant: parts separated by tabs, sums as whole billionths, sorted.
pub type Lines = Vec<String>;

/// The answers to all questions, by name.
pub type Answers = BTreeMap<&'static str, Lines>;

/// Sums over the rows that were shown to it.
pub struct Expected {
    /// By type, day and model.
    by_day: Vec<i128>,
    counted: Vec<u64>,
    users: Vec<bool>,
    by_subject: Vec<i128>,
    of_subject: i128,
}

impl Default for Expected {
    fn default() -> Self {
        let slots = TYPES as usize * DAY_SLOTS * MODEL_SLOTS;
        Self {
            by_day: vec![0; slots],
            counted: vec![0; slots],
            users: vec![false; (SUBJECTS * USERS_PER_SUBJECT) as usize],
            by_subject: vec![0; SUBJECTS as usize],
            of_subject: 0,
        }
    }
}

impl Expected {
    /// Counts a row.
    pub fn add(&mut self, row: &Row) {
        let value = i128::from(row.mantissa) * i128::from(10u64.pow(9 - row.scale));
        let day = (row.time_ms.div_euclid(DAY_MS) - START_MS / DAY_MS + DAYS_BEFORE) as usize;
        let model = row.model.map_or(MODELS, |model| model) as usize;
        let slot = (row.event_type as usize * DAY_SLOTS + day) * MODEL_SLOTS + model;
        self.by_day[slot] += value;
        self.counted[slot] += 1;
        if row.event_type != ASKED_TYPE {
            return;
        }
        if let Some(user) = row.user {
            self.users[user as usize] = true;
        }
        self.by_subject[row.subject as usize] += value;
        let in_period = (START_MS..START_MS + DAYS * DAY_MS).contains(&row.time_ms);
        if row.subject == ASKED_SUBJECT && in_period {
            self.of_subject += value;
        }
    }

    /// The answers.
    pub fn answers(&self) -> Answers {
        let users = self.users.iter().filter(|seen| **seen).count();
        Answers::from([
            ("day_model", self.per_day_and_model(ASKED_TYPE..ASKED_TYPE + 1)),
            ("day_model_all", self.per_day_and_model(0..TYPES)),
            ("unique_users", vec![users.to_string()]),
            ("top_subjects", self.top()),
            ("one_subject", vec![self.of_subject.to_string()]),
        ])
    }

    fn per_day_and_model(&self, types: std::ops::Range<u32>) -> Lines {
        let mut lines = Lines::new();
        for day in 0..DAY_SLOTS {
            for model in 0..MODEL_SLOTS {
                let slots = || types.clone().map(|of| (of as usize * DAY_SLOTS + day) * MODEL_SLOTS + model);
                if slots().any(|slot| self.counted[slot] > 0) {
                    let (year, month, day) = civil(day as i64 + START_MS / DAY_MS - DAYS_BEFORE);
                    let name = if model < MODELS as usize { model_name(model as u32) } else { String::new() };
                    let sum: i128 = slots().map(|slot| self.by_day[slot]).sum();
                    lines.push(format!("{year:04}-{month:02}-{day:02}\t{name}\t{sum}"));
                }
            }
        }
        lines.sort();
        lines
    }

    fn top(&self) -> Lines {
        let named = self.by_subject.iter().enumerate().map(|(subject, sum)| (subject_name(subject as u32), *sum));
        top_lines(named.filter(|(_, sum)| *sum > 0).collect())
    }
}

/// The lines of the subjects with the largest sums; of equal ones the first by name.
pub fn top_lines(mut sums: Vec<(String, i128)>) -> Lines {
    sums.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    sums.truncate(TOP);
    let mut lines: Lines = sums.into_iter().map(|(subject, sum)| format!("{subject}\t{sum}")).collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{DataSet, Variant};
    use super::*;

    fn expected(variant: Variant) -> (Vec<Row>, Answers) {
        let rows: Vec<Row> = DataSet { seed: 9, events: 5000, variant }.rows().collect();
        let mut expected = Expected::default();
        rows.iter().for_each(|row| expected.add(row));
        let answers = expected.answers();
        (rows, answers)
    }

    /// The sum of the last parts of some lines.
    fn total(lines: &Lines) -> i128 {
        lines.iter().map(|line| line.rsplit('\t').next().unwrap().parse::<i128>().unwrap()).sum()
    }

    #[test]
    fn the_days_and_models_of_all_types_hold_every_event() {
        for variant in [Variant::Dense, Variant::Sparse, Variant::Mixed] {
            let (rows, answers) = expected(variant);
            let sum: i128 = rows.iter().map(|row| i128::from(row.mantissa * 10u64.pow(9 - row.scale))).sum();
            assert_eq!(total(&answers["day_model_all"]), sum);
            assert!(total(&answers["day_model"]) < sum / 4);
        }
    }

    #[test]
    fn the_top_has_a_hundred_subjects_and_one_of_them_is_asked_for() {
        let (_, answers) = expected(Variant::Dense);
        assert_eq!(answers["top_subjects"].len(), TOP);
        let asked = answers["top_subjects"].iter().find(|line| line.starts_with(&subject_name(ASKED_SUBJECT))).unwrap();
        let whole: i128 = asked.split('\t').nth(1).unwrap().parse().unwrap();
        let in_period: i128 = answers["one_subject"][0].parse().unwrap();
        assert!(in_period > 0 && in_period <= whole);
    }
}
