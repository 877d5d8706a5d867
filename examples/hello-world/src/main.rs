//! Hello, World!: say something in one browser and read it in another, through a web-service, a
//! confirmed socket, a route, the bus and an observer.

mod cli;
mod page;
mod run;
mod world;

use std::process::ExitCode;

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

/// What a program says to the person who started it.
#[allow(clippy::print_stdout, reason = "standard output is for the person; the log goes elsewhere")]
fn say(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr, reason = "the log may not have begun when a start fails")]
fn say_error(error: &anyhow::Error) {
    eprintln!("hello-world did not start: {error:#}");
}
