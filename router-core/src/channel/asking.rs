//! Questions to many sockets, whose answers come one by one.
//!
//! The question goes where the nodes listen that have such sockets. Each of them first says whom it
//! asks, then what each said, on the asking node's own subject and in this order; so the asker knows
//! who is missing at its deadline.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, Sleep},
};

use super::{
    PublishError,
    frame::{Answer, Audience, Question, Said, Word},
    node::ChannelNode,
};
use crate::{
    address::Address, args::Args, backend::bus::Subject, error::RouteError, id::MessageId,
    metrics::Metrics, session::UserId, socket::RemoteSocket,
};

/// How many sockets one frame names: with the longest names, still less than 256 KiB.
const NAMED: usize = 400;

/// What one socket said.
#[derive(Debug)]
pub struct Answered {
    /// The socket.
    pub address: Address,
    /// Its user, where it has one.
    pub user: Option<UserId>,
    /// Its acknowledgement, or why there is none: the client's own error, or that it went meanwhile.
    pub answer: Result<Args, RouteError>,
}

/// The answers to a question, as they come. It ends when all have answered, or at the deadline; what
/// [`missing`](Self::missing) says is whole then.
#[derive(Debug)]
pub struct Answers {
    node: Arc<ChannelNode>,
    id: MessageId,
    heard: mpsc::Receiver<(Said, Args)>,
    end: Pin<Box<Sleep>>,
    /// Nodes that heard the question and have not said all whom they ask.
    nodes: u64,
    /// Who was asked and has not answered.
    waiting: HashMap<Address, Option<UserId>>,
}

impl Answers {
    /// Who was asked and has not answered.
    pub fn missing(&self) -> impl Iterator<Item = (&Address, Option<&UserId>)> {
        self.waiting.iter().map(|(address, user)| (address, user.as_ref()))
    }

    /// How many nodes were reached, as far as the bus knows, and have not said whom they ask. Zero
    /// but where a node died or its link broke in this moment.
    pub fn unheard_nodes(&self) -> u64 {
        self.nodes
    }

    fn hear(&mut self, said: Said, args: Args) -> Option<Answered> {
        let (address, answer) = match said {
            Said::Members { more } => {
                self.waiting.extend(args.first::<Vec<_>>().unwrap_or_default());
                if !more {
                    self.nodes = self.nodes.saturating_sub(1);
                }
                return None;
            }
            Said::Value(address) => (address, Ok(args)),
            Said::Failed(address) => {
                (address, Err(RouteError::from_args(&args).unwrap_or_else(RouteError::internal)))
            }
        };
        // One that was not asked, or answered already, has nothing to say.
        let user = self.waiting.remove(&address)?;
        Some(Answered { address, user, answer })
    }
}

impl Stream for Answers {
    type Item = Answered;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answered>> {
        loop {
            if self.nodes == 0 && self.waiting.is_empty() {
                return Poll::Ready(None);
            }
            match self.heard.poll_recv(cx) {
                Poll::Ready(Some((said, args))) => {
                    if let Some(answered) = self.hear(said, args) {
                        return Poll::Ready(Some(answered));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return self.end.as_mut().poll(cx).map(|()| None),
            }
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.node.asking.open().remove(&self.id);
    }
}

/// The questions of this node that wait for answers.
#[derive(Debug, Default)]
pub(super) struct Asking(Mutex<HashMap<MessageId, mpsc::Sender<(Said, Args)>>>);

impl Asking {
    fn open(&self) -> MutexGuard<'_, HashMap<MessageId, mpsc::Sender<(Said, Args)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node said something to a question.
    pub(super) fn answered(&self, Answer { id, said }: Answer, args: Args, metrics: &Metrics) {
        let open = self.open();
        if let Some(tell) = open.get(&id)
            && let Err(TrySendError::Full(_)) = tell.try_send((said, args))
        {
            // Its socket is named as missing.
            metrics.limit("answer_queue");
        }
    }
}

impl ChannelNode {
    /// Asks all sockets of an audience that listens at `at`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        at: Subject,
        to: Audience,
        event: &str,
        args: Args,
        deadline: Duration,
    ) -> Result<Answers, PublishError> {
        let id = self.bus.shared.ids.next();
        // tokio's channel has a bound of its own, far above anything useful.
        let queue = self.limits().answer_queue.get().unwrap_or(u64::MAX);
        let queue = usize::try_from(queue).unwrap_or(usize::MAX).clamp(1, 1 << 20);
        let (tell, heard) = mpsc::channel(queue);
        self.asking.open().insert(id.clone(), tell);
        let mut answers = Answers {
            node: Arc::clone(self),
            id: id.clone(),
            heard,
            end: Box::pin(tokio::time::sleep(deadline)),
            nodes: 0,
            waiting: HashMap::new(),
        };
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let origin = self.bus.node().clone();
        let question = Question { to, event: event.into(), id, origin, deadline_ms };
        answers.nodes = self.say(at, Word::Question(question), args).await?;
        Ok(answers)
    }

    /// Asks this node's own sockets, and tells the asking node.
    pub(super) async fn answer(self: Arc<Self>, question: Question, args: Args) {
        let Question { to, event, id, origin, deadline_ms } = question;
        let until = Instant::now() + Duration::from_millis(deadline_ms);
        let asked = match self.recipients(to) {
            Some(who) => self.hub.describe(who).await,
            None => Vec::new(),
        };
        let tell = async |said, args| {
            let word = Word::Answer(Answer { id: id.clone(), said });
            if let Err(error) = self.say(Subject::Node(origin.clone()), word, args).await {
                tracing::debug!(%error, "an answer did not leave");
            }
        };
        let mut parts = asked.chunks(NAMED).peekable();
        loop {
            let members: Vec<_> = parts.next().unwrap_or_default().iter().map(named).collect();
            let more = parts.peek().is_some();
            // Addresses and names can always be written.
            tell(Said::Members { more }, Args::one(&members).unwrap_or_default()).await;
            if !more {
                break;
            }
        }
        let answers = asked.iter().map(|socket| async {
            let Some(tid) = socket.address.tid() else { return };
            let asked = self.hub.ask(tid, event.clone(), args.clone());
            let address = socket.address.clone();
            match tokio::time::timeout_at(until, asked).await {
                Ok(Ok(answer)) => match error_in(&answer) {
                    None => tell(Said::Value(address), answer).await,
                    Some(error) => tell(Said::Failed(address), error.to_args()).await,
                },
                Ok(Err(error)) => {
                    tell(Said::Failed(address), RouteError::from(error).to_args()).await;
                }
                // The asker's own deadline is over, too.
                Err(_) => {}
            }
        });
        answers.collect::<FuturesUnordered<_>>().collect::<()>().await;
    }
}

fn named(socket: &RemoteSocket) -> (Address, Option<UserId>) {
    (socket.address.clone(), socket.user_id.clone())
}

/// The error that a client answered with, in the shape of the server's own.
fn error_in(answer: &Args) -> Option<RouteError> {
    // No value of ours has this key alone; most answers are not even objects.
    if !answer.json().starts_with(r#"{"error""#) {
        return None;
    }
    RouteError::from_args(answer)
}
