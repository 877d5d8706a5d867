//! Which sockets of this thread are on which rooms: one index for Socket.IO's rooms and for channels.

use std::{collections::HashMap, rc::Rc};

use bytestring::ByteString;
use router_core::bus::Wanted;

use super::table::LocalSocket;

/// A socket's place on a room.
#[derive(Debug)]
pub(super) struct Seat {
    room: ByteString,
    /// Where it stands in the list of the room.
    place: usize,
}

/// The rooms of one shard, by nsp and name. `W` keeps the node listening to a room's channel; one
/// for each room that somebody here is on.
#[derive(Debug)]
pub(super) struct Rooms<W = Wanted> {
    by_nsp: HashMap<ByteString, HashMap<ByteString, Members<W>>>,
}

#[derive(Debug)]
struct Members<W> {
    sockets: Vec<Rc<LocalSocket>>,
    _wanted: W,
}

impl<W> Default for Rooms<W> {
    fn default() -> Self {
        Self { by_nsp: HashMap::new() }
    }
}

impl<W> Rooms<W> {
    /// Puts a socket on a room; nothing if it is on it.
    pub(super) fn join(
        &mut self,
        socket: &Rc<LocalSocket>,
        room: &ByteString,
        wanted: impl FnOnce() -> W,
    ) {
        if socket.is_on(room) {
            return;
        }
        let of_nsp = self.by_nsp.entry(socket.info.nsp.clone()).or_default();
        let members = of_nsp.entry(room.clone());
        // The index's own name, so that all who are on the room share its memory.
        let room = members.key().clone();
        let members = members
            .or_insert_with(|| Members { sockets: Vec::with_capacity(1), _wanted: wanted() });
        socket.seats.borrow_mut().push(Seat { room, place: members.sockets.len() });
        members.sockets.push(Rc::clone(socket));
    }

    /// Takes a socket off a room; nothing if it is not on it.
    pub(super) fn leave(&mut self, socket: &LocalSocket, room: &str) {
        let at = socket.seats.borrow().iter().position(|seat| seat.room == room);
        if let Some(at) = at {
            let seat = socket.seats.borrow_mut().swap_remove(at);
            self.vacate(socket, &seat);
        }
    }

    /// Takes a socket off all its rooms.
    pub(super) fn leave_all(&mut self, socket: &LocalSocket) {
        for seat in socket.seats.take() {
            self.vacate(socket, &seat);
        }
    }

    fn vacate(&mut self, socket: &LocalSocket, seat: &Seat) {
        let Some(of_nsp) = self.by_nsp.get_mut(&socket.info.nsp) else { return };
        let Some(members) = of_nsp.get_mut(&seat.room) else { return };
        members.sockets.swap_remove(seat.place);
        if let Some(moved) = members.sockets.get(seat.place) {
            let mut seats = moved.seats.borrow_mut();
            if let Some(theirs) = seats.iter_mut().find(|theirs| theirs.room == seat.room) {
                theirs.place = seat.place;
            }
        } else if members.sockets.is_empty() {
            of_nsp.remove(&seat.room);
            if of_nsp.is_empty() {
                self.by_nsp.remove(&socket.info.nsp);
            }
        }
    }

    /// The sockets that are on a room.
    pub(super) fn members(&self, nsp: &str, room: &str) -> &[Rc<LocalSocket>] {
        let of_nsp = self.by_nsp.get(nsp);
        of_nsp.and_then(|of_nsp| of_nsp.get(room)).map_or(&[], |members| &members.sockets)
    }
}

impl LocalSocket {
    /// Whether it is on a room.
    pub(super) fn is_on(&self, room: &str) -> bool {
        self.seats.borrow().iter().any(|seat| seat.room == room)
    }

    /// The rooms that it is on.
    pub(crate) fn rooms(&self) -> Vec<ByteString> {
        self.seats.borrow().iter().map(|seat| seat.room.clone()).collect()
    }

    /// On how many rooms it would be after joining these, too.
    pub(super) fn rooms_with<'a>(&self, rooms: impl Iterator<Item = &'a ByteString>) -> usize {
        let mut new: Vec<&str> =
            rooms.map(|room| &**room).filter(|room| !self.is_on(room)).collect();
        new.sort_unstable();
        new.dedup();
        self.seats.borrow().len() + new.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::table::tests::socket, *};

    fn tids(rooms: &Rooms<Rc<()>>, nsp: &str, room: &str) -> Vec<String> {
        let members = rooms.members(nsp, room).iter();
        let mut tids: Vec<String> =
            members.map(|socket| socket.info.address.tid().unwrap().to_string()).collect();
        tids.sort_unstable();
        tids
    }

    #[test]
    fn a_room_is_kept_and_wanted_while_somebody_is_on_it() {
        let (mut rooms, wanted) = (Rooms::default(), Rc::new(()));
        let [a, b, c] = ["a", "b", "c"].map(|tid| socket(tid, "/", "one"));
        let other = socket("d", "/x", "one");
        for socket in [&a, &b, &c, &other] {
            for room in ["one", "two"] {
                rooms.join(socket, &room.into(), || Rc::clone(&wanted));
                rooms.join(socket, &room.into(), || Rc::clone(&wanted));
            }
        }
        assert_eq!(Rc::strong_count(&wanted), 1 + 4);
        assert_eq!(a.rooms(), ["one", "two"]);
        assert_eq!(a.rooms_with(["two".into(), "new".into(), "new".into()].iter()), 3);

        rooms.leave(&a, "one");
        rooms.leave(&a, "one");
        rooms.leave(&a, "never");
        assert_eq!(tids(&rooms, "/", "one"), ["b", "c"]);
        assert_eq!(tids(&rooms, "/", "two"), ["a", "b", "c"]);
        rooms.leave_all(&c);
        assert_eq!(tids(&rooms, "/", "one"), ["b"]);
        assert_eq!(tids(&rooms, "/", "two"), ["a", "b"]);
        rooms.leave_all(&b);
        rooms.leave_all(&a);
        assert_eq!(tids(&rooms, "/x", "one"), ["d"]);
        rooms.leave_all(&other);
        assert_eq!(Rc::strong_count(&wanted), 1);
        assert!(rooms.by_nsp.is_empty());
    }
}
