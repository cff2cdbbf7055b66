//! Meters: every field, slugs, namespaces, order.

use crate::place::Place;
use crate::samples::{at, deleted, full_meter, key, meter, meter_id, ns};
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::key::ApiKey;
use tallystick_domain::meter::{Aggregation, Meter};
use tallystick_state_store::{StateError, Writer};

pub async fn keeps_every_field(place: Place) {
    let store = place.open().await;
    for aggregation in Aggregation::ALL {
        let number = 100 + aggregation as u128;
        let mut each = Meter { id: meter_id(number), slug: format!("m{number}"), aggregation, ..full_meter() };
        each.value_property = each.value_property.filter(|_| aggregation != Aggregation::Count);
        store.insert_meter(Writer::of(&ns("a")), &each).await.unwrap();
        assert_eq!(store.get_meter(&ns("a"), each.id).await.unwrap(), Some(each.clone()));
        assert_eq!(store.find_meter(&ns("a"), &each.slug).await.unwrap(), Some(each));
    }
    let bare = Meter { metadata: Some(BTreeMap::new()), ..meter(2, "bare") };
    store.insert_meter(Writer::of(&ns("a")), &bare).await.unwrap();
    assert_eq!(store.get_meter(&ns("a"), bare.id).await.unwrap(), Some(bare));
    assert_eq!(store.get_meter(&ns("a"), meter_id(99)).await.unwrap(), None);
    assert_eq!(store.find_meter(&ns("a"), "nothing").await.unwrap(), None);
}

pub async fn updates_the_whole_row(place: Place) {
    let store = place.open().await;
    store.insert_meter(Writer::of(&ns("a")), &full_meter()).await.unwrap();
    let changed = Meter { created_at: at(1), updated_at: at(2), ..meter(1, "renamed") };
    store.update_meter(Writer::of(&ns("a")), &changed).await.unwrap();
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap(), [changed]);
    let missing = store.update_meter(Writer::of(&ns("a")), &meter(7, "x")).await;
    assert!(matches!(&missing, Err(StateError::NotFound { what }) if what.contains(&meter_id(7).to_string())));
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap().len(), 1);
}

pub async fn a_slug_belongs_to_one_live_meter(place: Place) {
    let store = place.open().await;
    let (first, second) = (meter(1, "tokens"), meter(2, "tokens"));
    store.insert_meter(Writer::of(&ns("a")), &first).await.unwrap();
    let refused = store.insert_meter(Writer::of(&ns("a")), &second).await.unwrap_err();
    assert_eq!(refused.to_string(), "a meter with the slug \"tokens\" in namespace a already exists");
    assert_eq!(store.get_meter(&ns("a"), second.id).await.unwrap(), None);

    store.update_meter(Writer::of(&ns("a")), &deleted(&first, 30)).await.unwrap();
    assert_eq!(store.find_meter(&ns("a"), "tokens").await.unwrap(), None);
    store.insert_meter(Writer::of(&ns("a")), &second).await.unwrap();
    assert_eq!(store.find_meter(&ns("a"), "tokens").await.unwrap(), Some(second.clone()));
    assert_eq!(store.get_meter(&ns("a"), first.id).await.unwrap(), Some(deleted(&first, 30)));
    // Back to life, or renamed, it would be the second one.
    assert!(matches!(store.update_meter(Writer::of(&ns("a")), &first).await, Err(StateError::Conflict { .. })));
    assert_eq!(store.get_meter(&ns("a"), first.id).await.unwrap(), Some(deleted(&first, 30)));
    let same_id = Meter { slug: "other".into(), ..second };
    assert!(matches!(store.insert_meter(Writer::of(&ns("a")), &same_id).await, Err(StateError::Conflict { .. })));
}

pub async fn namespaces_never_meet(place: Place) {
    let store = place.open().await;
    let (ours, theirs) = (meter(1, "tokens"), Meter { name: "theirs".into(), ..meter(1, "tokens") });
    store.insert_meter(Writer::of(&ns("a")), &ours).await.unwrap();
    assert_eq!(store.get_meter(&ns("b"), ours.id).await.unwrap(), None);
    assert_eq!(store.find_meter(&ns("b"), "tokens").await.unwrap(), None);
    assert_eq!(store.list_meters(&ns("b"), true).await.unwrap(), []);
    assert!(matches!(store.update_meter(Writer::of(&ns("b")), &theirs).await, Err(StateError::NotFound { .. })));

    store.insert_meter(Writer::of(&ns("b")), &theirs).await.unwrap();
    store.update_meter(Writer::of(&ns("b")), &deleted(&theirs, 40)).await.unwrap();
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap(), [ours]);
    assert_eq!(store.list_meters(&ns("b"), true).await.unwrap(), [deleted(&theirs, 40)]);
    assert_eq!(store.list_meters(&ns("b"), false).await.unwrap(), []);
}

