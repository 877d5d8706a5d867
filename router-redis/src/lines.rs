//! A link's connections to what it listens to: one to the one server; in a cluster one to any node
//! for what is said to all of it, and one to each master that serves a slot of a wanted channel.
//!
//! [`Listening`] says what is to be asked of which server; here it is done. Each connection has a
//! task of its own that sends what is to be asked. What a server confirms or ends is read off its
//! pushes alone, in the order in which they come.
//!
//! Where a channel's place is, only the cluster's map says. A refusal for the slot's sake, an end
//! that nobody asked for, or a lost connection says that the map may be wrong: it is looked at again,
//! and whatever was tried in vain is tried again with growing waits.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{PushInfo, PushKind, RedisError, RedisResult, Value, aio::MultiplexedConnection};
use router_core::backend::{
    BoxFuture,
    bus::{BusSink, Subject},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    backoff::{Attempts, Backoff},
    cluster::{Map, Redirect, redirect},
    commands::Commands,
    conn::{Conn, Role},
    error::Fault,
    listening::{Listening, Place, Step},
    scripts::SHARDED,
    steps::{ask, is_in_step},
};

/// How many commands are sent in one write.
const BATCH: usize = 512;

/// How long the connection to a master may be still before it is asked whether it lives. (The one to
/// home carries the node's own probes.)
const STILL_MAX: Duration = Duration::from_secs(5);

/// How long the notice of what is heard again waits for what is not yet.
const TOGETHER: Duration = Duration::from_secs(1);

/// A link's connections; they end when this is dropped.
pub(crate) struct Lines {
    shared: Arc<Shared>,
    /// They follow the map and tell what is heard again.
    tasks: JoinSet<()>,
}

struct Shared {
    sink: Arc<dyn BusSink>,
    commands: Commands,
    runtime: Handle,
    backoff: Backoff,
    state: Mutex<State>,
    /// Something is heard again that was not.
    news: Notify,
}

#[derive(Default)]
struct State {
    listening: Listening,
    open: HashMap<Place, Line>,
}

/// One connection and its task.
struct Line {
    conn: Arc<Conn>,
    /// There is something to do.
    wake: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lines {
    pub(crate) fn open(
        sink: Arc<dyn BusSink>,
        commands: Commands,
        runtime: Handle,
        backoff: Backoff,
    ) -> Self {
        let (state, news) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { sink, commands, runtime, backoff, state, news });
        shared.wake(&mut shared.lock(), &Place::Home);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(tell(shared.clone()), &shared.runtime);
        if let Some(changes) = shared.commands.changes() {
            tasks.spawn_on(follow(shared.clone(), changes), &shared.runtime);
        }
        Self { shared, tasks }
    }

