//! Which crate may depend on which, read from `cargo metadata`.

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// One dependency of a workspace member: names without the prefix `tallystick-`.
#[derive(Debug, Clone)]
struct Edge {
    from: String,
    to: String,
    /// `to` is a member of the workspace.
    ours: bool,
    dev: bool,
}

/// What each crate may depend on among ours. `dialect-*` stands for every dialect.
const ARROWS: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("state-store", &["domain"]),
    ("event-store", &["domain"]),
    ("engine", &["state-store", "event-store", "domain"]),
    ("http-kit", &["engine", "domain"]),
    ("dialect-*", &["http-kit", "engine", "domain"]),
    ("workers", &["engine"]),
    ("server", &["dialect-*", "workers", "http-kit", "engine", "domain"]),
    ("testkit", &["server", "dialect-*", "http-kit", "engine", "state-store", "event-store", "domain"]),
    ("simulator", &["event-store", "domain"]),
    ("bench", &["dialect-*", "http-kit", "engine", "event-store", "domain"]),
    ("xtask", &[]),
];

/// Libraries that only some crates may name; a name ending in `*` stands for all that start so.
const CONFINED: [(&str, &[&str]); 5] = [
    ("axum*", &["http-kit", "dialect-*", "server", "bench"]),
    // The bench fills a database past the store, which would take an hour for what it measures.
    ("sqlx*", &["state-store", "bench"]),
    ("clap*", &["server", "simulator", "xtask", "bench"]),
    ("anyhow", &["server", "xtask", "bench"]),
    (
        "tokio*",
        &["state-store", "event-store", "engine", "http-kit", "dialect-*", "workers", "server", "testkit", "bench"],
    ),
];

/// Every dependency of the workspace that is not allowed, in words.
pub fn check(root: &Path) -> Result<Vec<String>> {
    Ok(violations(&edges(root)?))
}

fn edges(root: &Path) -> Result<Vec<Edge>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("`cargo metadata` failed: does every Cargo.toml parse?")?;
    let members: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let short = |name: &str| name.strip_prefix("tallystick-").unwrap_or(name).to_string();
    let mut edges = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            edges.push(Edge {
                from: short(&package.name),
                to: short(&dependency.name),
                ours: members.contains(&dependency.name.as_str()),
                dev: dependency.kind == DependencyKind::Development,
            });
        }
    }
    Ok(edges)
}

fn violations(edges: &[Edge]) -> Vec<String> {
    edges.iter().filter_map(|edge| if edge.ours { ours(edge) } else { confined(edge) }).collect()
}

fn ours(edge: &Edge) -> Option<String> {
    let Edge { from, to, dev, .. } = edge;
    if *dev && (to == "testkit" || from == "server" || from == "testkit") {
        return None;
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| matches(name, from)) else {
        return Some(format!("{from} -> {to}: {from} has no line in xtask/src/arrows.rs"));
    };
    (!allowed.iter().any(|name| matches(name, to))).then(|| {
        let list = if allowed.is_empty() { "none of ours".to_string() } else { allowed.join(", ") };
        format!("{from} -> {to}: {from} may depend on {list}")
    })
}

fn confined(edge: &Edge) -> Option<String> {
    let Edge { from, to, .. } = edge;
    let (_, homes) = CONFINED.iter().find(|(library, _)| matches(library, to))?;
    let allowed = homes.iter().any(|home| matches(home, from));
    (!allowed).then(|| format!("{from} -> {to}: only {} may name it", homes.join(", ")))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge { from: from.into(), to: to.into(), ours: ARROWS.iter().any(|(name, _)| matches(name, to)), dev: false }
    }

    fn allowed(from: &str, to: &str) -> bool {
        violations(&[edge(from, to)]).is_empty()
    }

    #[test]
    fn the_workspace_keeps_its_arrows() {
        let found = check(&crate::repository::root()).unwrap();
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }

    #[test]
    fn the_workspace_has_edges_at_all() {
        let edges = edges(&crate::repository::root()).unwrap();
        assert!(edges.iter().any(|edge| edge.from == "engine" && edge.to == "domain" && edge.ours && !edge.dev));
        assert!(edges.iter().any(|edge| edge.from == "xtask" && edge.to == "clap" && !edge.ours));
    }

    #[test]
    fn edges_along_the_arrows_pass() {
        for (from, to) in
            [("server", "dialect-lomi"), ("dialect-openmeter", "http-kit"), ("dialect-openmeter", "domain")]
        {
            assert!(allowed(from, to), "{from} -> {to}");
        }
        assert!(allowed("http-kit", "engine") && allowed("engine", "event-store") && allowed("workers", "engine"));
        assert!(allowed("http-kit", "axum") && allowed("state-store", "sqlx") && allowed("engine", "serde"));
    }

    #[test]
    fn edges_against_the_arrows_are_found() {
        for (from, to) in [
            ("domain", "engine"),
            ("state-store", "event-store"),
            ("dialect-openmeter", "state-store"),
            ("dialect-openmeter", "dialect-lomi"),
            ("http-kit", "event-store"),
            ("engine", "http-kit"),
            ("server", "state-store"),
            ("server", "testkit"),
            ("newcomer", "domain"),
        ] {
            assert!(!allowed(from, to), "{from} -> {to}");
        }
    }

    #[test]
    fn confined_libraries_are_found_elsewhere() {
        for (from, to) in [
            ("engine", "axum"),
            ("engine", "axum-extra"),
            ("event-store", "sqlx"),
            ("http-kit", "clap"),
            ("engine", "anyhow"),
            ("domain", "tokio"),
        ] {
            assert!(!allowed(from, to), "{from} -> {to}");
        }
    }

    #[test]
    fn tests_may_reach_further_but_only_where_it_is_said() {
        let dev = |from: &str, to: &str| violations(&[Edge { dev: true, ours: true, ..edge(from, to) }]).is_empty();
        assert!(dev("engine", "testkit") && dev("server", "state-store") && dev("testkit", "server"));
        assert!(!dev("dialect-openmeter", "state-store"));
        assert!(!dev("domain", "engine"));
    }
}
