//! What a shard counts, and tells the node after each round of work.

use std::{cell::Cell, cmp::Reverse, rc::Rc};

use super::Shard;
use crate::connection::link::Link;

/// What a shard counted since it last told the node, so that no message costs an atomic of its own.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Change of the bytes that wait in outboxes.
    pub(super) waiting: Cell<i64>,
    pub(super) messages: Cell<u64>,
    pub(super) written: Cell<u64>,
    pub(super) dropped: Cell<u64>,
}

/// Adds to a count.
pub(super) fn add<T: Copy + std::ops::Add<Output = T>>(count: &Cell<T>, more: T) {
    count.set(count.get() + more);
}

impl Shard {
    /// Tells the node what was counted since the last time.
    pub(crate) fn report(&self) {
        let metrics = &self.shared.services.metrics;
        let (messages, written) = (self.counts.messages.take(), self.counts.written.take());
        if messages > 0 {
            metrics.messages_out.inc_by(messages);
        }
        if written > 0 {
            metrics.bytes_out.inc_by(written);
        }
        let dropped = self.counts.dropped.take();
        if dropped > 0 {
            metrics.volatile_dropped.inc_by(dropped);
            metrics.limit("outbox_soft");
        }
        let waiting = self.counts.waiting.take();
        if waiting != 0 {
            metrics.outbox_bytes.inc_by(waiting);
            let over = self.shared.waiting.add(waiting);
            if over > 0 {
                self.shed(over);
            }
        }
    }

    /// Gives up the connections for which most bytes wait, until `over` bytes are free. The other
    /// shards do the same at their own reports, if it is still needed.
    fn shed(&self, over: i64) {
        let mut by_size: Vec<(usize, Rc<Link>)> = {
            let table = self.table.borrow();
            let waiting = table.links().map(|link| (link.held(), link));
            waiting.filter(|(bytes, _)| *bytes > 0).map(|(n, link)| (n, Rc::clone(link))).collect()
        };
        by_size.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        let mut freed = 0;
        for (bytes, link) in by_size {
            if freed >= over {
                break;
            }
            self.give_up(&link, "outbox_total_percent");
            freed += bytes as i64;
        }
        // Told at once, so that other shards do not free the same bytes again.
        let waiting = self.counts.waiting.take();
        self.shared.services.metrics.outbox_bytes.inc_by(waiting);
        self.shared.waiting.add(waiting);
    }
}
