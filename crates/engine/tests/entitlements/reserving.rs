//! Reservations: what is held back, by how many, and for how long.

use crate::place::{DAY, HOUR, MINUTE, Place, event, hard, numbers, q, start};
use std::sync::Arc;
use tallystick_domain::entitlement::{KindDraft, MeteredDraft, Outcome, Reservation, ReservationDraft};
use tallystick_domain::time::Interval;
use tallystick_engine::{Access, EngineError, Limits};

const SECOND: i64 = 1_000_000;

impl Place {
    async fn reserve(&self, amount: &str, life_us: Option<i64>) -> Result<Reservation, EngineError> {
        let draft = ReservationDraft { amount: q(amount), life_us };
        self.engine.reserve(&self.caller, "acme", "sum", draft).await
    }

    async fn commit(&self, made: &Reservation, id: &str, value: &str) -> Result<Reservation, EngineError> {
        let usage = event(id, "acme-2", self.now(), value);
        self.engine.commit_reservation(&self.caller, "acme", "sum", &made.id.to_string(), usage).await
    }

    async fn release(&self, made: &Reservation) -> Result<Reservation, EngineError> {
        self.engine.release_reservation(&self.caller, "acme", "sum", &made.id.to_string()).await
    }

    /// What is held back, and whether there is access.
    async fn held(&self) -> (String, bool) {
        let Access::Metered(access) = self.value("sum").await else { panic!("not metered") };
        (access.reserved.to_string(), access.has_access())
    }
}

