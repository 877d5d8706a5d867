//! What clients say on channels: messages, requests, replies.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{Whole, done, told};
use crate::{
    address::{Address, NodeAddress, TenantId},
    args::Args,
    backend::bus::Subject,
    channel::{
        ChannelName, Channels, Level, Position,
        frame::{Audience, Publication, RequestReply, Sender, Word},
        handle::sender,
        judge::refused,
        message::Told,
        requests::{self, Request},
        rules::Asked,
        turns::Turn,
    },
    clock,
    error::{ErrorBody, RouteError, code},
    handler::{Message, Occasion, Payload},
    id::MessageId,
    presence::{ClientId, State},
    route::dispatch::guarded,
    session::UserId,
    socket::Socket,
};

/// How long a request waits for its reply, unless it says so.
const REQUEST_MS: u64 = 5_000;

/// How long a request may wait at most.
const REQUEST_MAX_MS: u64 = 60_000;

/// `whisk.publish` and `whisk.request`
#[derive(Debug, Deserialize)]
struct Publish {
    channel: ByteString,
    topic: ByteString,
    #[serde(default)]
    to: Option<ByteString>,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

pub(super) async fn publish(message: Whole) -> Result<Args, RouteError> {
    let said = Saying::read(message).await?;
    if let Some(outcome) = said.by_server().await {
        outcome?;
        let id = said.channels.node.bus.shared.ids.next();
        let at = said.sender.at;
        return Ok(told(&Told { id: &id, at, position: None, level: None }));
    }
    said.pass().await?;
    let publication = said.publication(false);
    let (id, at) = (publication.id.clone(), said.sender.at);
    let position = said.send(publication).await?;
    let level = position.is_some().then_some(Level::Memory);
    Ok(told(&Told { id: &id, at, position: position.as_ref(), level }))
}

/// The reply to a request, as its requester gets it.
#[derive(Debug, Serialize)]
struct Replied<'a> {
    id: &'a MessageId,
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a UserId>,
    data: &'a serde_json::value::RawValue,
}

pub(super) async fn request(message: Whole) -> Result<Args, RouteError> {
    let said = Saying::read(message).await?;
    let node = Arc::clone(&said.channels.node);
    if let Some(outcome) = said.by_server().await {
        let (answer, id) = (outcome?, node.bus.shared.ids.next());
        let sender = Sender { at: clock::millis(), ..said.sender.clone() };
        return replied(&id, None, &sender, answer);
    }
    said.pass().await?;
    let mut said = said;
    let publication = said.publication(true);
    let id = publication.id.clone();
    let max = node.limits().requests_per_socket.get().unwrap_or(u64::MAX);
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let asked = said.to.as_ref().map(|to| to.tid.clone());
    let request = Request { id: id.clone(), channel: said.name.clone(), asked };
    let tid = said.socket.address().tid().cloned().ok_or_else(RouteError::internal)?;
    let waiting = node.requests.begin(&tid, request, max).map_err(|requests::TooMany| {
        node.metrics().limit("requests_per_socket");
        RouteError::overloaded(1_000)
    })?;
    said.send(publication).await?;
    said.rest();
    let within = said.timeout_ms.unwrap_or(REQUEST_MS).min(REQUEST_MAX_MS);
    let reply = tokio::time::timeout(Duration::from_millis(within), waiting.reply()).await;
    let timeout = || RouteError::new(code::TIMEOUT, "Nobody replied in time.");
    let (sender, outcome) = reply.ok().flatten().ok_or_else(timeout)?;
    replied(&id, Some(&sender.address), &sender, outcome?)
}

fn replied(
    id: &MessageId,
    from: Option<&Address>,
    sender: &Sender,
    answer: Args,
) -> Result<Args, RouteError> {
    let data = answer.first_raw().map_err(|_| RouteError::internal())?;
    let (client, user) = match from {
        Some(_) => (sender.client.as_ref(), sender.user.as_ref()),
        None => (None, None),
    };
    let told = told(&Replied { id, at: sender.at, from, client, user, data: &data });
    Ok(Args::from_checked_json(told.json().clone(), answer.attachments().to_vec()))
}

/// `whisk.reply`
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    channel: ByteString,
    /// Whom the request came from.
    to: Address,
    /// The request's id.
    re: ByteString,
    #[serde(default)]
    error: Option<ErrorBody>,
}

/// The longest id of a request that is looked at, in bytes.
const ID_MAX: usize = 64;

pub(super) async fn reply(
    message: Whole,
    Payload(head): Payload<Reply>,
) -> Result<Args, RouteError> {
    let name = ChannelName::try_from(head.channel)?;
    message.must_be_on(&name)?;
    let Whole { channels, socket, message } = message;
    let Some(Target { node, tid: to }) = Target::at(&head.to) else {
        return Err(RouteError::new(code::BAD_PAYLOAD, "`to` is no socket.").with("path", "to"));
    };
    if head.re.len() > ID_MAX {
        return Err(RouteError::new(code::BAD_PAYLOAD, "`re` is no id.").with("path", "re"));
    }
    let (_, data) = message.args.split_first().map_err(|_| RouteError::internal())?;
    let (site, sender) = (channels.node.site.clone(), sender(&socket));
    let (failed, data) = match head.error {
        Some(error) => (true, RouteError::from(error).to_args()),
        None => (false, data),
    };
    let reply = RequestReply { site, channel: name, re: head.re, to, sender, failed };
    channels.node.pass_reply(node, reply, data).await?;
    Ok(done())
}

