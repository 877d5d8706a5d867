//! What clients may ask about channels: the events of the route `whisk`, which every service with
//! sockets has.

mod roster;
mod saying;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ChannelName, Channels,
    message::Subscribed,
    moments::Hooks,
    roster::{Gone, first_page},
    subscribe::Wish,
};
use crate::{
    args::Args,
    error::{RouteError, code},
    handler::{Message, Payload},
    presence::Profile,
    route::Routes,
    socket::Socket,
};

/// Registers the events. A service with sockets adds this to its routes.
pub fn routes(cfg: &mut Routes) {
    cfg.route("whisk")
        .own()
        .on("subscribe", subscribe)
        .on("unsubscribe", unsubscribe)
        .on("publish", saying::publish)
        .on("request", saying::request)
        .on("reply", saying::reply)
        .on("presence", roster::presence)
        .on("count", roster::count)
        .on("update", roster::update)
        .on("knock", roster::knock);
}

/// `whisk.subscribe`
#[derive(Debug, Deserialize)]
struct Subscribe {
    channel: ByteString,
    #[serde(default)]
    query: Option<Box<RawValue>>,
    /// What the client says of itself on the roster; `false` if it only watches.
    #[serde(default)]
    presence: Option<Box<RawValue>>,
}

async fn subscribe(message: Whole, Payload(asked): Payload<Subscribe>) -> Result<Args, RouteError> {
    let Whole { channels, socket, message } = message;
    let name = ChannelName::try_from(asked.channel)?;
    let profile = profile(asked.presence.as_deref())?;
    let watches = profile.is_none();
    let query = asked.query.map(|query| query.get().into()).unwrap_or_default();
    let wish = Wish { query, by_server: false, profile };
    let node = &channels.node;
    let position = node.subscribe(&message.services, &socket, &name, wish, Hooks::Await).await?;
    // Read after the socket is on the channel: of a change that is not in the page it hears.
    let has_roster = node.rules(&name).presence.is_some();
    let (client, presence) = if has_roster {
        ((!watches).then(|| socket.client_id()), first_page(node, &name).await)
    } else {
        (None, None)
    };
    Ok(told(&Subscribed { channel: name.text(), position, client, presence }))
}

/// What a client that subscribes says of itself; `None` if it only watches.
fn profile(presence: Option<&RawValue>) -> Result<Option<Profile>, RouteError> {
    match presence.map(RawValue::get) {
        Some("false") => Ok(None),
        None | Some("true" | "null") => Ok(Some(Profile::default())),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|fault| {
            RouteError::new(code::BAD_PAYLOAD, fault.to_string()).with("path", "presence")
        }),
    }
}

/// An event about one channel.
#[derive(Debug, Deserialize, Serialize)]
struct About {
    channel: ByteString,
}

async fn unsubscribe(message: Whole, Payload(about): Payload<About>) -> Result<Args, RouteError> {
    let Whole { channels, socket, message } = message;
    let name = ChannelName::try_from(about.channel)?;
    let services = &message.services;
    channels.node.unsubscribe(services, &socket, &name, Gone::Left, Hooks::Await).await;
    Ok(told(&About { channel: name.text() }))
}

/// What an event says that does nothing but succeed.
fn done() -> Args {
    Args::from_checked_json("{}".into(), Vec::new())
}

fn not_subscribed() -> RouteError {
    RouteError::new(code::NOT_SUBSCRIBED, "Subscribe to this channel first.")
}

fn told<T: Serialize>(value: &T) -> Args {
    // What these types hold can always be written.
    Args::one(value).unwrap_or_default()
}

/// All that an event came with.
struct Whole {
    channels: Channels,
    socket: Socket,
    message: Message,
}

impl crate::handler::FromMessage for Whole {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let channels = message.services.channels.clone();
        let socket = Socket::from_message(message).await?;
        Ok(Self { channels, socket, message: message.clone() })
    }
}

impl Whole {
    /// Refuses it unless the client is on the channel.
    fn must_be_on(&self, name: &ChannelName) -> Result<(), RouteError> {
        let local = self.channels.node.local();
        let seat = self.socket.address().tid().and_then(|tid| local.seat(tid, name));
        seat.map(|_| ()).ok_or_else(not_subscribed)
    }
}
