//! What holds of every expression.

use super::*;
use proptest::prelude::*;

fn data() -> impl Strategy<Value = String> {
    json(
        "[ab]|a\\.b|",
        prop::sample::select(vec!["1", "-0.5", "\"2\"", "\"ab\"", "null", "true", "[]", "1e27"]).boxed(),
    )
    .prop_map(|value| format!(r#"{{"a":{value},"b":[1,"x",{{"a":2}}],"a.b":3}}"#))
}

fn json(keys: &'static str, leaf: BoxedStrategy<&'static str>) -> impl Strategy<Value = String> {
    leaf.prop_map(String::from).prop_recursive(3, 12, 3, move |inner| {
        let members = prop::collection::btree_map(keys, inner.clone(), 0..3);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            members.prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("{key:?}:{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Expressions of all operators, mostly with as many operands as they take.
fn expression() -> impl Strategy<Value = String> {
    let names = Operator::names().split(' ').map(str::to_string).collect::<Vec<_>>();
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "0", "1", "-2.5", "0.0001", "9e27", "\"\"", "\"a\"", "\"3\"", "true", "null", "\"DAYS\""
        ])
        .prop_map(String::from),
        prop::sample::select(vec!["", "a", "b", "a.b", "b.2.a", "current", "accumulator.0", "x"])
            .prop_map(|key| format!(r#"{{"var":"{key}"}}"#)),
    ];
    leaf.prop_recursive(5, 48, 4, move |inner| {
        let operands = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            1 => prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            6 => (prop::sample::select(names.clone()), operands).prop_map(|(name, mut operands)| {
                let (_, _, allowed) = Operator::named(&name).unwrap();
                operands.truncate(*allowed.end());
                while operands.len() < *allowed.start() {
                    operands.push(r#"{"var":"b"}"#.into());
                }
                format!(r#"{{"{name}":[{}]}}"#, operands.join(","))
            }),
        ]
    })
}

fn number(expression: &str, data: &str) -> Result<Quantity, EvaluationError> {
    let expression = Expression::parse(expression, &ExpressionLimits::default()).unwrap();
    expression.evaluate(&Facts::parse(data).unwrap(), &Names::default())?.number()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn evaluation_never_panics_and_always_gives_the_same(text in expression(), data in data(), steps in 1u32..200) {
        let names = Names([("a".to_string(), vec!["b".to_string(), String::new()])].into());
        let facts = Facts::parse(&data).unwrap();
        for limits in [ExpressionLimits::default(), ExpressionLimits { steps, ..ExpressionLimits::default() }] {
            // What is refused is a key that is none.
            let Ok(expression) = Expression::parse(&text, &limits) else { continue };
            let again = Expression::parse(expression.text(), &limits).unwrap();
            prop_assert_eq!(&again, &expression);
            for names in [&names, &Names::default()] {
                let outcome = expression.evaluate(&facts, names);
                prop_assert_eq!(&outcome, &again.evaluate(&Facts::parse(&data).unwrap(), names));
                if let Ok(outcome) = outcome {
                    let _ = (outcome.is_truthy(), outcome.number());
                }
            }
        }
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,30}|[\\[\\]{}:,\"+*a1. ]{0,24}") {
        let _ = Expression::parse(&text, &ExpressionLimits::default());
        let _ = Facts::parse(&text);
    }

    #[test]
    fn a_step_more_changes_no_result(text in expression(), data in data(), steps in 1u32..400) {
        let (limits, facts) = (ExpressionLimits::default(), Facts::parse(&data).unwrap());
        let Ok(whole) = Expression::parse(&text, &limits) else { return Ok(()) };
        let bounded = Expression::parse(&text, &ExpressionLimits { steps, ..limits }).unwrap();
        let found = bounded.evaluate(&facts, &Names::default());
        if found != Err(EvaluationError::TooManySteps { allowed: steps }) {
            prop_assert_eq!(found, whole.evaluate(&facts, &Names::default()));
        }
    }

    #[test]
    fn sums_and_products_are_those_of_integers(values in prop::collection::vec(any::<i32>(), 1..5), as_text in any::<bool>()) {
        let quote = if as_text { "\"" } else { "" };
        let operands = values.iter().map(|value| format!("{quote}{value}{quote}")).collect::<Vec<_>>().join(",");
        let data = format!(r#"{{"n":[{operands}]}}"#);
        let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
        let product: i128 = values.iter().map(|value| i128::from(*value)).product();
        let fold = |operator: &str, first: &str| {
            format!(r#"{{"reduce":[{{"var":"n"}},{{"{operator}":[{{"var":"accumulator"}},{{"var":"current"}}]}},{first}]}}"#)
        };
        for (text, want) in [
            (format!(r#"{{"+":[{operands}]}}"#), sum),
            (fold("+", "0"), sum),
            (format!(r#"{{"*":[{operands}]}}"#), product),
            (fold("*", "1"), product),
        ] {
            match Quantity::from_parts(want, 0) {
                Ok(want) => prop_assert_eq!(number(&text, &data), Ok(want)),
                Err(_) => {
                    let operator = if text.contains('*') { "*" } else { "+" };
                    prop_assert_eq!(number(&text, &data), Err(EvaluationError::OutOfRange { operator }));
                }
            }
        }
    }

    #[test]
    fn a_quotient_is_within_half_a_step_and_a_remainder_completes_it(dividend in any::<i64>(), divisor in any::<i32>(), scale in 0u32..6) {
        prop_assume!(divisor != 0);
        let part = |mantissa: i128| Quantity::from_parts(mantissa, scale).unwrap();
        let (whole, by) = (part(i128::from(dividend)), part(i128::from(divisor)));
        let quotient = number(&format!(r#"{{"/":[{whole},{by}]}}"#), "{}").unwrap();
        // Both have the same scale, so it leaves the quotient: |quotient × divisor − dividend| ≤ divisor / 2 in ten-thousandths.
        let scaled = quotient.mantissa() * 10i128.pow(4 - quotient.scale());
        let off = (scaled * i128::from(divisor) - i128::from(dividend) * 10_000).abs();
        prop_assert!(off * 2 <= i128::from(divisor).abs());
        let remainder = number(&format!(r#"{{"%":[{whole},{by}]}}"#), "{}").unwrap();
        prop_assert_eq!(remainder, part(i128::from(dividend) % i128::from(divisor)));
    }
}
