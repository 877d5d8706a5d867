//! CPU time of two nodes and of the Redis between them, for `bcast` → `msg`.

use anyhow::Result;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    Options,
    deliveries::{frame_len, split, trigger},
};
use crate::{
    load::{Crowd, connect_all, connected},
    measure::cpu_time,
    redis::Redis,
    report::{Figure, Goal, medians},
    servers::{Kind, Server},
};

/// Sockets of both nodes together.
const SOCKETS: usize = 1_000;

struct Subject {
    kind: Kind,
    redis: Redis,
    nodes: Vec<Server>,
    crowd: Crowd,
    control: TcpStream,
}

impl Subject {
    async fn start(kind: Kind) -> Result<Self> {
        let (redis, crowd) = (Redis::start().await?, Crowd::default());
        let mut nodes = Vec::new();
        for nid in 0..2 {
            let node = Server::start_node(kind, nid, Some(&redis.url)).await?;
            connect_all(&node, SOCKETS / 2 - 1, &crowd).await?;
            nodes.push(node);
        }
        crowd.join(connected(kind, nodes[1].port()).await?);
        let (read, control) = split(connected(kind, nodes[0].port()).await?)?;
        crowd.join(read);
        Ok(Self { kind, redis, nodes, crowd, control })
    }

    async fn measure(&mut self, deliveries: usize, flight: usize) -> Result<f64> {
        let mut pids = vec![self.redis.pid];
        pids.extend(self.nodes.iter().map(|node| node.pid));
        let taken = || pids.iter().map(|pid| cpu_time(*pid)).sum::<Result<std::time::Duration>>();
        let before = taken()?;
        let rounds = deliveries.div_ceil(SOCKETS * flight);
        for _ in 0..rounds {
            self.crowd.expect((frame_len() * SOCKETS * flight) as u64);
            self.control.write_all(&trigger().repeat(flight)).await?;
            self.crowd.all().await?;
        }
        Ok((taken()? - before).as_secs_f64() * 1e6 / (rounds * flight * SOCKETS) as f64)
    }
}

pub(super) async fn measure(options: &Options) -> Result<()> {
    let mut subjects = Vec::new();
    for kind in options.servers() {
        subjects.push(Subject::start(*kind).await?);
    }
    for flight in [1, 8] {
        let mut rounds = Vec::new();
        for round in 0..=options.rounds {
            let mut values = Vec::new();
            for subject in &mut subjects {
                let value = subject.measure(options.deliveries * 1_000, flight).await?;
                values.push((subject.kind, value));
            }
            // The first one finds caches and allocators cold.
            if round > 0 {
                rounds.push(values);
            }
        }
        let what = format!("Deliveries to {SOCKETS} sockets of two nodes, {flight} in flight");
        let (unit, values) = ("CPU seconds of both and Redis for a million", medians(&rounds));
        let goals = vec![Goal::Times(Kind::Socketioxide, 0.7)];
        Figure { what, unit, values, goals }.print();
    }
    Ok(())
}
