//! Entitlements and grants over the wire, by subject and by customer.

mod grants;
mod lists;
mod made;
mod refused;
mod values;

use crate::support::{Answer, Door};
use serde_json::{Value, json};

const CUSTOMERS: &str = "/api/v2/customers";

/// A door with the meter `total` of `$.v`, the features `tokens` (metered by it), `calls` (counted where `m` is `a`) and `sso`, and
/// the customer `acme` with the subjects `acme-1` and `acme-2`.
async fn furnished() -> Door {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    door.meter("count", "COUNT").await;
    for feature in [
        json!({"key": "tokens", "name": "Tokens", "meterSlug": "total"}),
        json!({"key": "calls", "name": "Calls", "meterSlug": "count", "meterGroupByFilters": {"m": "a"}}),
        json!({"key": "sso", "name": "SSO"}),
    ] {
        door.post("/api/v1/features", feature.to_string()).await.expect(201);
    }
    let acme = json!({"key": "acme", "name": "ACME", "usageAttribution": {"subjectKeys": ["acme-1", "acme-2"]}});
    door.post("/api/v1/customers", acme.to_string()).await.expect(201);
    door
}

fn metered(more: Value) -> Value {
    let mut body = json!({"type": "metered", "featureKey": "tokens", "usagePeriod": {"interval": "MONTH"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn grant(amount: Value, more: Value) -> Value {
    let mut body = json!({"amount": amount, "effectiveAt": "2024-06-01T00:00:00Z"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

impl Door {
    async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, &[("content-type", "application/json")], body.to_string()).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], "").await
    }

    /// Gives acme an entitlement.
    async fn give(&self, body: Value) -> Value {
        self.post("/api/v2/customers/acme/entitlements", body.to_string()).await.expect(201).json()
    }

    /// Gives acme's entitlement to a feature a grant.
    async fn grant(&self, feature: &str, body: Value) -> Value {
        let path = format!("/api/v2/customers/acme/entitlements/{feature}/grants");
        self.post(&path, body.to_string()).await.expect(201).json()
    }

    /// How acme's entitlement to tokens stands: balance, usage and overage.
    async fn standing(&self, query: &str) -> [String; 3] {
        let path = format!("/api/v2/customers/acme/entitlements/tokens/value{query}");
        let value = self.get(&path).await.expect(200).json();
        ["balance", "usage", "overage"].map(|name| value[name].to_string())
    }
}

/// The ids of a list or of a page's items.
fn ids(body: &Value) -> Vec<String> {
    let items = body.as_array().or_else(|| body["items"].as_array()).unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_string()).collect()
}
