//! Whether messages reach a node.

use std::sync::Arc;

use tokio::sync::watch;

use crate::metrics::Metrics;

/// The parts of a node's readiness. Health is never green while delivery is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// The node holds its lease.
    pub lease: bool,
    /// The link heard its own probe lately.
    pub bus: bool,
}

impl Readiness {
    /// Whether all is well.
    pub fn is_ready(&self) -> bool {
        self.lease && self.bus
    }
}

/// Where the node's tasks report to.
#[derive(Debug, Clone)]
pub(super) struct Report {
    state: watch::Sender<Readiness>,
    metrics: Arc<Metrics>,
}

pub(super) fn channel(metrics: Arc<Metrics>) -> (Report, watch::Receiver<Readiness>) {
    // The lease was just taken; the bus has yet to prove itself.
    let (state, readiness) = watch::channel(Readiness { lease: true, bus: false });
    (Report { state, metrics }, readiness)
}

impl Report {
    pub(super) fn set(&self, change: impl FnOnce(&mut Readiness)) {
        self.state.send_if_modified(|state| {
            let before = *state;
            change(state);
            self.metrics.ready.set(i64::from(state.is_ready()));
            if before.is_ready() != state.is_ready() {
                tracing::info!(lease = state.lease, bus = state.bus, "readiness changed");
            }
            before != *state
        });
    }
}
