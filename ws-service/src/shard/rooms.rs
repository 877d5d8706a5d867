//! Which sockets of this thread are on which rooms and channels: one index for both.

use std::{collections::HashMap, rc::Rc};

use bytestring::ByteString;
use router_core::bus::Wanted;

use super::table::LocalSocket;

/// What a socket can be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A room of the socket's nsp.
    Room(ByteString),
    /// A channel, which sockets of any nsp may be on.
    Channel(ByteString),
}

/// A socket's place.
#[derive(Debug)]
pub(super) struct Seat {
    on: Place,
    /// Where it stands in the list of the room or channel.
    at: usize,
}

/// Rooms by nsp and name, and channels by name. `W` keeps the node listening on the bus; one for
/// each room or channel that somebody here is on.
#[derive(Debug)]
pub(super) struct Rooms<W = Wanted> {
    rooms: HashMap<ByteString, HashMap<ByteString, Members<W>>>,
    channels: HashMap<ByteString, Members<W>>,
}

#[derive(Debug)]
struct Members<W> {
    sockets: Vec<Rc<LocalSocket>>,
    _wanted: W,
}

impl<W> Members<W> {
    fn new(wanted: W) -> Self {
        Self { sockets: Vec::with_capacity(1), _wanted: wanted }
    }

    /// Takes the socket out that stands at `at`. Returns whether nobody is left.
    fn vacate(&mut self, seat: &Seat) -> bool {
        self.sockets.swap_remove(seat.at);
        if let Some(moved) = self.sockets.get(seat.at) {
            let mut seats = moved.seats.borrow_mut();
            if let Some(theirs) = seats.iter_mut().find(|theirs| theirs.on == seat.on) {
                theirs.at = seat.at;
            }
        }
        self.sockets.is_empty()
    }
}

impl<W> Default for Rooms<W> {
    fn default() -> Self {
        Self { rooms: HashMap::new(), channels: HashMap::new() }
    }
}

impl<W> Rooms<W> {
    /// Puts a socket on a room or channel; nothing if it is on it.
    pub(super) fn join(
        &mut self,
        socket: &Rc<LocalSocket>,
        place: &Place,
        wanted: impl FnOnce() -> W,
    ) {
        if socket.is_on(place) {
            return;
        }
        let (of_kind, name) = match place {
            Place::Room(room) => (self.rooms.entry(socket.info.nsp.clone()).or_default(), room),
            Place::Channel(channel) => (&mut self.channels, channel),
        };
        let members = of_kind.entry(name.clone());
        // The index's own name, so that all who are on it share its memory.
        let name = members.key().clone();
        let members = members.or_insert_with(|| Members::new(wanted()));
        let on = match place {
            Place::Room(_) => Place::Room(name),
            Place::Channel(_) => Place::Channel(name),
        };
        socket.seats.borrow_mut().push(Seat { on, at: members.sockets.len() });
        members.sockets.push(Rc::clone(socket));
    }

    /// Takes a socket off a room or channel; nothing if it is not on it.
    pub(super) fn leave(&mut self, socket: &LocalSocket, place: &Place) {
        let at = socket.seats.borrow().iter().position(|seat| seat.on == *place);
        if let Some(at) = at {
            let seat = socket.seats.borrow_mut().swap_remove(at);
            self.vacate(socket, &seat);
        }
    }

    /// Takes a socket off everything.
    pub(super) fn leave_all(&mut self, socket: &LocalSocket) {
        for seat in socket.seats.take() {
            self.vacate(socket, &seat);
        }
    }

    fn vacate(&mut self, socket: &LocalSocket, seat: &Seat) {
        match &seat.on {
            Place::Channel(name) => {
                if self.channels.get_mut(name).is_some_and(|members| members.vacate(seat)) {
                    self.channels.remove(name);
                }
            }
            Place::Room(name) => {
                let Some(of_nsp) = self.rooms.get_mut(&socket.info.nsp) else { return };
                if of_nsp.get_mut(name).is_some_and(|members| members.vacate(seat)) {
                    of_nsp.remove(name);
                    if of_nsp.is_empty() {
                        self.rooms.remove(&socket.info.nsp);
                    }
                }
            }
        }
    }

    /// The sockets that are on a room.
    pub(super) fn on_room(&self, nsp: &str, room: &str) -> &[Rc<LocalSocket>] {
        let of_nsp = self.rooms.get(nsp);
        of_nsp.and_then(|of_nsp| of_nsp.get(room)).map_or(&[], |members| &members.sockets)
    }

