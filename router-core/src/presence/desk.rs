//! The keeper and the store, joined: what the keeper asks is queued here, made, and answered to it.
//!
//! Knows no task and no timer, so that a simulation drives the same code.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use super::{
    ClientId, Coming, EnterError, Member, Millis, Profile, Serial, Settings,
    keeper::{AUDIT_PAGE, Answer, Ask, Call, Effect, Keeper},
};
use crate::{
    address::Address,
    backend::{
        BackendError, BackendErrorKind,
        presence::{Outcome, PresenceError, PresenceStore},
        registry::{Lease, Registry},
    },
    channel::ChannelKey,
    metrics::Metrics,
};

/// Tells the time.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    pub(crate) fn new(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Millis {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

type Told = Result<(), EnterError>;

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) store: Arc<dyn PresenceStore>,
    pub(crate) registry: Arc<dyn Registry>,
    metrics: Arc<Metrics>,
    clock: Clock,
    state: Mutex<State>,
    /// Set when there is a call to make.
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    keeper: Keeper,
    /// At most one call for each member, one for each channel, and one audit.
    queue: VecDeque<Call>,
    entering: BTreeMap<Serial, oneshot::Sender<Told>>,
    pinning: BTreeMap<ChannelKey, Vec<oneshot::Sender<bool>>>,
    /// Nobody comes any more.
    closed: bool,
}

impl State {
    /// Does what the keeper wants; `true` if there are calls to make.
    fn follow(&mut self) -> bool {
        for effect in self.keeper.take_effects() {
            match effect {
                Effect::Call(call) => self.queue.push_back(call),
                Effect::Tell(serial, told) => {
                    if let Some(waiting) = self.entering.remove(&serial) {
                        // Whoever gave up waiting is told nothing.
                        let _gone = waiting.send(told);
                    }
                }
                Effect::Noted(channel, made) => {
                    for waiting in self.pinning.remove(&channel).into_iter().flatten() {
                        let _gone = waiting.send(made);
                    }
                }
            }
        }
        !self.queue.is_empty()
    }
}

