//! Takes rows apart into a sheet.
//!
//! Data in a common notation is read by a scanner that knows which member to expect; whatever it does not understand goes
//! the way of domain's reader. Either way the text that would be made again is compared with the one that came.

use super::column::Kind;
use super::paths::Paths;
use super::shape::{BETWEEN, NO_DATA, Renderer, Shapes, Slot, Style, VERBATIM, WHOLE};
use super::sheet::{Sheet, SheetColumn};
use tallystick_domain::Quantity;
use tallystick_domain::json::{JsonError, Leaf, members};
use tallystick_domain::meter::dimension_leaf;

/// The deepest objects that the scanner enters.
const MAX_DEPTH: usize = 32;
/// The most digits after the point of a number that is held as an integer.
const MAX_DIGITS: u32 = 18;

/// What a table's rows have in common, learnt row by row.
#[derive(Default)]
pub(super) struct Parser {
    pub paths: Paths,
    pub shapes: Shapes,
    /// That of the row before.
    style: Style,
    /// The members of the row at hand, as paths.
    sequence: Vec<u32>,
    /// The texts of the row that are kept as they are.
    rest: String,
    has_rest: bool,
    /// For the shape of the row before, with its number of members.
    renderer: Option<(u32, usize, Renderer)>,
    made: String,
    /// Members of rows whose shapes were found to make their texts again.
    proven: Vec<Proven>,
}

/// The shape of rows that have these members in this order and style, if their spaces are regular: what is written between
/// values is the same for all of them, and each value is written as it came.
struct Proven {
    members: Vec<u32>,
    style: Style,
    shape: u32,
}

/// How many orders of members are remembered.
const MAX_PROVEN: usize = 32;

/// What a row's data cannot be, read by the scanner.
struct NotUnderstood;

impl Parser {
    /// Notes the data of the next row.
    pub fn push_data(&mut self, sheet: &mut Sheet, data: Option<&str>) {
        let Some(text) = data else {
            sheet.shapes.push(NO_DATA);
            return sheet.rest.push(None);
        };
        self.sequence.clear();
        self.rest.clear();
        self.has_rest = false;
        let mut cursor = Cursor::new(text);
        let scanned = self.object(sheet, &mut cursor, 0, 0).and_then(|()| cursor.end());
        if scanned.is_ok()
            && let Some(shape) = self.shape_of(sheet, &cursor)
        {
            sheet.shapes.push(shape);
            return sheet.rest.push(self.has_rest.then_some(self.rest.as_str()));
        }
        if scanned.is_err() {
            self.push_unusual(sheet, text);
        }
        sheet.shapes.push(WHOLE);
        sheet.rest.push(Some(text));
    }

    /// The shape that makes the text of the next row again, which was read to its end.
    fn shape_of(&mut self, sheet: &Sheet, cursor: &Cursor<'_>) -> Option<u32> {
        self.style = cursor.style(self.style);
        let style = self.style;
        if cursor.is_regular() {
            let known = self.proven.iter().find(|proven| proven.style == style && proven.members == self.sequence);
            if let Some(shape) = known.map(|proven| proven.shape) {
                debug_assert!(self.makes(sheet, shape, cursor.text), "{}", cursor.text);
                return Some(shape);
            }
        }
        let shape = self.shapes.learn(style, &self.sequence, self.paths.depths())?;
        if !self.makes(sheet, shape, cursor.text) {
            return None;
        }
        if cursor.is_regular() && self.proven.len() < MAX_PROVEN {
            self.proven.push(Proven { members: self.sequence.clone(), style, shape });
        }
        Some(shape)
    }

    /// Whether the columns of the next row make the text.
    fn makes(&mut self, sheet: &Sheet, code: u32, text: &str) -> bool {
        let Some(shape) = self.shapes.get(code) else { return false };
        let known = self.renderer.as_ref().is_some_and(|(of, len, _)| (*of, *len) == (code, shape.members.len()));
        if !known {
            self.renderer = Some((code, shape.members.len(), Renderer::new(shape, self.paths.names())));
        }
        let Some((_, _, renderer)) = &self.renderer else { return false };
        let row = sheet.rows();
        let slot = |path: u32| {
            let column = sheet.columns.get(path as usize).filter(|column| column.kinds.len() > row)?;
            Some(slot_of(column, row))
        };
        self.made.clear();
        let made = renderer.write(&mut self.made, slot, self.has_rest.then_some(self.rest.as_str()));
        made.is_ok() && self.made == text
    }

