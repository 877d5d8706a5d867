//! Channels as handlers hold them.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    Answers, ChannelKey, ChannelName, Level, Position, PublishError, SubscribeError,
    frame::{Audience, Boot, Sender, Word},
    moments::Hooks,
    node::ChannelNode,
    roster::Gone,
    rules::ChannelRules,
    subscribe::Wish,
};
use crate::{
    address::Address,
    args::Args,
    backend::{Backend, BackendError, bus::Subject},
    bus::Bus,
    clock,
    error::RouteError,
    handler::{FromMessage, Message, Occasion},
    id::MessageId,
    presence::{Presence, Profile},
    session::{SessionId, Site, UserId},
    socket::{JoinError, Socket, SocketData, SocketHub},
};

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id, which subscribers see too.
    pub id: MessageId,
    /// Its place on the channel.
    pub position: Position,
    /// Where it is kept.
    pub level: Level,
}

/// The channels of a site, as this process reaches them. Cheap to clone; may be sent to any thread;
/// works in every process, also in one without sockets.
///
/// ```
/// use router_core::{Payload, RouteError, Routes, channel::Channels};
///
/// pub fn routes(cfg: &mut Routes) {
///     cfg.channel("room:*").open();
///     cfg.route("room").on("say", say);
/// }
///
/// /// Everybody on the channel gets it, on whatever node.
/// async fn say(channels: Channels, Payload(text): Payload<String>) -> Result<u64, RouteError> {
///     let published = channels.at("room:1")?.publish("said", &text).await?;
///     Ok(published.position.offset)
/// }
/// # Routes::build([routes as fn(&mut Routes)]).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Channels {
    pub(super) node: Arc<ChannelNode>,
}

impl Channels {
    /// The channels of `site`, for the node of `bus` whose sockets `hub` holds.
    pub(crate) fn new(
        site: Site,
        bus: Bus,
        hub: Arc<dyn SocketHub>,
        backend: &Backend,
        rules: ChannelRules,
        presence: Option<Presence>,
    ) -> Self {
        Self { node: ChannelNode::new(site, bus, hub, backend, rules, presence) }
    }

    /// A channel by its name.
    ///
    /// # Errors
    /// When the text names no channel.
    pub fn at<N>(&self, name: N) -> Result<Channel, N::Error>
    where
        N: TryInto<ChannelName>,
    {
        Ok(self.at_name(&name.try_into()?))
    }

    pub(super) fn at_name(&self, name: &ChannelName) -> Channel {
        Channel { name: name.clone(), node: Arc::clone(&self.node), locals: None }
    }

    /// The private channel of a user: every confirmed socket of the user is on it, on whatever node.
    pub fn user(&self, user: &UserId) -> Private {
        Private { user: user.clone(), sid: None, node: Arc::clone(&self.node) }
    }

    /// The private channel of a session of a user.
    pub fn session(&self, sid: &SessionId, user: &UserId) -> Private {
        Private { user: user.clone(), sid: Some(sid.clone()), node: Arc::clone(&self.node) }
    }

    /// Publishes one message on many channels. The outcomes are in the order of the names.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON: nothing is published then.
    pub async fn publish_many<T: Serialize + ?Sized>(
        &self,
        names: impl IntoIterator<Item = ChannelName>,
        topic: &str,
        payload: &T,
    ) -> Result<Vec<Result<Published, PublishError>>, PublishError> {
        let args = Args::one(payload)?;
        let published = names.into_iter().map(|name| {
            let (key, to) = (self.node.key(&name), Audience::Channel(name));
            let args = args.clone();
            async move { self.node.publish(&key, to, topic, None, args).await }
        });
        Ok(futures_util::future::join_all(published).await)
    }

