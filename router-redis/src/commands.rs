//! Calls: to the one server, or to the node of a cluster that serves the key's slot.

use std::{fmt, sync::Arc, time::Duration};

use redis::{Cmd, RedisError, Value};
use router_core::backend::bus::Subject;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    time::{Instant, sleep},
};

use crate::{
    RedisConfig,
    cluster::{Cluster, Map, Redirect, redirect},
    conn::{Calls, Conn},
    dial::{Dialer, Target},
    error::Fault,
    keys::Keys,
    listening::Place,
    scripts::Script,
    slot::slot_of,
    url::{Host, Kind},
};

/// So many calls of a process may wait for an answer; one more is refused at once.
const IN_FLIGHT_MAX: usize = 8192;

/// How often a call follows a cluster's redirections.
const REDIRECTS_MAX: u32 = 5;

/// How long a call waits, again and again by its deadline, while its slot is being moved.
const MOVING: Duration = Duration::from_millis(50);

/// The connections that carry calls, and the names of the keys. Clones share them.
#[derive(Clone)]
pub(crate) struct Commands(Arc<Inner>);

struct Inner {
    keys: Keys,
    dialer: Dialer,
    in_flight: Semaphore,
    route: Route,
}

enum Route {
    One(Conn, Target),
    Cluster(Cluster),
}

impl Commands {
    pub(crate) fn open(runtime: &Handle, config: &RedisConfig, dialer: Dialer) -> Self {
        let url = dialer.url();
        let one = |target: Target| {
            let role = Arc::new(Calls);
            let conn = Conn::open(runtime, dialer.clone(), target.clone(), config.backoff, role);
            Route::One(conn, target)
        };
        let route = match (&url.kind, url.hosts.first()) {
            (Kind::Sentinel { master }, _) => {
                one(Target::Master { name: master.clone(), sentinels: url.hosts.clone() })
            }
            (Kind::Single, Some(host)) => one(Target::Fixed(host.clone())),
            _ => Route::Cluster(Cluster::open(runtime, dialer.clone(), config.backoff)),
        };
        let keys = Keys::new(&url.prefix);
        Self(Arc::new(Inner { keys, dialer, in_flight: Semaphore::new(IN_FLIGHT_MAX), route }))
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.0.dialer
    }

    /// Where a node listens to a channel: plain pub/sub reaches every node of a cluster, sharded the
    /// master of the channel's slot. `None` while that may become known any moment.
    pub(crate) fn place_of(&self, name: &str, subject: &Subject) -> Result<Option<Place>, Fault> {
        match (&self.0.route, subject) {
            (Route::Cluster(cluster), Subject::Channel(_)) => {
                Ok(cluster.master_now(slot_of(name))?.map(Place::Master))
            }
            _ => Ok(Some(Place::Home)),
        }
    }

    /// Whom a subscriber dials.
    pub(crate) fn target(&self, place: &Place) -> Target {
        match (&self.0.route, place) {
            (_, Place::Master(host)) => Target::Fixed(host.clone()),
            (Route::One(_, target), Place::Home) => target.clone(),
            (Route::Cluster(cluster), Place::Home) => Target::AnyOf(cluster.hosts()),
        }
    }

    /// Tells, in a cluster, when places may have changed.
    pub(crate) fn changes(&self) -> Option<watch::Receiver<Map>> {
        match &self.0.route {
            Route::One(..) => None,
            Route::Cluster(cluster) => Some(cluster.changes()),
        }
    }

    /// What is known about places was found wrong.
    pub(crate) fn look_again(&self) {
        if let Route::Cluster(cluster) = &self.0.route {
            cluster.look_again();
        }
    }

