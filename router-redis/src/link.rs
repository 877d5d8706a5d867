//! The bus: a supervised connection for each node's subscriptions, and the nodes' streams.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use redis::{PushInfo, PushKind, RedisResult, Value, aio::MultiplexedConnection, from_redis_value};
use router_core::{
    Incarnation, NodeAddress,
    backend::{
        BackendError, BoxFuture,
        bus::{AppendError, BusBackend, BusLink, BusSink, Subject},
        registry::Lease,
    },
    envelope::{Entry, EntryId},
};
use tokio::runtime::Handle;

use crate::{
    backoff::Backoff,
    commands::Commands,
    conn::{Conn, Role},
    error::Fault,
    keys::{STREAM_TTL, millis},
    scripts::{APPEND, TAKE},
};

/// How many channels one SUBSCRIBE names.
const BATCH: usize = 512;

/// Opens links on one Redis.
#[derive(Debug)]
pub(crate) struct RedisBus {
    pub(crate) commands: Commands,
    pub(crate) runtime: Handle,
    pub(crate) backoff: Backoff,
}

impl BusBackend for RedisBus {
    fn open(&self, sink: Arc<dyn BusSink>) -> Arc<dyn BusLink> {
        let listener = Arc::new(Listener { sink, subjects: Mutex::default() });
        let conn = Conn::open(
            &self.runtime,
            self.commands.dialer().clone(),
            self.commands.subscriber_target(),
            self.backoff,
            listener.clone(),
        );
        Arc::new(RedisLink { conn, listener, commands: self.commands.clone() })
    }
}

/// What a link listens to, and who hears it.
struct Listener {
    sink: Arc<dyn BusSink>,
    /// By channel. Whoever subscribes writes here before looking at the connection: so a connection
    /// that is made meanwhile subscribes to it, and one that stands is told by the caller.
    subjects: Mutex<HashMap<String, Arc<Subject>>>,
}

impl Listener {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Subject>>> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Role for Listener {
    fn prepare<'a>(
        &'a self,
        connection: &'a mut MultiplexedConnection,
    ) -> BoxFuture<'a, RedisResult<()>> {
        Box::pin(async move {
            let channels: Vec<_> = self.lock().keys().cloned().collect();
            for batch in channels.chunks(BATCH) {
                connection.subscribe(batch).await?;
            }
            Ok(())
        })
    }

    fn pushed(&self, push: PushInfo) {
        if push.kind != PushKind::Message {
            return;
        }
        let mut parts = push.data.into_iter();
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(frame))) =
            (parts.next(), parts.next())
        else {
            return;
        };
        let subject = std::str::from_utf8(&channel).ok().and_then(|c| self.lock().get(c).cloned());
        if let Some(subject) = subject {
            self.sink.published(&subject, frame.into());
        }
    }

    fn up(&self, again: bool) {
        if again {
            self.sink.resubscribed();
        }
    }
}

/// One node's link.
struct RedisLink {
    conn: Conn,
    listener: Arc<Listener>,
    commands: Commands,
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("conn", &self.conn).finish_non_exhaustive()
    }
}

impl RedisLink {
    fn channel(&self, subject: &Subject) -> Result<String, Fault> {
        self.commands.keys().channel(subject).ok_or(Fault::NoChannel)
    }

    async fn append_entry(
        &self,
        to: &NodeAddress,
        frame: &[u8],
        max: usize,
    ) -> Result<Incarnation, AppendError> {
        const WRONG: Fault = Fault::Unexpected("an answer to an append");
        let keys = self.commands.keys();
        let (max, ttl) = (max.to_string(), millis(STREAM_TTL).to_string());
        let channel = keys.node_channel(to);
        let args = [frame, max.as_bytes(), ttl.as_bytes(), channel.as_bytes()];
        let answer = self
            .commands
            .run(&APPEND, &[keys.lease(to), keys.stream(to)], &args)
            .await
            .map_err(BackendError::from)?;
        let (taken, word): (bool, String) =
            from_redis_value(answer).map_err(|_| BackendError::from(WRONG))?;
        match (taken, word.as_str()) {
            (true, life) => {
                life.parse().map(Incarnation).map_err(|_| BackendError::from(WRONG).into())
            }
            (false, "gone") => Err(AppendError::NodeGone),
            (false, "full") => Err(AppendError::Full),
            _ => Err(BackendError::from(WRONG).into()),
        }
    }
}

