//! The clients: sockets that count the bytes which they get, and sockets that ask and wait.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use wire::ws::{self, Message};

use crate::{
    node,
    servers::{Kind, Server},
};

/// How long anything may take before the benchmark gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// Bytes of the text that events carry.
pub(crate) const PAYLOAD: usize = 128;

/// Sockets that read all they get, on this thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crowd {
    received: Rc<Cell<u64>>,
    expected: Rc<Cell<u64>>,
    sockets: Rc<Cell<usize>>,
    reached: Rc<Notify>,
}

impl Crowd {
    /// Lets the crowd read `socket` from now on.
    pub(crate) fn join(&self, mut socket: TcpStream) {
        let crowd = self.clone();
        self.sockets.update(|count| count + 1);
        tokio::task::spawn_local(async move {
            let mut buffer = vec![0u8; 16 * 1024];
            while let Ok(count) = socket.read(&mut buffer).await {
                if count == 0 {
                    break;
                }
                crowd.count(count as u64);
            }
            drop(socket);
            crowd.leave();
        });
    }

    /// Lets the crowd read `socket` from now on, counting its WebSocket messages in place of its bytes.
    pub(crate) fn join_counting_messages(&self, socket: Talker) {
        let crowd = self.clone();
        self.sockets.update(|count| count + 1);
        let Talker { mut socket, mut decoder, mut buffer, .. } = socket;
        tokio::task::spawn_local(async move {
            loop {
                let mut count = 0;
                while let Ok(Some(message)) = decoder.decode(&mut buffer) {
                    count += u64::from(matches!(message, Message::Text(_)));
                }
                crowd.count(count);
                if !matches!(socket.read_buf(&mut buffer).await, Ok(1..)) {
                    break;
                }
            }
            drop(socket);
            crowd.leave();
        });
    }

    fn leave(&self) {
        self.sockets.update(|count| count - 1);
        self.reached.notify_one();
    }

    /// Waits until the server has closed all of them: then their places among this process's open
    /// files are free.
    pub(crate) async fn gone(&self) -> Result<()> {
        while self.sockets.get() > 0 {
            timeout(DEADLINE, self.reached.notified()).await.context("sockets stay open")?;
        }
        Ok(())
    }

    fn count(&self, more: u64) {
        let received = self.received.get() + more;
        self.received.set(received);
        if received >= self.expected.get() {
            self.reached.notify_one();
        }
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

/// Sockets of Socket.IO.
pub(crate) async fn connect_all(server: &Server, count: usize, crowd: &Crowd) -> Result<()> {
    for _ in 0..count {
        crowd.join(connected(server.kind, server.port()).await?);
    }
    Ok(())
}

/// A socket that anybody may open, after its CONNECT was answered and its `auth` event came.
pub(crate) async fn connected(kind: Kind, port: u16) -> Result<TcpStream> {
    // The first ping of socketioxide comes at once, before the event or after it.
    let ping = if kind == Kind::Socketioxide { "\u{1}2" } else { "" };
    let told = |text: &str| text.contains("[\"auth\",{}]") && text.contains(ping);
    let connected = timeout(DEADLINE, handshake(port, "40", told)).await;
    connected
        .unwrap_or_else(|late| Err(late.into()))
        .with_context(|| format!("a socket of {} was not connected", kind.name()))
}

/// A socket that says something and reads what comes, message by message.
#[derive(Debug)]
pub(crate) struct Talker {
    socket: TcpStream,
    decoder: ws::Decoder,
    buffer: BytesMut,
    /// What stands before the events of its nsp: nothing, or `/nsp,`.
    nsp: &'static str,
    next_id: u64,
}

impl Talker {
    /// A socket on the nsp that is open to all.
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let connect = format!("40{},", node::OPEN);
        let told = |text: &str| text.contains("40/open,{\"sid\"") && text.ends_with('}');
        let opened = timeout(DEADLINE, handshake(port, &connect, told)).await;
        Ok(Self::on(opened.context("a socket was not connected in time")??, "/open,"))
    }

    /// A socket that was confirmed.
    pub(crate) async fn confirmed(port: u16) -> Result<Self> {
        Ok(Self::on(confirmed(port).await?, ""))
    }

    fn on(socket: TcpStream, nsp: &'static str) -> Self {
        let decoder = ws::client::decoder(ws::DecodeLimits::OFF);
        Self { socket, decoder, buffer: BytesMut::new(), nsp, next_id: 0 }
    }

    /// The next message's text, and how many bytes it took.
    pub(crate) async fn text(&mut self) -> Result<(String, usize)> {
        loop {
            let before = self.buffer.len();
            if let Some(message) = self.decoder.decode(&mut self.buffer)? {
                match message {
                    Message::Text(text) => {
                        return Ok((text.to_string(), before - self.buffer.len()));
                    }
                    Message::Close(_) => bail!("the server closed a socket"),
                    _ => continue,
                }
            }
            let read = timeout(DEADLINE, self.socket.read_buf(&mut self.buffer)).await;
            ensure!(read.context("nothing came in time")?? > 0, "the server closed a socket");
        }
    }

    /// Emits an event and waits for its acknowledgement.
    pub(crate) async fn ask(&mut self, event: &str, payload: &Value) -> Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let packet = format!("42{}{id}[\"{event}\",{payload}]", self.nsp);
        self.socket.write_all(&ws::client::text(&packet)).await?;
        let start = format!("43{}{id}", self.nsp);
        loop {
            let (text, _) = self.text().await?;
            if let Some(args) = text.strip_prefix(&start) {
                let mut args: Vec<Value> = serde_json::from_str(args)?;
                let answer = args.pop().context("an acknowledgement says something")?;
                ensure!(answer.get("error").is_none(), "{event} was answered with {answer}");
                return Ok(answer);
            }
        }
    }

