//! Every write is one transaction, with its outbox row.

use crate::place::Place;
use crate::samples::{at, deleted, key, meter, ns};
use std::collections::BTreeSet;
use std::time::Duration;
use tallystick_state_store::Writer;

pub async fn every_write_leaves_one_outbox_row_and_a_failed_one_none(place: Place) {
    let store = place.open().await;
    let meter = meter(1, "tokens");
    store.insert_meter(Writer::of(&ns("a")), &meter).await.unwrap();
    store.insert_meter(Writer::of(&ns("a")), &meter).await.unwrap_err();
    store.insert_meter(Writer::of(&ns("b")), &meter).await.unwrap();
    store.update_meter(Writer::of(&ns("a")), &meter).await.unwrap();
    store.update_meter(Writer::of(&ns("c")), &meter).await.unwrap_err();
    store.update_meter(Writer::of(&ns("a")), &deleted(&meter, 30)).await.unwrap();
    store.update_meter(Writer::of(&ns("a")), &deleted(&meter, 30)).await.unwrap();
    let key = key(1, "b");
    store.insert_key(&key, "hash").await.unwrap();
    store.insert_key(&key, "hash").await.unwrap_err();
    store.revoke_key(key.id, at(70)).await.unwrap();
    store.revoke_key(key.id, at(80)).await.unwrap();
    let (meter_id, key_id) = (meter.id, key.id);
    let expected = [
        format!("a/1 meter {meter_id} created 10"),
        format!("a/2 meter {meter_id} updated 20"),
        format!("a/3 meter {meter_id} deleted 30"),
        format!("a/4 meter {meter_id} updated 20"),
        format!("b/1 meter {meter_id} created 10"),
        format!("b/2 key {key_id} created 1"),
        format!("b/3 key {key_id} revoked 70"),
    ];
    assert_eq!(place.outbox().await, expected);
}

pub async fn a_write_without_its_outbox_row_is_not_kept(place: Place) {
    let store = place.open().await;
    store.insert_meter(Writer::of(&ns("a")), &meter(1, "kept")).await.unwrap();
    store.insert_key(&key(1, "a"), "hash").await.unwrap();
    // The next position is taken already, so the outbox row cannot be written.
    place.damage("UPDATE outbox_heads SET last = 0").await;
    assert!(store.insert_meter(Writer::of(&ns("a")), &meter(2, "lost")).await.is_err());
    assert!(store.update_meter(Writer::of(&ns("a")), &deleted(&meter(1, "kept"), 30)).await.is_err());
    assert!(store.insert_key(&key(2, "a"), "hash2").await.is_err());
    assert!(store.revoke_key(key(1, "a").id, at(70)).await.is_err());
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap(), [meter(1, "kept")]);
    assert_eq!(store.list_keys().await.unwrap(), [key(1, "a")]);
}

pub async fn a_cancelled_write_is_whole_or_absent(place: Place) {
    let store = place.open().await;
    for number in 0..60_u128 {
        let patience = Duration::from_micros(number as u64 * 60);
        let meter = meter(number, &format!("m{number}"));
        let _ = tokio::time::timeout(patience, store.insert_meter(Writer::of(&ns("a")), &meter)).await;
    }
    store.insert_meter(Writer::of(&ns("a")), &meter(100, "last")).await.unwrap();
    let stored = store.list_meters(&ns("a"), true).await.unwrap();
    let mut ids: Vec<String> = stored.iter().map(|meter| meter.id.to_string()).collect();
    let outbox = place.outbox().await;
    let mut recorded: Vec<String> = outbox.iter().map(|row| row.split(' ').nth(2).unwrap().to_owned()).collect();
    ids.sort();
    recorded.sort();
    assert_eq!(ids, recorded);
    assert!(outbox.last().unwrap().starts_with(&format!("a/{} ", outbox.len())), "{outbox:?}");
}

pub async fn concurrent_writers_of_two_servers_leave_no_gap(place: Place) {
    let servers = [place.open().await, place.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40_u128 {
        let store = servers[number as usize % 2].clone();
        tasks.spawn(async move {
            let namespace = ns(["a", "b"][number as usize / 2 % 2]);
            store.insert_meter(Writer::of(&namespace), &meter(number, &format!("m{number}"))).await.unwrap();
            if number % 4 == 0 {
                store.check_writable().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let places: BTreeSet<String> =
        place.outbox().await.iter().map(|row| row.split(' ').next().unwrap().to_owned()).collect();
    let expected = ["a", "b"].iter().flat_map(|namespace| (1..=20).map(move |n| format!("{namespace}/{n}")));
    assert_eq!(places, expected.collect());
}
