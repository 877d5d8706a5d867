//! Where the other nodes of the namespace are: the registry, read seldom.
//!
//! A node that is found in what was read a moment ago is taken from there. One that is missing is
//! looked for in a reading that began after the question, so that "there is no such node" is never
//! old news; readings are shared by all who wait, and a little apart, so that made-up ids cost the
//! registry nothing.
//!
//! An entry of a *later* life than a session's is no proof that the session is gone: a node that
//! lost its lease lives on under a new incarnation and keeps its sockets. Such a node is asked, and
//! knows. One of an earlier life is old news.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use router_core::{
    Incarnation, Namespace, NodeId,
    backend::{
        BackendError,
        registry::{NodeEntry, Registry},
    },
};
use tokio::time::Instant;

/// How long a reading is good for those who find what they look for.
const FRESH: Duration = Duration::from_secs(1);

/// The least time between two readings.
const APART: Duration = Duration::from_millis(50);

/// Another node, as it can be reached.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its latest life that the registry knows.
    incarnation: Incarnation,
    /// Where it listens, `host:port`.
    pub(crate) address: ByteString,
    /// Requests that it was passed and has not answered; kept from one reading to the next.
    in_flight: Arc<AtomicUsize>,
}

/// The other nodes.
#[derive(Debug)]
pub(crate) struct Directory {
    registry: Arc<dyn Registry>,
    ns: Namespace,
    latest: Mutex<Reading>,
    /// How many readings were begun.
    begun: AtomicU64,
    /// Held by whoever reads the registry; the others wait for it and find what was read.
    reading: tokio::sync::Mutex<()>,
}

/// What the registry said.
#[derive(Debug, Clone, Default)]
struct Reading {
    /// Which reading this is; 0 before the first.
    number: u64,
    /// When it was begun.
    asked: Option<Instant>,
    peers: Arc<HashMap<NodeId, Arc<Peer>>>,
}

/// A request that a peer was passed: counted until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Peer {
    /// Counts one more request, unless there are `most`.
    pub(crate) fn enter(&self, most: usize) -> Option<InFlight> {
        let admitted = self
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < most).then(|| n + 1));
        admitted.ok().map(|_| InFlight(Arc::clone(&self.in_flight)))
    }
}

impl Directory {
    /// The nodes of `ns`; nothing is read yet.
    pub(crate) fn new(registry: Arc<dyn Registry>, ns: Namespace) -> Self {
        Self {
            registry,
            ns,
            latest: Mutex::default(),
            begun: AtomicU64::new(0),
            reading: tokio::sync::Mutex::new(()),
        }
    }

