//! Features: every field, one live key, and the meter that they measure by.

use crate::place::Place;
use crate::samples::{at, deleted, full_meter, meter, ns};
use std::collections::BTreeMap;
use tallystick_domain::FeatureId;
use tallystick_domain::feature::{Feature, FeatureMeter, Source, UnitCost};
use tallystick_domain::meter::{Filter, LikePattern, Meter};
use tallystick_domain::quantity::Quantity;
use tallystick_domain::search::TextCondition;
use tallystick_state_store::{FeatureListing, FeatureOrder, FeatureText, StateError, Writer};

fn feature(number: u128, key: &str) -> Feature {
    Feature {
        id: FeatureId::from_parts(1_700_000_000_000, number),
        key: key.into(),
        name: key.to_uppercase(),
        description: None,
        metadata: BTreeMap::new(),
        meter: None,
        filters: BTreeMap::new(),
        unit_cost: None,
        created_at: at(i64::try_from(number).unwrap()),
        updated_at: at(100 - i64::try_from(number).unwrap()),
        archived_at: None,
    }
}

/// A feature that measures by this meter and needs its dimension `model`.
fn measured(number: u128, key: &str, meter: &Meter) -> Feature {
    Feature {
        meter: Some(FeatureMeter { id: meter.id, slug: meter.slug.clone() }),
        filters: BTreeMap::from([("model".into(), Filter::Like(LikePattern::new("gpt-\0%", true)))]),
        ..feature(number, key)
    }
}

pub async fn a_feature_keeps_every_field(place: Place) {
    let store = place.open().await;
    let meter = full_meter();
    store.insert_meter(Writer::of(&ns("a")), &meter).await.unwrap();
    let llm = UnitCost::Llm {
        provider: Source::Fixed("openai".into()),
        model: Source::Dimension("model".into()),
        token_type: Source::Fixed("input".into()),
    };
    let full = Feature {
        description: Some("lo\0ng".into()),
        metadata: BTreeMap::from([("team".into(), "re\0d".into())]),
        unit_cost: Some(llm),
        ..measured(1, "full", &meter)
    };
    let amount = Quantity::parse("0.0000000000000000000000000001").unwrap();
    let manual = Feature { unit_cost: Some(UnitCost::Manual(amount)), ..feature(2, "manual") };
    for (feature, meter) in [(&full, Some(&meter)), (&manual, None)] {
        store.insert_feature(Writer::of(&ns("a")), feature, meter).await.unwrap();
        assert_eq!(store.get_feature(&ns("a"), feature.id).await.unwrap().as_ref(), Some(feature));
        assert_eq!(store.find_feature(&ns("a"), &feature.key).await.unwrap().as_ref(), Some(feature));
        assert_eq!(store.get_feature(&ns("b"), feature.id).await.unwrap(), None);
        assert_eq!(store.find_feature(&ns("b"), &feature.key).await.unwrap(), None);
    }
}

pub async fn a_key_belongs_to_one_live_feature(place: Place) {
    let store = place.open().await;
    let first = feature(1, "api");
    store.insert_feature(Writer::of(&ns("a")), &first, None).await.unwrap();
    let refused = store.insert_feature(Writer::of(&ns("a")), &feature(2, "api"), None).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("feature {} with key api already exists", first.id));
    store.insert_feature(Writer::of(&ns("b")), &first, None).await.unwrap();
    assert!(store.archive_feature(Writer::of(&ns("a")), first.id, at(50)).await.unwrap());
    assert!(!store.archive_feature(Writer::of(&ns("a")), first.id, at(60)).await.unwrap());
    store.insert_feature(Writer::of(&ns("a")), &feature(2, "api"), None).await.unwrap();
    let gone = Feature { archived_at: Some(at(50)), updated_at: at(50), ..first.clone() };
    assert_eq!(store.get_feature(&ns("a"), first.id).await.unwrap(), Some(gone));
    assert_eq!(store.get_feature(&ns("b"), first.id).await.unwrap(), Some(first));
}

pub async fn a_feature_is_checked_against_the_meter_that_is_stored(place: Place) {
    let store = place.open().await;
    let known = full_meter();
    store.insert_meter(Writer::of(&ns("a")), &known).await.unwrap();
    let changed = Meter { group_by: BTreeMap::new(), ..known.clone() };
    store.update_meter(Writer::of(&ns("a")), &changed).await.unwrap();
    let stale = store.insert_feature(Writer::of(&ns("a")), &measured(1, "api", &known), Some(&known)).await;
    assert!(matches!(stale, Err(StateError::Refused(text)) if text.contains("send the request again")));
    let foreign = store.insert_feature(Writer::of(&ns("b")), &measured(1, "api", &changed), Some(&changed)).await;
    assert!(matches!(foreign, Err(StateError::Refused(_))));
    assert_eq!(store.find_feature(&ns("a"), "api").await.unwrap(), None);
}

