//! The windows of a plan, found without asking the calendar for each event.

use super::rows::Rows;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::time::{CalendarWindows, Cuts, Window, WindowSize, Windows};

/// How many slots are remembered; a slot is as long as 19 hours or more when windows are days.
const SLOTS: usize = 1 << 12;
/// The most slots that are looked up ahead for the rows of a block.
const MAX_STRETCHES: i64 = 128;
/// A code that no window has.
const NO_CODE: u32 = u32::MAX;

/// Windows that were met, each with a code from 0.
pub(super) struct WindowTable {
    met: Met,
    finder: Finder,
}

/// The windows by code, and their codes.
#[derive(Default)]
struct Met {
    windows: Vec<Window>,
    codes: HashMap<Window, u32>,
}

/// How the window of a time is found.
enum Finder {
    Calendar(Slots),
    Between(Stretches),
}

/// Calendar windows by stretches of time that are shorter than a window.
struct Slots {
    windows: CalendarWindows,
    /// The met windows by their start.
    starts: BTreeMap<Instant, u32>,
    /// Stretches of 2^`shift` microseconds, each at its number modulo [`SLOTS`].
    slots: Box<[Slot; SLOTS]>,
    shift: u32,
}

/// A stretch of time that touches at most two windows.
#[derive(Clone, Copy)]
struct Slot {
    number: i64,
    /// Where the second window begins, in microseconds.
    border: i64,
    before: u32,
    after: u32,
}

/// Windows between cuts, which are few and of any length. Rows of a subject come in the order of time, so the window of the
/// row before is mostly that of the next.
struct Stretches {
    cuts: Cuts,
    /// The codes of the windows by their number.
    codes: Vec<u32>,
    /// The window that was found last, in microseconds.
    last: (i64, i64),
    last_code: u32,
}

impl WindowTable {
    /// No window yet.
    pub fn new(windows: &Windows) -> Self {
        let finder = match windows {
            Windows::Calendar(windows) => Finder::Calendar(Slots::new(windows)),
            Windows::Between(cuts) => Finder::Between(Stretches::new(cuts)),
        };
        Self { met: Met::default(), finder }
    }

    /// How many windows were met.
    pub fn len(&self) -> usize {
        self.met.windows.len()
    }

    /// The windows by code.
    pub fn met(&self) -> &[Window] {
        &self.met.windows
    }

    /// The code of a window, which is one of the plan's.
    pub fn code(&mut self, window: Window) -> u32 {
        self.met.code(window)
    }

    /// The code of the window that holds a time in microseconds.
    #[inline]
    pub fn code_of(&mut self, micros: i64) -> u32 {
        match &mut self.finder {
            Finder::Calendar(slots) => slots.code_of(micros, &mut self.met),
            Finder::Between(stretches) => stretches.code_of(micros, &mut self.met),
        }
    }

    /// The code of the window that holds all times of a span, both inclusive, if it is one.
    pub fn code_of_all(&mut self, (first, last): (i64, i64)) -> Option<u32> {
        let (first, last) = (self.code_of(first), self.code_of(last));
        (first == last).then_some(first)
    }

    /// The codes of some rows, each at the place of its time. All times lie within `span`.
    pub fn codes_of(&mut self, span: (i64, i64), times: &[i64], rows: Rows<'_>, codes: &mut [u32]) {
        let met = &mut self.met;
        match (rows, &mut self.finder) {
            (Rows::All(_), Finder::Calendar(slots)) => slots.codes_of(span, times, codes, met),
            (Rows::All(_), Finder::Between(stretches)) => {
                codes.iter_mut().zip(times).for_each(|(code, micros)| *code = stretches.code_of(*micros, met));
            }
            (Rows::These(rows), _) => {
                rows.iter().for_each(|row| codes[*row as usize] = self.code_of(times[*row as usize]));
            }
        }
    }
}

impl Met {
    fn code(&mut self, window: Window) -> u32 {
        let next = self.windows.len() as u32;
        let code = *self.codes.entry(window).or_insert(next);
        if code == next {
            self.windows.push(window);
        }
        code
    }
}

impl Slots {
    fn new(windows: &CalendarWindows) -> Self {
        // The longest stretch that is shorter than a window, but for windows that are cut where clocks are set.
        let shift = match windows.size() {
            WindowSize::Minute => 25,
            WindowSize::Hour => 31,
            WindowSize::Day => 36,
            WindowSize::Month => 41,
        };
        let nothing = Slot { number: i64::MIN, border: 0, before: NO_CODE, after: NO_CODE };
        Self { windows: windows.clone(), starts: BTreeMap::new(), slots: Box::new([nothing; SLOTS]), shift }
    }

    #[inline]
    fn code_of(&mut self, micros: i64, met: &mut Met) -> u32 {
        let number = micros >> self.shift;
        let slot = &self.slots[number as usize % SLOTS];
        if slot.number == number {
            return slot.code_of(micros);
        }
        self.look_up(micros, number, met)
    }

    /// The codes of times that all lie within `span`.
    fn codes_of(&mut self, span: (i64, i64), times: &[i64], codes: &mut [u32], met: &mut Met) {
        if self.knows_all(span, met) {
            let (slots, shift) = (&*self.slots, self.shift);
            let slot_of = |micros: i64| &slots[micros.wrapping_shr(shift) as usize % SLOTS];
            codes.iter_mut().zip(times).for_each(|(code, micros)| *code = slot_of(*micros).code_of(*micros));
        } else {
            codes.iter_mut().zip(times).for_each(|(code, micros)| *code = self.code_of(*micros, met));
        }
    }

