//! Customers at rest, and the event subjects that are theirs.

use crate::aliases;
use crate::column::{self, Columns, text};
use crate::entitlements;
use crate::error::{StateError, conflict_or_failed, failed};
use crate::outbox::{Change, Entity, Write};
use crate::search::{self, Part, Wanted};
use crate::subjects;
use crate::{StateStore, Writer};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::customer::{Address, Customer};
use tallystick_domain::search::TextCondition;
use tallystick_domain::subject::Subject;
use tallystick_domain::{CustomerId, Namespace};

const INSERT: &str = "INSERT INTO customers (namespace, id, key, name, description, primary_email, currency, \
     billing_address, metadata, subject_keys, created_at, updated_at, deleted_at, details) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

const UPDATE: &str = "UPDATE customers SET key = $3, name = $4, description = $5, primary_email = $6, currency = $7, \
     billing_address = $8, metadata = $9, subject_keys = $10, created_at = $11, updated_at = $12, deleted_at = $13, \
     details = $14 \
     WHERE namespace = $1 AND id = $2";

/// Which customers to list.
#[derive(Clone, Debug, Default)]
pub struct CustomerListing {
    /// Conditions on texts; all must hold.
    pub conditions: Vec<(CustomerText, TextCondition)>,
    /// Deleted ones too.
    pub include_deleted: bool,
    /// What to sort by; ties are sorted by id.
    pub order: CustomerOrder,
    /// Largest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: u32,
    /// How many to give at most.
    pub limit: u32,
}

/// A text of a customer that can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomerText {
    /// The key.
    Key,
    /// The name.
    Name,
    /// The primary email.
    PrimaryEmail,
    /// The subject keys of a live customer, of which one must meet the condition.
    SubjectKey,
}

/// What customers are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CustomerOrder {
    /// Name, by its bytes.
    #[default]
    Name,
    /// Identity.
    Id,
    /// Creation.
    CreatedAt,
    /// Last change.
    UpdatedAt,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, key, name, description, primary_email, currency, billing_address, metadata, subject_keys, ",
            "created_at, updated_at, deleted_at, details FROM customers ",
            $rest
        )
    };
}

impl StateStore {
    /// Stores a new customer with its subjects. [`StateError::Conflict`] names the live customer that has its key or one
    /// of its subjects. Of `descriptions`, those are stored whose subjects have none.
    pub async fn insert_customer(
        &self,
        by: Writer<'_>,
        customer: &Customer,
        descriptions: &[Subject],
    ) -> Result<(), StateError> {
        let write = Write::begin(self, by).await?;
        self.add_customer(write, by.namespace(), customer, descriptions).await
    }

    /// As [`StateStore::insert_customer`], as the end of a transaction.
    pub(crate) async fn add_customer(
        &self,
        mut write: Write,
        ns: &Namespace,
        customer: &Customer,
        descriptions: &[Subject],
    ) -> Result<(), StateError> {
        self.check_key(&mut write, ns, customer).await?;
        bound(INSERT, ns, customer).execute(&mut *write.tx).await.map_err(|error| conflict(error, ns, customer))?;
        link_subjects(&mut write, ns, customer).await?;
        subjects::describe_missing(&mut write, ns, descriptions).await?;
        write.commit(Entity::Customer, &customer.id.to_string(), Change::Created, customer.created_at).await
    }

    /// Replaces the whole row of a customer and its subjects; setting `deleted_at` deletes it and frees them, which is
    /// [`StateError::Refused`] while it has entitlements. Of `descriptions`, those are stored whose subjects have none.
    pub async fn update_customer(
        &self,
        by: Writer<'_>,
        customer: &Customer,
        descriptions: &[Subject],
    ) -> Result<(), StateError> {
        let write = Write::begin(self, by).await?;
        self.replace_customer(write, by.namespace(), customer, descriptions).await
    }

