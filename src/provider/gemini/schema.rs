//! Schemas in the forms that the API knows: JSON Schema with restrictions, and an older form of its
//! own, for servers that know no other.
//!
//! The older form has fewer keywords, and the server rejects a request with any other one. What it
//! cannot express is left out: it allows more, never less. crew checks arguments against the whole
//! schema.

use std::cell::Cell;

use serde_json::{Map, Value, json};

/// Deeper schemas are cut; the server would reject them.
const MAX_DEPTH: usize = 16;
/// Larger schemas are cut too: references are inlined, so one that branches doubles at each level.
const MAX_SCHEMAS: usize = 4096;

/// Keywords with the same meaning in both, whose values are not schemas.
const SAME: [&str; 13] = [
    "title",
    "description",
    "nullable",
    "required",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
];

/// A schema as JSON Schema. A reference has no keywords beside it: the API allows none.
pub fn json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let mut written: Map<String, Value> =
                keywords.iter().map(|(key, inner)| (key.clone(), json_schema(inner))).collect();
            if written.len() > 1
                && !written.contains_key("anyOf")
                && let Some(reference @ Value::String(_)) = written.get("$ref").cloned()
            {
                written.remove("$ref");
                written.insert("anyOf".into(), json!([{"$ref": reference}]));
            }
            Value::Object(written)
        }
        Value::Array(items) => items.iter().map(json_schema).collect(),
        plain => plain.clone(),
    }
}

/// The parameters of a function in the older form; `None` if it has none.
pub fn of(parameters: &Value) -> Option<Value> {
    let properties = parameters.get("properties").and_then(Value::as_object);
    if properties.is_none_or(Map::is_empty) {
        return None;
    }
    Some(Reduction { root: parameters, left: MAX_SCHEMAS.into() }.reduce(parameters, MAX_DEPTH))
}

struct Reduction<'a> {
    root: &'a Value,
    /// How many more schemas may be written.
    left: Cell<usize>,
}

impl<'a> Reduction<'a> {
    fn reduce(&self, schema: &'a Value, depth: usize) -> Value {
        self.left.set(self.left.get().saturating_sub(1));
        let Some(depth) = depth.checked_sub(1).filter(|_| self.may_go_on()) else {
            return self.any();
        };
        if let Some(target) = self.target(schema) {
            return self.reduce(target, depth);
        }
        let Some(schema) = schema.as_object() else { return self.any() };
        let mut reduced: Map<String, Value> = schema
            .iter()
            .filter(|(key, _)| SAME.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if let Some(branches) =
            ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array())
        {
            return self.union(branches, reduced, depth);
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all(parts, reduced, depth);
        }
        let kinds = kinds(schema);
        if kinds.is_empty() {
            reduced.extend(self.any().as_object().cloned().into_iter().flatten());
            return Value::Object(reduced);
        }
        if let [_, _, ..] = kinds[..] {
            let branches = kinds.iter().map(|kind| json!({"type": kind}));
            let mut union = Map::from_iter([("anyOf".to_owned(), branches.collect())]);
            union.extend(reduced.remove_entry("description"));
            if has_null(schema) {
                union.insert("nullable".into(), true.into());
            }
            return Value::Object(union);
        }
        let kind = kinds.first().copied().unwrap_or("string");
        reduced.insert("type".into(), kind.into());
        if has_null(schema) {
            reduced.insert("nullable".into(), true.into());
        }
        bounds(schema, kind, &mut reduced);
        self.children(schema, kind, depth, &mut reduced);
        if kind == "string" {
            strings(schema, &mut reduced);
        } else {
            describe_values(schema, &mut reduced);
        }
        Value::Object(reduced)
    }

