//! Lists page by page: `pageSize` and an opaque `nextToken`.

use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tallystick_domain::Instant;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// Items on a page unless asked otherwise, and the most.
pub(crate) const DEFAULT_SIZE: usize = 10;
pub(crate) const MAX_SIZE: usize = 100;

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    pub size: usize,
    /// What the token of the page before says; `None` for the first page.
    pub after: Option<String>,
}

/// How a page was made.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiPaginationOptions)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Context {
    /// Items on a page.
    page_size: usize,
    /// `ASC` or `DESC`.
    #[schema(value_type = String)]
    sort_order: &'static str,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageBody<T> {
    /// The items.
    data: Vec<T>,
    /// What to send for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    /// How the page was made.
    context: Context,
}

impl<T> PageBody<T> {
    pub(crate) fn new(data: Vec<T>, next: Option<String>, paging: &Paging, sort_order: &'static str) -> Self {
        let context = Context { page_size: paging.size, sort_order };
        Self { data, next_token: next.map(|place| encode(&place)), context }
    }
}

impl Paging {
    /// Reads `pageSize`, a number such as `10` or `10.0`, and `nextToken`. A larger page than the largest is the largest.
    pub(crate) fn read(query: &QueryString, default: usize, most: usize) -> Result<Self, Problem> {
        let size = match query.one("pageSize")? {
            Some(text) => whole_number(text)
                .filter(|size| *size > 0)
                .ok_or_else(|| Problem::field("pageSize", "it must be a number of at least 1"))?,
            None => default,
        };
        let after = query.one("nextToken")?.filter(|token| !token.is_empty());
        Ok(Self { size: size.min(most), after: after.map(decode).transpose()? })
    }

    /// The place behind which the page begins, in a list whose last changed members come first.
    pub(crate) fn place(&self) -> Result<Option<(Instant, String)>, Problem> {
        self.after.as_deref().map(|text| read_place(text).ok_or_else(bad_token)).transpose()
    }

    /// How many members come before the page, in a list that is counted.
    pub(crate) fn offset(&self) -> Result<(u32, Option<String>), Problem> {
        let Some(text) = &self.after else { return Ok((0, None)) };
        let (number, name) = text.split_once(',').ok_or_else(bad_token)?;
        let name = (!name.is_empty()).then(|| name.to_owned());
        Ok((number.parse().map_err(|_| bad_token())?, name))
    }
}

/// The part of a list, sorted by last change and then id, that is asked for, and the place of the next page. `place_of` tells where
/// a member stands.
pub(crate) fn cut<T>(
    mut all: Vec<T>,
    paging: &Paging,
    place_of: impl Fn(&T) -> (Instant, String),
) -> Result<(Vec<T>, Option<String>), Problem> {
    all.sort_by_cached_key(|member| std::cmp::Reverse(place_of(member)));
    if let Some(after) = paging.place()? {
        all.retain(|member| place_of(member) < after);
    }
    let has_more = all.len() > paging.size;
    all.truncate(paging.size);
    let last = all.last().filter(|_| has_more);
    let next = last.map(place_of).map(|(at, id)| format!("{},{id}", at.as_micros()));
    Ok((all, next))
}

pub(crate) fn encode(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// What a token says.
pub(crate) fn decode(token: &str) -> Result<String, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| bad_token())?;
    String::from_utf8(bytes).map_err(|_| bad_token())
}

pub(crate) fn bad_token() -> Problem {
    Problem::field("nextToken", "it is not a token of this list: send the nextToken of the page before as it is")
}

fn read_place(text: &str) -> Option<(Instant, String)> {
    let (micros, id) = text.split_once(',')?;
    Some((Instant::from_micros(micros.parse().ok()?)?, id.to_owned()))
}

/// The whole part of a decimal number that is not negative.
fn whole_number(text: &str) -> Option<usize> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| whole.parse().unwrap_or(usize::MAX))
}

/// Refuses what narrows an answer in a way that is not understood: an ignored filter would show too much.
pub(crate) fn refuse_unknown(query: &QueryString, known: &[&str]) -> Result<(), Problem> {
    match query.unknown(known, &[]) {
        Some(name) => {
            Err(Problem::field(name, format!("there is no such parameter; this operation has: {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

/// Reads a parameter that names some of these words, once or several times, separated by commas.
pub(crate) fn words<'w>(query: &QueryString, name: &str, known: &[&'w str]) -> Result<Vec<&'w str>, Problem> {
    let asked = query.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty());
    let find = |word: &str| {
        let found = known.iter().copied().find(|known| *known == word);
        found.ok_or_else(|| Problem::field(name, format!("it must be one of {}", known.join(", "))))
    };
    asked.map(find).collect()
}

/// Reads `true` or `false`; absent is `false`.
pub(crate) fn flag(query: &QueryString, name: &str) -> Result<bool, Problem> {
    match query.one(name)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::field(name, "it must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(raw: &str) -> Result<Paging, Problem> {
        Paging::read(&QueryString::parse(Some(raw)).unwrap(), DEFAULT_SIZE, MAX_SIZE)
    }

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros).unwrap()
    }

    #[test]
    fn a_page_size_is_a_number_with_a_fraction_or_without() {
        for (raw, size) in
            [("", 10), ("pageSize=7", 7), ("pageSize=7.0", 7), ("pageSize=7.9", 7), ("pageSize=1000", 100)]
        {
            assert_eq!(paging(raw).unwrap().size, size, "{raw}");
        }
        for bad in ["0", "0.5", "-1", "x", "", "1e1", "NaN", "1.", ".5", "+1"] {
            assert!(paging(&format!("pageSize={bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_follow_each_other_until_the_last() {
        let all = [(1, "a"), (3, "c"), (2, "b"), (3, "d"), (0, "z")];
        let place_of = |(micros, id): &(i64, &str)| (at(*micros), id.to_string());
        let (mut seen, mut raw) = (Vec::new(), "pageSize=2".to_owned());
        loop {
            let paging = paging(&raw).unwrap();
            let (part, next) = cut(all.to_vec(), &paging, place_of).unwrap();
            seen.extend(part.iter().map(|(_, id)| *id));
            let Some(next) = next else { break };
            raw = format!("pageSize=2&nextToken={}", encode(&next));
        }
        assert_eq!(seen, ["d", "c", "b", "a", "z"]);
    }

    #[test]
    fn a_token_of_something_else_is_refused() {
        for token in ["!", &encode("x"), &encode("x,y"), &URL_SAFE_NO_PAD.encode([0xff])] {
            let read = paging(&format!("nextToken={token}")).and_then(|paging| paging.place().map(drop));
            assert!(read.is_err(), "{token}");
        }
        assert!(paging("nextToken=").unwrap().place().unwrap().is_none());
    }

    #[test]
    fn words_are_separated_by_commas_or_repeated() {
        let query = QueryString::parse(Some("s=A,B&s=A&t=C&u=")).unwrap();
        assert_eq!(words(&query, "s", &["A", "B"]).unwrap(), ["A", "B", "A"]);
        assert!(words(&query, "t", &["A", "B"]).is_err());
        assert_eq!(words(&query, "u", &["A"]).unwrap(), Vec::<&str>::new());
    }
}
