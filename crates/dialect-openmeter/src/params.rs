//! Query parameters with the vendor's rules and texts.

use crate::problem::Problem;
use tallystick_domain::Instant;
use tallystick_domain::id::looks_like_ulid;
use tallystick_http_kit::QueryString;

/// Where a value was given, for error texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The query string.
    Query,
    /// The JSON body.
    Body,
}

impl Place {
    /// A refusal of the value.
    pub(crate) fn refuse(self, name: &str, reason: impl AsRef<str>) -> Problem {
        match self {
            Place::Query => Problem::parameter(name, "query", reason),
            Place::Body => Problem::body(format!("Error at \"/{name}\": {}", reason.as_ref())),
        }
    }
}

/// A bound of a time range: its moment, and the text in which answers echo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub text: String,
    pub at: Instant,
}

/// Reads a date-time.
pub(crate) fn bound(place: Place, name: &str, text: Option<&str>) -> Result<Option<Bound>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let at = Instant::parse_rfc3339(text).map_err(|error| {
        // A plus sign in a query string is a space, so an offset must be encoded.
        let hint = if place == Place::Query && text.contains(' ') { "; write + as %2B" } else { "" };
        place.refuse(name, format!("{error}{hint}"))
    })?;
    Ok(Some(Bound { text: text.to_string(), at }))
}

/// Reads a date-time of the query string.
pub(crate) fn instant(query: &QueryString, name: &str) -> Result<Option<Instant>, Problem> {
    Ok(bound(Place::Query, name, query.one(name)?)?.map(|bound| bound.at))
}

/// A range of times as it was asked for; a bound that was not given is not there.
pub(crate) struct Range {
    pub from: Option<Instant>,
    pub to: Option<Instant>,
}

impl Range {
    /// Reads `from` and `to` of an operation that has no other parameters.
    pub(crate) fn read(raw: Option<&str>) -> Result<Self, Problem> {
        let query = QueryString::parse(raw)?;
        refuse_unknown(&query, &["from", "to"], &[])?;
        Ok(Self { from: instant(&query, "from")?, to: instant(&query, "to")? })
    }
}

/// Reads a whole number between `least` and `most`.
pub(crate) fn number(query: &QueryString, name: &str, least: usize, most: usize) -> Result<Option<usize>, Problem> {
    let Some(text) = query.one(name)? else { return Ok(None) };
    let refuse = |reason: String| Place::Query.refuse(name, reason);
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let value: usize = match digits {
        true => text.parse().unwrap_or(usize::MAX),
        false => return Err(refuse("value must be an integer".into())),
    };
    match value {
        value if value < least => Err(refuse(format!("number must be at least {least}"))),
        value if value > most => Err(refuse(format!("number must be at most {most}"))),
        value => Ok(Some(value)),
    }
}

/// Reads a parameter that may come several times.
pub(crate) fn texts(query: &QueryString, name: &str) -> Vec<String> {
    query.all(name).map(str::to_string).collect()
}

/// Reads `true` or `false`.
pub(crate) fn boolean(query: &QueryString, name: &str) -> Result<Option<bool>, Problem> {
    one_of(query, name, &["true", "false"]).map(|value| value.map(|text| text == "true"))
}

/// Reads one of a few words.
pub(crate) fn one_of<'q>(query: &'q QueryString, name: &str, words: &[&str]) -> Result<Option<&'q str>, Problem> {
    match query.one(name)? {
        Some(text) if !words.contains(&text) => Err(Place::Query.refuse(name, not_allowed(words))),
        value => Ok(value),
    }
}

/// The text for a value that is none of the allowed ones.
pub(crate) fn not_allowed(words: &[&str]) -> String {
    format!("value is not one of the allowed values [{}]", words.join(", "))
}

/// Reads the id under which a client watches an operation: 1 to 36 characters.
pub(crate) fn client_id(place: Place, text: Option<&str>) -> Result<Option<String>, Problem> {
    match text.map(|text| text.chars().count()) {
        Some(0) => Err(place.refuse("clientId", "minimum string length is 1")),
        Some(37..) => Err(place.refuse("clientId", "maximum string length is 36")),
        _ => Ok(text.map(str::to_owned)),
    }
}

/// Checks ids of customers.
pub(crate) fn check_ulids(place: Place, name: &str, texts: &[String]) -> Result<(), Problem> {
    let refuse = |text: &String| {
        let shown: String = text.chars().take(80).collect();
        place.refuse(name, format!("{shown:?} is not a ULID of 26 characters"))
    };
    texts.iter().find(|text| !looks_like_ulid(text)).map_or(Ok(()), |text| Err(refuse(text)))
}

/// Refuses what narrows an answer in a way that is not understood: an ignored filter would show too much.
pub(crate) fn refuse_unknown(query: &QueryString, plain: &[&str], objects: &[&str]) -> Result<(), Problem> {
    let Some(name) = query.unknown(plain, objects) else { return Ok(()) };
    let shown: String = name.chars().take(80).collect();
    let known: Vec<&str> = plain.iter().chain(objects).copied().collect();
    let reason = format!("there is no such parameter; this operation has: {}", known.join(", "));
    Err(Place::Query.refuse(&shown, reason))
}
