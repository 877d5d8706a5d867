//! Channels by sharded pub/sub: whom they reach and whom they spare, and what becomes of them when
//! slots move, masters die, and servers have no sharded pub/sub at all.

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use router_core::{
    backend::{
        Backend, BackendErrorKind,
        bus::{BusLink, Subject},
        conformance::{Heard, eventually, fresh_id, fresh_ns},
    },
    channel::{ChannelKey, Position},
    session::Site,
};
use router_redis::RedisBackend;

use crate::server::{Cluster, Server, config, connect};

fn open(backend: &Backend) -> (Arc<dyn BusLink>, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    (backend.bus.open(heard.clone()), heard)
}

fn fresh() -> ChannelKey {
    ChannelKey::new(&Site::main(), &format!("c-{}", fresh_id()).parse().unwrap())
}

/// What a channel is called on a server.
fn name(channel: &ChannelKey) -> String {
    format!("whisk:chan:{{{}}}", channel.as_str())
}

impl Cluster {
    /// A channel that this master serves.
    fn channel_on(&self, master: usize) -> ChannelKey {
        loop {
            let channel = fresh();
            if self.owner(&name(&channel)).1 == master {
                return channel;
            }
        }
    }

    /// The ids of a master's connections that listen to anything.
    fn subscribers(&self, master: usize) -> Vec<String> {
        let list = self.masters[master].cli(&["client", "list", "type", "pubsub"]);
        list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }
}

async fn publish(backend: &Backend, channel: &ChannelKey, frame: &'static str) -> Option<Position> {
    let stored = backend.channels.publish(channel, frame.into()).await.ok()?;
    Some(stored.position)
}

/// Publishes until a frame is heard, under its position; gives that.
async fn is_heard(backend: &Backend, channel: &ChannelKey, heard: &Heard) -> Position {
    eventually("a frame that is heard", async || {
        let position = publish(backend, channel, "frame").await?;
        let stamped = position.stamp(b"frame");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            if heard.on(&channel.subject()).contains(&stamped) {
                return Some(position);
            }
            tokio::task::yield_now().await;
        }
        None
    })
    .await
}

/// Waits until the link has told once more that frames may be missed.
async fn is_told(heard: &Heard, before: u64) {
    heard.until("the notice", |heard| (heard.resubscriptions() > before).then_some(())).await;
}

#[tokio::test]
async fn channels_are_spread_over_the_masters_and_a_connection_lives_while_it_is_needed() {
    const CHANNELS: usize = 3000;
    let cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let (link, _heard) = open(&backend);
    link.subscribe(Subject::Namespace(fresh_ns())).await.unwrap();
    let channels: Vec<_> = (0..CHANNELS).map(|_| fresh()).collect();
    for all in join_all(channels.iter().map(|channel| link.subscribe(channel.subject()))).await {
        all.unwrap();
    }
    let mut seen = HashSet::new();
    for (at, master) in cluster.masters.iter().enumerate() {
        let here = master.cli(&["pubsub", "shardchannels"]);
        let here: Vec<_> = here.lines().collect();
        assert!((800..1200).contains(&here.len()), "{} of {CHANNELS} on one master", here.len());
        seen.extend(here.iter().map(ToString::to_string));
        assert!(
            (1..=2).contains(&cluster.subscribers(at).len()),
            "one for channels, perhaps one for all"
        );
    }
    assert_eq!(seen, channels.iter().map(name).collect());
    join_all(channels.iter().map(|channel| link.unsubscribe(channel.subject()))).await;
    eventually("only the connection for all to be left", async || {
        ((0..3).map(|at| cluster.subscribers(at).len()).sum::<usize>() == 1).then_some(())
    })
    .await;
}

/// Passes connections on to a server, and counts the bytes that the server sends.
fn counting_proxy(to: u16) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
    let counted = count.clone();
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut asks, mut gets) = (client.try_clone().unwrap(), client);
            let (mut takes, mut answers) = (server.try_clone().unwrap(), server);
            std::thread::spawn(move || std::io::copy(&mut asks, &mut takes));
            let counted = counted.clone();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = answers.read(&mut buffer) {
                    counted.fetch_add(read as u64, Ordering::SeqCst);
                    if gets.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, count)
}

async fn publishes_ten_thousand(backend: &Backend, channel: &ChannelKey, heard: &Heard) {
    for _ in 0..100 {
        let frames = (0..100).map(|_| publish(backend, channel, "frame"));
        assert!(join_all(frames).await.iter().all(Option::is_some));
    }
    let all = |heard: &Heard| (heard.on(&channel.subject()).len() == 10_000).then_some(());
    heard.until("all frames", all).await;
}