pub async fn lists_by_slug_bytes_then_id(place: Place) {
    let store = place.open().await;
    // Sorted by a language's rules, '_' and case would not count as they do here.
    let slugs = ["Z", "a", "a1", "aB", "a_b", "ab", "b", "ä"];
    for (number, slug) in slugs.iter().enumerate().rev() {
        store.insert_meter(Writer::of(&ns("a")), &meter(number as u128, slug)).await.unwrap();
    }
    let (older, newer) = (deleted(&meter(50, "ab"), 9), deleted(&meter(51, "ab"), 8));
    store.insert_meter(Writer::of(&ns("a")), &newer).await.unwrap();
    store.insert_meter(Writer::of(&ns("a")), &older).await.unwrap();
    let listed = store.list_meters(&ns("a"), false).await.unwrap();
    assert_eq!(listed.iter().map(|meter| meter.slug.as_str()).collect::<Vec<_>>(), slugs);
    let all = store.list_meters(&ns("a"), true).await.unwrap();
    assert_eq!(all.len(), slugs.len() + 2);
    let of_ab: Vec<_> = all.iter().filter(|meter| meter.slug == "ab").map(|meter| meter.id).collect();
    assert_eq!(of_ab, [meter_id(5), meter_id(50), meter_id(51)]);
}

pub async fn keeps_odd_texts_and_big_metadata(place: Place) {
    let store = place.open().await;
    let odd = [
        "",
        " ",
        "ünï\u{301}\u{202e}\u{1f9fe}",
        "'; DROP TABLE meters; --",
        "\"\\\\\n\r\t",
        "$1 ? %",
        "\u{1b}0\u{7f}",
        "a\0b",
        "NULL",
    ];
    for (number, text) in odd.iter().enumerate() {
        let text = (*text).to_owned();
        let meter = Meter {
            name: text.clone(),
            description: Some(text.clone()),
            event_type: text.clone(),
            metadata: Some(BTreeMap::from([(text.clone(), text)])),
            ..meter(number as u128, &format!("m{number}"))
        };
        store.insert_meter(Writer::of(&ns("a")), &meter).await.unwrap();
        assert_eq!(store.get_meter(&ns("a"), meter.id).await.unwrap(), Some(meter));
        assert_eq!(store.find_meter(&ns("a"), odd[number]).await.unwrap(), None);
        assert_eq!(store.find_key(odd[number]).await.unwrap(), None);
    }
    let entries = (0..1000).map(|number| (format!("key{number}"), "é\"".repeat(1000)));
    let big = Meter { metadata: Some(entries.collect()), ..meter(90, "big") };
    store.insert_meter(Writer::of(&ns("a")), &big).await.unwrap();
    assert_eq!(store.get_meter(&ns("a"), big.id).await.unwrap(), Some(big));
}

pub async fn keeps_the_first_and_last_instant(place: Place) {
    let store = place.open().await;
    for (number, instant) in [Instant::MIN, Instant::MAX, at(-1), at(0)].into_iter().enumerate() {
        let meter = Meter {
            event_from: Some(instant),
            created_at: instant,
            updated_at: instant,
            deleted_at: Some(instant),
            ..meter(number as u128, "m")
        };
        store.insert_meter(Writer::of(&ns("a")), &meter).await.unwrap();
        assert_eq!(store.get_meter(&ns("a"), meter.id).await.unwrap(), Some(meter));
        let key = ApiKey { created_at: instant, revoked_at: Some(instant), ..key(number as u128, "a") };
        store.insert_key(&key, &format!("hash{number}")).await.unwrap();
        assert_eq!(store.find_key(&format!("hash{number}")).await.unwrap(), Some(key));
    }
}

pub async fn one_of_many_concurrent_inserts_wins(place: Place) {
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..32 {
        let store = store.clone();
        tasks.spawn(async move { (number, store.insert_meter(Writer::of(&ns("a")), &meter(number, "tokens")).await) });
    }
    let outcomes = tasks.join_all().await;
    let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| *number).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    for (number, outcome) in &outcomes {
        assert!(winners.contains(number) || matches!(outcome, Err(StateError::Conflict { .. })), "{outcome:?}");
    }
    let stored = store.list_meters(&ns("a"), true).await.unwrap();
    assert_eq!(stored, [meter(winners[0], "tokens")]);
    assert_eq!(place.outbox().await.len(), 1);
}
