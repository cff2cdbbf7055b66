use super::*;
use crate::meter::MeterDefinition;

fn meter(aggregation: Aggregation) -> Meter {
    let definition = MeterDefinition {
        id: None,
        judging: None,
        details: Default::default(),
        slug: "tokens".into(),
        name: None,
        description: None,
        aggregation,
        event_type: "prompt".into(),
        event_from: None,
        value_property: (aggregation != Aggregation::Count).then(|| "$.tokens".into()),
        group_by: ["model", "kind"].map(|name| (name.to_string(), format!("$.{name}"))).into(),
        metadata: None,
    };
    Meter::define(MeterId::from_parts(1, 1), definition, Instant::MIN).unwrap()
}

fn draft() -> FeatureDraft {
    FeatureDraft {
        key: "gpt_4_tokens".into(),
        name: "GPT-4 tokens".into(),
        filters: [("model".to_string(), Filter::Eq("gpt-4".into()))].into(),
        ..FeatureDraft::default()
    }
}

fn define(draft: FeatureDraft, meter: Option<&Meter>) -> Result<Feature, Vec<FeatureFault>> {
    Feature::define(FeatureId::from_parts(1, 1), draft, meter, Instant::MIN)
}

fn fields(faulty: Result<Feature, Vec<FeatureFault>>) -> Vec<String> {
    faulty.unwrap_err().into_iter().map(|fault| fault.field).collect()
}

fn of(dimension: &str) -> SourceDraft {
    SourceDraft { dimension: Some(dimension.into()), fixed: None }
}

fn fixed(word: &str) -> SourceDraft {
    SourceDraft { dimension: None, fixed: Some(word.into()) }
}

#[test]
fn a_feature_knows_its_meter_and_its_filters() {
    let feature = define(draft(), Some(&meter(Aggregation::Sum))).unwrap();
    assert_eq!(feature.meter.as_ref().map(|meter| meter.slug.as_str()), Some("tokens"));
    assert_eq!(feature.filters, draft().filters);
    // Without a meter nothing says which dimensions there are.
    assert_eq!(define(draft(), None).unwrap().meter, None);
}

#[test]
fn only_what_grows_with_use_can_be_a_feature() {
    for aggregation in Aggregation::ALL {
        let defined = define(draft(), Some(&meter(aggregation)));
        assert_eq!(defined.is_ok(), METERED.contains(&aggregation), "{}", aggregation.as_str());
    }
}

#[test]
fn all_faults_are_named() {
    let bad = FeatureDraft {
        key: "Not-A-Key".into(),
        name: String::new(),
        filters: [("colour".to_string(), Filter::Eq("red".into()))].into(),
        unit_cost: Some(UnitCostDraft::Manual("-1".into())),
        ..draft()
    };
    let found = fields(define(bad, Some(&meter(Aggregation::Avg))));
    assert_eq!(found, ["key", "name", "meterSlug", "advancedMeterGroupByFilters.colour", "unitCost.amount"]);
    let like_an_id = FeatureDraft { key: "01arz3ndektsv4rrffq69g5fav".into(), ..draft() };
    assert_eq!(fields(define(like_an_id, None)), ["key"]);
}

#[test]
fn a_unit_cost_is_an_amount_or_the_price_of_a_token() {
    let tokens = meter(Aggregation::Sum);
    let with = |cost| define(FeatureDraft { unit_cost: Some(cost), ..draft() }, Some(&tokens));
    let amount = with(UnitCostDraft::Manual("0.050".into())).unwrap().unit_cost;
    assert_eq!(amount, Some(UnitCost::Manual(Quantity::parse("0.05").unwrap())));
    for bad in ["", "five", "1,0", "-0.01", "1e400"] {
        assert_eq!(fields(with(UnitCostDraft::Manual(bad.into()))), ["unitCost.amount"], "{bad}");
    }
    let llm = |provider, model, token_type| UnitCostDraft::Llm { provider, model, token_type };
    let cost = with(llm(fixed("openai"), of("model"), fixed("input"))).unwrap().unit_cost;
    assert!(matches!(cost, Some(UnitCost::Llm { model: Source::Dimension(name), .. }) if name == "model"));
    let both = SourceDraft { dimension: Some("model".into()), fixed: Some("gpt-4".into()) };
    let faulty = with(llm(SourceDraft::default(), both, fixed("thought")));
    assert_eq!(fields(faulty), ["unitCost.provider", "unitCost.model", "unitCost.tokenType"]);
    assert_eq!(fields(with(llm(of("vendor"), of("model"), of("kind")))), ["unitCost.providerProperty"]);
    let lonely = FeatureDraft { unit_cost: Some(llm(fixed("a"), fixed("b"), fixed("input"))), ..draft() };
    assert_eq!(fields(define(lonely, None)), ["unitCost"]);
}

#[test]
fn a_meter_keeps_what_its_features_need() {
    let tokens = meter(Aggregation::Sum);
    let cost = UnitCostDraft::Llm { provider: fixed("openai"), model: of("model"), token_type: of("kind") };
    let feature = define(FeatureDraft { unit_cost: Some(cost), ..draft() }, Some(&tokens)).unwrap();
    let users = [feature];
    assert_eq!(meter_change_obstacle(&tokens, &users), None);
    for lost in ["model", "kind"] {
        let mut changed = tokens.clone();
        changed.group_by.remove(lost);
        let told = meter_change_obstacle(&changed, &users).unwrap();
        assert!(told.contains(lost) && told.contains("gpt_4_tokens"), "{told}");
        assert_eq!(meter_change_obstacle(&changed, &[]), None);
    }
    let deleted = Meter { deleted_at: Some(Instant::MIN), ..tokens };
    assert!(meter_change_obstacle(&deleted, &users).unwrap().contains("gpt_4_tokens"));
}

#[test]
fn a_unit_cost_can_be_changed_and_removed() {
    let meter = meter(Aggregation::Sum);
    let feature = define(FeatureDraft { description: Some("d".into()), ..draft() }, Some(&meter)).unwrap();
    let later = Instant::from_micros(5).unwrap();
    let manual =
        feature.clone().with_unit_cost(Some(UnitCostDraft::Manual("0.5".into())), Some(&meter), later).unwrap();
    let half = UnitCost::Manual(Quantity::parse("0.5").unwrap());
    assert_eq!(manual, Feature { unit_cost: Some(half), updated_at: later, ..feature.clone() });
    let negative = UnitCostDraft::Manual("-1".into());
    assert_eq!(fields(manual.clone().with_unit_cost(Some(negative), Some(&meter), later)), ["unitCost.amount"]);
    let none = manual.with_unit_cost(None, Some(&meter), later).unwrap();
    assert_eq!(none, Feature { updated_at: later, ..feature });
}
