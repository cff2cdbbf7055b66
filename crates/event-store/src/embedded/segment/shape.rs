//! How the data text of a row is made again from its columns.
//!
//! A shape is an order of members and a style of spaces. A row has the members of its shape at whose paths something
//! stands, so that one shape fits rows in which members are left out. Invariant: a row has a shape only if making its
//! text again gave the very text that was written.

use super::bytes::Corrupt;
use super::column::{Column, Kind};
use std::fmt::Write;

/// The shape of rows without data.
pub(super) const NO_DATA: u32 = 0;
/// The shape of rows whose whole text is kept as it is.
pub(super) const WHOLE: u32 = 1;
/// The code of the first shape with members.
pub(super) const FIRST: u32 = 2;
/// The most shapes of a table.
pub(super) const MAX_SHAPES: usize = 64;
/// The form of a value whose text is kept as it is. Below it, the form of a number is its digits after the point.
pub(super) const VERBATIM: u8 = 29;
/// How many forms there are.
pub(super) const FORMS: usize = 30;
/// Stands between texts that are kept. No JSON text has it.
pub(super) const BETWEEN: char = '\0';

/// Whether a space follows a colon, and a comma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub colon: bool,
    pub comma: bool,
}

/// An order of members, each behind the object that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub style: Style,
    /// By path.
    pub members: Vec<u32>,
}

/// The shapes of a table, which learn from its rows.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: Vec<Shape>,
    /// For each shape and path, the place of the path plus one; zero if it has none.
    places: Vec<Vec<u32>>,
}

impl Shapes {
    /// The shapes, without the means to learn more.
    pub fn into_known(self) -> Vec<Shape> {
        self.known
    }

    /// The shape of a code, if it has members.
    pub fn get(&self, code: u32) -> Option<&Shape> {
        self.known.get(code.checked_sub(FIRST)? as usize)
    }

    /// The code of a shape that has these members in this order, maybe with others between them; `None` when there is no
    /// room for another shape. `depths` says for each path how many names it has.
    pub fn learn(&mut self, style: Style, members: &[u32], depths: &[u32]) -> Option<u32> {
        let of_style = |shape: &Shape| shape.style == style;
        let has_room = |(shape, places): (&Shape, &Vec<u32>)| of_style(shape) && fits(places, members);
        if let Some(at) = self.known.iter().zip(&self.places).position(has_room) {
            return Some(at as u32 + FIRST);
        }
        for (shape, places) in self.known.iter_mut().zip(&mut self.places).filter(|(shape, _)| of_style(shape)) {
            if let Some(more) = widened(&shape.members, members, depths) {
                *places = places_of(&more);
                shape.members = more;
                return self.learn(style, members, depths);
            }
        }
        if self.known.len() == MAX_SHAPES {
            return None;
        }
        self.places.push(places_of(members));
        self.known.push(Shape { style, members: members.to_vec() });
        Some(self.known.len() as u32 - 1 + FIRST)
    }
}

/// Whether all members have places, one behind the other.
fn fits(places: &[u32], members: &[u32]) -> bool {
    let mut before = 0;
    members.iter().all(|path| {
        let place = places.get(*path as usize).copied().unwrap_or(0);
        let ascends = place > before;
        before = place;
        ascends
    })
}

fn places_of(members: &[u32]) -> Vec<u32> {
    let mut places = vec![0; members.iter().max().map_or(0, |most| *most as usize + 1)];
    members.iter().enumerate().for_each(|(at, path)| places[*path as usize] = at as u32 + 1);
    places
}

/// The order with the members that it lacks, each behind the one before it in `members`; `None` if the orders conflict.
fn widened(order: &[u32], members: &[u32], depths: &[u32]) -> Option<Vec<u32>> {
    let mut order = order.to_vec();
    let mut next = 0;
    for path in members {
        if let Some(place) = order.iter().position(|known| known == path) {
            if place < next {
                return None;
            }
            next = place + 1;
            continue;
        }
        let depth = depths[*path as usize];
        while order.get(next).is_some_and(|after| depths[*after as usize] > depth) {
            next += 1;
        }
        order.insert(next, *path);
        next += 1;
    }
    Some(order)
}

