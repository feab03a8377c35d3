//! What models are shown of parameters, and what becomes of the arguments they write.

use serde_json::json;

use super::*;

fn parameters(schema: Value) -> Parameters {
    Parameters::new(Schema::new(schema).unwrap())
}

fn object(more: Value) -> Value {
    let mut schema = json!({"type": "object"});
    schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    schema
}

/// The shown schema of one property.
fn shown(property: Value) -> Value {
    let schema = object(json!({"properties": {"p": property}}));
    parameters(schema).shown()["properties"]["p"].clone()
}

#[test]
fn an_ordinary_schema_is_shown_as_it_is() {
    let schema = object(json!({
        "properties": {"path": {"type": "string", "description": "Where"}, "n": {"type": "integer"},
            "all": {"type": "array", "items": {"$ref": "#/$defs/one"}}},
        "required": ["path"], "additionalProperties": false, "$defs": {"one": {"enum": [1, 2]}},
    }));
    let expected = schema.clone();
    assert_eq!(*parameters(schema).shown(), expected);
}

#[test]
fn the_root_has_no_alternatives() {
    let text = || json!({"type": "string"});
    for (more, properties, required) in [
        (
            json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": text(), "b": text()}),
            json!([]),
        ),
        (
            json!({"oneOf": [
                {"properties": {"kind": {"const": "x"}, "c": text()}, "required": ["kind", "c"]},
                {"properties": {"kind": {"const": "y"}}, "required": ["kind"]},
            ]}),
            json!({"a": text(), "b": text(), "c": text(),
                "kind": {"anyOf": [{"const": "x"}, {"const": "y"}]}}),
            json!(["kind"]),
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/more"}], "$defs": {"more": {"required": ["c", "a"],
                "properties": {"a": {"minLength": 1}, "c": text()}}}}),
            json!({"a": {"allOf": [text(), {"minLength": 1}]}, "b": text(), "c": text()}),
            json!(["c", "a"]),
        ),
        (
            json!({"not": {"required": ["a", "b"]}, "if": {"required": ["a"]},
                "then": {"properties": {"d": text()}}}),
            json!({"a": text(), "b": text(), "d": text()}),
            json!([]),
        ),
    ] {
        let mut schema = object(json!({"properties": {"a": text(), "b": text()}}));
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let shown = parameters(schema).shown();
        assert_eq!(shown["type"], "object");
        assert_eq!(shown["properties"], properties, "{more}");
        assert_eq!(shown.get("required").unwrap_or(&json!([])), &required, "{more}");
        for key in ["anyOf", "oneOf", "allOf", "not", "if", "then", "enum"] {
            assert_eq!(shown.get(key), None, "{more}");
        }
        let told = shown["description"].as_str().unwrap();
        assert!(told.contains("must also fit this JSON Schema: {"), "{told}");
    }
    // References at the root, even endless ones, are followed.
    let schema = json!({"type": "object", "$ref": "#/$defs/a",
        "$defs": {"a": {"properties": {"x": {"$ref": "#/$defs/a"}}, "required": ["x"]}}});
    let shown = parameters(schema).shown();
    assert_eq!(shown["properties"], json!({"x": {"$ref": "#/$defs/a"}}));
    assert_eq!((&shown["required"], shown.get("$ref")), (&json!(["x"]), None));
}

#[test]
fn every_list_has_one_schema_for_its_items() {
    for (property, expected) in [
        (json!({"type": "array"}), json!({"type": "array", "items": {}})),
        (
            json!({"type": ["array", "null"], "minItems": 1}),
            json!({"type": ["array", "null"], "minItems": 1, "items": {}}),
        ),
        (
            json!({"anyOf": [{"type": "array"}, {"type": "string"}]}),
            json!({"anyOf": [{"type": "array", "items": {}}, {"type": "string"}]}),
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}),
            json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}),
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}]}),
            json!({"type": "array", "items": {}}),
        ),
        (json!(true), json!({})),
        (
            json!({"allOf": [{"type": "string"}], "default": "a"}),
            json!({"default": "a", "type": "string"}),
        ),
    ] {
        assert_eq!(shown(property.clone()), expected, "{property}");
    }
}

