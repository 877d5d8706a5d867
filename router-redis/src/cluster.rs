//! Which node of a cluster serves which slot, and a supervised connection to each.
//!
//! The crate `redis` has a cluster client of its own, which sends a command again when its
//! connection breaks: an append would be made twice. So the routing is ours: a command is sent
//! again only when a node said that it did not do it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::select_ok;
use redis::{RedisError, Value, from_redis_value};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    backoff::{Attempts, Backoff},
    conn::{Calls, Conn},
    dial::{Dialer, Target},
    error::Fault,
    slot::SLOTS,
    url::Host,
};

/// Two looks at the cluster's map are at least this far apart, however many callers want one.
const LOOK_MIN: Duration = Duration::from_millis(100);

/// And at most this far, though nobody found it wrong: new masters are to be known.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// The connections to a cluster; they end when this is dropped.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    runtime: Handle,
    dialer: Dialer,
    backoff: Backoff,
    /// One connection for each node that was ever asked and is still known.
    nodes: Mutex<HashMap<Host, Arc<Conn>>>,
    /// Written by the looking task alone.
    map: watch::Sender<Map>,
    /// Someone found the map wrong.
    stale: Notify,
}

/// What is known about who serves which slot.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Map {
    /// The first look is under way: callers wait for its end.
    Looking,
    Known(Arc<Slots>),
    /// No node has answered yet.
    Unknown,
}

impl Map {
    /// The master of `slot`; `None` while it may become known any moment.
    fn master_of(&self, slot: u16) -> Result<Option<Host>, Fault> {
        match self {
            Self::Looking => Ok(None),
            Self::Known(slots) => slots.master_of(slot).cloned().map(Some).ok_or(Fault::Down(None)),
            Self::Unknown => Err(Fault::Down(None)),
        }
    }
}

/// Ranges of slots by their last slot, and their masters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots(Vec<(u16, u16, Host)>);

impl Slots {
    fn master_of(&self, slot: u16) -> Option<&Host> {
        let at = self.0.partition_point(|(_, last, _)| *last < slot);
        self.0.get(at).filter(|(first, ..)| *first <= slot).map(|(.., host)| host)
    }

    fn masters(&self) -> Vec<Host> {
        let mut masters: Vec<_> = self.0.iter().map(|(.., host)| host.clone()).collect();
        masters.sort_unstable();
        masters.dedup();
        masters
    }

    /// The answer to `CLUSTER SLOTS`, given by `asked`. A node that does not know its own name
    /// leaves it out: then it is the one under which it was reached.
    fn parse(answer: Value, asked: &Host) -> Result<Self, Fault> {
        const WRONG: Fault = Fault::Unexpected("an answer to CLUSTER SLOTS");
        let Value::Array(ranges) = answer else {
            return Err(WRONG);
        };
        let mut slots = Vec::with_capacity(ranges.len());
        for range in ranges {
            let Value::Array(range) = range else {
                return Err(WRONG);
            };
            let mut parts = range.into_iter();
            let (Some(first), Some(last), Some(Value::Array(master))) =
                (parts.next().and_then(read_u16), parts.next().and_then(read_u16), parts.next())
            else {
                return Err(WRONG);
            };
            let mut master = master.into_iter();
            let name = master.next().and_then(|name| from_redis_value(name).ok()).flatten();
            let port = master.next().and_then(read_u16).ok_or(WRONG)?;
            let name = name.filter(|name: &String| !name.is_empty() && name != "?");
            let name = name.unwrap_or_else(|| asked.name.clone());
            slots.push((first, last, Host { name, port }));
        }
        slots.sort_unstable_by_key(|(first, ..)| *first);
        if slots.is_empty() || slots.iter().any(|(first, last, _)| first > last || *last >= SLOTS) {
            return Err(WRONG);
        }
        Ok(Self(slots))
    }
}

