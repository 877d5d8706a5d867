//! Presence on whole nodes in memory, on a clock that jumps.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    desk::{Clock, Desk},
    sim::line::{Core, Line},
    *,
};
use crate::{
    address::{Address, Incarnation, ns},
    backend::{Backend, bus::BusLink, conformance::Heard, memory::MemoryHub, registry::Lease},
    channel::ChannelKey,
    node::{Node, NodeSpec},
    session::Site,
};

const SECOND: Duration = Duration::from_secs(1);

fn channel() -> ChannelKey {
    ChannelKey::new(&Site::main(), &"exam".parse().unwrap())
}

/// A store, and whoever listens to what is told.
struct System {
    hub: MemoryHub,
    core: Arc<Core>,
    heard: Arc<Heard>,
    _link: Arc<dyn BusLink>,
    began: Instant,
}

/// A node with presence.
struct Host {
    node: Node,
    presence: Presence,
}

impl System {
    async fn new() -> Self {
        let hub = MemoryHub::new();
        let heard = Arc::new(Heard::default());
        let link = hub.backend().bus.open(heard.clone());
        link.subscribe(channel().subject()).await.unwrap();
        let core = Arc::new(Core::plain());
        Self { hub, core, heard, _link: link, began: Instant::now() }
    }

    async fn host(&self, nid: u32) -> Host {
        let store = self.hub.backend();
        let line = Arc::new(Line { core: Arc::clone(&self.core), node: 0, store: store.clone() });
        let backend = Backend { presence: line.clone(), registry: line, ..store };
        let node = Node::start(NodeSpec::new(ns("ws").node(nid)), backend).await.unwrap();
        let began = self.began;
        let clock = move || 1_000_000 + u64::try_from(began.elapsed().as_millis()).unwrap();
        let presence = Presence::start_with(&node, Clock::new(clock));
        Host { node, presence }
    }

    /// What was told, as kinds and versions.
    fn told(&self) -> Vec<PresenceEvent> {
        let frames = self.heard.on(&channel().subject());
        frames.iter().map(|frame| PresenceEvent::decode(frame).unwrap()).collect()
    }

    fn count(&self, kind: Kind) -> usize {
        self.told().iter().filter(|told| told.kind == kind).count()
    }

    /// Waits until a kind of change was told so often, and says how long that took.
    async fn until(&self, kind: Kind, count: usize) -> Duration {
        let from = Instant::now();
        while self.count(kind) < count {
            assert!(from.elapsed() < 300 * SECOND, "{} of {count}", self.count(kind));
            sleep(Duration::from_millis(50)).await;
        }
        from.elapsed()
    }
}

impl Host {
    fn coming(&self, name: &str) -> Coming {
        let address = format!("{}/{name}", self.node.address()).parse().unwrap();
        let client = name.parse().unwrap();
        Coming { client, user: None, address, profile: Profile::default() }
    }

    async fn enter(&self, name: &str) -> Result<(), EnterError> {
        self.presence.enter(&channel(), &Settings::default(), self.coming(name)).await
    }

    async fn enter_many(&self, prefix: &str, count: usize) {
        for at in 0..count {
            self.enter(&format!("{prefix}{at}")).await.unwrap();
        }
    }

