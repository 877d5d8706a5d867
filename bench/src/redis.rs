//! A Redis server of its own for each measurement, without persistence.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::servers::free_port;

/// It ends with this value.
#[derive(Debug)]
pub(crate) struct Redis {
    _child: Child,
    pub(crate) pid: u32,
    pub(crate) url: String,
}

impl Redis {
    /// Starts one on a free port.
    pub(crate) async fn start() -> Result<Self> {
        let port = free_port().await?;
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no"])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("redis-server does not start; cargo xtask setup installs it")?;
        let pid = child.id().context("redis runs")?;
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            ensure!(Instant::now() < end, "redis does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { _child: child, pid, url: format!("redis://127.0.0.1:{port}") })
    }

    /// How many commands it has processed; those of scripts count, too.
    pub(crate) async fn commands(&self) -> Result<u64> {
        let address = self.url.trim_start_matches("redis://");
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(b"INFO stats\r\nQUIT\r\n").await?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await?;
        let line = text.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        Ok(line.context("INFO tells how many commands there were")?.trim().parse()?)
    }
}