impl Desk {
    pub(crate) fn new(
        store: Arc<dyn PresenceStore>,
        registry: Arc<dyn Registry>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Self { store, registry, metrics, clock, state: Mutex::default(), wake: Notify::new() }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The life that members are held under.
    pub(crate) fn owner(&self) -> Option<Lease> {
        self.lock().keeper.owner().cloned()
    }

    /// Lets nobody come any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// No call is made any more: whoever waits hears that nothing is known.
    pub(super) fn give_up(&self) {
        let mut state = self.lock();
        state.closed = true;
        let (entering, pinning) =
            (std::mem::take(&mut state.entering), std::mem::take(&mut state.pinning));
        drop(state);
        // Whoever waits for one of these hears that it is gone.
        drop((entering, pinning));
    }

    /// A client comes; whoever waits hears when the store has it.
    pub(crate) fn came(
        &self,
        channel: &ChannelKey,
        settings: &Settings,
        coming: Coming,
    ) -> Result<oneshot::Receiver<Told>, EnterError> {
        self.waiting(|keeper, now| {
            keeper.came(channel, settings, coming, now).ok_or(EnterError::Unavailable)
        })
    }

    /// A client says something else of itself.
    pub(crate) fn updated(
        &self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        change: impl FnOnce(&mut Profile),
    ) -> Result<oneshot::Receiver<Told>, EnterError> {
        self.waiting(|keeper, now| {
            keeper.owner().ok_or(EnterError::Unavailable)?;
            keeper.updated(channel, client, address, change, now).ok_or(EnterError::NotThere)
        })
    }

    fn waiting(
        &self,
        change: impl FnOnce(&mut Keeper, Millis) -> Result<Serial, EnterError>,
    ) -> Result<oneshot::Receiver<Told>, EnterError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EnterError::Unavailable);
        }
        let serial = change(&mut state.keeper, self.clock.now())?;
        let (tell, told) = oneshot::channel();
        state.entering.insert(serial, tell);
        if state.follow() {
            self.wake.notify_one();
        }
        Ok(told)
    }

    /// Gives the keeper an input, and follows what it wants.
    pub(crate) fn act<T>(&self, change: impl FnOnce(&mut Keeper, Millis) -> T) -> T {
        let mut state = self.lock();
        let answer = change(&mut state.keeper, self.clock.now());
        if state.follow() {
            self.wake.notify_one();
        }
        answer
    }

    /// Makes sure that the store knows that this life of the node is about to hold somebody on a
    /// channel, until [`unpin`](Self::unpin). `false`: it could not be told, or this life is over.
    pub(crate) async fn pin(&self, owner: &Lease, channel: &ChannelKey) -> bool {
        let noted = {
            let mut state = self.lock();
            // A note of another life would not lead to what this one adopts.
            if state.closed || state.keeper.owner() != Some(owner) {
                return false;
            }
            let (tell, noted) = oneshot::channel();
            state.pinning.entry(channel.clone()).or_default().push(tell);
            state.keeper.pin(channel);
            if state.follow() {
                self.wake.notify_one();
            }
            noted
        };
        let is_noted = noted.await.unwrap_or(false);
        if !is_noted {
            self.unpin(channel);
        }
        is_noted
    }

    pub(crate) fn unpin(&self, channel: &ChannelKey) {
        self.act(|keeper, now| keeper.unpin(channel, now));
    }

    pub(crate) fn adopted(&self, owner: &Lease, channel: &ChannelKey, members: Vec<Member>) {
        self.act(|keeper, now| keeper.adopted(owner, channel, members, now));
    }

    /// What is due now, under the lease that the node has now.
    pub(crate) fn tick(&self, lease: Option<&Lease>) {
        self.act(|keeper, now| keeper.lives(lease, now));
        while self.act(|keeper, now| keeper.tick(now)) {}
        let (tally, held) = self.act(|keeper, _| (keeper.take_tally(), keeper.len()));
        self.metrics.presence_retries.inc_by(tally.retries);
        self.metrics.presence_repairs.inc_by(tally.repairs);
        self.metrics.presence_adopted.inc_by(tally.adopted);
        self.metrics.presence_members.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    /// The next call to make.
    pub(crate) fn next_call(&self) -> Option<Call> {
        self.lock().queue.pop_front()
    }

    /// Whether calls wait to be made.
    pub(crate) fn has_calls(&self) -> bool {
        !self.lock().queue.is_empty()
    }

    /// Makes a call and gives the keeper its answer.
    pub(crate) async fn perform(&self, call: Call) {
        let answer = self.ask(&call).await;
        if let Answer::Member(Outcome::Told(..)) = answer {
            self.metrics.presence_changes.inc();
        }
        self.act(|keeper, now| keeper.answered(call, answer, now));
    }

    async fn ask(&self, call: &Call) -> Answer {
        let Call { owner, channel, ask } = call;
        let store = &self.store;
        match ask {
            Ask::Note(serial) => done(store.note(owner, channel, *serial).await),
            Ask::Forget(serial) => match store.forget(owner, channel, *serial).await {
                Ok(()) => Answer::Done,
                Err(error) => failed(&error),
            },
            Ask::Enter { entrance, .. } => match store.enter(channel, owner, entrance).await {
                Ok(outcome) => Answer::Member(outcome),
                Err(error) => refused(&error),
            },
            Ask::Lose { client, serial, last_seen } => {
                member(store.lose(channel, owner, client, *serial, *last_seen).await)
            }
            Ask::Remove { client, serial } => {
                member(store.remove(channel, owner, client, *serial).await)
            }
            Ask::Audit { note, after, .. } => {
                match done(store.note(owner, channel, *note).await) {
                    Answer::Done => {}
                    answer => return answer,
                }
                match store.held(channel, owner, after.as_ref(), AUDIT_PAGE).await {
                    Ok(clients) => Answer::Held(clients),
                    Err(error) => failed(&error),
                }
            }
            Ask::Look(client) => match store.member(channel, client).await {
                Ok(member) => Answer::Looked(member.map(Box::new)),
                Err(error) => failed(&error),
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn done(outcome: Result<(), PresenceError>) -> Answer {
    match outcome {
        Ok(()) => Answer::Done,
        Err(error) => refused(&error),
    }
}

fn member(outcome: Result<Outcome, BackendError>) -> Answer {
    match outcome {
        Ok(outcome) => Answer::Member(outcome),
        Err(error) => failed(&error),
    }
}

fn refused(error: &PresenceError) -> Answer {
    match error {
        PresenceError::Fenced => Answer::Fenced,
        PresenceError::Backend(error) => failed(error),
    }
}

fn failed(error: &BackendError) -> Answer {
    tracing::debug!(%error, "a roster was not changed or read; it is tried again");
    Answer::Failed { maybe: error.kind() != BackendErrorKind::NotApplied }
}
