//! Parquet, one folder per namespace, type and day: `namespace=…/type=…/date=YYYY-MM-DD/part-N.parquet`.
//!
//! Events arrive by namespace and type, and within a type in no order of days. So each day of the type has a buffer; when
//! all of them together are too large, the largest becomes a row group of its file. Files are closed when the type ends,
//! and the one that is used least recently when too many are open. A file gets its name when it is complete.

use super::Sink;
use crate::control::ExportedEvent;
use anyhow::{Context, bail};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallystick_domain::Instant;

/// The columns of every file; `docs/guide/operate.md` says what they hold.
const SCHEMA: &str = "message event {
    required binary namespace (STRING);
    required binary id (STRING);
    required binary source (STRING);
    required binary type (STRING);
    required binary subject (STRING);
    required int64 time (TIMESTAMP(MICROS,true));
    required int64 ingested_at (TIMESTAMP(MICROS,true));
    optional binary data (STRING);
    optional binary extras (STRING);
}";
/// Bytes of texts that are held before the largest buffer is written.
const BUFFERED_BYTES: usize = 96 << 20;
/// Bytes of texts after which a buffer becomes a row group in any case.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Files that are open at the same time.
const OPEN_FILES: usize = 256;
/// The longest folder name that is written; longer values are cut and told apart by a checksum.
const LONGEST_NAME: usize = 160;

/// A folder of files.
pub struct Folder {
    root: PathBuf,
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    /// The namespace and type whose events are coming.
    current: Option<(String, String)>,
    days: BTreeMap<String, Day>,
    buffered: usize,
    turn: u64,
}

/// The events of one day of the current type.
#[derive(Default)]
struct Day {
    rows: Rows,
    open: Option<OpenFile>,
    parts: u32,
    last_used: u64,
}

struct OpenFile {
    writer: SerializedFileWriter<File>,
    hidden: PathBuf,
    path: PathBuf,
}

/// Columns of rows that were not written yet.
#[derive(Default)]
struct Rows {
    texts: [Vec<ByteArray>; 5],
    times: [Vec<i64>; 2],
    optional: [Vec<Option<ByteArray>>; 2],
    bytes: usize,
}

impl Folder {
    /// Takes a new or empty folder.
    pub fn create(root: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(root).map_err(|error| format!("cannot create {}: {error}", root.display()))?;
        let mut entries =
            std::fs::read_dir(root).map_err(|error| format!("cannot look into {}: {error}", root.display()))?;
        if entries.next().is_some() {
            return Err(format!("{} is not empty: name a new or an empty folder", root.display()));
        }
        let schema = parse_message_type(SCHEMA).map_err(|error| error.to_string())?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        Ok(Self {
            root: root.to_path_buf(),
            schema: Arc::new(schema),
            properties: Arc::new(properties),
            current: None,
            days: BTreeMap::new(),
            buffered: 0,
            turn: 0,
        })
    }

    /// Writes and closes everything of the current type.
    fn end_type(&mut self) -> anyhow::Result<()> {
        let dates: Vec<String> = self.days.keys().cloned().collect();
        for date in dates {
            self.write_rows(&date)?;
            if let Some(file) = self.days.get_mut(&date).and_then(|day| day.open.take()) {
                file.close()?;
            }
        }
        self.days.clear();
        Ok(())
    }

    /// Makes the buffer of a day a row group.
    fn write_rows(&mut self, date: &str) -> anyhow::Result<()> {
        let Some(rows) = self.days.get_mut(date).map(|day| std::mem::take(&mut day.rows)) else { return Ok(()) };
        if rows.times[0].is_empty() {
            return Ok(());
        }
        self.buffered -= rows.bytes;
        self.open(date)?;
        let file = self.days.get_mut(date).and_then(|day| day.open.as_mut()).context("a file was not opened")?;
        let mut group = file.writer.next_row_group()?;
        rows.write(&mut group)?;
        group.close()?;
        Ok(())
    }

