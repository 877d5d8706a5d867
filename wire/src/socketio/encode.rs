//! Packets to text, and to finished WebSocket frames in one allocation.

use bytes::{Bytes, BytesMut};

use super::packet::Nsp;
use crate::text::{Decimal, json_escaped};
use crate::ws::encode;

/// A packet to send. It borrows everything and is written once, in the form that is needed:
/// [`to_frame`](Self::to_frame) for WebSockets, [`to_text`](Self::to_text) for others,
/// [`to_msgpack_frame`](Self::to_msgpack_frame) for clients of the message-pack parser.
///
/// The JSON texts in it are trusted to be valid; strings that are not JSON are escaped here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    nsp: &'a Nsp,
    attachments: usize,
    body: Body<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Open { auth: &'a str },
    Connect { sid: &'a str },
    Disconnect,
    Event { id: Option<u64>, name: &'a str, args: &'a str },
    Ack { id: u64, args: &'a str },
    ConnectError { error: &'a str },
}

impl<'a> Outgoing<'a> {
    const fn new(nsp: &'a Nsp, body: Body<'a>) -> Self {
        Self { nsp, attachments: 0, body }
    }

    /// The answer to a client that is let into `nsp`: `sid` is the id of its socket there.
    pub const fn connect(nsp: &'a Nsp, sid: &'a str) -> Self {
        Self::new(nsp, Body::Connect { sid })
    }

    /// The answer to a client that is not let in: `error` is the text of a JSON object with
    /// `message` and, by custom, `data`, as [`connect_error_json`] makes it.
    pub const fn connect_error(nsp: &'a Nsp, error: &'a str) -> Self {
        Self::new(nsp, Body::ConnectError { error })
    }

    /// The socket is put out of `nsp`; an official client does not come back by itself.
    pub const fn disconnect(nsp: &'a Nsp) -> Self {
        Self::new(nsp, Body::Disconnect)
    }

    /// An event. `args` are JSON texts with commas between and without brackets, as in
    /// [`Kind::Event`](super::Kind::Event); `id` asks for an acknowledgement.
    pub const fn event(nsp: &'a Nsp, id: Option<u64>, name: &'a str, args: &'a str) -> Self {
        Self::new(nsp, Body::Event { id, name, args })
    }

    /// The acknowledgement of the event that had `id`; `args` as in [`event`](Self::event).
    pub const fn ack(nsp: &'a Nsp, id: u64, args: &'a str) -> Self {
        Self::new(nsp, Body::Ack { id, args })
    }

    /// A client's wish to be let into `nsp`, for test clients: `auth` is the text of a JSON
    /// object, or empty.
    pub const fn open(nsp: &'a Nsp, auth: &'a str) -> Self {
        Self::new(nsp, Body::Open { auth })
    }

    pub(super) const fn nsp(&self) -> &'a Nsp {
        self.nsp
    }

    pub(super) const fn body(&self) -> Body<'a> {
        self.body
    }

    /// Says that `count` binary messages follow. Only events and acknowledgements may have
    /// them; for other packets it changes nothing.
    pub const fn with_attachments(mut self, count: usize) -> Self {
        self.attachments = count;
        self
    }

    /// The text of the packet.
    pub fn to_text(&self) -> String {
        self.with_parts("", |parts| parts.concat())
    }

    /// The text of the Engine.IO message that carries the packet, for long-polling.
    pub fn to_message(&self) -> String {
        self.with_parts("4", |parts| parts.concat())
    }

    /// The finished WebSocket frame, to be shared by any number of sockets.
    pub fn to_frame(&self) -> Bytes {
        self.with_parts("4", encode::text_of)
    }

    /// Appends the WebSocket frame to what one socket is about to be sent.
    pub fn append_frame(&self, out: &mut BytesMut) {
        self.with_parts("4", |parts| encode::append_text_of(out, parts));
    }

    /// Hands over the pieces that make the text when they are put together.
    fn with_parts<R>(&self, prefix: &str, write: impl FnOnce(&[&str]) -> R) -> R {
        let (nsp, comma) = self.nsp.parts();
        match self.body {
            Body::Open { auth } => write(&[prefix, "0", nsp, comma, auth]),
            Body::Connect { sid } => {
                write(&[prefix, "0", nsp, comma, r#"{"sid":""#, &json_escaped(sid), r#""}"#])
            }
            Body::Disconnect => write(&[prefix, "1", nsp, comma]),
            Body::ConnectError { error } => write(&[prefix, "4", nsp, comma, error]),
            Body::Event { id, name, args } => {
                let count = Decimal::new(self.attachments as u64);
                let id = id.map(Decimal::new);
                let (kind, count, dash) = self.kind("2", "5", &count);
                let id = id.as_ref().map_or("", Decimal::as_str);
                let name = json_escaped(name);
                let open_args = if args.is_empty() { "\"" } else { "\"," };
                write(&[
                    prefix, kind, count, dash, nsp, comma, id, "[\"", &name, open_args, args, "]",
                ])
            }
            Body::Ack { id, args } => {
                let count = Decimal::new(self.attachments as u64);
                let id = Decimal::new(id);
                let (kind, count, dash) = self.kind("3", "6", &count);
                write(&[prefix, kind, count, dash, nsp, comma, id.as_str(), "[", args, "]"])
            }
        }
    }

    /// The type, and the number of attachments if there are any.
    fn kind<'p>(
        &self,
        plain: &'p str,
        binary: &'p str,
        count: &'p Decimal,
    ) -> (&'p str, &'p str, &'p str) {
        if self.attachments == 0 { (plain, "", "") } else { (binary, count.as_str(), "-") }
    }
}

/// The JSON of a refusal: `{"message":…,"data":{"code":…}}`.
pub fn connect_error_json(message: &str, code: &str) -> String {
    format!(
        r#"{{"message":"{}","data":{{"code":"{}"}}}}"#,
        json_escaped(message),
        json_escaped(code)
    )
}
