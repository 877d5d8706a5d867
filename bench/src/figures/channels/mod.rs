//! Channels and rosters on Redis.

mod interest;
mod joins;
mod publications;
mod revocation;
mod rosters;

use anyhow::Result;
use router_core::{
    backend::Backend,
    channel::ChannelName,
    node::{Node, NodeSpec},
    ns,
};

use super::Options;
use crate::{
    node,
    redis::Redis,
    report::{Figure, Goal},
    servers::{Kind, Server},
};

pub(super) async fn measure(options: &Options) -> Result<()> {
    publications::measure(options).await?;
    joins::measure().await?;
    interest::measure().await?;
    rosters::measure().await?;
    revocation::measure().await
}

/// Nodes on a Redis of their own.
#[derive(Debug)]
struct Nodes {
    redis: Redis,
    nodes: Vec<Server>,
}

impl Nodes {
    async fn start(count: u32) -> Result<Self> {
        let (redis, mut nodes) = (Redis::start().await?, Vec::new());
        for nid in 0..count {
            let args = ["node", "--bus", &redis.url, "--nid", &nid.to_string()];
            nodes.push(Server::of_ours(Kind::Whisk, &args).await?);
        }
        Ok(Self { redis, nodes })
    }

    fn backend(&self) -> Result<Backend> {
        node::backend(&self.redis.url)
    }

    /// A node in this process, which holds no sockets.
    async fn observer(&self) -> Result<Node> {
        let spec = NodeSpec { limits: node::limits(), ..NodeSpec::new(ns("bench").node(0)) };
        Ok(Node::start(spec, self.backend()?).await?)
    }
}

fn channel(kind: &str, number: usize) -> Result<ChannelName> {
    Ok(format!("{kind}:{number}").parse()?)
}

/// A figure of Whisk alone.
fn print(what: impl Into<String>, unit: &'static str, value: f64, goal: Option<f64>) {
    let goals = goal.map(Goal::Most).into_iter().collect();
    Figure { what: what.into(), unit, values: vec![(Kind::Whisk, value)], goals }.print();
}
