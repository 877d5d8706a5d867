//! The command line.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use router_core::config::{self, Sources};

use crate::{
    Example,
    config::{Config, Settings},
    run, say,
};

/// The forms of an example. The texts that differ are filled in by [`command`].
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

/// One part of the system as a process of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The page and its sessions.
    Web(Web),
    /// One ws node, which holds sockets.
    Ws(Ws),
}

/// What every form takes.
#[derive(Debug, Args)]
struct Common {
    /// A configuration file (TOML), beneath the environment (WHISK_…) and the flags.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the configuration in force, with secrets masked, and stop.
    #[arg(long, global = true)]
    print_config: bool,
    /// Where the processes meet: `memory:`, or a `redis://` URL.
    #[arg(long, global = true, value_name = "URL")]
    bus: Option<String>,
    /// The address to listen on; 127.0.0.1 by default.
    #[arg(long, global = true)]
    host: Option<IpAddr>,
    /// The port to listen on.
    #[arg(long, global = true)]
    port: Option<u16>,
}

/// `web`
#[derive(Debug, Args)]
pub(crate) struct Web {
    /// The ws nodes as browsers reach them: `host:port`, or `wss://host`, between commas.
    #[arg(long, value_name = "HOST:PORT,…")]
    ws: Option<String>,
}

/// `ws`
#[derive(Debug, Args)]
pub(crate) struct Ws {
    /// The node id; no two running nodes have the same.
    #[arg(long)]
    nid: Option<u32>,
    /// An origin whose pages may connect, `http://host:port`; may be given several times. By default
    /// the page of the first form.
    #[arg(long, value_name = "URL")]
    origin: Vec<String>,
}

impl Cli {
    /// Where the configuration comes from.
    pub(crate) fn sources(&self) -> Sources {
        let common = &self.common;
        let sources = Sources::new()
            .file(common.config.as_deref())
            .flag("bus.url", common.bus.as_ref())
            .flag("listen.host", common.host)
            .flag("listen.port", common.port);
        match &self.command {
            None => sources,
            Some(Command::Web(web)) => sources.flag("ws", web.ws.as_ref()),
            Some(Command::Ws(ws)) => {
                let origins = (!ws.origin.is_empty()).then(|| ws.origin.join(","));
                sources.flag("node.nid", ws.nid).flag("sockets.origins", origins)
            }
        }
    }
}

/// Does what the command line asks for.
pub(crate) async fn start<T: Settings>(example: Example<T>) -> anyhow::Result<()> {
    let cli = Cli::from_arg_matches(&command(&example).get_matches())?;
    let config: Config<T> = config::load(cli.sources())?;
    let config = config.with_defaults(&example, cli.command.as_ref());
    if cli.common.print_config {
        say(&config::print(&config)?);
        return Ok(());
    }
    launch::log_to_stderr(&config.log)?;
    launch::raise_open_files();
    run::run(example, cli.command.as_ref(), config).await
}

/// The command line of an example, with its name and its ports.
fn command<T>(example: &Example<T>) -> clap::Command {
    let Example { name, about, page_port, ws_ports, .. } = example;
    let forms = format!(
        "{about}\n\nWithout a command, everything runs in one process on `memory:`: the page on \
         127.0.0.1:{page_port}, and ws nodes on {}. With `web` and `ws`, the same as separate \
         processes that meet on the bus.",
        listed(ws_ports.clone())
    );
    let port = format!(
        "The port to listen on; {page_port} for the page by default, and the node id after {} for a \
         node",
        ws_ports.start()
    );
    Cli::command()
        .name(*name)
        .about(about.trim_end_matches('.').to_owned())
        .long_about(forms)
        .mut_arg("port", |arg| arg.help(port))
}

/// `8889, 8890 and 8891`
fn listed(ports: impl IntoIterator<Item = u16>) -> String {
    let mut ports: Vec<String> = ports.into_iter().map(|port| port.to_string()).collect();
    match (ports.pop(), ports.join(", ")) {
        (None, _) => "no port".to_owned(),
        (Some(only), first) if first.is_empty() => only,
        (Some(last), first) => format!("{first} and {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Nothing;

    fn example() -> Example {
        Example {
            name: "sample",
            about: "A sample.",
            page_port: 8888,
            ws_ports: 8889..=8891,
            invitation: |page| format!("Open {page}."),
            pages: |_| {},
            routes: |_, _: &Nothing| {},
            observers: |_| {},
        }
    }

    fn parsed(args: &[&str]) -> Config<Nothing> {
        let matches = command(&example()).try_get_matches_from([&["sample"], args].concat());
        let cli = Cli::from_arg_matches(&matches.unwrap()).unwrap();
        let config: Config<Nothing> = config::load(cli.sources().without_environment()).unwrap();
        config.with_defaults(&example(), cli.command.as_ref())
    }

    #[test]
    fn the_command_line_is_consistent() {
        command(&example()).debug_assert();
    }

    #[test]
    fn the_help_names_the_examples_own_ports() {
        let help = command(&example()).render_long_help().to_string();
        for text in
            ["A sample.", "127.0.0.1:8888,", "8889, 8890 and 8891.", "after 8889 for a node"]
        {
            assert!(help.contains(text), "{text}: {help}");
        }
        assert_eq!(listed(7..=7), "7");
    }

    #[test]
    fn each_form_has_the_ports_of_the_first() {
        let all = parsed(&[]);
        assert_eq!((all.listen.port, all.ws.iter().count()), (8888, 3));
        let moved = parsed(&["--port", "9000"]);
        assert_eq!(moved.sockets.origins.iter().next(), Some("http://127.0.0.1:9000"));
        let ws = parsed(&["ws", "--nid", "1"]);
        assert_eq!(ws.listen.port, 8890);
        assert_eq!(ws.sockets.origins.iter().next(), Some("http://127.0.0.1:8888"));
    }

    #[test]
    fn flags_of_separate_processes_are_read() {
        let url = "redis://127.0.0.1:6379";
        let web = parsed(&["web", "--port", "1", "--bus", url, "--ws", "a:1,b:2"]);
        assert_eq!(web.ws.iter().collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert_eq!((web.bus.url.expose(), web.listen.port), (url, 1));
        let ws = parsed(&["ws", "--origin", "http://a", "--origin", "http://b"]);
        assert_eq!(ws.sockets.origins.iter().collect::<Vec<_>>(), ["http://a", "http://b"]);
    }
}
