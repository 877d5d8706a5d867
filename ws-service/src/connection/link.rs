//! What a connection and its shard share, on one thread: the socket, its outbox, its timers, and
//! the notices that wait for the connection.
//!
//! The shard writes to the socket directly; the connection's own task is woken only where the
//! protocol has something to do, or where the socket is full and must be waited for.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use router_core::{
    Args, RouteError,
    bus::Wanted,
    route::RouteId,
    session::{ConfirmError, Confirmed},
    socket::{DisconnectReason, SocketInfo},
};

use super::{
    asks::Asks,
    effect::SocketKey,
    outbox::{Class, Outbox, Pushed},
    polling::{Polling, Reply},
    probe::Candidate,
    stream::{Stream, Wrote},
    timers::{Timer, Timers},
    watches::Watches,
};
use crate::{
    bounds::Bounds,
    clock::Moment,
    gate::Renewed,
    shard::{message::Body, wheel::ConnectionKey},
};

/// Something that a connection's task has to look at. At most a few wait at once: one for each
/// timer, confirmation, running handler and socket.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A timer is due, since this moment.
    Timer(Timer, Moment),
    /// The rosters that its sockets are on changed: so may how often it is pinged.
    Pace,
    /// It is to be pinged now.
    Ping,
    /// A request of a polling session asks for what waits.
    Poll(Reply),
    /// A request of a polling session brings packets.
    Post(Body, Reply),
    /// A polling session may move to this WebSocket.
    Candidate(Box<Candidate>),
    /// A credential was judged.
    Confirmed(Judged),
    /// The same, of one with which the confirmation is to be renewed.
    Renewed(Judged),
    /// Another credential was shown to the session gate's own judge.
    Readmitted(Renewed),
    /// Whether the session of a confirmed connection still lives.
    LookedAgain(Result<(), ConfirmError>),
    /// The nsp's guards let a socket in, or not.
    Guarded { key: SocketKey, outcome: Result<Arc<SocketInfo>, RouteError> },
    /// A handler finished.
    Finished { key: SocketKey, route: RouteId, id: Option<u64>, result: Result<Args, RouteError> },
    /// A socket is sent away.
    Disconnect { key: SocketKey, reason: DisconnectReason },
    /// The outbox is over its bound, of this name.
    Slow(&'static str),
    /// Writing failed.
    Broken,
}

/// What became of a credential. Where it was good, the node listens to what is for the user.
pub(crate) type Judged = Result<(Box<Confirmed>, Box<Wanted>), ConfirmError>;

/// One connection, as its shard sees it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) key: ConnectionKey,
    stream: RefCell<Stream>,
    outbox: RefCell<Outbox>,
    notices: RefCell<Vec<Notice>>,
    /// Bytes of its sockets' events that wait for their turn.
    events: Cell<usize>,
    /// Of the connection's task; there from its first poll on.
    waker: RefCell<Option<Waker>>,
    pub(crate) timers: RefCell<Timers>,
    /// Events that wait for the client's acknowledgement.
    pub(crate) asks: RefCell<Asks>,
    /// The tick for which the wheel will call; 0 if for none.
    pub(crate) scheduled: Cell<u64>,
    /// Whether it stands in its shard's list of links to be flushed.
    pub(crate) dirty: Cell<bool>,
    /// Whether the socket is full; the connection's task waits for it.
    pub(crate) blocked: Cell<bool>,
    /// Whether a WebSocket is on probation for a polling session.
    pub(crate) upgrading: Cell<bool>,
    /// Whether it takes no more messages: closing, or found slow.
    pub(crate) closed: Cell<bool>,
    /// The nsps in which it has admitted sockets, by their bits.
    pub(crate) joined: Cell<u64>,
    /// When something was last heard of the peer.
    pub(crate) heard: Cell<Moment>,
    /// The rosters that its sockets are on; most connections have none.
    watches: RefCell<Option<Box<Watches>>>,
    /// How many frames of which batch of its shard it was given already.
    given: Cell<(u64, usize)>,
}

impl Link {
    pub(crate) fn new(key: ConnectionKey, stream: Stream, now: Moment) -> Self {
        Self {
            key,
            stream: RefCell::new(stream),
            outbox: RefCell::default(),
            notices: RefCell::default(),
            events: Cell::new(0),
            waker: RefCell::default(),
            timers: RefCell::default(),
            asks: RefCell::default(),
            scheduled: Cell::new(0),
            dirty: Cell::new(false),
            blocked: Cell::new(false),
            upgrading: Cell::new(false),
            closed: Cell::new(false),
            joined: Cell::new(0),
            heard: Cell::new(now),
            watches: RefCell::default(),
            given: Cell::new((0, 0)),
        }
    }

