//! The layer is the only way to the file system, and does what it says.

use super::*;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

/// The sources below `dir`, without this folder and without what is compiled for tests only.
fn sources(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "disk" {
                sources(&path, found);
            }
        } else if !name.ends_with("tests.rs") && name != "sample.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let product = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            found.push((path, product));
        }
    }
}

#[test]
fn nothing_of_the_store_reaches_for_the_file_system_past_the_layer() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 25, "{} files only", found.len());
    for (path, text) in found {
        for (number, line) in text.lines().enumerate() {
            let forbidden = ["std::fs", "unix::fs", "fs::", " File::", "(File::", "OpenOptions", "FileExt"];
            let past = forbidden.iter().find(|word| line.contains(*word));
            assert_eq!(past, None, "{}:{}: use the `Disk` that is at hand: {line}", path.display(), number + 1);
        }
    }
}

#[test]
fn files_of_the_host_are_as_private_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("private");
    HostDisk.create(&path, Access::Owner).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let path = dir.path().join("shared");
    HostDisk.create(&path, Access::Umask).unwrap();
    fs::write(dir.path().join("plain"), "").unwrap();
    let plain = fs::metadata(dir.path().join("plain")).unwrap().permissions().mode();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode(), plain);
}

#[test]
fn a_file_is_written_in_order_and_read_by_position() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut writing = Writing::new(HostDisk.create(&path, Access::Owner).unwrap());
    writing.write_all(b"one ").unwrap();
    writing.write_all(b"two").unwrap();
    writing.sync_all().unwrap();
    assert_eq!(HostDisk.read(&path).unwrap(), b"one two");
    let file = HostDisk.open_writable(&path).unwrap();
    file.write_all_at(b"TWO three", 4).unwrap();
    let mut bytes = [0; 5];
    file.read_exact_at(&mut bytes, 8).unwrap();
    assert_eq!((&bytes, file.len().unwrap()), (b"three", 13));
    let error = file.read_exact_at(&mut bytes, 9).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(HostDisk.create(&path, Access::Owner).unwrap().len().unwrap() == 0, "what stood there is cut off");
}

/// Gives one byte at a time, and is interrupted in between.
#[derive(Debug, Default)]
struct Slow {
    bytes: std::sync::Mutex<(Vec<u8>, u64)>,
}

impl Slow {
    fn interrupts(&self) -> io::Result<()> {
        let calls = &mut self.bytes.lock().unwrap().1;
        *calls += 1;
        if calls.is_multiple_of(2) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl DiskFile for Slow {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.interrupts()?;
        let stored = &self.bytes.lock().unwrap().0;
        let Some(byte) = stored.get(offset as usize) else { return Ok(0) };
        bytes[0] = *byte;
        Ok(1)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.interrupts()?;
        let stored = &mut self.bytes.lock().unwrap().0;
        assert_eq!(stored.len() as u64, offset);
        stored.push(bytes[0]);
        Ok(1)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().0.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}

#[test]
fn short_and_interrupted_calls_are_carried_on() {
    let slow = Slow::default();
    slow.write_all_at(b"slowly", 0).unwrap();
    let mut bytes = [0; 6];
    slow.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"slowly");
    assert_eq!(slow.read_exact_at(&mut bytes, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
