//! Windows between instants of any choice.

use super::{Instant, Window};
use std::sync::Arc;

/// Distinct instants, ascending, that cut time into windows: one before the first, one between each two, and one after the
/// last. Clones share them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cuts(Arc<[Instant]>);

impl Cuts {
    /// Cuts at these instants, in any order.
    pub fn new(instants: impl IntoIterator<Item = Instant>) -> Self {
        let mut instants: Vec<Instant> = instants.into_iter().collect();
        instants.sort_unstable();
        instants.dedup();
        Self(instants.into())
    }

    /// How many windows there are: one more than there are cuts.
    pub fn windows(&self) -> usize {
        self.0.len() + 1
    }

    /// The number, from 0, of the window that holds the instant.
    pub fn number_of(&self, instant: Instant) -> usize {
        self.0.partition_point(|cut| *cut <= instant)
    }

    /// The window of a number below [`Cuts::windows`]; the first begins with the stored years, the last ends with them.
    pub fn window(&self, number: usize) -> Window {
        let before = number.checked_sub(1).and_then(|before| self.0.get(before));
        Window {
            from: before.copied().unwrap_or(Instant::MIN),
            to: self.0.get(number).copied().unwrap_or(Instant::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Windows;
    use super::*;
    use proptest::prelude::*;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros).unwrap()
    }

    #[test]
    fn cuts_may_come_in_any_order_and_more_than_once() {
        let cuts = Cuts::new([at(30), at(10), at(30), at(20)]);
        assert_eq!(cuts, Cuts::new([10, 20, 30].map(at)));
        let windows: Vec<_> = (0..cuts.windows()).map(|number| cuts.window(number)).collect();
        let bounds = [Instant::MIN, at(10), at(20), at(30), Instant::MAX];
        let expected: Vec<_> = bounds.windows(2).map(|pair| Window { from: pair[0], to: pair[1] }).collect();
        assert_eq!(windows, expected);
    }

    #[test]
    fn without_cuts_there_is_one_window() {
        let windows = Windows::between([]);
        for instant in [Instant::MIN, at(0), Instant::MAX] {
            assert_eq!(windows.window_of(instant), Window { from: Instant::MIN, to: Instant::MAX });
        }
    }

    #[test]
    fn what_lies_at_a_cut_belongs_to_the_window_that_begins_there() {
        let windows = Windows::between([at(10), Instant::MAX]);
        assert_eq!(windows.window_of(at(9)).to, at(10));
        assert_eq!(windows.window_of(at(10)), Window { from: at(10), to: Instant::MAX });
        assert_eq!(windows.window_of(Instant::MAX).from, Instant::MAX);
    }

    fn instant() -> impl Strategy<Value = Instant> {
        prop_oneof![
            4 => (-12i64..12).prop_map(at),
            1 => (-4_000_000_000_000_000i64..4_000_000_000_000_000).prop_map(at),
            1 => prop::sample::select(vec![Instant::MIN, Instant::MAX]),
        ]
    }

    proptest! {
        #[test]
        fn windows_between_cuts_partition_time(
            cuts in prop::collection::vec(instant(), 0..12),
            instants in prop::collection::vec(instant(), 2..12),
        ) {
            let windows = Windows::between(cuts.clone());
            for instant in &instants {
                let window = windows.window_of(*instant);
                prop_assert!(window.contains(*instant) || (*instant == Instant::MAX && window.to == Instant::MAX));
                prop_assert!(window.from == Instant::MIN || cuts.contains(&window.from));
                prop_assert!(window.to == Instant::MAX || cuts.contains(&window.to));
                prop_assert_eq!(windows.window_of(window.from), window);
            }
            for pair in instants.windows(2) {
                let (earlier, later) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
                let is_cut = cuts.iter().any(|cut| earlier < *cut && *cut <= later);
                prop_assert_eq!(windows.window_of(earlier) != windows.window_of(later), is_cut);
            }
        }
    }
}
