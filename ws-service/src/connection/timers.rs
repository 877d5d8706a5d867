//! The deadlines of one connection, of which the nearest one is kept in its shard's wheel.

use crate::clock::Moment;

/// What can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    /// A ping is to be sent, or the answer to one is missing.
    Heartbeat,
    /// Some socket is not confirmed yet.
    Confirm,
    /// A message was begun and is not finished.
    Fragment,
    /// The outbox made no progress.
    Stall,
    /// The peer did not end the connection after our close frame.
    Linger,
    /// The moment in the drain at which this connection is told to go.
    Reconnect,
    /// The end of the drain.
    Drain,
    /// A polling session is about to move to a WebSocket: its waiting request is let go, again and
    /// again, until it moved or the WebSocket is given up.
    Upgrade,
    /// The confirmation is to be renewed, or runs out.
    Renewal,
    /// The session gate's admission is to be renewed, or runs out.
    Admission,
    /// The peer may be silent for longer than some roster lets it.
    Silence,
}

impl Timer {
    /// All of them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Heartbeat,
        Self::Confirm,
        Self::Fragment,
        Self::Stall,
        Self::Linger,
        Self::Reconnect,
        Self::Drain,
        Self::Upgrade,
        Self::Renewal,
        Self::Admission,
        Self::Silence,
    ];
}

/// When each timer is due; the zero moment means "not set".
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: [Moment; Timer::ALL.len()],
}

impl Timers {
    /// Sets a timer, in place of what it was set to before.
    pub(crate) fn set(&mut self, timer: Timer, at: Moment) {
        self.due[timer as usize] = at;
    }

    /// Unsets a timer.
    pub(crate) fn clear(&mut self, timer: Timer) {
        self.due[timer as usize] = Moment::default();
    }

    /// When a timer is due, if it is set.
    pub(crate) fn get(&self, timer: Timer) -> Option<Moment> {
        let due = self.due[timer as usize];
        (due != Moment::default()).then_some(due)
    }

    /// Whether a timer is set.
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.get(timer).is_some()
    }

    /// The nearest deadline.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.due.iter().copied().filter(|due| *due != Moment::default()).min()
    }

    /// Unsets and returns a timer that is due at `now`, and when it was due. Call again until
    /// `None`.
    pub(crate) fn expired(&mut self, now: Moment) -> Option<(Timer, Moment)> {
        let timer = Timer::ALL.into_iter().find(|timer| {
            let due = self.due[*timer as usize];
            due != Moment::default() && due <= now
        })?;
        let due = self.due[timer as usize];
        self.clear(timer);
        Some((timer, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_timer_expires_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Heartbeat, Moment(20));
        timers.set(Timer::Confirm, Moment(10));
        timers.set(Timer::Linger, Moment(5));
        timers.clear(Timer::Linger);
        assert_eq!(timers.next(), Some(Moment(10)));
        assert_eq!(timers.expired(Moment(9)), None);
        assert_eq!(timers.expired(Moment(25)), Some((Timer::Heartbeat, Moment(20))));
        assert_eq!(timers.expired(Moment(25)), Some((Timer::Confirm, Moment(10))));
        assert_eq!(timers.expired(Moment(25)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn every_timer_has_its_own_place() {
        for (place, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, place);
        }
    }
}
