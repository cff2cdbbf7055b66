//! Namespaces.

use crate::place::Place;
use crate::samples::{at, key, ns};
use tallystick_state_store::StateError;

pub async fn one_is_made_once_and_the_default_one_is_always_there(place: Place) {
    let store = place.open().await;
    store.insert_namespace(&ns("zoo"), at(2)).await.unwrap();
    store.insert_namespace(&ns("acme"), at(3)).await.unwrap();
    for taken in ["acme", "default"] {
        let refused = store.insert_namespace(&ns(taken), at(4)).await.unwrap_err();
        assert!(matches!(refused, StateError::Conflict { .. }) && refused.to_string().contains(taken), "{refused}");
    }
    let listed = [(ns("acme"), Some(at(3))), (ns("default"), None), (ns("zoo"), Some(at(2)))];
    assert_eq!(store.list_namespaces().await.unwrap(), listed);
    for (name, expected) in [("acme", true), ("default", true), ("ac", false)] {
        assert_eq!(store.has_namespace(&ns(name)).await.unwrap(), expected, "{name}");
    }
}

pub async fn those_with_keys_were_there_before(place: Place) {
    let store = place.open().await;
    for (number, name) in [(5, "old"), (4, "old"), (6, "default")] {
        store.insert_key(&key(number, name), &format!("hash{number}")).await.unwrap();
    }
    // What the migration does with the keys of a store that is older than it.
    let migration = include_str!("../../migrations/0006_namespaces.sql");
    place.damage(&migration[migration.find("INSERT").unwrap()..]).await;
    assert_eq!(store.list_namespaces().await.unwrap(), [(ns("default"), None), (ns("old"), Some(at(4)))]);
}
