//! What the document says of every operation that writes: it takes an `Idempotency-Key`.

use crate::problem::problem_answer_of;
use crate::v3;
use tallystick_domain::idempotency::MAX_IDEMPOTENCY_KEY;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

/// The paths whose POST only reads: it takes no key.
pub(crate) const READING_POSTS: &[&str] = &[
    "/api/v1/meters/{meterIdOrSlug}/query",
    "/api/v3/openmeter/meters/{meterId}/query",
    "/api/v3/openmeter/entitlement-access/query",
];

/// The paths whose answer shows a secret that is not shown again.
pub(crate) const SECRET_ANSWERS: &[&str] = &["/api/v1/portal/tokens"];

/// A key as it is, or in double quotes with a backslash before quotes and backslashes.
const PATTERN: &str = r#"^("([!#-\[\]-~]|\\["\\]){1,255}"|[!#-~][!-~]{0,254})$"#;
const IN_FLIGHT: &str =
    "The first request with this Idempotency-Key is still being done, or was done and its answer is lost.";
const REUSED: &str = "The Idempotency-Key was sent with another request before.";

/// Adds the header and its answers to every served operation that writes.
pub(crate) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let problem = if path.starts_with("/api/v3/") { v3::PROBLEM } else { "Problem" };
        let post = item.post.as_mut().filter(|_| !READING_POSTS.contains(&path.as_str()));
        let writing = [post, item.put.as_mut(), item.patch.as_mut(), item.delete.as_mut()];
        for operation in writing.into_iter().flatten().filter(|operation| is_served(operation)) {
            operation.parameters.get_or_insert_default().push(RefOr::T(key_parameter()));
            add_answer(operation, "409", IN_FLIGHT, problem);
            add_answer(operation, "422", REUSED, problem);
        }
    }
}

fn is_served(operation: &Operation) -> bool {
    !operation.responses.responses.contains_key("501")
}

fn key_parameter() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(PATTERN)).build();
    let description = format!(
        "A name for this request, 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters. Sent again with the same name, it is not done \
         again: the first answer comes again, with the header Idempotency-Replayed."
    );
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// Adds what a status can mean besides what it means already.
fn add_answer(operation: &mut Operation, status: &str, text: &str, problem: &str) {
    let answers = &mut operation.responses.responses;
    match answers.get_mut(status) {
        Some(RefOr::T(answer)) => answer.description = format!("{} {text}", answer.description),
        Some(RefOr::Ref(_)) => {}
        None => drop(answers.insert(status.to_string(), RefOr::T(problem_answer_of(text, problem)))),
    }
}
