//! A shard: one worker thread's sockets, and the one way in which messages reach them.
//!
//! Other threads tell it things through one bounded queue. Frames arrive finished; the shard walks
//! its own sockets, without locks or atomics but for the frames' reference counts. What follows each
//! other closely for the same sockets is handed out together, all frames of a socket in one write.
//!
//! It is touched by its own thread only: by its actor, and by the connections' tasks. Nothing of it
//! is borrowed while user code runs.

mod actor;
mod batch;
mod deliver;
mod membership;
pub(crate) mod message;
mod report;
pub(crate) mod rooms;
mod sessions;
mod shown;
mod sightings;
pub(crate) mod table;
mod upkeep;
pub(crate) mod wheel;

use std::{
    cell::{Cell, RefCell, RefMut},
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use router_core::id::random_u64;
use tokio::sync::mpsc;

use self::{
    batch::Batch,
    message::ShardMessage,
    report::{Counts, add},
    table::{LocalSocket, Table},
    wheel::{ConnectionKey, Wheel},
};
use crate::{
    clock::{Moment, millis},
    connection::{
        effect::Effect,
        link::{Link, Notice},
        outbox::Class,
        stream::Stream,
        timers::Timer,
    },
    shared::Shared,
    sid::{Secret, Sid},
};

/// Messages that are taken from the queue before what they changed is written.
const ROUND: usize = 256;

/// Bytes that one read takes at most. One buffer serves all connections of the thread.
const SCRATCH: usize = 64 * 1024;

/// One worker thread's sockets.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Its number on the node.
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// How many admitted sockets live here; the hub asks only shards that have some.
    population: Arc<AtomicUsize>,
    inbound: RefCell<mpsc::Receiver<ShardMessage>>,
    pub(crate) table: RefCell<Table>,
    wheel: RefCell<Wheel>,
    /// Frames for all sockets of a nsp that are not handed out yet.
    batch: RefCell<Option<Batch>>,
    batches: Cell<u64>,
    /// The sessions that began by long-polling, by the secret of their ids.
    sessions: RefCell<HashMap<Secret, Rc<Link>>>,
    /// Links whose outbox changed since they were written last.
    dirty: RefCell<Vec<Rc<Link>>>,
    /// Whether a message was taken since the actor asked last.
    taken: Cell<bool>,
    /// Of the shard's actor; there from its first round on.
    waker: RefCell<Option<Waker>>,
    scratch: RefCell<Box<[u8]>>,
    effects: RefCell<Vec<Effect>>,
    now: Cell<Moment>,
    next_key: Cell<ConnectionKey>,
    counts: Counts,
}

impl Shard {
    /// Begins a shard on this thread.
    pub(crate) fn start(shared: &Arc<Shared>) -> Rc<Self> {
        let (index, population, inbound) = shared.hub.add_shard(shared.rules.bounds.shard_queue);
        let now = shared.clock.now();
        let shard = Rc::new(Self {
            index,
            shared: Arc::clone(shared),
            population,
            inbound: RefCell::new(inbound),
            table: RefCell::default(),
            wheel: RefCell::new(Wheel::new(now, shared.rules.bounds.tick)),
            batch: RefCell::default(),
            batches: Cell::default(),
            sessions: RefCell::default(),
            dirty: RefCell::default(),
            taken: Cell::default(),
            waker: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            effects: RefCell::default(),
            now: Cell::new(now),
            next_key: Cell::new(1),
            counts: Counts::default(),
        });
        actor::start(Rc::clone(&shard));
        actix_rt::spawn(upkeep::look_after(Rc::clone(&shard)));
        shard
    }

    /// Reads the clock, once for a round of work.
    pub(crate) fn read_clock(&self) -> Moment {
        self.now.set(self.shared.clock.now());
        self.now.get()
    }

    /// The time of this round.
    pub(crate) fn now(&self) -> Moment {
        self.now.get()
    }

