//! Random numbers that are the same on every machine: SplitMix64, and draws from a Zipf law in constant time.

/// A generator of 64-bit numbers; the seed says everything.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that repeats itself for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`, with a bias below one in twelve, and none to speak of for small bounds.
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.word() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

/// Ranks 0, 1, 2, … with weights 1, 1/2, 1/3, …: Walker's alias table.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// For each rank, the share of 2^32 at which it is itself, and who it is above.
    cells: Vec<(u32, u32)>,
}

impl Zipf {
    /// A law over `ranks` ranks.
    pub fn new(ranks: u32) -> Self {
        let total: f64 = (1..=ranks).map(|rank| 1.0 / f64::from(rank)).sum();
        let mut shares: Vec<f64> = (1..=ranks).map(|rank| f64::from(ranks) / (f64::from(rank) * total)).collect();
        let mut cells: Vec<(u32, u32)> = (0..ranks).map(|rank| (u32::MAX, rank)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) = (0..ranks).partition(|rank| shares[*rank as usize] < 1.0);
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            cells[low as usize] = ((shares[low as usize] * f64::from(u32::MAX)) as u32, high);
            shares[high as usize] -= 1.0 - shares[low as usize];
            if shares[high as usize] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { cells }
    }

    /// Draws a rank.
    pub fn draw(&self, random: &mut Random) -> u32 {
        let rank = random.below(self.cells.len() as u32);
        let (own, other) = self.cells[rank as usize];
        if random.word() as u32 <= own { rank } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_comes_twice_as_often_as_the_second_and_the_last_comes_too() {
        let (zipf, mut random) = (Zipf::new(100), Random::new(7));
        let mut seen = [0u32; 100];
        for _ in 0..1_000_000 {
            seen[zipf.draw(&mut random) as usize] += 1;
        }
        let ratio = f64::from(seen[0]) / f64::from(seen[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        let expected = 1_000_000.0 / 5.187_377 / 100.0;
        assert!((f64::from(seen[99]) / expected - 1.0).abs() < 0.1, "{}", seen[99]);
    }

    #[test]
    fn a_seed_repeats_itself() {
        let words = |seed| (0..4).map(|_| Random::new(seed).word()).collect::<Vec<_>>();
        assert_eq!(words(1), words(1));
        assert_ne!(words(1), words(2));
    }
}
