//! Which channels a node listens to: those that something on it wants, and no others.
//!
//! [`Interest`] is the plain state machine: it counts who wants a channel, says when to subscribe and
//! when to stop, and keeps a channel for a grace period after the last one left, so that somebody who
//! reloads a page does not cost two calls. [`Channels`] is the shell that does what it says.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytestring::ByteString;
use tokio::{sync::watch, time::Instant};

use crate::backend::{
    BackendError,
    bus::{BusLink, Subject},
};

/// How long a channel is kept after the last one left.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The state of one channel.
#[derive(Debug)]
struct Wanted {
    count: usize,
    /// `Some(outcome)` once the bus has answered; those who came meanwhile wait for it.
    confirmed: watch::Sender<Option<bool>>,
    /// When the last one left.
    idle_since: Option<Instant>,
}

/// What somebody who wants a channel has to do.
#[derive(Debug)]
pub(crate) enum Want {
    /// Subscribe, and tell the outcome by [`Interest::answered`].
    Subscribe,
    /// Wait for the outcome of someone else's subscription; it may be there already.
    Wait(watch::Receiver<Option<bool>>),
}

/// Who wants which channel.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    channels: HashMap<ByteString, Wanted>,
}

impl Interest {
    /// One more wants `channel`.
    pub(crate) fn want(&mut self, channel: &ByteString) -> Want {
        if let Some(wanted) = self.channels.get_mut(channel) {
            wanted.count += 1;
            wanted.idle_since = None;
            return Want::Wait(wanted.confirmed.subscribe());
        }
        let wanted = Wanted { count: 1, confirmed: watch::Sender::new(None), idle_since: None };
        self.channels.insert(channel.clone(), wanted);
        Want::Subscribe
    }

    /// The bus confirmed a subscription, or did not: then all who wanted it hear so, and nobody
    /// wants it any more.
    pub(crate) fn answered(&mut self, channel: &ByteString, confirmed: bool) {
        if let Some(wanted) = self.channels.get(channel) {
            wanted.confirmed.send_replace(Some(confirmed));
            if !confirmed {
                self.channels.remove(channel);
            }
        }
    }

    /// One fewer wants `channel`.
    pub(crate) fn leave(&mut self, channel: &str, now: Instant) {
        if let Some(wanted) = self.channels.get_mut(channel) {
            wanted.count = wanted.count.saturating_sub(1);
            if wanted.count == 0 {
                wanted.idle_since = Some(now);
            }
        }
    }

    /// The channels that nobody has wanted for the grace period; they are forgotten.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<ByteString> {
        let idle = |wanted: &Wanted| {
            let since = wanted.idle_since.filter(|_| wanted.confirmed.borrow().is_some());
            since.is_some_and(|since| now >= since + GRACE)
        };
        let gone: Vec<ByteString> = self
            .channels
            .iter()
            .filter(|(_, wanted)| idle(wanted))
            .map(|(channel, _)| channel.clone())
            .collect();
        for channel in &gone {
            self.channels.remove(channel);
        }
        gone
    }

    fn len(&self) -> usize {
        self.channels.len()
    }
}

/// The channels of a node.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    interest: Mutex<Interest>,
}

impl Channels {
    fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants a channel; returns when the bus has confirmed that the node listens to it.
    ///
    /// # Errors
    /// When the bus did not confirm. Nothing is wanted then.
    pub(crate) async fn want(
        &self,
        link: &dyn BusLink,
        channel: &ByteString,
    ) -> Result<(), BackendError> {
        let want = self.interest().want(channel);
        match want {
            Want::Subscribe => {
                // If this future is dropped meanwhile, the others hear a refusal and try again.
                let mut answer = Answer { channels: self, channel, confirmed: false };
                link.subscribe(Subject::Channel(channel.clone())).await?;
                answer.confirmed = true;
                Ok(())
            }
            Want::Wait(mut outcome) => match outcome.wait_for(Option::is_some).await {
                Ok(confirmed) if *confirmed == Some(true) => Ok(()),
                _ => Err(BackendError::new(crate::backend::BackendErrorKind::NotApplied)),
            },
        }
    }

    /// Wants a channel no longer.
    pub(crate) fn leave(&self, channel: &str) {
        self.interest().leave(channel, Instant::now());
    }

    /// Stops listening to what nobody has wanted for a while.
    pub(crate) async fn sweep(&self, link: &dyn BusLink) {
        let gone = self.interest().sweep(Instant::now());
        for channel in gone {
            if let Err(error) = link.unsubscribe(Subject::Channel(channel)).await {
                tracing::debug!(%error, "a channel was not left; what comes on it is dropped");
            }
        }
    }

    /// How many channels the node listens to.
    pub(crate) fn count(&self) -> usize {
        self.interest().len()
    }
}

/// Tells the outcome of a subscription, also when it was given up.
struct Answer<'a> {
    channels: &'a Channels,
    channel: &'a ByteString,
    confirmed: bool,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.channels.interest().answered(self.channel, self.confirmed);
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
        assert!(matches!(interest.want(&room), Want::Subscribe));
        let Want::Wait(waiting) = interest.want(&room) else { panic!("waits") };
        assert_eq!(*waiting.borrow(), None);
        interest.answered(&room, true);
        assert_eq!(*waiting.borrow(), Some(true));

        let now = Instant::now();
        interest.leave("room", now);
        assert!(interest.sweep(now + GRACE).is_empty());
        interest.leave("room", now);
        assert!(interest.sweep(now + GRACE - Duration::from_millis(1)).is_empty());
        assert_eq!(interest.sweep(now + GRACE), [room.clone()]);
        assert!(matches!(interest.want(&room), Want::Subscribe));
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_comes_back_within_the_grace_costs_nothing() {
        let mut interest = Interest::default();
        let room = name("room");
        interest.want(&room);
        interest.answered(&room, true);
        let now = Instant::now();
        interest.leave("room", now);
        assert!(matches!(interest.want(&room), Want::Wait(_)));
        assert!(interest.sweep(now + 2 * GRACE).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_subscription_is_told_to_all_and_tried_anew() {
        let mut interest = Interest::default();
        let room = name("room");
        interest.want(&room);
        let Want::Wait(waiting) = interest.want(&room) else { panic!("waits") };
        interest.answered(&room, false);
        assert_eq!(*waiting.borrow(), Some(false));
        assert_eq!(interest.len(), 0);
        assert!(matches!(interest.want(&room), Want::Subscribe));
    }
}
