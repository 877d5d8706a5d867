//! Who is put on a room of this thread, and taken off it.

use bytestring::ByteString;
use router_core::{
    TenantId,
    bus::Wanted,
    socket::{JoinError, Recipients},
};

use super::Shard;

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

    /// Takes sockets off rooms.
    pub(super) fn leave_rooms(&self, who: &Recipients, rooms: &[ByteString]) {
        let table = &mut *self.table.borrow_mut();
        for socket in table.chosen(who) {
            for room in rooms {
                table.rooms.leave(&socket, room);
            }
        }
    }

    /// The rooms of a socket.
    pub(super) fn rooms_of(&self, tid: TenantId) -> Vec<ByteString> {
        let chosen = self.table.borrow().chosen(&Recipients::Socket(tid));
        chosen.first().map(|socket| socket.rooms()).unwrap_or_default()
    }
}