fn left(outcome: Result<Reservation, EngineError>) -> String {
    match outcome {
        Err(EngineError::NotEnough { left }) => left.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_clients_one_gets_the_last_unit() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("3")), Interval::MONTH).await;
    place.send("acme", start(), "2").await;
    let engine = Arc::new(place.engine.clone());
    let tries = (0..64).map(|_| {
        let (engine, caller) = (Arc::clone(&engine), place.caller.clone());
        let draft = ReservationDraft { amount: q("1"), life_us: None };
        tokio::spawn(async move { engine.reserve(&caller, "acme", "sum", draft).await })
    });
    let mut made = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(reservation) => made.push(reservation),
            refused => assert_eq!(left(refused), "0"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(place.held().await, ("1".into(), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_reserve_commit_and_release_never_overrun_a_hard_limit() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("20")), Interval::MONTH).await;
    let engine = Arc::new(place.engine.clone());
    let (caller, now) = (place.caller.clone(), place.now());
    let clients = (0..64).map(|client| {
        let (engine, caller) = (Arc::clone(&engine), caller.clone());
        tokio::spawn(async move {
            let draft = ReservationDraft { amount: q("1"), life_us: None };
            let Ok(made) = engine.reserve(&caller, "acme", "sum", draft).await else { return };
            let id = made.id.to_string();
            if client % 3 == 0 {
                engine.release_reservation(&caller, "acme", "sum", &id).await.unwrap();
            } else {
                let usage = event(&format!("c{client}"), "acme", now, "1");
                engine.commit_reservation(&caller, "acme", "sum", &id, usage).await.unwrap();
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let [balance, used, overage] = place.numbers("sum").await;
    assert_eq!(overage, "0", "{used} used, {balance} left");
    assert_eq!(place.held().await.0, "0");
    assert_eq!(q(&balance).plus(q(&used)).unwrap(), q("20"));
}

#[tokio::test]
async fn what_is_held_back_comes_back_when_it_is_released_expires_or_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("10")), Interval::MONTH).await;
    let first = place.reserve("4", None).await.unwrap();
    let second = place.reserve("5.5", Some(10 * SECOND)).await.unwrap();
    assert_eq!(left(place.reserve("0.6", None).await), "0.5");
    assert_eq!(place.held().await, ("9.5".into(), true));
    assert_eq!(place.numbers("sum").await, ["10", "0", "0"], "a balance is what was burned");
    let released = place.release(&first).await.unwrap();
    assert!(matches!(released.outcome, Some(Outcome::Released { .. })));
    assert_eq!(place.release(&first).await.unwrap(), released, "once more changes nothing");
    assert!(matches!(place.commit(&first, "e", "1").await, Err(EngineError::Conflict(_))));
    assert_eq!(place.held().await.0, "5.5");
    place.pass(10 * SECOND);
    assert_eq!(place.held().await.0, "0", "it expired");
    let committed = place.commit(&second, "late", "6").await.unwrap();
    assert!(matches!(&committed.outcome, Some(Outcome::Committed { event_id, .. }) if event_id == "late"));
    assert_eq!(place.numbers("sum").await, ["4", "6", "0"], "usage after expiry counts");
    assert_eq!(place.commit(&second, "late", "6").await.unwrap(), committed);
    assert_eq!(place.numbers("sum").await, ["4", "6", "0"], "the same event counts once");
    assert!(matches!(place.commit(&second, "another", "1").await, Err(EngineError::Conflict(_))));
    assert!(matches!(place.release(&second).await, Err(EngineError::Conflict(_))));
}

#[tokio::test]
async fn a_restart_keeps_what_is_held_back() {
    let dir = tempfile::tempdir().unwrap();
    let made = {
        let place = Place::furnished(dir.path()).await;
        place.give("sum", hard(Some("2")), Interval::MONTH).await;
        let made = place.reserve("1.5", Some(DAY)).await.unwrap();
        place.engine.close().await.unwrap();
        made
    };
    let place = Place::open_at(dir.path(), start().saturating_add_micros(HOUR), Limits::default()).await;
    assert_eq!(left(place.reserve("1", None).await), "0.5");
    place.commit(&made, "usage", "3").await.unwrap();
    assert_eq!(place.numbers("sum").await, ["0", "3", "1"], "more than was reserved counts too");
    assert_eq!(place.held().await, ("0".into(), false));
}

#[tokio::test]
async fn a_soft_limit_lets_everybody_reserve_and_what_is_not_metered_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", MeteredDraft { is_soft_limit: true, ..hard(None) }, Interval::MONTH).await;
    place.reserve("100", None).await.unwrap();
    place.give_plain("acme", "plain", KindDraft::Boolean).await;
    let draft = ReservationDraft { amount: q("1"), life_us: None };
    let refused = place.engine.reserve(&place.caller, "acme", "plain", draft).await;
    assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    let unknown = place.engine.reserve(&place.caller, "acme", "count", draft).await;
    assert!(matches!(unknown, Err(EngineError::NotFound { .. })), "{unknown:?}");
}

#[tokio::test]
async fn only_usage_that_would_count_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("2")), Interval::MONTH).await;
    let made = place.reserve("1", Some(HOUR)).await.unwrap();
    place.pass(MINUTE);
    let id = made.id.to_string();
    let mut wrong = event("e", "stranger", place.now(), "1");
    wrong.event_type = "other".into();
    let refused = place.engine.commit_reservation(&place.caller, "acme", "sum", &id, wrong).await;
    let Err(EngineError::Invalid(faults)) = refused else { panic!("{refused:?}") };
    assert_eq!(faults.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), ["type", "subject"]);
    let nameless = event("", "acme", place.now(), "1");
    let refused = place.engine.commit_reservation(&place.caller, "acme", "sum", &id, nameless).await;
    assert!(matches!(refused, Err(EngineError::InvalidEvents(_))), "{refused:?}");
    assert_eq!(place.held().await.0, "1", "it is still held back");
    place.add_customer("other", &[]).await;
    let usage = event("e", "acme", place.now(), "1");
    let foreign = place.engine.commit_reservation(&place.caller, "other", "sum", &id, usage).await;
    assert!(matches!(foreign, Err(EngineError::NotFound { .. })), "{foreign:?}");
    assert_eq!(numbers(&place.value("sum").await), ["2", "0", "0"]);
}
