//! The limits of the process as the hot paths read them: plain numbers, where `MAX` is "off".

use std::time::Duration;

use router_core::{
    limits::{Limit, Limits},
    route::lanes::Room,
};
use wire::{socketio, ws};

use crate::{connection::bucket::Pace, shard::wheel::tick_for};

/// Subscriptions at once: as many as a client asks for when it comes back with all its channels.
const JOINS_BURST: u64 = 128;

/// The limits of one service, worked out once at start.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) frames: ws::DecodeLimits,
    pub(crate) packets: socketio::Limits,
    /// Bytes of a packet and its attachments together: four times a frame's.
    pub(crate) assembled: usize,
    pub(crate) fragment_timeout: Option<Duration>,
    pub(crate) confirm_timeout: Option<Duration>,
    pub(crate) renewal_timeout: Option<Duration>,
    pub(crate) gate_timeout: Option<Duration>,
    pub(crate) unconfirmed_events: u64,
    pub(crate) nsps: usize,
    /// Rooms of one socket.
    pub(crate) rooms_per_socket: usize,
    /// Channels of one socket.
    pub(crate) channels_per_socket: usize,
    /// Events of ours that wait for one connection's acknowledgement.
    pub(crate) pending_acks: usize,
    pub(crate) outbox_soft: usize,
    pub(crate) outbox_hard: usize,
    pub(crate) outbox_stall: Option<Duration>,
    /// Events; `None` admits any number.
    pub(crate) emits: Option<Pace>,
    /// Subscriptions; `None` admits any number.
    pub(crate) joins: Option<Pace>,
    /// Messages that are no events; `None` admits any number.
    pub(crate) frames_that_are_no_events: Option<Pace>,
    /// Events of one socket that wait for their turn.
    pub(crate) socket_queue: Room,
    pub(crate) shard_queue: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    /// How often timers are looked at.
    pub(crate) tick: Duration,
}

impl Bounds {
    /// The bounds that `limits` and the heartbeat's times say.
    pub(crate) fn new(limits: &Limits, ping_interval: Duration, ping_timeout: Duration) -> Self {
        let max_payload = size(limits.max_payload);
        let mut frames = ws::DecodeLimits::with_max_payload(max_payload);
        frames.max_fragments = size(limits.max_fragments);
        frames.max_held =
            max_payload.saturating_add(frames.max_fragments.saturating_mul(frames.fragment_charge));
        Self {
            frames,
            packets: socketio::Limits {
                max_depth: size(limits.json_depth),
                max_attachments: size(limits.max_attachments),
            },
            assembled: max_payload.saturating_mul(4),
            fragment_timeout: limits.fragment_timeout.get(),
            confirm_timeout: limits.confirm_timeout.get(),
            gate_timeout: limits.gate_timeout.get(),
            renewal_timeout: limits.renewal_timeout.get(),
            unconfirmed_events: limits.unconfirmed_events.get().unwrap_or(u64::MAX),
            nsps: size(limits.nsps_per_connection),
            rooms_per_socket: size(limits.rooms_per_socket),
            channels_per_socket: size(limits.channels_per_socket),
            pending_acks: size(limits.pending_acks),
            outbox_soft: size(limits.outbox_soft),
            outbox_hard: size(limits.outbox_hard),
            outbox_stall: limits.outbox_stall.get(),
            emits: limits.emits_per_second.get().map(Pace::per_second),
            joins: limits
                .joins_per_second
                .get()
                .map(|per_second| Pace { per_second, burst: JOINS_BURST }),
            frames_that_are_no_events: limits.frames_per_second.get().map(Pace::per_second),
            socket_queue: Room {
                at_once: size(limits.socket_in_flight),
                events: size(limits.socket_queue),
                bytes: size(limits.socket_queue_bytes),
            },
            // tokio's channel has a bound of its own, far above anything useful.
            shard_queue: size(limits.shard_queue).clamp(1, 1 << 20),
            // A time of zero switches actix-http's own limit off.
            request_timeout: limits.request_timeout.get().unwrap_or(Duration::ZERO),
            ping_interval,
            ping_timeout,
            tick: tick_for(ping_interval.min(ping_timeout)),
        }
    }
}

fn size(limit: Limit<u64>) -> usize {
    let limit = limit.get().unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_off_never_overflow() {
        let limits = Limits {
            max_payload: Limit::Off,
            max_fragments: Limit::Off,
            shard_queue: Limit::Off,
            ..Limits::default()
        };
        let bounds = Bounds::new(&limits, Duration::from_secs(25), Duration::from_secs(20));
        assert_eq!(bounds.frames.max_payload, usize::MAX);
        assert_eq!(bounds.frames.max_held, usize::MAX);
        assert_eq!(bounds.assembled, usize::MAX);
        assert_eq!(bounds.shard_queue, 1 << 20);
    }
}
