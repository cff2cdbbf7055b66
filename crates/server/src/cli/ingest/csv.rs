//! A table with a heading: which columns say whom an event is about, when it happened and what it is called.

use super::super::refusal;
use super::super::time::{Moment, local_moment, parse_moment};
use super::Line;
use super::event::{RowEvent, joined_id};
use super::rows::{Cells, Rows};
use anyhow::{Context, bail};
use clap::Args;
use jiff::civil::DateTime;
use std::io::Read;
use tallystick_domain::time::Zone;

/// What the columns of a CSV file mean. All columns also become properties of the event's data.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options for CSV")]
pub struct CsvArguments {
    /// Type of the events
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Column with the subject
    #[arg(long, value_name = "COLUMN")]
    subject_column: Option<String>,
    /// Column with the time (RFC 3339, or a local date-time), or the columns year,month,day[,hour[,minute[,second]]]
    #[arg(long, value_name = "COLUMN[,COLUMN...]", value_delimiter = ',')]
    time_column: Vec<String>,
    /// Columns whose cells together are the id of an event; within one source, a row with an id that is stored is a duplicate
    #[arg(long, value_name = "COLUMN[,COLUMN...]", value_delimiter = ',')]
    id_columns: Vec<String>,
    /// The clock of local times: an IANA zone such as America/New_York
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Source of the events. An id is unique per source: files whose ids could be the same need different sources
    /// [default: tallystick-ingest/TYPE]
    #[arg(long)]
    source: Option<String>,
    /// A text that stands for "no value", for example NA; its property is left out, as for an empty cell
    #[arg(long, value_name = "TEXT")]
    null_text: Option<String>,
}

impl CsvArguments {
    /// An option that would have no effect is refused, not passed over.
    pub fn refuse_for_ndjson(&self) -> Result<(), String> {
        let given = [
            ("--type", self.event_type.is_some()),
            ("--subject-column", self.subject_column.is_some()),
            ("--time-column", !self.time_column.is_empty()),
            ("--id-columns", !self.id_columns.is_empty()),
            ("--time-zone", self.time_zone.is_some()),
            ("--source", self.source.is_some()),
            ("--null-text", self.null_text.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!("{name} is for CSV only; add --format csv if this file is one")),
            None => Ok(()),
        }
    }
}

const YEAR_RULE: &str = "the year must have four digits and not begin with 0";

/// The columns of one file, found in its heading.
struct Layout {
    columns: Vec<String>,
    subject: usize,
    times: Vec<usize>,
    ids: Vec<usize>,
    zone: Option<Zone>,
    event_type: String,
    source: String,
    null_text: Option<String>,
}

