//! What clients ask of rosters. Each must be on the channel.

use bytestring::ByteString;
use serde::{Deserialize, Deserializer};

use super::{About, Whole, done, told};
use crate::{
    args::Args,
    channel::{ChannelName, roster::PAGE},
    error::{RouteError, code},
    handler::Payload,
    presence::{ClientId, EnterError, Label, Meta},
};

/// `whisk.presence`
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    channel: ByteString,
    /// After whom to read on.
    #[serde(default)]
    after: Option<ClientId>,
    /// How many at most.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of the roster.
pub(super) async fn presence(
    whole: Whole,
    Payload(wanted): Payload<Wanted>,
) -> Result<Args, RouteError> {
    let name = with_roster(&whole, wanted.channel)?;
    let (channel, limit) = (whole.channels.at_name(&name), wanted.limit.unwrap_or(PAGE).min(PAGE));
    let page = channel.members(wanted.after.as_ref(), limit).await;
    page.map(|page| told(&page)).map_err(|_| RouteError::unavailable())
}

/// How many are on it.
pub(super) async fn count(
    whole: Whole,
    Payload(about): Payload<About>,
) -> Result<Args, RouteError> {
    let name = with_roster(&whole, about.channel)?;
    let counts = whole.channels.at_name(&name).counts().await;
    counts.map(|counts| told(&counts)).map_err(|_| RouteError::unavailable())
}

/// `whisk.update`: what is left out stays, and `null` takes away.
#[derive(Debug, Deserialize)]
pub(super) struct Update {
    channel: ByteString,
    #[serde(default, deserialize_with = "given")]
    label: Option<Option<Label>>,
    #[serde(default, deserialize_with = "given")]
    meta: Option<Option<Meta>>,
}

/// Tells what is `null` from what is not there.
fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Changes what the client says of itself.
pub(super) async fn update(
    whole: Whole,
    Payload(wanted): Payload<Update>,
) -> Result<Args, RouteError> {
    let name = with_roster(&whole, wanted.channel)?;
    let Update { label, meta, .. } = wanted;
    let node = &whole.channels.node;
    node.update(&whole.socket, &name, |profile| {
        profile.label = label.unwrap_or(profile.label.take());
        profile.meta = meta.unwrap_or(profile.meta.take());
    })
    .await?;
    Ok(done())
}

/// Has the nodes ping everybody on the channel now, and tell this socket whom they heard.
pub(super) async fn knock(
    whole: Whole,
    Payload(about): Payload<About>,
) -> Result<Args, RouteError> {
    let name = with_roster(&whole, about.channel)?;
    let tid = whole.socket.address().tid().ok_or_else(RouteError::internal)?;
    whole.channels.node.knock(&name, tid).await?;
    Ok(done())
}

/// The name of a channel that the client is on and that keeps a roster.
fn with_roster(whole: &Whole, channel: ByteString) -> Result<ChannelName, RouteError> {
    let name = ChannelName::try_from(channel)?;
    whole.must_be_on(&name)?;
    match whole.channels.node.rules(&name).presence {
        Some(_) => Ok(name),
        None => Err(RouteError::new(code::NO_PRESENCE, "This channel keeps no roster.")),
    }
}

impl From<EnterError> for RouteError {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Unavailable => Self::unavailable(),
            EnterError::Replaced | EnterError::NotThere => {
                Self::new(code::NOT_HERE, "This socket is not on the roster.")
            }
        }
    }
}
