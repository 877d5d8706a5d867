//! The clients: sockets that count the bytes which they get.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

/// How long anything may take before the benchmark gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a connected crowd is told, so that a long run shows progress.
const TOLD_EVERY: usize = 1_000;

/// Sockets that read all they get, on this thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crowd {
    received: Rc<Cell<u64>>,
    expected: Rc<Cell<u64>>,
    reached: Rc<Notify>,
}

impl Crowd {
    /// Lets the crowd read `socket` from now on.
    pub(crate) fn join(&self, mut socket: TcpStream) {
        let crowd = self.clone();
        tokio::task::spawn_local(async move {
            let mut buffer = vec![0u8; 16 * 1024];
            while let Ok(count) = socket.read(&mut buffer).await {
                if count == 0 {
                    break;
                }
                let received = crowd.received.get() + count as u64;
                crowd.received.set(received);
                if received >= crowd.expected.get() {
                    crowd.reached.notify_one();
                }
            }
        });
    }

    /// From now on `bytes` more are expected.
    pub(crate) fn expect(&self, bytes: u64) {
        self.received.set(0);
        self.expected.set(bytes);
    }

    /// Waits until all that was expected is there.
    pub(crate) async fn all(&self) -> Result<()> {
        while self.received.get() < self.expected.get() {
            timeout(DEADLINE, self.reached.notified()).await.with_context(|| {
                format!("{} of {} bytes arrived", self.received.get(), self.expected.get())
            })?;
        }
        ensure!(self.received.get() == self.expected.get(), "more bytes arrived than were sent");
        Ok(())
    }
}

/// Plain sockets to the limit program.
pub(crate) async fn connect_plain(port: u16, count: usize, crowd: &Crowd) -> Result<()> {
    for _ in 0..count {
        crowd.join(TcpStream::connect(("127.0.0.1", port)).await?);
    }
    Ok(())
}

/// Confirmed sockets of Whisk.
pub(crate) async fn connect_whisk(port: u16, count: usize, crowd: &Crowd) -> Result<()> {
    for number in 0..count {
        crowd.join(confirmed(port).await?);
        if (number + 1) % TOLD_EVERY == 0 {
            println!("  {} sockets are confirmed", number + 1);
        }
    }
    Ok(())
}

/// A socket that went through the whole handshake: page's token, upgrade, CONNECT, accept.
pub(crate) async fn confirmed(port: u16) -> Result<TcpStream> {
    timeout(DEADLINE, handshake(port)).await.context("a socket was not confirmed in time")?
}

async fn handshake(port: u16) -> Result<TcpStream> {
    let token = http(port, "POST", "/bench/token").await?;
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let upgrade = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).await?;
    let connect = format!("40{}", serde_json::json!({ "ws_token": token }));
    let mut seen = BytesMut::new();
    let mut asked = false;
    loop {
        ensure!(socket.read_buf(&mut seen).await? > 0, "the server closed the connection");
        let text = String::from_utf8_lossy(&seen);
        // The open packet `0{…}` follows the head; the credential is sent after it.
        if !asked && text.contains("\"pingInterval\"") {
            ensure!(text.starts_with("HTTP/1.1 101"), "no upgrade: {text}");
            socket.write_all(&wire::ws::client::text(&connect)).await?;
            asked = true;
        }
        // Whole when its last field is there: nothing follows the accept.
        if text.contains("whisk.auth.accept") && text.ends_with("\"}]") {
            return Ok(socket);
        }
        if text.contains("session_refused") {
            bail!("the server refused the token: {text}");
        }
    }
}

/// Tells the Whisk server something; returns the answer's body.
pub(crate) async fn http(port: u16, method: &str, path: &str) -> Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{method} {path} was answered with {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer has a body")?;
    Ok(body.to_owned())
}
