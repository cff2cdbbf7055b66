//! A strict scanner for the ordinary forms of JSON: one pass over the text, no allocation.
//!
//! Invariant: what it takes is sound, and [`super::check`] takes it too. It declines everything that is unusual, sound or
//! not: escaped keys, long or scientific numbers, deep nesting, objects of many members. Another reader decides about
//! those and finds the words for a refusal.

use super::{JsonError, check};

/// Levels of nesting that are followed.
const MAX_DEPTH: usize = 16;
/// Members of one object; each is compared with those before it.
const MAX_MEMBERS: usize = 32;
/// Characters of one number: far from what a float cannot hold.
const MAX_NUMBER: usize = 64;

/// The text of a JSON object that was checked: sound, bounded depth, no key twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedObject<'a>(&'a str);

impl<'a> CheckedObject<'a> {
    /// Checks a text as [`check`] does; `None` if it is something other than an object.
    pub fn check(text: &'a str, max_depth: usize) -> Option<Result<Self, JsonError>> {
        text.starts_with('{').then(|| check(text, max_depth).map(|()| Self(text)))
    }

    /// The text, without space around it.
    pub fn text(&self) -> &'a str {
        self.0
    }
}

/// Reads a text from its start. A method that gives `None` has declined; then the scanner must not be used any more.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    max_depth: usize,
    /// The keys of the objects that are open, outer ones first.
    keys: Vec<&'a str>,
}

impl<'a> Scanner<'a> {
    /// At the start of a text. Objects are nested at most `max_depth` deep.
    pub fn new(text: &'a str, max_depth: usize) -> Self {
        Self { text, at: 0, max_depth: max_depth.min(MAX_DEPTH), keys: Vec::new() }
    }

