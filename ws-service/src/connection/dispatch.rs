//! From an event to its handler, and from the handler's result to the acknowledgement.
//!
//! A handler is begun on the spot, in the connection's own round: most end before they wait for
//! anything, and cost no task.

use std::{rc::Rc, sync::Arc};

use bytestring::ByteString;
use futures_util::future::LocalBoxFuture;
use router_core::{
    Args, Message, RouteError,
    handler::Occasion,
    route::{
        Begun, Found, RouteId, Router,
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

/// Handlers that are begun on the spot in one round of a connection. Those beyond are tasks from their
/// start, so that the other connections of the thread have their turn between them.
const ON_THE_SPOT: u32 = 16;

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
        let shared = &self.shard.shared;
        let metrics = &shared.services.metrics;
        metrics.events_in.inc();
        let Some(live) = self.sockets.iter_mut().find(|live| live.local.key == key) else { return };
        let refused = match shared.router.find_for(&name, &live.local.info) {
            None => Router::unknown_event(metrics),
            Some(found) => {
                let route = found.route();
                let ready = Ready { found, id, name, args };
                let (bytes, room) = (ready.bytes(), shared.rules.bounds.socket_queue);
                match live.lanes.arrive(route, ready, bytes, room) {
                    Arrival::Start(ready) => return self.run(key, Some((route, ready))),
                    Arrival::Waits => {
                        if live.lanes.is_crowded(room) {
                            metrics.limit("socket_in_flight");
                        }
                        return self.shard.hold_events(&self.link, bytes);
                    }
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

    /// Runs a handler, and those that it kept waiting.
    fn run(&mut self, key: SocketKey, mut next: Option<(RouteId, Ready)>) {
        while let Some((route, ready)) = next {
            let id = ready.id;
            if let Some(result) = self.begin(key, route, ready) {
                self.end_one(key, route, id, result);
            }
            next = self.next_start(key);
        }
        if self.running == 0 && self.protocol.is_draining() {
            self.step(Input::Idle);
        }
    }

    /// Begins a handler. `None` if it goes on as a task of its own: it may finish also when its
    /// connection is gone.
    fn begin(
        &mut self,
        key: SocketKey,
        route: RouteId,
        ready: Ready,
    ) -> Option<Result<Args, RouteError>> {
        let live = self.sockets.iter().find(|live| live.local.key == key)?;
        let shared = &self.shard.shared;
        let Ready { found, id, name, args } = ready;
        let socket = lifecycle::handle(shared, &live.local.info);
        let message = Message::of(&shared.services, socket, Occasion::Event, name, args);
        self.running += 1;
        let running: LocalBoxFuture<'static, _> = if self.begun < ON_THE_SPOT {
            self.begun += 1;
            // Nothing of the connection or the shard is borrowed here.
            match shared.router.begin(found, message) {
                Begun::Ended(result) => return Some(result),
                Begun::Runs(running) => running,
            }
        } else {
            let router = Arc::clone(&shared.router);
            Box::pin(async move { router.run(found, message).await })
        };
        let (link, work) = (Rc::clone(&self.link), self.open.work());
        actix_rt::spawn(async move {
            let result = running.await;
            link.notify(Notice::Finished { key, route, id, result });
            // A drain waits for it, also when its connection is gone.
            drop(work);
        });
        None
    }

    /// A handler finished: its acknowledgement goes out, and what waited for it begins.
    pub(super) fn finished(
        &mut self,
        key: SocketKey,
        route: RouteId,
        id: Option<u64>,
        result: Result<Args, RouteError>,
    ) {
        self.end_one(key, route, id, result);
        let next = self.next_start(key);
        self.run(key, next);
    }

    fn end_one(
        &mut self,
        key: SocketKey,
        route: RouteId,
        id: Option<u64>,
        result: Result<Args, RouteError>,
    ) {
        self.running -= 1;
        // What it emitted leaves before its acknowledgement.
        self.shard.catch_up();
        self.step(Input::Finished { key, id, result });
        if let Some(live) = self.sockets.iter_mut().find(|live| live.local.key == key) {
            live.lanes.finished(route);
        }
    }

    /// The next event of a socket that may start.
    fn next_start(&mut self, key: SocketKey) -> Option<(RouteId, Ready)> {
        let room = self.shard.shared.rules.bounds.socket_queue;
        let live = self.sockets.iter_mut().find(|live| live.local.key == key)?;
        let (route, ready) = live.lanes.next_start(room)?;
        self.shard.release_events(&self.link, ready.bytes());
        Some((route, ready))
    }
}
