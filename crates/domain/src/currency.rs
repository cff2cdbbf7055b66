//! The currencies of the world's states, by ISO 4217.

use iso_currency::{Currency as Iso, IntoEnumIterator};
use std::sync::LazyLock;

/// These come first in a list, as most people look for one of them.
const FIRST: [&str; 6] = ["USD", "EUR", "GBP", "AUD", "CAD", "JPY"];

/// A currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency {
    /// Three capital letters.
    pub code: &'static str,
    /// Name for people.
    pub name: String,
    /// What stands before an amount; the code where there is no sign.
    pub symbol: String,
    /// Digits after the decimal point of an amount.
    pub subunits: u16,
}

static ALL: LazyLock<Vec<Currency>> = LazyLock::new(|| {
    let mut all: Vec<_> = Iso::iter().filter_map(money).collect();
    let rank = |code: &str| FIRST.iter().position(|first| *first == code).unwrap_or(FIRST.len());
    all.sort_by(|a, b| (rank(a.code), a.code).cmp(&(rank(b.code), b.code)));
    all
});

/// What people pay with: no funds, no metals, no codes for tests.
fn money(iso: Iso) -> Option<Currency> {
    let subunits = iso.exponent().filter(|_| !iso.is_fund() && !iso.is_special())?;
    let symbol = Some(iso.symbol().symbol).filter(|symbol| !symbol.is_empty() && symbol != "¤");
    Some(Currency {
        code: iso.code(),
        name: iso.name().to_string(),
        symbol: symbol.unwrap_or_else(|| iso.code().to_string()),
        subunits,
    })
}

/// All currencies: the six most used ones first, then by code.
pub fn all() -> &'static [Currency] {
    &ALL
}

/// Whether the code is that of a currency.
pub fn is_known(code: &str) -> bool {
    ALL.iter().any(|currency| currency.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_begins_with_the_most_used_and_holds_money_only() {
        let codes: Vec<_> = all().iter().map(|currency| currency.code).collect();
        assert_eq!(codes[..7], ["USD", "EUR", "GBP", "AUD", "CAD", "JPY", "AED"]);
        assert!(codes[6..].is_sorted() && (150..=185).contains(&codes.len()), "{}", codes.len());
        for (code, digits, symbol) in
            [("USD", 2, "$"), ("EUR", 2, "€"), ("JPY", 0, "¥"), ("BHD", 3, ".د.ب"), ("HUF", 2, "Ft")]
        {
            let found = all().iter().find(|currency| currency.code == code).unwrap();
            assert_eq!((found.subunits, found.symbol.as_str()), (digits, symbol), "{code}");
        }
        for none in ["XAU", "XTS", "XXX", "CHE", "usd", "", "ZZZ"] {
            assert!(!is_known(none), "{none}");
        }
        assert!(all().iter().all(|currency| !currency.name.is_empty() && !currency.symbol.is_empty()));
    }
}
