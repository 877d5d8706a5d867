//! How far a channel is.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// How far a channel is: the offset of its last message, in an epoch of the channel's life.
///
/// Offsets count up by one in an epoch. A new epoch begins with the first message after the store has
/// forgotten the channel; offsets of two epochs say nothing about each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch's name; empty while nothing was said in any.
    pub epoch: ByteString,
    /// The last message's offset; 0 before the first.
    pub offset: u64,
}

/// Where a message is kept when its publisher is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// The backend took it.
    Memory,
}

/// The longest stamp, in bytes.
const STAMP_MAX: usize = 128;

/// Marks a frame that a store has stamped. No frame of the bus itself begins so.
const MARK: u8 = b'@';

impl Position {
    /// What a store puts before a frame that it publishes under this position: `@EPOCH OFFSET` and a
    /// line feed.
    pub fn stamp(&self, frame: &[u8]) -> Bytes {
        let stamp = format!("@{} {}\n", self.epoch, self.offset);
        [stamp.as_bytes(), frame].concat().into()
    }

    /// Takes the stamp off a frame. A frame without one is given back as it is; `None` where it
    /// begins as a stamp and is none.
    pub(crate) fn take_off(mut frame: Bytes) -> Option<(Option<Self>, Bytes)> {
        if frame.first() != Some(&MARK) {
            return Some((None, frame));
        }
        let end = frame.iter().take(STAMP_MAX).position(|byte| *byte == b'\n')?;
        let stamp = frame.split_to(end + 1);
        let stamp = std::str::from_utf8(stamp.get(1..end)?).ok()?;
        let (epoch, offset) = stamp.split_once(' ')?;
        let position = Self { epoch: epoch.into(), offset: offset.parse().ok()? };
        Some((Some(position), frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_off_as_it_was_put_on() {
        let position = Position { epoch: "e1".into(), offset: 7 };
        let stamped = position.stamp(b"{}\nx");
        let (found, frame) = Position::take_off(stamped).unwrap();
        assert_eq!((found, &frame[..]), (Some(position), &b"{}\nx"[..]));
        let plain = Bytes::from_static(b"{}\n");
        assert_eq!(Position::take_off(plain.clone()), Some((None, plain)));
        for broken in ["@", "@e 1", "@e\n", "@e x\n", &format!("@{} 1\n", "e".repeat(200))] {
            assert_eq!(Position::take_off(broken.to_owned().into()), None, "{broken}");
        }
    }
}
