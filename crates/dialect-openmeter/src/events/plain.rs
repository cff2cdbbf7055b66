//! The fast way in: CloudEvents in their ordinary form, read in one pass without an allocation per event.
//!
//! Invariant: it gives the events that [`super::structured`] gives, or declines. It declines everything unusual and
//! everything that is wrong; the other reader then decides, and finds the words.

use tallystick_domain::Instant;
use tallystick_domain::event::{NewEvents, PlainEvent};
use tallystick_domain::json::{CheckedObject, Scanner};

/// Reads a body of one event or a list of events, at most `most`. `max_depth` bounds the nesting of their data.
pub(crate) fn read(body: &[u8], most: usize, max_depth: usize) -> Option<NewEvents> {
    let text = std::str::from_utf8(body).ok()?;
    let mut scanner = Scanner::new(text, max_depth);
    // The texts of an event take two thirds of its JSON or less.
    let mut events = NewEvents::with_capacity(text.len() / 3 * 2);
    match scanner.peek() {
        b'[' => read_list(&mut scanner, most, &mut events)?,
        _ => read_event(&mut scanner, &mut events)?,
    }
    scanner.end()?;
    Some(events)
}

fn read_list(scanner: &mut Scanner<'_>, most: usize, events: &mut NewEvents) -> Option<()> {
    scanner.take(b'[')?;
    loop {
        if events.len() == most {
            return None;
        }
        read_event(scanner, events)?;
        if !scanner.takes(b',') {
            return scanner.take(b']');
        }
    }
}

/// What was met of one event.
#[derive(Default)]
struct Envelope<'a> {
    id: Option<&'a str>,
    source: Option<&'a str>,
    event_type: Option<&'a str>,
    subject: Option<&'a str>,
    specversion: Option<&'a str>,
    content_type: Option<&'a str>,
    time: Option<Instant>,
    data: Option<CheckedObject<'a>>,
}

fn read_event(scanner: &mut Scanner<'_>, events: &mut NewEvents) -> Option<()> {
    let mut envelope = Envelope::default();
    scanner.take(b'{')?;
    loop {
        let key = scanner.string()?;
        scanner.take(b':')?;
        envelope.take_member(key, scanner)?;
        if !scanner.takes(b',') {
            break;
        }
    }
    scanner.take(b'}')?;
    let is_known = matches!(envelope.specversion?, "1.0" | "0.3");
    let is_json = matches!(envelope.content_type, None | Some("application/json"));
    let event = PlainEvent {
        id: envelope.id?,
        source: envelope.source?,
        event_type: envelope.event_type?,
        subject: envelope.subject?,
        time: envelope.time,
        data: envelope.data,
    };
    (is_known && is_json && events.push(event)).then_some(())
}

impl<'a> Envelope<'a> {
    fn take_member(&mut self, key: &str, scanner: &mut Scanner<'a>) -> Option<()> {
        match key {
            "id" => put(&mut self.id, scanner.string()?),
            "source" => put(&mut self.source, scanner.string()?),
            "type" => put(&mut self.event_type, scanner.string()?),
            "subject" => put(&mut self.subject, scanner.string()?),
            "specversion" => put(&mut self.specversion, scanner.string()?),
            "datacontenttype" => put(&mut self.content_type, scanner.string()?),
            "time" => put(&mut self.time, Instant::parse_rfc3339(scanner.string()?).ok()?),
            "data" => put(&mut self.data, scanner.object()?),
            _ => None,
        }
    }
}

