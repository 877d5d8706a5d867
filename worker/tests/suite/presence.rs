//! A worker and the rosters that a dead node left behind.

use std::time::Duration;

use router_core::{
    backend::{memory::MemoryHub, registry::Holder},
    channel::ChannelKey,
    ns,
    presence::{Coming, Counts, Entrance, Profile},
    session::Site,
};

use crate::rig::{eventually, start};

#[actix_web::test]
async fn a_worker_adopts_the_members_of_a_node_that_died_and_ends_their_stay() {
    let hub = MemoryHub::new();
    let store = hub.backend();
    let holder = Holder {
        host: "elsewhere/boot".into(),
        pid: 1,
        pid_started: 1,
        nonce: "n".into(),
        advertise: None,
    };
    let node = ns("ws").node(0);
    let brief = Duration::from_millis(300);
    let owner = store.registry.acquire(&node, &holder, None, brief).await.unwrap();
    let channel = ChannelKey::new(&Site::main(), &"exam".parse().unwrap());
    store.presence.note(&owner, &channel, 1).await.unwrap();
    let coming = Coming {
        client: "ann".parse().unwrap(),
        user: None,
        address: "ws/0/ann".parse().unwrap(),
        profile: Profile::default(),
    };
    // Not kept for long after it was last seen.
    let entrance = Entrance { coming, at: 1, kept: 9_000, serial: 2, again: false };
    store.presence.enter(&channel, &owner, &entrance).await.unwrap();

    let worker = start(&hub, 1).await;
    let counts = || async { store.presence.counts(&channel).await.unwrap() };
    assert_eq!(counts().await, Counts { connected: 1, ..Counts::default() });
    eventually("the member is removed", || async { counts().await == Counts::default() }).await;
    let owners = || async { store.presence.owners().await.unwrap() };
    eventually("the dead one is forgotten", || async { !owners().await.contains(&owner) }).await;
    assert!(worker.stop().await.unwrap().is_ok());
}
