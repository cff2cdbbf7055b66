//! Error bodies of the third version: `application/problem+json` with everything that is wrong in `invalid_parameters`.

use super::faults::{InvalidParameter, in_words};
use crate::problem::{Problem, ValidationError, instance, problem_answer_of};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_http_kit::RequestId;
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

/// The name of the body in the document.
pub(crate) const SCHEMA: &str = "V3Problem";

/// An error body.
#[derive(Serialize, ToSchema)]
#[schema(as = V3Problem)]
pub(crate) struct Body<'a> {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status.
    status: u16,
    /// What was wrong, and what to do.
    detail: String,
    /// `urn:request:` and the request's id, which the log has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Everything that is wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invalid_parameters: Vec<InvalidParameter>,
}

/// Draws a problem as this version does.
pub(crate) fn draw(problem: &Problem, request_id: Option<&RequestId>) -> Response {
    let status = match problem.status {
        StatusCode::PRECONDITION_FAILED => StatusCode::GONE,
        other => other,
    };
    let invalid_parameters = match problem.parameters.is_empty() {
        true => problem.faults.iter().map(invalid_parameter).collect(),
        false => problem.parameters.clone(),
    };
    let detail = match (invalid_parameters.is_empty(), &problem.text) {
        (false, _) => in_words(&invalid_parameters),
        (true, Some(text)) => in_our_words(text),
        (true, None) => without_text(status).to_string(),
    };
    let body = Body {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
        instance: request_id.map(instance),
        invalid_parameters,
    };
    problem.answer(status, body)
}

fn without_text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "there is no such operation",
        StatusCode::METHOD_NOT_ALLOWED => "the path has no such method; the Allow header names those it has",
        _ => "the server failed; its log has the details under the request's id",
    }
}

fn invalid_parameter(fault: &ValidationError) -> InvalidParameter {
    let field = fault.field.trim_start_matches('$').trim_start_matches('.');
    let field = in_our_words(if field.is_empty() { "body" } else { field });
    let source = if field.starts_with("filter[") { "query" } else { "body" };
    let rule = match fault.code {
        Some("required") => "required",
        Some("wrong_type") if field.ends_with("data") => "is_object",
        Some("wrong_type") => "is_string",
        Some("not_an_object") => "is_object",
        Some("invalid_time") => "is_date_time",
        _ => "invalid",
    };
    InvalidParameter::new(field, source, rule, in_our_words(&fault.message))
}

/// The words of the first versions that the engine's faults are told in, and what this version calls the same.
const WORDS: [(&str, &str); 24] = [
    ("usageAttribution.subjectKeys", "usage_attribution.subject_keys"),
    ("advancedMeterGroupByFilters", "meter.filters"),
    ("filterGroupBy", "filters.dimensions"),
    ("customerId", "filter[customer_id]"),
    ("valueProperty", "value_property"),
    ("eventType", "event_type"),
    ("eventFrom", "events_from"),
    ("group by filter", "dimension filter"),
    ("group by key", "dimension"),
    ("meter group by", "dimension"),
    ("group by", "dimension"),
    ("groupBy.", "dimensions."),
    ("groupBy", "group_by_dimensions"),
    ("primaryEmail", "primary_email"),
    ("billingAddress", "billing_address"),
    ("postalCode", "postal_code"),
    ("phoneNumber", "phone_number"),
    ("unitCost", "unit_cost"),
    ("providerProperty", "provider_property"),
    ("modelProperty", "model_property"),
    ("tokenTypeProperty", "token_type_property"),
    ("tokenType", "token_type"),
    ("meterSlug", "meter.id"),
    ("slug", "key"),
];

/// A text with the words of this version; what is quoted is the user's own and stays.
fn in_our_words(text: &str) -> String {
    let parts = text.split('"').enumerate().map(|(number, part)| match number % 2 {
        0 => WORDS.iter().fold(part.to_string(), |text, (old, new)| text.replace(old, new)),
        _ => part.to_string(),
    });
    parts.collect::<Vec<_>>().join("\"")
}

/// The answers that every operation of this version can give, for the document.
pub(crate) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let same = crate::problem::Refused::responses().into_iter().filter_map(|(status, answer)| match answer {
            RefOr::T(answer) => Some((status, RefOr::T(problem_answer_of(&answer.description, SCHEMA)))),
            RefOr::Ref(_) => None,
        });
        same.collect()
    }
}

/// 404 where something is named, for the document.
pub(crate) struct Missing;

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let answer = problem_answer_of("There is no such thing in the key's namespace.", SCHEMA);
        BTreeMap::from([("404".to_string(), answer.into())])
    }
}

/// 409 where something is stored, for the document.
pub(crate) struct Taken;

impl IntoResponses for Taken {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let answer = problem_answer_of("It contradicts what is stored; the detail says what.", SCHEMA);
        BTreeMap::from([("409".to_string(), answer.into())])
    }
}

/// 410 where something that was deleted would be changed, for the document.
pub(crate) struct Gone;

impl IntoResponses for Gone {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let answer = problem_answer_of("It is deleted.", SCHEMA);
        BTreeMap::from([("410".to_string(), answer.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_become_ours_and_the_users_stay() {
        for (theirs, ours) in [
            ("slug \"slug\" is not valid", "key \"slug\" is not valid"),
            ("valueProperty is required", "value_property is required"),
            ("groupBy.model", "dimensions.model"),
            ("groupBy", "group_by_dimensions"),
            ("unitCost.tokenTypeProperty", "unit_cost.token_type_property"),
            ("group by key \"a-b\" is not valid", "dimension \"a-b\" is not valid"),
        ] {
            assert_eq!(in_our_words(theirs), ours);
        }
    }
}
