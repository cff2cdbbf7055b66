//! Paths with doubled slashes: clients whose host ends with a slash send them.

use crate::problem::Problem;
use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::response::{IntoResponse, Response};
use tallystick_http_kit::RequestId;
use tower::ServiceExt;

/// Answers a path that no route has: the route without its doubled slashes, if there is one.
pub(crate) async fn collapse(served: Router, request: Request) -> Response {
    let Some(uri) = collapsed(request.uri()) else { return Problem::no_such_route().into_response() };
    let (parts, body) = request.into_parts();
    let mut again = Request::new(body);
    *again.method_mut() = parts.method;
    *again.uri_mut() = uri;
    *again.headers_mut() = parts.headers;
    // What the first routing noted of the path does not hold any more.
    if let Some(id) = parts.extensions.get::<RequestId>() {
        again.extensions_mut().insert(id.clone());
    }
    match served.oneshot(again).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The address with single slashes; `None` if it has only such.
fn collapsed(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") {
        return None;
    }
    let mut single = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !single.ends_with('/') {
            single.push(c);
        }
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{single}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_of_the_path_are_single_and_the_query_stays() {
        let single = |text: &str| collapsed(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(single("/v1//meters///x?a=//b").as_deref(), Some("/v1/meters/x?a=//b"));
        assert_eq!(single("/v1/meters?a=//b"), None);
    }
}
