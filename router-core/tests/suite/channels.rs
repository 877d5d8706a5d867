//! Channels over two nodes of one memory hub: who is let on, who hears what, and who is told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use router_core::{
    Data, EventName, Payload, RouteError, Routes, Session,
    backend::memory::MemoryHub,
    channel::{Access, Channel, ChannelHook, ChannelName, Position, Publisher},
    limits::{Limit, Limits},
    ns,
    session::{Authority, SessionId, Site, UserId, set},
    socket::{DisconnectReason, Socket},
    testing::{TestSocket, TestSystem, TestSystemBuilder},
};
use serde_json::{Value, json};

fn module(cfg: &mut Routes) {
    cfg.channel("open:*").open();
    cfg.channel("talk:*").open().publish();
}

fn builder(hub: &MemoryHub, nid: u32) -> TestSystemBuilder {
    TestSystem::builder().routes(module).hub(hub).node(ns("ws").node(nid))
}

async fn two() -> [TestSystem; 2] {
    let hub = MemoryHub::new();
    [builder(&hub, 0).start().await, builder(&hub, 1).start().await]
}

async fn subscribe(socket: &TestSocket, channel: &str) -> Position {
    socket.push("whisk.subscribe", &json!({ "channel": channel })).await.ok()
}

fn name(name: &str) -> ChannelName {
    name.parse().unwrap()
}

/// The head and the data of the next message.
async fn heard(socket: &TestSocket) -> (Value, Value) {
    socket.assert_received_all("whisk.message").await
}

async fn say(socket: &TestSocket, head: Value, data: Value) -> router_core::testing::Ack {
    socket.push_many("whisk.publish", &[head, data]).await
}

#[tokio::test]
async fn a_message_reaches_every_subscriber_on_any_node_with_its_position() {
    let [one, two] = two().await;
    let (ann, bob, eve) =
        (one.connect_as("ann").await, two.connect_as("bob").await, two.connect_anonymous().await);
    let before = subscribe(&ann, "open:1").await;
    subscribe(&bob, "open:1").await;
    subscribe(&eve, "open:2").await;
    let published = one.channels().at("open:1").unwrap().publish("news", &"hello").await.unwrap();
    assert_eq!(before, Position::default());
    assert_eq!(published.position.offset, 1);
    for socket in [&ann, &bob] {
        let (head, data) = heard(socket).await;
        assert_eq!((&head["channel"], &head["topic"]), (&json!("open:1"), &json!("news")));
        assert_eq!(head["offset"], json!(published.position.offset));
        assert_eq!(head["epoch"], json!(published.position.epoch));
        assert_eq!((head["id"].as_str(), data), (Some(published.id.as_str()), json!("hello")));
        assert_eq!(head.get("from"), None);
    }
    eve.assert_not_received("whisk.message");
}

#[tokio::test]
async fn a_message_says_its_epoch_so_that_a_store_that_lost_its_data_hides_none() {
    let hub = MemoryHub::new();
    let system = builder(&hub, 0).start().await;
    let (ann, bob) = (system.connect_as("ann").await, system.connect_as("bob").await);
    subscribe(&ann, "open:1").await;
    let channel = system.channels().at("open:1").unwrap();
    let before = channel.publish("news", &1).await.unwrap().position;
    hub.forget_channels();
    // Somebody else comes first.
    assert_eq!(subscribe(&bob, "open:1").await, Position::default());
    let after = channel.publish("news", &2).await.unwrap().position;
    assert_eq!((before.offset, after.offset), (1, 1));
    assert_ne!(before.epoch, after.epoch);
    assert_eq!(heard(&ann).await.0["epoch"], json!(before.epoch));
    for socket in [&ann, &bob] {
        assert_eq!(heard(socket).await.0["epoch"], json!(after.epoch));
        socket.assert_not_received("whisk.position");
    }
    // A private channel has no places that a client could compare.
    system.channels().user(&UserId::new("ann").unwrap()).publish("mail", &3).await.unwrap();
    let (head, _) = heard(&ann).await;
    assert_eq!((head.get("offset"), head.get("epoch")), (None, None));
}

