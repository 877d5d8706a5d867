//! Channels over real sockets and two nodes: interest, delivery, rates, boots, and what is left when
//! sockets go without a word.

use router_core::{
    Data, RouteError, Routes,
    channel::{Channel, ChannelHook, ChannelName, Channels},
    limits::{Limit, Limits},
    route::Hook,
    session::UserId,
    socket::Socket,
};
use serde_json::{Value, json};
use ws_service::Builder;

use crate::{
    client::{Client, code},
    support::{Cluster, Gate, Notes, Server, eventually},
};

fn routes(cfg: &mut Routes) {
    async fn note(notes: Data<Notes>, channel: Channel, socket: Socket, what: &str) {
        notes.add(format!("{what} {} {}", channel.name(), socket.nsp()));
    }
    cfg.channel("open:*").open();
    cfg.channel("talk:*").open().publish();
    let seen = cfg.channel("seen:*").open();
    for (hook, what) in [
        (ChannelHook::Opened, "opened"),
        (ChannelHook::Subscribed, "subscribed"),
        (ChannelHook::Unsubscribed, "unsubscribed"),
        (ChannelHook::Closed, "closed"),
    ] {
        seen.hook(hook, move |notes, channel, socket| note(notes, channel, socket, what));
    }
}

async fn serve(cluster: &Cluster, nid: u32) -> Server {
    serve_with(cluster, nid, Limits::default(), |builder| builder).await
}

async fn serve_with(
    cluster: &Cluster,
    nid: u32,
    limits: Limits,
    configure: impl FnOnce(Builder) -> Builder,
) -> Server {
    cluster.serve_with(nid, limits, |builder| configure(builder.routes(routes))).await
}

fn channels(server: &Server) -> &Channels {
    &server.handle.services().channels
}

async fn subscribe(client: &mut Client, channel: &str) -> Value {
    client.ask("whisk.subscribe", &json!({ "channel": channel }).to_string()).await
}

