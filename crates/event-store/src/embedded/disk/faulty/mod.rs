//! The faulty twin of the host's disk: in memory, and as bad as a disk may be.
//!
//! Invariant: after a power cut a page that was written and not synced may be there, be there in part, or not; so may
//! each name that was given or taken. What was synced is there. All choices come from seeds, so a history repeats.

mod inode;
mod plan;
mod random;
#[cfg(test)]
mod tests;
mod tree;

pub use plan::{Action, Fault, FileKind, Harm, Trigger};
pub use random::Random;

use super::{Access, Disk, DiskFile};
use inode::{Inode, PAGE};
use plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tree::{Entry, Tree};

const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;

/// A disk in memory whose faults are scheduled. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    locked: BTreeSet<u64>,
    plan: Plan,
    /// Tells handles of an earlier process from those of this one.
    process: u64,
    /// What ended the process, until another one is started.
    ended: Option<Harm>,
    /// Bytes that all files together may take.
    capacity: Option<u64>,
    random: Random,
    /// Syncs do nothing.
    lies: bool,
    log: String,
}

/// What is left to do of an action after its fault.
enum Go {
    /// All of it.
    On,
    /// A part of it, and then this.
    Partly(Ended),
}

enum Ended {
    /// The process is gone.
    Gone,
    /// It is no error.
    Well,
}

impl FaultyDisk {
    /// An empty disk that works; `seed` chooses how far actions get that are cut short.
    pub fn new(seed: u64) -> Self {
        let state = State {
            tree: Tree::new(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            locked: BTreeSet::new(),
            plan: Plan::default(),
            process: 0,
            ended: None,
            capacity: None,
            random: Random::new(seed),
            lies: false,
            log: String::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Schedules a fault.
    pub fn schedule(&self, fault: Fault) {
        self.state().plan.schedule(fault);
    }

    /// Lets every sync say that it is done and do nothing, as bad hardware does. No store can cope with it: it shows that
    /// a simulation would notice a sync that is missing.
    pub fn lie_about_syncs(&self) {
        self.state().lies = true;
    }

    /// Forgets the faults that did not strike yet.
    pub fn clear_faults(&self) {
        self.state().plan.clear();
    }

    /// How many changes were begun until now, over all processes.
    pub fn changes(&self) -> u64 {
        self.state().plan.changes
    }

    /// Whether a power cut or a kill ended the process, and which.
    pub fn ended(&self) -> Option<Harm> {
        self.state().ended
    }

    /// Ends the process if it still runs, and starts another one: what was not synced is still readable.
    pub fn start_process(&self) {
        let mut state = self.state();
        state.begin("start");
    }

    /// Ends the process if it still runs, cuts the power, and starts again: of what was not synced, `seed` chooses.
    pub fn restart(&self, seed: u64) {
        let mut state = self.state();
        let mut random = Random::new(seed);
        let state = &mut *state;
        state.tree.lose_power(&mut random);
        for inode in state.inodes.values_mut() {
            inode.lose_power(&mut random);
        }
        let named: BTreeSet<u64> = state.tree.files().into_iter().map(|(_, number)| number).collect();
        state.inodes.retain(|number, _| named.contains(number));
        state.begin(&format!("restart {seed}"));
    }

    /// Bounds the bytes that all files together may take; `None` takes the bound away.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes that all files take, in whole pages.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Turns a bit of a file over, as a disk does that is about to die. Turning it over again repairs it.
    pub fn flip(&self, path: &Path, byte: u64, bit: u32) {
        let mut state = self.state();
        if let Ok(number) = state.tree.file(path)
            && let Some(inode) = state.inodes.get_mut(&number)
        {
            inode.flip(byte as usize, bit);
        }
    }

    /// All files and their lengths, by path.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let len = |number: u64| state.inodes.get(&number).map_or(0, |inode| inode.current.len() as u64);
        state.tree.files().into_iter().map(|(path, number)| (path, len(number))).collect()
    }

    /// Everything that was done until now, a line each.
    pub fn log(&self) -> String {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, state: &State, inode: u64, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile {
            disk: self.clone(),
            process: state.process,
            inode,
            path: path.to_path_buf(),
            has_lock: AtomicBool::new(false),
        })
    }
}

impl State {
    fn begin(&mut self, what: &str) {
        self.process += 1;
        self.ended = None;
        self.locked.clear();
        // Writing to a String cannot fail.
        let _ = writeln!(self.log, "{what}");
    }

    fn used(&self) -> u64 {
        self.inodes.values().map(|inode| (inode.pages() * PAGE) as u64).sum()
    }

    /// Notes an action, and lets the fault strike that is due.
    fn act(&mut self, action: Action, path: &Path, detail: &str) -> io::Result<Go> {
        if self.ended.is_some() {
            return Err(gone());
        }
        let harm = self.plan.next(action, path);
        let _ = write!(self.log, "{} {action:?} {}{detail}", self.plan.changes, path.display());
        if let Some(harm) = harm {
            let _ = write!(self.log, " {harm:?}");
        }
        self.log.push('\n');
        match harm {
            None => Ok(Go::On),
            Some(Harm::Fail) => Err(io::Error::from_raw_os_error(IO_ERROR)),
            Some(Harm::Full) => Err(io::Error::from_raw_os_error(NO_SPACE)),
            Some(Harm::Short) => Ok(Go::Partly(Ended::Well)),
            Some(harm @ (Harm::PowerCut | Harm::Kill)) => {
                self.ended = Some(harm);
                Ok(Go::Partly(Ended::Gone))
            }
        }
    }

