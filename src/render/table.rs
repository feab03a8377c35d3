//! Tables that fit the width of a terminal.

use std::borrow::Cow;

use super::fit;

/// Blanks between two columns.
const GAP: usize = 2;
/// A longer word of a column that wraps may be broken where there is no room.
const MAX_WORD: usize = 20;

#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    is_numeric: bool,
    narrow: Narrow,
}

/// How a column narrows where the table is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrow {
    Never,
    /// It is left out. Those of the highest rank, from 1, go first.
    LeaveOut(u8),
    /// Its cells are cut to no less than `min` before a column of rank `before` or lower is left
    /// out. Where that is not enough, it is left out like those of `rank`.
    CutOrLeaveOut {
        min: usize,
        before: u8,
        rank: u8,
    },
    /// Its cells are cut, to no less than this width.
    Cut(usize),
    /// Its cells continue on further lines.
    Wrap,
}

impl Column {
    pub const fn text(title: &'static str, narrow: Narrow) -> Self {
        Self { title, is_numeric: false, narrow }
    }

    /// A column that is aligned to the right.
    pub const fn number(title: &'static str, narrow: Narrow) -> Self {
        Self { title, is_numeric: true, narrow }
    }

    fn rank(&self) -> u8 {
        match self.narrow {
            Narrow::LeaveOut(rank) | Narrow::CutOrLeaveOut { rank, .. } => rank,
            Narrow::Never | Narrow::Cut(_) | Narrow::Wrap => 0,
        }
    }
}

/// The lines of a table, its titles first, or no lines without rows. No line is wider than `width`
/// where columns that narrow make that possible. If cells would have to wrap within words, it is a
/// list instead, one row after the other.
///
/// `cell` yields the cell of a row and a column. It is called twice for each, to measure and to
/// write, as keeping all cells would take memory for thousands of rows.
pub fn table<'c>(
    columns: &[Column],
    rows: usize,
    cell: impl Fn(usize, usize) -> Cow<'c, str>,
    width: usize,
) -> Vec<String> {
    if rows == 0 {
        return vec![];
    }
    let mut shown: Vec<Shown> =
        columns.iter().enumerate().map(|at| Shown::measure(at, rows, &cell)).collect();
    while let Some(rank @ 1..) = shown.iter().map(|shown| shown.column.rank()).max()
        && width_with(&shown, rank) > width
    {
        shown.retain(|shown| shown.column.rank() < rank);
    }
    narrow(&mut shown, width);
    if total(&shown) > width && columns.iter().any(|column| column.narrow == Narrow::Wrap) {
        return list(columns, rows, cell, width);
    }
    let mut lines = Vec::with_capacity(rows + 1);
    push_row(&mut lines, &shown, |at| columns[at].title.into());
    (0..rows).for_each(|row| push_row(&mut lines, &shown, |at| cell(row, at)));
    lines
}

/// The rows as lists, with an empty line between them.
pub fn list<'c>(
    columns: &[Column],
    rows: usize,
    cell: impl Fn(usize, usize) -> Cow<'c, str>,
    width: usize,
) -> Vec<String> {
    let mut lines = Vec::new();
    for row in 0..rows {
        if row > 0 {
            lines.push(String::new());
        }
        push_list(&mut lines, columns, |at| cell(row, at), width);
    }
    lines
}

/// A column with the width it is shown in.
struct Shown {
    index: usize,
    column: Column,
    width: usize,
    /// The least width it narrows to.
    min: usize,
}

impl Shown {
    fn measure<'c>(
        (index, column): (usize, &Column),
        rows: usize,
        cell: impl Fn(usize, usize) -> Cow<'c, str>,
    ) -> Self {
        let title = column.title.len();
        let (mut width, mut word) = (title, title);
        for row in 0..rows {
            let cell = cell(row, index);
            width = width.max(fit::width(&cell));
            if column.narrow == Narrow::Wrap {
                let longest = cell.split(' ').map(fit::width).max();
                word = word.max(longest.unwrap_or(0).min(MAX_WORD));
            }
        }
        let min = match column.narrow {
            Narrow::Never | Narrow::LeaveOut(_) => width,
            Narrow::Cut(min) | Narrow::CutOrLeaveOut { min, .. } => min.min(width),
            Narrow::Wrap => word,
        };
        Self { index, column: *column, width, min }
    }
}

