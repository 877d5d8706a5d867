//! The bus: publishing, what each node listens to, and the nodes' streams.

use std::sync::Arc;

use bytes::Bytes;
use redis::{Value, from_redis_value};
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
    error::Fault,
    keys::{STREAM_TTL, millis},
    lines::Lines,
    scripts::{APPEND, TAKE},
};

/// Opens links on one Redis.
#[derive(Debug)]
pub(crate) struct RedisBus {
    pub(crate) commands: Commands,
    pub(crate) runtime: Handle,
    pub(crate) backoff: Backoff,
}

impl BusBackend for RedisBus {
    fn open(&self, sink: Arc<dyn BusSink>) -> Arc<dyn BusLink> {
        let (commands, runtime) = (self.commands.clone(), self.runtime.clone());
        let lines = Lines::open(sink, commands.clone(), runtime, self.backoff);
        Arc::new(RedisLink { lines, commands })
    }
}

/// One node's link.
#[derive(Debug)]
struct RedisLink {
    lines: Lines,
    commands: Commands,
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
            // By the channel's slot, so that a publisher's frames take one way and keep their order.
            Ok(match subject {
                Subject::Channel(_) => self.commands.say(&channel, &frame).await?,
                _ => self.commands.publish(&channel, &frame).await?,
            })
        })
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            let channel = self.channel(&subject)?;
            Ok(self.lines.subscribe(channel, subject).await?)
        })
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            self.lines.unsubscribe(&self.channel(&subject)?).await;
            Ok(())
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
        self.lines.renew();
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
