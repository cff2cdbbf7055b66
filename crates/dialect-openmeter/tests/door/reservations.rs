//! Reservations: a part of a balance is held back until the usage is known.

use crate::support::{Answer, BATCH, Door, EVENT, JSON, NOW};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tallystick_domain::key::Scope;

const ALL: &str = "/api/v2/customers/acme/entitlements/tokens/reservations";
const VALUE: &str = "/api/v2/customers/acme/entitlements/tokens/value";
const UNKNOWN: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
/// Usage of one unit.
const USAGE: &str = r#"{"specversion":"1.0","id":"u","source":"s","type":"t","subject":"acme","data":{"v":1}}"#;

/// A door with customer `acme`, who has a hard limit of this amount to feature `tokens`, and `bob` without any.
async fn entitled(amount: &str) -> Door {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    door.post("/api/v1/features", r#"{"key":"tokens","name":"T","meterSlug":"total"}"#).await.expect(201);
    for key in ["acme", "bob"] {
        let body = json!({"key": key, "name": key, "usageAttribution": {"subjectKeys": [format!("of-{key}")]}});
        door.post("/api/v1/customers", body.to_string()).await.expect(201);
    }
    let body = format!(
        r#"{{"type":"metered","featureKey":"tokens","usagePeriod":{{"interval":"MONTH"}},"issue":{{"amount":{amount}}}}}"#
    );
    door.post("/api/v2/customers/acme/entitlements", body).await.expect(201);
    door
}

async fn reserve(door: &Door, body: &str) -> Answer {
    door.post(ALL, body.to_string()).await
}

/// The id of a reservation of this amount.
async fn reserved(door: &Door, amount: &str) -> String {
    let made = reserve(door, &format!(r#"{{"amount":{amount},"expiresIn":"PT1H"}}"#)).await.expect(201).json();
    made["id"].as_str().unwrap().to_string()
}

async fn commit(door: &Door, id: &str, event: &str) -> Answer {
    door.call("POST", &format!("{ALL}/{id}/commit"), &[("content-type", EVENT)], event.to_string()).await
}

async fn release(door: &Door, id: &str) -> Answer {
    door.call("POST", &format!("{ALL}/{id}/release"), &[], "").await
}

/// Whether there is access, what is left and what was used.
async fn standing(door: &Door) -> (Value, Value, Value) {
    let value = door.get(VALUE).await.expect(200).json();
    (value["hasAccess"].clone(), value["balance"].clone(), value["usage"].clone())
}

fn usage(id: &str, value: &str) -> String {
    USAGE.replace(r#""id":"u""#, &format!(r#""id":"{id}""#)).replace(r#""v":1"#, &format!(r#""v":{value}"#))
}

#[tokio::test]
async fn a_reservation_holds_back_for_a_minute_or_as_long_as_asked() {
    let door = entitled("10").await;
    let answer = reserve(&door, r#"{"amount":4}"#).await.expect(201);
    let made = answer.json();
    let entitlement = door.get("/api/v2/customers/acme/entitlements/tokens").await.json()["id"].clone();
    let expected = json!({
        "id": made["id"], "entitlementId": entitlement, "amount": 4, "createdAt": NOW,
        "expiresAt": "2024-06-01T00:01:00Z", "status": "open",
    });
    assert_eq!(made, expected);
    assert_eq!(made["id"].as_str().unwrap().len(), 26);
    let made = reserve(&door, r#"{"amount":0.1234567890123456789,"expiresIn":"PT1H30M"}"#).await.expect(201);
    assert!(made.text.contains(r#""amount":0.1234567890123456789,"#), "{}", made.text);
    assert_eq!(made.json()["expiresAt"], "2024-06-01T01:30:00Z");
    assert_eq!(standing(&door).await, (json!(true), json!(10), json!(0)), "a balance is what was burned");
    for name in [entitlement.as_str().unwrap(), "tokens"] {
        let path = ALL.replace("/tokens/", &format!("/{name}/"));
        door.post(&path, r#"{"amount":1,"expiresIn":"P1D"}"#).await.expect(201);
    }
}

#[tokio::test]
async fn what_is_left_is_told_to_the_last_digit() {
    let door = entitled("10").await;
    reserved(&door, "4.25").await;
    let refused = reserve(&door, r#"{"amount":6}"#).await.expect(409);
    assert!(refused.text.contains(r#""extensions":{"left":5.75}"#), "{}", refused.text);
    assert_eq!(refused.detail(), "conflict error: only 5.75 is left to reserve");
    reserved(&door, "5.75").await;
    assert_eq!(standing(&door).await, (json!(false), json!(10), json!(0)), "all of it is held back");
    assert_eq!(reserve(&door, r#"{"amount":0.01}"#).await.expect(409).json()["extensions"]["left"], 0);
    // Usage beyond the reservations does not make what is left negative.
    door.event("more", "acme", NOW, r#"{"v":3}"#).await;
    assert_eq!(reserve(&door, r#"{"amount":1}"#).await.expect(409).json()["extensions"]["left"], 0);
}

#[tokio::test]
async fn one_that_expires_lets_go_and_its_usage_still_counts() {
    let door = entitled("10").await;
    let id = reserve(&door, r#"{"amount":10,"expiresIn":"PT2S"}"#).await.expect(201).json()["id"].clone();
    let id = id.as_str().unwrap();
    door.set_clock("2024-06-01T00:00:01.999999Z");
    assert_eq!(standing(&door).await.0, false);
    door.set_clock("2024-06-01T00:00:02Z");
    assert_eq!(standing(&door).await.0, true);
    reserved(&door, "6").await;
    let ended = commit(&door, id, &usage("late", "7")).await.expect(200).json();
    assert_eq!((&ended["status"], &ended["endedAt"]), (&json!("committed"), &json!("2024-06-01T00:00:02Z")));
    assert_eq!(standing(&door).await, (json!(false), json!(3), json!(7)), "3 are left and 6 held back");
}

#[tokio::test]
async fn a_commit_takes_the_true_usage_once() {
    let door = entitled("10").await;
    let id = reserved(&door, "2").await;
    let made = commit(&door, &id, &usage("e", "3.5")).await.expect(200);
    let shown = made.json();
    assert_eq!((&shown["status"], &shown["event"]), (&json!("committed"), &json!({"source": "s", "id": "e"})));
    assert_eq!(standing(&door).await, (json!(true), json!(6.5), json!(3.5)), "more than was reserved counts too");
    assert_eq!(door.ids().await, ["e"], "it is an event as any other");
    door.set_clock("2024-06-01T00:00:30Z");
    assert_eq!(commit(&door, &id, &usage("e", "3.5")).await.expect(200).text, made.text, "once more changes nothing");
    assert_eq!(standing(&door).await.2, 3.5);
    let refused = commit(&door, &id, &usage("f", "1")).await.expect(409);
    assert!(refused.detail().contains("with another event, \"e\""), "{}", refused.text);
    assert!(release(&door, &id).await.expect(409).detail().contains("was committed"));
    assert_eq!(door.ids().await, ["e"]);
    reserve(&door, r#"{"amount":6.5}"#).await.expect(201);
}

#[tokio::test]
async fn a_released_one_is_over() {
    let door = entitled("2").await;
    let id = reserved(&door, "2").await;
    let released = release(&door, &id).await.expect(200);
    assert_eq!((&released.json()["status"], &released.json()["endedAt"]), (&json!("released"), &json!(NOW)));
    door.set_clock("2024-06-01T00:00:30Z");
    assert_eq!(release(&door, &id).await.expect(200).text, released.text, "once more changes nothing");
    let refused = commit(&door, &id, USAGE).await.expect(409);
    assert!(refused.detail().contains("was released") && refused.detail().contains("plain event"), "{}", refused.text);
    assert_eq!(door.ids().await.len(), 0, "a refused commit stores nothing");
    reserved(&door, "2").await;
}

#[tokio::test]
async fn a_commit_takes_an_event_in_each_form() {
    let door = entitled("10").await;
    let path = |id: &str| format!("{ALL}/{id}/commit");
    for (number, content_type) in [EVENT, JSON, BATCH, "application/cloudevents+json; charset=utf-8"].iter().enumerate()
    {
        let (id, event) = (reserved(&door, "1").await, usage(&number.to_string(), "1"));
        door.call("POST", &path(&id), &[("content-type", content_type)], event).await.expect(200);
    }
    let headers = [
        ("content-type", JSON),
        ("ce-specversion", "1.0"),
        ("ce-id", "binary"),
        ("ce-source", "s"),
        ("ce-type", "t"),
        ("ce-subject", "of-acme"),
    ];
    let id = reserved(&door, "1").await;
    let made = door.call("POST", &path(&id), &headers, r#"{"v":1}"#).await.expect(200).json();
    assert_eq!(made["event"]["id"], "binary");
    assert_eq!(standing(&door).await.2, 5);
}

#[tokio::test]
async fn a_commit_refuses_what_would_not_count() {
    let door = entitled("10").await;
    let id = reserved(&door, "4").await;
    let two = format!("[{},{}]", usage("a", "1"), usage("b", "1"));
    for (event, status, part) in [
        (two, 400, "exactly one event is needed"),
        ("[]".to_string(), 400, "exactly one event is needed"),
        (String::new(), 400, "value is required but missing"),
        ("{}".to_string(), 400, "specversion"),
        ("{}".to_string(), 400, "subject"),
        (usage("", "1"), 400, "id"),
        (USAGE.replace(r#""type":"t""#, r#""type":"x""#), 400, r#"type must be "t""#),
        (USAGE.replace(r#""subject":"acme""#, r#""subject":"bob""#), 400, r#"subject "bob" is not one of customer"#),
        (USAGE.replace("1.0", "9"), 400, "specversion"),
    ] {
        let refused = commit(&door, &id, &event).await.expect(status);
        assert!(refused.detail().contains(part), "{event}: {}", refused.text);
    }
    let both = USAGE.replace(r#""type":"t""#, r#""type":"x""#).replace("acme", "bob");
    assert_eq!(commit(&door, &id, &both).await.expect(400).faulty_fields(), ["$.type", "$.subject"]);
    let path = format!("{ALL}/{id}/commit");
    door.call("POST", &path, &[("content-type", "text/plain")], USAGE).await.expect(400);
    assert_eq!((door.ids().await.len(), standing(&door).await.1), (0, json!(10)));
    assert_eq!(reserve(&door, r#"{"amount":7}"#).await.expect(409).json()["extensions"]["left"], 6, "it is still held");
}

#[tokio::test]
async fn amounts_and_lives_have_bounds() {
    let door = entitled("10").await;
    let with_life = |life: &str| format!(r#"{{"amount":1,"expiresIn":{life}}}"#);
    for (body, part) in [
        (r#"{"amount":0}"#.to_string(), "amount must be more than zero"),
        (r#"{"amount":-1}"#.to_string(), "amount must be more than zero"),
        (r#"{"amount":"1"}"#.to_string(), "must be a number"),
        (r#"{"amount":null}"#.to_string(), "must be a number"),
        (r#"{"amount":123456789012345678901234567890.1}"#.to_string(), "28 significant digits"),
        ("{}".to_string(), "amount"),
        ("[]".to_string(), ""),
        (String::new(), "value is required but missing"),
        (r#"{"amount":1"#.to_string(), ""),
        (with_life(r#""PT0S""#), "expiresIn must be between PT1S and P1D"),
        (with_life(r#""PT0.5S""#), "expiresIn"),
        (with_life(r#""P2D""#), "expiresIn must be between PT1S and P1D"),
        (with_life(r#""-PT1M""#), "expiresIn"),
        (with_life(r#""P1M""#), "expiresIn"),
        (with_life(r#""1m""#), "expiresIn"),
        (with_life(r#""""#), "expiresIn"),
        (with_life("60"), "expiresIn"),
        (with_life(r#""P99999999999999999999D""#), "expiresIn"),
    ] {
        let refused = reserve(&door, &body).await.expect(400);
        assert!(refused.detail().contains(part), "{body}: {}", refused.text);
    }
    let both = reserve(&door, r#"{"amount":0,"expiresIn":"PT0S"}"#).await.expect(400);
    assert_eq!(both.faulty_fields(), ["$.amount", "$.expiresIn"]);
    assert_eq!(reserve(&door, r#"{"amount":11}"#).await.expect(409).json()["extensions"]["left"], 10);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_metered_400() {
    let door = entitled("10").await;
    let id = reserved(&door, "1").await;
    let of = |customer: &str, feature: &str| {
        ALL.replace("/acme/", &format!("/{customer}/")).replace("/tokens/", &format!("/{feature}/"))
    };
    for path in [of("nobody", "tokens"), of("bob", "tokens"), of("acme", "none"), of("acme", UNKNOWN)] {
        door.post(&path, r#"{"amount":1}"#).await.expect(404);
        door.post(&format!("{path}/{id}/commit"), USAGE).await.expect(404);
        door.post(&format!("{path}/{id}/release"), "").await.expect(404);
    }
    for unknown in [UNKNOWN, "x"] {
        commit(&door, unknown, USAGE).await.expect(404);
        assert!(release(&door, unknown).await.expect(404).detail().contains("reservation not found"));
    }
    door.post("/api/v1/features", r#"{"key":"beta","name":"B"}"#).await.expect(201);
    let boolean = r#"{"type":"boolean","featureKey":"beta"}"#;
    door.post("/api/v2/customers/acme/entitlements", boolean).await.expect(201);
    door.post(&of("acme", "beta"), r#"{"amount":1}"#).await.expect(400);
    door.post(&format!("{}/{id}/release", of("acme", "beta")), "").await.expect(404);
    door.call("DELETE", "/api/v2/customers/acme/entitlements/tokens", &[], "").await.expect(204);
    reserve(&door, r#"{"amount":1}"#).await.expect(404);
    door.call("DELETE", "/api/v1/customers/bob", &[], "").await.expect(204);
    let deleted = door.get("/api/v1/customers?includeDeleted=true&key=bob").await.expect(200).json();
    let deleted = deleted["items"][0]["id"].as_str().unwrap();
    door.post(&of(deleted, "tokens"), r#"{"amount":1}"#).await.expect(412);
}

#[tokio::test]
async fn reserving_needs_both_scopes_and_ending_the_one_for_events() {
    let mut door = entitled("10").await;
    let id = reserved(&door, "1").await;
    let other = reserved(&door, "1").await;
    let keys = [
        door.make_key("default", Scope::Ingest).await,
        door.make_key("default", Scope::Read).await,
        door.make_key("other", Scope::Admin).await,
    ];
    let mut statuses = Vec::new();
    for key in keys {
        door.key = Some(key);
        statuses.push([
            reserve(&door, r#"{"amount":1}"#).await.status.as_u16(),
            commit(&door, &id, USAGE).await.status.as_u16(),
            release(&door, &other).await.status.as_u16(),
        ]);
    }
    assert_eq!(statuses, [[403, 200, 200], [403, 403, 403], [404, 404, 404]]);
}

#[tokio::test]
async fn an_idempotency_key_reserves_once() {
    let door = entitled("10").await;
    let keyed = async |path: &str, key: &str, body: &str| {
        door.call("POST", path, &[("content-type", JSON), ("idempotency-key", key)], body.to_string()).await
    };
    let first = keyed(ALL, "k", r#"{"amount":6}"#).await.expect(201);
    let again = keyed(ALL, "k", r#"{"amount":6}"#).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
    keyed(ALL, "k", r#"{"amount":1}"#).await.expect(422);
    assert_eq!(reserve(&door, r#"{"amount":5}"#).await.expect(409).json()["extensions"]["left"], 4);
    // A refusal for want of room passes: the key is free for another attempt.
    let lacking = keyed(ALL, "l", r#"{"amount":5}"#).await.expect(409);
    assert_eq!(lacking.json()["extensions"]["left"], 4);
    let id = first.json()["id"].as_str().unwrap().to_string();
    let end = keyed(&format!("{ALL}/{id}/release"), "m", "").await.expect(200);
    let again = keyed(&format!("{ALL}/{id}/release"), "m", "").await.expect(200);
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &end.text));
    assert_eq!(keyed(ALL, "l", r#"{"amount":5}"#).await.expect(201).header("idempotency-replayed"), "");
    let id = reserved(&door, "1").await;
    for replayed in ["", "true"] {
        let ended = keyed(&format!("{ALL}/{id}/commit"), "n", USAGE).await.expect(200);
        assert_eq!(ended.header("idempotency-replayed"), replayed);
    }
    assert_eq!(standing(&door).await.2, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_who_want_the_last_unit_one_gets_it() {
    let door = entitled("1").await;
    let answers = join_all((0..64).map(|_| reserve(&door, r#"{"amount":1}"#))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409 && answer.json()["extensions"]["left"] == 0);
    assert_eq!((made, refused.count()), (1, 63));
    assert_eq!(standing(&door).await.0, false);
}

#[tokio::test]
async fn a_soft_limit_lets_everybody_reserve() {
    let door = entitled("1").await;
    let soft = r#"{"type":"metered","featureKey":"tokens","usagePeriod":{"interval":"MONTH"},"isSoftLimit":true}"#;
    door.call("PUT", "/api/v2/customers/acme/entitlements/tokens/override", &[("content-type", JSON)], soft)
        .await
        .expect(201);
    reserved(&door, "100").await;
    reserved(&door, "100").await;
    assert_eq!(standing(&door).await.0, true);
}

#[tokio::test]
async fn an_expired_one_is_kept_for_thirty_days() {
    let door = entitled("10").await;
    let (early, late) = (reserved(&door, "1").await, reserved(&door, "1").await);
    door.set_clock("2024-07-01T01:00:00Z");
    door.engine.forget_reservations().await.unwrap();
    commit(&door, &early, USAGE).await.expect(200);
    door.set_clock("2024-07-01T01:01:01Z");
    assert_eq!(door.engine.forget_reservations().await.unwrap(), 2);
    commit(&door, &late, &usage("late", "1")).await.expect(404);
    assert_eq!(door.ids().await, ["u"]);
}
