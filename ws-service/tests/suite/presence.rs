//! Presence over real sockets and two nodes: who is pinged and how often, who counts as silent, how a
//! connection's end is told, and who is the same client.

use std::time::{Duration, Instant};

use router_core::{
    Routes,
    limits::Limits,
    presence::{Settings, Times},
    socket::Socket,
};
use serde_json::{Value, json};
use wire::{
    CloseCode,
    ws::{self, Message},
};

use crate::{
    client::{Client, code},
    http_client::Poller,
    support::{Cluster, Server, eventually},
};

const SECRET: &str = "0123456789abcdef";

fn times(ping: u64, disconnect: u64, removal: u64) -> Settings {
    let [ping_interval, disconnect_threshold, removal_threshold] =
        [ping, disconnect, removal].map(Duration::from_millis);
    let times =
        Times { ping_interval, disconnect_threshold, removal_threshold, ..Times::default() };
    times.try_into().unwrap()
}

fn routes(cfg: &mut Routes) {
    cfg.channel("room:*").open().presence(Settings::default());
    cfg.channel("quick:*").open().presence(times(50, 400, 60_000));
    cfg.channel("short:*").open().presence(times(50, 300, 900));
    cfg.channel("still:*").open().presence(times(300, 600, 60_000));
    cfg.channel("lazy:*").open().presence(times(20_000, 40_000, 60_000));
    let auth = async |socket: Socket| socket.handshake().auth_json().to_owned();
    // Holds the thread up, as a handler never should.
    let block = async || std::thread::sleep(Duration::from_millis(1_500));
    cfg.route("what").on("auth", auth).on("block", block);
}

async fn serve(cluster: &Cluster, nid: u32) -> Server {
    cluster.serve_with(nid, Limits::default(), |builder| builder.routes(routes)).await
}

/// A confirmed client of this user that shows a secret of its own.
async fn client(cluster: &Cluster, server: &Server, user: &str, secret: &str) -> Client {
    let sid = cluster.session(user).await;
    let token = cluster.token(&sid).await;
    let mut client = Client::open(server.addr()).await;
    let auth = json!({ "ws_token": token, "whisk_client": secret, "own": 1 });
    client.send(&format!("40{auth}")).await;
    client.event("whisk.auth.accept").await;
    client
}

async fn subscribe(client: &mut Client, channel: &str, presence: Value) -> Value {
    let wish = json!({ "channel": channel, "presence": presence });
    client.ask("whisk.subscribe", &wish.to_string()).await
}

/// Somebody who hears of all changes and is on no roster.
async fn watcher(cluster: &Cluster, server: &Server, channel: &str) -> Client {
    let mut watcher = cluster.client(server).await;
    let answer = subscribe(&mut watcher, channel, json!(false)).await;
    assert_eq!(answer.get("client"), None, "{answer}");
    watcher
}

/// The next change: its event and the member.
async fn change(watcher: &mut Client) -> (String, Value) {
    let told = watcher.event("whisk.presence").await;
    (told["event"].as_str().unwrap().to_owned(), told["member"].clone())
}

