//! Hello, World!: say something in one browser and read it in another, through a web-service, a
//! confirmed socket, a route, the bus and an observer.

mod cli;
mod page;
mod run;
mod world;

use std::{io::Write, process::ExitCode};

use clap::Parser;
use cli::{Cli, Config};
use router_core::config;

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
    let config: Config = config::load(cli.sources())?;
    let config = config.with_defaults(cli.command.as_ref());
    if cli.common.print_config {
        say(&config::print(&config)?);
        return Ok(());
    }
    launch::log_to_stderr(&config.log)?;
    launch::raise_open_files();
    run::run(cli.command.as_ref(), config).await
}

/// What the program says to the person who started it; the log goes to standard error. A reader
/// that went away, as `head` does, is no reason to fail.
fn say(text: &str) {
    let _gone = writeln!(std::io::stdout(), "{text}");
}

/// The log may not have begun when a start fails.
fn say_error(error: &anyhow::Error) {
    let _gone = writeln!(std::io::stderr(), "hello-world did not start: {error:#}");
}
