//! A WebSocket whose session another node has: bytes go both ways and are not looked at.
//!
//! The request to upgrade is sent to the owner as the client sent it, with a seal. Whatever comes
//! back, the owner's refusal or its consent, is the client's. Then bytes are passed as they come. A
//! direction reads on only when what it read was taken, so that a slow side slows the other down and
//! a tunnel holds at most one read of each; one through which nothing flows holds no buffer.
//!
//! It ends with either side, and when nothing came for longer than a healthy session is silent, or
//! when the client takes nothing for as long as a socket of this node might (`outbox_stall`).

use std::{
    fmt::Write as _,
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::Request;
use actix_rt::net::TcpStream;
use bytes::{Buf, Bytes, BytesMut};
use router_core::id::random_u64;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, Sleep, sleep, timeout},
};
use wire::engine::OpenError;

use super::{CONNECT, OpenTunnel, Peers, seal, target};
use crate::{
    connection::stream::Stream,
    respond::Answer,
    shared::Shared,
    sid::Sid,
    upgrade::{Asked, asked},
};

/// The most that one direction reads at once, and so holds, in bytes.
const CHUNK: usize = 16 * 1024;

/// How long a tunnel lives on when one side said that it sends no more.
const ENDING: Duration = Duration::from_secs(5);

/// Header lines that are this hop's own or a client's lie; the others are passed on.
const OWN: [&str; 2] = [seal::HEADER, "content-length"];

/// The request for the owner, as bytes. `None` for a header that HTTP/1.1 cannot say.
fn head(request: Asked<'_>, seal: &str) -> Option<Vec<u8>> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, target(request.uri));
    // Writing to a String does not fail.
    let _written = write!(head, "{}: {seal}\r\n", seal::HEADER);
    let mut head = head.into_bytes();
    for (name, value) in request.headers {
        if OWN.contains(&name.as_str()) {
            continue;
        }
        if value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return None;
        }
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

/// Passes a WebSocket to the owner of its session until either side ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    peers: Arc<Peers>,
    (sid, client): (Sid, IpAddr),
    request: Request,
    stream: Stream,
    early: BytesMut,
) {
    // A service with TLS has no peers.
    let Stream::Tcp(mut stream) = stream else { return stream.refuse(Answer::UNAVAILABLE).await };
    let opened = open(&peers, &sid, client, asked(&request)).await;
    drop(request);
    let (counted, owner) = match opened {
        Ok(opened) => opened,
        Err(answer) => return answer.write(stream).await,
    };
    if carry(&shared, counted, &mut stream, owner, early.freeze()).await.is_err() {
        forget(&stream);
    }
}

/// Carries bytes both ways until either side ends, this node goes away, or it takes too long. `early`
/// is what the client sent already.
///
/// # Errors
/// When it broke: the client's side is to be cut, whatever waits for it.
pub(crate) async fn carry<C: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    counted: OpenTunnel,
    client: &mut C,
    mut owner: TcpStream,
    early: Bytes,
) -> io::Result<()> {
    let _passing = shared.drain.guard();
    let times = Times { silence: counted.0.silence, stall: shared.rules.bounds.outbox_stall };
    let ended = {
        let passing = pass(client, &mut owner, early, times);
        tokio::select! {
            ended = passing => ended,
            () = told_to_go(shared) => Ok(()),
        }
    };
    if let Err(error) = &ended {
        tracing::debug!(%error, "a tunnel broke");
        forget(&owner);
    }
    ended
}

/// What waits in the kernel for a side that takes nothing would keep it there for minutes.
fn forget(side: &TcpStream) {
    let _closed_anyway = side.set_zero_linger();
}