async fn assert_change(watcher: &mut Client, event: &str, user: &str) -> Value {
    let (is, member) = change(watcher).await;
    assert_eq!((is.as_str(), &member["user"]), (event, &json!(user)));
    member
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_silent_is_disconnected_and_reconnects_when_it_is_heard() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut watcher = watcher(&cluster, &two, "quick:1").await;
    let mut ann = client(&cluster, &one, "ann", SECRET).await;
    subscribe(&mut ann, "quick:1", Value::Null).await;
    let before = assert_change(&mut watcher, "client.connected", "ann").await;
    // Its pings are not answered, since nobody reads them. The socket stays open.
    let after = assert_change(&mut watcher, "client.disconnected", "ann").await;
    let silent = after["last_seen"].as_u64().unwrap() - before["last_seen"].as_u64().unwrap();
    assert!(silent < 400, "it was last seen when it subscribed, not {silent} ms later");
    ann.send("3").await;
    assert_change(&mut watcher, "client.reconnected", "ann").await;
    let count = watcher.ask("whisk.count", r#"{"channel":"quick:1"}"#).await;
    assert_eq!(count, json!({ "connected": 1, "disconnected": 0, "users": 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_its_node_did_not_ask_while_it_stood_still_is_not_silent() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut watcher = watcher(&cluster, &two, "still:1").await;
    let mut ann = client(&cluster, &one, "ann", SECRET).await;
    subscribe(&mut ann, "still:1", Value::Null).await;
    assert_change(&mut watcher, "client.connected", "ann").await;
    // No ping comes for longer than the roster lets anybody be silent; then one, which is answered.
    ann.ask("what.block", "").await;
    let ping = Message::Text("2".into());
    assert_eq!(ann.message().await, Some(ping));
    ann.send("3").await;
    ann.send("41").await;
    assert_change(&mut watcher, "client.removed", "ann").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_that_was_removed_comes_back_when_it_is_heard() {
    let cluster = Cluster::new();
    let server = serve(&cluster, 1).await;
    let mut watcher = watcher(&cluster, &server, "short:1").await;
    let mut ann = client(&cluster, &server, "ann", SECRET).await;
    subscribe(&mut ann, "short:1", json!({ "label": "Ann" })).await;
    for event in ["client.connected", "client.disconnected", "client.removed"] {
        assert_change(&mut watcher, event, "ann").await;
    }
    ann.send("3").await;
    let member = assert_change(&mut watcher, "client.connected", "ann").await;
    assert_eq!(member["label"], json!("Ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channels_sockets_are_pinged_at_its_pace_and_no_others() {
    let cluster = Cluster::new();
    let server = serve(&cluster, 1).await;
    let (mut ann, mut bob) = (cluster.client(&server).await, cluster.client(&server).await);
    subscribe(&mut ann, "quick:1", Value::Null).await;
    // Nobody is pinged for a roster that it is not on.
    subscribe(&mut bob, "quick:1", json!(false)).await;
    let ping = async |client: &mut Client| {
        loop {
            match client.message().await.unwrap() {
                ws::Message::Text(text) if &*text == "2" => break client.send("3").await,
                ws::Message::Text(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    for _ in 0..3 {
        ping(&mut ann).await;
    }
    // It has no other timer of less than 25 s.
    let unpinged = tokio::time::timeout(Duration::from_millis(300), ping(&mut bob)).await;
    assert!(unpinged.is_err());
    ann.ask("whisk.unsubscribe", r#"{"channel":"quick:1"}"#).await;
    // One may be under way still.
    let _last = tokio::time::timeout(Duration::from_millis(200), ping(&mut ann)).await;
    let unpinged = tokio::time::timeout(Duration::from_millis(300), ping(&mut ann)).await;
    assert!(unpinged.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_removes_and_another_end_waits_for_the_same_client() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut watcher = watcher(&cluster, &two, "room:1").await;
    // `41` is a goodbye.
    let mut ann = client(&cluster, &one, "ann", SECRET).await;
    subscribe(&mut ann, "room:1", Value::Null).await;
    assert_change(&mut watcher, "client.connected", "ann").await;
    ann.send("41").await;
    assert_change(&mut watcher, "client.removed", "ann").await;
    // A close frame is not: so ends a page that is loaded anew. Neither is a lost connection.
    let mut first = None;
    for (round, server) in [&one, &two, &one].into_iter().enumerate() {
        let mut bob = client(&cluster, server, "bob", SECRET).await;
        let wish = json!({ "label": round.to_string() });
        let answer = subscribe(&mut bob, "room:1", wish).await;
        let event = if round == 0 { "client.connected" } else { "client.updated" };
        let member = assert_change(&mut watcher, event, "bob").await;
        assert_eq!(answer["client"], member["client"]);
        assert_eq!(*first.get_or_insert(member["client"].clone()), member["client"]);
        if round == 0 {
            bob.raw(&ws::client::close(CloseCode::GOING_AWAY, &"".into())).await;
        }
        drop(bob);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pages_of_one_user_are_two_members_of_one_user() {
    let cluster = Cluster::new();
    let server = serve(&cluster, 1).await;
    let mut watcher = watcher(&cluster, &server, "room:1").await;
    let mut one = client(&cluster, &server, "ann", SECRET).await;
    let mut two = client(&cluster, &server, "ann", "another secret of a page").await;
    let first = subscribe(&mut one, "room:1", Value::Null).await;
    let second = subscribe(&mut two, "room:1", Value::Null).await;
    assert_ne!(first["client"], second["client"]);
    assert_change(&mut watcher, "client.connected", "ann").await;
    assert_change(&mut watcher, "client.connected", "ann").await;
    let count = watcher.ask("whisk.count", r#"{"channel":"room:1"}"#).await;
    assert_eq!(count, json!({ "connected": 2, "disconnected": 0, "users": 1 }));
    // A third socket with the secret of the first takes its place: nobody hears of a loss.
    let mut three = client(&cluster, &server, "ann", SECRET).await;
    let third = subscribe(&mut three, "room:1", json!({ "label": "third" })).await;
    assert_eq!(first["client"], third["client"]);
    one.send("41").await;
    two.send("41").await;
    assert_change(&mut watcher, "client.updated", "ann").await;
    let gone = assert_change(&mut watcher, "client.removed", "ann").await;
    assert_eq!(gone["client"], second["client"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_knock_tells_who_knocked_which_clients_on_all_nodes_answered() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut ann = client(&cluster, &one, "ann", SECRET).await;
    let mut bob = client(&cluster, &two, "bob", SECRET).await;
    let mut mute = client(&cluster, &two, "mute", SECRET).await;
    let ids = [
        subscribe(&mut ann, "lazy:1", Value::Null).await["client"].take(),
        subscribe(&mut bob, "lazy:1", Value::Null).await["client"].take(),
    ];
    subscribe(&mut mute, "lazy:1", Value::Null).await;
    let subscribed = Instant::now();
    eventually("its last word is old", async || subscribed.elapsed().as_millis() > 20).await;
    assert_eq!(ann.ask("whisk.knock", r#"{"channel":"lazy:1"}"#).await, json!({}));
    // Both read, and so answer pings; the third does not.
    let mut seen = Vec::new();
    let gather = async {
        while seen.len() < 2 {
            let told = ann.event("whisk.presence").await;
            if told["event"] == "seen" {
                let pairs = told["seen"].as_array().unwrap().iter();
                seen.extend(pairs.map(|pair| pair[0].clone()));
            }
        }
    };
    // A client answers pings while it reads.
    let reads = async {
        loop {
            assert_ne!(bob.event("whisk.presence").await["event"], "seen", "it did not knock");
        }
    };
    tokio::select! {
        () = gather => {}
        () = reads => {}
    }
    let mut wanted = ids.to_vec();
    seen.sort_by_key(Value::to_string);
    wanted.sort_by_key(Value::to_string);
    assert_eq!(seen, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_its_members_over() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut watcher = watcher(&cluster, &two, "short:1").await;
    let mut ann = client(&cluster, &one, "ann", SECRET).await;
    subscribe(&mut ann, "short:1", Value::Null).await;
    assert_change(&mut watcher, "client.connected", "ann").await;
    one.handle.stop();
    // Its reconnection was awaited by the other node meanwhile.
    assert_change(&mut watcher, "client.disconnected", "ann").await;
    assert_change(&mut watcher, "client.removed", "ann").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_client_is_heard_by_its_requests() {
    let cluster = Cluster::new();
    let server = serve(&cluster, 1).await;
    let mut watcher = watcher(&cluster, &server, "quick:1").await;
    let token = cluster.fresh_token().await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post(&format!(r#"40{{"ws_token":"{token}"}}"#)).await.ok();
    assert!(poller.packet().await.starts_with("40{"));
    assert!(poller.packet().await.starts_with(r#"42["whisk.auth.accept""#));
    poller.post(r#"427["whisk.subscribe",{"channel":"quick:1"}]"#).await.ok();
    assert_change(&mut watcher, "client.connected", "7").await;
    // For twice the threshold it answers its pings.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(800) {
        if poller.packet().await == "2" {
            poller.post("3").await.ok();
        }
    }
    let count = watcher.ask("whisk.count", r#"{"channel":"quick:1"}"#).await;
    assert_eq!(count, json!({ "connected": 1, "disconnected": 0, "users": 1 }));
    assert_change(&mut watcher, "client.disconnected", "7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_secret_stays_one() {
    let cluster = Cluster::new();
    let server = serve(&cluster, 1).await;
    let mut ann = client(&cluster, &server, "ann", SECRET).await;
    assert_eq!(ann.ask("what.auth", "null").await, json!(r#"{"own":1}"#));
    let answer = subscribe(&mut ann, "room:1", Value::Null).await;
    assert!(!answer.to_string().contains(SECRET));
    let mut bad = Client::open(server.addr()).await;
    bad.send(r#"40{"whisk_client":"short"}"#).await;
    let refused = bad.text().await;
    assert!(refused.starts_with("44{") && refused.contains("bad_client"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_and_leaves_as_fast_as_they_go_leave_nobody_behind() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut neighbour = cluster.neighbour(&two).await;
    let mut flood = client(&cluster, &one, "ann", SECRET).await;
    let mut refused = 0;
    for round in 0..400 {
        let channel = json!({ "channel": format!("room:{}", round % 3) }).to_string();
        let what = if round % 4 == 3 { "whisk.unsubscribe" } else { "whisk.subscribe" };
        let answer = flood.ask(what, &channel).await;
        refused += usize::from(code(&answer) == "rate_limited");
    }
    assert!(refused > 0, "joins have a pace");
    neighbour.check().await;
    flood.send("41").await;
    for n in 0..3 {
        let channel = two.handle.services().channels.at(&*format!("room:{n}")).unwrap();
        eventually("the roster is empty", async || {
            let counts = channel.counts().await.unwrap();
            counts.connected + counts.disconnected == 0
        })
        .await;
    }
}