#[tokio::test]
async fn subscribing_twice_delivers_once_and_a_stranger_closes_nothing() {
    let [one, _two] = two().await;
    let (ann, bob) = (one.connect_as("ann").await, one.connect_as("bob").await);
    subscribe(&ann, "open:1").await;
    subscribe(&ann, "open:1").await;
    // Who is not on the channel changes nothing by leaving it.
    let left: Value = bob.push("whisk.unsubscribe", &json!({ "channel": "open:1" })).await.ok();
    assert_eq!(left, json!({ "channel": "open:1" }));
    let channel = one.channels().at("open:1").unwrap();
    channel.publish("news", &1).await.unwrap();
    channel.publish("news", &2).await.unwrap();
    assert_eq!(heard(&ann).await.1, 1);
    assert_eq!(heard(&ann).await.1, 2);
    ann.push("whisk.unsubscribe", &json!({ "channel": "open:1" })).await.ok::<Value>();
    channel.publish("news", &3).await.unwrap();
    ann.assert_not_received("whisk.message");
    assert_eq!(channel.local_count(), 0);
}

#[tokio::test]
async fn names_that_are_none_and_closed_channels_are_refused_all_alike() {
    let [one, _two] = two().await;
    let ann = one.connect_as("ann").await;
    for bad in ["", "_user", "a b", "ä", &"x".repeat(256)] {
        let asked = ann.push("whisk.subscribe", &json!({ "channel": bad })).await;
        asked.assert_error("bad_channel");
    }
    // Somebody is on the one by the server's will, and nobody was ever on the other.
    let member = one.connect_as("bob").await;
    let closed = one.channels().at("closed").unwrap();
    one.run_on(&member, move |socket| async move { closed.subscribe(&socket).await.map(drop) })
        .await
        .unwrap();
    let probe = async |channel: &str| {
        ann.push("whisk.subscribe", &json!({ "channel": channel })).await.assert_error("refused")
    };
    assert_eq!(probe("closed").await, probe("never").await);
}

#[tokio::test]
async fn the_default_is_the_configurations_and_private_channels_need_rules() {
    let open = TestSystem::builder().channels(Access::Open).start().await;
    let ann = open.connect_as("ann").await;
    subscribe(&ann, "anything").await;
    let private = json!({ "channel": "private-room" });
    ann.push("whisk.subscribe", &private).await.assert_error("refused");
}

fn gated(cfg: &mut Routes) {
    async fn gate(
        channel: Channel,
        socket: Socket,
        Payload(seat): Payload<u32>,
    ) -> Result<(), RouteError> {
        assert_eq!(channel.name().as_str(), "seats:1");
        assert!(socket.user_id().is_some());
        if seat < 3 { Ok(()) } else { Err(RouteError::new("no_seat", "No such seat.")) }
    }
    async fn hangs() {
        std::future::pending::<()>().await;
    }
    #[allow(clippy::unused_async, reason = "a gate is an async function")]
    async fn panics() -> Result<(), RouteError> {
        panic!("a gate that panics")
    }
    cfg.channel("seats:*").gate(gate);
    cfg.channel("hangs").gate(hangs);
    cfg.channel("panics").gate(panics);
}

#[tokio::test]
async fn a_gate_sees_socket_channel_and_query_and_refuses_with_its_own_reason() {
    let limits = Limits { gate_timeout: Limit::At(Duration::from_millis(20)), ..Limits::default() };
    let system = TestSystem::builder().routes(gated).limits(limits).start().await;
    let ann = system.connect_as("ann").await;
    let ask = async |query: Value| {
        ann.push("whisk.subscribe", &json!({ "channel": "seats:1", "query": query })).await
    };
    ask(json!(1)).await.ok::<Value>();
    ask(json!("x")).await.assert_error("bad_payload");
    ask(json!(3)).await.assert_error("no_seat");
    // Asked again and refused, it is on the channel no more.
    assert_eq!(system.channels().at("seats:1").unwrap().local_count(), 0);
    for channel in ["hangs", "panics"] {
        let asked = ann.push("whisk.subscribe", &json!({ "channel": channel })).await;
        asked.assert_error("unavailable");
    }
    assert_eq!(system.metrics().limit_hits("gate_timeout"), 1);
    ask(json!(2)).await.ok::<Value>();
}

