//! `tallystick balance`.

use super::bars::{fill, scale};
use super::client::{Client, Remote, encoded};
use super::grants::{Grant, GrantPage};
use super::meters::with_newline;
use super::table::{Align, Table, printable};
use super::time::{CLOCK_RULE, parse_moment};
use super::{Ending, print, refusal};
use clap::Args;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::Quantity;
use tallystick_domain::time::Zone;

/// The fill of a grant's part of a bar, in the order of their creation; the last one is that of all further grants.
const FILLS: [char; 4] = ['█', '▓', '▒', '░'];
const OVERAGE: char = '!';

/// Whose balance to show.
#[derive(Args)]
#[command(after_help = CLOCK_RULE)]
pub struct BalanceArguments {
    /// Key or id of the customer
    customer: String,
    /// Key of the feature; without it one line for each feature
    feature: Option<String>,
    /// Show the burn-down from this moment on: RFC 3339, or a date or date-time in UTC [default: the current usage period]
    #[arg(long, value_name = "TIME", requires = "feature")]
    from: Option<String>,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// A number of an answer, digit for digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(pub Quantity);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Quantity::parse(raw.get()).map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
struct Access {
    entitlements: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    has_access: bool,
    balance: Option<Number>,
    usage: Option<Number>,
    overage: Option<Number>,
    total_available_grant_amount: Option<Number>,
    config: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entitlement {
    #[serde(rename = "type")]
    kind: String,
    feature_key: String,
    #[serde(default)]
    is_soft_limit: bool,
    current_usage_period: Option<Period>,
}

#[derive(Deserialize)]
struct Period {
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    burndown_history: Vec<Segment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    period: Period,
    usage: Number,
    overage: Number,
    balance_at_start: Number,
    balance_at_end: Number,
    grant_balances_at_end: BTreeMap<String, Number>,
}

/// Runs `tallystick balance`.
pub fn run(arguments: &BalanceArguments) -> anyhow::Result<Ending> {
    let from = arguments.from.as_deref().map(|text| parse_moment(text, Some(&Zone::UTC)));
    let from = from.transpose().map_err(refusal)?.map(|moment| moment.instant.to_string());
    let client = arguments.remote.connect()?;
    match &arguments.feature {
        None => overview(&client, arguments),
        Some(feature) => burn_down(&client, arguments, feature, from),
    }
}

/// A line for each feature.
fn overview(client: &Client, arguments: &BalanceArguments) -> anyhow::Result<Ending> {
    let customer = encoded(&arguments.customer);
    let answer = client.get(&format!("/api/v1/customers/{customer}/access"), &[])?.success()?;
    if arguments.json {
        return print(&with_newline(answer.body));
    }
    let access: Access = answer.json()?;
    if access.entitlements.is_empty() {
        return print(&format!("customer {} has no entitlements\n", printable(&arguments.customer)));
    }
    let columns = [("FEATURE", Align::Left), ("ACCESS", Align::Left), ("LEFT", Align::Right), ("OF", Align::Right)];
    let more = [("USED", Align::Right), ("OVERAGE", Align::Right), ("", Align::Left)];
    let columns = columns.into_iter().chain(more).map(|(name, align)| (name.to_string(), align));
    let mut table = Table::new(columns.collect());
    for (feature, value) in access.entitlements {
        let shown = |number: Option<Number>| number.map(|number| number.0.to_string()).unwrap_or_default();
        let bar = match (value.balance, value.total_available_grant_amount) {
            (Some(left), Some(of)) => bar_of(left, of),
            _ => value.config.clone().unwrap_or_default(),
        };
        let access = if value.has_access { "yes" } else { "no" };
        let (left, of) = (shown(value.balance), shown(value.total_available_grant_amount));
        table.push(vec![feature, access.into(), left, of, shown(value.usage), shown(value.overage), bar]);
    }
    print(&table.render())
}

/// How much of a whole is left.
fn bar_of(left: Number, of: Number) -> String {
    let cells = scale(left.0, of.0);
    format!("{}{}", fill('█', cells), fill('·', scale(of.0, of.0) - cells))
}

/// One feature: how it stands, its grants, and how they were burned.
fn burn_down(
    client: &Client,
    arguments: &BalanceArguments,
    feature: &str,
    from: Option<String>,
) -> anyhow::Result<Ending> {
    let path = format!("/api/v2/customers/{}/entitlements/{}", encoded(&arguments.customer), encoded(feature));
    let entitlement: Entitlement = client.get(&path, &[])?.json()?;
    let answer = client.get(&format!("{path}/value"), &[])?.success()?;
    if arguments.json {
        return print(&with_newline(answer.body));
    }
    let value: Value = answer.json()?;
    let mut text = heading(arguments, &entitlement, &value);
    if let Some(period) = entitlement.current_usage_period.filter(|_| entitlement.kind == "metered") {
        let grants = client.get(&format!("{path}/grants"), &[("pageSize", "1000")])?.json::<GrantPage>()?.items;
        let from = from.unwrap_or(period.from);
        let asked = [("windowSize", "MONTH"), ("from", from.as_str())];
        let history: History = client.get(&format!("{path}/history"), &asked)?.json()?;
        text.push_str(&picture(&grants, &history.burndown_history));
    }
    print(&text)
}

fn heading(arguments: &BalanceArguments, entitlement: &Entitlement, value: &Value) -> String {
    let limit = match entitlement.kind.as_str() {
        "metered" if entitlement.is_soft_limit => ", soft limit",
        "metered" => ", hard limit",
        _ => "",
    };
    let access = if value.has_access { "yes" } else { "no" };
    let names = format!("{} of {}", entitlement.feature_key, arguments.customer);
    let mut text = format!("{}: {}{limit}; access: {access}\n", printable(&names), printable(&entitlement.kind));
    if let Some(config) = &value.config {
        text.push_str(&format!("config   {}\n", printable(config)));
    }
    if let Some(period) = &entitlement.current_usage_period {
        text.push_str(&format!("period   {} to {}\n", short(&period.from), short(&period.to)));
    }
    if let (Some(left), Some(of), Some(used), Some(overage)) =
        (value.balance, value.total_available_grant_amount, value.usage, value.overage)
    {
        text.push_str(&format!("balance  {} of {}, used {}, overage {}\n", left.0, of.0, used.0, overage.0));
    }
    text
}

/// The grants as bars, and what was left of them after each stretch of time.
fn picture(grants: &[Grant], history: &[Segment]) -> String {
    let fills: BTreeMap<&str, char> =
        grants.iter().enumerate().map(|(at, grant)| (grant.id.as_str(), fill_of(at))).collect();
    let last = history.last().map(|segment| &segment.grant_balances_at_end);
    let mut text = String::from("\n");
    let columns = [("", Align::Left), ("GRANT", Align::Left), ("PRIORITY", Align::Right), ("LEFT", Align::Right)];
    let more = [("OF", Align::Right), ("ENDS", Align::Left), ("", Align::Left)];
    let columns = columns.into_iter().chain(more).map(|(name, align)| (name.to_string(), align));
    let mut table = Table::new(columns.collect());
    for grant in grants {
        let left = last.and_then(|last| last.get(&grant.id)).map_or(Quantity::ZERO, |left| left.0);
        let cells = scale(left, grant.amount.0);
        let bar = format!(
            "{}{}",
            fill(fills[grant.id.as_str()], cells),
            fill('·', scale(grant.amount.0, grant.amount.0) - cells)
        );
        let sign = fills[grant.id.as_str()].to_string();
        let (left, of) = (left.to_string(), grant.amount.0.to_string());
        table.push(vec![sign, grant.id.clone(), grant.priority.to_string(), left, of, grant.end(), bar]);
    }
    text.push_str(&table.render());
    text.push('\n');
    text.push_str(&timeline(&fills, history));
    text
}

fn fill_of(place: usize) -> char {
    FILLS[place.min(FILLS.len() - 1)]
}

/// A line for each stretch of time, with what was left at its end.
fn timeline(fills: &BTreeMap<&str, char>, history: &[Segment]) -> String {
    let columns = [("UNTIL", Align::Left), ("USED", Align::Right), ("LEFT", Align::Right), ("OVERAGE", Align::Right)];
    let columns = columns.into_iter().chain([("", Align::Left)]).map(|(name, align)| (name.to_string(), align));
    let mut table = Table::new(columns.collect());
    let height =
        |segment: &Segment| segment.balance_at_end.0.plus(segment.overage.0).unwrap_or(segment.balance_at_end.0);
    let most = history
        .iter()
        .flat_map(|segment| [height(segment), segment.balance_at_start.0])
        .max()
        .unwrap_or(Quantity::ZERO);
    for segment in history {
        let parts = segment.grant_balances_at_end.iter().map(|(id, left)| {
            fill(fills.get(id.as_str()).copied().unwrap_or(FILLS[FILLS.len() - 1]), scale(left.0, most))
        });
        let bar = parts.collect::<String>() + &fill(OVERAGE, scale(segment.overage.0, most));
        let is_reset = segment.period.from == segment.period.to;
        let used = if is_reset { "reset".to_string() } else { segment.usage.0.to_string() };
        let (left, overage) = (segment.balance_at_end.0.to_string(), segment.overage.0.to_string());
        table.push(vec![short(&segment.period.to), used, left, overage, bar]);
    }
    table.render()
}

/// A time of a whole minute without its seconds.
fn short(time: &str) -> String {
    printable(&time.replace(":00Z", "Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(to: &str, from: &str, usage: &str, overage: &str, left: &[(&str, &str)]) -> Segment {
        let number = |text: &str| Number(Quantity::parse(text).unwrap());
        let balance = left.iter().try_fold(Quantity::ZERO, |sum, (_, left)| sum.plus(number(left).0)).unwrap();
        Segment {
            period: Period { from: from.into(), to: to.into() },
            usage: number(usage),
            overage: number(overage),
            balance_at_start: number("100"),
            balance_at_end: Number(balance),
            grant_balances_at_end: left.iter().map(|(id, left)| (id.to_string(), number(left))).collect(),
        }
    }

    #[test]
    fn a_burn_down_shows_grants_resets_and_overage() {
        let fills = BTreeMap::from([("a", '█'), ("b", '▓')]);
        let history = [
            segment("2025-01-02T00:00:00Z", "2025-01-01T00:00:00Z", "50", "0", &[("a", "0"), ("b", "50")]),
            segment("2025-01-02T00:00:00Z", "2025-01-02T00:00:00Z", "0", "0", &[("a", "100")]),
            segment("2025-01-03T00:00:00Z", "2025-01-02T00:00:00Z", "150", "50", &[("a", "0")]),
        ];
        let lines: Vec<String> = timeline(&fills, &history).lines().map(str::to_string).collect();
        assert_eq!(lines[1], format!("2025-01-02T00:00Z     50    50        0  {}", "▓".repeat(15)));
        assert_eq!(lines[2], format!("2025-01-02T00:00Z  reset   100        0  {}", "█".repeat(30)));
        assert_eq!(lines[3], format!("2025-01-03T00:00Z    150     0       50  {}", "!".repeat(15)));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"hasAccess":true,"balance":0.1234567890123456789012345678}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value.balance.unwrap().0.to_string(), "0.1234567890123456789012345678");
    }
}
