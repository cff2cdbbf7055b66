//! The parameters of a list, `page[…]`, `sort` and `filter[…]`, and the pages that answer them.

use super::faults::{Faults, InvalidParameter};
use crate::page::{MAX_PAGE, MAX_PAGE_SIZE, Paging};
use serde::Serialize;
use std::collections::BTreeSet;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// Items on a page unless asked otherwise.
pub(crate) const PAGE_SIZE: usize = 20;
const QUERY: &str = "query";
const MAX_VALUE: usize = 1024;

/// One condition of a filter, still in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition<'q> {
    /// As it was sent, for example `filter[key][eq]`.
    pub parameter: &'q str,
    pub field: &'q str,
    /// `None` in the short form `filter[field]=value`.
    pub operator: Option<&'q str>,
    pub value: &'q str,
}

/// What a request asks of a list.
pub(crate) struct ListQuery<'q> {
    query: &'q QueryString,
}

impl<'q> ListQuery<'q> {
    /// Notes every parameter that came twice or that no list has.
    pub(crate) fn of(query: &'q QueryString, faults: &mut Faults) -> Self {
        let mut seen = BTreeSet::new();
        for (name, value) in query.pairs() {
            if !seen.insert(name) {
                faults.add(InvalidParameter::new(name, QUERY, "invalid", "came more than once"));
            }
            if value.chars().count() > MAX_VALUE {
                faults.add(InvalidParameter::too_much(name, QUERY, "max_length", MAX_VALUE, "have characters,"));
            }
        }
        if let Some(name) = query.unknown(&["sort"], &["page", "filter"]) {
            let reason = "there is no such parameter; lists have page[…], sort and filter[…]";
            faults.add(InvalidParameter::new(name, QUERY, "unknown_property", reason));
        }
        Self { query }
    }

    /// The members of `page`; those that are not `known` are noted.
    fn page_members(&self, known: &[&str], faults: &mut Faults) -> Vec<(&'q str, &'q str)> {
        let (members, unknown): (Vec<_>, Vec<_>) =
            self.query.members("page").partition(|(name, _)| known.contains(name));
        for (name, _) in unknown {
            let reason = format!("there is no such parameter; known are: {}", known.join(", "));
            faults.add(InvalidParameter::new(format!("page[{name}]"), QUERY, "unknown_property", reason));
        }
        members
    }

    /// `page[size]` and `page[number]`.
    pub(crate) fn paging(&self, faults: &mut Faults) -> Paging {
        let members = self.page_members(&["size", "number"], faults);
        let size = number(&members, "size", MAX_PAGE_SIZE, faults).unwrap_or(PAGE_SIZE);
        let page = number(&members, "number", MAX_PAGE, faults).unwrap_or(1);
        Paging { page, size }
    }

    /// `page[size]` and `page[after]` of a list that is read forwards by a cursor.
    pub(crate) fn cursor(&self, most: usize, faults: &mut Faults) -> (usize, Option<&'q str>) {
        let (size, after, before) = self.both_cursors(most, PAGE_SIZE, faults);
        if before.is_some() {
            let reason = "pages are read forwards only: use page[after]";
            faults.add(InvalidParameter::new("page[before]", QUERY, "invalid", reason));
        }
        (size, after)
    }

    /// `page[size]`, which is `most` by default, `page[after]` and `page[before]` of a list that is read both ways.
    pub(crate) fn cursors(&self, most: usize, faults: &mut Faults) -> (usize, Option<&'q str>, Option<&'q str>) {
        self.both_cursors(most, most, faults)
    }

    fn both_cursors(
        &self,
        most: usize,
        default: usize,
        faults: &mut Faults,
    ) -> (usize, Option<&'q str>, Option<&'q str>) {
        let members = self.page_members(&["size", "after", "before"], faults);
        let value = |wanted: &str| members.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        (number(&members, "size", most, faults).unwrap_or(default), value("after"), value("before"))
    }

