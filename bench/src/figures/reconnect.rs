//! How long it takes until all clients are back that lost their connection at once.

use std::time::Instant;

use anyhow::Result;
use futures_util::future::try_join_all;
use tokio::net::TcpStream;

use super::Options;
use crate::{
    load::connected,
    report::{Figure, Goal, medians},
    servers::{Kind, Server},
};

/// Connects all at once.
async fn connect(server: &Server, many: usize) -> Result<Vec<TcpStream>> {
    try_join_all((0..many).map(|_| tokio::task::spawn_local(connected(server.kind, server.port()))))
        .await?
        .into_iter()
        .collect()
}

/// Seconds until all are back.
async fn measure_one(server: &Server, many: usize, sockets: &mut Vec<TcpStream>) -> Result<f64> {
    for socket in sockets.drain(..) {
        // As a network does that fails: without a goodbye, and without ports that linger.
        socket.set_zero_linger()?;
    }
    let began = Instant::now();
    *sockets = connect(server, many).await?;
    Ok(began.elapsed().as_secs_f64())
}

pub(super) async fn measure(options: &Options) -> Result<()> {
    let mut subjects = Vec::new();
    for kind in options.servers() {
        subjects.push(Server::start(*kind).await?);
    }
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let mut values = Vec::new();
        for server in &subjects {
            let mut sockets = connect(server, options.many).await?;
            let taken = measure_one(server, options.many, &mut sockets).await?;
            values.push((server.kind, taken));
            sockets.drain(..).try_for_each(|socket| socket.set_zero_linger())?;
        }
        rounds.push(values);
    }
    let what = format!("{} clients come back at once", options.many);
    let goals = vec![Goal::Times(Kind::Socketioxide, 1.0)];
    Figure { what, unit: "seconds", values: medians(&rounds), goals }.print();
    for server in subjects {
        server.stop().await?;
    }
    Ok(())
}
