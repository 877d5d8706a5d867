//! A link that listens to itself: what it publishes must come back.
//!
//! A broken subscription makes no error by itself; only a message that does not arrive tells.

use std::{sync::Arc, time::Duration};

use crate::{
    args::Args,
    backend::bus::Subject,
    bus::Shared,
    envelope::{Frame, Reply},
};

use super::readiness::Report;

/// Rounds that may stay silent before the link counts as deaf.
const SILENT_MAX: u64 = 3;

/// Judges a link by the probes that it sent and heard. Knows no clock: one call is one round.
#[derive(Debug, Default)]
pub(super) struct Ear {
    sent: u64,
    /// The newest round that was sent when the link was last made anew.
    renewed_at: u64,
}

/// What a round showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A late probe was heard.
    Hears,
    /// Not heard, but not for long.
    Unsure,
    /// Silent for too long: the link is to be made anew.
    Deaf,
}

impl Ear {
    /// Begins the next round; `heard` is the newest round that came back. Returns the round to
    /// send, and the verdict on those before it.
    pub(super) fn round(&mut self, heard: u64) -> (u64, Verdict) {
        let silent = self.sent - heard.min(self.sent);
        let verdict = if silent == 0 && self.sent > 0 {
            Verdict::Hears
        } else if self.sent - heard.max(self.renewed_at).min(self.sent) >= SILENT_MAX {
            self.renewed_at = self.sent;
            Verdict::Deaf
        } else {
            Verdict::Unsure
        };
        self.sent += 1;
        (self.sent, verdict)
    }
}

/// Probes until it is dropped.
pub(super) async fn run(shared: Arc<Shared>, interval: Duration, report: Report) {
    let mut ear = Ear::default();
    let mut heard = shared.heard.subscribe();
    loop {
        let newest = *heard.borrow_and_update();
        let (round, verdict) = ear.round(newest);
        match verdict {
            Verdict::Hears | Verdict::Unsure => {}
            Verdict::Deaf => {
                report.set(|state| state.bus = false);
                shared.metrics.link_reconnects.inc();
                tracing::warn!("the bus link does not hear its own probes; making it anew");
                shared.link().reconnect();
            }
        }
        let probe = Frame::Reply(shared.node.clone(), Reply::Probe { round }, Args::EMPTY);
        let next_round = tokio::time::Instant::now() + interval;
        if let Ok(frame) = probe.encode() {
            let publish = shared.link().publish(Subject::Node(shared.node.clone()), frame);
            // An error shows by itself: the probe will not be heard.
            let _sent = tokio::time::timeout(interval, publish).await;
        }
        // Ready as soon as the round is heard, not a round later.
        let hear = heard.wait_for(|heard| *heard >= round);
        if tokio::time::timeout_at(next_round, hear).await.is_ok_and(|heard| heard.is_ok()) {
            report.set(|state| state.bus = true);
        }
        tokio::time::sleep_until(next_round).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_hears_itself_is_well() {
        let mut ear = Ear::default();
        assert_eq!(ear.round(0), (1, Verdict::Unsure));
        for round in 1..10 {
            assert_eq!(ear.round(round), (round + 1, Verdict::Hears));
        }
    }

    #[test]
    fn three_silent_rounds_mean_deaf_and_a_new_link_gets_three_more() {
        let mut ear = Ear::default();
        let verdicts: Vec<_> = (0..8).map(|_| ear.round(0).1).collect();
        use Verdict::{Deaf, Unsure};
        assert_eq!(verdicts, [Unsure, Unsure, Unsure, Deaf, Unsure, Unsure, Deaf, Unsure]);
        assert_eq!(ear.round(8).1, Verdict::Hears);
    }
}
