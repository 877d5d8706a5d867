//! What is asked of single sockets of this thread: to be on rooms, to acknowledge.

use std::rc::Rc;

use bytestring::ByteString;
use router_core::{
    Args, TenantId,
    bus::Wanted,
    socket::{AckError, JoinError, Recipients, RemoteSocket},
};
use wire::socketio::Nsp;

use super::{Shard, table::LocalSocket};
use crate::connection::{asks::Asker, outbox::Class};

impl Shard {
    /// Puts sockets of `nsp` on rooms: each on all of them or on none.
    pub(super) fn join_rooms(
        &self,
        who: &Recipients,
        nsp: &str,
        rooms: &[(ByteString, Wanted)],
    ) -> Result<(), JoinError> {
        let table = &mut *self.table.borrow_mut();
        let mut chosen = table.chosen(who);
        chosen.retain(|socket| socket.info.nsp == nsp);
        let one = matches!(who, Recipients::Socket(_));
        if one && chosen.is_empty() {
            return Err(JoinError::Gone);
        }
        for socket in chosen {
            let names = rooms.iter().map(|(room, _)| room);
            if socket.rooms_with(names) > self.shared.rules.bounds.rooms_per_socket {
                self.shared.services.metrics.limit("rooms_per_socket");
                if one {
                    return Err(JoinError::TooManyRooms);
                }
                continue;
            }
            for (room, wanted) in rooms {
                table.rooms.join(&socket, room, || wanted.clone());
            }
        }
        Ok(())
    }

    /// Sends an event to a socket, behind what came for it before, and waits for its
    /// acknowledgement.
    pub(super) fn ask(&self, tid: &TenantId, event: &str, args: &Args, asker: Asker) {
        let socket = self.table.borrow().chosen(&Recipients::Socket(tid.clone())).pop();
        let nsp = socket.as_ref().and_then(|socket| Nsp::new(socket.info.nsp.clone()));
        let (Some(socket), Some(nsp)) = (socket, nsp) else {
            // Whoever asked may have given up.
            let _gone = asker.send(Err(AckError::Gone));
            return;
        };
        let max = self.shared.rules.bounds.pending_acks;
        let id = socket.link.asks.borrow_mut().begin(socket.key, asker, max);
        match id {
            Ok(id) => {
                socket.info.show_outgoing(event, args);
                let parser = self.shared.rules.parser;
                let frame = parser.question(&nsp, id, event, args);
                self.send(&socket.link, &frame, Class::Message);
            }
            Err(asker) => {
                self.shared.services.metrics.limit("pending_acks");
                let _gone = asker.send(Err(AckError::TooMany));
            }
        }
    }

    /// Takes sockets off rooms.
    pub(super) fn leave_rooms(&self, who: &Recipients, rooms: &[ByteString]) {
        let table = &mut *self.table.borrow_mut();
        for socket in table.chosen(who) {
            for room in rooms {
                table.rooms.leave(&socket, room);
            }
        }
    }

    /// The sockets that are meant, with their rooms.
    pub(super) fn describe(&self, who: &Recipients) -> Vec<RemoteSocket> {
        let chosen = self.table.borrow().chosen(who);
        let describe = |socket: &Rc<LocalSocket>| RemoteSocket {
            address: socket.info.address.clone(),
            nsp: socket.info.nsp.clone(),
            user_id: socket.info.user_id.clone(),
            rooms: socket.rooms(),
        };
        chosen.iter().map(describe).collect()
    }

    /// The rooms of a socket.
    pub(super) fn rooms_of(&self, tid: TenantId) -> Vec<ByteString> {
        let chosen = self.table.borrow().chosen(&Recipients::Socket(tid));
        chosen.first().map(|socket| socket.rooms()).unwrap_or_default()
    }
}