/// Declines what comes twice.
fn put<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::super::structured;
    use super::*;
    use proptest::prelude::*;
    use tallystick_domain::event::{Event, EventParts};
    use tallystick_engine::NewEvent;

    const NOW: Instant = Instant::MAX;
    const DEPTH: usize = 8;

    /// What the careful reader and the rules of events make of a body; `None` if they refuse it.
    fn carefully(body: &[u8]) -> Option<Vec<Event>> {
        let batch = structured::read(body, 5, structured::Specversion::Required).ok()?;
        let checked = |event: NewEvent| {
            let parts = EventParts {
                id: event.id,
                source: event.source,
                event_type: event.event_type,
                subject: event.subject,
                time: event.time.unwrap_or(NOW),
                data: event.data,
                extras: event.extras,
            };
            Event::new(parts, DEPTH).ok().filter(|_| event.faults.is_empty())
        };
        batch.events.into_iter().map(checked).collect::<Option<Vec<_>>>().filter(|events| events.len() <= 5)
    }

    fn plainly(body: &[u8]) -> Option<Vec<Event>> {
        let events = read(body, 5, DEPTH)?.accepted_at(NOW);
        Some(events.iter().map(|event| event.to_event()).collect())
    }

    const EVENT: &str = r#"{"specversion":"1.0","id":"5c10fade","source":"api","type":"prompt","subject":"c-1",
        "time":"2024-01-01T00:00:00.123Z","datacontenttype":"application/json",
        "data":{"model":"gpt-4","tokens":12.3400,"nested":{"list":[1,null,"a\"b"]}}}"#;

    #[test]
    fn takes_ordinary_bodies() {
        let minimal = r#"{"id":"1","source":"s","specversion":"0.3","type":"t","subject":"é"}"#;
        let bodies = [
            EVENT.to_string(),
            format!(" [ {EVENT} , {minimal} ]\n"),
            format!("[{}]", [minimal; 5].join(",")),
            r#"{"data":{},"subject":"c","type":"t","source":"s","id":"1","specversion":"1.0"}"#.to_string(),
        ];
        for body in bodies {
            let events = plainly(body.as_bytes());
            assert!(events.is_some(), "{body}");
            assert_eq!(events, carefully(body.as_bytes()));
        }
    }

    #[test]
    fn declines_what_is_unusual_or_wrong() {
        let with = |from: &str, to: &str| EVENT.replacen(from, to, 1);
        let bodies = [
            String::new(),
            "[]".into(),
            "{}".into(),
            format!("{EVENT}{EVENT}"),
            format!("[{EVENT},]"),
            format!("[{}]", [EVENT; 6].join(",")),
            with("\"1.0\"", "\"2.0\""),
            with("\"1.0\"", "1.0"),
            with("application/json", "application/JSON"),
            with("application/json", "text/plain"),
            with("5c10fade", "5c\\u0031"),
            with("5c10fade", "a\u{7f}"),
            with("5c10fade", ""),
            with("\"5c10fade\"", "null"),
            with("\"id\"", "\"\\u0069d\""),
            with("\"source\"", "\"id\""),
            with("\"source\"", "\"mine\""),
            with("\"subject\":\"c-1\",", ""),
            with("123Z", "123"),
            with("2024-01-01", "2024-02-30"),
            with("12.3400", "1e3"),
            with("12.3400", "012"),
            with("\"tokens\"", "\"model\""),
            with("{\"model\"", "[{\"model\"").replace("}]}}}", "}]}}]}"),
            with("\"data\":{", "\"data\":null,\"x\":{"),
            format!("\u{feff}{EVENT}"),
        ];
        for body in bodies {
            assert_eq!(plainly(body.as_bytes()), None, "{body}");
        }
        assert_eq!(plainly(b"{\"id\":\"\xff\"}"), None);
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[-0-9a-z.]{1,8}".prop_map(|text| format!("\"{text}\"")),
            1 => prop::sample::select(vec![
                "null", "1", "1.0", "\"1.0\"", "\"\"", "\"a\\nb\"", "\"\u{7f}\"", "\"é\"", "\"\\u00e9\"", "{}", "[1]", "true",
                "\"2024-01-01T00:00:00Z\"", "\"2024-01-01T00:00:00+01:00\"", "\"2024-13-01T00:00:00Z\"", "\"application/json\"",
                "{\"a\":1,\"b\":[1.50,{\"a\":null}]}", "{\"a\":1,\"a\":2}", "{\"a\":01}", "{\"a\":\"\\ud83d\\ude00\"}",
            ]).prop_map(String::from),
        ]
    }

    /// An event whose attributes are mostly as they should be, in any order, some left out and some twice.
    fn event() -> impl Strategy<Value = String> {
        let good = [
            ("id", "\"1\""),
            ("source", "\"s\""),
            ("specversion", "\"1.0\""),
            ("type", "\"t\""),
            ("subject", "\"c\""),
            ("time", "\"2024-01-01T00:00:00.5Z\""),
            ("datacontenttype", "\"application/json\""),
            ("data", "{\"n\": 1.50, \"m\":{\"x\":[true,\"\\u0041\"]}}"),
        ];
        let odd = ("id|time|data|mine|dataschema|data_base64|\\\\u0069d", value());
        let spoilt = prop::option::weighted(0.4, (0usize..8, value()));
        let extra = prop::option::weighted(0.2, odd);
        let space = prop::sample::select(vec!["", "", " ", "\n\t"]);
        (spoilt, extra, prop::bool::weighted(0.2), 0usize..8, Just(good.to_vec()).prop_shuffle(), space).prop_map(
            |(spoilt, extra, leaves_out, left_out, good, space)| {
                let mut members: Vec<(String, String)> =
                    good.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
                if let Some((at, value)) = spoilt {
                    members[at].1 = value;
                }
                if leaves_out {
                    members.remove(left_out);
                }
                members.extend(extra);
                let members = members.iter().map(|(key, value)| format!("{space}\"{key}\":{space}{value}{space}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            },
        )
    }

    fn body() -> impl Strategy<Value = String> {
        let many = prop::collection::vec(event(), 0..7).prop_map(|events| format!("[{}]", events.join(",")));
        prop_oneof![2 => event(), 1 => many]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn gives_what_the_careful_reader_gives_or_declines(
            body in body(), at in any::<prop::sample::Index>(), cut in 0usize..4, junk in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            if let Some(events) = plainly(body.as_bytes()) {
                prop_assert_eq!(Some(events), carefully(body.as_bytes()), "{}", body);
            }
            let mut broken = body.into_bytes();
            let at = at.index(broken.len());
            let to = broken.len().min(at + cut);
            broken.splice(at..to, junk);
            if let Some(events) = plainly(&broken) {
                prop_assert_eq!(Some(events), carefully(&broken), "{}", String::from_utf8_lossy(&broken));
            }
        }

        #[test]
        fn ordinary_events_are_seldom_declined(id in "[ -!#-\\[\\]-~]{1,40}", number in -1_000_000i64..1_000_000, scale in 0usize..6) {
            let body = format!(
                r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"t","subject":"c","data":{{"v":{number}.{scale:05},"t":"{id}"}}}}"#
            );
            let events = plainly(body.as_bytes());
            prop_assert!(events.is_some());
            prop_assert_eq!(events, carefully(body.as_bytes()));
        }
    }
}
