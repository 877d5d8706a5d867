//! From an event to its handler, and from the handler's result to the acknowledgement.

use std::{rc::Rc, sync::Arc};

use bytestring::ByteString;
use router_core::{
    Args, Message, RouteError,
    handler::Occasion,
    route::{
        Found, RouteId, Router,
        lanes::{Arrival, Lanes},
    },
};

use super::{
    Connection,
    effect::{Input, SocketKey},
    lifecycle,
    link::Notice,
};
use crate::shard::table::LocalSocket;

/// An admitted socket of this connection, with its events that run and wait.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) local: Rc<LocalSocket>,
    pub(super) lanes: Lanes<Ready>,
}

/// An event whose handler is known.
#[derive(Debug)]
pub(super) struct Ready {
    found: Found,
    id: Option<u64>,
    name: ByteString,
    args: Args,
}

impl Ready {
    /// Bytes that it keeps in memory.
    fn bytes(&self) -> usize {
        self.name.len() + self.args.len()
    }
}

impl Connection {
    /// An event came from an admitted socket.
    pub(super) fn event(&mut self, key: SocketKey, id: Option<u64>, name: ByteString, args: Args) {
        let shared = Arc::clone(&self.shard.shared);
        let metrics = &shared.services.metrics;
        metrics.events_in.inc();
        let Some(live) = self.sockets.iter_mut().find(|live| live.local.key == key) else { return };
        let refused = match shared.router.find_for(&name, &live.local.info) {
            None => Router::unknown_event(metrics),
            Some(found) => {
                let route = found.route;
                let ready = Ready { found, id, name, args };
                let (bytes, room) = (ready.bytes(), shared.rules.bounds.socket_queue);
                match live.lanes.arrive(route, ready, bytes, room) {
                    Arrival::Start(ready) => return self.run(key, route, ready),
                    Arrival::Waits => return self.shard.hold_events(&self.link, bytes),
                    Arrival::Refused(_) => {
                        metrics.limit("socket_queue");
                        RouteError::overloaded(1_000)
                    }
                    Arrival::RefusedBytes(_) => {
                        metrics.limit("socket_queue_bytes");
                        RouteError::overloaded(1_000)
                    }
                }
            }
        };
        self.step(Input::Finished { key, id, result: Err(refused) });
    }

    /// Runs a handler as a task of its own: it may finish also when its connection is gone.
    fn run(&mut self, key: SocketKey, route: RouteId, ready: Ready) {
        let Some(live) = self.sockets.iter().find(|live| live.local.key == key) else { return };
        let shared = &self.shard.shared;
        let info = &live.local.info;
        let Ready { found, id, name, args } = ready;
        let message = Message {
            occasion: Occasion::Event,
            event: name,
            args,
            origin: info.address.clone(),
            socket: Some(lifecycle::handle(shared, info)),
            services: Arc::clone(&shared.services),
        };
        self.running += 1;
        let (shared, link) = (Arc::clone(shared), Rc::clone(&self.link));
        let work = self.open.work();
        actix_rt::spawn(async move {
            let result = shared.router.run(found, message).await;
            link.notify(Notice::Finished { key, route, id, result });
            // A drain waits for it, also when its connection is gone.
            drop(work);
        });
    }

    /// A handler finished: its acknowledgement goes out, and what waited for it begins.
    pub(super) fn finished(
        &mut self,
        key: SocketKey,
        route: RouteId,
        id: Option<u64>,
        result: Result<Args, RouteError>,
    ) {
        self.running -= 1;
        self.shard.catch_up();
        self.step(Input::Finished { key, id, result });
        if let Some(live) = self.sockets.iter_mut().find(|live| live.local.key == key) {
            live.lanes.finished(route);
        }
        loop {
            let live = self.sockets.iter_mut().find(|live| live.local.key == key);
            let Some((route, ready)) = live.and_then(|live| live.lanes.next_start()) else { break };
            self.shard.release_events(&self.link, ready.bytes());
            self.run(key, route, ready);
        }
        if self.running == 0 {
            self.step(Input::Idle);
        }
    }
}