/// The rows of a file as events. A wrong heading or option is an error before anything is sent.
pub fn lines<R: Read>(
    file: R,
    arguments: &CsvArguments,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>> + use<R>> {
    let mut rows = Rows::new(file);
    let layout = Layout::find(&mut rows, arguments)?;
    Ok(std::iter::from_fn(move || {
        let row = match rows.next_row().context("cannot read on").transpose()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let read = row.cells.and_then(|cells| layout.event(&cells));
        let is_gap_or_fold = read.as_ref().is_ok_and(|(_, is_gap_or_fold)| *is_gap_or_fold);
        let event = read.map(|(event, _)| event);
        Some(Ok(Line { number: row.line, bytes: row.bytes, event, is_gap_or_fold }))
    }))
}

impl Layout {
    fn find<R: Read>(rows: &mut Rows<R>, arguments: &CsvArguments) -> anyhow::Result<Self> {
        let wrong = |reason: String| refusal(format!("cannot read the heading: {reason}"));
        let heading = rows.next_row().map_err(|error| wrong(error.to_string()))?;
        let heading = heading.ok_or_else(|| wrong("the file is empty".to_string()))?.cells.map_err(wrong)?;
        let columns: Vec<String> = heading.iter().map(str::to_string).collect();
        if let Some(twice) = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
            bail!(refusal(format!("the heading has the column {:?} twice", twice.1)));
        }
        let at = |option: &str, name: &str| {
            columns.iter().position(|column| column == name).ok_or_else(|| {
                refusal(format!("{option}: there is no column {name:?}; there are: {}", columns.join(", ")))
            })
        };
        let all = |option: &str, names: &[String]| {
            if names.is_empty() {
                bail!(refusal(format!("{option} is required for CSV")));
            }
            names.iter().map(|name| at(option, name)).collect::<anyhow::Result<Vec<_>>>()
        };
        let required = |option: &str, value: &Option<String>| {
            value.clone().ok_or_else(|| refusal(format!("{option} is required for CSV")))
        };
        let times = all("--time-column", &arguments.time_column)?;
        let zone = arguments.time_zone.as_deref().map(Zone::parse).transpose().map_err(refusal)?;
        match times.len() {
            1 => {}
            3..=6 if zone.is_some() => {}
            3..=6 => bail!(refusal("--time-zone is required with several time columns")),
            _ => bail!(refusal("--time-column takes one column, or year,month,day[,hour[,minute[,second]]]")),
        }
        let event_type = required("--type", &arguments.event_type)?;
        Ok(Self {
            subject: at("--subject-column", &required("--subject-column", &arguments.subject_column)?)?,
            ids: all("--id-columns", &arguments.id_columns)?,
            // One source for all files would make rows of two tables with the same id duplicates.
            source: arguments.source.clone().unwrap_or_else(|| format!("tallystick-ingest/{event_type}")),
            event_type,
            null_text: arguments.null_text.clone(),
            times,
            zone,
            columns,
        })
    }

    /// The event of a row and whether its time fell into a gap or fold, or what is wrong with the row.
    fn event(&self, row: &Cells) -> Result<(String, bool), String> {
        let cell = |at: usize| row.get(at);
        let subject = self.value(cell(self.subject)).ok_or_else(|| self.empty(self.subject))?;
        if self.ids.iter().all(|at| self.value(cell(*at)).is_none()) {
            return Err("all id columns are empty".to_string());
        }
        let moment = self.time(row)?;
        let time = moment.instant.to_string();
        let cells = self.columns.iter().zip(row.iter());
        let data: Vec<_> =
            cells.filter_map(|(name, cell)| self.value(cell).map(|cell| (name.as_str(), cell))).collect();
        let event = RowEvent {
            id: &joined_id(self.ids.iter().map(|at| cell(*at))),
            source: &self.source,
            event_type: &self.event_type,
            subject,
            time: &time,
            data: &data,
        };
        Ok((event.to_json(), moment.is_gap_or_fold))
    }

    /// A cell, unless it stands for no value.
    fn value<'a>(&self, cell: &'a str) -> Option<&'a str> {
        (!cell.is_empty() && self.null_text.as_deref() != Some(cell)).then_some(cell)
    }

    fn empty(&self, column: usize) -> String {
        format!("column {:?} is empty", self.columns[column])
    }

    fn time(&self, row: &Cells) -> Result<Moment, String> {
        let cell = |at: &usize| self.value(row.get(*at)).ok_or_else(|| self.empty(*at));
        if let [column] = self.times[..] {
            let text = cell(&column)?;
            if text.starts_with('0') {
                return Err(format!("column {:?}: {text:?}: {YEAR_RULE}", self.columns[column]));
            }
            return parse_moment(text, self.zone.as_ref())
                .map_err(|reason| format!("column {:?}: {reason}", self.columns[column]));
        }
        let mut parts = [1, 1, 1, 0, 0, 0];
        for (part, column) in parts.iter_mut().zip(&self.times) {
            let text = cell(column)?;
            let not_whole = || format!("column {:?}: {text:?} is not a whole number", self.columns[*column]);
            *part = text.parse::<i16>().map_err(|_| not_whole())?;
        }
        if parts[0] < 1000 {
            return Err(format!("column {:?}: {}: {YEAR_RULE}", self.columns[self.times[0]], parts[0]));
        }
        let moment = civil(parts).zip(self.zone.as_ref()).and_then(|(local, zone)| local_moment(local, zone));
        moment.ok_or_else(|| format!("there is no such time: {parts:?} (year, month, day, hour, minute, second)"))
    }
}