/// A value as it is to be written.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub kind: Kind,
    /// Of a number.
    pub mantissa: i64,
    /// Of a number.
    pub scale: u32,
    /// Digits after the point, or [`VERBATIM`].
    pub form: u8,
    /// Of a string.
    pub text: &'a str,
}

/// How the numbers and strings of a column of a block were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Numbers with as many digits after the point as the column, strings without escapes.
    #[default]
    Plain,
    /// Numbers without zeros at their end, strings without escapes.
    Shortest,
    /// By row.
    Each(Vec<u8>),
}

impl Form {
    /// What to write for a row of a column.
    pub fn slot<'c>(&self, column: &'c Column, row: usize) -> Slot<'c> {
        let (kind, value) = (column.kinds.get(row), column.values[row]);
        let form = match self {
            Form::Plain => column.scale as u8,
            Form::Shortest => shortest(value, column.scale),
            Form::Each(forms) => forms[row],
        };
        match kind {
            Kind::Text if form != VERBATIM => {
                Slot { kind, mantissa: 0, scale: 0, form, text: column.texts.get(value as usize) }
            }
            _ => Slot { kind, mantissa: value, scale: column.scale, form, text: "" },
        }
    }
}

/// How many digits after the point a number needs.
pub(super) fn shortest(mut mantissa: i64, scale: u32) -> u8 {
    let mut digits = scale;
    while digits > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        digits -= 1;
    }
    digits as u8
}

/// Writes texts of one shape.
#[derive(Debug)]
pub(super) struct Renderer {
    comma: &'static str,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    path: u32,
    depth: usize,
    /// The name in quotes, and the colon.
    key: String,
}

impl Renderer {
    /// Of a shape whose paths have these names.
    pub fn new(shape: &Shape, names: &[Vec<Box<str>>]) -> Self {
        let colon = if shape.style.colon { "\": " } else { "\":" };
        let member = |path: &u32| {
            let names = &names[*path as usize];
            let name = names.last().map_or("", |name| name);
            Member { path: *path, depth: names.len(), key: format!("\"{name}{colon}") }
        };
        let comma = if shape.style.comma { ", " } else { "," };
        Self { comma, members: shape.members.iter().map(member).collect() }
    }

    /// Appends a text. `slot` gives what stands at a path, `rest` the texts that are kept as they are.
    pub fn write<'s>(
        &self,
        out: &mut String,
        slot: impl Fn(u32) -> Option<Slot<'s>>,
        rest: Option<&str>,
    ) -> Result<(), Corrupt> {
        let mut kept = rest.map(|rest| rest.split(BETWEEN));
        // How many objects are open inside of the outermost one.
        let mut open = 0;
        out.push('{');
        for member in &self.members {
            let Some(slot) = slot(member.path).filter(|slot| !matches!(slot.kind, Kind::Missing | Kind::NoData)) else {
                continue;
            };
            if member.depth > open + 1 {
                return Err(Corrupt("a member is in no object"));
            }
            while open + 1 > member.depth {
                out.push('}');
                open -= 1;
            }
            if !out.ends_with('{') {
                out.push_str(self.comma);
            }
            out.push_str(&member.key);
            if slot.form == VERBATIM || slot.kind == Kind::Array {
                let text = kept.as_mut().and_then(Iterator::next);
                out.push_str(text.ok_or(Corrupt("a value has no text"))?);
                continue;
            }
            open += usize::from(slot.kind == Kind::Object);
            write_slot(out, slot)?;
        }
        (0..=open).for_each(|_| out.push('}'));
        match kept.and_then(|mut kept| kept.next()) {
            None => Ok(()),
            Some(_) => Err(Corrupt("a text belongs to no value")),
        }
    }
}

