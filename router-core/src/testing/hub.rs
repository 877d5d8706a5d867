//! Sockets that keep what they are sent.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytestring::ByteString;
use tokio::sync::{Notify, mpsc, oneshot};

use super::system::Job;
use crate::{
    address::TenantId,
    args::Args,
    backend::BoxFuture,
    bus::{Bus, Wanted},
    channel::{ChannelKey, ChannelName},
    clock,
    limits::Limits,
    presence::{ClientId, Millis, Settings},
    socket::{
        AckError, DisconnectReason, EmitError, JoinError, QueueFull, ROOM_NAME_MAX, Recipients,
        RemoteSocket, Selection, SocketHub, SocketInfo, SocketJob, room_channel,
    },
};

/// An event that a socket got, and whom its acknowledgement goes to if there is to be one.
#[derive(Debug)]
pub(super) struct Got {
    event: ByteString,
    pub(super) args: Args,
    pub(super) answer: Option<oneshot::Sender<Args>>,
}

/// What one socket got, oldest first.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    events: Mutex<VecDeque<Got>>,
    gone: Mutex<Option<DisconnectReason>>,
    rooms: Mutex<BTreeMap<ByteString, Wanted>>,
    channels: Mutex<BTreeMap<ChannelName, Wanted>>,
    watched: Mutex<BTreeSet<ChannelName>>,
    /// Keeps the node listening to what is for the socket's user.
    _attending: Option<Wanted>,
    /// Told at every change.
    pub(super) changed: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// Takes the oldest event of this name; those before it stay.
    pub(super) fn take(&self, event: &str) -> Option<Got> {
        let mut events = lock(&self.events);
        let at = events.iter().position(|got| got.event == event)?;
        events.remove(at)
    }

    fn put(&self, event: ByteString, args: Args, answer: Option<oneshot::Sender<Args>>) {
        lock(&self.events).push_back(Got { event, args, answer });
        self.changed.notify_waiters();
    }

    pub(super) fn names(&self) -> Vec<ByteString> {
        lock(&self.events).iter().map(|got| got.event.clone()).collect()
    }

    pub(super) fn gone(&self) -> Option<DisconnectReason> {
        lock(&self.gone).clone()
    }
}

type TestEntry = (Arc<SocketInfo>, Arc<Mailbox>);

/// The sockets of a test system.
#[derive(Debug)]
pub(super) struct TestHub {
    bus: Bus,
    limits: Arc<Limits>,
    /// To the system's thread. Weak: that ends with the last handle to the system.
    jobs: mpsc::WeakSender<Job>,
    sockets: Mutex<HashMap<TenantId, TestEntry>>,
}

impl TestHub {
    pub(super) fn new(bus: Bus, jobs: mpsc::WeakSender<Job>) -> Self {
        let limits = Arc::clone(&bus.shared.limits);
        Self { bus, limits, jobs, sockets: Mutex::default() }
    }

