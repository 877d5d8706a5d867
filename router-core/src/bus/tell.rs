//! Telling every live node of a namespace, and knowing that each knows.

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::{Bus, TransmitError};
use crate::{address::Namespace, args::Args, backend::registry::Lease};

/// How many nodes are told at once.
const AT_ONCE: usize = 64;

/// How often the nodes are looked up: once more where one did not live under the life that was told.
const ROUNDS: usize = 2;

impl Bus {
    /// Tells every live node of `ns`. When this returns `Ok`, each of them has confirmed that it has
    /// the message, or lives no more. A node may hear it twice: it is broadcast, too, which is fast
    /// and reaches a node that is between two lives.
    ///
    /// Takes at most two times the limit `receipt_timeout`. Costs a transmit to each node, so it is
    /// for what is rare and must not be missed.
    ///
    /// # Errors
    /// When the nodes are not known, or one of them did not confirm; the others may know.
    pub(crate) async fn tell_all<T: Serialize + ?Sized>(
        &self,
        ns: &Namespace,
        event: &str,
        payload: &T,
    ) -> Result<(), TransmitError> {
        let args = Args::one(payload).map_err(TransmitError::from)?;
        if let Err(error) = self.broadcast_args(ns.clone(), event, args.clone()).await {
            tracing::debug!(%error, event, "not broadcast; the nodes are told one by one");
        }
        let mut told = Vec::<Lease>::new();
        let mut failure = None;
        for _ in 0..ROUNDS {
            let mut nodes = self.nodes(ns).await.map_err(TransmitError::Unavailable)?;
            nodes.retain(|lease| !told.contains(lease));
            failure = None;
            let mut gone = false;
            let outcomes = stream::iter(nodes).map(|lease| self.tell_one(event, &args, lease));
            let mut outcomes = outcomes.buffer_unordered(AT_ONCE);
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

    async fn tell_one(
        &self,
        event: &str,
        args: &Args,
        lease: Lease,
    ) -> (Lease, Result<(), TransmitError>) {
        let to = lease.node.clone().into();
        let outcome = self.transmit_args(&to, event, args.clone()).await;
        (lease, outcome.map(|_receipt| ()))
    }
}