    fn object(
        &mut self,
        sheet: &mut Sheet,
        cursor: &mut Cursor<'_>,
        node: usize,
        depth: usize,
    ) -> Result<(), NotUnderstood> {
        cursor.expect(b'{')?;
        if depth == MAX_DEPTH {
            return Err(NotUnderstood);
        }
        cursor.no_space();
        if cursor.eat(b'}') {
            return Ok(());
        }
        loop {
            let Raw { inner: key, has_escapes: false } = cursor.string()? else { return Err(NotUnderstood) };
            let child = self.paths.child(node, key).ok_or(NotUnderstood)?;
            cursor.no_space();
            cursor.expect(b':')?;
            cursor.space_after_colon();
            self.value(sheet, cursor, child, depth)?;
            cursor.no_space();
            if cursor.eat(b'}') {
                return Ok(());
            }
            cursor.expect(b',')?;
            cursor.space_after_comma();
        }
    }

    fn value(
        &mut self,
        sheet: &mut Sheet,
        cursor: &mut Cursor<'_>,
        child: usize,
        depth: usize,
    ) -> Result<(), NotUnderstood> {
        let path = child - 1;
        let row = sheet.rows();
        self.sequence.push(path as u32);
        let column = sheet.column(path);
        if column.kinds.len() > row {
            return Err(NotUnderstood);
        }
        match cursor.peek() {
            b'"' => self.string(column, cursor)?,
            b'{' => {
                column.push(Kind::Object, 0, 0, 0);
                self.object(sheet, cursor, child, depth + 1)?;
            }
            b'[' => {
                let raw = cursor.array()?;
                column.push(Kind::Array, 0, 0, 0);
                self.keep(raw);
            }
            b'n' => column.push(cursor.word("null", Kind::Null)?, 0, 0, 0),
            b't' => column.push(cursor.word("true", Kind::True)?, 0, 0, 0),
            b'f' => column.push(cursor.word("false", Kind::False)?, 0, 0, 0),
            _ => self.number(column, cursor.number()?)?,
        }
        Ok(())
    }

    fn string(&mut self, column: &mut SheetColumn, cursor: &mut Cursor<'_>) -> Result<(), NotUnderstood> {
        let from = cursor.at;
        let Raw { inner, has_escapes } = cursor.string()?;
        if !has_escapes {
            let code = column.texts.code(inner).ok_or(NotUnderstood)?;
            column.push(Kind::Text, i64::from(code), 0, 0);
            return Ok(());
        }
        let raw = &cursor.text[from..cursor.at];
        let Leaf::Text(text) = Leaf::of(raw) else { return Err(NotUnderstood) };
        let code = column.texts.code(&text).ok_or(NotUnderstood)?;
        column.push(Kind::Text, i64::from(code), 0, VERBATIM);
        self.keep(raw);
        Ok(())
    }

    fn number(&mut self, column: &mut SheetColumn, raw: &str) -> Result<(), NotUnderstood> {
        if let Some((mantissa, scale)) = plain_number(raw)
            && (mantissa != 0 || !raw.starts_with('-'))
            && column.joins(scale, mantissa.unsigned_abs())
        {
            column.push(Kind::Number, mantissa, scale as u8, scale as u8);
            return Ok(());
        }
        self.keep(raw);
        push_number(column, raw, VERBATIM).ok_or(NotUnderstood)
    }

    /// Keeps a text as it is.
    fn keep(&mut self, raw: &str) {
        if self.has_rest {
            self.rest.push(BETWEEN);
        }
        self.has_rest = true;
        self.rest.push_str(raw);
    }

    /// Notes the data of the next row by domain's own reader.
    fn push_unusual(&mut self, sheet: &mut Sheet, text: &str) {
        sheet.forget_next_row();
        let row = sheet.rows() as u32;
        let mut met = Met { unknown: false, sound: true };
        if self.walk(0, text, sheet, &mut met).is_err() || !met.sound {
            sheet.forget_next_row();
            sheet.unsound.push(row);
        } else if met.unknown {
            sheet.with_unknown_paths.push(row);
        }
    }

    fn walk(&mut self, node: usize, object: &str, sheet: &mut Sheet, met: &mut Met) -> Result<(), JsonError> {
        let mut inner = Ok(());
        members(object, &mut |key, value| {
            let Some(child) = self.paths.child(node, key) else {
                met.unknown = true;
                return;
            };
            let row = sheet.rows();
            let column = sheet.column(child - 1);
            met.sound &= column.kinds.len() == row && push_leaf(column, value);
            if value.starts_with('{') && met.sound && inner.is_ok() {
                inner = self.walk(child, value, sheet, met);
            }
        })?;
        inner
    }
}

