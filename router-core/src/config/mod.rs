//! Configuration: a file, then the environment, then flags; the later wins.
//!
//! A program's configuration is a struct of the [sections](NodeSection) that it needs, each with
//! `#[serde(default, deny_unknown_fields)]`, so that an unknown key anywhere is an error that names
//! it. The environment's names are `WHISK_` and the key in capitals, with two underscores for a
//! dot: `WHISK_LIMITS__MAX_PAYLOAD`.
//!
//! ```
//! use router_core::config::{self, LogSection, NodeSection, Sources};
//!
//! #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     node: NodeSection,
//!     log: LogSection,
//! }
//!
//! let sources = Sources::new().flag("node.nid", Some(3)).without_environment();
//! let config: Config = config::load(sources)?;
//! assert_eq!(config.node.nid.0, 3);
//! # Ok::<_, config::ConfigError>(())
//! ```

mod list;
mod secret;
mod sections;

use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};

pub use list::List;
pub use secret::Secret;
pub use sections::{
    BusSection, ChannelsSection, KeysError, KeysSection, ListenSection, LogFormat, LogSection,
    NodeSection, SocketsSection, WebSection,
};

/// The prefix of environment variables.
const PREFIX: &str = "WHISK";

/// Where a configuration comes from.
#[derive(Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
    no_environment: bool,
}

/// Why a program cannot be configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read, or is not TOML.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<config::ConfigError>,
    },
    /// A key is unknown, or its value does not fit.
    #[error("the configuration does not fit{}: {reason}", if path == "." { String::new() } else { format!(" at `{path}`") })]
    Key {
        /// Where; `.` at the top.
        path: String,
        /// What is wrong there; names an unknown key.
        reason: String,
    },
    /// The configuration cannot be printed.
    #[error("the configuration cannot be printed")]
    Print(#[from] toml::ser::Error),
}

impl Sources {
    /// The environment alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also a TOML file, beneath the environment.
    #[must_use]
    pub fn file(mut self, path: Option<&Path>) -> Self {
        self.file = path.map(Path::to_owned);
        self
    }

    /// Also a flag, above the environment, if it was given.
    #[must_use]
    pub fn flag(mut self, key: &'static str, value: Option<impl ToString>) -> Self {
        self.flags.extend(value.map(|value| (key, value.to_string())));
        self
    }

    /// The environment is not read, so that a test is the same everywhere.
    #[must_use]
    pub fn without_environment(mut self) -> Self {
        self.no_environment = true;
        self
    }
}

/// Reads a configuration.
///
/// # Errors
/// [`ConfigError`] names the file or the key.
pub fn load<T: DeserializeOwned>(sources: Sources) -> Result<T, ConfigError> {
    let mut builder = config::Config::builder();
    if let Some(path) = sources.file {
        let file = config::File::from(path.clone()).format(config::FileFormat::Toml);
        // Built once alone, so that a broken file is told apart from a wrong key.
        config::Config::builder()
            .add_source(file.clone())
            .build()
            .map_err(|source| ConfigError::File { path, source: Box::new(source) })?;
        builder = builder.add_source(file);
    }
    if !sources.no_environment {
        let environment = config::Environment::with_prefix(PREFIX)
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true);
        builder = builder.add_source(environment);
    }
    for (key, value) in sources.flags {
        builder = builder.set_override(key, value).map_err(top)?;
    }
    let merged = builder.build().map_err(top)?;
    serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        ConfigError::Key { path, reason: error.into_inner().to_string() }
    })
}

fn top(error: config::ConfigError) -> ConfigError {
    ConfigError::Key { path: ".".into(), reason: error.to_string() }
}

/// The configuration in force, as TOML with secrets masked: what `--print-config` shows.
///
/// # Errors
/// [`ConfigError::Print`] when a value has no TOML form.
pub fn print<T: Serialize>(config: &T) -> Result<String, ConfigError> {
    Ok(toml::to_string(config)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        channel::Access,
        limits::{Limit, Limits},
    };

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        node: NodeSection,
        bus: BusSection,
        channels: ChannelsSection,
        keys: KeysSection,
        limits: Limits,
        origins: List,
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file = file(text);
        load(Sources::new().file(Some(file.path())).without_environment())
    }

    #[test]
    fn a_flag_is_above_the_file() {
        let file = file("[node]\nnid = 1\n[limits]\nmax_payload = 5\njson_depth = \"off\"");
        let sources = Sources::new().file(Some(file.path())).without_environment();
        let config: Config = load(sources.flag("node.nid", Some(2))).unwrap();
        assert_eq!(config.node.nid.0, 2);
        assert_eq!(
            (config.limits.max_payload, config.limits.json_depth),
            (Limit::At(5), Limit::Off)
        );
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (text, key) in
            [("[limits]\nmax_paylod = 5", "max_paylod"), ("[nodes]\nnid = 1", "nodes")]
        {
            let Err(ConfigError::Key { reason, .. }) = read(text) else { panic!("{text}") };
            assert!(reason.contains(key), "{reason}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_its_path() {
        let Err(ConfigError::Key { path, .. }) = read("[limits]\nmax_payload = \"much\"") else {
            panic!("refused")
        };
        assert_eq!(path, "limits.max_payload");
    }

    #[test]
    fn channels_are_closed_unless_it_is_said() {
        assert_eq!(read("").unwrap().channels.access, Access::Closed);
        let said = "[channels]\naccess = \"open\"";
        assert_eq!(read(said).unwrap().channels.access, Access::Open);
    }

    #[test]
    fn a_broken_or_missing_file_is_named() {
        assert!(matches!(read("[limits"), Err(ConfigError::File { .. })));
        let missing = Sources::new().file(Some(Path::new("/nowhere.toml")));
        assert!(matches!(load::<Config>(missing), Err(ConfigError::File { .. })));
    }

    #[test]
    fn what_is_printed_masks_secrets_and_can_be_read_again() {
        let secret = "0123456789abcdef0123456789abcdef";
        let config = read(&format!(
            "origins = \"http://a, http://b\"\n[bus]\nurl = \"redis://user:{secret}@host:1\"\n[keys]\ncurrent = \"a:{secret}\""
        ))
        .unwrap();
        assert_eq!(config.keys.ring().unwrap().unwrap().current().id(), "a");
        assert_eq!(config.origins.iter().collect::<Vec<_>>(), ["http://a", "http://b"]);
        let printed = print(&config).unwrap();
        assert!(!printed.contains(secret), "{printed}");
        assert!(printed.contains("host:1"), "{printed}");
        assert!(read(&printed).is_ok(), "{printed}");
    }
}
