//! From a bus's URL to its backend.

use std::time::Duration;

use router_core::{
    backend::{Backend, memory::MemoryHub},
    config::BusSection,
    limits::Limits,
};
use router_redis::{ConnectError, RedisBackend, RedisConfig, UrlError};

/// A call that has no limit still ends.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Why there is no backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no backend.
    #[error(
        "bus.url is `memory:`, or begins with redis:, rediss:, redis+sentinel: or redis+cluster:"
    )]
    Scheme,
    /// The URL is not well-formed.
    #[error("bus.url: {0}")]
    Url(#[from] UrlError),
    /// The backend cannot be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Opens the backend that `bus` names. Connections are made in the background, on the current tokio
/// runtime, which must live as long as the backend.
///
/// # Errors
/// When the URL is wrong. A Redis that is not there shows at the first call.
pub fn open(bus: &BusSection, limits: &Limits) -> Result<Backend, OpenError> {
    match bus.url.expose() {
        "memory:" => Ok(MemoryHub::new().backend()),
        url if url.starts_with("redis") => {
            let timeout = limits.call_timeout.get().unwrap_or(CALL_TIMEOUT_MAX);
            let config = RedisConfig::new(url.parse()?).call_timeout(timeout);
            Ok(RedisBackend::connect(config)?)
        }
        _ => Err(OpenError::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str) -> Result<Backend, OpenError> {
        open(&BusSection { url: url.to_owned().into() }, &Limits::default())
    }

    #[tokio::test]
    async fn a_backend_is_named_by_its_url() {
        assert!(opened("memory:").is_ok());
        assert!(opened("redis://127.0.0.1:1").is_ok());
        assert!(matches!(opened("memory"), Err(OpenError::Scheme)));
        assert!(matches!(opened("postgres://h"), Err(OpenError::Scheme)));
        assert!(matches!(opened("redis://h:port"), Err(OpenError::Url(_))));
    }

    #[test]
    fn without_a_runtime_there_is_no_redis() {
        let outcome = opened("redis://127.0.0.1:1");
        assert!(matches!(outcome, Err(OpenError::Connect(ConnectError::NoRuntime))));
    }
}
