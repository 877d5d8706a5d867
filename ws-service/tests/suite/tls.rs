//! The listener speaks TLS itself where it is configured to.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use router_core::{
    Args,
    limits::{Limit, Limits},
    socket::Recipients,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    pki_types::{PrivateKeyDer, ServerName},
};

use ws_service::{Auth, Builder};

use crate::{
    client::{PATH, request},
    support::{Cluster, eventually},
};

type Stream = StreamOwned<ClientConnection, std::net::TcpStream>;

fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Stream {
    secure(std::net::TcpStream::connect(address).unwrap(), config)
}

fn secure(tcp: std::net::TcpStream, config: Arc<ClientConfig>) -> Stream {
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp)
}

/// Reads until `needle` came.
fn read_until(stream: &mut Stream, needle: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while !all.windows(needle.len()).any(|window| window == needle) {
        let length = stream.read(&mut piece).unwrap();
        assert_ne!(length, 0, "{:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..length]);
    }
    all
}

/// A server with a certificate of its own, and a client that trusts it.
fn configs() -> (ServerConfig, Arc<ClientConfig>) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server_config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client_config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server_config, Arc::new(client_config))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_over_tls_is_confirmed_and_gets_large_messages() {
    let (server_config, client_config) = configs();
    let cluster = Cluster::new();
    let server =
        cluster.serve_with(1, Limits::default(), |builder| builder.tls(server_config)).await;
    let (address, token) = (server.addr(), cluster.fresh_token().await);
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address, client_config);
        stream.write_all(request(PATH, "").as_bytes()).unwrap();
        read_until(&mut stream, b"\"maxPayload\":262144}");
        let connect = format!(r#"40{{"ws_token":"{token}"}}"#);
        stream.write_all(&wire::ws::client::text(&connect)).unwrap();
        read_until(&mut stream, b"whisk.auth.accept");
        let large = "x".repeat(200_000);
        let event = format!(r#"421["test.echo","{large}"]"#);
        stream.write_all(&wire::ws::client::text(&event)).unwrap();
        let answer = read_until(&mut stream, b"x\"]");
        stream.write_all(&wire::ws::client::close(wire::CloseCode::NORMAL, &"".into())).unwrap();
        read_until(&mut stream, b"\x88\x02\x03\xe8");
        answer.len()
    })
    .await
    .unwrap();
    assert!(said >= 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_session_moves_to_a_websocket_over_tls() {
    let (server_config, client_config) = configs();
    let cluster = Cluster::new();
    let configure = |builder: Builder| builder.nsp("/", Auth::Open).tls(server_config);
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let address = server.addr();
    tokio::task::spawn_blocking(move || {
        // Several, so that WebSockets come to threads that do not have the session.
        for _ in 0..4 {
            let mut poll = connect(address, Arc::clone(&client_config));
            let path = "/socket.io/?EIO=4&transport=polling";
            poll.write_all(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
            let opened = String::from_utf8(read_until(&mut poll, b"262144}")).unwrap();
            let sid = opened.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap();
            let post =
                format!("POST {path}&sid={sid} HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n40");
            poll.write_all(post.as_bytes()).unwrap();
            read_until(&mut poll, b"ok");

            let mut socket = connect(address, Arc::clone(&client_config));
            socket.write_all(request(&format!("{PATH}&sid={sid}"), "").as_bytes()).unwrap();
            read_until(&mut socket, b"\r\n\r\n");
            socket.write_all(&wire::ws::client::text("2probe")).unwrap();
            read_until(&mut socket, b"3probe");
            socket.write_all(&wire::ws::client::text("5")).unwrap();
            // What waited for a poll comes on the WebSocket.
            read_until(&mut socket, b"40{\"sid\":");
            let large = "x".repeat(200_000);
            let event = format!(r#"421["test.echo","{large}"]"#);
            socket.write_all(&wire::ws::client::text(&event)).unwrap();
            assert!(read_until(&mut socket, b"x\"]").len() >= 200_000);
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_bytes_are_stuck_in_tls_is_slow() {
    let (server_config, client_config) = configs();
    let cluster = Cluster::new();
    let limits =
        Limits { outbox_stall: Limit::At(Duration::from_millis(300)), ..Limits::default() };
    let configure = |builder: Builder| builder.nsp("/", Auth::Open).tls(server_config);
    let server = cluster.serve_with(1, limits, configure).await;
    let address = server.addr();
    let stuck = tokio::task::spawn_blocking(move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = secure(socket.into(), client_config);
        stream.write_all(request(PATH, "").as_bytes()).unwrap();
        read_until(&mut stream, b"262144}");
        stream.write_all(&wire::ws::client::text("40")).unwrap();
        read_until(&mut stream, b"40{");
        stream
    });
    let _stuck = stuck.await.unwrap();
    let (hub, metrics) = (server.handle.hub(), &server.metrics);
    let args = Args::one(&"x".repeat(12 * 1024)).unwrap();
    eventually("the peer is slow", async || {
        // Nothing comes behind what TLS could not write.
        if metrics.outbox_bytes.get() == 0 {
            let to = Recipients::Nsp("/".into());
            hub.emit(to, "test.flood".into(), args.clone()).await.unwrap();
        }
        metrics.limit_hits("outbox_stall") == 1
    })
    .await;
    eventually("nothing waits", async || metrics.outbox_bytes.get() == 0).await;
}
