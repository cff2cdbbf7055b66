//! Where the fuzz targets get sound inputs to begin with.
//!
//! Invariant: a target reads what is committed in `corpus/`; it writes seeds only when it is asked to.

use std::path::PathBuf;
use std::{fs, process};

/// Names the folder into which a target writes its seeds; `cargo xtask fuzz --seeds` sets it.
const FOLDER: &str = "TALLYSTICK_FUZZ_SEEDS";

const EVENT: &str = r#"{"specversion":"1.0","id":"5c10fade-1c9e-4d6c-8275-c52c36731d3c","source":"api","type":"prompt","subject":"customer-1","time":"2024-01-01T00:01:00.001Z","datacontenttype":"application/json","data":{"tokens":"123.4500","model":"gpt-4","nested":{"a":[1,2.50,-3e2,null,true]}}}"#;

/// Texts for the targets that read what clients send.
const TEXTS: &[(&str, &str, &str)] = &[
    ("cloudevents_body", "minimal", r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"}"#),
    (
        "cloudevents_body",
        "null-data",
        r#"{"specversion":"0.3","id":"1","source":"s","type":"t","subject":"c","data":null,"time":"2024-02-29T23:59:59.123456789+05:30"}"#,
    ),
    (
        "cloudevents_body",
        "further",
        r#" [ {"traceparent":"00-1","n":1.50,"b":false,"dataschema":"https://a","specversion":"1.0","id":"\u0031","source":"é","type":"t","subject":"a\/b","data":{"\u0061":"\ud83d\ude00","long":12345678901234567890.123456789}} ] "#,
    ),
    ("cloudevents_body", "empty-list", "[]"),
    (
        "cloudevents_body",
        "twice",
        r#"{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t","subject":"c","data":{"a":1,"a":2}}"#,
    ),
    (
        "cloudevents_body",
        "base64",
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c","data_base64":"AA==","time":"24-01-01"}"#,
    ),
    ("json_path", "members", "$.a.b\n{\"a\":{\"b\":1.50}}"),
    ("json_path", "quoted", "$['a-b'].`c \"d\"`[\"e'\"]\n{\"a-b\":{\"c \\\"d\\\"\":{\"e'\":\"\\u0041\"}}}"),
    ("json_path", "items", "$.l[1].k[*][0 to 2]\n{\"l\":[1,{\"k\":[7,[],[null,2]]}]}"),
    ("json_path", "root", "$\n[1,{},true]"),
    ("filter", "equal", "{\"$eq\":\"a\",\"$ne\":null}\na\nb"),
    ("filter", "lists", "{\"$or\":[{\"$in\":[\"a\",\"\"]},{\"$nin\":[\"a\",\"b\"]}]}\na\nb\n"),
    ("filter", "like", "{\"$and\":[{\"$like\":\"g%t-_\"},{\"$nlike\":\"%\\\\%%\"}]}\ngpt-4\ng%t-4"),
    ("filter", "any-case", "{\"$or\":[{\"$ilike\":\"É%\"},{\"$nilike\":\"ß_İ\"}]}\nécole\nßxi̇\nSS"),
    ("filter", "order", "{\"$and\":[{\"$gt\":\"a\"},{\"$lte\":\"c\"},{\"$gte\":\"b\"},{\"$lt\":\"d\"}]}\nb\na\né"),
    (
        "filter",
        "moments",
        "{\"$and\":[{\"$gte\":\"2024-01-01T00:00:00Z\"},{\"$or\":[{\"$lt\":\"2024-01-02T00:00:00+01:00\"},{\"$lte\":\"0001-01-01T00:00:00Z\"},{\"$gt\":\"9998-12-31T00:00:00Z\"}]}]}\n2024-01-01T23:00:00Z\n2024-01-01T22:59:59.999999Z",
    ),
    (
        "expression",
        "meter",
        "{\"if\":[{\"==\":[{\"var\":\"d.city\"},\"chennai\"]},{\"*\":[{\"var\":[\"a.distance\",1]},0.4]},{\"/\":[1,3]}]}\n{\"b\":{\"distance\":\"12.50\"},\"d\":{\"city\":\"chennai\"},\"a.distance\":null}",
    ),
    (
        "expression",
        "lists",
        "{\"reduce\":[{\"filter\":[{\"var\":\"l\"},{\"<\":[0,{\"var\":\"q\"},10]}]},{\"+\":[{\"var\":\"accumulator\"},{\"var\":\"current.q\"}]},0]}\n{\"l\":[{\"q\":1.5},{\"q\":\"2\"},{}]}",
    ),
    (
        "expression",
        "texts",
        "{\"in\":[{\"substr\":[{\"cat\":[\"\\u00e9\",1e2,[true,null]]},-4,-1]},{\"merge\":[\"tru\",{\"missing\":[\"a\",\"b\"]}]}]}\n{\"a\":\"\"}",
    ),
    (
        "expression",
        "durations",
        "{\"duration.as\":[{\"duration.between\":[{\"var\":\"from\"},{\"var\":\"to\"}]},\"HOURS\"]}\n{\"from\":\"2024-03-30T22:00:00Z\",\"to\":\"2024-04-01T00:59:59.5+02:00\"}",
    ),
    (
        "expression",
        "others",
        "{\"and\":[{\"or\":[0,{\"some\":[[1],{\"%\":[{\"var\":\"\"},2]}]}]},{\"!\":{\"all\":[[],1]}},{\"max\":[1,{\"duration.of\":[1,\"DAYS\"]}]},{\"map\":[[2],{\"-\":{\"var\":\"\"}}]}]}\n{}",
    ),
    ("cursor", "plain", "MjAyNC0wMS0wMVQwMDowMDowMFosWyJhcGkiLCIxIl0"),
    ("cursor", "micros", "MjAyNC0wMS0wMVQwMDowMDowMC4xMjM0NTZaLFsiYSxiIiwiY1wiZCJd"),
    ("cursor", "offset", "MjAyNC0wMS0wMVQwMDowMDowMCswNTozMCxbIsO8IiwiXHUwMDQxIl0="),
];

/// Writes the seeds of a target and ends, if that is what it was started for.
#[allow(clippy::disallowed_methods, reason = "the one way to a program whose arguments are libFuzzer's")]
pub fn offer_seeds(target: &str) {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let mut seeds = tallystick_event_store::fuzzing::seeds();
    seeds.extend(TEXTS.iter().map(|(target, name, text)| (*target, name.to_string(), text.as_bytes().to_vec())));
    let events = [("one", EVENT.to_string()), ("list", format!("[{EVENT},\n{}]", EVENT.replace("5c10", "6c10")))];
    seeds.extend(events.map(|(name, text)| ("cloudevents_body", name.to_string(), text.into_bytes())));
    fs::create_dir_all(&folder).expect("the folder of the seeds can be made");
    for (_, name, bytes) in seeds.into_iter().filter(|(of, ..)| *of == target) {
        fs::write(folder.join(name), bytes).expect("a seed can be written");
    }
    process::exit(0);
}
