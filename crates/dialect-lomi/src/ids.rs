//! Ids: the vendor's are UUIDs. A ULID and a UUID are the same 128 bits; what has no id of its own in the core gets a UUID of
//! version 8 that follows from what it is.

use sha2::{Digest, Sha256};
use tallystick_domain::event::StoredEvent;
use tallystick_domain::{Instant, Namespace};
use uuid::{Builder, Uuid};

const MICROS_PER_MS: i64 = 1000;
/// Bits of an event's id that say when it happened: the milliseconds of all years that are stored need 49.
const TIME_BITS: u32 = 49;

/// Reads a UUID in its one form of 32 hexadecimal digits in five groups; `None` for any other text.
pub(crate) fn parse(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// The same for the bits of a core id.
pub(crate) fn text(bits: u128) -> String {
    Uuid::from_u128(bits).hyphenated().to_string()
}

/// The id by which the vendor's clients know a namespace.
pub(crate) fn organization(namespace: &Namespace) -> String {
    let digest = digest(&["organization", namespace.as_str()]);
    Builder::from_custom_bytes(digest.to_be_bytes()).into_uuid().hyphenated().to_string()
}

/// The id of an event: the millisecond in which it happened and a hash of its identity, so that it can be looked for.
pub(crate) fn event(namespace: &Namespace, stored: &StoredEvent) -> String {
    let event = &stored.event;
    let digest = digest(&["event", namespace.as_str(), event.source(), event.id()]);
    of_event(event.time(), digest).hyphenated().to_string()
}

/// When the event happened that has this id: its millisecond; `None` if no event has it.
pub(crate) fn millisecond_of(event: Uuid) -> Option<Instant> {
    let bits = event.as_u128();
    // The version and the variant stand between the bits of the time and of the hash.
    let ms = (bits >> 80) << 1 | (bits >> 75) & 1;
    if event.get_version_num() != 8 {
        return None;
    }
    let micros = i64::try_from(ms).ok()?.checked_mul(MICROS_PER_MS)?.checked_add(Instant::MIN.as_micros())?;
    Instant::from_micros(micros)
}

fn of_event(time: Instant, digest: u128) -> Uuid {
    let since = time.as_micros() - Instant::MIN.as_micros();
    let ms = u128::try_from(since / MICROS_PER_MS).unwrap_or(0) & ((1 << TIME_BITS) - 1);
    let bits = (ms >> 1) << 80 | (ms & 1) << 75 | (digest & !(1 << 75)) & ((1 << 80) - 1);
    Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid()
}

fn digest(parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_id_tells_its_millisecond_in_all_years_that_are_stored() {
        for time in
            ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "2026-11-29T16:00:00.123Z", "9998-12-31T23:59:59.999Z"]
        {
            let time = Instant::parse_rfc3339(time).unwrap();
            for digest in [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
                let id = of_event(time, digest);
                assert_eq!((id.get_version_num(), millisecond_of(id)), (8, Some(time)), "{id}");
            }
        }
        let late = Instant::parse_rfc3339("2026-11-29T16:00:00.123999Z").unwrap();
        assert_eq!(millisecond_of(of_event(late, 7)), Some(late.floor_millisecond()));
        assert_eq!(millisecond_of(Uuid::from_u128(7)), None, "no event has an id of another version");
    }

    #[test]
    fn a_namespace_has_one_id_and_parts_of_a_hash_do_not_run_into_each_other() {
        let id = |name: &str| organization(&Namespace::parse(name).unwrap());
        assert_eq!(id("default"), id("default"));
        assert_ne!(id("default"), id("other"));
        assert!(parse(&id("default")).is_some());
        assert_ne!(digest(&["a", "bc"]), digest(&["ab", "c"]));
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let good = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4051";
        assert_eq!(parse(good).map(|id| text(id.as_u128())).as_deref(), Some(good));
        assert_eq!(parse(&good.to_uppercase()).map(|id| text(id.as_u128())).as_deref(), Some(good));
        for bad in [
            "",
            "mtr_1",
            "0199a1b2c3d47e5f8a9b0c1d2e3f4051",
            "{0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f405}",
            &format!("{good} "),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
