//! Nodes with keepers and reapers, the sockets on them, and all that happens to both.

mod sockets;

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::{FutureExt, Stream, stream::FuturesUnordered};

use super::{
    checks::Watch,
    line::{Core, Due, Line},
};
use crate::{
    address::{Address, ns},
    backend::{
        Backend,
        bus::BusLink,
        conformance::{LONG, holder},
        memory::MemoryHub,
        registry::Lease,
    },
    channel::ChannelKey,
    metrics::Metrics,
    presence::{
        ClientId, Member, Millis, PAGE_MAX, Settings, State, Times,
        desk::{Clock, Desk},
        reaper::{self, Reaper},
    },
    session::{Site, UserId},
};

/// What happens of itself.
pub(super) enum Happening {
    /// Something happens to somebody.
    Act,
    /// A node's clock strikes, in one of its lives.
    Tick(usize, u64),
    Audit(usize, u64),
    Round(usize, u64),
    /// A lease runs out.
    Expire(Lease),
    /// A node sees that it lost its lease, and takes it anew.
    Notice(usize, u64),
    Renew(usize, u64),
    /// A node begins.
    Begin(usize),
    /// A node is killed.
    Strike(usize),
    /// A socket that nobody needs any more ends.
    Fade(usize, Address),
    /// A follower gets its page.
    Page(usize, usize, u64, Box<crate::presence::Page>),
}

type Calls = FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// A running process.
struct Running {
    life: u64,
    desk: Arc<Desk>,
    lease: Option<Lease>,
    calls: Calls,
    reaper: Option<Reaper>,
    round: Option<Pin<Box<dyn Future<Output = Reaper> + Send>>>,
}

/// A socket of a client on a channel.
#[derive(Debug, Clone)]
struct Socket {
    node: usize,
    address: Address,
    silent: bool,
}

/// A client on a channel.
#[derive(Debug)]
struct Seat {
    channel: usize,
    client: ClientId,
    user: Option<UserId>,
    /// The newest last.
    sockets: Vec<Socket>,
}

/// An entrance that was refused: of this seat, by this socket.
type Refused = Arc<Mutex<VecDeque<(usize, Address)>>>;

/// How large and how bad the world is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) nodes: usize,
    pub(super) channels: usize,
    pub(super) clients: usize,
    /// One call in so many goes wrong.
    pub(super) faults: u64,
    /// Time between two acts, on average.
    pub(super) pace: Millis,
}

pub(super) struct World {
    core: Arc<Core>,
    backend: Backend,
    watch: Arc<Watch>,
    _link: Arc<dyn BusLink>,
    size: Size,
    settings: Settings,
    nodes: Vec<Option<Running>>,
    channels: Vec<ChannelKey>,
    seats: Vec<Seat>,
    refused: Refused,
    followers: BTreeMap<(usize, usize), u64>,
    lives: u64,
    sockets: u64,
    is_calm: bool,
    pub(super) joins: u64,
    pub(super) leaves: u64,
}

/// How many follow each channel.
const FOLLOWERS: usize = 3;

impl World {
    pub(super) fn new(seed: u64, size: Size) -> Self {
        let core = Arc::new(Core::new(seed, size.faults));
        let hub = MemoryHub::new();
        let (backend, watch) = (hub.backend(), Arc::new(Watch::default()));
        let link = backend.bus.open(watch.clone());
        let name = |at: usize| ChannelKey::new(&Site::main(), &format!("c{at}").parse().unwrap());
        let channels: Vec<_> = (0..size.channels).map(name).collect();
        for channel in &channels {
            link.subscribe(channel.subject()).now_or_never().unwrap().unwrap();
        }
        let seats = (0..size.clients * size.channels).map(|at| Seat {
            channel: at % size.channels,
            client: format!("client-{}", at / size.channels).parse().unwrap(),
            user: (at % 5 > 0).then(|| UserId::new(format!("user{}", at / 10)).unwrap()),
            sockets: Vec::new(),
        });
        let seconds = Duration::from_secs;
        let times = Times {
            ping_interval: seconds(1),
            sync_interval: seconds(1),
            disconnect_threshold: seconds(4),
            removal_threshold: seconds(12),
        };
        let mut world = Self {
            core,
            backend,
            watch,
            _link: link,
            size,
            settings: times.try_into().unwrap(),
            nodes: (0..size.nodes).map(|_| None).collect(),
            channels,
            seats: seats.collect(),
            refused: Arc::default(),
            followers: BTreeMap::new(),
            lives: 0,
            sockets: 0,
            is_calm: false,
            joins: 0,
            leaves: 0,
        };
        for node in 0..size.nodes {
            world.begin(node);
        }
        for channel in 0..size.channels {
            for follower in 0..FOLLOWERS {
                world.follow(channel, follower);
            }
        }
        world.soon(1, Happening::Act);
        world
    }

