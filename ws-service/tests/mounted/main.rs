//! The same tests as in `suite`, with the service mounted in an actix-web App. Those of the listener
//! itself (TLS) are not here, and those of the mount alone are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do; the exemption of clippy.toml covers `#[test]` alone"
)]

#[path = "../suite/authority.rs"]
mod authority;
#[path = "../suite/bad_input.rs"]
mod bad_input;
#[path = "../suite/binary.rs"]
mod binary;
#[path = "../suite/bounds.rs"]
mod bounds;
#[path = "../suite/broadcast.rs"]
mod broadcast;
#[path = "../suite/channels.rs"]
mod channels;
#[path = "../suite/client.rs"]
mod client;
#[path = "../suite/confirm.rs"]
mod confirm;
#[path = "../suite/drain.rs"]
mod drain;
#[path = "../suite/events.rs"]
mod events;
#[path = "../suite/gate.rs"]
mod gate;
#[path = "../suite/guards.rs"]
mod guards;
#[path = "../suite/host.rs"]
mod host;
#[path = "../suite/http.rs"]
mod http;
#[path = "../suite/http_client.rs"]
mod http_client;
mod mount;
#[path = "../suite/msgpack.rs"]
mod msgpack;
#[path = "../suite/peers.rs"]
mod peers;
#[path = "../suite/polling.rs"]
mod polling;
#[path = "../suite/presence.rs"]
mod presence;
#[path = "../suite/race.rs"]
mod race;
#[path = "../suite/raw.rs"]
mod raw;
#[path = "../suite/rooms.rs"]
mod rooms;
#[path = "../suite/support.rs"]
mod support;
#[path = "../suite/upgrade.rs"]
mod upgrade;
#[path = "../suite/upkeep.rs"]
mod upkeep;

/// Whether the services of these tests are mounted in an App, or have their own listener.
const MOUNTED: bool = true;
