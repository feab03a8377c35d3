//! The structs of control flow in a crew's file: needs, variables, conditions and lists.

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess};
use serde_json::Value;

use super::forms::{entries, forms, items};

/// The agents that an agent needs, in the order of the file.
#[derive(Debug, Default)]
pub struct NeedsConfig {
    pub needs: Vec<(String, NeedConfig)>,
    pub is_list: bool,
}

impl NeedsConfig {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().map(|(name, _)| name.as_str())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeedConfig {
    #[default]
    Succeeded,
    Done,
}

/// Environment variables: those without a value are passed on.
#[derive(Debug, Default)]
pub struct EnvConfig {
    pub variables: Vec<(String, Option<String>)>,
    pub is_list: bool,
}

/// The value of a variable; nothing if it is passed on.
#[derive(Deserialize)]
struct EnvValue(Option<String>);

/// An expression, or a boolean.
#[derive(Debug, Clone)]
pub struct ConditionText(pub String);

/// `true`, `false`, or a word.
#[derive(Debug, Clone)]
pub struct ConfirmText(pub String);

/// A list, or an expression that yields one.
#[derive(Debug)]
pub enum ItemsConfig {
    List(Vec<Value>),
    Expression(String),
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParseConfig {
    #[default]
    Text,
    Lines,
    Json,
}

forms!(NeedsConfig, {
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<NeedsConfig, A::Error> {
        let needs = items(list)?.into_iter().map(|name| (name, NeedConfig::Succeeded)).collect();
        Ok(NeedsConfig { needs, is_list: true })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NeedsConfig, A::Error> {
        Ok(NeedsConfig { needs: entries(map)?, is_list: false })
    }
});

forms!(EnvConfig, {
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<EnvConfig, A::Error> {
        let variables = items(list)?.into_iter().map(|name| (name, None)).collect();
        Ok(EnvConfig { variables, is_list: true })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EnvConfig, A::Error> {
        let entries: Vec<(String, EnvValue)> = entries(map)?;
        let variables = entries.into_iter().map(|(name, value)| (name, value.0)).collect();
        Ok(EnvConfig { variables, is_list: false })
    }
});

forms!(ConditionText, {
    fn visit_bool<E>(self, value: bool) -> Result<ConditionText, E> {
        Ok(ConditionText(value.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<ConditionText, E> {
        Ok(ConditionText(text.to_owned()))
    }
});

forms!(ConfirmText, {
    fn visit_bool<E>(self, value: bool) -> Result<ConfirmText, E> {
        Ok(ConfirmText(value.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<ConfirmText, E> {
        Ok(ConfirmText(text.to_owned()))
    }
});

forms!(ItemsConfig, {
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ItemsConfig, A::Error> {
        items(list).map(ItemsConfig::List)
    }

    fn visit_str<E>(self, text: &str) -> Result<ItemsConfig, E> {
        Ok(ItemsConfig::Expression(text.to_owned()))
    }
});
