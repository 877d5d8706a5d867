//! What an App's program may do with the sockets that it mounts.

use std::{net::TcpListener, time::Duration};

use actix_web::{
    App, HttpServer,
    middleware::{Logger, NormalizePath, TrailingSlash},
    web,
};
use futures_util::future::join_all;
use router_core::{
    Args,
    limits::{Limit, Limits},
    node::{Node, NodeSpec},
    ns,
    socket::Recipients,
};
use ws_service::{Auth, BuildError, Builder, MountedService, WsService};

use crate::{
    client::{Client, exchange, request},
    http_client::{Http, Poller},
    support::{Cluster, eventually, routes, soon},
};

/// How long a drain may take.
const WINDOW: Duration = Duration::from_millis(100);

/// The builder of a node, and nothing more.
async fn builder(cluster: &Cluster, name: &'static str) -> Builder {
    let node = Node::start(NodeSpec::new(ns(name).node(1)), cluster.hub.backend()).await.unwrap();
    WsService::builder(node, cluster.confirmer.clone())
}

/// Two services in one App, one of them in a scope, behind the usual middleware.
async fn two_in_one(cluster: &Cluster) -> (MountedService, MountedService) {
    let chat = builder(cluster, "ws").await.nsp("/", Auth::Open).routes(routes).mount().unwrap();
    let bare = builder(cluster, "bare").await.path("/engine.io").drain_window(WINDOW);
    let bare = bare.raw(|message, reply| reply.send(message)).mount().unwrap();
    (chat, bare)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_may_mount_several_services_in_scopes_and_behind_middleware() {
    let cluster = Cluster::new();
    let (chat, bare) = two_in_one(&cluster).await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mounts = (chat.sockets(), bare.sockets());
    let server = HttpServer::new(move || {
        let (chat, bare) = mounts.clone();
        App::new()
            .wrap(Logger::default())
            .wrap(NormalizePath::new(TrailingSlash::Always))
            .service(web::scope("/inner").configure(|cfg| chat.configure(cfg)))
            .configure(|cfg| bare.configure(cfg))
            .route("/", web::get().to(async || "a page"))
    });
    let server = server.workers(2).disable_signals().listen(socket).unwrap().run();
    let http = server.handle();
    let server = tokio::spawn(server);

    let websocket = "/inner/socket.io/?EIO=4&transport=websocket";
    let mut client = Client::open_at(address, websocket).await;
    client.send("40").await;
    client.text().await;
    assert_eq!(client.ask("test.echo", "7").await, 7);
    let mut engine = Client::open_at(address, "/engine.io/?EIO=4&transport=websocket").await;
    engine.send("4back").await;
    assert_eq!(engine.text().await, "4back");
    let polling = "/inner/socket.io/?EIO=4&transport=polling";
    let answer = Http::ask(address, "GET", polling, "Accept-Encoding: gzip\r\n", "").await;
    assert!(answer.status == 200 && answer.body.starts_with("0{"), "{answer:?}");
    assert_eq!(Http::ask(address, "GET", "/", "", "").await.body, "a page");
    assert_eq!(Http::ask(address, "GET", "/healthz", "", "").await.status, 404);

    // Each goes by its own, and the App goes on.
    let [chat_sockets, bare_sockets] = [chat.sockets(), bare.sockets()];
    let bare = tokio::spawn(bare.run(std::future::pending::<()>()));
    bare_sockets.stop();
    assert_eq!(soon(engine.ended()).await.code, Some(1012));
    soon(bare).await.unwrap();
    assert_eq!(client.ask("test.echo", "8").await, 8);
    assert!(chat_sockets.is_ready() && !bare_sockets.is_ready());
    drop(client);
    http.stop(false).await;
    soon(server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_the_servers_to_say_is_refused_by_name() {
    let cluster = Cluster::new();
    for option in ["listen", "workers", "http"] {
        let builder = builder(&cluster, "ws").await;
        let mounted = match option {
            "listen" => builder.bind("127.0.0.1:0").unwrap(),
            "workers" => builder.workers(2),
            _ => builder.http(|_| {}),
        }
        .mount();
        assert!(
            matches!(mounted, Err(BuildError::NotMounted(named)) if named == option),
            "{option}"
        );
        // Its node is gone with it; the registry hears of that when the lease is over.
        let lease = cluster.hub.backend().registry.nodes(&ns("ws")).await.unwrap().remove(0).lease;
        cluster.hub.backend().registry.release(&lease).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_dropped_lets_nobody_in() {
    let cluster = Cluster::new();
    let service = builder(&cluster, "ws").await.nsp("/", Auth::Open).mount().unwrap();
    let (mount, sockets) = (service.sockets(), service.sockets());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = HttpServer::new(move || App::new().configure(|cfg| mount.configure(cfg)));
    let server = server.workers(1).disable_signals().listen(socket).unwrap().run();
    let (http, server) = (server.handle(), tokio::spawn(server));
    let path = "/socket.io/?EIO=4&transport=websocket";
    drop(Client::open_at(address, path).await);
    let running = tokio::spawn(service.run(std::future::pending::<()>()));
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert!(!sockets.is_ready());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (head, _) = exchange(&mut stream, request(path, "").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    http.stop(false).await;
    soon(server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bytes_at_once_reach_a_reader_in_order_also_across_threads() {
    let cluster = Cluster::new();
    // All of it may come before anybody reads.
    let limits = Limits { outbox_hard: Limit::At(64 << 20), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder.nsp("/", Auth::Open)).await;
    // Several, so that some WebSockets come to a thread that does not have their session.
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut poller = Poller::open(server.addr()).await;
        poller.post("40").await.ok();
        poller.packet().await;
        let mut socket = Client::candidate(server.addr(), &poller.sid).await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        assert_eq!(poller.poll().await.body, "6");
        socket.send("5").await;
        assert_eq!(socket.ask("test.echo", "1").await, 1);
        clients.push(socket);
    }
    let hub = server.handle.hub();
    let large = "x".repeat(100_000);
    let emitting = async {
        for number in 0..60 {
            let args = Args::one(&(number, &large)).unwrap();
            hub.emit(Recipients::Nsp("/".into()), "big".into(), args).await.unwrap();
        }
    };
    let reading = join_all(clients.iter_mut().map(async |client| {
        for number in 0..60 {
            let event = client.event("big").await;
            assert_eq!(event[0], number);
            assert_eq!(event[1].as_str().map(str::len), Some(100_000));
        }
    }));
    soon(async { tokio::join!(emitting, reading) }).await;
    eventually("nothing waits", async || server.metrics.outbox_bytes.get() == 0).await;
}
