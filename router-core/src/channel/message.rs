//! What clients are told about channels: the events' names, and the heads that stand before the data.

use bytestring::ByteString;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{ChannelName, Position, frame::Publication};
use crate::{
    args::Args,
    error::{ErrorBody, RouteError},
    id::MessageId,
    presence::{ClientId, Member, Page, PresenceEvent},
    session::UserId,
};

/// A message on a channel.
pub(super) const MESSAGE: &str = "whisk.message";
/// A message for everybody.
pub(super) const BROADCAST: &str = "whisk.broadcast";
/// A channel is further, though no message came.
pub(super) const POSITION: &str = "whisk.position";
/// The server took the socket off a channel.
pub(super) const UNSUBSCRIBED: &str = "whisk.unsubscribed";
/// Something happened on a channel's roster.
pub(super) const PRESENCE: &str = "whisk.presence";
/// The socket's session changed.
pub(super) const SESSION: &str = "whisk.session";

/// What the private channels are called on the wire. No client can ask for them.
pub(super) const OF_USER: &str = "_user";
pub(super) const OF_SESSION: &str = "_session";

#[derive(Serialize)]
struct Head<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    topic: &'a str,
    // Not flattened, which would cost this hot path a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    id: &'a MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ask: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    direct: bool,
}

/// The arguments of a message: its head, then the data.
pub(super) fn message(
    publication: &Publication,
    channel: Option<&str>,
    position: Option<&Position>,
    direct: bool,
    data: &Args,
) -> Args {
    let Publication { topic, id, sender, asks, .. } = publication;
    let sender = sender.as_ref();
    let head = Head {
        channel,
        topic,
        epoch: position.map(|position| &*position.epoch),
        offset: position.map(|position| position.offset),
        id,
        from: sender.map(|sender| sender.address.to_string()),
        client: sender.and_then(|sender| sender.client.as_ref().map(ClientId::as_str)),
        user: sender.and_then(|sender| sender.user.as_ref()),
        at: sender.map(|sender| sender.at),
        ask: *asks,
        direct,
    };
    data.after(&head).unwrap_or_default()
}

#[derive(Serialize)]
struct At<'a> {
    channel: &'a str,
    #[serde(flatten)]
    position: &'a Position,
}

/// The arguments of [`POSITION`].
pub(super) fn position(channel: &ChannelName, position: &Position) -> Args {
    Args::one(&At { channel: channel.as_str(), position }).unwrap_or_default()
}

/// The arguments of [`UNSUBSCRIBED`].
pub(super) fn unsubscribed(channel: &ChannelName, error: RouteError) -> Args {
    #[derive(Serialize)]
    struct Taken<'a> {
        channel: &'a ChannelName,
        error: ErrorBody,
    }
    Args::one(&Taken { channel, error: error.into() }).unwrap_or_default()
}

/// The arguments of [`PRESENCE`], of a change.
pub(super) fn change(channel: &ChannelName, event: &PresenceEvent) -> Args {
    #[derive(Serialize)]
    struct Change<'a> {
        channel: &'a ChannelName,
        epoch: &'a ByteString,
        version: u64,
        event: &'a str,
        member: &'a Member,
    }
    let PresenceEvent { kind, epoch, member } = event;
    let (version, event) = (member.version, kind.event());
    Args::one(&Change { channel, epoch, version, event, member }).unwrap_or_default()
}

/// The arguments of [`PRESENCE`], after a knock.
pub(super) fn seen(channel: &ChannelName, seen: &RawValue) -> Args {
    #[derive(Serialize)]
    struct Sightings<'a> {
        channel: &'a ChannelName,
        event: &'a str,
        seen: &'a RawValue,
    }
    Args::one(&Sightings { channel, event: "seen", seen }).unwrap_or_default()
}

/// The arguments of [`SESSION`].
pub(super) fn session(user: Option<&UserId>) -> Args {
    #[derive(Serialize)]
    struct Changed<'a> {
        user_id: Option<&'a UserId>,
    }
    Args::one(&Changed { user_id: user }).unwrap_or_default()
}

/// What a publisher is told.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    pub(super) id: &'a MessageId,
    pub(super) at: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<&'a Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) level: Option<super::Level>,
}

/// A subscription's answer.
#[derive(Debug, Serialize)]
pub(super) struct Subscribed {
    pub(super) channel: ByteString,
    #[serde(flatten)]
    pub(super) position: Position,
    /// On a channel with presence: who the client is to the others, unless it only watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<ClientId>,
    /// On a channel with presence: the beginning of the roster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) presence: Option<Page>,
}
