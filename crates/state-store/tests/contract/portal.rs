//! Portal tokens and the secret that signs them.

use crate::place::Place;
use crate::samples::{at, ns};
use tallystick_domain::PortalTokenId;
use tallystick_domain::portal::PortalToken;
use tallystick_state_store::{StateStore, Writer};

fn token(number: i64, subject: &str) -> PortalToken {
    PortalToken {
        id: PortalTokenId::from_parts(1_700_000_000_000, u128::try_from(number).unwrap()),
        subject: subject.into(),
        meters: (number % 2 == 0).then(|| ["a", "b"].map(String::from).into()),
        created_at: at(number),
        expires_at: at(number + 100),
        invalidated_at: None,
    }
}

async fn listed(store: &StateStore, namespace: &str) -> Vec<i64> {
    let found = store.list_portal_tokens(&ns(namespace), 100).await.unwrap();
    found.iter().map(|token| token.created_at.as_micros()).collect()
}

pub async fn tokens_are_kept_listed_and_invalidated(place: Place) {
    let store = place.open().await;
    for (number, subject) in [(1, "s"), (2, "s\0"), (3, "s"), (4, "t")] {
        let token = token(number, subject);
        store.insert_portal_token(Writer::of(&ns("a")), &token, at(0)).await.unwrap();
        assert_eq!(store.get_portal_token(&ns("a"), token.id).await.unwrap(), Some(token.clone()));
        assert_eq!(store.get_portal_token(&ns("b"), token.id).await.unwrap(), None);
    }
    assert_eq!(listed(&store, "a").await, [4, 3, 2, 1]);
    assert_eq!(store.list_portal_tokens(&ns("a"), 1).await.unwrap(), [token(4, "t")]);
    assert_eq!(listed(&store, "b").await, [0; 0]);

    store.invalidate_portal_tokens(Writer::of(&ns("b")), None, Some("s"), at(9)).await.unwrap();
    store.invalidate_portal_tokens(Writer::of(&ns("a")), Some(token(4, "").id), Some("s"), at(9)).await.unwrap();
    assert_eq!(listed(&store, "a").await, [4, 3, 2, 1]);
    store.invalidate_portal_tokens(Writer::of(&ns("a")), None, Some("s"), at(9)).await.unwrap();
    assert_eq!(listed(&store, "a").await, [4, 2]);
    store.invalidate_portal_tokens(Writer::of(&ns("a")), Some(token(4, "").id), None, at(9)).await.unwrap();
    store.invalidate_portal_tokens(Writer::of(&ns("a")), Some(token(4, "").id), None, at(10)).await.unwrap();
    assert_eq!(listed(&store, "a").await, [2]);
    let gone = store.get_portal_token(&ns("a"), token(4, "").id).await.unwrap().unwrap();
    assert_eq!(gone.invalidated_at, Some(at(9)));
    let outbox = place.outbox().await;
    assert_eq!(outbox.len(), 7, "{outbox:?}");
    assert!(outbox[4..].iter().all(|row| row.contains("portal_token") && row.ends_with("revoked 9")), "{outbox:?}");
}

pub async fn old_tokens_are_forgotten(place: Place) {
    let store = place.open().await;
    store.insert_portal_token(Writer::of(&ns("a")), &token(1, "s"), at(0)).await.unwrap();
    store.insert_portal_token(Writer::of(&ns("b")), &token(1, "s"), at(0)).await.unwrap();
    store.insert_portal_token(Writer::of(&ns("a")), &token(2, "s"), at(101)).await.unwrap();
    assert_eq!(listed(&store, "a").await, [2, 1]);
    store.insert_portal_token(Writer::of(&ns("a")), &token(3, "s"), at(102)).await.unwrap();
    assert_eq!((listed(&store, "a").await, listed(&store, "b").await), (vec![3, 2], vec![1]));
}

pub async fn all_servers_share_one_secret(place: Place) {
    let servers = [place.open().await, place.open().await];
    assert_eq!(servers[0].find_secret("portal").await.unwrap(), None);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = servers[number % 2].clone();
        tasks.spawn(async move { store.shared_secret("portal", &format!("fresh {number}"), at(1)).await.unwrap() });
    }
    let secrets: std::collections::BTreeSet<_> = tasks.join_all().await.into_iter().collect();
    assert_eq!(secrets.len(), 1, "{secrets:?}");
    assert_eq!(servers[1].find_secret("portal").await.unwrap(), secrets.first().cloned());
    assert_eq!(servers[1].find_secret("other").await.unwrap(), None);
    assert_eq!(place.outbox().await.len(), 1);
}
