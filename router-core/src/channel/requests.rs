//! Requests of this node's sockets that wait for another client's reply.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{
    ChannelName,
    frame::{RequestReply, Sender},
};
use crate::{address::TenantId, args::Args, error::RouteError, id::MessageId};

/// What came back, and from whom.
pub(super) type Reply = (Sender, Result<Args, RouteError>);

/// What a request is about.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: MessageId,
    pub(super) channel: ChannelName,
    /// The only one who may reply, where one was asked.
    pub(super) asked: Option<TenantId>,
}

#[derive(Debug)]
struct Open {
    request: Request,
    tell: oneshot::Sender<Reply>,
}

/// The requests that wait, by who waits.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<HashMap<TenantId, Vec<Open>>>);

/// One request. Dropped, it waits no more.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    requests: &'a Requests,
    requester: TenantId,
    id: MessageId,
    told: oneshot::Receiver<Reply>,
}

/// As many requests of the socket wait as may.
#[derive(Debug)]
pub(super) struct TooMany;

impl Requests {
    fn open(&self) -> MutexGuard<'_, HashMap<TenantId, Vec<Open>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait.
    pub(super) fn begin(
        &self,
        requester: &TenantId,
        request: Request,
        max: usize,
    ) -> Result<Waiting<'_>, TooMany> {
        let (tell, told) = oneshot::channel();
        let id = request.id.clone();
        let mut open = self.open();
        let theirs = open.entry(requester.clone()).or_default();
        if theirs.len() >= max {
            if theirs.is_empty() {
                open.remove(requester);
            }
            return Err(TooMany);
        }
        theirs.push(Open { request, tell });
        Ok(Waiting { requests: self, requester: requester.clone(), id, told })
    }

    /// Takes a request that waits, if `fits` says so.
    fn take(&self, requester: &TenantId, fits: impl Fn(&Request) -> bool) -> Option<Open> {
        let mut open = self.open();
        let theirs = open.get_mut(requester)?;
        let at = theirs.iter().position(|open| fits(&open.request))?;
        let taken = theirs.swap_remove(at);
        if theirs.is_empty() {
            open.remove(requester);
        }
        Some(taken)
    }

    /// A reply came. Returns whether anybody waited for just this one; what nobody asked for, or
    /// somebody else was asked for, is dropped.
    pub(super) fn replied(&self, reply: RequestReply, args: Args) -> bool {
        let RequestReply { channel, re, to, sender, failed, .. } = reply;
        let fits = |request: &Request| {
            request.id.as_str() == &*re
                && request.channel == channel
                && request.asked.as_ref().is_none_or(|asked| sender.address.tid() == Some(asked))
        };
        let Some(open) = self.take(&to, fits) else { return false };
        let outcome = match RouteError::from_args(&args).filter(|_| failed) {
            Some(error) => Err(error),
            None if failed => Err(RouteError::internal()),
            None => Ok(args),
        };
        open.tell.send((sender, outcome)).is_ok()
    }

    /// A socket is gone: it waits for nothing any more.
    pub(super) fn forget(&self, requester: &TenantId) {
        self.open().remove(requester);
    }
}

impl Waiting<'_> {
    /// The first reply; `None` when the requester is gone.
    pub(super) async fn reply(mut self) -> Option<Reply> {
        (&mut self.told).await.ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.requests.take(&self.requester, |request| request.id == self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{id::MessageIds, session::Site};

    fn tid(text: &str) -> TenantId {
        text.parse().unwrap()
    }

    fn reply(re: &MessageId, to: &str, from: &str) -> RequestReply {
        RequestReply {
            channel: "exam".parse().unwrap(),
            re: re.as_str().into(),
            to: tid(to),
            sender: Sender {
                address: format!("ws/0/{from}").parse().unwrap(),
                client: None,
                user: None,
                at: 1,
            },
            site: Site::main(),
            failed: false,
        }
    }

    fn begin<'a>(requests: &'a Requests, ids: &MessageIds, asked: Option<&str>) -> Waiting<'a> {
        let (id, channel) = (ids.next(), "exam".parse().unwrap());
        let request = Request { id, channel, asked: asked.map(tid) };
        requests.begin(&tid("ann"), request, 2).unwrap()
    }

    #[tokio::test]
    async fn the_first_fitting_reply_counts_and_no_other() {
        let (requests, ids) = (Requests::default(), MessageIds::new());
        let waiting = begin(&requests, &ids, Some("bob"));
        let id = waiting.id.clone();
        // Of another id, to another socket, from somebody who was not asked, on another channel.
        assert!(!requests.replied(reply(&ids.next(), "ann", "bob"), Args::EMPTY));
        assert!(!requests.replied(reply(&id, "eve", "bob"), Args::EMPTY));
        assert!(!requests.replied(reply(&id, "ann", "eve"), Args::EMPTY));
        let elsewhere =
            RequestReply { channel: "other".parse().unwrap(), ..reply(&id, "ann", "bob") };
        assert!(!requests.replied(elsewhere, Args::EMPTY));
        assert!(requests.replied(reply(&id, "ann", "bob"), Args::one(&7).unwrap()));
        assert!(!requests.replied(reply(&id, "ann", "bob"), Args::one(&8).unwrap()));
        let (sender, outcome) = waiting.reply().await.unwrap();
        assert_eq!(
            (sender.address.to_string(), outcome.unwrap().json().len()),
            ("ws/0/bob".into(), 1)
        );
        assert!(requests.open().is_empty());
    }

    #[tokio::test]
    async fn a_socket_waits_for_a_bounded_number_and_for_none_when_it_is_gone() {
        let (requests, ids) = (Requests::default(), MessageIds::new());
        let first = begin(&requests, &ids, None);
        drop(begin(&requests, &ids, None));
        let second = begin(&requests, &ids, None);
        let request = Request { id: ids.next(), channel: "exam".parse().unwrap(), asked: None };
        assert!(requests.begin(&tid("ann"), request, 2).is_err());
        requests.forget(&tid("ann"));
        assert_eq!(first.reply().now_or_never().flatten().map(drop), None);
        assert_eq!(second.reply().now_or_never().flatten().map(drop), None);
        assert!(requests.open().is_empty());
    }
}
