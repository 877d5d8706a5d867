//! `cargo xtask tidy`: the rules of the house that no compiler knows.

mod edges;
mod files;
mod invariants;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::run::root;

/// One file of the tree.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn has_extension(&self, wanted: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| wanted.contains(&extension))
    }
}

pub(crate) fn command() -> Result<()> {
    let faults = faults()?;
    if faults.is_empty() {
        println!("tidy: all rules hold");
        return Ok(());
    }
    for fault in &faults {
        println!("tidy: {fault}");
    }
    bail!("{} faults", faults.len())
}

/// Every fault of the tree, one line each.
fn faults() -> Result<Vec<String>> {
    let sources = sources()?;
    let mut faults = edges::check(&edges::packages(&metadata()?)?);
    faults.extend(edges::check_backend_is_named_once(&sources));
    faults.extend(files::check(&sources));
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).ok();
    faults.extend(invariants::check(architecture.as_deref(), &sources));
    Ok(faults)
}

/// What cargo knows about our own crates; it asks no registry.
pub(crate) fn metadata() -> Result<Value> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    let text = cmd!(shell, "cargo metadata --no-deps --format-version 1").quiet().read()?;
    serde_json::from_str(&text).context("cargo metadata is no JSON")
}

/// Every text file of the repository that a person wrote, sorted by path.
fn sources() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                let foreign = [".git", "target", "node_modules", ".venv", "artifacts"];
                if !foreign.contains(&&*name) {
                    folders.push(entry.path());
                }
            } else if let Some(source) = read(&entry.path()) {
                sources.push(source);
            }
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(sources)
}

/// `None` for a file that is no text (an image), or that went away meanwhile.
fn read(path: &Path) -> Option<Source> {
    let text = fs::read_to_string(path).ok()?;
    let parts: PathBuf = path.strip_prefix(root()).ok()?.to_owned();
    Some(Source { path: parts.to_string_lossy().replace('\\', "/"), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let faults = faults().unwrap();
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }
}