    /// `sort`: what to sort by, by its word or as the first of them, and whether the largest comes first.
    pub(crate) fn sort<T: Copy>(&self, words: &[(&str, T)], default: T, faults: &mut Faults) -> (T, bool) {
        let Some(text) = self.query.all("sort").next() else { return (default, false) };
        let (name, direction) = text.split_once(' ').unwrap_or((text, "asc"));
        let by = words.iter().find(|(word, _)| *word == name).map(|(_, by)| *by);
        let descending = match direction {
            "asc" => Some(false),
            "desc" => Some(true),
            _ => None,
        };
        match (by, descending) {
            (Some(by), Some(descending)) => (by, descending),
            _ => {
                let choices = words.iter().flat_map(|(word, _)| [word.to_string(), format!("{word} desc")]);
                faults.add(InvalidParameter::choice("sort", QUERY, choices.collect()));
                (default, false)
            }
        }
    }

    /// `sort` of a list that has one order, which these words name.
    pub(crate) fn one_order(&self, words: &[&str], faults: &mut Faults) {
        if self.query.all("sort").next().is_some_and(|text| !words.contains(&text)) {
            let choices = words.iter().map(|word| word.to_string()).collect();
            faults.add(InvalidParameter::choice("sort", QUERY, choices));
        }
    }

    /// The conditions of `filter`; what is no field of the list is noted.
    pub(crate) fn conditions(&self, fields: &[&str], faults: &mut Faults) -> Vec<Condition<'q>> {
        let mut conditions = Vec::new();
        for (parameter, value) in self.query.pairs() {
            let Some(inner) = parameter.strip_prefix("filter[").and_then(|rest| rest.strip_suffix(']')) else {
                continue;
            };
            let (field, operator) = match inner.split_once("][") {
                Some((field, operator)) => (field, Some(operator)),
                None => (inner, None),
            };
            match fields.contains(&field) {
                true => conditions.push(Condition { parameter, field, operator, value }),
                false => {
                    let reason = format!("there is no such filter; known are: {}", fields.join(", "));
                    faults.add(InvalidParameter::new(parameter, QUERY, "unknown_property", reason));
                }
            }
        }
        conditions
    }
}

fn number(members: &[(&str, &str)], name: &str, most: usize, faults: &mut Faults) -> Option<usize> {
    let (_, text) = members.iter().find(|(known, _)| *known == name)?;
    let field = format!("page[{name}]");
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_digit()) {
        faults.add(InvalidParameter::new(field, QUERY, "is_integer", "must be a whole number"));
        return None;
    }
    match text.parse().unwrap_or(usize::MAX) {
        0 => faults.add(InvalidParameter::too_little(&field, QUERY, "min", 1, "be")),
        value if value > most => faults.add(InvalidParameter::too_much(&field, QUERY, "max", most, "be")),
        value => return Some(value),
    }
    None
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageBody<T> {
    /// The items of this page.
    data: Vec<T>,
    /// About the page.
    meta: PageMeta,
}

/// About a page.
#[derive(Serialize, ToSchema)]
#[schema(as = V3PaginatedMeta)]
struct PageMeta {
    page: PageNumbers,
}

/// Which page it is.
#[derive(Serialize, ToSchema)]
#[schema(as = V3PageMeta)]
struct PageNumbers {
    /// This page, from 1.
    number: usize,
    /// Items on a page.
    size: usize,
    /// Items on all pages.
    total: u64,
}

impl<T> PageBody<T> {
    pub(crate) fn new(paging: Paging, total: u64, data: Vec<T>) -> Self {
        Self { data, meta: PageMeta { page: PageNumbers { number: paging.page, size: paging.size, total } } }
    }
}

/// A page of a list that is read by a cursor.
#[derive(Serialize, ToSchema)]
pub(crate) struct CursorBody<T> {
    /// The items of this page.
    data: Vec<T>,
    /// About the page.
    meta: CursorMeta,
}

/// About a page.
#[derive(Serialize, ToSchema)]
#[schema(as = V3CursorMeta)]
struct CursorMeta {
    page: Cursors,
}

