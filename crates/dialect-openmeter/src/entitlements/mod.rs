//! Entitlements in the shapes of the first version, by event subject, and of the second, by customer.
//!
//! Both are the same entitlements: a subject of the first version stands for the customer that it belongs to.

mod body;
pub(crate) mod customers;
mod history;
mod input;
pub(crate) mod list;
pub(crate) mod subjects;
mod usage_period;
pub(crate) mod value;

pub(crate) use usage_period::{PeriodBody, RecurrenceBody, RecurrenceInput};

use crate::door::{Caller, Door, PathTexts};
use crate::params::{Place, bound};
use crate::problem::{Problem, problem_answer};
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::subject::MAX_SUBJECT_KEY_BYTES;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response as Answer};

/// The longest name of an entitlement in a path: an id, or the key of its feature.
const MAX_NAME: usize = 256;

/// In whose shapes a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// By event subject.
    V1,
    /// By customer.
    V2,
}

/// The entitlement that a path names.
pub(crate) struct Named {
    /// Id or key of the customer.
    pub customer: String,
    /// Its id, or key or id of its feature.
    pub entitlement: String,
}

/// The id of the customer whose subject the path names.
pub(crate) async fn customer_of_subject(door: &Door, caller: &Caller, path: &PathTexts) -> Result<String, Problem> {
    let subject = path.get("subjectIdOrKey", MAX_SUBJECT_KEY_BYTES)?;
    Ok(door.engine.customer_of_subject(caller, subject).await?.id.to_string())
}

/// The entitlement that a path of the first version names. One of another customer is not found.
pub(crate) async fn of_subject(door: &Door, caller: &Caller, path: &PathTexts) -> Result<Named, Problem> {
    let name = if path.raw("entitlementId").is_empty() { "entitlementIdOrFeatureKey" } else { "entitlementId" };
    let entitlement = path.get(name, MAX_NAME)?.to_string();
    Ok(Named { customer: customer_of_subject(door, caller, path).await?, entitlement })
}

/// The entitlement that a path of the second version names. One of another customer is not found.
pub(crate) fn of_customer(path: &PathTexts) -> Result<Named, Problem> {
    let customer = path.get("customerIdOrKey", 256)?.to_string();
    Ok(Named { customer, entitlement: path.get("entitlementIdOrFeatureKey", MAX_NAME)?.to_string() })
}

/// Reads a date-time of a body.
pub(crate) fn body_instant(name: &str, text: Option<&str>) -> Result<Option<Instant>, Problem> {
    Ok(bound(Place::Body, name, text)?.map(|bound| bound.at))
}

/// Reads a priority of a body.
pub(crate) fn priority(name: &str, number: Option<i64>) -> Result<Option<u8>, Problem> {
    let Some(number) = number else { return Ok(None) };
    match u8::try_from(number) {
        Ok(priority @ 1..) => Ok(Some(priority)),
        _ => Err(Place::Body.refuse(name, "number must be at least 1 and at most 255")),
    }
}

/// 404, 409 and 412 where an entitlement is named.
pub(crate) struct NoEntitlement;

impl IntoResponses for NoEntitlement {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let answers = [
            ("404", "There is no such customer, subject, feature or entitlement."),
            (
                "409",
                "It contradicts what is stored. `extensions.conflictingEntityId` names an entitlement that is in force already.",
            ),
            ("412", "The customer or the subject is deleted, or the subject belongs to no customer."),
        ];
        answers.into_iter().map(|(status, text)| (status.to_string(), problem_answer(text).into())).collect()
    }
}