    fn soon(&self, after: Millis, happening: Happening) {
        self.core.schedule(after, Due::World(happening));
    }

    /// Lets things happen for a time.
    pub(super) fn run(&mut self, time: Millis) {
        let end = self.core.now() + time;
        while let Some(due) = self.core.next(end) {
            match due {
                Due::Wake(node, wake) => {
                    // Its node may have ended.
                    let _gone = wake.send(());
                    self.drive(node);
                }
                Due::Late(call) => call.now_or_never().expect("a store in memory answers at once"),
                Due::World(happening) => self.happen(happening),
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Act => {
                if !self.is_calm {
                    self.act();
                    self.soon(self.core.random(2 * self.size.pace), Happening::Act);
                }
            }
            Happening::Tick(node, life) => {
                let Some(running) = self.living(node, life) else { return };
                running.desk.tick(running.lease.as_ref());
                self.drive(node);
                self.soon(250, Happening::Tick(node, life));
            }
            Happening::Audit(node, life) => {
                let Some(running) = self.living(node, life) else { return };
                running.desk.act(|keeper, _| keeper.audit());
                self.drive(node);
                self.soon(10_000, Happening::Audit(node, life));
            }
            Happening::Round(node, life) => {
                let Some(running) = self.living(node, life) else { return };
                if let Some(mut reaper) = running.reaper.take() {
                    running.round = Some(Box::pin(async move {
                        reaper.round().await;
                        reaper
                    }));
                }
                self.drive(node);
                let every = u64::try_from(reaper::EVERY.as_millis()).unwrap();
                self.soon(every, Happening::Round(node, life));
            }
            Happening::Expire(lease) => self.expire(&lease),
            Happening::Notice(node, life) => {
                let Some(running) = self.living(node, life) else { return };
                running.lease = None;
                let until = self.core.random(3_000);
                self.soon(until, Happening::Renew(node, life));
            }
            Happening::Renew(node, life) => {
                if self.living(node, life).is_some() {
                    let lease = self.acquire(node);
                    self.nodes[node].as_mut().unwrap().lease = Some(lease);
                }
            }
            Happening::Begin(node) => {
                if self.nodes[node].is_none() {
                    self.begin(node);
                }
            }
            Happening::Strike(node) => {
                if !self.is_calm {
                    self.end(node, false);
                }
            }
            Happening::Fade(seat, address) => self.fade(seat, &address),
            Happening::Page(channel, follower, since, page) => {
                self.read_on(channel, follower, since, &page);
            }
        }
    }

    fn living(&mut self, node: usize, life: u64) -> Option<&mut Running> {
        self.nodes[node].as_mut().filter(|running| running.life == life)
    }

    fn acquire(&self, node: usize) -> Lease {
        let (address, holder) = (ns("ws").node(node as u32), holder("sim"));
        let registry = &self.backend.registry;
        let acquired = registry.acquire(&address, &holder, Some(&holder), LONG * 1_000);
        acquired.now_or_never().unwrap().unwrap()
    }

    fn expire(&self, lease: &Lease) {
        self.backend.registry.release(lease).now_or_never().unwrap().unwrap();
    }

    fn begin(&mut self, node: usize) {
        self.lives += 1;
        let life = self.lives;
        let line = Line { core: Arc::clone(&self.core), node, store: self.backend.clone() };
        // No two clocks are the same.
        let (core, ahead) = (Arc::clone(&self.core), self.core.random(3_000));
        let clock = Clock::new(move || core.now() + ahead);
        let desk =
            Desk::new(Arc::new(line.clone()), Arc::new(line), Arc::new(Metrics::new()), clock);
        let desk = Arc::new(desk);
        let lease = Some(self.acquire(node));
        desk.tick(lease.as_ref());
        let reaper = Some(Reaper::new(Arc::clone(&desk)));
        let calls = FuturesUnordered::new();
        self.nodes[node] = Some(Running { life, desk, lease, calls, reaper, round: None });
        self.soon(250, Happening::Tick(node, life));
        self.soon(self.core.random(10_000), Happening::Audit(node, life));
        self.soon(self.core.random(2_000), Happening::Round(node, life));
    }

    /// The process is killed, or ends in peace. Its sockets are gone.
    fn end(&mut self, node: usize, in_peace: bool) {
        let now = self.core.now();
        for at in 0..self.seats.len() {
            let gone = self.seats[at].sockets.iter().filter(|socket| socket.node == node);
            for socket in gone.cloned().collect::<Vec<_>>() {
                self.leaves += 1;
                if in_peace {
                    self.tell(at, &socket, |keeper, channel, client, now_there| {
                        keeper.lost(channel, client, &socket.address, now, now_there);
                    });
                }
            }
            self.seats[at].sockets.retain(|socket| socket.node != node);
        }
        let Some(running) = self.nodes[node].take() else { return };
        if let Some(lease) = running.lease {
            let runs_out = if in_peace { 0 } else { 4_000 + self.core.random(6_000) };
            self.soon(runs_out, Happening::Expire(lease));
        }
        self.soon(self.core.random(20_000), Happening::Begin(node));
    }

    /// Lets a node do all that it can do now.
    fn drive(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node] else { return };
        let mut context = Context::from_waker(Waker::noop());
        loop {
            while let Some(call) = running.desk.next_call() {
                let desk = Arc::clone(&running.desk);
                running.calls.push(Box::pin(async move { desk.perform(call).await }));
            }
            if let Some(round) = &mut running.round
                && let Poll::Ready(reaper) = round.as_mut().poll(&mut context)
            {
                (running.round, running.reaper) = (None, Some(reaper));
            }
            let one = Pin::new(&mut running.calls).poll_next(&mut context);
            if !matches!(one, Poll::Ready(Some(()))) && !running.desk.has_calls() {
                break;
            }
        }
        while let Some((seat, address)) = {
            let mut refused = self.refused.lock().unwrap();
            refused.pop_front()
        } {
            // Whoever was refused is not there; the client may try again some time.
            let sockets = &mut self.seats[seat].sockets;
            let before = sockets.len();
            sockets.retain(|socket| socket.address != address);
            self.leaves += (before - sockets.len()) as u64;
        }
    }

