//! Seats on channels when things happen at once: sessions that change meanwhile, gates and hooks that
//! take long, sockets that go, and what the server itself does.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::join_all};
use router_core::{
    Data, Payload, RouteError, Session,
    backend::memory::MemoryHub,
    channel::{Access, Channel, ChannelHook},
    limits::{Limit, Limits},
    ns,
    presence::Settings,
    session::{Authority, SessionId, UserId, set},
    socket::Socket,
    testing::{TestSocket, TestSystem},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

async fn subscribe(socket: &TestSocket, wish: Value) -> Value {
    socket.push("whisk.subscribe", &wish).await.ok()
}

fn channel(system: &TestSystem, name: &str) -> Channel {
    system.channels().at(name).unwrap()
}

async fn until(what: &str, is_true: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

async fn change(system: &TestSystem, sid: &SessionId, role: &str) {
    system.sessions().update(sid, &set("role", role)).await.unwrap();
    let authority = Authority::new(system.sessions().clone(), system.bus().clone());
    authority.changed(sid).await.unwrap();
}

#[derive(serde::Deserialize)]
struct Role {
    #[serde(default)]
    role: Option<String>,
}

impl Role {
    fn is_proctor(&self) -> bool {
        self.role.as_deref() == Some("proctor")
    }
}

#[tokio::test]
async fn a_subscription_under_way_is_judged_again_when_its_session_changes() {
    #[derive(Default)]
    struct Held {
        decided: Notify,
        go_on: Notify,
    }
    /// Has made up its mind before it may go on.
    async fn proctors(session: Session<Role>, held: Data<Held>) -> Result<(), RouteError> {
        let may = session.store().is_proctor();
        held.decided.notify_one();
        if may {
            held.go_on.notified().await;
        }
        if may { Ok(()) } else { Err(RouteError::new("not_proctor", "For proctors.")) }
    }
    let held = Arc::new(Held::default());
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("staff").gate(proctors);
        })
        .shared_data(Arc::clone(&held))
        .start()
        .await;
    let ann = system.connect_as("ann").await;
    let sid = ann.session_id().unwrap().clone();
    system.sessions().update(&sid, &set("role", "proctor")).await.unwrap();
    let wanted = json!({ "channel": "staff" });
    let asked = ann.push("whisk.subscribe", &wanted);
    let changed = async {
        held.decided.notified().await;
        change(&system, &sid, "student").await;
        held.go_on.notify_one();
    };
    let (asked, ()) = tokio::join!(asked, changed);
    // It was let in by what was true when it asked; then the change counts.
    asked.ok::<Value>();
    let told: Value = ann.assert_received("whisk.unsubscribed").await;
    assert_eq!(told["error"]["code"], json!("not_proctor"));
    let changed: Value = ann.assert_received("whisk.session").await;
    assert_eq!(changed, json!({ "user_id": "ann" }));
    assert_eq!(channel(&system, "staff").local_count(), 0);
}

#[tokio::test]
async fn a_change_that_is_heard_twice_is_judged_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("staff").gate(async |asked: Data<AtomicUsize>| {
                asked.fetch_add(1, Ordering::SeqCst);
            });
        })
        .shared_data(Arc::clone(&asked))
        .start()
        .await;
    let ann = system.connect_as("ann").await;
    subscribe(&ann, json!({ "channel": "staff" })).await;
    let sid = ann.session_id().unwrap().clone();
    for role in ["one", "two"] {
        change(&system, &sid, role).await;
        ann.assert_received::<Value>("whisk.session").await;
    }
    ann.assert_not_received("whisk.session");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn where_the_server_put_a_socket_no_gate_is_asked_and_nothing_of_it_changes() {
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("exam").open().presence(Settings::default());
        })
        .start()
        .await;
    let (ann, eve) = (system.connect_as("ann").await, system.connect_as("eve").await);
    let put = async |name: &str| {
        let channel = channel(&system, name);
        let put = system.run_on(&ann, move |ann| async move { channel.subscribe(&ann).await });
        put.await.unwrap();
    };
    // Closed to clients; yet the client may ask, and stays there after its session changed.
    put("closed").await;
    subscribe(&ann, json!({ "channel": "closed" })).await;
    change(&system, ann.session_id().unwrap(), "student").await;
    ann.assert_received::<Value>("whisk.session").await;
    assert_eq!(channel(&system, "closed").local_count(), 1);
    // Put where it is already, it keeps what it says of itself.
    subscribe(&eve, json!({ "channel": "exam", "presence": false })).await;
    subscribe(&ann, json!({ "channel": "exam", "presence": { "label": "Ann" } })).await;
    eve.assert_received::<Value>("whisk.presence").await;
    put("exam").await;
    let page = channel(&system, "exam").members(None, 10).await.unwrap();
    assert_eq!(page.members[0].coming.profile.label.as_ref().unwrap().as_str(), "Ann");
    eve.assert_not_received("whisk.presence");
}

