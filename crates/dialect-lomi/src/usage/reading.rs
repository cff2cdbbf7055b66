//! Finding events, and what became of them.

use super::{FIELDS, WHAT, member, text_member};
use crate::door::{Caller, Door};
use crate::ids;
use crate::meters::is_shown;
use crate::problem::Problem;
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::event::{EventField, EventPosition, StoredEvent, TimeFilter};
use tallystick_domain::json::{Leaf, lookup};
use tallystick_domain::meter::{Filter, Meter, Metered};
use tallystick_domain::{CustomerId, Instant, MeterId, Quantity};
use tallystick_engine::{Change, EventListing, ListedEvent, MeterBalance};
use uuid::Uuid;

/// Events that are read at once.
const A_READ: usize = 1000;
/// The most events that a list looks through.
const MOST: usize = 10_000;
/// The most reads for one event of a moment.
const MOST_READS: usize = 1000;

/// What became of an event.
pub(super) struct Becoming {
    pub status: &'static str,
    pub error: Option<String>,
    /// The oldest meter that counted it, and its units.
    pub meter: Option<MeterId>,
    pub units: Option<Quantity>,
    /// The quantity that was sent, as it was written.
    pub sent_quantity: Option<String>,
    pub subscription: Option<String>,
}

/// Which events a list shows.
pub(super) struct Search {
    pub customer: Option<CustomerId>,
    pub code: Option<String>,
    pub status: Option<&'static str>,
}

/// What became of an event, of which `meters` holds the live meters of its type at least.
pub(super) fn becoming(listed: &ListedEvent, meters: &[Meter]) -> Becoming {
    let event = &listed.stored.event;
    let data = event.data();
    let is_number = |text: &String| matches!(Leaf::of(text), Leaf::Number(_));
    let sent_quantity = member(data, FIELDS[0]).filter(is_number);
    let subscription = text_member(data, FIELDS[1]);
    let (mut counted, mut error): (Option<(MeterId, Quantity)>, Option<String>) = (None, None);
    if is_retracted(listed) {
        error = listed.problems.first().cloned();
    } else {
        let wanting = meters.iter().filter(|meter| meter.event_type == event.event_type() && is_shown(meter));
        for meter in wanting {
            match units(meter, listed) {
                Some(Ok(units)) if counted.is_none_or(|(oldest, _)| meter.id < oldest) => {
                    counted = Some((meter.id, units))
                }
                Some(Err(why)) => error = error.or(Some(why)),
                _ => {}
            }
        }
    }
    let (status, error) = match (counted, error) {
        (Some(_), _) => ("processed", None),
        (None, Some(error)) => ("failed", Some(error)),
        (None, None) => ("pending", None),
    };
    let (meter, units) = counted.unzip();
    Becoming { status, error, meter, units, sent_quantity, subscription }
}

/// What a meter counted of an event of its type, or why it could not; `None` if it does not count the event.
fn units(meter: &Meter, listed: &ListedEvent) -> Option<Result<Quantity, String>> {
    if meter.judging.is_some() {
        let made = listed.metered.iter().find(|(id, _)| *id == meter.id)?;
        return Some(match &made.1 {
            Metered::Units(units) => Ok(*units),
            Metered::Fault(why) => Err(why.clone()),
        });
    }
    if meter.event_from.is_some_and(|from| listed.stored.event.time() < from) {
        return None;
    }
    if let Err(why) = meter.judge(&listed.stored) {
        return Some(Err(why.to_string()));
    }
    let data = listed.stored.event.data().unwrap_or("{}");
    let leaf = meter.value_property.as_ref().map(|path| lookup(data, path));
    match leaf {
        None => Some(Ok(Quantity::from_count(1))),
        Some(Leaf::Number(text)) => Quantity::parse(text).ok().map(Ok),
        Some(Leaf::Text(text)) => Quantity::parse(&text).ok().map(Ok),
        Some(_) => None,
    }
}

fn is_retracted(listed: &ListedEvent) -> bool {
    listed.corrections.last().is_some_and(|last| last.change == Change::Retract)
}

