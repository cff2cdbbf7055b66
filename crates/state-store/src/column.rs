//! The only file that maps ids, times, texts, lists and maps to columns, and back.
//!
//! Columns are TEXT or BIGINT on both backends. A value that does not read back is reported with its table, id and column;
//! it never becomes a default.

pub(crate) mod filters;
pub(crate) mod judging;

use crate::error::StateError;
use sqlx::Row;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Type};
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::details::Details;
use tallystick_domain::json::JsonObject;
use tallystick_domain::time::{Interval, Recurrence};

/// Begins an escape of two characters, see [`text`].
const ESCAPE: char = '\u{1b}';

/// A free text as it is stored: U+0000, which PostgreSQL cannot hold, is written as ESC `0`, and ESC itself as ESC ESC.
pub(crate) fn text(value: &str) -> String {
    if !value.contains(['\0', ESCAPE]) {
        return value.to_owned();
    }
    value.replace(ESCAPE, "\u{1b}\u{1b}").replace('\0', "\u{1b}0")
}

fn unescaped(stored: String) -> Result<String, &'static str> {
    if !stored.contains(ESCAPE) {
        return Ok(stored);
    }
    let mut value = String::with_capacity(stored.len());
    let mut rest = stored.chars();
    while let Some(c) = rest.next() {
        match c {
            ESCAPE => match rest.next() {
                Some(ESCAPE) => value.push(ESCAPE),
                Some('0') => value.push('\0'),
                _ => return Err("an escape is not complete"),
            },
            _ => value.push(c),
        }
    }
    Ok(value)
}

/// An instant as it is stored: microseconds since 1970.
pub(crate) fn instant(value: Instant) -> i64 {
    value.as_micros()
}

/// A map of texts as it is stored: a JSON object.
pub(crate) fn map<'a>(entries: impl IntoIterator<Item = (&'a String, &'a str)>) -> String {
    let object = entries.into_iter().map(|(key, value)| (key.clone(), value.into())).collect();
    serde_json::Value::Object(object).to_string()
}

/// Labels as they are stored: a JSON object.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    map(labels.iter().map(|(key, value)| (key, value.as_str())))
}

/// What doors keep, as it is stored: a JSON object, or nothing for none.
pub(crate) fn details(details: &Details) -> Option<String> {
    (!details.is_empty()).then(|| map(details.iter().map(|(door, kept)| (door, kept.as_str()))))
}

/// A list of texts as it is stored: a JSON array.
pub(crate) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    serde_json::Value::Array(items.into_iter().map(Into::into).collect()).to_string()
}

/// The columns of one row, and where it came from.
pub(crate) struct Columns<'r> {
    row: &'r AnyRow,
    table: &'static str,
}

impl<'r> Columns<'r> {
    /// The columns of a row of a table that has the column `id`.
    pub(crate) fn of(table: &'static str, row: &'r AnyRow) -> Self {
        Self { row, table }
    }

    /// A free text.
    pub(crate) fn text(&self, column: &str) -> Result<String, StateError> {
        unescaped(self.raw(column)?).map_err(|reason| self.corrupt(column, reason))
    }

    /// A free text that may be absent.
    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<String>, StateError> {
        let stored: Option<String> = self.raw(column)?;
        stored.map(unescaped).transpose().map_err(|reason| self.corrupt(column, reason))
    }

