//! What a cluster does on top: slots that move, and masters that die.

use std::{sync::Arc, time::Duration};

use router_core::backend::{
    BackendErrorKind,
    bus::Subject,
    conformance::{Heard, LONG, eventually, fresh_id, fresh_ns, holder},
    records::{RecordKey, RecordKind},
};

use crate::server::{Cluster, Server, connect};

impl Cluster {
    pub(crate) fn id(&self, master: usize) -> String {
        self.masters[master].cli(&["cluster", "myid"]).trim().to_owned()
    }

    /// The slot of a key and the master that says it serves it.
    pub(crate) fn owner(&self, key: &str) -> (String, usize) {
        let slot = self.masters[0].cli(&["cluster", "keyslot", key]).trim().to_owned();
        let owns = |master: &Server| {
            !master.cli(&["get", &format!("{{{}}}:none", tag(key))]).contains("MOVED")
        };
        let owner = self.masters.iter().position(owns).unwrap();
        (slot, owner)
    }
}

fn tag(key: &str) -> &str {
    key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(key, |(tag, _)| tag)
}

/// A slot on its way from one master to another.
pub(crate) struct Move {
    pub(crate) slot: String,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Cluster {
    /// Begins to move the slot of a key.
    pub(crate) fn begin_move(&self, key: &str) -> Move {
        let (slot, from) = self.owner(key);
        let to = (from + 1) % 3;
        self.masters[to].cli(&["cluster", "setslot", &slot, "importing", &self.id(from)]);
        self.masters[from].cli(&["cluster", "setslot", &slot, "migrating", &self.id(to)]);
        Move { slot, from, to }
    }

    pub(crate) fn end_move(&self, Move { slot, from, to }: &Move) {
        for master in [*to, *from, (to + 1) % 3] {
            self.masters[master].cli(&["cluster", "setslot", slot, "node", &self.id(*to)]);
        }
    }
}

#[tokio::test]
async fn a_slot_is_followed_while_it_moves_and_after() {
    let cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let id = fresh_id();
    let key = RecordKey { kind: RecordKind::Session, site: "main".into(), id: id.clone() };
    // The map is known before the move.
    assert_eq!(backend.records.load(&key).await.unwrap(), None);
    let moving = cluster.begin_move(&format!("whisk:session:{{4:main:{id}}}"));
    // The old master asks to look at the new one, which does not know the script yet.
    let version = backend.records.write(&key, None, "moving".into(), LONG).await.unwrap();
    assert_eq!(backend.records.load(&key).await.unwrap().unwrap().body, "moving");
    cluster.end_move(&moving);
    backend.records.write(&key, Some(version), "moved".into(), LONG).await.unwrap();
    assert_eq!(backend.records.load(&key).await.unwrap().unwrap().body, "moved");
}

#[tokio::test]
async fn a_call_on_several_keys_waits_for_the_end_of_a_move() {
    let cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let node = fresh_ns().node(1);
    let moving = cluster.begin_move(&format!("whisk:{{{node}}}:lease"));
    let acquire = tokio::spawn({
        let (backend, node) = (backend.clone(), node.clone());
        async move { backend.registry.acquire(&node, &holder("a"), None, LONG).await }
    });
    eventually("the call to be told to try again", async || {
        let errors = cluster.masters[moving.to].cli(&["info", "errorstats"]);
        errors.contains("TRYAGAIN").then_some(())
    })
    .await;
    cluster.end_move(&moving);
    let lease = acquire.await.unwrap().unwrap();
    let link = backend.bus.open(Arc::new(Heard::default()));
    assert_eq!(link.append(&node, "moved".into(), 9).await.unwrap(), lease.incarnation);
    assert_eq!(link.take(&lease, None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_killed_master_fails_calls_fast_and_comes_back() {
    let mut cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let heard = Arc::new(Heard::default());
    let link = backend.bus.open(heard.clone());
    let subject = Subject::Namespace(fresh_ns());
    link.subscribe(subject.clone()).await.unwrap();
    let (_, owner) = cluster.owner(&match &subject {
        Subject::Namespace(ns) => format!("whisk:{{{ns}}}:all"),
        other => panic!("{other:?}"),
    });
    cluster.masters[owner].kill();
    eventually("the loss to be noticed", async || {
        let publish = link.publish(subject.clone(), "lost".into());
        let error = tokio::time::timeout(Duration::from_secs(9), publish).await.unwrap();
        (error.unwrap_err().kind() == BackendErrorKind::NotApplied).then_some(())
    })
    .await;
    cluster.masters[owner].run_again();
    eventually("a frame", async || {
        link.publish(subject.clone(), "back".into()).await.ok()?;
        heard.on(&subject).iter().any(|frame| frame == "back").then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_known_node_leads_to_all() {
    let cluster = crate::server::shared_cluster();
    let backend = connect(&format!("redis+cluster://localhost:{}", cluster.masters[1].port));
    let ns = fresh_ns();
    for nid in 0..20 {
        backend.registry.acquire(&ns.node(nid), &holder("a"), None, LONG).await.unwrap();
    }
    assert_eq!(backend.registry.nodes(&ns).await.unwrap().len(), 20);
}
