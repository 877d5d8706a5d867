//! What a real server does to whoever depends on it: dies, forgets, freezes, runs out of memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use router_core::backend::{
    Backend, BackendError, BackendErrorKind,
    bus::{AppendError, BusLink, Subject},
    conformance::{Heard, LONG, eventually, fresh_id, fresh_ns, holder},
    records::{RecordKey, RecordKind, WriteError},
    registry::AcquireError,
};
use router_redis::RedisBackend;

use crate::server::{Server, config, connect};

fn open(backend: &Backend) -> (Arc<dyn BusLink>, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    (backend.bus.open(heard.clone()), heard)
}

fn key() -> RecordKey {
    RecordKey { kind: RecordKind::Session, site: "main".into(), id: fresh_id() }
}

async fn publishes(link: &dyn BusLink, subject: &Subject) -> Result<(), BackendError> {
    link.publish(subject.clone(), "frame".into()).await.map(drop)
}

/// Waits until the link works in both directions again, and has said that it was away.
async fn recovers(link: &dyn BusLink, heard: &Heard, subject: &Subject, away: u64) {
    heard.until("the notice", |heard| (heard.resubscriptions() > away).then_some(())).await;
    let before = heard.on(subject).len();
    eventually("a publish", async || publishes(link, subject).await.ok()).await;
    heard.until("a frame", |heard| (heard.on(subject).len() > before).then_some(())).await;
}

#[tokio::test]
async fn a_killed_server_fails_calls_fast_and_a_new_one_is_found() {
    let mut server = Server::start();
    let backend = connect(&server.url());
    let (link, heard) = open(&backend);
    let (before, meanwhile) = (Subject::Namespace(fresh_ns()), Subject::Namespace(fresh_ns()));
    link.subscribe(before.clone()).await.unwrap();
    server.kill();
    // Until the loss is noticed the outcome is unknown; from then on it is known, and at once.
    eventually("the loss to be noticed", async || {
        let begun = Instant::now();
        let error = publishes(&*link, &before).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5), "a call hung: {:?}", begun.elapsed());
        (error.kind() == BackendErrorKind::NotApplied).then_some(())
    })
    .await;
    let not_yet = link.subscribe(meanwhile.clone()).await.unwrap_err();
    assert_ne!(not_yet.kind(), BackendErrorKind::Corrupt);
    link.unsubscribe(Subject::Namespace(fresh_ns())).await.unwrap();
    server.run_again();
    recovers(&*link, &heard, &before, 0).await;
    recovers(&*link, &heard, &meanwhile, 0).await;
    let key = key();
    backend.records.write(&key, None, "x".into(), LONG).await.unwrap();
}

#[tokio::test]
async fn a_server_that_comes_late_is_found() {
    let mut server = Server::start();
    server.kill();
    let backend = connect(&server.url());
    let (link, heard) = open(&backend);
    let subject = Subject::Namespace(fresh_ns());
    let not_yet = link.subscribe(subject.clone()).await.unwrap_err();
    assert_eq!(not_yet.kind(), BackendErrorKind::NotApplied);
    server.run_again();
    recovers(&*link, &heard, &subject, 0).await;
}

#[tokio::test]
async fn killed_subscriptions_are_made_anew_each_time() {
    let server = Server::start();
    let backend = connect(&server.url());
    let (link, heard) = open(&backend);
    let subject = Subject::Namespace(fresh_ns());
    link.subscribe(subject.clone()).await.unwrap();
    for _ in 0..5 {
        let away = heard.resubscriptions();
        assert_eq!(server.cli(&["client", "kill", "type", "pubsub"]).trim(), "1");
        recovers(&*link, &heard, &subject, away).await;
    }
}

