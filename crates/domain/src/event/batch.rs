//! Valid events in one piece, from the door to the store.

use super::{EventParts, EventRef, is_sound_attribute};
use crate::Instant;
use crate::json::CheckedObject;
use crate::meter::names_metered;

/// The length of a text that is not there.
const ABSENT: u32 = u32::MAX;

/// Events in the order in which they came: heads of a fixed size, and all texts in one string of less than 4 GiB. An event
/// needs no allocation of its own, neither to be kept nor to be read.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    heads: Vec<Head>,
    /// The texts of all events without gaps: id, source, type, subject, data, extras.
    texts: String,
}

/// What an event has besides its texts.
#[derive(Clone, Copy, Debug)]
struct Head {
    time: Instant,
    /// Where its texts begin, and their lengths.
    start: u32,
    lengths: [u32; 6],
}

impl Head {
    fn end(&self) -> usize {
        let lengths = self.lengths.iter().filter(|len| **len != ABSENT);
        self.start as usize + lengths.map(|len| *len as usize).sum::<usize>()
    }
}

impl EventBatch {
    /// Bytes of memory that an event takes besides its texts.
    pub const HEAD_BYTES: usize = size_of::<Head>();

    /// How many events.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The texts of all events, one after the other.
    pub fn texts(&self) -> &str {
        &self.texts
    }

    /// The texts of the events from `from` up to `to`.
    pub fn texts_of(&self, from: usize, to: usize) -> &str {
        match self.heads[from..to] {
            [] => "",
            [first, ..] => &self.texts[first.start as usize..self.heads[to - 1].end()],
        }
    }

    /// An event, which must exist.
    pub fn get(&self, at: usize) -> EventRef<'_> {
        let head = &self.heads[at];
        let mut rest = &self.texts[head.start as usize..];
        let mut next = |len: u32| {
            if len == ABSENT {
                return None;
            }
            let (text, after) = rest.split_at(len as usize);
            rest = after;
            Some(text)
        };
        let [id, source, event_type, subject, data, extras] = head.lengths.map(&mut next);
        EventRef::from_store(EventParts {
            id: id.unwrap_or_default(),
            source: source.unwrap_or_default(),
            event_type: event_type.unwrap_or_default(),
            subject: subject.unwrap_or_default(),
            time: head.time,
            data,
            extras,
        })
    }

    /// All events in order.
    pub fn iter(&self) -> impl Iterator<Item = EventRef<'_>> + Clone {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Of each event its time, and the lengths of its id, source, type, subject, data and extras.
    pub fn heads(&self) -> impl Iterator<Item = (Instant, [Option<u32>; 6])> {
        let length = |len: u32| (len != ABSENT).then_some(len);
        self.heads.iter().map(move |head| (head.time, head.lengths.map(length)))
    }

    /// The batch with these texts and heads; `None` if they do not fit each other.
    pub fn from_heads(texts: String, heads: impl Iterator<Item = (Instant, [Option<u32>; 6])>) -> Option<Self> {
        u32::try_from(texts.len()).ok().filter(|len| *len != ABSENT)?;
        let mut batch = Self { heads: Vec::with_capacity(heads.size_hint().0), texts };
        let mut end = 0usize;
        for (time, lengths) in heads {
            let start = end;
            for len in lengths.iter().flatten() {
                end = usize::try_from(*len).ok().and_then(|len| end.checked_add(len))?;
                if !batch.texts.is_char_boundary(end) {
                    return None;
                }
            }
            let lengths = lengths.map(|len| len.unwrap_or(ABSENT));
            batch.heads.push(Head { time, start: start as u32, lengths });
        }
        (end == batch.texts.len()).then_some(batch)
    }

    /// The same events with other data for those for which `other` gives some, which is taken as checked; `None` when the
    /// texts become too long for one batch.
    pub fn with_data(&self, mut other: impl FnMut(EventRef<'_>) -> Option<String>) -> Option<Self> {
        let mut batch = Self { heads: Vec::with_capacity(self.len()), texts: String::with_capacity(self.texts.len()) };
        for event in self.iter() {
            let texts = [event.id(), event.source(), event.event_type(), event.subject()].map(Some);
            let [id, source, event_type, subject] = texts;
            let data = other(event);
            batch.push_texts(
                event.time(),
                [id, source, event_type, subject, data.as_deref().or(event.data()), event.extras()],
            );
            u32::try_from(batch.texts.len()).ok().filter(|len| *len != ABSENT)?;
        }
        Some(batch)
    }

    /// Makes room for as many events with so many bytes of texts.
    pub fn reserve(&mut self, events: usize, texts: usize) {
        self.heads.reserve(events);
        self.texts.reserve(texts);
    }

    /// Appends an event.
    pub fn push(&mut self, event: EventRef<'_>) {
        let texts = [event.id(), event.source(), event.event_type(), event.subject()].map(Some);
        let [id, source, event_type, subject] = texts;
        self.push_texts(event.time(), [id, source, event_type, subject, event.data(), event.extras()]);
    }

    /// Appends the events of `other` from `from` up to `to`, their texts in one piece.
    pub fn append(&mut self, other: &EventBatch, from: usize, to: usize) {
        let Some(first) = other.heads[from..to].first() else { return };
        let base = self.texts.len() as u32;
        self.texts.push_str(other.texts_of(from, to));
        let moved = |head: &Head| Head { start: head.start - first.start + base, ..*head };
        self.heads.extend(other.heads[from..to].iter().map(moved));
    }

    fn push_texts(&mut self, time: Instant, texts: [Option<&str>; 6]) {
        let start = self.texts.len() as u32;
        let lengths = texts.map(|text| {
            text.map_or(ABSENT, |text| {
                self.texts.push_str(text);
                text.len() as u32
            })
        });
        self.heads.push(Head { time, start, lengths });
    }
}

