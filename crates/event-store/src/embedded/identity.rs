//! The store's secret, the identity of an event, and the seal of what the log wrote.
//!
//! Invariant: two events of a store have the same identity if and only if namespace, source and id are the same, up to
//! chance. The hash is 96 bits wide and keyed with 16 random bytes that never leave the store, so nobody can search for
//! two ids that collide; by chance, 10^10 events hold a colliding pair with a probability of about 6 × 10^-10.

use siphasher::sip::SipHasher24 as Tag;
use siphasher::sip128::{Hasher128, SipHasher24 as Identity};
use std::hash::Hasher;

/// The random key of one store. It has no `Debug`, so that it does not get into a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret([u8; 16]);

impl Secret {
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The identity of an event: the upper 96 bits of a hash over its length-prefixed namespace, source and id.
    pub fn identity(&self, namespace: &str, source: &str, id: &str) -> u128 {
        let mut hasher = Identity::new_with_key(&self.0);
        for part in [namespace, source, id] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        hasher.finish128().as_u128() >> 32
    }

    /// A tag that only this store can make: bytes of an event, which a sender chooses, cannot pass as a log header.
    pub fn tag(&self, bytes: &[u8]) -> u64 {
        let mut hasher = Tag::new_with_key(&self.0);
        hasher.write(bytes);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_every_border_counts() {
        let secret = Secret::new([7; 16]);
        let base = secret.identity("ns", "source", "id");
        assert_eq!(base, secret.identity("ns", "source", "id"));
        for (namespace, source, id) in [("n", "ssource", "id"), ("ns", "sourcei", "d"), ("ns2", "source", "id")] {
            assert_ne!(base, secret.identity(namespace, source, id));
        }
        assert_ne!(base, Secret::new([8; 16]).identity("ns", "source", "id"), "the key counts");
    }
}
