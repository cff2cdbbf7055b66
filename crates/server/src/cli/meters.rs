//! `tallystick meters`.

use super::client::{Remote, encoded};
use super::table::{Align, Table};
use super::time::parse_moment;
use super::{Ending, print};
use crate::config::parse_aggregation;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const PATH: &str = "/api/v1/meters";

/// What to do with the meters of a server.
#[derive(Args)]
pub struct MetersArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show all meters
    List {
        #[command(flatten)]
        remote: Remote,
        /// Print the server's answer as it is
        #[arg(long)]
        json: bool,
    },
    /// Create a meter; it counts events that came before it, too
    Create(Box<CreateArguments>),
    /// Delete a meter; its events stay
    Delete {
        /// Slug or id of the meter
        meter: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Args)]
struct CreateArguments {
    /// Name in paths: lowercase letters and digits, words joined by single underscores
    slug: String,
    /// How values add up: sum, count, unique_count, avg, min, max or latest
    #[arg(long, value_parser = aggregation_name)]
    aggregation: String,
    /// Type of the events that count
    #[arg(long, value_name = "TYPE")]
    event_type: String,
    /// Where the value is in the event's data, for example $.tokens; every aggregation but count needs it
    #[arg(long, value_name = "JSONPATH")]
    value: Option<String>,
    /// A dimension to group and filter by, for example model=$.model; can be repeated
    #[arg(long, value_name = "NAME=JSONPATH", value_parser = pair)]
    group_by: Vec<(String, String)>,
    /// Name for people [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// Longer text for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Events before this time never count: RFC 3339, or a date or date-time in UTC
    #[arg(long, value_name = "TIME")]
    event_from: Option<String>,
    #[command(flatten)]
    remote: Remote,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewMeter<'a> {
    slug: &'a str,
    aggregation: &'a str,
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_property: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    group_by: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_from: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meter {
    slug: String,
    aggregation: String,
    event_type: String,
    value_property: Option<String>,
    #[serde(default)]
    group_by: BTreeMap<String, String>,
}

/// Runs `tallystick meters`.
pub fn run(arguments: MetersArguments) -> anyhow::Result<Ending> {
    match arguments.action {
        Action::List { remote, json } => list(&remote, json),
        Action::Create(arguments) => create(&arguments),
        Action::Delete { meter, remote } => {
            remote.connect()?.delete(&format!("{PATH}/{}", encoded(&meter)))?.success()?;
            print(&format!("deleted meter {meter}; its events stay\n"))
        }
    }
}

fn list(remote: &Remote, json: bool) -> anyhow::Result<Ending> {
    let answer = remote.connect()?.get(PATH, &[])?.success()?;
    if json {
        return print(&with_newline(answer.body));
    }
    let meters: Vec<Meter> = answer.json()?;
    if meters.is_empty() {
        return print("no meters yet: tallystick meters create SLUG --aggregation count --event-type TYPE\n");
    }
    let headings = ["METER", "AGGREGATION", "EVENT TYPE", "VALUE", "GROUP BY"];
    let mut table = Table::new(headings.map(|heading| (heading.to_string(), Align::Left)).to_vec());
    for meter in meters {
        let dimensions: Vec<_> = meter.group_by.into_iter().map(|(name, path)| format!("{name}={path}")).collect();
        let value = meter.value_property.unwrap_or_default();
        table.push(vec![meter.slug, meter.aggregation, meter.event_type, value, dimensions.join(" ")]);
    }
    print(&table.render())
}

fn create(arguments: &CreateArguments) -> anyhow::Result<Ending> {
    let event_from = arguments.event_from.as_deref();
    let event_from = event_from.map(|text| parse_moment(text, Some(&tallystick_domain::time::Zone::UTC)));
    let body = NewMeter {
        slug: &arguments.slug,
        aggregation: &arguments.aggregation,
        event_type: &arguments.event_type,
        value_property: arguments.value.as_deref(),
        group_by: arguments.group_by.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect(),
        name: arguments.name.as_deref(),
        description: arguments.description.as_deref(),
        event_from: event_from.transpose().map_err(super::refusal)?.map(|moment| moment.instant.to_string()),
    };
    let body = serde_json::to_vec(&body)?;
    let answer = arguments.remote.connect()?.post(PATH, "application/json", None, &body)?.success()?;
    if arguments.json {
        return print(&with_newline(answer.body));
    }
    print(&format!("created meter {}\n  ask it: tallystick query {} --window day\n", arguments.slug, arguments.slug))
}

/// The text with a line end, for answers that are printed as they are.
pub(super) fn with_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn aggregation_name(text: &str) -> Result<String, String> {
    parse_aggregation(text).map(|aggregation| aggregation.as_str().to_string())
}

/// Reads `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("use NAME=VALUE".to_string()),
    }
}
