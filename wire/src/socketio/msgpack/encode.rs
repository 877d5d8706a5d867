//! Packets to binary messages, and to finished WebSocket frames.

use bytes::Bytes;

use crate::socketio::encode::{Body, Outgoing};
use crate::socketio::json::{ArgsError, Closed, Placeholder, Scalar, Visitor, walk};
use crate::text::json_unescaped;
use crate::ws::encode::{HEADER_ROOM, binary_in_place};

/// Headers of the packet's own map, its keys and its numbers.
const OVERHEAD: usize = 64;

impl Outgoing<'_> {
    /// The packet as the binary message of the message-pack parser, for long-polling. Each
    /// placeholder in the arguments becomes the one of `attachments` that it is of; without
    /// attachments, none is looked for.
    ///
    /// # Errors
    ///
    /// [`ArgsError`], since here the JSON texts have to be understood.
    pub fn to_msgpack(&self, attachments: &[Bytes]) -> Result<Bytes, ArgsError> {
        self.write(0, attachments).map(Bytes::from)
    }

    /// The same as a finished WebSocket frame, to be shared by any number of sockets.
    ///
    /// # Errors
    ///
    /// [`ArgsError`].
    pub fn to_msgpack_frame(&self, attachments: &[Bytes]) -> Result<Bytes, ArgsError> {
        self.write(HEADER_ROOM, attachments).map(binary_in_place)
    }

    /// Writes the message behind `room` bytes that are left free.
    fn write(&self, room: usize, attachments: &[Bytes]) -> Result<Vec<u8>, ArgsError> {
        let nsp = self.nsp().as_str();
        let (kind, texts) = match self.body() {
            Body::Open { auth } => (0, auth.len()),
            Body::Connect { sid } => (0, sid.len()),
            Body::Disconnect => (1, 0),
            Body::Event { name, args, .. } => (2, name.len() + args.len()),
            Body::Ack { args, .. } => (3, args.len()),
            Body::ConnectError { error } => (4, error.len()),
        };
        let binary: usize = attachments.iter().map(Bytes::len).sum();
        let mut out = Vec::with_capacity(room + OVERHEAD + nsp.len() + texts + binary);
        out.resize(room, 0);
        let mut writer = Writer { out, attachments };
        let start = writer.open();
        writer.pair("type");
        writer.out.push(kind);
        writer.pair("nsp");
        writer.text(nsp);
        let mut len = 2;
        match self.body() {
            Body::Open { auth: "" } | Body::Disconnect => {}
            Body::Open { auth: data } | Body::ConnectError { error: data } => {
                writer.pair("data");
                len += 1;
                if walk(data, &mut writer)? != 1 {
                    return Err(ArgsError::Malformed);
                }
            }
            Body::Connect { sid } => {
                writer.pair("data");
                len += 1;
                let data = writer.open();
                writer.pair("sid");
                writer.text(sid);
                writer.set_len(data, true, 1);
            }
            Body::Event { id, name, args } => {
                len += writer.data(Some(name), args)?;
                len += id.map_or(0, |id| writer.id(id));
            }
            Body::Ack { id, args } => {
                len += writer.data(None, args)?;
                len += writer.id(id);
            }
        }
        writer.set_len(start, true, len);
        Ok(writer.out)
    }
}

/// Message-pack in its shortest forms, as the reference parser writes it.
struct Writer<'a> {
    out: Vec<u8>,
    attachments: &'a [Bytes],
}

