//! The sections that every program's configuration is made of.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{List, Secret};
use crate::{
    address::NodeId,
    channel::Access,
    keys::{Key, KeyError, KeyRing},
};

/// `[node]`: which node this process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSection {
    /// The node id in the service's namespace; no two living processes have the same. 0.
    pub nid: NodeId,
    /// Where other nodes reach this one, `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<ByteString>,
    /// How long the address stays taken after the process froze or lost its bus. 10 s.
    #[serde(with = "humantime_serde")]
    pub lease_ttl: Duration,
    /// How often the address is renewed. 3 s.
    #[serde(with = "humantime_serde")]
    pub lease_renewal: Duration,
}

impl Default for NodeSection {
    fn default() -> Self {
        Self {
            nid: NodeId(0),
            advertise: None,
            lease_ttl: Duration::from_secs(10),
            lease_renewal: Duration::from_secs(3),
        }
    }
}

/// `[bus]`: where the processes of a system meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSection {
    /// `memory:` for one process, or a `redis://` URL.
    #[serde(serialize_with = "shown")]
    pub url: Secret,
}

impl Default for BusSection {
    fn default() -> Self {
        Self { url: Secret::from("memory:".to_owned()) }
    }
}

/// A bus's URL is shown but for its password; `memory:` has none.
fn shown<S: serde::Serializer>(url: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    if url.expose() == "memory:" {
        serializer.serialize_str("memory:")
    } else {
        url.serialize(serializer)
    }
}

/// `[listen]`: the public listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenSection {
    /// The address to listen on. 127.0.0.1: a service is opened to others on purpose.
    pub host: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// A PEM file with the certificate chain, if this process ends TLS itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
}

impl Default for ListenSection {
    fn default() -> Self {
        Self { host: IpAddr::from([127, 0, 0, 1]), port: 0, tls_certificate: None, tls_key: None }
    }
}

/// `[web]`: the web side, as browsers reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSection {
    /// Browsers reach it by https: cookies are `Secure`. Set it behind a proxy that ends TLS. Off.
    pub secure: bool,
    /// The origins at which browsers see it; needed behind a proxy that changes `Host`. Without
    /// any, its own are those whose host the request names.
    pub origins: List,
}

/// `[sockets]`: the sockets of a ws node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketsSection {
    /// Whose pages may open sockets: origins, each exactly as a browser writes it.
    pub origins: List,
    /// Refuses requests without an `Origin`, which no browser sends. Off: they need their token.
    pub require_origin: bool,
    /// Proxies whose `X-Forwarded-For` is believed, as addresses or networks (`10.0.0.0/8`).
    /// Without any, all clients behind one proxy share its address and its bounds.
    pub trusted_proxies: List,
    /// Time between two pings. 25 s, as Socket.IO has it.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// Time within which a ping must be answered. 20 s, as Socket.IO has it.
    #[serde(with = "humantime_serde")]
    pub ping_timeout: Duration,
    /// The time in which a node that stops sends its sockets to others. 30 s.
    #[serde(with = "humantime_serde")]
    pub drain_window: Duration,
}

impl Default for SocketsSection {
    fn default() -> Self {
        Self {
            origins: List::default(),
            require_origin: false,
            trusted_proxies: List::default(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            drain_window: Duration::from_secs(30),
        }
    }
}

/// `[channels]`: what holds for channels of which the program says nothing itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelsSection {
    /// Who may subscribe: `closed`, nobody, or `open`, everybody who has a socket. Channels whose
    /// names begin with `private` stay closed. Closed.
    pub access: Access,
}

/// `[keys]`: what signs tokens, resume credentials and cookies, each written `id:secret`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysSection {
    /// The key that signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Secret>,
    /// The key before it, which is still believed. To rotate: make a new `current`, move the old
    /// one here, and remove it after the longest life of what it signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Secret>,
}

/// Why configured keys are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A key is not well-formed.
    #[error("keys.{name}: {source}")]
    Key {
        /// `current` or `previous`.
        name: &'static str,
        /// What is wrong.
        source: KeyError,
    },
    /// There is a previous key and no current one.
    #[error("keys.previous is set and keys.current is not")]
    NoCurrent,
}

impl KeysSection {
    /// The keys, if any are configured.
    ///
    /// # Errors
    /// [`KeysError`] says which key is wrong.
    pub fn ring(&self) -> Result<Option<KeyRing>, KeysError> {
        let read = |name, text: &Option<Secret>| {
            let key = text.as_ref().map(|text| text.expose().parse::<Key>()).transpose();
            key.map_err(|source| KeysError::Key { name, source })
        };
        match (read("current", &self.current)?, read("previous", &self.previous)?) {
            (Some(current), previous) => KeyRing::new(current, previous)
                .map(Some)
                .map_err(|source| KeysError::Key { name: "previous", source }),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(KeysError::NoCurrent),
        }
    }
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Levels by module, as `info,ws_service=debug`. `info`.
    pub filter: String,
    /// `text` for people, `json` for machines. `text`.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}
