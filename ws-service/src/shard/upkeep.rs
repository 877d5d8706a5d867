//! The sessions of a shard's sockets: kept alive while a socket lives, and looked after, so that the
//! end of one is noticed also where no word of it came.
//!
//! Each session is touched at least once in a third of its time to live. The touches of a round are
//! spread, and few are on their way at once.

use std::{rc::Rc, time::Duration};

use futures_util::future::join_all;
use router_core::{
    node::Readiness,
    session::{SessionError, SessionId},
    socket::{DisconnectReason, Recipients},
};
use tokio::sync::watch;

use super::Shard;
use crate::connection::link::Notice;

/// Touches that are on their way at once.
const AT_ONCE: usize = 8;

/// In how many parts a session's time to live is cut: one to wait, one in which a round is spread.
/// A session may come first in one round and last in the next, and is met within three of them.
const PARTS: u32 = 12;

/// A round is spread over this time after the node was cut off from the others: what it was told
/// meanwhile did not arrive.
const SOON: Duration = Duration::from_secs(1);

/// No round is shorter.
const SHORTEST: Duration = Duration::from_millis(10);

/// Looks after the sessions for as long as the thread lives.
pub(super) async fn look_after(shard: Rc<Shard>) {
    let part = (shard.shared.services.sessions.settings().ttl / PARTS).max(SHORTEST);
    let mut readiness = shard.shared.readiness.clone();
    loop {
        let spread = tokio::select! {
            () = tokio::time::sleep(part) => part,
            () = ready_again(&mut readiness) => part.min(SOON),
        };
        shard.touch_sessions(spread).await;
    }
}

/// Waits until the node hears the others after it did not.
async fn ready_again(readiness: &mut watch::Receiver<Readiness>) {
    while readiness.changed().await.is_ok() {
        if readiness.borrow_and_update().is_ready() {
            return;
        }
    }
    // The node is stopped.
    std::future::pending().await
}

impl Shard {
    /// Touches every session that has a socket here, over the time of `spread`.
    async fn touch_sessions(&self, spread: Duration) {
        let sids: Vec<SessionId> = self.table.borrow().sessions().cloned().collect();
        let rounds = u32::try_from(sids.len().div_ceil(AT_ONCE)).unwrap_or(u32::MAX);
        let pause = spread / rounds.max(1);
        let mut failed = None;
        for some in sids.chunks(AT_ONCE) {
            let touched = join_all(some.iter().map(|sid| self.touch_session(sid))).await;
            failed = touched.into_iter().find_map(Result::err).or(failed);
            tokio::time::sleep(pause).await;
        }
        if let Some(error) = failed {
            tracing::warn!(%error, "sessions of living sockets could not be kept alive");
        }
    }

    async fn touch_session(&self, sid: &SessionId) -> Result<(), SessionError> {
        if !self.table.borrow().has_session(sid) {
            // Its sockets went since the round began.
            return Ok(());
        }
        if !self.shared.services.sessions.touch(sid).await? {
            let who = Recipients::Session(sid.clone());
            for socket in self.table.borrow().chosen(&who) {
                let (key, reason) = (socket.key, DisconnectReason::SessionEnded(None));
                socket.link.notify(Notice::Disconnect { key, reason });
            }
        }
        Ok(())
    }
}
