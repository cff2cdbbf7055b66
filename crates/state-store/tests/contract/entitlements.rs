//! Entitlements, their grants and resets.

use crate::place::Place;
use crate::samples::{at, meter, ns};
use std::collections::BTreeMap;
use tallystick_domain::customer::{Customer, CustomerDraft};
use tallystick_domain::entitlement::{
    Entitlement, Expiration, ExpirationUnit, Grant, Issue, Kind, KindName, Metered, Outcome, Reservation, Reset,
};
use tallystick_domain::feature::{Feature, FeatureDraft};
use tallystick_domain::meter::Meter;
use tallystick_domain::time::{Interval, Recurrence};
use tallystick_domain::{CustomerId, EntitlementId, FeatureId, GrantId, Quantity, ReservationId};
use tallystick_state_store::{EntitlementListing, GrantListing, GrantOrder, StateError, StateStore, Writer};

fn q(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

fn customer(number: u128) -> CustomerId {
    CustomerId::from_parts(0, number)
}

fn boolean(number: u128, of: u128, key: &str) -> Entitlement {
    Entitlement {
        id: EntitlementId::from_parts(0, number),
        customer: customer(of),
        feature: FeatureId::from_parts(0, FEATURES.iter().find(|(_, known)| *known == key).unwrap().0),
        feature_key: key.into(),
        kind: Kind::Boolean,
        usage_period: None,
        metadata: BTreeMap::new(),
        annotations: BTreeMap::new(),
        active_from: at(number as i64),
        active_to: None,
        created_at: at(number as i64),
        updated_at: at(number as i64),
        deleted_at: None,
    }
}

fn monthly() -> Recurrence {
    Recurrence { interval: Interval::parse("P1M15D").unwrap(), anchor: at(60_000_000) }
}

fn metered(number: u128, of: u128, key: &str) -> Entitlement {
    let issue = Some(Issue { amount: q("0.1000000000000000000000000001"), priority: 200 });
    let metered = Metered { is_soft_limit: true, measured_from: at(120_000_000), issue, preserves_overage: true };
    Entitlement {
        kind: Kind::Metered(metered),
        usage_period: Some(monthly()),
        metadata: BTreeMap::from([("team".into(), "röd \u{0}".into())]),
        annotations: BTreeMap::from([("by".into(), "us".into())]),
        ..boolean(number, of, key)
    }
}

fn grant(number: u128, of: &Entitlement) -> Grant {
    Grant {
        id: GrantId::from_parts(0, number),
        entitlement: of.id,
        amount: q("79228162514264337593543950335"),
        priority: 0,
        effective_at: at(60_000_000),
        expiration: None,
        min_rollover: q("0"),
        max_rollover: q("0.5"),
        recurrence: None,
        metadata: BTreeMap::new(),
        annotations: BTreeMap::new(),
        created_at: at(number as i64),
        updated_at: at(number as i64),
        voided_at: None,
        deleted_at: None,
    }
}

fn full_grant(number: u128, of: &Entitlement) -> Grant {
    Grant {
        priority: 255,
        expiration: Some(Expiration { unit: ExpirationUnit::Week, count: 1000 }),
        recurrence: Some(monthly()),
        metadata: BTreeMap::from([("a".into(), "b".into())]),
        annotations: BTreeMap::from([("issueAfterReset".into(), "true".into())]),
        ..grant(number, of)
    }
}

/// Stores the customers and features that the entitlements are of.
async fn prepare(store: &StateStore, by: Writer<'_>) {
    for number in 1..=3 {
        let (key, name) = (Some(format!("c{number}")), format!("customer {number}"));
        let draft = CustomerDraft { key, name, ..CustomerDraft::default() };
        let customer = Customer::define(customer(number), draft, at(1)).unwrap();
        store.insert_customer(by, &customer, &[]).await.unwrap();
    }
    for (number, key) in FEATURES {
        let draft = FeatureDraft { key: (*key).into(), name: (*key).into(), ..FeatureDraft::default() };
        let feature = Feature::define(FeatureId::from_parts(0, *number), draft, None, at(1)).unwrap();
        store.insert_feature(by, &feature, None).await.unwrap();
    }
}

/// Keys of features with their ids.
const FEATURES: &[(u128, &str)] = &[(50, "api"), (51, "sso"), (52, "config"), (53, "other"), (54, "tokens")];

pub async fn every_field_is_kept(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    let by = Writer::of(&a);
    prepare(&store, by).await;
    let made = metered(1, 1, "api");
    let grants = [grant(10, &made), full_grant(11, &made)];
    store.insert_entitlement(by, &made, &grants).await.unwrap();
    let configured = Entitlement { kind: Kind::Static { config: "{\"a\": 1.0}".into() }, ..boolean(2, 1, "config") };
    store.insert_entitlement(by, &configured, &[]).await.unwrap();
    assert_eq!(store.get_entitlement(&ns("a"), made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(store.entitlements_of(&ns("a"), customer(1)).await.unwrap(), [made.clone(), configured.clone()]);
    assert_eq!(store.grants_of(&ns("a"), made.id).await.unwrap(), grants);
    assert_eq!(store.grants_of_customer(&a, customer(1)).await.unwrap(), grants);
    assert_eq!(store.grants_of_customer(&a, customer(2)).await.unwrap(), []);
    assert_eq!(store.get_grant(&ns("a"), grants[1].id).await.unwrap(), Some(grants[1].clone()));
    let reset = |micros| Reset { at: at(micros), recurrence: monthly(), preserves_overage: micros > 5 };
    for micros in [9, 3] {
        store.insert_reset(by, made.id, &reset(micros), at(10)).await.unwrap();
    }
    let twice = store.insert_reset(by, made.id, &reset(3), at(11)).await;
    assert!(matches!(twice, Err(StateError::Conflict { .. })), "{twice:?}");
    assert_eq!(store.resets_of(&a, [made.id]).await.unwrap(), BTreeMap::from([(made.id, vec![reset(3), reset(9)])]));
    assert_eq!(store.get_entitlement(&ns("b"), made.id).await.unwrap(), None);
    assert!(store.grants_of(&ns("b"), made.id).await.unwrap().is_empty());
    assert!(store.resets_of(&ns("b"), [made.id]).await.unwrap().is_empty());
}

pub async fn one_of_a_customer_and_feature_is_in_force_at_a_time(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    let by = Writer::of(&a);
    prepare(&store, by).await;
    let first = metered(1, 1, "api");
    store.insert_entitlement(by, &first, &[grant(10, &first)]).await.unwrap();
    let second = boolean(2, 1, "api");
    let refused = store.insert_entitlement(by, &second, &[]).await.unwrap_err();
    assert_eq!(refused, StateError::Overlap { entitlement: first.id, feature_key: "api".into() });
    assert_eq!(store.get_entitlement(&ns("a"), second.id).await.unwrap(), None, "nothing was written");
    for free in [boolean(3, 2, "api"), boolean(4, 1, "other")] {
        store.insert_entitlement(by, &free, &[]).await.unwrap();
    }
    let next = Entitlement { active_from: at(70), created_at: at(70), ..metered(5, 1, "api") };
    assert!(store.replace_entitlement(by, &first, &next, &[grant(11, &next)]).await.unwrap());
    let ended = store.get_entitlement(&ns("a"), first.id).await.unwrap().unwrap();
    assert_eq!((ended.active_to, ended.deleted_at, ended.updated_at), (Some(at(70)), None, at(70)));
    assert_eq!(store.grants_of(&ns("a"), first.id).await.unwrap()[0].deleted_at, Some(at(70)));
    assert_eq!(store.grants_of(&ns("a"), next.id).await.unwrap()[0].deleted_at, None);
    assert!(!store.replace_entitlement(by, &first, &boolean(6, 1, "api"), &[]).await.unwrap());
    assert_eq!(store.get_entitlement(&ns("a"), EntitlementId::from_parts(0, 6)).await.unwrap(), None);
    assert!(store.delete_entitlement(by, next.id, at(80)).await.unwrap());
    assert!(!store.delete_entitlement(by, next.id, at(90)).await.unwrap());
    assert_eq!(store.grants_of(&ns("a"), next.id).await.unwrap()[0].deleted_at, Some(at(80)));
    let again = Entitlement { active_from: at(80), ..boolean(7, 1, "api") };
    store.insert_entitlement(by, &again, &[]).await.unwrap();
}

pub async fn they_are_listed_in_pages(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    let by = Writer::of(&a);
    prepare(&store, by).await;
    let all = [metered(1, 1, "api"), boolean(2, 1, "sso"), metered(3, 2, "api"), boolean(4, 2, "sso")];
    for made in &all {
        store.insert_entitlement(by, made, &[]).await.unwrap();
    }
    let gone = Entitlement { active_to: Some(at(6)), ..boolean(5, 3, "sso") };
    store.insert_entitlement(by, &gone, &[]).await.unwrap();
    let listed = async |listing: EntitlementListing| {
        let (found, total) =
            store.list_entitlements(&ns("a"), &EntitlementListing { limit: 10, ..listing }).await.unwrap();
        assert_eq!(found.len() as u64, total);
        found
            .iter()
            .map(|one| all.iter().chain([&gone]).position(|known| known == one).unwrap() + 1)
            .collect::<Vec<_>>()
    };
    let base = EntitlementListing::default;
    assert_eq!(listed(base()).await, [1, 2, 3, 4, 5]);
    assert_eq!(listed(EntitlementListing { descending: true, ..base() }).await, [5, 4, 3, 2, 1]);
    assert_eq!(listed(EntitlementListing { customers: Some(vec![customer(2)]), ..base() }).await, [3, 4]);
    assert_eq!(listed(EntitlementListing { customers: Some(vec![]), ..base() }).await, [0usize; 0]);
    assert_eq!(listed(EntitlementListing { features: vec!["sso".into()], ..base() }).await, [2, 4, 5]);
    let by_id = all[0].feature.to_string();
    assert_eq!(listed(EntitlementListing { features: vec![by_id], ..base() }).await, [1, 3]);
    assert_eq!(listed(EntitlementListing { kinds: vec![KindName::Metered], ..base() }).await, [1, 3]);
    assert_eq!(listed(EntitlementListing { active_at: Some(at(6)), ..base() }).await, [1, 2, 3, 4]);
    assert_eq!(listed(EntitlementListing { active_at: Some(at(3)), ..base() }).await, [1, 2, 3]);
    let (page, total) =
        store.list_entitlements(&ns("a"), &EntitlementListing { offset: 1, limit: 2, ..base() }).await.unwrap();
    assert_eq!((page, total), (all[1..3].to_vec(), 5));
    store.delete_entitlement(by, all[1].id, at(9)).await.unwrap();
    assert_eq!(store.list_entitlements(&ns("a"), &EntitlementListing { limit: 9, ..base() }).await.unwrap().1, 4);
    let with_deleted = EntitlementListing { include_deleted: true, limit: 9, ..base() };
    assert_eq!(store.list_entitlements(&ns("a"), &with_deleted).await.unwrap().1, 5);
}

pub async fn grants_are_added_voided_once_and_listed(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    let by = Writer::of(&a);
    prepare(&store, by).await;
    let (ours, theirs) = (metered(1, 1, "api"), metered(2, 2, "tokens"));
    store.insert_entitlement(by, &ours, &[]).await.unwrap();
    store.insert_entitlement(by, &theirs, &[grant(12, &theirs)]).await.unwrap();
    for number in [10, 11] {
        assert!(store.insert_grant(by, &full_grant(number, &ours)).await.unwrap());
    }
    assert!(store.void_grant(by, full_grant(10, &ours).id, at(60), at(61)).await.unwrap());
    assert!(!store.void_grant(by, full_grant(10, &ours).id, at(62), at(63)).await.unwrap());
    let voided = store.get_grant(&ns("a"), full_grant(10, &ours).id).await.unwrap().unwrap();
    assert_eq!((voided.voided_at, voided.updated_at), (Some(at(60)), at(61)));
    let listed = async |listing: GrantListing| {
        let (found, total) = store.list_grants(&ns("a"), &GrantListing { limit: 10, ..listing }).await.unwrap();
        assert_eq!(found.len() as u64, total);
        found
            .iter()
            .map(|grant| (10..13).find(|number| grant.id == GrantId::from_parts(0, *number)).unwrap())
            .collect::<Vec<_>>()
    };
    let base = GrantListing::default;
    assert_eq!(listed(base()).await, [10, 11, 12]);
    assert_eq!(listed(GrantListing { order: GrantOrder::UpdatedAt, ..base() }).await, [11, 12, 10]);
    assert_eq!(listed(GrantListing { order: GrantOrder::Id, descending: true, ..base() }).await, [12, 11, 10]);
    assert_eq!(listed(GrantListing { entitlement: Some(ours.id), ..base() }).await, [10, 11]);
    assert_eq!(listed(GrantListing { features: vec!["tokens".into()], ..base() }).await, [12]);
    assert_eq!(listed(GrantListing { customers: Some(vec![customer(1), customer(9)]), ..base() }).await, [10, 11]);
    store.delete_entitlement(by, ours.id, at(70)).await.unwrap();
    assert_eq!(listed(base()).await, [12]);
    assert_eq!(listed(GrantListing { include_deleted: true, ..base() }).await, [10, 11, 12]);
    assert!(!store.insert_grant(by, &grant(13, &ours)).await.unwrap(), "its entitlement is deleted");
}

pub async fn only_live_customers_are_given_live_features_and_leave_after_them(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    let by = Writer::of(&a);
    prepare(&store, by).await;
    let is_refused = |outcome: Result<(), StateError>| match outcome {
        Err(StateError::Refused(text)) => text,
        other => panic!("{other:?}"),
    };
    let stranger = store.insert_entitlement(by, &boolean(1, 9, "sso"), &[]).await;
    assert!(is_refused(stranger).contains("customer"));
    store.archive_feature(by, FeatureId::from_parts(0, 53), at(5)).await.unwrap();
    let archived = store.insert_entitlement(by, &boolean(2, 1, "other"), &[]).await;
    assert!(is_refused(archived).contains("feature"));
    let held = boolean(3, 1, "sso");
    store.insert_entitlement(by, &held, &[]).await.unwrap();
    let known = store.get_customer(&a, customer(1)).await.unwrap().unwrap();
    let leaving = Customer { deleted_at: Some(at(20)), ..known };
    assert!(is_refused(store.update_customer(by, &leaving, &[]).await).contains(&held.id.to_string()));
    assert!(store.delete_entitlement(by, held.id, at(19)).await.unwrap());
    store.update_customer(by, &leaving, &[]).await.unwrap();
}

pub async fn one_of_many_concurrent_entitlements_wins(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    prepare(&store, Writer::of(&a)).await;
    let tries = (1..=8).map(|number| {
        let (store, a) = (store.clone(), a.clone());
        tokio::spawn(async move { store.insert_entitlement(Writer::of(&a), &boolean(number, 1, "sso"), &[]).await })
    });
    let (mut made, mut refused) = (0, 0);
    for attempt in tries.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(()) => made += 1,
            Err(StateError::Overlap { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((made, refused), (1, 7));
}

pub async fn a_reservation_is_held_until_it_is_ended_once(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    let by = Writer::of(&a);
    let made = |number, end| Reservation {
        id: ReservationId::from_parts(0, number),
        entitlement: EntitlementId::from_parts(0, 1),
        amount: q("0.1000000000000000000000000001"),
        created_at: at(10),
        expires_at: at(end),
        outcome: None,
    };
    let all = [made(1, 100), made(2, 200), made(3, 300)];
    for one in &all {
        store.insert_reservation(by, one).await.unwrap();
    }
    let held = async |now| {
        let held = store.reservations_held(at(now)).await.unwrap();
        let mut held: Vec<_> = held.into_iter().map(|(ns, one)| (ns, one.id)).collect();
        held.sort();
        held
    };
    assert_eq!(held(99).await, [1, 2, 3].map(|number| (a.clone(), ReservationId::from_parts(0, number))));
    assert_eq!(held(100).await.len(), 2, "one has expired");
    let committed = Outcome::Committed { at: at(50), event_source: "s\u{0}".into(), event_id: "e".into() };
    assert!(store.end_reservation(by, all[1].id, &committed).await.unwrap());
    assert!(!store.end_reservation(by, all[1].id, &Outcome::Released { at: at(51) }).await.unwrap());
    let kept = store.get_reservation(&a, all[1].id).await.unwrap();
    assert_eq!(kept, Some(Reservation { outcome: Some(committed), ..all[1].clone() }));
    assert_eq!(store.get_reservation(&ns("b"), all[1].id).await.unwrap(), None);
    assert!(store.end_reservation(by, all[2].id, &Outcome::Released { at: at(60) }).await.unwrap());
    assert_eq!(held(100).await, []);
    let month = 30 * 86_400_000_000;
    assert_eq!(store.forget_reservations(at(month + 100)).await.unwrap(), 0);
    assert_eq!(store.forget_reservations(at(month + 201)).await.unwrap(), 2);
    assert_eq!(store.get_reservation(&a, all[0].id).await.unwrap(), None, "it expired more than 30 days ago");
    assert!(store.get_reservation(&a, all[2].id).await.unwrap().is_some());
}

pub async fn meters_and_customers_go_with_what_was_made_for_their_balances(place: Place) {
    let store = place.open().await;
    let a = ns("a");
    let by = Writer::of(&a);
    prepare(&store, by).await;
    let measured = meter(1, "calls");
    store.insert_meter(by, &measured).await.unwrap();
    let ids = [60, 61].map(|number| FeatureId::from_parts(0, number));
    for (id, key) in ids.iter().zip(["own", "theirs"]) {
        let draft = FeatureDraft { key: key.into(), name: key.into(), ..FeatureDraft::default() };
        let feature = Feature::define(*id, draft, Some(&measured), at(1)).unwrap();
        store.insert_feature(by, &feature, Some(&measured)).await.unwrap();
    }
    let of =
        |number, of, id, key: &str| Entitlement { feature: id, feature_key: key.into(), ..metered(number, of, "api") };
    let (own, theirs) = (of(1, 1, ids[0], "own"), of(2, 1, ids[1], "theirs"));
    for made in [&own, &theirs] {
        store.insert_entitlement(by, made, &[grant(made.id.bits(), made)]).await.unwrap();
    }
    let is_deleted =
        async |id: EntitlementId| store.get_entitlement(&a, id).await.unwrap().unwrap().deleted_at.is_some();
    // Refused for what somebody else gave, and nothing is half done.
    let gone = Meter { deleted_at: Some(at(90)), updated_at: at(90), ..measured.clone() };
    let refused = store.delete_meter_with(by, &gone, &ids[..1]).await.unwrap_err();
    assert!(matches!(refused, StateError::Refused(_)), "{refused:?}");
    let customers = store.customers_with_ids(&a, [customer(1)]).await.unwrap();
    let leaving = Customer { deleted_at: Some(at(90)), updated_at: at(90), ..customers[0].clone() };
    let refused = store.delete_customer_with(by, &leaving, &[own.id]).await.unwrap_err();
    assert!(matches!(refused, StateError::Refused(_)), "{refused:?}");
    assert!(!is_deleted(own.id).await && store.find_feature(&a, "own").await.unwrap().is_some());
    store.delete_customer_with(by, &leaving, &[own.id, theirs.id]).await.unwrap();
    assert!(is_deleted(own.id).await && is_deleted(theirs.id).await);
    assert_eq!(store.grants_of(&a, own.id).await.unwrap()[0].deleted_at, Some(at(90)));
    let again = of(3, 2, ids[0], "own");
    store.insert_entitlement(by, &again, &[]).await.unwrap();
    store.delete_meter_with(by, &gone, &ids).await.unwrap();
    assert!(is_deleted(again.id).await && store.find_feature(&a, "own").await.unwrap().is_none());
    assert_eq!(store.get_meter(&a, measured.id).await.unwrap(), Some(gone));
}
