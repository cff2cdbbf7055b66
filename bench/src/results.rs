//! What was measured: rows with the load average beside them, as a table and as JSON.

use crate::process::load_average;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub measure: String,
    /// Of whom.
    pub contestant: String,
    /// How much.
    pub value: f64,
    /// In what.
    pub unit: String,
    /// The load average of the last minute when it was measured.
    pub load: f64,
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    figures: Vec<Figure>,
}

impl Results {
    /// Takes a figure in and shows it at once.
    pub fn add(&mut self, measure: &str, contestant: &str, value: f64, unit: &str) {
        // What is not a number has no place in JSON, and the third digit is noise.
        let value = if value.is_finite() { value } else { 0.0 };
        let figure = Figure {
            measure: measure.into(),
            contestant: contestant.into(),
            value: rounded(value),
            unit: unit.into(),
            load: load_average(),
        };
        println!("{}", line(&figure));
        self.figures.push(figure);
    }

    /// The figure of a contestant, if it was measured.
    pub fn get(&self, measure: &str, contestant: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|it| it.measure == measure && it.contestant == contestant)?;
        Some(figure.value)
    }

    /// Writes the figures as a JSON array, one per line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let lines: Vec<String> = self.figures.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, format!("[\n{}\n]\n", lines.join(",\n")))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads what [`Results::write`] wrote.
    ///
    /// # Errors
    /// When the file is not there or not such a list.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { figures: serde_json::from_str(&text)? })
    }

    /// The figures as a Markdown table.
    pub fn markdown(&self) -> String {
        let mut text =
            String::from("| measure | contestant | value | unit | load |\n| --- | --- | ---: | --- | ---: |\n");
        for Figure { measure, contestant, value, unit, load } in &self.figures {
            let value = number(*value);
            text.push_str(&format!("| {measure} | {contestant} | {value} | {unit} | {load:.1} |\n"));
        }
        text
    }
}

fn line(figure: &Figure) -> String {
    let Figure { measure, contestant, value, unit, load } = figure;
    format!("{measure:<58} {contestant:<28} {:>12} {unit:<9} load {load:.1}", number(*value))
}

/// Four significant digits.
pub fn rounded(value: f64) -> f64 {
    if value.abs() < f64::EPSILON {
        return 0.0;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    match digits > 0 {
        true => (value * 10f64.powi(digits)).round() / 10f64.powi(digits),
        false => value.round(),
    }
}

/// A number for people: thousands apart.
pub fn number(value: f64) -> String {
    if value.abs() < 1000.0 {
        return value.to_string();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// The middle one of some values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results/latest.json");
        let mut results = Results::default();
        results.add("a", "b", 1.5, "ms");
        results.add("c", "d", f64::NAN, "s");
        results.write(&path).unwrap();
        let read = Results::read(&path).unwrap();
        assert_eq!(read, results);
        assert_eq!((read.get("a", "b"), read.get("a", "x")), (Some(1.5), None));
    }

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!((rounded(0.123_456), rounded(12.345_6), rounded(1_234_567.8)), (0.1235, 12.35, 1_234_568.0));
        assert_eq!(
            (number(1_234_567.0), number(12.5), number(999.0)),
            ("1 234 567".into(), "12.5".into(), "999".into())
        );
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
