//! The operations that the vendor publishes: some are served, the others answer 404.

use utoipa::openapi::OpenApi;

/// One line of `operations.txt`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// For example `GET`.
    pub method: &'static str,
    /// With its parameters in braces, behind `/v1`.
    pub path: &'static str,
    /// The function of the vendor's client.
    pub id: &'static str,
}

/// All operations of the vendor's published client, by path.
pub fn published() -> Vec<Published> {
    let read = |line: &'static str| {
        let mut words = line.split_whitespace();
        Some(Published { method: words.next()?, path: words.next()?, id: words.next()? })
    };
    include_str!("../operations.txt").lines().filter_map(read).collect()
}

/// Whether a document of this door has a handler for an operation.
pub fn is_served(document: &OpenApi, published: &Published) -> bool {
    let Some(item) = document.paths.paths.get(&format!("/v1{}", published.path)) else { return false };
    match published.method {
        "GET" => item.get.is_some(),
        "POST" => item.post.is_some(),
        "PATCH" => item.patch.is_some(),
        "DELETE" => item.delete.is_some(),
        _ => false,
    }
}