    /// Opens the file of a day unless it is, and closes another when too many are.
    fn open(&mut self, date: &str) -> anyhow::Result<()> {
        if self.days.get(date).is_some_and(|day| day.open.is_some()) {
            return Ok(());
        }
        let open = self.days.values_mut().filter(|day| day.open.is_some());
        if open.count() >= OPEN_FILES {
            let idle = self.days.values_mut().filter(|day| day.open.is_some()).min_by_key(|day| day.last_used);
            if let Some(file) = idle.and_then(|day| day.open.take()) {
                file.close()?;
            }
        }
        let (namespace, event_type) = self.current.as_ref().context("an event has no type")?;
        let folder = [("namespace", namespace.as_str()), ("type", event_type), ("date", date)];
        let dir = folder
            .iter()
            .fold(self.root.clone(), |dir, (key, value)| dir.join(format!("{key}={}", folder_name(value))));
        std::fs::create_dir_all(&dir)?;
        let Some(day) = self.days.get_mut(date) else { bail!("a day is missing") };
        let (path, hidden) =
            (dir.join(format!("part-{}.parquet", day.parts)), dir.join(format!(".part-{}.open", day.parts)));
        let writer =
            SerializedFileWriter::new(File::create_new(&hidden)?, self.schema.clone(), self.properties.clone())?;
        day.parts += 1;
        day.open = Some(OpenFile { writer, hidden, path });
        Ok(())
    }
}

impl Sink for Folder {
    fn event(&mut self, event: &ExportedEvent<'_>) -> anyhow::Result<()> {
        let is_current = self
            .current
            .as_ref()
            .is_some_and(|(namespace, event_type)| *namespace == event.namespace && *event_type == event.event_type);
        if !is_current {
            self.end_type()?;
            self.current = Some((event.namespace.to_string(), event.event_type.to_string()));
        }
        let time = Instant::from_micros(event.time_us).context("an event has a time outside of the stored years")?;
        // RFC 3339 in UTC begins with the day.
        let date = time.to_string().split('T').next().unwrap_or_default().to_owned();
        self.turn += 1;
        let day = self.days.entry(date.clone()).or_default();
        day.last_used = self.turn;
        let before = day.rows.bytes;
        day.rows.push(event);
        self.buffered += day.rows.bytes - before;
        if day.rows.bytes >= ROW_GROUP_BYTES {
            return self.write_rows(&date);
        }
        if self.buffered >= BUFFERED_BYTES {
            let largest = self.days.iter().max_by_key(|(_, day)| day.rows.bytes).map(|(date, _)| date.clone());
            return largest.map_or(Ok(()), |date| self.write_rows(&date));
        }
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.end_type()
    }
}

impl OpenFile {
    /// Completes the file, makes it last and gives it its name.
    fn close(mut self) -> anyhow::Result<()> {
        self.writer.finish()?;
        self.writer.inner().sync_all()?;
        std::fs::rename(&self.hidden, &self.path)?;
        Ok(())
    }
}

impl Rows {
    fn push(&mut self, event: &ExportedEvent<'_>) {
        let texts = [&event.namespace, &event.id, &event.source, &event.event_type, &event.subject];
        for (column, text) in self.texts.iter_mut().zip(texts) {
            self.bytes += text.len() + 32;
            column.push(ByteArray::from(text.as_bytes().to_vec()));
        }
        for (column, time) in self.times.iter_mut().zip([event.time_us, event.ingested_us]) {
            self.bytes += 8;
            column.push(time);
        }
        for (column, text) in self.optional.iter_mut().zip([&event.data, &event.extras]) {
            self.bytes += text.as_ref().map_or(0, |text| text.len()) + 40;
            column.push(text.as_ref().map(|text| ByteArray::from(text.as_bytes().to_vec())));
        }
    }