#[tokio::test]
async fn queries_and_subscriptions_of_one_socket_are_bounded() {
    let limits = Limits { channels_per_socket: Limit::At(3), ..Limits::default() };
    let system = TestSystem::builder().routes(module).limits(limits).start().await;
    let ann = system.connect_as("ann").await;
    for n in 0..3 {
        subscribe(&ann, &format!("open:{n}")).await;
    }
    let fourth = ann.push("whisk.subscribe", &json!({ "channel": "open:4" })).await;
    fourth.assert_error("too_many_channels");
    subscribe(&ann, "open:2").await;
    let long = json!({ "channel": "open:2", "query": "x".repeat(4 * 1024) });
    ann.push("whisk.subscribe", &long).await.assert_error("bad_payload");
    assert_eq!(system.metrics().limit_hits("channels_per_socket"), 1);
    assert_eq!(system.metrics().limit_hits("subscription_query"), 1);
}

type Seen = Arc<Mutex<Vec<String>>>;

fn hooked(cfg: &mut Routes) {
    async fn note(seen: Data<Mutex<Vec<String>>>, channel: Channel, socket: Socket, what: &str) {
        let user = socket.user_id().map(ToString::to_string).unwrap_or_default();
        // The channel's own values live from its first socket to its last hook.
        let count = channel.locals().map(|locals| {
            let before: u32 = locals.get().unwrap_or(0);
            locals.insert(before + 1);
            before + 1
        });
        seen.lock().unwrap().push(format!("{what} {} {user} {count:?}", channel.name()));
    }
    let all = cfg.channel("open:*");
    for (hook, what) in [
        (ChannelHook::Opened, "opened"),
        (ChannelHook::Subscribed, "subscribed"),
        (ChannelHook::Unsubscribed, "unsubscribed"),
        (ChannelHook::Closed, "closed"),
    ] {
        all.hook(hook, move |seen, channel, socket| note(seen, channel, socket, what));
    }
}

#[tokio::test]
async fn hooks_see_a_channels_life_on_a_node_in_order() {
    let seen = Seen::default();
    let system = TestSystem::builder()
        .routes(module)
        .routes(hooked)
        .shared_data(Arc::clone(&seen))
        .start()
        .await;
    let (ann, bob) = (system.connect_as("ann").await, system.connect_as("bob").await);
    subscribe(&ann, "open:1").await;
    subscribe(&ann, "open:1").await;
    subscribe(&bob, "open:1").await;
    ann.push("whisk.unsubscribe", &json!({ "channel": "open:1" })).await.ok::<Value>();
    // A socket that goes leaves its channels.
    bob.disconnect().await;
    let wanted = [
        "opened open:1 ann Some(1)",
        "subscribed open:1 ann Some(2)",
        "subscribed open:1 bob Some(3)",
        "unsubscribed open:1 ann Some(4)",
        "unsubscribed open:1 bob Some(5)",
        "closed open:1 bob Some(6)",
    ];
    assert_eq!(*seen.lock().unwrap(), wanted);
}

#[tokio::test]
async fn what_a_socket_publishes_reaches_the_others_and_moves_its_own_position() {
    let [one, two] = two().await;
    let (ann, bob) = (one.connect_as("ann").await, two.connect_as("bob").await);
    subscribe(&ann, "talk:1").await;
    subscribe(&bob, "talk:1").await;
    let head = json!({
        "channel": "talk:1", "topic": "said", "id": "mine", "from": "ws/9/eve", "user": "eve", "at": 1,
    });
    let told: Value = say(&ann, head, json!({"text": "hi"})).await.ok();
    let (head, data) = heard(&bob).await;
    // Who, when and which are the server's words, whatever the client claims.
    assert_eq!((&head["from"], &head["user"]), (&json!(ann.address()), &json!("ann")));
    assert_eq!((&head["id"], &head["at"]), (&told["id"], &told["at"]));
    assert_ne!(head["at"], 1);
    assert_eq!((&head["offset"], &head["topic"]), (&told["offset"], &json!("said")));
    assert_eq!((data, &told["level"]), (json!({"text": "hi"}), &json!("memory")));
    let moved: Value = ann.assert_received("whisk.position").await;
    assert_eq!((&moved["offset"], &moved["epoch"]), (&told["offset"], &told["epoch"]));
    ann.assert_not_received("whisk.message");
}

