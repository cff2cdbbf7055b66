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

    #[test]
    fn bars_are_in_proportion() {
        let values: Vec<_> = ["30", "15", "0.25", "0", "-3", "0.0001"].map(|v| Quantity::parse(v).unwrap()).into();
        let bars = bars(&values);
        assert_eq!(bars[0], "█".repeat(30));
        assert_eq!(bars[1], "█".repeat(15));
        assert_eq!(&bars[2..], ["▎", "", "", "▏"]);
    }

    #[test]
    fn nothing_above_zero_means_no_bars() {
        let values: Vec<_> = ["0", "-1"].map(|v| Quantity::parse(v).unwrap()).into();
        assert_eq!(bars(&values), ["", ""]);
    }
}
