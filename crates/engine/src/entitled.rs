//! Usage that is taken in only if its customer has what it uses.

use crate::balance::Access;
use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::ingest::NewEvent;
use std::collections::BTreeMap;
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::ReservationDraft;
use tallystick_domain::event::{Event, EventField, EventParts, EventQuery};
use tallystick_domain::feature::Feature;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Aggregation, Filter, LazyFacts, Meter, Metered, dimension_text, numeric_value};
use tallystick_domain::{MeterId, Quantity};

/// What became of an event that needs entitlements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entitled {
    /// It is stored.
    Stored,
    /// It had been stored before.
    Duplicate,
    /// It is not stored, for this reason.
    Refused(String),
}

/// What an event uses of a feature.
struct Use {
    feature: String,
    units: Quantity,
    access: Access,
}

impl Engine {
    /// Stores an event if the customer of its subject has every feature that the event uses, and enough of it. An event uses a
    /// feature if the feature's meter counts it. While it is stored its units are reserved, so that events at the same time
    /// cannot use more than there is.
    pub async fn ingest_entitled(&self, caller: &Caller, event: NewEvent) -> Result<Entitled, EngineError> {
        caller.require(Scope::Read)?;
        caller.require(Scope::Ingest)?;
        self.check_event(&event)?;
        if self.is_stored(caller, &event).await? {
            return Ok(Entitled::Duplicate);
        }
        let owner = self.owner_of(caller.namespace(), Some(&event.subject)).await?;
        let Some(customer) = owner.filter(|_| !event.kept_only) else {
            return Ok(Entitled::Refused("the event can be counted for no customer".into()));
        };
        let uses = match self.uses_of(caller, &customer, &event).await? {
            Ok(uses) if uses.is_empty() => {
                return Ok(Entitled::Refused(
                    "the customer has no entitlement to a feature that the event uses".into(),
                ));
            }
            Ok(uses) => uses,
            Err(refusal) => return Ok(Entitled::Refused(refusal)),
        };
        let id = customer.id.to_string();
        let mut held = Vec::new();
        let outcome = match self.hold(caller, &id, &uses, &mut held).await {
            Ok(None) => self.ingest(caller, vec![event]).await.map(|report| match report.stored {
                0 => Entitled::Duplicate,
                _ => Entitled::Stored,
            }),
            Ok(Some(refusal)) => Ok(Entitled::Refused(refusal)),
            Err(error) => Err(error),
        };
        for (feature, reservation) in held {
            self.release_reservation(caller, &id, &feature, &reservation).await?;
        }
        outcome
    }

    /// Reserves what an event uses; why that cannot be done, if it cannot. `held` tells what was reserved, in either case.
    async fn hold(
        &self,
        caller: &Caller,
        customer: &str,
        uses: &[Use],
        held: &mut Vec<(String, String)>,
    ) -> Result<Option<String>, EngineError> {
        for Use { feature, units, access } in uses {
            if !access.has_access() {
                return Ok(Some(format!("the customer has no access to feature {feature}")));
            }
            if !matches!(access, Access::Metered(_)) || !units.is_positive() {
                continue;
            }
            let draft = ReservationDraft { amount: *units, life_us: None };
            match self.reserve(caller, customer, feature, draft).await {
                Ok(reservation) => held.push((feature.clone(), reservation.id.to_string())),
                Err(EngineError::NotEnough { left }) => {
                    return Ok(Some(format!("the event uses {units} of feature {feature}, and only {left} is left")));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What an event uses of the customer's features, or why that cannot be told.
    async fn uses_of(
        &self,
        caller: &Caller,
        customer: &Customer,
        event: &NewEvent,
    ) -> Result<Result<Vec<Use>, String>, EngineError> {
        let parts = EventParts {
            id: event.id.clone(),
            source: event.source.clone(),
            event_type: event.event_type.clone(),
            subject: event.subject.clone(),
            time: event.time.unwrap_or_else(|| self.now()),
            data: event.data.clone(),
            extras: None,
        };
        let event = Event::from_store(parts);
        let meters: BTreeMap<MeterId, Meter> = self
            .state()
            .list_meters(caller.namespace(), false)
            .await?
            .into_iter()
            .filter(|meter| meter.event_type == event.event_type())
            .map(|meter| (meter.id, meter))
            .collect();
        let mut uses = Vec::new();
        for (key, access) in self.check_all(caller, &customer.id.to_string()).await? {
            let feature = match self.find_feature(caller, &key).await {
                // Nobody is given it any more, so nothing new can be said of it.
                Err(EngineError::NotFound { .. }) => continue,
                found => found?,
            };
            let Some(meter) = feature.meter.as_ref().and_then(|named| meters.get(&named.id)) else { continue };
            match units_of(meter, &feature, &event) {
                None => {}
                Some(Metered::Units(units)) => uses.push(Use { feature: key, units, access }),
                Some(Metered::Fault(why)) => {
                    return Ok(Err(format!("what the event uses of feature {key} cannot be told: {why}")));
                }
            }
        }
        Ok(Ok(uses))
    }

    async fn is_stored(&self, caller: &Caller, event: &NewEvent) -> Result<bool, EngineError> {
        let named = [(EventField::Id, &event.id), (EventField::Source, &event.source)];
        let query = EventQuery {
            namespace: caller.namespace().clone(),
            fields: named.map(|(field, text)| (field, Filter::Eq(text.clone()))).into(),
            time: None,
            ingested_at: None,
            after: None,
            limit: 1,
        };
        Ok(!self.read_events(move |events| events.list_histories(&query, None)).await?.is_empty())
    }
}

/// What an event of the meter's type uses of the feature; `None` when it uses nothing of it.
fn units_of(meter: &Meter, feature: &Feature, event: &Event) -> Option<Metered> {
    let data = event.data();
    let fits = |(name, filter): (&String, &Filter)| {
        meter.group_by.get(name).is_some_and(|path| filter.matches(&dimension_text(data, path)))
    };
    if !feature.filters.iter().all(fits) {
        return None;
    }
    match (&meter.judging, &meter.value_property) {
        (Some(judging), _) => judging.judge(event.view(), &LazyFacts::of(event.view())),
        _ if meter.event_from.is_some_and(|from| event.time() < from) => None,
        (None, Some(path)) if meter.aggregation != Aggregation::Count => {
            Some(numeric_value(data, path).map_or_else(|why| Metered::Fault(why.to_string()), Metered::Units))
        }
        (None, _) => Some(Metered::Units(Quantity::from_count(1))),
    }
}