    /// A text that means something to `parse`.
    pub(crate) fn parsed<T, E: ToString>(
        &self,
        column: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, StateError> {
        parse(&self.text(column)?).map_err(|reason| self.corrupt(column, reason))
    }

    /// A time.
    pub(crate) fn instant(&self, column: &str) -> Result<Instant, StateError> {
        self.to_instant(column, self.raw(column)?)
    }

    /// A time that may be absent.
    pub(crate) fn optional_instant(&self, column: &str) -> Result<Option<Instant>, StateError> {
        let stored: Option<i64> = self.raw(column)?;
        stored.map(|micros| self.to_instant(column, micros)).transpose()
    }

    /// A small number.
    pub(crate) fn number(&self, column: &str) -> Result<u16, StateError> {
        let stored: i64 = self.raw(column)?;
        u16::try_from(stored).map_err(|_| self.corrupt(column, format!("{stored} is out of range")))
    }

    /// A number up to 255.
    pub(crate) fn small(&self, column: &str) -> Result<u8, StateError> {
        let number = self.number(column)?;
        u8::try_from(number).map_err(|_| self.corrupt(column, format!("{number} is out of range")))
    }

    /// Two columns of which both hold a value or none does.
    pub(crate) fn recurrence(&self, interval: &str, anchor: &str) -> Result<Option<Recurrence>, StateError> {
        match (self.optional_text(interval)?, self.optional_instant(anchor)?) {
            (Some(text), Some(at)) => {
                let read = Interval::parse(&text).map_err(|error| self.corrupt(interval, error))?;
                Ok(Some(Recurrence { interval: read, anchor: at }))
            }
            (None, None) => Ok(None),
            _ => Err(self.corrupt(anchor, "an interval and an anchor belong together")),
        }
    }

    /// A map of texts.
    pub(crate) fn map(&self, column: &str) -> Result<BTreeMap<String, String>, StateError> {
        self.json(column, &self.raw::<String>(column)?)
    }

    /// A map of texts that may be absent.
    pub(crate) fn optional_map(&self, column: &str) -> Result<Option<BTreeMap<String, String>>, StateError> {
        let stored: Option<String> = self.raw(column)?;
        stored.map(|stored| self.json(column, &stored)).transpose()
    }

    /// What doors keep.
    pub(crate) fn details(&self, column: &str) -> Result<Details, StateError> {
        let Some(stored) = self.optional_text(column)? else { return Ok(Details::new()) };
        let kept = self.json::<BTreeMap<String, String>>(column, &stored)?.into_iter();
        let read = kept.map(|(door, text)| Ok((door, JsonObject::parse(&text).map_err(|e| self.corrupt(column, e))?)));
        read.collect()
    }

    /// A list of texts.
    pub(crate) fn list(&self, column: &str) -> Result<Vec<String>, StateError> {
        self.json(column, &self.raw::<String>(column)?)
    }

    /// A list of texts that may be absent.
    pub(crate) fn optional_list(&self, column: &str) -> Result<Option<Vec<String>>, StateError> {
        let stored: Option<String> = self.raw(column)?;
        stored.map(|stored| self.json(column, &stored)).transpose()
    }

    /// The error for a value that this server cannot have written.
    pub(crate) fn corrupt(&self, column: &str, reason: impl ToString) -> StateError {
        let id: String = self.row.try_get("id").unwrap_or_else(|_| "that cannot be read".into());
        StateError::Corrupt(format!(
            "the state store holds an invalid value in table {}, id {id}, column {column}: {}",
            self.table,
            reason.to_string()
        ))
    }

    fn raw<T: Decode<'r, Any> + Type<Any>>(&self, column: &str) -> Result<T, StateError> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, column: &str, stored: &str) -> Result<T, StateError> {
        serde_json::from_str(stored).map_err(|error| self.corrupt(column, error))
    }

    fn to_instant(&self, column: &str, micros: i64) -> Result<Instant, StateError> {
        Instant::from_micros(micros)
            .ok_or_else(|| self.corrupt(column, format!("{micros} microseconds is not in the years 0001 to 9998")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_reads_back_and_none_holds_nul(value in "(\\PC|\0|\u{1b}|0){0,12}") {
            let stored = text(&value);
            prop_assert!(!stored.contains('\0'));
            prop_assert_eq!(unescaped(stored).unwrap(), value);
        }
    }

    #[test]
    fn texts_that_no_server_wrote_are_refused() {
        for stored in ["\u{1b}", "a\u{1b}x"] {
            assert!(unescaped(stored.into()).is_err(), "{stored:?}");
        }
    }
}