    /// The process is gone, and nobody said so to the store.
    fn kill(self) {
        drop((self.presence, self.node));
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_members_at_rest_cost_less_than_a_hundred_calls_a_minute() {
    let system = System::new().await;
    let host = system.host(0).await;
    let mut minutes = Vec::new();
    for members in [10, 1_000] {
        host.enter_many(&format!("m{members}-"), members).await;
        sleep(10 * SECOND).await;
        let before = system.core.calls();
        sleep(60 * SECOND).await;
        minutes.push(system.core.calls() - before);
    }
    assert!(minutes.iter().all(|calls| (1..100).contains(calls)), "{minutes:?}");
    let _neighbours = [system.host(1).await, system.host(2).await, system.host(3).await];
    sleep(10 * SECOND).await;
    let before = system.core.calls();
    sleep(60 * SECOND).await;
    let each = (system.core.calls() - before) / 4;
    assert!(each < 100, "{each} of each of four nodes");
    assert_eq!(host.presence.counts(&channel()).await.unwrap().connected, 1_010);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_comes_costs_one_call_however_many_are_there() {
    let system = System::new().await;
    let host = system.host(0).await;
    host.enter("first").await.unwrap();
    for at in 0..2_000 {
        let before = system.core.calls();
        host.enter(&format!("m{at}")).await.unwrap();
        // One round of the reaper may fall between.
        assert!(system.core.calls() - before <= 1 + 4, "at {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_nodes_members_are_disconnected_within_15_s_and_told_once() {
    const MEMBERS: usize = 300;
    let system = System::new().await;
    let hosts = [system.host(0).await, system.host(1).await, system.host(2).await];
    for (host, prefix) in hosts.iter().zip(["a", "b", "c"]) {
        host.enter_many(prefix, MEMBERS).await;
    }
    let [stays, dies, watches] = hosts;
    sleep(20 * SECOND).await;
    assert_eq!(system.count(Kind::Disconnected), 0);
    dies.kill();
    let took = system.until(Kind::Disconnected, MEMBERS).await;
    assert!(took < 15 * SECOND, "{took:?}");
    system.until(Kind::Removed, MEMBERS).await;
    sleep(60 * SECOND).await;
    assert_eq!(system.count(Kind::Disconnected), MEMBERS, "each once");
    assert_eq!(system.count(Kind::Removed), MEMBERS);
    let counts = stays.presence.counts(&channel()).await.unwrap();
    assert_eq!((counts.connected, counts.disconnected), (2 * MEMBERS as u64, 0));
    let adopted = [&stays, &watches].map(|host| host.node.metrics().presence_adopted.get());
    assert_eq!(adopted.iter().sum::<u64>(), MEMBERS as u64);
}

#[tokio::test(start_paused = true)]
async fn all_of_many_nodes_that_die_at_once_are_found() {
    let system = System::new().await;
    let mut hosts = Vec::new();
    for nid in 0..7 {
        let host = system.host(nid).await;
        host.enter_many(&format!("n{nid}-"), 10).await;
        hosts.push(host);
    }
    let stays = hosts.remove(3);
    hosts.into_iter().for_each(Host::kill);
    let took = system.until(Kind::Disconnected, 60).await;
    assert!(took < 15 * SECOND, "{took:?}");
    sleep(60 * SECOND).await;
    assert_eq!(system.count(Kind::Disconnected), 60);
    assert_eq!(stays.presence.counts(&channel()).await.unwrap().connected, 10);
    let store = &system.hub.backend().presence;
    assert_eq!(store.owners().await.unwrap().len(), 1, "the dead are forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_process_without_members_finds_the_dead_too() {
    let system = System::new().await;
    let (dies, worker) = (system.host(0).await, system.host(9).await);
    dies.enter_many("a", 20).await;
    dies.kill();
    assert!(system.until(Kind::Disconnected, 20).await < 15 * SECOND);
    // And is found itself, with what it adopted.
    worker.kill();
    let _next = system.host(1).await;
    sleep(90 * SECOND).await;
    assert_eq!((system.count(Kind::Disconnected), system.count(Kind::Removed)), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn a_life_that_is_over_adopts_nobody_under_the_notes_of_the_next() {
    let core = Arc::new(Core::plain());
    let line = Arc::new(Line { core, node: 0, store: MemoryHub::new().backend() });
    let desk = Desk::new(line.clone(), line, Arc::default(), Clock::new(|| 1));
    let life = |number| Lease { node: ns("ws").node(0), incarnation: Incarnation(number) };
    desk.tick(Some(&life(1)));
    desk.tick(Some(&life(2)));
    assert!(!desk.pin(&life(1), &channel()).await);
    let (now, channel) = (life(2), channel());
    let (pinned, ()) = tokio::join!(desk.pin(&now, &channel), async {
        let note = desk.next_call().expect("a note");
        desk.perform(note).await;
    });
    assert!(pinned);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_leaves_its_members_to_others_at_once() {
    let system = System::new().await;
    let (stops, _stays) = (system.host(0).await, system.host(1).await);
    stops.enter_many("a", 50).await;
    let left: Address = stops.coming("a0").address;
    stops.presence.left(&channel(), &"a0".parse().unwrap(), &left);
    stops.presence.stop().await;
    assert_eq!(system.count(Kind::Removed), 1, "what was asked was done");
    assert_eq!(stops.enter("late").await, Err(EnterError::Unavailable));
    stops.node.stop().await;
    let took = system.until(Kind::Disconnected, 49).await;
    assert!(took <= 3 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_until_all_leases_ran_out_disconnects_nobody() {
    let system = System::new().await;
    let hosts = [system.host(0).await, system.host(1).await, system.host(2).await];
    for (host, prefix) in hosts.iter().zip(["a", "b", "c"]) {
        host.enter_many(prefix, 100).await;
    }
    let lives = hosts.each_ref().map(|host| host.node.incarnation());
    system.hub.cut(true);
    sleep(25 * SECOND).await;
    assert_eq!(hosts[0].enter("late").await, Err(EnterError::Unavailable));
    system.hub.cut(false);
    sleep(120 * SECOND).await;
    let anew = hosts.each_ref().map(|host| host.node.incarnation());
    assert!(lives.iter().zip(&anew).all(|(before, after)| before < after), "{lives:?} {anew:?}");
    let kinds: Vec<_> = system.told().iter().map(|told| told.kind).collect();
    assert!(kinds.iter().all(|kind| *kind == Kind::Connected), "{kinds:?}");
    let counts = hosts[1].presence.counts(&channel()).await.unwrap();
    assert_eq!((counts.connected, counts.disconnected), (300, 0));
    assert_eq!(system.hub.backend().presence.owners().await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_socket_goes_through_its_thresholds_and_a_new_one_ends_that() {
    let system = System::new().await;
    let (one, other) = (system.host(0).await, system.host(1).await);
    for name in ["ann", "bob", "cy"] {
        one.enter(name).await.unwrap();
        let coming = one.coming(name);
        let seen = 1_000_000 + u64::try_from(system.began.elapsed().as_millis()).unwrap();
        one.presence.lost(&channel(), &coming.client, &coming.address, seen);
    }
    // One comes back in time, one after it was disconnected, one never.
    sleep(5 * SECOND).await;
    other.enter("ann").await.unwrap();
    system.until(Kind::Disconnected, 2).await;
    other.enter("bob").await.unwrap();
    sleep(120 * SECOND).await;
    let told = |name: &str| {
        let told = system.told().into_iter();
        let of_one = told.filter(|told| told.member.coming.client.as_str() == name);
        of_one.map(|told| told.kind).collect::<Vec<_>>()
    };
    assert_eq!(told("ann"), [Kind::Connected]);
    assert_eq!(told("bob"), [Kind::Connected, Kind::Disconnected, Kind::Reconnected]);
    assert_eq!(told("cy"), [Kind::Connected, Kind::Disconnected, Kind::Removed]);
}

#[tokio::test(start_paused = true)]
async fn who_still_waits_when_presence_stops_is_told_so() {
    let system = System::new().await;
    let host = system.host(0).await;
    let backend = system.hub.backend();
    let metrics = Arc::clone(host.node.metrics());
    let clock = Clock::new(|| 1_000_000);
    // Nobody makes the calls of this one: the store never answers.
    let desk = Desk::new(backend.presence, backend.registry, metrics, clock);
    desk.tick(host.node.bus().shared.lease().as_ref());
    let came = |name| desk.came(&channel(), &Settings::default(), host.coming(name));
    let waits = came("ann").unwrap();
    desk.give_up();
    assert!(waits.await.is_err());
    assert_eq!(came("bob").unwrap_err(), EnterError::Unavailable);
    let owner = desk.owner().unwrap();
    assert!(!desk.pin(&owner, &channel()).await);
}
