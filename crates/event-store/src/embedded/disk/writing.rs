//! A file that is written from its start to its end.

use super::DiskFile;
use std::io::{self, Write};
use std::sync::Arc;

/// Writes one piece behind the other; meant to be wrapped in a `BufWriter`, as every piece is a call of the system.
#[derive(Debug)]
pub(crate) struct Writing {
    file: Arc<dyn DiskFile>,
    position: u64,
}

impl Writing {
    /// Begins at the first byte.
    pub fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, position: 0 }
    }

    /// Makes what was written last.
    pub fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(bytes, self.position)?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
