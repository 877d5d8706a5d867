//! What is under a connection: plain TCP, TLS over it, the requests of a polling session, or a
//! WebSocket in somebody's App.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use actix_rt::net::TcpStream;
use actix_tls::accept::rustls_0_23::TlsStream;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::{CloseCode, CloseReason, ws};

use super::{
    outbox::{Outbox, SLICES},
    polling::Polling,
};
use crate::{
    clock::Moment,
    mount::{Abroad, Mounted},
    patience,
    respond::{self, Answer},
};

/// A socket that was taken over from the HTTP service, or requests that come through it.
pub(crate) enum Stream {
    /// As it is.
    Tcp(TcpStream),
    /// Boxed, so that plain sockets do not pay for the state of TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Long-polling: no socket, but the request that waits.
    Polling(Polling),
    /// A WebSocket whose TCP socket stays with an App's HTTP service.
    Mounted(Box<Mounted>),
    /// Closed already.
    Gone,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Tls(_) => "Tls",
            Self::Polling(_) => "Polling",
            Self::Mounted(_) => "Mounted",
            Self::Gone => "Gone",
        })
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrote {
    /// Bytes that the socket took.
    pub(crate) bytes: usize,
    /// Whether it takes no more for now; the context's waker is called when it does.
    pub(crate) blocked: bool,
}

