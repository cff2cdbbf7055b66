//! Meters and keys to store.

use std::collections::BTreeMap;
use tallystick_domain::expression::Names;
use tallystick_domain::json::JsonObject;
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_domain::meter::{ActivePeriod, Aggregation, Condition, JsonPath, Judging, Meter, Rule, RuleValue};
use tallystick_domain::{Instant, KeyId, MeterId, Namespace};

pub fn ns(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

pub fn at(micros: i64) -> Instant {
    Instant::from_micros(micros).unwrap()
}

pub fn meter_id(number: u128) -> MeterId {
    MeterId::from_parts(1_700_000_000_000, number)
}

pub fn meter(number: u128, slug: &str) -> Meter {
    Meter {
        id: meter_id(number),
        slug: slug.into(),
        name: slug.to_uppercase(),
        description: None,
        aggregation: Aggregation::Count,
        event_type: "request".into(),
        event_from: None,
        value_property: None,
        judging: None,
        group_by: BTreeMap::new(),
        metadata: None,
        details: Default::default(),
        created_at: at(10),
        updated_at: at(20),
        deleted_at: None,
    }
}

pub fn full_meter() -> Meter {
    let path = |text| JsonPath::parse(text).unwrap();
    Meter {
        description: Some("all of it".into()),
        aggregation: Aggregation::Sum,
        event_from: Some(at(5)),
        value_property: Some(path("$['a-b'].\"c d\"")),
        group_by: BTreeMap::from([("model".into(), path("$.model")), ("zone".into(), path("$['zöne \u{1f30d}']"))]),
        judging: Some(Judging {
            rule: Rule {
                conditions: vec![Condition { any_of: vec![path("$.region")], equals: "eu\u{1b}".into() }],
                matcher: None,
                value: RuleValue::Property(vec![path("$.n")]),
                names: Names::default(),
            },
            active: vec![ActivePeriod { from: Instant::MIN, to: Some(at(7)) }, ActivePeriod { from: at(9), to: None }],
        }),
        metadata: Some(BTreeMap::from([("team".into(), "red".into())])),
        details: [("door".to_string(), JsonObject::parse("{\"n\": 1.10, \"t\": \"\\u0000\"}").unwrap())].into(),
        ..meter(1, "tokens")
    }
}

pub fn deleted(meter: &Meter, micros: i64) -> Meter {
    Meter { deleted_at: Some(at(micros)), ..meter.clone() }
}

pub fn key(number: u128, namespace: &str) -> ApiKey {
    ApiKey {
        id: KeyId::from_parts(1_700_000_000_000, number),
        namespace: ns(namespace),
        name: format!("key {number}"),
        scopes: vec![Scope::Ingest, Scope::Read],
        created_at: at(number as i64),
        revoked_at: None,
    }
}
