//! Observers: handlers of what other processes broadcast, transmit and ask.

mod configure;
mod inbox;

pub use configure::{Observer, Observers};
pub use inbox::{Inbox, ObserverSet};
