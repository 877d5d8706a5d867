//! The end of a session reaches its sockets: every node sends them away for good.

use std::sync::Arc;

use router_core::{
    FromMessage, Message, Observers, Payload, RouteError,
    session::{ENDED_EVENT, Ended},
    socket::{DisconnectReason, Recipients},
};

/// The node's own sockets, as only the service itself may send them away.
struct Sockets(Message);

impl FromMessage for Sockets {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(Self(message.clone()))
    }
}

/// Registers the observer.
pub(crate) fn observers(cfg: &mut Observers) {
    let (name, event) = ENDED_EVENT.split_once('.').unwrap_or(("", ENDED_EVENT));
    // The broadcast may be lost and is fast; the transmit is confirmed. Hearing both is harmless.
    cfg.observer(name).on_broadcast(event, ended).on_transmit(event, ended);
}

async fn ended(Sockets(message): Sockets, Payload(ended): Payload<Ended>) {
    let hub = &message.services.hub;
    let reason = DisconnectReason::SessionEnded(ended.document.map(Arc::new));
    hub.disconnect(Recipients::Session(ended.sid), reason).await;
}