/// Where the pages around it begin.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = V3CursorMetaPage)]
pub(crate) struct Cursors {
    /// The place of the first item; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The place of the last item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// What to send as `page[after]` for the next page; null on the last.
    pub next: Option<String>,
    /// What to send as `page[before]` for the page before; null on the first, and where pages are read forwards only.
    pub previous: Option<String>,
    /// Items on a page.
    pub size: usize,
}

impl<T> CursorBody<T> {
    pub(crate) fn new(page: Cursors, data: Vec<T>) -> Self {
        Self { data, meta: CursorMeta { page } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    fn read<T>(raw: &str, ask: impl Fn(&ListQuery<'_>, &mut Faults) -> T) -> Result<T, Vec<(String, &'static str)>> {
        let query = QueryString::parse(Some(raw)).unwrap();
        let mut faults = Faults::default();
        let asked = ask(&ListQuery::of(&query, &mut faults), &mut faults);
        faults
            .none_in(Some(asked))
            .map_err(|problem: Problem| problem.parameters.into_iter().map(|fault| (fault.field, fault.rule)).collect())
    }

    #[test]
    fn pages_are_counted_from_one() {
        let paging = |raw: &str| read(raw, |list, faults| list.paging(faults));
        assert_eq!(paging("").unwrap(), Paging { page: 1, size: 20 });
        assert_eq!(paging("page[size]=7&page%5Bnumber%5D=3").unwrap(), Paging { page: 3, size: 7 });
        for (raw, field, rule) in [
            ("page[size]=0", "page[size]", "min"),
            ("page[size]=1001", "page[size]", "max"),
            ("page[size]=x", "page[size]", "is_integer"),
            ("page[number]=-1", "page[number]", "is_integer"),
            ("page[after]=x", "page[after]", "unknown_property"),
            ("page=1", "page", "unknown_property"),
            ("pageSize=1", "pageSize", "unknown_property"),
            ("page[size]=1&page[size]=2", "page[size]", "invalid"),
        ] {
            assert_eq!(paging(raw).unwrap_err(), [(field.to_string(), rule)], "{raw}");
        }
        let both = paging("page[size]=0&page[number]=0&x=1").unwrap_err();
        assert_eq!(both.len(), 3, "{both:?}");
    }

    #[test]
    fn the_default_is_sorted_by_unless_a_word_says_otherwise() {
        let sort = |raw: &str| read(raw, |list, faults| list.sort(&[("key", 1), ("name", 2)], 2, faults));
        assert_eq!(sort("").unwrap(), (2, false));
        assert_eq!(sort("sort=key").unwrap(), (1, false));
        assert_eq!(sort("sort=key+desc").unwrap(), (1, true));
        assert_eq!(sort("sort=name%20asc").unwrap(), (2, false));
        for bad in ["sort=", "sort=id", "sort=key+up", "sort=key++desc", "sort=key,name", "sort=-key"] {
            assert_eq!(sort(bad).unwrap_err(), [("sort".to_string(), "enum")], "{bad}");
        }
    }

    #[test]
    fn conditions_name_a_field_and_perhaps_an_operator() {
        let conditions = |raw: &str| {
            read(raw, |list, faults| {
                let found = list.conditions(&["key"], faults).into_iter();
                found.map(|one| (one.operator.map(str::to_string), one.value.to_string())).collect::<Vec<_>>()
            })
        };
        let some = |text: &str| Some(text.to_string());
        assert_eq!(conditions("filter[key]=a").unwrap(), [(None, "a".to_string())]);
        assert_eq!(
            conditions("filter[key][gte]=a&filter[key][lt]=b").unwrap(),
            [(some("gte"), "a".to_string()), (some("lt"), "b".to_string())]
        );
        for bad in ["filter[name]=a", "filter=a", "filter[key=a", "filter[labels.env]=a"] {
            assert_eq!(conditions(bad).unwrap_err().len(), 1, "{bad}");
        }
    }
}
