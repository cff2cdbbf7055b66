//! Other names of subjects: never two meanings of one name, all or nothing.

use crate::place::Place;
use crate::samples::{at, ns};
use std::collections::BTreeMap;
use tallystick_domain::customer::Customer;
use tallystick_domain::subject::{Alias, Patch, SubjectChange, SubjectDraft};
use tallystick_domain::{CustomerId, SubjectId};
use tallystick_state_store::{StateError, StateStore, SubjectEdits, Writer};

fn alias(name: &str, subject: &str) -> Alias {
    Alias { name: name.into(), subject: subject.into(), created_at: at(5) }
}

fn customer(number: u128, key: Option<&str>, subjects: &[&str]) -> Customer {
    Customer {
        id: CustomerId::from_parts(1_700_000_000_000, number),
        key: key.map(Into::into),
        name: "C".into(),
        description: None,
        primary_email: None,
        currency: None,
        billing_address: None,
        metadata: BTreeMap::new(),
        subject_keys: subjects.iter().map(|subject| subject.to_string()).collect(),
        details: Default::default(),
        created_at: at(5),
        updated_at: at(5),
        deleted_at: None,
    }
}

async fn add(store: &StateStore, aliases: &[Alias]) -> Result<(), StateError> {
    store.insert_aliases(Writer::of(&ns("a")), aliases, 3).await
}

