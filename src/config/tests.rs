//! The values of a file equal those of the usual parser, which has no bounds.

use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::faults::FaultLog;
use super::node::Node;
use super::yaml;

fn ours(source: &str) -> Option<Node> {
    let mut log = FaultLog::default();
    let file = log.sources.add("agents.yaml".into(), source.to_owned());
    // A fault such as an unknown tag does not end the reading.
    yaml::read(file, &log).ok().filter(|_| log.is_empty()).map(|(_, node)| node)
}

/// Compares the values if both parsers accept the file.
fn compare(source: &str) -> Result<(), TestCaseError> {
    if let (Some(ours), Ok(theirs)) = (ours(source), serde_yaml::from_str::<Node>(source)) {
        // As texts, since NaN is not equal to itself.
        prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{}", source);
    }
    Ok(())
}

#[test]
fn values_equal_those_of_the_usual_parser() -> Result<(), TestCaseError> {
    for source in [
        include_str!("../../agents.example.yaml"),
        "a: &x {b: [1, ~], c: &y 0x1F}\nd: *x\ne: *y\n? f\n: *x\n",
        "a: &x {b: 1}\nc: {<<: *x, d: 2}\n",
        "&k key: 1\nother: *k\n",
        "a: |\n  b\n\n  c\n\nd: >-\n  e\n  f\n\n  g\nh: |+\n  i\n\n",
        "a: 'it''s'\nb: \"x\\n\\u263a\\\n  y\"\nc: d\n  e\n\n  f\n",
        "a: !!str 5\nb: !!int '5'\nc: !!float 5\nd: !!bool 'true'\n",
        "e: !!null '~'\nf: !!seq [!!map {}]\n",
        "a: ''\nb: \nc: '~'\nd: \"5\"\n",
        "18446744073709551616: -9223372036854775809\n~: .nan\n",
    ] {
        assert!(ours(source).is_some(), "{source}");
        compare(source)?;
    }
    Ok(())
}

#[test]
fn a_tag_that_does_not_fit_its_value_is_a_fault() {
    for source in ["a: !!int x", "a: !!bool 1", "a: !!null 0", "a: !!float x", "a: !own x"] {
        assert!(ours(source).is_none(), "{source}");
    }
}

proptest! {
    #[test]
    fn a_scalar_equals_that_of_the_usual_parser(
        text in prop_oneof![
            "[-+]?(0[xob])?[0-9a-f]{0,15}",
            "[-+]?[0-9]{0,25}",
            "[-+.0-9eE_]{0,6}",
            "[-+]?[.]?(inf|Inf|INF|nan|NaN|NAN|null|Null|true|TRUE|False|yes|~)",
        ],
    ) {
        compare(&text)?;
        compare(&format!("a: {text}\n"))?;
        compare(&format!("[{text}, '{text}']\n"))?;
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::UInt(value), Node::Int))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Float(value as f64))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Float(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text { text: text.to_owned(), expanded: false })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
