//! The exchanges of a recording, found by what was asked.

use std::collections::HashMap;

use serde_json::Value;

use super::exchange::{Exchange, Kind};
use super::nearest;
use crate::text::digest::canonical;

#[derive(Debug, Default)]
pub struct Known {
    exchanges: Vec<Recorded>,
    /// Places in `exchanges`, in the order of the file.
    by_request: HashMap<(Kind, String), Vec<usize>>,
}

#[derive(Debug)]
struct Recorded {
    /// In the file, from 1.
    line: usize,
    exchange: Exchange,
    is_taken: bool,
}

impl Known {
    pub fn add(&mut self, line: usize, exchange: Exchange) {
        let key = (exchange.kind, canonical(&exchange.request));
        self.by_request.entry(key).or_default().push(self.exchanges.len());
        self.exchanges.push(Recorded { line, exchange, is_taken: false });
    }

    /// The first answer to the request that is left, one that the agent got if possible, and
    /// whether more are left.
    pub fn look_up(
        &mut self,
        kind: Kind,
        agent: &str,
        request: &Value,
        take: bool,
    ) -> Option<(Value, bool)> {
        let places = self.by_request.get(&(kind, canonical(request)));
        let places = places.map(Vec::as_slice).unwrap_or_default();
        let left = |place: &&usize| !self.exchanges[**place].is_taken;
        let is_own = |place: &&usize| self.exchanges[**place].exchange.agent == agent;
        let own: Vec<usize> = places.iter().filter(left).filter(is_own).copied().collect();
        let all = || places.iter().filter(left).copied().collect();
        let found = if own.is_empty() { all() } else { own };
        let &first = found.first()?;
        let recorded = &mut self.exchanges[first];
        recorded.is_taken |= take;
        Some((recorded.exchange.response.clone(), found.len() > 1))
    }

    /// Describes what comes nearest to a request that was not found.
    pub fn nearest(&self, kind: Kind, agent: &str, request: &Value) -> String {
        if let Some(places) = self.by_request.get(&(kind, canonical(request))) {
            let times = match places.len() {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            return format!("the {} was recorded {times} and is made again", kind.name());
        }
        let of_kind = self.exchanges.iter().filter(|recorded| recorded.exchange.kind == kind);
        let nearest = of_kind.min_by_key(|recorded| {
            let Exchange { agent: asked, request: known, .. } = &recorded.exchange;
            (nearest::distance(known, request), asked != agent, recorded.line)
        });
        let Some(Recorded { line, exchange, .. }) = nearest else {
            return format!("it holds no {}", kind.name());
        };
        let of = match exchange.agent.as_str() {
            "" => String::new(),
            agent => format!(", agent {agent}"),
        };
        let differences = nearest::differences(&exchange.request, request);
        format!("the nearest {} (line {line}{of}) differs in {differences}", kind.name())
    }
}