/// A socket of some node.
#[derive(Debug, Clone)]
struct Target {
    node: NodeAddress,
    tid: TenantId,
}

impl Target {
    /// The socket at an address, or of a client on the channel's roster.
    async fn find(
        channels: &Channels,
        name: &ChannelName,
        to: ByteString,
    ) -> Result<Self, RouteError> {
        let bad = || RouteError::new(code::BAD_PAYLOAD, "`to` is nobody.").with("path", "to");
        if to.contains('/') {
            return Self::at(&to.parse().map_err(|_| bad())?).ok_or_else(bad);
        }
        let client = ClientId::try_from(to).map_err(|_| bad())?;
        let member = channels.at_name(name).member(&client).await;
        let member = member.map_err(|_| RouteError::unavailable())?;
        let here = member.filter(|member| member.state == State::Connected);
        here.and_then(|member| Self::at(&member.coming.address))
            .ok_or_else(|| RouteError::new(code::NOT_HERE, "This client is not on the channel."))
    }

    fn at(address: &Address) -> Option<Self> {
        Some(Self { node: address.node()?, tid: address.tid()?.clone() })
    }
}

/// What a client says on a channel.
struct Saying {
    channels: Channels,
    socket: Socket,
    name: ChannelName,
    topic: ByteString,
    to: Option<Target>,
    timeout_ms: Option<u64>,
    data: Args,
    sender: Sender,
    message: Message,
    /// What the socket says next on the channel waits for this.
    turn: Option<Turn<(TenantId, ChannelName)>>,
}

impl Saying {
    /// Reads it; the client must be on the channel.
    async fn read(whole: Whole) -> Result<Self, RouteError> {
        let (_, data) = whole.message.args.split_first().map_err(|_| RouteError::internal())?;
        let head: Publish = whole.message.args.first().map_err(|fault| {
            RouteError::new(code::BAD_PAYLOAD, fault.reason).with("path", fault.path)
        })?;
        let name = ChannelName::try_from(head.channel)?;
        whole.must_be_on(&name)?;
        let Whole { channels, socket, message } = whole;
        let tid = socket.address().tid().cloned().ok_or_else(RouteError::internal)?;
        // Before anything is waited for: so it is in the order in which the client spoke.
        let turn = Some(channels.node.sayings.ticket((tid, name.clone())).begin().await);
        let to = match head.to {
            Some(to) => Some(Target::find(&channels, &name, to).await?),
            None => None,
        };
        let (topic, timeout_ms, sender) = (head.topic, head.timeout_ms, sender(&socket));
        Ok(Self { channels, socket, name, topic, to, timeout_ms, data, sender, message, turn })
    }

    /// It is said, and only the answer is waited for.
    fn rest(&mut self) {
        (self.data, self.message.args, self.turn) = (Args::EMPTY, Args::EMPTY, None);
    }

    fn as_message(&self) -> Message {
        let occasion = Occasion::Publication(self.name.clone());
        let (socket, topic, data) = (self.socket.clone(), self.topic.clone(), self.data.clone());
        Message::of(&self.message.services, socket, occasion, topic, data)
    }

    /// What the server's own handler of the topic says; `None` without one.
    async fn by_server(&self) -> Option<Result<Args, RouteError>> {
        let node = &self.channels.node;
        let rules = node.rules(&self.name);
        let Asked { pool, handler } = rules.topic(&self.topic)?;
        let Ok(_place) = pool.enter().await else {
            node.metrics().limit("route_queue");
            return Some(Err(RouteError::overloaded(1_000)));
        };
        Some(guarded(handler, self.as_message()).await)
    }

    /// Whether the others are to hear it.
    async fn pass(&self) -> Result<(), RouteError> {
        let node = &self.channels.node;
        let rules = node.rules(&self.name);
        for gate in rules.publish_gates().ok_or_else(refused)? {
            node.ask_gate(gate, self.as_message()).await?;
        }
        Ok(())
    }

    fn publication(&self, asks: bool) -> Publication {
        let to = match &self.to {
            Some(to) => {
                let site = self.channels.node.site.clone();
                Audience::Direct(site, self.name.clone(), to.tid.clone())
            }
            None => Audience::Channel(self.name.clone()),
        };
        self.channels.node.publication(to, &self.topic, Some(self.sender.clone()), asks)
    }

    /// Sends it: to one socket, or to all under an offset.
    async fn send(&self, publication: Publication) -> Result<Option<Position>, RouteError> {
        let node = &self.channels.node;
        if let Some(to) = &self.to {
            let word = Word::Publication(publication);
            node.say(Subject::Node(to.node.clone()), word, self.data.clone()).await?;
            return Ok(None);
        }
        let key = node.key(&self.name);
        let stored = node.publish_as(&key, publication, self.data.clone()).await?;
        Ok(Some(stored.position))
    }
}
