//! Where Redis is: one server, a cluster, or a master that Sentinels know, by URL.
//!
//! ```text
//! redis://[[user]:password@]host[:port][/database][?prefix=name]
//! redis+cluster://[[user]:password@]host[:port][,host[:port]…][?prefix=name]
//! redis+sentinel://[[user]:password@]host[:port][,host[:port]…]/master-name[/database][?prefix=name]
//! ```
//!
//! `rediss` instead of `redis` is TLS, to the Sentinels too; the name of the host is checked. User and password may be
//! percent-encoded; they are those of Redis, Sentinels are asked without. No error and no `Debug`
//! repeats a part of the URL that could be a password.

use std::{fmt, str::FromStr};

/// Where Redis is, and under which prefix its keys stand.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(crate) kind: Kind,
    pub(crate) tls: bool,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) database: u16,
    pub(crate) prefix: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    Cluster,
    Sentinel { master: String },
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

/// One `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not one of the six schemes.
    #[error(
        "the scheme is none of redis, rediss, redis+cluster, rediss+cluster, redis+sentinel, rediss+sentinel"
    )]
    Scheme,
    /// User or password is not percent-encoded UTF-8.
    #[error("the user or the password is not percent-encoded UTF-8")]
    Credentials,
    /// There is no host, or one is empty.
    #[error("a host is missing")]
    Host,
    /// A port is no number from 1 to 65535.
    #[error("a port is no number from 1 to 65535")]
    Port,
    /// `redis://` names exactly one host.
    #[error("redis:// names one host; several are a redis+cluster:// or a redis+sentinel://")]
    ManyHosts,
    /// The database is no number, or is not 0 in a cluster.
    #[error("the database is no number from 0 to 65535 (a cluster has only 0)")]
    Database,
    /// `redis+sentinel://` needs the master's name.
    #[error("the master's name is missing: redis+sentinel://host:port/master-name")]
    MasterName,
    /// The prefix is empty, or has another character than letters, digits, `-`, `_`, `.` and `:`.
    #[error("the prefix is 1 to 64 letters, digits, '-', '_', '.' or ':'")]
    Prefix,
    /// The query has something else than `prefix`.
    #[error("the only parameter is prefix")]
    Parameter,
}

impl FromStr for RedisUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let (tls, is_cluster, is_sentinel, default_port) = match scheme {
            "redis" => (false, false, false, 6379),
            "rediss" => (true, false, false, 6379),
            "redis+cluster" => (false, true, false, 6379),
            "rediss+cluster" => (true, true, false, 6379),
            "redis+sentinel" => (false, false, true, 26379),
            "rediss+sentinel" => (true, false, true, 26379),
            _ => return Err(UrlError::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The last '@' ends the credentials, so that an unencoded one in a password does no harm.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(parse_credentials(credentials)?), rest),
            None => (None, rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = hosts
            .split(',')
            .map(|host| parse_host(host, default_port))
            .collect::<Result<Vec<_>, _>>()?;
        let (master, database) =
            if is_sentinel { path.split_once('/').unwrap_or((path, "")) } else { ("", path) };
        let database = match database.trim_end_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| UrlError::Database)?,
        };
        let kind = match (is_cluster, is_sentinel) {
            (true, _) if database != 0 => return Err(UrlError::Database),
            (true, _) => Kind::Cluster,
            (_, true) if master.is_empty() => return Err(UrlError::MasterName),
            (_, true) => Kind::Sentinel { master: master.into() },
            _ if hosts.len() > 1 => return Err(UrlError::ManyHosts),
            _ => Kind::Single,
        };
        Ok(Self { kind, tls, credentials, hosts, database, prefix: parse_query(query)? })
    }
}

fn parse_credentials(text: &str) -> Result<Credentials, UrlError> {
    let (user, password) = text.split_once(':').unwrap_or(("", text));
    let user = Some(percent_decode(user)?).filter(|user| !user.is_empty());
    Ok(Credentials { user, password: percent_decode(password)? })
}

fn parse_host(text: &str, default_port: u16) -> Result<Host, UrlError> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
            (
                name,
                if rest.is_empty() {
                    None
                } else {
                    Some(rest.strip_prefix(':').ok_or(UrlError::Port)?)
                },
            )
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(UrlError::Host);
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?,
        None => default_port,
    };
    Ok(Host { name: name.into(), port })
}

fn parse_query(query: &str) -> Result<String, UrlError> {
    let mut prefix = "whisk";
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("prefix", value)) => prefix = value,
            _ => return Err(UrlError::Parameter),
        }
    }
    let fits = (1..=64).contains(&prefix.len())
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    if fits { Ok(prefix.into()) } else { Err(UrlError::Prefix) }
}

fn percent_decode(text: &str) -> Result<String, UrlError> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digit = |byte: Option<u8>| {
                byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(UrlError::Credentials)
            };
            let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
            u8::try_from(value).map_err(|_| UrlError::Credentials)?
        } else {
            byte
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).map_err(|_| UrlError::Credentials)
}

impl fmt::Display for RedisUrl {
    /// The URL with the password hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let kind = match self.kind {
            Kind::Single => "",
            Kind::Cluster => "+cluster",
            Kind::Sentinel { .. } => "+sentinel",
        };
        write!(f, "redis{tls}{kind}://")?;
        if let Some(credentials) = &self.credentials {
            write!(f, "{}:***@", credentials.user.as_deref().unwrap_or_default())?;
        }
        for (at, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if at == 0 { "" } else { "," })?;
        }
        if let Kind::Sentinel { master } = &self.kind {
            write!(f, "/{master}")?;
        }
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self}, prefix {})", self.prefix)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