impl BusLink for RedisLink {
    fn publish(&self, subject: Subject, frame: Bytes) -> BoxFuture<'_, Result<u64, BackendError>> {
        Box::pin(async move {
            let channel = self.channel(&subject)?;
            let mut publish = redis::Cmd::with_capacity(3, 16 + channel.len() + frame.len());
            publish.arg("PUBLISH").arg(&channel).arg(&frame[..]);
            // By the channel's slot, so that a publisher's frames take one way and keep their order.
            let heard = self.commands.call(&channel, &publish).await?;
            let wrong = Fault::Unexpected("an answer to a publish");
            Ok(from_redis_value(heard).map_err(|_| wrong)?)
        })
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            let channel = self.channel(&subject)?;
            self.listener.lock().insert(channel.clone(), Arc::new(subject));
            let subscribe =
                async |mut connection: MultiplexedConnection| connection.subscribe(&channel).await;
            let outcome = self.conn.with(self.commands.deadline(), subscribe).await;
            if matches!(outcome, Err(Fault::Silent)) {
                // Whether it is subscribed is unknown: a new connection subscribes to all.
                self.conn.renew();
            }
            Ok(outcome?)
        })
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            let channel = self.channel(&subject)?;
            self.listener.lock().remove(&channel);
            let unsubscribe = async |mut connection: MultiplexedConnection| {
                connection.unsubscribe(&channel).await
            };
            match self.conn.with(self.commands.deadline(), unsubscribe).await {
                // What stands no more has nothing subscribed, and frames of it reach nobody anyway.
                Ok(()) | Err(Fault::Down(_) | Fault::Silent) => Ok(()),
                Err(Fault::Redis(error)) if error.is_unrecoverable_error() => Ok(()),
                Err(fault) => Err(fault.into()),
            }
        })
    }

    fn append<'a>(
        &'a self,
        to: &'a NodeAddress,
        frame: Bytes,
        max: usize,
    ) -> BoxFuture<'a, Result<Incarnation, AppendError>> {
        Box::pin(async move { self.append_entry(to, &frame, max).await })
    }

    fn take<'a>(
        &'a self,
        lease: &'a Lease,
        after: Option<EntryId>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Entry>, BackendError>> {
        Box::pin(async move {
            let keys = self.commands.keys();
            let keys = [keys.lease(&lease.node), keys.stream(&lease.node)];
            let life = lease.incarnation.to_string();
            let keep = after.map(next_id).map(|EntryId(ms, n)| format!("{ms}-{n}"));
            let keep = keep.unwrap_or_default();
            let (max, ttl) = (max.to_string(), millis(STREAM_TTL).to_string());
            let args = [life.as_bytes(), keep.as_bytes(), max.as_bytes(), ttl.as_bytes()];
            match self.commands.run(&TAKE, &keys, &args).await? {
                Value::Array(entries) => Ok(entries
                    .into_iter()
                    .map(|entry| read_entry(entry).ok_or(Fault::Unexpected("a stream's entry")))
                    .collect::<Result<_, _>>()?),
                Value::Nil => Err(Fault::Fenced.into()),
                _ => Err(Fault::Unexpected("an answer to a take").into()),
            }
        })
    }

    fn reconnect(&self) {
        self.conn.renew();
        self.commands.renew();
    }
}

/// The least id that is greater.
fn next_id(EntryId(ms, n): EntryId) -> EntryId {
    n.checked_add(1).map_or(EntryId(ms.saturating_add(1), 0), |n| EntryId(ms, n))
}

/// `[id, ["life", incarnation, "frame", frame]]`, the frame without a copy.
fn read_entry(entry: Value) -> Option<Entry> {
    let Value::Array(entry) = entry else {
        return None;
    };
    let [Value::BulkString(id), Value::Array(fields)] = <[_; 2]>::try_from(entry).ok()? else {
        return None;
    };
    let [_, Value::BulkString(life), _, Value::BulkString(frame)] =
        <[_; 4]>::try_from(fields).ok()?
    else {
        return None;
    };
    let (ms, n) = std::str::from_utf8(&id).ok()?.split_once('-')?;
    let id = EntryId(ms.parse().ok()?, n.parse().ok()?);
    let incarnation = Incarnation(std::str::from_utf8(&life).ok()?.parse().ok()?);
    Some(Entry { id, incarnation, frame: frame.into() })
}
