//! Who may connect to a nsp, and with what it came.

use router_core::{
    Args, Data, EventName, RouteError, Routes, Session,
    limits::Limits,
    route::Hook,
    socket::{Handshake, Io, Socket},
};
use serde_json::{Value, json};
use ws_service::Auth;

use crate::{
    client::{Client, DEADLINE, PATH, code, request},
    support::{Cluster, Notes, Server, eventually},
};

fn routes(cfg: &mut Routes) {
    cfg.nsp("/guarded").guard(admit);
    cfg.nsp("/room-*")
        .guard(async |socket: Socket| {
            let number: u32 = socket.nsp()[6..].parse().map_err(|_| {
                RouteError::new("no_room", "No such room.").with("rooms", "numbers")
            })?;
            socket.data().insert(number);
            Ok::<_, RouteError>(())
        })
        .prepend(async |EventName(name): EventName| match &*name {
            "secret" => Err(RouteError::new("forbidden", "Not here.")),
            _ => Ok(()),
        });
    cfg.nsp("/slow").guard(async || std::future::pending::<()>().await);
    cfg.nsp("/members").guard(async |session: Session<Value>| {
        match session.user_id().map(|user| user.as_str() == "7") {
            Some(true) => Ok(()),
            _ => Err(RouteError::new("not_a_member", "Members only.")),
        }
    });
    cfg.hook(Hook::Connect, async |socket: Socket, handshake: Handshake| {
        let auth: Value = handshake.auth().map_err(|_| RouteError::internal())?;
        let number = socket.data().get::<u32>();
        let told = json!({
            "auth": auth,
            "number": number,
            "agent": handshake.header("user-agent"),
            "query": handshake.query(),
            "local": handshake.address().is_loopback(),
        });
        socket.emit("came", &told).await.map_err(RouteError::from)
    });
    cfg.fallback(async |EventName(name): EventName| name.to_string());
}

async fn server(cluster: &Cluster, limits: Limits) -> Server {
    cluster
        .serve_with(1, limits, |builder| {
            let builder = builder.routes(routes);
            let builder = builder.nsp("/", Auth::Open).nsp("/members", Auth::SessionSync);
            builder.nsp("/guarded", Auth::Open).nsp("/room-*", Auth::Open).nsp("/slow", Auth::Open)
        })
        .await
}

async fn admit(handshake: Handshake) -> Result<(), RouteError> {
    match handshake.auth::<Value>() {
        Ok(auth) if auth["token"] == "letmein" => Ok(()),
        _ => Err(RouteError::new("not_authorized", "not authorized")),
    }
}

