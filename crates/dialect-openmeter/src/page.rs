//! Pages and their order, as every list of the vendor's takes them: `page`, `pageSize`, `order`, `orderBy`.

use crate::params::{number, one_of};
use crate::problem::Problem;
use serde::Serialize;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// The last page that can be asked for: the largest number of the document's int64.
pub(crate) const MAX_PAGE: usize = i64::MAX as usize;
/// The most items on a page.
pub(crate) const MAX_PAGE_SIZE: usize = 1000;
pub(crate) const DEFAULT_PAGE_SIZE: usize = 100;

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    /// From 1.
    pub page: usize,
    /// Items on a page.
    pub size: usize,
}

impl Paging {
    /// Reads `page` and `pageSize`; `None` when neither was sent.
    pub(crate) fn read(query: &QueryString) -> Result<Option<Self>, Problem> {
        let page = number(query, "page", 1, MAX_PAGE)?;
        let size = number(query, "pageSize", 1, MAX_PAGE_SIZE)?;
        let asked = page.is_some() || size.is_some();
        Ok(asked.then(|| Self { page: page.unwrap_or(1), size: size.unwrap_or(DEFAULT_PAGE_SIZE) }))
    }

    /// How many items come before the page; a page beyond everything that can be counted is as empty as any.
    pub(crate) fn offset(self) -> u32 {
        bounded((self.page - 1).saturating_mul(self.size))
    }

    /// How many items it has at most.
    pub(crate) fn limit(self) -> u32 {
        bounded(self.size)
    }
}

impl Default for Paging {
    fn default() -> Self {
        Self { page: 1, size: DEFAULT_PAGE_SIZE }
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A page.
    Page(Paging),
    /// So many items behind so many.
    Slice {
        /// How many items come before.
        offset: u32,
        /// How many items it has at most.
        limit: u32,
    },
}

impl Part {
    /// The parameters that it is read from.
    pub(crate) const NAMES: [&'static str; 4] = ["page", "pageSize", "offset", "limit"];

    /// Reads `page` and `pageSize`, or else `offset` and `limit`; `None` when none of them was sent. What is not used is checked all
    /// the same.
    pub(crate) fn read(query: &QueryString) -> Result<Option<Self>, Problem> {
        let paging = Paging::read(query)?;
        let (offset, limit) = (number(query, "offset", 0, MAX_PAGE)?, number(query, "limit", 1, MAX_PAGE_SIZE)?);
        let asked = offset.is_some() || limit.is_some();
        let slice = asked.then(|| Self::Slice {
            offset: bounded(offset.unwrap_or(0)),
            limit: bounded(limit.unwrap_or(DEFAULT_PAGE_SIZE)),
        });
        Ok(paging.map(Self::Page).or(slice))
    }

    /// The beginning, as a list without pages shows it.
    pub(crate) fn first() -> Self {
        Self::Slice { offset: 0, limit: bounded(DEFAULT_PAGE_SIZE) }
    }

    /// How many items come before it.
    pub(crate) fn offset(self) -> u32 {
        match self {
            Self::Page(paging) => paging.offset(),
            Self::Slice { offset, .. } => offset,
        }
    }

    /// How many items it has at most.
    pub(crate) fn limit(self) -> u32 {
        match self {
            Self::Page(paging) => paging.limit(),
            Self::Slice { limit, .. } => limit,
        }
    }

    /// The page that it is; what is no page has zeros.
    pub(crate) fn paging(self) -> Paging {
        match self {
            Self::Page(paging) => paging,
            Self::Slice { .. } => Paging { page: 0, size: 0 },
        }
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::Page(Paging::default())
    }
}

/// A list, or a page of it where one was asked for.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ListBody<T> {
    /// The items.
    All(Vec<T>),
    /// A page of them.
    Page(PageBody<T>),
}

impl<T> ListBody<T> {
    /// The part that was asked for.
    pub(crate) fn new(part: Part, total_count: u64, items: Vec<T>) -> Self {
        match part {
            Part::Page(paging) => Self::Page(PageBody::new(paging, total_count, items)),
            Part::Slice { .. } => Self::All(items),
        }
    }
}

/// A number of items as the engine takes it.
pub(crate) fn bounded(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// Reads `order` and `orderBy`: what to sort by, by its word or as the first of them, and whether the largest comes first.
pub(crate) fn sorting<T: Copy>(query: &QueryString, words: &[(&str, T)]) -> Result<(T, bool), Problem> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let asked = one_of(query, "orderBy", &names)?;
    let by = words.iter().find(|(name, _)| asked.is_none_or(|asked| asked == *name)).map(|(_, by)| *by);
    let descending = one_of(query, "order", &["ASC", "DESC"])? == Some("DESC");
    Ok((by.ok_or_else(|| Problem::bad_request("there is nothing to sort by"))?, descending))
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageBody<T> {
    /// Items on a page.
    page_size: usize,
    /// This page, from 1.
    page: usize,
    /// Items on all pages.
    total_count: u64,
    /// The items of this page.
    items: Vec<T>,
}

impl<T> PageBody<T> {
    /// The page that was asked for.
    pub(crate) fn new(paging: Paging, total_count: u64, items: Vec<T>) -> Self {
        Self { page_size: paging.size, page: paging.page, total_count, items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> QueryString {
        QueryString::parse(Some(raw)).unwrap()
    }

    #[test]
    fn pages_are_counted_from_one_and_never_overflow() {
        let read = |raw: &str| Paging::read(&query(raw));
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("page=3").unwrap(), Some(Paging { page: 3, size: 100 }));
        let third = read("page=3&pageSize=7").unwrap().unwrap();
        assert_eq!((third.offset(), third.limit()), (14, 7));
        assert_eq!(read("page=9223372036854775807&pageSize=1000").unwrap().unwrap().offset(), u32::MAX);
        for bad in [
            "page=0",
            "page=-1",
            "page=x",
            "page=",
            "pageSize=0",
            "pageSize=1001",
            "page=1&page=2",
            "page=9223372036854775808",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_win_over_slices_which_show_no_page() {
        let read = |raw: &str| Part::read(&query(raw));
        assert_eq!(read("").unwrap(), None);
        let slice = read("limit=2&offset=1").unwrap().unwrap();
        assert_eq!((slice.offset(), slice.limit(), slice.paging()), (1, 2, Paging { page: 0, size: 0 }));
        assert_eq!(read("offset=3").unwrap(), Some(Part::Slice { offset: 3, limit: 100 }));
        assert_eq!(read("page=2&limit=7").unwrap(), Some(Part::Page(Paging { page: 2, size: 100 })));
        for bad in ["limit=0", "limit=1001", "offset=-1", "page=1&limit=x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_word_is_what_lists_are_sorted_by() {
        let words = [("key", 1), ("name", 2)];
        assert_eq!(sorting(&query(""), &words).unwrap(), (1, false));
        assert_eq!(sorting(&query("orderBy=name&order=DESC"), &words).unwrap(), (2, true));
        for bad in ["orderBy=id", "orderBy=", "order=desc", "order=ASC&order=ASC"] {
            assert!(sorting(&query(bad), &words).is_err(), "{bad}");
        }
    }
}
