//! What the server knows of the world.

use crate::support::Door;
use serde_json::json;

#[tokio::test]
async fn currencies_have_the_published_shape_and_order() {
    let door = Door::open().await;
    let listed = door.get("/api/v1/info/currencies").await.expect(200).json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed[0], json!({"code": "USD", "name": "United States dollar", "symbol": "$", "subunits": 2}));
    let codes: Vec<_> = listed.iter().take(7).map(|currency| currency["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["USD", "EUR", "GBP", "AUD", "CAD", "JPY", "AED"]);
    let yen = listed.iter().find(|currency| currency["code"] == "JPY").unwrap();
    assert_eq!(yen["subunits"], 0);
}
