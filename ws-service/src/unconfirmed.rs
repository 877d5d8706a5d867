//! How many connections may wait for their confirmation: on this node, and of one client address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use router_core::{limits::Limits, metrics::Metrics};

/// The unconfirmed connections of a node. Touched once when a connection comes and once when it
/// is confirmed or goes.
#[derive(Debug)]
pub(crate) struct Unconfirmed {
    state: Mutex<State>,
    per_node: u64,
    per_address: u64,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    all: u64,
    by_address: HashMap<IpAddr, u64>,
}

/// The name of the limit that is reached, as the configuration calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) &'static str);

/// A place among the unconfirmed. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    of: Arc<Unconfirmed>,
    address: IpAddr,
}

impl Unconfirmed {
    /// Nobody waits yet.
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            per_node: limits.unconfirmed_per_node.get().unwrap_or(u64::MAX),
            per_address: limits.unconfirmed_per_address.get().unwrap_or(u64::MAX),
            metrics,
        })
    }

    /// Takes a place for a connection from `address`.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let address = counted_as(address);
        let mut state = self.lock();
        if state.all >= self.per_node {
            return Err(self.full("unconfirmed_per_node"));
        }
        let of_address = state.by_address.entry(address).or_default();
        if *of_address >= self.per_address {
            return Err(self.full("unconfirmed_per_address"));
        }
        *of_address += 1;
        state.all += 1;
        self.metrics.unconfirmed.inc();
        Ok(Permit { of: Arc::clone(self), address })
    }

    fn full(&self, limit: &'static str) -> Full {
        self.metrics.limit(limit);
        Full(limit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        state.all -= 1;
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
        self.of.metrics.unconfirmed.dec();
    }
}

/// One customer of a provider gets at least a /64 in IPv6 (RFC 6177), so its addresses count as one.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use router_core::limits::Limit;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_and_the_node_are_bounded_and_places_come_back() {
        let limits = Limits {
            unconfirmed_per_address: Limit::At(1),
            unconfirmed_per_node: Limit::At(2),
            ..Limits::default()
        };
        let metrics = Arc::new(Metrics::new());
        let unconfirmed = Unconfirmed::new(&limits, Arc::clone(&metrics));
        let first = unconfirmed.enter(address("1.1.1.1")).unwrap();
        assert_eq!(
            unconfirmed.enter(address("::ffff:1.1.1.1")).unwrap_err(),
            Full("unconfirmed_per_address")
        );
        let second = unconfirmed.enter(address("2001:db8::1")).unwrap();
        assert_eq!(
            unconfirmed.enter(address("3.3.3.3")).unwrap_err(),
            Full("unconfirmed_per_node")
        );
        assert_eq!(metrics.unconfirmed.get(), 2);
        drop(first);
        assert_eq!(
            unconfirmed.enter(address("2001:db8::2")).unwrap_err(),
            Full("unconfirmed_per_address")
        );
        drop(second);
        assert!(unconfirmed.lock().by_address.is_empty());
        assert_eq!(metrics.unconfirmed.get(), 0);
    }
}
