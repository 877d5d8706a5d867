//! What a service says to its node's channels of the sockets that it holds. No handler meets it.

use std::sync::Arc;

use super::{ChannelName, Channels, node::ChannelNode, roster::Gone};
use crate::{
    backend::BackendError,
    bus::Wanted,
    handler::Services,
    id::MessageId,
    presence::Millis,
    session::{SessionId, UserId},
    socket::{DisconnectReason, Socket},
};

/// The channels of a node, for the service that holds its sockets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Upkeep {
    node: Arc<ChannelNode>,
}

impl Upkeep {
    pub(crate) fn of(channels: &Channels) -> Self {
        Self { node: Arc::clone(&channels.node) }
    }

    /// Lets gates and hooks run without an event.
    pub(crate) fn attach_services(&self, services: &Arc<Services>) {
        self.node.set_services(services);
    }

    /// Listens to what is for a user for as long as the returned value lives.
    ///
    /// # Errors
    /// When the bus did not confirm.
    pub async fn attend(&self, user: &UserId) -> Result<Wanted, BackendError> {
        self.node.bus.listen_to(self.node.subject_of_user(user)).await
    }

    /// A session changed: the gates of the channels that its sockets of this node are on are asked
    /// again, and the clients told; once for each `id`.
    pub(crate) async fn judge_session(&self, sid: SessionId, id: &MessageId) {
        if self.node.judged.is_new(id) {
            Arc::clone(&self.node).judge_session(sid).await;
        }
    }

    /// A socket on the channel's roster was not heard since `last_seen`, for as long as the channel
    /// lets it; or, without a time, is heard again.
    pub fn sighted(&self, socket: &Socket, name: &ChannelName, silent_since: Option<Millis>) {
        let Some(presence) = &self.node.presence else { return };
        let (key, client) = (self.node.key(name), socket.client_id());
        match silent_since {
            Some(last_seen) => presence.silent(&key, &client, socket.address(), last_seen),
            None => presence.heard(&key, &client, socket.address()),
        }
    }

    /// A socket is gone for this reason, and was heard last at `last_seen`: it is on no channel any
    /// more. Returns when the hooks have seen it. Called on the socket's own thread.
    pub async fn depart(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        reason: &DisconnectReason,
        last_seen: Millis,
    ) {
        self.node.depart(services, socket, Gone::of(reason, last_seen)).await;
    }

    /// Lets nobody come on a roster any more, and hands over what this node keeps. Called before the
    /// node stops.
    pub async fn stop(&self) {
        if let Some(presence) = &self.node.presence {
            presence.stop().await;
        }
    }
}
