//! One supervised connection: dialled in the background, again after every loss, and fast to fail
//! while there is none.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use redis::{PushInfo, PushKind, RedisError, RedisResult, Value, aio::MultiplexedConnection};
use router_core::backend::BoxFuture;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    backoff::{Attempts, Backoff},
    dial::{Dialer, OnPush, Target},
    error::Fault,
};

/// So many calls in a row without an answer give a connection up, as one to a host that went away
/// without a word.
const SILENT_MAX: u32 = 3;

/// What a connection is for.
pub(crate) trait Role: Send + Sync + 'static {
    /// Makes a fresh connection ready, before anyone may use it.
    fn prepare<'a>(
        &'a self,
        connection: &'a mut MultiplexedConnection,
    ) -> BoxFuture<'a, RedisResult<()>>;

    /// The connection stands, and is given to callers next. `generation` counts the connections.
    fn up(&self, generation: u64);

    /// Something was pushed on that connection. Called on the connection's own task.
    fn pushed(&self, generation: u64, push: PushInfo);

    /// The connection that stood is lost.
    fn down(&self);
}

/// The role of a connection that only carries calls.
pub(crate) struct Calls;

impl Role for Calls {
    fn prepare<'a>(&'a self, _: &'a mut MultiplexedConnection) -> BoxFuture<'a, RedisResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn up(&self, _: u64) {}

    fn pushed(&self, _: u64, _: PushInfo) {}

    fn down(&self) {}
}

/// A connection that is kept up until this is dropped.
pub(crate) struct Conn {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    /// Written by the supervising task alone; callers wait on it while a dial is under way.
    state: watch::Sender<State>,
    /// The newest generation that is known to be lost: raised by whoever finds out, awaited by the
    /// supervising task.
    lost: watch::Sender<u64>,
    /// Calls in a row that got no answer.
    silent: AtomicU32,
}

#[derive(Clone)]
enum State {
    /// A dial is under way: callers wait for its end.
    Dialling,
    Up(Live),
    /// The last dial failed: callers fail at once.
    Down(RedisError),
}

/// A connection in use, and which one it is.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) connection: MultiplexedConnection,
    generation: u64,
}

impl Conn {
    pub(crate) fn open(
        runtime: &Handle,
        dialer: Dialer,
        target: Target,
        backoff: Backoff,
        role: Arc<dyn Role>,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Dialling),
            lost: watch::Sender::new(0),
            silent: AtomicU32::new(0),
        });
        let supervised = supervise(shared.clone(), dialer, target, backoff, role);
        Self { shared, task: runtime.spawn(supervised).abort_handle() }
    }

    /// The connection, once a dial that is under way has ended.
    pub(crate) async fn live(&self, deadline: Instant) -> Result<Live, Fault> {
        let mut state = self.shared.state.subscribe();
        let settled = timeout_at(deadline, state.wait_for(|s| !matches!(s, State::Dialling))).await;
        match settled.as_ref().map(|state| state.as_ref().map(|state| &**state)) {
            Ok(Ok(State::Up(live))) => Ok(live.clone()),
            Ok(Ok(State::Down(error))) => Err(Fault::Down(Some(error.clone()))),
            _ => Err(Fault::Down(None)),
        }
    }

    /// Does `call` on the connection, by the deadline, and minds what the outcome tells about it.
    pub(crate) async fn with<T, F>(
        &self,
        deadline: Instant,
        call: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Live { connection, generation } = self.live(deadline).await?;
        let Ok(outcome) = timeout_at(deadline, call(connection)).await else {
            if self.shared.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_MAX {
                self.shared.lose(generation);
            }
            return Err(Fault::Silent);
        };
        match &outcome {
            Err(error) if error.is_unrecoverable_error() || error.code() == Some("READONLY") => {
                self.shared.lose(generation);
            }
            _ => self.shared.silent.store(0, Ordering::Relaxed),
        }
        Ok(outcome?)
    }

    /// One command and its answer.
    pub(crate) async fn call(&self, cmd: &redis::Cmd, deadline: Instant) -> Result<Value, Fault> {
        self.with(deadline, async |mut connection| cmd.query_async(&mut connection).await).await
    }

    /// Drops the connection and makes a new one, unless that is under way.
    pub(crate) fn renew(&self) {
        let generation = match &*self.shared.state.borrow() {
            State::Up(live) => Some(live.generation),
            State::Dialling | State::Down(_) => None,
        };
        if let Some(generation) = generation {
            self.shared.lose(generation);
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // Whatever still comes is pushed to nobody.
        self.shared.lose(u64::MAX);
        self.task.abort();
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.shared.state.borrow() {
            State::Dialling => "dialling",
            State::Up(_) => "up",
            State::Down(_) => "down",
        };
        f.debug_tuple("Conn").field(&state).finish()
    }
}

