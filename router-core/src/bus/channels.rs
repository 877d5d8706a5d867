//! The channels of a node: subscribes where somebody wants one, and stops some time after the last.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytestring::ByteString;
use futures_util::future::join_all;
use tokio::{sync::RwLock, time::Instant};

use super::{
    Shared,
    interest::{Interest, Serial, Want},
};
use crate::backend::{
    BackendError, BackendErrorKind,
    bus::{BusLink, Subject},
};

/// How often it is looked whether a channel is to be left.
const SWEEP: Duration = Duration::from_secs(1);

/// The channels of a node.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    interest: Mutex<Interest>,
    /// Held to write while channels are left, to read while one is subscribed to: so the link never
    /// hears "leave" after the "subscribe" of somebody who came meanwhile.
    leaving: RwLock<()>,
}

/// The node listens to a channel for as long as this lives, and some time more.
#[derive(Debug)]
pub struct Wanted {
    shared: Arc<Shared>,
    channel: ByteString,
    serial: Serial,
}

impl Wanted {
    /// Wants a channel; returns when the bus has confirmed that the node listens to it: what anyone
    /// says there from then on arrives.
    ///
    /// # Errors
    /// When the bus did not confirm. Nothing is wanted then.
    pub(super) async fn new(
        shared: &Arc<Shared>,
        channel: ByteString,
    ) -> Result<Self, BackendError> {
        let want = shared.channels.interest().want(&channel);
        let wanted = Self { shared: Arc::clone(shared), channel, serial: want.serial() };
        match want {
            Want::Subscribe(_) => {
                // If this future is dropped meanwhile, the others hear a refusal and try again.
                let mut answer = Answer { wanted: &wanted, confirmed: false };
                let _not_left_now = shared.channels.leaving.read().await;
                let subject = Subject::Channel(wanted.channel.clone());
                shared.link().subscribe(subject).await?;
                answer.confirmed = true;
            }
            Want::Wait(_, mut outcome) => {
                let confirmed = outcome.wait_for(Option::is_some).await;
                if !confirmed.is_ok_and(|confirmed| *confirmed == Some(true)) {
                    return Err(BackendError::new(BackendErrorKind::NotApplied));
                }
            }
        }
        Ok(wanted)
    }
}

impl Clone for Wanted {
    fn clone(&self) -> Self {
        // It is wanted now, so there is nothing to wait for.
        let serial = self.shared.channels.interest().want(&self.channel).serial();
        Self { shared: Arc::clone(&self.shared), channel: self.channel.clone(), serial }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let now = Instant::now();
        self.shared.channels.interest().leave(&self.channel, self.serial, now);
    }
}

impl Channels {
    fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops listening to what nobody has wanted for a while.
    pub(crate) async fn sweep(&self, link: &dyn BusLink) {
        if !self.interest().is_to_sweep(Instant::now()) {
            return;
        }
        let _nobody_subscribes = self.leaving.write().await;
        let gone = self.interest().sweep(Instant::now());
        let left = gone.into_iter().map(|channel| link.unsubscribe(Subject::Channel(channel)));
        for outcome in join_all(left).await {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a channel was not left; what comes on it is dropped");
            }
        }
    }

    /// How many channels the node listens to.
    pub(crate) fn count(&self) -> usize {
        self.interest().len()
    }
}

/// Sweeps until it is dropped.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        shared.channels.sweep(shared.link()).await;
        let count = i64::try_from(shared.channels.count()).unwrap_or(i64::MAX);
        shared.metrics.channels.set(count);
    }
}

/// Tells the outcome of a subscription, also when it was given up.
struct Answer<'a> {
    wanted: &'a Wanted,
    confirmed: bool,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let Wanted { shared, channel, serial } = self.wanted;
        shared.channels.interest().answered(channel, *serial, self.confirmed);
    }
}
