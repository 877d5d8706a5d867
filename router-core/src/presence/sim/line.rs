//! A node's way to the store, on which calls are slow, lost, unheard, or take effect much later.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    address::{Namespace, NodeAddress},
    backend::{
        Backend, BackendError, BackendErrorKind, BoxFuture,
        presence::{Adopted, Holding, Noted, Outcome, PresenceError, PresenceStore},
        registry::{AcquireError, Holder, Lease, NodeEntry, Registry, RenewError},
    },
    channel::ChannelKey,
    presence::{ClientId, Counts, Entrance, Member, Millis, Page, Serial},
};

/// How long a caller waits for an answer.
const TIMEOUT: Millis = 2_000;

/// How much later than its call an effect may come. Less than the grace of channels.
const LATE_MAX: Millis = 20_000;

/// Numbers that follow from a seed (splitmix64).
#[derive(Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// Something that happens at its time.
pub(super) enum Due {
    /// A call of a node goes on.
    Wake(usize, oneshot::Sender<()>),
    /// A call takes effect that nobody waits for any more.
    Late(BoxFuture<'static, ()>),
    /// One of the world's own happenings.
    World(super::world::Happening),
}

/// Time, what is to happen, and how bad the store is.
pub(in crate::presence) struct Core {
    inner: Mutex<Inner>,
}

struct Inner {
    now: Millis,
    agenda: BTreeMap<(Millis, u64), Due>,
    count: u64,
    rng: Rng,
    /// One call in so many goes wrong; 0 for none.
    faults: u64,
    /// No call takes time.
    plain: bool,
    outage_until: Millis,
    pub(super) calls: u64,
}

enum Fate {
    Now,
    Slow(Millis, Millis),
    Refused,
    Lost,
    Unheard(Millis),
    Late(Millis),
}

impl Core {
    /// A store that answers at once, whose calls are counted.
    pub(in crate::presence) fn plain() -> Self {
        let core = Self::new(0, 0);
        core.lock().plain = true;
        core
    }

    pub(super) fn new(seed: u64, faults: u64) -> Self {
        let (agenda, rng) = (BTreeMap::new(), Rng(seed));
        let inner = Inner {
            now: 1_000_000,
            agenda,
            count: 0,
            rng,
            faults,
            plain: false,
            outage_until: 0,
            calls: 0,
        };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Millis {
        self.lock().now
    }

    pub(super) fn random(&self, end: u64) -> u64 {
        self.lock().rng.below(end)
    }

    pub(in crate::presence) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// No fault happens any more.
    pub(super) fn mend(&self) {
        let mut inner = self.lock();
        (inner.faults, inner.outage_until) = (0, 0);
    }

    /// No call succeeds for a while.
    pub(super) fn outage(&self, length: Millis) {
        let mut inner = self.lock();
        inner.outage_until = inner.now + length;
    }

    pub(super) fn schedule(&self, after: Millis, due: Due) {
        let mut inner = self.lock();
        inner.count += 1;
        let at = (inner.now + after, inner.count);
        inner.agenda.insert(at, due);
    }

    /// The next thing to happen, unless that is after `end`. Time moves there.
    pub(super) fn next(&self, end: Millis) -> Option<Due> {
        let mut inner = self.lock();
        let due = inner.agenda.first_entry().filter(|entry| entry.key().0 <= end);
        let Some(entry) = due else {
            inner.now = inner.now.max(end);
            return None;
        };
        let ((at, _), due) = entry.remove_entry();
        inner.now = at;
        Some(due)
    }

    fn fate(&self) -> Fate {
        let mut inner = self.lock();
        inner.calls += 1;
        if inner.plain {
            return Fate::Now;
        }
        if inner.now < inner.outage_until {
            return if inner.rng.one_in(2) { Fate::Refused } else { Fate::Lost };
        }
        let faults = inner.faults;
        if faults > 0 && inner.rng.one_in(faults) {
            return match inner.rng.below(8) {
                0..3 => Fate::Refused,
                3..5 => Fate::Lost,
                5..7 => Fate::Unheard(inner.rng.below(TIMEOUT)),
                _ => Fate::Late(TIMEOUT + inner.rng.below(LATE_MAX - TIMEOUT)),
            };
        }
        match inner.rng.below(8) {
            0 => Fate::Slow(inner.rng.below(40), inner.rng.below(40)),
            1 if faults > 0 && inner.rng.one_in(20) => {
                Fate::Slow(inner.rng.below(900), inner.rng.below(900))
            }
            _ => Fate::Now,
        }
    }
}

/// One node's way to the store.
#[derive(Clone)]
pub(in crate::presence) struct Line {
    pub(in crate::presence) core: Arc<Core>,
    pub(in crate::presence) node: usize,
    pub(in crate::presence) store: Backend,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("node", &self.node).finish_non_exhaustive()
    }
}

fn error(kind: BackendErrorKind) -> BackendError {
    BackendError::new(kind)
}

impl Line {
    async fn sleep(&self, time: Millis) {
        let (wake, woken) = oneshot::channel();
        self.core.schedule(time, Due::Wake(self.node, wake));
        let _gone = woken.await;
    }

