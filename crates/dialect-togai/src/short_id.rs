//! Ids that the client can read, which are shorter than the core's: made of them, so that nothing has to be kept.

use sha2::{Digest, Sha256};
use tallystick_domain::MeterId;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id of a meter: `um.`, 11 characters, a dot and 5 characters.
pub(crate) fn of_meter(id: MeterId) -> String {
    short("um", &id.to_string())
}

/// The reference of an event.
pub(crate) fn of_event(source: &str, id: &str) -> String {
    // The length keeps (source, id) apart from any other pair.
    short("event", &format!("{}:{source}{id}", source.len()))
}

fn short(kind: &str, text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{kind}.{}.{}", base62(number(&digest[..8]), 11), base62(number(&digest[8..16]), 5))
}

/// The last digits of a number.
fn base62(mut number: u64, digits: usize) -> String {
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_have_the_clients_form_and_tell_meters_apart() {
        let all: BTreeSet<_> = (0..1000).map(|number| of_meter(MeterId::from_parts(1, number))).collect();
        assert_eq!(all.len(), 1000);
        for id in all {
            assert_eq!(id.len(), 20, "{id}");
            assert!(id.starts_with("um.") && id.as_bytes()[14] == b'.', "{id}");
        }
        assert_ne!(of_event("a", "bc"), of_event("ab", "c"));
    }
}
