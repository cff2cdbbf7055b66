//! Everything that is wrong with a request, collected before it is refused.

use crate::door::PathTexts;
use crate::json;
use crate::problem::Problem;
use crate::v3::check;
use axum::extract::Request;
use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tallystick_http_kit::HttpLimits;
use utoipa::ToSchema;

/// How many faults of a request are named, so that a small request makes no huge answer.
const MAX_FAULTS: usize = 100;
/// How many of them the detail repeats.
const FAULTS_IN_DETAIL: usize = 5;

/// One thing that is wrong with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = V3InvalidParameter)]
pub struct InvalidParameter {
    /// The field or parameter at fault, for example `dimensions.model` or `filter[key]`.
    pub field: String,
    /// A stable word for the rule that it breaks, for example `required`.
    #[schema(value_type = String)]
    pub rule: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
    /// Where it is: `path`, `query` or `body`.
    #[schema(value_type = String)]
    pub source: &'static str,
    /// What is allowed, when the rule is `enum`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The least that is allowed, for rules that begin with `min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u64>,
    /// The most that is allowed, for rules that begin with `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u64>,
}

impl InvalidParameter {
    /// A fault; names that are longer than any name are cut.
    pub fn new(field: impl AsRef<str>, source: &'static str, rule: &'static str, reason: impl Into<String>) -> Self {
        let field = field.as_ref().chars().take(200).collect();
        Self { field, rule, reason: reason.into(), source, ..Self::default() }
    }

    /// A value that is none of the allowed ones.
    pub(crate) fn choice(field: &str, source: &'static str, choices: Vec<String>) -> Self {
        let reason = format!("must be one of: {}", choices.join(", "));
        Self { choices, ..Self::new(field, source, "enum", reason) }
    }

    /// Less than the least.
    pub(crate) fn too_little(
        field: &str,
        source: &'static str,
        rule: &'static str,
        minimum: usize,
        what: &str,
    ) -> Self {
        let reason = format!("must {what} at least {minimum}");
        Self { minimum: Some(minimum as u64), ..Self::new(field, source, rule, reason) }
    }

    /// More than the most.
    pub(crate) fn too_much(field: &str, source: &'static str, rule: &'static str, maximum: usize, what: &str) -> Self {
        let reason = format!("must {what} at most {maximum}");
        Self { maximum: Some(maximum as u64), ..Self::new(field, source, rule, reason) }
    }
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<InvalidParameter>);

impl Faults {
    pub(crate) fn add(&mut self, fault: InvalidParameter) {
        if !self.is_full() {
            self.0.push(fault);
        }
    }

    /// Whether no further fault would be named.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MAX_FAULTS
    }

    /// Takes over what a reader of the first versions found wrong; other refusals are passed on.
    pub(crate) fn absorb<T>(&mut self, read: Result<T, Problem>) -> Result<Option<T>, Problem> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(problem) if problem.status == StatusCode::BAD_REQUEST && !problem.parameters.is_empty() => {
                problem.parameters.into_iter().for_each(|fault| self.add(fault));
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// The id that the path names: things are addressed by their ULID and by nothing else.
    pub(crate) fn id(&mut self, path: &PathTexts, name: &str) -> String {
        let text = path.raw(name);
        if !is_ulid(text) {
            self.add(InvalidParameter::new(
                name,
                "path",
                "matches_regex",
                "must be a ULID of 26 capital letters and digits",
            ));
        }
        text.to_string()
    }

    /// The body, when its form is as the document says.
    pub(crate) async fn body<T: DeserializeOwned + ToSchema>(
        &mut self,
        request: Request,
        limits: &HttpLimits,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.absorb(json::read_object(request, limits).await)? else { return Ok(None) };
        let before = self.0.len();
        check::body::<T>(&value, self);
        if self.0.len() > before {
            return Ok(None);
        }
        match serde_json::from_value(value) {
            Ok(body) => Ok(Some(body)),
            Err(error) => {
                self.add(InvalidParameter::new("body", "body", "invalid", error.to_string()));
                Ok(None)
            }
        }
    }

    /// The value that was read, unless anything is wrong.
    pub(crate) fn none_in<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.into()),
        }
    }
}

/// The id that the path of a request without other parts names.
pub(crate) fn id_of(path: &PathTexts, name: &str) -> Result<String, Problem> {
    let mut faults = Faults::default();
    let id = faults.id(path, name);
    faults.none_in(Some(id))
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        Problem::bad_request(in_words(&faults.0)).with_parameters(faults.0)
    }
}

/// The first faults in words.
pub(crate) fn in_words(faults: &[InvalidParameter]) -> String {
    let mut words: Vec<_> =
        faults.iter().take(FAULTS_IN_DETAIL).map(|fault| format!("{}: {}", fault.field, fault.reason)).collect();
    if faults.len() > FAULTS_IN_DETAIL {
        words.push(format!("and {} more, see invalid_parameters", faults.len() - FAULTS_IN_DETAIL));
    }
    words.join("; ")
}

/// Whether a text is a ULID as this version writes it, in capital letters.
pub(crate) fn is_ulid(text: &str) -> bool {
    tallystick_domain::id::looks_like_ulid(text) && !text.bytes().any(|c| c.is_ascii_lowercase())
}
