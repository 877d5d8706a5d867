//! The sockets of this node, as handlers reach them: encode once, one message to each thread.

mod rooms;

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
    Args, Bus, TenantId,
    backend::BoxFuture,
    channel::{ChannelKey, ChannelName},
    presence::{ClientId, Millis, Settings},
    socket::{
        AckError, DisconnectReason, EmitError, JoinError, QueueFull, Recipients, RemoteSocket,
        SocketHub, SocketInfo, SocketJob,
    },
};
use tokio::sync::mpsc::{self, error::TrySendError};
use wire::socketio::Nsp;

use crate::{
    connection::frames::{Event, Parser},
    shard::{
        message::{Request, ShardMessage, Shown, Target},
        rooms::Place,
    },
    sid::Sid,
};

/// The hub of one service.
#[derive(Debug)]
pub(crate) struct Hub {
    bus: Bus,
    /// The nsps of the service: a session's sockets may be in each.
    nsps: Vec<Nsp>,
    parser: Parser,
    shards: RwLock<Vec<ShardHandle>>,
    /// Where each admitted socket lives. Touched when one comes or goes, and to find one.
    directory: RwLock<HashMap<TenantId, (usize, Arc<SocketInfo>)>>,
    /// How many of them have somebody who looks at what they are sent. Changed under the directory's
    /// lock.
    tapped: AtomicUsize,
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
    pub(crate) fn new(nsps: Vec<Nsp>, parser: Parser, bus: Bus) -> Self {
        let (shards, directory, tapped) =
            (RwLock::default(), RwLock::default(), AtomicUsize::new(0));
        Self { bus, nsps, parser, shards, directory, tapped }
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
        self.count_tapped(&info, info.has_outgoing_taps());
        directory.insert(tid, (index, info));
    }