async fn refusal(store: &StateStore, aliases: &[Alias]) -> String {
    match add(store, aliases).await {
        Err(StateError::Refused(reason)) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub async fn aliases_are_added_found_listed_and_removed(place: Place) {
    let store = place.open().await;
    let (x, y, z) = (alias("x\0é", "s"), alias("y", "s"), alias("z", "t"));
    add(&store, &[y.clone(), x.clone(), z.clone()]).await.unwrap();
    // What a subject is called already stays as it is.
    add(&store, &[Alias { created_at: at(9), ..y.clone() }]).await.unwrap();
    assert_eq!(store.find_alias(&ns("a"), "x\0é").await.unwrap(), Some(x.clone()));
    assert_eq!(store.find_alias(&ns("b"), "x\0é").await.unwrap(), None);
    let wanted = |subjects: &[&str]| subjects.iter().map(|subject| subject.to_string()).collect();
    assert_eq!(store.aliases_of(&ns("a"), wanted(&["t", "s"])).await.unwrap(), [x, y, z.clone()]);
    assert_eq!(store.aliases_of(&ns("a"), wanted(&[])).await.unwrap(), []);
    assert_eq!(store.aliases_of(&ns("b"), wanted(&["s"])).await.unwrap(), []);

    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let remove = |subject: &'static str, names: Vec<String>| {
        let store = store.clone();
        async move { store.delete_aliases(Writer::of(&ns("a")), subject, &names, at(20)).await.unwrap() }
    };
    // "z" is not an alias of "s", so nothing is removed.
    assert!(!remove("s", names(&["y", "z"])).await);
    assert_eq!(store.aliases_of(&ns("a"), wanted(&["s"])).await.unwrap().len(), 2);
    assert!(remove("s", names(&["y", "x\0é"])).await);
    assert_eq!(store.aliases_of(&ns("a"), wanted(&["s", "t"])).await.unwrap(), [z]);
    let told: Vec<_> = place.outbox().await.iter().map(|row| row.split(' ').nth(3).unwrap().to_string()).collect();
    assert_eq!(told, ["created", "created", "created", "deleted", "deleted"]);
}

pub async fn a_name_never_means_two_subjects(place: Place) {
    let store = place.open().await;
    store.insert_customer(Writer::of(&ns("a")), &customer(1, Some("acme"), &["s"]), &[]).await.unwrap();
    add(&store, &[alias("x", "s")]).await.unwrap();
    for (wrong, reason) in [
        (alias("x", "t"), "is an alias already"),
        (alias("s", "t"), "aliases of its own"),
        (alias("acme", "t"), "is a subject of a customer"),
        (alias("y", "x"), "itself an alias"),
        (alias("y", "y"), "of its own name"),
    ] {
        let refused = refusal(&store, &[alias("fine", "t"), wrong]).await;
        assert!(refused.contains(reason), "{refused}");
        assert_eq!(store.find_alias(&ns("a"), "fine").await.unwrap(), None);
    }
    add(&store, &[alias("x2", "s"), alias("x3", "s")]).await.unwrap();
    assert!(refusal(&store, &[alias("x4", "s")]).await.contains("3 are the most"));
    for taken in [customer(2, Some("x"), &[]), customer(2, None, &["x"])] {
        let made = store.insert_customer(Writer::of(&ns("a")), &taken, &[]).await;
        assert!(matches!(&made, Err(StateError::Conflict { what }) if what.contains("alias")), "{made:?}");
    }
    store.insert_customer(Writer::of(&ns("b")), &customer(2, Some("x"), &["s"]), &[]).await.unwrap();
}

pub async fn the_owner_of_a_subject_owns_its_aliases(place: Place) {
    let store = place.open().await;
    let (of_key, of_subject) = (customer(1, Some("acme"), &[]), customer(2, None, &["s"]));
    for made in [&of_key, &of_subject] {
        store.insert_customer(Writer::of(&ns("a")), made, &[]).await.unwrap();
    }
    add(&store, &[alias("x", "acme"), alias("y", "s"), alias("z", "nobody")]).await.unwrap();
    for (name, owner) in [("x", Some(of_key.id)), ("y", Some(of_subject.id)), ("z", None), ("s", Some(of_subject.id))] {
        assert_eq!(store.find_subject_owner(&ns("a"), name).await.unwrap(), owner, "{name}");
        assert_eq!(store.find_subject_owner(&ns("b"), name).await.unwrap(), None, "{name}");
    }
    for gone in [of_key, of_subject] {
        let deleted = Customer { deleted_at: Some(at(50)), ..gone };
        store.update_customer(Writer::of(&ns("a")), &deleted, &[]).await.unwrap();
    }
    assert_eq!(store.find_subject_owner(&ns("a"), "x").await.unwrap(), None);
    assert_eq!(store.find_subject_owner(&ns("a"), "y").await.unwrap(), None);
}

pub async fn a_customer_is_written_with_its_subjects_or_not_at_all(place: Place) {
    let store = place.open().await;
    let by = ns("a");
    let describe = |number: u128, key: &str| {
        let draft = SubjectDraft { key: key.into(), display_name: Patch::Set("S".into()), ..SubjectDraft::default() };
        (SubjectId::from_parts(1_700_000_000_000, number), SubjectChange::parse(draft).unwrap())
    };
    let edits = |number, key: &str, aliases: &[Alias]| SubjectEdits {
        describe: vec![describe(number, key)],
        aliases: aliases.to_vec(),
        most_aliases: 3,
        forget: vec![],
    };
    let first = customer(1, Some("acme"), &["s"]);
    store.insert_customer_with(Writer::of(&by), &first, edits(1, "s", &[alias("x", "s")])).await.unwrap();
    let second = customer(2, Some("other"), &["t"]);
    let taken = store.insert_customer_with(Writer::of(&by), &second, edits(2, "t", &[alias("x", "t")])).await;
    assert!(matches!(taken, Err(StateError::Refused(_))), "{taken:?}");
    assert_eq!(store.find_customer(&by, "other").await.unwrap(), None);
    assert_eq!(store.list_subjects(&by).await.unwrap().len(), 1);

    let two = customer(1, Some("acme"), &["s", "t"]);
    store.update_customer_with(Writer::of(&by), &first, &two, edits(2, "t", &[alias("y", "t")])).await.unwrap();
    // What was read before is not there any more.
    let late = store.update_customer_with(Writer::of(&by), &first, &first, SubjectEdits::default()).await;
    assert!(matches!(late, Err(StateError::Refused(_))), "{late:?}");
    let one = Customer { updated_at: at(60), ..customer(1, Some("acme"), &["t"]) };
    let forget = SubjectEdits { forget: vec!["s".into()], ..SubjectEdits::default() };
    store.update_customer_with(Writer::of(&by), &two, &one, forget).await.unwrap();
    assert_eq!(store.get_customer(&by, first.id).await.unwrap(), Some(one));
    let keys: Vec<_> = store.list_subjects(&by).await.unwrap().into_iter().map(|subject| subject.key).collect();
    assert_eq!(keys, ["t"]);
    let left = store.aliases_of(&by, vec!["s".into(), "t".into()]).await.unwrap();
    assert_eq!(left, [alias("y", "t")]);
    let kinds: Vec<_> = place.outbox().await.iter().map(|row| row.split(' ').nth(1).unwrap().to_string()).collect();
    assert_eq!(kinds, ["subject", "alias", "customer", "subject", "alias", "customer", "alias", "subject", "customer"]);
}
