//! Sockets that keep what they are sent.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytestring::ByteString;
use tokio::sync::Notify;

use crate::{
    address::TenantId,
    args::Args,
    backend::BoxFuture,
    socket::{DisconnectReason, EmitError, Recipients, SocketHub, SocketInfo},
};

/// What one socket got, oldest first.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    events: Mutex<VecDeque<(ByteString, Args)>>,
    gone: Mutex<Option<DisconnectReason>>,
    /// Told at every change.
    pub(super) changed: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// Takes the oldest event of this name; those before it stay.
    pub(super) fn take(&self, event: &str) -> Option<Args> {
        let mut events = lock(&self.events);
        let at = events.iter().position(|(name, _)| name == event)?;
        events.remove(at).map(|(_, args)| args)
    }

    pub(super) fn names(&self) -> Vec<ByteString> {
        lock(&self.events).iter().map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn gone(&self) -> Option<DisconnectReason> {
        lock(&self.gone).clone()
    }
}

type TestEntry = (Arc<SocketInfo>, Arc<Mailbox>);

/// The sockets of a test system.
#[derive(Debug, Default)]
pub(super) struct TestHub {
    sockets: Mutex<HashMap<TenantId, TestEntry>>,
}

impl TestHub {
    pub(super) fn add(&self, tid: TenantId, info: Arc<SocketInfo>) -> Arc<Mailbox> {
        let mailbox = Arc::<Mailbox>::default();
        lock(&self.sockets).insert(tid, (info, Arc::clone(&mailbox)));
        mailbox
    }

    fn chosen(&self, who: &Recipients) -> Vec<(TenantId, Arc<Mailbox>)> {
        let fits = |info: &SocketInfo| match who {
            Recipients::Socket(tid) => info.address.tid() == Some(tid),
            Recipients::Nsp(nsp) => info.nsp == *nsp,
            Recipients::Session(sid) => info.sid.as_ref() == Some(sid),
        };
        let sockets = lock(&self.sockets);
        let chosen = sockets.iter().filter(|(_, (info, _))| fits(info));
        chosen.map(|(tid, (_, mailbox))| (tid.clone(), Arc::clone(mailbox))).collect()
    }

    /// Takes a socket away, as its connection's end does.
    pub(super) fn remove(&self, tid: &TenantId, reason: DisconnectReason) {
        if let Some((_, mailbox)) = lock(&self.sockets).remove(tid) {
            *lock(&mailbox.gone) = Some(reason);
            mailbox.changed.notify_waiters();
        }
    }
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
        for (_, mailbox) in chosen {
            lock(&mailbox.events).push_back((event.clone(), args.clone()));
            mailbox.changed.notify_waiters();
        }
        Box::pin(async move { if gone { Err(EmitError::Gone) } else { Ok(()) } })
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
