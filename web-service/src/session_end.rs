//! Telling the nodes that hold sockets that a session has ended, and knowing that they know.

use futures_util::{StreamExt, stream};
use router_core::{
    Bus,
    backend::registry::Lease,
    bus::TransmitError,
    ns,
    session::{ENDED_EVENT, Ended},
};

/// How many nodes are told at once.
const AT_ONCE: usize = 64;

/// How often the nodes are looked up: once more where one did not live under the life that was told.
const ROUNDS: usize = 2;

/// Tells every live node of `ws` that a session has ended. When this returns `Ok`, each of them has
/// confirmed that it knows, or lives no more.
///
/// Takes at most two times the limit `receipt_timeout`.
pub(crate) async fn tell(bus: &Bus, ended: &Ended) -> Result<(), TransmitError> {
    // The fast way, and the only one to a node that is between two lives: it keeps its sockets.
    if let Err(error) = bus.broadcast(ns("ws"), ENDED_EVENT, ended).await {
        tracing::debug!(%error, "the end of a session was not broadcast");
    }
    let mut told = Vec::<Lease>::new();
    let mut failure = None;
    for _ in 0..ROUNDS {
        let mut nodes = bus.nodes(&ns("ws")).await.map_err(TransmitError::Unavailable)?;
        nodes.retain(|lease| !told.contains(lease));
        failure = None;
        let mut gone = false;
        let mut outcomes =
            stream::iter(nodes).map(|lease| tell_one(bus, ended, lease)).buffer_unordered(AT_ONCE);
        while let Some((lease, outcome)) = outcomes.next().await {
            match outcome {
                Ok(()) => told.push(lease),
                // It may have begun a new life with its sockets: looked up again.
                Err(TransmitError::NodeGone) => gone = true,
                Err(error) => failure = Some(error),
            }
        }
        if failure.is_none() && !gone {
            return Ok(());
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn tell_one(bus: &Bus, ended: &Ended, lease: Lease) -> (Lease, Result<(), TransmitError>) {
    let to = lease.node.clone().into();
    let outcome = bus.transmit(&to, ENDED_EVENT, ended).await;
    (lease, outcome.map(|_receipt| ()))
}
