//! Which channels a node listens to: those that something on it wants, and no others.
//!
//! [`Interest`] is the plain state machine: it counts who wants a channel, says when to subscribe and
//! when to stop, and keeps a channel for a grace period after the last one left, so that somebody who
//! reloads a page does not cost two calls. [`Channels`](super::channels::Channels) does what it says.

use std::{collections::HashMap, time::Duration};

use bytestring::ByteString;
use tokio::{sync::watch, time::Instant};

/// How long a channel is kept after the last one left.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Tells one subscription of a channel from a later one.
pub(super) type Serial = u64;

/// How far a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Somebody asks the bus.
    Asked,
    /// Who asked gave up before the answer; the next one who wants it asks.
    Orphaned,
    /// The bus confirmed it.
    Confirmed,
    /// It did not.
    Refused,
}

/// The state of one channel.
#[derive(Debug)]
struct Wanted {
    serial: Serial,
    count: usize,
    /// Those who came while the bus is asked wait for its answer.
    stage: watch::Sender<Stage>,
    /// When the last one left.
    idle_since: Option<Instant>,
}

impl Wanted {
    /// What one more has to do.
    fn again(&self) -> Want {
        let mut asks = false;
        self.stage.send_if_modified(|stage| {
            asks = *stage == Stage::Orphaned;
            if asks {
                *stage = Stage::Asked;
            }
            asks
        });
        if asks {
            return Want::Subscribe(self.serial);
        }
        Want::Wait(self.serial, self.stage.subscribe())
    }

    /// Whether the grace after the last one is over.
    fn is_over(&self, now: Instant) -> bool {
        let since = self.idle_since.filter(|_| *self.stage.borrow() != Stage::Asked);
        since.is_some_and(|since| now >= since + GRACE)
    }
}

/// What somebody who wants a channel has to do.
#[derive(Debug)]
pub(super) enum Want {
    /// Subscribe, and tell the outcome by [`Interest::answered`].
    Subscribe(Serial),
    /// Wait for the outcome of someone else's subscription; it may be there already. If that one gives
    /// up, ask again by [`Interest::take_over`].
    Wait(Serial, watch::Receiver<Stage>),
}

impl Want {
    /// The subscription that it is about.
    pub(super) fn serial(&self) -> Serial {
        match self {
            Self::Subscribe(serial) | Self::Wait(serial, _) => *serial,
        }
    }
}

/// Who wants which channel.
#[derive(Debug, Default)]
pub(super) struct Interest {
    channels: HashMap<ByteString, Wanted>,
    last_serial: Serial,
    /// Channels whose subscription was not confirmed; the link may go on trying.
    unanswered: Vec<ByteString>,
}

impl Interest {
    /// One more wants `channel`.
    pub(super) fn want(&mut self, channel: &ByteString) -> Want {
        if let Some(wanted) = self.channels.get_mut(channel) {
            wanted.count += 1;
            wanted.idle_since = None;
            return wanted.again();
        }
        self.last_serial += 1;
        let serial = self.last_serial;
        let stage = watch::Sender::new(Stage::Asked);
        let wanted = Wanted { serial, count: 1, stage, idle_since: None };
        self.channels.insert(channel.clone(), wanted);
        Want::Subscribe(serial)
    }

    /// The bus confirmed a subscription, or did not: then all who wanted it hear so, and nobody
    /// wants it any more.
    pub(super) fn answered(&mut self, channel: &ByteString, serial: Serial, confirmed: bool) {
        if let Some(wanted) = self.current(channel, serial) {
            let stage = if confirmed { Stage::Confirmed } else { Stage::Refused };
            wanted.stage.send_replace(stage);
            if !confirmed {
                self.channels.remove(channel);
                self.unanswered.push(channel.clone());
            }
        }
    }

    /// Who asked the bus gave up before it answered: one of those who wait asks in its place.
    pub(super) fn given_up(&self, channel: &ByteString, serial: Serial) {
        if let Some(wanted) = self.current(channel, serial) {
            wanted.stage.send_replace(Stage::Orphaned);
        }
    }

    /// Somebody who waited found that who asked gave up. `None` if the subscription is no more.
    pub(super) fn take_over(&self, channel: &ByteString, serial: Serial) -> Option<Want> {
        self.current(channel, serial).map(Wanted::again)
    }

    /// The subscription of this number, unless it is no more.
    fn current(&self, channel: &ByteString, serial: Serial) -> Option<&Wanted> {
        self.channels.get(channel).filter(|wanted| wanted.serial == serial)
    }

