//! A bar for each value of a table.

use tallystick_domain::Quantity;

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const BAR_CELLS: f64 = 30.0;

/// One bar per value, the largest filling the width. A value that is not above zero has none.
pub fn bars(values: &[Quantity]) -> Vec<String> {
    let shown: Vec<f64> = values.iter().map(Quantity::to_f64_for_display).collect();
    let largest = shown.iter().copied().fold(0.0, f64::max);
    shown.into_iter().map(|value| bar(value, largest)).collect()
}

/// How many whole cells a value takes where `whole` fills the width; at least one if it is above zero.
pub fn scale(value: Quantity, whole: Quantity) -> usize {
    let (value, whole) = (value.to_f64_for_display(), whole.to_f64_for_display());
    if value <= 0.0 || whole <= 0.0 {
        return 0;
    }
    ((value / whole).min(1.0) * BAR_CELLS).round().max(1.0) as usize
}

/// So many cells of one kind.
pub fn fill(cell: char, cells: usize) -> String {
    cell.to_string().repeat(cells)
}

fn bar(value: f64, largest: f64) -> String {
    if value <= 0.0 || largest <= 0.0 {
        return String::new();
    }
    // At least an eighth, so that little is not shown as nothing.
    let eighths = ((value / largest * BAR_CELLS * 8.0).round() as usize).max(1);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    #[test]
    fn bars_are_in_proportion() {
        let values: Vec<_> = ["30", "15", "0.25", "0", "-3", "0.0001"].map(q).into();
        let bars = bars(&values);
        assert_eq!(bars[0], "█".repeat(30));
        assert_eq!(bars[1], "█".repeat(15));
        assert_eq!(&bars[2..], ["▎", "", "", "▏"]);
    }

    #[test]
    fn nothing_above_zero_means_no_bars() {
        assert_eq!(bars(&["0", "-1"].map(q)), ["", ""]);
    }

    #[test]
    fn whole_cells_are_in_proportion_and_little_is_not_nothing() {
        for (value, whole, cells) in
            [("5", "10", 15), ("0.001", "10", 1), ("0", "10", 0), ("20", "10", 30), ("1", "0", 0)]
        {
            assert_eq!(scale(q(value), q(whole)), cells, "{value} of {whole}");
        }
        assert_eq!(fill('x', 3), "xxx");
    }
}
