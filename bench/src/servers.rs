//! The servers under measurement, each as a process of its own with one thread for its sockets.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The plain program.
    Limit,
    /// The conformance program.
    Whisk,
    /// The npm package.
    SocketIo,
    /// The Rust crate.
    Socketioxide,
}

impl Kind {
    /// Those that speak Socket.IO.
    pub(crate) const SERVERS: [Self; 3] = [Self::Whisk, Self::Socketioxide, Self::SocketIo];

    /// As the report calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "the limit",
            Self::Whisk => "whisk",
            Self::SocketIo => "socket.io",
            Self::Socketioxide => "socketioxide",
        }
    }

    /// The program and its arguments.
    fn command(self, port: u16, nid: u32, bus: Option<&str>) -> Result<Command> {
        let port = port.to_string();
        let mut command;
        match self {
            Self::Limit => anyhow::bail!("the limit has no port that others choose"),
            Self::Whisk => {
                command = Command::new(built("conformance")?);
                command.args(["--port", &port, "--engine-port", "0", "--workers", "1"]);
                // No ping comes into a measurement, and nobody is too slow to connect.
                command.args(["--ping-interval-ms", "3600000", "--ping-timeout-ms", "60000"]);
                command.args(["--connect-timeout-ms", "60000", "--nid", &nid.to_string()]);
                command.args(["--log", "error"]);
                command.args(bus.iter().flat_map(|url| ["--bus", url]));
            }
            Self::Socketioxide => {
                command = Command::new(peer_built()?);
                command.args([&*port, "1"]).args(bus);
            }
            Self::SocketIo => {
                command = Command::new("node");
                let program =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/socket.io/server.mjs");
                command.arg(program).arg(port).args(bus);
            }
        }
        Ok(command)
    }
}

/// A program of this workspace, which lies beside this one.
fn built(name: &str) -> Result<PathBuf> {
    let program = env::current_exe()?.with_file_name(name);
    ensure!(program.is_file(), "{} is not built", program.display());
    Ok(program)
}

/// The peer that is built apart: by `cargo xtask bench`.
fn peer_built() -> Result<PathBuf> {
    let target = env::current_exe()?;
    let target = target.ancestors().nth(2).context("the program lies in a target folder")?;
    let program = target.join("peers/release/socketioxide-peer");
    ensure!(program.is_file(), "{} is not built; run cargo xtask bench", program.display());
    Ok(program)
}

/// A running server. It ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    child: Child,
    pub(crate) pid: u32,
    /// Where sockets connect; for the limit, then its control connection.
    pub(crate) ports: Vec<u16>,
}

impl Server {
    /// This program itself with `args`, as a server of this kind: it tells its ports.
    pub(crate) async fn of_ours(kind: Kind, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.args(args).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().context("the server has an output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let line = line.context("the server tells its ports")?;
        let ports = line.split_ascii_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>();
        let pid = child.id().context("the server runs")?;
        Ok(Self { kind, child, pid, ports: ports.with_context(|| format!("ports, not {line:?}"))? })
    }

    /// A server of Socket.IO.
    pub(crate) async fn start(kind: Kind) -> Result<Self> {
        Self::start_node(kind, 0, None).await
    }

    /// One of several that meet on `bus`.
    pub(crate) async fn start_node(kind: Kind, nid: u32, bus: Option<&str>) -> Result<Self> {
        let port = free_port().await?;
        let mut command = kind.command(port, nid, bus)?;
        let child = command.stdout(Stdio::null()).kill_on_drop(true).spawn();
        let mut child = child.with_context(|| format!("{} does not start", kind.name()))?;
        let pid = child.id().context("the server runs")?;
        let end = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("{} ended: {status}", kind.name());
            }
            ensure!(Instant::now() < end, "{} does not listen", kind.name());
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { kind, child, pid, ports: vec![port] })
    }

    /// Where sockets connect.
    pub(crate) fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A port that nobody listens on.
pub(crate) async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