    /// As [`StateStore::update_customer`], as the end of a transaction.
    pub(crate) async fn replace_customer(
        &self,
        mut write: Write,
        ns: &Namespace,
        customer: &Customer,
        descriptions: &[Subject],
    ) -> Result<(), StateError> {
        let id = customer.id.to_string();
        if customer.deleted_at.is_none() {
            self.check_key(&mut write, ns, customer).await?;
        }
        if let Some(at) = customer.deleted_at {
            entitlements::check_none_in_force(&mut write, ns, customer.id, at).await?;
        }
        let updated = bound(UPDATE, ns, customer).execute(&mut *write.tx).await;
        if updated.map_err(|error| conflict(error, ns, customer))?.rows_affected() == 0 {
            return Err(StateError::NotFound { what: format!("a customer with the id {id} in namespace {ns}") });
        }
        sqlx::query("DELETE FROM customer_subjects WHERE namespace = $1 AND customer_id = $2")
            .bind(ns.as_str())
            .bind(&id)
            .execute(&mut *write.tx)
            .await
            .map_err(failed)?;
        let (change, at) = match customer.deleted_at {
            Some(at) => (Change::Deleted, at),
            None => (Change::Updated, customer.updated_at),
        };
        if customer.deleted_at.is_none() {
            link_subjects(&mut write, ns, customer).await?;
        }
        subjects::describe_missing(&mut write, ns, descriptions).await?;
        write.commit(Entity::Customer, &id, change, at).await
    }

    /// The customer with this id, deleted ones too.
    pub async fn get_customer(&self, ns: &Namespace, id: CustomerId) -> Result<Option<Customer>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND id = $2")).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The customers with these ids, deleted ones too, in no order.
    pub async fn customers_with_ids(
        &self,
        ns: &Namespace,
        ids: impl IntoIterator<Item = CustomerId>,
    ) -> Result<Vec<Customer>, StateError> {
        let mut wanted = Wanted::of(ns);
        wanted.text("id", &TextCondition::OneOf(ids.into_iter().map(|id| id.to_string()).collect()));
        wanted.all(self, select!("")).await?.iter().map(read).collect()
    }

    /// The live customers that have one of these keys, in no order.
    pub async fn customers_with_keys(&self, ns: &Namespace, keys: Vec<String>) -> Result<Vec<Customer>, StateError> {
        let mut wanted = Wanted::of(ns);
        wanted.and("deleted_at IS NULL");
        wanted.text("key", &TextCondition::OneOf(keys));
        wanted.all(self, select!("")).await?.iter().map(read).collect()
    }

    /// The live customer with this key.
    pub async fn find_customer(&self, ns: &Namespace, key: &str) -> Result<Option<Customer>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND key = $2 AND deleted_at IS NULL"));
        let row = query.bind(ns.as_str()).bind(text(key)).fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// A page of customers, and how many there are on all pages.
    pub async fn list_customers(
        &self,
        ns: &Namespace,
        listing: &CustomerListing,
    ) -> Result<(Vec<Customer>, u64), StateError> {
        const SUBJECTS_OF: &str = "SELECT customer_id FROM customer_subjects WHERE namespace = $1";
        let mut wanted = Wanted::of(ns);
        if !listing.include_deleted {
            wanted.and("deleted_at IS NULL");
        }
        for (searched, condition) in &listing.conditions {
            match searched {
                CustomerText::Key => wanted.text("key", condition),
                CustomerText::Name => wanted.text("name", condition),
                CustomerText::PrimaryEmail => wanted.text("primary_email", condition),
                CustomerText::SubjectKey => wanted.one_of_its(SUBJECTS_OF, "subject_key", condition),
            }
        }
        let (column, descending) = (listing.order.column(), listing.descending);
        let part = Part { column, descending, offset: listing.offset, limit: listing.limit };
        let (rows, total) = wanted.page(self, "customers", select!(""), part).await?;
        Ok((rows.iter().map(read).collect::<Result<_, _>>()?, total))
    }

