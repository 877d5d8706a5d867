//! The command line and the configuration behind it.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use router_core::{
    config::{
        BusSection, KeysSection, List, ListenSection, LogSection, NodeSection, SocketsSection,
        Sources, WebSection,
    },
    limits::Limits,
    session::SessionSettings,
};
use serde::{Deserialize, Serialize};

/// Say something in one browser and read it in another.
///
/// Without a command, everything runs in one process on `memory:`: the page on 127.0.0.1:8888, and
/// ws nodes on 8889, 8890 and 8891. With `web` and `ws`, the same as separate processes that meet on
/// the bus.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) common: Common,
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
pub(crate) struct Common {
    /// A configuration file (TOML), beneath the environment (WHISK_…) and the flags.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration in force, with secrets masked, and stop.
    #[arg(long, global = true)]
    pub(crate) print_config: bool,
    /// Where the processes meet: `memory:`, or a `redis://` URL.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) bus: Option<String>,
    /// The address to listen on; 127.0.0.1 by default.
    #[arg(long, global = true)]
    pub(crate) host: Option<IpAddr>,
    /// The port to listen on; 8888 for the page by default, and the node id after 8889 for a node.
    #[arg(long, global = true)]
    pub(crate) port: Option<u16>,
}

/// `web`
#[derive(Debug, Args)]
pub(crate) struct Web {
    /// The ws nodes as browsers reach them: `host:port`, or `wss://host`, between commas.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) ws: Option<String>,
}

/// `ws`
#[derive(Debug, Args)]
pub(crate) struct Ws {
    /// The node id; no two running nodes have the same.
    #[arg(long)]
    pub(crate) nid: Option<u32>,
    /// An origin whose pages may connect, `http://host:port`; may be given several times. By default
    /// the page of the first form.
    #[arg(long, value_name = "URL")]
    pub(crate) origin: Vec<String>,
}

/// What is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the nodes are, `host:port`; for the page.
    pub(crate) ws: List,
    /// `[web]`
    pub(crate) web: WebSection,
    /// `[sockets]`
    pub(crate) sockets: SocketsSection,
    /// `[node]`
    pub(crate) node: NodeSection,
    /// `[bus]`
    pub(crate) bus: BusSection,
    /// `[listen]`
    pub(crate) listen: ListenSection,
    /// `[keys]`
    pub(crate) keys: KeysSection,
    /// `[session]`
    pub(crate) session: SessionSettings,
    /// `[limits]`
    pub(crate) limits: Limits,
    /// `[log]`
    pub(crate) log: LogSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ws: List::default(),
            web: WebSection::default(),
            sockets: SocketsSection::default(),
            node: NodeSection::default(),
            bus: BusSection::default(),
            listen: ListenSection::default(),
            keys: KeysSection::default(),
            session: SessionSettings::default(),
            limits: Limits::default(),
            // A first run shows where to click, and what is wrong, and no more.
            log: LogSection { filter: "warn".to_owned(), ..LogSection::default() },
        }
    }
}

/// The port of the page.
pub(crate) const WEB_PORT: u16 = 8888;

/// The port of the node `ws/0`; the others follow.
pub(crate) const WS_PORT: u16 = 8889;

/// How many nodes the form in one process has.
pub(crate) const WS_NODES: u16 = 3;

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

impl Config {
    /// Fills in what depends on the form that runs.
    pub(crate) fn with_defaults(mut self, command: Option<&Command>) -> Self {
        if self.ws.is_empty() {
            self.ws = (0..WS_NODES).map(|n| format!("127.0.0.1:{}", WS_PORT + n)).collect();
        }
        if self.listen.port == 0 {
            let nid = u16::try_from(self.node.nid.0).unwrap_or(u16::MAX);
            self.listen.port = match command {
                Some(Command::Ws(_)) => WS_PORT.saturating_add(nid),
                _ => WEB_PORT,
            };
        }
        if self.sockets.origins.is_empty() {
            let page = match command {
                Some(Command::Ws(_)) => WEB_PORT,
                _ => self.listen.port,
            };
            self.sockets.origins = own_origins(page).into_iter().collect();
        }
        self
    }
}

/// The page's origins on this machine.
fn own_origins(port: u16) -> [String; 2] {
    [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}")]
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use router_core::config;

    use super::*;

    fn parsed(args: &[&str]) -> (Cli, Config) {
        let cli = Cli::try_parse_from([&["hello-world"], args].concat()).unwrap();
        let config: Config = config::load(cli.sources().without_environment()).unwrap();
        let config = config.with_defaults(cli.command.as_ref());
        (cli, config)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_form_has_the_ports_of_the_first() {
        let (_, all) = parsed(&[]);
        assert_eq!((all.listen.port, all.ws.iter().count()), (8888, 3));
        let (_, moved) = parsed(&["--port", "9000"]);
        assert_eq!(moved.sockets.origins.iter().next(), Some("http://127.0.0.1:9000"));
        let (_, ws) = parsed(&["ws", "--nid", "1"]);
        assert_eq!(ws.listen.port, 8890);
        assert_eq!(ws.sockets.origins.iter().next(), Some("http://127.0.0.1:8888"));
    }

    #[test]
    fn flags_of_separate_processes_are_read() {
        let url = "redis://127.0.0.1:6379";
        let (_, web) = parsed(&["web", "--port", "1", "--bus", url, "--ws", "a:1,b:2"]);
        assert_eq!(web.ws.iter().collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert_eq!((web.bus.url.expose(), web.listen.port), (url, 1));
        let (_, ws) = parsed(&["ws", "--origin", "http://a", "--origin", "http://b"]);
        assert_eq!(ws.sockets.origins.iter().collect::<Vec<_>>(), ["http://a", "http://b"]);
    }
}
