//! API keys.

use crate::place::Place;
use crate::samples::{at, key, ns};
use tallystick_domain::KeyId;
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_state_store::StateError;

pub async fn keys_are_found_by_hash_listed_by_age_and_revoked_once(place: Place) {
    let store = place.open().await;
    let (first, second) = (key(1, "b"), ApiKey { scopes: vec![Scope::Admin], ..key(2, "a") });
    store.insert_key(&second, "hash2").await.unwrap();
    store.insert_key(&first, "hash1").await.unwrap();
    assert_eq!(store.find_key("hash1").await.unwrap(), Some(first.clone()));
    assert_eq!(store.find_key("hash2").await.unwrap(), Some(second.clone()));
    assert_eq!(store.find_key("HASH1").await.unwrap(), None);
    assert_eq!(store.list_keys().await.unwrap(), [first.clone(), second.clone()]);

    let same_hash = store.insert_key(&key(3, "c"), "hash1").await.unwrap_err();
    assert!(matches!(same_hash, StateError::Conflict { .. }) && !same_hash.to_string().contains("hash1"));
    let same_id = ApiKey { namespace: ns("c"), ..first.clone() };
    assert!(matches!(store.insert_key(&same_id, "hash3").await, Err(StateError::Conflict { .. })));

    assert!(store.revoke_key(first.id, at(70)).await.unwrap());
    assert!(store.revoke_key(first.id, at(80)).await.unwrap());
    assert!(!store.revoke_key(KeyId::from_parts(0, 9), at(70)).await.unwrap());
    let revoked = ApiKey { revoked_at: Some(at(70)), ..first };
    assert_eq!(store.find_key("hash1").await.unwrap(), Some(revoked.clone()));
    assert_eq!(store.list_keys().await.unwrap(), [revoked, second]);
}