#[tokio::test]
async fn a_node_that_does_not_listen_to_a_channel_gets_not_a_byte_of_it() {
    let server = Server::start();
    let (port, bytes) = counting_proxy(server.port);
    let (busy, still) = (connect(&server.url()), connect(&format!("redis://127.0.0.1:{port}")));
    let ((listens, heard), (other, nothing)) = (open(&busy), open(&still));
    let (channel, others) = (fresh(), fresh());
    listens.subscribe(channel.subject()).await.unwrap();
    other.subscribe(others.subject()).await.unwrap();
    other.subscribe(Subject::Node(fresh_ns().node(1))).await.unwrap();
    // All that was asked is answered when this is heard.
    is_heard(&still, &others, &nothing).await;
    let before = bytes.load(Ordering::SeqCst);
    publishes_ten_thousand(&busy, &channel, &heard).await;
    assert_eq!(bytes.load(Ordering::SeqCst), before);
    assert!(nothing.on(&channel.subject()).is_empty());
}

#[tokio::test]
async fn masters_tell_each_other_nothing_of_what_is_said_on_channels() {
    let cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let (link, heard) = open(&backend);
    let channel = cluster.channel_on(1);
    link.subscribe(channel.subject()).await.unwrap();
    publishes_ten_thousand(&backend, &channel, &heard).await;
    let told = || {
        let info: String = cluster.masters.iter().map(|it| it.cli(&["cluster", "info"])).collect();
        info.lines().filter(|line| line.contains("messages_publish")).count()
    };
    assert_eq!(told(), 0, "neither by plain nor by sharded pub/sub");
    // What is said to a whole namespace is told, and is so counted.
    link.publish(Subject::Namespace(fresh_ns()), "frame".into()).await.unwrap();
    eventually("a plain frame to be counted", async || (told() > 0).then_some(())).await;
}

#[tokio::test]
async fn a_server_without_sharded_pub_sub_carries_channels_by_the_plain_one() {
    let plain = ["--rename-command", "SSUBSCRIBE", "", "--rename-command", "SPUBLISH", ""];
    let mut server = Server::start_with(&plain);
    let backend = connect(&server.url());
    let ((one, heard), (other, too)) = (open(&backend), open(&backend));
    let channel = fresh();
    for link in [&one, &other] {
        link.subscribe(channel.subject()).await.unwrap();
    }
    assert_eq!(server.cli(&["pubsub", "channels"]).trim(), name(&channel));
    let stored = backend.channels.publish(&channel, "stored".into()).await.unwrap();
    assert_eq!(stored.listeners, 2);
    assert_eq!(one.publish(channel.subject(), "said".into()).await.unwrap(), 2);
    for heard in [&heard, &too] {
        heard.hears(&channel.subject(), b"said").await;
        let all = [stored.position.stamp(b"stored"), "said".into()];
        assert_eq!(heard.on(&channel.subject()), all);
    }
    one.unsubscribe(channel.subject()).await.unwrap();
    other.unsubscribe(channel.subject()).await.unwrap();
    assert_eq!(server.cli(&["pubsub", "channels"]).trim(), "");

    // One that comes back with more, or less, is used as it is then.
    other.subscribe(channel.subject()).await.unwrap();
    for (args, plainly, sharded) in [(&[][..], "", &*name(&channel)), (&plain, &name(&channel), "")]
    {
        let before = too.resubscriptions();
        server.kill();
        server.run_again_with(args);
        is_told(&too, before).await;
        is_heard(&backend, &channel, &too).await;
        assert_eq!(server.cli(&["pubsub", "channels"]).trim(), plainly);
        assert_eq!(server.cli(&["pubsub", "shardchannels"]).trim(), sharded);
    }
}

#[tokio::test]
async fn a_refused_subscription_is_made_once_it_is_allowed() {
    let server = Server::start();
    let user = ["acl", "setuser", "node", "on", ">secret", "~*", "+@all"];
    server.cli(&[&user[..], &["resetchannels", "&none"]].concat());
    let backend = connect(&format!("redis://node:secret@127.0.0.1:{}", server.port));
    let (link, heard) = open(&backend);
    let channel = fresh();
    let refused = link.subscribe(channel.subject()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::NotApplied);
    assert_eq!(heard.resubscriptions(), 0);
    server.cli(&["acl", "setuser", "node", "allchannels"]);
    is_told(&heard, 0).await;
    is_heard(&backend, &channel, &heard).await;
}

