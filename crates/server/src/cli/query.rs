//! `tallystick query`.

use super::bars::bars;
use super::client::{Answer, Client, Remote, encoded};
use super::meters::{pair, with_newline};
use super::table::{Align, Table, printable};
use super::time::{CLOCK_RULE, parse_moment};
use super::{Ending, print, refusal};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::time::Zone;
use tallystick_domain::{Instant, Quantity};

/// What to ask of which meter.
#[derive(Args)]
#[command(after_help = CLOCK_RULE)]
pub struct QueryArguments {
    /// Slug or id of the meter
    meter: String,
    /// A row per window of this size; without it one row for the whole time
    #[arg(long, value_enum, value_name = "SIZE")]
    window: Option<WindowName>,
    /// The clock of the windows and of --from and --to: an IANA zone such as Europe/Budapest
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// A row per value of these: subject or dimensions of the meter, separated by commas
    #[arg(long, value_name = "NAME[,NAME...]", value_delimiter = ',')]
    group_by: Vec<String>,
    /// First moment that counts: RFC 3339, or a date or date-time on the clock of --time-zone
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// First moment that does not count any more
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Answer as known at this moment: without what was accepted or corrected after it
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// Only this subject; can be repeated
    #[arg(long)]
    subject: Vec<String>,
    /// Only events with this value of a dimension; repeat it for another value or another dimension
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    filter: Vec<(String, String)>,
    /// Print the server's answer as it is
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WindowName {
    Minute,
    Hour,
    Day,
    Month,
}

impl WindowName {
    fn published(self) -> &'static str {
        match self {
            WindowName::Minute => "MINUTE",
            WindowName::Hour => "HOUR",
            WindowName::Day => "DAY",
            WindowName::Month => "MONTH",
        }
    }

