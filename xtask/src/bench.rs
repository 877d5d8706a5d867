//! `cargo xtask bench`: the benchmark, built as it ships, and the other servers beside it.

use anyhow::Result;

use crate::{
    run::{Step, root},
    test::target_dir,
};

/// Whisk and the limit alone are measured; the other servers are not built.
const NO_PEERS: &str = "--no-peers";

pub(crate) fn command(args: &[String]) -> Result<()> {
    // All that is measured is built first, so that no compiler runs beside it.
    Step::new("build", "the programs to measure, in release mode")
        .program("cargo", ["build", "--release", "--workspace", "--bins"])
        .run(root())?;
    if !args.iter().any(|arg| arg == NO_PEERS) {
        peers()?;
    }
    Step::new("bench", "the figures")
        .program("cargo", ["run", "--release", "-p", "bench", "--"])
        .args(args)
        .run(root())
}

/// Each is a project of its own, so that nothing of it enters ours.
fn peers() -> Result<()> {
    let target = target_dir()?.join("peers").display().to_string();
    Step::new("socketioxide", "a peer of the benchmark")
        .program("cargo", ["build", "--release", "--locked", "--target-dir", &target])
        .args(&["--manifest-path".to_owned(), "bench/peers/socketioxide/Cargo.toml".to_owned()])
        .run(root())?;
    Step::new("socket.io", "the other peer of the benchmark")
        .folder("bench/peers/socket.io")
        .program("npm", ["ci", "--no-audit", "--no-fund"])
        .run(root())
}
