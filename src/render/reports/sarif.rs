//! The findings as SARIF 2.1.0, which code scanning services read.

use serde_json::{Value, json};

use super::findings::{Finding, Findings};
use crate::report::{Report, RunStatus};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub fn sarif(report: &Report) -> Value {
    let findings = Findings::of(report);
    let mut rules: Vec<&str> = findings.found.iter().map(|finding| &*finding.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Value> = findings.found.iter().map(|found| result(found, &rules)).collect();
    let note = |note: &String| json!({"level": "note", "message": {"text": note}});
    let notes: Vec<Value> = findings.notes.iter().map(note).collect();
    let mut invocation = json!({
        "executionSuccessful": report.status == RunStatus::Succeeded,
        "exitCode": report.exit_code,
        "toolExecutionNotifications": notes,
    });
    // An edited report may have any text there.
    if report.started_at.parse::<jiff::Timestamp>().is_ok() {
        invocation["startTimeUtc"] = report.started_at.as_str().into();
    }
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "crew",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(|rule| json!({"id": rule})).collect::<Vec<_>>(),
            }},
            // Several crews can report on one commit.
            "automationDetails": {"id": format!("crew/{}/", uri(&report.crew))},
            "invocations": [invocation],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Finding, rules: &[&str]) -> Value {
    let mut place = json!({
        "artifactLocation": {"uri": uri(&finding.file), "uriBaseId": "%SRCROOT%"},
    });
    if let Some(line) = finding.line {
        place["region"] = json!({"startLine": line});
        if let Some(end) = finding.end_line {
            place["region"]["endLine"] = end.into();
        }
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.binary_search(&&*finding.rule).ok(),
        "level": finding.level.to_string(),
        // Brackets before parentheses are a link in a message.
        "message": {"text": finding.message.replace("](", "\\](")},
        "locations": [{"physicalLocation": place}],
    })
}

/// A relative path as a URI: everything but letters, digits and `/-._~` is escaped.
fn uri(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(byte.into());
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    })
}
