//! Subscriptions and their ends on one node, and what they cost it and Redis.

use std::time::Instant;

use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::json;

use super::{Nodes, print};
use crate::{load::Talker, measure::cpu_time};

/// Sockets that subscribe and unsubscribe at the same time.
const SOCKETS: usize = 100;

/// How often each does.
const TIMES: usize = 200;

pub(super) async fn measure() -> Result<()> {
    for (what, shared) in [("a channel of its own", false), ("channels of others", true)] {
        let nodes = Nodes::start(1).await?;
        let node = &nodes.nodes[0];
        // Where channels are shared, somebody else is on each all the time.
        let mut others = Talker::open(node.port()).await?;
        if shared {
            for number in 0..TIMES {
                let channel = format!("room:{number}");
                others.ask("whisk.subscribe", &json!({ "channel": channel })).await?;
            }
        }
        let mut sockets = Vec::new();
        for _ in 0..SOCKETS {
            sockets.push(Talker::open(node.port()).await?);
        }
        let (commands, redis) = (nodes.redis.commands().await?, cpu_time(nodes.redis.pid)?);
        let (cpu, began) = (cpu_time(node.pid)?, Instant::now());
        let work = sockets.iter_mut().enumerate().map(async |(socket_number, socket)| {
            for turn in 0..TIMES {
                let number = if shared { turn } else { socket_number * TIMES + turn };
                let channel = json!({ "channel": format!("room:{number}") });
                socket.ask("whisk.subscribe", &channel).await?;
                socket.ask("whisk.unsubscribe", &channel).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(work).await?;
        let (took, pairs) = (began.elapsed().as_secs_f64(), (SOCKETS * TIMES) as f64);
        let cpu = (cpu_time(node.pid)? - cpu).as_secs_f64();
        let redis = (cpu_time(nodes.redis.pid)? - redis).as_secs_f64();
        let commands = (nodes.redis.commands().await? - commands) as f64;
        let title = |figure: &str| format!("Subscribing to {what} and unsubscribing: {figure}");
        print(title("pace"), "pairs a second", pairs / took, None);
        print(title("CPU of the node"), "microseconds each", cpu * 1e6 / pairs, None);
        print(title("CPU of Redis"), "microseconds each", redis * 1e6 / pairs, None);
        print(title("Redis"), "commands each", commands / pairs, None);
    }
    Ok(())
}
