//! Described subjects: what is kept, all or nothing, and one description at a time.

use crate::place::Place;
use crate::samples::{at, ns};
use std::collections::BTreeMap;
use tallystick_domain::customer::Customer;
use tallystick_domain::json::JsonObject;
use tallystick_domain::subject::{Patch, Subject, SubjectChange, SubjectDraft};
use tallystick_domain::{CustomerId, SubjectId};
use tallystick_state_store::Writer;

fn id(number: u128) -> SubjectId {
    SubjectId::from_parts(1_700_000_000_000, number)
}

fn named(key: &str, name: &str) -> SubjectChange {
    let draft = SubjectDraft { key: key.into(), display_name: Patch::Set(name.into()), ..SubjectDraft::default() };
    SubjectChange::parse(draft).unwrap()
}

pub async fn descriptions_are_made_changed_and_deleted(place: Place) {
    let store = place.open().await;
    let metadata = JsonObject::parse(r#"{"b": 1.10, "a": {"text": "x\u0000é"}}"#).unwrap();
    let full = SubjectDraft {
        key: "s\0'1".into(),
        display_name: Patch::Set("S\0".into()),
        metadata: Patch::Set(metadata.clone()),
        stripe_customer_id: Patch::Set("cus_1".into()),
        details: [("door".to_string(), JsonObject::parse("{\"n\": 1.10, \"t\": \"\\u0000\"}").unwrap())].into(),
    };
    let change = SubjectChange::parse(full).unwrap();
    let made = store.upsert_subjects(Writer::of(&ns("a")), vec![(id(1), change)], at(10)).await.unwrap().remove(0);
    assert_eq!((made.id, &made.metadata, made.created_at), (id(1), &metadata, at(10)));
    assert_eq!(store.find_subject(&ns("a"), "s\0'1").await.unwrap(), Some(made.clone()));
    assert_eq!(store.get_subject(&ns("a"), id(1)).await.unwrap(), Some(made.clone()));
    for elsewhere in [store.find_subject(&ns("b"), "s\0'1").await, store.get_subject(&ns("b"), id(1)).await] {
        assert_eq!(elsewhere.unwrap(), None);
    }
    // The id that is brought along is for a new one only.
    let changed = store
        .upsert_subjects(Writer::of(&ns("a")), vec![(id(2), named("s\0'1", "T"))], at(20))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(changed, Subject { display_name: Some("T".into()), updated_at: at(20), ..made });
    assert_eq!(store.list_subjects(&ns("a")).await.unwrap(), std::slice::from_ref(&changed));

    assert!(!store.delete_subject(Writer::of(&ns("b")), id(1), at(30)).await.unwrap());
    assert!(store.delete_subject(Writer::of(&ns("a")), id(1), at(30)).await.unwrap());
    assert!(!store.delete_subject(Writer::of(&ns("a")), id(1), at(40)).await.unwrap());
    let deleted = Subject { deleted_at: Some(at(30)), updated_at: at(30), ..changed };
    assert_eq!(store.get_subject(&ns("a"), id(1)).await.unwrap(), Some(deleted));
    assert_eq!(store.find_subject(&ns("a"), "s\0'1").await.unwrap(), None);
    assert_eq!(store.list_subjects(&ns("a")).await.unwrap(), []);
    let again = store
        .upsert_subjects(Writer::of(&ns("a")), vec![(id(3), named("s\0'1", "U"))], at(50))
        .await
        .unwrap()
        .remove(0);
    assert_eq!((again.id, again.metadata), (id(3), JsonObject::default()));
    let told: Vec<_> = place.outbox().await.iter().map(|row| row.split(' ').nth(3).unwrap().to_string()).collect();
    assert_eq!(told, ["created", "updated", "deleted", "created"]);
}

pub async fn all_of_a_request_is_stored_or_nothing(place: Place) {
    let store = place.open().await;
    assert_eq!(store.upsert_subjects(Writer::of(&ns("a")), vec![], at(1)).await.unwrap(), []);
    store.upsert_subjects(Writer::of(&ns("a")), vec![(id(1), named("first", "1"))], at(1)).await.unwrap();
    // The second new one has an id that is taken.
    let batch = vec![(id(9), named("first", "changed")), (id(2), named("second", "2")), (id(1), named("third", "3"))];
    assert!(store.upsert_subjects(Writer::of(&ns("a")), batch, at(2)).await.is_err());
    let listed = store.list_subjects(&ns("a")).await.unwrap();
    assert_eq!((listed.len(), listed[0].display_name.as_deref()), (1, Some("1")));
    let batch = (2..=4).map(|number| (id(number), named(&format!("s{number}"), "n"))).collect();
    let made = store.upsert_subjects(Writer::of(&ns("a")), batch, at(3)).await.unwrap();
    assert_eq!(made.iter().map(|subject| subject.key.as_str()).collect::<Vec<_>>(), ["s2", "s3", "s4"]);
    // One row for each of them, at places without a gap.
    let places: Vec<_> = place.outbox().await.iter().map(|row| row.split(' ').next().unwrap().to_string()).collect();
    assert_eq!(places, ["a/1", "a/2", "a/3", "a/4"]);
}

pub async fn customers_describe_their_subjects_once(place: Place) {
    let store = place.open().await;
    store.upsert_subjects(Writer::of(&ns("a")), vec![(id(1), named("known", "Known"))], at(1)).await.unwrap();
    let customer = Customer {
        id: CustomerId::from_parts(1, 1),
        key: None,
        name: "C".into(),
        description: None,
        primary_email: None,
        currency: None,
        billing_address: None,
        metadata: BTreeMap::new(),
        subject_keys: ["known", "new"].map(String::from).into(),
        details: Default::default(),
        created_at: at(5),
        updated_at: at(5),
        deleted_at: None,
    };
    let described = |number, key: &str| {
        SubjectChange::parse(SubjectDraft { key: key.into(), ..SubjectDraft::default() }).unwrap().applied_to(
            None,
            id(number),
            at(5),
        )
    };
    let descriptions = [described(2, "known"), described(3, "new")];
    store.insert_customer(Writer::of(&ns("a")), &customer, &descriptions).await.unwrap();
    store.update_customer(Writer::of(&ns("a")), &customer, &descriptions).await.unwrap();
    let listed = store.list_subjects(&ns("a")).await.unwrap();
    assert_eq!(
        listed.iter().map(|subject| (subject.id, subject.key.as_str())).collect::<Vec<_>>(),
        [(id(1), "known"), (id(3), "new")]
    );
    assert_eq!(listed[0].display_name.as_deref(), Some("Known"));
    let kinds: Vec<_> = place.outbox().await.iter().map(|row| row.split(' ').nth(1).unwrap().to_string()).collect();
    assert_eq!(kinds, ["subject", "subject", "customer", "customer"]);
}

pub async fn concurrent_descriptions_of_a_subject_are_one(place: Place) {
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let batch = vec![(id(2 * number), named("s", "n")), (id(2 * number + 1), named("t", "n"))];
            store.upsert_subjects(Writer::of(&ns("a")), batch, at(1)).await.unwrap()
        });
    }
    let ids: std::collections::BTreeSet<_> =
        tasks.join_all().await.iter().map(|made| (made[0].id, made[1].id)).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(store.list_subjects(&ns("a")).await.unwrap().len(), 2);
}