pub async fn a_meter_keeps_what_its_live_features_need(place: Place) {
    let store = place.open().await;
    let used = full_meter();
    store.insert_meter(Writer::of(&ns("a")), &used).await.unwrap();
    store.insert_meter(Writer::of(&ns("b")), &used).await.unwrap();
    let user = measured(1, "api", &used);
    store.insert_feature(Writer::of(&ns("a")), &user, Some(&used)).await.unwrap();
    let without = Meter { group_by: BTreeMap::new(), ..used.clone() };
    for (change, words) in [(deleted(&used, 30), "active features"), (without, "cannot be dropped")] {
        let told = store.update_meter(Writer::of(&ns("a")), &change).await.unwrap_err();
        assert!(matches!(&told, StateError::Refused(text) if text.contains(words) && text.contains("api")), "{told}");
        assert_eq!(store.get_meter(&ns("a"), used.id).await.unwrap(), Some(used.clone()));
        // Another namespace's meter of the same id has no features.
        store.update_meter(Writer::of(&ns("b")), &change).await.unwrap();
    }
    store.archive_feature(Writer::of(&ns("a")), user.id, at(40)).await.unwrap();
    store.update_meter(Writer::of(&ns("a")), &deleted(&used, 50)).await.unwrap();
}

pub async fn the_unit_cost_of_a_live_feature_changes(place: Place) {
    let store = place.open().await;
    let known = full_meter();
    store.insert_meter(Writer::of(&ns("a")), &known).await.unwrap();
    let made = measured(1, "api", &known);
    store.insert_feature(Writer::of(&ns("a")), &made, Some(&known)).await.unwrap();
    let manual = Some(UnitCost::Manual(Quantity::parse("0.5").unwrap()));
    let costly = Feature { unit_cost: manual, updated_at: at(70), ..made.clone() };
    assert!(store.update_feature_cost(Writer::of(&ns("a")), &costly, Some(&known)).await.unwrap());
    assert_eq!(store.get_feature(&ns("a"), made.id).await.unwrap().as_ref(), Some(&costly));
    assert!(!store.update_feature_cost(Writer::of(&ns("b")), &costly, None).await.unwrap());
    let stale = Meter { group_by: BTreeMap::new(), ..known.clone() };
    let refused = store.update_feature_cost(Writer::of(&ns("a")), &made, Some(&stale)).await;
    assert!(matches!(refused, Err(StateError::Refused(text)) if text.contains("send the request again")));
    assert!(store.archive_feature(Writer::of(&ns("a")), made.id, at(80)).await.unwrap());
    assert!(!store.update_feature_cost(Writer::of(&ns("a")), &made, Some(&known)).await.unwrap());
}

pub async fn features_are_listed_in_pages(place: Place) {
    let store = place.open().await;
    let (tokens, calls) = (full_meter(), meter(2, "calls"));
    for meter in [&tokens, &calls] {
        store.insert_meter(Writer::of(&ns("a")), meter).await.unwrap();
    }
    for (number, key, meter) in [(1, "b", Some(&tokens)), (2, "a", None), (3, "c_1", None), (4, "c", Some(&calls))] {
        let made = meter.map_or_else(
            || feature(number, key),
            |meter| Feature { filters: BTreeMap::new(), ..measured(number, key, meter) },
        );
        store.insert_feature(Writer::of(&ns("a")), &made, meter).await.unwrap();
    }
    store.archive_feature(Writer::of(&ns("a")), feature(3, "c_1").id, at(1000)).await.unwrap();
    let keys = async |listing: FeatureListing| {
        let (found, total) = store.list_features(&ns("a"), &listing).await.unwrap();
        (found.into_iter().map(|feature| feature.key).collect::<Vec<_>>().join(" "), total)
    };
    let all = FeatureListing { limit: 10, ..FeatureListing::default() };
    let sorted = |order, descending| FeatureListing { order, descending, ..all.clone() };
    let with = |text, condition| FeatureListing { conditions: vec![(text, condition)], ..all.clone() };
    let one_of = |texts: &[&str]| TextCondition::OneOf(texts.iter().map(|text| text.to_string()).collect());
    for (listing, shown) in [
        (all.clone(), ("a b c", 3)),
        (FeatureListing { include_archived: true, ..all.clone() }, ("a b c c_1", 4)),
        (FeatureListing { offset: 1, limit: 1, ..all.clone() }, ("b", 3)),
        (sorted(FeatureOrder::Id, false), ("b a c", 3)),
        (sorted(FeatureOrder::CreatedAt, true), ("c a b", 3)),
        (sorted(FeatureOrder::UpdatedAt, false), ("c a b", 3)),
        (sorted(FeatureOrder::Name, true), ("c b a", 3)),
        (with(FeatureText::MeterSlug, one_of(&["tokens"])), ("b", 1)),
        (with(FeatureText::MeterSlug, one_of(&["tokens", "calls", "%"])), ("b c", 2)),
        (with(FeatureText::MeterSlug, one_of(&[])), ("", 0)),
        (with(FeatureText::MeterId, TextCondition::IsNot(tokens.id.to_string())), ("a c", 2)),
        (with(FeatureText::MeterId, TextCondition::Present(false)), ("a", 1)),
        (with(FeatureText::Key, TextCondition::Above("a".into())), ("b c", 2)),
        (with(FeatureText::Name, TextCondition::Contains("b".into())), ("b", 1)),
    ] {
        assert_eq!(keys(listing.clone()).await, (shown.0.to_string(), shown.1), "{listing:?}");
    }
    assert_eq!(store.list_features(&ns("b"), &all).await.unwrap(), (vec![], 0));
}
