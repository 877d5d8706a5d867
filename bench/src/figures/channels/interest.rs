//! What a message to a channel of one node costs another node: nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use router_core::{channel::Publisher, session::Site};
use serde_json::json;
use tokio::time::sleep;

use super::{Nodes, channel, print};
use crate::{load::Talker, measure::cpu_time};

/// Messages.
const MESSAGES: usize = 20_000;

pub(super) async fn measure() -> Result<()> {
    let nodes = Nodes::start(2).await?;
    let [here, there] = [&nodes.nodes[0], &nodes.nodes[1]];
    let name = channel("room", 1)?;
    // The other node has sockets, too, and listens to a channel of its own.
    let mut other = Talker::open(there.port()).await?;
    other.ask("whisk.subscribe", &json!({ "channel": "room:2" })).await?;
    let mut member = Talker::open(here.port()).await?;
    member.ask("whisk.subscribe", &json!({ "channel": name })).await?;
    let publisher = Publisher::open(&nodes.backend()?, Site::main());
    let before = [cpu_time(here.pid)?, cpu_time(there.pid)?];
    let began = Instant::now();
    for _ in 0..MESSAGES {
        publisher.publish(&name, "tick", &1).await?;
        while !member.text().await?.0.contains("\"tick\"") {}
    }
    let took = began.elapsed();
    let after = [cpu_time(here.pid)?, cpu_time(there.pid)?];
    let resting = cpu_time(there.pid)?;
    sleep(took).await;
    let resting = cpu_time(there.pid)? - resting;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / MESSAGES as f64;
    let what = "A message on a channel of one node";
    print(format!("{what}: CPU of that node"), "microseconds", each(after[0] - before[0]), None);
    let beyond = each((after[1] - before[1]).saturating_sub(resting));
    print(format!("{what}: CPU of another one beyond its rest"), "microseconds", beyond, Some(0.1));
    Ok(())
}
