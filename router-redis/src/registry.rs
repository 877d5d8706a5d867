//! Leases: a key per node with its time to live, a count of its lives, and a list per namespace.

use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{FromRedisValue, Value, from_redis_value};
use router_core::{
    Incarnation, Namespace, NodeAddress,
    backend::{
        BackendError, BoxFuture,
        registry::{AcquireError, Holder, Lease, NodeEntry, Registry, RenewError},
    },
};

use crate::{
    commands::Commands,
    error::Fault,
    keys::{LIFE_TTL, LIST_TTL, millis},
    scripts::{ACQUIRE, ENLIST, RELEASE, RENEW},
};

const WRONG: Fault = Fault::Unexpected("a lease");

fn read<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    from_redis_value(value).map_err(|_| WRONG)
}

fn read_holder(value: Value) -> Result<Holder, Fault> {
    let text: String = read(value)?;
    serde_json::from_str(&text).map_err(|_| WRONG)
}

/// A holder as it is stored and compared: its fields in their order of declaration.
fn holder_text(holder: &Holder) -> Result<String, Fault> {
    serde_json::to_string(holder).map_err(|_| WRONG)
}

impl Commands {
    /// Puts a node into its namespace's list. The list may be in another slot than the lease, so this
    /// comes first: a name too many does no harm, one too few would hide a live node.
    async fn enlist(&self, node: &NodeAddress) -> Result<(), Fault> {
        let (nid, ttl) = (node.nid.to_string(), millis(LIST_TTL).to_string());
        let args = [nid.as_bytes(), ttl.as_bytes()];
        self.run(&ENLIST, &[self.keys().nodes(&node.ns)], &args).await?;
        Ok(())
    }

    async fn lease_of(&self, node: NodeAddress) -> Result<Option<NodeEntry>, Fault> {
        let key = self.keys().lease(&node);
        let mut look = redis::cmd("HMGET");
        look.arg(&key).arg("life").arg("holder");
        let Value::Array(fields) = self.call(&key, &look).await? else {
            return Err(WRONG);
        };
        match <[_; 2]>::try_from(fields) {
            Ok([Value::Nil, Value::Nil]) => Ok(None),
            Ok([life, holder]) => {
                let lease = Lease { node, incarnation: Incarnation(read(life)?) };
                Ok(Some(NodeEntry { lease, holder: read_holder(holder)? }))
            }
            Err(_) => Err(WRONG),
        }
    }

    /// The new incarnation, or who holds the lease.
    async fn try_acquire(
        &self,
        node: &NodeAddress,
        holder: &Holder,
        dead: Option<&Holder>,
        ttl: Duration,
    ) -> Result<Result<Incarnation, Holder>, Fault> {
        self.enlist(node).await?;
        let holder = holder_text(holder)?;
        let dead = dead.map(holder_text).transpose()?.unwrap_or_default();
        let (ttl, life_ttl) = (millis(ttl).to_string(), millis(LIFE_TTL).to_string());
        let keys = [self.keys().lease(node), self.keys().life(node)];
        let args = [&holder, &dead, &ttl, &life_ttl].map(String::as_bytes);
        let (taken, word): (bool, Value) = read(self.run(&ACQUIRE, &keys, &args).await?)?;
        if taken { Ok(Ok(Incarnation(read(word)?))) } else { Ok(Err(read_holder(word)?)) }
    }
}

impl Registry for Commands {
    fn acquire<'a>(
        &'a self,
        node: &'a NodeAddress,
        holder: &'a Holder,
        dead: Option<&'a Holder>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>> {
        Box::pin(async move {
            match self.try_acquire(node, holder, dead, ttl).await.map_err(BackendError::from)? {
                Ok(incarnation) => Ok(Lease { node: node.clone(), incarnation }),
                Err(holder) => Err(AcquireError::Held(Box::new(holder))),
            }
        })
    }

    fn renew<'a>(
        &'a self,
        lease: &'a Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RenewError>> {
        Box::pin(async move {
            let (life, ttl) = (lease.incarnation.to_string(), millis(ttl).to_string());
            let args = [life.as_bytes(), ttl.as_bytes()];
            let renewed = self.run(&RENEW, &[self.keys().lease(&lease.node)], &args).await;
            if !renewed.and_then(read::<bool>).map_err(BackendError::from)? {
                return Err(RenewError::Lost);
            }
            // The lease is what counts; a list that was lost is made good with the next renewal.
            if let Err(error) = self.enlist(&lease.node).await {
                tracing::debug!(node = %lease.node, %error, "not put on its namespace's list");
            }
            Ok(())
        })
    }

    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let life = lease.incarnation.to_string();
            self.run(&RELEASE, &[self.keys().lease(&lease.node)], &[life.as_bytes()]).await?;
            Ok(())
        })
    }

    fn lives<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let key = self.keys().lease(&lease.node);
            let mut look = redis::cmd("HGET");
            look.arg(&key).arg("life");
            let life: Option<u64> = read(self.call(&key, &look).await?)?;
            Ok(life == Some(lease.incarnation.0))
        })
    }

    fn nodes<'a>(
        &'a self,
        ns: &'a Namespace,
    ) -> BoxFuture<'a, Result<Vec<NodeEntry>, BackendError>> {
        Box::pin(async move {
            let list = self.keys().nodes(ns);
            let mut look = redis::cmd("ZRANGE");
            look.arg(&list).arg(0).arg(-1);
            let listed: Vec<u32> = read(self.call(&list, &look).await?)?;
            // Each lease may be in another slot; what is listed and has none is dead.
            let leases = listed.into_iter().map(|nid| self.lease_of(ns.node(nid)));
            let mut nodes: Vec<_> = try_join_all(leases).await?.into_iter().flatten().collect();
            nodes.sort_by_key(|entry| entry.lease.node.nid);
            Ok(nodes)
        })
    }
}
