//! Compressed bodies: read, bounded, or refused by name.

use crate::support::{Door, EVENT};
use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use axum::body::Body;
use tallystick_engine::Limits;
use tallystick_http_kit::HttpLimits;
use tokio::io::AsyncWriteExt;

const ONE: &str = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"}"#;

async fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(plain).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

async fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZstdEncoder::new(Vec::new());
    encoder.write_all(plain).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

async fn send(door: &Door, encoding: &str, body: impl Into<Body>) -> crate::support::Answer {
    let headers = [("content-type", EVENT), ("content-encoding", encoding)];
    door.call("POST", "/api/v1/events", &headers, body).await
}

#[tokio::test]
async fn gzip_and_zstd_are_read() {
    for (encoding, body) in [
        ("gzip", gzip(ONE.as_bytes()).await),
        ("x-gzip", gzip(ONE.as_bytes()).await),
        ("GZIP", gzip(ONE.as_bytes()).await),
        ("zstd", zstd(ONE.as_bytes()).await),
        ("identity", ONE.as_bytes().to_vec()),
        ("", ONE.as_bytes().to_vec()),
    ] {
        let door = Door::open().await;
        send(&door, encoding, body).await.expect(204);
        assert_eq!(door.ids().await, ["1"], "{encoding}");
    }
}

#[tokio::test]
async fn all_members_of_a_body_are_read() {
    let (start, end) = ONE.as_bytes().split_at(20);
    for (encoding, body) in [
        ("gzip", [gzip(start).await, gzip(end).await].concat()),
        ("zstd", [zstd(start).await, zstd(end).await].concat()),
    ] {
        let door = Door::open().await;
        send(&door, encoding, body).await.expect(204);
        assert_eq!(door.ids().await, ["1"], "{encoding}");
    }
}

#[tokio::test]
async fn a_broken_body_is_refused() {
    let door = Door::open().await;
    for (encoding, good) in [("gzip", gzip(ONE.as_bytes()).await), ("zstd", zstd(ONE.as_bytes()).await)] {
        let cut = good[..good.len() - 4].to_vec();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0xff;
        let trailing = [good.clone(), b"junk".to_vec()].concat();
        for (what, body) in
            [("plain", ONE.as_bytes().to_vec()), ("cut", cut), ("flipped", flipped), ("trailing", trailing)]
        {
            let answer = send(&door, encoding, body).await;
            assert_eq!(answer.status, 400, "{encoding} {what}: {}", answer.text);
            let expected = format!("request body has an error: the body is not valid {encoding}: ");
            // A flipped byte may decode to other text; then the text is refused.
            assert!(what == "flipped" || answer.detail().starts_with(&expected), "{what}: {}", answer.detail());
        }
    }
    assert_eq!(door.ids().await.len(), 0);
}

#[tokio::test]
async fn other_and_nested_encodings_are_refused() {
    let door = Door::open().await;
    for encoding in ["br", "deflate", "gzip, gzip", "gzip,zstd", "identity, gzip", "nonsense"] {
        let answer = send(&door, encoding, ONE).await.expect(415);
        assert!(answer.detail().contains("use gzip, zstd or none"), "{}", answer.detail());
    }
    let headers = [("content-type", EVENT), ("content-encoding", "gzip"), ("content-encoding", "gzip")];
    door.call("POST", "/api/v1/events", &headers, gzip(&gzip(ONE.as_bytes()).await).await).await.expect(415);
}

fn small() -> HttpLimits {
    HttpLimits { sent_body_bytes: 10_000, body_bytes: 50_000, ..HttpLimits::default() }
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit_and_says_so() {
    let door = Door::open_with(Limits::default(), small()).await;
    let zeros = vec![b' '; 8 << 20];
    for (encoding, bomb) in [("gzip", gzip(&zeros).await), ("zstd", zstd(&zeros).await)] {
        assert!(bomb.len() < 10_000, "the bomb must pass the first limit: {}", bomb.len());
        let answer = send(&door, encoding, bomb).await.expect(413);
        assert!(answer.detail().contains("the body is larger than 50000 bytes"), "{}", answer.detail());
    }
}

#[tokio::test]
async fn each_limit_is_exact_and_named() {
    let door = Door::open_with(Limits::default(), small()).await;
    let padded = |length: usize| format!("{ONE}{}", " ".repeat(length - ONE.len()));
    door.ingest(EVENT, padded(50_000)).await.expect(204);
    let answer = door.ingest(EVENT, padded(50_001)).await.expect(413);
    assert!(answer.detail().starts_with("request entity too large error: the body is larger than 50000 bytes"));
    for (encoding, fits) in
        [("gzip", gzip(padded(50_000).as_bytes()).await), ("zstd", zstd(padded(50_000).as_bytes()).await)]
    {
        send(&door, encoding, fits).await.expect(204);
    }
    // Noise does not compress.
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    })
    .take(12_000)
    .collect();
    for (encoding, body) in [("gzip", gzip(&noise).await), ("zstd", zstd(&noise).await)] {
        assert!(body.len() > 10_000);
        let answer = send(&door, encoding, body).await.expect(413);
        assert!(answer.detail().contains("the compressed body is larger than 10000 bytes"), "{}", answer.detail());
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_anything_is_read() {
    let door = Door::open_with(Limits::default(), small()).await;
    let unread = Body::from_stream(futures_util::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Vec<u8>, std::io::Error>>> { panic!("the body was read") },
    ));
    let headers = [("content-type", EVENT), ("content-length", "1000000000"), ("expect", "100-continue")];
    door.call("POST", "/api/v1/events", &headers, unread).await.expect(413);
}
