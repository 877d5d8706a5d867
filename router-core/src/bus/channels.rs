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
    interest::{Interest, Serial, Stage, Want},
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
        let refused = || BackendError::new(BackendErrorKind::NotApplied);
        let mut want = shared.channels.interest().want(&channel);
        let wanted = Self { shared: Arc::clone(shared), channel, serial: want.serial() };
        loop {
            let mut stage = match want {
                Want::Subscribe(_) => {
                    wanted.subscribe().await?;
                    return Ok(wanted);
                }
                Want::Wait(_, stage) => stage,
            };
            let stage = stage.wait_for(|stage| *stage != Stage::Asked).await.map(|stage| *stage);
            match stage {
                Ok(Stage::Confirmed) => return Ok(wanted),
                Ok(Stage::Orphaned) => {
                    let interest = shared.channels.interest();
                    want =
                        interest.take_over(&wanted.channel, wanted.serial).ok_or_else(refused)?;
                }
                Ok(Stage::Asked | Stage::Refused) | Err(_) => return Err(refused()),
            }
        }
    }

    /// Asks the bus, for all who want the channel.
    async fn subscribe(&self) -> Result<(), BackendError> {
        let mut answer = Answer { wanted: self, outcome: None };
        let _not_left_now = self.shared.channels.leaving.read().await;
        let outcome = self.shared.link().subscribe(Subject::Channel(self.channel.clone())).await;
        answer.outcome = Some(outcome.is_ok());
        outcome
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
    /// `None` until the bus has answered.
    outcome: Option<bool>,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let Wanted { shared, channel, serial } = self.wanted;
        let mut interest = shared.channels.interest();
        match self.outcome {
            Some(confirmed) => interest.answered(channel, *serial, confirmed),
            None => interest.given_up(channel, *serial),
        }
    }
}
