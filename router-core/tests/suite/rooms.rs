//! Rooms and emits over nodes, in memory.

use router_core::{
    Address, Payload, RouteError, Routes,
    backend::memory::MemoryHub,
    bus::BroadcastError,
    ns,
    socket::{Io, JoinError, Socket},
    testing::{TestSocket, TestSystem},
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Say {
    room: String,
    text: String,
}

fn routes(cfg: &mut Routes) {
    cfg.route("room")
        .on("join", |socket: Socket, Payload(room): Payload<String>| async move {
            socket.join(room).await
        })
        .on("leave", |socket: Socket, Payload(room): Payload<String>| async move {
            socket.leave(room).await;
        })
        .on("say", say)
        .on("all", |io: Io, Payload(text): Payload<String>| async move {
            io.emit("room.said", &text).await
        });
}

async fn say(socket: Socket, Payload(say): Payload<Say>) -> Result<(), RouteError> {
    socket.to(&say.room).emit("room.said", &say.text).await?;
    Ok(())
}

async fn node(hub: &MemoryHub, nid: u32) -> TestSystem {
    TestSystem::builder().routes(routes).hub(hub).node(ns("ws").node(nid)).start().await
}

async fn two_nodes() -> (MemoryHub, TestSystem, TestSystem) {
    let hub = MemoryHub::new();
    let (zero, one) = (node(&hub, 0).await, node(&hub, 1).await);
    (hub, zero, one)
}

async fn hears(socket: &TestSocket, text: &str) {
    assert_eq!(socket.assert_received::<String>("room.said").await, text);
}

#[tokio::test]
async fn what_is_said_in_a_room_reaches_the_others_in_it_on_every_node() {
    let (_hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    let cid = zero.connect_as("cid").await;
    for socket in [&ann, &bob] {
        socket.push("room.join", "lobby").await.ok::<Value>();
    }
    let said = serde_json::json!({"room": "lobby", "text": "hi"});
    ann.push("room.say", &said).await.ok::<Value>();
    hears(&bob, "hi").await;
    bob.push("room.say", &said).await.ok::<Value>();
    hears(&ann, "hi").await;
    for socket in [&ann, &bob, &cid] {
        socket.assert_not_received("room.said");
    }
    ann.push("room.all", "everybody").await.ok::<Value>();
    for socket in [&ann, &bob, &cid] {
        hears(socket, "everybody").await;
    }
}

#[tokio::test]
async fn a_message_sent_right_after_a_join_arrives() {
    let (_hub, zero, one) = two_nodes().await;
    let bob = one.connect_as("bob").await;
    for n in 0..200 {
        let room = format!("room {n}");
        bob.handle().join(&room).await.unwrap();
        zero.io().to(&room).emit("room.said", &room).await.unwrap();
        hears(&bob, &room).await;
        bob.handle().leave(&room).await;
    }
    assert!(bob.handle().rooms().await.is_empty());
}

#[tokio::test]
async fn a_socket_on_several_of_the_rooms_hears_an_event_once() {
    let (_hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    for socket in [&ann, &bob] {
        socket.handle().join(["a", "b", "c"]).await.unwrap();
    }
    let everywhere = zero.io().to("a").to("b").to("c").to(bob.address()).to("a");
    everywhere.emit("room.said", "once").await.unwrap();
    zero.io().to("a").emit("room.said", "end").await.unwrap();
    for socket in [&ann, &bob] {
        hears(socket, "once").await;
        hears(socket, "end").await;
        socket.assert_not_received("room.said");
    }
}

#[tokio::test]
async fn a_socket_is_a_room_of_its_own_that_is_reached_by_its_address() {
    let (_hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    for system in [&zero, &one] {
        system.io().to(bob.address()).emit("room.said", "psst").await.unwrap();
        hears(&bob, "psst").await;
        system.io().except(bob.address()).emit("room.said", "not bob").await.unwrap();
        hears(&ann, "not bob").await;
        bob.assert_not_received("room.said");
    }
    let nobody: Address = "ws/7/x".parse().unwrap();
    zero.io().to(&nobody).emit("room.said", "lost").await.unwrap();
    ann.assert_not_received("room.said");
}

#[tokio::test]
async fn rooms_are_excepted_and_nsps_kept_apart() {
    let (_hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    ann.handle().join("lobby").await.unwrap();
    bob.handle().join(["lobby", "quiet"]).await.unwrap();
    zero.io().to("lobby").except("quiet").emit("room.said", "loud").await.unwrap();
    zero.io().of("/other").to("lobby").emit("room.said", "elsewhere").await.unwrap();
    zero.io().to("lobby").local().emit("room.said", "near").await.unwrap();
    zero.io().to("lobby").volatile().emit("room.said", "end").await.unwrap();
    for text in ["loud", "near", "end"] {
        hears(&ann, text).await;
    }
    hears(&bob, "end").await;
    bob.assert_not_received("room.said");
}

#[tokio::test]
async fn a_room_has_a_name_of_bounded_length_and_a_socket_a_bounded_number_of_rooms() {
    let (_hub, zero, _one) = two_nodes().await;
    let ann = zero.connect_as("ann").await;
    for name in [String::new(), "x".repeat(256)] {
        ann.push("room.join", &name).await.assert_error("bad_room");
    }
    ann.handle().join("x".repeat(255)).await.unwrap();
    let rooms: Vec<String> = (0..127).map(|n| n.to_string()).collect();
    ann.handle().join(rooms.clone()).await.unwrap();
    assert!(matches!(ann.handle().join("more").await, Err(JoinError::TooManyRooms)));
    // Again is no more.
    ann.handle().join(rooms).await.unwrap();
    assert_eq!(ann.handle().rooms().await.len(), 128);
}

#[tokio::test]
async fn a_join_that_the_bus_did_not_confirm_is_an_error_and_may_be_tried_again() {
    let (hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    bob.handle().join("lobby").await.unwrap();
    hub.cut(true);
    assert!(matches!(ann.handle().join("lobby").await, Err(JoinError::Unavailable(_))));
    assert!(ann.handle().rooms().await.is_empty());
    // What is there already needs no bus.
    let said = one.io().to("lobby").emit("room.said", "alone").await;
    assert!(matches!(said, Err(BroadcastError::Unavailable(_))), "{said:?}");
    hears(&bob, "alone").await;
    hub.cut(false);
    ann.handle().join("lobby").await.unwrap();
    one.io().to("lobby").emit("room.said", "both").await.unwrap();
    hears(&ann, "both").await;
}