async fn answer(client: &mut Client, packet: &str) -> Value {
    client.send(packet).await;
    let text = client.text().await;
    let json = text.find('{').unwrap();
    serde_json::from_str(text[json..].trim_end_matches(']')).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_lets_in_or_refuses_with_its_reason_and_costs_no_other_socket() {
    let cluster = Cluster::new();
    let server = server(&cluster, Limits::default()).await;
    let mut client = Client::open(server.addr()).await;
    for wrong in ["", r#"{"token":"x"}"#] {
        client.send(&format!("40/guarded,{wrong}")).await;
        let refused = r#"44/guarded,{"data":{"code":"not_authorized"},"message":"not authorized"}"#;
        assert_eq!(client.text().await, refused);
    }
    client.send("40").await;
    assert!(client.text().await.starts_with("40{"));
    assert!(client.text().await.starts_with(r#"42["came",{"agent":null,"auth":{}"#));
    let sid = answer(&mut client, r#"40/guarded,{"token":"letmein"}"#).await;
    assert!(sid["sid"].is_string());
    let came = client.text().await;
    assert!(came.contains(r#""auth":{"token":"letmein"}"#), "{came}");
    client.send(r#"42/guarded,1["anything"]"#).await;
    assert_eq!(client.text().await, r#"43/guarded,1["anything"]"#);
    assert_eq!(client.ask("anything", "").await, "anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_admits_the_names_that_fit_and_its_middleware_refuses_events() {
    let cluster = Cluster::new();
    let server = server(&cluster, Limits::default()).await;
    let mut client = Client::open(server.addr()).await;
    assert_eq!(answer(&mut client, "40/rooms,").await["message"], "Invalid namespace");
    let refused = answer(&mut client, "40/room-x,").await;
    assert_eq!(refused["message"], "No such room.");
    assert_eq!(refused["data"], json!({"code": "no_room", "rooms": "numbers"}));
    assert!(answer(&mut client, "40/room-42,").await["sid"].is_string());
    assert!(client.text().await.contains(r#""number":42"#));
    client.send(r#"42/room-42,1["open"]"#).await;
    assert_eq!(client.text().await, r#"43/room-42,1["open"]"#);
    let error = answer(&mut client, r#"42/room-42,2["secret"]"#).await;
    assert_eq!(code(&json!({ "error": error["error"] })), "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_sees_the_confirmed_session_also_of_who_was_asked_for_it() {
    let cluster = Cluster::new();
    let server = server(&cluster, Limits::default()).await;
    for (user, is_member) in [("7", true), ("8", false)] {
        let sid = cluster.session(user).await;
        let shown = cluster.token(&sid).await;
        let mut client = Client::open(server.addr()).await;
        let told = answer(&mut client, &format!(r#"40/members,{{"ws_token":"{shown}"}}"#)).await;
        assert_eq!(told["sid"].is_string(), is_member, "{told}");

        let asked = cluster.token(&sid).await;
        let mut client = Client::open(server.addr()).await;
        client.send("40/members,").await;
        assert!(client.text().await.starts_with(r#"40/members,{"sid""#));
        assert_eq!(client.text().await, r#"42/members,0["whisk.auth.request",{}]"#);
        client.send(&format!(r#"43/members,0[{{"ws_token":"{asked}"}}]"#)).await;
        if is_member {
            assert!(client.text().await.contains("whisk.auth.accept"));
            // The credential is Whisk's own.
            assert!(client.text().await.contains(r#""auth":{}"#));
        } else {
            assert!(client.text().await.contains("not_a_member"));
            assert_eq!(client.text().await, "41/members,");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_never_answers_ends_with_the_time_to_be_confirmed() {
    let cluster = Cluster::new();
    let mut limits = Limits::default();
    limits.confirm_timeout = router_core::limits::Limit::At(std::time::Duration::from_millis(200));
    let server = server(&cluster, limits).await;
    let mut client = Client::open(server.addr()).await;
    client.send("40/slow,").await;
    let ended = client.ended().await;
    assert_eq!(ended.code, Some(4003));
    assert!(ended.texts[0].starts_with("44/slow,"), "{:?}", ended.texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_sees_with_what_its_client_came() {
    let cluster = Cluster::new();
    let server = server(&cluster, Limits::default()).await;
    let stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    assert!(request(PATH, "").contains("transport=websocket"));
    let mut client = Client::open_on(stream, "User-Agent: test/1\r\n").await;
    client.send(r#"40{"name":"ann"}"#).await;
    assert!(client.text().await.starts_with("40"));
    let came = client.event("came").await;
    assert_eq!(came["auth"], json!({"name": "ann"}));
    assert_eq!(came["agent"], "test/1");
    assert_eq!(came["query"], "EIO=4&transport=websocket");
    assert_eq!(came["local"], true);
}

/// Adds gates to one socket before it comes, and tells what they saw.
fn watching(cfg: &mut Routes) {
    cfg.nsp("/watched").guard(async |socket: Socket, notes: Data<Notes>| {
        let coming = notes.clone();
        socket.on_any(async |notes: Data<Notes>, EventName(name): EventName| {
            notes.add(format!("in {name}"));
        });
        socket.prepend(async |EventName(name): EventName| match &*name {
            "forbidden" => Err(RouteError::new("forbidden", "Not you.")),
            _ => Ok(()),
        });
        socket
            .on_any_outgoing(move |event, args| coming.add(format!("out {event} {}", args.json())));
    });
    cfg.route("told")
        .on("all", async |io: Io, args: Args| io.emit_args("all", args).await)
        .on("room", async |io: Io, args: Args| io.to("r").emit_args("room", args).await)
        .on("join", async |socket: Socket| socket.join("r").await)
        .on("unwatch", async |socket: Socket| socket.off_any_outgoing())
        .on("ask", async |socket: Socket| {
            actix_rt::spawn(async move {
                let answer = socket.emit_with_ack::<_, u8>("asked", &1, DEADLINE).await.unwrap();
                socket.emit("answered", &answer).await.unwrap();
            });
        });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_one_socket_sees_all_that_comes_from_it_and_goes_to_it() {
    let cluster = Cluster::new();
    let configure = |builder: ws_service::Builder| {
        let builder = builder.routes(watching).nsp("/", Auth::Open);
        builder.nsp("/watched", Auth::Open)
    };
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let other = cluster.serve_with(2, Limits::default(), configure).await;
    let mut seen = Vec::new();
    let mut saw = async |expected: &[&str]| {
        seen.extend(expected.iter().map(|note| (*note).to_owned()));
        eventually("all is seen", async || server.notes.all().len() >= seen.len()).await;
        assert_eq!(server.notes.all(), seen);
    };
    let mut client = Client::open(server.addr()).await;
    client.send("40/watched,").await;
    assert!(client.text().await.starts_with("40/watched,"));
    for (asked, answer) in [
        (r#"421["told.join"]"#, "431["),
        (r#"422["nobody.knows"]"#, "unknown_event"),
        (r#"423["forbidden"]"#, "forbidden"),
    ] {
        client.send(&asked.replace("42", "42/watched,")).await;
        let told = client.text().await;
        assert!(told.contains(&answer.replace("43", "43/watched,")), "{told}");
    }
    saw(&["in told.join", "in nobody.knows", "in forbidden"]).await;

    // From other sockets, also of another node and of another nsp.
    for server in [&server, &other] {
        let mut away = Client::open(server.addr()).await;
        away.send("40/watched,").await;
        away.text().await;
        away.send("42/watched,1[\"told.room\",1]").await;
        assert!(away.text().await.starts_with("43/watched,1["));
        assert_eq!(client.text().await, "42/watched,[\"room\",1]");
    }
    saw(&["in told.room", "out room 1", "out room 1"]).await;
    let mut main = Client::open(server.addr()).await;
    main.send("40").await;
    main.text().await;
    main.send(r#"421["told.all",2]"#).await;
    main.text().await;
    client.send(r#"42/watched,["told.all",3]"#).await;
    assert_eq!(client.text().await, r#"42/watched,["all",3]"#);
    saw(&["in told.all", "out all 3"]).await;
    client.send(r#"42/watched,["told.ask"]"#).await;
    assert_eq!(client.text().await, r#"42/watched,2["asked",1]"#);
    client.send("43/watched,2[7]").await;
    assert_eq!(client.text().await, r#"42/watched,["answered",7]"#);
    saw(&["in told.ask", "out asked 1", "out answered 7"]).await;

    client.send(r#"42/watched,["told.unwatch"]"#).await;
    client.send(r#"42/watched,["told.all",4]"#).await;
    assert_eq!(client.text().await, r#"42/watched,["all",4]"#);
    saw(&["in told.unwatch", "in told.all"]).await;
}
