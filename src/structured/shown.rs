//! The form in which a model is shown a tool's parameters.
//!
//! Model servers reject schemas for reasons of their own: alternatives at the root, lists without a
//! schema for their items, unusual names of properties, keywords of old drafts. The form here
//! avoids all of it. It allows every value that the schema allows, and more: arguments are checked
//! against the schema itself.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::faults::{NAMED_PARTS, PARTS};
use super::meter;

/// Characters of a property's name that every server accepts.
const MAX_NAME: usize = 64;
/// References and alternatives inside each other that are followed at the root.
const MAX_DEPTH: usize = 16;
/// All references and alternatives that are followed at the root: each may lead to the next twice.
const MAX_FOLLOWED: usize = 500;
/// Bytes of the root's other conditions, as part of its description.
const MAX_CONDITIONS: usize = 2000;

/// Keywords that say where a schema is from.
const ORIGIN: [&str; 5] = ["$schema", "$id", "id", "$comment", "$vocabulary"];
/// Keywords that name properties and that few servers know.
const BETWEEN_PROPERTIES: [&str; 3] = ["dependencies", "dependentRequired", "dependentSchemas"];
/// Conditions on the whole object, which servers reject at the root.
const CONDITIONS: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "enum", "const"];

/// The shown form of a schema.
#[derive(Debug, Default)]
pub struct Shown {
    pub schema: Value,
    /// The properties that are shown under another name: their own names by the shown ones.
    pub renamed: HashMap<String, String>,
}

impl Shown {
    /// `schema` describes an object.
    pub fn of(schema: &Value) -> Self {
        let names = Names::of(schema);
        let shown = Form { root: schema, names: &names, left: MAX_FOLLOWED.into() }.root();
        let renamed = names.0.into_iter().map(|(own, shown)| (shown, own)).collect();
        Self { schema: shown, renamed }
    }
}

/// Names of properties that have to be changed, and the shown ones.
struct Names(HashMap<String, String>);

impl Names {
    fn of(schema: &Value) -> Self {
        let mut all = HashSet::new();
        collect_names(schema, &mut all);
        let mut invalid: Vec<&str> = all.iter().copied().filter(|name| !is_valid(name)).collect();
        invalid.sort_unstable();
        let mut taken: HashSet<String> = all.iter().map(|&name| name.to_owned()).collect();
        let mut names = HashMap::new();
        for name in invalid {
            let valid = |c: char| if is_valid_char(c) { c } else { '_' };
            let base: String = name.chars().map(valid).take(MAX_NAME - 4).collect();
            let base = if base.is_empty() { "_".to_owned() } else { base };
            let numbered = (2..).map(|number| format!("{base}_{number}"));
            let mut candidates = std::iter::once(base.clone()).chain(numbered);
            let free = candidates.find(|name| !taken.contains(name)).unwrap_or_default();
            taken.insert(free.clone());
            names.insert(name.to_owned(), free);
        }
        Self(names)
    }

    fn shown<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }

    /// A reference may lead through properties.
    fn reference(&self, reference: &str) -> String {
        if self.0.is_empty() {
            return reference.to_owned();
        }
        let mut after_properties = false;
        let steps = reference.split('/').map(|step| {
            let is_name = std::mem::replace(&mut after_properties, step == "properties");
            let name = step.replace("~1", "/").replace("~0", "~");
            if is_name {
                self.shown(&name).replace('~', "~0").replace('/', "~1")
            } else {
                step.to_owned()
            }
        });
        steps.collect::<Vec<_>>().join("/")
    }
}

fn is_valid_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn is_valid(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_valid_char)
}

fn collect_names<'a>(schema: &'a Value, names: &mut HashSet<&'a str>) {
    for (key, inner) in schema.as_object().into_iter().flatten() {
        let parts = inner.as_object().into_iter().flatten();
        if key == "properties" {
            names.extend(parts.clone().map(|(name, _)| name.as_str()));
        }
        if NAMED_PARTS.contains(&key.as_str()) {
            parts.for_each(|(_, part)| collect_names(part, names));
        } else if PARTS.contains(&key.as_str()) {
            match inner {
                Value::Array(parts) => parts.iter().for_each(|part| collect_names(part, names)),
                part => collect_names(part, names),
            }
        }
    }
}

struct Form<'a> {
    root: &'a Value,
    names: &'a Names,
    /// The references and alternatives that may still be followed.
    left: Cell<usize>,
}

