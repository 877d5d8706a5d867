//! Putting this node's sockets on rooms and channels: the bus first, then the shards' index.
//!
//! What comes on the bus for it between the two is walked past: nobody was on the room yet. So a
//! join that is acknowledged has both, and what is sent after it arrives.

use std::sync::Arc;

use bytestring::ByteString;
use futures_util::future::try_join_all;
use router_core::{
    Args, TenantId,
    bus::Wanted,
    channel::ChannelName,
    presence::{ClientId, Millis, Settings},
    socket::{
        AckError, JoinError, ROOM_NAME_MAX, Recipients, RemoteSocket, SocketJob, room_channel,
    },
};
use tokio::sync::oneshot;

use super::{Hub, ShardHandle};
use crate::shard::{message::ShardMessage, rooms::Place};

impl Hub {
    /// The shards that may have such sockets.
    fn shards_with(&self, who: &Recipients) -> Vec<ShardHandle> {
        match who {
            Recipients::Socket(tid) => {
                let index = self.lookup(tid).map(|(index, _)| index);
                index.and_then(|index| self.shard(index)).into_iter().collect()
            }
            _ => self.populated(),
        }
    }

    /// The nsps that such sockets may be in.
    fn nsps_with(&self, who: &Recipients) -> Vec<ByteString> {
        match who {
            Recipients::Socket(tid) => {
                self.lookup(tid).map(|(_, info)| info.nsp.clone()).into_iter().collect()
            }
            Recipients::Nsp(nsp) => vec![nsp.clone()],
            Recipients::Selection(selection) => vec![selection.nsp.clone()],
            _ => self.nsps.iter().map(|nsp| nsp.as_str().into()).collect(),
        }
    }

    pub(super) async fn join_rooms(
        &self,
        who: Recipients,
        rooms: Vec<ByteString>,
    ) -> Result<(), JoinError> {
        if rooms.iter().any(|room| !(1..=ROOM_NAME_MAX).contains(&room.len())) {
            return Err(JoinError::Name);
        }
        let nsps = self.nsps_with(&who);
        if nsps.is_empty() && matches!(who, Recipients::Socket(_)) {
            return Err(JoinError::Gone);
        }
        for nsp in nsps {
            // Given up half-way, or refused by the shards, it is wanted no more.
            let wanted = try_join_all(rooms.iter().map(async |room| {
                let wanted = self.bus.listen(room_channel(&nsp, room)).await;
                let place = Place::Room(room.clone());
                wanted.map(|wanted| (place, wanted)).map_err(JoinError::Unavailable)
            }));
            self.seat(&who, &nsp, wanted.await?).await?;
        }
        Ok(())
    }

    async fn seat(
        &self,
        who: &Recipients,
        nsp: &ByteString,
        places: Vec<(Place, Wanted)>,
    ) -> Result<(), JoinError> {
        for shard in self.shards_with(who) {
            let (done, joined) = oneshot::channel();
            let (who, nsp, places) = (who.clone(), nsp.clone(), places.clone());
            let message = ShardMessage::Join { who, nsp, places, done };
            shard.inbound.send(message).await.map_err(|_| JoinError::Closing)?;
            joined.await.map_err(|_| JoinError::Closing)??;
        }
        Ok(())
    }

    pub(super) async fn subscribe_socket(
        &self,
        tid: &TenantId,
        channel: ByteString,
        key: ByteString,
    ) -> Result<(), JoinError> {
        let nsp = self.lookup(tid).map(|(_, info)| info.nsp.clone()).ok_or(JoinError::Gone)?;
        let wanted = self.bus.listen(key).await.map_err(JoinError::Unavailable)?;
        let place = Place::Channel(channel);
        self.seat(&Recipients::Socket(tid.clone()), &nsp, vec![(place, wanted)]).await
    }

    pub(super) async fn watch_socket(
        &self,
        tid: &TenantId,
        channel: &ChannelName,
        settings: Option<&Settings>,
    ) {
        for shard in self.shards_with(&Recipients::Socket(tid.clone())) {
            let (done, watched) = oneshot::channel();
            let (tid, channel, settings) = (tid.clone(), channel.clone(), settings.copied());
            let message = ShardMessage::Watch { tid, channel, settings, done };
            // A shard whose thread is gone has no sockets.
            if shard.inbound.send(message).await.is_ok() {
                let _over = watched.await;
            }
        }
    }

    pub(super) async fn sightings_on(
        &self,
        channel: &ChannelName,
        ping: bool,
    ) -> Vec<(ClientId, Millis)> {
        let mut all = Vec::new();
        for shard in self.populated() {
            let (done, seen) = oneshot::channel();
            let message = ShardMessage::Sightings { channel: channel.clone(), ping, done };
            if shard.inbound.send(message).await.is_ok() {
                all.extend(seen.await.unwrap_or_default());
            }
        }
        all
    }

    pub(super) async fn run_for(&self, who: Recipients, job: SocketJob) {
        for shard in self.shards_with(&who) {
            let (who, job) = (who.clone(), job.clone());
            // A shard whose thread is gone has no sockets.
            let _gone = shard.inbound.send(ShardMessage::Run { who, job }).await;
        }
    }

    pub(super) async fn leave_places(&self, who: Recipients, places: Vec<Place>) {
        let places: Arc<[Place]> = places.into();
        for shard in self.shards_with(&who) {
            let (done, left) = oneshot::channel();
            let (who, places) = (who.clone(), Arc::clone(&places));
            let message = ShardMessage::Leave { who, places, done };
            // A shard whose thread is gone has no sockets.
            if shard.inbound.send(message).await.is_ok() {
                let _over = left.await;
            }
        }
    }

    pub(super) async fn ask_socket(
        &self,
        tid: TenantId,
        event: ByteString,
        args: Args,
    ) -> Result<Args, AckError> {
        let shard = self.shards_with(&Recipients::Socket(tid.clone())).pop();
        let (asker, told) = oneshot::channel();
        let message = ShardMessage::Ask { tid, event, args, asker };
        let sent = shard.ok_or(AckError::Gone)?.inbound.send(message).await;
        sent.map_err(|_| AckError::Gone)?;
        // Dropped unanswered, its connection is gone.
        told.await.unwrap_or(Err(AckError::Disconnected))
    }

    pub(super) async fn describe_sockets(&self, who: Recipients) -> Vec<RemoteSocket> {
        let mut all = Vec::new();
        for shard in self.shards_with(&who) {
            let (done, described) = oneshot::channel();
            let message = ShardMessage::Describe { who: who.clone(), done };
            // A shard whose thread is gone has no sockets.
            if shard.inbound.send(message).await.is_ok() {
                all.extend(described.await.unwrap_or_default());
            }
        }
        all
    }

    pub(super) async fn rooms_of(&self, tid: TenantId) -> Vec<ByteString> {
        let shard = self.shards_with(&Recipients::Socket(tid.clone())).pop();
        let Some(shard) = shard else { return Vec::new() };
        let (done, rooms) = oneshot::channel();
        if shard.inbound.send(ShardMessage::Rooms { tid, done }).await.is_err() {
            return Vec::new();
        }
        rooms.await.unwrap_or_default()
    }
}
