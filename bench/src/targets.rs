//! What must be reached, as ratios inside one run.

use crate::results::{Results, number, rounded};
use crate::sections::{CHECKS_OVER_HTTP, OURS, contention_name, hard_cases, load_name, query_name, variant_name};
use crate::store::QUESTIONS;

/// One target.
struct Target {
    what: String,
    figure: Option<f64>,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}"),
            Self::AtMost(bound) => format!("≤ {bound}"),
        }
    }
}

/// The targets as a Markdown table; what was not measured says so.
pub fn table(results: &Results) -> String {
    let mut text = String::from("| target | bound | measured | |\n| --- | ---: | ---: | --- |\n");
    for Target { what, figure, bound } in targets(results) {
        let (measured, verdict) = match figure {
            None => ("–".to_string(), "not measured"),
            Some(figure) if bound.holds(figure) => (number(rounded(figure)), "reached"),
            Some(figure) => (number(rounded(figure)), "**missed**"),
        };
        text.push_str(&format!("| {what} | {} | {measured} | {verdict} |\n", bound.text()));
    }
    text
}

fn targets(results: &Results) -> Vec<Target> {
    let mut targets = ingest(results);
    targets.extend(queries(results));
    targets.extend(variants(results));
    targets.extend(server(results));
    targets
}

fn ingest(results: &Results) -> Vec<Target> {
    let ratio = |connections, batch, to: &str, bound| {
        let measure = format!("{}, ÷ {to}", load_name(connections, batch));
        let figure = results.get(&measure, "durable");
        Target { what: measure, figure, bound: Bound::AtLeast(bound) }
    };
    let alone = format!("{}, p50 − fdatasync", load_name(1, 1));
    let figure = results.get(&alone, "durable");
    vec![
        ratio(16, 100, "parse-only", 0.70),
        ratio(4, 1000, "parse-only", 0.85),
        ratio(256, 1, "no-op", 0.65),
        ratio(64, 1, "no-op", 0.45),
        Target { what: format!("{alone} (ms)"), figure, bound: Bound::AtMost(0.15) },
    ]
}

/// How many times as long another engine takes, both with one thread.
fn queries(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    for question in QUESTIONS {
        let measure = query_name(question);
        for (other, bound) in [("ClickHouse typed, 1 thread", 5.0), ("DuckDB sorted, 1 thread", 1.5)] {
            let ours = results.get(&measure, OURS);
            let figure = ours.and_then(|ours| Some(results.get(&measure, other)? / ours));
            targets.push(Target { what: format!("{measure}: {other} ÷ ours"), figure, bound: Bound::AtLeast(bound) });
        }
    }
    targets
}

/// How many times as long the harder cases take.
fn variants(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    for case in hard_cases() {
        for question in QUESTIONS {
            let measure = format!("{}, ÷ dense", variant_name(question));
            let figure = results.get(&measure, case);
            targets.push(Target { what: format!("{measure}: {case}"), figure, bound: Bound::AtMost(2.0) });
        }
    }
    targets
}

fn server(results: &Results) -> Vec<Target> {
    let at_most = |measure: &str, unit: &str, bound| {
        let figure = results.get(measure, "Tallystick");
        Target { what: format!("{measure}{unit}"), figure, bound: Bound::AtMost(bound) }
    };
    vec![
        at_most(&contention_name("one subject per day"), "", 3.0),
        at_most(&contention_name("day × model"), "", 3.0),
        at_most("bytes per event, with ids", "", 26.0),
        at_most("bytes per event, with ids and identities", "", 36.0),
        at_most("memory, idle", " (MiB)", 512.0),
        at_most("memory, most during queries over everything", " (MiB)", 1024.0),
        at_most("live total of one subject, p99", " (µs)", 5.0),
        at_most("check, p99", " (µs)", 5.0),
        Target {
            what: format!("{CHECKS_OVER_HTTP}, ÷ no-op"),
            figure: results.get(&format!("{CHECKS_OVER_HTTP}, ÷ no-op"), "check"),
            bound: Bound::AtLeast(0.5),
        },
        at_most("start, after an orderly end", " (ms)", 100.0),
        at_most("start, after a kill", " (ms)", 1000.0),
    ]
}
