//! The backend `memory:`: one process, nothing to install, the semantics of every other backend.
//!
//! A [`MemoryHub`] stands for the server: every [`Backend`] made of one hub meets the others there,
//! as processes do on Redis. Time is tokio's, so that a test may pause it. Tests can also
//! [`cut`](MemoryHub::cut) the hub off and see how their code lives without a backend.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Backend, BackendError, BackendErrorKind};

mod bus;
mod channels;
mod expiring;
mod presence;
mod records;
mod registry;
mod roster;
mod secrets;
mod tokens;

/// One shared store and bus in memory. Clones are the same hub.
#[derive(Debug, Clone, Default)]
pub struct MemoryHub {
    shared: Arc<Mutex<State>>,
    /// Held while a frame of a channel is handed over. Taken before the state's lock.
    order: Arc<Mutex<()>>,
}

/// Everything that the hub keeps, under one lock: no method of it waits, and no sink is called
/// while it is held.
#[derive(Debug, Default)]
struct State {
    /// Set by [`MemoryHub::cut`].
    cut: bool,
    bus: bus::Subscribers,
    streams: bus::Streams,
    leases: registry::Leases,
    records: records::Records,
    tokens: tokens::Tokens,
    secrets: secrets::Secrets,
    positions: channels::Positions,
    presences: presence::Presences,
    /// The last number that was handed out: to an incarnation, a stream's entry or a record's
    /// version. One count for all rises for each, also for a name that was forgotten and came back.
    last: u64,
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// What calls fail with while the hub is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory hub is cut off")]
struct CutOff;

impl MemoryHub {
    /// An empty hub.
    pub fn new() -> Self {
        Self::default()
    }

    /// A backend on this hub, as one process has it.
    pub fn backend(&self) -> Backend {
        Backend {
            bus: Arc::new(self.clone()),
            records: Arc::new(self.clone()),
            tokens: Arc::new(self.clone()),
            registry: Arc::new(self.clone()),
            secrets: Arc::new(self.clone()),
            channels: Arc::new(self.clone()),
            presence: Arc::new(self.clone()),
        }
    }

    /// Cuts the hub off, or mends it. While it is cut every call fails with
    /// [`BackendErrorKind::NotApplied`] and nothing is delivered; what the hub keeps stays, and
    /// expires. When it is mended every open link is told that it has subscribed anew.
    pub fn cut(&self, off: bool) {
        let mended = {
            let mut state = self.lock();
            let was_cut = std::mem::replace(&mut state.cut, off);
            (was_cut && !off).then(|| state.bus.sinks())
        };
        for sink in mended.unwrap_or_default() {
            sink.resubscribed();
        }
    }

    /// Forgets how far all channels are, as a store that came back without its data.
    pub fn forget_channels(&self) {
        self.lock().positions = channels::Positions::default();
    }

    /// The state, whoever panicked before: each method leaves it whole at every step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the hub is cut off.
    fn reach(&self) -> Result<MutexGuard<'_, State>, BackendError> {
        let state = self.lock();
        if state.cut {
            return Err(BackendError::because(BackendErrorKind::NotApplied, CutOff));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests;
