//! `cargo xtask test`: setup, then every test of the repository, in the order in which a failure
//! is cheapest to understand.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use xshell::Shell;

use crate::run::{Progress, Step, root};
use crate::setup::{self, Wanted};

/// A part of the tests that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Unit, integration and documentation tests of every crate.
    Rust,
    /// The client library's own tests.
    Client,
    /// Real processes, a real Redis and a real browser.
    E2e,
}

pub(crate) fn command(only: Option<Part>) -> Result<()> {
    let mut progress = Progress::default();
    let outcome = progress
        .task("setup", "cargo xtask setup", || setup::ensure(Wanted::Tests))
        .and_then(|()| steps(&mut progress, only));
    progress.summary(outcome)
}

/// The steps after setup.
pub(crate) fn steps(progress: &mut Progress, only: Option<Part>) -> Result<()> {
    let runs = |part| only.is_none_or(|it| it == part);
    if runs(Part::Rust) || runs(Part::E2e) {
        progress.step(&build())?;
    }
    if runs(Part::Rust) {
        progress.step(&rust())?;
    }
    if runs(Part::Client) {
        progress.step(&client())?;
    }
    if runs(Part::E2e) {
        progress.step(&rust_peer()?)?;
        progress.task("e2e", "cargo xtask test --only e2e", || e2e()?.run(root()))?;
    }
    Ok(())
}

fn build() -> Step {
    Step::new("build", "every program, as the end-to-end tests run them")
        .program("cargo", ["build", "--workspace", "--bins"])
}

/// A workspace of its own, so that nothing of it enters ours.
fn rust_peer() -> Result<Step> {
    let target = target_dir()?.display().to_string();
    Ok(Step::new("rust peer", "the Rust client of Socket.IO, as the end-to-end tests run it")
        .program("cargo", ["build", "--locked", "--manifest-path", "tests/rust/Cargo.toml"])
        .args(&["--target-dir".to_owned(), target]))
}

fn rust() -> Step {
    Step::new("rust", "unit, integration and documentation tests of every crate")
        .program("cargo", ["test", "--workspace", "--all-features"])
}

fn client() -> Step {
    Step::new("client", "the client library's own tests").folder("client").program("npm", ["test"])
}

/// One file after another: each starts programs and browsers of its own, which would starve those
/// of another file on a small machine. A test that hangs fails by name after ten minutes.
fn e2e() -> Result<Step> {
    let files = test_files(&root().join("tests/e2e"))?;
    Ok(Step::new("e2e", "real processes, a real Redis, a real browser")
        .env("TEST_BIN_DIR", target_dir()?.join("debug").display().to_string())
        .program("node", ["--test", "--test-concurrency=1", "--test-timeout=600000"])
        .args(&["--test-reporter=spec".to_owned()])
        .args(&files))
}

/// The test files by name: a folder as an argument means different things to different Nodes.
fn test_files(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for path in Shell::new()?.read_dir(folder)? {
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path.strip_prefix(root()).unwrap_or(&path).display().to_string());
        }
    }
    if files.is_empty() {
        bail!("no *.test.mjs in {}", folder.display());
    }
    files.sort();
    Ok(files)
}

/// Where cargo puts programs: it follows the user's own configuration.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = crate::tidy::metadata()?;
    let folder = metadata["target_directory"].as_str().context("no target_directory")?;
    Ok(PathBuf::from(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_to_end_files_are_found_and_get_the_programs_folder() {
        let line = e2e().unwrap().repeat();
        assert!(line.contains("tests/e2e/harness.test.mjs"), "{line}");
        assert!(line.starts_with("TEST_BIN_DIR=/"), "{line}");
    }
}
