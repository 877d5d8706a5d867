//! Stopping: red at once, requests in flight finish, the address is free.

use std::time::Duration;

use actix_web::web;
use router_core::{
    Observers,
    node::{Node, NodeSpec},
    ns,
};

use crate::rig::{Browser, Gate, System, eventually};

#[actix_web::test]
async fn a_stopping_service_is_red_while_it_still_answers() {
    let system = System::new();
    let service = system.start_with(0, |builder| builder.notice(Duration::from_secs(3_600))).await;
    let port = service.port;
    eventually("/readyz is green", || async {
        Browser::new(port).get("/readyz").await.status == 200
    })
    .await;
    let end = service.stop();
    eventually("/readyz is red", || async {
        let answer = Browser::new(port).get("/readyz").await;
        answer.status == 503 && answer.json()["stopping"] == true
    })
    .await;
    assert_eq!(Browser::new(port).get("/plain").await.status, 200);
    end.abort();
}

#[actix_web::test]
async fn requests_in_flight_finish_and_the_address_is_free() {
    let system = System::new();
    let gate = web::Data::new(Gate::default());
    let shared = gate.clone();
    let service = system
        .start_with(0, |builder| {
            builder.configure(move |cfg| {
                cfg.app_data(shared.clone());
            })
        })
        .await;
    let mut idle = service.browser();
    idle.get("/plain").await;
    let mut waiting = service.browser();
    let slow = actix_web::rt::spawn(async move { waiting.get("/slow").await });
    gate.entered.notified().await;

    let (port, web) = (service.port, service.web.clone());
    let mut end = service.stop();
    eventually("the port is closed", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err()
    })
    .await;
    assert!(!end.is_finished());
    gate.open.notify_one();
    let answer = slow.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "at last"));
    let ended = tokio::time::timeout(crate::rig::DEADLINE, &mut end).await;
    assert!(ended.expect("the idle connection does not hold it up").unwrap().is_ok());

    assert_eq!(web.bus().node().to_string(), "web/0");
    let next = Node::start(NodeSpec::new(ns("web").node(0)), system.hub.backend()).await;
    assert!(next.is_ok());
}

#[actix_web::test]
async fn observers_answer_and_finish_what_had_arrived() {
    let system = System::new();
    let gate = std::sync::Arc::new(Gate::default());
    let shared = std::sync::Arc::clone(&gate);
    let observers = move |cfg: &mut Observers| {
        cfg.observer("web").on_ask(
            "double",
            move |router_core::Payload(n): router_core::Payload<u32>| {
                let gate = std::sync::Arc::clone(&shared);
                async move {
                    gate.entered.notify_one();
                    gate.open.notified().await;
                    n * 2
                }
            },
        );
    };
    let service = system.start_with(0, |builder| builder.observers(observers)).await;
    let asker = Node::start(NodeSpec::new(ns("ws").node(0)), system.hub.backend()).await.unwrap();
    let bus = asker.bus().clone();
    let asked = actix_web::rt::spawn(async move {
        let to = ns("web").node(0).into();
        bus.ask::<_, u32>(&to, "web.double", &21, crate::rig::DEADLINE).await
    });
    gate.entered.notified().await;
    let end = service.stop();
    eventually("the address is free", || async {
        let to = ns("web").node(0).into();
        let gone = asker.bus().transmit(&to, "web.none", &()).await;
        matches!(gone, Err(router_core::bus::TransmitError::NodeGone))
    })
    .await;
    assert!(!end.is_finished());
    gate.open.notify_one();
    assert_eq!(asked.await.unwrap().unwrap(), 42);
    assert!(end.await.unwrap().is_ok());
}
