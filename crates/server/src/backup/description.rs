//! `BACKUP.json`: what a backup holds, and the proof that it is complete.

use super::{read_pieces, sync_dir};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// The name of the file.
pub const DESCRIPTION: &str = "BACKUP.json";
/// The form that this program writes and reads.
const FORM: u32 = 1;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The form of this file.
    pub tallystick_backup: u32,
    /// The program that made it.
    pub version: String,
    /// When it was begun, RFC 3339.
    pub taken_at: String,
    /// Usage events in it.
    pub events: u64,
    /// The last frame of the log whose events are in it.
    pub sequence: u64,
    /// `sqlite` if the state is in it, `postgres` if it has to be saved with that database's tools.
    pub state: String,
    /// Every file but this one.
    pub files: Vec<DescribedFile>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedFile {
    /// Its path inside of the backup.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// CRC-32C over all of it, in hexadecimal digits.
    pub crc32c: String,
}

impl DescribedFile {
    /// Describes a file as it is.
    pub fn read(dir: &Path, path: &Path) -> io::Result<Self> {
        let (mut bytes, mut crc) = (0, 0);
        read_pieces(&dir.join(path), &mut |piece| {
            bytes += piece.len() as u64;
            crc = crc32c::crc32c_append(crc, piece);
            Ok(())
        })?;
        Ok(Self { path: path.to_path_buf(), bytes, crc32c: format!("{crc:08x}") })
    }
}

impl Description {
    /// Describes what this program copied.
    pub fn new(taken_at: String, events: u64, sequence: u64, state: &str, files: Vec<DescribedFile>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { tallystick_backup: FORM, version, taken_at, events, sequence, state: state.to_owned(), files }
    }

    /// The size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Writes it and makes it and the folder last. This is the last step of a backup.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let next = dir.join("BACKUP.json.new");
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&next)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&next, dir.join(DESCRIPTION))?;
        sync_dir(dir)?;
        // The folder itself may be new.
        dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
    }

    /// Reads that of a backup.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let path = dir.join(DESCRIPTION);
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("{} is no complete backup: it has no {DESCRIPTION}", dir.display())
            }
            _ => format!("cannot read {}: {error}", path.display()),
        })?;
        let read: Self =
            serde_json::from_slice(&bytes).map_err(|error| format!("{} is damaged: {error}", path.display()))?;
        if read.tallystick_backup > FORM {
            let form = read.tallystick_backup;
            return Err(format!(
                "{} has form {form}, this program reads up to {FORM}: use a newer tallystick",
                path.display()
            ));
        }
        let is_inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        match read.files.iter().find(|file| !is_inside(&file.path)) {
            Some(outside) => {
                Err(format!("{} names a file outside of the backup: {}", path.display(), outside.path.display()))
            }
            None => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_that_leads_out_of_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (path, is_good) in
            [("events/MANIFEST", true), ("../x", false), ("/etc/passwd", false), ("a/../../b", false)]
        {
            let file = DescribedFile { path: path.into(), bytes: 1, crc32c: "0".into() };
            let written = Description::new("now".into(), 1, 1, "sqlite", vec![file]);
            written.write(dir.path()).unwrap();
            let read = Description::read(dir.path());
            assert_eq!(read.as_ref().ok(), Some(&written).filter(|_| is_good), "{path}");
        }
    }

    #[test]
    fn a_folder_without_one_is_no_backup() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Description::read(dir.path()).unwrap_err().contains("no complete backup"));
        std::fs::write(dir.path().join(DESCRIPTION), r#"{"tallystick_backup":1}"#).unwrap();
        assert!(Description::read(dir.path()).unwrap_err().contains("damaged"));
    }
}
