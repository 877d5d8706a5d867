//! The order of one socket's events: they start as they came, and one at a time on each route.
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
    waiting: VecDeque<(RouteId, E)>,
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
}

impl<E> Default for Lanes<E> {
    fn default() -> Self {
        Self { running: Vec::new(), waiting: VecDeque::new() }
    }
}

impl<E> Lanes<E> {
    /// An event came for `route`; at most `max` may wait.
    pub fn arrive(&mut self, route: RouteId, event: E, max: usize) -> Arrival<E> {
        if self.waiting.is_empty() && self.begin(route) {
            return Arrival::Start(event);
        }
        if self.waiting.len() >= max {
            return Arrival::Refused(event);
        }
        self.waiting.push_back((route, event));
        Arrival::Waits
    }

    /// An event of `route` finished: the next event that may start now. Call again until `None`.
    pub fn finished(&mut self, route: RouteId) {
        if let Some(at) = self.running.iter().position(|running| *running == route) {
            self.running.swap_remove(at);
        }
    }

    /// The next waiting event, if it may start now.
    pub fn next_start(&mut self) -> Option<(RouteId, E)> {
        let (route, _) = self.waiting.front()?;
        let route = *route;
        if !self.begin(route) {
            return None;
        }
        let next = self.waiting.pop_front();
        if self.waiting.is_empty() {
            // An idle socket holds no queue.
            self.waiting = VecDeque::new();
        }
        next
    }

    /// Whether nothing runs or waits.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    fn begin(&mut self, route: RouteId) -> bool {
        if route.is_concurrent() {
            return true;
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

    #[test]
    fn events_start_in_order_and_one_at_a_time_on_each_route() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.arrive(A, 1, 10), Arrival::Start(1));
        assert_eq!(lanes.arrive(B, 2, 10), Arrival::Start(2));
        assert_eq!(lanes.arrive(A, 3, 10), Arrival::Waits);
        // Behind an event that waits, also a free route waits: the order of starts is kept.
        assert_eq!(lanes.arrive(FREE, 4, 10), Arrival::Waits);
        lanes.finished(B);
        assert_eq!(lanes.next_start(), None);
        lanes.finished(A);
        assert_eq!(lanes.next_start(), Some((A, 3)));
        assert_eq!(lanes.next_start(), Some((FREE, 4)));
        assert_eq!(lanes.next_start(), None);
        lanes.finished(A);
        assert!(lanes.is_idle());
    }

    #[test]
    fn a_route_that_opted_out_runs_several_at_once() {
        let mut lanes = Lanes::default();
        for n in 0..3 {
            assert_eq!(lanes.arrive(FREE, n, 0), Arrival::Start(n));
        }
    }

    #[test]
    fn events_beyond_the_bound_are_refused() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.arrive(A, 1, 1), Arrival::Start(1));
        assert_eq!(lanes.arrive(A, 2, 1), Arrival::Waits);
        assert_eq!(lanes.arrive(B, 3, 1), Arrival::Refused(3));
    }
}
