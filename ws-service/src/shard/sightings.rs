//! Sockets that are on rosters: who is watched over, and when each was heard last.

use std::rc::Rc;

use router_core::{
    TenantId,
    channel::ChannelName,
    presence::{ClientId, Millis, Settings},
    socket::Recipients,
};

use super::Shard;
use crate::connection::{
    link::{Link, Notice},
    timers::Timer,
    watches::since_epoch,
};

impl Shard {
    /// Watches over a socket on a channel, or does so no more.
    pub(super) fn watch(&self, tid: TenantId, channel: &ChannelName, settings: Option<&Settings>) {
        // Of a socket that is gone, its connection has ended all.
        let chosen = self.table.borrow().chosen(&Recipients::Socket(tid));
        for socket in chosen {
            let (info, link) = (&socket.info, &socket.link);
            link.watches(|watches| match settings {
                Some(settings) => watches.set(info, channel, settings),
                None => watches.end(info, channel),
            });
            self.await_silence(link);
            link.notify(Notice::Pace);
        }
    }

    /// Has a connection's silence noticed when it lasts too long.
    pub(crate) fn await_silence(&self, link: &Rc<Link>) {
        let next = link.watches(|watches| watches.next(link.heard.get()));
        match next {
            Some(at) => self.set_timer(link, Timer::Silence, at),
            None => link.timers.borrow_mut().clear(Timer::Silence),
        }
    }

    /// When the clients that are watched over on a channel were heard last. They are pinged if `ping`.
    pub(super) fn sightings(&self, channel: &ChannelName, ping: bool) -> Vec<(ClientId, Millis)> {
        let now = self.read_clock();
        let table = self.table.borrow();
        let mut sightings = Vec::new();
        for socket in table.rooms.on_channel(channel.as_str()) {
            let link = &socket.link;
            if !link.watches(|watches| watches.has(&socket.info, channel)) {
                continue;
            }
            if ping {
                link.notify(Notice::Ping);
            }
            sightings.push((socket.info.client_id(), since_epoch(link.heard.get(), now)));
        }
        sightings
    }
}
