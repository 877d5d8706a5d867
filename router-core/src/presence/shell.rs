//! [`Presence`]: a node's part in the rosters of its channels, as a service calls it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    ClientId, Coming, Counts, EnterError, Member, Millis, PAGE_MAX, Page, Profile, Settings,
    desk::{Clock, Desk},
    reaper::{self, Reaper},
};
use crate::{
    address::Address, backend::BackendError, bus::Bus, channel::ChannelKey, clock, node::Node,
};

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(250);

/// How often a page of what is held is compared with the store.
const AUDIT_EVERY: Duration = Duration::from_secs(10);

/// How long a stop waits for the store's last answers.
const STOP_MAX: Duration = Duration::from_secs(2);

/// A node's part in rosters: keeps the members whose sockets the node has, and adopts those of dead
/// nodes. Cheap to clone, and may be sent to any thread; its tasks end with the last clone.
///
/// Besides the calls that are asked for here it costs the store some 75 a minute, however many members
/// and nodes there are: a round of the reaper every two seconds, a page of comparison every ten.
#[derive(Clone)]
pub struct Presence(Arc<Running>);

struct Running {
    desk: Arc<Desk>,
    /// Whether the keeper waits for the store.
    busy: watch::Receiver<bool>,
    keeping: JoinHandle<()>,
    reaping: Mutex<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.keeping.abort();
        self.reaping.lock().unwrap_or_else(PoisonError::into_inner).abort();
    }
}

impl Presence {
    /// Begins to keep `node`'s members, on the current tokio runtime. Once for a node: a second one
    /// would not know what the first one holds.
    pub fn start(node: &Node) -> Self {
        Self::start_with(node, Clock::new(clock::millis))
    }