fn civil([year, month, day, hour, minute, second]: [i16; 6]) -> Option<DateTime> {
    let small = |number: i16| i8::try_from(number).ok();
    DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> CsvArguments {
        CsvArguments {
            event_type: Some("flight".into()),
            subject_column: Some("carrier".into()),
            time_column: ["year", "month", "day", "hour"].map(Into::into).to_vec(),
            id_columns: ["carrier", "flight"].map(Into::into).to_vec(),
            time_zone: Some("America/New_York".into()),
            source: None,
            null_text: Some("NA".into()),
        }
    }

    fn read(text: &str, arguments: &CsvArguments) -> Vec<(u64, Result<String, String>)> {
        lines(text.as_bytes(), arguments)
            .unwrap()
            .map(|line| line.map(|line| (line.number, line.event)).unwrap())
            .collect()
    }

    fn refused(text: &str, arguments: &CsvArguments) -> String {
        lines(text.as_bytes(), arguments).err().unwrap().to_string()
    }

    const HEADING: &str = "year,month,day,hour,carrier,flight,delay";

    #[test]
    fn a_row_becomes_an_event_at_its_local_time() {
        let found = read(&format!("{HEADING}\n2013,7,1,5,UA,1545,-2.50\n"), &arguments());
        assert_eq!(
            found,
            [(
                2,
                Ok(r#"{"specversion":"1.0","id":"UA-1545","source":"tallystick-ingest/flight","type":"flight","subject":"UA","time":"2013-07-01T09:00:00Z","data":{"year":2013,"month":7,"day":1,"hour":5,"carrier":"UA","flight":1545,"delay":-2.50}}"#.to_string())
            )]
        );
    }

    #[test]
    fn empty_cells_and_the_null_text_are_left_out() {
        let found = read(&format!("{HEADING}\n2013,7,1,5,UA,1,NA\n2013,7,1,5,UA,2,\n"), &arguments());
        assert!(found.iter().all(|(_, event)| !event.as_ref().unwrap().contains("delay")));
        let kept = read(&format!("{HEADING}\n2013,7,1,5,UA,1,NA\n"), &CsvArguments { null_text: None, ..arguments() });
        assert!(kept[0].1.as_ref().unwrap().contains(r#""delay":"NA""#));
    }

    #[test]
    fn a_wrong_row_is_told_with_its_line_and_the_rest_is_read() {
        let rows = "2013,7,1,5,,1,2\n2013,2,30,5,UA,1,2\n2013,7,1,5,UA\n2013,7,x,5,UA,1,2\n2013,7,1,5,UA,9,2\n";
        let found = read(&format!("{HEADING}\n{rows}"), &arguments());
        let expected = ["carrier", "no such time", "5 cells", "whole number"];
        for ((number, event), (line, part)) in found.iter().zip((2..).zip(expected)) {
            assert_eq!(*number, line);
            assert!(event.as_ref().unwrap_err().contains(part), "{event:?}");
        }
        assert!(found[4].1.is_ok() && found.len() == 5);
    }

    #[test]
    fn a_year_of_two_digits_is_told() {
        let found = read(&format!("{HEADING}\n24,7,1,5,UA,1,2\n0999,7,1,5,UA,1,2\n1000,7,1,5,UA,1,2\n"), &arguments());
        assert!(found[0].1.as_ref().unwrap_err().contains("column \"year\": 24: the year must have four digits"));
        assert!(found[1].1.is_err() && found[2].1.is_ok());
    }

    #[test]
    fn line_numbers_count_the_lines_inside_of_quotes() {
        let found = read(&format!("{HEADING}\n2013,7,1,5,\"U\nA\",1,2\n2013,7,1,5,UA\n"), &arguments());
        assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn one_time_column_may_carry_its_own_offset() {
        let arguments = CsvArguments {
            time_column: vec!["at".into()],
            id_columns: vec!["n".into()],
            time_zone: None,
            subject_column: Some("who".into()),
            ..arguments()
        };
        let found = read("at,n,who\n2013-07-01T05:00:00-04:00,1,a\n2013-07-01 05:00,2,a\n", &arguments);
        assert!(found[0].1.as_ref().unwrap().contains(r#""time":"2013-07-01T09:00:00Z""#));
        assert!(found[1].1.as_ref().unwrap_err().contains("--time-zone"));
    }

    #[test]
    fn wrong_options_are_refused_before_anything_is_sent() {
        let with = |change: fn(&mut CsvArguments)| {
            let mut changed = arguments();
            change(&mut changed);
            refused(&format!("{HEADING}\n"), &changed)
        };
        assert!(with(|a| a.subject_column = Some("airline".into())).contains("there are: year, month"));
        assert!(with(|a| a.subject_column = None).contains("--subject-column is required"));
        assert!(with(|a| a.event_type = None).contains("--type is required"));
        assert!(with(|a| a.id_columns = vec![]).contains("--id-columns is required"));
        assert!(with(|a| a.time_zone = None).contains("--time-zone is required"));
        assert!(with(|a| a.time_zone = Some("Mars".into())).contains("Mars"));
        assert!(with(|a| a.time_column.truncate(2)).contains("takes one column"));
        assert!(refused("a,a\n", &arguments()).contains("twice"));
        assert!(arguments().refuse_for_ndjson().unwrap_err().contains("--type"));
    }
}
