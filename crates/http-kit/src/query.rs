//! Query strings: repeated keys are lists, `key[name]=value` are objects, and nothing is guessed.

use crate::refusal::Refusal;
use percent_encoding::percent_decode_str;

/// The pairs of a query string, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryString(Vec<(String, String)>);

impl QueryString {
    /// Reads `a=1&b=2`: percent-decoded, `+` is a space, and bytes that are no UTF-8 are refused.
    pub fn parse(raw: Option<&str>) -> Result<Self, Refusal> {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let read = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// The value of a parameter that may come once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Refusal::BadQuery(format!("parameter {name:?} in query came more than once"))),
        }
    }

    /// All values of a parameter that may be repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The members of an object parameter: `name[member]=value`.
    pub fn members(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(move |(key, value)| Some((member_of(key, name)?, value.as_str())))
    }

    /// All pairs, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first parameter that is neither one of `plain` nor a member of one of `objects`.
    pub fn unknown(&self, plain: &[&str], objects: &[&str]) -> Option<&str> {
        let known = |key: &str| plain.contains(&key) || objects.iter().any(|object| member_of(key, object).is_some());
        self.0.iter().map(|(key, _)| key.as_str()).find(|key| !known(key))
    }
}

fn member_of<'a>(key: &'a str, object: &str) -> Option<&'a str> {
    key.strip_prefix(object)?.strip_prefix('[')?.strip_suffix(']')
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Refusal::BadQuery(format!("{shown:?} in the query string is not valid percent-encoded UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> QueryString {
        QueryString::parse(Some(raw)).unwrap()
    }

    #[test]
    fn keeps_repeated_keys_and_members() {
        let query = query("subject=a&subject=b%2Cc&filter%5Bmodel%5D=gpt+4&filter[x y]=&flag&&e=a%3Db=c");
        assert_eq!(query.all("subject").collect::<Vec<_>>(), ["a", "b,c"]);
        assert_eq!(query.members("filter").collect::<Vec<_>>(), [("model", "gpt 4"), ("x y", "")]);
        assert_eq!(query.one("flag").unwrap(), Some(""));
        assert_eq!(query.one("e").unwrap(), Some("a=b=c"));
        assert_eq!(query.one("absent").unwrap(), None);
        assert!(query.one("subject").is_err());
    }

    #[test]
    fn names_what_is_not_known() {
        let query = query("a=1&f[x]=2&g[y]=3");
        assert_eq!(query.unknown(&["a"], &["f", "g"]), None);
        assert_eq!(query.unknown(&["a"], &["f"]), Some("g[y]"));
        assert_eq!(query.unknown(&["f"], &["g"]), Some("a"));
    }

    #[test]
    fn refuses_bytes_that_are_no_text() {
        assert!(QueryString::parse(Some("a=%FF")).is_err());
        assert!(QueryString::parse(Some("%C3%28=1")).is_err());
        assert_eq!(QueryString::parse(None).unwrap(), QueryString::default());
        assert_eq!(query("a=%").one("a").unwrap(), Some("%"));
    }
}