#[tokio::test]
async fn a_channel_is_heard_after_its_slot_moved_and_its_listener_is_told() {
    let cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let (link, heard) = open(&backend);
    let (channel, bystander) = (cluster.channel_on(0), cluster.channel_on(2));
    link.subscribe(channel.subject()).await.unwrap();
    link.subscribe(bystander.subject()).await.unwrap();
    let mut last = is_heard(&backend, &channel, &heard).await;
    // There, on, and back again.
    for round in 0..3 {
        let before = heard.resubscriptions();
        let moving = cluster.begin_move(&name(&channel));
        let port = cluster.masters[moving.to].port.to_string();
        let position = format!("{}:at", name(&channel));
        let moved = cluster.masters[moving.from].cli(&[
            "migrate",
            "127.0.0.1",
            &port,
            &position,
            "0",
            "5000",
        ]);
        assert_eq!(moved.trim(), "OK");
        // Where the position is by now nobody listens yet, and the publisher hears so; what takes
        // the channel's own way arrives.
        let stored = backend.channels.publish(&channel, "stored".into()).await.unwrap();
        assert_eq!(stored.listeners, 0);
        let meanwhile = format!("during move {round}");
        let said = link.publish(channel.subject(), meanwhile.clone().into()).await;
        assert_eq!(said.unwrap(), 1);
        heard.hears(&channel.subject(), meanwhile.as_bytes()).await;
        assert_eq!(heard.resubscriptions(), before, "the subscription stands until the end");
        cluster.end_move(&moving);
        is_told(&heard, before).await;
        let next = is_heard(&backend, &channel, &heard).await;
        assert_eq!(next.epoch, last.epoch);
        assert!(next.offset > last.offset);
        last = next;
        let to = &cluster.masters[moving.to];
        assert!(to.cli(&["pubsub", "shardchannels"]).contains(&name(&channel)));
        is_heard(&backend, &bystander, &heard).await;
    }
    let frames = heard.on(&channel.subject());
    let distinct: HashSet<_> = frames.iter().collect();
    assert_eq!(distinct.len(), frames.len(), "no frame came twice");
}

#[tokio::test]
async fn a_subscription_on_an_old_map_finds_the_slots_new_master() {
    let cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let (link, heard) = open(&backend);
    link.subscribe(cluster.channel_on(0).subject()).await.unwrap();
    let channel = cluster.channel_on(1);
    let moving = cluster.begin_move(&name(&channel));
    cluster.end_move(&moving);
    link.subscribe(channel.subject()).await.unwrap();
    let to = &cluster.masters[moving.to];
    assert!(to.cli(&["pubsub", "shardchannels"]).contains(&name(&channel)));
    let stored = backend.channels.publish(&channel, "frame".into()).await.unwrap();
    assert_eq!(stored.listeners, 1);
    heard.hears(&channel.subject(), &stored.position.stamp(b"frame")).await;
    assert_eq!(heard.resubscriptions(), 0, "nothing was missed");
}

