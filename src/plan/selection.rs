//! The agents that `--agents` selects, by names, patterns and exclusions.

use super::glob;

/// The mark of an exclusion.
const NOT: char = '!';

/// Whether `--agents` selects an agent. Without a name or pattern to include, all agents are
/// selected that none of the exclusions matches.
pub fn is_selected(wanted: &[String], agent: &str) -> bool {
    let (excluded, included): (Vec<&String>, Vec<&String>) =
        wanted.iter().partition(|item| is_exclusion(item));
    let matches = |item: &&String| glob::matches(pattern(item), agent);
    (included.is_empty() || included.iter().any(matches)) && !excluded.iter().any(matches)
}

/// The name or pattern of an item, without the mark of an exclusion.
pub fn pattern(item: &str) -> &str {
    item.strip_prefix(NOT).unwrap_or(item)
}

/// Whether an item excludes agents.
pub fn is_exclusion(item: &str) -> bool {
    item.starts_with(NOT)
}

/// The items that match no agent.
pub fn unmatched<'a>(
    wanted: &'a [String],
    agents: impl Iterator<Item = &'a str> + Clone,
) -> impl Iterator<Item = &'a str> {
    let items = wanted.iter().map(|item| pattern(item));
    items.filter(move |item| !agents.clone().any(|agent| glob::matches(item, agent)))
}
