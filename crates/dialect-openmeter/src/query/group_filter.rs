//! `filterGroupBy` in a query string: `filterGroupBy[model]=gpt-4`, or the whole object as one value. The published
//! Python SDK writes its dictionary the way Python prints it; ignoring that would show unfiltered usage.

use crate::params::Place;
use crate::problem::Problem;
use std::collections::BTreeMap;
use tallystick_http_kit::QueryString;

const NAME: &str = "filterGroupBy";

/// Reads the parameter; each dimension has one value.
pub(super) fn of_query_string(query: &QueryString) -> Result<Option<BTreeMap<String, Vec<String>>>, Problem> {
    let refuse = |reason: String| Place::Query.refuse(NAME, reason);
    let mut members: Vec<(String, String)> = Vec::new();
    for (name, value) in query.members(NAME) {
        members.push((name.to_string(), value.to_string()));
    }
    if let Some(text) = query.one(NAME)? {
        let read = Literal { rest: text }.object().ok_or_else(|| {
            refuse(
                "it must be given as filterGroupBy[name]=value, or as an object such as {\"name\": \"value\"}".into(),
            )
        })?;
        members.extend(read);
    }
    let mut filters = BTreeMap::new();
    for (name, value) in members {
        if filters.insert(name.clone(), vec![value]).is_some() {
            let shown: String = name.chars().take(80).collect();
            return Err(refuse(format!("{shown:?} came twice; POST takes several values for a dimension")));
        }
    }
    Ok((!filters.is_empty()).then_some(filters))
}

/// Reads `{'a': 'b', "c": "d"}`: strings in either kind of quotes with the escapes that Python and JSON share or print.
struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    /// The whole text as an object from strings to strings; `None` when it is anything else.
    fn object(mut self) -> Option<Vec<(String, String)>> {
        let mut members = Vec::new();
        self.take('{')?;
        if self.take('}').is_none() {
            loop {
                let name = self.string()?;
                self.take(':')?;
                members.push((name, self.string()?));
                if self.take(',').is_none() {
                    self.take('}')?;
                    break;
                }
            }
        }
        self.rest.trim().is_empty().then_some(members)
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(wanted)?;
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        let quote = if self.take('\'').is_some() { '\'' } else { self.take('"').map(|()| '"')? };
        let mut text = String::new();
        loop {
            match self.next()? {
                c if c == quote => return Some(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            c @ ('\\' | '\'' | '"' | '/') => c,
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'x' => self.code_point(2)?,
            'u' => self.code_point(4)?,
            'U' => self.code_point(8)?,
            _ => return None,
        })
    }

    fn code_point(&mut self, digits: usize) -> Option<char> {
        let (hex, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        let all_hex = hex.bytes().all(|c| c.is_ascii_hexdigit());
        char::from_u32(u32::from_str_radix(hex, 16).ok().filter(|_| all_hex)?)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, String)>> {
        Literal { rest: text }.object()
    }

    fn pairs(members: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(members.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn reads_what_python_and_json_write() {
        assert_eq!(read("{'model': 'gpt-4'}"), pairs(&[("model", "gpt-4")]));
        assert_eq!(read("{'a': 'b', 'c': \"it's\"}"), pairs(&[("a", "b"), ("c", "it's")]));
        assert_eq!(read(r#"{"a":"b"}"#), pairs(&[("a", "b")]));
        assert_eq!(read(r"{'a': 'q\'\\\n\x7f\u200b\U0001f600'}"), pairs(&[("a", "q'\\\n\u{7f}\u{200b}😀")]));
        assert_eq!(read("{'é': ''}"), pairs(&[("é", "")]));
        assert_eq!(read("{}"), pairs(&[]));
    }

    #[test]
    fn refuses_everything_else() {
        for bad in [
            "",
            "gpt-4",
            "{",
            "{'a'}",
            "{'a': 1}",
            "{'a': None}",
            "{'a': ['b']}",
            "{'a': 'b',}",
            "{'a': 'b'} x",
            "{'a': 'b\"}",
            r"{'a': '\xZZ'}",
            r"{'a': '\ud800'}",
            r"{'a': '\q'}",
            "{a: 'b'}",
            "['a']",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
