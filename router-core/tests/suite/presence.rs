//! Who is on channels with presence, as clients and modules see it: over two nodes of one memory hub.

use std::{collections::BTreeSet, time::Duration};

use router_core::{
    Routes,
    backend::memory::MemoryHub,
    channel::Channel,
    limits::Limits,
    ns,
    presence::{ClientId, Counts, Settings, State, Times},
    testing::{TestSocket, TestSystem, TestSystemBuilder},
};
use serde_json::{Value, json};

fn times(disconnect: Duration, removal: Duration) -> Settings {
    let (disconnect_threshold, removal_threshold) = (disconnect, removal);
    let ping_interval = Duration::from_millis(10);
    let times =
        Times { ping_interval, disconnect_threshold, removal_threshold, ..Times::default() };
    times.try_into().unwrap()
}

fn module(cfg: &mut Routes) {
    cfg.channel("exam:*").open().publish().presence(Settings::default());
    let quick = times(Duration::from_millis(50), Duration::from_millis(400));
    cfg.channel("quick:*").open().presence(quick);
    cfg.channel("plain").open();
}

fn builder(hub: &MemoryHub, nid: u32) -> TestSystemBuilder {
    TestSystem::builder().routes(module).hub(hub).node(ns("ws").node(nid))
}

async fn two() -> [TestSystem; 2] {
    let hub = MemoryHub::new();
    [builder(&hub, 0).start().await, builder(&hub, 1).start().await]
}

async fn subscribe(socket: &TestSocket, channel: &str, presence: Value) -> Value {
    let wish = json!({ "channel": channel, "presence": presence });
    socket.push("whisk.subscribe", &wish).await.ok()
}

/// The next change that a socket hears: its event, and the member's client.
async fn change(socket: &TestSocket) -> (String, Value) {
    let told: Value = socket.assert_received("whisk.presence").await;
    (told["event"].as_str().unwrap().to_owned(), told["member"].clone())
}

fn channel(system: &TestSystem, name: &str) -> Channel {
    system.channels().at(name).unwrap()
}

