//! Answers and schemas, also hostile ones.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn schema(schema: Value) -> Schema {
    Schema::new(schema).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(schema: Value) -> Vec<String> {
    let faults = Schema::new(schema).map(drop).unwrap_err();
    faults
        .into_iter()
        .map(|fault| format!("/{}: {}", fault.place.join("/"), fault.message))
        .collect()
}

fn triage() -> Schema {
    schema(json!({
        "type": "object",
        "required": ["severity"],
        "properties": {
            "severity": {"enum": ["low", "high"]},
            "parts": {"type": "array", "items": {"$ref": "#"}},
        },
    }))
}

#[test]
fn a_value_is_found_in_the_text_around_it() {
    let high = r#"{"severity": "high"}"#;
    for answer in [
        high.to_owned(),
        format!("\u{feff} {high}\n"),
        format!("```json\n{high}\n```"),
        format!("```\n{high}\n```\n"),
        format!(
            "Here it is [1], as asked:\n\n```json\n{high}\n```\nSee [the docs](http://x/{{y}})."
        ),
        format!("{high}\n\nAgain: {high}"),
        format!("<think>{{\"severity\": \"low\"}}? No.</think>\n{high}"),
        format!("{{\"severity\": \"unknown\"}} is no severity. {high}"),
        r#"{"severity": "low", "severity": "high"}"#.to_owned(),
    ] {
        assert_eq!(triage().read(&answer), Ok(json!({"severity": "high"})), "{answer}");
    }
    assert_eq!(schema(json!({"type": "integer"})).read("```json\n42\n```"), Ok(json!(42)));
}

