//! Every bound of the system, with its name in the configuration and its default.
//!
//! What happens at a bound stands at its field; a hit is counted in
//! [`Metrics::limit`](crate::metrics::Metrics::limit) under the field's name. Each one can be
//! switched off by writing `"off"`, for conformance suites and benchmarks.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A bound that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// At most this.
    At(T),
    /// No bound.
    Off,
}

impl<T: Copy + PartialOrd> Limit<T> {
    /// The bound, if there is one.
    pub fn get(self) -> Option<T> {
        match self {
            Self::At(limit) => Some(limit),
            Self::Off => None,
        }
    }

    /// Whether `value` is beyond the bound.
    pub fn exceeded_by(self, value: T) -> bool {
        self.get().is_some_and(|limit| value > limit)
    }
}

/// What a limit is written as in a configuration.
pub trait LimitValue: Sized {
    /// For the error text.
    const EXPECTED: &'static str;
    /// Reads a number.
    fn from_number(number: u64) -> Option<Self>;
    /// Reads a text.
    fn from_text(text: &str) -> Option<Self>;
    /// Writes it back.
    fn to_text(&self) -> String;
}

impl LimitValue for u64 {
    const EXPECTED: &'static str = "a whole number, or \"off\"";
    fn from_number(number: u64) -> Option<Self> {
        Some(number)
    }
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl LimitValue for Duration {
    const EXPECTED: &'static str = "a duration as \"5s\" or \"250ms\", or \"off\"";
    fn from_number(_: u64) -> Option<Self> {
        None
    }
    fn from_text(text: &str) -> Option<Self> {
        humantime_serde::re::humantime::parse_duration(text).ok()
    }
    fn to_text(&self) -> String {
        humantime_serde::re::humantime::format_duration(*self).to_string()
    }
}

impl<T: LimitValue> Serialize for Limit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(limit) => serializer.serialize_str(&limit.to_text()),
            Self::Off => serializer.serialize_str("off"),
        }
    }
}

impl<'de, T: LimitValue> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<T: LimitValue> de::Visitor<'_> for Visitor<T> {
            type Value = Limit<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Limit<T>, E> {
                let unexpected = de::Unexpected::Unsigned(number);
                T::from_number(number)
                    .map(Limit::At)
                    .ok_or_else(|| E::invalid_value(unexpected, &self))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Limit<T>, E> {
                u64::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    .and_then(|number| self.visit_u64(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit<T>, E> {
                if text == "off" {
                    return Ok(Limit::Off);
                }
                let unexpected = de::Unexpected::Str(text);
                T::from_text(text).map(Limit::At).ok_or_else(|| E::invalid_value(unexpected, &self))
            }
        }
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr;)+) => {
        /// The bounds of one process, as `[limits]` of its configuration sets them.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: Limit<$type>,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: Limit::At($default),)+ }
            }
        }

        impl Limits {
            /// The names of all bounds, as configuration and metrics use them.
            pub const NAMES: &[&str] = &[$(stringify!($name),)+];

            /// No bound of rates and numbers, for suites and benchmarks. Bounds of bytes, of
            /// nesting and of time stay.
            #[must_use]
            pub fn rates_and_numbers_off(mut self) -> Self {
                self.unconfirmed_per_address = Limit::Off;
                self.unconfirmed_per_node = Limit::Off;
                self.unconfirmed_events = Limit::Off;
                self.emits_per_second = Limit::Off;
                self.frames_per_second = Limit::Off;
                self.route_in_flight = Limit::Off;
                self.route_queue = Limit::Off;
                self.socket_in_flight = Limit::Off;
                self.socket_queue = Limit::Off;
                self.nsps_per_connection = Limit::Off;
                self.rooms_per_socket = Limit::Off;
                self.channels_per_socket = Limit::Off;
                self.joins_per_second = Limit::Off;
                self.requests_per_socket = Limit::Off;
                self.pending_acks = Limit::Off;
                self.peer_requests = Limit::Off;
                self.peer_tunnels = Limit::Off;
                self
            }
        }
    };
}