/// The properties of an object, gathered from everything that applies to it.
#[derive(Default)]
struct Gathered<'a> {
    /// The schemas of each property that have to hold together.
    properties: Map<String, Value>,
    required: Vec<&'a str>,
}

impl<'a> Form<'a> {
    /// An object without any condition at its root.
    fn root(&self) -> Value {
        let Gathered { properties, required } = self.gather(self.root, MAX_DEPTH);
        let mut shown = Map::new();
        shown.insert("type".into(), "object".into());
        let mut conditions = Map::new();
        for (key, value) in self.root.as_object().into_iter().flatten() {
            match key.as_str() {
                "type" | "properties" | "required" | "$ref" => {}
                key if is_dropped(key, value) => {}
                key if CONDITIONS.contains(&key) => {
                    let value = self.keyword(key, value);
                    conditions.insert(key.to_owned(), value);
                }
                key => {
                    let value = self.keyword(key, value);
                    shown.insert(key.to_owned(), value);
                }
            }
        }
        shown.insert("properties".into(), Value::Object(properties));
        let required = required.iter().map(|name| self.names.shown(name));
        let required: Vec<Value> = required.map(Value::from).collect();
        if !required.is_empty() || self.root.get("required").is_some() {
            shown.insert("required".into(), required.into());
        }
        describe(&mut shown, conditions);
        Value::Object(shown)
    }

    /// The properties of an object, by its references and alternatives too.
    fn gather(&self, schema: &'a Value, depth: usize) -> Gathered<'a> {
        let mut gathered = Gathered::default();
        let Some(depth) = depth.checked_sub(1).filter(|_| self.left.get() > 0) else {
            return gathered;
        };
        self.left.set(self.left.get() - 1);
        let own = schema.get("properties").and_then(Value::as_object);
        for (name, part) in own.into_iter().flatten() {
            gathered.properties.insert(self.names.shown(name).to_owned(), self.part(part));
        }
        let required = schema.get("required").and_then(Value::as_array);
        gathered.required.extend(required.into_iter().flatten().filter_map(Value::as_str));
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|reference| meter::target(self.root, reference));
        for whole in list(schema, "allOf").chain(target) {
            let of_whole = self.gather(whole, depth);
            gathered.add(of_whole.properties, "allOf");
            for name in of_whole.required {
                if !gathered.required.contains(&name) {
                    gathered.required.push(name);
                }
            }
        }
        for key in ["anyOf", "oneOf"] {
            let alternatives: Vec<_> =
                list(schema, key).map(|schema| self.gather(schema, depth)).collect();
            let mut common = alternatives.first().map(|first| first.required.clone());
            for alternative in alternatives {
                let required = &alternative.required;
                common.iter_mut().for_each(|all| all.retain(|name| required.contains(name)));
                gathered.add(alternative.properties, "anyOf");
            }
            let common = common.into_iter().flatten();
            for name in common {
                if !gathered.required.contains(&name) {
                    gathered.required.push(name);
                }
            }
        }
        for part in ["then", "else"].iter().filter_map(|key| schema.get(*key)) {
            gathered.add(self.gather(part, depth).properties, "anyOf");
        }
        gathered.required.retain(|name| gathered.properties.contains_key(self.names.shown(name)));
        gathered
    }