/// Connects to the owner and asks it for the upgrade.
pub(crate) async fn open(
    peers: &Arc<Peers>,
    sid: &Sid,
    client: IpAddr,
    request: Asked<'_>,
) -> Result<(OpenTunnel, TcpStream), Answer> {
    let peer = peers.owner(sid.nid, sid.incarnation).await?;
    let counted = peers.enter_tunnel()?;
    let seal = peers.seal(request.method, request.uri, client)?;
    let head = head(request, &seal).ok_or(Answer::from(OpenError::BadRequest))?;
    let connected = timeout(CONNECT, async {
        let mut owner = TcpStream::connect(&*peer.address).await?;
        owner.set_nodelay(true)?;
        owner.write_all(&head).await?;
        Ok::<_, io::Error>(owner)
    });
    let failed = match connected.await {
        Ok(Ok(owner)) => return Ok((counted, owner)),
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    Err(not_passed(peers, sid, failed))
}

/// The owner cannot be spoken with.
pub(crate) fn not_passed(peers: &Peers, sid: &Sid, failed: io::Error) -> Answer {
    tracing::debug!(error = %failed, nid = %sid.nid, "a WebSocket cannot be passed to its node");
    peers.metrics.peer_failed.inc();
    answer_for(failed.kind())
}

/// What a client is told when the owner's machine answered like this.
pub(super) fn answer_for(error: io::ErrorKind) -> Answer {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
        NetworkUnreachable, UnexpectedEof,
    };
    match error {
        // Nobody is there any more, and the session went with him.
        ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof
        | HostUnreachable | NetworkUnreachable => OpenError::UnknownSession.into(),
        _ => Answer::UNAVAILABLE,
    }
}

/// Waits for this node's drain, and then for a random moment in its first half.
async fn told_to_go(shared: &Shared) {
    shared.drain.begun().await;
    let within = u64::try_from(shared.drain.window().as_millis() / 2).unwrap_or(u64::MAX);
    sleep(Duration::from_millis(random_u64() % within.saturating_add(1))).await;
}

/// How long a tunnel waits.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// For anything to come from either side.
    silence: Duration,
    /// For the client to take something.
    stall: Option<Duration>,
}

/// Passes bytes both ways until both sides ended, one breaks, or it takes too long. `early` is what
/// the client sent already.
async fn pass<C, O>(client: &mut C, owner: &mut O, early: Bytes, times: Times) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    O: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction { waiting: early, ..Direction::default() };
    let mut down = Direction::default();
    let mut last = Instant::now();
    let mut timer = pin!(sleep(times.silence));
    poll_fn(|cx| {
        let (up_ended, down_ended) = (up.poll(cx, client, owner)?, down.poll(cx, owner, client)?);
        if up_ended.is_ready() && down_ended.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut up.moved) | std::mem::take(&mut down.moved) {
            last = Instant::now();
        }
        let stalled = times.stall.filter(|_| !down.waiting.is_empty());
        let ending = (up.ended || down.ended).then_some(ENDING);
        let patience = [stalled, ending].into_iter().flatten().fold(times.silence, Duration::min);
        poll_deadline(cx, timer.as_mut(), last + patience)
    })
    .await
}

