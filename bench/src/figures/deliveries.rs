//! CPU time of the server for `bcast` → `msg`.

use anyhow::Result;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use wire::socketio::{Nsp, Outgoing};

use super::Options;
use crate::{
    load::{Crowd, connect_all, connect_plain, connected, payload},
    measure::cpu_time,
    report::{Figure, Goal, medians},
    servers::{Kind, Server},
};

/// Bytes of one delivery, as the WebSocket frame that leaves.
pub(super) fn frame_len() -> usize {
    Outgoing::event(&Nsp::ROOT, None, "msg", &payload()).to_frame().len()
}

/// The frame with which a client sets off a broadcast.
pub(super) fn trigger() -> Vec<u8> {
    wire::ws::client::text(&format!("42[\"bcast\",{}]", payload())).to_vec()
}

/// Messages in flight.
const FLIGHTS: [usize; 2] = [1, 8];

/// A server with its crowd, ready to be measured.
struct Subject {
    server: Server,
    crowd: Crowd,
    /// What sets off a broadcast is written here.
    control: TcpStream,
    /// What is written for each.
    pull: Vec<u8>,
}

impl Subject {
    async fn start(kind: Kind, sockets: usize) -> Result<Self> {
        let crowd = Crowd::default();
        if kind == Kind::Limit {
            let (length, count) = (frame_len().to_string(), sockets.to_string());
            let args = ["limit", "--frame-len", &length, "--sockets", &count];
            let server = Server::of_ours(kind, &args).await?;
            connect_plain(server.port(), sockets, &crowd).await?;
            let control = TcpStream::connect(("127.0.0.1", server.ports[1])).await?;
            control.set_nodelay(true)?;
            return Ok(Self { server, crowd, control, pull: vec![b'1'] });
        }
        let server = Server::start(kind).await?;
        // One of the sockets also sets off the broadcasts.
        connect_all(&server, sockets - 1, &crowd).await?;
        let (read, control) = split(connected(kind, server.port()).await?)?;
        crowd.join(read);
        Ok(Self { server, crowd, control, pull: trigger() })
    }

    /// CPU seconds of the server for one million deliveries, with `flight` messages in flight.
    async fn measure(&mut self, deliveries: usize, sockets: usize, flight: usize) -> Result<f64> {
        let before = cpu_time(self.server.pid)?;
        let rounds = deliveries.div_ceil(sockets * flight);
        for _ in 0..rounds {
            self.crowd.expect((frame_len() * sockets * flight) as u64);
            self.control.write_all(&self.pull.repeat(flight)).await?;
            self.crowd.all().await?;
        }
        let taken = cpu_time(self.server.pid)? - before;
        Ok(taken.as_secs_f64() * 1e6 / (rounds * flight * sockets) as f64)
    }
}

/// The same connection twice, one to read and one to write.
pub(super) fn split(socket: TcpStream) -> Result<(TcpStream, TcpStream)> {
    let socket = socket.into_std()?;
    let copy = socket.try_clone()?;
    Ok((TcpStream::from_std(socket)?, TcpStream::from_std(copy)?))
}

pub(super) async fn measure(options: &Options) -> Result<()> {
    for sockets in [1_000, 5_000] {
        let mut rounds = [Vec::new(), Vec::new()];
        // This process may open 20,000 files on many a machine, and each socket is one.
        for servers in options.servers().chunks(15_000 / sockets - 1) {
            let mut subjects = vec![Subject::start(Kind::Limit, sockets).await?];
            for kind in servers {
                subjects.push(Subject::start(*kind, sockets).await?);
            }
            for (flight, rounds) in FLIGHTS.into_iter().zip(&mut rounds) {
                for round in 0..=options.rounds {
                    let mut values = Vec::new();
                    for subject in &mut subjects {
                        let deliveries = options.deliveries * 1_000;
                        let value = subject.measure(deliveries, sockets, flight).await?;
                        values.push((subject.server.kind, value));
                    }
                    // The first one finds caches and allocators cold.
                    if round > 0 {
                        rounds.push(values);
                    }
                }
            }
            for subject in subjects {
                subject.server.stop().await?;
            }
        }
        for (flight, rounds) in FLIGHTS.into_iter().zip(rounds) {
            let goals = match (sockets, flight) {
                (1_000, 1) => vec![Goal::Times(Kind::Limit, 1.2)],
                (1_000, _) => {
                    vec![Goal::Times(Kind::Limit, 1.5), Goal::Times(Kind::Socketioxide, 0.67)]
                }
                _ => Vec::new(),
            };
            let what = format!("Deliveries to {sockets} sockets, {flight} in flight");
            let unit = "CPU seconds for a million";
            Figure { what, unit, values: medians(&rounds), goals }.print();
        }
    }
    Ok(())
}
