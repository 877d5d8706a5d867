//! The limit: what the same bytes cost when nothing else is done. It speaks no protocol.
//!
//! Without `--echo`, whoever connects gets every frame; one byte on the control connection is one
//! broadcast. Bytes that are read together are broadcast together: the waiting frames leave in one
//! write for each socket. With `--group`, each four bytes on the control connection name one group of
//! sockets, which gets a frame. With `--echo`, so many bytes are answered with `--frame-len` others.

use std::{cell::RefCell, rc::Rc};

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
            (None, Some(group)) => groups(sockets, control, options.frame_len, group).await,
            (None, None) => broadcast(sockets, control, options.frame_len).await,
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
fn accept_all(sockets: TcpListener) -> Rc<RefCell<Vec<TcpStream>>> {
    let accepted = Rc::new(RefCell::new(Vec::new()));
    let arrivals = Rc::clone(&accepted);
    tokio::task::spawn_local(async move {
        while let Ok((socket, _)) = sockets.accept().await {
            if socket.set_nodelay(true).is_ok() {
                arrivals.borrow_mut().push(socket);
            }
        }
    });
    accepted
}

async fn groups(
    sockets: TcpListener,
    control: TcpListener,
    frame_len: usize,
    group: usize,
) -> anyhow::Result<()> {
    let accepted = accept_all(sockets);
    let (mut control, _) = control.accept().await?;
    let frame = vec![b'x'; frame_len];
    let mut told = BytesMut::with_capacity(16 * 1024);
    while control.read_buf(&mut told).await? > 0 {
        let targets = accepted.take();
        while told.len() >= 4 {
            let number = usize::try_from(told.get_u32_le())?;
            for socket in targets.chunks(group).nth(number).unwrap_or_default() {
                write_all(socket, &frame).await?;
            }
        }
        accepted.borrow_mut().splice(0..0, targets);
    }
    Ok(())
}

async fn broadcast(
    sockets: TcpListener,
    control: TcpListener,
    frame_len: usize,
) -> anyhow::Result<()> {
    let accepted = accept_all(sockets);
    let (mut control, _) = control.accept().await?;
    let frames = vec![b'x'; frame_len * TOGETHER_MAX];
    let mut told = [0u8; TOGETHER_MAX];
    loop {
        let count = control.read(&mut told).await?;
        if count == 0 {
            return Ok(());
        }
        // Taken for the time of the writes, so that no borrow lives across an await.
        let targets = accepted.take();
        for socket in &targets {
            write_all(socket, &frames[..frame_len * count]).await?;
        }
        accepted.borrow_mut().splice(0..0, targets);
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
