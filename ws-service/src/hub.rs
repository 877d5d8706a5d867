//! The sockets of this node, as handlers reach them: encode once, one message to each thread.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use bytestring::ByteString;
use router_core::{
    Args, TenantId,
    backend::BoxFuture,
    socket::{DisconnectReason, EmitError, Recipients, SocketHub, SocketInfo},
};
use tokio::sync::mpsc;
use wire::socketio::Nsp;

use crate::{
    connection::frames,
    shard::message::{ShardMessage, Target},
};

/// The hub of one service.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// The nsps of the service: a session's sockets may be in each.
    nsps: Vec<Nsp>,
    shards: RwLock<Vec<ShardHandle>>,
    /// Where each admitted socket lives. Touched when one comes or goes, and to find one.
    directory: RwLock<HashMap<TenantId, (usize, Arc<SocketInfo>)>>,
}

/// The way to one shard.
#[derive(Debug, Clone)]
struct ShardHandle {
    inbound: mpsc::Sender<ShardMessage>,
    /// How many admitted sockets it has; written by the shard alone.
    population: Arc<AtomicUsize>,
}

impl Hub {
    /// A hub without shards.
    pub(crate) fn new(nsps: Vec<Nsp>) -> Self {
        Self { nsps, ..Self::default() }
    }

    /// The bit of a nsp in a link's set of nsps; `None` for the 65th and on.
    pub(crate) fn bit(&self, nsp: &str) -> Option<u64> {
        let at = self.nsps.iter().take(64).position(|known| known.as_str() == nsp)?;
        Some(1 << at)
    }

    /// Adds a shard whose queue holds `queue` messages: its number, its count of sockets, its queue.
    pub(crate) fn add_shard(
        &self,
        queue: usize,
    ) -> (usize, Arc<AtomicUsize>, mpsc::Receiver<ShardMessage>) {
        let (inbound, outbound) = mpsc::channel(queue);
        let population = Arc::<AtomicUsize>::default();
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        shards.push(ShardHandle { inbound, population: Arc::clone(&population) });
        (shards.len() - 1, population, outbound)
    }

    /// A socket of shard `index` was admitted.
    pub(crate) fn enter(&self, tid: TenantId, index: usize, info: Arc<SocketInfo>) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        directory.insert(tid, (index, info));
    }

    /// A socket went.
    pub(crate) fn leave(&self, tid: &TenantId) {
        self.directory.write().unwrap_or_else(PoisonError::into_inner).remove(tid);
    }

    fn lookup(&self, tid: &TenantId) -> Option<(usize, Arc<SocketInfo>)> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).get(tid).cloned()
    }

    fn shard(&self, index: usize) -> Option<ShardHandle> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).get(index).cloned()
    }

    /// The shards that have sockets.
    fn populated(&self) -> Vec<ShardHandle> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let populated = shards.iter().filter(|s| s.population.load(Ordering::Relaxed) > 0);
        populated.cloned().collect()
    }

    async fn deliver(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
        volatile: bool,
    ) -> Result<(), EmitError> {
        let frame = |nsp: &Nsp| frames::event(nsp, &event, &args);
        match to {
            Recipients::Socket(tid) => {
                let (index, info) = self.lookup(&tid).ok_or(EmitError::Gone)?;
                let nsp = Nsp::new(info.nsp.clone()).ok_or(EmitError::Gone)?;
                let shard = self.shard(index).ok_or(EmitError::Gone)?;
                let (to, frame) = (Target::Socket(tid), frame(&nsp));
                let message = ShardMessage::Deliver { to, frame, volatile };
                shard.inbound.send(message).await.map_err(|_| EmitError::Closing)
            }
            Recipients::Nsp(name) => match Nsp::new(name.clone()) {
                Some(nsp) => self.to_all(&Target::Nsp(name), frame(&nsp), volatile).await,
                None => Ok(()),
            },
            Recipients::Session(sid) => {
                for nsp in &self.nsps {
                    let to = Target::Session(sid.clone(), nsp.as_str().into());
                    self.to_all(&to, frame(nsp), volatile).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn to_all(&self, to: &Target, frame: Bytes, volatile: bool) -> Result<(), EmitError> {
        for shard in self.populated() {
            let message = ShardMessage::Deliver { to: to.clone(), frame: frame.clone(), volatile };
            shard.inbound.send(message).await.map_err(|_| EmitError::Closing)?;
        }
        Ok(())
    }

    /// Tells every shard that the node goes away.
    pub(crate) async fn drain(&self) {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner).clone();
        for shard in shards {
            // A shard whose thread is gone has nobody to tell.
            let _gone = shard.inbound.send(ShardMessage::Drain).await;
        }
    }
}

impl SocketHub for Hub {
    fn emit(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(self.deliver(to, event, args, false))
    }

    fn emit_volatile(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(self.deliver(to, event, args, true))
    }

    fn find(&self, tid: &TenantId) -> Option<Arc<SocketInfo>> {
        self.lookup(tid).map(|(_, info)| info)
    }

    fn disconnect(&self, who: Recipients, reason: DisconnectReason) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for shard in self.populated() {
                let (who, reason) = (who.clone(), reason.clone());
                // A shard whose thread is gone has no sockets.
                let _gone = shard.inbound.send(ShardMessage::Disconnect { who, reason }).await;
            }
        })
    }

    fn count(&self) -> usize {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
