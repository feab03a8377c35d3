//! What the documentation says about the keys of a crew file.

const DOCS: &str = include_str!("../../docs/file.md");

/// What a key of a struct of the file means, as plain text.
pub fn description(owner: &str, key: &str) -> Option<String> {
    let quoted = format!("`{key}`");
    let mut rows =
        headings(owner).iter().filter_map(|heading| section(heading)).flat_map(str::lines);
    let row = rows.find_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
        let [keys, _, default, meaning] = cells[..] else { return None };
        keys.contains(&quoted).then_some((default.trim(), meaning.trim()))
    });
    let (default, meaning) = row?;
    let default = match default {
        "" | "none" | "below" | "required" => String::new(),
        default => format!("Default: {default}"),
    };
    let parts = [meaning, &default].into_iter().filter(|part| !part.is_empty());
    Some(plain(&parts.collect::<Vec<_>>().join(". "))).filter(|text| !text.is_empty())
}

/// The sections about a struct.
fn headings(owner: &str) -> &'static [&'static str] {
    match owner {
        "CrewFile" => &["## Top level"],
        "LimitsConfig" | "BudgetConfig" => &["## limits"],
        "DefaultsConfig" | "SettingsConfig" => &["## defaults"],
        "AgentConfig" => &["## agents", "### Conditions and instances", "### Steps"],
        "CheckConfig" => &["### check"],
        "ToolConfig" => &["## tools"],
        "HttpConfig" => &["### tools.NAME.http"],
        "SandboxConfig" => &["### sandbox"],
        "McpServerConfig" => &["## mcp_servers"],
        "ProviderConfig" => &["## providers"],
        "PriceConfig" | "PricesConfig" => &["## prices"],
        _ => &[],
    }
}

fn section(heading: &str) -> Option<&'static str> {
    let start = DOCS.find(&format!("\n{heading}\n"))? + heading.len() + 2;
    let rest = DOCS.get(start..)?;
    let end = [rest.find("\n## "), rest.find("\n### ")].into_iter().flatten().min();
    rest.get(..end.unwrap_or(rest.len()))
}

/// The text of Markdown without code marks and the targets of its links.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        match link.split_once("](").and_then(|(name, rest)| Some((name, rest.split_once(')')?.1))) {
            Some((name, after)) => {
                text.push_str(name);
                rest = after;
            }
            None => {
                text.push('[');
                rest = link;
            }
        }
    }
    text.push_str(rest);
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_plain_text_with_the_default() {
        assert_eq!(plain("see [a `b`](c.md#d), or [x]"), "see a b, or [x]");
        let grace = description("LimitsConfig", "grace").unwrap_or_default();
        assert!(grace.starts_with("time between SIGTERM and SIGKILL"), "{grace}");
        assert!(grace.ends_with(". Default: 2s"), "{grace}");
        assert!(description("AgentConfig", "goal").is_some());
        assert_eq!(description("AgentConfig", "nothing"), None);
    }
}
