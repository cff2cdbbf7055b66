//! What every operator gives, in tables of an expression, data and the result as JSON.

mod keys;
mod limits;
mod numbers;

use super::value::{Items, Value};
use super::*;
use crate::json::Tree;
use std::collections::BTreeMap;

fn read(text: &str) -> Expression {
    Expression::parse(text, &ExpressionLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn names(entries: &[(&str, &[&str])]) -> Names {
    let owned = |members: &[&str]| members.iter().map(ToString::to_string).collect();
    Names(entries.iter().map(|(name, members)| (name.to_string(), owned(members))).collect::<BTreeMap<_, _>>())
}

fn as_json(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => serde_json::to_string(text).unwrap(),
        Value::MadeText(text) => serde_json::to_string(&**text).unwrap(),
        Value::Data(Tree::Object(members)) => {
            let member = |(key, value): &(_, _)| format!("{key:?}:{}", as_json(&Value::of(value).unwrap()));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Data(_) | Value::MadeList(..) => {
            let items: Items<'_> = value.items().unwrap();
            let item = |position| as_json(&items.at(position).unwrap());
            format!("[{}]", (0..items.len()).map(item).collect::<Vec<_>>().join(","))
        }
    }
}

fn gives_with(expression: &str, data: &str, names: &Names) -> Result<String, EvaluationError> {
    let expression = read(expression);
    let facts = Facts::parse(data).unwrap();
    let value = Run::new(facts.tree(), names, expression.steps).value(&expression.root, &evaluate::Scope::Facts);
    value.map(|value| as_json(&value))
}

fn gives(expression: &str, data: &str) -> Result<String, EvaluationError> {
    gives_with(expression, data, &Names::default())
}

/// Checks cases of an expression, data and what it gives.
fn all_give(cases: &[(&str, &str, &str)]) {
    for (expression, data, want) in cases {
        assert_eq!(gives(expression, data).as_deref(), Ok(*want), "{expression} over {data}");
    }
}

/// Checks cases of an expression and what it gives over no data.
fn all_be(cases: &[(&str, &str)]) {
    all_give(&cases.iter().map(|(expression, want)| (*expression, "{}", *want)).collect::<Vec<_>>());
}

fn fails(expression: &str, data: &str) -> String {
    gives(expression, data).expect_err(expression).to_string()
}

#[test]
fn values_stand_for_themselves() {
    all_be(&[
        ("1", "1"),
        ("-1.50", "-1.5"),
        (r#""apple""#, r#""apple""#),
        ("true", "true"),
        ("null", "null"),
        ("[]", "[]"),
        (r#"[1,[{"+":[1,1]}],"a"]"#, r#"[1,[2],"a"]"#),
    ]);
}

#[test]
fn if_takes_the_first_condition_that_is_true() {
    for name in ["if", "?:"] {
        for (operands, want) in [
            ("[]", "null"),
            ("[1]", "1"),
            ("[true,1]", "1"),
            ("[false,1]", "null"),
            ("[false,1,2]", "2"),
            ("[false,1,true,2,3]", "2"),
            ("[false,1,0,2,3]", "3"),
            ("[false,1,null,2]", "null"),
            (r#"[true,1,{"/":[1,0]}]"#, "1"),
            (r#"[{">":[2,1]},{"cat":["a","b"]},0]"#, r#""ab""#),
        ] {
            let expression = format!(r#"{{"{name}":{operands}}}"#);
            assert_eq!(gives(&expression, "{}").as_deref(), Ok(want), "{expression}");
        }
    }
}

#[test]
fn and_and_or_give_the_operand_that_decides_and_evaluate_no_further() {
    all_be(&[
        (r#"{"and":[true,3]}"#, "3"),
        (r#"{"and":[3,0,{"/":[1,0]}]}"#, "0"),
        (r#"{"and":[true]}"#, "true"),
        (r#"{"or":[0,"",[],null,"a",{"/":[1,0]}]}"#, r#""a""#),
        (r#"{"or":[false,0]}"#, "0"),
    ]);
}

#[test]
fn lists_are_mapped_filtered_and_folded() {
    let data = r#"{"n":[1,2,3,4],"o":[{"q":2,"p":1.5},{"q":1,"p":"0.25"}],"empty":[],"x":7}"#;
    let cases = [
        (r#"{"map":[{"var":"n"},{"*":[{"var":""},2]}]}"#, "[2,4,6,8]"),
        (r#"{"map":[{"var":"o"},{"var":"q"}]}"#, "[2,1]"),
        (r#"{"map":[{"var":"nowhere"},{"var":""}]}"#, "[]"),
        (r#"{"map":[{"var":"x"},{"var":""}]}"#, "[]"),
        (r#"{"filter":[{"var":"n"},{"==":[{"%":[{"var":""},2]},0]}]}"#, "[2,4]"),
        (r#"{"filter":[{"var":"x"},true]}"#, "[]"),
        (r#"{"reduce":[{"var":"n"},{"+":[{"var":"current"},{"var":"accumulator"}]},0]}"#, "10"),
        (
            r#"{"reduce":[{"var":"o"},{"+":[{"var":"accumulator"},{"*":[{"var":"current.q"},{"var":"current.p"}]}]},0]}"#,
            "3.25",
        ),
        (r#"{"reduce":[{"var":"empty"},{"var":"current"},5]}"#, "5"),
        (r#"{"reduce":[{"var":"nowhere"},{"var":"current"},5]}"#, "5"),
        (r#"{"reduce":[{"var":"n"},{"var":["accumulator",9]}]}"#, "9"),
        (r#"{"reduce":[{"var":"n"},{"var":"x"},0]}"#, "null"),
        (r#"{"reduce":[[[[1,2]]],{"var":"current.0.1"}]}"#, "2"),
        (r#"{"all":[{"var":"n"},{">":[{"var":""},0]}]}"#, "true"),
        (r#"{"all":[{"var":"n"},{">":[{"var":""},1]}]}"#, "false"),
        (r#"{"all":[{"var":"empty"},true]}"#, "false"),
        (r#"{"all":[{"var":"x"},true]}"#, "false"),
        (r#"{"some":[{"var":"n"},{">":[{"var":""},3]}]}"#, "true"),
        (r#"{"some":[{"var":"empty"},true]}"#, "false"),
        (r#"{"some":[{"var":"x"},true]}"#, "false"),
        (r#"{"none":[{"var":"n"},{">":[{"var":""},4]}]}"#, "true"),
        (r#"{"none":[{"var":"n"},{">":[{"var":""},3]}]}"#, "false"),
        (r#"{"none":[{"var":"empty"},true]}"#, "true"),
        (r#"{"merge":[]}"#, "[]"),
        (r#"{"merge":[[1],[2,[3]],4,null]}"#, "[1,2,[3],4,null]"),
        (r#"{"merge":1}"#, "[1]"),
        (r#"{"merge":[{"var":"n"},"a"]}"#, r#"[1,2,3,4,"a"]"#),
    ];
    all_give(&cases.map(|(expression, want)| (expression, data, want)));
    assert!(fails(r#"{"reduce":[[1],{"var":""},0]}"#, "{}").contains("current or accumulator"));
}

#[test]
fn in_looks_for_items_and_parts_of_texts() {
    all_be(&[
        (r#"{"in":["Ringo",["John","Ringo"]]}"#, "true"),
        (r#"{"in":["1",[1]]}"#, "false"),
        (r#"{"in":[1.0,[1]]}"#, "true"),
        (r#"{"in":[null,[1,null]]}"#, "true"),
        (r#"{"in":["x",[]]}"#, "false"),
        (r#"{"in":["Spring","Springfield"]}"#, "true"),
        (r#"{"in":["i","team"]}"#, "false"),
        (r#"{"in":["","team"]}"#, "true"),
        (r#"{"in":[1.50,"v1.5"]}"#, "true"),
        (r#"{"in":[true,"untrue"]}"#, "true"),
        (r#"{"in":[null,"null"]}"#, "false"),
        (r#"{"in":["a",null]}"#, "false"),
        (r#"{"in":["1",12]}"#, "false"),
    ]);
    assert!(fails(r#"{"in":[["a"],"a"]}"#, "{}").contains("not a list"));
}

#[test]
fn texts_are_joined_and_cut_by_characters() {
    all_be(&[
        (r#"{"cat":[]}"#, r#""""#),
        (r#"{"cat":"one"}"#, r#""one""#),
        (r#"{"cat":["a",1.50,null,true,[1,["b",null]],"é"]}"#, r#""a1.5true1,b,é""#),
        (r#"{"substr":["jsonlogic",4]}"#, r#""logic""#),
        (r#"{"substr":["jsonlogic",-5]}"#, r#""logic""#),
        (r#"{"substr":["jsonlogic",1,3]}"#, r#""son""#),
        (r#"{"substr":["jsonlogic",4,-2]}"#, r#""log""#),
        (r#"{"substr":["jsonlogic",-5,-2]}"#, r#""log""#),
        (r#"{"substr":["jsonlogic",0,-9]}"#, r#""""#),
        (r#"{"substr":["jsonlogic",20]}"#, r#""""#),
        (r#"{"substr":["jsonlogic",-20,2]}"#, r#""js""#),
        (r#"{"substr":["jsonlogic",5,-20]}"#, r#""""#),
        (r#"{"substr":["äöü😀x",1,"3"]}"#, r#""öü😀""#),
        (r#"{"substr":[12345,1,2]}"#, r#""23""#),
        (r#"{"substr":["a",-79228162514264337593543950335,79228162514264337593543950335]}"#, r#""a""#),
    ]);
    assert!(fails(r#"{"cat":[{"var":""}]}"#, "{}").contains("not an object"));
    assert_eq!(fails(r#"{"substr":["abc","x"]}"#, "{}"), r#""substr" needs a whole number, not the text "x""#);
}

#[test]
fn log_gives_its_operand() {
    all_be(&[(r#"{"log":"apple"}"#, r#""apple""#), (r#"{"log":[{"+":[1,2]}]}"#, "3")]);
}
