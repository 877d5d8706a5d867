//! A worker's readiness and its stop.

use std::time::Duration;

use router_core::{
    Observers,
    backend::memory::MemoryHub,
    bus::{AskError, TransmitError},
};
use serde_json::json;
use worker::BuildError;

use crate::rig::{DEADLINE, builder, check, eventually, start, start_with, worker};

#[actix_web::test]
async fn readiness_follows_the_bus_and_health_does_not() {
    let hub = MemoryHub::new();
    let running = start(&hub, 1).await;
    let port = running.port;
    let status = |status| async move {
        check(port, "/readyz").await.is_some_and(|(found, _)| found == status)
    };
    eventually("/readyz is green", || status(200)).await;
    let green = json!({"ready": true, "lease": true, "bus": true, "stopping": false});
    assert_eq!(check(port, "/readyz").await, Some((200, green)));
    hub.cut(true);
    eventually("/readyz is red", || status(503)).await;
    assert_eq!(check(port, "/healthz").await, Some((200, json!({"alive": true}))));
    hub.cut(false);
    eventually("/readyz is green again", || status(200)).await;
}

#[actix_web::test]
async fn after_its_stop_a_worker_is_gone_and_its_address_free() {
    let hub = MemoryHub::new();
    let (one, two) = (start(&hub, 1).await, start(&hub, 2).await);
    let port = two.port;
    assert!(two.stop().await.unwrap().is_ok());
    assert_eq!(check(port, "/healthz").await, None);
    let sent = one.bus.transmit(&worker(2), "work.tell", "you").await;
    assert!(matches!(sent, Err(TransmitError::NodeGone)), "{sent:?}");
    let asked = one.bus.ask::<_, u32>(&worker(2), "work.double", &1, DEADLINE).await;
    assert!(matches!(asked, Err(AskError::Transmit(TransmitError::NodeGone))), "{asked:?}");

    let _next = start(&hub, 2).await;
    let asked = one.bus.ask::<_, u32>(&worker(2), "work.double", &1, DEADLINE).await;
    assert_eq!(asked.unwrap(), 2);
}

#[actix_web::test]
async fn a_stop_finishes_what_had_arrived_and_is_red_meanwhile() {
    let hub = MemoryHub::new();
    let (one, two) = (start(&hub, 1).await, start(&hub, 2).await);
    let bus = one.bus.clone();
    let asked = actix_web::rt::spawn(async move {
        bus.ask::<_, String>(&worker(2), "work.wait", &(), DEADLINE).await
    });
    two.probe.entered.notified().await;
    let (probe, port) = (two.probe.clone(), two.port);
    let end = two.stop();
    eventually("/readyz is red", || async {
        let answer = check(port, "/readyz").await;
        answer.is_some_and(|(status, body)| status == 503 && body["stopping"] == true)
    })
    .await;
    let sent = one.bus.transmit(&worker(2), "work.tell", "you").await;
    assert!(matches!(sent, Err(TransmitError::NodeGone)), "{sent:?}");
    assert!(!end.is_finished());

    probe.open.notify_one();
    assert_eq!(asked.await.unwrap().unwrap(), "done");
    assert!(end.await.unwrap().is_ok());
}

#[actix_web::test]
async fn what_takes_longer_than_the_window_is_cut_off() {
    let hub = MemoryHub::new();
    let one = start(&hub, 1).await;
    let window = Duration::from_millis(50);
    let two = start_with(&hub, 2, |builder| builder.window(window)).await;
    let bus = one.bus.clone();
    let asked = actix_web::rt::spawn(async move {
        bus.ask::<_, String>(&worker(2), "work.wait", &(), Duration::from_millis(500)).await
    });
    two.probe.entered.notified().await;
    let end = tokio::time::timeout(DEADLINE, two.stop()).await;
    assert!(end.unwrap().unwrap().is_ok());
    let asked = asked.await.unwrap();
    assert!(matches!(asked, Err(AskError::Transmit(TransmitError::Timeout))), "{asked:?}");
}

#[actix_web::test]
async fn observers_that_contradict_are_refused_at_start() {
    let hub = MemoryHub::new();
    let twice = |cfg: &mut Observers| {
        cfg.observer("a").on_ask("b", async || ()).on_ask("b", async || ());
    };
    let refused = builder(&hub, 1).await.observers(twice).build();
    assert!(matches!(refused, Err(BuildError::Observers(_))));
}
