//! Runs both programs in turns and compares them.

use std::{process::Stdio, time::Instant};

use anyhow::{Context, Result};
use clap::Args;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    load::{Crowd, connect_plain, connect_whisk},
    measure::{cpu_time, proportional_memory},
    whisk,
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sockets that get each message.
    #[arg(long, default_value_t = 1_000)]
    sockets: usize,
    /// Messages of one measurement.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// Measurements of each kind; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Idle sockets whose memory is measured.
    #[arg(long, default_value_t = 5_000)]
    idle: usize,
}

/// A started server, killed when it is dropped.
struct Server {
    child: Child,
    pid: u32,
    ports: Vec<u16>,
}

impl Server {
    /// Starts this program again with `args`, and waits until it tells its ports.
    async fn start(args: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("the server has an output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await?.context("the server tells its ports")?;
        let ports = line.split_ascii_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>();
        let pid = child.id().context("the server runs")?;
        Ok(Self { child, pid, ports: ports.with_context(|| format!("ports, not {line:?}"))? })
    }

    async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A server with its crowd, ready to be measured.
struct Subject {
    server: Server,
    crowd: Crowd,
    trigger: Trigger,
}

/// How a broadcast is set off.
enum Trigger {
    /// One byte on the control connection.
    Control(TcpStream),
    /// A frame with the event, from a socket of the crowd's kind.
    Emit { socket: TcpStream, frame: Vec<u8> },
}

impl Trigger {
    async fn pull(&mut self, times: usize) -> Result<()> {
        match self {
            Self::Control(control) => control.write_all(&vec![b'1'; times]).await?,
            Self::Emit { socket, frame } => socket.write_all(&frame.repeat(times)).await?,
        }
        Ok(())
    }
}

impl Subject {
    async fn limit(options: &Options, frame_len: usize) -> Result<Self> {
        let server = Server::start(&["limit", "--frame-len", &frame_len.to_string()]).await?;
        let crowd = Crowd::default();
        connect_plain(server.ports[0], options.sockets, &crowd).await?;
        let control = TcpStream::connect(("127.0.0.1", server.ports[1])).await?;
        control.set_nodelay(true)?;
        Ok(Self { server, crowd, trigger: Trigger::Control(control) })
    }

    async fn whisk(options: &Options) -> Result<Self> {
        let server = Server::start(&["whisk"]).await?;
        let port = server.ports[0];
        let crowd = Crowd::default();
        // One of the sockets also sets off the broadcasts.
        connect_whisk(port, options.sockets - 1, &crowd).await?;
        let (read, write) = crate::load::confirmed(port).await?.into_std().and_then(split)?;
        crowd.join(read);
        let frame = wire::ws::client::text(whisk::TRIGGER).to_vec();
        Ok(Self { server, crowd, trigger: Trigger::Emit { socket: write, frame } })
    }

    /// CPU seconds of the server for one million deliveries, with `flight` messages in flight.
    async fn measure(&mut self, options: &Options, frame_len: usize, flight: usize) -> Result<f64> {
        let before = cpu_time(self.server.pid)?;
        let rounds = options.messages / flight as u64;
        let per_round = (frame_len * options.sockets * flight) as u64;
        for _ in 0..rounds {
            self.crowd.expect(per_round);
            self.trigger.pull(flight).await?;
            self.crowd.all().await?;
        }
        let deliveries = rounds * flight as u64 * options.sockets as u64;
        let taken = cpu_time(self.server.pid)? - before;
        Ok(taken.as_secs_f64() * 1e6 / deliveries as f64)
    }
}

/// The same connection twice, one to read and one to write.
fn split(socket: std::net::TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let copy = socket.try_clone()?;
    Ok((TcpStream::from_std(socket)?, TcpStream::from_std(copy)?))
}

/// Runs everything and prints the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let began = Instant::now();
        deliveries(options).await?;
        memory(options).await?;
        println!("\nTook {:.0} s.", began.elapsed().as_secs_f64());
        Ok(())
    })
}

async fn deliveries(options: &Options) -> Result<()> {
    let frame_len = whisk::frame_len();
    println!(
        "Deliveries: {} bytes of payload in frames of {frame_len} bytes to {} sockets, {} messages",
        whisk::PAYLOAD_LEN,
        options.sockets,
        options.messages
    );
    let mut limit = Subject::limit(options, frame_len).await?;
    let mut whisk = Subject::whisk(options).await?;
    for flight in [1, 8] {
        let (mut limits, mut whisks) = (Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            // In turns, so that both meet the same noise.
            limits.push(limit.measure(options, frame_len, flight).await?);
            whisks.push(whisk.measure(options, frame_len, flight).await?);
            println!("  {flight} in flight, round {round} of {}", options.rounds);
        }
        let (limit, whisk) = (median(limits), median(whisks));
        println!("\n{flight} in flight, CPU seconds per million deliveries (median):");
        println!("  the limit {limit:.3}   whisk {whisk:.3}   ratio {:.2}", whisk / limit);
        println!("  whisk reaches {:.0} % of the limit\n", 100.0 * limit / whisk);
    }
    limit.server.stop().await?;
    whisk.server.stop().await
}

async fn memory(options: &Options) -> Result<()> {
    println!("Memory: {} idle confirmed sockets", options.idle);
    let server = Server::start(&["whisk"]).await?;
    let port = server.ports[0];
    // What the first sockets bring with them belongs to the process, not to each socket.
    let crowd = Crowd::default();
    connect_whisk(port, 10, &crowd).await?;
    let before = proportional_memory(server.pid)?;
    connect_whisk(port, options.idle, &crowd).await?;
    let after = proportional_memory(server.pid)?;
    let each = (after - before) as f64 / options.idle as f64 / 1024.0;
    println!("\nProportional memory: {each:.2} KiB for each of {} confirmed sockets", options.idle);
    server.stop().await
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
