//! `cargo xtask ci`: what must hold before a change is taken, the quick checks first.

use anyhow::Result;

use crate::run::{Progress, Step};
use crate::setup::{self, Wanted};
use crate::{test, tidy};

pub(crate) fn command() -> Result<()> {
    let mut progress = Progress::default();
    let outcome = checks(&mut progress);
    progress.summary(outcome)
}

fn checks(progress: &mut Progress) -> Result<()> {
    progress.task("setup", "cargo xtask setup", || setup::ensure(Wanted::Ci))?;
    progress.step(&format())?;
    progress.task("tidy", "cargo xtask tidy", tidy::command)?;
    progress.step(&clippy())?;
    progress.step(&rustdoc())?;
    progress.step(&deny())?;
    test::steps(progress, None)
}

fn format() -> Step {
    Step::new("format", "`cargo fmt --all` mends what it finds")
        .program("cargo", ["fmt", "--all", "--check"])
}

fn clippy() -> Step {
    Step::new("clippy", "the workspace's lints, none let through").program(
        "cargo",
        ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
    )
}

fn rustdoc() -> Step {
    Step::new("rustdoc", "every page builds and every link in it leads somewhere")
        .env("RUSTDOCFLAGS", "-D warnings")
        .program("cargo", ["doc", "--workspace", "--no-deps", "--all-features"])
}

fn deny() -> Step {
    Step::new("deny", "banned crates, licences and sources, as deny.toml has them")
        .program("cargo", ["deny", "--workspace", "--all-features", "check"])
        .args(&["--hide-inclusion-graph", "bans", "licenses", "sources"].map(str::to_owned))
}
