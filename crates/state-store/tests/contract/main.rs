//! What a state store promises, checked on SQLite and on PostgreSQL with the same code.
//!
//! A promise is an async function from a [`place::Place`]; the list at the end makes a test of it on each backend.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking, and its name says what it is for")]

mod aliases;
mod entitlements;
mod event_schemas;
mod features;
mod idempotency;
mod keys;
mod meters;
mod namespaces;
mod outbox;
mod place;
mod portal;
mod samples;
mod schema;
mod subjects;

macro_rules! contract {
    ($($room:ident::$promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::$room::$promise(crate::place::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::$room::$promise(crate::place::Place::postgres()).await;
            })*
        }
    };
}

contract! {
    aliases::aliases_are_added_found_listed_and_removed,
    aliases::a_name_never_means_two_subjects,
    aliases::the_owner_of_a_subject_owns_its_aliases,
    aliases::a_customer_is_written_with_its_subjects_or_not_at_all,
    event_schemas::every_field_of_each_version_is_kept,
    event_schemas::a_name_has_one_live_schema_and_the_last_changed_is_listed_first,
    event_schemas::a_change_of_what_is_not_stored_any_more_is_refused,
    meters::keeps_every_field,
    meters::updates_the_whole_row,
    meters::a_slug_belongs_to_one_live_meter,
    meters::namespaces_never_meet,
    meters::lists_by_slug_bytes_then_id,
    meters::keeps_odd_texts_and_big_metadata,
    meters::keeps_the_first_and_last_instant,
    meters::one_of_many_concurrent_inserts_wins,
    keys::keys_are_found_by_hash_listed_by_age_and_revoked_once,
    outbox::every_write_leaves_one_outbox_row_and_a_failed_one_none,
    outbox::a_write_without_its_outbox_row_is_not_kept,
    outbox::a_cancelled_write_is_whole_or_absent,
    outbox::concurrent_writers_of_two_servers_leave_no_gap,
    subjects::descriptions_are_made_changed_and_deleted,
    subjects::all_of_a_request_is_stored_or_nothing,
    subjects::customers_describe_their_subjects_once,
    subjects::concurrent_descriptions_of_a_subject_are_one,
    features::a_feature_keeps_every_field,
    features::a_key_belongs_to_one_live_feature,
    features::a_feature_is_checked_against_the_meter_that_is_stored,
    features::a_meter_keeps_what_its_live_features_need,
    features::the_unit_cost_of_a_live_feature_changes,
    features::features_are_listed_in_pages,
    entitlements::every_field_is_kept,
    entitlements::one_of_a_customer_and_feature_is_in_force_at_a_time,
    entitlements::they_are_listed_in_pages,
    entitlements::grants_are_added_voided_once_and_listed,
    entitlements::only_live_customers_are_given_live_features_and_leave_after_them,
    entitlements::one_of_many_concurrent_entitlements_wins,
    entitlements::meters_and_customers_go_with_what_was_made_for_their_balances,
    entitlements::a_reservation_is_held_until_it_is_ended_once,
    namespaces::one_is_made_once_and_the_default_one_is_always_there,
    namespaces::those_with_keys_were_there_before,
    portal::tokens_are_kept_listed_and_invalidated,
    portal::old_tokens_are_forgotten,
    portal::all_servers_share_one_secret,
    idempotency::a_key_is_held_once_and_its_answer_is_given_again,
    idempotency::a_write_and_its_mark_are_committed_together,
    idempotency::a_lapsed_attempt_loses_its_key_and_cannot_write,
    idempotency::a_written_key_without_an_answer_is_never_done_again,
    idempotency::a_key_that_wrote_nothing_can_be_given_back,
    idempotency::keys_of_other_callers_are_other_keys,
    idempotency::one_of_many_concurrent_attempts_holds_the_key,
    idempotency::expired_keys_are_forgotten_and_free,
    schema::reopening_keeps_everything,
    schema::many_servers_may_start_at_once,
    schema::refuses_a_newer_store,
    schema::refuses_a_half_migrated_store,
    schema::a_failed_migration_leaves_nothing,
    schema::a_value_that_does_not_read_back_names_its_place,
}
