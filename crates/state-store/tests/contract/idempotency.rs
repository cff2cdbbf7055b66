//! What an idempotency key stands for is done once: by one attempt, whatever crashes and whoever else tries.

use crate::place::Place;
use crate::samples::{at, meter, ns};
use std::collections::BTreeMap;
use tallystick_domain::idempotency::IdempotencyKey;
use tallystick_state_store::{KeptAnswer, Reservation, Reserved, StateError, StateStore, Writer};

const LEASE: i64 = 100;
const KEPT: i64 = 10_000;

fn attempt(process: &str, number: u32) -> Reservation {
    Reservation {
        namespace: ns("a"),
        actor: "key 1".into(),
        key: IdempotencyKey::parse("k").unwrap(),
        process: process.into(),
        attempt: format!("{process} {number}"),
    }
}

async fn reserve(store: &StateStore, wanted: &Reservation, request: &str, now: i64) -> Reserved {
    store.reserve(wanted, request, at(now), at(now + LEASE), at(now + KEPT)).await.unwrap()
}

fn answer(body: Option<&str>) -> KeptAnswer {
    let labels = BTreeMap::from([("content-type".to_string(), "a/b".to_string())]);
    KeptAnswer { code: 201, labels, body: body.map(str::to_string) }
}

pub async fn a_key_is_held_once_and_its_answer_is_given_again(place: Place) {
    let store = place.open().await;
    let first = attempt("p", 1);
    assert_eq!(reserve(&store, &first, "request", 0).await, Reserved::Held);
    assert_eq!(reserve(&store, &attempt("p", 2), "request", 1).await, Reserved::InFlight);
    assert_eq!(reserve(&store, &attempt("p", 2), "another", 1).await, Reserved::OtherRequest);
    store.keep_answer(&first, &answer(Some("{\"ü\":\"\0\u{1b}\"}")), at(KEPT)).await.unwrap();
    let kept = Reserved::Answered(answer(Some("{\"ü\":\"\0\u{1b}\"}")));
    for now in [2, LEASE + 1, KEPT - 1] {
        assert_eq!(reserve(&store, &attempt("p", 2), "request", now).await, kept);
        assert_eq!(reserve(&store, &attempt("p", 2), "another", now).await, Reserved::OtherRequest);
    }
    // A second answer does not replace the first, and nothing is written any more.
    store.keep_answer(&first, &answer(Some("other")), at(KEPT)).await.unwrap();
    assert_eq!(reserve(&store, &attempt("p", 2), "request", 3).await, kept);
    let late = store.insert_meter(Writer::holding(&first), &meter(1, "late")).await;
    assert_eq!(late, Err(StateError::Superseded));
    store.close().await;
    assert_eq!(reserve(&place.open().await, &attempt("q", 1), "request", 4).await, kept);
}

pub async fn a_write_and_its_mark_are_committed_together(place: Place) {
    let store = place.open().await;
    let held = attempt("p", 1);
    assert_eq!(reserve(&store, &held, "request", 0).await, Reserved::Held);
    store.insert_meter(Writer::of(&ns("a")), &meter(1, "taken")).await.unwrap();
    // A write that is refused leaves the key unmarked, so the attempt can be given back.
    assert!(store.insert_meter(Writer::holding(&held), &meter(2, "taken")).await.is_err());
    assert_eq!(phases(&place).await, ["reserved"]);
    store.insert_meter(Writer::holding(&held), &meter(2, "free")).await.unwrap();
    assert_eq!(phases(&place).await, ["written"]);
    // A request that writes twice goes on.
    store.update_meter(Writer::holding(&held), &meter(2, "free")).await.unwrap();
    store.give_back(&held).await.unwrap();
    assert_eq!(phases(&place).await, ["written"]);
}

pub async fn a_lapsed_attempt_loses_its_key_and_cannot_write(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let (slow, quick) = (attempt("p", 1), attempt("p", 2));
    assert_eq!(reserve(&store, &slow, "request", 0).await, Reserved::Held);
    assert_eq!(reserve(&other, &quick, "request", LEASE - 1).await, Reserved::InFlight);
    assert_eq!(reserve(&other, &quick, "another", LEASE).await, Reserved::OtherRequest);
    assert_eq!(reserve(&other, &quick, "request", LEASE).await, Reserved::Held);
    let refused = store.insert_meter(Writer::holding(&slow), &meter(1, "m")).await;
    assert_eq!(refused, Err(StateError::Superseded));
    store.keep_answer(&slow, &answer(Some("of the slow one")), at(KEPT)).await.unwrap();
    store.give_back(&slow).await.unwrap();
    other.insert_meter(Writer::holding(&quick), &meter(1, "m")).await.unwrap();
    assert_eq!(other.list_meters(&ns("a"), true).await.unwrap().len(), 1);
    assert_eq!(place.outbox().await.len(), 1);
    assert_eq!(phases(&place).await, ["written"]);
}

