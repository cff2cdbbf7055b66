//! Conditions of listings as SQL: every part of the text is ours, and what the user wrote is bound.

use crate::StateStore;
use crate::column::text;
use crate::error::{StateError, failed};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use tallystick_domain::Namespace;
use tallystick_domain::search::TextCondition;

/// The most texts that one query is given: SQLite takes 32,766 values, PostgreSQL 65,535.
pub(crate) const VALUES_A_QUERY: usize = 10_000;

/// The rows of a namespace that a listing wants.
pub(crate) struct Wanted {
    namespace: String,
    sql: String,
    values: Vec<String>,
}

/// Which of the wanted rows are on the page.
pub(crate) struct Part {
    /// What the rows are sorted by; ties are sorted by id.
    pub column: &'static str,
    pub descending: bool,
    pub offset: u32,
    pub limit: u32,
}

impl Wanted {
    /// All rows of a namespace.
    pub(crate) fn of(ns: &Namespace) -> Self {
        Self { namespace: ns.as_str().to_owned(), sql: "WHERE namespace = $1".into(), values: vec![] }
    }

    /// Only rows for which this holds.
    pub(crate) fn and(&mut self, sql: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(sql);
    }

    /// Only rows whose column meets a condition.
    pub(crate) fn text(&mut self, column: &str, condition: &TextCondition) {
        let sql = self.of_column(column, condition);
        self.and(&sql);
    }

    /// Only rows of which one of their texts in another table meets a condition. `rows` selects their ids there.
    pub(crate) fn one_of_its(&mut self, rows: &str, column: &str, condition: &TextCondition) {
        // Not to be a text, and not to be there, is said of all of them.
        let (not, said_of_one) = match condition {
            TextCondition::IsNot(unwanted) => ("NOT ", TextCondition::Is(unwanted.clone())),
            TextCondition::Present(false) => ("NOT ", TextCondition::Present(true)),
            other => ("", other.clone()),
        };
        let inner = self.of_column(column, &said_of_one);
        self.and(&format!("id {not}IN ({rows} AND {inner})"));
    }

    /// Only rows of which one of these columns meets a condition.
    pub(crate) fn either<const N: usize>(&mut self, columns: [&str; N], condition: &TextCondition) {
        let parts = columns.map(|column| self.of_column(column, condition));
        self.and(&format!("({})", parts.join(" OR ")));
    }

    /// Only rows whose column is the id of a row of another table, of which one of these columns meets a condition. `rows` selects
    /// these ids.
    pub(crate) fn whose<const N: usize>(
        &mut self,
        column: &str,
        rows: &str,
        columns: [&str; N],
        condition: &TextCondition,
    ) {
        let parts = columns.map(|column| self.of_column(column, condition));
        self.and(&format!("{column} IN ({rows} AND ({}))", parts.join(" OR ")));
    }

    fn of_column(&mut self, column: &str, condition: &TextCondition) -> String {
        let bytes = format!(r#"{column} COLLATE "binary""#);
        match condition {
            TextCondition::Is(wanted) => format!("{bytes} = {}", self.bind(wanted)),
            TextCondition::IsNot(unwanted) => format!("({column} IS NULL OR {bytes} <> {})", self.bind(unwanted)),
            TextCondition::OneOf(wanted) if wanted.is_empty() => "1 = 0".into(),
            TextCondition::OneOf(wanted) => {
                let places: Vec<_> = wanted.iter().map(|one| self.bind(one)).collect();
                format!("{bytes} IN ({})", places.join(", "))
            }
            TextCondition::Contains(part) => {
                let place = self.bind_stored(containing(part));
                // By bytes on both sides: lowered by a language's rules on one side only, "É" would not be part of "É".
                format!(r#"LOWER({bytes}) LIKE LOWER({place} COLLATE "binary") ESCAPE '!'"#)
            }
            TextCondition::Above(bound) => format!("{bytes} > {}", self.bind(bound)),
            TextCondition::AtLeast(bound) => format!("{bytes} >= {}", self.bind(bound)),
            TextCondition::Below(bound) => format!("{bytes} < {}", self.bind(bound)),
            TextCondition::AtMost(bound) => format!("{bytes} <= {}", self.bind(bound)),
            TextCondition::Present(true) => format!("{column} IS NOT NULL"),
            TextCondition::Present(false) => format!("{column} IS NULL"),
            TextCondition::Any(conditions) => {
                let parts: Vec<_> = conditions.iter().map(|one| self.of_column(column, one)).collect();
                if parts.is_empty() { "1 = 0".into() } else { format!("({})", parts.join(" OR ")) }
            }
        }
    }

    fn bind(&mut self, value: &str) -> String {
        self.bind_stored(text(value))
    }

    fn bind_stored(&mut self, value: String) -> String {
        self.values.push(value);
        format!("${}", self.values.len() + 1)
    }

    /// All the rows, in no order. `select` names the columns and the table.
    pub(crate) async fn all(self, store: &StateStore, select: &str) -> Result<Vec<AnyRow>, StateError> {
        let sql = format!("{select} {}", self.sql);
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(self.namespace);
        for value in self.values {
            query = query.bind(value);
        }
        query.fetch_all(&store.pool).await.map_err(failed)
    }

    /// The rows of a page of a table, and how many there are on all pages. `select` names the columns and the table.
    pub(crate) async fn page(
        self,
        store: &StateStore,
        table: &str,
        select: &str,
        part: Part,
    ) -> Result<(Vec<AnyRow>, u64), StateError> {
        let Part { column, descending, offset, limit } = part;
        let direction = if descending { "DESC" } else { "ASC" };
        let wanted = &self.sql;
        let page =
            format!("{select} {wanted} ORDER BY {column} {direction}, id {direction} LIMIT {limit} OFFSET {offset}");
        let count = format!("SELECT COUNT(*) AS total FROM {table} {wanted}");
        let mut page_query = sqlx::query(AssertSqlSafe(page)).bind(self.namespace.clone());
        let mut count_query = sqlx::query(AssertSqlSafe(count)).bind(self.namespace);
        for value in self.values {
            page_query = page_query.bind(value.clone());
            count_query = count_query.bind(value);
        }
        let rows = page_query.fetch_all(&store.pool).await.map_err(failed)?;
        let counted = count_query.fetch_one(&store.pool).await.map_err(failed)?;
        let total: i64 = counted.try_get("total").map_err(failed)?;
        Ok((rows, u64::try_from(total).unwrap_or(0)))
    }
}

/// A pattern for texts that hold this part; `!` takes the next character literally.
fn containing(part: &str) -> String {
    let literal = text(part).replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{literal}%")
}