/// Ready with an error once `deadline` is over. The timer is set back only when it rings, or would
/// ring too late: most of the time nothing is done to it.
fn poll_deadline(
    cx: &mut Context<'_>,
    mut timer: Pin<&mut Sleep>,
    deadline: Instant,
) -> Poll<io::Result<()>> {
    if timer.deadline() > deadline {
        timer.as_mut().reset(deadline);
    }
    loop {
        ready!(timer.as_mut().poll(cx));
        if Instant::now() >= deadline {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        timer.as_mut().reset(deadline);
    }
}

/// One way through a tunnel.
#[derive(Debug, Default)]
struct Direction {
    /// What was read and is not taken yet.
    waiting: Bytes,
    /// Whether something was read or taken since this was last looked at.
    moved: bool,
    /// The side that sends said that it sends no more.
    ended: bool,
    /// The other side was told.
    told: bool,
}

impl Direction {
    /// Passes on what there is. Ready when all was passed on, and the end too.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        let mut storage = [MaybeUninit::<u8>::uninit(); CHUNK];
        loop {
            while !self.waiting.is_empty() {
                let taken = ready!(poll_write(cx, to, &self.waiting))?;
                self.waiting.advance(taken);
                self.moved = true;
            }
            if self.told {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.told = true;
                continue;
            }
            let mut read = ReadBuf::uninit(&mut storage);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
            let mut read = read.filled();
            self.moved = true;
            self.ended = read.is_empty();
            while !read.is_empty() {
                match poll_write(cx, to, read)? {
                    Poll::Ready(taken) => read = &read[taken..],
                    Poll::Pending => {
                        self.waiting = Bytes::copy_from_slice(read);
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

/// Writes some of `bytes`; nothing taken is an error.
fn poll_write(
    cx: &mut Context<'_>,
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let taken = ready!(Pin::new(to).poll_write_vectored(cx, &[IoSlice::new(bytes)]))?;
    Poll::Ready(if taken == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(taken) })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, DuplexStream, duplex},
        task::JoinHandle,
    };

    use super::*;

    const TIMES: Times =
        Times { silence: Duration::from_secs(50), stall: Some(Duration::from_secs(7)) };

    /// The far ends of a tunnel, client's and owner's, and how it ends.
    fn tunnel(early: &'static [u8]) -> (DuplexStream, DuplexStream, JoinHandle<io::Result<()>>) {
        let (client, mut near) = duplex(64);
        let (owner, mut far) = duplex(64);
        let early = Bytes::from_static(early);
        let ended = tokio::spawn(async move { pass(&mut near, &mut far, early, TIMES).await });
        (client, owner, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_both_ways_and_what_came_early_goes_first() {
        let (mut client, mut owner, ended) = tunnel(b"early ");
        client.write_all(b"and late").await.unwrap();
        let mut got = [0; 14];
        owner.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"early and late");
        owner.write_all(b"answer").await.unwrap();
        let mut got = [0; 6];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"answer");
        drop((client, owner));
        ended.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_any_buffer_holds_arrives_whole_and_in_order() {
        let (mut client, mut owner, _ended) = tunnel(b"");
        let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let mut got = vec![0; sent.len()];
        let (written, read) = tokio::join!(owner.write_all(&sent), client.read_exact(&mut got));
        written.unwrap();
        read.unwrap();
        assert!(sent == got);
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_ends_may_still_be_answered() {
        let (mut client, mut owner, ended) = tunnel(b"");
        client.shutdown().await.unwrap();
        assert_eq!(owner.read(&mut [0; 8]).await.unwrap(), 0);
        owner.write_all(b"bye").await.unwrap();
        drop(owner);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"bye");
        ended.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_and_slows_its_owner_down() {
        let (_client, mut owner, ended) = tunnel(b"");
        let begun = Instant::now();
        // More than the tunnel may hold never leaves the owner.
        let flood = vec![0; 2 * CHUNK];
        assert!(owner.write_all(&flood).await.is_err());
        assert_eq!(ended.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_lives_while_there_is_a_heartbeat_and_no_longer() {
        let (mut client, mut owner, ended) = tunnel(b"");
        let mut got = [0; 1];
        for _ in 0..10 {
            sleep(Duration::from_secs(45)).await;
            owner.write_all(b"2").await.unwrap();
            client.read_exact(&mut got).await.unwrap();
        }
        let silent = Instant::now();
        assert_eq!(ended.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(silent.elapsed().as_secs(), 50);
        assert_eq!(client.read(&mut got).await.unwrap(), 0);
    }

    #[test]
    fn only_an_owner_that_is_gone_makes_its_sessions_unknown() {
        let unknown = Answer::from(OpenError::UnknownSession);
        assert_eq!(answer_for(io::ErrorKind::ConnectionRefused), unknown);
        assert_eq!(answer_for(io::ErrorKind::ConnectionReset), unknown);
        assert_eq!(answer_for(io::ErrorKind::TimedOut), Answer::UNAVAILABLE);
    }
}