pub async fn a_written_key_without_an_answer_is_never_done_again(place: Place) {
    let store = place.open().await;
    let held = attempt("p", 1);
    assert_eq!(reserve(&store, &held, "request", 0).await, Reserved::Held);
    store.insert_meter(Writer::holding(&held), &meter(1, "m")).await.unwrap();
    // The answer may still be on its way.
    assert_eq!(reserve(&store, &attempt("p", 2), "request", 1).await, Reserved::InFlight);
    // The server crashes here.
    store.close().await;
    let store = place.open().await;
    let after_restart = reserve(&store, &attempt("q", 1), "request", 2).await;
    match place {
        // Nobody else uses the file, so the holder is known to be gone.
        Place::Sqlite(_) => assert_eq!(after_restart, Reserved::AnswerLost),
        Place::Postgres(_) => assert_eq!(after_restart, Reserved::InFlight),
    }
    assert_eq!(reserve(&store, &attempt("q", 1), "request", LEASE).await, Reserved::AnswerLost);
    assert_eq!(reserve(&store, &attempt("q", 1), "another", LEASE).await, Reserved::OtherRequest);
    // An answer that was too large to be kept.
    store.keep_answer(&held, &answer(None), at(KEPT)).await.unwrap();
    assert_eq!(reserve(&store, &attempt("q", 1), "request", 3).await, Reserved::AnswerLost);
}

pub async fn a_key_that_wrote_nothing_can_be_given_back(place: Place) {
    let store = place.open().await;
    let held = attempt("p", 1);
    assert_eq!(reserve(&store, &held, "request", 0).await, Reserved::Held);
    store.give_back(&held).await.unwrap();
    assert_eq!(reserve(&store, &attempt("p", 2), "another", 1).await, Reserved::Held);
    // One of an earlier start blocks nobody where no other server can be running.
    let next_start = reserve(&store, &attempt("q", 1), "another", 2).await;
    match place {
        Place::Sqlite(_) => assert_eq!(next_start, Reserved::Held),
        Place::Postgres(_) => assert_eq!(next_start, Reserved::InFlight),
    }
}

pub async fn keys_of_other_callers_are_other_keys(place: Place) {
    let store = place.open().await;
    let mine = attempt("p", 1);
    assert_eq!(reserve(&store, &mine, "request", 0).await, Reserved::Held);
    store.keep_answer(&mine, &answer(Some("mine")), at(KEPT)).await.unwrap();
    let another_caller = Reservation { actor: "key 2".into(), ..attempt("p", 2) };
    let another_namespace = Reservation { namespace: ns("b"), ..attempt("p", 3) };
    let another_key = Reservation { key: IdempotencyKey::parse("K").unwrap(), ..attempt("p", 4) };
    for other in [another_caller, another_namespace, another_key] {
        assert_eq!(reserve(&store, &other, "another", 0).await, Reserved::Held, "{other:?}");
    }
    assert_eq!(reserve(&store, &attempt("p", 5), "request", 0).await, Reserved::Answered(answer(Some("mine"))));
}

pub async fn one_of_many_concurrent_attempts_holds_the_key(place: Place) {
    let servers = [place.open().await, place.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = servers[number as usize % 2].clone();
        tasks.spawn(async move {
            let mine = attempt("p", number);
            let reserved = reserve(&store, &mine, "request", 0).await;
            if reserved == Reserved::Held {
                let each = meter(u128::from(number), &format!("m{number}"));
                store.insert_meter(Writer::holding(&mine), &each).await.unwrap();
            }
            reserved
        });
    }
    let reserved = tasks.join_all().await;
    assert_eq!(reserved.iter().filter(|outcome| **outcome == Reserved::Held).count(), 1, "{reserved:?}");
    assert_eq!(reserved.iter().filter(|outcome| **outcome == Reserved::InFlight).count(), 15, "{reserved:?}");
    assert_eq!(servers[0].list_meters(&ns("a"), true).await.unwrap().len(), 1);
}

pub async fn expired_keys_are_forgotten_and_free(place: Place) {
    let store = place.open().await;
    let mine = attempt("p", 1);
    assert_eq!(reserve(&store, &mine, "request", 0).await, Reserved::Held);
    store.keep_answer(&mine, &answer(Some("old")), at(KEPT)).await.unwrap();
    let other = Reservation { key: IdempotencyKey::parse("other").unwrap(), ..attempt("p", 2) };
    assert_eq!(reserve(&store, &other, "request", 1).await, Reserved::Held);
    // Before it is removed, an expired key is free already.
    assert_eq!(reserve(&store, &attempt("p", 3), "another", KEPT).await, Reserved::Held);
    assert_eq!(store.forget_idempotency_keys(at(KEPT)).await.unwrap(), 0);
    assert_eq!(store.forget_idempotency_keys(at(KEPT + 1)).await.unwrap(), 1);
    assert_eq!(store.forget_idempotency_keys(at(KEPT + 1)).await.unwrap(), 0);
    assert_eq!(reserve(&store, &attempt("p", 4), "another", KEPT + 1).await, Reserved::InFlight);
    for number in 0..2100 {
        let key = IdempotencyKey::parse(&format!("k{number}")).unwrap();
        reserve(&store, &Reservation { key, ..attempt("p", number) }, "request", 0).await;
    }
    assert_eq!(store.forget_idempotency_keys(at(KEPT)).await.unwrap(), 2100);
}

async fn phases(place: &Place) -> Vec<String> {
    let rows = place.rows("SELECT phase FROM idempotency_keys ORDER BY id").await;
    rows.iter().map(|row| sqlx::Row::get(row, "phase")).collect()
}
