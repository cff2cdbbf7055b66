//! Aligned tables for the terminal.

use unicode_width::UnicodeWidthStr;

/// On which side a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A table that is built row by row.
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(columns: Vec<(String, Align)>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; a cell may hold anything, what would move the cursor is shown escaped.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row.iter().map(|cell| printable(cell)).collect());
    }

    /// The table as text, one line per row, the heading first.
    pub fn render(&self) -> String {
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| printable(name)).collect();
        let lines = || std::iter::once(&heading).chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| lines().filter_map(|line| line.get(at)).map(|cell| cell.width()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for line in lines() {
            let mut rendered = String::new();
            for ((cell, width), (_, align)) in line.iter().zip(&widths).zip(&self.columns) {
                let gap = " ".repeat(width.saturating_sub(cell.width()));
                let padded = if *align == Align::Left { format!("{cell}{gap}") } else { format!("{gap}{cell}") };
                rendered.push_str(&padded);
                rendered.push_str("  ");
            }
            text.push_str(rendered.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A text from an event must not be able to steer the terminal.
pub fn printable(text: &str) -> String {
    if !text.chars().any(steers) {
        return text.to_string();
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Control characters, and those that change the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(vec![("NAME".into(), Align::Left), ("VALUE".into(), Align::Right)]);
        table.push(vec!["東京".into(), "1".into()]);
        table.push(vec!["ab".into(), "12345678".into()]);
        assert_eq!(table.render(), "NAME     VALUE\n東京         1\nab    12345678\n");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let mut table = Table::new(vec![("A".into(), Align::Left)]);
        table.push(vec!["\u{1b}[2J\nx\u{202e}".into()]);
        assert_eq!(table.render(), "A\n\\u{1b}[2J\\nx\\u{202e}\n");
    }
}
