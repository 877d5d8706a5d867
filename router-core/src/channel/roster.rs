//! Channels with presence: who is on them, as this node keeps it and its sockets hear of it.

use std::{sync::Arc, time::Duration};

use super::{
    Channel, ChannelName, PublishError,
    frame::{Knock, Seen, Word},
    message,
    node::ChannelNode,
    rules::Rules,
};
use crate::{
    address::TenantId,
    args::Args,
    backend::{BackendError, bus::Subject},
    clock,
    presence::{
        ClientId, Coming, Counts, EnterError, Member, Millis, Page, PresenceEvent, Profile,
    },
    socket::{DisconnectReason, Recipients, Socket},
};

/// How long the answers to the pings of a knock are waited for.
const KNOCK: Duration = Duration::from_secs(1);

/// How many sightings one frame holds, and one event.
const SEEN: usize = 500;

/// How a socket went off a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It left, or was sent away: its client is removed at once.
    Left,
    /// It was lost; when it was heard last.
    Lost(Millis),
}

impl Gone {
    /// Lost in this moment, in which it was there.
    pub(super) fn now() -> Self {
        Self::Lost(clock::millis())
    }

    /// How a socket goes that was heard last at `last_seen`.
    pub(super) fn of(reason: &DisconnectReason, last_seen: Millis) -> Self {
        match reason {
            DisconnectReason::Client
            | DisconnectReason::Server
            | DisconnectReason::Booted(_)
            | DisconnectReason::SessionEnded(_) => Self::Left,
            _ => Self::Lost(last_seen),
        }
    }
}

impl ChannelNode {
    /// Puts a socket's client on the channel's roster, and has its connection watched.
    pub(super) async fn appear(
        &self,
        socket: &Socket,
        name: &ChannelName,
        rules: &Rules,
        profile: Profile,
    ) -> Result<(), EnterError> {
        let (Some(settings), Some(presence)) = (&rules.presence, &self.presence) else {
            return Ok(());
        };
        let coming = Coming {
            client: socket.client_id(),
            user: socket.user_id().cloned(),
            address: socket.address().clone(),
            profile,
        };
        match presence.enter(&self.key(name), settings, coming).await {
            // The client is there, by a newer socket.
            Ok(()) | Err(EnterError::Replaced) => {}
            Err(error) => return Err(error),
        }
        if let Some(tid) = socket.address().tid() {
            self.hub.watch(tid, name, Some(settings)).await;
        }
        Ok(())
    }

    /// A socket that was on the roster is off the channel.
    pub(super) async fn disappear(&self, socket: &Socket, name: &ChannelName, gone: Gone) {
        let Some(presence) = &self.presence else { return };
        let (key, client) = (self.key(name), socket.client_id());
        match gone {
            Gone::Left => presence.left(&key, &client, socket.address()),
            Gone::Lost(last_seen) => presence.lost(&key, &client, socket.address(), last_seen),
        }
        if let Some(tid) = socket.address().tid() {
            self.hub.watch(tid, name, None).await;
        }
    }

    /// The roster changed: its channel's sockets hear of it.
    pub(crate) fn roster_changed(&self, name: &ChannelName, event: &PresenceEvent) {
        self.metrics().presence_heard.inc();
        let to = Recipients::Channel { name: name.clone(), except: None };
        self.relay(to, message::PRESENCE, &message::change(name, event));
    }

    /// Has the nodes ping the channel's sockets, and tell a socket of this node who answers.
    pub(super) async fn knock(
        &self,
        name: &ChannelName,
        tid: &TenantId,
    ) -> Result<(), PublishError> {
        let knocker = (self.bus.node().clone(), tid.clone());
        let word = Word::Knock(Knock { channel: name.clone(), knocker });
        self.say(self.key(name).subject(), word, Args::EMPTY).await.map(drop)
    }

    /// Somebody knocked. What is under way already is told to them, too.
    pub(super) fn knocked(self: &Arc<Self>, Knock { channel, knocker }: Knock) {
        if self.local().begin_knock(&channel, knocker) {
            tokio::spawn(Arc::clone(self).answer_knock(channel));
        }
    }

    /// This node's part of the answer to a knock.
    async fn answer_knock(self: Arc<Self>, channel: ChannelName) {
        let since = clock::millis();
        self.hub.sightings(&channel, true).await;
        tokio::time::sleep(KNOCK).await;
        let mut seen = self.hub.sightings(&channel, false).await;
        // Times are whole milliseconds, of two clocks.
        seen.retain(|(_, heard)| heard + 2 >= since);
        let knockers = self.local().end_knock(&channel);
        for seen in seen.chunks(SEEN) {
            // Ids and times can always be written.
            let args = Args::one(seen).unwrap_or_default();
            for (node, to) in &knockers {
                let (site, channel, to) = (self.site.clone(), channel.clone(), to.clone());
                let word = Word::Seen(Seen { site, channel, to });
                if let Err(error) = self.say(Subject::Node(node.clone()), word, args.clone()).await
                {
                    tracing::debug!(%error, "an answer to a knock did not leave");
                }
            }
        }
    }

    /// A socket that knocked hears who answered.
    pub(super) fn seen(&self, Seen { site, channel, to }: &Seen, args: &Args) {
        if *site != self.site || self.local().seat(to, channel).is_none() {
            return;
        }
        if let Ok(seen) = args.first_raw() {
            let told = message::seen(channel, &seen);
            self.relay(Recipients::Socket(to.clone()), message::PRESENCE, &told);
        }
    }

    /// Changes what a socket's client says of itself.
    pub(super) async fn update(
        &self,
        socket: &Socket,
        name: &ChannelName,
        change: impl FnOnce(&mut Profile),
    ) -> Result<(), EnterError> {
        let presence = self.presence.as_ref().ok_or(EnterError::NotThere)?;
        let (key, client) = (self.key(name), socket.client_id());
        presence.update(&key, &client, socket.address(), change).await
    }
}

/// The roster of a channel with presence, in every process.
impl Channel {
    /// At most `limit` of those who are on the channel's roster, in the order of their ids; on after
    /// a client. [`Page::next`] says after whom to read on.
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn members(
        &self,
        after: Option<&ClientId>,
        limit: usize,
    ) -> Result<Page, BackendError> {
        let limit = limit.clamp(1, crate::presence::PAGE_MAX);
        self.node().rosters.page(&self.node().key(self.name()), after, limit).await
    }

    /// One of them.
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn member(&self, client: &ClientId) -> Result<Option<Member>, BackendError> {
        self.node().rosters.member(&self.node().key(self.name()), client).await
    }

    /// How many they are; costs the same however many that is.
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn counts(&self) -> Result<Counts, BackendError> {
        self.node().rosters.counts(&self.node().key(self.name())).await
    }
}

/// A page as clients get it: at most this many members, so that the longest profiles and ids too fit
/// into a message of the default `max_payload`.
pub(super) const PAGE: usize = 64;

/// The first page of a roster, in a subscription's answer.
pub(super) async fn first_page(node: &ChannelNode, name: &ChannelName) -> Option<Page> {
    // A client that gets none asks for it.
    node.rosters.page(&node.key(name), None, PAGE).await.ok()
}