    /// The next byte that is no space, which stays; 0 at the end.
    pub fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    /// Takes a byte, after space.
    pub fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == byte).then(|| self.at += 1)
    }

    /// Whether a byte comes next, after space; it is taken then.
    pub fn takes(&mut self, byte: u8) -> bool {
        self.take(byte).is_some()
    }

    /// Takes the end of the text, after space.
    pub fn end(&mut self) -> Option<()> {
        self.peek();
        (self.at == self.text.len()).then_some(())
    }

    /// Takes a string without escapes and gives what is between its quotes.
    pub fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        self.at += plain_len(self.rest());
        let text = &self.text[start..self.at];
        self.next_is(b'"').then_some(text)
    }

    /// Takes an object.
    pub fn object(&mut self) -> Option<CheckedObject<'a>> {
        self.peek();
        let start = self.at;
        self.members(self.max_depth)?;
        Some(CheckedObject(&self.text[start..self.at]))
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Takes a byte that must come at once.
    fn next_is(&mut self, byte: u8) -> bool {
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn members(&mut self, depth_left: usize) -> Option<()> {
        let inner = depth_left.checked_sub(1)?;
        self.take(b'{')?;
        if self.takes(b'}') {
            return Some(());
        }
        let first = self.keys.len();
        loop {
            let key = self.string()?;
            let siblings = &self.keys[first..];
            if siblings.len() == MAX_MEMBERS || siblings.contains(&key) {
                return None;
            }
            self.keys.push(key);
            self.take(b':')?;
            self.value(inner)?;
            if !self.takes(b',') {
                break;
            }
        }
        self.keys.truncate(first);
        self.take(b'}')
    }

    fn items(&mut self, depth_left: usize) -> Option<()> {
        let inner = depth_left.checked_sub(1)?;
        self.take(b'[')?;
        if self.takes(b']') {
            return Some(());
        }
        loop {
            self.value(inner)?;
            if !self.takes(b',') {
                return self.take(b']');
            }
        }
    }

    fn value(&mut self, depth_left: usize) -> Option<()> {
        match self.peek() {
            b'"' => self.text_value(),
            b'{' => self.members(depth_left),
            b'[' => self.items(depth_left),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number(),
        }
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.rest().starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Takes a string; escapes are checked, but for those of surrogates, which are left to others.
    fn text_value(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            self.at += plain_len(self.rest());
            if self.next_is(b'"') {
                return Some(());
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Option<()> {
        let rest = self.rest();
        match rest {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
            [b'\\', b'u', a, b, c, d, ..] => {
                let is_surrogate = matches!((a, b), (b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F'));
                if is_surrogate || ![a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let rest = self.rest();
        let sign = usize::from(rest.first() == Some(&b'-'));
        let whole = digits(&rest[sign..]);
        let starts_with_zero = rest.get(sign) == Some(&b'0');
        if whole == 0 || (starts_with_zero && whole > 1) {
            return None;
        }
        let mut len = sign + whole;
        if rest.get(len) == Some(&b'.') {
            let fraction = digits(&rest[len + 1..]);
            if fraction == 0 {
                return None;
            }
            len += 1 + fraction;
        }
        if len > MAX_NUMBER || matches!(rest.get(len), Some(b'e' | b'E')) {
            return None;
        }
        self.at += len;
        Some(())
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// How many bytes come before the first quote, backslash or control character, which a string cannot hold as it is.
fn plain_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| **byte >= b' ' && **byte != b'"' && **byte != b'\\').count();
    words.len() * 8 + plain
}

/// The high bit of the lowest special byte of a word, and perhaps of bytes above it.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0x80;
    // A byte below `n` borrows into its high bit; so does a zero byte, which is one that was equal.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    below(word, 0x20) | below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scanned(text: &str, depth: usize) -> Option<&str> {
        let mut scanner = Scanner::new(text, depth);
        let object = scanner.object()?;
        scanner.end().map(|()| object.text())
    }

    #[test]
    fn takes_the_ordinary_forms() {
        for good in [
            "{}",
            r#"{"a":[1,-2.50,"x",null,true,{"b":{}}], "c" : false}"#,
            r#"{"a":{"x":1},"b":{"x":2}}"#,
            r#"{"ä":"a\"\\\u00e9 é","long enough for words":"0123456789abcdef"}"#,
            r#"{"a":0,"b":-0.0,"c":[[],[ ]]}"#,
        ] {
            assert_eq!(scanned(good, 64), Some(good));
            assert_eq!(scanned(&format!(" \n{good}\t"), 64), Some(good));
        }
    }

    #[test]
    fn declines_the_unusual() {
        for odd in [
            "",
            "[1]",
            "{} x",
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":.5}"#,
            r#"{"a":1e3}"#,
            r#"{"\u0061":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":"\ud83d\ude00"}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":tru}"#,
            r#"{"a":"#,
            r#"{"a":"b"#,
            "{\"a\u{0}\":1}",
        ] {
            assert_eq!(scanned(odd, 64), None, "{odd}");
        }
        let long = format!("{{\"a\":{}}}", "1".repeat(65));
        let many = format!("{{{}}}", (0..33).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
        let deep = |depth: usize| format!("{}{}", "{\"a\":".repeat(depth - 1) + "{}", "}".repeat(depth - 1));
        assert_eq!(scanned(&long, 64).or(scanned(&many, 64)).or(scanned(&deep(17), 64)), None);
        assert!(scanned(&deep(16), 64).is_some() && scanned(&deep(3), 3).is_some());
        assert_eq!(scanned(&deep(4), 3), None);
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            (any::<i32>(), 0u32..1000).prop_map(|(n, f)| format!("{n}.{f}")),
            "[-0-9.eE+]{1,6}",
            "\"[a-z\\\\\"u0-9é\u{1}😀/ ]{0,20}\"",
            prop::sample::select(vec!["true", "false", "null", "\"\\u0041\"", "\"\\ud800\"", "nul"])
                .prop_map(String::from),
        ];
        let space = prop::sample::select(vec!["", "", "", " ", "\n\t", "\u{b}"]);
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let member = ("[abc]|\\\\u0061", inner.clone(), space.clone());
            let members = prop::collection::vec(member, 0..4);
            let items = prop::collection::vec(inner, 0..4);
            prop_oneof![
                3 => members.prop_map(|members| {
                    let members = members.into_iter().map(|(key, value, space)| format!("{space}\"{key}\"{space}:{space}{value}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                }),
                1 => items.prop_map(|items| format!("[{}]", items.join(","))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_taken_is_sound(text in json(), depth in 1usize..6, cut in 0usize..200, junk in prop::option::of(any::<char>())) {
            let mut broken: String = text.chars().take(cut).collect();
            broken.extend(junk);
            broken.extend(text.chars().skip(cut + 1));
            for text in [text, broken] {
                if let Some(object) = scanned(&text, depth) {
                    prop_assert_eq!(check(&text, depth), Ok(()), "{}", text);
                    prop_assert_eq!(object, text.trim_matches([' ', '\n', '\t', '\r']));
                    prop_assert_eq!(CheckedObject::check(object, depth), Some(Ok(CheckedObject(object))));
                }
            }
        }

        #[test]
        fn a_plain_stretch_ends_where_it_must(text in "[a-zé\"\\\\ \u{0}-\u{1f}\u{7f}😀]{0,40}") {
            let want = text.bytes().take_while(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\').count();
            prop_assert_eq!(plain_len(text.as_bytes()), want);
        }
    }
}
