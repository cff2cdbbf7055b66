//! Event schemas: every field, versions, and one change at a time.

use crate::place::Place;
use crate::samples::{at, ns};
use tallystick_domain::EventSchemaId;
use tallystick_domain::event_schema::{EventSchema, SchemaAttribute, SchemaContent, SchemaStatus};
use tallystick_state_store::{StateError, Writer};

fn schema(number: u128, name: &str) -> EventSchema {
    EventSchema {
        id: EventSchemaId::from_parts(1_700_000_000_000, number),
        name: name.into(),
        version: 1,
        status: SchemaStatus::Draft,
        content: SchemaContent::default(),
        created_at: at(10),
        updated_at: at(10),
        deleted_at: None,
    }
}

fn full() -> EventSchema {
    let attribute =
        |name: &str, unit: Option<&str>| SchemaAttribute { name: name.into(), default_unit: unit.map(Into::into) };
    EventSchema {
        content: SchemaContent {
            description: Some("all\0 of it".into()),
            attributes: vec![attribute("time é", None), attribute("distance", Some("km"))],
            dimensions: vec!["vehicle \"type\"".into(), "city".into()],
            filter_fields: vec!["city".into(), "distance".into()],
        },
        ..schema(1, "rides")
    }
}

pub async fn every_field_of_each_version_is_kept(place: Place) {
    let store = place.open().await;
    let by = ns("a");
    store.insert_event_schema(Writer::of(&by), &full()).await.unwrap();
    assert_eq!(store.find_event_schema(&by, "rides").await.unwrap(), Some(full()));
    assert_eq!(store.find_event_schema(&ns("b"), "rides").await.unwrap(), None);
    let active = EventSchema { status: SchemaStatus::Active, updated_at: at(20), ..full() };
    store.update_event_schema(Writer::of(&by), &full(), &active).await.unwrap();
    let second = EventSchema { version: 2, created_at: at(30), updated_at: at(30), ..active.clone() };
    store.update_event_schema(Writer::of(&by), &active, &second).await.unwrap();
    let archived = EventSchema { status: SchemaStatus::Archived, updated_at: at(30), ..active.clone() };
    assert_eq!(store.event_schema_versions(&by, "rides").await.unwrap(), [second.clone(), archived]);
    assert_eq!(store.event_schema_versions(&ns("b"), "rides").await.unwrap(), []);
    assert_eq!(store.list_event_schemas(&by).await.unwrap(), std::slice::from_ref(&second));

    store.delete_event_schema(Writer::of(&by), &second, at(40)).await.unwrap();
    assert_eq!(store.find_event_schema(&by, "rides").await.unwrap(), None);
    assert_eq!(store.event_schema_versions(&by, "rides").await.unwrap(), []);
    assert_eq!(store.list_event_schemas(&by).await.unwrap(), []);
    store.insert_event_schema(Writer::of(&by), &schema(2, "rides")).await.unwrap();
    let told: Vec<_> = place.outbox().await.iter().map(|row| row.split(' ').nth(3).unwrap().to_string()).collect();
    assert_eq!(told, ["created", "updated", "updated", "deleted", "created"]);
}

pub async fn a_name_has_one_live_schema_and_the_last_changed_is_listed_first(place: Place) {
    let store = place.open().await;
    let by = ns("a");
    for (number, name) in [(1, "rides"), (2, "calls")] {
        store.insert_event_schema(Writer::of(&by), &schema(number, name)).await.unwrap();
    }
    let again = store.insert_event_schema(Writer::of(&by), &schema(3, "rides")).await;
    assert!(matches!(again, Err(StateError::Conflict { .. })), "{again:?}");
    store.insert_event_schema(Writer::of(&ns("b")), &schema(3, "rides")).await.unwrap();
    let changed = EventSchema { updated_at: at(50), ..schema(1, "rides") };
    store.update_event_schema(Writer::of(&by), &schema(1, "rides"), &changed).await.unwrap();
    let names: Vec<_> = store.list_event_schemas(&by).await.unwrap().into_iter().map(|schema| schema.name).collect();
    assert_eq!(names, ["rides", "calls"]);
}

pub async fn a_change_of_what_is_not_stored_any_more_is_refused(place: Place) {
    let store = place.open().await;
    let by = ns("a");
    store.insert_event_schema(Writer::of(&by), &full()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (store, by) = (store.clone(), by.clone());
        let second = EventSchema { version: 2, updated_at: at(20 + number), ..full() };
        tasks.spawn(async move { store.update_event_schema(Writer::of(&by), &full(), &second).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.event_schema_versions(&by, "rides").await.unwrap().len(), 2);
    let late = store.delete_event_schema(Writer::of(&by), &full(), at(90)).await;
    assert!(matches!(&late, Err(StateError::Refused(text)) if text.contains("rides")), "{late:?}");
    assert_eq!(store.list_event_schemas(&by).await.unwrap().len(), 1);
}
