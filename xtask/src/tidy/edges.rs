//! Which crate may depend on which. Only direct dependencies count: code can name nothing else.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Source;

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    name: String,
    /// Its folder lies under `examples/`.
    example: bool,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    /// Behind a feature: that is how a service's default program gets its backend.
    optional: bool,
    /// A path, so one of ours.
    ours: bool,
}

/// What a crate may name of ours, and what it must not name of others.
struct Rule {
    name: &'static str,
    ours: &'static [&'static str],
    /// Of ours, only as an optional dependency.
    optional: &'static [&'static str],
    /// A trailing `*` stands for any rest.
    never: &'static [&'static str],
}

const SERVICE: &[&str] = &["router-core", "wire"];
const PROGRAM: &[&str] = &["launch"];
const SHIPPED: &[&str] =
    &["router-core", "router-redis", "wire", "web-service", "ws-service", "worker", "launch"];

const RULES: &[Rule] = &[
    // Bytes in, packets out: no I/O, no clock, no bus.
    Rule {
        name: "wire",
        ours: &[],
        optional: &[],
        never: &["actix*", "awc", "redis", "tokio*", "socket2"],
    },
    // All that users' modules need, and no socket or store behind it.
    Rule { name: "router-core", ours: &[], optional: &[], never: &["actix*", "awc", "redis"] },
    Rule { name: "router-redis", ours: &["router-core"], optional: &[], never: &["actix*", "awc"] },
    // Services meet over the bus alone and name no backend.
    Rule { name: "ws-service", ours: SERVICE, optional: PROGRAM, never: &["redis"] },
    Rule { name: "web-service", ours: SERVICE, optional: PROGRAM, never: &["redis"] },
    Rule { name: "worker", ours: SERVICE, optional: PROGRAM, never: &["redis"] },
    // What programs do around their services; the one crate that knows every backend.
    Rule {
        name: "launch",
        ours: &["router-core", "router-redis"],
        optional: &[],
        never: &["actix*", "redis"],
    },
    // What the examples' programs share; nothing that ships stands on it.
    Rule { name: "stage", ours: SHIPPED, optional: &[], never: &["redis"] },
    Rule { name: "bench", ours: SHIPPED, optional: &[], never: &[] },
    Rule { name: "xtask", ours: &[], optional: &[], never: &[] },
];

/// What ships, and what the examples share.
const FOR_EXAMPLES: &[&str] = &[
    "router-core",
    "router-redis",
    "wire",
    "web-service",
    "ws-service",
    "worker",
    "launch",
    "stage",
];

/// An example uses the crates that ship and the examples' stage, and no other example.
const EXAMPLE: Rule =
    Rule { name: "examples/*", ours: FOR_EXAMPLES, optional: &[], never: &["redis"] };

/// Reads the packages from `cargo metadata`.
pub(crate) fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let list = metadata["packages"].as_array().context("no packages in cargo metadata")?;
    list.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let manifest = value["manifest_path"].as_str().context("a package without a manifest")?;
    let dependencies = value["dependencies"].as_array().context("a package without a list")?;
    let dependency = |it: &Value| -> Result<Dependency> {
        Ok(Dependency {
            name: it["name"].as_str().context("a dependency without a name")?.to_owned(),
            optional: it["optional"].as_bool().unwrap_or(false),
            ours: it["path"].is_string(),
        })
    };
    Ok(Package {
        name: value["name"].as_str().context("a package without a name")?.to_owned(),
        example: manifest.replace('\\', "/").contains("/examples/"),
        dependencies: dependencies.iter().map(dependency).collect::<Result<_>>()?,
    })
}