    /// When a call that begins now must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.0.dialer.timeout()
    }

    /// Makes the connections anew.
    pub(crate) fn renew(&self) {
        match &self.0.route {
            Route::One(conn, _) => conn.renew(),
            Route::Cluster(cluster) => cluster.renew(),
        }
    }

    /// One command on `key`, which also says where it goes.
    pub(crate) async fn call(&self, key: &str, cmd: &Cmd) -> Result<Value, Fault> {
        self.call_by(key, cmd, self.deadline()).await
    }

    /// One script on its keys, which are all in one slot.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[String],
        args: &[&[u8]],
    ) -> Result<Value, Fault> {
        let deadline = self.deadline();
        let key = keys.first().map(String::as_str).unwrap_or_default();
        match self.call_by(key, &script.by_digest(keys, args), deadline).await {
            // It did not run: the server was restarted or its cache flushed.
            Err(Fault::Redis(error)) if error.code() == Some("NOSCRIPT") => {
                self.call_by(key, &script.by_text(keys, args), deadline).await
            }
            outcome => outcome,
        }
    }

    async fn call_by(&self, key: &str, cmd: &Cmd, deadline: Instant) -> Result<Value, Fault> {
        let _permit = self.0.in_flight.try_acquire().map_err(|_| Fault::Busy)?;
        match &self.0.route {
            Route::One(conn, _) => conn.call(cmd, deadline).await,
            Route::Cluster(cluster) => call_cluster(cluster, key, cmd, deadline).await,
        }
    }
}

async fn call_cluster(
    cluster: &Cluster,
    key: &str,
    cmd: &Cmd,
    deadline: Instant,
) -> Result<Value, Fault> {
    let mut host = cluster.master_of(slot_of(key), deadline).await?;
    let (mut asking, mut redirects) = (false, 0);
    while redirects <= REDIRECTS_MAX {
        redirects += 1;
        let error = match call_node(cluster, &host, cmd, asking, deadline).await {
            Err(Fault::Redis(error)) => error,
            Err(fault @ (Fault::Down(_) | Fault::Silent)) => {
                cluster.look_again();
                return Err(fault);
            }
            outcome => return outcome,
        };
        (host, asking) = match redirect(&error, &host) {
            Some(Redirect::Moved(to)) => {
                cluster.look_again();
                (to, false)
            }
            Some(Redirect::Ask(to)) => (to, true),
            // From the beginning: meanwhile the slot may have arrived where it goes.
            Some(Redirect::Wait) if Instant::now() + MOVING < deadline => {
                sleep(MOVING).await;
                redirects = 0;
                (cluster.master_of(slot_of(key), deadline).await?, false)
            }
            Some(Redirect::Look) => {
                cluster.look_again();
                return Err(error.into());
            }
            Some(Redirect::Wait) | None => return Err(error.into()),
        };
    }
    Err(Fault::Lost)
}

async fn call_node(
    cluster: &Cluster,
    host: &Host,
    cmd: &Cmd,
    asking: bool,
    deadline: Instant,
) -> Result<Value, Fault> {
    let node = cluster.node(host);
    if !asking {
        return node.call(cmd, deadline).await;
    }
    // The permission counts for the very next command of the connection.
    let mut both = redis::pipe();
    both.cmd("ASKING").ignore().add_command(cmd.clone());
    let ask = async |mut connection| both.query_async(&mut connection).await;
    let answers: Vec<Value> = node.with(deadline, ask).await.map_err(only_error)?;
    answers.into_iter().next().ok_or(Fault::Unexpected("no answer after ASKING"))
}

/// A pipeline's error is the list of its commands' errors; here only one command can have any.
fn only_error(fault: Fault) -> Fault {
    match fault {
        Fault::Redis(error) => {
            let first = error.clone().into_server_errors().and_then(|all| all.first().cloned());
            Fault::Redis(first.map_or(error, |(_, error)| RedisError::from(error)))
        }
        fault => fault,
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Redis");
        shown.field("url", self.0.dialer.url());
        match &self.0.route {
            Route::One(conn, _) => shown.field("conn", conn),
            Route::Cluster(cluster) => shown.field("cluster", cluster),
        };
        shown.finish_non_exhaustive()
    }
}