fn total(columns: &[Shown]) -> usize {
    let gaps = GAP * columns.len().saturating_sub(1);
    columns.iter().map(|column| column.width).sum::<usize>() + gaps
}

/// The total width before a column of this rank is left out.
fn width_with(columns: &[Shown], rank: u8) -> usize {
    let cut = columns.iter().filter_map(|shown| match shown.column.narrow {
        Narrow::CutOrLeaveOut { before, .. } if before >= rank => Some(shown.width - shown.min),
        _ => None,
    });
    total(columns) - cut.sum::<usize>()
}

/// Narrows the widest column again and again, until the table fits or none can narrow any more.
fn narrow(columns: &mut [Shown], width: usize) {
    for _ in width..total(columns) {
        let can_narrow = columns.iter_mut().filter(|column| column.width > column.min);
        let Some(widest) = can_narrow.max_by_key(|column| column.width) else { return };
        widest.width -= 1;
    }
}

fn push_row<'c>(lines: &mut Vec<String>, columns: &[Shown], cell: impl Fn(usize) -> Cow<'c, str>) {
    let cells: Vec<_> = columns.iter().map(|column| cell(column.index)).collect();
    let cells: Vec<_> =
        columns.iter().zip(&cells).map(|(column, cell)| parts(column, cell)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for row in 0..height {
        let mut line = String::new();
        let mut gap = 0;
        for (column, parts) in columns.iter().zip(&cells) {
            let part = parts.get(row).map_or("", |part| part);
            let fill = column.width.saturating_sub(fit::width(part));
            let (before, after) = if column.column.is_numeric { (fill, 0) } else { (0, fill) };
            line.extend(std::iter::repeat_n(' ', gap + before));
            line.push_str(part);
            gap = GAP + after;
        }
        line.truncate(line.trim_end().len());
        lines.push(line);
    }
}

/// The lines of one cell.
fn parts<'c>(column: &Shown, cell: &'c str) -> Vec<Cow<'c, str>> {
    match column.column.narrow {
        Narrow::Wrap => fit::wrap(cell, column.width).into_iter().map(Cow::Borrowed).collect(),
        _ => vec![fit::cut(cell, column.width)],
    }
}

/// A line for each title and its cell; empty cells are left out.
fn push_list<'c>(
    lines: &mut Vec<String>,
    columns: &[Column],
    cell: impl Fn(usize) -> Cow<'c, str>,
    width: usize,
) {
    let margin = columns.iter().map(|column| column.title.len()).max().unwrap_or(0) + GAP;
    for (at, column) in columns.iter().enumerate() {
        let mut title = column.title;
        for part in fit::wrap(&cell(at), width.saturating_sub(margin)) {
            lines.push(format!("{title:margin$}{part}"));
            title = "";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::text("tool", Narrow::Wrap),
        Column::text("runs", Narrow::Wrap),
        Column::number("uses", Narrow::Wrap),
    ];
    const ROWS: [[&str; 3]; 2] =
        [["disk_usage", "df -h {{ path }}", "3"], ["名前", "sh: uptime || cat /proc/loadavg", ""]];

    fn shown(width: usize) -> Vec<String> {
        table(&COLUMNS, ROWS.len(), |row, column| ROWS[row][column].into(), width)
    }

    #[test]
    fn cells_wrap_between_words() {
        let expected = [
            "tool        runs                             uses",
            "disk_usage  df -h {{ path }}                    3",
            "名前        sh: uptime || cat /proc/loadavg",
        ];
        assert_eq!(shown(80), expected);
        let expected = [
            "tool        runs              uses",
            "disk_usage  df -h {{ path }}     3",
            "名前        sh: uptime ||",
            "            cat",
            "            /proc/loadavg",
        ];
        assert_eq!(shown(34), expected);
    }

    #[test]
    fn a_narrow_table_is_a_list() {
        let expected = [
            "tool  disk_usage",
            "runs  df -h {{ path }}",
            "uses  3",
            "",
            "tool  名前",
            "runs  sh: uptime || cat",
            "      /proc/loadavg",
        ];
        assert_eq!(shown(24), expected);
        for width in [6, 10, 20, 40] {
            for line in shown(width) {
                assert!(fit::width(&line) <= width.max(8), "{width}: {line}");
            }
        }
    }
}