impl Search {
    /// A part of the events, newest first, and how many there are, at most [`MOST`].
    pub(super) async fn page(
        &self,
        door: &Door,
        caller: &Caller,
        offset: u32,
        size: u32,
    ) -> Result<(Vec<(ListedEvent, Becoming)>, u64), Problem> {
        let meters = door.engine.list_meters(caller, false).await?;
        let wanted = (offset as usize)..(offset as usize).saturating_add(size as usize);
        let (mut page, mut total, mut looked_at, mut after) = (Vec::new(), 0, 0, None);
        while looked_at < MOST {
            let fields = self.code.iter().map(|code| (EventField::Type, Filter::Eq(code.clone()))).collect();
            let customers = self.customer.iter().map(CustomerId::to_string).collect();
            let listing = EventListing { fields, customers, after, limit: A_READ, ..EventListing::default() };
            let read = door.engine.list_events(caller, listing).await?;
            let (count, last) = (read.len(), read.last().map(|listed| EventPosition::of(&listed.stored)));
            for listed in read {
                let becoming = becoming(&listed, &meters);
                if self.status.is_none_or(|status| status == becoming.status) {
                    if wanted.contains(&total) {
                        page.push((listed, becoming));
                    }
                    total += 1;
                }
            }
            looked_at += count;
            after = last;
            if count < A_READ {
                break;
            }
        }
        Ok((page, total as u64))
    }
}

/// The event with an id.
pub(super) async fn find(door: &Door, caller: &Caller, bits: u128) -> Result<(ListedEvent, Becoming), Problem> {
    let id = Uuid::from_u128(bits);
    let millisecond = ids::millisecond_of(id).ok_or_else(|| Problem::not_found(WHAT))?;
    let (text, end) = (ids::text(bits), millisecond.saturating_add_micros(999));
    let time = TimeFilter::All(vec![TimeFilter::From(millisecond), TimeFilter::Through(end)]);
    let listing = EventListing { time: Some(time), ..EventListing::default() };
    let mut found = None;
    let take = |listed: ListedEvent| {
        let is_it = ids::event(caller.namespace(), &listed.stored) == text;
        found = is_it.then_some(listed);
        is_it
    };
    read_until(door, caller, listing, take).await?;
    let found = found.ok_or_else(|| Problem::not_found(WHAT))?;
    let meters = door.engine.list_meters(caller, false).await?;
    let becoming = becoming(&found, &meters);
    Ok((found, becoming))
}

/// The latest event that counts for each of some balances of a meter, by customer. One read finds them all, unless many events
/// happened at the same moments.
pub(crate) async fn last_events(
    door: &Door,
    caller: &Caller,
    meter: &Meter,
    balances: &[&MeterBalance],
) -> Result<BTreeMap<CustomerId, StoredEvent>, Problem> {
    let mut wanted: BTreeMap<CustomerId, Instant> =
        balances.iter().filter_map(|balance| Some((balance.customer, balance.last_used_at?))).collect();
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let times: BTreeSet<Instant> = wanted.values().copied().collect();
    let listing = EventListing {
        fields: vec![(EventField::Type, Filter::Eq(meter.event_type.clone()))],
        customers: wanted.keys().map(CustomerId::to_string).collect(),
        time: Some(TimeFilter::Any(times.into_iter().map(at).collect())),
        ..EventListing::default()
    };
    let take = |listed: ListedEvent| {
        let Some(customer) = listed.customer else { return false };
        let is_last = wanted.get(&customer) == Some(&listed.stored.event.time());
        if is_last && !is_retracted(&listed) && matches!(units(meter, &listed), Some(Ok(_))) {
            wanted.remove(&customer);
            found.insert(customer, listed.stored);
        }
        wanted.is_empty()
    };
    read_until(door, caller, listing, take).await?;
    Ok(found)
}

fn at(time: Instant) -> TimeFilter {
    TimeFilter::All(vec![TimeFilter::From(time), TimeFilter::Through(time)])
}

/// Reads a listing until it ends or `take` has all that it wants.
async fn read_until(
    door: &Door,
    caller: &Caller,
    listing: EventListing,
    mut take: impl FnMut(ListedEvent) -> bool,
) -> Result<(), Problem> {
    let mut after = None;
    for _ in 0..MOST_READS {
        let listing = EventListing { after, limit: A_READ, ..listing.clone() };
        let read = door.engine.list_events(caller, listing).await?;
        let (count, last) = (read.len(), read.last().map(|listed| EventPosition::of(&listed.stored)));
        if read.into_iter().any(&mut take) || count < A_READ {
            return Ok(());
        }
        after = last;
    }
    Err(Problem::bad_request(format!("more than {} events happened at the same moment", MOST_READS * A_READ)))
}
