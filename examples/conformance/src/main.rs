//! The program that protocol suites, official clients and benchmarks run against: open to
//! everybody, without limits of rates and numbers, with a handler for whatever they ask of a server.

mod cli;
mod events;
mod host;
mod run;

use std::process::ExitCode;

use clap::Parser;
use cli::Cli;
use router_core::config::LogSection;

#[actix_web::main]
async fn main() -> ExitCode {
    match start(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn start(cli: &Cli) -> anyhow::Result<()> {
    launch::log_to_stderr(&LogSection { filter: cli.log.clone(), ..LogSection::default() })?;
    launch::raise_open_files();
    run::run(cli).await
}

/// What a program says to the person who started it.
#[allow(clippy::print_stdout, reason = "standard output is for the person; the log goes elsewhere")]
fn say(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr, reason = "the log may not have begun when a start fails")]
fn say_error(error: &anyhow::Error) {
    eprintln!("conformance did not start: {error:#}");
}
