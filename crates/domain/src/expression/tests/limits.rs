//! What is refused, and how much work an evaluation may be.

use super::*;

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    for (text, want) in [
        ("", "the expression is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (
            r#"{"==":[1,1],"or":[]}"#,
            "$: an operation is an object with one member, its operator, but this object has 2",
        ),
        (r#"{"+":[1,{}]}"#, "$.+[1]: an operation is an object with one member, its operator, but this object has 0"),
        (r#"{"==":[1,1],"==":[]}"#, "duplicate key"),
        (
            r#"{"and":[true,{"or":[{"is":1}]}]}"#,
            r#"$.and[1].or[0]: unknown operator "is"; the operators are var missing"#,
        ),
        (r#"{"date.add":["2024-01-01T00:00:00Z",1,"DAYS"]}"#, r#"$: operator "date.add" is not supported"#),
        (r#"{"-":[1,2,3]}"#, r#"$.-: operator "-" takes 1 to 2 operands, not 3"#),
        (r#"{"+":[]}"#, r#"$.+: operator "+" takes at least 1 operands, not 0"#),
        (r#"{"==":1}"#, r#"$.==: operator "==" takes 2 operands, not 1"#),
        (r#"{">":[1,2,3]}"#, r#"$.>: operator ">" takes 2 operands, not 3"#),
        (r#"{"var":["a",1,2]}"#, r#"$.var: operator "var" takes 0 to 2 operands, not 3"#),
        (r#"{"!":{"var":true}}"#, "$.!.var: a key must be a text"),
        (r#"{"var":[["a"]]}"#, "a position or null, not a list"),
        (r#"{"missing":["a",false]}"#, "$.missing: a key must be a text"),
        (r#"{"missing_some":[1,["a",["b"]]]}"#, "$.missing_some: a key must be a text"),
        (
            r#"{"*":[2,1234567890123456789012345678901234567890]}"#,
            "$.*[1]: 1234567890123456789012345678901234567890: number has more than 28 significant digits",
        ),
        // A matcher out of a vendor's own pages, which is no JSON.
        (r#"{"and":[{"==":[1,1]},"or":[{"==":[1,1]}]]}"#, "not valid JSON: expected `,` or `]`"),
    ] {
        let error = Expression::parse(text, &ExpressionLimits::default()).expect_err(text).to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
}

#[test]
fn an_expression_is_bounded_and_keeps_its_text() {
    let parse = |text: &str, limits| Expression::parse(text, &limits).map(|expression| expression.text().to_string());
    let limits = ExpressionLimits { bytes: 20, nodes: 4, depth: 3, steps: 10 };
    let text = r#" {"+": [1, [2]]} "#;
    assert_eq!(parse(text, limits).as_deref(), Ok(text));
    assert_eq!(parse(&" ".repeat(21), limits), Err(ExpressionError::TooLong { bytes: 21, allowed: 20 }));
    assert_eq!(parse(r#"{"+":[1,[2,3]]}"#, limits), Err(ExpressionError::TooManyNodes { allowed: 4 }));
    assert_eq!(parse(r#"{"+":[1,[[2]]]}"#, limits), Err(ExpressionError::TooDeep { allowed: 3 }));
    let deep = |levels: usize| format!("{}1{}", r#"{"!":"#.repeat(levels), "}".repeat(levels));
    let limits = ExpressionLimits { bytes: usize::MAX, nodes: usize::MAX, depth: usize::MAX, steps: u32::MAX };
    let deepest = Expression::parse(&deep(64), &limits).unwrap();
    let facts = Facts::parse("{}").unwrap();
    assert_eq!(deepest.evaluate(&facts, &Names::default()), Ok(Outcome::Bool(true)));
    assert_eq!(parse(&deep(65), limits), Err(ExpressionError::TooDeep { allowed: 64 }));
    assert_eq!(parse(&deep(100_000), limits), Err(ExpressionError::TooDeep { allowed: 64 }));
}

#[test]
fn the_work_of_an_evaluation_is_bounded() {
    let numbers: String = (0..300).map(|number| format!("{number},")).collect();
    let data = format!(r#"{{"n":[{numbers}0],"t":"{}","{}":1}}"#, "x".repeat(200_000), "a.".repeat(2000));
    let squares = r#"{"map":[{"var":"n"},{"map":[{"var":""},1]}]}"#;
    assert!(gives(squares, &data).is_ok());
    let nested = r#"{"reduce":[{"var":"n"},{"merge":[{"var":"accumulator"},{"var":"accumulator"}]},[1]]}"#;
    let too_many = "the expression takes more than 20000 steps on this event";
    assert_eq!(fails(nested, &data), too_many);
    let search = format!(r#"{{"or":[{}false]}}"#, r#"{"in":["y",{"var":"t"}]},"#.repeat(30));
    assert_eq!(fails(&search, &data), too_many);
    let key = format!(r#"{{"or":[{}false]}}"#, format!(r#"{{"var":"{}b"}},"#, "a.".repeat(60)).repeat(24));
    assert!(gives(&key, &data).is_ok());
    let longer = r#"{"cat":[{"var":"t"}]}"#;
    assert_eq!(fails(longer, &data), "the expression makes a text of more than 16384 bytes");
    let deeper = r#"{"reduce":[{"var":"n"},[{"var":"accumulator"}],0]}"#;
    assert_eq!(fails(deeper, &data), "the expression makes lists that are nested more than 32 deep");
    let doubled = r#"{"cat":[{"reduce":[[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],[{"var":"accumulator"},{"var":"accumulator"}],""]}]}"#;
    assert_eq!(fails(doubled, &data), too_many);
}
