//! The CSV form of an answer, for spreadsheets and scripts.

use super::answer::{Labelled, LabelledRow};
use crate::problem::Problem;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::iter::once;
use tallystick_domain::quantity::Quantity;
use tallystick_engine::EngineError;

const SUBJECT: &str = "subject";
const SUBJECT_NAME: &str = "subject_display_name";
const CUSTOMER: &str = "customer_id";
/// The vendor writes six decimals; more are written where the exact value has more.
const DECIMALS: usize = 6;

/// The answer as a file.
pub(super) fn response(labelled: &Labelled) -> Result<Response, Problem> {
    let has_subject = labelled.group_by.iter().any(|name| name == SUBJECT);
    let names = Some(&labelled.subject_names).filter(|names| has_subject && !names.is_empty());
    // The subject is always the third column, whatever the order asked for.
    let dimensions: Vec<&str> = labelled.group_by.iter().map(String::as_str).filter(|name| *name != SUBJECT).collect();
    let header: Vec<&str> = ["window_start", "window_end"]
        .into_iter()
        .chain(has_subject.then_some(SUBJECT))
        .chain(names.map(|_| SUBJECT_NAME))
        .chain(dimensions.iter().copied())
        .chain(once("value"))
        .collect();
    let records = labelled.rows.iter().map(|row| record_of(row, has_subject, names, &dimensions));
    file(&labelled.slug, &header, records)
}

/// A CSV file with a header row, named after a meter.
pub(crate) fn file(
    slug: &str,
    header: &[&str],
    records: impl Iterator<Item = Vec<String>>,
) -> Result<Response, Problem> {
    let failed = |error: String| Problem::from(EngineError::Internal(format!("writing CSV: {error}")));
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    writer.write_record(header).map_err(|error| failed(error.to_string()))?;
    for record in records {
        writer.write_record(record).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    let name = format!("attachment; filename={slug}.csv");
    Ok(([(CONTENT_TYPE, "text/csv".to_string()), (CONTENT_DISPOSITION, name)], bytes).into_response())
}

fn record_of(
    labelled: &LabelledRow,
    has_subject: bool,
    names: Option<&BTreeMap<String, Option<String>>>,
    dimensions: &[&str],
) -> Vec<String> {
    let row = &labelled.row;
    let mut record = vec![labelled.start.clone(), labelled.end.clone()];
    record.extend(has_subject.then(|| row.subject.clone().unwrap_or_default()));
    let name_of = |names: &BTreeMap<String, Option<String>>| names.get(row.subject.as_deref()?)?.clone();
    record.extend(names.map(|names| name_of(names).unwrap_or_default()));
    record.extend(dimensions.iter().map(|name| match *name {
        CUSTOMER => row.customer.clone().unwrap_or_default(),
        name => row.groups.get(name).cloned().unwrap_or_default(),
    }));
    record.push(padded(&row.value));
    record
}

/// The exact value, with at least six decimals.
fn padded(value: &Quantity) -> String {
    let text = value.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let point = if decimals == 0 { "." } else { "" };
    format!("{text}{point}{}", "0".repeat(DECIMALS.saturating_sub(decimals)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_six_decimals_or_all_they_need() {
        for (value, text) in [
            ("300", "300.000000"),
            ("0", "0.000000"),
            ("-1.5", "-1.500000"),
            ("0.123456", "0.123456"),
            ("0.1234567", "0.1234567"),
            ("79228162514264337593543950335", "79228162514264337593543950335.000000"),
        ] {
            assert_eq!(padded(&Quantity::parse(value).unwrap()), text);
        }
    }
}