    /// Any value. The API demands a type, and a type for the items of a list.
    fn any(&self) -> Value {
        let any = json!({"anyOf": [
            {"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "object"},
            {"type": "array", "items": {"type": "string"}},
        ]});
        self.left.set(self.left.get().saturating_sub(6));
        any
    }

    fn may_go_on(&self) -> bool {
        self.left.get() > 0
    }

    /// All of the parts: their properties together, and of other keywords the first.
    fn all(&self, parts: &'a [Value], mut shared: Map<String, Value>, depth: usize) -> Value {
        for part in parts.iter().take_while(|_| self.may_go_on()) {
            let Value::Object(reduced) = self.reduce(part, depth) else { continue };
            for (key, value) in reduced {
                match (shared.get_mut(&key), value) {
                    (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
                    (Some(Value::Array(known)), Value::Array(more)) if key == "required" => {
                        known.extend(more);
                    }
                    (Some(_), _) => {}
                    (None, value) => _ = shared.insert(key, value),
                }
            }
        }
        Value::Object(shared)
    }

    /// Any of the branches. `null` is not a type of its own in the API.
    fn union(&self, branches: &'a [Value], mut shared: Map<String, Value>, depth: usize) -> Value {
        let is_null = |branch: &&Value| branch.get("type").is_some_and(|kind| kind == "null");
        let reduced = branches.iter().filter(|branch| !is_null(branch));
        let reduced = reduced.take_while(|_| self.may_go_on());
        let mut reduced: Vec<Value> = reduced.map(|branch| self.reduce(branch, depth)).collect();
        if branches.iter().any(|branch| is_null(&branch)) {
            shared.insert("nullable".into(), true.into());
        }
        match (reduced.len(), reduced.pop()) {
            (1, Some(Value::Object(only))) => shared.extend(only),
            (_, Some(last)) => {
                reduced.push(last);
                shared.insert("anyOf".into(), Value::Array(reduced));
            }
            (_, None) => drop(shared.insert("type".into(), "string".into())),
        }
        Value::Object(shared)
    }

    fn children(
        &self,
        schema: &'a Map<String, Value>,
        kind: &str,
        depth: usize,
        reduced: &mut Map<String, Value>,
    ) {
        match kind {
            "object" => {
                let properties = schema.get("properties").and_then(Value::as_object);
                let of = |(name, property): (&String, &'a Value)| {
                    (name.clone(), self.reduce(property, depth))
                };
                let properties = properties.into_iter().flatten();
                let properties = properties.take_while(|_| self.may_go_on());
                let properties: Map<_, _> = properties.map(of).collect();
                // The server rejects a required name without a property.
                if let Some(Value::Array(required)) = reduced.get_mut("required") {
                    required.retain(|name| {
                        name.as_str().is_some_and(|name| properties.contains_key(name))
                    });
                }
                if !properties.is_empty() {
                    reduced.insert("properties".into(), Value::Object(properties));
                }
            }
            "array" => {
                let items = schema.get("items").filter(|items| items.is_object());
                let items = items.map_or_else(|| self.any(), |items| self.reduce(items, depth));
                reduced.insert("items".into(), items);
            }
            _ => {}
        }
    }

    fn target(&self, schema: &Value) -> Option<&'a Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }
}

/// Names the values that are allowed, for types whose values the API cannot list.
fn describe_values(schema: &Map<String, Value>, reduced: &mut Map<String, Value>) {
    let constant = schema.get("const").map(|value| Value::Array(vec![value.clone()]));
    let Some(listed) = schema.get("enum").cloned().or(constant) else { return };
    let sentence = format!("One of: {listed}");
    let description = match reduced.get("description").and_then(Value::as_str) {
        Some(before) => format!("{before} {sentence}"),
        None => sentence,
    };
    reduced.insert("description".into(), description.into());
}

/// The allowed types besides `null`; without any, those that other keywords imply.
fn kinds(schema: &Map<String, Value>) -> Vec<&str> {
    let known = ["string", "integer", "number", "boolean", "array", "object"];
    let named = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let named: Vec<&str> = named.into_iter().filter(|name| known.contains(name)).collect();
    if !named.is_empty() {
        return named;
    }
    let constant = schema.get("const");
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let mut of_values: Vec<&str> = listed.chain(constant).filter_map(kind_of).collect();
    of_values.sort_unstable();
    of_values.dedup();
    if !of_values.is_empty() {
        return of_values;
    }
    let given = |key: &str| schema.contains_key(key);
    let kind = [
        ("properties", "object"),
        ("items", "array"),
        ("minimum", "number"),
        ("maximum", "number"),
    ];
    kind.into_iter().find(|(key, _)| given(key)).map(|(_, kind)| kind).into_iter().collect()
}

/// The type of a value, unless it is `null`.
fn kind_of(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    })
}

