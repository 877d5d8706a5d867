//! How long the kernel waits for the peer of a plain HTTP connection.
//!
//! The answers to polls are written by the HTTP service, which waits for as long as its peer takes
//! nothing. So the kernel is told to give such a peer up. A WebSocket's outbox knows better what it
//! waits for, and sees to that itself.

use std::time::Duration;

use actix_rt::net::TcpStream;

/// Has the kernel end a connection whose peer took nothing for `most` (`TCP_USER_TIMEOUT`, RFC
/// 5482); `None` leaves it to the kernel's own idea. Only Linux has this.
pub(crate) fn bound(stream: &TcpStream, most: Option<Duration>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(most) {
        tracing::debug!(%error, "a connection's patience stays unbounded");
    }
    #[cfg(not(target_os = "linux"))]
    let _unbounded = (stream, most);
}