/// What was met on the way through a row.
struct Met {
    unknown: bool,
    sound: bool,
}

/// Notes a value. False if the table's dictionary does not have its text.
fn push_leaf(column: &mut SheetColumn, value: &str) -> bool {
    let kind = match Leaf::of(value) {
        Leaf::Null => Kind::Null,
        Leaf::Bool(false) => Kind::False,
        Leaf::Bool(true) => Kind::True,
        Leaf::Array => Kind::Array,
        Leaf::Object => Kind::Object,
        Leaf::Missing => Kind::Missing,
        Leaf::Number(raw) => return push_number(column, raw, 0).is_some(),
        Leaf::Text(text) => {
            let code = column.texts.code(&text);
            code.into_iter().for_each(|code| column.push(Kind::Text, i64::from(code), 0, 0));
            return code.is_some();
        }
    };
    column.push(kind, 0, 0, 0);
    true
}

/// Notes a number in whatever notation: as an integer if it fits, or else as text.
fn push_number(column: &mut SheetColumn, raw: &str, form: u8) -> Option<()> {
    let quantity = Quantity::parse(raw);
    if let Ok(quantity) = &quantity
        && quantity.scale() <= MAX_DIGITS
        && let Ok(mantissa) = i64::try_from(quantity.mantissa())
        && column.joins(quantity.scale(), mantissa.unsigned_abs())
    {
        column.push(Kind::Number, mantissa, quantity.scale() as u8, form);
        return Some(());
    }
    let code = match quantity {
        Ok(quantity) => column.texts.code(&quantity.to_string()),
        Err(_) => column.texts.code(&dimension_leaf(Leaf::Number(raw))),
    };
    column.push(Kind::Text, i64::from(code?), 0, form);
    Some(())
}

fn slot_of(column: &SheetColumn, row: usize) -> Slot<'_> {
    let (kind, value) = (column.kinds[row], column.values[row]);
    let text = if kind == Kind::Text { column.texts.get(value as usize) } else { "" };
    Slot { kind, mantissa: value, scale: u32::from(column.scales[row]), form: column.forms[row], text }
}

/// Mantissa and digits after the point of a number of at most 18 digits without an exponent.
fn plain_number(raw: &str) -> Option<(i64, u32)> {
    let digits = raw.strip_prefix('-').unwrap_or(raw).as_bytes();
    if digits.len() > MAX_DIGITS as usize {
        return None;
    }
    let (mut mantissa, mut point) = (0i64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at + 1),
            _ => return None,
        }
    }
    let scale = point.map_or(0, |point| digits.len() - point) as u32;
    Some((if digits.len() < raw.len() { -mantissa } else { mantissa }, scale))
}

/// A place in a JSON text, and what was seen of its spaces.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    after_colons: Spaces,
    after_commas: Spaces,
    /// Whether there was space where no style has it.
    is_odd: bool,
}

/// The spaces at some places.
#[derive(Clone, Copy, Default)]
struct Spaces {
    /// Whether there was some at the last place; nothing if there was no place.
    last: Option<bool>,
    /// Whether the places differ, or had other space than a single one.
    is_mixed: bool,
}

impl Spaces {
    fn note(&mut self, space: &str) {
        let some = !space.is_empty();
        self.is_mixed |= (some && space != " ") || self.last.is_some_and(|last| last != some);
        self.last = Some(some);
    }
}

