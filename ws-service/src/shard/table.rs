//! The sockets of one shard, by everything that they are looked up by. Touched by one thread only.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::Hash,
    rc::Rc,
    sync::Arc,
};

use bytestring::ByteString;
use router_core::{
    TenantId,
    session::{SessionId, UserId},
    socket::{Recipients, Selection, SocketInfo},
};

use super::{
    message::Target,
    rooms::{Rooms, Seat},
    wheel::ConnectionKey,
};
use crate::connection::{effect::SocketKey, lifecycle::Exit, link::Link};

/// An admitted socket of this shard.
#[derive(Debug)]
pub(crate) struct LocalSocket {
    pub(crate) info: Arc<SocketInfo>,
    pub(crate) link: Rc<Link>,
    pub(crate) key: SocketKey,
    /// How far its entry into the session's document and the user's hooks is.
    pub(crate) entry: RefCell<Entry>,
    /// Where it stands in the list of its nsp.
    place: Cell<usize>,
    /// The rooms that it is on. Written by [`Rooms`] alone.
    pub(super) seats: RefCell<Vec<Seat>>,
    /// The last walk that met it, so that no walk visits it twice.
    met: Cell<u64>,
}

/// The background work of a socket's coming and going, which must not overtake itself.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It is being done.
    Entering,
    /// It is done; leaving may begin at once.
    Entered,
    /// The socket left before it was done: whoever does it goes on with the leaving.
    Left(Exit),
}

/// The connections and sockets of one shard.
#[derive(Debug, Default)]
pub(crate) struct Table {
    links: HashMap<ConnectionKey, Rc<Link>>,
    by_tid: HashMap<TenantId, Rc<LocalSocket>>,
    by_nsp: HashMap<ByteString, Vec<Rc<LocalSocket>>>,
    by_session: HashMap<SessionId, Vec<Rc<LocalSocket>>>,
    by_user: HashMap<UserId, Vec<Rc<LocalSocket>>>,
    pub(super) rooms: Rooms,
    /// Counts the walks that mark whom they met.
    walks: Cell<u64>,
}

impl LocalSocket {
    pub(crate) fn new(info: Arc<SocketInfo>, link: Rc<Link>, key: SocketKey) -> Rc<Self> {
        let entry = RefCell::new(Entry::Entering);
        let (place, seats, met) = (Cell::new(0), RefCell::default(), Cell::new(0));
        Rc::new(Self { info, link, key, entry, place, seats, met })
    }
}

impl Table {
    /// A connection came.
    pub(crate) fn add_link(&mut self, link: Rc<Link>) {
        self.links.insert(link.key, link);
    }

    /// A connection went.
    pub(crate) fn remove_link(&mut self, key: ConnectionKey) {
        self.links.remove(&key);
    }

    /// The connection of this key, if it is still here.
    pub(crate) fn link(&self, key: ConnectionKey) -> Option<&Rc<Link>> {
        self.links.get(&key)
    }

