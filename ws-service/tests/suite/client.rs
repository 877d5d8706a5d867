//! A client that speaks in bytes and packets, so that tests can say anything.

use std::{net::SocketAddr, time::Duration};

use bytes::BytesMut;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wire::{
    CloseCode,
    ws::{self, DecodeLimits, Decoder, Message},
};

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A key as RFC 6455 section 1.3 shows it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// One WebSocket.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
    decoder: Decoder,
    next_id: u64,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What came before the end, as texts.
    pub(crate) texts: Vec<String>,
    /// The close frame's code; `None` if there was none.
    pub(crate) code: Option<u16>,
}

/// A request to upgrade, with more header lines.
pub(crate) fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// Where sockets connect.
pub(crate) const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// Sends `request` and reads the head of the answer, and what came behind it.
pub(crate) async fn exchange(stream: &mut TcpStream, request: &[u8]) -> (String, BytesMut) {
    stream.write_all(request).await.unwrap();
    let mut buffer = BytesMut::new();
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = buffer.split_to(end + 4);
            return (String::from_utf8(head.to_vec()).unwrap(), buffer);
        }
        let read = timeout(DEADLINE, stream.read_buf(&mut buffer)).await.expect("an answer");
        assert_ne!(read.unwrap(), 0, "no answer but {:?}", String::from_utf8_lossy(&buffer));
    }
}

impl Client {
    /// A connection that is upgraded, with its open packet read.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::open_on(stream, "").await
    }

    /// The same at another path.
    pub(crate) async fn open_at(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::opened(stream, &request(path, "")).await
    }

    /// The same on a connected stream, with more header lines.
    pub(crate) async fn open_on(stream: TcpStream, more: &str) -> Self {
        Self::opened(stream, &request(PATH, more)).await
    }

    pub(crate) async fn opened(mut stream: TcpStream, request: &str) -> Self {
        let (head, buffer) = exchange(&mut stream, request.as_bytes()).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        let decoder = ws::client::decoder(DecodeLimits::OFF);
        let mut client = Self { stream, buffer, decoder, next_id: 0 };
        let open = client.text().await;
        assert!(open.starts_with("0{\"sid\":"), "{open}");
        client
    }

    /// A WebSocket to which the polling session `sid` may move; nothing is said yet.
    pub(crate) async fn candidate(address: SocketAddr, sid: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = request(&format!("{PATH}&sid={sid}"), "");
        let (head, buffer) = exchange(&mut stream, request.as_bytes()).await;
        let decoder = ws::client::decoder(DecodeLimits::OFF);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { stream, buffer, decoder, next_id: 0 }
    }

    /// A socket that is confirmed by a token in its CONNECT.
    pub(crate) async fn confirmed(address: SocketAddr, token: &str) -> Self {
        let mut client = Self::open(address).await;
        client.connect(token).await;
        client
    }

    /// Shows a token and returns the arguments of `whisk.auth.accept`.
    pub(crate) async fn connect(&mut self, token: &str) -> Value {
        self.send(&format!(r#"40{{"ws_token":"{token}"}}"#)).await;
        let connect = self.text().await;
        assert!(connect.starts_with("40{\"sid\":"), "{connect}");
        self.event("whisk.auth.accept").await
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, text: &str) {
        self.raw(&ws::client::text(text)).await;
    }

    /// The next message, or `None` at the end of the stream.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.decoder.decode(&mut self.buffer).unwrap() {
                return Some(message);
            }
            let read = self.stream.read_buf(&mut self.buffer);
            match timeout(DEADLINE, read).await.expect("a message in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next text. Pings of the protocol are answered and passed over.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.message().await.expect("a message") {
                Message::Text(text) if &*text == "2" => self.send("3").await,
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} in place of a text"),
            }
        }
    }

    /// The first argument of the next event of this name in `/`. Others are passed over.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        let start = format!("42[\"{name}\"");
        loop {
            let text = self.text().await;
            if text.starts_with(&start) {
                let array: Vec<Value> = serde_json::from_str(&text[2..]).unwrap();
                return array.into_iter().nth(1).unwrap_or_default();
            }
        }
    }

    /// Emits an event and returns the acknowledgement's first argument.
    pub(crate) async fn ask(&mut self, name: &str, args: &str) -> Value {
        let id = self.emit(name, args).await;
        self.ack(id).await
    }

    /// Emits an event and returns the id under which it will be acknowledged.
    pub(crate) async fn emit(&mut self, name: &str, args: &str) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let comma = if args.is_empty() { "" } else { "," };
        self.send(&format!("42{id}[\"{name}\"{comma}{args}]")).await;
        id
    }

    /// The first argument of an acknowledgement.
    pub(crate) async fn ack(&mut self, id: u64) -> Value {
        let start = format!("43{id}[");
        loop {
            let text = self.text().await;
            if text.starts_with(&start) {
                let array: Vec<Value> = serde_json::from_str(&text[start.len() - 1..]).unwrap();
                return array.into_iter().next().unwrap_or_default();
            }
        }
    }

    /// Reads to the end, answering the close frame as a peer does.
    pub(crate) async fn ended(mut self) -> Ended {
        let mut texts = Vec::new();
        let mut code = None;
        while let Some(message) = self.message().await {
            match message {
                Message::Text(text) => texts.push(text.to_string()),
                Message::Close(said) => {
                    code = said.as_ref().map(|(code, _)| code.get());
                    let said = said.map_or(CloseCode::NORMAL, |(code, _)| code);
                    // The server may have ended its side for good already.
                    let frame = ws::client::close(said, &"".into());
                    let _sent = self.stream.write_all(&frame).await;
                }
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
        Ended { texts, code }
    }
}

/// The code of an error acknowledgement.
pub(crate) fn code(ack: &Value) -> &str {
    ack["error"]["code"].as_str().unwrap_or_default()
}
