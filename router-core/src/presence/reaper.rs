//! Finds the lives that are over, and takes what they held on rosters into this process's hands.
//!
//! Every process with a [`Presence`](super::Presence) runs one. Each round reads the list of owners,
//! and looks at the leases of those that come after its own life in the ring of them, up to the first
//! one that lives. So each living owner is watched by one other, and the dead that lie between two
//! living ones by the first of these, however many died at once; the cost of a process does not
//! depend on how many there are. A process that owns nothing begins elsewhere each round.
//!
//! Only what the store itself says counts: a lease that it does not have, asked after it confirmed
//! this process's own. And a process that had trouble with the store, or lost its lease, judges nobody
//! for a while: where all lost their leases because the store was away, they have new ones by then,
//! and have moved what they hold into their new lives.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{Millis, desk::Desk};
use crate::{
    backend::{
        BackendError, BackendErrorKind,
        presence::{Noted, PresenceError},
        registry::Lease,
    },
    channel::ChannelKey,
};

/// Time between two rounds.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// How long nobody is judged after trouble: the time of a lease, by default.
const CALM: Millis = 10_000;

/// A node that died was last seen at most the time of a lease before it is found.
const LEASE: Millis = 10_000;

/// How many members are adopted in one step.
const BATCH: usize = 100;

/// How many notes are read at once.
const NOTES: usize = 256;

/// In how many channels of one dead life members are adopted at once.
const AT_ONCE: usize = 16;

#[derive(Debug)]
pub(crate) struct Reaper {
    desk: Arc<Desk>,
    /// The life in which the last round was made.
    life: Option<Lease>,
    /// When this process may judge again.
    calm_at: Millis,
    rounds: usize,
}

impl Reaper {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self { desk, life: None, calm_at: 0, rounds: 0 }
    }

    /// Looks once, and adopts from whoever is dead.
    pub(crate) async fn round(&mut self) {
        self.rounds = self.rounds.wrapping_add(1);
        let Some(me) = self.desk.owner() else {
            self.trouble();
            return;
        };
        if self.life.replace(me.clone()).is_some_and(|before| before != me) {
            self.trouble();
        }
        match self.dead(&me).await {
            Ok(dead) => {
                // All at once: none waits for another that is larger.
                let mut reaping = FuturesUnordered::new();
                for dead in &dead {
                    reaping.push(reap(&self.desk, dead, &me));
                }
                while let Some(reaped) = reaping.next().await {
                    if let Err(error) = reaped {
                        tracing::warn!(%error, "a dead node's members are not all adopted yet");
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the reaper could not look");
                self.trouble();
            }
        }
    }

    fn trouble(&mut self) {
        self.calm_at = self.desk.now().saturating_add(CALM);
    }

    /// The lives after this one that are over, unless this one is not to judge.
    async fn dead(&mut self, me: &Lease) -> Result<Vec<Lease>, BackendError> {
        let owners = self.desk.store.owners().await?;
        let mut dead = Vec::new();
        for owner in ring(owners, me, self.rounds) {
            if self.desk.registry.lives(&owner).await? {
                break;
            }
            dead.push(owner);
        }
        if dead.is_empty() || self.desk.now() < self.calm_at {
            return Ok(Vec::new());
        }
        if !self.desk.registry.lives(me).await? {
            self.trouble();
            return Ok(Vec::new());
        }
        Ok(dead)
    }
}

/// The other owners in the order in which they are looked at.
fn ring(mut owners: Vec<Lease>, me: &Lease, round: usize) -> Vec<Lease> {
    owners.sort();
    let from = match owners.binary_search(me) {
        Ok(at) => at + 1,
        Err(_) => round % owners.len().max(1),
    };
    owners.rotate_left(from);
    owners.retain(|owner| owner != me);
    owners
}

/// Takes all that a dead life held.
async fn reap(desk: &Desk, dead: &Lease, me: &Lease) -> Result<(), PresenceError> {
    // From here on it notes nothing more: what it noted is all.
    if !desk.store.seal(dead).await? {
        return Ok(());
    }
    tracing::info!(%dead, "a node's life is over; adopting its members");
    let (mut after, mut outcome) = (0, Ok(()));
    loop {
        let notes = desk.store.noted(dead, after, NOTES).await?;
        let Some(last) = notes.last() else { break };
        after = last.serial;
        let mut adopting = FuturesUnordered::new();
        for note in &notes {
            if adopting.len() >= AT_ONCE
                && let Some(adopted) = adopting.next().await
            {
                outcome = outcome.and(adopted);
            }
            adopting.push(adopt(desk, dead, me, note));
        }
        while let Some(adopted) = adopting.next().await {
            outcome = outcome.and(adopted);
        }
    }
    outcome?;
    Ok(desk.store.forget_owner(dead).await?)
}

/// Takes all that a dead life held on a channel, and its note.
async fn adopt(desk: &Desk, dead: &Lease, me: &Lease, note: &Noted) -> Result<(), PresenceError> {
    let channel = &note.channel;
    if !desk.pin(me, channel).await {
        return Err(BackendError::new(BackendErrorKind::NotApplied).into());
    }
    let adopted = adopt_all(desk, dead, me, channel).await;
    desk.unpin(channel);
    if let Err(error) = adopted {
        // Members may have come into this life's hands without its knowing.
        desk.act(|keeper, _| keeper.doubt(channel));
        return Err(error);
    }
    Ok(desk.store.forget(dead, channel, note.serial).await?)
}

async fn adopt_all(
    desk: &Desk,
    dead: &Lease,
    me: &Lease,
    channel: &ChannelKey,
) -> Result<(), PresenceError> {
    loop {
        let seen = desk.now().saturating_sub(LEASE);
        let adopted = desk.store.adopt(channel, dead, me, seen, BATCH).await?;
        desk.adopted(me, channel, adopted.members);
        if !adopted.more {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Incarnation, ns};

    fn lease(nid: u32, life: u64) -> Lease {
        Lease { node: ns("ws").node(nid), incarnation: Incarnation(life) }
    }

    #[test]
    fn each_owner_looks_at_those_after_it_and_a_stranger_begins_anywhere() {
        let all = [lease(0, 3), lease(0, 9), lease(2, 1), lease(11, 1)];
        let given = vec![all[2].clone(), all[3].clone(), all[0].clone(), all[1].clone()];
        let seen = |me: &Lease, round| ring(given.clone(), me, round);
        assert_eq!(seen(&all[1], 7), [all[2].clone(), all[3].clone(), all[0].clone()]);
        assert_eq!(seen(&all[3], 7), [all[0].clone(), all[1].clone(), all[2].clone()]);
        let stranger = lease(5, 1);
        let firsts: Vec<_> = (0..4).map(|round| seen(&stranger, round)[0].clone()).collect();
        assert_eq!(firsts, all);
        assert!(ring(Vec::new(), &stranger, 3).is_empty());
        assert!(ring(vec![stranger.clone()], &stranger, 3).is_empty());
    }
}