    pub(crate) fn start_with(node: &Node, clock: Clock) -> Self {
        let backend = node.backend();
        let (store, registry) = (Arc::clone(&backend.presence), Arc::clone(&backend.registry));
        let desk = Arc::new(Desk::new(store, registry, Arc::clone(node.metrics()), clock));
        desk.tick(node.bus().shared.lease().as_ref());
        let limit = node.limits().presence_calls.get().unwrap_or(u64::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        let (report, busy) = watch::channel(false);
        let keeping = tokio::spawn(keep(Arc::clone(&desk), node.bus().clone(), limit, report));
        let reaping = Mutex::new(tokio::spawn(reap(Reaper::new(Arc::clone(&desk)))));
        Self(Arc::new(Running { desk, busy, keeping, reaping }))
    }

    /// Puts a client on a channel's roster, and returns when the store has it there. Again for the
    /// same socket it changes what is said of the client, if that is different, and nothing else.
    ///
    /// From then on the caller says what becomes of the socket, by [`left`](Self::left) or
    /// [`lost`](Self::lost) at its end, also if it did not wait for the answer.
    ///
    /// # Errors
    /// [`EnterError`]. The socket is not on the roster then, unless it was there before; should the
    /// store have taken it all the same, it is as one that was lost now.
    pub async fn enter(
        &self,
        channel: &ChannelKey,
        settings: &Settings,
        coming: Coming,
    ) -> Result<(), EnterError> {
        let told = self.0.desk.came(channel, settings, coming)?;
        told.await.unwrap_or(Err(EnterError::Unavailable))
    }

    /// Changes what a client says of itself, and returns when the roster has it.
    ///
    /// # Errors
    /// [`EnterError::NotThere`] when this socket is not on the roster. After
    /// [`EnterError::Unavailable`] it is tried again all the same.
    pub async fn update(
        &self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        change: impl FnOnce(&mut Profile),
    ) -> Result<(), EnterError> {
        let told = self.0.desk.updated(channel, client, address, change)?;
        told.await.unwrap_or(Err(EnterError::Unavailable))
    }

    /// The client left by this socket: it is removed at once. Nothing, if the client has come by
    /// another socket since.
    pub fn left(&self, channel: &ChannelKey, client: &ClientId, address: &Address) {
        self.0.desk.act(|keeper, now| keeper.left(channel, client, address, now));
    }

    /// The socket ended without goodbye, and was last heard at `last_seen`. Its client is
    /// disconnected after the channel's disconnect threshold and removed after its removal threshold,
    /// both counted from there, unless it comes back.
    pub fn lost(
        &self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        last_seen: Millis,
    ) {
        self.0.desk.act(|keeper, now| keeper.lost(channel, client, address, last_seen, now));
    }

    /// The socket is there, and was not heard since `last_seen`, which is the channel's disconnect
    /// threshold ago. Its client is as one whose socket was lost, until it is
    /// [`heard`](Self::heard).
    pub fn silent(
        &self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        last_seen: Millis,
    ) {
        self.0.desk.act(|keeper, now| keeper.silent(channel, client, address, last_seen, now));
    }

    /// The socket was silent and is heard again: its client comes back, also onto a roster from which
    /// it was removed meanwhile.
    pub fn heard(&self, channel: &ChannelKey, client: &ClientId, address: &Address) {
        self.0.desk.act(|keeper, now| keeper.heard(channel, client, address, now));
    }

    /// At most `limit` members (and no more than [`PAGE_MAX`]) that come after a client in the order
    /// of ids.
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn page(
        &self,
        channel: &ChannelKey,
        after: Option<&ClientId>,
        limit: usize,
    ) -> Result<Page, BackendError> {
        self.0.desk.store.page(channel, after, limit.clamp(1, PAGE_MAX)).await
    }

    /// One member.
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn member(
        &self,
        channel: &ChannelKey,
        client: &ClientId,
    ) -> Result<Option<Member>, BackendError> {
        self.0.desk.store.member(channel, client).await
    }

    /// How many there are. It costs the same however many that is.
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn counts(&self, channel: &ChannelKey) -> Result<Counts, BackendError> {
        self.0.desk.store.counts(channel).await
    }

    /// Lets nobody come any more, adopts from nobody, and returns when the store has answered what was
    /// asked of it, or has not for two seconds; who still waits then hears
    /// [`EnterError::Unavailable`]. Called before the node stops, with which its lease
    /// ends: other processes then adopt within seconds what is still held.
    pub async fn stop(&self) {
        self.0.desk.close();
        self.0.reaping.lock().unwrap_or_else(PoisonError::into_inner).abort();
        let mut busy = self.0.busy.clone();
        let idle = async {
            // Also if the task that reports is gone.
            while (*busy.borrow_and_update() || self.0.desk.has_calls())
                && busy.changed().await.is_ok()
            {}
        };
        if timeout(STOP_MAX, idle).await.is_err() {
            tracing::warn!("the store did not answer for a roster; others find what was left");
        }
        self.0.keeping.abort();
        self.0.desk.give_up();
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("owner", &self.0.desk.owner()).finish_non_exhaustive()
    }
}

/// Makes the keeper's calls and lets its time pass, until it is dropped.
async fn keep(desk: Arc<Desk>, bus: Bus, limit: usize, report: watch::Sender<bool>) {
    let every = |period| {
        let mut every = interval(period);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        every
    };
    let (mut ticks, mut audits) = (every(TICK), every(AUDIT_EVERY));
    let mut calls = FuturesUnordered::new();
    loop {
        while calls.len() < limit
            && let Some(call) = desk.next_call()
        {
            let desk = Arc::clone(&desk);
            calls.push(async move { desk.perform(call).await });
        }
        if calls.len() >= limit && desk.has_calls() {
            bus.shared.metrics.limit("presence_calls");
        }
        let is_busy = !calls.is_empty();
        report.send_if_modified(|busy| std::mem::replace(busy, is_busy) != is_busy);
        tokio::select! {
            Some(()) = calls.next() => {}
            () = desk.wake.notified() => {}
            _ = ticks.tick() => desk.tick(bus.shared.lease().as_ref()),
            _ = audits.tick() => desk.act(|keeper, _| keeper.audit()),
        }
    }
}

/// Makes a round of the reaper every while, until it is dropped.
async fn reap(mut reaper: Reaper) {
    let mut rounds = interval(reaper::EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        reaper.round().await;
    }
}
