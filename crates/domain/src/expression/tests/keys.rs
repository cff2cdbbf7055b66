//! Where keys lead, and meters as their users write them.

use super::*;

#[test]
fn var_follows_dots_and_positions_and_falls_back() {
    let data = r#"{"a":{"b":{"c":7},"n":null},"l":[10,{"k":"v"}],"":"empty","t":"text","z":0,"f":false}"#;
    let cases = [
        (r#"{"var":"a.b.c"}"#, "7"),
        (r#"{"var":["a.b.c"]}"#, "7"),
        (r#"{"var":"l.0"}"#, "10"),
        (r#"{"var":"l.1.k"}"#, r#""v""#),
        (r#"{"var":"l.2"}"#, "null"),
        (r#"{"var":"l.-1"}"#, "null"),
        (r#"{"var":"l.k"}"#, "null"),
        (r#"{"var":"x"}"#, "null"),
        (r#"{"var":"t.x"}"#, "null"),
        (r#"{"var":["x",9]}"#, "9"),
        (r#"{"var":["x.y",{"var":"a.b.c"}]}"#, "7"),
        (r#"{"var":["a.n",9]}"#, "9"),
        (r#"{"var":["z",9]}"#, "0"),
        (r#"{"var":["f",9]}"#, "false"),
        (r#"{"var":{"cat":["a",".b",".c"]}}"#, "7"),
        (r#"{"map":[[[5,6]],{"var":1}]}"#, "[6]"),
        (r#"{"map":[[[5,6]],{"var":"1"}]}"#, "[6]"),
        (r#"{"map":[[[[4,5]]],{"var":"0.1"}]}"#, "[5]"),
        (r#"{"map":[[3],{"var":""}]}"#, "[3]"),
        (r#"{"map":[[3],{"var":null}]}"#, "[3]"),
        (r#"{"map":[[3],{"var":[]}]}"#, "[3]"),
        (r#"{"map":[[null],{"var":["",8]}]}"#, "[8]"),
        (r#"{"map":[[3],{"var":"x"}]}"#, "[null]"),
    ];
    all_give(&cases.map(|(expression, want)| (expression, data, want)));
    assert_eq!(gives(r#"{"var":""}"#, r#"{"a":[1,null]}"#).unwrap(), r#"{"a":[1,null]}"#);
    assert!(fails(r#"{"var":{"var":"f"}}"#, data).contains("key that is a text"));
}

#[test]
fn var_tries_the_longest_key_first_and_goes_back_where_it_leads_nowhere() {
    let data = r#"{"a.b.c":1,"a.b":{"c":2,"d":3},"a":{"b":{"c":4,"d":5,"e":6},"b.e":null},"x.y":{"z":null},"x":{"y":{"z":7}}}"#;
    all_give(&[
        (r#"{"var":"a.b.c"}"#, data, "1"),
        (r#"{"var":"a.b.d"}"#, data, "3"),
        (r#"{"var":"a.b.e"}"#, data, "6"),
        (r#"{"var":"x.y.z"}"#, data, "7"),
        (r#"{"var":"a.b.f"}"#, data, "null"),
        (r#"{"var":"a..b"}"#, data, "null"),
    ]);
}

#[test]
fn names_tell_where_the_first_segment_leads() {
    let names = names(&[("attribute", &["attributes", ""]), ("all", &[""]), ("none", &[])]);
    let data =
        r#"{"attributes":{"distance":12.5,"zero":null},"distance":1,"zero":2,"tags":["a"],"attribute":{"kind":3}}"#;
    for (expression, want) in [
        (r#"{"var":"attribute.distance"}"#, "12.5"),
        (r#"{"var":"attributes.distance"}"#, "12.5"),
        (r#"{"var":"attribute.zero"}"#, "2"),
        (r#"{"var":"attribute.tags.0"}"#, r#""a""#),
        (r#"{"var":"attribute.kind"}"#, "null"),
        (r#"{"var":["attribute.none",4]}"#, "4"),
        (r#"{"var":"attribute"}"#, r#"{"distance":12.5,"zero":null}"#),
        (r#"{"var":"all.distance"}"#, "1"),
        (r#"{"var":"none.distance"}"#, "null"),
        (r#"{"missing":["attribute.distance","attribute.x"]}"#, r#"["attribute.x"]"#),
        (r#"{"map":[{"var":"attribute.tags"},{"var":""}]}"#, r#"["a"]"#),
    ] {
        assert_eq!(gives_with(expression, data, &names).as_deref(), Ok(want), "{expression}");
    }
    let items = r#"{"attributes":{"l":[{"attribute":{"x":1}}]}}"#;
    let inner = r#"{"map":[{"var":"attribute.l"},{"var":"attribute.x"}]}"#;
    assert_eq!(gives_with(inner, items, &names).as_deref(), Ok("[1]"));
}

#[test]
fn missing_lists_the_keys_without_a_value() {
    all_give(&[
        (r#"{"missing":[]}"#, "{}", "[]"),
        (r#"{"missing":"a"}"#, "{}", r#"["a"]"#),
        (r#"{"missing":["a","b"]}"#, r#"{"a":"apple"}"#, r#"["b"]"#),
        (r#"{"missing":["a","b","c","d"]}"#, r#"{"a":"","b":null,"c":0,"d":false}"#, r#"["a","b"]"#),
        (r#"{"missing":["a.b","a.c"]}"#, r#"{"a":{"b":1}}"#, r#"["a.c"]"#),
        (r#"{"missing":{"merge":["a",["b"]]}}"#, r#"{"a":1}"#, r#"["b"]"#),
        (r#"{"missing":["big"]}"#, r#"{"big":1234567890123456789012345678901234567890}"#, "[]"),
        (r#"{"missing_some":[1,["a","b"]]}"#, r#"{"a":1}"#, "[]"),
        (r#"{"missing_some":[2,["a","b","c"]]}"#, r#"{"a":1}"#, r#"["b","c"]"#),
        (r#"{"missing_some":["1",["a"]]}"#, "{}", r#"["a"]"#),
        (r#"{"if":[{"missing":"a"},"missed","found"]}"#, r#"{"a":1}"#, r#""found""#),
    ]);
    assert_eq!(fails(r#"{"missing_some":[1,"a"]}"#, "{}"), r#""missing_some" needs a list of keys, not the text "a""#);
    assert!(fails(r#"{"missing_some":[1.5,["a"]]}"#, "{}").contains("a whole number, not 1.5"));
}

#[test]
fn meters_of_a_ride_hailing_service_match_and_compute() {
    let names = names(&[
        ("attribute", &["attributes", ""]),
        ("attributes", &["attributes", ""]),
        ("dimension", &["dimensions", ""]),
        ("dimensions", &["dimensions", ""]),
    ]);
    let nested = r#"{"attributes":{"distance":"12.5","waiting":3},"dimensions":{"city":"chennai","tier":"gold"}}"#;
    let flat = r#"{"distance":12.5,"waiting":3,"city":"chennai","tier":"gold"}"#;
    for data in [nested, flat] {
        let facts = Facts::parse(data).unwrap();
        let evaluate = |text: &str| read(text).evaluate(&facts, &names).unwrap();
        let units = evaluate(r#"{"*":[{"var":"attributes.distance"},0.4]}"#);
        assert_eq!(units.number().unwrap(), Quantity::from_count(5));
        assert!(evaluate(r#"{"==":[{"var":"dimension.city"},"chennai"]}"#).is_truthy());
        assert!(!evaluate(r#"{"==":[{"var":"dimension.city"},"mumbai"]}"#).is_truthy());
        let matcher = r#"{"and":[{"in":[{"var":"dimensions.tier"},["gold","silver"]]},{">=":[{"var":"attribute.distance"},10]}]}"#;
        assert!(evaluate(matcher).is_truthy());
        let tiers = r#"{"if":[{"<":[{"var":"attributes.distance"},5]},1,{"<":[{"var":"attributes.distance"},20]},{"+":[{"var":"attributes.distance"},{"*":[{"var":"attributes.waiting"},0.1]}]},0]}"#;
        assert_eq!(evaluate(tiers).number().unwrap().to_string(), "12.8");
        assert_eq!(evaluate("1").number().unwrap(), Quantity::from_count(1));
    }
}

#[test]
fn facts_are_an_object() {
    for bad in ["", "[]", "1", "null", "{", r#"{"a":1} x"#] {
        assert!(Facts::parse(bad).is_err(), "{bad}");
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(127), "}".repeat(127));
    let path = ["a"; 127].join(".");
    assert_eq!(gives(&format!(r#"{{"var":"{path}"}}"#), &deep).as_deref(), Ok("1"));
}
