//! CPU time of the server for round trips of `echo`.

use anyhow::Result;
use futures_util::future::try_join_all;
use tokio::net::TcpStream;
use wire::socketio::{Nsp, Outgoing};

use super::Options;
use crate::{
    load::{ask, connected, payload},
    measure::cpu_time,
    report::{Figure, Goal, medians},
    servers::{Kind, Server},
};

/// Sockets that ask at once.
const SOCKETS: usize = 100;

fn question() -> Vec<u8> {
    wire::ws::client::text(&format!("421[\"echo\",{}]", payload())).to_vec()
}

fn answer_len() -> usize {
    Outgoing::ack(&Nsp::ROOT, 1, &payload()).to_frame().len()
}

/// A server with those who ask it.
struct Subject {
    server: Server,
    sockets: Vec<TcpStream>,
}

impl Subject {
    async fn start(kind: Kind) -> Result<Self> {
        let mut sockets = Vec::new();
        let server = if kind == Kind::Limit {
            let (asked, answer) = (question().len().to_string(), answer_len().to_string());
            Server::of_ours(kind, &["limit", "--echo", &asked, "--frame-len", &answer]).await?
        } else {
            Server::start(kind).await?
        };
        for _ in 0..SOCKETS {
            let socket = match kind {
                Kind::Limit => TcpStream::connect(("127.0.0.1", server.port())).await?,
                _ => connected(kind, server.port()).await?,
            };
            socket.set_nodelay(true)?;
            sockets.push(socket);
        }
        Ok(Self { server, sockets })
    }

    /// CPU seconds of the server for one million round trips.
    async fn measure(&mut self, round_trips: usize) -> Result<f64> {
        let (question, answer, each) = (question(), answer_len(), round_trips.div_ceil(SOCKETS));
        let before = cpu_time(self.server.pid)?;
        let asking = self.sockets.drain(..).map(|socket| ask(socket, &question, answer, each));
        let sockets = try_join_all(asking).await?;
        let taken = cpu_time(self.server.pid)? - before;
        self.sockets = sockets;
        Ok(taken.as_secs_f64() * 1e6 / (each * SOCKETS) as f64)
    }
}

pub(super) async fn measure(options: &Options) -> Result<()> {
    let mut subjects = vec![Subject::start(Kind::Limit).await?];
    for kind in options.servers() {
        subjects.push(Subject::start(*kind).await?);
    }
    let mut rounds = Vec::new();
    for round in 0..=options.rounds {
        let mut values = Vec::new();
        for subject in &mut subjects {
            values.push((subject.server.kind, subject.measure(options.round_trips * 1_000).await?));
        }
        // The first one finds caches and allocators cold.
        if round > 0 {
            rounds.push(values);
        }
    }
    let what = format!("Round trips of echo, {SOCKETS} sockets at once");
    let (values, goals) = (medians(&rounds), vec![Goal::Times(Kind::Limit, 1.15)]);
    Figure { what, unit: "CPU seconds for a million", values, goals }.print();
    for subject in subjects {
        subject.server.stop().await?;
    }
    Ok(())
}
