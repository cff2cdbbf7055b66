//! What is made for balances alone: a feature of the meter, and for each customer an entitlement to it. Both have ids that
//! follow from the meter's and the customer's, so that two calls at the same time make one, and a balance has its id before
//! anything is stored for it.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::entitlement::{EntitlementDraft, GrantDraft, KindDraft, MeasureFrom, MeteredDraft};
use tallystick_domain::feature::{Feature, FeatureDraft};
use tallystick_domain::meter::Meter;
use tallystick_domain::time::{Interval, IntervalError};
use tallystick_domain::{CustomerId, EntitlementId, FeatureId, Instant, Quantity};

/// How often the feature of a meter can be archived and made anew.
pub(super) const MOST_FEATURES: u32 = 16;
/// A usage period longer than all the years that are stored.
const WITHOUT_END: &str = "P9998Y";
/// Bytes of a meter's slug in the key of its feature, which has 64 at most.
const SLUG_BYTES: usize = 46;

/// The features that are made for a meter's balances, the first one first.
pub(super) fn feature_ids(meter: &Meter) -> impl Iterator<Item = FeatureId> {
    let (time_ms, bits) = (created_ms(meter), meter.id.bits());
    (0..MOST_FEATURES).map(move |number| FeatureId::from_parts(time_ms, digest(&[bits, u128::from(number)])))
}

/// Whether a feature was made for a meter's balances.
pub(super) fn is_own(meter: &Meter, feature: FeatureId) -> bool {
    feature_ids(meter).any(|id| id == feature)
}

/// The first id of a customer's balance that no entitlement had.
pub(super) fn balance_id(meter: &Meter, customer: CustomerId, taken: &BTreeSet<EntitlementId>) -> EntitlementId {
    let parts = |number: u128| digest(&[meter.id.bits(), customer.bits(), number]);
    let mut number = 0;
    loop {
        let id = EntitlementId::from_parts(created_ms(meter), parts(number));
        if !taken.contains(&id) {
            return id;
        }
        number += 1;
    }
}

/// Whether a balance of this meter can have this id.
pub(super) fn can_be_of(meter: &Meter, id: EntitlementId) -> bool {
    EntitlementId::from_parts(created_ms(meter), id.bits()) == id
}

fn created_ms(meter: &Meter) -> u64 {
    u64::try_from(meter.created_at.as_micros() / 1000).unwrap_or(0)
}

fn digest(parts: &[u128]) -> u128 {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part.to_be_bytes()));
    hasher.finalize().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

/// The feature as it is made; the second key is for when somebody has the first one.
pub(super) fn feature_drafts(meter: &Meter, id: FeatureId) -> [FeatureDraft; 2] {
    let slug = meter.slug.get(..SLUG_BYTES).unwrap_or(&meter.slug).trim_end_matches('_');
    let suffix = id.bits() as u32;
    let name: String = meter.name.chars().take(200).collect();
    [format!("{slug}_balance"), format!("{slug}_balance_{suffix:08x}")].map(|key| FeatureDraft {
        key,
        name: format!("Balance of {name}"),
        description: Some("What customers were credited for the meter; made with the first credit".into()),
        ..FeatureDraft::default()
    })
}

/// One usage period that never ends, over all usage that there ever was, and no limit that would refuse anything.
pub(super) fn entitlement_draft() -> Result<EntitlementDraft, IntervalError> {
    Ok(EntitlementDraft {
        kind: KindDraft::Metered(MeteredDraft {
            is_soft_limit: true,
            measure_from: MeasureFrom::At(Instant::MIN),
            issue: None,
            preserves_overage: true,
        }),
        usage_period: Some((Interval::parse(WITHOUT_END)?, Some(Instant::MIN))),
        metadata: BTreeMap::new(),
    })
}

/// A credit: a grant that never ends, of which a reset takes nothing away.
pub(super) fn grant_draft(amount: Quantity, labels: BTreeMap<String, String>, now: Instant) -> GrantDraft {
    GrantDraft {
        amount,
        priority: 1,
        effective_at: now,
        expiration: None,
        min_rollover: Quantity::ZERO,
        max_rollover: amount,
        recurrence: None,
        metadata: labels,
        annotations: BTreeMap::new(),
    }
}

/// Whether a feature measures all of its meter's usage.
pub(super) fn is_whole(feature: &Feature) -> bool {
    feature.filters.is_empty()
}
