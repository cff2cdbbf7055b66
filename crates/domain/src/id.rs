//! Identities of stored entities: ULIDs, one type per entity so that they cannot be mixed up.

use std::fmt;
use ulid::Ulid;

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// Builds an id from a millisecond time and 80 random bits; the caller brings both.
            pub fn from_parts(time_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(time_ms, random))
            }

            /// Builds an id from its 128 bits, whatever they are: those of a UUID are an id too.
            pub fn from_bits(bits: u128) -> Self {
                Self(Ulid(bits))
            }

            /// Its 128 bits, the millisecond time first.
            pub fn bits(self) -> u128 {
                self.0.0
            }

            /// Parses the 26 characters of a ULID, of which the published pattern accepts both cases.
            pub fn parse(text: &str) -> Option<Self> {
                if !looks_like_ulid(text) {
                    return None;
                }
                Ulid::from_string(&text.to_ascii_uppercase()).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ulid_id!(
    /// Identity of a meter.
    MeterId
);
ulid_id!(
    /// Identity of a customer.
    CustomerId
);
ulid_id!(
    /// Identity of a subject's description.
    SubjectId
);
ulid_id!(
    /// Identity of a feature.
    FeatureId
);
ulid_id!(
    /// Identity of an entitlement.
    EntitlementId
);
ulid_id!(
    /// Identity of a grant.
    GrantId
);
ulid_id!(
    /// Identity of an event schema, the same for all its versions.
    EventSchemaId
);
ulid_id!(
    /// Identity of a reservation.
    ReservationId
);
ulid_id!(
    /// Identity of a portal token (not the token itself).
    PortalTokenId
);
ulid_id!(
    /// Identity of an API key (not its secret).
    KeyId
);

/// Whether a text has the published ULID form: `^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$`.
pub fn looks_like_ulid(text: &str) -> bool {
    let crockford = |c: u8| c.is_ascii_alphanumeric() && !matches!(c.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U');
    text.len() == 26 && matches!(text.as_bytes()[0], b'0'..=b'7') && text.bytes().all(crockford)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_128_bits_are_an_id_and_come_back() {
        for bits in [0, 1, u128::MAX, 0x0199_a1b2_c3d4_7e5f_8a9b_0c1d_2e3f_4051] {
            let id = MeterId::from_bits(bits);
            assert_eq!((id.bits(), MeterId::parse(&id.to_string())), (bits, Some(id)));
        }
        assert_eq!(MeterId::from_parts(5, 7).bits(), (5 << 80) + 7);
    }

    #[test]
    fn text_round_trips_and_junk_is_refused() {
        let id = MeterId::from_parts(1_700_000_000_000, 42);
        assert_eq!(MeterId::parse(&id.to_string()), Some(id));
        assert_eq!(MeterId::parse(&id.to_string().to_lowercase()), Some(id));
        for bad in ["", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01HW", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "ü1ARZ3NDEKTSV4RRFFQ69G5FA"]
        {
            assert_eq!(MeterId::parse(bad), None, "{bad:?}");
        }
    }
}
