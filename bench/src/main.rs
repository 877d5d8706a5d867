//! Measures Whisk side by side with "the limit", a plain program that writes the same bytes and
//! nothing more, and with other servers of Socket.IO. Reports ratios, since times on a shared machine
//! are noisy.

#![allow(clippy::print_stdout, reason = "a benchmark's report is what it prints")]

mod figures;
mod limit;
mod load;
mod measure;
mod node;
mod redis;
mod report;
mod servers;

use clap::{Parser, Subcommand};

/// Measures Whisk side by side with the kernel's own cost of the same work, and with its peers.
///
/// Without a command it measures everything: it starts the servers as processes of their own, connects
/// clients to each, and compares the CPU time, the memory and the time that they took.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: figures::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The limit: writes frames to whoever connected, or answers bytes with bytes.
    Limit(limit::Options),
    /// A ws-service with confirmed sockets, channels and rosters.
    Node(node::Options),
}

fn main() -> anyhow::Result<()> {
    measure::raise_open_files();
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Limit(options)) => limit::run(&options),
        Some(Command::Node(options)) => node::run(&options),
        None => figures::run(&cli.options),
    }
}