    /// Says something to every socket of every node, at most once.
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn broadcast<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        payload: &T,
    ) -> Result<MessageId, PublishError> {
        let args = Args::one(payload)?;
        let publication =
            self.node.publication(Audience::All(self.node.site.clone()), topic, None, false);
        let id = publication.id.clone();
        let everywhere = Subject::Namespace(self.node.sockets_at());
        self.node.say(everywhere, Word::Publication(publication), args).await?;
        Ok(id)
    }

    /// Sends a socket away for good: its client is told `reason` and does not come back by itself.
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn boot_socket(&self, address: &Address, reason: &str) -> Result<(), PublishError> {
        let (Some(node), Some(tid)) = (address.node(), address.tid().cloned()) else {
            return Ok(());
        };
        self.boot(Subject::Node(node), Audience::Socket(self.node.site.clone(), tid), reason).await
    }

    async fn boot(&self, at: Subject, to: Audience, reason: &str) -> Result<(), PublishError> {
        let word = Word::Boot(Boot { to, reason: reason.into() });
        self.node.say(at, word, Args::EMPTY).await.map(drop)
    }
}

impl FromMessage for Channels {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(message.services.channels.clone())
    }
}

/// One channel. As an extractor it is the one that a gate or hook is asked about, or that a client
/// published on. Cheap to clone; may be sent to any thread.
#[derive(Debug, Clone)]
pub struct Channel {
    name: ChannelName,
    node: Arc<ChannelNode>,
    /// In a hook: what the program keeps with it.
    locals: Option<Arc<SocketData>>,
}

impl FromMessage for Channel {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let (name, locals) = match &message.occasion {
            Occasion::Subscription(name) | Occasion::Publication(name) => (name, None),
            Occasion::ChannelHook(_, name, locals) => (name, Some(Arc::clone(locals))),
            _ => return Err(RouteError::internal()),
        };
        let node = Arc::clone(&message.services.channels.node);
        Ok(Self { name: name.clone(), node, locals })
    }
}

impl Channel {
    /// Its name.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    pub(super) fn node(&self) -> &ChannelNode {
        &self.node
    }

    /// Publishes a message to every socket on the channel, on whatever node, in the order in which
    /// the store takes them. The store takes it or not; sockets get it at most once.
    ///
    /// # Errors
    /// [`PublishError`] says what is known.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        payload: &T,
    ) -> Result<Published, PublishError> {
        self.publish_args(topic, Args::one(payload)?).await
    }

    /// [`publish`](Self::publish) with arguments as they are.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_args(&self, topic: &str, args: Args) -> Result<Published, PublishError> {
        let to = Audience::Channel(self.name.clone());
        self.node.publish(&self.node.key(&self.name), to, topic, None, args).await
    }

    /// Publishes as a socket of this node: to the others. The socket is told how far the channel is
    /// then, as the others know from the message.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_from<T: Serialize + ?Sized>(
        &self,
        socket: &Socket,
        topic: &str,
        payload: &T,
    ) -> Result<Published, PublishError> {
        let (to, sender) = (Audience::Channel(self.name.clone()), Some(sender(socket)));
        let args = Args::one(payload)?;
        self.node.publish(&self.node.key(&self.name), to, topic, sender, args).await
    }

    /// How far the channel is.
    ///
    /// # Errors
    /// When the store did not tell.
    pub async fn position(&self) -> Result<Position, BackendError> {
        self.node.position(&self.name).await
    }

    /// Puts a socket of this node on the channel, and on its roster if it has one, by the server's
    /// own will: no gate is asked. To be called where handlers run; the future is not `Send`, since
    /// hooks run in it.
    ///
    /// # Errors
    /// [`SubscribeError`] says why it is not on the channel.
    pub async fn subscribe(&self, socket: &Socket) -> Result<Position, SubscribeError> {
        let services = self.node.services().ok_or(SubscribeError::Join(JoinError::Closing))?;
        let profile = Some(Profile::default());
        let wish = Wish { by_server: true, profile, ..Wish::default() };
        self.node.subscribe(&services, socket, &self.name, wish, Hooks::Spawn).await
    }

    /// Takes a socket of this node off the channel. Not to be on it is no error.
    pub async fn unsubscribe(&self, socket: &Socket) {
        if let Some(services) = self.node.services() {
            let (node, name) = (&self.node, &self.name);
            node.unsubscribe(&services, socket, name, Gone::Left, Hooks::Spawn).await;
        }
    }

    /// Whether a socket of this node is on the channel.
    pub fn has(&self, socket: &Socket) -> bool {
        let tid = socket.address().tid();
        tid.is_some_and(|tid| self.node.local().seat(tid, &self.name).is_some())
    }

    /// How many sockets of this node are on the channel.
    pub fn local_count(&self) -> usize {
        self.node.local().count(&self.name)
    }

    /// What the program keeps with the channel on this node: values by their type, from its first
    /// socket here to the end of the hooks of its last. `None` while no socket of this node is on it.
    pub fn locals(&self) -> Option<Arc<SocketData>> {
        if self.locals.is_some() {
            return self.locals.clone();
        }
        self.node.local().here(&self.name).map(|here| Arc::clone(&here.locals))
    }

    /// Sends every socket on the channel away for good, on whatever node: their clients are told
    /// `reason` and do not come back by themselves.
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn boot(&self, reason: &str) -> Result<(), PublishError> {
        let channels = Channels { node: Arc::clone(&self.node) };
        let to = Audience::Channel(self.name.clone());
        channels.boot(self.node.key(&self.name).subject(), to, reason).await
    }

    /// Asks every socket on the channel, on whatever node, for its acknowledgement of `event`. The
    /// answers come as they are given, until all have answered or `deadline` is over.
    ///
    /// # Errors
    /// When the bus did not take the question.
    pub async fn ask<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
        deadline: Duration,
    ) -> Result<Answers, PublishError> {
        let to = Audience::Channel(self.name.clone());
        let at = self.node.key(&self.name).subject();
        self.node.ask(at, to, event, Args::one(payload)?, deadline).await
    }
}

