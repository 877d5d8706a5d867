//! The open packet: what a server tells a client at the start of a session.

use bytes::Bytes;
use serde::Serialize;

use crate::ws::encode;

/// The data of the open packet. Its JSON has exactly these keys, in the protocol's order and
/// spelling (`sid`, `upgrades`, `pingInterval`, `pingTimeout`, `maxPayload`).
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake<'a> {
    /// The id of the Engine.IO session.
    pub sid: &'a str,
    /// Transports to which the client may move from this one: empty on a WebSocket.
    pub upgrades: &'a [&'a str],
    /// Milliseconds between two pings of the server.
    pub ping_interval: u64,
    /// Milliseconds within which each must be answered.
    pub ping_timeout: u64,
    /// The most bytes that the server takes in one message or polling body.
    pub max_payload: u64,
}

impl Handshake<'_> {
    /// The JSON text.
    pub fn to_json(&self) -> String {
        // Strings and numbers always serialize; an empty text would be refused by any client.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The finished WebSocket frame of the open packet.
    pub fn to_frame(&self) -> Bytes {
        encode::text_of(&["0", &self.to_json()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_packet_has_exactly_the_keys_of_the_protocol() {
        let handshake = Handshake {
            sid: "lv_VI97HAXpY6yYWAAAC",
            upgrades: &["websocket"],
            ping_interval: 25_000,
            ping_timeout: 20_000,
            max_payload: 1_000_000,
        };
        let json = r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(handshake.to_json(), json);
        assert_eq!(handshake.to_frame(), encode::text(&format!("0{json}")));
    }
}