#[tokio::test]
async fn a_reconnect_replaces_every_connection() {
    let server = Server::start();
    let backend = connect(&server.url());
    let (link, heard) = open(&backend);
    let subject = Subject::Namespace(fresh_ns());
    link.subscribe(subject.clone()).await.unwrap();
    publishes(&*link, &subject).await.unwrap();
    let clients = || -> Vec<String> {
        let list = server.cli(&["client", "list"]);
        let ours = list.lines().filter(|line| !line.contains("cmd=client"));
        ours.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let old = clients();
    assert_eq!(old.len(), 2, "one for calls and one for subscriptions");
    link.reconnect();
    recovers(&*link, &heard, &subject, 0).await;
    eventually("the old connections to be gone", async || {
        let new = clients();
        (new.len() == 2 && new.iter().all(|id| !old.contains(id))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dropped_backend_leaves_no_connection() {
    let server = Server::start();
    let backend = connect(&server.url());
    let (link, _) = open(&backend);
    link.subscribe(Subject::Namespace(fresh_ns())).await.unwrap();
    backend.records.load(&key()).await.unwrap();
    drop((link, backend));
    eventually("the connections to be gone", async || {
        (server.cli(&["client", "list"]).lines().count() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flushed_script_cache_is_survived() {
    let server = Server::start();
    let backend = connect(&server.url());
    let (link, _) = open(&backend);
    let node = fresh_ns().node(0);
    let lease = backend.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    for _ in 0..3 {
        server.cli(&["script", "flush", "sync"]);
        link.append(&node, "x".into(), 9).await.unwrap();
        server.cli(&["script", "flush", "sync"]);
        backend.registry.renew(&lease, LONG).await.unwrap();
    }
    assert_eq!(link.take(&lease, None, 9).await.unwrap().len(), 3, "each was appended once");
}

#[tokio::test]
async fn a_frozen_server_leaves_the_outcome_unknown_within_the_limit() {
    let limit = Duration::from_millis(300);
    let server = Server::start();
    let backend = RedisBackend::connect(config(&server.url()).call_timeout(limit)).unwrap();
    let (link, heard) = open(&backend);
    let (subject, key) = (Subject::Namespace(fresh_ns()), key());
    link.subscribe(subject.clone()).await.unwrap();
    backend.records.write(&key, None, "x".into(), LONG).await.unwrap();
    server.freeze();
    let begun = Instant::now();
    let error = publishes(&*link, &subject).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::OutcomeUnknown);
    assert!(begun.elapsed() >= limit, "it was given its time");
    assert!(begun.elapsed() < limit * 10, "{:?}", begun.elapsed());
    // After a few silent calls nothing is sent any more, so that nothing piles up.
    eventually("calls to fail at once", async || {
        let error = backend.records.load(&key).await.unwrap_err();
        (error.kind() == BackendErrorKind::NotApplied).then_some(())
    })
    .await;
    server.thaw();
    eventually("a publish that is heard", async || {
        publishes(&*link, &subject).await.ok()?;
        (!heard.on(&subject).is_empty()).then_some(())
    })
    .await;
    let kept = eventually("a load", async || backend.records.load(&key).await.ok()).await;
    assert_eq!(kept.unwrap().body, "x");
}

#[tokio::test]
async fn a_server_without_memory_refuses_writes_and_serves_the_rest() {
    let server = Server::start();
    let backend = connect(&server.url());
    let (link, heard) = open(&backend);
    let (subject, key) = (Subject::Namespace(fresh_ns()), key());
    link.subscribe(subject.clone()).await.unwrap();
    let version = backend.records.write(&key, None, "x".into(), LONG).await.unwrap();
    server.cli(&["config", "set", "maxmemory", "1"]);
    match backend.records.write(&key, Some(version), "y".into(), LONG).await {
        Err(WriteError::Backend(error)) => assert_eq!(error.kind(), BackendErrorKind::NotApplied),
        other => panic!("{other:?}"),
    }
    assert_eq!(backend.records.load(&key).await.unwrap().unwrap().body, "x");
    publishes(&*link, &subject).await.unwrap();
    heard.hears(&subject, b"frame").await;
}

#[tokio::test]
async fn a_server_that_lost_its_data_gives_no_old_incarnation() {
    let server = Server::start();
    let backend = connect(&server.url());
    let node = fresh_ns().node(0);
    let mut last = None;
    for _ in 0..20 {
        let lease = backend.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
        assert!(Some(lease.incarnation) > last);
        last = Some(lease.incarnation);
        server.cli(&["flushall"]);
    }
}

#[tokio::test]
async fn a_lost_list_of_nodes_is_made_good_by_a_renewal() {
    let server = Server::start();
    let backend = connect(&server.url());
    let ns = fresh_ns();
    let lease = backend.registry.acquire(&ns.node(4), &holder("a"), None, LONG).await.unwrap();
    assert_eq!(server.cli(&["del", &format!("whisk:{{{ns}}}:nodes")]).trim(), "1");
    assert!(backend.registry.nodes(&ns).await.unwrap().is_empty());
    backend.registry.renew(&lease, LONG).await.unwrap();
    assert_eq!(backend.registry.nodes(&ns).await.unwrap()[0].lease, lease);
}

#[tokio::test]
async fn a_foreign_value_under_our_name_is_corrupt() {
    let server = Server::start();
    let backend = connect(&server.url());
    let node = fresh_ns().node(0);
    server.cli(&["set", &format!("whisk:{{{node}}}:lease"), "foreign"]);
    let (link, _) = open(&backend);
    match link.append(&node, "x".into(), 9).await {
        Err(AppendError::Backend(error)) => assert_eq!(error.kind(), BackendErrorKind::Corrupt),
        other => panic!("{other:?}"),
    }
    match backend.registry.acquire(&node, &holder("a"), None, LONG).await {
        Err(AcquireError::Backend(error)) => assert_eq!(error.kind(), BackendErrorKind::Corrupt),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_key_has_a_time_to_live() {
    let server = Server::start();
    let backend = connect(&server.url());
    let (link, _) = open(&backend);
    let node = fresh_ns().node(0);
    let lease = backend.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    link.append(&node, "x".into(), 9).await.unwrap();
    link.take(&lease, None, 9).await.unwrap();
    backend.records.write(&key(), None, "x".into(), LONG).await.unwrap();
    backend.secrets.share("name", "x".into(), LONG).await.unwrap();
    let keys = server.cli(&["keys", "*"]);
    assert_eq!(keys.lines().count(), 6, "{keys}");
    for key in keys.lines() {
        assert_ne!(server.cli(&["pttl", key]).trim(), "-1", "{key}");
    }
}

#[tokio::test]
async fn two_prefixes_do_not_meet() {
    let server = Server::start();
    let (one, other) = (connect(&server.url()), connect(&format!("{}?prefix=other", server.url())));
    let subject = Subject::Namespace(fresh_ns());
    let ((here, heard), (there, _)) = (open(&one), open(&other));
    here.subscribe(subject.clone()).await.unwrap();
    there.publish(subject.clone(), "foreign".into()).await.unwrap();
    here.publish(subject.clone(), "own".into()).await.unwrap();
    heard.hears(&subject, b"own").await;
    assert_eq!(heard.on(&subject).len(), 1);
    let key = key();
    one.records.write(&key, None, "x".into(), LONG).await.unwrap();
    assert_eq!(other.records.load(&key).await.unwrap(), None);
}