    /// Whether the slots of a whole span are known; they are looked up if there are few.
    fn knows_all(&mut self, (first, last): (i64, i64), met: &mut Met) -> bool {
        let (first, last) = (first >> self.shift, last >> self.shift);
        // Before they are looked up, so that none takes the place of another.
        if last - first >= MAX_STRETCHES {
            return false;
        }
        (first..=last).all(|number| {
            if self.slots[number as usize % SLOTS].number != number {
                self.look_up((number << self.shift).max(Instant::MIN.as_micros()), number, met);
            }
            self.slots[number as usize % SLOTS].number == number
        })
    }

    #[cold]
    fn look_up(&mut self, micros: i64, number: i64, met: &mut Met) -> u32 {
        if let Some(slot) = self.slot(number, met) {
            self.slots[number as usize % SLOTS] = slot;
            return slot.code_of(micros);
        }
        let time = instant(micros);
        let before = self.starts.range(..=time).next_back().map(|(_, code)| (met.windows[*code as usize], *code));
        match before.filter(|(window, _)| window.contains(time)) {
            Some((_, code)) => code,
            None => self.meet(self.windows.window_of(time), met),
        }
    }

    /// The windows of a stretch, if there are no more than two.
    fn slot(&mut self, number: i64, met: &mut Met) -> Option<Slot> {
        let start = number << self.shift;
        let end = start.saturating_add(1 << self.shift);
        if start < Instant::MIN.as_micros() || end > Instant::MAX.as_micros() {
            return None;
        }
        let first = self.windows.window_of(instant(start));
        if first.contains(instant(end - 1)) {
            let code = self.meet(first, met);
            return Some(Slot { number, border: i64::MAX, before: code, after: code });
        }
        let second = self.windows.window_of(first.to);
        let meet = first.contains(instant(start)) && second.from == first.to && second.contains(instant(end - 1));
        meet.then(|| Slot {
            number,
            border: first.to.as_micros(),
            before: self.meet(first, met),
            after: self.meet(second, met),
        })
    }

    fn meet(&mut self, window: Window, met: &mut Met) -> u32 {
        let code = met.code(window);
        self.starts.insert(window.from, code);
        code
    }
}

impl Slot {
    #[inline]
    fn code_of(&self, micros: i64) -> u32 {
        if micros < self.border { self.before } else { self.after }
    }
}

impl Stretches {
    fn new(cuts: &Cuts) -> Self {
        Self { cuts: cuts.clone(), codes: vec![NO_CODE; cuts.windows()], last: (0, 0), last_code: NO_CODE }
    }

    #[inline]
    fn code_of(&mut self, micros: i64, met: &mut Met) -> u32 {
        if self.last.0 <= micros && micros < self.last.1 {
            return self.last_code;
        }
        let number = self.cuts.number_of(instant(micros));
        let window = self.cuts.window(number);
        let code = &mut self.codes[number];
        if *code == NO_CODE {
            *code = met.code(window);
        }
        self.last = (window.from.as_micros(), window.to.as_micros());
        self.last_code = *code;
        *code
    }
}

/// The instant of stored microseconds.
pub(super) fn instant(micros: i64) -> Instant {
    Instant::MIN.saturating_add_micros(micros.saturating_sub(Instant::MIN.as_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tallystick_domain::time::Zone;

    fn times() -> impl Strategy<Value = Vec<i64>> {
        let time = prop_oneof![
            1_000_000_000_000_000i64..1_800_000_000_000_000,
            1_711_000_000_000_000i64..1_713_000_000_000_000,
            Instant::MIN.as_micros()..Instant::MIN.as_micros() + 9_000_000_000_000,
            Instant::MAX.as_micros() - 9_000_000_000_000..=Instant::MAX.as_micros(),
        ];
        prop::collection::vec(time, 1..60)
    }

    fn any_windows() -> impl Strategy<Value = Windows> {
        let size = prop::sample::select(WindowSize::ALL.to_vec());
        let zone = prop::sample::select(vec!["UTC", "Australia/Lord_Howe", "Pacific/Apia", "America/Santiago"]);
        prop_oneof![
            (size, zone).prop_map(|(size, zone)| Windows::new(size, Zone::parse(zone).unwrap())),
            times().prop_map(|cuts| Windows::between(cuts.into_iter().map(instant))),
        ]
    }

    proptest! {
        #[test]
        fn a_code_stands_for_the_window_that_the_plan_names(times in times(), windows in any_windows()) {
            let mut table = WindowTable::new(&windows);
            for micros in times.iter().chain(&times) {
                let code = table.code_of(*micros);
                prop_assert_eq!(table.met()[code as usize], windows.window_of(instant(*micros)));
            }
        }

        #[test]
        fn times_at_cuts_are_in_the_windows_that_begin_there(times in times()) {
            let windows = Windows::between(times.iter().map(|micros| instant(*micros)));
            let mut table = WindowTable::new(&windows);
            let mut codes = vec![NO_CODE; times.len()];
            let span = (times.iter().copied().min().unwrap(), times.iter().copied().max().unwrap());
            table.codes_of(span, &times, Rows::All(times.len()), &mut codes);
            for (micros, code) in times.iter().zip(codes) {
                prop_assert_eq!(table.met()[code as usize].from, instant(*micros));
            }
        }
    }
}
