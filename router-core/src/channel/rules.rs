//! What holds for channels: registered by pattern, looked up by name.

use std::{collections::HashMap, fmt, panic::Location, sync::Arc};

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::{
    channel::ChannelName,
    handler::{ErasedHandler, Handler, erase},
    limits::Limits,
    pattern::Pattern,
    presence::Settings,
    route::{Duplicate, Gate, Registered},
};

/// Who may subscribe to a channel for which the program registered neither a gate nor that it is
/// open. Channels whose names begin with `private` are closed then, whatever this says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Nobody.
    #[default]
    Closed,
    /// Everybody who has a socket.
    Open,
}

/// The moments of a channel's life on a node that a program can hook into. On one channel they are
/// seen one after the other, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelHook {
    /// The first socket of this node is on it; comes before that socket's `Subscribed`.
    Opened,
    /// A socket is on it.
    Subscribed,
    /// A socket is on it no more: it left, or it is gone.
    Unsubscribed,
    /// The last socket of this node left it; comes after that socket's `Unsubscribed`.
    Closed,
}

/// What clients may say on a channel that they are on.
#[derive(Clone)]
enum Publishing<G> {
    /// Nothing.
    Closed,
    /// Anything.
    Open,
    /// What these let through.
    Gated(Vec<G>),
}

/// A program's handler that is asked about something on a channel.
#[derive(Clone)]
pub(super) struct Asked {
    /// How many of its pattern's run at once.
    pub(super) pool: Arc<Gate>,
    pub(super) handler: ErasedHandler,
}

/// One channel, or those that fit a pattern, while it is registered.
pub struct ChannelRoutes {
    pub(crate) pattern: Pattern,
    /// How many of its handlers run at once; set when the node's limits are known.
    pool: Arc<Gate>,
    gates: Vec<ErasedHandler>,
    is_open: bool,
    publishing: Publishing<ErasedHandler>,
    topics: HashMap<ByteString, Registered>,
    hooks: HashMap<ChannelHook, Vec<ErasedHandler>>,
    pub(crate) presence: Option<Settings>,
    pub(crate) duplicates: Vec<Duplicate>,
}

impl fmt::Debug for ChannelRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelRoutes").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

impl ChannelRoutes {
    pub(crate) fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            pool: Gate::open(),
            gates: Vec::new(),
            is_open: false,
            publishing: Publishing::Closed,
            topics: HashMap::new(),
            hooks: HashMap::new(),
            presence: None,
            duplicates: Vec::new(),
        }
    }

    /// Lets everybody subscribe, unless a gate refuses.
    pub fn open(&mut self) -> &mut Self {
        self.is_open = true;
        self
    }

    /// Asks `handler` before a socket is put on the channel, whenever it subscribes again, and when
    /// its session changes. An error refuses the socket. Several gates are asked in the order in
    /// which they were registered, until one refuses. A channel with a gate is open to all that the
    /// gate lets in; only the pattern `*`, which fits everything, opens nothing by a gate.
    ///
    /// The extractors are those of an event: [`Payload`](crate::Payload) is the query that the
    /// client sent (`null` without one), [`Channel`](super::Channel) the channel. A gate that does
    /// not answer within the limit `gate_timeout`, or panics, refuses with `unavailable`, which the
    /// client may try again. So does one that puts its own socket on its own channel: it waits for
    /// itself.
    pub fn gate<H, S: 'static, M: 'static>(&mut self, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.gates.push(erase(handler));
        self
    }

    /// Lets every socket that is on the channel publish on it. By default only the server does.
    pub fn publish(&mut self) -> &mut Self {
        if matches!(self.publishing, Publishing::Closed) {
            self.publishing = Publishing::Open;
        }
        self
    }

    /// Lets sockets that are on the channel publish what `handler` does not refuse.
    /// [`EventName`](crate::EventName) is the topic, [`Payload`](crate::Payload) the message.
    pub fn publish_gate<H, S: 'static, M: 'static>(&mut self, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        match &mut self.publishing {
            Publishing::Gated(gates) => gates.push(erase(handler)),
            Publishing::Closed | Publishing::Open => {
                self.publishing = Publishing::Gated(vec![erase(handler)]);
            }
        }
        self
    }

    /// Handles what clients publish and request under `topic` on this node, in place of passing it
    /// on to the others: the returned value is the reply to a request. The channel's other rules
    /// for publishing do not count for it.
    #[track_caller]
    pub fn on<H, S: 'static, M: 'static>(&mut self, topic: &str, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        let at = Location::caller();
        let registered = Registered { handler: erase(handler), at };
        if let Some(first) = self.topics.insert(topic.into(), registered) {
            let name = format!("topic {topic} of channel {}", self.pattern.as_str());
            self.duplicates.push(Duplicate { name, first: first.at, second: at });
        }
        self
    }

    /// Keeps a roster of who is on the channel, by these times. Its sockets get it with their
    /// subscription, hear of every change, and are pinged as often as the times say.
    pub fn presence(&mut self, settings: Settings) -> &mut Self {
        self.presence = Some(settings);
        self
    }

    /// Runs `handler` at a moment of the channel's life on each node. Its error is logged and
    /// changes nothing; what comes next on the channel waits for it, at most for the limit
    /// `gate_timeout`.
    pub fn hook<H, S: 'static, M: 'static>(&mut self, hook: ChannelHook, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.hooks.entry(hook).or_default().push(erase(handler));
        self
    }
}

/// All that a program registered for channels.
#[derive(Debug, Default)]
pub struct ChannelRules {
    /// By pattern, in the order of registration.
    pub routes: Vec<ChannelRoutes>,
    /// What holds where nothing was registered.
    pub access: Access,
}

