//! CPU time of two nodes for what is published on channels, against the limit.

use std::time::Duration;

use anyhow::{Context as _, Result};
use router_core::{
    channel::{ChannelName, Publisher},
    session::Site,
};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{Nodes, Options, channel};
use crate::{
    load::{Crowd, PAYLOAD, Talker, connect_plain},
    measure::cpu_time,
    report::{Figure, Goal, medians},
    servers::{Kind, Server},
};

/// So many channels of so many members each, half of them on each node.
#[derive(Debug, Clone, Copy)]
struct Shape {
    channels: usize,
    members: usize,
}

const SHAPES: [Shape; 2] =
    [Shape { channels: 1_000, members: 10 }, Shape { channels: 1, members: 5_000 }];

const NODES: usize = 2;

/// Messages before the measurement, so that offsets have as many digits as most will have.
const FIRST: usize = 100;

impl Shape {
    fn deliveries(self) -> usize {
        self.channels * self.members
    }
}

/// The nodes with their members.
struct Channels {
    nodes: Nodes,
    crowd: Crowd,
    names: Vec<ChannelName>,
    publisher: Publisher,
    /// Bytes of one delivery.
    frame_len: usize,
}

impl Channels {
    async fn start(shape: Shape) -> Result<Self> {
        let (nodes, crowd) = (Nodes::start(2).await?, Crowd::default());
        let names = (0..shape.channels).map(|number| channel("room", number));
        let names = names.collect::<Result<Vec<_>>>()?;
        let publisher = Publisher::open(&nodes.backend()?, Site::main());
        let mut first = None;
        for (node, name) in nodes.nodes.iter().flat_map(|node| names.iter().map(move |n| (node, n)))
        {
            for _ in 0..shape.members / NODES {
                let mut socket = Talker::open(node.port()).await?;
                socket.ask("whisk.subscribe", &json!({ "channel": name })).await?;
                match &first {
                    None => first = Some(socket),
                    Some(_) => crowd.join_counting_messages(socket),
                }
            }
        }
        let mut first = first.context("there are members")?;
        crowd.expect((FIRST * (shape.members - 1)) as u64);
        for _ in 0..FIRST {
            publisher.publish(&names[0], "tick", &"x".repeat(PAYLOAD)).await?;
        }
        let mut frame_len = 0;
        for _ in 0..FIRST {
            frame_len = first.text().await?.1;
        }
        crowd.all().await?;
        crowd.join_counting_messages(first);
        Ok(Self { nodes, crowd, names, publisher, frame_len })
    }

    /// Publishes once on each channel, and waits until everybody has it.
    async fn round(&self, shape: Shape) -> Result<()> {
        self.crowd.expect(shape.deliveries() as u64);
        let (names, payload) = (self.names.iter().cloned(), "x".repeat(PAYLOAD));
        for outcome in self.publisher.publish_many(names, "tick", &payload).await? {
            outcome?;
        }
        self.crowd.all().await
    }
}

/// Two limit programs with as many sockets.
struct Limit {
    servers: Vec<Server>,
    controls: Vec<TcpStream>,
    crowd: Crowd,
    frame_len: usize,
}

impl Limit {
    async fn start(shape: Shape, frame_len: usize) -> Result<Self> {
        let crowd = Crowd::default();
        let (mut servers, mut controls) = (Vec::new(), Vec::new());
        for _ in 0..NODES {
            let sockets = shape.deliveries() / NODES;
            let [length, count, group] =
                [frame_len, sockets, shape.members / NODES].map(|number| number.to_string());
            let args = ["limit", "--frame-len", &length, "--sockets", &count, "--group", &group];
            let server = Server::of_ours(Kind::Limit, &args).await?;
            connect_plain(server.port(), sockets, &crowd).await?;
            let control = TcpStream::connect(("127.0.0.1", server.ports[1])).await?;
            control.set_nodelay(true)?;
            controls.push(control);
            servers.push(server);
        }
        Ok(Self { servers, controls, crowd, frame_len })
    }

    async fn round(&mut self, shape: Shape) -> Result<()> {
        self.crowd.expect((self.frame_len * shape.deliveries()) as u64);
        let groups = 0..u32::try_from(shape.channels)?;
        let told: Vec<u8> = groups.flat_map(u32::to_le_bytes).collect();
        for control in &mut self.controls {
            control.write_all(&told).await?;
        }
        self.crowd.all().await
    }
}

/// CPU seconds of all these processes for a million deliveries of `round`.
async fn each(
    pids: &[u32],
    rounds: usize,
    shape: Shape,
    mut round: impl AsyncFnMut() -> Result<()>,
) -> Result<f64> {
    let taken = || pids.iter().map(|pid| cpu_time(*pid)).sum::<Result<Duration>>();
    for _ in 0..WARM_UP {
        round().await?;
    }
    let before = taken()?;
    for _ in 0..rounds {
        round().await?;
    }
    let deliveries = (rounds * shape.deliveries()) as f64;
    Ok((taken()? - before).as_secs_f64() * 1e6 / deliveries)
}

fn pids(servers: &[Server]) -> Vec<u32> {
    servers.iter().map(|server| server.pid).collect()
}

/// What finds caches and allocators cold.
const WARM_UP: usize = 3;

pub(super) async fn measure(options: &Options) -> Result<()> {
    for shape in SHAPES {
        let rounds = (options.deliveries * 1_000).div_ceil(shape.deliveries());
        let mut all = Vec::new();
        for _ in 0..options.rounds {
            // One after the other: this process may open 20,000 files on many a machine.
            let whisk = Channels::start(shape).await?;
            let (frame_len, round) = (whisk.frame_len, async || whisk.round(shape).await);
            let of_whisk = each(&pids(&whisk.nodes.nodes), rounds, shape, round).await?;
            let Channels { nodes, crowd, .. } = whisk;
            drop(nodes);
            crowd.gone().await?;
            let mut limit = Limit::start(shape, frame_len).await?;
            let pids = pids(&limit.servers);
            let of_limit = each(&pids, rounds, shape, async || limit.round(shape).await).await?;
            let Limit { servers, crowd, .. } = limit;
            drop(servers);
            crowd.gone().await?;
            all.push(vec![(Kind::Limit, of_limit), (Kind::Whisk, of_whisk)]);
        }
        let Shape { channels, members } = shape;
        let what = format!("Publications on {channels} channels of {members} members on two nodes");
        let (unit, values) = ("CPU seconds of both for a million deliveries", medians(&all));
        Figure { what, unit, values, goals: vec![Goal::Times(Kind::Limit, 1.3)] }.print();
    }
    Ok(())
}
