//! Those who look at what single sockets are sent.

use std::sync::Arc;

use router_core::socket::SocketInfo;

use super::{
    Shard,
    message::{Shown, Target},
};

impl Shard {
    /// Shows an event to whoever looks at what one of its sockets is sent. Nothing of the shard is
    /// borrowed while they look.
    pub(super) fn show(&self, to: &Target, shown: Option<&Shown>) {
        let Some(shown) = shown else { return };
        let mut tapped: Vec<Arc<SocketInfo>> = Vec::new();
        self.table.borrow().walk(to, |socket| {
            if socket.info.has_outgoing_taps() {
                tapped.push(Arc::clone(&socket.info));
            }
        });
        for socket in tapped {
            socket.show_outgoing(&shown.event, &shown.args);
        }
    }
}
