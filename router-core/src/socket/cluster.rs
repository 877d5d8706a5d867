//! Questions about the sockets of all nodes, and orders to them.
//!
//! This node's own sockets are asked directly; every other live node is asked over the bus. Each node
//! of a service with sockets answers by [`observers`].

use std::sync::Arc;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{DisconnectReason, JoinError, Recipients, Selection, SocketHub};
use crate::{
    address::Address,
    backend::BackendError,
    error::RouteError,
    handler::{FromMessage, Message, Payload},
    observer::Observers,
    session::UserId,
};

/// The observer's name, which no event of a user's has by chance, and its event.
const OBSERVER: &str = "whisk-io";
const ORDER: &str = "order";
pub(super) const EVENT: &str = "whisk-io.order";

/// A socket of whatever node, as its node described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteSocket {
    /// Where it lives. [`Io::to`](super::Io::to) reaches it there.
    pub address: Address,
    /// The nsp that it is connected to.
    pub nsp: ByteString,
    /// Its user, where it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The rooms that it was on.
    pub rooms: Vec<ByteString>,
}

/// Why nodes could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// This node's own sockets were not put on the rooms; no other node was asked.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The registry did not say which nodes live.
    #[error("the registry did not say which nodes live")]
    Unavailable(#[source] BackendError),
}

impl From<QueryError> for RouteError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Payload(_) => Self::internal(),
            QueryError::Join(error) => error.into(),
            QueryError::Unavailable(_) => Self::unavailable(),
        }
    }
}

/// What is to be done with some sockets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Describe,
    Join(Vec<ByteString>),
    Leave(Vec<ByteString>),
    Disconnect,
}

/// An order, and to whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ordered {
    pub(super) to: Arc<Selection>,
    pub(super) order: Order,
}

/// Does it with this node's own sockets.
pub(super) async fn perform(
    hub: &dyn SocketHub,
    ordered: Ordered,
) -> Result<Vec<RemoteSocket>, JoinError> {
    let who = Recipients::Selection(ordered.to);
    match ordered.order {
        Order::Describe => return Ok(hub.describe(who).await),
        Order::Join(rooms) => hub.join(who, rooms).await?,
        Order::Leave(rooms) => hub.leave(who, rooms).await,
        Order::Disconnect => hub.disconnect(who, DisconnectReason::Server).await,
    }
    Ok(Vec::new())
}

/// The hub, as only Whisk's own observers may have it.
struct Hub(Arc<dyn SocketHub>);

impl FromMessage for Hub {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(Self(Arc::clone(&message.services.hub)))
    }
}

/// Answers other nodes' questions. Registered by every service that holds sockets.
pub fn observers(cfg: &mut Observers) {
    let ordered = async |Hub(hub): Hub, Payload(ordered): Payload<Ordered>| {
        Ok::<_, RouteError>(perform(&*hub, ordered).await?)
    };
    cfg.observer(OBSERVER).concurrent().on_ask(ORDER, ordered);
}