#[tokio::test]
async fn who_goes_on_watching_only_is_off_the_roster() {
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("exam").open().presence(Settings::default());
        })
        .start()
        .await;
    let ann = system.connect_as("ann").await;
    let counts = async || channel(&system, "exam").counts().await.unwrap().connected;
    subscribe(&ann, json!({ "channel": "exam" })).await;
    assert_eq!(counts().await, 1);
    subscribe(&ann, json!({ "channel": "exam", "presence": false })).await;
    until("it is off", async || counts().await == 0).await;
    subscribe(&ann, json!({ "channel": "exam" })).await;
    assert_eq!(counts().await, 1);
    ann.disconnect().await;
    until("it is off", async || counts().await == 0).await;
}

#[tokio::test]
async fn a_socket_that_goes_is_off_at_once_however_much_it_asked_for() {
    async fn slow(Payload(query): Payload<Value>) {
        if query == "slow" {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("exam").gate(slow).presence(Settings::default());
        })
        .start()
        .await;
    let ann = system.connect_as("ann").await;
    subscribe(&ann, json!({ "channel": "exam" })).await;
    let wish = json!({ "channel": "exam", "query": "slow" });
    let asked = join_all((0..20).map(|_| ann.push("whisk.subscribe", &wish)));
    let gone = async {
        tokio::task::yield_now().await;
        ann.handle().disconnect().await;
        Instant::now()
    };
    let (asked, since) = tokio::join!(asked, gone);
    assert!(since.elapsed() < Duration::from_secs(3), "each was still judged");
    assert!(asked.into_iter().filter(|ack| ack.clone().into_result().is_err()).count() >= 18);
}

#[tokio::test]
async fn a_gate_that_fails_for_now_lets_the_client_come_back_to_its_place_on_the_roster() {
    async fn gate(Payload(query): Payload<Value>) {
        assert_ne!(query, "panic");
    }
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("exam").gate(gate).presence(Settings::default());
        })
        .start()
        .await;
    let (ann, eve) = (system.connect_as("ann").await, system.connect_as("eve").await);
    subscribe(&eve, json!({ "channel": "exam", "presence": false })).await;
    subscribe(&ann, json!({ "channel": "exam" })).await;
    eve.assert_received::<Value>("whisk.presence").await;
    let wish = json!({ "channel": "exam", "query": "panic" });
    ann.push("whisk.subscribe", &wish).await.assert_error("unavailable");
    assert_eq!(channel(&system, "exam").local_count(), 1, "only eve");
    subscribe(&ann, json!({ "channel": "exam" })).await;
    eve.assert_not_received("whisk.presence");
}

#[tokio::test]
async fn a_hook_may_take_its_socket_off_and_put_it_on_another_channel() {
    async fn redirect(channel: Channel, channels: router_core::channel::Channels, socket: Socket) {
        channel.unsubscribe(&socket).await;
        channels.at("other").unwrap().subscribe(&socket).await.unwrap();
    }
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("first").open().hook(ChannelHook::Subscribed, redirect);
        })
        .start()
        .await;
    let ann = system.connect_as("ann").await;
    let began = Instant::now();
    subscribe(&ann, json!({ "channel": "first" })).await;
    assert!(began.elapsed() < Duration::from_secs(2), "it waited for itself");
    assert_eq!(channel(&system, "first").local_count(), 0);
    assert_eq!(channel(&system, "other").local_count(), 1);
}

#[tokio::test]
async fn what_is_kept_with_a_channel_is_there_until_its_last_hook_has_ended() {
    type Seen = Mutex<Vec<Option<u32>>>;
    async fn keep(channel: Channel) {
        channel.locals().unwrap().insert(7_u32);
    }
    async fn look(channel: Channel, seen: Data<Seen>) {
        let kept = channel.locals().and_then(|locals| locals.get::<u32>());
        seen.lock().unwrap().push(kept);
    }
    let seen = Arc::new(Seen::default());
    let system = TestSystem::builder()
        .routes(|cfg| {
            let channel = cfg.channel("exam").open();
            channel.hook(ChannelHook::Opened, keep).hook(ChannelHook::Unsubscribed, look);
            channel.hook(ChannelHook::Closed, look);
        })
        .shared_data(Arc::clone(&seen))
        .start()
        .await;
    let ann = system.connect_as("ann").await;
    subscribe(&ann, json!({ "channel": "exam" })).await;
    ann.disconnect().await;
    assert_eq!(*seen.lock().unwrap(), [Some(7), Some(7)]);
    assert!(channel(&system, "exam").locals().is_none());
}

