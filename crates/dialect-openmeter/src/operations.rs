//! Every operation that the vendor publishes: the served ones have handlers, the others answer 501 and say so.

use crate::door::{Caller, Door};
use crate::problem::{Problem, Refused, problem_answer_of};
use axum::routing::{MethodFilter, MethodRouter};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::IntoResponses;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, PathItem, RefOr, Required, Response as Answer, ResponsesBuilder};
use utoipa_axum::PathItemExt;
use utoipa_axum::router::OpenApiRouter;

/// One line of `operations.txt`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// For example `GET`.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// The vendor's name; several operations can share a method and path.
    pub id: &'static str,
}

/// All operations of the first versions, as the vendor's published SDK has them, by path.
pub fn published() -> Vec<Published> {
    include_str!("../operations.txt").lines().filter_map(parse_line).collect()
}

/// All operations of the third version, as the vendor's client has them, by path.
pub fn published_v3() -> Vec<Published> {
    include_str!("../operations-v3.txt").lines().filter_map(parse_line).collect()
}

fn parse_line(line: &'static str) -> Option<Published> {
    let mut words = line.split_whitespace();
    Some(Published { method: words.next()?, path: words.next()?, id: words.next()? })
}

/// Whether a document has a handler for an operation, rather than the answer 501.
pub fn is_served(document: &OpenApi, published: &Published) -> bool {
    let item = document.paths.paths.get(published.path);
    let operation = item.and_then(|item| operation_of(item, published.method));
    operation.is_some_and(|operation| !operation.responses.responses.contains_key("501"))
}

fn operation_of<'a>(item: &'a PathItem, method: &str) -> Option<&'a Operation> {
    match method {
        "GET" => item.get.as_ref(),
        "POST" => item.post.as_ref(),
        "PUT" => item.put.as_ref(),
        "PATCH" => item.patch.as_ref(),
        "DELETE" => item.delete.as_ref(),
        _ => None,
    }
}

fn ids_of(item: &PathItem) -> impl Iterator<Item = String> {
    let operations = [&item.get, &item.post, &item.put, &item.patch, &item.delete];
    let ids: Vec<_> = operations.into_iter().flatten().filter_map(|operation| operation.operation_id.clone()).collect();
    ids.into_iter()
}

/// Adds a route and a description for every published operation that neither the router has nor `elsewhere`. `schema` is the
/// name of error bodies.
pub(crate) fn with_unserved(
    mut router: OpenApiRouter<Door>,
    published: &[Published],
    elsewhere: &[&OpenApi],
    schema: &str,
) -> OpenApiRouter<Door> {
    let mut missing: BTreeMap<(&str, &str), Vec<&'static str>> = BTreeMap::new();
    for operation in published {
        let documents = elsewhere.iter().copied().chain([router.get_openapi()]);
        let mut known = documents.filter_map(|document| document.paths.paths.get(operation.path));
        if !known.any(|item| operation_of(item, operation.method).is_some()) {
            missing.entry((operation.path, operation.method)).or_default().push(operation.id);
        }
    }
    // A document's operation ids are unique, the vendor's are not.
    let mut taken: BTreeSet<String> = router.get_openapi().paths.paths.values().flat_map(ids_of).collect();
    for ((path, method), ids) in missing {
        let Some((method, filter)) = method_of(method) else { continue };
        let names = ids.join(" / ");
        let handler = move |_: Caller| async move { Problem::not_served(&names) };
        let mut paths = Paths::new();
        paths.add_path_operation(path, vec![method], description(path, &ids, &mut taken, schema));
        router = router.routes((vec![], paths, MethodRouter::new().on(filter, handler)));
    }
    router
}

fn method_of(name: &str) -> Option<(HttpMethod, MethodFilter)> {
    let method = match name {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    };
    let filter = method.to_method_filter();
    Some((method, filter))
}

/// What an operation can answer whether it is served or not.
const OF_ALL: [&str; 4] = ["401", "405", "414", "429"];

fn description(path: &str, ids: &[&str], taken: &mut BTreeSet<String>, schema: &str) -> Operation {
    let first = ids.first().copied().unwrap_or_default();
    let numbered = (1..).map(|number| if number == 1 { first.to_string() } else { format!("{first}_{number}") });
    let id = numbered.into_iter().find(|id| taken.insert(id.clone()));
    let names = ids.join(", ");
    let answers = ResponsesBuilder::new()
        .responses_from_iter(answers_of_all(schema))
        .response("501", problem_answer_of("This version does not serve the operation.", schema));
    let parameters = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters = parameters.map(|name| {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        parameter.required(Required::True).schema(Some(schema)).build()
    });
    OperationBuilder::new()
        .operation_id(id)
        .tag("Not served")
        .summary(Some(format!("{names} (not served)")))
        .parameters(Some(parameters))
        .responses(answers)
        .extensions(Some(Extensions::builder().add("x-openmeter-operations", ids).build()))
        .build()
}

/// The answers of every operation, with the error body of this version of the API.
fn answers_of_all(schema: &str) -> impl Iterator<Item = (String, Answer)> {
    let of_all = Refused::responses().into_iter().filter(|(status, _)| OF_ALL.contains(&status.as_str()));
    of_all.filter_map(move |(status, answer)| match answer {
        RefOr::T(answer) => Some((status, problem_answer_of(&answer.description, schema))),
        RefOr::Ref(_) => None,
    })
}
