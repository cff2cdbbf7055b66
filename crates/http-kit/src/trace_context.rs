//! W3C trace context: which trace a request belongs to, as its sender says. What is not valid is as if it had not been sent,
//! as the standard wants it: a trace is never a reason to refuse a request.

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};

/// The header with the ids.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with what vendors add.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A header of version 00: version, trace, parent and flags, with hyphens.
const LENGTH: usize = 55;
/// Bytes of `tracestate` that are passed on: what every implementation has to pass on; longer ones are dropped.
const MAX_STATE_BYTES: usize = 512;
/// Entries that the standard allows.
const MAX_STATE_ENTRIES: usize = 32;

/// A valid trace context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: String,
    parent_id: String,
    is_sampled: bool,
    state: String,
}

impl TraceContext {
    /// The context of a request, if it has a valid one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next().filter(|_| parents.next().is_none())?;
        let parts = Parts::read(parent)?;
        Some(Self {
            trace_id: parts.trace_id.to_string(),
            parent_id: parts.parent_id.to_string(),
            is_sampled: parts.flags & 1 == 1,
            state: state(headers).unwrap_or_default(),
        })
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The sender's span: 16 hexadecimal digits.
    pub fn parent_id(&self) -> &str {
        &self.parent_id
    }

    /// Whether the sender records the trace.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// What vendors add to it, at most 512 bytes; empty without.
    pub fn state(&self) -> &str {
        &self.state
    }
}

struct Parts<'a> {
    trace_id: &'a str,
    parent_id: &'a str,
    flags: u8,
}

impl<'a> Parts<'a> {
    fn read(header: &'a HeaderValue) -> Option<Self> {
        let text = header.to_str().ok()?;
        // A later version may go on behind another hyphen; version ff is forbidden.
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let [version, trace_id, parent_id, flags] = known.split('-').collect::<Vec<_>>().try_into().ok()?;
        let is_later = version != "00";
        let ends_well = rest.is_empty() || (is_later && rest.starts_with('-'));
        let lengths = [version, trace_id, parent_id, flags].map(str::len) == [2, 32, 16, 2];
        let hex = [version, trace_id, parent_id, flags].into_iter().all(is_hex);
        let named = [trace_id, parent_id].into_iter().all(|id| id.bytes().any(|digit| digit != b'0'));
        let is_valid = ends_well && lengths && hex && named && version != "ff";
        let flags = u8::from_str_radix(flags, 16).ok()?;
        is_valid.then_some(Self { trace_id, parent_id, flags })
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// All `tracestate` headers as one, unless they are too much.
fn state(headers: &HeaderMap) -> Option<String> {
    let texts: Option<Vec<&str>> = headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
    let state = texts?.join(",");
    (state.len() <= MAX_STATE_BYTES && state.split(',').count() <= MAX_STATE_ENTRIES).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn read(parent: &str) -> Option<TraceContext> {
        TraceContext::of(&headers(&[("traceparent", parent)]))
    }

    #[test]
    fn a_valid_context_has_its_ids_and_whether_it_is_recorded() {
        for (flags, is_sampled) in [("00", false), ("01", true), ("03", true), ("02", false)] {
            let context = read(&format!("00-{TRACE}-{PARENT}-{flags}")).unwrap();
            assert_eq!((context.trace_id(), context.parent_id()), (TRACE, PARENT));
            assert_eq!((context.is_sampled(), context.state()), (is_sampled, ""));
        }
    }

    #[test]
    fn a_later_version_may_have_more() {
        assert!(read(&format!("01-{TRACE}-{PARENT}-01")).is_some());
        assert!(read(&format!("cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like")).is_some());
        assert!(read(&format!("cc-{TRACE}-{PARENT}-01.what")).is_none());
    }

    #[test]
    fn what_is_not_valid_is_as_if_it_was_not_sent() {
        for parent in [
            String::new(),
            "-".repeat(LENGTH),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-zz"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}{PARENT}--01"),
            format!("0-{TRACE}-{PARENT}-001"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            "ü".repeat(40),
        ] {
            let value = HeaderValue::from_bytes(parent.as_bytes()).unwrap();
            let found = TraceContext::of(&HeaderMap::from_iter([(TRACEPARENT, value)]));
            assert_eq!(found, None, "{parent}");
        }
        let parent = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(TraceContext::of(&headers(&[("traceparent", &parent), ("traceparent", &parent)])), None);
        assert_eq!(TraceContext::of(&headers(&[("tracestate", "a=1")])), None);
    }

    #[test]
    fn what_vendors_add_is_passed_on_up_to_a_bound() {
        let parent = format!("00-{TRACE}-{PARENT}-01");
        let state = |states: &[&str]| {
            let pairs: Vec<_> = states.iter().map(|state| ("tracestate", *state)).collect();
            let all = [&[("traceparent", parent.as_str())][..], &pairs].concat();
            TraceContext::of(&headers(&all)).unwrap().state
        };
        assert_eq!(state(&["a=1,b=2", "c=3"]), "a=1,b=2,c=3");
        let long = format!("a={}", "x".repeat(MAX_STATE_BYTES - 2));
        assert_eq!(state(&[&long]), long);
        assert_eq!(state(&[&format!("{long}x")]), "");
        assert_eq!(state(&[&vec!["a=1"; MAX_STATE_ENTRIES + 1].join(",")]), "");
    }
}