#[tokio::test]
async fn a_killed_masters_channels_are_heard_when_it_is_back_and_the_others_meanwhile() {
    let mut cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let (link, heard) = open(&backend);
    let (channel, late, bystander) =
        (cluster.channel_on(0), cluster.channel_on(0), cluster.channel_on(1));
    link.subscribe(channel.subject()).await.unwrap();
    link.subscribe(bystander.subject()).await.unwrap();
    cluster.masters[0].kill();
    eventually("a subscription to fail", async || {
        let subscribed = link.subscribe(late.subject()).await;
        subscribed.is_err_and(|error| error.kind() == BackendErrorKind::NotApplied).then_some(())
    })
    .await;
    // Sharded pub/sub goes on where the slots are served, whatever the cluster's state.
    link.publish(bystander.subject(), "meanwhile".into()).await.unwrap();
    heard.hears(&bystander.subject(), b"meanwhile").await;
    assert_eq!(heard.resubscriptions(), 0);
    cluster.masters[0].run_again();
    is_told(&heard, 0).await;
    is_heard(&backend, &channel, &heard).await;
    is_heard(&backend, &late, &heard).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_heard_after_slots_moved_while_others_came_and_went() {
    let cluster = Cluster::start();
    let backend = connect(&cluster.url());
    let (link, heard) = open(&backend);
    let channels: Vec<_> = (0..12).map(|at| cluster.channel_on(at % 3)).collect();
    for channel in &channels {
        link.subscribe(channel.subject()).await.unwrap();
    }
    let connections = || (0..3).map(|at| cluster.subscribers(at)).collect::<Vec<_>>();
    let (before, churns) = (connections(), Arc::new(AtomicU64::new(0)));
    let churn = tokio::spawn({
        let (link, churns) = (link.clone(), churns.clone());
        async move {
            loop {
                let come_and_go = (0..20).map(|_| async {
                    let subject = fresh().subject();
                    link.subscribe(subject.clone()).await.unwrap();
                    link.unsubscribe(subject).await.unwrap();
                });
                join_all(come_and_go).await;
                churns.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    for _ in 0..2 {
        for channel in &channels {
            let moving = cluster.begin_move(&name(channel));
            cluster.end_move(&moving);
        }
        let goes_on = churns.load(Ordering::SeqCst) + 2;
        eventually("more to come and go", async || {
            (churns.load(Ordering::SeqCst) > goes_on).then_some(())
        })
        .await;
    }
    churn.abort();
    assert!(churn.await.unwrap_err().is_cancelled(), "none of them failed");
    assert_eq!(connections(), before, "no other channel was let down");
    for channel in &channels {
        is_heard(&backend, channel, &heard).await;
    }
}

/// What is there after a master went away in some way and its replica took over.
struct FailedOver {
    cluster: Cluster,
    replica: Server,
    backend: Backend,
    link: Arc<dyn BusLink>,
    heard: Arc<Heard>,
    channel: ChannelKey,
}

impl FailedOver {
    async fn when(goes: impl FnOnce(&mut Server)) -> Self {
        let mut cluster = Cluster::start();
        let replica = cluster.add_replica(0);
        // A call's time is also how long a silent connection is believed in.
        let config = config(&cluster.url()).call_timeout(Duration::from_secs(2));
        let backend = RedisBackend::connect(config).unwrap();
        let (link, heard) = open(&backend);
        let channel = cluster.channel_on(0);
        link.subscribe(channel.subject()).await.unwrap();
        is_heard(&backend, &channel, &heard).await;
        goes(&mut cluster.masters[0]);
        // Nobody publishes meanwhile: the listener itself notices.
        is_told(&heard, 0).await;
        let failed_over = Self { cluster, replica, backend, link, heard, channel };
        failed_over.is_heard_from_the_new_master().await;
        failed_over
    }

    async fn old_master_follows(&self) {
        eventually("the old master to follow the new one", async || {
            self.cluster.masters[0].cli(&["role"]).starts_with("slave").then_some(())
        })
        .await;
    }

    async fn is_heard_from_the_new_master(&self) {
        assert!(self.replica.cli(&["pubsub", "shardchannels"]).contains(&name(&self.channel)));
        is_heard(&self.backend, &self.channel, &self.heard).await;
        let frames = self.heard.on(&self.channel.subject());
        let distinct: HashSet<_> = frames.iter().collect();
        assert_eq!(distinct.len(), frames.len(), "no frame came twice");
    }
}

#[tokio::test]
async fn a_channel_is_heard_after_its_master_died_and_a_replica_took_over() {
    let mut failed_over = FailedOver::when(Server::kill).await;
    failed_over.link.subscribe(fresh().subject()).await.unwrap();
    failed_over.cluster.masters[0].run_again();
    failed_over.old_master_follows().await;
    failed_over.is_heard_from_the_new_master().await;
}

#[tokio::test]
async fn a_channel_is_heard_after_its_master_froze_and_a_replica_took_over() {
    let failed_over = FailedOver::when(|master| master.freeze()).await;
    // The old one still has the connection, and what was subscribed on it.
    failed_over.cluster.masters[0].thaw();
    failed_over.old_master_follows().await;
    failed_over.is_heard_from_the_new_master().await;
}

#[tokio::test]
async fn ten_thousand_channels_are_subscribed_anew_within_seconds() {
    const CHANNELS: usize = 10_000;
    let server = Server::start();
    let backend = connect(&server.url());
    let (link, heard) = open(&backend);
    let channels: Vec<_> = (0..CHANNELS).map(|_| fresh()).collect();
    let all = join_all(channels.iter().map(|channel| link.subscribe(channel.subject()))).await;
    assert!(all.iter().all(Result::is_ok));
    let begun = Instant::now();
    server.cli(&["client", "kill", "type", "pubsub"]);
    is_told(&heard, 0).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(server.cli(&["pubsub", "shardchannels"]).lines().count(), CHANNELS);
}
