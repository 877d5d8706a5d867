//! `cargo xtask bench`: the benchmark, built as it ships.

use anyhow::Result;

use crate::run::{Step, root};

pub(crate) fn command(args: &[String]) -> Result<()> {
    // The programs that it measures are built first, so that no compiler runs beside them.
    Step::new("build", "the programs to measure, in release mode")
        .program("cargo", ["build", "--release", "--workspace", "--bins"])
        .run(root())?;
    Step::new("bench", "the figures")
        .program("cargo", ["run", "--release", "-p", "bench", "--"])
        .args(args)
        .run(root())
}
