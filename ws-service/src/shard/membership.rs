//! What is asked of single sockets of this thread: to be on rooms, to acknowledge.

use std::{rc::Rc, sync::Arc};

use bytestring::ByteString;
use router_core::{
    Args, TenantId,
    bus::Wanted,
    socket::{AckError, JoinError, Recipients, RemoteSocket, SocketJob},
};
use wire::socketio::Nsp;

use super::{Shard, rooms::Place, table::LocalSocket};
use crate::connection::{asks::Asker, outbox::Class};

impl Shard {
    /// Puts sockets of `nsp` on rooms or channels: each on all of them or on none.
    pub(super) fn seat(
        &self,
        who: &Recipients,
        nsp: &str,
        places: &[(Place, Wanted)],
    ) -> Result<(), JoinError> {
        let table = &mut *self.table.borrow_mut();
        let mut chosen = table.chosen(who);
        chosen.retain(|socket| socket.info.nsp == nsp);
        let one = matches!(who, Recipients::Socket(_));
        if one && chosen.is_empty() {
            return Err(JoinError::Gone);
        }
        for socket in chosen {
            if let Err((limit, error)) = self.has_room(&socket, places) {
                self.shared.services.metrics.limit(limit);
                if one {
                    return Err(error);
                }
                continue;
            }
            for (place, wanted) in places {
                table.rooms.join(&socket, place, || wanted.clone());
            }
        }
        Ok(())
    }

    /// Whether a socket may be on these, too.
    fn has_room(
        &self,
        socket: &LocalSocket,
        places: &[(Place, Wanted)],
    ) -> Result<(), (&'static str, JoinError)> {
        let bounds = &self.shared.rules.bounds;
        let (rooms, channels) = socket.count_with(places.iter().map(|(place, _)| place));
        let is_new = |kind: fn(&Place) -> bool| places.iter().any(|(place, _)| kind(place));
        let for_rooms = is_new(|place| matches!(place, Place::Room(_)));
        if for_rooms && rooms > bounds.rooms_per_socket {
            return Err(("rooms_per_socket", JoinError::TooManyRooms));
        }
        if !for_rooms && channels > bounds.channels_per_socket {
            return Err(("channels_per_socket", JoinError::TooManyChannels));
        }
        Ok(())
    }

    /// Begins something for sockets, as tasks of this thread.
    pub(super) fn run(&self, who: &Recipients, job: &SocketJob) {
        for socket in self.table.borrow().chosen(who) {
            actix_rt::spawn(job.begin(Arc::clone(&socket.info)));
        }
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

    /// Takes sockets off rooms or channels.
    pub(super) fn unseat(&self, who: &Recipients, places: &[Place]) {
        let table = &mut *self.table.borrow_mut();
        for socket in table.chosen(who) {
            for place in places {
                table.rooms.leave(&socket, place);
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