/// Every edge that the table does not allow.
pub(crate) fn check(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let named = RULES.iter().find(|rule| rule.name == package.name);
        let Some(rule) = named.or_else(|| package.example.then_some(&EXAMPLE)) else {
            faults.push(format!("crate {} has no row in the table of edges.rs", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            if !allowed(rule, dependency) {
                faults.push(format!("{} must not depend on {}", package.name, dependency.name));
            }
        }
    }
    faults
}

fn allowed(rule: &Rule, dependency: &Dependency) -> bool {
    let name = dependency.name.as_str();
    if dependency.ours {
        // A crate may name itself among its own dev-dependencies, to switch a feature on.
        return rule.ours.contains(&name)
            || rule.name == name
            || (dependency.optional && rule.optional.contains(&name));
    }
    !rule.never.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    })
}

/// One file per program names the backend, and no library does.
pub(crate) fn check_backend_is_named_once(sources: &[Source]) -> Vec<String> {
    // Put together here so that this file does not name it itself.
    let backend = ["router", "redis"].join("_");
    let mut faults = Vec::new();
    let mut named: Vec<(&str, &str)> = Vec::new();
    for source in sources {
        let Some((package, file)) = source.path.split_once("/src/") else {
            continue;
        };
        let names = source.text.lines().any(|line| {
            let line = line.trim_start();
            !line.starts_with("//") && line.contains(&backend)
        });
        if !names || !file.ends_with(".rs") || matches!(package, "router-redis" | "bench") {
            continue;
        }
        if file == "lib.rs" {
            faults.push(format!("{}: a library names no backend", source.path));
        }
        match named.iter().find(|(other, _)| *other == package) {
            Some((_, first)) => faults.push(format!(
                "{}: only one file of a program names the backend, and {first} does already",
                source.path
            )),
            None => named.push((package, &source.path)),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, bool, bool)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, ours, optional)| Dependency {
                name: (*name).to_owned(),
                ours: *ours,
                optional: *optional,
            })
            .collect();
        Package { name: name.to_owned(), example: name.starts_with("example"), dependencies }
    }

    #[test]
    fn services_never_import_each_other() {
        let faults = check(&[package("ws-service", &[("web-service", true, false)])]);
        assert_eq!(faults, ["ws-service must not depend on web-service"]);
    }

    #[test]
    fn a_service_gets_what_its_default_program_needs_only_behind_a_feature() {
        let hard = package("ws-service", &[("launch", true, false)]);
        let soft = package("ws-service", &[("launch", true, true)]);
        assert_eq!(check(&[hard, soft]).len(), 1);
    }

    #[test]
    fn the_core_knows_no_actor_and_no_store() {
        let core = package("router-core", &[("actix-web", false, false), ("redis", false, false)]);
        assert_eq!(check(&[core]).len(), 2);
    }

    #[test]
    fn examples_use_what_ships_and_nothing_uses_xtask() {
        let good =
            package("example-a", &[("ws-service", true, false), ("actix-web", false, false)]);
        let bad = package("example-b", &[("example-a", true, false), ("xtask", true, false)]);
        assert_eq!(check(&[good, bad]).len(), 2);
    }

    #[test]
    fn examples_share_a_stage_and_nothing_else_stands_on_it() {
        let on_stage = |name: &str| package(name, &[("stage", true, false)]);
        assert!(check(&[on_stage("example-a")]).is_empty());
        assert_eq!(check(&[on_stage("bench"), on_stage("ws-service")]).len(), 2);
        let upside_down = package("stage", &[("example-a", true, false)]);
        assert_eq!(check(&[upside_down]).len(), 1);
    }

    #[test]
    fn a_new_crate_must_be_placed() {
        assert_eq!(check(&[package("novelty", &[])]).len(), 1);
    }

    #[test]
    fn one_file_of_a_program_names_the_backend() {
        let line = ["use router", "redis::connect;"].join("_");
        let file = |path: &str| Source { path: path.to_owned(), text: line.clone() };
        assert!(check_backend_is_named_once(&[file("examples/a/src/bus.rs")]).is_empty());
        let twice = [file("examples/a/src/bus.rs"), file("examples/a/src/main.rs")];
        assert_eq!(check_backend_is_named_once(&twice).len(), 1);
        assert_eq!(check_backend_is_named_once(&[file("ws-service/src/lib.rs")]).len(), 1);
    }
}