fn write_slot(out: &mut String, slot: Slot<'_>) -> Result<(), Corrupt> {
    match slot.kind {
        Kind::Null => out.push_str("null"),
        Kind::False => out.push_str("false"),
        Kind::True => out.push_str("true"),
        Kind::Object => out.push('{'),
        Kind::Number => write_number(out, slot)?,
        Kind::Text => {
            out.push('"');
            out.push_str(slot.text);
            out.push('"');
        }
        Kind::Array | Kind::Missing | Kind::NoData => {}
    }
    Ok(())
}

fn write_number(out: &mut String, slot: Slot<'_>) -> Result<(), Corrupt> {
    const WRONG: Corrupt = Corrupt("a number does not fit its digits");
    let (mantissa, digits) = (i128::from(slot.mantissa), u32::from(slot.form));
    let power = |exponent: u32| 10i128.checked_pow(exponent).ok_or(WRONG);
    let mantissa = if digits >= slot.scale {
        mantissa.checked_mul(power(digits - slot.scale)?).ok_or(WRONG)?
    } else {
        let divisor = power(slot.scale - digits)?;
        (mantissa % divisor == 0).then_some(mantissa / divisor).ok_or(WRONG)?
    };
    if mantissa < 0 {
        out.push('-');
    }
    let size = mantissa.unsigned_abs();
    // Writing to a String cannot fail.
    let _ = match (u64::try_from(size), digits) {
        (Ok(size), 0) => write!(out, "{size}"),
        (Ok(size), 1..=18) => {
            let unit = 10u64.pow(digits);
            write!(out, "{}.{:0width$}", size / unit, size % unit, width = digits as usize)
        }
        _ => {
            let unit = power(digits)?.unsigned_abs();
            write!(out, "{}.{:0width$}", size / unit, size % unit, width = digits as usize)
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_widens_where_orders_do_not_conflict() {
        // 0: a, 1: b, 2: b.x, 3: b.y, 4: c
        let depths = [1, 1, 2, 2, 1];
        let mut shapes = Shapes::default();
        let style = Style::default();
        assert_eq!(shapes.learn(style, &[0, 4], &depths), Some(FIRST));
        assert_eq!(shapes.learn(style, &[0, 1, 3], &depths), Some(FIRST));
        assert_eq!(shapes.learn(style, &[1, 2, 4], &depths), Some(FIRST));
        assert_eq!(shapes.get(FIRST).unwrap().members, [0, 1, 2, 3, 4]);
        assert_eq!(shapes.learn(style, &[4, 0], &depths), Some(FIRST + 1));
        assert_eq!(shapes.learn(Style { colon: true, comma: true }, &[0, 4], &depths), Some(FIRST + 2));
        assert_eq!(shapes.learn(style, &[], &depths), Some(FIRST));
        for more in 3..MAX_SHAPES {
            shapes.known.push(Shape { style, members: vec![] });
            shapes.places.push(vec![]);
            assert_eq!(shapes.known.len(), more + 1);
        }
        assert_eq!(shapes.learn(style, &[4, 1, 0], &depths), Some(FIRST + 1), "the second shape widens");
        assert_eq!(shapes.learn(style, &[1, 4, 0], &depths), Some(FIRST + 3), "an empty one can still become anything");
    }

    #[test]
    fn numbers_are_written_with_their_digits() {
        let text = |mantissa, scale, form| {
            let mut out = String::new();
            write_number(&mut out, Slot { kind: Kind::Number, mantissa, scale, form, text: "" }).map(|()| out)
        };
        assert_eq!(text(125_000, 4, 4).unwrap(), "12.5000");
        assert_eq!(text(125_000, 4, 1).unwrap(), "12.5");
        assert_eq!(text(-5, 3, 3).unwrap(), "-0.005");
        assert_eq!(text(7, 0, 2).unwrap(), "7.00");
        assert_eq!(text(0, 0, 0).unwrap(), "0");
        assert_eq!(text(i64::MIN, 0, 19).unwrap(), "-9223372036854775808.0000000000000000000");
        assert_eq!(text(1, 28, 28).unwrap(), "0.0000000000000000000000000001");
        assert!(text(125, 2, 1).is_err());
        assert!(text(i64::MAX, 0, 28).is_err());
    }
}
