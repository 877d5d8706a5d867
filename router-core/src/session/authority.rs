//! Ending and changing sessions, so that their sockets on every node know.
//!
//! Each method returns when every live node with sockets has confirmed that it has the word; the
//! nodes then act at once. Where a node could not be told of an end, its sockets notice by themselves,
//! within a third of the session's time to live; of a change they do not, so it is to be told again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{SessionDocument, SessionError, SessionId, Sessions, Site, UserId};
use crate::{
    address::{Namespace, ns},
    bus::{Bus, TransmitError},
    error::RouteError,
    handler::{FromMessage, Message, Payload},
    id::MessageId,
    observer::Observers,
    socket::{DisconnectReason, Recipients},
};

/// The service that holds sockets.
const WS: Namespace = ns("ws");

/// The observer's name, and what it hears. A node may hear each twice.
const OBSERVER: &str = "whisk";
/// The event that tells that a session has ended. Its payload is an [`Ended`].
pub const ENDED_EVENT: &str = "whisk.session_ended";
const ENDED: &str = "session_ended";
const REVOKED_EVENT: &str = "whisk.user_revoked";
const REVOKED: &str = "user_revoked";
const CHANGED_EVENT: &str = "whisk.session_changed";
const CHANGED: &str = "session_changed";

/// A session that ended by logout or revocation; every node sends its sockets away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The session's id.
    pub sid: SessionId,
    /// What it held at its end, where that is known: for the disconnect hooks of its sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<SessionDocument>,
}

/// Why sockets may not know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The store did not do it; nobody was told.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It is done, and a node did not confirm that it knows. Doing it again is harmless.
    #[error("a node did not confirm that it knows")]
    Told(#[from] TransmitError),
}

impl From<AuthorityError> for RouteError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Session(error) => error.into(),
            AuthorityError::Told(_) => Self::unavailable(),
        }
    }
}

/// Ends and changes sessions of the site. Cheap to clone; an extractor of handlers in every process.
///
/// ```
/// use router_core::{Payload, RouteError, Routes, session::{Authority, UserId}};
///
/// pub fn routes(cfg: &mut Routes) {
///     cfg.route("admin").on("ban", ban);
/// }
///
/// /// Every session of the user is over, and every socket, on whatever node.
/// async fn ban(authority: Authority, Payload(user): Payload<UserId>) -> Result<(), RouteError> {
///     Ok(authority.revoke_user(&user).await?)
/// }
/// # Routes::build([routes as fn(&mut Routes)]).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Authority {
    sessions: Sessions,
    bus: Bus,
}

impl FromMessage for Authority {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let services = &message.services;
        Ok(Self::new(services.sessions.clone(), services.bus.clone()))
    }
}

impl Authority {
    /// Over these sessions, for the sockets of all nodes that the bus reaches.
    pub fn new(sessions: Sessions, bus: Bus) -> Self {
        Self { sessions, bus }
    }

    /// Ends a session: logout, or a revocation. Its record, tokens and resume credentials are worth
    /// nothing any more, and its sockets are sent away for good.
    ///
    /// # Errors
    /// When the store is away, or a node does not confirm: the session has ended then, and some of
    /// its sockets may live on. Ending the same session again is harmless.
    pub async fn end(&self, sid: &SessionId) -> Result<(), AuthorityError> {
        // For the hooks of its sockets, which run when the record is gone.
        let document = self.sessions.load(sid).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "a session was not read before its end");
            None
        });
        self.sessions.end(sid).await?;
        let ended = Ended { sid: sid.clone(), document };
        Ok(self.bus.tell_all(&WS, ENDED_EVENT, &ended).await?)
    }

    /// Ends every session that a user has by now, and sends all the user's sockets away for good.
    /// The user may log in again, a few seconds later.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub async fn revoke_user(&self, user: &UserId) -> Result<(), AuthorityError> {
        self.sessions.revoke(user).await?;
        let revoked = Revoked { site: self.sessions.site().clone(), user: user.clone() };
        Ok(self.bus.tell_all(&WS, REVOKED_EVENT, &revoked).await?)
    }

    /// Says that a session was changed in a way that matters to gates, such as its user's role: the
    /// gates of all channels that its sockets are on are asked again, and the clients are told.
    ///
    /// # Errors
    /// When a node does not confirm that it knows.
    pub async fn changed(&self, sid: &SessionId) -> Result<(), AuthorityError> {
        let changed = Changed { sid: sid.clone(), id: self.bus.shared.ids.next() };
        Ok(self.bus.tell_all(&WS, CHANGED_EVENT, &changed).await?)
    }
}

/// A user whose sessions are all over.
#[derive(Debug, Serialize, Deserialize)]
struct Revoked {
    /// Another site may have a user of the same name.
    site: Site,
    user: UserId,
}

/// A session that gates are to judge again.
#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    sid: SessionId,
    /// A node that hears it twice judges once.
    id: MessageId,
}

/// The whole message, as only Whisk's own observers need it.
struct Whole(Message);

impl FromMessage for Whole {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(Self(message.clone()))
    }
}

/// Does on this node what was told. Registered by every service that holds sockets.
pub fn observers(cfg: &mut Observers) {
    // The broadcast may be lost and is fast; the transmit is confirmed. To hear both does no harm.
    cfg.observer(OBSERVER)
        .on_broadcast(ENDED, ended)
        .on_transmit(ENDED, ended)
        .on_broadcast(REVOKED, revoked)
        .on_transmit(REVOKED, revoked)
        .on_broadcast(CHANGED, changed)
        .on_transmit(CHANGED, changed);
}

async fn ended(Whole(message): Whole, Payload(ended): Payload<Ended>) {
    let reason = DisconnectReason::SessionEnded(ended.document.map(Arc::new));
    message.services.hub.disconnect(Recipients::Session(ended.sid), reason).await;
}

async fn revoked(Whole(message): Whole, Payload(revoked): Payload<Revoked>) {
    if revoked.site == *message.services.sessions.site() {
        let reason = DisconnectReason::SessionEnded(None);
        message.services.hub.disconnect(Recipients::User(revoked.user), reason).await;
    }
}

async fn changed(Whole(message): Whole, Payload(changed): Payload<Changed>) {
    message.services.upkeep.judge_session(changed.sid, &changed.id).await;
}
