//! Business cases of entitlements, told as timelines in `timelines/*.txt`; `timelines/README.md` says how to read and write them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use tallystick_domain::entitlement::history::by_window;
use tallystick_domain::entitlement::{
    Counting, Expiration, ExpirationUnit, Grant, Reset, Rules, Run, State, UsagePeriods, burn_down,
};
use tallystick_domain::time::{Interval, Period, Recurrence};
use tallystick_domain::{EntitlementId, GrantId, Instant, Quantity, QuantityError};

const MINUTE: i64 = 60_000_000;

/// One case as far as it was read.
struct Case {
    name: String,
    start: Instant,
    interval: Option<Interval>,
    anchor: Option<Instant>,
    preserves: bool,
    resets: Vec<(Instant, Option<Instant>, Option<bool>)>,
    grants: Vec<Grant>,
    names: BTreeMap<String, GrantId>,
    uses: Vec<(Instant, Use)>,
    counting: Counting,
    is_unique: bool,
}

/// What an event says.
enum Use {
    Amount(Quantity),
    Text(String),
}

/// A line taken word by word.
struct Words<'a>(std::vec::IntoIter<&'a str>);

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        Self(line.split_whitespace().collect::<Vec<_>>().into_iter())
    }

    #[track_caller]
    fn word(&mut self) -> &'a str {
        self.0.next().expect("a further word")
    }

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn amount(&mut self) -> Quantity {
        quantity(self.word())
    }
}

/// A whole minute as the files write it.
fn minute(time: Instant) -> String {
    time.to_string().trim_end_matches(":00Z").to_owned()
}

