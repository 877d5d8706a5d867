//! The log: structured lines on standard error.

use std::io::IsTerminal;

use router_core::config::{LogFormat, LogSection};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter is not well-formed.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process has a log already.
    #[error(transparent)]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins to log to standard error, so that standard output stays the program's own.
///
/// # Errors
/// [`LogError`] when the filter is wrong, or there is a log already.
pub fn log_to_stderr(log: &LogSection) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let ansi = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Json => registry.with(lines.json()).try_init()?,
        LogFormat::Text => registry.with(lines.with_target(false)).try_init()?,
    }
    Ok(())
}
