//! What happens to sockets, and now and then to nodes and the store.

use std::sync::Arc;

use super::{FOLLOWERS, Happening, Socket, World};
use crate::{
    address::Address,
    channel::ChannelKey,
    presence::{ClientId, Coming, Millis, Profile, keeper::Keeper},
};

impl World {
    fn some_node(&self) -> Option<usize> {
        let living: Vec<_> = (0..self.sitting()).filter(|at| self.nodes[*at].is_some()).collect();
        let at = self.core.random(living.len() as u64) as usize;
        living.get(at).copied()
    }

    /// The last node is a worker: no socket is on it.
    fn sitting(&self) -> usize {
        self.size.nodes - 1
    }

    pub(super) fn tell(
        &mut self,
        seat: usize,
        socket: &Socket,
        act: impl FnOnce(&mut Keeper, &ChannelKey, &ClientId, Millis),
    ) {
        let seat = &self.seats[seat];
        let (channel, client) = (&self.channels[seat.channel], &seat.client);
        if let Some(running) = &self.nodes[socket.node] {
            running.desk.act(|keeper, now| act(keeper, channel, client, now));
        }
        self.drive(socket.node);
    }

    fn profile(&self) -> Profile {
        let label = ["", "Ann", "Bob"][self.core.random(3) as usize];
        Profile { label: Some(label.try_into().unwrap()), meta: None }
    }

    /// A socket subscribes, or does so once more.
    fn enter(&mut self, at: usize, socket: &Socket, once_more: bool) {
        let seat = &self.seats[at];
        let coming = Coming {
            client: seat.client.clone(),
            user: seat.user.clone(),
            address: socket.address.clone(),
            profile: self.profile(),
        };
        let Some(running) = self.nodes[socket.node].as_mut() else { return };
        let told =
            running.desk.came(&self.channels[self.seats[at].channel], &self.settings, coming);
        let (refused, address) = (Arc::clone(&self.refused), socket.address.clone());
        match told {
            // It is there already, and stays.
            _ if once_more => {}
            Ok(told) => running.calls.push(Box::pin(async move {
                if !matches!(told.await, Ok(Ok(()))) {
                    refused.lock().unwrap().push_back((at, address));
                }
            })),
            Err(_) => refused.lock().unwrap().push_back((at, address)),
        }
        self.drive(socket.node);
    }

    fn come(&mut self, at: usize) {
        let Some(node) = self.some_node() else { return };
        self.sockets += 1;
        let address = format!("ws/{node}/s{}", self.sockets).parse().unwrap();
        let socket = Socket { node, address, silent: false };
        // Sockets that the client had before end some time.
        for old in self.seats[at].sockets.clone() {
            self.soon(self.core.random(8_000), Happening::Fade(at, old.address));
        }
        self.seats[at].sockets.push(socket.clone());
        self.joins += 1;
        self.enter(at, &socket, false);
    }

    pub(super) fn fade(&mut self, at: usize, address: &Address) {
        let sockets = &self.seats[at].sockets;
        if let Some(socket) = sockets.iter().find(|socket| socket.address == *address).cloned() {
            self.lose(at, &socket);
        }
    }

    pub(super) fn lose(&mut self, at: usize, socket: &Socket) {
        let last_seen = self.core.now() - self.core.random(2_000);
        self.seats[at].sockets.retain(|other| other.address != socket.address);
        self.leaves += 1;
        self.tell(at, socket, |keeper, channel, client, now| {
            keeper.lost(channel, client, &socket.address, last_seen, now);
        });
    }

    pub(super) fn leave(&mut self, at: usize, socket: &Socket) {
        self.seats[at].sockets.retain(|other| other.address != socket.address);
        self.leaves += 1;
        self.tell(at, socket, |keeper, channel, client, now| {
            keeper.left(channel, client, &socket.address, now);
        });
    }

    /// Silent or heard, whichever it was not.
    pub(super) fn hush(&mut self, at: usize, socket: &Socket) {
        let last_seen = self.core.now() - 4_000;
        let mut sockets = self.seats[at].sockets.iter_mut();
        let Some(own) = sockets.find(|own| own.address == socket.address) else { return };
        own.silent = !own.silent;
        let silent = own.silent;
        self.tell(at, socket, |keeper, channel, client, now| {
            if silent {
                keeper.silent(channel, client, &socket.address, last_seen, now);
            } else {
                keeper.heard(channel, client, &socket.address, now);
            }
        });
    }

    fn update(&mut self, at: usize, socket: &Socket) {
        if socket.silent {
            self.hush(at, socket);
        }
        let profile = self.profile();
        self.tell(at, socket, |keeper, channel, client, now| {
            keeper.updated(channel, client, &socket.address, |own| *own = profile, now);
        });
    }

    /// Something happens to somebody: mostly somebody comes or goes.
    pub(super) fn act(&mut self) {
        if self.core.random(20_000 / self.size.pace.max(1)) == 0 {
            self.trouble();
        }
        if self.core.random(400) == 0 {
            let channel = self.core.random(self.channels.len() as u64) as usize;
            self.follow(channel, self.core.random(FOLLOWERS as u64) as usize);
        }
        let at = self.core.random(self.seats.len() as u64) as usize;
        let Some(socket) = self.seats[at].sockets.last().cloned() else {
            self.come(at);
            return;
        };
        match self.core.random(16) {
            0..5 => self.leave(at, &socket),
            5..9 => self.lose(at, &socket),
            9..11 => self.come(at),
            11..13 => {
                self.lose(at, &socket);
                self.come(at);
            }
            13 => self.hush(at, &socket),
            14 => self.update(at, &socket),
            _ => self.enter(at, &socket, true),
        }
    }

    /// Something happens to a node, or to the store.
    fn trouble(&mut self) {
        let node = self.core.random(self.nodes.len() as u64) as usize;
        let Some(running) = &self.nodes[node] else { return };
        let (life, lease) = (running.life, running.lease.clone());
        match self.core.random(8) {
            0..3 => {
                self.end(node, false);
                // And perhaps whoever has just adopted from it.
                let next = self.core.random(2 * self.nodes.len() as u64) as usize;
                if next < self.nodes.len() {
                    let soon = 8_000 + self.core.random(14_000);
                    self.soon(soon, Happening::Strike(next));
                }
            }
            3 => self.end(node, true),
            4..6 => {
                if let Some(lease) = lease {
                    self.expire(&lease);
                    // Sooner or later, as one that was frozen.
                    let unaware = if self.core.random(3) == 0 { 20_000 } else { 3_000 };
                    self.soon(self.core.random(unaware), Happening::Notice(node, life));
                }
            }
            6 => self.core.outage(self.core.random(8_000)),
            _ => {
                // So long that all leases run out.
                self.core.outage(14_000);
                let running = self.nodes.iter().enumerate();
                let all: Vec<_> = running
                    .filter_map(|(at, node)| node.as_ref().map(|node| (at, node)))
                    .map(|(at, node)| (at, node.life, node.lease.clone()))
                    .collect();
                for (at, life, lease) in all {
                    if let Some(lease) = lease {
                        self.soon(10_000, Happening::Expire(lease));
                        self.soon(10_000, Happening::Notice(at, life));
                    }
                }
            }
        }
    }
}