/// What stands between the quotes of a string.
struct Raw<'a> {
    inner: &'a str,
    has_escapes: bool,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        let (after_colons, after_commas) = Default::default();
        Self { text, at: 0, after_colons, after_commas, is_odd: false }
    }

    /// The style of the last spaces; that of the row before where there were no places for them.
    fn style(&self, before: Style) -> Style {
        Style {
            colon: self.after_colons.last.unwrap_or(before.colon),
            comma: self.after_commas.last.unwrap_or(before.comma),
        }
    }

    /// Whether all spaces are as the style says.
    fn is_regular(&self) -> bool {
        !self.is_odd && !self.after_colons.is_mixed && !self.after_commas.is_mixed
    }

    fn no_space(&mut self) {
        self.is_odd |= !self.skip_space().is_empty();
    }

    fn space_after_colon(&mut self) {
        let space = self.skip_space();
        self.after_colons.note(space);
    }

    fn space_after_comma(&mut self) {
        let space = self.skip_space();
        self.after_commas.note(space);
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotUnderstood> {
        if self.eat(byte) { Ok(()) } else { Err(NotUnderstood) }
    }

    /// Skips space, and gives it.
    fn skip_space(&mut self) -> &'a str {
        let from = self.at;
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
        &self.text[from..self.at]
    }

    fn end(&mut self) -> Result<(), NotUnderstood> {
        self.no_space();
        if self.at == self.text.len() { Ok(()) } else { Err(NotUnderstood) }
    }

    /// A string.
    fn string(&mut self) -> Result<Raw<'a>, NotUnderstood> {
        self.expect(b'"')?;
        let from = self.at;
        let mut has_escapes = false;
        loop {
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.at += 2;
                }
                // No byte below a space stands in a string, and none after the end.
                0..b' ' => return Err(NotUnderstood),
                _ => self.at += 1,
            }
        }
        let inner = self.text.get(from..self.at).ok_or(NotUnderstood)?;
        self.at += 1;
        Ok(Raw { inner, has_escapes })
    }

    /// A number, which has no needless zeros at its start.
    fn number(&mut self) -> Result<&'a str, NotUnderstood> {
        let from = self.at;
        while matches!(self.peek(), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            self.at += 1;
        }
        let raw = &self.text[from..self.at];
        let digits = raw.strip_prefix('-').unwrap_or(raw).as_bytes();
        match digits {
            [b'0', b'0'..=b'9', ..] => Err(NotUnderstood),
            [b'0'..=b'9', .., b'0'..=b'9'] | [b'0'..=b'9'] => Ok(raw),
            _ => Err(NotUnderstood),
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, NotUnderstood> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(NotUnderstood);
        }
        self.at += word.len();
        Ok(kind)
    }

    /// An array with its brackets.
    fn array(&mut self) -> Result<&'a str, NotUnderstood> {
        let (from, mut open) = (self.at, 0usize);
        loop {
            match self.peek() {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open -= 1,
                b'"' => {
                    self.string()?;
                    continue;
                }
                0 => return Err(NotUnderstood),
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Ok(&self.text[from..self.at]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text is kept as: its shape, and what is kept beside the columns.
    fn kept(texts: &[&str]) -> Vec<(u32, Option<String>)> {
        let (mut parser, mut sheet) = (Parser::default(), Sheet::default());
        texts.iter().for_each(|text| parser.push_data(&mut sheet, Some(text)));
        let row = |row: usize| (sheet.shapes[row], sheet.rest.get(row).map(str::to_owned));
        (0..texts.len()).map(row).collect()
    }

    #[test]
    fn common_notations_need_no_text() {
        let regular = [
            r#"{"model":"a","n":1.50,"deep":{"x":null,"y":{}},"t":true}"#,
            r#"{"n":-2.25,"deep":{"y":{"z":"ä"}},"t":false,"late":0}"#,
            r#"{"model":"b"}"#,
            "{}",
        ];
        assert_eq!(kept(&regular), vec![(2, None); 4]);
        assert_eq!(kept(&[r#"{"a": 1, "b": {"c": 2, "d": 3}}"#, r#"{"a": 1}"#]), vec![(2, None); 2]);
        assert_eq!(kept(&[r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#]), [(2, None), (3, None)]);
    }

    #[test]
    fn odd_values_are_kept_beside_the_columns() {
        let odd = [r#"{"a":[1,{"b":"]"}],"e":1e2,"s":"q\"\u0041","z":-0}"#];
        assert_eq!(kept(&odd), [(2, Some("[1,{\"b\":\"]\"}]\u{0}1e2\0\"q\\\"\\u0041\"\0-0".into()))]);
    }

    #[test]
    fn odd_texts_are_kept_as_a_whole() {
        for odd in [
            r#"{ "a":1}"#,
            r#"{"a" :1}"#,
            r#"{"a":1, "b":2,"c":3}"#,
            r#"{"\u0061":1}"#,
            r#"{"a":1} "#,
            r#"{"a":{ }}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":01}"#,
            "[1]",
            r#"{"a":"#,
            r#"{"a":tru}"#,
            r#"{"a":[1}"#,
            r#"{"a":"\"#,
        ] {
            assert_eq!(kept(&[odd]), [(WHOLE, Some(odd.into()))], "{odd}");
        }
    }
}