fn has_null(schema: &Map<String, Value>) -> bool {
    let names = schema.get("type").and_then(Value::as_array);
    let listed = schema.get("enum").and_then(Value::as_array);
    names.is_some_and(|names| names.iter().any(|name| name == "null"))
        || listed.is_some_and(|values| values.contains(&Value::Null))
}

/// Turns exclusive bounds into inclusive ones, which is exact for integers and close for numbers.
fn bounds(schema: &Map<String, Value>, kind: &str, reduced: &mut Map<String, Value>) {
    for (exclusive, inclusive, step) in
        [("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)]
    {
        let Some(bound) = schema.get(exclusive).filter(|bound| bound.is_number()) else { continue };
        let next = bound.as_i64().filter(|_| kind == "integer");
        let next = next.and_then(|bound| bound.checked_add(step)).map(Value::from);
        reduced.entry(inclusive).or_insert_with(|| next.unwrap_or_else(|| bound.clone()));
    }
}

/// The API lists strings only, and knows two formats of them.
fn strings(schema: &Map<String, Value>, reduced: &mut Map<String, Value>) {
    let constant = schema.get("const").map(|value| Value::Array(vec![value.clone()]));
    let listed = schema.get("enum").cloned().or(constant);
    let all_texts =
        |listed: &Value| listed.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    if let Some(listed) = listed.filter(all_texts) {
        reduced.insert("enum".into(), listed);
        reduced.insert("format".into(), "enum".into());
    } else if schema.get("format").is_some_and(|format| format == "date-time") {
        reduced.insert("format".into(), "date-time".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_branch_are_inlined_within_bounds() {
        let wide = (0..100).map(|n| (format!("p{n}"), json!({"$ref": "#"})));
        let schema = json!({"type": "object", "properties": Map::from_iter(wide)});
        let written = of(&schema).unwrap_or_default().to_string();
        assert!(written.matches("\"type\"").count() <= MAX_SCHEMAS + 6, "{} bytes", written.len());
    }

    #[test]
    fn the_older_form_allows_what_the_schema_allows() {
        let of = |property: Value| {
            let schema = json!({"type": "object", "properties": {"p": property},
                "$defs": {"task": {"type": "object", "properties": {"t": {"type": "string"}},
                    "required": ["t"]}}});
            of(&schema).unwrap_or_default()["properties"]["p"].clone()
        };
        let task = json!({"type": "object", "properties": {"t": {"type": "string"}},
            "required": ["t"], "description": "what"});
        for (property, expected) in [
            (json!({"allOf": [{"$ref": "#/$defs/task"}], "description": "what"}), task.clone()),
            (json!({"enum": [1, 2]}), json!({"type": "integer", "description": "One of: [1,2]"})),
            (
                json!({"const": true, "description": "Yes."}),
                json!({"type": "boolean", "description": "Yes. One of: [true]"}),
            ),
            (json!({"enum": ["a", null]}), json!({"type": "string", "nullable": true})),
        ] {
            assert_eq!(of(property.clone()), expected, "{property}");
        }
        for any in [json!({"description": "any"}), json!(true), json!({"type": "array"})] {
            let found = of(any.clone());
            let kinds = found.get("anyOf").or_else(|| found["items"].get("anyOf"));
            let kinds = kinds.and_then(Value::as_array).map(Vec::len);
            assert_eq!(kinds, Some(5), "{any}: {found}");
        }
    }

    #[test]
    fn a_reference_stands_alone_in_json_schema() {
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/t", "description": "d"},
            "b": {"$ref": "#/$defs/t"}, "$ref": {"type": "string"}}, "$defs": {"t": {}}});
        assert_eq!(
            json_schema(&schema),
            json!({"properties": {"a": {"anyOf": [{"$ref": "#/$defs/t"}], "description": "d"},
                "b": {"$ref": "#/$defs/t"}, "$ref": {"type": "string"}}, "$defs": {"t": {}}})
        );
    }
}