#[test]
fn a_complaint_says_why_an_answer_does_not_fit() {
    for (answer, complaint) in [
        ("It is bad.", "it is not JSON: expected value at line 1 column 1"),
        (r#"{"severity": "high""#, "it is not JSON: EOF while parsing an object"),
        (
            r#"{"severity": "huge"}"#,
            r#"it does not fit the schema: /severity: "huge" is not one of"#,
        ),
        ("{}", r#"it does not fit the schema: "severity" is a required property"#),
        (
            r#"{"severity": "low"} or {"severity": "high"}"#,
            "it holds 2 JSON values that fit, not one",
        ),
        // Parts of a broken value are not the answer.
        (r#"{"parts": [], "x": {"severity": "high"}, }"#, "it is not JSON: "),
        (r#"{"severity": "low", "parts": [{"severity": "high"}"#, "it is not JSON: EOF"),
        (r#"{"severity": 1e999}"#, "it is not JSON: number out of range"),
        (r#"{"severity": "\ud800"}"#, "it does not fit the schema: /severity: \"\u{fffd}\""),
    ] {
        let found = triage().read(answer).unwrap_err();
        assert!(found.starts_with(complaint), "{answer}: {found}");
    }
    let many = format!("[{}1]", "1,".repeat(200_000));
    assert_eq!(triage().read(&many), Err("it has more than 200000 values".to_owned()));
    let long = format!("{{\"severity\": \"{}\"}}", "x".repeat(10_000));
    assert!(triage().read(&long).unwrap_err().len() < 400);
    // The complaint does not repeat the long value.
    let union = schema(json!({"anyOf": [{"type": "string"}, {"required": ["a"]}]}));
    let found = union.read(&json!({"b": "x".repeat(10_000)}).to_string()).unwrap_err();
    assert!(found.contains("is not valid under any of the schemas"), "{found}");
}

#[test]
fn faults_of_a_schema_have_their_place() {
    for (schema, expected) in [
        (json!(true), "/: expected a JSON Schema"),
        (json!({"type": "strin"}), "/type: \"strin\" is not a type of JSON Schema"),
        (json!({"properties": {"a": {"pattern": "("}}}), "/properties/a/pattern: this is not"),
        (
            json!({"items": {"$ref": "https://h/x"}}),
            "/items/$ref: a schema can refer only to its own parts",
        ),
        (json!({"$ref": "file:///etc/passwd"}), "/$ref: a schema can refer only to its own parts"),
        (json!({"$ref": "other.json"}), "/$ref: a schema can refer only to its own parts"),
        (json!({"anyOf": [{}, {"$ref": "#/$defs/a"}]}), "/anyOf/1/$ref: #/$defs/a is not in"),
        (json!({"$ref": "#"}), "/$ref: this refers to itself"),
        (
            json!({"properties": {"a": {"not": {"$ref": "#/properties/a"}}}}),
            "/properties/a/$ref: this",
        ),
        (json!({"$defs": {"a": {"$id": "http://h/"}}}), "/$defs/a/$id: only the whole schema"),
        (json!({"$dynamicRef": "#a"}), "/$dynamicRef: $dynamicRef is not supported"),
        (json!({"description": "x".repeat(70_000)}), "/: the schema is larger than 64 KiB"),
        (json!({"$schema": "https://example.org/mine"}), "/: this is not a valid JSON Schema: "),
    ] {
        let found = faults(schema);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
    let deep = (0..40).fold(json!({}), |inner, _| json!({"items": inner}));
    assert_eq!(faults(deep), ["/: the schema is nested more than 32 levels deep"]);
    let patterns: Map<String, Value> =
        (0..33).map(|at| (format!("p{at}"), json!({"pattern": "a"}))).collect();
    let found = faults(json!({"properties": patterns}));
    assert_eq!(found, ["/properties/p32/pattern: the schema has more than 32 patterns"]);
}

#[test]
fn properties_named_like_keywords_are_allowed() {
    let schema = schema(json!({"properties": {
        "$ref": {"type": "string"}, "$id": {"const": 1}, "pattern": {"type": "integer"},
    }}));
    assert!(schema.read(r#"{"$ref": "http://h/", "$id": 1, "pattern": 3}"#).is_ok());
    assert!(schema.read(r#"{"$ref": 1}"#).is_err());
}

/// A schema in which every level refers to the next one twice.
fn doubling(levels: usize) -> Value {
    let mut parts = Map::new();
    for level in 0..levels {
        let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
        parts.insert(format!("a{level}"), json!({"allOf": [next, next]}));
    }
    parts.insert(format!("a{levels}"), json!({"type": "integer"}));
    json!({"$ref": "#/$defs/a0", "$defs": parts})
}

#[test]
fn a_schema_of_exponential_work_is_rejected() {
    assert_eq!(schema(doubling(8)).read("1"), Ok(json!(1)));
    assert!(faults(doubling(30))[0].contains("to too many parts"), "{:?}", faults(doubling(30)));
    // Here the answer makes the work exponential.
    let branch = json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}});
    let schema = schema(json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [branch, branch]}}}));
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!({"x": inner})).to_string();
    assert!(schema.read(&nested(3)).unwrap_err().contains("does not fit"));
    assert!(schema.read(&nested(100)).unwrap_err().contains("too deeply nested"));
}

#[test]
fn a_tree_may_be_large() {
    let mut tree = json!({"severity": "low"});
    for _ in 0..10 {
        tree = json!({"severity": "low", "parts": [tree, tree]});
    }
    assert_eq!(triage().read(&tree.to_string()), Ok(tree));
}

#[test]
fn the_deepest_allowed_check_does_not_overflow_the_stack() {
    let schema = schema(json!({"$ref": "#/$defs/a", "$defs": {
        "a": {"allOf": [{"anyOf": [{"$ref": "#/$defs/b"}]}]},
        "b": {"oneOf": [
            {"minimum": 2, "type": "integer"},
            {"type": "object", "properties": {"x": {"$ref": "#"}}, "unevaluatedProperties": false},
        ]},
    }}));
    let mut last = None;
    for levels in 1..120 {
        let value = (0..levels).fold(json!(1), |inner, _| json!({"x": inner})).to_string();
        match schema.read(&value) {
            Err(complaint) if complaint.contains("too deeply") => break,
            complaint => last = complaint.err(),
        }
    }
    assert!(last.unwrap().contains("does not fit"));
}

#[test]
fn a_pattern_that_backtracks_without_end_does_not_fit() {
    let schema = schema(json!({"pattern": "^(?=a)(a|aa)+$"}));
    assert!(schema.read(&format!("\"{}b\"", "a".repeat(5_000))).is_err());
}

#[test]
fn the_length_of_a_text_counts_once_for_each_pattern() {
    let text = json!("a".repeat(1 << 20));
    assert!(schema(json!({"pattern": "^a*$"})).check(&text).is_ok());
    let patterns: Vec<Value> = (0..20).map(|at| json!({"pattern": format!("^a*{at}")})).collect();
    let complaint = schema(json!({"allOf": patterns})).check(&text).unwrap_err();
    assert!(complaint.contains("too large"), "{complaint}");
}

/// A schema of a server's tool with one parameter of this pattern.
fn server_schema(pattern: &str, patterns_left: &mut usize) -> Schema {
    let schema = json!({"type": "object", "properties": {"a": {"pattern": pattern}}});
    Schema::from_server(schema, patterns_left).unwrap_or_else(|faults| panic!("{faults:?}"))
}

const LOOK_AROUND: [&str; 5] = [
    r"^(?!\.)(?!.*\.\.)([\w'+.-]*)[\w+-]@([A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}$",
    r"^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]{2,63}$",
    r"^(?=.*[A-Z])(?=.*\d)(?=.*[^\w\s])\S{8,64}$",
    r#"^(['"]).*\1$"#,
    r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)$",
];

#[test]
fn patterns_of_servers_are_checked_if_the_linear_engine_can_read_them() {
    let mut patterns_left = 4;
    for pattern in [
        r"^\p{L}[\p{L}\p{N} '-]*$",
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        r"^\(?\d{3}\)?[ -]?\d{4}$",
        r"^(?:\d{4})-(?:0[1-9]|1[0-2])-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z$",
    ] {
        let schema = server_schema(pattern, &mut patterns_left);
        assert!(schema.check(&json!({"a": "$"})).is_err(), "{pattern}");
    }
    // No patterns are left for this server.
    assert!(server_schema("^b$", &mut patterns_left).check(&json!({"a": "$"})).is_ok());
    for pattern in LOOK_AROUND.into_iter().chain(["(", r"^[^/]{1,255}/[^/]{1,255}$"]) {
        let schema = server_schema(pattern, &mut 1);
        assert!(schema.check(&json!({"a": "$"})).is_ok(), "{pattern}");
        assert!(schema.check(&json!("$")).is_err(), "{pattern}");
    }
    let misplaced = json!({"properties": {"a": {"pattern": "a", "type": 7}}});
    assert!(Schema::from_server(misplaced, &mut 0).is_err());
}

#[test]
fn patterns_of_the_file_may_look_around() {
    for pattern in LOOK_AROUND.into_iter().chain([r"^[^/]{1,255}/[^/]{1,255}$"]) {
        assert!(schema(json!({"pattern": pattern})).check(&json!("$")).is_err(), "{pattern}");
    }
}

#[test]
fn hostile_patterns_of_servers_cost_little() {
    let ahead = |mark| format!(r"(?={mark}((\w{{50}}){{50}}){{5}}{mark})");
    let aheads = |from: u8, to| (from..=to).map(|mark| ahead(char::from(mark))).collect::<String>();
    let branches: String = (0..1000).map(|at| format!("|x{at}.{{90}}")).collect();
    let ending: String = (0..1000).map(|at| format!("|x{at}.{{0,90}}")).collect();
    let beginning: String = (0..1000).map(|at| format!("|.{{0,90}}x{at}")).collect();
    let alike: String = (0..200).map(|at| format!(r"|\w\w\wx{at}")).collect();
    let doubled = |call: &str| -> String {
        (1..12).map(|at| format!("({})", call.replace('#', &at.to_string()).repeat(2))).collect()
    };
    let started = std::time::Instant::now();
    for pattern in [
        format!("^{}$", aheads(b'x', b'z')),
        format!("^{}$", aheads(b'A', b'z')),
        format!("^{}$", ahead('x').repeat(2000)),
        format!("(?:(?=q){branches})"),
        format!("(?:q++{branches})"),
        format!("(?:q{branches})"),
        format!(r"(?:\w\w\w(?=q){alike})"),
        format!(r"(?:\w\w\w{alike})"),
        format!("(?:(?=q){ending})"),
        format!("(?:(?=q){beginning})"),
        format!("(?:q{beginning})"),
        format!("(?x)(?:q+ +{branches})"),
        format!("(?=a)(a){}", doubled(r"\g<#>")),
        format!("(?=a)(a){}", doubled(r"(?P>#)")),
        format!("(?i)(?=a)(){}", doubled(r"\#")),
        r"^((\w{60}){60}){60}$".to_owned(),
        "(".repeat(10_000),
    ] {
        let hostile = json!({"type": "object", "properties": {"a": {"pattern": pattern}}});
        // A reference makes a schema of a value at any place.
        let hidden = json!({"type": "object", "$ref": "#/x", "x": {"pattern": pattern}});
        for schema in [hostile, hidden] {
            let _ = Schema::from_server(schema, &mut 1);
        }
    }
    let mut patterns_left = MAX_SERVER_PATTERNS;
    for number in 0..1000 {
        server_schema(&format!("^x{number}.{{200}}$"), &mut patterns_left);
    }
    assert_eq!(patterns_left, 0);
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn any_answer_yields_a_value_or_a_complaint(
        answer in concat!(
            "[{}\\[\\]\",:a1 \\\\`\n]{0,60}",
            "|(\\{\"severity\": \"(low|high|x)\"\\}|[ a{}\\[,]){0,8}",
        ),
    ) {
        match triage().read(&answer) {
            Ok(value) => prop_assert!(triage().check(&value).is_ok()),
            Err(complaint) => prop_assert!(!complaint.is_empty()),
        }
    }
}