#[tokio::test]
async fn clients_publish_only_where_they_are_and_may() {
    let [one, _two] = two().await;
    let ann = one.connect_as("ann").await;
    let head = |channel: &str| json!({ "channel": channel, "topic": "said" });
    say(&ann, head("talk:1"), json!(1)).await.assert_error("not_subscribed");
    subscribe(&ann, "open:1").await;
    say(&ann, head("open:1"), json!(1)).await.assert_error("refused");
    say(&ann, head("_user"), json!(1)).await.assert_error("bad_channel");
}

fn served(cfg: &mut Routes) {
    async fn no_shouting(
        EventName(topic): EventName,
        Payload(text): Payload<String>,
    ) -> Result<(), RouteError> {
        match &*topic {
            "said" if text.to_uppercase() == text => Err(RouteError::new("loud", "Not so loud.")),
            _ => Ok(()),
        }
    }
    async fn double(Payload(number): Payload<u64>) -> Result<u64, RouteError> {
        number.checked_mul(2).ok_or_else(|| RouteError::new("too_large", "Too large."))
    }
    cfg.channel("hall:*").open().publish_gate(no_shouting).on("double", double);
}

#[tokio::test]
async fn a_publish_gate_sees_the_message_and_a_topic_of_the_servers_own_is_answered_by_it() {
    let system = TestSystem::builder().routes(served).start().await;
    let (ann, bob) = (system.connect_as("ann").await, system.connect_as("bob").await);
    subscribe(&ann, "hall:1").await;
    subscribe(&bob, "hall:1").await;
    let head = |topic: &str| json!({ "channel": "hall:1", "topic": topic });
    say(&ann, head("said"), json!("HEY")).await.assert_error("loud");
    say(&ann, head("said"), json!("hey")).await.ok::<Value>();
    assert_eq!(heard(&bob).await.1, "hey");
    let asked = ann.push_many("whisk.request", &[head("double"), json!(21)]).await;
    let reply: Value = asked.ok();
    assert_eq!((&reply["data"], reply.get("from")), (&json!(42), None));
    let asked = ann.push_many("whisk.request", &[head("double"), json!(u64::MAX)]).await;
    asked.assert_error("too_large");
    bob.assert_not_received("whisk.message");
}

#[tokio::test]
async fn a_request_gets_the_first_reply_and_strangers_cannot_answer() {
    let [one, two] = two().await;
    let (ann, bob, eve) =
        (one.connect_as("ann").await, two.connect_as("bob").await, two.connect_as("eve").await);
    for socket in [&ann, &bob] {
        subscribe(socket, "talk:1").await;
    }
    let head = json!({ "channel": "talk:1", "topic": "speed_check" });
    let question = async { ann.push_many("whisk.request", &[head, json!({"n": 1})]).await };
    let answers = async {
        let (head, data) = heard(&bob).await;
        assert_eq!((&head["ask"], data), (&json!(true), json!({"n": 1})));
        let answer = |re: &Value| json!({ "channel": "talk:1", "to": head["from"], "re": re });
        let reply = async |socket: &TestSocket, re: &Value, data: Value| {
            socket.push_many("whisk.reply", &[answer(re), data]).await
        };
        // Who is not on the channel, and what nobody asked.
        reply(&eve, &head["id"], json!("eve")).await.assert_error("not_subscribed");
        reply(&bob, &json!("other"), json!("wrong")).await.ok::<Value>();
        reply(&bob, &head["id"], json!("fast")).await.ok::<Value>();
        reply(&bob, &head["id"], json!("again")).await.ok::<Value>();
        head["id"].clone()
    };
    let (asked, id) = futures_util::future::join(question, answers).await;
    let reply: Value = asked.ok();
    assert_eq!((&reply["data"], &reply["id"]), (&json!("fast"), &id));
    assert_eq!((&reply["from"], &reply["user"]), (&json!(bob.address()), &json!("bob")));
    assert_eq!(one.metrics().replies_unasked.get(), 2);
}

