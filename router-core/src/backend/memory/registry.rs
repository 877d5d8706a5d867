//! Leases in memory.

use std::time::Duration;

use super::{MemoryHub, State, expiring::Expiring};
use crate::{
    address::{Incarnation, Namespace, NodeAddress},
    backend::{
        BackendError, BoxFuture,
        registry::{AcquireError, Holder, Lease, NodeEntry, Registry, RenewError},
    },
};

pub(super) type Leases = Expiring<NodeAddress, Held>;

#[derive(Debug)]
pub(super) struct Held {
    pub(super) incarnation: Incarnation,
    holder: Holder,
}

impl State {
    /// Whether the lease is live and this life's.
    pub(super) fn holds(&mut self, lease: &Lease) -> bool {
        self.leases.get(&lease.node).is_some_and(|held| held.incarnation == lease.incarnation)
    }
}

impl Registry for MemoryHub {
    fn acquire<'a>(
        &'a self,
        node: &'a NodeAddress,
        holder: &'a Holder,
        dead: Option<&'a Holder>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            if let Some(held) = state.leases.get(node)
                && Some(&held.holder) != dead
            {
                return Err(AcquireError::Held(Box::new(held.holder.clone())));
            }
            let incarnation = Incarnation(state.next_number());
            let held = Held { incarnation, holder: holder.clone() };
            state.leases.insert(node.clone(), held, ttl);
            Ok(Lease { node: node.clone(), incarnation })
        })
    }

    fn renew<'a>(
        &'a self,
        lease: &'a Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RenewError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            if !state.holds(lease) {
                return Err(RenewError::Lost);
            }
            state.leases.touch(&lease.node, ttl);
            Ok(())
        })
    }

    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            if state.holds(lease) {
                state.leases.remove(&lease.node);
            }
            Ok(())
        })
    }

    fn lives<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move { Ok(self.reach()?.holds(lease)) })
    }

    fn nodes<'a>(
        &'a self,
        ns: &'a Namespace,
    ) -> BoxFuture<'a, Result<Vec<NodeEntry>, BackendError>> {
        Box::pin(async move {
            let state = self.reach()?;
            let mut nodes: Vec<_> = state
                .leases
                .iter()
                .filter(|(node, _)| node.ns == *ns)
                .map(|(node, held)| NodeEntry {
                    lease: Lease { node: node.clone(), incarnation: held.incarnation },
                    holder: held.holder.clone(),
                })
                .collect();
            nodes.sort_by_key(|entry| entry.lease.node.nid);
            Ok(nodes)
        })
    }
}