    /// Writes the columns in the order of the schema.
    fn write(self, group: &mut SerializedRowGroupWriter<'_, File>) -> anyhow::Result<()> {
        for column in &self.texts {
            let mut writer = group.next_column()?.context("the schema has too few columns")?;
            writer.typed::<ByteArrayType>().write_batch(column, None, None)?;
            writer.close()?;
        }
        for column in &self.times {
            let mut writer = group.next_column()?.context("the schema has too few columns")?;
            writer.typed::<Int64Type>().write_batch(column, None, None)?;
            writer.close()?;
        }
        for column in self.optional {
            let levels: Vec<i16> = column.iter().map(|value| i16::from(value.is_some())).collect();
            let present: Vec<ByteArray> = column.into_iter().flatten().collect();
            let mut writer = group.next_column()?.context("the schema has too few columns")?;
            writer.typed::<ByteArrayType>().write_batch(&present, Some(&levels), None)?;
            writer.close()?;
        }
        Ok(())
    }
}

/// A value as part of a folder's name, as readers of such folders decode it. What would be too long for the file system is
/// cut; the column in the file has all of it.
fn folder_name(value: &str) -> String {
    let mut name = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
        if name.len() > LONGEST_NAME {
            return format!("{name}~{:08x}", crc32c::crc32c(value.as_bytes()));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    fn event(id: usize, event_type: &str, day: i64, data: Option<&str>) -> ExportedEvent<'static> {
        ExportedEvent {
            namespace: "default".into(),
            id: id.to_string().into(),
            source: "s".into(),
            event_type: event_type.to_owned().into(),
            subject: "c".into(),
            time_us: day * 86_400_000_000 + 5,
            ingested_us: 7,
            data: data.map(|data| data.to_owned().into()),
            extras: None,
        }
    }

    #[test]
    fn each_type_and_day_has_a_file_of_its_own_with_all_rows() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(dir.path()).unwrap();
        for n in 0..300 {
            folder.event(&event(n, "a/b", (n % 3) as i64, Some(r#"{"n":1.50}"#).filter(|_| n % 2 == 0))).unwrap();
        }
        folder.event(&event(0, "c", -1, None)).unwrap();
        folder.finish().unwrap();
        for (path, rows) in [
            ("type=a%2Fb/date=1970-01-01", 100),
            ("type=a%2Fb/date=1970-01-02", 100),
            ("type=a%2Fb/date=1970-01-03", 100),
            ("type=c/date=1969-12-31", 1),
        ] {
            let dir = dir.path().join("namespace=default").join(path);
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "{path}");
            let reader = SerializedFileReader::new(File::open(dir.join("part-0.parquet")).unwrap()).unwrap();
            assert_eq!(reader.metadata().file_metadata().num_rows(), rows, "{path}");
        }
        assert!(Folder::create(dir.path()).is_err(), "a folder that is not empty is refused");
    }

    #[test]
    fn more_days_than_files_may_be_open_become_further_parts() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(dir.path()).unwrap();
        for round in 0..2 {
            for day in 0..=OPEN_FILES as i64 {
                folder.event(&event(round, "t", day, None)).unwrap();
                let date = folder.days.iter().next_back().unwrap().0.clone();
                folder.write_rows(&date).unwrap();
                assert!(folder.days.values().filter(|day| day.open.is_some()).count() <= OPEN_FILES);
            }
        }
        folder.finish().unwrap();
        assert_eq!(folder.buffered, 0);
        let first = dir.path().join("namespace=default/type=t/date=1970-01-01");
        assert!(std::fs::read_dir(first).unwrap().count() >= 1);
    }

    #[test]
    fn names_of_folders_are_safe_and_differ() {
        assert_eq!(folder_name("a b/é"), "a%20b%2F%C3%A9");
        let (one, two) = ("x".repeat(5000) + "1", "x".repeat(5000) + "2");
        assert!(folder_name(&one).len() < 255 && folder_name(&one) != folder_name(&two));
    }
}
