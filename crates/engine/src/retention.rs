//! How long events are kept: a rule per namespace and type, applied by a loop of the workers and by an operator.

use crate::engine::Engine;
use crate::error::EngineError;
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{Expirable, QueryError, StoreError};

/// Events of a type are kept for so long after their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Whose events.
    pub namespace: Namespace,
    /// Which type of events.
    pub event_type: String,
    /// For how long, in microseconds.
    pub keep_us: i64,
}

/// What a rule means at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The rule.
    pub rule: RetentionRule,
    /// Events before this do not count any more, if there was a cut-off before.
    pub cut_off: Option<Instant>,
    /// What the rule makes of it now.
    pub next_cut_off: Instant,
    /// What goes with that.
    pub expirable: Expirable,
}

impl Engine {
    /// What every rule would take away now. Nothing is changed.
    pub async fn review_retention(&self) -> Result<Vec<Retention>, EngineError> {
        let now = self.now();
        let mut reviewed = Vec::new();
        for rule in self.config().retention.clone() {
            let next_cut_off = now.saturating_add_micros(-rule.keep_us);
            let asked = rule.clone();
            let (cut_off, expirable) = self
                .read_events(move |events| {
                    let expirable = events.expire_dry_run(&asked.namespace, &asked.event_type, next_cut_off)?;
                    Ok((events.cut_off(&asked.namespace, &asked.event_type), expirable))
                })
                .await?;
            reviewed.push(Retention { rule, cut_off, next_cut_off, expirable });
        }
        Ok(reviewed)
    }

    /// Applies every rule: events older than it keeps do not count any more, for good. Returns how many rules there are.
    pub async fn apply_retention(&self) -> Result<usize, EngineError> {
        let now = self.now();
        let rules = self.config().retention.clone();
        let count = rules.len();
        if count == 0 {
            return Ok(0);
        }
        self.read_events(move |events| {
            for RetentionRule { namespace, event_type, keep_us } in &rules {
                let before = now.saturating_add_micros(-keep_us);
                let expired = events.expire(namespace, event_type, before);
                expired.map_err(|error| QueryError::Store(StoreError::Stopped { reason: error.to_string() }))?;
            }
            Ok(count)
        })
        .await
    }
}