    /// A schema inside the root.
    fn part(&self, schema: &Value) -> Value {
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(false) => return json!({"not": {}}),
            _ => return json!({}),
        };
        let mut shown = Map::new();
        for (key, value) in keywords.iter().filter(|(key, value)| !is_dropped(key, value)) {
            shown.insert(key.clone(), self.keyword(key, value));
        }
        self.lists(keywords, &mut shown);
        bounds(&mut shown);
        // Some servers do not know `allOf`, which generators write around a reference.
        if let Some([only]) = shown.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
            && let Some(only) = only.as_object().cloned()
            && only.keys().all(|key| !shown.contains_key(key))
        {
            shown.remove("allOf");
            shown.extend(only);
        }
        Value::Object(shown)
    }

    fn keyword(&self, key: &str, value: &Value) -> Value {
        match (key, value) {
            ("$ref", Value::String(reference)) => self.names.reference(reference).into(),
            ("required", Value::Array(names)) => {
                let shown = |name: &Value| match name {
                    Value::String(name) => self.names.shown(name).into(),
                    other => other.clone(),
                };
                names.iter().map(shown).collect()
            }
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter();
                let shown = |(name, part): (&String, &Value)| {
                    (self.names.shown(name).to_owned(), self.part(part))
                };
                Value::Object(properties.map(shown).collect())
            }
            ("additionalProperties" | "unevaluatedProperties", Value::Bool(_)) => value.clone(),
            (key, Value::Object(parts)) if NAMED_PARTS.contains(&key) => {
                let shown = |(name, part): (&String, &Value)| (name.clone(), self.part(part));
                Value::Object(parts.iter().map(shown).collect())
            }
            (key, Value::Array(parts)) if PARTS.contains(&key) => {
                parts.iter().map(|part| self.part(part)).collect()
            }
            (key, part) if PARTS.contains(&key) => self.part(part),
            _ => value.clone(),
        }
    }

    /// Gives a list one schema for its items: some servers demand one, and accept no more.
    fn lists(&self, keywords: &Map<String, Value>, shown: &mut Map<String, Value>) {
        let places = ["prefixItems", "items"].iter().find_map(|key| keywords.get(*key)?.as_array());
        if let Some(places) = places {
            shown.remove("prefixItems");
            let mut kinds: Vec<Value> = Vec::new();
            let rest = keywords.get("items").filter(|items| !items.is_array());
            let rest = rest.or(keywords.get("additionalItems"));
            for kind in places.iter().chain(rest).map(|part| self.part(part)) {
                if !kinds.contains(&kind) && kind != json!({"not": {}}) {
                    kinds.push(kind);
                }
            }
            // Items beyond the listed ones are not restricted without a schema of their own.
            let is_open = rest.is_none() || kinds.contains(&json!({}));
            let items = match (kinds.len(), kinds.pop()) {
                _ if is_open => json!({}),
                (1, Some(only)) => only,
                (_, Some(last)) => {
                    kinds.push(last);
                    json!({"anyOf": kinds})
                }
                (_, None) => json!({}),
            };
            shown.insert("items".into(), items);
        }
        let is_list = match shown.get("type") {
            Some(Value::String(kind)) => kind == "array",
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "array"),
            _ => false,
        };
        if is_list {
            shown.entry("items").or_insert_with(|| json!({}));
        }
    }
}

impl Gathered<'_> {
    /// Adds properties. One that is known already gets both schemas, under this keyword.
    fn add(&mut self, properties: Map<String, Value>, keyword: &str) {
        for (name, schema) in properties {
            match self.properties.get_mut(&name) {
                None => _ = self.properties.insert(name, schema),
                Some(known) if *known == schema => {}
                Some(known) => match known.get_mut(keyword).and_then(Value::as_array_mut) {
                    Some(schemas) if schemas.contains(&schema) => {}
                    Some(schemas) => schemas.push(schema),
                    None => *known = json!({ keyword: [known.take(), schema] }),
                },
            }
        }
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn is_dropped(key: &str, value: &Value) -> bool {
    BETWEEN_PROPERTIES.contains(&key)
        || key.starts_with("x-")
        || (ORIGIN.contains(&key) && value.is_string())
        || key == "$vocabulary"
        || key == "additionalItems"
        // In the third draft, a property says itself whether it is required.
        || (key == "required" && value.is_boolean())
}

/// In the fourth draft, bounds are exclusive by a boolean beside them.
fn bounds(shown: &mut Map<String, Value>) {
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match shown.get(exclusive).and_then(Value::as_bool) {
            None => {}
            Some(false) => _ = shown.remove(exclusive),
            Some(true) => match shown.remove(bound) {
                Some(value) => _ = shown.insert(exclusive.to_owned(), value),
                None => _ = shown.remove(exclusive),
            },
        }
    }
}

/// Says in words what the schema cannot.
fn describe(shown: &mut Map<String, Value>, conditions: Map<String, Value>) {
    if conditions.is_empty() {
        return;
    }
    let conditions = Value::Object(conditions).to_string();
    if conditions.len() <= MAX_CONDITIONS {
        let sentence = format!("The arguments must also fit this JSON Schema: {conditions}");
        let description = match shown.get("description").and_then(Value::as_str) {
            Some(before) => format!("{before}\n{sentence}"),
            None => sentence,
        };
        shown.insert("description".into(), description.into());
    }
}