    pub(super) fn add(
        &self,
        tid: TenantId,
        info: Arc<SocketInfo>,
        attending: Option<Wanted>,
    ) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox { _attending: attending, ..Mailbox::default() });
        lock(&self.sockets).insert(tid, (info, Arc::clone(&mailbox)));
        mailbox
    }

    fn chosen(&self, who: &Recipients) -> Vec<(TenantId, TestEntry)> {
        let fits = |(info, mailbox): &TestEntry| match who {
            Recipients::Socket(tid) => info.address.tid() == Some(tid),
            Recipients::Nsp(nsp) => info.nsp == *nsp,
            Recipients::Session(sid) => info.sid.as_ref() == Some(sid),
            Recipients::User(user) => info.user_id.as_ref() == Some(user),
            Recipients::All => true,
            Recipients::Channel { name, except } => {
                lock(&mailbox.channels).contains_key(name) && info.address.tid() != except.as_ref()
            }
            Recipients::Selection(selection) => is_selected(selection, info, mailbox),
        };
        let sockets = lock(&self.sockets);
        let chosen = sockets.iter().filter(|(_, entry)| fits(entry));
        chosen.map(|(tid, entry)| (tid.clone(), entry.clone())).collect()
    }

    /// Takes a socket away, as its connection's end does.
    pub(super) fn remove(&self, tid: &TenantId, reason: DisconnectReason) {
        if let Some((_, mailbox)) = lock(&self.sockets).remove(tid) {
            *lock(&mailbox.gone) = Some(reason);
            // What it did not answer it will not answer.
            lock(&mailbox.events).iter_mut().for_each(|got| drop(got.answer.take()));
            lock(&mailbox.rooms).clear();
            mailbox.changed.notify_waiters();
        }
    }

    /// Puts one socket on rooms, all or none.
    async fn join_one(
        &self,
        (info, mailbox): &TestEntry,
        rooms: &[ByteString],
    ) -> Result<(), JoinError> {
        let mut wanted = Vec::with_capacity(rooms.len());
        for room in rooms {
            let channel = room_channel(&info.nsp, room);
            let heard = self.bus.listen(channel).await.map_err(JoinError::Unavailable)?;
            wanted.push((room.clone(), heard));
        }
        let mut joined = lock(&mailbox.rooms);
        let new = rooms.iter().filter(|room| !joined.contains_key(*room)).count();
        if self.limits.rooms_per_socket.exceeded_by((joined.len() + new) as u64) {
            return Err(JoinError::TooManyRooms);
        }
        joined.extend(wanted);
        Ok(())
    }
}

/// Whether a socket is meant.
fn is_selected(to: &Selection, info: &SocketInfo, mailbox: &Mailbox) -> bool {
    let joined = lock(&mailbox.rooms);
    let on = |rooms: &[ByteString]| rooms.iter().any(|room| joined.contains_key(room));
    let is = |sockets: &[TenantId]| sockets.iter().any(|tid| info.address.tid() == Some(tid));
    info.nsp == to.nsp
        && (to.is_whole_nsp() || on(&to.rooms) || is(&to.sockets))
        && !on(&to.except_rooms)
        && !is(&to.except_sockets)
}

impl SocketHub for TestHub {
    fn emit(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<(), EmitError>> {
        let chosen = self.chosen(&to);
        let gone = chosen.is_empty() && matches!(to, Recipients::Socket(_));
        for (_, (info, mailbox)) in chosen {
            info.show_outgoing(&event, &args);
            mailbox.put(event.clone(), args.clone(), None);
        }
        Box::pin(async move { if gone { Err(EmitError::Gone) } else { Ok(()) } })
    }

    fn ask(
        &self,
        tid: &TenantId,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<Args, AckError>> {
        let (answer, answered) = oneshot::channel();
        let entry = lock(&self.sockets).get(tid).cloned();
        let found = entry.map(|(info, mailbox)| {
            info.show_outgoing(&event, &args);
            mailbox.put(event, args, Some(answer));
        });
        Box::pin(async move {
            found.ok_or(AckError::Gone)?;
            answered.await.map_err(|_| AckError::Disconnected)
        })
    }

    fn relay(&self, to: Recipients, event: &str, args: &Args, _: bool) -> Result<(), QueueFull> {
        // The future is ready when it is made: mailboxes have no bound.
        let _queued = self.emit(to, event.into(), args.clone());
        Ok(())
    }

    fn join(
        &self,
        who: Recipients,
        rooms: Vec<ByteString>,
    ) -> BoxFuture<'_, Result<(), JoinError>> {
        Box::pin(async move {
            if rooms.iter().any(|room| !(1..=ROOM_NAME_MAX).contains(&room.len())) {
                return Err(JoinError::Name);
            }
            let chosen = self.chosen(&who);
            let one = matches!(who, Recipients::Socket(_));
            if one && chosen.is_empty() {
                return Err(JoinError::Gone);
            }
            for (_, entry) in chosen {
                match self.join_one(&entry, &rooms).await {
                    Err(JoinError::TooManyRooms) if !one => {}
                    outcome => outcome?,
                }
            }
            Ok(())
        })
    }

    fn leave(&self, who: Recipients, rooms: Vec<ByteString>) -> BoxFuture<'_, ()> {
        for (_, (_, mailbox)) in self.chosen(&who) {
            lock(&mailbox.rooms).retain(|room, _| !rooms.contains(room));
        }
        Box::pin(async {})
    }

