//! Asks, transmits and broadcasts between two workers.

use std::time::Duration;

use router_core::{
    backend::memory::MemoryHub,
    bus::{AskError, TransmitError},
    ns,
};

use crate::rig::{DEADLINE, start, worker};

#[actix_web::test]
async fn an_ask_is_answered() {
    let hub = MemoryHub::new();
    let (one, _two) = (start(&hub, 1).await, start(&hub, 2).await);
    for to in [1, 2] {
        let answer: u32 = one.bus.ask(&worker(to), "work.double", &21, DEADLINE).await.unwrap();
        assert_eq!(answer, 42);
    }
}

#[actix_web::test]
async fn a_worker_may_ask_another_one_to_answer() {
    let hub = MemoryHub::new();
    let (one, _two) = (start(&hub, 1).await, start(&hub, 2).await);
    let answer = one.bus.ask::<_, u32>(&worker(2), "work.pass_on", &worker(1), DEADLINE).await;
    assert_eq!(answer.unwrap(), 8);
}

#[actix_web::test]
async fn an_answer_can_be_an_error() {
    let hub = MemoryHub::new();
    let (one, _two) = (start(&hub, 1).await, start(&hub, 2).await);
    let cases = [("work.refuse", "no_work"), ("work.none", "unknown_event")];
    for (event, code) in cases {
        let answer = one.bus.ask::<_, ()>(&worker(2), event, &(), DEADLINE).await;
        let Err(AskError::Answered(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(error.code(), code);
    }
}

#[actix_web::test]
async fn a_panic_is_answered_and_the_worker_goes_on() {
    let hub = MemoryHub::new();
    let (one, _two) = (start(&hub, 1).await, start(&hub, 2).await);
    let answer = one.bus.ask::<_, ()>(&worker(2), "work.panic", &(), DEADLINE).await;
    let Err(AskError::Answered(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error.code(), "internal");
    let answer = one.bus.ask::<_, u32>(&worker(2), "work.double", &1, DEADLINE).await;
    assert_eq!(answer.unwrap(), 2);
}

#[actix_web::test]
async fn a_deadline_ends_the_wait_for_an_answer() {
    let hub = MemoryHub::new();
    let (one, two) = (start(&hub, 1).await, start(&hub, 2).await);
    let short = Duration::from_millis(50);
    let answer = one.bus.ask::<_, String>(&worker(2), "work.wait", &(), short).await;
    assert!(matches!(answer, Err(AskError::Transmit(TransmitError::Timeout))), "{answer:?}");
    two.probe.open.notify_one();
}

#[actix_web::test]
async fn a_transmit_reaches_one_worker_and_a_broadcast_all() {
    let hub = MemoryHub::new();
    let (mut one, mut two) = (start(&hub, 1).await, start(&hub, 2).await);
    one.bus.transmit(&worker(2), "work.tell", "you").await.unwrap();
    one.bus.broadcast(ns("worker"), "work.all", "all").await.unwrap();
    assert_eq!(one.heard.recv().await.unwrap(), "all");
    // Two ways lead there, and which is faster is not promised.
    let mut heard = [two.heard.recv().await.unwrap(), two.heard.recv().await.unwrap()];
    heard.sort();
    assert_eq!(heard, ["all", "you"]);
}