const KIB: u64 = 1024;

limits! {
    /// Bytes of one frame, one reassembled message or one polling body; told in the handshake.
    /// Beyond it the connection is closed with 1009, from the frame's header. 256 KiB.
    max_payload: u64 = 256 * KIB;
    /// Frames of one fragmented message. Beyond it: close 1009. 64.
    max_fragments: u64 = 64;
    /// Nesting of a packet's JSON. Beyond it: close 1009. 32.
    json_depth: u64 = 32;
    /// Binary attachments of one packet. Beyond it: close 1009. 10.
    max_attachments: u64 = 10;
    /// Time for a message whose first bytes are there. After it: close 4004. 10 s.
    fragment_timeout: Duration = Duration::from_secs(10);
    /// Time for the head of an HTTP request. After it: 408, by the HTTP server, which does not count
    /// it. 5 s.
    request_timeout: Duration = Duration::from_secs(5);
    /// Time from the upgrade to a confirmed socket. After it: `auth_timeout`, close 4003. 5 s.
    confirm_timeout: Duration = Duration::from_secs(5);
    /// Time in which a client renews its confirmation, where that runs out. After it: `auth_expired`,
    /// close 4005. 10 s.
    renewal_timeout: Duration = Duration::from_secs(10);
    /// Unconfirmed connections of one client address. Beyond it: 503 with Retry-After. 32.
    unconfirmed_per_address: u64 = 32;
    /// Unconfirmed connections of this node. Beyond it: 503 with Retry-After. 2,000.
    unconfirmed_per_node: u64 = 2_000;
    /// Events of one socket before it is confirmed, each answered with `not_confirmed`. Beyond it:
    /// close 4103. 16.
    unconfirmed_events: u64 = 16;
    /// Namespaces (nsp) joined over one connection. Beyond it: CONNECT_ERROR. 16.
    nsps_per_connection: u64 = 16;
    /// Bytes that wait for one socket before volatile messages are dropped. 256 KiB.
    outbox_soft: u64 = 256 * KIB;
    /// Bytes that wait for one socket. Beyond it the socket is closed as `slow` (4001). 1 MiB.
    outbox_hard: u64 = 1024 * KIB;
    /// Time without progress of a socket that has bytes waiting. After it: `slow` (4001). 5 s.
    outbox_stall: Duration = Duration::from_secs(5);
    /// Percent of the memory limit that may wait in all outboxes together. Beyond it the largest
    /// are closed as `slow` first, and new sockets get 503. 25.
    outbox_total_percent: u64 = 25;
    /// Events of one socket a second, in the long run; bursts of four times that. Beyond it:
    /// `rate_limited`, and close 4029 when the socket goes on. 50.
    emits_per_second: u64 = 50;
    /// Messages of one connection a second that are no events: pings, pongs, and acknowledgements of
    /// what nobody asked; bursts of four times that. Beyond it: close 4029. 200.
    frames_per_second: u64 = 200;
    /// Events of one socket that run at once on routes that allow that, such as Whisk's own. Beyond it
    /// events wait. 256.
    socket_in_flight: u64 = 256;
    /// Events of one socket that wait for their turn. Beyond it: `overloaded`. 256.
    socket_queue: u64 = 256;
    /// Bytes of the events of one socket that wait for their turn. Beyond it: `overloaded`. 1 MiB.
    socket_queue_bytes: u64 = 1024 * KIB;
    /// Handlers of one route that run at once on this node. Beyond it events wait. 256.
    route_in_flight: u64 = 256;
    /// Events that wait for one route on this node. Beyond it: `overloaded`. 1,000.
    route_queue: u64 = 1_000;
    /// Rooms of one socket, its own not counted. Beyond it: `too_many_rooms` to whoever joins it. 128.
    rooms_per_socket: u64 = 128;
    /// Channels that one socket is on. Beyond it: `too_many_channels`. 128.
    channels_per_socket: u64 = 128;
    /// Subscriptions, changes of its entry on a roster and knocks that one socket asks for a second, in
    /// the long run; bursts of 128. Beyond it: `rate_limited`, and close 4029 when the socket goes on. 20.
    joins_per_second: u64 = 20;
    /// Bytes of a subscription's query, which is kept with it. Beyond it: `bad_payload`. 4 KiB.
    subscription_query: u64 = 4 * KIB;
    /// Time for a gate to decide, and for a hook of a channel. After it a gate counts as
    /// `unavailable`, which the client may try again; a hook is dropped. 5 s.
    gate_timeout: Duration = Duration::from_secs(5);
    /// Requests to other clients that wait for one socket. Beyond it: `overloaded`. 64.
    requests_per_socket: u64 = 64;
    /// Answers of sockets that wait for whoever asks many of them. Beyond it they are dropped, and
    /// their sockets named as missing. 8,192.
    answer_queue: u64 = 8_192;
    /// Events of ours that wait for one connection's acknowledgement. Beyond it: `overloaded` to
    /// whoever asks. 256.
    pending_acks: u64 = 256;
    /// Messages that wait for one shard thread. At it, senders of this node wait, and emits of other
    /// nodes are dropped. 4,096.
    shard_queue: u64 = 4_096;
    /// Polls and posts that this node passed to one other node and that are not answered yet. Beyond
    /// it: 503 with Retry-After. 2,000.
    peer_requests: u64 = 2_000;
    /// WebSockets that came to this node though another has their session, and are passed to it.
    /// Beyond it: 503 with Retry-After. 20,000.
    peer_tunnels: u64 = 20_000;
    /// Messages from the bus that wait for one observer. Beyond it broadcasts are dropped and
    /// transmits answered with `overloaded`. 1,024.
    observer_queue: u64 = 1_024;
    /// Messages on their way from the bus to the observers of this node, whichever they are for. Beyond
    /// it as `observer_queue`. 4,096.
    bus_queue: u64 = 4_096;
    /// Messages in the stream of one node that it has not taken yet. Beyond it: `overloaded` to the
    /// sender. 10,000.
    stream_length: u64 = 10_000;
    /// Requests about rosters that wait for the store's answer at once. Beyond it they wait their turn, at
    /// most one for each member. 256.
    presence_calls: u64 = 256;
    /// Transmits and asks of this node that wait for their receipt or answer. Beyond it:
    /// `overloaded`. 65,536.
    pending_replies: u64 = 65_536;
    /// Time for one call of the backend. After it the caller gets `unavailable`, which counts where
    /// the caller's path does. 2 s.
    call_timeout: Duration = Duration::from_secs(2);
    /// Time for the receipt of a transmit. After it the sender gets `timeout`. 5 s.
    receipt_timeout: Duration = Duration::from_secs(5);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_a_duration_or_off() {
        let limits: Limits = serde_json::from_str(
            r#"{"max_payload": 1000, "max_fragments": "7", "call_timeout": "250ms", "json_depth": "off"}"#,
        )
        .unwrap();
        assert_eq!(limits.max_payload, Limit::At(1000));
        assert_eq!(limits.max_fragments, Limit::At(7));
        assert_eq!(limits.call_timeout, Limit::At(Duration::from_millis(250)));
        assert_eq!(limits.json_depth, Limit::Off);
        assert_eq!(limits.outbox_hard, Limits::default().outbox_hard);
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in [r#"{"max_payload": -1}"#, r#"{"call_timeout": 5}"#, r#"{"max_paylod": 5}"#] {
            assert!(serde_json::from_str::<Limits>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_read_as_they_were_written() {
        let limits = Limits::default().rates_and_numbers_off();
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
    }
}
