//! Rosters on a real server: what it refuses, what is left there, and nodes that die on it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use router_core::{
    Incarnation,
    backend::{
        Backend, BackendErrorKind,
        bus::{BusLink, Subject},
        conformance::{Heard, eventually, fresh_id, fresh_ns},
        presence::{Outcome, PresenceError},
        registry::Lease,
    },
    channel::ChannelKey,
    node::{Node, NodeSpec},
    ns,
    presence::{
        Coming, Counts, Entrance, Kind, Presence, PresenceEvent, Profile, Serial, Settings,
    },
    session::{Site, UserId},
};

use crate::server::{Server, connect};

fn channel() -> ChannelKey {
    ChannelKey::new(&Site::main(), &format!("p-{}", fresh_id()).parse().unwrap())
}

fn owner() -> Lease {
    Lease { node: fresh_ns().node(0), incarnation: Incarnation(7) }
}

fn coming(name: &str) -> Coming {
    Coming {
        client: name.parse().unwrap(),
        user: UserId::new("u"),
        address: format!("ws/0/{name}").parse().unwrap(),
        profile: Profile::default(),
    }
}

fn entrance(name: &str, serial: Serial) -> Entrance {
    Entrance { coming: coming(name), at: 1_000, kept: 60_000, serial, again: false }
}

async fn listen(backend: &Backend, subject: Subject) -> (Arc<dyn BusLink>, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let link = backend.bus.open(heard.clone());
    eventually("a subscription", async || link.subscribe(subject.clone()).await.ok()).await;
    (link, heard)
}

#[tokio::test]
async fn a_change_that_cannot_be_told_is_not_made() {
    let server = Server::start();
    server.cli(&["ACL", "SETUSER", "mute", "on", ">word", "~*", "+@all", "resetchannels"]);
    let mute = connect(&format!("redis://mute:word@127.0.0.1:{}", server.port));
    let (channel, owner) = (channel(), owner());
    let refused = mute.presence.enter(&channel, &owner, &entrance("ann", 1)).await;
    let Err(PresenceError::Backend(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), BackendErrorKind::NotApplied);
    let backend = connect(&server.url());
    assert_eq!(backend.presence.counts(&channel).await.unwrap(), Counts::default());
    backend.presence.enter(&channel, &owner, &entrance("ann", 2)).await.unwrap();
    let client = "ann".parse().unwrap();
    let refused = mute.presence.remove(&channel, &owner, &client, 3).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::NotApplied);
    let heir = Lease { incarnation: Incarnation(8), ..owner.clone() };
    assert!(mute.presence.adopt(&channel, &owner, &heir, 1, 10).await.is_err());
    let member = backend.presence.member(&channel, &client).await.unwrap().unwrap();
    assert_eq!(
        (member.owner, backend.presence.counts(&channel).await.unwrap().connected),
        (owner, 1)
    );
}

#[tokio::test]
async fn a_full_server_takes_nobody_and_tells_of_nobody() {
    let server = Server::start();
    let backend = connect(&server.url());
    let (channel, owner) = (channel(), owner());
    let (_link, heard) = listen(&backend, channel.subject()).await;
    backend.presence.enter(&channel, &owner, &entrance("ann", 1)).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = backend.presence.enter(&channel, &owner, &entrance("bob", 2)).await;
    let Err(PresenceError::Backend(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), BackendErrorKind::NotApplied);
    let client = "ann".parse().unwrap();
    let refused = backend.presence.lose(&channel, &owner, &client, 3, 1).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::NotApplied);
    assert_eq!(backend.presence.counts(&channel).await.unwrap().connected, 1);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    let lost = backend.presence.lose(&channel, &owner, &client, 4, 1).await.unwrap();
    assert!(matches!(lost, Outcome::Told(Kind::Disconnected, _)), "{lost:?}");
    let two = |heard: &Heard| (heard.on(&channel.subject()).len() >= 2).then_some(());
    heard.until("the changes", two).await;
    assert_eq!(heard.on(&channel.subject()).len(), 2);
}