#[tokio::test]
async fn a_request_to_one_is_heard_and_answered_by_that_one_alone() {
    let [one, two] = two().await;
    let (ann, bob, eve) =
        (one.connect_as("ann").await, two.connect_as("bob").await, two.connect_as("eve").await);
    for socket in [&ann, &bob, &eve] {
        subscribe(socket, "talk:1").await;
    }
    let head =
        json!({ "channel": "talk:1", "topic": "check", "to": bob.address(), "timeout_ms": 4000 });
    let question = async { ann.push_many("whisk.request", &[head.clone(), json!(1)]).await };
    let answers = async {
        let (head, _) = heard(&bob).await;
        assert_eq!((&head["direct"], head.get("offset")), (&json!(true), None));
        let reply = json!({ "channel": "talk:1", "to": head["from"], "re": head["id"] });
        let forged = [reply.clone(), json!("forged")];
        eve.push_many("whisk.reply", &forged).await.ok::<Value>();
        let failed = json!({ "code": "busy", "message": "Not now." });
        let mut refusal = reply;
        refusal["error"] = failed;
        bob.push_many("whisk.reply", &[refusal]).await.ok::<Value>();
    };
    let (asked, ()) = futures_util::future::join(question, answers).await;
    asked.assert_error("busy");
    eve.assert_not_received("whisk.message");
    // Nobody answers: the requester is told so.
    let mut late = head;
    late["timeout_ms"] = json!(1);
    ann.push_many("whisk.request", &[late, json!(1)]).await.assert_error("timeout");
}

#[tokio::test]
async fn confirmed_sockets_are_on_their_users_and_sessions_private_channels() {
    let [one, two] = two().await;
    let (first, second, eve) =
        (one.connect_as("ann").await, two.connect_as("ann").await, two.connect_as("eve").await);
    let ann = UserId::new("ann").unwrap();
    two.channels().user(&ann).publish("mail", &1).await.unwrap();
    for socket in [&first, &second] {
        let (head, data) = heard(socket).await;
        assert_eq!((&head["channel"], data), (&json!("_user"), json!(1)));
    }
    let sid: SessionId = first.session_id().unwrap().clone();
    two.channels().session(&sid, &ann).publish("mail", &2).await.unwrap();
    let (head, data) = heard(&first).await;
    assert_eq!((&head["channel"], data), (&json!("_session"), json!(2)));
    for socket in [&second, &eve] {
        socket.assert_not_received("whisk.message");
    }
}

#[tokio::test]
async fn many_channels_and_everybody_are_told_at_once() {
    let [one, two] = two().await;
    let (ann, bob) = (one.connect_as("ann").await, two.connect_as("bob").await);
    subscribe(&ann, "open:1").await;
    subscribe(&bob, "open:2").await;
    let names = ["open:1", "open:2", "open:3"].map(name);
    let published = one.channels().publish_many(names, "news", &"all").await.unwrap();
    assert_eq!(published.iter().map(|one| one.as_ref().unwrap().position.offset).sum::<u64>(), 3);
    for socket in [&ann, &bob] {
        assert_eq!(heard(socket).await.1, "all");
    }
    let id = two.channels().broadcast("closing", &"soon").await.unwrap();
    for socket in [&ann, &bob] {
        let (head, data): (Value, Value) = socket.assert_received_all("whisk.broadcast").await;
        assert_eq!((head["topic"].as_str(), data), (Some("closing"), json!("soon")));
        assert_eq!(head["id"].as_str(), Some(id.as_str()));
    }
}

