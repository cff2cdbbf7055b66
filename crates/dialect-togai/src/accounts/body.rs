//! Accounts as they are sent and shown.

use crate::address::AddressBody;
use crate::customers::{MAX_EMAIL, check_settings};
use crate::json;
use crate::kept;
use crate::names::{MAX_NAME, MAX_TEXT, check_length, check_optional};
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::subject::{Patch, SubjectDraft};
use tallystick_engine::NewSubject;
use utoipa::ToSchema;

/// The most aliases of an account.
pub(crate) const MAX_ALIASES: usize = 10;

/// An account: what carries usage.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiAccount)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountBody {
    /// The operator's id, which events call `accountId`.
    pub id: String,
    /// The server's id.
    pub togai_account_id: String,
    /// The server's id of its customer.
    pub togai_customer_id: String,
    /// Name for people, of at least three characters.
    pub name: String,
    /// The operator's id of its customer.
    pub customer_id: String,
    /// Its other names.
    pub aliases: Vec<AliasBody>,
    /// What is kept and given back.
    #[serde(flatten)]
    pub kept: Kept,
    /// `ACTIVE` or `DRAFT`.
    pub status: String,
}

/// Another name of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiAccountAliasName)]
pub(crate) struct AliasBody {
    /// The name.
    pub alias: String,
}

/// What the door keeps with an account; nothing is done with it.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiAccountDetails)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Kept {
    /// ISO 4217 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 3, max_length = 3)]
    pub invoice_currency: Option<String>,
    /// Days until an invoice is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_term_days: Option<i64>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "json::optional_object")]
    pub address: Option<AddressBody>,
    /// Where invoices go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 320)]
    pub primary_email: Option<String>,
    /// Who gets invoices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "json::optional_object")]
    pub billing_information: Option<BillingInformation>,
    /// Settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 10)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    pub settings: Option<Vec<SettingBody>>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Tags, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// What is kept, with the status, which an answer always has.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stored {
    #[serde(flatten)]
    pub kept: Kept,
    pub status: Option<String>,
}

/// Who gets invoices.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiBillingInformation)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BillingInformation {
    /// Email addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    email_recipients: Option<Vec<String>>,
    /// More email addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_email_recipients: Option<Vec<String>>,
}

/// A setting.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiEntitySetting)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingBody {
    /// Its id.
    id: String,
    /// Its value.
    value: String,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// The type of its value.
    data_type: String,
}

/// An account to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiNewAccount)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewAccount {
    /// The operator's id, which events call `accountId`.
    #[schema(min_length = 1, max_length = 50)]
    id: String,
    /// Name for people.
    #[schema(min_length = 3, max_length = 255)]
    name: String,
    /// `ACTIVE` (the default) or `DRAFT`.
    status: Option<String>,
    /// Other names.
    #[schema(max_items = 10)]
    aliases: Option<Vec<String>>,
    /// Other names, which hold for all time: a beginning or an end is refused.
    #[serde(default, deserialize_with = "json::optional_objects")]
    account_aliases: Option<Vec<NewAlias>>,
    #[serde(flatten)]
    kept: Kept,
}

/// An account to create for a customer.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiCreateAccount, example = json!({"id": "acme-eu", "name": "ACME Europe", "customerId": "acme"}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateInput {
    /// The customer's id.
    #[schema(min_length = 1, max_length = 255)]
    pub customer_id: String,
    #[serde(flatten)]
    pub account: NewAccount,
}

/// What to change of an account; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiUpdateAccount)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateInput {
    /// Name for people.
    #[schema(min_length = 3, max_length = 255)]
    pub name: Option<String>,
    /// `ACTIVE` or `DRAFT`.
    pub status: Option<String>,
    #[serde(flatten)]
    pub kept: Kept,
}

/// Another name to add.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiNewAlias)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewAlias {
    /// The name.
    #[schema(min_length = 1, max_length = 50)]
    value: String,
    /// Not served: 400 when it is there.
    effective_from: Option<String>,
    /// Not served: 400 when it is there.
    effective_until: Option<String>,
}

impl NewAccount {
    /// The id and the core's words for it. `place` comes before the names of fields in errors.
    pub(crate) fn checked(self, place: &str) -> Result<(String, NewSubject), Problem> {
        let field = |name: &str| format!("{place}{name}");
        check_length(&field("id"), &self.id, 1, MAX_NAME)?;
        check_length(&field("name"), &self.name, 3, MAX_TEXT)?;
        check_status(&field("status"), self.status.as_deref())?;
        let kept = self.kept.checked(place)?;
        let aliases = alias_names(self.aliases, self.account_aliases)?;
        let draft = SubjectDraft {
            key: self.id.clone(),
            display_name: Patch::Set(self.name),
            details: kept::write(&Stored { kept, status: self.status })?,
            ..SubjectDraft::default()
        };
        Ok((self.id, NewSubject { draft, aliases }))
    }
}

impl Kept {
    /// The same with its limits checked and its tags in lower case.
    pub(crate) fn checked(mut self, place: &str) -> Result<Self, Problem> {
        let field = |name: &str| format!("{place}{name}");
        check_optional(&field("invoiceCurrency"), self.invoice_currency.as_deref(), 3, 3)?;
        check_optional(&field("primaryEmail"), self.primary_email.as_deref(), 0, MAX_EMAIL)?;
        check_settings(self.settings.as_ref())?;
        self.tags.iter_mut().flatten().for_each(|tag| *tag = tag.to_lowercase());
        Ok(self)
    }

    /// This with what a change names in the place of what it names.
    pub(crate) fn changed(self, change: Kept) -> Self {
        Self {
            invoice_currency: change.invoice_currency.or(self.invoice_currency),
            net_term_days: change.net_term_days.or(self.net_term_days),
            address: change.address.or(self.address),
            primary_email: change.primary_email.or(self.primary_email),
            billing_information: change.billing_information.or(self.billing_information),
            settings: change.settings.or(self.settings),
            metadata: change.metadata.or(self.metadata),
            tags: change.tags.or(self.tags),
        }
    }
}

pub(crate) fn check_status(field: &str, status: Option<&str>) -> Result<(), Problem> {
    match status {
        None | Some("ACTIVE" | "DRAFT") => Ok(()),
        Some(_) => Err(Problem::field(field, "it must be ACTIVE or DRAFT")),
    }
}

/// The names that a request lists in one way or the other.
pub(crate) fn alias_names(plain: Option<Vec<String>>, timed: Option<Vec<NewAlias>>) -> Result<Vec<String>, Problem> {
    let mut names = plain.unwrap_or_default();
    for name in &names {
        check_length("aliases", name, 3, MAX_NAME)?;
    }
    for alias in timed.unwrap_or_default() {
        check_length("accountAliases.value", &alias.value, 1, MAX_NAME)?;
        if alias.effective_from.is_some() || alias.effective_until.is_some() {
            let reason = "an alias holds for all time here: leave effectiveFrom and effectiveUntil out";
            return Err(Problem::field("accountAliases", reason));
        }
        names.push(alias.value);
    }
    match names.len() <= MAX_ALIASES {
        true => Ok(names),
        false => Err(Problem::field("aliases", format!("an account has at most {MAX_ALIASES}"))),
    }
}