/// A private channel: of a user, or of one session of a user. No client can ask for it.
#[derive(Debug, Clone)]
pub struct Private {
    user: UserId,
    sid: Option<SessionId>,
    node: Arc<ChannelNode>,
}

impl Private {
    fn audience(&self) -> Audience {
        self.sid.clone().map_or_else(|| Audience::User(self.user.clone()), Audience::Session)
    }

    /// Publishes a message to every socket of the user or session, on whatever node.
    ///
    /// # Errors
    /// As [`Channel::publish`].
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        payload: &T,
    ) -> Result<Published, PublishError> {
        let (key, args) = (ChannelKey::of_user(&self.node.site, &self.user), Args::one(payload)?);
        self.node.publish(&key, self.audience(), topic, None, args).await
    }

    /// Asks every socket of the user or session. As [`Channel::ask`].
    ///
    /// # Errors
    /// When the bus did not take the question.
    pub async fn ask<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
        deadline: Duration,
    ) -> Result<Answers, PublishError> {
        let at = self.node.subject_of_user(&self.user);
        self.node.ask(at, self.audience(), event, Args::one(payload)?, deadline).await
    }

    /// Sends every socket of the user or session away for good. As [`Channel::boot`]; the session
    /// itself goes on, see [`Sessions::end`](crate::session::Sessions::end).
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn boot(&self, reason: &str) -> Result<(), PublishError> {
        let channels = Channels { node: Arc::clone(&self.node) };
        channels.boot(self.node.subject_of_user(&self.user), self.audience(), reason).await
    }
}

/// Who a socket is to others, at this moment.
pub(super) fn sender(socket: &Socket) -> Sender {
    Sender {
        address: socket.address().clone(),
        client: socket.own_client_id().cloned(),
        user: socket.user_id().cloned(),
        at: clock::millis(),
    }
}
