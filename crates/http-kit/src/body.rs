//! Request bodies: bounded as sent, bounded once decompressed, bounded in time.

use crate::limits::HttpLimits;
use crate::refusal::Refusal;
use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

/// The largest window that a zstd frame may ask the decoder to hold, as RFC 9659 allows for content: 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;
/// How much of a refused body is still read, so that a sender who writes first and reads later gets the answer.
const DRAIN_BYTES: u64 = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Reads a body whole. A body that decompresses to more than the limit is refused when the limit is reached, not when it
/// ends.
pub async fn read(headers: &HeaderMap, body: Body, limits: &HttpLimits) -> Result<Bytes, Refusal> {
    let encoding = encoding_of(headers)?;
    let announced = announced_length(headers);
    if let (Encoding::Identity, Some(length)) =
        (encoding, announced.filter(|length| *length <= limits.body_bytes as u64))
    {
        // The usual body: the connection itself ends it at its length, so it is taken as it comes.
        let whole = tokio::time::timeout(limits.body_timeout, collect(body, length as usize)).await;
        return whole.unwrap_or(Err(Refusal::BodyTimeout(limits.body_timeout)));
    }
    let mut sent = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let read = match announced_too_large(announced, encoding, limits) {
        Some(refusal) => Err(refusal),
        None => match tokio::time::timeout(limits.body_timeout, decode(&mut sent, encoding, limits)).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::BodyTimeout(limits.body_timeout)),
        },
    };
    // A sender that waits for `100 Continue` has not sent anything and must not be invited to.
    if matches!(read, Err(Refusal::BodyTooLarge { .. })) && !headers.contains_key(EXPECT) {
        tokio::spawn(drain(sent));
    }
    read
}

/// Reads a body whole as it was sent, compressed or not.
pub(crate) async fn read_as_sent(headers: &HeaderMap, body: Body, limits: &HttpLimits) -> Result<Bytes, Refusal> {
    let encoding = encoding_of(headers)?;
    // Compression is the handler's affair, and so is what it unpacks to.
    let mut plain = headers.clone();
    plain.remove(CONTENT_ENCODING);
    let as_sent = HttpLimits { body_bytes: sent_limit(encoding, limits), ..limits.clone() };
    read(&plain, body, &as_sent).await.map_err(|refusal| match refusal {
        Refusal::BodyTooLarge { .. } => sent_too_large(encoding, limits),
        other => other,
    })
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(Encoding::Identity) };
    let text = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    match text.as_str() {
        _ if values.next().is_some() => Err(Refusal::UnsupportedEncoding(format!("{text}, …"))),
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => Err(Refusal::UnsupportedEncoding(text.chars().take(64).collect())),
    }
}

/// The most bytes that may be sent.
fn sent_limit(encoding: Encoding, limits: &HttpLimits) -> usize {
    match encoding {
        Encoding::Identity => limits.body_bytes,
        Encoding::Gzip | Encoding::Zstd => limits.sent_body_bytes,
    }
}

/// The refusal of a body that was sent with more bytes than that.
fn sent_too_large(encoding: Encoding, limits: &HttpLimits) -> Refusal {
    let (what, option) = match encoding {
        Encoding::Identity => ("body", "limits.body_bytes"),
        Encoding::Gzip | Encoding::Zstd => ("compressed body", "limits.compressed_body_bytes"),
    };
    Refusal::BodyTooLarge { what, option, limit: sent_limit(encoding, limits) }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn announced_too_large(announced: Option<u64>, encoding: Encoding, limits: &HttpLimits) -> Option<Refusal> {
    (announced? > sent_limit(encoding, limits) as u64).then(|| sent_too_large(encoding, limits))
}

/// A body whose length was announced. One that comes in one piece is not copied.
async fn collect(mut body: Body, length: usize) -> Result<Bytes, Refusal> {
    let mut whole = Bytes::new();
    let mut parts = Vec::new();
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        let frame = frame.map_err(|error| Refusal::BodyInterrupted(error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        if whole.len() + parts.len() + piece.len() > length {
            return Err(Refusal::BodyInterrupted("it is longer than its Content-Length".into()));
        }
        if whole.is_empty() && parts.is_empty() {
            whole = piece;
            continue;
        }
        if parts.is_empty() {
            parts.reserve_exact(length);
            parts.extend_from_slice(&std::mem::take(&mut whole));
        }
        parts.extend_from_slice(&piece);
    }
    Ok(if parts.is_empty() { whole } else { parts.into() })
}

async fn decode<R: AsyncBufRead + Unpin>(
    sent: &mut R,
    encoding: Encoding,
    limits: &HttpLimits,
) -> Result<Bytes, Refusal> {
    let mut bounded = sent.take(sent_limit(encoding, limits) as u64 + 1);
    let decoded = match encoding {
        Encoding::Identity => read_at_most(&mut bounded, limits.body_bytes).await,
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(&mut bounded);
            // A body of several members is one body; stopping at the first would drop events in silence.
            decoder.multiple_members(true);
            read_at_most(&mut decoder, limits.body_bytes).await
        }
        Encoding::Zstd => {
            let parameters = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
            let mut decoder = ZstdDecoder::with_params(&mut bounded, &parameters);
            decoder.multiple_members(true);
            read_at_most(&mut decoder, limits.body_bytes).await
        }
    };
    if bounded.limit() == 0 {
        return Err(sent_too_large(encoding, limits));
    }
    match decoded {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(sent_too_large(Encoding::Identity, limits)),
        Err(error) => Err(broken(encoding, &error)),
    }
}

/// Everything up to the end; `None` when there is more than `limit` bytes.
async fn read_at_most<R: AsyncRead + Unpin>(reader: &mut R, limit: usize) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes).await?;
    Ok((bytes.len() <= limit).then(|| bytes.into()))
}

fn broken(encoding: Encoding, error: &io::Error) -> Refusal {
    // What the connection reports is wrapped; what a decoder reports is not.
    let from_connection = error.get_ref().is_some_and(|inner| inner.is::<axum::Error>());
    match encoding {
        Encoding::Gzip if !from_connection => Refusal::BadEncoding { encoding: "gzip", reason: error.to_string() },
        Encoding::Zstd if !from_connection => Refusal::BadEncoding { encoding: "zstd", reason: error.to_string() },
        _ => Refusal::BodyInterrupted(error.to_string()),
    }
}

async fn drain<R: AsyncBufRead + Unpin>(sent: R) {
    let mut rest = sent.take(DRAIN_BYTES);
    let discard = async {
        while let Ok(chunk) = rest.fill_buf().await {
            let length = chunk.len();
            if length == 0 {
                return;
            }
            rest.consume(length);
        }
    };
    // The answer is on its way; how far the draining came does not matter.
    drop(tokio::time::timeout(DRAIN_TIME, discard).await);
}