    /// All connections.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Rc<Link>> {
        self.links.values()
    }

    /// A socket is admitted.
    pub(crate) fn add(&mut self, socket: &Rc<LocalSocket>) {
        if let Some(tid) = socket.info.address.tid() {
            self.by_tid.insert(tid.clone(), Rc::clone(socket));
        }
        let of_nsp = self.by_nsp.entry(socket.info.nsp.clone()).or_default();
        socket.place.set(of_nsp.len());
        of_nsp.push(Rc::clone(socket));
        if let Some(sid) = &socket.info.sid {
            enlist(&mut self.by_session, sid, socket);
        }
        if let Some(user) = &socket.info.user_id {
            enlist(&mut self.by_user, user, socket);
        }
    }

    /// A socket goes.
    pub(crate) fn remove(&mut self, socket: &Rc<LocalSocket>) {
        self.rooms.leave_all(socket);
        if let Some(tid) = socket.info.address.tid() {
            self.by_tid.remove(tid);
        }
        if let Some(of_nsp) = self.by_nsp.get_mut(&socket.info.nsp) {
            let place = socket.place.get();
            if of_nsp.get(place).is_some_and(|there| Rc::ptr_eq(there, socket)) {
                of_nsp.swap_remove(place);
                if let Some(moved) = of_nsp.get(place) {
                    moved.place.set(place);
                }
            }
        }
        if let Some(sid) = &socket.info.sid {
            strike(&mut self.by_session, sid, socket);
        }
        if let Some(user) = &socket.info.user_id {
            strike(&mut self.by_user, user, socket);
        }
    }

    /// The sessions that have sockets here.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &SessionId> {
        self.by_session.keys()
    }

    /// Whether a session has a socket here.
    pub(crate) fn has_session(&self, sid: &SessionId) -> bool {
        self.by_session.contains_key(sid)
    }

    /// Calls `visit` for each socket that a frame is for.
    pub(crate) fn walk(&self, to: &Target, mut visit: impl FnMut(&Rc<LocalSocket>)) {
        match to {
            Target::Socket(tid) => self.by_tid.get(tid).into_iter().for_each(visit),
            Target::Nsp(nsp) => self.of_nsp(nsp).for_each(visit),
            Target::Session(sid) => self.by_session.get(sid).into_iter().flatten().for_each(visit),
            Target::User(user) => self.by_user.get(user).into_iter().flatten().for_each(visit),
            Target::All => self.by_tid.values().for_each(visit),
            Target::Channel(name) => self.rooms.on_channel(name).iter().for_each(visit),
            Target::ChannelBut(name, except) => {
                for socket in self.rooms.on_channel(name) {
                    if socket.info.address.tid() != Some(except) {
                        visit(socket);
                    }
                }
            }
            Target::Selection(selection) => self.walk_selection(selection, visit),
        }
    }

    /// The sockets of a nsp.
    pub(crate) fn of_nsp(&self, nsp: &str) -> impl Iterator<Item = &Rc<LocalSocket>> {
        self.by_nsp.get(nsp).into_iter().flatten()
    }

    fn walk_selection(&self, to: &Selection, mut visit: impl FnMut(&Rc<LocalSocket>)) {
        let on = |room: &ByteString| self.rooms.on_room(&to.nsp, room).iter();
        let of_tid = |tid: &TenantId| {
            self.by_tid.get(tid).filter(|socket| socket.info.nsp == to.nsp).into_iter()
        };
        if let ([room], [], true) = (&*to.rooms, &*to.sockets, to.is_without_exception()) {
            return on(room).for_each(visit);
        }
        let walk = self.walks.get() + 1;
        self.walks.set(walk);
        // Who is excepted counts as met.
        let except = to.except_rooms.iter().flat_map(on);
        except.chain(to.except_sockets.iter().flat_map(of_tid)).for_each(|s| s.met.set(walk));
        let mut meet = |socket: &Rc<LocalSocket>| {
            if socket.met.replace(walk) != walk {
                visit(socket);
            }
        };
        if to.is_whole_nsp() {
            self.of_nsp(&to.nsp).for_each(&mut meet);
        }
        to.rooms.iter().flat_map(on).for_each(&mut meet);
        to.sockets.iter().flat_map(of_tid).for_each(&mut meet);
    }

    /// The sockets that are meant, in whatever nsp.
    pub(crate) fn chosen(&self, who: &Recipients) -> Vec<Rc<LocalSocket>> {
        match who {
            Recipients::Socket(tid) => self.by_tid.get(tid).cloned().into_iter().collect(),
            Recipients::Nsp(nsp) => self.by_nsp.get(nsp).cloned().unwrap_or_default(),
            Recipients::Session(sid) => self.by_session.get(sid).cloned().unwrap_or_default(),
            Recipients::User(user) => self.by_user.get(user).cloned().unwrap_or_default(),
            Recipients::All => self.by_tid.values().cloned().collect(),
            Recipients::Channel { name, except } => {
                let mut chosen = self.rooms.on_channel(name.as_str()).to_vec();
                chosen.retain(|socket| {
                    except.is_none() || socket.info.address.tid() != except.as_ref()
                });
                chosen
            }
            Recipients::Selection(selection) => {
                let mut chosen = Vec::new();
                self.walk_selection(selection, |socket| chosen.push(Rc::clone(socket)));
                chosen
            }
            // A way to name sockets that this service does not know names none of its own.
            _ => Vec::new(),
        }
    }
}

