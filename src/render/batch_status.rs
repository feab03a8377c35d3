//! `crew batch status` as text.

use std::io::{self, Write};

use super::Look;
use super::paint::{BAD, GOOD, STRONG, WARN, paint};
use super::table::{Column, Narrow, table};
use super::words::{self, count, millis, status};
use crate::batch::status::{BatchState, BatchStatus, PartsStatus};
use crate::text::inline;

const COLUMNS: [Column; 4] = [
    Column::number("count", Narrow::Never),
    Column::text("error", Narrow::Never),
    Column::text("such as", Narrow::Cut(8)),
    Column::text("message", Narrow::Wrap),
];
/// Parts that a line names.
const MAX_PARTS: usize = 10;

pub fn batch_status(
    batch: &BatchStatus,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let (word, style) = match batch.state {
        BatchState::Running => ("running", STRONG),
        BatchState::Finished => ("finished", GOOD),
        BatchState::Stopped => ("stopped", WARN),
    };
    let name = paint(&inline(&batch.crew), STRONG, look.colour);
    writeln!(out, "crew {name}: {}, {}", paint(word, style, look.colour), progress(batch))?;
    let lines = [statuses(batch), spent(batch), rate(batch), parts(&batch.parts)];
    for line in lines.into_iter().flatten() {
        writeln!(out, "  {line}")?;
    }
    for fault in &batch.faults {
        writeln!(out, "{}: {}", paint("error", BAD, look.colour), inline(fault))?;
    }
    if batch.errors.is_empty() {
        return out.flush();
    }
    let cell = |row: usize, column| {
        let error = &batch.errors[row];
        match column {
            0 => error.count.to_string().into(),
            1 => inline(&error.kind),
            2 => inline(&error.key),
            _ => inline(&error.message),
        }
    };
    writeln!(out)?;
    for line in table(&COLUMNS, batch.errors.len(), cell, look.width) {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// `812 of 1000 inputs done, 188 left`.
fn progress(batch: &BatchStatus) -> String {
    let done = batch.done;
    match (batch.keys.or(batch.inputs), batch.left) {
        (Some(all), Some(0)) if all == done => {
            format!("all {} done", count(done, "input", "inputs"))
        }
        (Some(all), Some(left)) => format!("{done} of {all} inputs done, {left} left"),
        _ => format!("{} done", count(done, "input", "inputs")),
    }
}

/// `800 succeeded, 12 failed`.
fn statuses(batch: &BatchStatus) -> Option<String> {
    let each = batch.statuses.iter().map(|(name, count)| format!("{count} {}", status(name)));
    joined(each.rev())
}

fn spent(batch: &BatchStatus) -> Option<String> {
    let tokens = words::tokens(&batch.usage).map(|tokens| format!("tokens {tokens}"));
    joined(tokens.into_iter().chain(words::cost(batch.usage.cost)))
}

fn rate(batch: &BatchStatus) -> Option<String> {
    let rate = batch.rate_per_minute.map(|rate| format!("{rate:.1} inputs a minute"));
    let left = batch.left_ms.map(|left| format!("{} left", millis(left)));
    joined(rate.into_iter().chain(left))
}

fn parts(parts: &PartsStatus) -> Option<String> {
    let named = |numbers: &[u32]| {
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        words::names(numbers.iter().map(String::as_str), MAX_PARTS)
    };
    let groups = [
        ("finished", &parts.finished, false),
        ("running", &parts.running, false),
        ("stopped", &parts.stopped, true),
        ("without results", &parts.missing, true),
    ];
    let groups = groups.into_iter().filter(|(_, numbers, _)| !numbers.is_empty());
    let groups = groups.map(|(word, numbers, is_named)| match is_named {
        true => format!("{} {word} ({})", numbers.len(), named(numbers)),
        false => format!("{} {word}", numbers.len()),
    });
    let all = joined(groups).filter(|_| parts.of > 1)?;
    Some(format!("{} parts: {all}", parts.of))
}

fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