fn quantity(text: &str) -> Quantity {
    Quantity::parse(&text.replace('_', "")).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Case {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            start: absolute("2025-01-01"),
            interval: None,
            anchor: None,
            preserves: false,
            resets: Vec::new(),
            grants: Vec::new(),
            names: BTreeMap::new(),
            uses: Vec::new(),
            counting: Counting::Growing,
            is_unique: false,
        }
    }

    /// A moment: a date, a date with a time, or a distance from the start such as `+1d2h30m`.
    fn time(&self, text: &str) -> Instant {
        let Some(mut rest) = text.strip_prefix('+') else { return absolute(text) };
        let mut micros = 0;
        while !rest.is_empty() && rest != "0" {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or_else(|| panic!("{text}: a unit is missing"));
            let number: i64 = rest[..end].parse().unwrap();
            micros += number
                * match &rest[end..=end] {
                    "d" => 24 * 60 * MINUTE,
                    "h" => 60 * MINUTE,
                    "m" => MINUTE,
                    "s" => MINUTE / 60,
                    unit => panic!("{text}: {unit} is no unit"),
                };
            rest = &rest[end + 1..];
        }
        self.start.saturating_add_micros(micros)
    }

    fn read(&mut self, line: &str) {
        let mut words = Words::of(line);
        match words.word() {
            "start" => self.start = absolute(words.word()),
            "period" => {
                self.interval = Some(Interval::parse(words.word()).unwrap());
                self.anchor = words.next().map(|text| self.time(text));
            }
            "overage" => self.preserves = words.word() == "kept",
            "reset" => self.read_reset(words),
            "grant" => self.read_grant(words),
            "use" => {
                let amount = words.amount();
                let time = self.time(words.word());
                self.uses.push((time, Use::Amount(amount)));
            }
            "see" => {
                let text = words.word().to_owned();
                let time = self.time(words.word());
                self.uses.push((time, Use::Text(text)));
                self.is_unique = true;
            }
            "level" => self.counting = Counting::Level,
            "at" => self.check_moment(words),
            "segments" => self.check_segments(words),
            "hourly" => self.check_hours(words),
            other => panic!("{}: what is {other:?}?", self.name),
        }
    }

    fn read_reset(&mut self, mut words: Words<'_>) {
        let time = self.time(words.word());
        let (mut anchor, mut preserves) = (Some(time), None);
        while let Some(word) = words.next() {
            match word {
                "anchor" => match words.word() {
                    "stays" => anchor = None,
                    text => anchor = Some(self.time(text)),
                },
                "overage" => preserves = Some(words.word() == "kept"),
                other => panic!("{}: what is {other:?} of a reset?", self.name),
            }
        }
        self.resets.push((time, anchor, preserves));
    }

    fn read_grant(&mut self, mut words: Words<'_>) {
        let (name, amount) = (words.word(), words.amount());
        let number = self.grants.len() as u128 + 1;
        let id = GrantId::from_parts(0, number);
        let mut grant = Grant {
            id,
            entitlement: EntitlementId::from_parts(0, 1),
            amount,
            priority: 1,
            effective_at: self.start,
            expiration: None,
            min_rollover: Quantity::ZERO,
            max_rollover: Quantity::ZERO,
            recurrence: None,
            metadata: BTreeMap::new(),
            annotations: BTreeMap::new(),
            created_at: self.start,
            updated_at: self.start,
            voided_at: None,
            deleted_at: None,
        };
        let mut refilled = None;
        while let Some(word) = words.next() {
            match word {
                "from" => grant.effective_at = self.time(words.word()),
                "priority" => grant.priority = words.word().parse().unwrap(),
                "created" => grant.created_at = self.time(words.word()),
                "expires" => {
                    let count = words.word().parse().unwrap();
                    let unit = ExpirationUnit::parse(words.word()).expect("a unit in capitals");
                    grant.expiration = Some(Expiration { unit, count });
                }
                "keeps" => {
                    let (least, most) = words.word().split_once("..").expect("least..most");
                    (grant.min_rollover, grant.max_rollover) = (quantity(least), quantity(most));
                }
                "refilled" => refilled = Some((Interval::parse(words.word()).unwrap(), self.time(words.word()))),
                "voided" => grant.voided_at = Some(self.time(words.word())),
                "deleted" => grant.deleted_at = Some(self.time(words.word())),
                other => panic!("{}: what is {other:?} of a grant?", self.name),
            }
        }
        grant.recurrence = refilled.map(|(interval, anchor)| Recurrence { interval, anchor });
        self.names.insert(name.to_owned(), id);
        self.grants.push(grant);
    }

    fn periods(&self) -> UsagePeriods {
        let interval = self.interval.unwrap_or_else(|| Interval::parse("P100Y").unwrap());
        let recurrence = Recurrence { interval, anchor: self.anchor.unwrap_or(self.start) };
        let mut resets: Vec<Reset> = Vec::new();
        for (at, anchor, preserves) in &self.resets {
            let known = resets.last().map_or(recurrence, |reset: &Reset| reset.recurrence);
            let recurrence = Recurrence { anchor: anchor.unwrap_or(known.anchor), ..known };
            resets.push(Reset { at: *at, recurrence, preserves_overage: preserves.unwrap_or(self.preserves) });
        }
        UsagePeriods::new(self.start, recurrence, self.preserves, resets)
    }

    fn used(&self, since: Instant, until: Instant) -> Result<Quantity, QuantityError> {
        let mut uses: Vec<_> = self.uses.iter().filter(|(time, _)| since <= *time && *time < until).collect();
        uses.sort_by_key(|(time, _)| *time);
        let amounts =
            uses.iter().filter_map(|(_, used)| if let Use::Amount(amount) = used { Some(*amount) } else { None });
        if self.is_unique {
            let texts = uses.iter().filter_map(|(_, used)| if let Use::Text(text) = used { Some(text) } else { None });
            return Ok(Quantity::from_count(texts.collect::<std::collections::BTreeSet<_>>().len() as u64));
        }
        match self.counting {
            Counting::Growing => amounts.into_iter().try_fold(Quantity::ZERO, Quantity::plus),
            Counting::Level => Ok(amounts.fold(Quantity::ZERO, |_, amount| amount)),
        }
    }

    fn run(&self, until: Instant) -> Run {
        let periods = self.periods();
        let rules = Rules { periods: &periods, grants: &self.grants, counting: self.counting };
        let mut used = |since, until| self.used(since, until);
        burn_down::run(rules, State::initial(&periods), until, &mut used).unwrap()
    }

    /// How a state shows.
    fn settled(&self, state: State) -> State {
        let periods = self.periods();
        let rules = Rules { periods: &periods, grants: &self.grants, counting: self.counting };
        burn_down::settled(rules, state).unwrap()
    }

    /// `at TIME balance N usage N overage N available N NAME N …`
    fn check_moment(&self, mut words: Words<'_>) {
        let text = words.word();
        // A question is about all of its minute.
        let until = self.time(text).ceil_minute();
        let end = self.settled(self.run(until).end);
        while let Some(what) = words.next() {
            let expected = words.word();
            let found = match what {
                "balance" => end.balance().unwrap().to_string(),
                "usage" => end.used.to_string(),
                "overage" => end.overage().to_string(),
                "available" => end.available().unwrap().to_string(),
                "burned" => end.burned.to_string(),
                "period" => minute(self.periods().containing(until).from),
                "until" => minute(self.periods().containing(until).to),
                name => {
                    let id = self.names.get(name).unwrap_or_else(|| panic!("{}: what is {name:?}?", self.name));
                    end.balances.get(id).map_or("0".into(), Quantity::to_string)
                }
            };
            let expected =
                if matches!(what, "period" | "until") { expected.to_owned() } else { quantity(expected).to_string() };
            assert_eq!(found, expected, "{}: {what} at {text}", self.name);
        }
    }

    /// `segments until TIME: USED USED …`, in which `rollover` is the beginning of a period.
    fn check_segments(&self, mut words: Words<'_>) {
        let until = self.time(words.word().trim_end_matches(':'));
        let run = self.run(until);
        let mut rollover = false;
        let shown = run.segments.iter().map(|segment| {
            rollover = segment.period.is_empty() && !rollover;
            if rollover { "rollover".to_owned() } else { segment.used.to_string() }
        });
        let expected: Vec<_> = words.0.collect();
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{}", self.name);
    }

    /// `hourly FROM TO: USED/BALANCE …`
    fn check_hours(&self, mut words: Words<'_>) {
        let (from, to) = (self.time(words.word()), self.time(words.word().trim_end_matches(':')));
        let hour = |instant: Instant| {
            let micros = 60 * MINUTE;
            Instant::from_micros(instant.as_micros().div_euclid(micros) * micros).unwrap()
        };
        let mut windows = Vec::new();
        let mut at = hour(from);
        while at < to {
            let next = at.saturating_add_micros(60 * MINUTE);
            windows.push(Period { from: at, to: next });
            at = next;
        }
        let periods = self.periods();
        let rules = Rules { periods: &periods, grants: &self.grants, counting: self.counting };
        let rows = by_window(rules, &self.run(at), windows, &mut |since, until| self.used(since, until)).unwrap();
        let shown: Vec<_> = rows.iter().map(|row| format!("{}/{}", row.used, row.balance_at_start)).collect();
        assert_eq!(shown, words.0.collect::<Vec<_>>(), "{}", self.name);
    }
}

fn absolute(text: &str) -> Instant {
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        _ => format!("{text}Z"),
    };
    Instant::parse_rfc3339(&full).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_timeline_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timelines");
    let mut checks = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut case: Option<Case> = None;
        for line in text.lines().map(|line| line.split('#').next().unwrap().trim()).filter(|line| !line.is_empty()) {
            match (line.strip_prefix("== "), &mut case) {
                (Some(name), case) => {
                    *case = Some(Case::new(&format!("{}: {name}", path.file_name().unwrap().display())))
                }
                (None, Some(case)) => {
                    checks += usize::from(["at ", "segments ", "hourly "].iter().any(|start| line.starts_with(start)));
                    case.read(line);
                }
                (None, None) => panic!("{}: {line:?} belongs to no case", path.display()),
            }
        }
    }
    assert!(checks > 50, "only {checks} moments were looked at");
}