#[tokio::test]
async fn what_is_left_of_an_empty_roster_has_a_time_to_live() {
    let server = Server::start();
    let backend = connect(&server.url());
    let owner = owner();
    for round in 0..3 {
        let channel = channel();
        backend.presence.page(&channel, None, 10).await.unwrap();
        backend.presence.note(&owner, &channel, round + 1).await.unwrap();
        for (serial, name) in (1..).zip(["ann", "bob", "cy"]) {
            backend.presence.enter(&channel, &owner, &entrance(name, serial)).await.unwrap();
        }
        for (serial, name) in (10..).zip(["cy", "ann", "bob"]) {
            let client = name.parse().unwrap();
            backend.presence.lose(&channel, &owner, &client, serial, 1).await.unwrap();
            backend.presence.remove(&channel, &owner, &client, serial).await.unwrap();
        }
        backend.presence.forget(&owner, &channel, round + 1).await.unwrap();
    }
    backend.presence.seal(&owner).await.unwrap();
    backend.presence.forget_owner(&owner).await.unwrap();
    let keys = server.cli(&["KEYS", "*"]);
    let keys: Vec<_> = keys.lines().filter(|key| !key.is_empty()).collect();
    assert_eq!(keys.len(), 3 + 1, "{keys:?}");
    for key in keys {
        let lives: i64 = server.cli(&["PTTL", key]).trim().parse().unwrap();
        assert!(lives > 0, "{key} lives {lives}");
    }
}

/// A node with presence, whose lease is short.
async fn host(server: &Server, nid: u32) -> (Node, Presence) {
    let spec = NodeSpec {
        lease_ttl: Duration::from_secs(2),
        lease_renewal: Duration::from_millis(500),
        ..NodeSpec::new(ns("ws").node(nid))
    };
    let node = Node::start(spec, connect(&server.url())).await.unwrap();
    let presence = Presence::start(&node);
    (node, presence)
}

fn kinds(heard: &Heard, channel: &ChannelKey) -> Vec<Kind> {
    let frames = heard.on(&channel.subject());
    frames.iter().map(|frame| PresenceEvent::decode(frame).unwrap().kind).collect()
}

fn count(kinds: &[Kind], kind: Kind) -> usize {
    kinds.iter().filter(|one| **one == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_nodes_members_are_disconnected_once_by_those_who_live() {
    const MEMBERS: usize = 150;
    let server = Server::start();
    let (channel, settings) = (channel(), Settings::default());
    let ((one, stays), (two, dies)) = (host(&server, 0).await, host(&server, 1).await);
    let (_third, watches) = host(&server, 2).await;
    let (_link, heard) = listen(one.backend(), channel.subject()).await;
    for at in 0..MEMBERS {
        for (presence, prefix) in [(&stays, "a"), (&dies, "b"), (&watches, "c")] {
            presence.enter(&channel, &settings, coming(&format!("{prefix}{at}"))).await.unwrap();
        }
    }
    let killed = Instant::now();
    drop((two, dies));
    let all = |heard: &Heard| {
        (count(&kinds(heard, &channel), Kind::Disconnected) >= MEMBERS).then_some(())
    };
    heard.until("all to be disconnected", all).await;
    assert!(killed.elapsed() < Duration::from_secs(12), "{:?}", killed.elapsed());
    eventually("the dead one to be forgotten", async || {
        (one.backend().presence.owners().await.unwrap().len() == 2).then_some(())
    })
    .await;
    let kinds = kinds(&heard, &channel);
    assert_eq!(count(&kinds, Kind::Disconnected), MEMBERS, "each once");
    let counts = stays.counts(&channel).await.unwrap();
    let (connected, disconnected) = (2 * MEMBERS as u64, MEMBERS as u64);
    assert_eq!(counts, Counts { connected, disconnected, users: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_frozen_until_all_leases_ran_out_disconnects_nobody() {
    let server = Server::start();
    let (channel, settings) = (channel(), Settings::default());
    let ((one, first), (two, second)) = (host(&server, 0).await, host(&server, 1).await);
    let (_link, heard) = listen(one.backend(), channel.subject()).await;
    for at in 0..50 {
        first.enter(&channel, &settings, coming(&format!("a{at}"))).await.unwrap();
        second.enter(&channel, &settings, coming(&format!("b{at}"))).await.unwrap();
    }
    let lives = [&one, &two].map(Node::incarnation);
    server.freeze();
    eventually("both to be fenced", async || {
        [&one, &two].iter().all(|node| node.incarnation().is_none()).then_some(())
    })
    .await;
    server.thaw();
    eventually("both to live anew", async || {
        [&one, &two].iter().all(|node| node.incarnation().is_some()).then_some(())
    })
    .await;
    assert!([&one, &two].map(Node::incarnation) > lives);
    // The former lives are forgotten when all that they held is in the new ones.
    eventually("only the new lives to be owners", async || {
        let mut owners = one.backend().presence.owners().await.unwrap();
        owners.sort();
        let lives = owners.iter().map(|owner| Some(owner.incarnation)).collect::<Vec<_>>();
        (lives == [one.incarnation(), two.incarnation()]).then_some(())
    })
    .await;
    let kinds = kinds(&heard, &channel);
    assert_eq!(count(&kinds, Kind::Disconnected), 0, "{kinds:?}");
    assert_eq!(first.counts(&channel).await.unwrap().connected, 100);
}
