//! Random events for the tests of this room: few distinct values, so that they meet, and many odd ones.

use super::disk::HostDisk;
use super::row::{Row, segment_order};
use super::rows::Rows;
use super::segment::{Segment, write_segment};
use super::view::View;
use proptest::prelude::*;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::{Instant, Namespace};

/// Up to `most` rows, unique and in no order.
pub(crate) fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(row(), 0..most).prop_map(|mut rows| {
        let mut seen = HashSet::new();
        rows.retain(|row| {
            let event = &row.stored.event;
            seen.insert((row.namespace.clone(), event.source().to_owned(), event.id().to_owned()))
        });
        rows
    })
}

/// Sorts rows as segments keep them.
pub(crate) fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(segment_order);
    rows
}

/// A row of the namespace `default` and the type `t`, for tests with many of them.
pub(crate) fn plain_row(number: usize, subject: &str, time: Instant, data: &str) -> Row {
    let parts = EventParts {
        id: format!("{number:08x}-0000-4000-8000-000000000000"),
        source: "s".into(),
        event_type: "t".into(),
        subject: subject.into(),
        time,
        data: Some(data.into()),
        extras: None,
    };
    let event = Event::new(parts, 32).unwrap();
    Row { namespace: Namespace::default_namespace(), stored: StoredEvent { event, ingested_at: time } }
}

fn row() -> impl Strategy<Value = Row> {
    let attributes = (
        pick(&["default", "default", "default", "a", "tenant-1"]),
        prop_oneof![9 => pick(&["t", "t", "t", "other"]), 1 => attribute()],
        prop_oneof![9 => pick(&["a", "b", "c", "ä"]), 1 => attribute()],
        prop_oneof![9 => pick(&["s", "r"]), 1 => attribute()],
        prop_oneof!["[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[0-9A-Z]{1,3}", attribute()],
    );
    let rest = (instant(), instant(), prop::option::weighted(0.9, data()), prop::option::weighted(0.2, data()));
    (attributes, rest).prop_map(|((namespace, event_type, subject, source, id), (time, ingested_at, data, extras))| {
        let parts = EventParts { id, source, event_type, subject, time, data, extras };
        let event = Event::new(parts, 32).unwrap();
        Row { namespace: Namespace::parse(&namespace).unwrap(), stored: StoredEvent { event, ingested_at } }
    })
}

/// Mostly around the changes of clocks of 2024, with many equal ones, sometimes anywhere.
pub(crate) fn instant() -> impl Strategy<Value = Instant> {
    let days = pick(&[
        "2024-01-01T00:00:00Z",
        "2024-03-10T08:00:00Z",
        "2024-04-06T15:00:00Z",
        "2024-09-08T03:30:00Z",
        "2024-12-31T23:59:59.999999Z",
        "2010-11-07T02:30:00Z",
    ]);
    prop_oneof![
        8 => (days, -40i64..40, pick_number(&[1, 60_000_000, 3_600_000_000]))
            .prop_map(|(day, steps, step)| Instant::parse_rfc3339(&day).unwrap().saturating_add_micros(steps * step)),
        1 => (Instant::MIN.as_micros()..=Instant::MAX.as_micros()).prop_map(|at| Instant::from_micros(at).unwrap()),
        1 => prop::sample::select(vec![Instant::MIN, Instant::MAX]),
    ]
}

/// A JSON object in some layout.
fn data() -> impl Strategy<Value = String> {
    let member = |name: &'static str, values: BoxedStrategy<String>| {
        prop::option::weighted(0.8, values).prop_map(move |value| value.map(|value| format!("\"{name}\": {value}")))
    };
    let inner = (member("x", value().boxed()), member("m", value().boxed())).prop_map(|(x, m)| object([x, m], " "));
    let outer = (
        member("v", value().boxed()),
        member("m", prop_oneof![3 => pick(&["\"x\"", "\"y\"", "\"\\u0078\""]), 1 => value()].boxed()),
        member("n", prop_oneof![3 => inner, 1 => value()].boxed()),
        member("a-b", value().boxed()),
        member("l", prop::collection::vec(value(), 0..3).prop_map(|items| format!("[{}]", items.join(","))).boxed()),
    );
    (outer, pick(&["", " ", "\n\t"])).prop_map(|((v, m, n, a, l), space)| object([v, m, n, a, l], &space))
}

fn object<const N: usize>(members: [Option<String>; N], space: &str) -> String {
    let members: Vec<String> = members.into_iter().flatten().collect();
    format!("{{{space}{}}}", members.join(&format!(",{space}")))
}

/// A JSON value in some notation: numbers that meet in different forms, and everything that is no number.
fn value() -> BoxedStrategy<String> {
    prop_oneof![
        6 => (-9i64..30).prop_map(|n| n.to_string()),
        4 => (-999i64..999, 1usize..7).prop_map(|(n, zeros)| format!("{}.{:0zeros$}5", n / 10, n.abs() % 10)),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        3 => pick(&[
            "1.50", "1.5", "15e-1", "0", "-0", "0.0000000000000000000000000001", "1E3",
            "79228162514264337593543950335", "12345678901234567890123456789012345678901234567890", "9223372036854775807",
        ]),
        3 => pick(&["\"1.5\"", "\"1.50\"", "\"10\"", "\" 10\"", "\"NaN\"", "\"-Infinity\"", "\"1e400\"", "\"\"", "\"junk\""]),
        2 => pick(&["null", "true", "false", "\"null\"", "\"true\"", "{}", "[]", "{\"k\":1}", "[1,2]"]),
        1 => "\\PC{0,12}".prop_map(|text| quoted(&text)),
        1 => (200usize..400).prop_map(|length| quoted(&"long ".repeat(length / 5))),
    ]
    .boxed()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('z', "\\u007a"))
}

fn attribute() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,12}"
}

fn pick(texts: &[&str]) -> impl Strategy<Value = String> + use<> {
    prop::sample::select(texts.iter().map(|text| text.to_string()).collect::<Vec<_>>())
}

fn pick_number(numbers: &[i64]) -> impl Strategy<Value = i64> + use<> {
    prop::sample::select(numbers.to_vec())
}

/// A row of the namespace `default`; many have equal times.
pub(crate) fn row_of_page(number: usize) -> Row {
    let start = Instant::parse_rfc3339("2024-01-01T00:00:00Z").unwrap();
    let time = start.saturating_add_micros((number * 7919 % 997) as i64 * 1_000_000);
    plain_row(number, &format!("subject-{}", number % 29), time, &format!(r#"{{"v":{number}}}"#))
}

/// A view with each row at its place: up to four segments, then up to two chunks of memory.
pub(crate) fn split(dir: &Path, rows: &[Row], places: &[usize]) -> View {
    let at = |place: usize| -> Vec<Row> {
        let here = rows.iter().zip(places).filter(|(_, other)| **other == place);
        here.map(|(row, _)| row.clone()).collect()
    };
    let segments = (0..4).map(|place| {
        let path = dir.join(place.to_string());
        write_segment(&HostDisk, &path, &mut sorted(at(place)).into_iter().map(Ok)).unwrap();
        Arc::new(Segment::open(&HostDisk, &path).unwrap())
    });
    let chunks = (4..6).map(|place| Arc::new(Rows::of(&at(place)).into())).collect();
    View { segments: segments.collect(), chunks, ..View::default() }
}