    /// Reads until the server has closed the socket.
    pub(crate) async fn closed(mut self) {
        while self.text().await.is_ok() {}
    }

    /// Answers pings for as long as the socket lives.
    pub(crate) async fn idle(mut self) {
        while let Ok((text, _)) = self.text().await {
            if text == "2" && self.socket.write_all(&ws::client::text("3")).await.is_err() {
                return;
            }
        }
    }
}

/// A socket that was confirmed with a token of a page.
pub(crate) async fn confirmed(port: u16) -> Result<TcpStream> {
    let told = |text: &str| text.contains("whisk.auth.accept") && text.ends_with("\"}]");
    let confirmed = async {
        let token = http(port, "POST", "/bench/token").await?;
        let connect = format!("40{}", serde_json::json!({ "ws_token": token }));
        handshake(port, &connect, told).await
    };
    timeout(DEADLINE, confirmed).await.context("a socket was not confirmed in time")?
}

/// Upgrades, sends CONNECT, and reads until `told` finds what comes last.
async fn handshake(port: u16, connect: &str, told: impl Fn(&str) -> bool) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let upgrade = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).await?;
    let mut seen = BytesMut::with_capacity(1024);
    let mut asked = false;
    loop {
        ensure!(socket.read_buf(&mut seen).await? > 0, "the server closed the connection");
        let text = String::from_utf8_lossy(&seen);
        // The open packet `0{…}` follows the head; the CONNECT is sent after it.
        if !asked && text.contains("\"pingInterval\"") {
            ensure!(text.starts_with("HTTP/1.1 101"), "no upgrade: {text}");
            socket.write_all(&wire::ws::client::text(connect)).await?;
            asked = true;
        }
        if told(&text) {
            return Ok(socket);
        }
        if text.contains("session_refused") {
            bail!("the server refused the token: {text}");
        }
    }
}

/// Tells the server something; returns the answer's body.
async fn http(port: u16, method: &str, path: &str) -> Result<String> {
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

/// Asks `times` times, each time as soon as the answer is there.
pub(crate) async fn ask(
    mut socket: TcpStream,
    question: &[u8],
    answer: usize,
    times: usize,
) -> Result<TcpStream> {
    let mut read = vec![0; answer];
    for _ in 0..times {
        socket.write_all(question).await?;
        timeout(DEADLINE, socket.read_exact(&mut read)).await.context("no answer in time")??;
    }
    Ok(socket)
}

/// The text that events carry, as JSON.
pub(crate) fn payload() -> String {
    format!("\"{}\"", "x".repeat(PAYLOAD))
}
