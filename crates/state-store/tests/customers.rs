//! What a state store promises about customers and their subjects, on both backends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::customer::{Address, Customer};
use tallystick_domain::json::JsonObject;
use tallystick_domain::search::TextCondition;
use tallystick_domain::{CustomerId, Instant, Namespace};
use tallystick_state_store::{CustomerListing, CustomerOrder, CustomerText, StateError, StateStore, StateUrl, Writer};
use tallystick_testkit::postgres::Postgres;

fn ns(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

fn customer(number: u128, key: Option<&str>, subjects: &[&str]) -> Customer {
    Customer {
        id: CustomerId::from_parts(1_700_000_000_000, number),
        key: key.map(Into::into),
        name: format!("Customer {number}"),
        description: None,
        primary_email: None,
        currency: None,
        billing_address: None,
        metadata: BTreeMap::new(),
        subject_keys: subjects.iter().map(|subject| subject.to_string()).collect(),
        details: Default::default(),
        created_at: Instant::from_micros(i64::try_from(number).unwrap()).unwrap(),
        updated_at: Instant::from_micros(1_000).unwrap(),
        deleted_at: None,
    }
}

fn deleted(customer: &Customer) -> Customer {
    Customer { deleted_at: Instant::from_micros(2_000), ..customer.clone() }
}

fn conflict_of(outcome: Result<(), StateError>) -> String {
    match outcome {
        Err(conflict @ StateError::Conflict { .. }) => conflict.to_string(),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

async fn keeps_every_field(store: StateStore) {
    let full = Customer {
        description: Some("big".into()),
        primary_email: Some("a@example.com".into()),
        currency: Some("EUR".into()),
        billing_address: Some(Address {
            country: Some("HU".into()),
            line1: Some("Fő utca 1".into()),
            ..Address::default()
        }),
        metadata: BTreeMap::from([("tier".into(), "gold".into())]),
        details: [("door".to_string(), JsonObject::parse("{\"n\": 1.10}").unwrap())].into(),
        ..customer(1, Some("acme"), &["b", "a"])
    };
    store.insert_customer(Writer::of(&ns("a")), &full, &[]).await.unwrap();
    assert_eq!(store.get_customer(&ns("a"), full.id).await.unwrap().as_ref(), Some(&full));
    assert_eq!(store.find_customer(&ns("a"), "acme").await.unwrap().as_ref(), Some(&full));
    assert_eq!(store.get_customer(&ns("b"), full.id).await.unwrap(), None);
    assert_eq!(store.find_customer(&ns("b"), "acme").await.unwrap(), None);
    let changed = Customer { name: "New".into(), ..customer(1, None, &["c"]) };
    store.update_customer(Writer::of(&ns("a")), &changed, &[]).await.unwrap();
    assert_eq!(store.get_customer(&ns("a"), full.id).await.unwrap(), Some(changed.clone()));
    assert!(matches!(
        store.update_customer(Writer::of(&ns("b")), &changed, &[]).await,
        Err(StateError::NotFound { .. })
    ));
}

async fn a_key_and_a_subject_belong_to_one_live_customer(store: StateStore) {
    let first = customer(1, Some("acme"), &["s1", "s2"]);
    store.insert_customer(Writer::of(&ns("a")), &first, &[]).await.unwrap();
    for rival in [customer(2, Some("acme"), &[]), customer(2, None, &["x", "s2"]), customer(2, Some("s1"), &[])] {
        let text = conflict_of(store.insert_customer(Writer::of(&ns("a")), &rival, &[]).await);
        assert!(text.contains(&first.id.to_string()), "{text}");
        assert_eq!(store.get_customer(&ns("a"), rival.id).await.unwrap(), None);
    }
    let id_as_key = customer(2, Some(&first.id.to_string()), &[]);
    assert!(conflict_of(store.insert_customer(Writer::of(&ns("a")), &id_as_key, &[]).await).contains("the id"));
    // The refused attempt linked nothing: x is free.
    store.insert_customer(Writer::of(&ns("a")), &customer(3, None, &["x"]), &[]).await.unwrap();
    conflict_of(store.update_customer(Writer::of(&ns("a")), &customer(3, None, &["x", "s1"]), &[]).await);
    // Another namespace is another world, and a deleted customer frees what it had.
    store.insert_customer(Writer::of(&ns("b")), &customer(4, Some("acme"), &["s1"]), &[]).await.unwrap();
    store.update_customer(Writer::of(&ns("a")), &deleted(&first), &[]).await.unwrap();
    store.insert_customer(Writer::of(&ns("a")), &customer(5, Some("acme"), &["s1", "s2"]), &[]).await.unwrap();
    let gone = store.get_customer(&ns("a"), first.id).await.unwrap().unwrap();
    assert_eq!(gone.subject_keys.len(), 2);
}

async fn the_owner_of_a_subject_is_found_by_key_first(store: StateStore) {
    let (by_key, by_subject) = (customer(1, Some("s"), &[]), customer(2, None, &["s", "t"]));
    store.insert_customer(Writer::of(&ns("a")), &by_key, &[]).await.unwrap();
    store.insert_customer(Writer::of(&ns("a")), &by_subject, &[]).await.unwrap();
    assert_eq!(store.find_subject_owner(&ns("a"), "s").await.unwrap(), Some(by_key.id));
    assert_eq!(store.find_subject_owner(&ns("a"), "t").await.unwrap(), Some(by_subject.id));
    assert_eq!(store.find_subject_owner(&ns("b"), "t").await.unwrap(), None);
    // Many at once say the same as one by one, also when they are more than one query takes.
    let many: BTreeSet<String> = ["s", "t", "nobody"]
        .map(String::from)
        .into_iter()
        .chain((0..20_000).map(|number| number.to_string()))
        .collect();
    let owners = store.subject_owners(&ns("a"), &many).await.unwrap();
    assert_eq!(owners, [("s".to_string(), by_key.id), ("t".to_string(), by_subject.id)].into());
    assert!(store.subject_owners(&ns("b"), &many).await.unwrap().is_empty());
    store.update_customer(Writer::of(&ns("a")), &deleted(&by_key), &[]).await.unwrap();
    assert_eq!(store.find_subject_owner(&ns("a"), "s").await.unwrap(), Some(by_subject.id));
    assert_eq!(store.find_subject_owner(&ns("a"), "nobody").await.unwrap(), None);
}

async fn lists_pages_in_order_with_conditions(store: StateStore) {
    for number in 1..=5 {
        let key = format!("key_{number}");
        store
            .insert_customer(Writer::of(&ns("a")), &customer(number, Some(&key), &[&format!("sub%{number}")]), &[])
            .await
            .unwrap();
    }
    store.update_customer(Writer::of(&ns("a")), &deleted(&customer(5, Some("key_5"), &["sub%5"])), &[]).await.unwrap();
    let numbers = async |listing: CustomerListing| {
        let (found, total) = store.list_customers(&ns("a"), &listing).await.unwrap();
        (found.iter().map(|customer| customer.created_at.as_micros()).collect::<Vec<_>>(), total)
    };
    let all = CustomerListing { limit: 10, ..CustomerListing::default() };
    assert_eq!(numbers(all.clone()).await, (vec![1, 2, 3, 4], 4));
    assert_eq!(numbers(CustomerListing { offset: 1, limit: 2, ..all.clone() }).await, (vec![2, 3], 4));
    assert_eq!(numbers(CustomerListing { include_deleted: true, ..all.clone() }).await.1, 5);
    let newest = CustomerListing { order: CustomerOrder::CreatedAt, descending: true, limit: 1, ..all.clone() };
    assert_eq!(numbers(newest).await, (vec![4], 4));
    let changed =
        Customer { updated_at: Instant::from_micros(2_000).unwrap(), ..customer(2, Some("key_2"), &["sub%2"]) };
    store.update_customer(Writer::of(&ns("a")), &changed, &[]).await.unwrap();
    let changed = CustomerListing { order: CustomerOrder::UpdatedAt, descending: true, limit: 2, ..all.clone() };
    assert_eq!(numbers(changed).await, (vec![2, 4], 4));
    let part = |text, part: &str| CustomerListing {
        conditions: vec![(text, TextCondition::Contains(part.into()))],
        ..all.clone()
    };
    assert_eq!(numbers(part(CustomerText::Name, "CUSTOMER 2")).await, (vec![2], 1));
    // What means something in a pattern stands for itself.
    assert_eq!(numbers(part(CustomerText::Key, "y_3")).await, (vec![3], 1));
    assert_eq!(numbers(part(CustomerText::Key, "key%")).await, (vec![], 0));
    assert_eq!(numbers(part(CustomerText::SubjectKey, "B%4")).await, (vec![4], 1));
    assert_eq!(numbers(part(CustomerText::SubjectKey, "sub%5")).await, (vec![], 0));
}

async fn finds_what_a_condition_means(store: StateStore) {
    let keys = [None, Some("a"), Some("B"), Some("b"), Some("é"), Some("a'b%_!\0")];
    for (number, key) in (1..).zip(keys) {
        let subject = format!("s{number}");
        let made = Customer { primary_email: key.map(Into::into), ..customer(number, key, &[&subject]) };
        store.insert_customer(Writer::of(&ns("a")), &made, &[]).await.unwrap();
    }
    let words: Vec<String> = ["a", "b", "B", "é", "É", "'b%", "_!\0", "c", ""].map(Into::into).into();
    let mut conditions = vec![
        TextCondition::Present(true),
        TextCondition::Present(false),
        TextCondition::OneOf(words.clone()),
        TextCondition::OneOf(vec![]),
        TextCondition::Any(words.iter().cloned().map(TextCondition::Is).collect()),
        TextCondition::Any(vec![]),
    ];
    for word in words {
        conditions.extend([
            TextCondition::Is(word.clone()),
            TextCondition::IsNot(word.clone()),
            TextCondition::Contains(word.clone()),
            TextCondition::Above(word.clone()),
            TextCondition::AtLeast(word.clone()),
            TextCondition::Below(word.clone()),
            TextCondition::AtMost(word),
        ]);
    }
    for condition in conditions {
        let expected: Vec<_> = keys.into_iter().filter(|key| condition.matches(*key)).collect();
        for text in [CustomerText::Key, CustomerText::PrimaryEmail] {
            let listing = CustomerListing {
                conditions: vec![(text, condition.clone())],
                order: CustomerOrder::CreatedAt,
                limit: 10,
                ..CustomerListing::default()
            };
            let (found, total) = store.list_customers(&ns("a"), &listing).await.unwrap();
            let found: Vec<_> = found.iter().map(|customer| customer.key.as_deref()).collect();
            assert_eq!((found, total), (expected.clone(), expected.len() as u64), "{text:?} {condition:?}");
        }
    }
}

async fn of_its_subjects_one_must_meet_a_condition(store: StateStore) {
    for (number, subjects) in [(1, &["1x", "1y"][..]), (2, &["2y"]), (3, &[])] {
        let key = format!("c{number}");
        store.insert_customer(Writer::of(&ns("a")), &customer(number, Some(&key), subjects), &[]).await.unwrap();
    }
    for (condition, expected) in [
        (TextCondition::Is("1x".into()), vec![1]),
        (TextCondition::Contains("Y".into()), vec![1, 2]),
        (TextCondition::IsNot("1x".into()), vec![2, 3]),
        (TextCondition::Present(true), vec![1, 2]),
        (TextCondition::Present(false), vec![3]),
    ] {
        let conditions = vec![(CustomerText::SubjectKey, condition.clone())];
        let listing = CustomerListing { conditions, limit: 10, ..CustomerListing::default() };
        let (found, _) = store.list_customers(&ns("a"), &listing).await.unwrap();
        let found: Vec<_> = found.iter().map(|customer| customer.created_at.as_micros()).collect();
        assert_eq!(found, expected, "{condition:?}");
    }
}

async fn finds_parts_without_the_case_of_ascii_letters_only(store: StateStore) {
    let mut one = customer(1, Some("ÉKey"), &["ÉSub"]);
    (one.name, one.primary_email) = ("ÉName".into(), Some("É@Mail".into()));
    store.insert_customer(Writer::of(&ns("a")), &one, &[]).await.unwrap();
    let all = CustomerListing { limit: 10, ..CustomerListing::default() };
    for (text, expected) in [("É", 1), ("é", 0)] {
        let part = |rest: &str| TextCondition::Contains(format!("{text}{rest}"));
        for searched in [
            (CustomerText::Key, part("kEY")),
            (CustomerText::Name, part("nAME")),
            (CustomerText::PrimaryEmail, part("@mAIL")),
            (CustomerText::SubjectKey, part("sUB")),
        ] {
            let listing = CustomerListing { conditions: vec![searched], ..all.clone() };
            assert_eq!(store.list_customers(&ns("a"), &listing).await.unwrap().1, expected, "{listing:?}");
        }
    }
}

async fn of_many_concurrent_claims_to_a_subject_one_wins(store: StateStore) {
    let claims = (1..=16).map(|number| {
        let store = store.clone();
        tokio::spawn(
            async move { store.insert_customer(Writer::of(&ns("a")), &customer(number, None, &["s"]), &[]).await },
        )
    });
    let mut won = 0;
    for claim in claims.collect::<Vec<_>>() {
        match claim.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, StateError::Conflict { .. }), "{error}"),
        }
    }
    assert_eq!(won, 1);
}

macro_rules! on_both_backends {
    ($($promise:ident),* $(,)?) => {
        $(mod $promise {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let directory = tempfile::tempdir().unwrap();
                let url = StateUrl::Sqlite(directory.path().join("state.sqlite"));
                super::$promise(StateStore::open(&url).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let database = Postgres::start();
                let url = StateUrl::parse(database.url()).unwrap();
                super::$promise(StateStore::open(&url).await.unwrap()).await;
            }
        })*
    };
}

on_both_backends! {
    keeps_every_field,
    a_key_and_a_subject_belong_to_one_live_customer,
    the_owner_of_a_subject_is_found_by_key_first,
    lists_pages_in_order_with_conditions,
    finds_what_a_condition_means,
    of_its_subjects_one_must_meet_a_condition,
    finds_parts_without_the_case_of_ascii_letters_only,
    of_many_concurrent_claims_to_a_subject_one_wins,
}
