//! The channels of one node: what others say on them reaches its sockets, and what it says, others.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bytestring::ByteString;

use super::{
    ChannelKey, ChannelName, Level, Position, PublishError, Published,
    asking::Asking,
    frame::{Audience, Boot, Publication, RequestReply, Sender, Word},
    local::Local,
    message,
    requests::Requests,
    rules::{ChannelRules, Rules},
    turns::Turns,
};
use crate::{
    address::{Namespace, NodeAddress, TenantId, ns},
    args::Args,
    backend::{
        Backend, BackendError,
        bus::Subject,
        channels::{ChannelStore, Stored},
        presence::PresenceStore,
    },
    bus::{Bus, seen::Seen},
    envelope::Frame,
    handler::Services,
    limits::Limits,
    metrics::Metrics,
    presence::{Presence, PresenceEvent},
    session::{Site, UserId},
    socket::{DisconnectReason, Recipients, SocketHub},
};

/// The service that holds sockets, where this one does not.
const WS: Namespace = ns("ws");

/// What a process does with channels.
#[derive(Debug)]
pub(crate) struct ChannelNode {
    pub(super) site: Site,
    pub(super) bus: Bus,
    pub(super) hub: Arc<dyn SocketHub>,
    pub(super) store: Arc<dyn ChannelStore>,
    pub(super) rosters: Arc<dyn PresenceStore>,
    /// This node's part in rosters, if any channel has one.
    pub(super) presence: Option<Presence>,
    rules: ChannelRules,
    local: Mutex<Local>,
    /// What is done for one socket on one channel follows each other.
    pub(super) seats: Turns<(TenantId, ChannelName)>,
    /// What a socket says on one channel is judged and sent in the order in which it came.
    pub(super) sayings: Turns<(TenantId, ChannelName)>,
    /// The hooks of a channel follow each other.
    pub(super) moments: Turns<ChannelName>,
    /// The changes of sessions after which gates were asked again.
    pub(super) judged: Seen,
    pub(super) requests: Requests,
    pub(super) asking: Asking,
    /// What handlers get. Weak: they hold this.
    services: OnceLock<Weak<Services>>,
}

impl ChannelNode {
    pub(super) fn new(
        site: Site,
        bus: Bus,
        hub: Arc<dyn SocketHub>,
        backend: &Backend,
        mut rules: ChannelRules,
        presence: Option<Presence>,
    ) -> Arc<Self> {
        rules.bound(&bus.shared.limits);
        let node = Arc::new(Self {
            site,
            hub,
            store: Arc::clone(&backend.channels),
            rosters: Arc::clone(&backend.presence),
            presence,
            rules,
            local: Mutex::default(),
            seats: Turns::default(),
            sayings: Turns::default(),
            moments: Turns::default(),
            judged: Seen::default(),
            requests: Requests::default(),
            asking: Asking::default(),
            services: OnceLock::new(),
            bus,
        });
        node.bus.shared.set_channels(Arc::downgrade(&node));
        node
    }

    pub(super) fn set_services(&self, services: &Arc<Services>) {
        // A node has one set of them.
        let _second = self.services.set(Arc::downgrade(services));
    }

    pub(super) fn services(&self) -> Option<Arc<Services>> {
        self.services.get().and_then(Weak::upgrade)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.bus.shared.limits
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.bus.shared.metrics
    }

    pub(super) fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds for a channel.
    pub(super) fn rules(&self, name: &ChannelName) -> Arc<Rules> {
        if let Some(here) = self.local().here(name) {
            return Arc::clone(&here.rules);
        }
        Rules::of(name, &self.rules)
    }

    pub(super) fn key(&self, name: &ChannelName) -> ChannelKey {
        ChannelKey::new(&self.site, name)
    }

    /// The nodes that hold sockets.
    pub(super) fn sockets_at(&self) -> Namespace {
        self.hub.bus().map_or(WS, |bus| bus.node().ns.clone())
    }

    fn is_me(&self, node: Option<NodeAddress>) -> bool {
        node.as_ref() == Some(self.bus.node())
    }

    // -- out

    /// Publishes on a channel, or on a user's private one.
    pub(super) async fn publish(
        &self,
        key: &ChannelKey,
        to: Audience,
        topic: &str,
        sender: Option<Sender>,
        args: Args,
    ) -> Result<Published, PublishError> {
        let publication = self.publication(to, topic, sender, false);
        let Stored { position, .. } = self.publish_as(key, publication.clone(), args).await?;
        Ok(Published { id: publication.id, position, level: Level::Memory })
    }

    pub(super) fn publication(
        &self,
        to: Audience,
        topic: &str,
        sender: Option<Sender>,
        asks: bool,
    ) -> Publication {
        Publication { to, topic: topic.into(), id: self.bus.shared.ids.next(), sender, asks }
    }

    pub(super) async fn publish_as(
        &self,
        key: &ChannelKey,
        publication: Publication,
        args: Args,
    ) -> Result<Stored, PublishError> {
        let frame = Frame::Word(Word::Publication(publication), args).encode()?;
        let metrics = self.metrics();
        metrics.publications_out.inc();
        self.store.publish(key, frame).await.map_err(|error| {
            metrics.publications_failed.inc();
            PublishError::Unavailable(error)
        })
    }

    /// Says something where nodes listen, at most once. Returns how many heard it, as far as the
    /// backend knows.
    pub(super) async fn say(
        &self,
        subject: Subject,
        word: Word,
        args: Args,
    ) -> Result<u64, PublishError> {
        let frame = Frame::Word(word, args).encode()?;
        let said = self.bus.shared.link().publish(subject, frame).await;
        said.map_err(PublishError::Unavailable)
    }