/// The head and the data of the next message.
async fn heard(client: &mut Client) -> (Value, Value) {
    loop {
        let text = client.text().await;
        if text.contains("\"whisk.message\"") {
            let at = text.find('[').unwrap();
            let [_, head, data]: [Value; 3] = serde_json::from_str(&text[at..]).unwrap();
            return (head, data);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_right_after_a_subscription_from_another_node_arrives() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut bob = cluster.client(&two).await;
    for round in 0..100 {
        let name = format!("open:{round}");
        let position = subscribe(&mut bob, &name).await;
        let channel = channels(&one).at(&*name).unwrap();
        let published = channel.publish("news", &round).await.unwrap();
        assert_eq!(position["offset"].as_u64().unwrap() + 1, published.position.offset);
        let (head, data) = heard(&mut bob).await;
        assert_eq!((head["channel"].as_str(), data), (Some(&*name), json!(round)));
        bob.ask("whisk.unsubscribe", &json!({ "channel": name }).to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_several_nsps_are_on_one_channel() {
    let cluster = Cluster::new();
    let server = serve_with(&cluster, 1, Limits::default(), |builder| {
        builder.nsp("/", ws_service::Auth::Open).nsp("/room-*", ws_service::Auth::Open)
    })
    .await;
    let mut client = Client::open(server.addr()).await;
    for nsp in ["", "/room-1,", "/room-2,"] {
        client.send(&format!("40{nsp}")).await;
        assert!(client.text().await.starts_with(&format!("40{nsp}{{")));
        client.send(&format!(r#"42{nsp}7["whisk.subscribe",{{"channel":"talk:1"}}]"#)).await;
        assert!(client.text().await.starts_with(&format!(r#"43{nsp}7[{{"channel":"talk:1""#)));
    }
    channels(&server).at("talk:1").unwrap().publish("news", &1).await.unwrap();
    let mut heard = vec![client.text().await, client.text().await, client.text().await];
    heard.sort();
    assert!(heard[0].starts_with(r#"42/room-1,["whisk.message""#), "{heard:?}");
    assert!(heard[1].starts_with(r#"42/room-2,["whisk.message""#), "{heard:?}");
    assert!(heard[2].starts_with(r#"42["whisk.message""#), "{heard:?}");
    // One of them publishes: the others of the same connection hear it.
    client.send(r#"42/room-1,8["whisk.publish",{"channel":"talk:1","topic":"t"},"x"]"#).await;
    let texts =
        [client.text().await, client.text().await, client.text().await, client.text().await];
    let count = |start: &str| texts.iter().filter(|text| text.starts_with(start)).count();
    assert_eq!(count(r#"42/room-1,["whisk.position""#), 1, "{texts:?}");
    assert_eq!(count(r#"42/room-1,["whisk.message""#), 0, "{texts:?}");
    assert_eq!(count(r#"42/room-2,["whisk.message""#), 1, "{texts:?}");
    assert_eq!(count(r#"42["whisk.message""#), 1, "{texts:?}");
    assert_eq!(count("43/room-1,8["), 1, "{texts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_data_travels_on_channels() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let (mut ann, mut bob) = (cluster.client(&one).await, cluster.client(&two).await);
    subscribe(&mut ann, "talk:1").await;
    subscribe(&mut bob, "talk:1").await;
    let packet =
        r#"451-0["whisk.publish",{"channel":"talk:1","topic":"t"},{"_placeholder":true,"num":0}]"#;
    ann.send(packet).await;
    ann.raw(&wire::ws::client::binary(&[1, 2, 3])).await;
    let text = bob.text().await;
    assert!(text.starts_with(r#"451-["whisk.message""#), "{text}");
    assert!(text.ends_with(r#",{"_placeholder":true,"num":0}]"#), "{text}");
    let binary = bob.message().await.unwrap();
    assert_eq!(binary, wire::ws::Message::Binary(vec![1, 2, 3].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_listens_to_a_channel_only_while_a_socket_of_it_is_on_it() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let (mut ann, _bob) = (cluster.client(&one).await, cluster.client(&two).await);
    subscribe(&mut ann, "open:1").await;
    let before = two.metrics.publications_in.get();
    let channel = channels(&two).at("open:1").unwrap();
    for round in 0..50 {
        channel.publish("news", &round).await.unwrap();
        assert_eq!(heard(&mut ann).await.1, round);
    }
    // It published all of them, and heard none.
    assert_eq!(two.metrics.publications_in.get(), before);
    assert_eq!(two.metrics.publications_out.get(), 50);
    ann.ask("whisk.unsubscribe", r#"{"channel":"open:1"}"#).await;
    eventually("only the user is listened to", async || one.metrics.channels.get() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_cut_off_leaves_its_channels_with_all_hooks() {
    let cluster = Cluster::new();
    let server = serve(&cluster, 1).await;
    let (mut ann, mut bob) = (cluster.client(&server).await, cluster.client(&server).await);
    subscribe(&mut ann, "seen:1").await;
    subscribe(&mut bob, "seen:1").await;
    drop(ann);
    bob.send("41").await;
    eventually("both are gone", async || server.notes.all().len() == 6).await;
    let notes = server.notes.all();
    assert_eq!(notes[0], "opened seen:1 /");
    assert_eq!(notes[1..].iter().filter(|note| note.starts_with("unsubscribed")).count(), 2);
    assert_eq!(notes[5], "closed seen:1 /");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_subscribes_too_fast_is_told_and_then_closed_and_a_neighbour_notices_nothing() {
    let cluster = Cluster::new();
    let server = serve(&cluster, 1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut greedy = cluster.client(&server).await;
    // As many as a client has when it comes back pass at once.
    for n in 0..128 {
        assert_eq!(
            subscribe(&mut greedy, &format!("open:{n}")).await["channel"],
            format!("open:{n}")
        );
    }
    let refused = loop {
        let answer = subscribe(&mut greedy, "open:1").await;
        if answer["error"]["code"] == "rate_limited" {
            break answer;
        }
    };
    assert!(refused["error"]["retry_after_ms"].as_u64().unwrap() > 0);
    // Events have a pace of their own.
    assert_eq!(greedy.ask("test.echo", "1").await, 1);
    let ask = r#"420["whisk.subscribe",{"channel":"open:1"}]"#;
    let flood = wire::ws::client::text(ask).repeat(2_000);
    for _ in 0..50 {
        // It may be closed already.
        let _sent = tokio::io::AsyncWriteExt::write_all(&mut greedy.stream, &flood).await;
    }
    assert_eq!(greedy.ended().await.code, Some(4029));
    neighbour.check().await;
    eventually("nothing is left", async || {
        channels(&server).at("open:1").unwrap().local_count() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_and_leaves_as_fast_as_they_go_leave_nothing_behind() {
    let cluster = Cluster::new();
    let limits = Limits::default().rates_and_numbers_off();
    let server = serve_with(&cluster, 1, limits, |builder| builder).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(cluster.client(&server).await);
    }
    let storms = clients.into_iter().enumerate().map(|(at, mut client)| async move {
        let mut last = 0;
        for round in 0..300 {
            let event = if round % 2 == 0 { "whisk.subscribe" } else { "whisk.unsubscribe" };
            let channel = json!({ "channel": format!("seen:{}", round % 7) }).to_string();
            last = client.emit(event, &channel).await;
        }
        client.ack(last).await;
        if at % 2 == 0 {
            client.send("41").await;
        }
    });
    futures_util::future::join_all(storms).await;
    for n in 0..7 {
        let name: ChannelName = format!("seen:{n}").parse().unwrap();
        eventually("nobody is on it", async || {
            channels(&server).at(name.clone()).unwrap().local_count() == 0
        })
        .await;
    }
    eventually("hooks came in pairs", async || {
        let notes = server.notes.all();
        let count = |what: &str| notes.iter().filter(|note| note.starts_with(what)).count();
        count("opened") == count("closed") && count("subscribed") == count("unsubscribed")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_booted_is_told_why_and_does_not_come_back() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut ann = cluster.client(&two).await;
    let mut bystander = cluster.neighbour(&two).await;
    subscribe(&mut ann, "open:1").await;
    channels(&one).at("open:1").unwrap().boot("the exam is over").await.unwrap();
    let told = ann.event("whisk.boot").await;
    assert_eq!(told, json!({ "reason": "the exam is over" }));
    let ended = ann.ended().await;
    assert_eq!((ended.code, &*ended.texts), (Some(4100), &["41".to_owned()][..]));
    bystander.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_channels_reach_confirmed_sockets_on_every_node_and_no_client_can_name_them() {
    let cluster = Cluster::new();
    let (one, two) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let user = UserId::new("7").unwrap();
    let mut clients = [cluster.client(&one).await, cluster.client(&two).await];
    channels(&one).user(&user).publish("mail", &1).await.unwrap();
    for client in &mut clients {
        let (head, data) = heard(client).await;
        assert_eq!((&head["channel"], data), (&json!("_user"), json!(1)));
    }
    for name in ["_user", "_session", "user:main:7", "_"] {
        let answer = subscribe(&mut clients[0], name).await;
        assert!(["bad_channel", "refused"].contains(&code(&answer)), "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_nonsense_is_answered_and_closes_nothing() {
    let cluster = Cluster::new();
    let limits = Limits { channels_per_socket: Limit::At(2), ..Limits::default() };
    let server = serve_with(&cluster, 1, limits, |builder| builder).await;
    let mut client = cluster.client(&server).await;
    subscribe(&mut client, "talk:1").await;
    let long = "x".repeat(5_000);
    for (event, args, wanted) in [
        ("whisk.subscribe", r#"{"channel":7}"#.to_owned(), "bad_payload"),
        ("whisk.subscribe", "null".to_owned(), "bad_payload"),
        ("whisk.subscribe", String::new(), "bad_payload"),
        ("whisk.subscribe", r#"{"channel":"__proto__"}"#.to_owned(), "bad_channel"),
        ("whisk.subscribe", format!(r#"{{"channel":"talk:1","query":"{long}"}}"#), "bad_payload"),
        ("whisk.unsubscribe", r#"{"channel":"a b"}"#.to_owned(), "bad_channel"),
        ("whisk.publish", r#"{"channel":"talk:1"}"#.to_owned(), "bad_payload"),
        ("whisk.publish", r#"{"channel":"talk:2","topic":"t"}"#.to_owned(), "not_subscribed"),
        (
            "whisk.publish",
            r#"{"channel":"talk:1","topic":"t","to":"a/b/c/d"}"#.to_owned(),
            "bad_payload",
        ),
        ("whisk.reply", r#"{"channel":"talk:1","to":"ws","re":"x"}"#.to_owned(), "bad_payload"),
        (
            "whisk.reply",
            format!(r#"{{"channel":"talk:1","to":"ws/1/x","re":"{long}"}}"#),
            "bad_payload",
        ),
        (
            "whisk.request",
            r#"{"channel":"talk:1","topic":"t","timeout_ms":1}"#.to_owned(),
            "timeout",
        ),
        ("whisk.nothing", "{}".to_owned(), "unknown_event"),
    ] {
        let answer = client.ask(event, &args).await;
        assert_eq!(code(&answer), wanted, "{event} {args}: {answer}");
    }
    // An answer to what nobody asked is nobody's.
    let unasked = r#"{"channel":"talk:1","to":"ws/1/nobody","re":"never"},1"#;
    assert_eq!(client.ask("whisk.reply", unasked).await, json!({}));
    // A topic whose message's head would not fit is refused before it is stored.
    let topic = json!({ "channel": "talk:1", "topic": "t".repeat(20_000) }).to_string();
    assert_eq!(code(&client.ask("whisk.publish", &topic).await), "bad_payload");
    assert_eq!(subscribe(&mut client, "talk:1").await["offset"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_goes_is_off_its_channels_while_its_connect_hook_still_runs() {
    async fn slow(gate: Data<Gate>, notes: Data<Notes>) -> Result<(), RouteError> {
        gate.pass().await?;
        notes.add("connected");
        Ok(())
    }
    let gate = Gate::default();
    let cluster = Cluster::new();
    let configure = |builder: ws_service::Builder| {
        builder.data(gate.clone()).routes(|cfg: &mut Routes| {
            cfg.channel("hooked:*").open().hook(
                ChannelHook::Unsubscribed,
                async |notes: Data<Notes>| {
                    notes.add("unsubscribed");
                },
            );
            cfg.hook(Hook::Connect, slow);
            cfg.hook(Hook::Disconnect, async |notes: Data<Notes>| notes.add("disconnected"));
        })
    };
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut client = cluster.client(&server).await;
    client.ask("whisk.subscribe", r#"{"channel":"hooked:1"}"#).await;
    drop(client);
    eventually("it is off", async || server.notes.all() == ["unsubscribed"]).await;
    gate.0.add_permits(1);
    let all = ["unsubscribed", "connected", "disconnected"];
    eventually("its hooks follow each other", async || server.notes.all() == all).await;
}
