//! The limit: what the same bytes cost when nothing else is done. It speaks no protocol.
//!
//! Without `--echo`, each of the first `--sockets` gets every frame; one byte on the control connection is
//! one broadcast. Bytes that are read together are broadcast together: the waiting frames leave in one
//! write for each socket. With `--group`, each four bytes on the control connection name one group of
//! sockets, which gets a frame. With `--echo`, so many bytes are answered with `--frame-len` others.

use bytes::{Buf as _, BytesMut};
use clap::Args;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Frames that are written together at most, as many as are ever in flight.
const TOGETHER_MAX: usize = 64;

/// How the limit program runs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Bytes of one frame.
    #[arg(long)]
    frame_len: usize,
    /// Sockets that come before anything is written.
    #[arg(long, default_value_t = 0)]
    sockets: usize,
    /// Answer each so many bytes with a frame.
    #[arg(long)]
    echo: Option<usize>,
    /// Write to one group of so many sockets at a time, in the order in which they came.
    #[arg(long)]
    group: Option<usize>,
}

/// Runs until its control connection closes, or, with `--echo`, until it is killed. Prints its ports
/// first.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let sockets = TcpListener::bind("127.0.0.1:0").await?;
        let control = TcpListener::bind("127.0.0.1:0").await?;
        println!("ports {} {}", sockets.local_addr()?.port(), control.local_addr()?.port());
        match (options.echo, options.group) {
            (Some(asked), _) => echo(sockets, asked, options.frame_len).await,
            (None, group) => {
                let targets = accept(&sockets, options.sockets).await?;
                let (control, _) = control.accept().await?;
                match group {
                    Some(group) => groups(&targets, control, options.frame_len, group).await,
                    None => broadcast(&targets, control, options.frame_len).await,
                }
            }
        }
    })
}

async fn echo(sockets: TcpListener, asked: usize, answer: usize) -> anyhow::Result<()> {
    loop {
        let (mut socket, _) = sockets.accept().await?;
        socket.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            // Read into more than it needs, so that it need not look whether there is more.
            let (mut buffer, answer) = (vec![0; 16 * 1024], vec![b'x'; answer]);
            let mut waiting = 0;
            while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                waiting += count;
                while waiting >= asked {
                    waiting -= asked;
                    if socket.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// The sockets that come, in their order.
async fn accept(sockets: &TcpListener, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut accepted = Vec::with_capacity(count);
    while accepted.len() < count {
        let (socket, _) = sockets.accept().await?;
        socket.set_nodelay(true)?;
        accepted.push(socket);
    }
    Ok(accepted)
}

async fn groups(
    targets: &[TcpStream],
    mut control: TcpStream,
    frame_len: usize,
    group: usize,
) -> anyhow::Result<()> {
    let frame = vec![b'x'; frame_len];
    let mut told = BytesMut::with_capacity(16 * 1024);
    while control.read_buf(&mut told).await? > 0 {
        while told.len() >= 4 {
            let number = usize::try_from(told.get_u32_le())?;
            for socket in targets.chunks(group).nth(number).unwrap_or_default() {
                write_all(socket, &frame).await?;
            }
        }
    }
    Ok(())
}

async fn broadcast(
    targets: &[TcpStream],
    mut control: TcpStream,
    frame_len: usize,
) -> anyhow::Result<()> {
    let frames = vec![b'x'; frame_len * TOGETHER_MAX];
    let mut told = [0u8; TOGETHER_MAX];
    loop {
        let count = control.read(&mut told).await?;
        if count == 0 {
            return Ok(());
        }
        for socket in targets {
            write_all(socket, &frames[..frame_len * count]).await?;
        }
    }
}

async fn write_all(socket: &TcpStream, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                socket.writable().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
