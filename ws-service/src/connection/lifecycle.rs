//! A socket's coming and going, beyond its protocol: the directory, the session's document, and the
//! user's hooks.
//!
//! Document and hooks are done in the background, coming before going: [`Entry`] sees to that.

use std::{rc::Rc, sync::Arc};

use actix_rt::task::JoinHandle;
use bytestring::ByteString;
use router_core::{
    Args, Message, RouteError,
    handler::Occasion,
    presence::Millis,
    route::Hook,
    session::SessionError,
    socket::{
        DisconnectReason, Handshake, OpeningRequest, Socket, SocketData, SocketHub, SocketInfo,
    },
};

use super::{
    effect::{Applicant, SocketKey},
    link::{Link, Notice},
};
use crate::{
    gate::Admitted,
    shard::{
        Shard,
        table::{Entry, LocalSocket},
    },
    shared::{Shared, Work},
};

/// How a socket goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) reason: DisconnectReason,
    /// When its client was heard last.
    pub(crate) last_seen: Millis,
}

/// What is left to do of a socket's going.
#[derive(Debug)]
pub(crate) struct Exit {
    reason: DisconnectReason,
    /// Ends when it is off its channels.
    off: JoinHandle<()>,
    /// Has a drain wait for it.
    _work: Work,
}

/// What is known of a socket that is to be admitted.
pub(super) fn info(
    shared: &Shared,
    request: &Arc<OpeningRequest>,
    admitted: Option<&Admitted>,
    applicant: Applicant,
) -> Arc<SocketInfo> {
    let Applicant { nsp, tid, identity, auth, client } = applicant;
    let (sid, user_id) = match identity {
        Some(known) => (Some(known.sid), Some(known.user_id)),
        None => admitted.map_or((None, None), |it| (it.session.clone(), it.user.clone())),
    };
    let site = shared.services.sessions.site();
    let client = client.map(|secret| secret.to_id(site, user_id.as_ref()));
    Arc::new(SocketInfo {
        address: shared.rules.node.tenant(tid),
        nsp: nsp.as_str().into(),
        sid,
        user_id,
        handshake: Handshake::new(Arc::clone(request), auth),
        data: SocketData::default(),
        client,
        locals: admitted.map(|admitted| Arc::clone(&admitted.locals)),
    })
}

/// Asks the guards of a socket's nsp.
pub(super) async fn guard(shared: &Arc<Shared>, info: &Arc<SocketInfo>) -> Result<(), RouteError> {
    shared.router.guard(occasion(shared, info, Occasion::Guard)).await
}

/// Admits a socket.
pub(super) fn admit(
    shard: &Shard,
    link: &Rc<Link>,
    key: SocketKey,
    info: Arc<SocketInfo>,
) -> Rc<LocalSocket> {
    let socket = LocalSocket::new(Arc::clone(&info), Rc::clone(link), key);
    shard.add_socket(&socket);
    if let Some(tid) = info.address.tid().cloned() {
        shard.shared.hub.enter(tid, shard.index, info);
    }
    shard.shared.services.metrics.sockets.inc();
    let work = Work::new(&shard.shared);
    actix_rt::spawn(enter(Arc::clone(&shard.shared), Rc::clone(&socket), work));
    socket
}

/// Lets a socket go. It leaves its channels at once, whatever its hooks still do.
pub(super) fn leave(shard: &Shard, socket: &Rc<LocalSocket>, departure: Departure) {
    forget(shard, socket);
    let (shared, info) = (Arc::clone(&shard.shared), Arc::clone(&socket.info));
    let work = Work::new(&shared);
    let Departure { reason, last_seen } = departure;
    let off = actix_rt::spawn({
        let (shared, reason) = (Arc::clone(&shared), reason.clone());
        let socket = handle(&shared, &info);
        async move {
            shared.services.upkeep.depart(&shared.services, &socket, &reason, last_seen).await;
        }
    });
    let exit = Exit { reason, off, _work: work };
    let mut entry = socket.entry.borrow_mut();
    match &*entry {
        Entry::Entered => drop(actix_rt::spawn(depart(shared, info, exit))),
        Entry::Entering | Entry::Left(_) => *entry = Entry::Left(exit),
    }
}

