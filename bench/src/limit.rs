//! The limit: what delivering the same bytes costs when nothing else is done.
//!
//! It speaks no protocol. Whoever connects gets every frame; one byte on the control connection is
//! one broadcast. Bytes that are read together are broadcast together: the waiting frames leave in
//! one write for each socket, or in one write each with `--separately`.

use std::{cell::RefCell, rc::Rc};

use clap::Args;
use tokio::{
    io::AsyncReadExt,
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
    /// Write each frame by itself, also when several wait.
    #[arg(long)]
    separately: bool,
}

/// Runs until its control connection closes. Prints both ports first.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(options))
}

async fn serve(options: &Options) -> anyhow::Result<()> {
    let sockets = TcpListener::bind("127.0.0.1:0").await?;
    let control = TcpListener::bind("127.0.0.1:0").await?;
    println!("ports {} {}", sockets.local_addr()?.port(), control.local_addr()?.port());
    let accepted = Rc::new(RefCell::new(Vec::<TcpStream>::new()));
    tokio::task::spawn_local({
        let accepted = Rc::clone(&accepted);
        async move {
            while let Ok((socket, _)) = sockets.accept().await {
                if socket.set_nodelay(true).is_ok() {
                    accepted.borrow_mut().push(socket);
                }
            }
        }
    });
    let (mut control, _) = control.accept().await?;
    let frames = vec![b'x'; options.frame_len * TOGETHER_MAX];
    let mut told = [0u8; TOGETHER_MAX];
    loop {
        let count = control.read(&mut told).await?;
        if count == 0 {
            return Ok(());
        }
        // Taken for the time of the writes, so that no borrow lives across an await.
        let targets = accepted.take();
        let (rounds, together) = if options.separately { (count, 1) } else { (1, count) };
        for _ in 0..rounds {
            for socket in &targets {
                write_all(socket, &frames[..options.frame_len * together]).await?;
            }
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