    /// Listens to a channel; returns when the server at its place has confirmed it.
    pub(crate) async fn subscribe(&self, name: String, subject: Subject) -> Result<(), Fault> {
        let deadline = self.shared.commands.deadline();
        let confirmed = {
            let mut state = self.shared.lock();
            // Asked under the lock: the map's next change finds the channel here.
            let place = self.shared.commands.place_of(&name, &subject);
            let known = place.as_ref().ok().cloned().flatten();
            let (at, confirmed) = state.listening.want(name, subject, known);
            if let Some(at) = at {
                self.shared.wake(&mut state, &at);
            }
            place?;
            confirmed
        };
        match timeout_at(deadline, confirmed).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Fault::Left),
            Err(_) => Err(Fault::Silent),
        }
    }

    /// Listens to a channel no longer; returns when the server knows, or is away.
    pub(crate) async fn unsubscribe(&self, name: &str) {
        let deadline = self.shared.commands.deadline();
        let ended = {
            let mut state = self.shared.lock();
            let Some((place, ended)) = state.listening.leave(name) else { return };
            self.shared.wake(&mut state, &place);
            ended
        };
        if let Some(ended) = ended {
            // Either way nothing of it is heard any more.
            drop(timeout_at(deadline, ended).await);
        }
    }

    /// Makes all connections anew.
    pub(crate) fn renew(&self) {
        for line in self.shared.lock().open.values() {
            line.conn.renew();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.tasks.abort_all();
        // Whatever still comes is heard by nobody.
        *self.shared.lock() = State::default();
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.lock();
        f.debug_map().entries(state.open.iter().map(|(place, line)| (place, &line.conn))).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to do at a place; its connection is made if there is none.
    fn wake(self: &Arc<Self>, state: &mut State, place: &Place) {
        let open = || {
            let role = Arc::new(Ear { shared: self.clone(), place: place.clone() });
            let (dialer, target) = (self.commands.dialer().clone(), self.commands.target(place));
            let conn = Conn::open(&self.runtime, dialer, target, self.backoff, role);
            let (conn, wake) = (Arc::new(conn), Arc::new(Notify::new()));
            let tend = tend(self.clone(), place.clone(), conn.clone(), wake.clone());
            Line { conn, wake, task: self.runtime.spawn(tend).abort_handle() }
        };
        state.open.entry(place.clone()).or_insert_with(open).wake.notify_one();
    }

    /// The map has changed.
    fn replace(self: &Arc<Self>) {
        let mut state = self.lock();
        let find =
            |name: &str, subject: &Subject| self.commands.place_of(name, subject).ok().flatten();
        let touched = state.listening.replace(find);
        for place in touched {
            self.wake(&mut state, &place);
        }
        state.listening.unplaced(&Fault::Down(None));
    }

    /// Asks the place's server for all that there is to do.
    async fn round(&self, place: &Place, conn: &Conn) {
        while self.lock().listening.is_to_check(place) {
            // What is to be asked depends on what the server can.
            let deadline = self.commands.deadline();
            if let Err(fault) = conn.live(deadline).await {
                self.failed(place, &fault);
                return;
            }
            let steps = self.lock().listening.steps(place, BATCH);
            if steps.is_empty() {
                return;
            }
            match ask(conn, &steps, deadline).await {
                Ok(refusals) => {
                    let mut state = self.lock();
                    for (step, error) in refusals {
                        self.refused(&mut state.listening, place, step, error);
                    }
                    state.listening.answered(place, &steps);
                }
                Err(fault) => {
                    self.lock().listening.answered(place, &steps);
                    self.failed(place, &fault);
                    return;
                }
            }
        }
    }

    fn failed(&self, place: &Place, fault: &Fault) {
        self.lock().listening.failed(place, fault);
        self.commands.look_again();
    }

    fn refused(&self, listening: &mut Listening, place: &Place, step: &Step, error: RedisError) {
        let redirect = match place {
            Place::Master(host) => redirect(&error, host),
            Place::Home => None,
        };
        if redirect.is_some() {
            self.commands.look_again();
        }
        // For those who wait, the slot's new master may still be found in time.
        let elsewhere =
            matches!(redirect, Some(Redirect::Moved(_) | Redirect::Ask(_) | Redirect::Wait));
        if !elsewhere {
            tracing::debug!(channel = step.name, %error, "a subscription was refused");
            listening.refused(&step.name, &error.into());
        }
    }
}

/// Follows the cluster's map.
async fn follow(shared: Arc<Shared>, mut changes: watch::Receiver<Map>) {
    while changes.changed().await.is_ok() {
        shared.replace();
    }
}

/// Tells that frames may have been missed, once all is heard again; but of what is heard again while
/// a server stays away, its listeners are told after a while.
async fn tell(shared: Arc<Shared>) {
    loop {
        shared.news.notified().await;
        let all = async {
            while shared.lock().listening.is_late() {
                shared.news.notified().await;
            }
        };
        drop(timeout(TOGETHER, all).await);
        shared.sink.resubscribed();
    }
}

/// Keeps a place's subscriptions as they are to be, until nothing is wanted there.
async fn tend(shared: Arc<Shared>, place: Place, conn: Arc<Conn>, wake: Arc<Notify>) {
    let mut attempts = Attempts::new(shared.backoff);
    let mut again: Option<Instant> = None;
    loop {
        shared.round(&place, &conn).await;
        {
            let mut state = shared.lock();
            if state.listening.take_news() {
                shared.news.notify_one();
            }
            if place != Place::Home && state.listening.close(&place) {
                state.open.remove(&place);
                return;
            }
            if !state.listening.is_put_off(&place) {
                (attempts, again) = (Attempts::new(shared.backoff), None);
            } else if again.is_none() {
                let chance = getrandom::u64().unwrap_or(u64::MAX / 2);
                again = Some(Instant::now() + attempts.failed(chance));
            }
        }
        let still = (place != Place::Home).then(|| Instant::now() + STILL_MAX);
        let wait = async {
            match again.or(still) {
                Some(until) => sleep_until(until).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            () = wait => match again.take() {
                Some(_) => shared.lock().listening.retry(&place),
                None => {
                    if !is_in_step(&conn, shared.commands.deadline()).await {
                        conn.renew();
                        shared.commands.look_again();
                    }
                }
            }
        }
    }
}

/// Hears what comes on one connection.
struct Ear {
    shared: Arc<Shared>,
    place: Place,
}

impl Role for Ear {
    fn prepare<'a>(
        &'a self,
        connection: &'a mut MultiplexedConnection,
    ) -> BoxFuture<'a, RedisResult<()>> {
        Box::pin(async move {
            let sharded = SHARDED.by_text(&[], &[]).query_async(connection).await?;
            self.shared.lock().listening.sharded(&self.place, sharded);
            Ok(())
        })
    }

    fn up(&self, generation: u64) {
        let mut state = self.shared.lock();
        state.listening.up(&self.place, generation);
        if let Some(line) = state.open.get(&self.place) {
            line.wake.notify_one();
        }
    }

    fn pushed(&self, generation: u64, push: PushInfo) {
        let mut data = push.data.into_iter();
        let Some(Value::BulkString(name)) = data.next() else { return };
        let Ok(name) = std::str::from_utf8(&name) else { return };
        let place = &self.place;
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                let subject = self.shared.lock().listening.heard(place, name);
                if let (Some(subject), Some(Value::BulkString(frame))) = (subject, data.next()) {
                    self.shared.sink.published(&subject, frame.into());
                }
            }
            PushKind::Subscribe => {
                self.shared.lock().listening.confirmed(place, generation, name, false);
            }
            PushKind::SSubscribe => {
                self.shared.lock().listening.confirmed(place, generation, name, true);
            }
            PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                let mut state = self.shared.lock();
                if state.listening.ended(place, generation, name) {
                    if let Some(line) = state.open.get(place) {
                        line.wake.notify_one();
                    }
                    self.shared.commands.look_again();
                }
            }
            _ => {}
        }
    }

    fn down(&self) {
        self.shared.lock().listening.down(&self.place);
        self.shared.commands.look_again();
    }
}