/// Adds a socket under a key. Most keys have one.
fn enlist<K: Hash + Eq + Clone>(
    table: &mut HashMap<K, Vec<Rc<LocalSocket>>>,
    key: &K,
    socket: &Rc<LocalSocket>,
) {
    match table.get_mut(key) {
        Some(known) => known.push(Rc::clone(socket)),
        None => drop(table.insert(key.clone(), vec![Rc::clone(socket)])),
    }
}

/// Takes a socket out from under a key.
fn strike<K: Hash + Eq>(
    table: &mut HashMap<K, Vec<Rc<LocalSocket>>>,
    key: &K,
    socket: &Rc<LocalSocket>,
) {
    let Some(known) = table.get_mut(key) else { return };
    if let Some(at) = known.iter().position(|there| Rc::ptr_eq(there, socket)) {
        known.swap_remove(at);
    }
    if known.is_empty() {
        table.remove(key);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use router_core::socket::{Handshake, SocketData};

    use super::*;
    use crate::{clock::Moment, connection::stream::Stream};

    pub(crate) fn socket(tid: &str, nsp: &'static str, sid: &str) -> Rc<LocalSocket> {
        let info = SocketInfo {
            address: format!("ws/1/{tid}").parse().unwrap(),
            nsp: ByteString::from_static(nsp),
            sid: Some(SessionId::from_signed(sid.to_owned())),
            user_id: UserId::new("7"),
            handshake: Handshake::default(),
            data: SocketData::default(),
            client: None,
            locals: None,
        };
        LocalSocket::new(Arc::new(info), Rc::new(Link::new(1, Stream::Gone, Moment(1))), 1)
    }

    fn walked(table: &Table, to: &Target) -> Vec<String> {
        let mut found = Vec::new();
        table.walk(to, |socket| found.push(socket.info.address.tid().unwrap().to_string()));
        found.sort_unstable();
        found
    }

    #[test]
    fn sockets_are_found_by_each_name_and_forgotten_by_all() {
        let mut table = Table::default();
        let sockets = [
            socket("a", "/", "one"),
            socket("b", "/", "one"),
            socket("c", "/x", "one"),
            socket("d", "/", "two"),
        ];
        sockets.iter().for_each(|socket| table.add(socket));
        let root = Target::Nsp("/".into());
        let session = Target::Session(SessionId::from_signed("one"));
        assert_eq!(walked(&table, &root), ["a", "b", "d"]);
        assert_eq!(walked(&table, &session), ["a", "b", "c"]);
        let user = Target::User(UserId::new("7").unwrap());
        assert_eq!(walked(&table, &user), ["a", "b", "c", "d"]);
        assert_eq!(walked(&table, &Target::All), ["a", "b", "c", "d"]);
        assert_eq!(walked(&table, &Target::Socket("c".parse().unwrap())), ["c"]);
        let of_session = Recipients::Session(SessionId::from_signed("one"));
        assert_eq!(table.chosen(&of_session).len(), 3);

        table.remove(&sockets[0]);
        table.remove(&sockets[0]);
        assert_eq!(walked(&table, &root), ["b", "d"]);
        table.remove(&sockets[3]);
        table.remove(&sockets[1]);
        table.remove(&sockets[2]);
        assert!(walked(&table, &root).is_empty());
        assert!(table.by_session.is_empty() && table.by_tid.is_empty());
        assert!(table.by_user.is_empty());
    }
}