/// A slot or a port. (The crate's own conversion cuts a number that is too large.)
fn read_u16(value: Value) -> Option<u16> {
    let number: i64 = from_redis_value(value).ok()?;
    number.try_into().ok()
}

impl Cluster {
    pub(crate) fn open(runtime: &Handle, dialer: Dialer, backoff: Backoff) -> Self {
        let shared = Arc::new(Shared {
            runtime: runtime.clone(),
            dialer,
            backoff,
            nodes: Mutex::default(),
            map: watch::Sender::new(Map::Looking),
            stale: Notify::new(),
        });
        let task = runtime.spawn(keep_looking(shared.clone())).abort_handle();
        Self { shared, task }
    }

    /// The master of `slot`, once a first look has ended.
    pub(crate) async fn master_of(&self, slot: u16, deadline: Instant) -> Result<Host, Fault> {
        let mut map = self.changes();
        let looked = timeout_at(deadline, map.wait_for(|map| *map != Map::Looking)).await;
        drop(looked);
        self.master_now(slot)?.ok_or(Fault::Down(None))
    }

    /// The master of `slot` at once; `None` while the first look is under way.
    pub(crate) fn master_now(&self, slot: u16) -> Result<Option<Host>, Fault> {
        let master = self.shared.map.borrow().master_of(slot);
        master.inspect_err(|_| self.look_again())
    }

    /// Tells when the map has changed.
    pub(crate) fn changes(&self) -> watch::Receiver<Map> {
        self.shared.map.subscribe()
    }

    /// The connection to a node.
    pub(crate) fn node(&self, host: &Host) -> Arc<Conn> {
        self.shared.node(host)
    }

    /// The map was found wrong.
    pub(crate) fn look_again(&self) {
        self.shared.stale.notify_one();
    }

    /// Makes all connections anew.
    pub(crate) fn renew(&self) {
        for node in self.shared.lock().values() {
            node.renew();
        }
        self.look_again();
    }

