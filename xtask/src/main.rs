//! `cargo xtask`: the commands with which the project is set up, tested and checked.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to the person who runs it"
)]

mod bench;
mod ci;
mod python;
mod run;
mod setup;
mod suites;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{suites::Suites, test::Part};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need and is missing (quick when all is there).
    ///
    /// redis-server and chromium as Debian packages, the rustfmt and clippy components, the npm
    /// packages of client/ and tests/, and the Python packages of tests/python. Node 20 or later with npm must be there. Only on Debian
    /// and as root are system packages installed; elsewhere the command prints what to install
    /// and stops.
    Setup,
    /// Run all tests: setup, build, Rust tests and doctests, client tests, end-to-end tests.
    ///
    /// Stops at the first step that fails and prints the command that repeats just that step.
    Test {
        /// Run one part alone.
        #[arg(long, value_enum)]
        only: Option<Part>,
    },
    /// Everything that must hold before a change is taken: format, tidy, clippy, rustdoc,
    /// cargo-deny (bans, licences, sources), then all tests.
    Ci,
    /// Check the rules that no compiler knows.
    ///
    /// Which crate may depend on which, a header in each source file, files of at most 600 lines,
    /// nothing left unfinished, and a living test for each invariant of ARCHITECTURE.md.
    Tidy,
    /// Run the protocols' public suites, over copies that somebody fetched.
    ///
    /// They are not kept here, and not a part of `test`: they need port 3000, and npm packages of
    /// their own.
    Suites(Suites),
    /// Build the benchmark in release mode and run it with the arguments that follow.
    Bench {
        /// Passed to the benchmark as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Task::Setup => setup::command(),
        Task::Test { only } => test::command(only),
        Task::Ci => ci::command(),
        Task::Tidy => tidy::command(),
        Task::Suites(suites) => suites::command(&suites),
        Task::Bench { args } => bench::command(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
