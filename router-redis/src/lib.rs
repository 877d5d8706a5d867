//! The Redis backend of Whisk: one server, a master that Sentinels know, or a cluster, by URL.
//!
//! ```no_run
//! use router_redis::{RedisBackend, RedisConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = RedisBackend::connect(RedisConfig::new("redis://127.0.0.1:6379".parse()?))?;
//! # drop(backend); Ok(()) }
//! ```
//!
//! Needs Redis 6.2 or later (RESP3, `GETDEL`, `XTRIM MINID`). Rooms and channels go by sharded pub/sub
//! where the server has it, which is from Redis 7.0 on: in a cluster, what is said on one then costs
//! the master of its slot and the nodes that listen, and nobody else. With an older server they go by
//! plain pub/sub.
//!
//! What the backend promises stands in the traits of [`router_core::backend`]. How it lives with a
//! Redis that does not:
//!
//! - Connections are made in the background and made again after every loss, with full jitter. While
//!   there is none, calls fail at once with `NotApplied`; only a dial that is under way is awaited.
//! - Every call ends by [`RedisConfig::call_timeout`]. No answer, or a connection that broke, is
//!   `OutcomeUnknown`; an error that Redis answered is `NotApplied`. Nothing is sent twice, unless a
//!   server said that it did not do it.
//! - Three calls in a row without an answer, or [`BusLink::reconnect`], make a connection anew.
//! - A channel is listened to at the master of its slot, wherever that goes: after a failover, and
//!   after the slot was moved. While a slot is being moved, what is published under a position is
//!   heard by nobody from when the position has moved until the slot has, and its publisher is told
//!   so; the listeners are told at the end that frames may have been missed.
//! - No queue is without bound: at most 8192 calls of a process wait for their answer, and what is
//!   published is handed to the sink on the connection's own task.
//!
//! [`BusLink::reconnect`]: router_core::backend::bus::BusLink::reconnect

use std::{sync::Arc, time::Duration};

use router_core::backend::Backend;
use tokio::runtime::Handle;

mod backoff;
mod channels;
mod cluster;
mod commands;
mod conn;
mod dial;
mod error;
mod keys;
mod lines;
mod link;
mod listening;
mod presence;
mod records;
mod registry;
mod scripts;
mod secrets;
mod slot;
mod steps;
mod tokens;
mod url;

pub use backoff::Backoff;
pub use url::{RedisUrl, UrlError};

use commands::Commands;
use dial::Dialer;
use link::RedisBus;

/// Where Redis is and how long it may take.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Where it is.
    pub url: RedisUrl,
    /// The longest that a call may take, and that making a connection may take. 2 s by default.
    pub call_timeout: Duration,
    /// The waits between attempts to connect.
    pub backoff: Backoff,
    /// With TLS: the roots to trust, as PEM. The system's own (or those of `SSL_CERT_FILE`) if none.
    pub roots: Option<Vec<u8>>,
}

impl RedisConfig {
    /// The defaults for this URL.
    pub fn new(url: RedisUrl) -> Self {
        let call_timeout = Duration::from_secs(2);
        Self { url, call_timeout, backoff: Backoff::default(), roots: None }
    }

    /// With this limit for each call.
    #[must_use]
    pub fn call_timeout(self, call_timeout: Duration) -> Self {
        Self { call_timeout, ..self }
    }

    /// With these roots, as PEM, in place of the system's.
    #[must_use]
    pub fn roots(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { roots: Some(pem.into()), ..self }
    }

    /// With these waits between attempts to connect.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }
}

/// Why no backend was made. A Redis that is not there is no such reason: it may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no tokio runtime to keep the connections on.
    #[error("the Redis backend is to be made inside a tokio runtime")]
    NoRuntime,
    /// The limit for a call is zero.
    #[error("the limit for a call must be more than zero")]
    CallTimeout,
}

/// Makes backends on Redis.
#[derive(Debug)]
pub struct RedisBackend;

impl RedisBackend {
    /// A backend on the Redis of `config`, on one command connection (in a cluster: one for each
    /// master) and one for each link (in a cluster: one, and one more for each master with a channel
    /// that the link listens to). Its tasks run on the current tokio runtime, which must live as
    /// long as the backend; the backend itself may be used from any.
    ///
    /// Returns at once. The first calls wait for the first connection, within their limit.
    ///
    /// # Errors
    /// When there is no runtime, or the configuration makes no sense.
    pub fn connect(config: RedisConfig) -> Result<Backend, ConnectError> {
        let runtime = Handle::try_current().map_err(|_| ConnectError::NoRuntime)?;
        if config.call_timeout.is_zero() {
            return Err(ConnectError::CallTimeout);
        }
        let backoff = config.backoff;
        let commands = Commands::open(&runtime, &config, Dialer::new(&config));
        Ok(Backend {
            bus: Arc::new(RedisBus { commands: commands.clone(), runtime, backoff }),
            records: Arc::new(commands.clone()),
            tokens: Arc::new(commands.clone()),
            registry: Arc::new(commands.clone()),
            secrets: Arc::new(commands.clone()),
            channels: Arc::new(commands.clone()),
            presence: Arc::new(commands),
        })
    }
}