    /// A socket went.
    pub(crate) fn leave(&self, tid: &TenantId) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, info)) = directory.remove(tid) {
            self.count_tapped(&info, false);
        }
    }

    /// Counts a socket of the directory, whose lock is held, among those that are tapped, or no more.
    fn count_tapped(&self, info: &SocketInfo, tapped: bool) {
        match (info.set_tapped(tapped), tapped) {
            (true, true) => self.tapped.fetch_add(1, Ordering::AcqRel),
            (true, false) => self.tapped.fetch_sub(1, Ordering::AcqRel),
            (false, _) => return,
        };
    }

    /// The event, where somebody looks at what sockets are sent.
    fn shown(&self, event: &str, args: &Args) -> Option<Arc<Shown>> {
        let is_shown = self.tapped.load(Ordering::Acquire) > 0;
        is_shown.then(|| Arc::new(Shown { event: event.into(), args: args.clone() }))
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

    /// The frames of an event, each with whom it is for: one for each nsp that is meant.
    fn addressed(
        &self,
        to: Recipients,
        event: &str,
        args: &Args,
    ) -> Result<Vec<Addressed>, EmitError> {
        let frame = |nsp: &Nsp| Said::Frame(self.parser.event(nsp, event, args));
        let all = |to: Target, name: ByteString| {
            let nsp = Nsp::new(name)?;
            Some(Addressed { to, said: frame(&nsp), shard: None })
        };
        let each = |to: Target| {
            let event = Event::new(self.parser, event.into(), args.clone());
            vec![Addressed { to, said: Said::Event(Arc::new(event)), shard: None }]
        };
        Ok(match to {
            Recipients::Socket(tid) => {
                let (index, info) = self.lookup(&tid).ok_or(EmitError::Gone)?;
                let nsp = Nsp::new(info.nsp.clone()).ok_or(EmitError::Gone)?;
                let shard = Some(self.shard(index).ok_or(EmitError::Gone)?);
                vec![Addressed { to: Target::Socket(tid), said: frame(&nsp), shard }]
            }
            Recipients::Nsp(name) => all(Target::Nsp(name.clone()), name).into_iter().collect(),
            Recipients::Selection(selection) => {
                let name = selection.nsp.clone();
                all(Target::Selection(selection), name).into_iter().collect()
            }
            Recipients::Session(sid) => each(Target::Session(sid)),
            Recipients::User(user) => each(Target::User(user)),
            Recipients::All => each(Target::All),
            Recipients::Channel { name, except: None } => each(Target::Channel(name.into())),
            Recipients::Channel { name, except: Some(tid) } => {
                each(Target::ChannelBut(name.into(), tid))
            }
            _ => Vec::new(),
        })
    }

    async fn deliver(
        &self,
        to: Recipients,
        event: &str,
        args: &Args,
        volatile: bool,
    ) -> Result<(), EmitError> {
        let shown = self.shown(event, args);
        for addressed in self.addressed(to, event, args)? {
            for shard in self.shards_of(&addressed) {
                let message = addressed.message(volatile, shown.clone());
                shard.inbound.send(message).await.map_err(|_| EmitError::Closing)?;
            }
        }
        Ok(())
    }

    fn shards_of(&self, addressed: &Addressed) -> Vec<ShardHandle> {
        match &addressed.shard {
            Some(shard) => vec![shard.clone()],
            None => self.populated(),
        }
    }

    /// Hands a request to the shard that has its session. It waits while that shard's queue is
    /// full. Returns whether there is such a shard.
    pub(crate) async fn request(&self, sid: Sid, request: Request) -> bool {
        let Some(shard) = self.shard(sid.shard) else { return false };
        shard.inbound.send(ShardMessage::Session { sid, request }).await.is_ok()
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

/// Something for sockets, and for which.
#[derive(Debug)]
struct Addressed {
    to: Target,
    said: Said,
    /// The only shard that has such a socket, where that is known.
    shard: Option<ShardHandle>,
}

impl Addressed {
    fn message(&self, volatile: bool, shown: Option<Arc<Shown>>) -> ShardMessage {
        let to = self.to.clone();
        match &self.said {
            Said::Frame(frame) => {
                let frame = frame.clone();
                ShardMessage::Deliver { to, frame, volatile, shown }
            }
            Said::Event(event) => {
                let event = Arc::clone(event);
                ShardMessage::DeliverEach { to, event, volatile, shown }
            }
        }
    }
}

/// An event, written already where all sockets that it is for are of one nsp.
#[derive(Debug)]
enum Said {
    Frame(Bytes),
    Event(Arc<Event>),
}

impl SocketHub for Hub {
    fn emit(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(async move { self.deliver(to, &event, &args, false).await })
    }

    fn emit_volatile(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(async move { self.deliver(to, &event, &args, true).await })
    }

    fn ask(
        &self,
        tid: &TenantId,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<Args, AckError>> {
        let tid = tid.clone();
        Box::pin(self.ask_socket(tid, event, args))
    }

    fn relay(
        &self,
        to: Recipients,
        event: &str,
        args: &Args,
        volatile: bool,
    ) -> Result<(), QueueFull> {
        let mut outcome = Ok(());
        if self.populated().is_empty() {
            return outcome;
        }
        let shown = self.shown(event, args);
        // A socket that is gone, and a shard whose thread is, get nothing.
        for addressed in self.addressed(to, event, args).unwrap_or_default() {
            for shard in self.shards_of(&addressed) {
                let sent = shard.inbound.try_send(addressed.message(volatile, shown.clone()));
                if matches!(sent, Err(TrySendError::Full(_))) {
                    outcome = Err(QueueFull);
                }
            }
        }
        outcome
    }

    fn join(
        &self,
        who: Recipients,
        rooms: Vec<ByteString>,
    ) -> BoxFuture<'_, Result<(), JoinError>> {
        Box::pin(self.join_rooms(who, rooms))
    }

    fn leave(&self, who: Recipients, rooms: Vec<ByteString>) -> BoxFuture<'_, ()> {
        let rooms = rooms.into_iter().map(Place::Room).collect();
        Box::pin(self.leave_places(who, rooms))
    }

    fn subscribe<'a>(
        &'a self,
        tid: &'a TenantId,
        channel: &'a ChannelName,
        key: ChannelKey,
    ) -> BoxFuture<'a, Result<(), JoinError>> {
        Box::pin(self.subscribe_socket(tid, channel.clone().into(), key.into()))
    }

    fn unsubscribe<'a>(&'a self, tid: &'a TenantId, channel: &'a ChannelName) -> BoxFuture<'a, ()> {
        let who = Recipients::Socket(tid.clone());
        Box::pin(self.leave_places(who, vec![Place::Channel(channel.clone().into())]))
    }

    fn watch<'a>(
        &'a self,
        tid: &'a TenantId,
        channel: &'a ChannelName,
        settings: Option<&'a Settings>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.watch_socket(tid, channel, settings))
    }

    fn sightings<'a>(
        &'a self,
        channel: &'a ChannelName,
        ping: bool,
    ) -> BoxFuture<'a, Vec<(ClientId, Millis)>> {
        Box::pin(self.sightings_on(channel, ping))
    }

    fn run(&self, who: Recipients, job: SocketJob) -> BoxFuture<'_, ()> {
        Box::pin(self.run_for(who, job))
    }

    fn rooms(&self, tid: &TenantId) -> BoxFuture<'_, Vec<ByteString>> {
        let tid = tid.clone();
        Box::pin(self.rooms_of(tid))
    }

    fn describe(&self, who: Recipients) -> BoxFuture<'_, Vec<RemoteSocket>> {
        Box::pin(self.describe_sockets(who))
    }

    fn bus(&self) -> Option<&Bus> {
        Some(&self.bus)
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

    fn taps_changed(&self, tid: &TenantId) {
        let directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        // One that is not here yet is looked at when it comes.
        if let Some((_, info)) = directory.get(tid) {
            self.count_tapped(info, info.has_outgoing_taps());
        }
    }

    fn count(&self) -> usize {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
