//! Numbers and texts of the log, both ways.

use tallystick_domain::Instant;

/// What is left to be read.
pub(super) struct Reader<'a> {
    pub rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub fn length(&mut self) -> Option<usize> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let len = self.length()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    pub fn instant(&mut self) -> Option<Instant> {
        Instant::from_micros(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// Appends a length: 7 bits per byte, least first.
pub(super) fn put_length(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put_length`] appends.
pub(super) fn length_len(value: usize) -> usize {
    let bits = usize::BITS - value.leading_zeros();
    bits.max(1).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip_and_are_bounded() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 300_000_000, u32::MAX as usize] {
            let mut bytes = Vec::new();
            put_length(&mut bytes, value);
            assert_eq!(bytes.len(), length_len(value));
            assert_eq!(Reader { rest: &bytes }.length(), Some(value));
        }
        assert_eq!(Reader { rest: &[0xff; 9] }.length(), None);
    }
}
