//! Lists: `limit`, `offset` and `sort`, and the page that comes back.

use crate::problem::Problem;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const MAX_LIMIT: u32 = 100;
const DEFAULT_LIMIT: u32 = 20;
/// The largest place in a list that can be asked for: the largest number of the document's int32.
pub(crate) const MAX_PLACE: u32 = i32::MAX as u32;

/// Which part of a list is wanted, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listing<F> {
    /// At most so many.
    pub limit: u32,
    /// Behind so many.
    pub offset: u32,
    /// What to sort by; ties are sorted by id.
    pub field: F,
    /// Largest first.
    pub descending: bool,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListBody<T> {
    /// The items.
    data: Vec<T>,
    /// Which part of the list they are.
    pagination: Pagination,
}

/// Which part of a list a page is.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiPagination)]
pub(crate) struct Pagination {
    /// The most items on the page.
    limit: u32,
    /// How many come before it.
    offset: u32,
    /// How many there are on all pages.
    total: u64,
}

impl<F: Copy> Listing<F> {
    /// Reads the parameters of a list. The first of `fields` is what lists are sorted by unless something else is asked for, the
    /// largest first. Other parameters, of which `known` names some, are an error.
    pub(crate) fn read(query: &QueryString, fields: &[(&str, F)], known: &[&str]) -> Result<Self, Problem> {
        if let Some(unknown) = query.unknown(&[&["limit", "offset", "sort"], known].concat(), &[]) {
            let shown: String = unknown.chars().take(80).collect();
            return Err(Problem::field(&shown, "is no parameter of this list"));
        }
        let limit = number(query, "limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
        let offset = number(query, "offset", 0, MAX_PLACE)?.unwrap_or(0);
        let (field, descending) = match query.one("sort")? {
            None => (fields[0].1, true),
            Some(text) => sorting(text, fields)?,
        };
        Ok(Self { limit, offset, field, descending })
    }

    /// Sorts a whole list and cuts the page out of it. `compare` compares two items by a field, and `id` is what tells them apart.
    pub(crate) fn page<T, I: Ord>(
        &self,
        mut all: Vec<T>,
        compare: impl Fn(F, &T, &T) -> Ordering,
        id: impl Fn(&T) -> I,
    ) -> (Vec<T>, u64) {
        let total = all.len() as u64;
        all.sort_by(|left, right| {
            let order = compare(self.field, left, right).then_with(|| id(left).cmp(&id(right)));
            if self.descending { order.reverse() } else { order }
        });
        let page = all.into_iter().skip(self.offset as usize).take(self.limit as usize);
        (page.collect(), total)
    }

    /// The body of a page.
    pub(crate) fn body<T>(&self, data: Vec<T>, total: u64) -> ListBody<T> {
        ListBody { data, pagination: Pagination { limit: self.limit, offset: self.offset, total } }
    }
}

fn sorting<F: Copy>(text: &str, fields: &[(&str, F)]) -> Result<(F, bool), Problem> {
    let (name, direction) = text.split_once(':').unwrap_or((text, "asc"));
    let field = fields.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
    let descending = match direction {
        "asc" => Some(false),
        "desc" => Some(true),
        _ => None,
    };
    field.zip(descending).ok_or_else(|| {
        let known: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        Problem::field("sort", format!("must be field:direction, with a field of {} and asc or desc", known.join(", ")))
    })
}

/// A whole number in a query.
pub(crate) fn number(query: &QueryString, name: &str, least: u32, most: u32) -> Result<Option<u32>, Problem> {
    let Some(text) = query.one(name)? else { return Ok(None) };
    let is_digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let value = text.parse::<u32>().ok().filter(|value| is_digits && (least..=most).contains(value));
    let message =
        || Problem::fields(BTreeMap::from([(name.into(), format!("must be a number from {least} to {most}"))]));
    value.map(Some).ok_or_else(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<Listing<u8>, Problem> {
        let query = QueryString::parse(Some(raw)).unwrap();
        Listing::read(&query, &[("created_at", 1), ("name", 2)], &["customer_id"])
    }

    #[test]
    fn the_documented_forms_are_read_and_nothing_else() {
        let default = Listing { limit: 20, offset: 0, field: 1, descending: true };
        assert_eq!(read("").unwrap(), default);
        assert_eq!(
            read("limit=100&offset=7&sort=name%3Aasc&customer_id=x").unwrap(),
            Listing { limit: 100, offset: 7, field: 2, descending: false }
        );
        assert_eq!(read("sort=name").unwrap(), Listing { field: 2, descending: false, ..default });
        for bad in [
            "limit=0",
            "limit=101",
            "limit=+5",
            "limit=",
            "offset=-1",
            "offset=2147483648",
            "sort=x:asc",
            "sort=name:up",
            "sort=",
            "page=1",
            "limit=1&limit=2",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_follow_each_other_and_ties_are_sorted_by_id() {
        let all = vec![(1, 'b'), (2, 'a'), (1, 'a'), (3, 'a')];
        let part = |offset, descending| {
            let listing = Listing { limit: 2, offset, field: (), descending };
            listing.page(all.clone(), |(), left, right| left.0.cmp(&right.0), |item| item.1)
        };
        assert_eq!(part(0, false), (vec![(1, 'a'), (1, 'b')], 4));
        assert_eq!(part(2, false), (vec![(2, 'a'), (3, 'a')], 4));
        assert_eq!(part(1, true), (vec![(2, 'a'), (1, 'b')], 4));
        assert_eq!(part(4, true), (vec![], 4));
    }
}
