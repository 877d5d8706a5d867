//! Keeps a node's lease: renews it, fences the node when it is lost, and takes a new incarnation.

use std::sync::Arc;

use tokio::time::Instant;

use super::{NodeSpec, readiness::Report};
use crate::{
    backend::registry::{AcquireError, Holder, Lease, Registry, RenewError},
    bus::Shared,
};

/// What the lease task works with.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) holder: Holder,
    pub(super) lease: Lease,
    pub(super) spec: NodeSpec,
    pub(super) report: Report,
}

/// Keeps the lease until it is dropped.
pub(super) async fn run(mut keeper: Keeper) {
    let mut held_until = Some(Instant::now() + keeper.spec.lease_ttl);
    loop {
        let next = Instant::now() + keeper.spec.lease_renewal;
        // A node that cannot renew is fenced when its lease runs out, not when Redis says so.
        tokio::time::sleep_until(held_until.map_or(next, |until| until.min(next))).await;
        if held_until.is_some_and(|until| until <= Instant::now()) {
            keeper.lost("it was not renewed in time");
            held_until = None;
        }
        let asked = Instant::now();
        let held = if held_until.is_some() { keeper.renew().await } else { keeper.acquire().await };
        match held {
            Outcome::Held => held_until = Some(asked + keeper.spec.lease_ttl),
            Outcome::Lost => held_until = None,
            Outcome::Unknown => {}
        }
    }
}

enum Outcome {
    Held,
    Lost,
    Unknown,
}

impl Keeper {
    async fn renew(&mut self) -> Outcome {
        match self.registry.renew(&self.lease, self.spec.lease_ttl).await {
            Ok(()) => Outcome::Held,
            Err(RenewError::Lost) => {
                self.lost("another life or its time took it");
                self.acquire().await
            }
            Err(RenewError::Backend(error)) => {
                tracing::warn!(%error, "the lease could not be renewed; trying again");
                Outcome::Unknown
            }
        }
    }

    async fn acquire(&mut self) -> Outcome {
        let node = &self.shared.node;
        let ttl = self.spec.lease_ttl;
        // Its own former life is dead to it: while the store was away, the lease may have stayed.
        match self.registry.acquire(node, &self.holder, Some(&self.holder), ttl).await {
            Ok(lease) => {
                tracing::info!(%node, incarnation = %lease.incarnation, "the node lives anew");
                self.lease = lease.clone();
                self.shared.set_lease(Some(lease));
                self.report.set(|state| state.lease = true);
                Outcome::Held
            }
            Err(AcquireError::Held(holder)) => {
                tracing::error!(%node, %holder, "the node's address is held by someone else");
                Outcome::Lost
            }
            Err(AcquireError::Backend(error)) => {
                tracing::warn!(%error, "the lease could not be taken; trying again");
                Outcome::Lost
            }
        }
    }

    fn lost(&self, why: &str) {
        tracing::warn!(node = %self.shared.node, why, "the lease is lost; transmits are refused");
        self.shared.metrics.leases_lost.inc();
        self.shared.set_lease(None);
        self.report.set(|state| state.lease = false);
    }
}
