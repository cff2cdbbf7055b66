//! The product's server over the whole data set, asked through HTTP.

use crate::data::ASKED_SUBJECT;
use crate::data::{DAY_MS, DAYS, START_MS, TYPES, subject_name, type_name};
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A client of the server, with one connection.
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    /// Of the server at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self { agent: ureq::Agent::new_with_defaults(), base: format!("http://{address}/api/v1") }
    }

    /// Makes a meter of the sum of tokens for every type, and one of unique users.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn make_meters(&self) -> Result<()> {
        for of in 0..TYPES {
            let name = type_name(of);
            self.make_meter(&format!(
                r#"{{"slug":"tokens_{name}","eventType":"{name}","aggregation":"SUM","valueProperty":"$.tokens","groupBy":{{"model":"$.model"}}}}"#
            ))?;
            self.make_meter(&format!(
                r#"{{"slug":"users_{name}","eventType":"{name}","aggregation":"UNIQUE_COUNT","valueProperty":"$.user"}}"#
            ))?;
        }
        Ok(())
    }

    fn make_meter(&self, json: &str) -> Result<()> {
        let request = self.agent.post(format!("{}/meters", self.base)).header("content-type", "application/json");
        request.send(json).with_context(|| format!("cannot make the meter {json}"))?;
        Ok(())
    }

    /// Asks a meter; how long the answer took and how many bytes it has.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn query(&self, slug: &str, parameters: &str) -> Result<(Duration, usize)> {
        let url = format!("{}/meters/{slug}/query?{parameters}", self.base);
        let begun = Instant::now();
        let text = self.agent.get(&url).call().with_context(|| url.clone())?.body_mut().read_to_string()?;
        Ok((begun.elapsed(), text.len()))
    }
}

/// Parameters of a query that a page of one customer makes: a month of days of one subject.
pub fn one_subject() -> String {
    let subject = subject_name(ASKED_SUBJECT);
    format!("windowSize=DAY&subject={subject}&{}", period())
}

/// Parameters of a query that an overview makes: a month of days by model.
pub fn day_and_model() -> String {
    format!("windowSize=DAY&groupBy=model&{}", period())
}

fn period() -> String {
    let text = |ms: i64| {
        let (year, month, day) = crate::data::civil(ms / DAY_MS);
        format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
    };
    format!("from={}&to={}", text(START_MS), text(START_MS + DAYS * DAY_MS))
}
