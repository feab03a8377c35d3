//! The figures as a table, each beside its floor.

use comfy_table::{CellAlignment, Table, presets};

/// One figure with several samples. crew's and the floor's were taken in turn.
pub struct Row {
    pub name: String,
    pub unit: &'static str,
    pub crew: Vec<f64>,
    pub floor: Vec<f64>,
    /// What the floor is.
    pub beside: &'static str,
    pub goal: Goal,
}

#[derive(Clone, Copy)]
pub enum Goal {
    None,
    /// crew's figure, in the row's unit.
    AtMost(f64),
    /// crew's figure divided by its floor.
    Ratio(f64),
    /// crew's figure minus its floor.
    Above(f64),
}

pub fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "figure", "", "crew min", "median", "floor", "min", "median", "ratio", "goal", "",
    ]);
    for row in rows {
        let number = |value: f64| format!("{value:.*}", if value.abs() < 10.0 { 2 } else { 1 });
        let (goal, met) = row.goal();
        table.add_row([
            row.name.clone(),
            row.unit.to_owned(),
            number(min(&row.crew)),
            number(median(&row.crew)),
            row.beside.to_owned(),
            number(min(&row.floor)),
            number(median(&row.floor)),
            format!("{:.3}", row.ratio()),
            goal,
            if met { String::new() } else { "MISSED".to_owned() },
        ]);
    }
    for column in [2, 3, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n\nratio: the median of the ratios of each pair, measured one after the other")
}

impl Row {
    fn pairs(&self, of: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.crew.iter().zip(&self.floor);
        median(&pairs.map(|(crew, floor)| of(*crew, *floor)).collect::<Vec<_>>())
    }

    fn ratio(&self) -> f64 {
        self.pairs(|crew, floor| crew / floor)
    }

    fn goal(&self) -> (String, bool) {
        match self.goal {
            Goal::None => (String::new(), true),
            Goal::AtMost(most) => (format!("{most} {}", self.unit), median(&self.crew) <= most),
            Goal::Ratio(most) => (format!("{most:.2} x"), self.ratio() <= most),
            Goal::Above(most) => {
                let above = self.pairs(|crew, floor| crew - floor);
                (format!("+{most} {}", self.unit), above <= most)
            }
        }
    }
}

fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