#[tokio::test]
async fn a_process_that_is_no_node_publishes_and_boots() {
    let hub = MemoryHub::new();
    let system = builder(&hub, 0).start().await;
    let (ann, bob) = (system.connect_as("ann").await, system.connect_as("bob").await);
    subscribe(&ann, "open:1").await;
    let publisher = Publisher::open(&hub.backend(), Site::main());
    publisher.publish(&name("open:1"), "news", &1).await.unwrap();
    assert_eq!(heard(&ann).await.1, 1);
    publisher.publish_to_user(&UserId::new("bob").unwrap(), "mail", &2).await.unwrap();
    assert_eq!(heard(&bob).await.1, 2);
    publisher.publish_many([name("open:1")], "news", &3).await.unwrap();
    assert_eq!(heard(&ann).await.1, 3);
    publisher.broadcast("all", &4).await.unwrap();
    bob.assert_received::<Value>("whisk.broadcast").await;
    publisher.boot_channel(&name("open:1"), "over").await.unwrap();
    assert_eq!(ann.assert_disconnected().await, DisconnectReason::Booted("over".into()));
    publisher.boot_user(&UserId::new("bob").unwrap(), "too").await.unwrap();
    assert_eq!(bob.assert_disconnected().await, DisconnectReason::Booted("too".into()));
}

#[tokio::test]
async fn who_is_booted_is_told_why_wherever_it_is() {
    let [one, two] = two().await;
    let reason = |text: &str| DisconnectReason::Booted(text.into());
    let ann = two.connect_as("ann").await;
    one.channels().boot_socket(ann.address(), "socket").await.unwrap();
    assert_eq!(ann.assert_disconnected().await, reason("socket"));
    let bob = two.connect_as("bob").await;
    one.channels().user(&UserId::new("bob").unwrap()).boot("user").await.unwrap();
    assert_eq!(bob.assert_disconnected().await, reason("user"));
    let (eve, other) = (two.connect_as("eve").await, two.connect_as("eve").await);
    let sid = eve.session_id().unwrap().clone();
    one.channels().session(&sid, &UserId::new("eve").unwrap()).boot("session").await.unwrap();
    assert_eq!(eve.assert_disconnected().await, reason("session"));
    subscribe(&other, "open:1").await;
    one.channels().at("open:1").unwrap().boot("channel").await.unwrap();
    assert_eq!(other.assert_disconnected().await, reason("channel"));
}

#[tokio::test]
async fn a_changed_session_is_judged_again_and_its_client_told() {
    #[derive(serde::Deserialize)]
    struct Role {
        #[serde(default)]
        role: Option<String>,
    }
    async fn proctors(session: Session<Role>) -> Result<(), RouteError> {
        match session.store().role.as_deref() {
            Some("proctor") => Ok(()),
            _ => Err(RouteError::new("not_proctor", "For proctors.")),
        }
    }
    let hub = MemoryHub::new();
    let routes = |cfg: &mut Routes| {
        cfg.channel("staff").gate(proctors);
        cfg.channel("open:*").open();
    };
    let one = builder(&hub, 0).start().await;
    let two = TestSystem::builder().hub(&hub).routes(routes).node(ns("ws").node(1)).start().await;
    let ann = two.connect_as("ann").await;
    let sid = ann.session_id().unwrap().clone();
    two.sessions().update(&sid, &set("role", "proctor")).await.unwrap();
    subscribe(&ann, "staff").await;
    subscribe(&ann, "open:1").await;
    one.sessions().update(&sid, &set("role", "student")).await.unwrap();
    Authority::new(one.sessions().clone(), one.bus().clone()).changed(&sid).await.unwrap();
    let told: Value = ann.assert_received("whisk.unsubscribed").await;
    assert_eq!(
        (&told["channel"], &told["error"]["code"]),
        (&json!("staff"), &json!("not_proctor"))
    );
    let changed: Value = ann.assert_received("whisk.session").await;
    assert_eq!(changed, json!({ "user_id": "ann" }));
    let count = |name: &str| two.channels().at(name).unwrap().local_count();
    assert_eq!((count("staff"), count("open:1")), (0, 1));
}

