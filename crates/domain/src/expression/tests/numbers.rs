//! Numbers, their order and equality, truth, and durations.

use super::*;

#[test]
fn truth_is_that_of_json_logic() {
    for (value, truth) in [
        ("null", "false"),
        ("false", "false"),
        ("true", "true"),
        ("0", "false"),
        ("0.00", "false"),
        ("-1", "true"),
        (r#""""#, "false"),
        (r#""0""#, "true"),
        (r#""false""#, "true"),
        ("[[]]", "false"),
        ("[[0]]", "true"),
        (r#"{"var":"e"}"#, "false"),
        (r#"{"var":"o"}"#, "true"),
    ] {
        let data = r#"{"e":[],"o":{}}"#;
        assert_eq!(gives(&format!(r#"{{"!!":{value}}}"#), data).as_deref(), Ok(truth), "{value}");
        let not = if truth == "true" { "false" } else { "true" };
        assert_eq!(gives(&format!(r#"{{"!":{value}}}"#), data).as_deref(), Ok(not), "{value}");
        let outcome = value.strip_prefix("[").and_then(|inner| inner.strip_suffix("]")).unwrap_or(value);
        let outcome = read(outcome).evaluate(&Facts::parse(data).unwrap(), &Names::default()).unwrap();
        assert_eq!(outcome.is_truthy().to_string(), truth, "{value}");
    }
}

#[test]
fn equality_is_loose_between_numbers_and_texts_and_strict_with_three_signs() {
    let data = r#"{"e":[],"o":{},"l":[1],"long":"1234567890123456789012345678901234567890"}"#;
    for (left, right, loose, strict) in [
        ("1", "1", true, true),
        ("1", "1.00", true, true),
        ("1", r#""1""#, true, false),
        ("1.5", r#""1.50""#, true, false),
        ("1", r#""1 ""#, false, false),
        ("1", r#""one""#, false, false),
        ("0", r#""""#, true, false),
        ("0", r#"" ""#, true, false),
        (r#"{"var":"long"}"#, "1", false, false),
        (r#""1""#, r#""1.0""#, false, false),
        (r#""a""#, r#""a""#, true, true),
        (r#""a""#, r#""b""#, false, false),
        ("null", "null", true, true),
        ("null", "0", false, false),
        ("null", "false", false, false),
        ("null", r#""""#, false, false),
        ("true", "true", true, true),
        ("true", "1", true, false),
        ("true", "2", false, false),
        ("false", "0", true, false),
        ("true", r#""a""#, true, false),
        ("false", r#""""#, true, false),
        (r#"{"var":"e"}"#, "0", true, false),
        (r#"{"var":"e"}"#, r#"{"var":"e"}"#, true, false),
        (r#"{"var":"l"}"#, "1", false, false),
        (r#"{"var":"l"}"#, r#"{"var":"l"}"#, false, false),
        (r#"{"var":"o"}"#, "true", false, false),
    ] {
        for (left, right) in [(left, right), (right, left)] {
            for (operator, want) in [("==", loose), ("!=", !loose), ("===", strict), ("!==", !strict)] {
                let expression = format!(r#"{{"{operator}":[{left},{right}]}}"#);
                assert_eq!(gives(&expression, data), Ok(want.to_string()), "{expression}");
            }
        }
    }
}

#[test]
fn order_is_between_numbers_only() {
    all_be(&[
        (r#"{"<":[1,2]}"#, "true"),
        (r#"{"<":[1,1]}"#, "false"),
        (r#"{"<=":[1,1]}"#, "true"),
        (r#"{">":[2,1]}"#, "true"),
        (r#"{">=":[1,1.0]}"#, "true"),
        (r#"{">=":[1,2]}"#, "false"),
        (r#"{"<":["9","10"]}"#, "true"),
        (r#"{"<":[1,2,3]}"#, "true"),
        (r#"{"<":[1,1,3]}"#, "false"),
        (r#"{"<":[1,4,3]}"#, "false"),
        (r#"{"<=":[1,1,3]}"#, "true"),
        (r#"{"<":["a","b"]}"#, "false"),
        (r#"{"<":[null,1]}"#, "false"),
        (r#"{">=":[null,0]}"#, "false"),
        (r#"{"<":[false,1]}"#, "false"),
        (r#"{"<":[[],1]}"#, "false"),
        (r#"{"<":[0.1,0.10000000000000000000000001]}"#, "true"),
    ]);
}

#[test]
fn arithmetic_is_exact() {
    all_be(&[
        (r#"{"+":[0.1,0.2]}"#, "0.3"),
        (r#"{"==":[{"+":[0.1,0.2]},0.3]}"#, "true"),
        (r#"{"+":[1,2,3,"4"]}"#, "10"),
        (r#"{"+":"3.14"}"#, "3.14"),
        (r#"{"-":[5,7]}"#, "-2"),
        (r#"{"-":5}"#, "-5"),
        (r#"{"-":"0"}"#, "0"),
        (r#"{"*":[12.5,0.4]}"#, "5"),
        (r#"{"*":[2,3,"4"]}"#, "24"),
        (r#"{"*":"7"}"#, "7"),
        (r#"{"/":[10,4]}"#, "2.5"),
        (r#"{"/":[1,3]}"#, "0.3333"),
        (r#"{"/":[2,3]}"#, "0.6667"),
        (r#"{"/":[-1,8000]}"#, "-0.0001"),
        (r#"{"/":[-1,20000]}"#, "-0.0001"),
        (r#"{"/":[1,20001]}"#, "0"),
        (r#"{"%":[101,2]}"#, "1"),
        (r#"{"%":[-7,3]}"#, "-1"),
        (r#"{"%":[5.5,0.2]}"#, "0.1"),
        (r#"{"max":[1,"3",2]}"#, "3"),
        (r#"{"min":[1,-0.5,2]}"#, "-0.5"),
        (r#"{"max":4}"#, "4"),
        (r#"{"+":[1234567890123456789012345678,"0"]}"#, "1234567890123456789012345678"),
        (r#"{"-":[1.000000000000000000000000001,1]}"#, "0.000000000000000000000000001"),
        (r#"{"+":[79228162514264337593543950334,1]}"#, "79228162514264337593543950335"),
        (r#"{"+":[[2,3],4]}"#, "6"),
        (r#"{"*":[[[2]],4]}"#, "8"),
    ]);
}

#[test]
fn an_operand_that_is_no_number_makes_null_and_no_number() {
    for operator in ["+", "-", "*", "/", "%", "min", "max"] {
        for operand in ["null", r#""abc""#, r#""""#, "true", r#"{"var":"nowhere"}"#, "[]"] {
            for operands in [format!("[{operand},2]"), format!("[2,{operand}]")] {
                let expression = format!(r#"{{"{operator}":{operands}}}"#);
                assert_eq!(gives(&expression, "{}").as_deref(), Ok("null"), "{expression}");
                let outcome = read(&expression).evaluate(&Facts::parse("{}").unwrap(), &Names::default()).unwrap();
                let error = outcome.number().unwrap_err().to_string();
                assert_eq!(error, "the expression gives null instead of a number", "{expression}");
            }
        }
    }
}

#[test]
fn what_cannot_be_held_exactly_is_an_error_and_never_rounded() {
    let data = r#"{"long":"1234567890123456789012345678901234567890","digits":1234567890123456789012345678901234567890,"l":[0.00000000000000000000000000001]}"#;
    for expression in [
        r#"{"+":[79228162514264337593543950335,1]}"#,
        r#"{"-":[-79228162514264337593543950335,1]}"#,
        r#"{"+":[79228162514264337593543950335,0.1]}"#,
        r#"{"*":[0.00000000000000000001,0.000000001]}"#,
        r#"{"*":[123456789012345,123456789012345.1]}"#,
        r#"{"/":[79228162514264337593543950335,0.01]}"#,
        r#"{"+":[{"var":"long"},1]}"#,
        r#"{"<":[1,{"var":"long"}]}"#,
        r#"{"var":"digits"}"#,
        r#"{"==":[{"var":"digits"},1]}"#,
        r#"{"merge":[{"var":"l"}]}"#,
        r#"{"filter":[{"var":"l"},true]}"#,
    ] {
        assert!(fails(expression, data).contains("more than 28 significant digits"), "{expression}");
    }
    assert_eq!(fails(r#"{"/":[1,0]}"#, "{}"), r#""/" divides by zero"#);
    assert_eq!(fails(r#"{"%":[1,{"-":[0.0]}]}"#, "{}"), r#""%" divides by zero"#);
}

#[test]
fn durations_are_made_measured_and_counted() {
    let between = |from: &str, to: &str| gives(&format!(r#"{{"duration.between":["{from}","{to}"]}}"#), "{}").unwrap();
    let day = "2024-05-28T00:00:00Z";
    assert_eq!(between(day, "2024-05-29T02:30:00Z"), r#""PT26H30M""#);
    assert_eq!(between("2024-05-29T02:30:00Z", day), r#""PT-26H-30M""#);
    assert_eq!(between(day, day), r#""PT0S""#);
    assert_eq!(between(day, "2024-05-28T02:00:00.5+02:00"), r#""PT0.5S""#);
    assert_eq!(between("2024-05-28T00:00:00.25Z", day), r#""PT-0.25S""#);
    assert_eq!(between("2024-05-28T", day), "null");
    all_be(&[
        (r#"{"duration.between":[null,5]}"#, "null"),
        (r#"{"duration.of":[100,"SECONDS"]}"#, r#""PT1M40S""#),
        (r#"{"duration.of":["-1500","MILLIS"]}"#, r#""PT-1.5S""#),
        (r#"{"duration.of":[2,"DAYS"]}"#, r#""PT48H""#),
        (r#"{"duration.of":[1.5,"DAYS"]}"#, "null"),
        (r#"{"duration.of":["x","DAYS"]}"#, "null"),
        (r#"{"duration.as":["PT1M40S","SECONDS"]}"#, "100"),
        (r#"{"duration.as":["PT1M40S","MINUTES"]}"#, "1"),
        (r#"{"duration.as":["PT-1M-40S","MINUTES"]}"#, "-1"),
        (r#"{"duration.as":["P1DT12H","DAYS"]}"#, "1"),
        (r#"{"duration.as":["PT0.0019S","MILLIS"]}"#, "1"),
        (r#"{"duration.as":["soon","DAYS"]}"#, "null"),
    ]);
    let hours = r#"{"duration.as":[{"duration.between":[{"var":"from"},{"var":"to"}]},"HOURS"]}"#;
    let data = r#"{"from":"2024-03-30T22:00:00Z","to":"2024-04-01T00:59:59Z"}"#;
    assert_eq!(gives(hours, data).unwrap(), "26");
    assert!(fails(r#"{"duration.as":["PT1S","WEEKS"]}"#, "{}").contains("MILLIS, SECONDS, MINUTES, HOURS or DAYS"));
    assert!(fails(r#"{"duration.of":[1e15,"DAYS"]}"#, "{}").contains("out of range"));
}

#[test]
fn only_a_number_or_a_text_of_one_is_a_number() {
    let facts = Facts::parse(r#"{"s":"12.50","o":{},"l":[1]}"#).unwrap();
    let number = |text: &str| read(text).evaluate(&facts, &Names::default()).unwrap().number();
    assert_eq!(number(r#"{"var":"s"}"#).unwrap().to_string(), "12.5");
    for (text, found) in [
        ("true", "true"),
        ("null", "null"),
        (r#""abc""#, r#"the text "abc""#),
        (r#""""#, r#"the text """#),
        (r#"{"var":"l"}"#, "a list"),
        (r#"{"var":"o"}"#, "an object"),
    ] {
        assert_eq!(number(text).unwrap_err().to_string(), format!("the expression gives {found} instead of a number"));
    }
    assert!(number(r#""1e99""#).unwrap_err().to_string().contains("out of range"));
}
