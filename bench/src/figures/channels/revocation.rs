//! How long it takes until a revoked user's last socket is closed, on two nodes.

use std::time::Instant;

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use router_core::session::{Authority, UserId};

use super::{Nodes, print};
use crate::{load::Talker, node};

/// Sockets on both nodes together.
const SOCKETS: usize = 1_000;

pub(super) async fn measure() -> Result<()> {
    let nodes = Nodes::start(2).await?;
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        let port = nodes.nodes[number % 2].port();
        sockets.push(Talker::confirmed(port).await?);
    }
    let observer = nodes.observer().await?;
    let sessions = node::sessions(&nodes.backend()?);
    let authority = Authority::new(sessions, observer.bus().clone());
    let user = UserId::new(node::USER).context("a user id")?;
    let began = Instant::now();
    let closed = join_all(sockets.into_iter().map(Talker::closed));
    let (revoked, _) = tokio::join!(authority.revoke_user(&user), closed);
    revoked?;
    let what = format!("Revoking a user of {SOCKETS} sockets and sessions on two nodes");
    print(
        what,
        "milliseconds until the last is closed",
        began.elapsed().as_secs_f64() * 1e3,
        Some(1_000.0),
    );
    observer.stop().await;
    Ok(())
}
