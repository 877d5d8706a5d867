//! Which node lives where: leases with incarnations.

use std::{fmt, fmt::Debug, time::Duration};

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{BackendError, BoxFuture};
use crate::address::{Incarnation, Namespace, NodeAddress};

/// Who holds a lease, told to whoever is refused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine: its name and the id of its current boot.
    pub host: ByteString,
    /// The process.
    pub pid: u32,
    /// When the process started, in the kernel's own count, so that a reused pid is not taken for
    /// the holder. 0 where the kernel does not tell.
    pub pid_started: u64,
    /// Random, of this attempt: two nodes of one process differ by it.
    pub nonce: ByteString,
    /// Where other nodes reach this one, `host:port`, if it listens for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<ByteString>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host.split('/').next().unwrap_or_default())
    }
}

/// A node's right to its address for a while. Every use of it by a backend names the incarnation,
/// which fences a former life. Written as `ns/nid#incarnation` where a store names a life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// The address that is held.
    pub node: NodeAddress,
    /// The node's life that holds it.
    pub incarnation: Incarnation,
}

impl Lease {
    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (node, incarnation) = text.split_once('#')?;
        let incarnation = Incarnation(incarnation.parse().ok()?);
        Some(Self { node: node.parse().ok()?, incarnation })
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.node, self.incarnation)
    }
}

/// A live node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node and its life.
    pub lease: Lease,
    /// Its process.
    pub holder: Holder,
}

/// The registry of nodes.
pub trait Registry: Debug + Send + Sync {
    /// Takes the lease of `node` for `ttl` with a new, greater incarnation, in one atomic step, if
    /// it is free or if its holder is exactly `dead`: a holder that the caller knows not to live.
    fn acquire<'a>(
        &'a self,
        node: &'a NodeAddress,
        holder: &'a Holder,
        dead: Option<&'a Holder>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>>;

    /// Extends the lease to `ttl` from now, if it is still this life's.
    fn renew<'a>(
        &'a self,
        lease: &'a Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RenewError>>;

    /// Gives the lease up, if it is still this life's.
    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Whether the lease is live and still this life's. A life of which this was once false never
    /// holds its lease again.
    fn lives<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>>;

    /// The live nodes of a namespace, by rising node id.
    fn nodes<'a>(
        &'a self,
        ns: &'a Namespace,
    ) -> BoxFuture<'a, Result<Vec<NodeEntry>, BackendError>>;
}

/// Why a lease was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Someone else holds it.
    #[error("it is held by {0}")]
    Held(Box<Holder>),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why a lease was not extended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The lease ran out or has gone to another life.
    #[error("the lease is lost")]
    Lost,
    /// The backend failed; the lease may still be held.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
