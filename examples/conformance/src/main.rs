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
    stage::outcome("conformance", start(&Cli::parse()).await)
}

async fn start(cli: &Cli) -> anyhow::Result<()> {
    launch::log_to_stderr(&LogSection { filter: cli.log.clone(), ..LogSection::default() })?;
    launch::raise_open_files();
    run::run(cli).await
}
