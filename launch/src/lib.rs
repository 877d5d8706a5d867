//! What a program does around its services: the log, the backend by its URL, the keys, TLS, the signals.
//!
//! Only programs depend on this crate; no service and no user's module does. It is the one place
//! that knows which backends there are.

mod backend;
mod keys;
mod log;
mod process;
mod tls;

pub use backend::{OpenError, open};
pub use keys::{RingError, configured, configured_or_shared};
pub use log::{LogError, log_to_stderr};
pub use process::{raise_open_files, stop_signal};
pub use tls::{TlsError, tls};