    /// How many frames of this batch it was given.
    pub(crate) fn given(&self, batch: u64) -> usize {
        let (of, count) = self.given.get();
        if of == batch { count } else { 0 }
    }

    /// Notes that it was given the first `count` frames of this batch.
    pub(crate) fn set_given(&self, batch: u64, count: usize) {
        self.given.set((batch, count));
    }

    /// Writes a frame past the outbox, where nothing waits. `None` where that cannot be done:
    /// something waits, or TLS has records of its own to see to.
    pub(crate) fn write_now(
        &self,
        cx: &mut Context<'_>,
        frame: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.blocked.get() || !self.outbox.borrow().is_empty() {
            return None;
        }
        self.stream.borrow_mut().write_plain(cx, frame)
    }

    /// Tells the connection something.
    pub(crate) fn notify(&self, notice: Notice) {
        self.notices.borrow_mut().push(notice);
        self.wake();
    }

    /// Takes all that was told since.
    pub(crate) fn take_notices(&self) -> Vec<Notice> {
        self.notices.take()
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Remembers whom to wake.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Whether it is watched over for some roster.
    pub(crate) fn is_watched(&self) -> bool {
        self.watches.borrow().is_some()
    }

    /// What `look` does with the rosters that its sockets are on.
    pub(crate) fn watches<R>(&self, look: impl FnOnce(&mut Watches) -> R) -> R {
        let mut known = self.watches.borrow_mut();
        let mut watches = known.take().unwrap_or_default();
        let looked = look(&mut watches);
        *known = (!watches.is_empty()).then_some(watches);
        looked
    }

    /// Queues a frame.
    pub(crate) fn push(&self, frame: &Bytes, class: Class, bounds: &Bounds, now: Moment) -> Pushed {
        self.outbox.borrow_mut().push(frame, class, bounds, now)
    }

    /// Writes what waits, as much as the socket takes.
    pub(crate) fn write(&self, cx: &mut Context<'_>, now: Moment) -> io::Result<Wrote> {
        let wrote = self.stream.borrow_mut().write(cx, &mut self.outbox.borrow_mut(), now)?;
        self.blocked.set(wrote.blocked);
        Ok(wrote)
    }

    /// Whether it is a polling session.
    pub(crate) fn is_polling(&self) -> bool {
        self.stream.borrow_mut().polling().is_some()
    }

    /// What `look` sees of the requests of a polling session; `None` for other connections.
    pub(crate) fn polling<R>(&self, look: impl FnOnce(&mut Polling) -> R) -> Option<R> {
        self.stream.borrow_mut().polling().map(look)
    }

    /// The session moves to a socket, for which `outbox` waits. Returns the bytes of that.
    pub(crate) fn move_to(&self, stream: Stream, outbox: Outbox, now: Moment) -> usize {
        let bytes = outbox.held();
        self.outbox.borrow_mut().put_before(outbox, now);
        *self.stream.borrow_mut() = stream;
        bytes
    }

    /// Reads what came.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.borrow_mut().poll_read(cx, scratch)
    }

    /// Whether our side can be ended alone, so that the peer sees it and ends its own.
    pub(crate) fn ends_by_halves(&self) -> bool {
        self.stream.borrow().ends_by_halves()
    }

    /// Says that nothing more comes.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.borrow_mut().poll_shutdown(cx)
    }

    /// Drops what waits to be written, counts no more what else waits, and returns how many bytes
    /// that were.
    pub(crate) fn drop_waiting(&self) -> usize {
        let mut outbox = self.outbox.borrow_mut();
        let bytes = outbox.held() + self.events.take();
        outbox.clear();
        bytes
    }

    /// Events that hold `bytes` wait for their turn.
    pub(crate) fn hold_events(&self, bytes: usize) {
        self.events.set(self.events.get() + bytes);
    }

    /// They do so no more. Returns how many of these bytes were still counted.
    pub(crate) fn release_events(&self, bytes: usize) -> usize {
        let counted = bytes.min(self.events.get());
        self.events.set(self.events.get() - counted);
        counted
    }

    /// Bytes that this connection keeps in memory: to be written, or of events that wait.
    pub(crate) fn held(&self) -> usize {
        self.outbox.borrow().held() + self.events.get()
    }

    /// Closes the socket and lets the kernel forget it.
    pub(crate) fn abort(&self) {
        self.stream.borrow_mut().abort();
    }

    /// Closes the socket.
    pub(crate) fn close(&self) {
        self.stream.borrow_mut().close();
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.borrow().held()
    }

    /// When the peer counts as slow, unless it takes something before.
    pub(crate) fn stalls_at(&self, bounds: &Bounds) -> Option<Moment> {
        self.outbox.borrow().stalls_at(bounds.outbox_stall)
    }
}
