//! The order of one socket's events: they start as they came, one at a time on each route, or several
//! at once where a route allows it.
//!
//! A plain state machine. An event that came first starts first, whatever its route: if the head's
//! route is busy, those behind it wait too.

use std::collections::VecDeque;

use super::RouteId;

/// One socket's events that run and wait.
#[derive(Debug)]
pub struct Lanes<E> {
    /// Routes of which an event runs; few, so a list is faster than a map.
    running: Vec<RouteId>,
    /// How many run of those that may run at once.
    concurrent: usize,
    waiting: VecDeque<Waiting<E>>,
    /// Of all that wait.
    bytes: usize,
}

#[derive(Debug)]
struct Waiting<E> {
    route: RouteId,
    bytes: usize,
    event: E,
}

/// How much may run and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Events that run at once, where their routes allow that. Those beyond wait.
    pub at_once: usize,
    /// Events that wait.
    pub events: usize,
    /// Bytes of all of them together. One event alone may be larger, since it could never be run
    /// otherwise.
    pub bytes: usize,
}

/// What becomes of an event that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<E> {
    /// It starts now.
    Start(E),
    /// It waits for its turn.
    Waits,
    /// Too many wait already.
    Refused(E),
    /// Those that wait hold too many bytes.
    RefusedBytes(E),
}

impl<E> Default for Lanes<E> {
    fn default() -> Self {
        Self { running: Vec::new(), concurrent: 0, waiting: VecDeque::new(), bytes: 0 }
    }
}

impl<E> Lanes<E> {
    /// An event that holds `bytes` came for `route`; there is `room` for those that wait.
    pub fn arrive(&mut self, route: RouteId, event: E, bytes: usize, room: Room) -> Arrival<E> {
        if self.waiting.is_empty() && self.begin(route, room) {
            return Arrival::Start(event);
        }
        if self.waiting.len() >= room.events {
            return Arrival::Refused(event);
        }
        if !self.waiting.is_empty() && self.bytes.saturating_add(bytes) > room.bytes {
            return Arrival::RefusedBytes(event);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.waiting.push_back(Waiting { route, bytes, event });
        Arrival::Waits
    }

    /// An event of `route` finished; [`next_start`](Self::next_start) has those that may start now.
    pub fn finished(&mut self, route: RouteId) {
        if route.is_concurrent() {
            self.concurrent = self.concurrent.saturating_sub(1);
        } else if let Some(at) = self.running.iter().position(|running| *running == route) {
            self.running.swap_remove(at);
        }
    }

    /// The next waiting event, if it may start now. Call again until `None`.
    pub fn next_start(&mut self, room: Room) -> Option<(RouteId, E)> {
        let route = self.waiting.front()?.route;
        if !self.begin(route, room) {
            return None;
        }
        let Waiting { route, bytes, event } = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.waiting.is_empty() {
            // An idle socket holds no queue.
            self.waiting = VecDeque::new();
        }
        Some((route, event))
    }

    /// Bytes of the events that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing runs or waits.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.concurrent == 0 && self.waiting.is_empty()
    }

    /// Whether as many run at once as may.
    pub fn is_crowded(&self, room: Room) -> bool {
        self.concurrent >= room.at_once
    }

    fn begin(&mut self, route: RouteId, room: Room) -> bool {
        if route.is_concurrent() {
            let begins = !self.is_crowded(room);
            self.concurrent += usize::from(begins);
            return begins;
        }
        if self.running.contains(&route) {
            return false;
        }
        self.running.push(route);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RouteId = RouteId::new(0, false);
    const B: RouteId = RouteId::new(1, false);
    const FREE: RouteId = RouteId::new(2, true);
    const WIDE: Room = Room { at_once: 10, events: 10, bytes: 10 };

    #[test]
    fn events_start_in_order_and_one_at_a_time_on_each_route() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.arrive(A, 1, 1, WIDE), Arrival::Start(1));
        assert_eq!(lanes.arrive(B, 2, 1, WIDE), Arrival::Start(2));
        assert_eq!(lanes.arrive(A, 3, 1, WIDE), Arrival::Waits);
        // Behind an event that waits, also a free route waits: the order of starts is kept.
        assert_eq!(lanes.arrive(FREE, 4, 1, WIDE), Arrival::Waits);
        lanes.finished(B);
        assert_eq!(lanes.next_start(WIDE), None);
        lanes.finished(A);
        assert_eq!(lanes.next_start(WIDE), Some((A, 3)));
        assert_eq!(lanes.next_start(WIDE), Some((FREE, 4)));
        assert_eq!(lanes.next_start(WIDE), None);
        lanes.finished(A);
        lanes.finished(FREE);
        assert!(lanes.is_idle());
    }

    #[test]
    fn a_route_that_opted_out_runs_several_at_once_up_to_the_bound() {
        let mut lanes = Lanes::default();
        let room = Room { at_once: 3, ..WIDE };
        for n in 0..3 {
            assert_eq!(lanes.arrive(FREE, n, 1, room), Arrival::Start(n));
        }
        assert!(lanes.is_crowded(room));
        assert_eq!(lanes.arrive(FREE, 3, 1, room), Arrival::Waits);
        assert_eq!(lanes.next_start(room), None);
        lanes.finished(FREE);
        assert_eq!(lanes.next_start(room), Some((FREE, 3)));
        (0..3).for_each(|_| lanes.finished(FREE));
        assert!(lanes.is_idle());
    }

    #[test]
    fn events_beyond_the_bound_are_refused() {
        let mut lanes = Lanes::default();
        let room = Room { events: 1, ..WIDE };
        assert_eq!(lanes.arrive(A, 1, 1, room), Arrival::Start(1));
        assert_eq!(lanes.arrive(A, 2, 1, room), Arrival::Waits);
        assert_eq!(lanes.arrive(B, 3, 1, room), Arrival::Refused(3));
    }

    #[test]
    fn waiting_events_are_bounded_by_their_bytes_too() {
        let mut lanes = Lanes::default();
        // What runs does not wait.
        assert_eq!(lanes.arrive(A, 1, 1_000, WIDE), Arrival::Start(1));
        assert_eq!(lanes.arrive(A, 2, 7, WIDE), Arrival::Waits);
        assert_eq!(lanes.arrive(A, 3, 4, WIDE), Arrival::RefusedBytes(3));
        assert_eq!(lanes.arrive(A, 4, 3, WIDE), Arrival::Waits);
        assert_eq!(lanes.waiting_bytes(), 10);
        lanes.finished(A);
        assert_eq!(lanes.next_start(WIDE), Some((A, 2)));
        assert_eq!(lanes.waiting_bytes(), 3);
        lanes.finished(A);
        assert_eq!(lanes.next_start(WIDE), Some((A, 4)));
        assert_eq!(lanes.waiting_bytes(), 0);
        // One that is alone waits whatever its size.
        assert_eq!(lanes.arrive(A, 5, 1_000, WIDE), Arrival::Waits);
        assert_eq!(lanes.arrive(A, 6, 0, WIDE), Arrival::RefusedBytes(6));
    }
}
