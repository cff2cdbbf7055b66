//! An expression keeps its text and gives the same each time, alone or as the operand of another; a tree is the document
//! that another reader finds.
//!
//! The first line of an input is the expression, the rest a JSON document.

#![no_main]

use serde_json::Value;
use tallystick_domain::expression::{EvaluationError, Expression, ExpressionLimits, Facts, Names, Outcome};
use tallystick_domain::json::{Tree, check};

/// What is put around an expression must not be what makes it too large.
const WITHIN: ExpressionLimits = ExpressionLimits { bytes: 4096, nodes: 512, depth: 32, steps: 20_000 };
const AROUND: ExpressionLimits = ExpressionLimits { bytes: 4200, nodes: 520, depth: 36, steps: 20_200 };

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("expression"), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, document) = text.split_once('\n').unwrap_or((text, "{}"));
    if check(document, 64).is_err() {
        return;
    }
    is_the_document(document);
    let Ok(expression) = Expression::parse(text, &WITHIN) else { return };
    assert_eq!(expression.text(), text);
    let Ok(facts) = Facts::parse(document) else { return };
    let names = Names([("a".to_string(), vec!["b".to_string(), String::new()])].into());
    for names in [names, Names::default()] {
        let outcome = expression.evaluate(&facts, &names);
        assert_eq!(outcome, expression.evaluate(&facts, &names));
        is_the_same_as_an_operand(text, &facts, &names, &outcome);
    }
});

fn is_the_document(document: &str) {
    let tree = Tree::read(document, 64).expect("a checked document is a tree");
    let plain: Value = serde_json::from_str(document).expect("a checked document is JSON");
    assert!(is_same(&tree, &plain), "{tree:?} is not {plain}");
}

fn is_same(tree: &Tree<'_>, plain: &Value) -> bool {
    match (tree, plain) {
        (Tree::Null, Value::Null) => true,
        (Tree::Bool(tree), Value::Bool(plain)) => tree == plain,
        (Tree::Number(digits), Value::Number(_)) => serde_json::from_str(digits).ok().as_ref() == Some(plain),
        (Tree::Text(tree), Value::String(plain)) => tree == plain,
        (Tree::List(tree), Value::Array(plain)) => {
            tree.len() == plain.len() && tree.iter().zip(plain).all(|(tree, plain)| is_same(tree, plain))
        }
        (Tree::Object(tree), Value::Object(plain)) => {
            let is_member = |key: &str, tree| plain.get(key).is_some_and(|plain| is_same(tree, plain));
            tree.len() == plain.len() && tree.iter().all(|(key, tree)| is_member(key, tree))
        }
        _ => false,
    }
}

/// Truth and numbers come out the same when an operator asks for them.
fn is_the_same_as_an_operand(text: &str, facts: &Facts<'_>, names: &Names, outcome: &Result<Outcome, EvaluationError>) {
    let evaluate = |around: String| {
        let expression = Expression::parse(&around, &AROUND).expect("an operation on an expression is one");
        expression.evaluate(facts, names)
    };
    let truth = evaluate(format!("{{\"!!\":[{text}]}}"));
    let number = evaluate(format!("{{\"-\":[{{\"-\":[{text}]}}]}}"));
    match outcome {
        Ok(outcome) => {
            assert_eq!(truth, Ok(Outcome::Bool(outcome.is_truthy())));
            match (outcome.number(), number) {
                (Ok(want), number) => assert_eq!(number, Ok(Outcome::Number(want))),
                // A number that is too long, or none.
                (Err(_), number) => assert!(number.is_err() || number == Ok(Outcome::Null), "{number:?}"),
            }
        }
        // What takes too many steps may end with the few that were added.
        Err(EvaluationError::TooManySteps { .. }) => {}
        Err(error) => assert_eq!((truth, number), (Err(error.clone()), Err(error.clone()))),
    }
}
