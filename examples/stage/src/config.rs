//! What is configured.

use std::fmt::Debug;

use router_core::{
    config::{
        BusSection, ChannelsSection, KeysSection, List, ListenSection, LogSection, NodeSection,
        SocketsSection, WebSection,
    },
    limits::Limits,
    session::SessionSettings,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Example, cli::Command};

/// What an example may have in its own section. Give it `#[serde(default, deny_unknown_fields)]`.
pub trait Settings:
    Debug + Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Settings for T where
    T: Debug + Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// The settings of an example that has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(bound(serialize = "T: Settings", deserialize = "T: Settings"))]
pub(crate) struct Config<T> {
    /// Where the nodes are, `host:port`; for the page.
    pub(crate) ws: List,
    /// `[web]`
    pub(crate) web: WebSection,
    /// `[sockets]`
    pub(crate) sockets: SocketsSection,
    /// `[channels]`
    pub(crate) channels: ChannelsSection,
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
    /// `[example]`: the example's own.
    #[serde(skip_serializing_if = "says_nothing")]
    pub(crate) example: T,
}

/// A type without values to tell apart, as [`Nothing`], has nothing to show.
fn says_nothing<T>(_: &T) -> bool {
    size_of::<T>() == 0
}

impl<T: Settings> Default for Config<T> {
    fn default() -> Self {
        Self {
            ws: List::default(),
            web: WebSection::default(),
            sockets: SocketsSection::default(),
            channels: ChannelsSection::default(),
            node: NodeSection::default(),
            bus: BusSection::default(),
            listen: ListenSection::default(),
            keys: KeysSection::default(),
            session: SessionSettings::default(),
            limits: Limits::default(),
            // A first run shows where to click, and what is wrong, and no more.
            log: LogSection { filter: "warn".to_owned(), ..LogSection::default() },
            example: T::default(),
        }
    }
}

impl<T: Settings> Config<T> {
    /// Fills in what depends on the form that runs.
    pub(crate) fn with_defaults(mut self, of: &Example<T>, command: Option<&Command>) -> Self {
        if self.ws.is_empty() {
            self.ws = of.ws_ports.clone().map(|port| format!("127.0.0.1:{port}")).collect();
        }
        if self.listen.port == 0 {
            let nid = u16::try_from(self.node.nid.0).unwrap_or(u16::MAX);
            self.listen.port = match command {
                Some(Command::Ws(_)) => of.ws_ports.start().saturating_add(nid),
                _ => of.page_port,
            };
        }
        if self.sockets.origins.is_empty() {
            let page = match command {
                Some(Command::Ws(_)) => of.page_port,
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
    use router_core::config::{Sources, load, print};

    use super::*;

    #[derive(Debug, Clone, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Own {
        seats: u32,
    }

    #[test]
    fn an_example_has_a_section_of_its_own_or_shows_none() {
        let sources = || Sources::new().without_environment().flag("example.seats", Some(3));
        let config: Config<Own> = load(sources()).unwrap();
        assert_eq!(config.example.seats, 3);
        assert!(print(&config).unwrap().contains("[example]\nseats = 3"));
        assert!(load::<Config<Nothing>>(sources()).is_err());
        assert!(!print(&Config::<Nothing>::default()).unwrap().contains("example"));
    }
}