    /// The live customers that these event subjects belong to, as [`StateStore::find_subject_owner`] says of each; subjects of
    /// nobody are left out.
    pub async fn subject_owners(
        &self,
        ns: &Namespace,
        subjects: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, CustomerId>, StateError> {
        let mut owners = self.owners_by_name(ns, subjects).await?;
        let others = subjects.iter().filter(|subject| !owners.contains_key(*subject)).cloned().collect();
        let aliases = self.aliases_named(ns, others).await?;
        let of_aliases = aliases.iter().map(|alias| alias.subject.clone()).collect();
        let of_aliases = self.owners_by_name(ns, &of_aliases).await?;
        owners.extend(aliases.into_iter().filter_map(|alias| Some((alias.name, *of_aliases.get(&alias.subject)?))));
        Ok(owners)
    }

    /// The live customers that have these subjects as their key or among their subject keys.
    async fn owners_by_name(
        &self,
        ns: &Namespace,
        subjects: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, CustomerId>, StateError> {
        const LINKS: &str = "SELECT subject_key AS subject, customer_id AS id FROM customer_subjects";
        const KEYS: &str = "SELECT key AS subject, id FROM customers";
        let mut owners = BTreeMap::new();
        let subjects: Vec<&String> = subjects.iter().collect();
        for part in subjects.chunks(search::VALUES_A_QUERY) {
            let of_part = || TextCondition::OneOf(part.iter().map(|subject| subject.to_string()).collect());
            let (mut links, mut keys) = (Wanted::of(ns), Wanted::of(ns));
            links.text("subject_key", &of_part());
            keys.and("deleted_at IS NULL");
            keys.text("key", &of_part());
            // Keys come last, as they go before subject keys.
            for row in links.all(self, LINKS).await?.iter().chain(&keys.all(self, KEYS).await?) {
                let columns = Columns::of("customers", row);
                owners.insert(columns.text("subject")?, read_id(&columns)?);
            }
        }
        Ok(owners)
    }

    /// The live customer that an event subject belongs to: the one with that key, else the one with that subject key, else the
    /// one that has the subject of which it is an alias.
    pub async fn find_subject_owner(&self, ns: &Namespace, subject: &str) -> Result<Option<CustomerId>, StateError> {
        const OWNER: &str = "SELECT 0 AS rank, id FROM customers WHERE namespace = $1 AND key = $2 AND deleted_at IS NULL \
             UNION ALL SELECT 1 AS rank, customer_id AS id FROM customer_subjects WHERE namespace = $1 AND subject_key = $2 \
             UNION ALL SELECT 2 AS rank, c.id FROM subject_aliases a JOIN customers c ON c.namespace = a.namespace \
             AND c.key = a.subject_key AND c.deleted_at IS NULL WHERE a.namespace = $1 AND a.name = $2 \
             UNION ALL SELECT 3 AS rank, s.customer_id AS id FROM subject_aliases a JOIN customer_subjects s \
             ON s.namespace = a.namespace AND s.subject_key = a.subject_key WHERE a.namespace = $1 AND a.name = $2 \
             ORDER BY rank LIMIT 1";
        let query = sqlx::query(OWNER).bind(ns.as_str()).bind(text(subject));
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(|row| read_id(&Columns::of("customer_subjects", row))).transpose()
    }

    async fn check_key(&self, write: &mut Write, ns: &Namespace, customer: &Customer) -> Result<(), StateError> {
        let Some(key) = &customer.key else { return Ok(()) };
        aliases::check_no_alias(write, ns, key).await?;
        let others = [
            ("key", "SELECT id FROM customers WHERE namespace = $1 AND key = $2 AND id <> $3 AND deleted_at IS NULL"),
            ("id", "SELECT id FROM customers WHERE namespace = $1 AND id = $2 AND id <> $3"),
            (
                "subject key",
                "SELECT customer_id AS id FROM customer_subjects WHERE namespace = $1 AND subject_key = $2 AND customer_id <> $3",
            ),
        ];
        for (role, sql) in others {
            let query = sqlx::query(sql).bind(ns.as_str()).bind(text(key)).bind(customer.id.to_string());
            if let Some(row) = query.fetch_optional(&mut *write.tx).await.map_err(failed)? {
                let owner = read_id(&Columns::of("customers", &row))?;
                return Err(StateError::Conflict { what: format!("the {role} {key:?} of customer {owner}") });
            }
        }
        Ok(())
    }
}

impl CustomerOrder {
    fn column(self) -> &'static str {
        match self {
            CustomerOrder::Name => "name",
            CustomerOrder::Id => "id",
            CustomerOrder::CreatedAt => "created_at",
            CustomerOrder::UpdatedAt => "updated_at",
        }
    }
}

/// The customer with this id, as a transaction sees it.
pub(crate) async fn customer_in(
    write: &mut Write,
    ns: &Namespace,
    id: CustomerId,
) -> Result<Option<Customer>, StateError> {
    let query = sqlx::query(select!("WHERE namespace = $1 AND id = $2")).bind(ns.as_str()).bind(id.to_string());
    let row = query.fetch_optional(&mut *write.tx).await.map_err(failed)?;
    row.as_ref().map(read).transpose()
}

async fn link_subjects(write: &mut Write, ns: &Namespace, customer: &Customer) -> Result<(), StateError> {
    for subject in &customer.subject_keys {
        aliases::check_no_alias(write, ns, subject).await?;
        let owner =
            sqlx::query("SELECT customer_id AS id FROM customer_subjects WHERE namespace = $1 AND subject_key = $2")
                .bind(ns.as_str())
                .bind(text(subject))
                .fetch_optional(&mut *write.tx)
                .await
                .map_err(failed)?;
        if let Some(row) = owner {
            let owner = read_id(&Columns::of("customer_subjects", &row))?;
            return Err(StateError::Conflict { what: format!("the subject key {subject:?} of customer {owner}") });
        }
        sqlx::query("INSERT INTO customer_subjects (namespace, subject_key, customer_id) VALUES ($1, $2, $3)")
            .bind(ns.as_str())
            .bind(text(subject))
            .bind(customer.id.to_string())
            .execute(&mut *write.tx)
            .await
            .map_err(|error| conflict(error, ns, customer))?;
    }
    Ok(())
}

fn conflict(error: sqlx::Error, ns: &Namespace, customer: &Customer) -> StateError {
    conflict_or_failed(error, || {
        format!("a customer with the id {}, its key or its subjects in namespace {ns}", customer.id)
    })
}

/// Binds $1 to $13, which mean the same in [`INSERT`] and [`UPDATE`].
fn bound(sql: &'static str, ns: &Namespace, customer: &Customer) -> Query<'static, Any, AnyArguments> {
    let optional = |value: &Option<String>| value.as_deref().map(text);
    sqlx::query(sql)
        .bind(ns.as_str().to_owned())
        .bind(customer.id.to_string())
        .bind(optional(&customer.key))
        .bind(text(&customer.name))
        .bind(optional(&customer.description))
        .bind(optional(&customer.primary_email))
        .bind(optional(&customer.currency))
        .bind(customer.billing_address.as_ref().map(address_text))
        .bind(column::map(customer.metadata.iter().map(|(key, value)| (key, value.as_str()))))
        .bind(column::list(customer.subject_keys.iter().map(String::as_str)))
        .bind(column::instant(customer.created_at))
        .bind(column::instant(customer.updated_at))
        .bind(customer.deleted_at.map(column::instant))
        .bind(column::details(&customer.details).as_deref().map(text))
}

fn address_text(address: &Address) -> String {
    let parts = [
        ("country", &address.country),
        ("postal_code", &address.postal_code),
        ("state", &address.state),
        ("city", &address.city),
        ("line1", &address.line1),
        ("line2", &address.line2),
        ("phone_number", &address.phone_number),
    ];
    let named: Vec<(String, &str)> =
        parts.iter().filter_map(|(name, part)| part.as_deref().map(|part| (name.to_string(), part))).collect();
    column::map(named.iter().map(|(name, part)| (name, *part)))
}

fn read_address(mut parts: BTreeMap<String, String>) -> Address {
    let mut take = |name: &str| parts.remove(name);
    Address {
        country: take("country"),
        postal_code: take("postal_code"),
        state: take("state"),
        city: take("city"),
        line1: take("line1"),
        line2: take("line2"),
        phone_number: take("phone_number"),
    }
}

fn read_id(columns: &Columns<'_>) -> Result<CustomerId, StateError> {
    columns.parsed("id", |text| CustomerId::parse(text).ok_or("it is not a ULID"))
}

fn read(row: &AnyRow) -> Result<Customer, StateError> {
    let columns = Columns::of("customers", row);
    Ok(Customer {
        id: read_id(&columns)?,
        key: columns.optional_text("key")?,
        name: columns.text("name")?,
        description: columns.optional_text("description")?,
        primary_email: columns.optional_text("primary_email")?,
        currency: columns.optional_text("currency")?,
        billing_address: columns.optional_map("billing_address")?.map(read_address),
        metadata: columns.map("metadata")?,
        subject_keys: columns.list("subject_keys")?.into_iter().collect(),
        details: columns.details("details")?,
        created_at: columns.instant("created_at")?,
        updated_at: columns.instant("updated_at")?,
        deleted_at: columns.optional_instant("deleted_at")?,
    })
}
