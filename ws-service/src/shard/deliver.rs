//! How frames reach sockets: collected in a batch, handed out, written.

use std::{
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{Shard, batch::Batch, message::Target, report::add, table::LocalSocket};
use crate::connection::{
    frames::Event,
    link::{Link, Notice},
    outbox::{Class, Pushed},
    timers::Timer,
};

impl Shard {
    /// Takes a frame for some sockets. What is for a whole nsp waits for what follows it.
    pub(super) fn deliver(&self, to: Target, frame: Bytes, class: Class) {
        let bit = match &to {
            Target::Nsp(nsp) => self.shared.hub.bit(nsp),
            _ => None,
        };
        let (Target::Nsp(nsp), Some(bit)) = (&to, bit) else {
            let table = self.table.borrow();
            table.walk(&to, |socket| self.send(&socket.link, &frame, class));
            return;
        };
        let joins = |batch: &Batch| batch.takes(bit, class, frame.len());
        if !self.batch.borrow().as_ref().is_some_and(joins) {
            self.hand_out();
        }
        let mut batch = self.batch.borrow_mut();
        let batch = batch.get_or_insert_with(|| {
            add(&self.batches, 1);
            Batch::new(self.batches.get(), nsp.clone(), bit, class)
        });
        batch.push(frame);
    }

    /// Gives an event to some sockets, of whatever nsps.
    pub(super) fn deliver_each(&self, to: &Target, event: &Event, class: Class) {
        // Nearly always all are of one nsp.
        let mut last: Option<(ByteString, Bytes)> = None;
        self.table.borrow().walk(to, |socket| {
            let nsp = &socket.info.nsp;
            let frame = match &last {
                Some((of, frame)) if of == nsp => frame.clone(),
                _ => {
                    let frame = event.frame(nsp);
                    last = Some((nsp.clone(), frame.clone()));
                    frame
                }
            };
            self.send(&socket.link, &frame, class);
        });
    }

    /// A socket joins its nsp: of the batch that waits it gets nothing, since it was not there.
    pub(super) fn join(&self, socket: &LocalSocket) {
        let link = &socket.link;
        self.level(link);
        let Some(bit) = self.shared.hub.bit(&socket.info.nsp) else { return };
        link.joined.set(link.joined.get() | bit);
        if let Some(batch) = &*self.batch.borrow() {
            link.set_given(batch.id, batch.len());
        }
    }

    /// A socket leaves its nsp.
    pub(super) fn part(&self, socket: &LocalSocket) {
        if let Some(bit) = self.shared.hub.bit(&socket.info.nsp) {
            socket.link.joined.set(socket.link.joined.get() & !bit);
        }
    }

    /// Queues a frame to one connection, behind what came for it before.
    pub(crate) fn send(&self, link: &Rc<Link>, frame: &Bytes, class: Class) {
        self.level(link);
        self.queue(link, frame, class, 1);
    }

    /// Gives one connection what waits for it in the batch.
    fn level(&self, link: &Rc<Link>) {
        if let Some(batch) = &*self.batch.borrow()
            && link.joined.get() & batch.bit != 0
        {
            for frame in batch.since(link.given(batch.id)) {
                self.queue(link, frame, batch.class, 1);
            }
            link.set_given(batch.id, batch.len());
        }
    }

    /// Gives the batch to all sockets of its nsp, in one write where nothing else waits.
    fn hand_out(&self) {
        let Some(batch) = self.batch.take() else { return };
        let (all, count) = (batch.merged(), batch.len() as u64);
        // Nobody is woken: where a socket is full, its connection's task asks again for itself.
        let mut cx = Context::from_waker(Waker::noop());
        for socket in self.table.borrow().of_nsp(&batch.nsp) {
            let link = &socket.link;
            match link.given(batch.id) {
                0 => self.give(link, &all, batch.class, count, &mut cx),
                given => {
                    for frame in batch.since(given) {
                        self.queue(link, frame, batch.class, 1);
                    }
                }
            }
        }
    }

    fn give(
        &self,
        link: &Rc<Link>,
        frames: &Bytes,
        class: Class,
        count: u64,
        cx: &mut Context<'_>,
    ) {
        if link.closed.get() {
            return;
        }
        match link.write_now(cx, frames) {
            Some(Poll::Ready(Ok(written))) => {
                add(&self.counts.written, written as u64);
                if written == frames.len() {
                    add(&self.counts.messages, count);
                } else {
                    // A frame that was begun must be finished, whatever its class.
                    self.queue(link, &frames.slice(written..), Class::Message, count);
                }
            }
            Some(Poll::Ready(Err(_))) => link.notify(Notice::Broken),
            Some(Poll::Pending) | None => self.queue(link, frames, class, count),
        }
    }

    /// Puts frames into an outbox. It is written at the end of the round.
    fn queue(&self, link: &Rc<Link>, frames: &Bytes, class: Class, count: u64) {
        if link.closed.get() && class != Class::Farewell {
            return;
        }
        let bounds = &self.shared.rules.bounds;
        let mut pushed = link.push(frames, class, bounds, self.now());
        if pushed != Pushed::Queued && !link.blocked.get() {
            // Only this round was too much at once; the socket may well take it.
            self.flush(link);
            pushed = link.push(frames, class, bounds, self.now());
        }
        match pushed {
            Pushed::Queued => {
                add(&self.counts.waiting, frames.len() as i64);
                add(&self.counts.messages, count);
                if !link.dirty.replace(true) {
                    self.dirty.borrow_mut().push(Rc::clone(link));
                }
            }
            Pushed::Dropped => add(&self.counts.dropped, count),
            Pushed::Full => self.give_up(link, "outbox_hard"),
        }
    }

    /// A socket that does not take what it is sent gets nothing more.
    pub(crate) fn give_up(&self, link: &Link, limit: &'static str) {
        if !link.closed.replace(true) {
            link.notify(Notice::Slow(limit));
        }
        self.forget_waiting(link);
    }

    /// Drops what waits for a connection.
    pub(super) fn forget_waiting(&self, link: &Link) {
        add(&self.counts.waiting, -(link.drop_waiting() as i64));
    }

    /// Hands out the batch, writes every outbox that changed, and tells the node what was counted.
    pub(super) fn flush_all(&self) {
        self.hand_out();
        let mut dirty = self.dirty.take();
        for link in dirty.drain(..) {
            if link.dirty.get() && !link.blocked.get() {
                self.flush(&link);
            }
            link.dirty.set(false);
        }
        // The list's memory is used again, unless somebody began a new one meanwhile.
        if self.dirty.borrow().is_empty() {
            self.dirty.replace(dirty);
        }
        self.report();
    }

    fn flush(&self, link: &Link) {
        // As in `hand_out`.
        let mut cx = Context::from_waker(Waker::noop());
        if self.write(link, &mut cx).is_err() {
            link.notify(Notice::Broken);
        } else if link.blocked.get() {
            link.wake();
        }
    }

    /// Writes one outbox as far as its socket takes it.
    pub(crate) fn write(&self, link: &Link, cx: &mut Context<'_>) -> std::io::Result<()> {
        link.dirty.set(false);
        // Nearly always it is the one that changed last, and the shard need not look at it.
        self.dirty.borrow_mut().pop_if(|last| std::ptr::eq(&**last, link));
        let waited = link.waiting();
        let wrote = link.write(cx, self.now())?;
        // What TLS took and did not write still waits.
        add(&self.counts.waiting, link.waiting() as i64 - waited as i64);
        add(&self.counts.written, wrote.bytes as u64);
        if wrote.blocked
            && !link.timers.borrow().is_set(Timer::Stall)
            && let Some(at) = link.stalls_at(&self.shared.rules.bounds)
        {
            self.set_timer(link, Timer::Stall, at);
        }
        Ok(())
    }
}
