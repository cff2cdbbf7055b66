//! The windows of a plan, found without asking the calendar for each event.

use hashbrown::HashMap;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::time::{Window, Windows};

/// Windows that were met, each with a code from 0.
pub(super) struct WindowTable {
    windows: Windows,
    met: Vec<Window>,
    codes: HashMap<Window, u32>,
    /// The met windows by their start.
    starts: BTreeMap<Instant, u32>,
    /// The window of the event before.
    current: Option<(Window, u32)>,
}

impl WindowTable {
    /// No window yet.
    pub fn new(windows: &Windows) -> Self {
        let (met, codes, starts) = (Vec::new(), HashMap::new(), BTreeMap::new());
        Self { windows: windows.clone(), met, codes, starts, current: None }
    }

    /// The code of the window that holds a time.
    pub fn code_of(&mut self, micros: i64) -> u32 {
        let time = Instant::MIN.saturating_add_micros(micros - Instant::MIN.as_micros());
        if let Some((window, code)) = self.current
            && window.contains(time)
        {
            return code;
        }
        let before = self.starts.range(..=time).next_back().map(|(_, code)| (self.met[*code as usize], *code));
        let (window, code) = before.filter(|(window, _)| window.contains(time)).unwrap_or_else(|| self.ask(time));
        self.current = Some((window, code));
        code
    }

    /// The window of a code that was given out.
    pub fn get(&self, code: u32) -> Window {
        self.met[code as usize]
    }

    fn ask(&mut self, time: Instant) -> (Window, u32) {
        let window = self.windows.window_of(time);
        let code = *self.codes.entry(window).or_insert(self.met.len() as u32);
        if code as usize == self.met.len() {
            self.met.push(window);
            self.starts.insert(window.from, code);
        }
        (window, code)
    }
}
