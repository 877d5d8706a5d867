//! Events: extractors, acknowledgements, panics, hooks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use router_core::{
    Args, Data, EventName, Payload, RouteError, Routes, Session,
    route::Hook,
    session::{inc, set},
    socket::{AckError, DisconnectReason, EmitError, Socket},
    testing::TestSystem,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Say {
    message: String,
    tags: Option<Vec<u8>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Profile {
    #[serde(default)]
    said: u32,
}

fn routes(cfg: &mut Routes) {
    cfg.route("world")
        .on("say", say)
        .on("count", count)
        .on("swap", |args: Args| async move { args })
        .on("nothing", || async {})
        .on("panic", panic)
        .on("panic_at_once", panic_at_once)
        .on("refuse", || async {
            Err::<(), _>(RouteError::new("full", "No place.").with("max", 3))
        })
        .on("whisper", whisper);
    cfg.root().on("message", |EventName(name): EventName| async move { name.to_string() });
}

async fn say(Payload(say): Payload<Say>) -> String {
    format!("{}{}", say.message, say.tags.map_or(0, |tags| tags.len()))
}

async fn count(session: Session<Profile>) -> Result<Profile, RouteError> {
    Ok(session.update(inc("said", 1).set("last", "now")).await?)
}

#[allow(clippy::panic, reason = "what becomes of a panic is what is tested")]
async fn panic() {
    panic!("on purpose")
}

#[allow(clippy::panic, reason = "what becomes of a panic is what is tested")]
fn panic_at_once() -> std::future::Ready<()> {
    panic!("before there is a future")
}

async fn whisper(socket: Socket, Payload(text): Payload<String>) -> Result<(), EmitError> {
    socket.emit("world.whisper", &text).await
}

async fn system() -> TestSystem {
    TestSystem::builder().routes(routes).start().await
}

#[tokio::test]
async fn the_returned_value_is_the_acknowledgement() {
    let ann = system().await.connect_as("ann").await;
    let said: String = ann.push("world.say", &json!({"message": "hi", "tags": [1, 2]})).await.ok();
    assert_eq!(said, "hi2");
    assert_eq!(ann.push("world.nothing", &()).await.ok::<Value>(), Value::Null);
    assert_eq!(ann.push("message", &()).await.ok::<String>(), "message");
}

#[tokio::test]
async fn several_arguments_pass_through_as_they_are() {
    let ann = system().await.connect_as("ann").await;
    let args = Args::many(&[json!(1), json!({"a": 2.50})]).unwrap();
    assert_eq!(ann.push_args("world.swap", args.clone()).await.into_result(), Ok(args));
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_answered_with_its_path() {
    let ann = system().await.connect_as("ann").await;
    let bad = json!({"message": "hi", "tags": [1, 999]});
    let error = ann.push("world.say", &bad).await.assert_error("bad_payload");
    assert_eq!(error.data("path"), Some(&json!("tags[1]")));
    ann.push("world.say", &json!({})).await.assert_error("bad_payload");
}

#[tokio::test]
async fn an_event_without_a_handler_is_answered() {
    let ann = system().await.connect_as("ann").await;
    for event in ["world.shout", "world", "world.say.more", "", "say"] {
        ann.push(event, &()).await.assert_error("unknown_event");
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_and_the_system_lives() {
    let system = system().await;
    let (ann, bob) = (system.connect_as("ann").await, system.connect_as("bob").await);
    for event in ["world.panic", "world.panic_at_once"] {
        let error = ann.push(event, &()).await.assert_error("internal");
        assert!(!error.message().contains("on purpose"));
        ann.push("world.nothing", &()).await.ok::<Value>();
        bob.push("world.nothing", &()).await.ok::<Value>();
    }
}

#[tokio::test]
async fn a_handlers_own_error_keeps_its_data() {
    let ann = system().await.connect_as("ann").await;
    let error = ann.push("world.refuse", &()).await.assert_error("full");
    assert_eq!(error.data("max"), Some(&json!(3)));
}

#[tokio::test]
async fn a_session_is_shared_by_the_sockets_of_a_user_and_needed_where_it_is_asked_for() {
    let system = system().await;
    let ann = system.connect_as("ann").await;
    assert_eq!(ann.push("world.count", &()).await.ok::<Profile>().said, 1);
    assert_eq!(ann.push("world.count", &()).await.ok::<Profile>().said, 2);
    let sid = ann.session_id().unwrap();
    system.sessions().update(sid, &set("said", "a text")).await.unwrap();
    let error = ann.push("world.count", &()).await.assert_error("bad_session");
    assert_eq!(error.data("path"), Some(&json!("said")));
    let anonymous = system.connect_anonymous().await;
    anonymous.push("world.count", &()).await.assert_error("no_session");
}

#[tokio::test]
async fn a_handler_emits_to_the_socket_that_asked() {
    let system = system().await;
    let ann = system.connect_as("ann").await;
    ann.push("world.whisper", "psst").await.ok::<Value>();
    assert_eq!(ann.assert_received::<String>("world.whisper").await, "psst");
}

#[tokio::test]
async fn a_handler_asks_a_client_and_gets_its_answer() {
    let routes = |cfg: &mut Routes| {
        cfg.root().on("ask", |socket: Socket, Payload(ms): Payload<u64>| async move {
            let timeout = Duration::from_millis(ms);
            Ok::<u32, RouteError>(socket.emit_with_ack("double", &21, timeout).await?)
        });
    };
    let system = TestSystem::builder().routes(routes).start().await;
    let ann = system.connect_as("ann").await;
    let client = async {
        let (n, asked) = ann.assert_asked::<u32>("double").await;
        asked.answer(&(n * 2));
    };
    let (answered, ()) = tokio::join!(ann.push("ask", &5_000), client);
    assert_eq!(answered.ok::<u32>(), 42);
    ann.push("ask", &1).await.assert_error("timeout");
    let (_, forgotten) = ann.assert_asked::<u32>("double").await;
    forgotten.answer(&"nobody waits");

    let timeout = Duration::from_secs(5);
    let handle = ann.handle().clone();
    let unfit = async { ann.assert_asked::<u32>("double").await.1.answer("no number") };
    let (outcome, ()) = tokio::join!(handle.emit_with_ack::<_, u32>("double", &1, timeout), unfit);
    assert!(matches!(outcome, Err(AckError::Answer(_))), "{outcome:?}");
    let (outcome, ()) =
        tokio::join!(handle.emit_with_ack::<_, u32>("double", &1, timeout), ann.disconnect());
    assert!(matches!(outcome, Err(AckError::Disconnected)), "{outcome:?}");
    let outcome = handle.emit_with_ack::<_, u32>("double", &1, timeout).await;
    assert!(matches!(outcome, Err(AckError::Gone)), "{outcome:?}");
}

#[tokio::test]
async fn hooks_see_a_socket_come_and_go_with_its_session_and_reason() {
    struct Seen(AtomicU32);
    let routes = |cfg: &mut Routes| {
        cfg.hook(Hook::Connect, |seen: Data<Arc<Seen>>, _session: Session| async move {
            seen.0.fetch_add(1, Ordering::Relaxed);
        })
        .hook(
            Hook::Disconnect,
            |seen: Data<Arc<Seen>>, _session: Session, reason: DisconnectReason| async move {
                assert_eq!(reason, DisconnectReason::Client);
                seen.0.fetch_add(10, Ordering::Relaxed);
            },
        );
    };
    let seen = Arc::new(Seen(AtomicU32::new(0)));
    let system = TestSystem::builder().routes(routes).data(Arc::clone(&seen)).start().await;
    let ann = system.connect_as("ann").await;
    assert_eq!(seen.0.load(Ordering::Relaxed), 1);
    ann.disconnect().await;
    assert_eq!(seen.0.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn data_that_was_not_registered_is_an_internal_error() {
    let routes = |cfg: &mut Routes| {
        cfg.root().on("data", |_: Data<u8>| async {});
    };
    let system = TestSystem::builder().routes(routes).start().await;
    system.connect_anonymous().await.push("data", &()).await.assert_error("internal");
}