    async fn through<T, E>(
        self,
        call: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<BackendError> + Send + 'static,
    {
        match self.core.fate() {
            Fate::Now => return call.await,
            Fate::Slow(before, after) => {
                self.sleep(before).await;
                let answer = call.await;
                self.sleep(after).await;
                return answer;
            }
            Fate::Refused => return Err(error(BackendErrorKind::NotApplied).into()),
            Fate::Lost => self.sleep(TIMEOUT).await,
            Fate::Unheard(before) => {
                self.sleep(before).await;
                let _unheard = call.await;
                self.sleep(TIMEOUT - before).await;
            }
            Fate::Late(after) => {
                let late = async move {
                    let _unheard = call.await;
                };
                self.core.schedule(after, Due::Late(Box::pin(late)));
                self.sleep(TIMEOUT).await;
            }
        }
        Err(error(BackendErrorKind::OutcomeUnknown).into())
    }
}

/// A method that goes through the line with clones of its arguments.
macro_rules! through {
    ($self:ident.$part:ident.$method:ident($($arg:ident),*)) => {{
        let store = Arc::clone(&$self.store.$part);
        $(let $arg = $arg.to_owned();)*
        Box::pin($self.clone().through(async move { store.$method($(&$arg),*).await }))
    }};
}

impl PresenceStore for Line {
    fn enter<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        entrance: &'a Entrance,
    ) -> BoxFuture<'a, Result<Outcome, PresenceError>> {
        through!(self.presence.enter(channel, owner, entrance))
    }

    fn lose<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
        last_seen: Millis,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>> {
        let store = Arc::clone(&self.store.presence);
        let (channel, owner, client) = (channel.clone(), owner.clone(), client.clone());
        Box::pin(
            self.clone().through(async move {
                store.lose(&channel, &owner, &client, serial, last_seen).await
            }),
        )
    }

    fn remove<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>> {
        let store = Arc::clone(&self.store.presence);
        let (channel, owner, client) = (channel.clone(), owner.clone(), client.clone());
        Box::pin(
            self.clone()
                .through(async move { store.remove(&channel, &owner, &client, serial).await }),
        )
    }

    fn adopt<'a>(
        &'a self,
        channel: &'a ChannelKey,
        dead: &'a Lease,
        owner: &'a Lease,
        seen: Millis,
        _limit: usize,
    ) -> BoxFuture<'a, Result<Adopted, PresenceError>> {
        let store = Arc::clone(&self.store.presence);
        let (channel, dead, owner) = (channel.clone(), dead.clone(), owner.clone());
        // In small steps, so that several are needed.
        Box::pin(
            self.clone()
                .through(async move { store.adopt(&channel, &dead, &owner, seen, 5).await }),
        )
    }

    fn page<'a>(
        &'a self,
        channel: &'a ChannelKey,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, BackendError>> {
        self.store.presence.page(channel, after, limit)
    }

    fn member<'a>(
        &'a self,
        channel: &'a ChannelKey,
        client: &'a ClientId,
    ) -> BoxFuture<'a, Result<Option<Member>, BackendError>> {
        through!(self.presence.member(channel, client))
    }

    fn counts<'a>(
        &'a self,
        channel: &'a ChannelKey,
    ) -> BoxFuture<'a, Result<Counts, BackendError>> {
        through!(self.presence.counts(channel))
    }

    fn held<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Holding>, BackendError>> {
        let store = Arc::clone(&self.store.presence);
        let (channel, owner, after) = (channel.clone(), owner.clone(), after.cloned());
        Box::pin(
            self.clone()
                .through(async move { store.held(&channel, &owner, after.as_ref(), limit).await }),
        )
    }

    fn note<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        let store = Arc::clone(&self.store.presence);
        let (channel, owner) = (channel.clone(), owner.clone());
        Box::pin(self.clone().through(async move { store.note(&owner, &channel, serial).await }))
    }

    fn forget<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        let store = Arc::clone(&self.store.presence);
        let (channel, owner) = (channel.clone(), owner.clone());
        Box::pin(self.clone().through(async move { store.forget(&owner, &channel, serial).await }))
    }

    fn noted<'a>(
        &'a self,
        owner: &'a Lease,
        after: Serial,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Noted>, BackendError>> {
        let (store, owner) = (Arc::clone(&self.store.presence), owner.clone());
        // Also in small steps.
        let limit = limit.min(2);
        Box::pin(self.clone().through(async move { store.noted(&owner, after, limit).await }))
    }

    fn owners(&self) -> BoxFuture<'_, Result<Vec<Lease>, BackendError>> {
        through!(self.presence.owners())
    }

    fn seal<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>> {
        through!(self.presence.seal(owner))
    }

    fn forget_owner<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        through!(self.presence.forget_owner(owner))
    }
}

impl Registry for Line {
    fn acquire<'a>(
        &'a self,
        node: &'a NodeAddress,
        holder: &'a Holder,
        dead: Option<&'a Holder>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>> {
        self.store.registry.acquire(node, holder, dead, ttl)
    }

    fn renew<'a>(
        &'a self,
        lease: &'a Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RenewError>> {
        self.store.registry.renew(lease, ttl)
    }

    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        self.store.registry.release(lease)
    }

    fn lives<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>> {
        through!(self.registry.lives(lease))
    }

    fn nodes<'a>(
        &'a self,
        ns: &'a Namespace,
    ) -> BoxFuture<'a, Result<Vec<NodeEntry>, BackendError>> {
        self.store.registry.nodes(ns)
    }
}