    /// The node that has the sessions of `nid` begun in the life `since`, if it may live.
    ///
    /// While the registry cannot be read, what it said last is still believed.
    ///
    /// # Errors
    /// When the registry fails and nothing is known of the node.
    pub(crate) async fn find(
        &self,
        nid: NodeId,
        since: Incarnation,
    ) -> Result<Option<Arc<Peer>>, BackendError> {
        let begun = self.begun.load(Ordering::Acquire);
        let fits = |reading: &Reading| {
            reading.peers.get(&nid).filter(|peer| peer.incarnation >= since).cloned()
        };
        let known = self.latest();
        let found = fits(&known);
        if found.is_some() && known.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return Ok(found);
        }
        match self.read_after(begun).await {
            Ok(reading) => Ok(fits(&reading)),
            Err(error) => match found {
                Some(peer) => Ok(Some(peer)),
                None => Err(error),
            },
        }
    }

    fn latest(&self) -> Reading {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A later reading than the one of this number.
    async fn read_after(&self, number: u64) -> Result<Reading, BackendError> {
        let _reader = self.reading.lock().await;
        let known = self.latest();
        if known.number > number {
            return Ok(known);
        }
        if let Some(asked) = known.asked {
            tokio::time::sleep_until(asked + APART).await;
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let asked = Some(Instant::now());
        let peers = Arc::new(peers(self.registry.nodes(&self.ns).await?, &known.peers));
        let reading = Reading { number, asked, peers };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = reading.clone();
        Ok(reading)
    }
}

/// The nodes that say where they are. Their counts go on.
fn peers(nodes: Vec<NodeEntry>, former: &HashMap<NodeId, Arc<Peer>>) -> HashMap<NodeId, Arc<Peer>> {
    let reachable = nodes.into_iter().filter_map(|entry| {
        let (nid, incarnation) = (entry.lease.node.nid, entry.lease.incarnation);
        let address = entry.holder.advertise?;
        let in_flight =
            former.get(&nid).map(|peer| Arc::clone(&peer.in_flight)).unwrap_or_default();
        Some((nid, Arc::new(Peer { incarnation, address, in_flight })))
    });
    reachable.collect()
}

#[cfg(test)]
mod tests {
    use router_core::{
        backend::{
            memory::MemoryHub,
            registry::{Holder, Lease},
        },
        ns,
    };

    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn holder(advertise: Option<&'static str>) -> Holder {
        Holder {
            host: "here".into(),
            pid: 1,
            pid_started: 0,
            nonce: "n".into(),
            advertise: advertise.map(Into::into),
        }
    }

    async fn live(hub: &MemoryHub, nid: u32, advertise: Option<&'static str>) -> Lease {
        let registry = hub.backend().registry;
        registry.acquire(&ns("ws").node(nid), &holder(advertise), None, TTL).await.unwrap()
    }

    async fn end(hub: &MemoryHub, lease: &Lease) {
        hub.backend().registry.release(lease).await.unwrap();
    }

    fn directory(hub: &MemoryHub) -> Directory {
        Directory::new(hub.backend().registry, ns("ws"))
    }

    async fn address(directory: &Directory, nid: u32, since: Incarnation) -> Option<String> {
        let found = directory.find(NodeId(nid), since).await.unwrap();
        found.map(|peer| peer.address.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_found_where_it_says_that_it_is() {
        let hub = MemoryHub::new();
        let lease = live(&hub, 1, Some("a:1")).await;
        let silent = live(&hub, 2, None).await;
        let directory = directory(&hub);
        assert_eq!(address(&directory, 1, lease.incarnation).await.as_deref(), Some("a:1"));
        assert_eq!(address(&directory, 2, silent.incarnation).await, None);
        assert_eq!(address(&directory, 3, lease.incarnation).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_came_after_the_last_reading_is_found_and_one_that_went_is_not_for_long() {
        let hub = MemoryHub::new();
        let first = live(&hub, 1, Some("a:1")).await;
        let directory = directory(&hub);
        assert!(address(&directory, 1, first.incarnation).await.is_some());
        let second = live(&hub, 2, Some("b:2")).await;
        assert!(address(&directory, 2, second.incarnation).await.is_some());
        end(&hub, &second).await;
        tokio::time::advance(FRESH).await;
        assert_eq!(address(&directory, 2, second.incarnation).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_life_is_asked_and_an_earlier_one_is_old_news() {
        let hub = MemoryHub::new();
        let first = live(&hub, 1, Some("a:1")).await;
        let directory = directory(&hub);
        assert!(address(&directory, 1, first.incarnation).await.is_some());
        end(&hub, &first).await;
        let second = live(&hub, 1, Some("a:2")).await;
        assert!(second.incarnation > first.incarnation);
        assert_eq!(address(&directory, 1, second.incarnation).await.as_deref(), Some("a:2"));
        assert_eq!(address(&directory, 1, first.incarnation).await.as_deref(), Some("a:2"));
        let unborn = Incarnation(second.incarnation.0 + 1);
        assert_eq!(address(&directory, 1, unborn).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn many_misses_share_few_readings() {
        let hub = MemoryHub::new();
        let directory = directory(&hub);
        let begun = Instant::now();
        let misses = (0..1_000).map(|nid| address(&directory, nid, Incarnation(1)));
        let found = futures_util::future::join_all(misses).await;
        assert!(found.iter().all(Option::is_none));
        assert!(begun.elapsed() <= APART * 2, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_registry_is_away_what_it_said_last_is_believed() {
        let hub = MemoryHub::new();
        let lease = live(&hub, 1, Some("a:1")).await;
        let directory = directory(&hub);
        assert!(address(&directory, 1, lease.incarnation).await.is_some());
        hub.cut(true);
        tokio::time::advance(FRESH * 10).await;
        assert!(address(&directory, 1, lease.incarnation).await.is_some());
        assert!(directory.find(NodeId(2), lease.incarnation).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_peer_was_passed_is_counted_across_readings() {
        let hub = MemoryHub::new();
        let lease = live(&hub, 1, Some("a:1")).await;
        let directory = directory(&hub);
        let find = async || directory.find(NodeId(1), lease.incarnation).await.unwrap().unwrap();
        let (one, two) = (find().await.enter(2), find().await.enter(2));
        assert!(one.is_some() && two.is_some());
        tokio::time::advance(FRESH * 2).await;
        assert!(find().await.enter(2).is_none());
        drop(one);
        assert!(find().await.enter(2).is_some());
    }
}