impl ChannelRules {
    /// Bounds how many gates and topic handlers of each pattern run at once.
    pub(super) fn bound(&mut self, limits: &Limits) {
        for known in &mut self.routes {
            known.pool = Gate::new(limits);
        }
    }

    /// Whether any channel has a roster.
    pub(crate) fn has_presence(&self) -> bool {
        self.routes.iter().any(|known| known.presence.is_some())
    }
}

/// What holds for one channel: all that was registered for patterns that fit its name.
pub(crate) struct Rules {
    pub(super) gates: Vec<Asked>,
    /// Whether somebody may come in whom no gate refuses.
    pub(super) is_open: bool,
    publishing: Publishing<Asked>,
    topics: HashMap<ByteString, Asked>,
    hooks: HashMap<ChannelHook, Vec<ErasedHandler>>,
    /// The times of its roster, if it has one: those of the last pattern that says so.
    pub(super) presence: Option<Settings>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            gates: Vec::new(),
            is_open: false,
            publishing: Publishing::Closed,
            topics: HashMap::new(),
            hooks: HashMap::new(),
            presence: None,
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl Rules {
    /// The rules for a name.
    pub(super) fn of(name: &ChannelName, all: &ChannelRules) -> Arc<Self> {
        let mut rules = Self::default();
        for known in all.routes.iter().filter(|known| known.pattern.fits(name.as_str())) {
            rules.add(known);
        }
        let by_default = all.access == Access::Open && !name.as_str().starts_with("private");
        rules.is_open |= by_default;
        Arc::new(rules)
    }

    fn add(&mut self, known: &ChannelRoutes) {
        let asked = |handler: &ErasedHandler| Asked {
            pool: Arc::clone(&known.pool),
            handler: Arc::clone(handler),
        };
        self.gates.extend(known.gates.iter().map(asked));
        // A gate before everything says who may not, and of nothing that it is open.
        self.is_open |=
            known.is_open || (!known.gates.is_empty() && !known.pattern.is_everything());
        self.presence = known.presence.or(self.presence);
        match (&mut self.publishing, &known.publishing) {
            (_, Publishing::Closed) | (Publishing::Gated(_), Publishing::Open) => {}
            (ours, Publishing::Open) => *ours = Publishing::Open,
            (Publishing::Gated(all), Publishing::Gated(more)) => all.extend(more.iter().map(asked)),
            (ours, Publishing::Gated(gates)) => {
                *ours = Publishing::Gated(gates.iter().map(asked).collect());
            }
        }
        for (topic, registered) in &known.topics {
            self.topics.entry(topic.clone()).or_insert_with(|| asked(&registered.handler));
        }
        for (hook, handlers) in &known.hooks {
            self.hooks.entry(*hook).or_default().extend(handlers.iter().cloned());
        }
    }

    /// Who is asked before a client's message passes; `None` if none may pass.
    pub(super) fn publish_gates(&self) -> Option<&[Asked]> {
        match &self.publishing {
            Publishing::Closed => None,
            Publishing::Open => Some(&[]),
            Publishing::Gated(gates) => Some(gates),
        }
    }

    /// The server's own handler of a topic.
    pub(super) fn topic(&self, topic: &str) -> Option<&Asked> {
        self.topics.get(topic)
    }

    /// What is run at a moment.
    pub(super) fn hooks(&self, hook: ChannelHook) -> &[ErasedHandler] {
        self.hooks.get(&hook).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str, routes: Vec<ChannelRoutes>, access: Access) -> Arc<Rules> {
        Rules::of(&name.parse().unwrap(), &ChannelRules { routes, access })
    }

    fn routes(pattern: &'static str, say: impl FnOnce(&mut ChannelRoutes)) -> ChannelRoutes {
        let mut routes = ChannelRoutes::new(Pattern::new(pattern));
        say(&mut routes);
        routes
    }

    #[test]
    fn without_rules_the_configured_default_counts_and_private_channels_are_closed() {
        assert!(!rules("a", Vec::new(), Access::Closed).is_open);
        assert!(rules("a", Vec::new(), Access::Open).is_open);
        assert!(!rules("private", Vec::new(), Access::Open).is_open);
        assert!(!rules("private-a", Vec::new(), Access::Open).is_open);
        let opened = || {
            vec![routes("private-*", |private| {
                private.open();
            })]
        };
        assert!(rules("private-a", opened(), Access::Closed).is_open);
        assert!(!rules("other", opened(), Access::Closed).is_open);
    }

    #[test]
    fn what_was_registered_for_several_patterns_adds_up() {
        let all = || {
            vec![
                routes("*", |all| {
                    all.gate(async || ()).hook(ChannelHook::Opened, async || ());
                }),
                routes("exam:*", |exam| {
                    exam.publish().gate(async || ()).hook(ChannelHook::Opened, async || ());
                }),
                routes("exam:1", |one| {
                    one.publish_gate(async || ()).on("topic", async || ());
                }),
            ]
        };
        let one = rules("exam:1", all(), Access::Closed);
        assert_eq!((one.gates.len(), one.hooks(ChannelHook::Opened).len()), (2, 2));
        // What is asked of everything opens nothing.
        let private = rules("private-a", all(), Access::Closed);
        assert_eq!((private.gates.len(), private.is_open), (1, false));
        assert!(one.is_open && one.topic("topic").is_some());
        assert_eq!(one.publish_gates().map(<[_]>::len), Some(1));
        let two = rules("exam:2", all(), Access::Closed);
        assert_eq!(two.publish_gates().map(<[_]>::len), Some(0));
        assert!(rules("other", all(), Access::Closed).publish_gates().is_none());
    }
}
