//! What makes a request the same request: a hash, so that nothing of it is kept.

use crate::refusal::Refusal;
use axum::body::Bytes;
use axum::extract::OriginalUri;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use sha2::{Digest, Sha256};

/// The hash of a request.
pub(super) type Fingerprint = [u8; 32];

/// CloudEvents in binary mode carry the event's identity in headers that begin so.
const EVENT_HEADERS: &str = "ce-";
/// Larger bodies are hashed beside the async threads.
const ASIDE_BYTES: usize = 1 << 20;

/// Method, path with query, what the headers say of the body, and the body as it was sent.
pub(super) async fn of(parts: &Parts, sent: Bytes) -> Result<Fingerprint, Refusal> {
    let mut hash = Sha256::new();
    // A dialect that is mounted under a prefix sees only the rest of the path.
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    add(&mut hash, parts.method.as_str().as_bytes());
    add(&mut hash, path.as_bytes());
    for (name, value) in describing(&parts.headers) {
        add(&mut hash, name.as_bytes());
        add(&mut hash, value);
    }
    if sent.len() < ASIDE_BYTES {
        return Ok(with_body(hash, &sent));
    }
    tokio::task::spawn_blocking(move || with_body(hash, &sent)).await.map_err(|_| Refusal::Panicked)
}

fn with_body(mut hash: Sha256, sent: &[u8]) -> Fingerprint {
    add(&mut hash, sent);
    hash.finalize().into()
}

/// Each part with its length before it, so that no two lists of parts give the same bytes.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}

/// The headers that say what the body is, or are a part of it, by name.
fn describing(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let matters = |name: &str| name == CONTENT_TYPE || name == CONTENT_ENCODING || name.starts_with(EVENT_HEADERS);
    let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut found: Vec<_> = all.filter(|(name, _)| matters(name)).collect();
    found.sort_by_key(|(name, _)| *name);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn fingerprint(method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Fingerprint {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        of(&request.body(()).unwrap().into_parts().0, body.into()).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_is_another_one_when_anything_differs_that_matters() {
        let large = vec![b'x'; ASIDE_BYTES];
        type Sent<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);
        let requests: &[Sent<'_>] = &[
            ("POST", "/a", &[("content-type", "x")], b"1"),
            ("PUT", "/a", &[("content-type", "x")], b"1"),
            ("POST", "/a?", &[("content-type", "x")], b"1"),
            ("POST", "/a?b=c", &[("content-type", "x")], b"1"),
            ("POST", "/a", &[("content-type", "y")], b"1"),
            ("POST", "/a", &[], b"1"),
            ("POST", "/a", &[("content-type", "x"), ("content-encoding", "gzip")], b"1"),
            ("POST", "/a", &[("content-type", "x"), ("ce-id", "1")], b"1"),
            ("POST", "/a", &[("content-type", "x"), ("ce-id", "2")], b"1"),
            ("POST", "/a", &[("content-type", "x")], b""),
            ("POST", "/a", &[("content-type", "x1")], b""),
            ("POST", "/a", &[("content-type", "x")], &large),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for (method, path, headers, body) in requests {
            assert!(
                seen.insert(fingerprint(method, path, headers, body.to_vec()).await),
                "{method} {path} {headers:?}"
            );
        }
        let first = fingerprint("POST", "/a", &[("content-type", "x")], b"1".to_vec()).await;
        let others = [("accept", "b"), ("content-type", "x"), ("x-request-id", "7"), ("authorization", "Bearer k")];
        assert_eq!(fingerprint("POST", "/a", &others, b"1".to_vec()).await, first);
    }
}