impl Shared {
    fn lose(&self, generation: u64) {
        self.lost.send_if_modified(|lost| {
            let newer = *lost < generation;
            *lost = generation.max(*lost);
            newer
        });
    }
}

async fn supervise(
    shared: Arc<Shared>,
    dialer: Dialer,
    target: Target,
    backoff: Backoff,
    role: Arc<dyn Role>,
) {
    let mut attempts = Attempts::new(backoff);
    let mut lost = shared.lost.subscribe();
    // Where a row of hosts is begun differs from process to process.
    let first = chance() >> 1;
    for generation in 1.. {
        let on_push = pushes(&shared, role.clone(), generation);
        let dial = async {
            let mut connection = dialer.dial(&target, first + generation, on_push).await?;
            role.prepare(&mut connection).await?;
            Ok(connection)
        };
        match timeout(dialer.timeout(), dial).await.unwrap_or_else(|_| Err(too_late())) {
            Ok(connection) => {
                let since = Instant::now();
                let again = attempts.connected();
                shared.silent.store(0, Ordering::Relaxed);
                role.up(generation);
                shared.state.send_replace(State::Up(Live { connection, generation }));
                if again {
                    tracing::info!(redis = %dialer.url(), "connected again");
                }
                // The sender lives in `shared`, which this task holds.
                drop(lost.wait_for(|lost| *lost >= generation).await);
                role.down();
                shared.state.send_replace(State::Dialling);
                tracing::warn!(redis = %dialer.url(), "connection lost");
                tokio::time::sleep(attempts.lost(since.elapsed(), chance())).await;
            }
            Err(error) => {
                let wait = attempts.failed(chance());
                tracing::warn!(redis = %dialer.url(), %error, ?wait, "no connection");
                shared.state.send_replace(State::Down(error));
                tokio::time::sleep(wait).await;
                shared.state.send_replace(State::Dialling);
            }
        }
    }
}

/// What a connection does with what is pushed to it: nothing, once another took its place. It holds
/// the shared state weakly, which itself holds the connection.
fn pushes(shared: &Arc<Shared>, role: Arc<dyn Role>, generation: u64) -> OnPush {
    let shared = Arc::downgrade(shared);
    Box::new(move |push| {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if push.kind == PushKind::Disconnection {
            shared.lose(generation);
        } else if *shared.lost.borrow() < generation {
            role.pushed(generation, push);
        }
    })
}

fn too_late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Evenly distributed. A system without randomness gives every wait its middle.
fn chance() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_host_that_refuses_fails_calls_at_once() {
        // A port that was just free, and that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url: crate::RedisUrl = format!("redis://127.0.0.1:{port}").parse().unwrap();
        let target = Target::Fixed(url.hosts[0].clone());
        let config = crate::RedisConfig::new(url).call_timeout(Duration::from_secs(60));
        let dialer = Dialer::new(&config);
        let backoff = Backoff { first: Duration::from_secs(3600), most: Duration::from_secs(3600) };
        let conn = Conn::open(&Handle::current(), dialer, target, backoff, Arc::new(Calls));
        for _ in 0..3 {
            let deadline = Instant::now() + Duration::from_secs(60);
            let ping = redis::cmd("PING");
            let ping = conn.call(&ping, deadline);
            let fault = timeout(Duration::from_secs(10), ping).await.unwrap().unwrap_err();
            assert!(matches!(fault, Fault::Down(Some(_))), "{fault:?}");
        }
    }
}