#[test]
fn old_drafts_are_shown_in_the_words_of_the_latest() {
    let of = |schema: Value| {
        Parameters::new(Schema::new(schema).unwrap()).shown()["properties"]["p"].clone()
    };
    let draft = |number: u8, property: Value| {
        json!({"$schema": format!("http://json-schema.org/draft-0{number}/schema#"),
            "type": "object", "properties": {"p": property}})
    };
    for (schema, expected) in [
        (
            draft(
                4,
                json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true, "maximum": 5, "exclusiveMaximum": false}),
            ),
            json!({"type": "integer", "exclusiveMinimum": 1, "maximum": 5}),
        ),
        (
            draft(
                7,
                json!({"type": "array", "items": [{"type": "string"}], "additionalItems": false, "$comment": "x"}),
            ),
            json!({"type": "array", "items": {"type": "string"}}),
        ),
        (draft(4, json!({"id": "x", "type": "string"})), json!({"type": "string"})),
    ] {
        assert_eq!(of(schema.clone()), expected, "{schema}");
    }
}

#[test]
fn unusual_names_are_changed_and_mapped_back() {
    let long = "x".repeat(70);
    let schema = object(json!({
        "properties": {
            "größe": {"type": "integer"}, "$filter": {"type": "string"}, "_filter": {"type": "string"},
            "a:b": {"type": "array", "items": {"type": "object", "properties": {"c/d": {}}}},
            &long: {"$ref": "#/properties/a:b/items"}, "": {},
        },
        "required": ["größe", "$filter"],
    }));
    let parameters = parameters(schema);
    let shown = parameters.shown();
    let names: Vec<&String> = shown["properties"].as_object().unwrap().keys().collect();
    let short = "x".repeat(60);
    assert_eq!(names, ["gr__e", "_filter_2", "_filter", "a_b", &short, "_"]);
    assert_eq!(shown["required"], json!(["gr__e", "_filter_2"]));
    assert_eq!(shown["properties"]["a_b"]["items"]["properties"], json!({"c_d": {}}));
    assert_eq!(shown["properties"][&short]["$ref"], "#/properties/a_b/items");
    let written = json!({"gr__e": 1, "_filter_2": "x", "_filter": "y", "a_b": [{"c_d": 2}]});
    let expected = json!({"größe": 1, "$filter": "x", "_filter": "y", "a:b": [{"c/d": 2}]});
    assert_eq!(parameters.accept(&written), Ok(expected.clone()));
    assert_eq!(parameters.accept(&expected), Ok(expected));
}

#[test]
fn arguments_are_checked_against_the_whole_schema() {
    let schema = object(json!({"properties": {"a": {}, "b": {}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}));
    let parameters = parameters(schema);
    assert!(parameters.accept(&json!({"b": 1})).is_ok());
    assert!(parameters.accept(&json!({})).unwrap_err().contains("anyOf"));
}

#[test]
fn what_models_write_is_corrected_where_the_schema_leaves_no_doubt() {
    let optional = json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null});
    let nested = json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}, "m": {}},
        "required": ["n"]});
    let parameters = parameters(object(json!({
        "properties": {
            "i": {"type": "integer"}, "x": {"type": "number"}, "s": {"type": "string"},
            "b": {"type": "boolean"}, "l": {"type": "array", "items": {"type": "integer"}},
            "o": nested, "e": {"enum": [1, 2]}, "any": {}, "d": {"type": "integer", "default": 3},
            "opt": optional, "both": {"type": ["integer", "string"]},
        },
        "$defs": {"n": {"type": "integer"}},
    })));
    for (written, expected) in [
        (
            json!({"i": 5.0, "x": 5.0, "any": 5.0, "e": 2.0}),
            json!({"i": 5, "x": 5.0, "any": 5.0, "e": 2}),
        ),
        (
            json!({"l": [1.0, 2], "o": {"n": 1.0, "m": 1.0}}),
            json!({"l": [1, 2], "o": {"n": 1, "m": 1.0}}),
        ),
        (json!({"opt": 7.0, "both": 7.0}), json!({"opt": 7, "both": 7})),
        (json!({"i": null, "s": null, "d": null, "any": null, "o": null}), json!({"any": null})),
        (
            json!({"o": {"n": 1, "m": null}, "opt": null}),
            json!({"o": {"n": 1, "m": null}, "opt": null}),
        ),
        (json!({"l": "[1, 2.0]", "o": "{\"n\": \"3\"}"}), json!({"l": [1, 2], "o": {"n": 3}})),
        (
            json!({"i": "5", "x": "1.5", "b": "true", "opt": "null"}),
            json!({"i": 5, "x": 1.5, "b": true, "opt": null}),
        ),
        (
            json!({"s": "5", "any": "[1]", "both": "5"}),
            json!({"s": "5", "any": "[1]", "both": "5"}),
        ),
        (json!("{\"i\": 5.0}"), json!({"i": 5})),
    ] {
        let mut expected = expected;
        for (name, default) in [("d", json!(3)), ("opt", Value::Null)] {
            expected.as_object_mut().unwrap().entry(name).or_insert(default);
        }
        assert_eq!(parameters.accept(&written), Ok(expected), "{written}");
    }
    for written in [
        json!({"i": 5.5}),
        json!({"i": "five"}),
        json!({"l": "1, 2"}),
        json!({"o": {"n": null}}),
        json!({"b": 1}),
        json!([]),
        json!("x"),
    ] {
        assert!(parameters.accept(&written).is_err(), "{written}");
    }
}

