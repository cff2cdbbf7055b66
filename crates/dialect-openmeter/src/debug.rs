//! `GET /api/v1/debug/metrics`: what arrived today, in the text form of OpenMetrics.

use crate::door::{Caller, Door};
use crate::problem::{Problem, Refused};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::fmt::Write;

const HEAD: &str = "# HELP openmeter_events Number of ingested events\n\
                    # TYPE openmeter_events counter\n\
                    # UNIT openmeter_events events\n";

/// Count today's events
///
/// The number of events of each subject whose time is today (UTC) or later. `/metrics` is for watching the server.
#[utoipa::path(
    get,
    path = "/api/v1/debug/metrics",
    operation_id = "debug_metrics",
    tag = "Info",
    responses((status = 200, description = "The counts.", body = String, content_type = "text/plain"), Refused),
)]
pub(crate) async fn metrics(caller: Caller, State(door): State<Door>) -> Result<Response, Problem> {
    let mut text = String::from(HEAD);
    for (subject, count) in door.engine.events_of_today(&caller).await? {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "openmeter_events_total{{subject=\"{}\"}} {count}.0", escaped(&subject));
    }
    Ok(([(CONTENT_TYPE, "text/plain")], text).into_response())
}

/// A text inside of the quotes of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_ends_where_its_text_does() {
        assert_eq!(escaped("a\"} 9\n\\b"), "a\\\"} 9\\n\\\\b");
    }
}
