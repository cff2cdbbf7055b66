//! `tallystick grants`.

use super::balance::Number;
use super::client::{Remote, encoded};
use super::meters::with_newline;
use super::table::{Align, Table};
use super::time::{CLOCK_RULE, parse_moment};
use super::{Ending, print, refusal};
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tallystick_domain::Quantity;
use tallystick_domain::time::Zone;

/// What to do with the grants of a customer.
#[derive(Args)]
pub struct GrantsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show the grants of an entitlement
    List {
        /// Key or id of the customer
        customer: String,
        /// Key of the feature, or id of the entitlement
        feature: String,
        /// Print the server's answer as it is
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Give a grant
    Create(Box<CreateArguments>),
    /// Take from a grant no more; what was burned from it stays burned
    Void {
        /// Id of the grant
        grant: String,
        /// From when on: RFC 3339, or a date or date-time in UTC, not before the current usage period [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Args)]
#[command(after_help = CLOCK_RULE)]
struct CreateArguments {
    /// Key or id of the customer
    customer: String,
    /// Key of the feature, or id of the entitlement
    feature: String,
    /// How much
    #[arg(long, value_parser = quantity)]
    amount: Quantity,
    /// From when on: RFC 3339, or a date or date-time in UTC [default: now]
    #[arg(long, value_name = "TIME")]
    effective_at: Option<String>,
    /// Lower ones are burned first
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    priority: u8,
    /// How long it lasts, for example 3month: a number and hour, day, week, month or year [default: for ever]
    #[arg(long, value_name = "NUMBER+UNIT", value_parser = lifetime)]
    expires_after: Option<(u16, Unit)>,
    /// When it is full again: DAY, WEEK, MONTH, YEAR or an ISO 8601 duration
    #[arg(long, value_name = "INTERVAL")]
    recurs: Option<String>,
    /// The least that it has after a reset [default: 0]
    #[arg(long, value_name = "AMOUNT", value_parser = quantity)]
    min_rollover: Option<Quantity>,
    /// The most that it has after a reset [default: the amount]
    #[arg(long, value_name = "AMOUNT", value_parser = quantity)]
    max_rollover: Option<Quantity>,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewGrant {
    amount: Box<RawValue>,
    effective_at: String,
    priority: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<Expiration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<Recurrence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_rollover_amount: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rollover_amount: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Expiration {
    duration: &'static str,
    count: u16,
}

#[derive(Serialize)]
struct Recurrence {
    interval: String,
}

/// A page of grants.
#[derive(Deserialize)]
pub(super) struct GrantPage {
    pub items: Vec<Grant>,
}

/// A grant as the server tells it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grant {
    pub id: String,
    pub amount: Number,
    pub priority: u8,
    effective_at: String,
    expires_at: Option<String>,
    voided_at: Option<String>,
}

impl Grant {
    /// When it ends, and why.
    pub fn end(&self) -> String {
        match (&self.voided_at, &self.expires_at) {
            (Some(at), _) => format!("voided {at}"),
            (None, Some(at)) => at.clone(),
            (None, None) => "never".into(),
        }
    }
}

/// Runs `tallystick grants`.
pub fn run(arguments: GrantsArguments) -> anyhow::Result<Ending> {
    match arguments.action {
        Action::List { customer, feature, json, remote } => list(&path_of(&customer, &feature), json, &remote),
        Action::Create(arguments) => create(&arguments),
        Action::Void { grant, at, remote } => {
            let at = at.as_deref().map(|text| parse_moment(text, Some(&Zone::UTC))).transpose().map_err(refusal)?;
            let query = at.map(|at| format!("?at={}", encoded(&at.instant.to_string()))).unwrap_or_default();
            remote.connect()?.delete(&format!("/api/v1/grants/{}{query}", encoded(&grant)))?.success()?;
            print(&format!("voided grant {grant}; what was burned from it stays burned\n"))
        }
    }
}

fn path_of(customer: &str, feature: &str) -> String {
    format!("/api/v2/customers/{}/entitlements/{}/grants", encoded(customer), encoded(feature))
}

fn list(path: &str, json: bool, remote: &Remote) -> anyhow::Result<Ending> {
    let answer = remote.connect()?.get(path, &[("pageSize", "1000")])?.success()?;
    if json {
        return print(&with_newline(answer.body));
    }
    let page: GrantPage = answer.json()?;
    if page.items.is_empty() {
        return print("no grants yet: tallystick grants create CUSTOMER FEATURE --amount AMOUNT\n");
    }
    let columns = [("GRANT", Align::Left), ("AMOUNT", Align::Right), ("PRIORITY", Align::Right)];
    let columns = columns.into_iter().chain([("BEGINS", Align::Left), ("ENDS", Align::Left)]);
    let mut table = Table::new(columns.map(|(name, align)| (name.to_string(), align)).collect());
    for grant in page.items {
        let (amount, end) = (grant.amount.0.to_string(), grant.end());
        table.push(vec![grant.id, amount, grant.priority.to_string(), grant.effective_at, end]);
    }
    print(&table.render())
}

fn create(arguments: &CreateArguments) -> anyhow::Result<Ending> {
    let effective_at = arguments.effective_at.as_deref().map(|text| parse_moment(text, Some(&Zone::UTC)));
    let effective_at = effective_at.transpose().map_err(refusal)?.map(|moment| moment.instant);
    let now = || tallystick_engine::Clock::System.now();
    let raw = |quantity: &Quantity| RawValue::from_string(quantity.to_string());
    let body = NewGrant {
        amount: raw(&arguments.amount)?,
        effective_at: effective_at.unwrap_or_else(now).to_string(),
        priority: arguments.priority,
        expiration: arguments.expires_after.map(|(count, unit)| Expiration { duration: unit.published(), count }),
        recurrence: arguments.recurs.clone().map(|interval| Recurrence { interval }),
        min_rollover_amount: arguments.min_rollover.as_ref().map(raw).transpose()?,
        max_rollover_amount: arguments.max_rollover.as_ref().map(raw).transpose()?,
    };
    let path = path_of(&arguments.customer, &arguments.feature);
    let client = arguments.remote.connect()?;
    let answer = client.post(&path, "application/json", None, &serde_json::to_vec(&body)?)?.success()?;
    if arguments.json {
        return print(&with_newline(answer.body));
    }
    let grant: Grant = answer.json()?;
    let (customer, feature) = (&arguments.customer, &arguments.feature);
    print(&format!(
        "created grant {} of {}\n  see it: tallystick balance {customer} {feature}\n",
        grant.id, grant.amount.0
    ))
}

impl Unit {
    fn published(self) -> &'static str {
        match self {
            Unit::Hour => "HOUR",
            Unit::Day => "DAY",
            Unit::Week => "WEEK",
            Unit::Month => "MONTH",
            Unit::Year => "YEAR",
        }
    }
}

fn quantity(text: &str) -> Result<Quantity, String> {
    Quantity::parse(text).map_err(|error| error.to_string())
}

/// Reads a number and a unit, for example `3month` or `3 months`.
fn lifetime(text: &str) -> Result<(u16, Unit), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().trim_end_matches('s');
    match (number.parse(), Unit::from_str(unit, true)) {
        (Ok(count @ 1..=1000), Ok(unit)) => Ok((count, unit)),
        _ => Err("use a number from 1 to 1000 and hour, day, week, month or year, for example 3month".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_number_and_a_unit() {
        for (text, expected) in
            [("3month", (3, Unit::Month)), ("1 year", (1, Unit::Year)), ("48hours", (48, Unit::Hour))]
        {
            assert_eq!(lifetime(text), Ok(expected), "{text}");
        }
        for text in ["", "month", "0day", "1001day", "3", "3 fortnights", "-1day"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