/// An event as the fast way through a door read it.
#[derive(Clone, Copy, Debug)]
pub struct PlainEvent<'a> {
    /// Identity within the source.
    pub id: &'a str,
    /// Where the event comes from.
    pub source: &'a str,
    /// What kind of usage it is.
    pub event_type: &'a str,
    /// Whom it is about.
    pub subject: &'a str,
    /// When it happened; when it is accepted if the sender left it out.
    pub time: Option<Instant>,
    /// The JSON object with its values.
    pub data: Option<CheckedObject<'a>>,
}

/// Valid events that wait for the moment at which they are accepted.
#[derive(Clone, Debug, Default)]
pub struct NewEvents {
    batch: EventBatch,
    /// Those without a time of their own.
    untimed: Vec<usize>,
}

impl NewEvents {
    /// Without events yet, with room for texts.
    pub fn with_capacity(texts: usize) -> Self {
        let mut events = Self::default();
        events.batch.texts.reserve(texts);
        events
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Adds an event if it is valid; [`Event::new`](super::Event::new) says what is wrong with one that is not.
    #[must_use]
    pub fn push(&mut self, event: PlainEvent<'_>) -> bool {
        let attributes = [event.id, event.source, event.event_type, event.subject];
        let data = event.data.map(|data| data.text());
        let len = attributes.iter().map(|text| text.len()).sum::<usize>() + data.map_or(0, str::len);
        let has_room = self.batch.texts.len() + len < ABSENT as usize;
        let is_reserved = data.is_some_and(names_metered);
        if is_reserved || !has_room || !attributes.iter().all(|text| is_sound_attribute(text)) {
            return false;
        }
        if event.time.is_none() {
            self.untimed.push(self.len());
        }
        let [id, source, event_type, subject] = attributes.map(Some);
        self.batch.push_texts(event.time.unwrap_or(Instant::MIN), [id, source, event_type, subject, data, None]);
        true
    }

    /// The events; those without a time happened at `now`.
    pub fn accepted_at(mut self, now: Instant) -> EventBatch {
        for at in self.untimed {
            self.batch.heads[at].time = now;
        }
        self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn takes_what_an_event_can_be_made_of_and_nothing_else(
            id in "[a-c\u{7f}\u{85}é\u{0}]{0,3}", source in "[ab]{0,2}", long in 4094usize..4099, data in prop::bool::ANY,
        ) {
            let time = Instant::MAX;
            let text = data.then_some(r#"{"n":1.50}"#);
            let subject = "x".repeat(long);
            let parts = EventParts {
                id: id.clone(), source: source.clone(), event_type: "t".into(), subject: subject.clone(), time,
                data: text.map(String::from), extras: None,
            };
            let data = text.map(|text| CheckedObject::check(text, 4).unwrap().unwrap());
            let plain = PlainEvent { id: &id, source: &source, event_type: "t", subject: &subject, time: None, data };
            let mut events = NewEvents::with_capacity(10);
            let taken = events.push(plain);
            let event = Event::new(parts, 4);
            prop_assert_eq!(taken, event.is_ok());
            let batch = events.accepted_at(time);
            let back: Vec<_> = batch.iter().map(|event| event.to_event()).collect();
            prop_assert_eq!(back, event.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn texts_and_heads_make_the_batch_again_or_nothing() {
        let plain = |id| PlainEvent { id, source: "s", event_type: "t", subject: "é", time: None, data: None };
        let mut events = NewEvents::default();
        assert!(events.push(plain("1")) && events.push(plain("22")));
        let batch = events.accepted_at(Instant::MAX);
        let heads: Vec<_> = batch.heads().collect();
        let again = |texts: &str, heads: &[_]| EventBatch::from_heads(texts.to_owned(), heads.iter().copied());
        let back = again(batch.texts(), &heads).unwrap();
        assert!(back.iter().eq(batch.iter()));
        assert!(again(&batch.texts()[1..], &heads).is_none() && again(batch.texts(), &heads[1..]).is_none());
        let mut cut = heads.clone();
        (cut[0].1[3], cut[1].1[0]) = (Some(1), Some(3));
        assert!(again(batch.texts(), &cut).is_none(), "a character is not cut");
        cut[0].1[3] = Some(u32::MAX);
        assert!(again(batch.texts(), &cut).is_none());
    }

    #[test]
    fn only_events_without_a_time_get_that_of_their_acceptance() {
        let plain = |time| PlainEvent { id: "1", source: "s", event_type: "t", subject: "c", time, data: None };
        let mut events = NewEvents::default();
        let own = Instant::from_micros(7).unwrap();
        assert!(events.push(plain(Some(own))) && events.push(plain(None)) && !events.is_empty());
        let times: Vec<_> = events.accepted_at(Instant::MAX).iter().map(|event| event.time()).collect();
        assert_eq!(times, [own, Instant::MAX]);
    }
}
