//! The token of the event listing: the place of the last event shown, in at most 500 characters.

use crate::page::{bad_token, decode, encode};
use crate::problem::Problem;
use crate::short_id;
use tallystick_domain::Instant;
use tallystick_domain::event::{EventPosition, TimeFilter};

/// The longest token that the client reads.
const MAX_TOKEN: usize = 500;

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind this event.
    Behind(EventPosition),
    /// Behind the event of this reference, whose id is too long for a token, and which has this time.
    BehindReference {
        /// Its time.
        time: Instant,
        /// Its reference.
        reference: String,
    },
}

impl Place {
    /// The token for a page that begins behind this event.
    pub(crate) fn token(position: &EventPosition) -> String {
        let EventPosition { time, source, id } = position;
        let plain = encode(&format!("i{},{},{source}{id}", time.as_micros(), source.len()));
        match plain.len() <= MAX_TOKEN {
            true => plain,
            false => encode(&format!("r{},{}", time.as_micros(), short_id::of_event(source, id))),
        }
    }

    /// Reads a token.
    pub(crate) fn read(token: &str) -> Result<Self, Problem> {
        Self::parse(&decode(token)?).ok_or_else(bad_token)
    }

    fn parse(text: &str) -> Option<Self> {
        let (micros, rest) = text.get(1..)?.split_once(',')?;
        let time = Instant::from_micros(micros.parse().ok()?)?;
        if text.starts_with('r') {
            return Some(Self::BehindReference { time, reference: rest.to_owned() });
        }
        let (length, names) = rest.split_once(',')?;
        let (source, id) = names.split_at_checked(length.parse().ok()?)?;
        let is_one = text.starts_with('i') && !id.is_empty();
        is_one.then(|| Self::Behind(EventPosition { time, source: source.to_owned(), id: id.to_owned() }))
    }

    /// The event behind which to list, and the condition on times.
    pub(crate) fn listing(&self) -> (Option<EventPosition>, Option<TimeFilter>) {
        match self {
            Place::Behind(position) => (Some(position.clone()), None),
            Place::BehindReference { time, .. } => (None, Some(TimeFilter::Through(*time))),
        }
    }

    /// Whether an event still comes before the page; `passed` says whether the one behind which it begins was there.
    pub(crate) fn skips(&self, at: &EventPosition, passed: &mut bool) -> bool {
        let Place::BehindReference { time, reference } = self else { return false };
        if *passed || at.time != *time {
            return false;
        }
        *passed = short_id::of_event(&at.source, &at.id) == *reference;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &str) -> EventPosition {
        let time = Instant::parse_rfc3339("2024-01-01T00:00:00.123456Z").unwrap();
        EventPosition { time, source: "a,é".into(), id: id.into() }
    }

    #[test]
    fn a_token_leads_behind_its_event_and_is_never_too_long() {
        assert_eq!(Place::read(&Place::token(&at("x,1"))).unwrap(), Place::Behind(at("x,1")));
        let long = at(&"i".repeat(512));
        let token = Place::token(&long);
        assert!(token.len() <= MAX_TOKEN);
        let place = Place::read(&token).unwrap();
        let mut passed = false;
        let skipped: Vec<_> =
            [at("a"), long, at("b")].iter().map(|position| place.skips(position, &mut passed)).collect();
        assert_eq!(skipped, [true, true, false]);
        let later = EventPosition { time: Instant::MIN, ..at("c") };
        assert!(!place.skips(&later, &mut false));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in ["", "i", "x1,2,ab", "i1", "i1,9,ab", "i1,2,ab", "iz,1,ab", "i1,1,éa", "r1"] {
            assert!(Place::read(&encode(text)).is_err(), "{text}");
        }
    }
}
