//! A client that speaks HTTP in bytes, and one that polls with it.

use std::{collections::VecDeque, net::SocketAddr};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::DEADLINE;

/// One connection that stays open for many requests.
pub(crate) struct Http {
    stream: TcpStream,
    buffer: BytesMut,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::on(stream)
    }

    pub(crate) fn on(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Answer {
        Self::connect(address).await.request(method, path, headers, body).await
    }

    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Answer {
        self.send(method, path, headers, body).await;
        self.answer().await
    }

    /// Sends a request and leaves the answer for later.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) {
        let body = body.as_ref();
        let length = match body.len() {
            0 if method != "POST" => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{length}{headers}\r\n");
        self.raw(&[head.as_bytes(), body].concat()).await;
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads one answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.read().await,
            }
        };
        let head = String::from_utf8(self.buffer.split_to(end).to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            self.read().await;
        }
        answer.body = String::from_utf8(self.buffer.split_to(length).to_vec()).unwrap();
        answer
    }

    async fn read(&mut self) {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.buffer)).await;
        assert_ne!(read.expect("an answer in time").unwrap(), 0, "{:?}", self.buffer);
    }
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// A refusal with this status and the reference server's number.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: u8) {
        let start = format!("{{\"code\":{code},\"message\":");
        assert!(self.status == status && self.body.starts_with(&start), "{self:?}");
    }

    /// A post that was taken.
    #[track_caller]
    pub(crate) fn ok(&self) {
        assert!(self.status == 200 && self.body == "ok", "{self:?}");
    }

    /// The session's id in an answer that opens one.
    pub(crate) fn sid(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let open: serde_json::Value = serde_json::from_str(&self.body[1..]).unwrap();
        open["sid"].as_str().unwrap().to_owned()
    }
}

/// A session by long-polling: one connection for polls, one for posts.
pub(crate) struct Poller {
    pub(crate) sid: String,
    polls: Http,
    posts: Http,
    packets: VecDeque<String>,
}

impl Poller {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut polls = Http::connect(address).await;
        let open = polls.request("GET", "/socket.io/?EIO=4&transport=polling", "", "").await;
        let posts = Http::connect(address).await;
        Self { sid: open.sid(), polls, posts, packets: VecDeque::new() }
    }

    fn path(&self) -> String {
        format!("/socket.io/?EIO=4&transport=polling&sid={}", self.sid)
    }

    pub(crate) async fn poll(&mut self) -> Answer {
        let path = self.path();
        self.polls.request("GET", &path, "", "").await
    }

    pub(crate) async fn post(&mut self, body: &str) -> Answer {
        self.post_bytes(body.as_bytes()).await
    }

    pub(crate) async fn post_bytes(&mut self, body: &[u8]) -> Answer {
        let path = self.path();
        self.posts.request("POST", &path, "", body).await
    }

    /// The next packet; polls for it if none is here.
    pub(crate) async fn packet(&mut self) -> String {
        if self.packets.is_empty() {
            let answer = self.poll().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            self.packets.extend(answer.body.split('\u{1e}').map(str::to_owned));
        }
        self.packets.pop_front().unwrap()
    }
}
