//! All operations of the vendor's published API: those that are served have handlers of their own, the others answer 501.

use crate::door::{Caller, Door};
use crate::problem::{self, Problem, REFUSED};
use axum::routing::{MethodFilter, MethodRouter};
use std::collections::BTreeMap;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, PathItem, Required, ResponsesBuilder};
use utoipa_axum::PathItemExt;
use utoipa_axum::router::OpenApiRouter;

/// One line of `operations.txt`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// For example `GET`.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// The function of the vendor's Python client that calls it.
    pub id: &'static str,
}

/// All operations, as the vendor's published Python client has them, by path.
pub fn published() -> Vec<Published> {
    let parse = |line: &'static str| {
        let mut words = line.split_whitespace();
        Some(Published { method: words.next()?, path: words.next()?, id: words.next()? })
    };
    include_str!("../operations.txt").lines().filter_map(parse).collect()
}

/// Whether a document of the door has a handler for an operation, rather than the answer 501.
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

/// Adds a route and a description for every published operation that the router does not have.
pub(crate) fn with_unserved(mut router: OpenApiRouter<Door>) -> OpenApiRouter<Door> {
    let document = router.get_openapi();
    let is_missing = |operation: &Published| {
        let item = document.paths.paths.get(operation.path);
        item.and_then(|item| operation_of(item, operation.method)).is_none()
    };
    let mut missing: BTreeMap<(&str, &str), &'static str> = BTreeMap::new();
    let all = published();
    missing.extend(all.iter().filter(|operation| is_missing(operation)).map(|one| ((one.path, one.method), one.id)));
    for ((path, method), id) in missing {
        let Some((method, filter)) = method_of(method) else { continue };
        let handler = move |_: Caller| async move { Problem::not_served(id) };
        let mut paths = Paths::new();
        paths.add_path_operation(path, vec![method], description(path, id));
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
const OF_ALL: [&str; 5] = ["401", "405", "414", "429", "501"];

fn description(path: &str, id: &str) -> Operation {
    let answers = REFUSED.into_iter().filter(|(status, _)| OF_ALL.contains(status));
    let answers = answers.map(|(status, meaning)| (status, problem::answer(meaning)));
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters = names.map(|name| {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        parameter.required(Required::True).schema(Some(schema)).build()
    });
    OperationBuilder::new()
        .operation_id(Some(format!("togai_{id}")))
        .tag("Togai, not served")
        .summary(Some(format!("{id} (not served)")))
        .parameters(Some(parameters))
        .responses(ResponsesBuilder::new().responses_from_iter(answers))
        .build()
}
