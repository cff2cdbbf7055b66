//! Requests that a sender names with a key, so that it can send them again: done once, and answered the same each time.
//!
//! What a caller does while it holds a key marks the key in the transaction that writes (`Caller::writer`). So a crash between
//! the write and its answer cannot lead to a second write: who sends the request again is told that the answer is lost.
//! Events need no mark, as their identities make them safe to send again.

use crate::caller::Caller;
use crate::clock::random_bytes;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::keys::hex;
use tallystick_domain::Instant;
use tallystick_domain::idempotency::IdempotencyKey;
pub use tallystick_state_store::KeptAnswer;
use tallystick_state_store::{Reservation, Reserved};

/// How long a request may take before another attempt may take its place. One that takes longer loses its key, and can
/// write nothing any more.
const LEASE_US: i64 = 60_000_000;

/// What is to be done with a request that has a key.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// It is new: do it as this caller, then [`Engine::keep_answer`] or [`Engine::give_back`].
    Do(Caller),
    /// It was done: this was the answer.
    Answered(KeptAnswer),
    /// The key stands for another request.
    OtherRequest,
    /// The same request is being done.
    InFlight,
    /// It was done, and its answer is not known any more.
    AnswerLost,
}

impl Engine {
    /// Tries to take a key of the caller's for a request, which its fingerprint identifies. Other callers' keys are other keys.
    pub async fn attempt(
        &self,
        caller: &Caller,
        key: IdempotencyKey,
        fingerprint: &[u8],
    ) -> Result<Attempt, EngineError> {
        let random: [u8; 16] = random_bytes().map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let reservation = Reservation {
            namespace: caller.namespace().clone(),
            actor: caller.actor().to_string(),
            key,
            process: self.process().to_string(),
            attempt: hex(&random),
        };
        let (now, fingerprint) = (self.clock().now(), hex(fingerprint));
        let lease_until = now.saturating_add_micros(LEASE_US);
        let reserving = self.state().reserve(&reservation, &fingerprint, now, lease_until, self.kept_until(now));
        Ok(match reserving.await? {
            Reserved::Held => Attempt::Do(caller.holding(reservation)),
            Reserved::Answered(answer) => Attempt::Answered(answer),
            Reserved::OtherRequest => Attempt::OtherRequest,
            Reserved::InFlight => Attempt::InFlight,
            Reserved::AnswerLost => Attempt::AnswerLost,
        })
    }

    /// Keeps the answer to what the caller's key stands for.
    pub async fn keep_answer(&self, caller: &Caller, answer: &KeptAnswer) -> Result<(), EngineError> {
        let Some(reservation) = caller.reservation() else { return Ok(()) };
        let until = self.kept_until(self.clock().now());
        Ok(self.state().keep_answer(reservation, answer, until).await?)
    }

    /// Gives the caller's key back, so that the request is done again when it is sent again. A key for which something was
    /// written stays taken.
    pub async fn give_back(&self, caller: &Caller) -> Result<(), EngineError> {
        let Some(reservation) = caller.reservation() else { return Ok(()) };
        Ok(self.state().give_back(reservation).await?)
    }

    /// Forgets keys that were kept long enough, and says how many. For the worker.
    pub async fn forget_idempotency_keys(&self) -> Result<u64, EngineError> {
        Ok(self.state().forget_idempotency_keys(self.clock().now()).await?)
    }

    /// The longest answer that is kept, in bytes.
    pub fn answer_bytes(&self) -> usize {
        self.config().idempotency.answer_bytes
    }

    fn kept_until(&self, from: Instant) -> Instant {
        from.saturating_add_micros(self.config().idempotency.keep_us)
    }
}