#[test]
fn a_wrong_correction_is_taken_back() {
    let parameters = parameters(object(json!({"properties": {"v": {"anyOf": [
        {"type": "object", "properties": {"kind": {"const": 1}, "of": {"type": "integer"}}},
        {"type": "object", "properties": {"kind": {"const": 2}, "of": {"type": "string"}}},
    ]}}})));
    let written = json!({"v": {"kind": 2, "of": "5"}});
    assert_eq!(parameters.accept(&written), Ok(written));
}

#[test]
fn a_schema_that_refers_to_itself_is_followed_within_bounds() {
    let parameters = parameters(json!({"type": "object", "properties": {"next": {"$ref": "#"},
        "n": {"type": "integer"}}}));
    let deep = (0..30).fold(json!({"n": 1.0}), |inside, _| json!({ "next": inside }));
    let expected = (0..30).fold(json!({"n": 1}), |inside, _| json!({ "next": inside }));
    assert_eq!(parameters.accept(&deep), Ok(expected));
}

#[test]
fn a_schema_that_branches_at_every_level_is_followed_within_bounds() {
    let fork = |at: usize| {
        let next = format!("#/$defs/{at}");
        let branch = json!({"anyOf": [{"$ref": next}, {"$ref": next}], "properties": {"a": {}}});
        (format!("{}", at - 1), branch)
    };
    let mut levels: Map<String, Value> = (1..14).map(fork).collect();
    levels.insert("13".to_owned(), json!({"properties": {"i": {"type": "integer"}}}));
    let parameters = parameters(json!({"type": "object", "$ref": "#/$defs/0", "$defs": levels}));
    let many: Map<String, Value> = (0..1000).map(|n| (format!("p{n}"), json!(1.0))).collect();
    let started = std::time::Instant::now();
    let _ = parameters.accept(&Value::Object(many));
    assert!(started.elapsed() < std::time::Duration::from_secs(60), "{:?}", started.elapsed());
}

proptest::proptest! {
    #[test]
    fn what_fits_the_schema_is_accepted(value in r#"\{("(i|s|l|o)":(1|2\.0|"x"|"1"|null|\[1\]|\{"i":2\}),){0,3}"z":1\}"#) {
        let parameters = parameters(json!({"type": "object", "properties": {
            "i": {"type": ["integer", "null"]}, "s": {"type": "string"},
            "l": {"type": "array", "items": {"type": "integer"}}, "o": {"$ref": "#"}}}));
        let value: Value = serde_json::from_str(&value).unwrap();
        let schema = Schema::new(parameters.schema().clone()).unwrap();
        if schema.fit(&value).is_ok() {
            proptest::prop_assert!(parameters.accept(&value).is_ok());
        }
    }
}