    /// An action that is done as a whole or not at all.
    fn act_whole(&mut self, action: Action, path: &Path, detail: &str) -> io::Result<()> {
        match self.act(action, path, detail)? {
            Go::On | Go::Partly(Ended::Well) => Ok(()),
            Go::Partly(Ended::Gone) => Err(gone()),
        }
    }

    /// As [`State::act_whole`]; when the process is ended in it, chance says whether it was done.
    fn change(
        &mut self,
        action: Action,
        path: &Path,
        work: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.act(action, path, "")? {
            Go::On | Go::Partly(Ended::Well) => work(self),
            Go::Partly(Ended::Gone) => {
                if self.random.one_in(2) {
                    work(self)?;
                }
                Err(gone())
            }
        }
    }

    fn has_space(&self) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() >= capacity => Err(io::Error::from_raw_os_error(NO_SPACE)),
            _ => Ok(()),
        }
    }

    fn new_file(&mut self, path: &Path) -> io::Result<u64> {
        self.has_space()?;
        let number = self.next_inode;
        self.tree.add(path, Entry::File(number))?;
        self.next_inode += 1;
        self.inodes.insert(number, Inode::default());
        Ok(number)
    }

    fn inode(&mut self, number: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or_else(gone)
    }

    /// How many of `len` bytes at `offset` there is space for.
    fn fits(&self, number: u64, offset: usize, len: usize) -> usize {
        let (Some(capacity), Some(inode)) = (self.capacity, self.inodes.get(&number)) else { return len };
        let free_pages = (capacity.saturating_sub(self.used()) / PAGE as u64) as usize;
        if inode.new_pages(offset, len) <= free_pages {
            return len;
        }
        ((inode.pages() + free_pages) * PAGE).saturating_sub(offset).min(len)
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.act_whole(Action::Open, path, "")?;
        let number = state.tree.file(path)?;
        Ok(self.handle(&state, number, path))
    }

    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path, _: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.change(Action::Create, path, |state| match state.tree.file(path) {
            Ok(number) => state.inode(number).map(Inode::empty),
            Err(_) => state.new_file(path).map(drop),
        })?;
        let number = state.tree.file(path)?;
        Ok(self.handle(&state, number, path))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if self.state().tree.file(path).is_ok() {
            return self.open(path);
        }
        self.create(path, Access::Umask)
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = {
            let state = self.state();
            dir.ancestors().take_while(|dir| state.tree.get(dir).is_err()).collect()
        };
        while let Some(dir) = missing.pop() {
            self.state().change(Action::CreateDir, dir, |state| state.tree.add(dir, Entry::Dir))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().change(Action::Rename, from, |state| state.tree.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().change(Action::Remove, path, |state| state.tree.remove(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.act_whole(Action::List, dir, "")?;
        state.tree.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.act_whole(Action::SyncDir, dir, "")?;
        if state.lies { Ok(()) } else { state.tree.sync(dir) }
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().tree.get(path).is_ok()
    }
}

/// An open file of the process that opened it.
#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    process: u64,
    inode: u64,
    path: PathBuf,
    has_lock: AtomicBool,
}

impl FaultyFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.process == self.process { Ok(state) } else { Err(gone()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        let synced = state.act_whole(Action::Sync, &self.path, "");
        let (ended, lies) = (state.ended.is_some(), state.lies);
        let inode = state.inode(self.inode)?;
        match &synced {
            Ok(()) if lies => {}
            Ok(()) => inode.sync(),
            Err(_) if !ended => inode.drop_unsynced(),
            Err(_) => {}
        }
        synced
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        let go = state.act(Action::Read, &self.path, &format!(" {offset}+{}", bytes.len()))?;
        let mut len = bytes.len();
        match go {
            Go::On => {}
            Go::Partly(Ended::Gone) => return Err(gone()),
            Go::Partly(Ended::Well) => len = len.min(1 + state.random.below(len as u64) as usize),
        }
        let stored = &state.inode(self.inode)?.current;
        let from = stored.len().min(offset as usize);
        let count = len.min(stored.len() - from);
        bytes[..count].copy_from_slice(&stored[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        let detail = format!(" {offset}+{} {:08x}", bytes.len(), crc32c::crc32c(bytes));
        let go = state.act(Action::Write, &self.path, &detail)?;
        let offset = offset as usize;
        let fits = state.fits(self.inode, offset, bytes.len());
        let part = state.random.below(bytes.len() as u64 + 1) as usize;
        let (count, ended) = match go {
            Go::On => (fits, Ended::Well),
            Go::Partly(ended @ Ended::Well) => (fits.min(part.max(1)), ended),
            Go::Partly(ended @ Ended::Gone) => (fits.min(part), ended),
        };
        if count == 0 && !bytes.is_empty() && matches!(ended, Ended::Well) {
            return Err(io::Error::from_raw_os_error(NO_SPACE));
        }
        state.inode(self.inode)?.write(offset, &bytes[..count]);
        match ended {
            Ended::Well => Ok(count),
            Ended::Gone => Err(gone()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.state()?;
        if state.ended.is_some() {
            return Err(gone());
        }
        Ok(state.inode(self.inode)?.current.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.state()?;
        let taken = state.locked.insert(self.inode);
        self.has_lock.store(taken, Ordering::Relaxed);
        Ok(taken)
    }
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        if self.has_lock.load(Ordering::Relaxed)
            && let Ok(mut state) = self.state()
        {
            state.locked.remove(&self.inode);
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}
