//! Measures Whisk side by side with "the limit": a plain program that only accepts sockets and
//! writes the same bytes to each. Reports ratios, since times on a shared machine are noisy.

#![allow(clippy::print_stdout, reason = "a benchmark's report is what it prints")]

mod limit;
mod load;
mod measure;
mod report;
mod whisk;

use clap::{Parser, Subcommand};

/// Measures Whisk side by side with the kernel's own cost of the same deliveries.
///
/// Without a command it runs everything: it starts both servers as processes of their own, connects
/// clients to each, and compares the CPU time that the servers took.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: report::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The limit: accepts sockets, and writes each frame that it is told to write to all of them.
    Limit(limit::Options),
    /// A ws-service with every limit of rates and numbers off.
    Whisk(whisk::Options),
}

fn main() -> anyhow::Result<()> {
    measure::raise_open_files();
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Limit(options)) => limit::run(&options),
        Some(Command::Whisk(options)) => whisk::run(options),
        None => report::run(&cli.options),
    }
}
