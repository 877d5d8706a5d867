//! Proportional memory of idle connections.

use std::time::Duration;

use anyhow::Result;
use tokio::{net::TcpStream, time::sleep};

use super::Options;
use crate::{
    load::{confirmed, connected},
    measure::proportional_memory,
    report::{Figure, Goal},
    servers::{Kind, Server},
};

/// After the last connection, for what a server does beside it.
const SETTLE: Duration = Duration::from_secs(2);

/// What each of `many` sockets adds, in bytes. What the first ones bring with them belongs to the
/// process.
async fn each(
    server: Server,
    many: usize,
    connect: impl AsyncFn(&Server) -> Result<TcpStream>,
) -> Result<f64> {
    let mut sockets = Vec::new();
    let mut add = async |count: usize| {
        for _ in 0..count {
            sockets.push(connect(&server).await?);
        }
        sleep(SETTLE).await;
        proportional_memory(server.pid)
    };
    let before = add(10).await?;
    let after = add(many).await?;
    server.stop().await?;
    Ok(after.saturating_sub(before) as f64 / many as f64)
}

pub(super) async fn measure(options: &Options) -> Result<()> {
    let many = options.many;
    let mut values = Vec::new();
    for kind in options.servers() {
        let connect = async |server: &Server| connected(server.kind, server.port()).await;
        values.push((*kind, each(Server::start(*kind).await?, many, connect).await?));
    }
    let what = format!("Proportional memory of each of {many} idle connections");
    Figure { what, unit: "bytes", values, goals: vec![Goal::Most(4_096.0)] }.print();
    let server = Server::of_ours(Kind::Whisk, &["node"]).await?;
    let connect = async |server: &Server| confirmed(server.port()).await;
    let values = vec![(Kind::Whisk, each(server, many, connect).await?)];
    let what = format!("The same of {many} confirmed ones, with their sessions in this process");
    Figure { what, unit: "bytes", values, goals: vec![Goal::Most(6_144.0)] }.print();
    Ok(())
}