    fn follow(&mut self, channel: usize, follower: usize) {
        self.lives += 1;
        let since = self.lives;
        self.followers.insert((channel, follower), since);
        self.watch.with(&self.channels[channel].subject(), |heard| heard.follow(follower));
        self.read(channel, follower, since, None);
    }

    fn read(&self, channel: usize, follower: usize, since: u64, after: Option<ClientId>) {
        let page = self.backend.presence.page(&self.channels[channel], after.as_ref(), 7);
        let page = Box::new(page.now_or_never().unwrap().unwrap());
        self.soon(self.core.random(500), Happening::Page(channel, follower, since, page));
    }

    fn read_on(
        &mut self,
        channel: usize,
        follower: usize,
        since: u64,
        page: &crate::presence::Page,
    ) {
        if self.followers.get(&(channel, follower)) != Some(&since) {
            return;
        }
        let subject = self.channels[channel].subject();
        self.watch.with(&subject, |heard| heard.follower(follower).reads(page));
        if page.next.is_some() {
            self.read(channel, follower, since, page.next.clone());
        }
    }

    /// Nothing goes wrong any more and nobody moves; whoever is silent is heard, and old sockets end.
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
        self.core.mend();
        for at in 0..self.seats.len() {
            for socket in self.seats[at].sockets.clone() {
                let newest = self.seats[at].sockets.last().unwrap().address == socket.address;
                if !newest {
                    self.lose(at, &socket);
                } else if socket.silent {
                    self.hush(at, &socket);
                }
            }
        }
    }

    /// Everybody leaves.
    pub(super) fn empty(&mut self) {
        for at in 0..self.seats.len() {
            for socket in self.seats[at].sockets.clone() {
                if at % 2 == 0 { self.leave(at, &socket) } else { self.lose(at, &socket) }
            }
        }
    }

    fn roster(&self, channel: usize) -> Vec<Member> {
        let (mut members, mut after) = (Vec::new(), None);
        loop {
            let page =
                self.backend.presence.page(&self.channels[channel], after.as_ref(), PAGE_MAX);
            let page = page.now_or_never().unwrap().unwrap();
            members.extend(page.members);
            after = page.next;
            if after.is_none() {
                return members;
            }
        }
    }

    /// What the store has, and what everybody was told, is what is so.
    pub(super) fn check(&self) {
        for (at, channel) in self.channels.iter().enumerate() {
            let roster = self.roster(at);
            let seats = self.seats.iter().filter(|seat| seat.channel == at);
            let expected: BTreeMap<_, _> = seats
                .filter_map(|seat| Some((&seat.client, &seat.sockets.last()?.address)))
                .collect();
            let found: BTreeMap<_, _> = roster
                .iter()
                .map(|member| (&member.coming.client, &member.coming.address))
                .collect();
            let differ = |one: &BTreeMap<_, _>, other: &BTreeMap<_, _>| {
                let own = one.iter().filter(|(client, at)| other.get(*client) != Some(*at));
                own.map(|(client, at)| format!("{client} {at}")).collect::<Vec<String>>()
            };
            let (strange, missing) = (differ(&found, &expected), differ(&expected, &found));
            assert!(
                found == expected,
                "on {channel:?} there are {strange:?}, and missing are {missing:?}"
            );
            let counts = self.backend.presence.counts(channel).now_or_never().unwrap().unwrap();
            let users: std::collections::BTreeSet<_> = roster
                .iter()
                .filter_map(|member| member.coming.user.as_ref()?.as_str().into())
                .collect();
            let away: Vec<_> = roster
                .iter()
                .filter(|member| member.state == State::Disconnected)
                .map(|member| member.coming.client.as_str())
                .collect();
            assert!(away.is_empty(), "on {channel:?} away are {away:?}");
            assert_eq!((counts.connected, counts.disconnected), (roster.len() as u64, 0));
            assert_eq!(counts.users, users.len() as u64);
            self.watch.with(&channel.subject(), |heard| {
                assert_eq!(heard.complete(), FOLLOWERS);
                heard.check(&roster);
            });
        }
    }

    /// Nothing is left: no member, no note, nothing in any node's memory.
    pub(super) fn check_empty(&self) {
        self.check();
        let presence = &self.backend.presence;
        for owner in presence.owners().now_or_never().unwrap().unwrap() {
            let notes = presence.noted(&owner, 0, 10).now_or_never().unwrap().unwrap();
            assert_eq!(notes, [], "{owner} has notes");
            let lives = self.backend.registry.lives(&owner).now_or_never().unwrap().unwrap();
            assert!(lives, "{owner} is dead and still an owner");
            for channel in &self.channels {
                let held = presence.held(channel, &owner, None, 1).now_or_never().unwrap().unwrap();
                assert_eq!(held, [], "{owner} holds somebody");
            }
        }
        for running in self.nodes.iter().flatten() {
            running.desk.act(|keeper, _| assert!(keeper.is_empty(), "{keeper:?}"));
        }
    }

    pub(super) fn calls(&self) -> u64 {
        self.core.calls()
    }

    pub(super) fn events(&self) -> u64 {
        let of = |channel: &ChannelKey| self.watch.with(&channel.subject(), |heard| heard.events);
        self.channels.iter().map(of).sum()
    }
}