    fn subscribe<'a>(
        &'a self,
        tid: &'a TenantId,
        channel: &'a ChannelName,
        key: ChannelKey,
    ) -> BoxFuture<'a, Result<(), JoinError>> {
        Box::pin(async move {
            let entry = lock(&self.sockets).get(tid).cloned();
            let (_, mailbox) = entry.ok_or(JoinError::Gone)?;
            let wanted = self.bus.listen_to(key.subject()).await;
            let wanted = wanted.map_err(JoinError::Unavailable)?;
            let mut joined = lock(&mailbox.channels);
            let new = usize::from(!joined.contains_key(channel));
            if self.limits.channels_per_socket.exceeded_by((joined.len() + new) as u64) {
                self.bus.shared.metrics.limit("channels_per_socket");
                return Err(JoinError::TooManyChannels);
            }
            joined.insert(channel.clone(), wanted);
            Ok(())
        })
    }

    fn unsubscribe<'a>(&'a self, tid: &'a TenantId, channel: &'a ChannelName) -> BoxFuture<'a, ()> {
        let entry = lock(&self.sockets).get(tid).cloned();
        if let Some((_, mailbox)) = entry {
            lock(&mailbox.channels).remove(channel);
        }
        Box::pin(async {})
    }

    fn watch<'a>(
        &'a self,
        tid: &'a TenantId,
        channel: &'a ChannelName,
        settings: Option<&'a Settings>,
    ) -> BoxFuture<'a, ()> {
        if let Some((_, mailbox)) = lock(&self.sockets).get(tid) {
            let mut watched = lock(&mailbox.watched);
            match settings {
                Some(_) => watched.insert(channel.clone()),
                None => watched.remove(channel),
            };
        }
        Box::pin(async {})
    }

    /// A socket of a test is always heard.
    fn sightings<'a>(
        &'a self,
        channel: &'a ChannelName,
        _: bool,
    ) -> BoxFuture<'a, Vec<(ClientId, Millis)>> {
        let (sockets, now) = (lock(&self.sockets), clock::millis());
        let watched = sockets.values().filter(|(_, mailbox)| {
            let watched = lock(&mailbox.watched);
            watched.contains(channel)
        });
        let seen = watched.map(|(info, _)| (info.client_id(), now)).collect();
        Box::pin(std::future::ready(seen))
    }

    fn run(&self, who: Recipients, job: SocketJob) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(jobs) = self.jobs.upgrade() else { return };
            for (_, (info, _)) in self.chosen(&who) {
                let job = job.clone();
                // A system that ended runs nothing more.
                let _ended = jobs.send(Box::new(move || job.begin(info))).await;
            }
        })
    }

    fn rooms(&self, tid: &TenantId) -> BoxFuture<'_, Vec<ByteString>> {
        let entry = lock(&self.sockets).get(tid).cloned();
        let rooms = entry.map(|(_, mailbox)| lock(&mailbox.rooms).keys().cloned().collect());
        Box::pin(async move { rooms.unwrap_or_default() })
    }

    fn describe(&self, who: Recipients) -> BoxFuture<'_, Vec<RemoteSocket>> {
        let chosen = self.chosen(&who).into_iter().map(|(_, (info, mailbox))| RemoteSocket {
            address: info.address.clone(),
            nsp: info.nsp.clone(),
            user_id: info.user_id.clone(),
            rooms: lock(&mailbox.rooms).keys().cloned().collect(),
        });
        Box::pin(std::future::ready(chosen.collect()))
    }

    fn bus(&self) -> Option<&Bus> {
        Some(&self.bus)
    }

    fn find(&self, tid: &TenantId) -> Option<Arc<SocketInfo>> {
        lock(&self.sockets).get(tid).map(|(info, _)| Arc::clone(info))
    }

    fn disconnect(&self, who: Recipients, reason: DisconnectReason) -> BoxFuture<'_, ()> {
        for (tid, _) in self.chosen(&who) {
            self.remove(&tid, reason.clone());
        }
        Box::pin(async {})
    }

    fn count(&self) -> usize {
        lock(&self.sockets).len()
    }
}