    /// Gives the hosts that a subscriber may dial.
    pub(crate) fn hosts(&self) -> Arc<dyn Fn() -> Vec<Host> + Send + Sync> {
        let shared = self.shared.clone();
        Arc::new(move || match &*shared.map.borrow() {
            Map::Known(slots) => slots.masters(),
            Map::Looking | Map::Unknown => shared.dialer.url().hosts.clone(),
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.lock().clear();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("nodes", &*self.shared.lock()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Host, Arc<Conn>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, host: &Host) -> Arc<Conn> {
        let open = || {
            let target = Target::Fixed(host.clone());
            let (runtime, dialer) = (&self.runtime, self.dialer.clone());
            Arc::new(Conn::open(runtime, dialer, target, self.backoff, Arc::new(Calls)))
        };
        self.lock().entry(host.clone()).or_insert_with(open).clone()
    }

    /// Asks these nodes side by side; the first answer counts.
    async fn ask(&self, hosts: &[Host]) -> Result<Slots, Fault> {
        let deadline = Instant::now() + self.dialer.timeout();
        let asked = hosts.iter().map(|host| {
            Box::pin(async move {
                let mut ask = redis::cmd("CLUSTER");
                ask.arg("SLOTS");
                Slots::parse(self.node(host).call(&ask, deadline).await?, host)
            })
        });
        let asked: Vec<_> = asked.collect();
        if asked.is_empty() {
            return Err(Fault::Down(None));
        }
        select_ok(asked).await.map(|(slots, _)| slots)
    }

    async fn look(&self) -> Result<Slots, Fault> {
        let known = match &*self.map.borrow() {
            Map::Known(slots) => slots.masters(),
            Map::Looking | Map::Unknown => Vec::new(),
        };
        match self.ask(&known).await {
            Ok(slots) => Ok(slots),
            Err(_) => self.ask(&self.dialer.url().hosts).await,
        }
    }
}

async fn keep_looking(shared: Arc<Shared>) {
    let mut attempts = Attempts::new(shared.backoff);
    loop {
        match shared.look().await {
            Ok(slots) => {
                attempts = Attempts::new(shared.backoff);
                let masters = slots.masters();
                let map = Map::Known(Arc::new(slots));
                shared.map.send_if_modified(|known| {
                    let changed = *known != map;
                    *known = map;
                    changed
                });
                // Connections to nodes that serve nothing any more end here.
                let gone: Vec<_> =
                    shared.lock().extract_if(|host, _| !masters.contains(host)).collect();
                drop(gone);
                sleep(LOOK_MIN).await;
                // Either outcome asks for another look.
                drop(timeout(LOOK_MAX, shared.stale.notified()).await);
            }
            Err(error) => {
                let redis = shared.dialer.url();
                tracing::warn!(%redis, %error, "no node tells who serves which slot");
                shared.map.send_if_modified(|map| {
                    let none = matches!(map, Map::Looking);
                    if none {
                        *map = Map::Unknown;
                    }
                    none
                });
                let wait = attempts.failed(getrandom::u64().unwrap_or(u64::MAX / 2));
                sleep(wait.max(LOOK_MIN)).await;
            }
        }
    }
}

/// Whether an error says that the map is wrong, and where the command is to go instead.
pub(crate) enum Redirect {
    Moved(Host),
    Ask(Host),
    /// The slot is being moved, key by key, and the command's keys are not all in one place yet.
    Wait,
    /// The map is in doubt, and nobody said where to go.
    Look,
}

/// What an error of `asked` says about the way.
pub(crate) fn redirect(error: &RedisError, asked: &Host) -> Option<Redirect> {
    let to = || {
        let (host, _) = error.redirect_node()?;
        let (name, port) = host.rsplit_once(':')?;
        let name = if name.is_empty() { asked.name.clone() } else { name.to_owned() };
        Some(Host { name, port: port.parse().ok()? })
    };
    match error.code() {
        Some("MOVED") => to().map(Redirect::Moved),
        Some("ASK") => to().map(Redirect::Ask),
        Some("TRYAGAIN") => Some(Redirect::Wait),
        Some("CLUSTERDOWN" | "READONLY" | "MASTERDOWN") => Some(Redirect::Look),
        _ if error.is_unrecoverable_error() => Some(Redirect::Look),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Host {
        Host { name: name.into(), port }
    }

    fn range(first: i64, last: i64, name: Value, port: i64) -> Value {
        let master = Value::Array(vec![name, Value::Int(port), Value::BulkString(b"id".to_vec())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    #[test]
    fn slots_are_found_in_their_ranges_and_gaps_are_none() {
        let name = |name: &str| Value::BulkString(name.as_bytes().to_vec());
        let answer = Value::Array(vec![
            range(200, 299, name("b"), 2),
            range(0, 99, name("a"), 1),
            range(300, 16383, Value::Nil, 3),
        ]);
        let slots = Slots::parse(answer, &host("asked", 9)).unwrap();
        assert_eq!(slots.master_of(0), Some(&host("a", 1)));
        assert_eq!(slots.master_of(99), Some(&host("a", 1)));
        assert_eq!(slots.master_of(100), None);
        assert_eq!(slots.master_of(200), Some(&host("b", 2)));
        assert_eq!(slots.master_of(16383), Some(&host("asked", 3)));
        assert_eq!(slots.masters(), [host("a", 1), host("asked", 3), host("b", 2)]);
    }

    #[test]
    fn an_answer_of_another_shape_is_refused() {
        for answer in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(5, 4, Value::Nil, 1)]),
            Value::Array(vec![range(0, 16384, Value::Nil, 1)]),
            Value::Array(vec![range(0, 1, Value::Nil, 70_000)]),
        ] {
            assert!(Slots::parse(answer, &host("asked", 9)).is_err());
        }
    }
}