impl Stream {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::Polling(_) | Self::Mounted(_) | Self::Gone => None,
        }
    }

    /// The requests of a polling session.
    pub(crate) fn polling(&mut self) -> Option<&mut Polling> {
        match self {
            Self::Polling(polling) => Some(polling),
            Self::Tcp(_) | Self::Tls(_) | Self::Mounted(_) | Self::Gone => None,
        }
    }

    /// Refuses whoever asked for an upgrade on this socket.
    pub(crate) async fn refuse(self, answer: Answer) {
        match self {
            Self::Tcp(stream) => answer.write(stream).await,
            Self::Tls(stream) => answer.write(stream).await,
            Self::Mounted(mut stream) => stream.answer(Err(answer)),
            Self::Polling(_) | Self::Gone => {}
        }
    }

    /// Grants the upgrade, where it is not this socket's own to answer it.
    pub(crate) fn grant(&mut self) {
        if let Self::Mounted(stream) = self {
            stream.answer(Ok(()));
        }
    }

    /// Answers whoever asked for an upgrade on this socket, and closes it at once.
    pub(crate) async fn turn_away(mut self, response: Bytes) {
        self.grant();
        let close = ws::encode::close(CloseCode::NORMAL, &CloseReason::default());
        let last = [response, close].concat();
        match self {
            Self::Tcp(stream) => respond::write_last(stream, &last).await,
            Self::Tls(stream) => respond::write_last(stream, &last).await,
            Self::Mounted(stream) => respond::write_last(stream, &last).await,
            Self::Polling(_) | Self::Gone => {}
        }
    }

    /// Takes the socket from its thread, to be sent to another.
    pub(crate) fn depart(self) -> io::Result<Traveller> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Traveller::Tcp),
            Self::Tls(stream) => Ok(Traveller::Tls(stream)),
            Self::Mounted(stream) => Ok(Traveller::Mounted(Box::new(stream.depart()))),
            Self::Polling(_) | Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The outbox decides from now on when a peer is too slow.
    pub(crate) fn be_patient(&self) {
        if let Some(stream) = self.tcp() {
            patience::bound(stream, None);
        }
    }

    /// Frames are small and each is a message: none waits for another (RFC 896's algorithm off).
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.tcp().map_or(Ok(()), |stream| stream.set_nodelay(true))
    }

    /// Reads into `scratch`; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(scratch);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, &mut buffer),
            Self::Mounted(stream) => Pin::new(&mut **stream).poll_read(cx, &mut buffer),
            Self::Polling(_) => Poll::Pending,
            Self::Gone => Poll::Ready(Ok(())),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    /// Writes as much of `outbox` as the socket takes, many frames at once.
    pub(crate) fn write(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
        now: Moment,
    ) -> io::Result<Wrote> {
        match self {
            Self::Polling(polling) => return Ok(polling.write(outbox, now)),
            Self::Mounted(stream) => return stream.write(cx, outbox, now),
            Self::Tcp(_) | Self::Tls(_) | Self::Gone => {}
        }
        let mut bytes = 0;
        if outbox.has_below() && self.is_writable_again(cx) {
            outbox.progressed(now);
        }
        while !outbox.is_empty() {
            let polled = match outbox.only() {
                Some(frame) => self.poll_write(cx, frame),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = outbox.slices(&mut slices);
                    self.poll_write_vectored(cx, &slices[..count])
                }
            };
            match polled {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    bytes += written;
                    outbox.advance(written, now);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.note_below(outbox, bytes);
                    return Ok(Wrote { bytes, blocked: true });
                }
            }
        }
        let blocked = self.poll_flush(cx)?.is_pending();
        if blocked {
            self.note_below(outbox, bytes);
        } else {
            outbox.nothing_below();
        }
        Ok(Wrote { bytes, blocked })
    }

    /// Writes a frame, if nothing lies between it and the kernel.
    pub(crate) fn write_plain(
        &mut self,
        cx: &mut Context<'_>,
        frame: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        match self {
            Self::Tcp(stream) => Some(Pin::new(stream).poll_write(cx, frame)),
            Self::Tls(_) | Self::Polling(_) | Self::Mounted(_) | Self::Gone => None,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, frame: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, frame),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, frame),
            Self::Polling(_) | Self::Mounted(_) | Self::Gone => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        frames: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, frames),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, frames),
            Self::Polling(_) | Self::Mounted(_) | Self::Gone => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    /// TLS may hold records that the socket did not take.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        match self {
            Self::Tls(stream) => match Pin::new(&mut **stream).poll_flush(cx) {
                Poll::Ready(flushed) => flushed.map(Poll::Ready),
                Poll::Pending => Ok(Poll::Pending),
            },
            Self::Tcp(_) | Self::Polling(_) | Self::Mounted(_) | Self::Gone => Ok(Poll::Ready(())),
        }
    }

    /// Where TLS lies between, what it took is not written yet.
    fn note_below(&self, outbox: &mut Outbox, taken: usize) {
        if let Self::Tls(_) = self {
            outbox.keep_below(taken);
        }
    }

    /// Whether the kernel makes room after it had none: the peer reads.
    fn is_writable_again(&self, cx: &mut Context<'_>) -> bool {
        self.tcp().is_some_and(|stream| stream.poll_write_ready(cx).is_ready())
    }

    /// Whether our side can be ended alone, so that the peer sees it and ends its own.
    pub(crate) fn ends_by_halves(&self) -> bool {
        !matches!(self, Self::Mounted(_))
    }

    /// Says that nothing more comes; the peer's side stays open.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            // A body that ends takes the payload with it. It ends when the peer answered.
            Self::Mounted(_) | Self::Polling(_) | Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Closes the socket and lets the kernel forget it, with whatever it still holds: a peer that
    /// takes nothing would keep that alive for minutes.
    pub(crate) fn abort(&mut self) {
        if let Some(stream) = self.tcp()
            && let Err(error) = stream.set_zero_linger()
        {
            tracing::debug!(%error, "a socket keeps its unsent bytes");
        }
        if let Self::Mounted(stream) = self {
            stream.cut();
        }
        *self = Self::Gone;
    }

    /// Closes the socket.
    pub(crate) fn close(&mut self) {
        *self = Self::Gone;
    }
}

/// A socket between two threads.
pub(crate) enum Traveller {
    /// Known to no runtime.
    Tcp(std::net::TcpStream),
    /// TLS cannot be taken apart: the thread that it came from goes on to watch the socket for the
    /// one that has it.
    Tls(Box<TlsStream<TcpStream>>),
    /// The socket stays where it came; its bytes cross over.
    Mounted(Box<Abroad>),
}

impl std::fmt::Debug for Traveller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Tls(_) => "Tls",
            Self::Mounted(_) => "Mounted",
        })
    }
}

impl Traveller {
    /// Arrives on this thread.
    pub(crate) fn arrive(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Tls(stream) => Ok(Stream::Tls(stream)),
            Self::Mounted(abroad) => Ok(Stream::Mounted(Box::new(abroad.arrive()))),
        }
    }
}
