//! Brings a store to the schema that this binary knows: forward only, all or nothing.
//!
//! Invariant: every pending migration runs in one transaction together with its record, on both backends, so a crash leaves
//! the store as it was and the next start tries again.

use crate::backend::Backend;
use crate::error::{StateError, failed};
use sqlx::{AnyConnection, Connection, Row};

/// One step of the schema. Once released its text never changes: a store remembers what it ran.
struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// All steps, from version 1 without gaps.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "meters_keys_outbox",
        sql: include_str!("../migrations/0001_meters_keys_outbox.sql"),
    },
    Migration { version: 2, name: "customers", sql: include_str!("../migrations/0002_customers.sql") },
    Migration { version: 3, name: "subjects", sql: include_str!("../migrations/0003_subjects.sql") },
    Migration { version: 4, name: "features", sql: include_str!("../migrations/0004_features.sql") },
    Migration { version: 5, name: "portal", sql: include_str!("../migrations/0005_portal.sql") },
    Migration { version: 6, name: "namespaces", sql: include_str!("../migrations/0006_namespaces.sql") },
    Migration { version: 7, name: "idempotency", sql: include_str!("../migrations/0007_idempotency.sql") },
    Migration {
        version: 8,
        name: "feature_description",
        sql: include_str!("../migrations/0008_feature_description.sql"),
    },
    Migration { version: 9, name: "entitlements", sql: include_str!("../migrations/0009_entitlements.sql") },
    Migration {
        version: 10,
        name: "judging_and_details",
        sql: include_str!("../migrations/0010_judging_and_details.sql"),
    },
    Migration {
        version: 11,
        name: "event_schemas_aliases",
        sql: include_str!("../migrations/0011_event_schemas_aliases.sql"),
    },
];

/// A row of `schema_migrations`.
struct Applied {
    version: i64,
    name: String,
    sql: String,
    finished: bool,
}

/// Runs what is pending. Servers that start at the same time wait for each other.
pub(crate) async fn run(connection: &mut AnyConnection, backend: Backend) -> Result<(), StateError> {
    sqlx::raw_sql(backend.migration_session()).execute(&mut *connection).await.map_err(failed)?;
    let mut tx = connection.begin_with(backend.begin_write()).await.map_err(failed)?;
    sqlx::raw_sql(backend.migration_prelude()).execute(&mut *tx).await.map_err(failed)?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations \
         (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, statements TEXT NOT NULL, finished BIGINT NOT NULL)",
    )
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    let applied = applied(&mut tx).await?;
    check(&applied, MIGRATIONS)?;
    for migration in &MIGRATIONS[applied.len()..] {
        tracing::info!(version = migration.version, name = migration.name, "migrating the state store");
        sqlx::raw_sql(migration.sql).execute(&mut *tx).await.map_err(failed)?;
        sqlx::query("INSERT INTO schema_migrations (version, name, statements, finished) VALUES ($1, $2, $3, 1)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(migration.sql)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

/// Fails when a migration is recorded as begun and not finished.
pub(crate) async fn check_finished(connection: &mut AnyConnection) -> Result<(), StateError> {
    match applied(connection).await?.into_iter().find(|step| !step.finished) {
        Some(step) => Err(StateError::HalfMigrated { version: step.version, name: step.name }),
        None => Ok(()),
    }
}

async fn applied(connection: &mut AnyConnection) -> Result<Vec<Applied>, StateError> {
    let rows = sqlx::query("SELECT version, name, statements, finished FROM schema_migrations ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let read = |row: &sqlx::any::AnyRow| {
        Ok(Applied {
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            sql: row.try_get("statements")?,
            finished: row.try_get::<i64, _>("finished")? != 0,
        })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
}

/// Whether this binary may go on from what the store records: all of it finished, known, the same text, and no gaps.
fn check(applied: &[Applied], known: &[Migration]) -> Result<(), StateError> {
    let newest_known = known.last().map_or(0, |migration| migration.version);
    if let Some(newest) = applied.last().filter(|newest| newest.version > newest_known) {
        return Err(StateError::Newer { found: newest.version, known: newest_known });
    }
    if let Some(step) = applied.iter().find(|step| !step.finished) {
        return Err(StateError::HalfMigrated { version: step.version, name: step.name.clone() });
    }
    for (step, migration) in applied.iter().zip(known) {
        if step.version != migration.version {
            return Err(StateError::HalfMigrated { version: migration.version, name: migration.name.into() });
        }
        if step.sql != migration.sql {
            return Err(StateError::Corrupt(format!(
                "table schema_migrations, version {}: the store ran other statements than this version of tallystick \
                 has for it: start the build that created the store, or restore a backup that fits this one",
                step.version
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_table_in_order() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let table: Vec<String> =
            MIGRATIONS.iter().map(|step| format!("{:04}_{}.sql", step.version, step.name)).collect();
        assert_eq!(files, table);
        assert!(MIGRATIONS.iter().map(|step| step.version).eq(1..=MIGRATIONS.len() as i64));
    }

    #[test]
    fn what_belongs_to_a_tenant_is_kept_by_namespace() {
        // Of the store as a whole, not of a tenant.
        let of_the_store = ["write_probe", "secrets", "namespaces"];
        let all: String = MIGRATIONS.iter().map(|step| step.sql).collect();
        let tables = all.split("CREATE TABLE ").skip(1).map(|rest| rest.split_once(" (").unwrap());
        let shared: Vec<_> = tables
            .filter(|(_, rest)| !rest.split(");").next().unwrap().contains("PRIMARY KEY (namespace"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(shared, of_the_store);
        let uniques = all.split("CREATE UNIQUE INDEX ").skip(1).map(|rest| rest.split(';').next().unwrap());
        // A key is found by its secret before its namespace is known.
        let across: Vec<_> = uniques.filter(|index| !index.contains("(namespace, ")).collect();
        assert!(across.iter().all(|index| index.starts_with("api_keys_")), "{across:?}");
    }

    #[test]
    fn goes_on_only_from_a_finished_known_prefix() {
        let step = |version: i64, finished: bool| Applied {
            version,
            name: format!("step{version}"),
            sql: format!("sql{version}"),
            finished,
        };
        let known = [
            Migration { version: 1, name: "step1", sql: "sql1" },
            Migration { version: 2, name: "step2", sql: "sql2" },
            Migration { version: 3, name: "step3", sql: "sql3" },
        ];
        for good in [vec![], vec![step(1, true)], vec![step(1, true), step(2, true), step(3, true)]] {
            assert_eq!(check(&good, &known), Ok(()));
        }
        let half = |version: i64| Err(StateError::HalfMigrated { version, name: format!("step{version}") });
        assert_eq!(check(&[step(1, true), step(2, false)], &known), half(2));
        assert_eq!(check(&[step(1, true), step(3, true)], &known), half(2));
        assert_eq!(check(&[step(2, true)], &known), half(1));
        assert_eq!(check(&[step(1, true), step(4, false)], &known), Err(StateError::Newer { found: 4, known: 3 }));
        let changed = Applied { sql: "other".into(), ..step(1, true) };
        assert!(matches!(check(&[changed], &known), Err(StateError::Corrupt(_))));
    }
}