    /// Where the nodes listen that hold such sockets.
    pub(super) fn subject_of_user(&self, user: &UserId) -> Subject {
        ChannelKey::of_user(&self.site, user).subject()
    }

    /// Sends an event to this node's own sockets; what finds a shard's queue full is dropped.
    pub(super) fn relay(&self, to: Recipients, event: &str, args: &Args) {
        if self.hub.relay(to, event, args, false).is_err() {
            self.metrics().emits_dropped.inc();
            self.metrics().limit("shard_queue");
        }
    }

    // -- in; called on the bus link's own task

    /// Somebody said something about channels.
    pub(crate) fn heard(self: &Arc<Self>, word: Word, position: Option<&Position>, args: Args) {
        match word {
            Word::Publication(publication) => self.published(&publication, position, &args),
            Word::Boot(Boot { to, reason }) => self.boot(to, reason),
            Word::Question(question) => {
                tokio::spawn(Arc::clone(self).answer(question, args));
            }
            Word::Answer(answer) => self.asking.answered(answer, args, self.metrics()),
            Word::Reply(reply) => self.replied(reply, args),
            Word::Knock(knock) => self.knocked(knock),
            Word::Seen(seen) => self.seen(&seen, &args),
        }
    }

    /// A frame on a channel's subject that is a change of its roster.
    pub(crate) fn heard_change(&self, channel: &ByteString, frame: &[u8]) -> bool {
        let name = ChannelKey::name_of(&self.site, channel);
        let (Some(name), Some(event)) = (name, PresenceEvent::decode(frame)) else { return false };
        self.roster_changed(&name, &event);
        true
    }

    /// Whether something is for this site.
    fn is_ours(&self, to: &Audience) -> bool {
        to.site().is_none_or(|site| *site == self.site)
    }

    fn published(&self, publication: &Publication, position: Option<&Position>, data: &Args) {
        if !self.is_ours(&publication.to) {
            return;
        }
        self.metrics().publications_in.inc();
        let as_message = |channel: &str, position, direct| {
            message::message(publication, Some(channel), position, direct, data)
        };
        match &publication.to {
            Audience::Channel(name) => {
                let sender = publication.sender.as_ref().map(|sender| &sender.address);
                let except = sender
                    .filter(|address| self.is_me(address.node()))
                    .and_then(|address| address.tid().cloned());
                let to = Recipients::Channel { name: name.clone(), except: except.clone() };
                self.relay(to, message::MESSAGE, &as_message(name.as_str(), position, false));
                if let (Some(tid), Some(position)) = (except, position)
                    && self.local().seat(&tid, name).is_some()
                {
                    // The sender is as far as the others, without the message.
                    let moved = message::position(name, position);
                    self.relay(Recipients::Socket(tid), message::POSITION, &moved);
                }
            }
            Audience::Direct(_, name, tid) => {
                if self.local().seat(tid, name).is_some() {
                    let to = Recipients::Socket(tid.clone());
                    self.relay(to, message::MESSAGE, &as_message(name.as_str(), None, true));
                }
            }
            Audience::User(user) => {
                let to = Recipients::User(user.clone());
                self.relay(to, message::MESSAGE, &as_message(message::OF_USER, None, false));
            }
            Audience::Session(sid) => {
                let to = Recipients::Session(sid.clone());
                self.relay(to, message::MESSAGE, &as_message(message::OF_SESSION, None, false));
            }
            Audience::Socket(_, tid) => {
                let told = message::message(publication, None, None, false, data);
                self.relay(Recipients::Socket(tid.clone()), message::BROADCAST, &told);
            }
            Audience::All(_) => {
                let told = message::message(publication, None, None, false, data);
                self.relay(Recipients::All, message::BROADCAST, &told);
            }
        }
    }

    /// Who an audience is on this node.
    pub(super) fn recipients(&self, to: Audience) -> Option<Recipients> {
        if !self.is_ours(&to) {
            return None;
        }
        Some(match to {
            Audience::Channel(name) => Recipients::Channel { name, except: None },
            Audience::Direct(_, name, tid) => {
                let is_here = self.local().seat(&tid, &name).is_some();
                is_here.then_some(Recipients::Socket(tid))?
            }
            Audience::User(user) => Recipients::User(user),
            Audience::Session(sid) => Recipients::Session(sid),
            Audience::Socket(_, tid) => Recipients::Socket(tid),
            Audience::All(_) => Recipients::All,
        })
    }

    fn boot(self: &Arc<Self>, to: Audience, reason: ByteString) {
        let Some(who) = self.recipients(to) else { return };
        let hub = Arc::clone(&self.hub);
        tokio::spawn(async move { hub.disconnect(who, DisconnectReason::Booted(reason)).await });
    }

    fn replied(&self, reply: RequestReply, args: Args) {
        if reply.site == self.site && !self.requests.replied(reply, args) {
            self.metrics().replies_unasked.inc();
        }
    }

    /// Passes a client's reply to the node of the requester.
    pub(super) async fn pass_reply(
        &self,
        to: NodeAddress,
        reply: RequestReply,
        args: Args,
    ) -> Result<(), PublishError> {
        if to == *self.bus.node() {
            self.replied(reply, args);
            return Ok(());
        }
        self.say(Subject::Node(to), Word::Reply(reply), args).await.map(drop)
    }

    /// How far a channel is.
    pub(super) async fn position(&self, name: &ChannelName) -> Result<Position, BackendError> {
        self.store.position(&self.key(name)).await
    }
}
