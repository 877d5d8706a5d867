//! What rosters cost: at rest, and when somebody comes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use router_core::{
    channel::ChannelKey,
    ns,
    presence::{Coming, Presence, Profile, Settings},
    session::Site,
};
use serde_json::json;
use tokio::time::sleep;

use super::{Nodes, channel, print};
use crate::{load::Talker, measure::cpu_time};

/// Members at rest.
const RESTING: usize = 1_000;

/// For so long.
const REST: Duration = Duration::from_secs(60);

pub(super) async fn measure() -> Result<()> {
    rest().await?;
    join().await
}

async fn rest() -> Result<()> {
    // The same node without members, for what it costs anyway.
    let (full, empty) = (Nodes::start(1).await?, Nodes::start(1).await?);
    let taken = async |nodes: &Nodes| {
        let cpu = cpu_time(nodes.nodes[0].pid)?.as_secs_f64();
        anyhow::Ok((nodes.redis.commands().await? as f64, cpu))
    };
    for _ in 0..RESTING {
        let mut socket = Talker::open(full.nodes[0].port()).await?;
        socket.ask("whisk.subscribe", &json!({ "channel": "roster:1" })).await?;
        tokio::task::spawn_local(socket.idle());
    }
    // What their coming caused is over.
    sleep(Duration::from_secs(5)).await;
    let before = [taken(&full).await?, taken(&empty).await?];
    sleep(REST).await;
    let [(commands, cpu), (usual, usual_cpu)] =
        [minus(taken(&full).await?, before[0]), minus(taken(&empty).await?, before[1])];
    let what = format!("{RESTING} members at rest for a minute, pinged every two seconds");
    print(format!("{what}: Redis"), "commands more than without", commands - usual, Some(1_000.0));
    print(format!("{what}: Redis"), "commands with all else", commands, None);
    print(format!("{what}: CPU of the node"), "seconds more than without", cpu - usual_cpu, None);
    Ok(())
}

fn minus(after: (f64, f64), before: (f64, f64)) -> (f64, f64) {
    (after.0 - before.0, after.1 - before.1)
}

/// How many join while it is measured.
const JOINS: usize = 50;

async fn join() -> Result<()> {
    let nodes = Nodes::start(1).await?;
    let port = nodes.nodes[0].port();
    let filler = nodes.observer().await?;
    let presence = Presence::start(&filler);
    let key = ChannelKey::new(&Site::main(), &channel("roster", 1)?);
    let mut there = 0;
    let mut hundredth = 0.0;
    for members in [10, 100, 10_000] {
        // Those before are no sockets of this node, to which everybody's coming would be told.
        let enter = |number: usize| {
            let (presence, key) = (&presence, &key);
            async move {
                let tid: router_core::TenantId = format!("member-{number}").parse()?;
                let address = ns("bench").node(0).tenant(tid.clone());
                let profile = Profile::default();
                let coming = Coming { client: tid.into(), user: None, address, profile };
                anyhow::Ok(presence.enter(key, &Settings::default(), coming).await?)
            }
        };
        stream::iter(there..members)
            .map(enter)
            .buffer_unordered(64)
            .try_collect::<Vec<()>>()
            .await?;
        there = members;
        let mut times = Vec::new();
        let mut redis = Duration::ZERO;
        for _ in 0..JOINS {
            let mut socket = Talker::open(port).await?;
            let (before, began) = (cpu_time(nodes.redis.pid)?, Instant::now());
            socket.ask("whisk.subscribe", &json!({ "channel": "roster:1" })).await?;
            times.push(began.elapsed().as_secs_f64() * 1e6);
            redis += cpu_time(nodes.redis.pid)? - before;
            socket.ask("whisk.unsubscribe", &json!({ "channel": "roster:1" })).await?;
        }
        times.sort_by(f64::total_cmp);
        let median = *times.get(JOINS / 2).context("there were joins")?;
        let redis = redis.as_secs_f64() * 1e6 / JOINS as f64;
        let what = format!("Joining a roster of {members}");
        // Of those two the answer has a page of as many others.
        let goal = (members == 10_000).then_some(hundredth * 1.3);
        print(format!("{what}: until it is answered"), "microseconds", median, goal);
        print(format!("{what}: CPU of Redis"), "microseconds", redis, None);
        hundredth = median;
    }
    presence.stop().await;
    Ok(())
}