    /// The start of a window as short as it stays unambiguous: an hour can come twice on a day, with another offset.
    fn label(self, start: &str) -> String {
        match self {
            WindowName::Month => start.get(..7).unwrap_or(start).to_string(),
            WindowName::Day => start.get(..10).unwrap_or(start).to_string(),
            WindowName::Hour | WindowName::Minute => {
                let minute = start.get(..16).unwrap_or(start);
                let offset = start.get(19..).unwrap_or_default();
                format!("{minute}{offset}")
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueryBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_size: Option<&'static str>,
    window_time_zone: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    subject: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    filter_group_by: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    group_by: &'a [String],
}

#[derive(Deserialize)]
struct QueryResult {
    data: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Kept as the server's digits.
    value: Box<RawValue>,
    window_start: String,
    subject: Option<String>,
    #[serde(default)]
    group_by: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Coverage {
    matched: u64,
    counted: u64,
    #[serde(default)]
    not_counted: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    message: String,
    count: u64,
}

/// Runs `tallystick query`.
pub fn run(arguments: &QueryArguments) -> anyhow::Result<Ending> {
    let zone = Zone::parse(&arguments.time_zone).map_err(refusal)?;
    let moment = |text: &Option<String>| {
        let read = |text| parse_moment(text, Some(&zone)).map(|moment| moment.instant);
        text.as_deref().map(read).transpose()
    };
    let from = moment(&arguments.from).map_err(|error| refusal(format!("--from: {error}")))?;
    let to = moment(&arguments.to).map_err(|error| refusal(format!("--to: {error}")))?;
    let as_of = moment(&arguments.as_of).map_err(|error| refusal(format!("--as-of: {error}")))?;
    let client = arguments.remote.connect()?;
    let answer = ask(&client, arguments, Times { from, to, as_of })?;
    if arguments.csv {
        return print(&answer.body);
    }
    if arguments.json {
        return print(&with_newline(answer.body));
    }
    let result: QueryResult = answer.json()?;
    let mut text = if result.data.is_empty() {
        "no events count for this query\n".to_string()
    } else {
        table(arguments, &result.data).render()
    };
    // Of the past, only what counted is known.
    if as_of.is_none() {
        text.push_str(&not_counted(&client, &arguments.meter, from, to)?);
    }
    print(&text)
}

/// The moments of a query.
struct Times {
    from: Option<Instant>,
    to: Option<Instant>,
    as_of: Option<Instant>,
}

fn ask(client: &Client, arguments: &QueryArguments, times: Times) -> anyhow::Result<Answer> {
    let mut filters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &arguments.filter {
        filters.entry(name).or_default().push(value);
    }
    let body = QueryBody {
        from: times.from.map(|instant| instant.to_string()),
        to: times.to.map(|instant| instant.to_string()),
        as_of: times.as_of.map(|instant| instant.to_string()),
        window_size: arguments.window.map(WindowName::published),
        window_time_zone: &arguments.time_zone,
        subject: &arguments.subject,
        filter_group_by: filters,
        group_by: &arguments.group_by,
    };
    let path = format!("/api/v1/meters/{}/query", encoded(&arguments.meter));
    let accept = if arguments.csv { "text/csv" } else { "application/json" };
    client.post(&path, "application/json", Some(accept), &serde_json::to_vec(&body)?)?.success()
}

/// The rows with their window, their group and a bar.
fn table(arguments: &QueryArguments, rows: &[Row]) -> Table {
    let mut groups = arguments.group_by.clone();
    if !arguments.subject.is_empty() && !groups.iter().any(|name| name == "subject") {
        groups.push("subject".into());
    }
    let window = arguments.window.map(|_| "WINDOW".to_string());
    let names = window.into_iter().chain(groups.iter().map(|name| name.to_uppercase()));
    let mut columns: Vec<_> = names.map(|name| (name, Align::Left)).collect();
    columns.push(("VALUE".into(), Align::Right));
    let lonely = columns.len() == 1;
    if !lonely {
        columns.push((String::new(), Align::Left));
    }
    let values: Vec<_> = rows.iter().map(|row| Quantity::parse(row.value.get()).unwrap_or(Quantity::ZERO)).collect();
    let mut table = Table::new(columns);
    for (row, bar) in rows.iter().zip(bars(&values)) {
        let window = arguments.window.map(|size| size.label(&row.window_start));
        let cells = groups.iter().map(|name| match name.as_str() {
            "subject" => row.subject.clone().unwrap_or_default(),
            name => row.group_by.get(name).cloned().flatten().unwrap_or_default(),
        });
        let mut line: Vec<String> = window.into_iter().chain(cells).collect();
        line.push(row.value.get().to_string());
        if !lonely {
            line.push(bar);
        }
        table.push(line);
    }
    table
}

/// A line for the events of the meter's type that do not count, if there are any.
fn not_counted(client: &Client, meter: &str, from: Option<Instant>, to: Option<Instant>) -> anyhow::Result<String> {
    let times = [("from", from), ("to", to)].map(|(name, time)| (name, time.map(|instant| instant.to_string())));
    let query: Vec<_> = times.iter().filter_map(|(name, time)| Some((*name, time.as_deref()?))).collect();
    let path = format!("/api/v1/meters/{}/coverage", encoded(meter));
    let coverage: Coverage = client.get(&path, &query)?.json()?;
    if coverage.matched == coverage.counted {
        return Ok(String::new());
    }
    let reasons: Vec<_> = coverage
        .not_counted
        .iter()
        .map(|reason| format!("{} × {}", reason.count, printable(&reason.message)))
        .collect();
    let missing = coverage.matched.saturating_sub(coverage.counted);
    let (matched, reasons) = (coverage.matched, reasons.join("; "));
    Ok(format!("\n{missing} of all {matched} events of this meter's type were not counted: {reasons}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_labels_stay_unambiguous() {
        assert_eq!(WindowName::Month.label("2013-01-01T00:00:00-05:00"), "2013-01");
        assert_eq!(WindowName::Day.label("2013-01-31T00:00:00Z"), "2013-01-31");
        assert_eq!(WindowName::Hour.label("2024-11-03T01:00:00-04:00"), "2024-11-03T01:00-04:00");
        assert_eq!(WindowName::Minute.label("2024-11-03T01:00:00Z"), "2024-11-03T01:00Z");
    }
}