    /// The sockets that are on a channel.
    pub(super) fn on_channel(&self, channel: &str) -> &[Rc<LocalSocket>] {
        self.channels.get(channel).map_or(&[], |members| &members.sockets)
    }
}

impl LocalSocket {
    /// Whether it is there.
    pub(super) fn is_on(&self, place: &Place) -> bool {
        self.seats.borrow().iter().any(|seat| seat.on == *place)
    }

    /// The rooms that it is on.
    pub(crate) fn rooms(&self) -> Vec<ByteString> {
        let seats = self.seats.borrow();
        let room = |seat: &Seat| match &seat.on {
            Place::Room(room) => Some(room.clone()),
            Place::Channel(_) => None,
        };
        seats.iter().filter_map(room).collect()
    }

    /// On how many rooms and on how many channels it would be, being on these, too.
    pub(super) fn count_with<'a>(&self, more: impl Iterator<Item = &'a Place>) -> (usize, usize) {
        let (mut new, mut rooms, mut channels) = (Vec::<&Place>::new(), 0, 0);
        for place in more {
            if !self.is_on(place) && !new.contains(&place) {
                new.push(place);
            }
        }
        let seats = self.seats.borrow();
        for place in seats.iter().map(|seat| &seat.on).chain(new) {
            match place {
                Place::Room(_) => rooms += 1,
                Place::Channel(_) => channels += 1,
            }
        }
        (rooms, channels)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::table::tests::socket, *};

    fn room(name: &'static str) -> Place {
        Place::Room(name.into())
    }

    fn tids(members: &[Rc<LocalSocket>]) -> Vec<String> {
        let mut tids: Vec<String> =
            members.iter().map(|socket| socket.info.address.tid().unwrap().to_string()).collect();
        tids.sort_unstable();
        tids
    }

    #[test]
    fn a_room_is_kept_and_wanted_while_somebody_is_on_it() {
        let (mut rooms, wanted) = (Rooms::default(), Rc::new(()));
        let [a, b, c] = ["a", "b", "c"].map(|tid| socket(tid, "/", "one"));
        let other = socket("d", "/x", "one");
        for socket in [&a, &b, &c, &other] {
            for room in [room("one"), room("two")] {
                rooms.join(socket, &room, || Rc::clone(&wanted));
                rooms.join(socket, &room, || Rc::clone(&wanted));
            }
        }
        assert_eq!(Rc::strong_count(&wanted), 1 + 4);
        assert_eq!(a.rooms(), ["one", "two"]);
        assert_eq!(a.count_with([room("two"), room("new"), room("new")].iter()), (3, 0));

        rooms.leave(&a, &room("one"));
        rooms.leave(&a, &room("one"));
        rooms.leave(&a, &room("never"));
        assert_eq!(tids(rooms.on_room("/", "one")), ["b", "c"]);
        assert_eq!(tids(rooms.on_room("/", "two")), ["a", "b", "c"]);
        rooms.leave_all(&c);
        assert_eq!(tids(rooms.on_room("/", "one")), ["b"]);
        assert_eq!(tids(rooms.on_room("/", "two")), ["a", "b"]);
        rooms.leave_all(&b);
        rooms.leave_all(&a);
        assert_eq!(tids(rooms.on_room("/x", "one")), ["d"]);
        rooms.leave_all(&other);
        assert_eq!(Rc::strong_count(&wanted), 1);
        assert!(rooms.rooms.is_empty());
    }

    #[test]
    fn a_channel_is_of_all_nsps_and_no_room_of_its_name() {
        let (mut rooms, wanted) = (Rooms::default(), Rc::new(()));
        let (a, b) = (socket("a", "/", "one"), socket("b", "/x", "one"));
        let channel = Place::Channel("one".into());
        for socket in [&a, &b] {
            rooms.join(socket, &channel, || Rc::clone(&wanted));
        }
        rooms.join(&a, &room("one"), || Rc::clone(&wanted));
        assert_eq!(Rc::strong_count(&wanted), 1 + 2);
        assert_eq!(tids(rooms.on_channel("one")), ["a", "b"]);
        assert_eq!(tids(rooms.on_room("/", "one")), ["a"]);
        assert_eq!((a.rooms().len(), a.count_with([].iter())), (1, (1, 1)));
        rooms.leave(&a, &channel);
        assert_eq!(tids(rooms.on_channel("one")), ["b"]);
        rooms.leave_all(&b);
        assert_eq!(Rc::strong_count(&wanted), 1 + 1);
        assert!(rooms.channels.is_empty());
    }
}
