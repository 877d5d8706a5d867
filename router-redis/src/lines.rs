//! A link's connections to what it listens to: one to the one server; in a cluster one to any node
//! for what is said to all of it, and one to each master that serves a slot of a wanted channel.
//!
//! [`Listening`] says what is to be asked of which server; here it is done. Each connection has a
//! task of its own that sends what is to be asked, many commands in one write, one channel in each:
//! so their slots need not be the same, and each gets its own answer. What a server confirms or ends
//! is read off its pushes alone, in the order in which they come.
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
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    backoff::{Attempts, Backoff},
    cluster::{Redirect, redirect},
    commands::Commands,
    conn::{Conn, Role},
    error::Fault,
    listening::{Listening, Place, Step},
    scripts::SHARDED,
    slot::slot_of,
};

/// How many commands are sent in one write.
const BATCH: usize = 512;

/// How long the connection to a master may be still before it is asked whether it lives. (The one to
/// home carries the node's own probes.)
const STILL_MAX: Duration = Duration::from_secs(5);

/// A link's connections; they end when this is dropped.
pub(crate) struct Lines {
    shared: Arc<Shared>,
    /// Follows the cluster's map.
    follows: Option<AbortHandle>,
}

struct Shared {
    sink: Arc<dyn BusSink>,
    commands: Commands,
    runtime: Handle,
    backoff: Backoff,
    state: Mutex<State>,
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
        let state = Mutex::default();
        let shared = Arc::new(Shared { sink, commands, runtime, backoff, state });
        shared.wake(&mut shared.lock(), &Place::Home);
        let follows = shared.commands.changes().map(|mut changes| {
            let follower = shared.clone();
            let follow = async move {
                while changes.changed().await.is_ok() {
                    follower.replace();
                }
            };
            shared.runtime.spawn(follow).abort_handle()
        });
        Self { shared, follows }
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
        if let Some(follows) = &self.follows {
            follows.abort();
        }
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
            let mut pipe = redis::Pipeline::with_capacity(steps.len());
            for step in &steps {
                pipe.cmd(command(step)).arg(&step.name);
            }
            let send = async |mut connection: MultiplexedConnection| {
                connection.send_packed_commands(&pipe, 0, steps.len()).await
            };
            match conn.with(deadline, send).await {
                Ok(answers) => {
                    let mut state = self.lock();
                    for (step, answer) in steps.iter().zip(answers) {
                        match read(step, answer) {
                            Answer::Done => {}
                            Answer::Refused(error) => {
                                self.refused(&mut state.listening, place, step, error);
                            }
                            Answer::Stray => {
                                conn.renew();
                                return;
                            }
                        }
                    }
                    state.listening.answered(place, &steps);
                }
                Err(fault) => {
                    if matches!(fault, Fault::Silent) {
                        // What is subscribed is unknown: a new connection begins with nothing.
                        conn.renew();
                    }
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

/// Keeps a place's subscriptions as they are to be, until nothing is wanted there.
async fn tend(shared: Arc<Shared>, place: Place, conn: Arc<Conn>, wake: Arc<Notify>) {
    let mut attempts = Attempts::new(shared.backoff);
    let mut again: Option<Instant> = None;
    loop {
        shared.round(&place, &conn).await;
        let news = {
            let mut state = shared.lock();
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
            state.listening.take_news(&place)
        };
        if news {
            shared.sink.resubscribed();
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
                None => ask_whether_it_lives(&shared, &conn).await,
            }
        }
    }
}

async fn ask_whether_it_lives(shared: &Shared, conn: &Conn) {
    match conn.call(&redis::cmd("PING"), shared.commands.deadline()).await {
        Ok(Value::SimpleString(_)) => {}
        // Something else was taken for the answer: so would be the next ones.
        Ok(_) => conn.renew(),
        Err(_) => shared.commands.look_again(),
    }
}

fn command(step: &Step) -> &'static str {
    match (step.subscribe, step.sharded) {
        (true, true) => "SSUBSCRIBE",
        (true, false) => "SUBSCRIBE",
        (false, true) => "SUNSUBSCRIBE",
        (false, false) => "UNSUBSCRIBE",
    }
}

/// What the client library gives as the answer to a step.
enum Answer {
    Done,
    Refused(RedisError),
    /// It belongs to another command. The library takes the end of a subscription that nobody asked
    /// for as the answer to what was asked meanwhile; from then on all are one off.
    Stray,
}

fn read(step: &Step, answer: Value) -> Answer {
    match answer {
        Value::Push { kind, data } => {
            let kinds = match kind {
                PushKind::Subscribe => (true, false),
                PushKind::SSubscribe => (true, true),
                PushKind::Unsubscribe => (false, false),
                PushKind::SUnsubscribe => (false, true),
                _ => return Answer::Stray,
            };
            let named = matches!(data.first(), Some(Value::BulkString(name)) if name == step.name.as_bytes());
            if named && kinds == (step.subscribe, step.sharded) {
                Answer::Done
            } else {
                Answer::Stray
            }
        }
        Value::ServerError(error) => {
            let error = RedisError::from(error);
            let slot = error.redirect_node().map(|(_, slot)| slot);
            if slot.is_some_and(|slot| slot != slot_of(&step.name)) {
                return Answer::Stray;
            }
            Answer::Refused(error)
        }
        _ => Answer::Stray,
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
