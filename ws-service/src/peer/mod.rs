//! Requests for sessions of other nodes: no proxy needs sticky sessions.
//!
//! A session lives on one node, and its id says on which. A proxy that knows nothing of this sends
//! the client's requests anywhere; the node that gets one for a session of another passes it to the
//! owner and answers what the owner answers. Nothing of this goes through the bus: a request goes
//! straight to the address that the owner advertises, which is its public listener.
//!
//! | what came | what is done | module |
//! |---|---|---|
//! | a poll or a post | one HTTP request over pooled connections | `forward` |
//! | a WebSocket that a polling session is to move to | a tunnel | `tunnel` |
//!
//! Where the owner is stands in the registry (`directory`). A dead owner is answered for with
//! "Session ID unknown" at once, so that the client starts anew. Each request that is passed on
//! carries a seal (`seal`), and a sealed one is never passed on again.
//!
//! An upgraded socket stays where its session is, behind a **tunnel**, and does not move to the node
//! where its WebSocket arrived. A socket is more than its queue: its address was told to others, its
//! handlers run and hold it, acknowledgements are under way on both sides, and its rooms are this
//! node's interest on the bus. To carry all that over without losing, doubling or reordering anything
//! would need a protocol of its own for what a tunnel does with two file descriptors and no memory
//! while nothing flows. Only clients that begin by long-polling come to have one, and only when
//! their WebSocket lands elsewhere: our own client and every client with WebSocket first do not.

pub(crate) mod directory;
pub(crate) mod forward;
pub(crate) mod seal;
pub(crate) mod tunnel;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_http::{Method, Uri, header::HeaderMap};
use router_core::{
    Incarnation, NodeId, clock::since_epoch, keys::KeyRing, limits::Limits, metrics::Metrics,
    node::Node,
};
use wire::engine::OpenError;

use self::{
    directory::{Directory, Peer},
    seal::Sealer,
};
use crate::{respond::Answer, shared::Shared, sid::Sid};

/// Time for a connection to another node.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);

/// What a request may be late by beyond the owner's own times.
const MARGIN: Duration = Duration::from_secs(5);

/// Where the session of a request is.
#[derive(Debug)]
pub(crate) enum Place {
    /// On this node, if it lives.
    Here(Sid),
    /// On another node, if that lives.
    There(Sid, Arc<Peers>),
}

/// Finds the session that a request names.
///
/// # Errors
/// [`OpenError::UnknownSession`] for what is no id, for a former life of this node, and for another
/// node's session where nothing is passed on, or was passed on already.
pub(crate) fn place(
    shared: &Shared,
    sid: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Place, OpenError> {
    let sid = Sid::parse(sid).ok_or(OpenError::UnknownSession)?;
    if sid.nid == shared.rules.node.nid {
        let alive = sid.incarnation == shared.life();
        return if alive { Ok(Place::Here(sid)) } else { Err(OpenError::UnknownSession) };
    }
    match &shared.peers {
        Some(peers) if !peers.is_passed_on(method, uri, headers) => {
            Ok(Place::There(sid, Arc::clone(peers)))
        }
        _ => Err(OpenError::UnknownSession),
    }
}

/// What is asked for, as it stands in the request.
fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

/// What a service needs to pass requests on.
#[derive(Debug)]
pub(crate) struct Peers {
    sealer: Sealer,
    directory: Directory,
    /// Unanswered requests to one node.
    requests: usize,
    /// Tunnels of this node.
    tunnels: usize,
    open_tunnels: AtomicUsize,
    /// Time for an answer, and for anything at all to come through a tunnel: a session is never
    /// silent for longer.
    silence: Duration,
    metrics: Arc<Metrics>,
}

/// A tunnel that is open: counted until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenTunnel(Arc<Peers>);

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.open_tunnels.fetch_sub(1, Ordering::AcqRel);
        self.0.metrics.peer_tunnels.dec();
    }
}

impl Peers {
    /// The peers of `node`, which share the keys of `ring` with it. `heartbeat` is the longest time
    /// in which nothing comes from a healthy session.
    pub(crate) fn new(node: &Node, ring: &KeyRing, limits: &Limits, heartbeat: Duration) -> Self {
        let address = node.address();
        let registry = Arc::clone(&node.backend().registry);
        let size = |limit: Option<u64>| {
            limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
        };
        Self {
            sealer: Sealer::new(address.nid, ring),
            directory: Directory::new(registry, address.ns.clone()),
            requests: size(limits.peer_requests.get()),
            tunnels: size(limits.peer_tunnels.get()),
            open_tunnels: AtomicUsize::new(0),
            silence: heartbeat + MARGIN,
            metrics: Arc::clone(node.metrics()),
        }
    }

    /// Whether another node passed this request here.
    fn is_passed_on(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(line) = headers.get(seal::HEADER) else { return false };
        let line = line.to_str().unwrap_or_default();
        match self.sealer.open(line, method.as_str(), target(uri), since_epoch()) {
            Some(sealed) => {
                let seal::Sealed { from, client } = sealed;
                tracing::debug!(%from, %client, "passed here for a session that is elsewhere");
                true
            }
            None => {
                self.metrics.peer_seals_refused.inc();
                false
            }
        }
    }

    /// The owner of the sessions of `nid` that began in the life `since`.
    ///
    /// # Errors
    /// [`OpenError::UnknownSession`] when there is none, [`Answer::UNAVAILABLE`] when nobody knows.
    async fn owner(&self, nid: NodeId, since: Incarnation) -> Result<Arc<Peer>, Answer> {
        match self.directory.find(nid, since).await {
            Ok(Some(peer)) => Ok(peer),
            Ok(None) => Err(OpenError::UnknownSession.into()),
            Err(error) => {
                tracing::debug!(%error, %nid, "the registry does not tell where a node is");
                self.metrics.peer_failed.inc();
                Err(Answer::UNAVAILABLE)
            }
        }
    }

    /// The seal for a request that is passed on now.
    fn seal(&self, method: &Method, uri: &Uri, client: IpAddr) -> Result<String, Answer> {
        let seal = self.sealer.seal(method.as_str(), target(uri), client, since_epoch());
        seal.ok_or(Answer::UNAVAILABLE)
    }

    /// Room for one more tunnel.
    fn enter_tunnel(self: &Arc<Self>) -> Result<OpenTunnel, Answer> {
        let room = self.open_tunnels.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
            (n < self.tunnels).then(|| n + 1)
        });
        match room {
            Ok(_) => {
                self.metrics.peer_tunnels.inc();
                Ok(OpenTunnel(Arc::clone(self)))
            }
            Err(_) => {
                self.metrics.limit("peer_tunnels");
                Err(Answer::UNAVAILABLE)
            }
        }
    }
}
