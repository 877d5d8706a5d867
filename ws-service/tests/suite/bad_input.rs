//! Everything that a client may send and should not. The connection is closed with the code of the
//! table; a neighbour gets a broadcast before and after.

use std::{fs, time::Duration};

use router_core::limits::{Limit, Limits};
use tokio::{io::AsyncReadExt, net::TcpStream};
use wire::ws::{Opcode, client as frames};

use crate::{
    client::DEADLINE,
    support::{Cluster, eventually, soon},
};

const KEY: [u8; 4] = [1, 2, 3, 4];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_instead_of_a_handshake_is_no_harm() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"garbage\r\n\r\n",
        b"GET\r\n\r\n",
        &[0; 100_000],
        b"GET /socket.io/ HTTP/1.1\r\nUpgrade: websocket\r\n: \r\n\r\n",
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        // The server may be done with it before all of it is sent.
        let _sent = tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await;
        let mut answer = Vec::new();
        let _ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{bytes:?}");
        neighbour.check().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_malformed_frame_is_closed_with_its_code() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let first = |opcode: Opcode| frames::fragment(opcode, false, b"40", KEY).to_vec();
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("a reserved bit", frames::raw(0xC1, b"x", KEY).to_vec(), 1002),
        ("opcode 3", frames::raw(0x83, b"x", KEY).to_vec(), 1002),
        ("opcode 11", frames::raw(0x8B, b"x", KEY).to_vec(), 1002),
        ("no mask", b"\x81\x0240".to_vec(), 1002),
        ("a fragmented ping", frames::raw(0x09, b"x", KEY).to_vec(), 1002),
        ("a long ping", frames::raw(0x89, &[0; 126], KEY).to_vec(), 1002),
        ("a stray continuation", frames::raw(0x80, b"x", KEY).to_vec(), 1002),
        ("a text in a text", [first(Opcode::Text), first(Opcode::Text)].concat(), 1002),
        ("a length too long", b"\x81\xfe\x00\x02\x01\x02\x03\x0440".to_vec(), 1002),
        ("a negative length", b"\x81\xff\x80\0\0\0\0\0\0\0".to_vec(), 1002),
        ("half a close code", frames::raw(0x88, b"\x03", KEY).to_vec(), 1002),
        ("a close code that may not travel", frames::raw(0x88, b"\x03\xed", KEY).to_vec(), 1002),
        ("a close reason that is no text", frames::raw(0x88, b"\x03\xe8\xff", KEY).to_vec(), 1007),
        ("a text that is no text", frames::raw(0x81, b"4\xff", KEY).to_vec(), 1007),
        ("a declared TiB", b"\x81\xff\0\0\x01\0\0\0\0\0".to_vec(), 1009),
        ("one byte over the bound", b"\x81\xff\0\0\0\0\0\x04\0\x01".to_vec(), 1009),
    ];
    for (what, bytes, code) in cases {
        let mut client = cluster.client(&server).await;
        client.raw(&bytes).await;
        let ended = soon(client.ended()).await;
        assert_eq!(ended.code, Some(code), "{what}");
        // Official clients come back after any close that no DISCONNECT came before.
        assert_eq!(ended.texts.last().map(String::as_str), Some("41"), "{what}");
        neighbour.check().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_tebibyte_takes_no_memory() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let before = resident_kib();
    let mut clients = Vec::new();
    for _ in 0..256 {
        let mut client = cluster.client(&server).await;
        client.raw(b"\x82\xff\0\0\x01\0\0\0\0\0").await;
        client.raw(&[0; 1000]).await;
        clients.push(client);
    }
    // Other tests run in this process meanwhile; half a mebibyte for each of these would show.
    let grown = resident_kib().saturating_sub(before);
    for client in clients {
        assert_eq!(soon(client.ended()).await.code, Some(1009));
    }
    assert!(grown < 128 * 1024, "{grown} KiB more");
    neighbour.check().await;
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_is_checked_across_fragments() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    // A character in two halves is fine.
    let mut client = cluster.client(&server).await;
    let text = "421[\"test.echo\",\"é\"]".as_bytes();
    let cut = text.iter().position(|byte| *byte == 0xC3).unwrap() + 1;
    client.raw(&frames::fragment(Opcode::Text, false, &text[..cut], KEY)).await;
    client.raw(&frames::ping(b"between")).await;
    client.raw(&frames::fragment(Opcode::Continuation, true, &text[cut..], KEY)).await;
    assert_eq!(client.text().await, "431[\"é\"]");
    // A half and something else is not, and that is said before the last fragment.
    client.raw(&frames::fragment(Opcode::Text, false, &text[..cut], KEY)).await;
    client.raw(&frames::fragment(Opcode::Continuation, false, b"x", KEY)).await;
    assert_eq!(soon(client.ended()).await.code, Some(1007));
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_are_bounded_in_number_and_time() {
    let cluster = Cluster::new();
    let limits =
        Limits { fragment_timeout: Limit::At(Duration::from_millis(200)), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder).await;
    let mut neighbour = cluster.neighbour(&server).await;

    let mut many = cluster.client(&server).await;
    many.raw(&frames::fragment(Opcode::Text, false, b"4", KEY)).await;
    let more: Vec<u8> = (0..64)
        .flat_map(|_| frames::fragment(Opcode::Continuation, false, b"", KEY).to_vec())
        .collect();
    many.raw(&more).await;
    assert_eq!(soon(many.ended()).await.code, Some(1009));

    let mut slow = cluster.client(&server).await;
    slow.raw(&frames::fragment(Opcode::Text, false, b"4", KEY)).await;
    assert_eq!(soon(slow.ended()).await.code, Some(4004));

    let mut half = cluster.client(&server).await;
    half.raw(b"\x81\x85\x01").await;
    assert_eq!(soon(half.ended()).await.code, Some(4004));
    assert_eq!(server.metrics.limit_hits("fragment_timeout"), 2);
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_are_none_are_closed_with_their_code() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let cases = [
        // Engine.IO
        ("", 1002),
        ("9", 1002),
        ("x", 1002),
        ("2", 1002),
        ("0{}", 1002),
        // Socket.IO
        ("4", 1007),
        ("47", 1007),
        ("4a", 1007),
        ("42", 1007),
        ("42{}", 1007),
        ("42[]", 1007),
        ("42[1]", 1007),
        ("42[\"a\"", 1007),
        ("42[\"connect\"]", 1007),
        ("42-1[\"a\"]", 1007),
        ("429007199254740992[\"a\"]", 1007),
        ("43[1]", 1007),
        ("451-[\"a\"", 1007),
        ("4511-[\"a\"]", 1009),
        ("451000000000-[\"a\"]", 1009),
        ("45-1-[\"a\"]", 1007),
        // Out of order
        ("40", 1002),
        ("42/nowhere,[\"a\"]", 1002),
        ("44{\"message\":\"x\"}", 1002),
    ];
    for (packet, code) in cases {
        let mut client = cluster.client(&server).await;
        client.send(packet).await;
        assert_eq!(soon(client.ended()).await.code, Some(code), "{packet}");
    }
    let deep = format!("42[\"a\",{}{}]", "[".repeat(32), "]".repeat(32));
    let mut client = cluster.client(&server).await;
    client.send(&deep).await;
    assert_eq!(soon(client.ended()).await.code, Some(1009));
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_must_follow_their_packet() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut stray = cluster.client(&server).await;
    stray.raw(&frames::binary(b"x")).await;
    assert_eq!(soon(stray.ended()).await.code, Some(1002));
    let mut interrupted = cluster.client(&server).await;
    interrupted.send(r#"451-["test.echo",{"_placeholder":true,"num":0}]"#).await;
    interrupted.send(r#"42["test.echo"]"#).await;
    assert_eq!(soon(interrupted.ended()).await.code, Some(1002));
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_in_any_pieces_are_the_same_messages() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    for byte in frames::text(r#"421["test.echo","one byte at a time"]"#) {
        client.raw(&[byte]).await;
    }
    assert_eq!(client.text().await, r#"431["one byte at a time"]"#);
    let many: Vec<u8> = (0..100)
        .flat_map(|n| frames::text(&format!(r#"42{n}["test.echo",{n}]"#)).to_vec())
        .collect();
    client.raw(&many).await;
    for n in 0..100 {
        assert_eq!(client.text().await, format!("43{n}[{n}]"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    for _ in 0..20 {
        let client = cluster.client(&server).await;
        client.stream.set_zero_linger().unwrap();
        drop(client);
    }
    let metrics = &server.metrics;
    eventually("only the neighbour is left", async || {
        (metrics.connections.get(), metrics.sockets.get(), server.handle.hub().count()) == (1, 1, 1)
    })
    .await;
    neighbour.check().await;
}