#[tokio::test]
async fn what_a_client_says_is_judged_and_heard_in_its_order() {
    async fn gate(Payload(n): Payload<u64>) {
        tokio::time::sleep(Duration::from_millis(20 * (5 - n))).await;
    }
    let system = TestSystem::builder()
        .routes(|cfg| {
            cfg.channel("talk").open().publish_gate(gate);
        })
        .start()
        .await;
    let (ann, bob) = (system.connect_as("ann").await, system.connect_as("bob").await);
    for socket in [&ann, &bob] {
        subscribe(socket, json!({ "channel": "talk" })).await;
    }
    let head = json!({ "channel": "talk", "topic": "count" });
    let said = (0..5).map(|n| [head.clone(), json!(n)]);
    let said = said.map(async |said| ann.push_many("whisk.publish", &said).await.ok::<Value>());
    join_all(said).await;
    for n in 0..5 {
        let (_, heard): (Value, Value) = bob.assert_received_all("whisk.message").await;
        assert_eq!(heard, json!(n));
    }
}

#[tokio::test]
async fn topic_handlers_are_as_many_at_once_as_handlers_of_a_route() {
    #[derive(Default)]
    struct Running {
        now: AtomicUsize,
        most: AtomicUsize,
    }
    async fn handle(running: Data<Running>) {
        let now = running.now.fetch_add(1, Ordering::SeqCst) + 1;
        running.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        running.now.fetch_sub(1, Ordering::SeqCst);
    }
    let running = Arc::new(Running::default());
    let limits = Limits { route_in_flight: Limit::At(2), ..Limits::default() };
    let system = TestSystem::builder()
        .limits(limits)
        .shared_data(Arc::clone(&running))
        .routes(|cfg| {
            cfg.channel("talk").open().on("work", handle);
        })
        .start()
        .await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let socket = system.connect_as("ann").await;
        subscribe(&socket, json!({ "channel": "talk" })).await;
        sockets.push(socket);
    }
    let said = [json!({ "channel": "talk", "topic": "work" }), json!(1)];
    join_all(sockets.iter().map(|socket| socket.push_many("whisk.publish", &said))).await;
    assert_eq!(running.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn long_names_and_many_sockets_fit_into_what_nodes_tell_each_other() {
    let system = TestSystem::builder()
        .channels(Access::Open)
        .routes(|cfg| {
            cfg.channel("exam").presence(Settings::default());
        })
        .start()
        .await;
    let mut sockets = Vec::new();
    for n in 0..600 {
        let socket = system.connect_client(&format!("{n:0>200}"), &format!("{n:0>20}")).await;
        subscribe(&socket, json!({ "channel": "exam" })).await;
        sockets.push(socket);
    }
    let mut answers =
        channel(&system, "exam").ask("ready?", &1, Duration::from_secs(1)).await.unwrap();
    let (_, asked) = sockets[0].assert_asked::<u8>("ready?").await;
    asked.answer(&"yes");
    let answered = answers.next().await.unwrap();
    assert_eq!(answered.address, *sockets[0].address());
    assert!(answers.next().await.is_none());
    assert_eq!((answers.missing().count(), answers.unheard_nodes()), (599, 0));
    // A knock is answered to whoever knocked, in as many parts as there need to be.
    sockets[0].push("whisk.knock", &json!({ "channel": "exam" })).await.ok::<Value>();
    let mut seen = 0;
    while seen < 600 {
        let told: Value = sockets[0].assert_received("whisk.presence").await;
        seen += told["seen"].as_array().map_or(0, Vec::len);
    }
    // All heard of the last one's coming; of the knock only one.
    while let Some(told) = sockets[598].received::<Value>("whisk.presence") {
        assert_eq!(told["event"], json!("client.connected"));
    }
}

#[tokio::test]
async fn sites_on_one_bus_do_not_hear_each_other() {
    let hub = MemoryHub::new();
    let start = |nid, site| {
        let builder = TestSystem::builder().hub(&hub).node(ns("ws").node(nid)).site(site);
        builder.channels(Access::Open).start()
    };
    let (one, two) = (start(0, "one").await, start(1, "two").await);
    let (ann, other) = (one.connect_as("ann").await, two.connect_as("ann").await);
    for socket in [&ann, &other] {
        subscribe(socket, json!({ "channel": "talk" })).await;
    }
    channel(&one, "talk").publish("said", &1).await.unwrap();
    one.channels().broadcast("all", &1).await.unwrap();
    one.channels().boot_socket(other.address(), "stray").await.unwrap();
    let authority = Authority::new(one.sessions().clone(), one.bus().clone());
    authority.revoke_user(&UserId::new("ann").unwrap()).await.unwrap();
    ann.assert_disconnected().await;
    // It lives, and heard nothing of all that.
    subscribe(&other, json!({ "channel": "more" })).await;
    other.assert_not_received("whisk.message");
    other.assert_not_received("whisk.broadcast");
}
