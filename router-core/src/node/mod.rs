//! A node: an address that is held by a lease, a link to the bus, and the tasks that keep both.

mod health;
mod holder;
mod lease;
mod probe;
mod readiness;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytestring::ByteString;
use tokio::{sync::mpsc, sync::watch, task::JoinHandle};

pub use health::{Health, HealthAnswer};
pub use readiness::Readiness;

use crate::{
    address::{Incarnation, NodeAddress},
    backend::{
        Backend, BackendError,
        bus::Subject,
        registry::{AcquireError, Holder, Lease},
    },
    bus::{Bus, Delivery, Shared, channels, reader, shared::Sink},
    id::RandomError,
    limits::Limits,
    metrics::Metrics,
    observer::Inbox,
};

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// The address to hold.
    pub address: NodeAddress,
    /// Where other nodes reach this one, `host:port`, if it listens for them.
    pub advertise: Option<ByteString>,
    /// How long the lease lives without renewal. 10 s by default.
    pub lease_ttl: Duration,
    /// How often it is renewed. 3 s by default.
    pub lease_renewal: Duration,
    /// How often the link listens to itself. 1 s by default; three silent rounds mean deaf.
    pub probe_interval: Duration,
    /// The bounds of the process.
    pub limits: Arc<Limits>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
}

impl NodeSpec {
    /// A node at `address` with the default times and limits, and counters of its own.
    pub fn new(address: NodeAddress) -> Self {
        Self {
            address,
            advertise: None,
            lease_ttl: Duration::from_secs(10),
            lease_renewal: Duration::from_secs(3),
            probe_interval: Duration::from_secs(1),
            limits: Arc::default(),
            metrics: Arc::default(),
        }
    }
}

/// A running node. Dropping it stops its tasks; [`stop`](Self::stop) also frees its address at
/// once, which otherwise happens when the lease runs out.
#[derive(Debug)]
pub struct Node {
    bus: Bus,
    backend: Backend,
    readiness: watch::Receiver<Readiness>,
    inbox: Mutex<Option<Inbox>>,
    tasks: Vec<JoinHandle<()>>,
    lease_task: JoinHandle<()>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process lives at this address.
    #[error("the address {node} is held by {holder}; stop that process or choose another node id")]
    Held {
        /// The address.
        node: NodeAddress,
        /// Who holds it.
        holder: Box<Holder>,
    },
    /// The lease would run out between two renewals.
    #[error("node.lease_renewal is at most half of node.lease_ttl, and both are more than zero")]
    LeaseTimes,
    /// The backend cannot be reached.
    #[error("the backend cannot be reached; is it running, and is the bus's URL right?")]
    Backend(#[from] BackendError),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl Node {
    /// Takes the address, connects to the bus and begins to listen. Needs a tokio runtime, on which
    /// its tasks then run.
    ///
    /// # Errors
    /// [`StartError::Held`] names the process that has the address already.
    pub async fn start(spec: NodeSpec, backend: Backend) -> Result<Self, StartError> {
        if spec.lease_renewal.is_zero() || spec.lease_renewal > spec.lease_ttl / 2 {
            return Err(StartError::LeaseTimes);
        }
        let holder = holder::this_process(spec.advertise.clone())?;
        let lease = acquire(&spec, &backend, &holder).await?;
        tracing::info!(node = %spec.address, incarnation = %lease.incarnation, "the node lives");

        let (inbound, deliveries) = mpsc::channel::<Delivery>(inbound_size(&spec.limits));
        let (limits, metrics) = (Arc::clone(&spec.limits), Arc::clone(&spec.metrics));
        let registry = Arc::clone(&backend.registry);
        let shared =
            Arc::new(Shared::new(spec.address.clone(), limits, metrics, registry, inbound));
        shared.set_link(backend.bus.open(Arc::new(Sink(Arc::downgrade(&shared)))));
        shared.set_lease(Some(lease.clone()));
        let node = spec.address.clone();
        for subject in [Subject::Node(node.clone()), Subject::Namespace(node.ns)] {
            if let Err(error) = shared.link().subscribe(subject).await {
                tracing::warn!(%error, "not subscribed yet; the link goes on trying");
            }
        }

        let (report, readiness) = readiness::channel(Arc::clone(&spec.metrics));
        let bus = Bus { shared: Arc::clone(&shared) };
        let tasks = vec![
            tokio::spawn(reader::run(Arc::clone(&shared))),
            tokio::spawn(channels::run(Arc::clone(&shared))),
            tokio::spawn(probe::run(Arc::clone(&shared), spec.probe_interval, report.clone())),
        ];
        let registry = Arc::clone(&backend.registry);
        let keeper = lease::Keeper { shared, registry, holder, lease, spec, report };
        let lease_task = tokio::spawn(lease::run(keeper));
        let inbox = Mutex::new(Some(Inbox::new(bus.clone(), deliveries)));
        Ok(Self { bus, backend, readiness, inbox, tasks, lease_task })
    }

    /// The node's address.
    pub fn address(&self) -> &NodeAddress {
        self.bus.node()
    }

    /// The node's current life; `None` while it is fenced.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.bus.shared.lease().map(|lease| lease.incarnation)
    }

    /// The bus, as this node.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The backend that it runs on.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The bounds of the process.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.bus.shared.limits
    }

    /// Where everything is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.bus.shared.metrics
    }

    /// Whether messages reach this node; changes as lease and link do.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.clone()
    }

    /// What arrives for the observers. It is there to be taken once.
    pub fn take_inbox(&self) -> Option<Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Stops and frees the address at once.
    pub async fn stop(mut self) {
        // The lease task would take the address again.
        self.lease_task.abort();
        if let Some(lease) = self.bus.shared.lease() {
            // The reader goes on until nothing more can be appended.
            if let Err(error) = self.backend.registry.release(&lease).await {
                tracing::warn!(%error, "the lease was not released; it runs out by itself");
            }
            self.bus.shared.set_lease(None);
        }
        self.abort();
    }

    fn abort(&mut self) {
        self.lease_task.abort();
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.abort();
    }
}

/// How many messages may wait between the bus and the observers' own queues.
fn inbound_size(limits: &Limits) -> usize {
    let max = usize::try_from(limits.bus_queue.get().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    // tokio's channel has a bound of its own, far above anything useful.
    max.clamp(1, 1 << 20)
}

async fn acquire(spec: &NodeSpec, backend: &Backend, holder: &Holder) -> Result<Lease, StartError> {
    let acquire = |dead| backend.registry.acquire(&spec.address, holder, dead, spec.lease_ttl);
    let held_by = match acquire(None).await {
        Ok(lease) => return Ok(lease),
        Err(AcquireError::Backend(error)) => return Err(error.into()),
        Err(AcquireError::Held(holder)) => holder,
    };
    if holder::is_dead(&held_by, holder) {
        tracing::warn!(node = %spec.address, former = %held_by, "taking over from a dead process");
        match acquire(Some(&held_by)).await {
            Ok(lease) => return Ok(lease),
            Err(AcquireError::Backend(error)) => return Err(error.into()),
            Err(AcquireError::Held(_)) => {}
        }
    }
    Err(StartError::Held { node: spec.address.clone(), holder: held_by })
}