    /// One fewer wants `channel`. What a refused subscription left behind counts for no later one.
    pub(super) fn leave(&mut self, channel: &str, serial: Serial, now: Instant) {
        if let Some(wanted) = self.channels.get_mut(channel)
            && wanted.serial == serial
        {
            wanted.count = wanted.count.saturating_sub(1);
            if wanted.count == 0 {
                wanted.idle_since = Some(now);
            }
        }
    }

    /// The channels that nobody has wanted for the grace period; they are forgotten.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<ByteString> {
        let mut gone = std::mem::take(&mut self.unanswered);
        gone.retain(|channel| !self.channels.contains_key(channel));
        let idle = self.channels.extract_if(|_, wanted| wanted.is_over(now));
        gone.extend(idle.map(|(channel, _)| channel));
        gone
    }

    /// Whether [`sweep`](Self::sweep) would find anything.
    pub(super) fn is_to_sweep(&self, now: Instant) -> bool {
        !self.unanswered.is_empty() || self.channels.values().any(|wanted| wanted.is_over(now))
    }

    /// How many channels there are.
    pub(super) fn len(&self) -> usize {
        self.channels.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &'static str) -> ByteString {
        ByteString::from_static(text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_is_subscribed_once_and_left_after_the_last_one_and_a_grace() {
        let mut interest = Interest::default();
        let room = name("room");
        let Want::Subscribe(serial) = interest.want(&room) else { panic!("subscribes") };
        let Want::Wait(_, waiting) = interest.want(&room) else { panic!("waits") };
        assert_eq!(*waiting.borrow(), Stage::Asked);
        interest.answered(&room, serial, true);
        assert_eq!(*waiting.borrow(), Stage::Confirmed);

        let now = Instant::now();
        interest.leave("room", serial, now);
        assert!(interest.sweep(now + GRACE).is_empty());
        interest.leave("room", serial, now);
        assert!(interest.sweep(now + GRACE - Duration::from_millis(1)).is_empty());
        assert_eq!(interest.sweep(now + GRACE), std::slice::from_ref(&room));
        assert!(matches!(interest.want(&room), Want::Subscribe(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_comes_back_within_the_grace_costs_nothing() {
        let mut interest = Interest::default();
        let room = name("room");
        let serial = interest.want(&room).serial();
        interest.answered(&room, serial, true);
        let now = Instant::now();
        interest.leave("room", serial, now);
        assert!(matches!(interest.want(&room), Want::Wait(..)));
        assert!(interest.sweep(now + 2 * GRACE).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_subscription_is_told_to_all_and_tried_anew() {
        let mut interest = Interest::default();
        let room = name("room");
        let first = interest.want(&room).serial();
        let Want::Wait(_, waiting) = interest.want(&room) else { panic!("waits") };
        interest.answered(&room, first, false);
        assert_eq!(*waiting.borrow(), Stage::Refused);
        assert_eq!(interest.len(), 0);
        assert!(matches!(interest.want(&room), Want::Subscribe(_)));
        // Who was refused leaves, and that does not touch the new subscription.
        let now = Instant::now();
        interest.leave("room", first, now);
        assert!(interest.sweep(now + GRACE).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_was_never_confirmed_is_given_up() {
        let mut interest = Interest::default();
        let room = name("room");
        let serial = interest.want(&room).serial();
        interest.answered(&room, serial, false);
        assert_eq!(interest.sweep(Instant::now()), [room]);
        assert!(interest.sweep(Instant::now()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_before_the_answer_is_followed_by_one_who_waits() {
        let mut interest = Interest::default();
        let room = name("room");
        let first = interest.want(&room).serial();
        let Want::Wait(serial, waiting) = interest.want(&room) else { panic!("waits") };
        interest.given_up(&room, first);
        interest.leave("room", first, Instant::now());
        assert_eq!(*waiting.borrow(), Stage::Orphaned);
        // One takes over, and whoever comes then waits for it.
        assert!(matches!(interest.take_over(&room, serial), Some(Want::Subscribe(_))));
        assert!(matches!(interest.take_over(&room, serial), Some(Want::Wait(..))));
        assert!(matches!(interest.want(&room), Want::Wait(..)));
        interest.answered(&room, serial, true);
        assert_eq!(*waiting.borrow(), Stage::Confirmed);
        // Where nobody waited, it is left after its grace as any other.
        let alone = name("alone");
        let serial = interest.want(&alone).serial();
        interest.given_up(&alone, serial);
        let now = Instant::now();
        interest.leave("alone", serial, now);
        assert_eq!(interest.sweep(now + GRACE), [alone]);
    }
}
