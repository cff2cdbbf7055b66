//! Exact quantities: decimals from the JSON text to the total, never a float.

use ethnum::I256;
use rust_decimal::Decimal;
use std::fmt;

/// The most digits after the decimal point that a quantity carries.
pub const MAX_SCALE: u32 = 28;
/// Fractional digits of an average, unless its whole part leaves room for fewer; it is rounded there, half away from zero.
pub const AVERAGE_SCALE: u32 = 18;
/// Fractional digits of a quotient, as in the decimal JSON-Logic engines; it is rounded there, half away from zero.
pub const QUOTIENT_SCALE: u32 = 4;
/// The largest mantissa of a quantity: 96 bits.
const MAX_MANTISSA: i128 = (1 << 96) - 1;

/// An exact decimal of up to 28 significant digits, always in its shortest form (`1.50` is `1.5`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(Decimal);

/// Why a text or a result is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a decimal number at all.
    #[error("not a decimal number")]
    NotANumber,
    /// A number, but one that cannot be held without rounding it.
    #[error("number has more than 28 significant digits or is out of range")]
    OutOfRange,
}

impl Quantity {
    /// Zero.
    pub const ZERO: Quantity = Quantity(Decimal::ZERO);

    /// Parses a decimal number exactly: `1`, `-1.5`, `+5`, `.5`, `5.`, `00012`, `1e3`. No spaces, no separators,
    /// no `NaN`, and nothing that would have to be rounded.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (mantissa_text, exponent) = split_exponent(text)?;
        let (negative, digits) = match mantissa_text.as_bytes().first() {
            Some(b'-') => (true, &mantissa_text[1..]),
            Some(b'+') => (false, &mantissa_text[1..]),
            _ => (false, mantissa_text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return Err(QuantityError::NotANumber);
        }
        from_digits(negative, whole, fraction, exponent)
    }

    /// `mantissa × 10^-scale`, if it fits.
    pub fn from_parts(mantissa: i128, scale: u32) -> Result<Self, QuantityError> {
        Decimal::try_from_i128_with_scale(mantissa, scale)
            .map(|decimal| Self(decimal.normalize()))
            .map_err(|_| QuantityError::OutOfRange)
    }

    /// A whole number.
    pub fn from_count(count: u64) -> Self {
        Self(Decimal::from(count))
    }

    /// The digits without their decimal point.
    pub fn mantissa(&self) -> i128 {
        self.0.mantissa()
    }

