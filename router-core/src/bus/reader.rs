//! Takes a node's stream: every entry goes to the observers, and its sender gets a receipt.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::Shared;
use crate::{
    address::NodeAddress,
    args::Args,
    backend::registry::Lease,
    envelope::{Entry, EntryId, Frame, Reply},
    id::MessageId,
};

/// Entries taken at once.
const BATCH: usize = 128;

/// A lost wake-up costs at most this much latency, and never a message.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Reads until it is dropped.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut cursor = None;
    loop {
        // Whether it was woken or not, it looks.
        let _woken = tokio::time::timeout(LOOK_AGAIN, shared.wake.notified()).await;
        while let Some(lease) = shared.lease() {
            let full = take_batch(&shared, &lease, &mut cursor).await;
            if !full {
                break;
            }
        }
    }
}

/// Takes one batch; `true` if there may be more.
async fn take_batch(shared: &Shared, lease: &Lease, cursor: &mut Option<EntryId>) -> bool {
    let entries = match shared.link().take(lease, *cursor, BATCH).await {
        Ok(entries) => entries,
        Err(error) => {
            tracing::debug!(%error, "the node's stream could not be read; looking again soon");
            return false;
        }
    };
    let mut receipts = Receipts::default();
    let full = entries.len() == BATCH;
    for entry in entries {
        *cursor = Some(entry.id);
        take_entry(shared, lease, entry, &mut receipts);
    }
    for (origin, reply) in receipts.into_replies() {
        shared.reply(origin, reply, Args::EMPTY).await;
    }
    full
}

fn take_entry(shared: &Shared, lease: &Lease, entry: Entry, receipts: &mut Receipts) {
    let envelope = match Frame::decode(&entry.frame) {
        Ok(Frame::Envelope(envelope)) => envelope,
        outcome => {
            shared.metrics.frames_refused.inc();
            tracing::warn!(error = ?outcome.err(), "an entry of the node's stream was refused");
            return;
        }
    };
    let Some(origin) = envelope.origin.node() else {
        return;
    };
    let id = envelope.id.clone();
    // The lease may have been lost while the batch was on its way: then nothing is accepted.
    let fenced = entry.incarnation != lease.incarnation || shared.lease().as_ref() != Some(lease);
    let list = if fenced {
        shared.metrics.transmits_fenced.inc();
        &mut receipts.gone
    } else if shared.observe_entry(envelope).is_err() {
        &mut receipts.overloaded
    } else {
        &mut receipts.received
    };
    list.entry(origin).or_default().push(id);
}

/// What is to be told, by the node to tell: one reply for each node and outcome of a batch.
#[derive(Debug, Default)]
struct Receipts {
    received: HashMap<NodeAddress, Vec<MessageId>>,
    gone: HashMap<NodeAddress, Vec<MessageId>>,
    overloaded: HashMap<NodeAddress, Vec<MessageId>>,
}

impl Receipts {
    fn into_replies(self) -> impl Iterator<Item = (NodeAddress, Reply)> {
        let received = self.received.into_iter().map(|(to, ids)| (to, Reply::Received { ids }));
        let gone = self.gone.into_iter().map(|(to, ids)| (to, Reply::Gone { ids }));
        let overloaded =
            self.overloaded.into_iter().map(|(to, ids)| (to, Reply::Overloaded { ids }));
        received.chain(gone).chain(overloaded)
    }
}