    /// The buffer that reads go through.
    pub(crate) fn scratch(&self) -> RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
    }

    /// A list for effects, to be given back.
    pub(crate) fn take_effects(&self) -> Vec<Effect> {
        self.effects.take()
    }

    /// Takes the list back, for the next one.
    pub(crate) fn keep_effects(&self, mut effects: Vec<Effect>) {
        effects.clear();
        self.effects.replace(effects);
    }

    // -- connections and sockets

    /// A connection comes to live here.
    pub(crate) fn add_link(&self, stream: Stream) -> Rc<Link> {
        let key = self.next_key.get();
        self.next_key.set(key.wrapping_add(1));
        let link = Rc::new(Link::new(key, stream, self.now()));
        self.table.borrow_mut().add_link(Rc::clone(&link));
        if self.shared.drain.is_draining() {
            self.drain(&link);
        }
        link
    }

    /// A new id for a session of this shard; `None` when the system has no randomness.
    pub(crate) fn new_sid(&self) -> Option<Sid> {
        Sid::new(self.shared.rules.node.nid, self.shared.life(), self.index)
    }

    /// More bytes wait in some outbox.
    pub(crate) fn count_waiting(&self, bytes: usize) {
        add(&self.counts.waiting, bytes as i64);
    }

    /// Events that hold `bytes` wait for their turn.
    pub(crate) fn hold_events(&self, link: &Link, bytes: usize) {
        link.hold_events(bytes);
        self.count_waiting(bytes);
    }

    /// They do so no more.
    pub(crate) fn release_events(&self, link: &Link, bytes: usize) {
        add(&self.counts.waiting, -(link.release_events(bytes) as i64));
    }

    /// A connection is over.
    pub(crate) fn remove_link(&self, link: &Link) {
        self.table.borrow_mut().remove_link(link.key);
        self.forget_waiting(link);
        self.report();
    }

    /// A socket is admitted.
    pub(crate) fn add_socket(&self, socket: &Rc<LocalSocket>) {
        self.join(socket);
        self.table.borrow_mut().add(socket);
        self.population.fetch_add(1, Ordering::Relaxed);
    }

    /// A socket goes.
    pub(crate) fn remove_socket(&self, socket: &Rc<LocalSocket>) {
        self.table.borrow_mut().remove(socket);
        self.part(socket);
        self.population.fetch_sub(1, Ordering::Relaxed);
    }

    // -- messages out

    /// Takes what other threads told, at most [`ROUND`] messages.
    fn pump(&self, cx: &mut Context<'_>) -> Pumped {
        for _ in 0..ROUND {
            // The borrow ends before the message is looked at.
            let polled = self.inbound.borrow_mut().poll_recv(cx);
            match polled {
                std::task::Poll::Ready(Some(message)) => self.take(message),
                std::task::Poll::Ready(None) => return Pumped::Over,
                std::task::Poll::Pending => return Pumped::All,
            }
        }
        Pumped::Round
    }

    /// Whether something waits to be written.
    fn has_dirty(&self) -> bool {
        self.batch.borrow().is_some() || !self.dirty.borrow().is_empty()
    }

    /// Has the shard's actor write what changed, after what else is ready on this thread.
    pub(crate) fn flush_soon(&self) {
        if self.has_dirty() {
            if let Some(waker) = &*self.waker.borrow() {
                waker.wake_by_ref();
            }
        } else {
            self.report();
        }
    }

    fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Takes what was told until now: what a handler emitted leaves before its acknowledgement.
    pub(crate) fn catch_up(&self) {
        let waiting = self.inbound.borrow().len();
        for _ in 0..waiting {
            let Ok(message) = self.inbound.borrow_mut().try_recv() else { break };
            self.take(message);
        }
    }

    /// Whether a message was taken since the last time that this was asked: by the actor, or by a
    /// connection that caught up.
    fn has_taken(&self) -> bool {
        self.taken.take()
    }

    fn take(&self, message: ShardMessage) {
        self.taken.set(true);
        match message {
            ShardMessage::Deliver { to, frame, volatile, shown } => {
                self.show(&to, shown.as_deref());
                let class = if volatile { Class::Volatile } else { Class::Message };
                self.deliver(to, frame, class);
            }
            ShardMessage::DeliverEach { to, event, volatile, shown } => {
                self.show(&to, shown.as_deref());
                let class = if volatile { Class::Volatile } else { Class::Message };
                self.deliver_each(&to, &event, class);
            }
            ShardMessage::Disconnect { who, reason } => {
                for socket in self.table.borrow().chosen(&who) {
                    let (key, reason) = (socket.key, reason.clone());
                    socket.link.notify(Notice::Disconnect { key, reason });
                }
            }
            ShardMessage::Ask { tid, event, args, asker } => self.ask(&tid, &event, &args, asker),
            ShardMessage::Join { who, nsp, places, done } => {
                // Whoever asked may have given up.
                let _gone = done.send(self.seat(&who, &nsp, &places));
            }
            ShardMessage::Leave { who, places, done } => {
                self.unseat(&who, &places);
                let _gone = done.send(());
            }
            ShardMessage::Watch { tid, channel, settings, done } => {
                self.watch(tid, &channel, settings.as_ref());
                let _gone = done.send(());
            }
            ShardMessage::Sightings { channel, ping, done } => {
                let _gone = done.send(self.sightings(&channel, ping));
            }
            ShardMessage::Run { who, job } => self.run(&who, &job),
            ShardMessage::Describe { who, done } => {
                let _gone = done.send(self.describe(&who));
            }
            ShardMessage::Rooms { tid, done } => {
                let _gone = done.send(self.rooms_of(tid));
            }
            ShardMessage::Session { sid, request } => self.request(&sid, request),
            ShardMessage::Drain => {
                let table = self.table.borrow();
                table.links().for_each(|link| self.drain(link));
            }
        }
    }

    // -- timers

    /// Sets a connection's timer.
    pub(crate) fn set_timer(&self, link: &Link, timer: Timer, at: Moment) {
        link.timers.borrow_mut().set(timer, at);
        self.schedule(link);
    }

    fn schedule(&self, link: &Link) {
        let Some(next) = link.timers.borrow().next() else { return };
        let mut wheel = self.wheel.borrow_mut();
        let tick = wheel.tick_of(next);
        let scheduled = link.scheduled.get();
        // Called too early it is entered again; what may not happen is to be called too late.
        if scheduled == 0 || tick < scheduled {
            link.scheduled.set(wheel.insert(link.key, tick));
        }
    }

    /// Turns the wheel and tells connections what is due.
    fn turn_wheel(&self) {
        let now = self.read_clock();
        let mut due = Vec::new();
        let this_tick = {
            let mut wheel = self.wheel.borrow_mut();
            wheel.turn(now, &mut due);
            wheel.now()
        };
        for key in due {
            let Some(link) = self.table.borrow().link(key).cloned() else { continue };
            if link.scheduled.get() > this_tick {
                continue;
            }
            link.scheduled.set(0);
            loop {
                // The borrow ends before the connection is told.
                let expired = link.timers.borrow_mut().expired(now);
                let Some((timer, due)) = expired else { break };
                link.notify(Notice::Timer(timer, due));
            }
            self.schedule(&link);
        }
    }

    /// Gives a connection its moment in the drain: somewhere in the first part of the window, so
    /// that no storm of reconnecting clients is made and handlers have time to finish.
    fn drain(&self, link: &Link) {
        let spread = millis(self.shared.drain.window()) / 5 * 4;
        let now = self.shared.clock.now();
        let at = Moment(now.0 + random_u64() % (spread + 1));
        self.set_timer(link, Timer::Reconnect, at);
    }
}

/// How much of the queue was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pumped {
    /// All that was there.
    All,
    /// A full round; more may be there.
    Round,
    /// All, and nothing ever comes again.
    Over,
}