    /// How many of the digits stand after the decimal point, 0–28.
    pub fn scale(&self) -> u32 {
        self.0.scale()
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Whether it is more than nothing.
    pub fn is_positive(&self) -> bool {
        *self > Self::ZERO
    }

    /// The exact sum, if it fits.
    pub fn plus(self, other: Self) -> Result<Self, QuantityError> {
        let mut sum = ExactSum::default();
        sum.add(self);
        sum.add(other);
        sum.total()
    }

    /// The exact difference, if it fits.
    pub fn minus(self, other: Self) -> Result<Self, QuantityError> {
        self.plus(other.negated())
    }

    /// The same amount on the other side of zero.
    pub fn negated(self) -> Self {
        // Zero has no sign.
        if self.is_zero() { self } else { Self(-self.0) }
    }

    /// The exact product, if it fits.
    pub fn times(self, other: Self) -> Result<Self, QuantityError> {
        let scale = self.scale() + other.scale();
        // Most products need no wide numbers.
        let narrow = self.mantissa().checked_mul(other.mantissa()).map(|product| Self::from_parts(product, scale));
        match narrow {
            Some(Ok(product)) => Ok(product),
            _ => quantity_of(I256::from(self.mantissa()) * I256::from(other.mantissa()), scale),
        }
    }

    /// The quotient, rounded once to [`QUOTIENT_SCALE`] digits, half away from zero. `None` if the divisor is zero.
    pub fn divided_by(self, divisor: Self) -> Option<Result<Self, QuantityError>> {
        if divisor.is_zero() {
            return None;
        }
        let dividend = I256::from(self.mantissa()) * pow10(divisor.scale() + QUOTIENT_SCALE);
        let divisor = I256::from(divisor.mantissa()) * pow10(self.scale());
        let (quotient, remainder) = (dividend / divisor, dividend % divisor);
        let is_half = remainder.abs() * I256::from(2) >= divisor.abs();
        let away = if is_half { dividend.signum() * divisor.signum() } else { I256::ZERO };
        Some(quantity_of(quotient + away, QUOTIENT_SCALE))
    }

    /// What is left of a division that gives a whole number, exactly, with the sign of the dividend. `None` if the divisor
    /// is zero.
    pub fn remainder(self, divisor: Self) -> Option<Result<Self, QuantityError>> {
        let scaled = |value: Self| I256::from(value.mantissa()) * pow10(MAX_SCALE - value.scale());
        (!divisor.is_zero()).then(|| quantity_of(scaled(self) % scaled(divisor), MAX_SCALE))
    }

    /// Whether it has no digits after the decimal point.
    pub fn is_whole(&self) -> bool {
        self.scale() == 0
    }

    /// The nearest float, for drawing a bar and for nothing else.
    pub fn to_f64_for_display(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Quantity {
    /// Plain digits without an exponent; also a valid JSON number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn split_exponent(text: &str) -> Result<(&str, i64), QuantityError> {
    let Some(at) = text.find(['e', 'E']) else { return Ok((text, 0)) };
    let exponent_text = &text[at + 1..];
    let unsigned = exponent_text.strip_prefix(['+', '-']).unwrap_or(exponent_text);
    if unsigned.is_empty() || !unsigned.bytes().all(|c| c.is_ascii_digit()) {
        return Err(QuantityError::NotANumber);
    }
    // An exponent of more than 9 digits can only belong to zero or to a number out of range; both keep that answer.
    let magnitude = unsigned.trim_start_matches('0');
    let value: i64 = if magnitude.len() > 9 { 1_000_000_000 } else { magnitude.parse().unwrap_or(0) };
    Ok((&text[..at], if exponent_text.starts_with('-') { -value } else { value }))
}

fn from_digits(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Result<Quantity, QuantityError> {
    let fraction_len = i64::try_from(fraction.len()).map_err(|_| QuantityError::OutOfRange)?;
    let mut mantissa: i128 = 0;
    let mut pending_zeros: u32 = 0;
    let mut scale = fraction_len - exponent;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if digit == b'0' {
            // A zero counts only once a later digit shows that it is not trailing.
            pending_zeros = pending_zeros.saturating_add(1);
            continue;
        }
        if mantissa != 0 {
            mantissa = times_power_of_ten(mantissa, pending_zeros)?;
        }
        mantissa = times_power_of_ten(mantissa, 1)? + i128::from(digit - b'0');
        pending_zeros = 0;
    }
    if mantissa == 0 {
        return Ok(Quantity::ZERO);
    }
    scale -= i64::from(pending_zeros);
    if scale < 0 {
        mantissa = times_power_of_ten(mantissa, u32::try_from(-scale).unwrap_or(u32::MAX))?;
        scale = 0;
    }
    let scale = u32::try_from(scale).map_err(|_| QuantityError::OutOfRange)?;
    Quantity::from_parts(if negative { -mantissa } else { mantissa }, scale)
}

fn times_power_of_ten(mantissa: i128, power: u32) -> Result<i128, QuantityError> {
    let factor = 10i128.checked_pow(power).ok_or(QuantityError::OutOfRange)?;
    mantissa.checked_mul(factor).filter(|value| *value <= MAX_MANTISSA).ok_or(QuantityError::OutOfRange)
}

/// A running total that neither rounds nor overflows, whatever the order: 256 bits at 28 fractional digits hold
/// more than 10^19 of the largest quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactSum(I256);

impl Default for ExactSum {
    fn default() -> Self {
        Self(I256::ZERO)
    }
}

impl ExactSum {
    /// Adds a quantity.
    pub fn add(&mut self, value: Quantity) {
        self.add_scaled(value.mantissa(), value.scale());
    }

    /// Adds `mantissa × 10^-scale`; `scale` is at most 28.
    pub fn add_scaled(&mut self, mantissa: i128, scale: u32) {
        debug_assert!(scale <= MAX_SCALE);
        self.0 += I256::from(mantissa) * pow10(MAX_SCALE.saturating_sub(scale));
    }

    /// Adds another total.
    pub fn merge(&mut self, other: &ExactSum) {
        self.0 += other.0;
    }

    /// The total, if it fits a quantity.
    pub fn total(&self) -> Result<Quantity, QuantityError> {
        quantity_of(self.0, MAX_SCALE)
    }

    /// The total divided by `count` (not zero), rounded once, half away from zero: at [`AVERAGE_SCALE`] digits, or at the
    /// most that leave room for the whole part. An average of quantities always fits.
    pub fn average(&self, count: u64) -> Result<Quantity, QuantityError> {
        let at_most = self.rounded_quotient(count, AVERAGE_SCALE);
        (0..AVERAGE_SCALE).rev().fold(at_most, |found, scale| found.or_else(|_| self.rounded_quotient(count, scale)))
    }

    fn rounded_quotient(&self, count: u64, scale: u32) -> Result<Quantity, QuantityError> {
        let divisor = I256::from(count) * pow10(MAX_SCALE - scale);
        let (quotient, remainder) = (self.0 / divisor, self.0 % divisor);
        let away = if remainder.abs() * I256::from(2) >= divisor { self.0.signum() } else { I256::ZERO };
        quantity_of(quotient + away, scale)
    }
}

fn pow10(power: u32) -> I256 {
    I256::from(10).pow(power)
}

fn quantity_of(mut mantissa: I256, mut scale: u32) -> Result<Quantity, QuantityError> {
    let ten = I256::from(10);
    while scale > 0 && mantissa % ten == I256::ZERO {
        mantissa /= ten;
        scale -= 1;
    }
    let narrow = i128::try_from(mantissa).map_err(|_| QuantityError::OutOfRange)?;
    Quantity::from_parts(narrow, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    #[test]
    fn reads_every_documented_form() {
        for (text, shown) in [
            ("1", "1"),
            ("1.50", "1.5"),
            ("+5", "5"),
            ("-5", "-5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("00012", "12"),
            ("1e3", "1000"),
            ("1E-3", "0.001"),
            ("-0", "0"),
            ("0e999999999999", "0"),
            ("0.1000000000000000000000000000000000", "0.1"),
            ("79228162514264337593543950335", "79228162514264337593543950335"),
            ("1234567890.123456789012345678", "1234567890.123456789012345678"),
        ] {
            assert_eq!(q(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_number_and_what_would_be_rounded() {
        for text in [
            "", " 1", "1 ", "1_000", "1,000", "0x10", "abc", "null", "NaN", "inf", "-", ".", "e5", "1e", "1e+", "١٢",
            "1.2.3", "--1",
        ] {
            assert_eq!(Quantity::parse(text), Err(QuantityError::NotANumber), "{text:?}");
        }
        for text in [
            "1e400",
            "1e-400",
            "79228162514264337593543950336",
            "1234567890123456789012345678901234567890",
            "1e99999999999999999999",
        ] {
            assert_eq!(Quantity::parse(text), Err(QuantityError::OutOfRange), "{text:?}");
        }
    }

    #[test]
    fn sums_exactly_and_averages_half_away_from_zero() {
        let mut sum = ExactSum::default();
        for text in ["0.1", "0.2", "0.3"] {
            sum.add(q(text));
        }
        assert_eq!(sum.total().unwrap().to_string(), "0.6");
        let mut third = ExactSum::default();
        third.add(q("-2"));
        assert_eq!(third.average(3).unwrap().to_string(), "-0.666666666666666667");
        let mut exact = ExactSum::default();
        exact.add(q("5"));
        assert_eq!(exact.average(2).unwrap().to_string(), "2.5");
    }

    #[test]
    fn an_average_of_large_values_has_the_decimals_that_fit() {
        let average = |values: &[&str]| {
            let mut sum = ExactSum::default();
            values.iter().for_each(|text| sum.add(q(text)));
            sum.average(values.len() as u64).unwrap().to_string()
        };
        assert_eq!(average(&["1000000000000", "1000000000000", "1000000000001"]), "1000000000000.3333333333333333");
        assert_eq!(average(&["-1000000000000", "-1000000000001", "-1000000000001"]), "-1000000000000.6666666666666667");
        assert_eq!(average(&["79228162514264337593543950335"; 3]), "79228162514264337593543950335");
        assert_eq!(
            average(&["79228162514264337593543950335", "79228162514264337593543950334"]),
            "79228162514264337593543950335"
        );
    }

    #[test]
    fn a_total_that_does_not_fit_is_an_error_and_can_come_back() {
        let largest = q("79228162514264337593543950335");
        let mut sum = ExactSum::default();
        sum.add(largest);
        sum.add(largest);
        assert_eq!(sum.total(), Err(QuantityError::OutOfRange));
        sum.add(q("-79228162514264337593543950335"));
        assert_eq!(sum.total(), Ok(largest));
    }

    #[test]
    fn multiplies_exactly_or_not_at_all() {
        let product = |a: &str, b: &str| q(a).times(q(b)).map(|product| product.to_string());
        assert_eq!(product("12.5", "0.4").as_deref(), Ok("5"));
        assert_eq!(product("-0.1", "0.1").as_deref(), Ok("-0.01"));
        assert_eq!(product("79228162514264337593543950335", "-1").as_deref(), Ok("-79228162514264337593543950335"));
        assert_eq!(product("0.00000000000001", "0.00000000000001").as_deref(), Ok("0.0000000000000000000000000001"));
        assert_eq!(product("12345678901234.5", "0"), Ok("0".into()));
        assert_eq!(product("0.00000000000001", "0.000000000000001"), Err(QuantityError::OutOfRange));
        assert_eq!(product("123456789012345", "123456789012345.1"), Err(QuantityError::OutOfRange));
    }

    #[test]
    fn divides_to_four_digits_half_away_from_zero_and_never_by_zero() {
        let quotient = |a: &str, b: &str| q(a).divided_by(q(b)).map(|found| found.map(|quotient| quotient.to_string()));
        for (a, b, want) in [
            ("10", "4", "2.5"),
            ("1", "3", "0.3333"),
            ("2", "3", "0.6667"),
            ("-2", "3", "-0.6667"),
            ("0.00005", "1", "0.0001"),
            ("-0.00005", "1", "-0.0001"),
            ("0.00004999", "1", "0"),
            ("1", "-20000", "-0.0001"),
            ("79228162514264337593543950335", "1", "79228162514264337593543950335"),
            ("79228162514264337593543950335", "79228162514264337593543950335", "1"),
            ("0.0000000000000000000000000001", "0.0000000000000000000000000002", "0.5"),
        ] {
            assert_eq!(quotient(a, b), Some(Ok(want.into())), "{a}/{b}");
        }
        assert_eq!(quotient("1", "0"), None);
        assert_eq!(quotient("79228162514264337593543950335", "0.1"), Some(Err(QuantityError::OutOfRange)));
    }

    #[test]
    fn a_remainder_is_exact_and_has_the_sign_of_the_dividend() {
        let remainder = |a: &str, b: &str| q(a).remainder(q(b)).map(|found| found.unwrap().to_string());
        for (a, b, want) in
            [("7", "3", "1"), ("-7", "3", "-1"), ("7", "-3", "1"), ("5.5", "0.2", "0.1"), ("1", "2.5", "1")]
        {
            assert_eq!(remainder(a, b).as_deref(), Some(want), "{a}%{b}");
        }
        let (largest, smallest) = ("79228162514264337593543950335", "0.0000000000000000000000000011");
        assert_eq!(remainder(largest, smallest).as_deref(), Some("0.0000000000000000000000000008"));
        assert_eq!(remainder(smallest, largest).as_deref(), Some(smallest));
        assert_eq!(remainder("1", "0"), None);
    }

    proptest! {
        #[test]
        fn text_round_trips(mantissa in -(1i128 << 90)..(1i128 << 90), scale in 0u32..=28) {
            let quantity = Quantity::from_parts(mantissa, scale).unwrap();
            prop_assert_eq!(Quantity::parse(&quantity.to_string()).unwrap(), quantity);
        }

        #[test]
        fn order_and_grouping_do_not_matter(values in prop::collection::vec((any::<i64>(), 0u32..=28), 0..40), cut in 0usize..40) {
            let quantities: Vec<_> = values.iter().map(|(m, s)| Quantity::from_parts(i128::from(*m), *s).unwrap()).collect();
            let mut forward = ExactSum::default();
            quantities.iter().for_each(|value| forward.add(*value));
            let cut = cut.min(quantities.len());
            let (mut left, mut right) = (ExactSum::default(), ExactSum::default());
            quantities[cut..].iter().rev().for_each(|value| right.add(*value));
            quantities[..cut].iter().rev().for_each(|value| left.add(*value));
            right.merge(&left);
            prop_assert_eq!(forward, right);
        }

        #[test]
        fn never_panics_on_any_text(text in "\\PC{0,40}|[-+0-9.eE]{0,40}") {
            let _ = Quantity::parse(&text);
        }
    }
}
