//! The price list that LiteLLM publishes, `model_prices_and_context_window.json`: amounts in US
//! dollars for one token. Source: <https://docs.litellm.ai/docs/proxy/model_cost_map>.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::prices::Price;

/// Bytes. The list has about 2 MB.
const MAX_LIST: u64 = 64 << 20;
const TOKENS: f64 = 1e6;

/// Prices by LiteLLM's name of a model.
#[derive(Debug, Default)]
pub struct PriceList(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    /// LiteLLM's name of the provider.
    provider: String,
    price: Price,
}

impl PriceList {
    /// # Errors
    /// Why the file is not such a list.
    pub fn read(path: &Path) -> Result<Self, String> {
        let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.is_file() || metadata.len() > MAX_LIST {
            return Err(format!("expected a file of at most {} MiB", MAX_LIST >> 20));
        }
        let mut json = Vec::new();
        let file = File::open(path).map_err(|error| error.to_string())?;
        file.take(MAX_LIST).read_to_end(&mut json).map_err(|error| error.to_string())?;
        let list: Map<String, Value> = serde_json::from_slice(&json)
            .map_err(|error| format!("expected the JSON of LiteLLM's price list: {error}"))?;
        let entries = list.into_iter().filter_map(|(name, entry)| Some((name, read(&entry)?)));
        let list = Self(entries.collect());
        if list.0.is_empty() {
            return Err("the list has no price of a model".to_owned());
        }
        Ok(list)
    }

    /// The price of `provider/model`. LiteLLM lists the models of the largest vendors without their
    /// provider.
    pub fn of(&self, label: &str) -> Option<Price> {
        let bare = || {
            let (provider, model) = label.split_once('/')?;
            self.0.get(model).filter(|entry| entry.provider == provider)
        };
        self.0.get(label).or_else(bare).map(|entry| entry.price)
    }
}

/// `None` for models that are not paid by the token.
fn read(entry: &Value) -> Option<Entry> {
    let amount = |key: &str| {
        let amount = entry.get(key)?.as_f64()?;
        (amount >= 0.0).then_some(amount * TOKENS)
    };
    let (input, output) = (amount("input_cost_per_token")?, amount("output_cost_per_token")?);
    let cached_input = amount("cache_read_input_token_cost").unwrap_or(input);
    let cache_write = amount("cache_creation_input_token_cost").unwrap_or(input);
    let provider = entry.get("litellm_provider").and_then(Value::as_str).unwrap_or_default();
    let price = Price { input, output, cached_input, cache_write };
    Some(Entry { provider: provider.to_owned(), price })
}