impl Writer<'_> {
    fn pair(&mut self, key: &str) {
        self.text(key);
    }

    /// The pair `data` with an array; gives the number of pairs.
    fn data(&mut self, name: Option<&str>, args: &str) -> Result<usize, ArgsError> {
        self.pair("data");
        let start = self.open();
        if let Some(name) = name {
            self.text(name);
        }
        let len = walk(args, self)? + usize::from(name.is_some());
        self.set_len(start, false, len);
        Ok(1)
    }

    /// The pair `id`; gives the number of pairs.
    fn id(&mut self, id: u64) -> usize {
        self.pair("id");
        self.unsigned(id);
        1
    }

    /// Writes the header for which [`open`](Visitor::open) left one byte, and makes room if it
    /// is longer.
    fn set_len(&mut self, mark: usize, is_map: bool, len: usize) {
        let (short, wide) = if is_map { (0x80, 0xde) } else { (0x90, 0xdc) };
        if len < 16 {
            self.out[mark] = short | len as u8;
        } else if let Ok(len) = u16::try_from(len) {
            self.out[mark] = wide;
            self.out.splice(mark + 1..mark + 1, len.to_be_bytes());
        } else {
            self.out[mark] = wide + 1;
            self.out.splice(mark + 1..mark + 1, (len as u32).to_be_bytes());
        }
    }

    fn text(&mut self, text: &str) {
        if text.len() < 32 {
            self.out.push(0xa0 | text.len() as u8);
        } else {
            self.length(0xd9, text.len());
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A length behind the first of three markers: of one, two or four bytes.
    fn length(&mut self, marker: u8, len: usize) {
        if let Ok(len) = u8::try_from(len) {
            self.out.extend_from_slice(&[marker, len]);
        } else if let Ok(len) = u16::try_from(len) {
            self.out.push(marker + 1);
            self.out.extend_from_slice(&len.to_be_bytes());
        } else {
            self.out.push(marker + 2);
            self.out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }

    fn number(&mut self, digits: &str) -> Result<(), ArgsError> {
        if let Ok(number) = digits.parse::<u64>() {
            self.unsigned(number);
        } else if let Ok(number) = digits.parse::<i64>() {
            self.negative(number);
        } else {
            // A fraction, or over 64 bits. The parser of floats takes more than JSON has.
            let is_json = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
            let number = Some(digits).filter(|digits| digits.bytes().all(is_json));
            let number: f64 =
                number.and_then(|digits| digits.parse().ok()).ok_or(ArgsError::Malformed)?;
            self.out.push(0xcb);
            self.out.extend_from_slice(&number.to_be_bytes());
        }
        Ok(())
    }

    fn unsigned(&mut self, number: u64) {
        let bytes = number.to_be_bytes();
        match number {
            0..=0x7f => self.out.push(bytes[7]),
            0x80..=0xff => self.out.extend_from_slice(&[0xcc, bytes[7]]),
            0x100..=0xffff => self.marked(0xcd, &bytes[6..]),
            0x1_0000..=0xffff_ffff => self.marked(0xce, &bytes[4..]),
            _ => self.marked(0xcf, &bytes),
        }
    }

    /// A number below zero, or the zero that JSON writes as `-0`.
    fn negative(&mut self, number: i64) {
        let bytes = number.to_be_bytes();
        match number {
            0.. => self.unsigned(number.unsigned_abs()),
            -0x20..0 => self.out.push(bytes[7]),
            -0x80..-0x20 => self.marked(0xd0, &bytes[7..]),
            -0x8000..-0x80 => self.marked(0xd1, &bytes[6..]),
            -0x8000_0000..-0x8000 => self.marked(0xd2, &bytes[4..]),
            _ => self.marked(0xd3, &bytes),
        }
    }

    fn marked(&mut self, marker: u8, bytes: &[u8]) {
        self.out.push(marker);
        self.out.extend_from_slice(bytes);
    }

    fn unescaped(&mut self, raw: &str) -> Result<(), ArgsError> {
        self.text(&json_unescaped(raw).ok_or(ArgsError::Malformed)?);
        Ok(())
    }
}

impl Visitor for Writer<'_> {
    fn open(&mut self) -> usize {
        self.out.push(0);
        self.out.len() - 1
    }

    fn key(&mut self, raw: &str) -> Result<(), ArgsError> {
        self.unescaped(raw)
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), ArgsError> {
        match scalar {
            Scalar::Text(raw) => self.unescaped(raw)?,
            Scalar::Number(digits) => self.number(digits)?,
            Scalar::Bool(true) => self.out.push(0xc3),
            Scalar::Bool(false) => self.out.push(0xc2),
            Scalar::Null => self.out.push(0xc0),
        }
        Ok(())
    }

    fn close(&mut self, closed: Closed) -> Result<(), ArgsError> {
        let attachments = self.attachments;
        match closed.placeholder {
            Placeholder::Of(index) if !attachments.is_empty() => {
                let attachment = attachments.get(index).ok_or(ArgsError::BadPlaceholder)?;
                self.out.truncate(closed.mark);
                self.length(0xc4, attachment.len());
                self.out.extend_from_slice(attachment);
            }
            Placeholder::Broken if !attachments.is_empty() => {
                return Err(ArgsError::BadPlaceholder);
            }
            _ => self.set_len(closed.mark, closed.is_object, closed.len),
        }
        Ok(())
    }
}
