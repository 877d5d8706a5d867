//! A question to every live node of a namespace, whose answers may be partial.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{AskError, Bus, TransmitError};
use crate::{
    address::{Namespace, NodeAddress},
    args::Args,
    backend::{BackendError, registry::Lease},
    envelope::Kind,
};

/// How often it is looked whether a node that is waited for still lives.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What some nodes answered, and which did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial<T> {
    /// What the others answered.
    pub results: T,
    /// The live nodes that did not answer in time, or with an error, by rising node id. A node whose
    /// lease lapsed is not among them: it is not there any more.
    pub missing: Vec<NodeAddress>,
}

impl<T> Partial<T> {
    /// The same nodes are missing of what `change` makes of the results.
    pub fn map<R>(self, change: impl FnOnce(T) -> R) -> Partial<R> {
        Partial { results: change(self.results), missing: self.missing }
    }
}

impl Bus {
    /// Asks all live nodes of `ns` but this one, and waits for them until `deadline`.
    ///
    /// # Errors
    /// When the registry did not say who lives.
    pub(crate) async fn survey(
        &self,
        ns: &Namespace,
        event: &str,
        args: &Args,
        deadline: Duration,
    ) -> Result<Partial<Vec<(NodeAddress, Args)>>, BackendError> {
        let nodes = self.nodes(ns).await?;
        let others = nodes.into_iter().filter(|lease| lease.node != *self.node());
        let mut waiting: HashMap<NodeAddress, Lease> =
            others.map(|lease| (lease.node.clone(), lease)).collect();
        let mut asks = FuturesUnordered::new();
        for node in waiting.keys().cloned() {
            let question = self.envelope(Kind::Ask, event, node.clone().into(), args.clone());
            asks.push(async move { (node, self.send(question, deadline).await) });
        }
        let (mut results, mut missing) = (Vec::new(), Vec::new());
        let mut look = interval_at(Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !waiting.is_empty() {
            tokio::select! {
                Some((node, outcome)) = asks.next() => {
                    if waiting.remove(&node).is_none() {
                        continue;
                    }
                    match outcome {
                        Ok(answer) => results.push((node, answer)),
                        Err(AskError::Transmit(TransmitError::NodeGone)) => {}
                        Err(error) => {
                            tracing::debug!(%node, %error, event, "a node did not answer");
                            missing.push(node);
                        }
                    }
                }
                _ = look.tick() => {
                    // Who lost its lease meanwhile will not answer any more.
                    if let Ok(live) = self.nodes(ns).await {
                        waiting.retain(|_, lease| live.contains(lease));
                    }
                }
                else => break,
            }
        }
        results.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        missing.sort_unstable();
        Ok(Partial { results, missing })
    }
}