fn clients(page: &Value) -> BTreeSet<String> {
    let members = page["members"].as_array().unwrap();
    members.iter().map(|member| member["client"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn who_subscribes_is_on_the_roster_and_those_before_hear_of_it() {
    let [one, two] = two().await;
    let (ann, bob) = (one.connect_as("ann").await, two.connect_as("bob").await);
    let first = subscribe(&ann, "exam:1", json!({ "label": "Ann", "meta": { "seat": 7 } })).await;
    let own = json!(first["client"]);
    assert_eq!(clients(&first["presence"]), [own.as_str().unwrap().to_owned()].into());
    // Its own entering was told before its subscription was acknowledged.
    assert_eq!(change(&ann).await.0, "client.connected");
    let second = subscribe(&bob, "exam:1", Value::Null).await;
    assert_eq!(clients(&second["presence"]).len(), 2);
    let (event, member) = change(&ann).await;
    assert_eq!((event.as_str(), &member["client"]), ("client.connected", &second["client"]));
    assert_eq!((&member["user"], &member["state"]), (&json!("bob"), &json!("connected")));
    let seen = second["presence"]["members"].as_array().unwrap();
    let seen = seen.iter().find(|member| member["client"] == own).unwrap();
    assert_eq!((&seen["label"], &seen["meta"]), (&json!("Ann"), &json!({ "seat": 7 })));
    let count: Value = bob.push("whisk.count", &json!({ "channel": "exam:1" })).await.ok();
    assert_eq!(count, json!({ "connected": 2, "disconnected": 0, "users": 2 }));
    // The server sees the same, in whatever process.
    let counts = channel(&one, "exam:1").counts().await.unwrap();
    assert_eq!(counts, Counts { connected: 2, disconnected: 0, users: 2 });
    let page = channel(&two, "exam:1").members(None, 1).await.unwrap();
    assert_eq!((page.members.len(), page.next.is_some()), (1, true));
}

#[tokio::test]
async fn who_leaves_is_removed_at_once_and_who_is_lost_waits() {
    let [one, two] = two().await;
    let watcher = one.connect_as("eve").await;
    let answer = subscribe(&watcher, "quick:1", json!(false)).await;
    assert_eq!((answer.get("client"), clients(&answer["presence"]).len()), (None, 0));
    let (ann, bob, cid) =
        (two.connect_as("ann").await, two.connect_as("bob").await, two.connect_as("cid").await);
    for socket in [&ann, &bob, &cid] {
        subscribe(socket, "quick:1", Value::Null).await;
        assert_eq!(change(&watcher).await.0, "client.connected");
    }
    let heard = async |event: &str, user: &str| {
        let (is, member) = change(&watcher).await;
        assert_eq!((is.as_str(), &member["user"]), (event, &json!(user)));
    };
    ann.push("whisk.unsubscribe", &json!({ "channel": "quick:1" })).await.ok::<Value>();
    heard("client.removed", "ann").await;
    bob.disconnect().await;
    heard("client.removed", "bob").await;
    cid.lose().await;
    heard("client.disconnected", "cid").await;
    let counts = channel(&one, "quick:1").counts().await.unwrap();
    assert_eq!(counts, Counts { connected: 0, disconnected: 1, users: 1 });
    heard("client.removed", "cid").await;
}

#[tokio::test]
async fn a_client_that_comes_back_elsewhere_is_the_same_and_nobody_hears_of_a_loss() {
    let [one, two] = two().await;
    let watcher = one.connect_as("eve").await;
    subscribe(&watcher, "exam:1", json!(false)).await;
    let secret = "a secret of one page";
    let first = one.connect_client("ann", secret).await;
    let before = subscribe(&first, "exam:1", Value::Null).await;
    assert_eq!(change(&watcher).await.0, "client.connected");
    first.lose().await;
    let second = two.connect_client("ann", secret).await;
    let after = subscribe(&second, "exam:1", json!({ "label": "again" })).await;
    assert_eq!(before["client"], after["client"]);
    assert_ne!(before["client"], json!(secret));
    assert_eq!(change(&watcher).await.0, "client.updated");
    // Another user with the same text is somebody else.
    let other = two.connect_client("bob", secret).await;
    let other = subscribe(&other, "exam:1", Value::Null).await;
    assert_ne!(before["client"], other["client"]);
    let (event, member) = change(&watcher).await;
    assert_eq!((event.as_str(), &member["user"]), ("client.connected", &json!("bob")));
    let client: ClientId = serde_json::from_value(after["client"].clone()).unwrap();
    let member = channel(&one, "exam:1").member(&client).await.unwrap().unwrap();
    assert_eq!(member.coming.address, *second.address());
    assert_eq!(member.state, State::Connected);
}

#[tokio::test]
async fn a_client_changes_what_it_says_of_itself_and_only_that() {
    let [one, two] = two().await;
    let (ann, eve) = (one.connect_as("ann").await, two.connect_as("eve").await);
    subscribe(&ann, "exam:1", json!({ "label": "Ann", "meta": [1] })).await;
    subscribe(&eve, "exam:1", json!(false)).await;
    let update = async |said: Value| {
        let told: Value = ann.push("whisk.update", &said).await.ok();
        assert_eq!(told, json!({}));
        let (event, member) = change(&eve).await;
        assert_eq!(event, "client.updated");
        (member["label"].clone(), member["meta"].clone())
    };
    let (label, meta) = update(json!({ "channel": "exam:1", "label": "Hand up" })).await;
    assert_eq!((label, meta), (json!("Hand up"), json!([1])));
    let (label, meta) = update(json!({ "channel": "exam:1", "label": null, "meta": {} })).await;
    assert_eq!((label, meta), (Value::Null, json!({})));
    let (label, meta) = update(json!({ "channel": "exam:1", "meta": null })).await;
    assert_eq!((label, meta), (Value::Null, Value::Null));
    // Who only watches has nothing to change, and none says more than fits.
    let none = eve.push("whisk.update", &json!({ "channel": "exam:1", "label": "x" })).await;
    none.assert_error("not_here");
    for bad in [json!({ "label": "x".repeat(129) }), json!({ "meta": "x".repeat(2048) })] {
        let mut said = bad.clone();
        said["channel"] = json!("exam:1");
        ann.push("whisk.update", &said).await.assert_error("bad_payload");
        let wish = json!({ "channel": "exam:2", "presence": bad });
        ann.push("whisk.subscribe", &wish).await.assert_error("bad_payload");
    }
}

#[tokio::test]
async fn a_roster_is_for_those_on_its_channel() {
    let [one, _two] = two().await;
    let (ann, eve) = (one.connect_as("ann").await, one.connect_as("eve").await);
    subscribe(&ann, "exam:1", Value::Null).await;
    let plain = subscribe(&ann, "plain", json!({ "label": "Ann" })).await;
    assert_eq!((plain.get("client"), plain.get("presence")), (None, None));
    for event in ["whisk.presence", "whisk.count", "whisk.update", "whisk.knock"] {
        eve.push(event, &json!({ "channel": "exam:1" })).await.assert_error("not_subscribed");
        ann.push(event, &json!({ "channel": "plain" })).await.assert_error("no_presence");
        ann.push(event, &json!({ "channel": "" })).await.assert_error("bad_channel");
    }
    let next = json!({ "channel": "exam:1", "after": "no id!" });
    ann.push("whisk.presence", &next).await.assert_error("bad_payload");
}

#[tokio::test]
async fn a_large_roster_comes_in_pages_that_fit_into_a_message() {
    let hub = MemoryHub::new();
    let system = builder(&hub, 0).start().await;
    for n in 0..230 {
        let socket = system.connect_as(&format!("user-{n}")).await;
        subscribe(
            &socket,
            "exam:1",
            json!({ "label": "\u{1}".repeat(128), "meta": "m".repeat(2046) }),
        )
        .await;
    }
    let watcher = system.connect_as("eve").await;
    let mut page = subscribe(&watcher, "exam:1", json!(false)).await["presence"].take();
    let mut seen = BTreeSet::new();
    loop {
        let size = page.to_string().len();
        let most = Limits::default().max_payload.get().unwrap();
        assert!(u64::try_from(size).unwrap() <= most, "a page of {size} bytes");
        seen.extend(clients(&page));
        let Some(next) = page.get("next") else { break };
        let wanted = json!({ "channel": "exam:1", "after": next, "limit": 1_000_000 });
        page = watcher.push("whisk.presence", &wanted).await.ok();
    }
    assert_eq!(seen.len(), 230);
}

#[tokio::test]
async fn a_message_finds_a_client_by_its_public_id() {
    let [one, two] = two().await;
    let (ann, bob) = (one.connect_as("ann").await, two.connect_client("bob", "bob's own").await);
    subscribe(&ann, "exam:1", Value::Null).await;
    let id = subscribe(&bob, "exam:1", Value::Null).await["client"].take();
    let head = json!({ "channel": "exam:1", "topic": "hint", "to": id });
    ann.push_many("whisk.publish", &[head, json!("psst")]).await.ok::<Value>();
    let (head, data): (Value, Value) = bob.assert_received_all("whisk.message").await;
    assert_eq!((&head["direct"], &data), (&json!(true), &json!("psst")));
    assert_eq!(head["client"], json!(null), "ann has no secret of her own");
    let head = json!({ "channel": "exam:1", "topic": "answer", "to": head["from"] });
    bob.push_many("whisk.publish", &[head, json!("thanks")]).await.ok::<Value>();
    let (head, _): (Value, Value) = ann.assert_received_all("whisk.message").await;
    assert_eq!(head["client"], id);
    for (to, code) in [("nobody", "not_here"), ("a b", "bad_payload"), ("ws/0", "bad_payload")] {
        let head = json!({ "channel": "exam:1", "topic": "hint", "to": to });
        ann.push_many("whisk.publish", &[head, json!(1)]).await.assert_error(code);
    }
}

#[tokio::test]
async fn a_knock_tells_whom_each_node_heard() {
    let [one, two] = two().await;
    let (ann, bob) = (one.connect_as("ann").await, two.connect_as("bob").await);
    let mut ids = BTreeSet::new();
    for socket in [&ann, &bob] {
        let client = subscribe(socket, "exam:1", Value::Null).await["client"].take();
        ids.insert(client.as_str().unwrap().to_owned());
    }
    ann.push("whisk.knock", &json!({ "channel": "exam:1" })).await.ok::<Value>();
    // Again meanwhile is the same knock.
    bob.push("whisk.knock", &json!({ "channel": "exam:1" })).await.ok::<Value>();
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let told: Value = ann.assert_received("whisk.presence").await;
        if told["event"] == "seen" {
            for pair in told["seen"].as_array().unwrap() {
                assert!(pair[1].as_u64().unwrap() > 1_700_000_000_000);
                assert!(seen.insert(pair[0].as_str().unwrap().to_owned()), "told twice");
            }
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_store_that_is_away_puts_nobody_half_on_a_roster() {
    let hub = MemoryHub::new();
    let system = builder(&hub, 0).start().await;
    let ann = system.connect_as("ann").await;
    hub.cut(true);
    let wish = json!({ "channel": "exam:1" });
    ann.push("whisk.subscribe", &wish).await.assert_error("unavailable");
    hub.cut(false);
    assert_eq!(channel(&system, "exam:1").local_count(), 0);
    subscribe(&ann, "exam:1", Value::Null).await;
    let counts = channel(&system, "exam:1").counts().await.unwrap();
    assert_eq!(counts, Counts { connected: 1, disconnected: 0, users: 1 });
}

#[tokio::test]
async fn who_is_sent_off_a_channel_is_off_its_roster() {
    let hub = MemoryHub::new();
    let system = builder(&hub, 0).start().await;
    let (ann, eve) = (system.connect_as("ann").await, system.connect_as("eve").await);
    subscribe(&ann, "exam:1", Value::Null).await;
    subscribe(&eve, "exam:1", json!(false)).await;
    let exam = channel(&system, "exam:1");
    system.run_on(&ann, move |socket| async move { exam.unsubscribe(&socket).await }).await;
    let (event, member) = change(&eve).await;
    assert_eq!((event.as_str(), &member["user"]), ("client.removed", &json!("ann")));
}
