//! Whether the log is compressed: only on disks that are slower than compressing is.
//!
//! On a disk of its machine, writing a group as it is takes less time than compressing it, and the time of a processor is
//! what ingest runs out of first. On a slow volume it is the other way round.

/// Frames from this size on show how fast the disk is; smaller ones show how long any sync takes.
const TELLING_BYTES: usize = 128 << 10;
/// Bytes per microsecond below which compressing pays: megabytes per second.
const SLOW: u64 = 150;
/// How many of them in a row must be slow: a single one may have met other work on the disk, or waited for a processor.
const SLOW_IN_A_ROW: u32 = 8;
/// How many large frames are compressed before the disk is looked at again.
const COMPRESSED_BEFORE_A_LOOK: u32 = 255;

/// What is known of the disk.
#[derive(Debug, Default)]
pub(super) struct Compression {
    /// How many of the next large frames are compressed.
    left: u32,
    /// How many telling frames in a row were slow.
    slow: u32,
}

impl Compression {
    /// Whether to compress the next payload.
    pub fn pays_for(&mut self, payload: usize) -> bool {
        if payload < TELLING_BYTES || self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }

    /// Learns from a payload that was written as it is.
    pub fn note(&mut self, payload: usize, micros: u64) {
        if payload < TELLING_BYTES {
            return;
        }
        let is_slow = (payload as u64) < micros.saturating_mul(SLOW);
        self.slow = if is_slow { self.slow + 1 } else { 0 };
        if self.slow == SLOW_IN_A_ROW {
            (self.left, self.slow) = (COMPRESSED_BEFORE_A_LOOK, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 1 << 20;

    #[test]
    fn only_large_groups_on_a_slow_disk_are_compressed() {
        let mut compression = Compression::default();
        for _ in 0..10 {
            compression.note(LARGE, 1_000);
            compression.note(4096, 1_000_000);
            assert!(!compression.pays_for(LARGE));
        }
        for _ in 0..SLOW_IN_A_ROW {
            assert!(!compression.pays_for(LARGE));
            compression.note(LARGE, 10_000);
        }
        assert!(compression.pays_for(LARGE) && !compression.pays_for(4096));
    }

    #[test]
    fn one_fast_sync_among_slow_ones_shows_a_fast_disk() {
        let mut compression = Compression::default();
        for n in 0..100 {
            compression.note(LARGE, if n % 7 == 0 { 1_000 } else { 10_000 });
            assert!(!compression.pays_for(LARGE), "{n}");
        }
    }

    #[test]
    fn a_disk_that_became_fast_again_is_noticed() {
        let mut compression = Compression::default();
        let slow = |compression: &mut Compression| {
            (0..SLOW_IN_A_ROW).for_each(|_| compression.note(LARGE, 10_000));
            (0..1000).take_while(|_| compression.pays_for(LARGE)).count()
        };
        assert_eq!([slow(&mut compression), slow(&mut compression)], [255, 255]);
        compression.note(LARGE, 1_000);
        assert!(!compression.pays_for(LARGE), "fast again");
    }
}