#[tokio::test]
async fn a_channels_members_are_asked_and_the_missing_are_named() {
    let [one, two] = two().await;
    let members =
        [one.connect_as("ann").await, two.connect_as("bob").await, two.connect_as("eve").await];
    for socket in &members {
        subscribe(socket, "open:1").await;
    }
    let channel = one.channels().at("open:1").unwrap();
    let mut answers = channel.ask("ready?", &1, Duration::from_millis(300)).await.unwrap();
    let (_, ann) = members[0].assert_asked::<u8>("ready?").await;
    let (_, bob) = members[1].assert_asked::<u8>("ready?").await;
    let (_, eve) = members[2].assert_asked::<u8>("ready?").await;
    ann.answer(&"yes");
    bob.answer(&json!({ "error": { "code": "busy", "message": "Not now." } }));
    let mut heard = Vec::new();
    while let Some(answered) = answers.next().await {
        let answer = answered.answer.map(|args| args.json().to_string());
        heard.push((
            answered.user.unwrap().to_string(),
            answer.map_err(|error| error.code().to_owned()),
        ));
    }
    heard.sort();
    let wanted =
        [("ann".to_owned(), Ok("\"yes\"".to_owned())), ("bob".to_owned(), Err("busy".to_owned()))];
    assert_eq!(heard, wanted);
    let missing: Vec<_> = answers.missing().map(|(address, _)| address.clone()).collect();
    assert_eq!((missing, answers.unheard_nodes()), (vec![members[2].address().clone()], 0));
    drop(eve);
    // Nobody is there: it is over at once.
    let nobody = one.channels().at("open:9").unwrap();
    let mut nobody = nobody.ask("ready?", &1, Duration::from_secs(60)).await.unwrap();
    assert!(nobody.next().await.is_none());
}

#[tokio::test]
async fn a_store_that_is_away_refuses_and_leaves_nobody_half_on() {
    let hub = MemoryHub::new();
    let system = builder(&hub, 0).start().await;
    let ann = system.connect_as("ann").await;
    hub.cut(true);
    let asked = ann.push("whisk.subscribe", &json!({ "channel": "open:1" })).await;
    asked.assert_error("unavailable");
    let channel = system.channels().at("open:1").unwrap();
    assert!(channel.publish("news", &1).await.is_err());
    hub.cut(false);
    assert_eq!(channel.local_count(), 0);
    subscribe(&ann, "open:1").await;
    channel.publish("news", &2).await.unwrap();
    assert_eq!(heard(&ann).await.1, 2);
}

#[tokio::test]
async fn subscriptions_and_departures_that_race_leave_nothing_behind() {
    static CLOSED: AtomicU64 = AtomicU64::new(0);
    let routes = |cfg: &mut Routes| {
        cfg.channel("open:*")
            .hook(ChannelHook::Opened, async || CLOSED.fetch_add(1, Ordering::SeqCst))
            .hook(ChannelHook::Closed, async || CLOSED.fetch_sub(1, Ordering::SeqCst));
    };
    let system = TestSystem::builder().routes(module).routes(routes).start().await;
    let races = (0..60).map(async |n| {
        let socket = system.connect_as("ann").await;
        let again = json!({ "channel": format!("open:{}", n % 3) });
        let pushes = (0..4).map(|turn| {
            let event = if turn % 2 == 0 { "whisk.subscribe" } else { "whisk.unsubscribe" };
            socket.push(event, &again)
        });
        futures_util::future::join_all(pushes).await;
        socket.push("whisk.subscribe", &again).await.ok::<Value>();
        socket.disconnect().await;
    });
    futures_util::future::join_all(races).await;
    assert_eq!(CLOSED.load(Ordering::SeqCst), 0);
    for n in 0..3 {
        assert_eq!(system.channels().at(&*format!("open:{n}")).unwrap().local_count(), 0);
    }
}