/// Forgets a socket whose thread ends: nothing more can run there.
pub(super) fn forget(shard: &Shard, socket: &Rc<LocalSocket>) {
    shard.remove_socket(socket);
    if let Some(tid) = socket.info.address.tid() {
        shard.shared.hub.leave(tid);
    }
    shard.shared.services.metrics.sockets.dec();
}

/// Runs the hook for a credential that was not good, or not to be judged.
pub(super) fn not_confirmed(shared: &Arc<Shared>, code: &'static str) {
    let hook = if code == "session_refused" { Hook::Refused } else { Hook::ConfirmError };
    let message = Message {
        occasion: Occasion::NotConfirmed(code),
        event: "".into(),
        args: Args::EMPTY,
        origin: shared.rules.node.clone().into(),
        socket: None,
        services: Arc::clone(&shared.services),
    };
    if let Some(hook) = shared.router.hook(hook, message) {
        actix_rt::spawn(hook);
    }
}

/// `_work` has a drain wait for it.
async fn enter(shared: Arc<Shared>, socket: Rc<LocalSocket>, _work: Work) {
    let info = Arc::clone(&socket.info);
    let hooks = async {
        if info.sid.is_some() {
            run_hook(&shared, &info, Hook::Confirmed, Occasion::Confirmed).await;
        }
        run_hook(&shared, &info, Hook::Connect, Occasion::Connect).await;
    };
    let entered = async {
        if note(&shared, &info, true).await == Noted::NoSession {
            // It ended while the socket was being confirmed; the word of it came too early.
            let (key, reason) = (socket.key, DisconnectReason::SessionEnded(None));
            socket.link.notify(Notice::Disconnect { key, reason });
        }
    };
    futures_util::future::join(entered, hooks).await;
    let left = socket.entry.replace(Entry::Entered);
    if let Entry::Left(exit) = left {
        depart(shared, info, exit).await;
    }
}

async fn depart(shared: Arc<Shared>, info: Arc<SocketInfo>, exit: Exit) {
    let Exit { reason, off, _work } = exit;
    if let Err(error) = off.await {
        tracing::error!(%error, "a socket did not leave its channels");
    }
    // The hook before the note: it sees the session as it was with this socket.
    run_hook(&shared, &info, Hook::Disconnect, Occasion::Disconnect(reason)).await;
    note(&shared, &info, false).await;
}

/// A message of a moment of a socket's life.
fn occasion(shared: &Shared, info: &Arc<SocketInfo>, occasion: Occasion) -> Message {
    let socket = handle(shared, info);
    Message::of(&shared.services, socket, occasion, ByteString::new(), Args::EMPTY)
}

async fn run_hook(shared: &Arc<Shared>, info: &Arc<SocketInfo>, hook: Hook, why: Occasion) {
    let message = occasion(shared, info, why);
    if let Some(hook) = shared.router.hook(hook, message) {
        hook.await;
    }
}

/// A user's handle to a socket.
pub(super) fn handle(shared: &Shared, info: &Arc<SocketInfo>) -> Socket {
    let hub: Arc<dyn SocketHub> = Arc::clone(&shared.services.hub);
    Socket::new(Arc::clone(info), hub)
}

/// What became of a note in a session's document.
#[derive(Debug, PartialEq, Eq)]
enum Noted {
    /// It stands there, or nobody knows.
    Done,
    /// There is no session any more.
    NoSession,
}

/// Notes a socket's address in its session's document, or takes it out.
async fn note(shared: &Shared, info: &SocketInfo, here: bool) -> Noted {
    let Some(sid) = &info.sid else { return Noted::Done };
    let noted = shared.services.sessions.modify(sid, |document| {
        if here {
            document.add_socket(info.address.clone());
        } else {
            document.remove_socket(&info.address);
        }
        Ok(())
    });
    match noted.await {
        Ok(()) => Noted::Done,
        Err(SessionError::NoSession) => Noted::NoSession,
        Err(error) => {
            tracing::warn!(%error, here, "a socket is not noted in its session");
            Noted::Done
        }
    }
}
