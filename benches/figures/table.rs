//! The figures as a table, each beside its floor.

use crew::render::table::{Column, Narrow, table};

/// One figure with several samples. crew's and the floor's were taken in turn.
pub struct Row {
    pub name: String,
    pub unit: &'static str,
    pub crew: Vec<f64>,
    /// Empty if the figure has only a goal.
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

const COLUMNS: [Column; 10] = [
    Column::text("figure", Narrow::Never),
    Column::text("", Narrow::Never),
    Column::number("crew min", Narrow::Never),
    Column::number("median", Narrow::Never),
    Column::text("floor", Narrow::Never),
    Column::number("min", Narrow::Never),
    Column::number("median", Narrow::Never),
    Column::number("ratio", Narrow::Never),
    Column::number("goal", Narrow::Never),
    Column::text("", Narrow::Never),
];

pub fn render(rows: &[Row]) -> String {
    let number = |value: f64| format!("{value:.*}", if value.abs() < 10.0 { 2 } else { 1 });
    let cell = |row: &Row, column: usize| match column {
        0 => row.name.clone(),
        1 => row.unit.to_owned(),
        2 => number(min(&row.crew)),
        3 => number(median(&row.crew)),
        4 => row.beside.to_owned(),
        5..=7 if row.floor.is_empty() => String::new(),
        5 => number(min(&row.floor)),
        6 => number(median(&row.floor)),
        7 => format!("{:.3}", row.ratio()),
        8 => row.goal().0,
        _ if row.goal().1 => String::new(),
        _ => "MISSED".to_owned(),
    };
    let cell = |row: usize, column| cell(&rows[row], column).into();
    let table = table(&COLUMNS, rows.len(), cell, usize::MAX).join("\n");
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
