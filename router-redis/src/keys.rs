//! Every key and channel name, its owner, and how long it lives.
//!
//! `P` is the configured prefix. What a script touches together shares a hash tag (`{…}`), and with
//! it a cluster's slot. Redis keeps pub/sub channels apart from keys, but not apart by database
//! number: two systems on one Redis need two prefixes.
//!
//! | name | type | written by | lives |
//! |---|---|---|---|
//! | `P:{ns/nid}:lease` | hash `holder`, `life` | the node that holds it | its time to live (10 s by default), renewed |
//! | `P:{ns/nid}:life` | string, the last incarnation | the node, at acquire | [`LIFE_TTL`] after the last acquire |
//! | `P:{ns/nid}:stream` | stream of `life`, `frame` | senders append, the node forgets | [`STREAM_TTL`] after the last append or take |
//! | `P:{ns}:nodes` | sorted set of node ids by the time they were put there | nodes, at acquire and renew | [`LIST_TTL`] after the last |
//! | `P:session:{n:site:id}`, `P:resume:{…}`, `P:revoked:{…}` | hash `version`, `body` | whoever writes the record | its time to live |
//! | `P:token:{n:site:jti}` | string | the issuer; taken once | its time to live |
//! | `P:chan:{key}:at` | hash `epoch`, `offset` | publishers | [`CHANNEL_TTL`] after the last |
//! | `P:chan:{key}:roster` | hash `epoch`, `version`, counts, fences | whoever changes the roster | while it has members, and [`ROSTER_TTL`] after |
//! | `P:chan:{key}:members` | hash of records by client | the member's owner | until its owner, or whoever adopts from it, removes it |
//! | `P:chan:{key}:order`, `…:held` | sorted sets of clients, and of owner and client | as the members | as the members |
//! | `P:chan:{key}:users` | hash, members of each user | as the members | as the members |
//! | `P:{ns/nid}:notes:LIFE` | sorted set of channels by serial | the node's life | until it, or whoever adopts from it, takes them back |
//! | `P:{ns/nid}:sealed` | string, the last life that is over | whoever adopts from it | [`LIFE_TTL`] after the last |
//! | `P:presence:owners` | set of lives with notes | the lives | until whoever adopted all takes it off |
//! | `P:secret:{name}` | string | the first process that needs it | its time to live |
//!
//! | channel | by | carries |
//! |---|---|---|
//! | `P:{ns}:all` | plain pub/sub | broadcasts to a namespace |
//! | `P:{ns/nid}:to` | plain pub/sub | replies to a node, its probes, and empty frames as wake-ups of its stream |
//! | `P:chan:{key}` | sharded pub/sub, where the server has it | what is said on a channel; a room's key is `room:nsp,room` |
//!
//! `n` is the site's length in bytes, so that no site and id can be read as another pair.

use std::{sync::Arc, time::Duration};

use router_core::{
    Namespace, NodeAddress,
    backend::{
        bus::Subject,
        records::{RecordKey, RecordKind},
        registry::Lease,
        tokens::TokenKey,
    },
    channel::ChannelKey,
};

/// How long a node's last incarnation is remembered. Losing it does no harm, see `acquire.lua`.
pub(crate) const LIFE_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a stream lives that nobody appends to and nobody takes from. A node that was away for
/// longer has let its senders' deadlines pass long ago.
pub(crate) const STREAM_TTL: Duration = Duration::from_secs(3600);

/// How long a channel's position is remembered that nobody publishes on.
pub(crate) const CHANNEL_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the epoch, the version and the fences of a roster without members are remembered: longer
/// than any request about it can be under way, and no longer, since clients may name many channels.
pub(crate) const ROSTER_TTL: Duration = Duration::from_secs(3600);

/// How long a namespace's list lives that no node renews.
pub(crate) const LIST_TTL: Duration = Duration::from_secs(24 * 3600);

/// The longest time to live that is written, 10 years: Redis refuses what overflows its clock.
const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A time to live as Redis takes it: whole milliseconds, at least one.
pub(crate) fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.clamp(Duration::from_millis(1), TTL_MAX).as_millis()).unwrap_or(u64::MAX)
}

/// Makes the names.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: Arc<str>,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(crate) fn lease(&self, node: &NodeAddress) -> String {
        format!("{}:{{{node}}}:lease", self.prefix)
    }

    pub(crate) fn life(&self, node: &NodeAddress) -> String {
        format!("{}:{{{node}}}:life", self.prefix)
    }

    pub(crate) fn stream(&self, node: &NodeAddress) -> String {
        format!("{}:{{{node}}}:stream", self.prefix)
    }

    pub(crate) fn nodes(&self, ns: &Namespace) -> String {
        format!("{}:{{{ns}}}:nodes", self.prefix)
    }

    pub(crate) fn record(&self, key: &RecordKey) -> String {
        let kind = match key.kind {
            RecordKind::Session => "session",
            RecordKind::Resume => "resume",
            RecordKind::Revoked => "revoked",
            // A kind that router-core has and this crate does not know yet: still a name of its own.
            other => return self.of_site(&format!("{other:?}").to_lowercase(), &key.site, &key.id),
        };
        self.of_site(kind, &key.site, &key.id)
    }

    pub(crate) fn token(&self, key: &TokenKey) -> String {
        self.of_site("token", &key.site, &key.jti)
    }

    pub(crate) fn secret(&self, name: &str) -> String {
        format!("{}:secret:{{{name}}}", self.prefix)
    }

    pub(crate) fn channel(&self, subject: &Subject) -> Option<String> {
        match subject {
            Subject::Namespace(ns) => Some(format!("{}:{{{ns}}}:all", self.prefix)),
            Subject::Node(node) => Some(self.node_channel(node)),
            Subject::Channel(name) => Some(format!("{}:chan:{{{name}}}", self.prefix)),
            _ => None,
        }
    }

    pub(crate) fn position(&self, channel: &ChannelKey) -> String {
        format!("{}:chan:{{{}}}:at", self.prefix, channel.as_str())
    }

    /// A roster's keys, in the order in which its scripts take them.
    pub(crate) fn roster(&self, channel: &ChannelKey) -> [String; 5] {
        let (prefix, key) = (&self.prefix, channel.as_str());
        ["roster", "members", "order", "held", "users"]
            .map(|part| format!("{prefix}:chan:{{{key}}}:{part}"))
    }

    pub(crate) fn notes(&self, owner: &Lease) -> String {
        format!("{}:{{{}}}:notes:{}", self.prefix, owner.node, owner.incarnation)
    }

    pub(crate) fn sealed(&self, node: &NodeAddress) -> String {
        format!("{}:{{{node}}}:sealed", self.prefix)
    }

    pub(crate) fn owners(&self) -> String {
        format!("{}:presence:owners", self.prefix)
    }

    pub(crate) fn node_channel(&self, node: &NodeAddress) -> String {
        format!("{}:{{{node}}}:to", self.prefix)
    }

    fn of_site(&self, kind: &str, site: &str, id: &str) -> String {
        format!("{}:{kind}:{{{}:{site}:{id}}}", self.prefix, site.len())
    }
}

#[cfg(test)]
mod tests {
    use router_core::{Incarnation, session::Site};

    use super::*;
    use crate::slot::slot_of;

    #[test]
    fn what_a_script_touches_together_is_in_one_slot() {
        let keys = Keys::new("whisk");
        let node: NodeAddress = "ws/1".parse().unwrap();
        let slot = slot_of(&keys.lease(&node));
        let lease = Lease { node: node.clone(), incarnation: Incarnation(7) };
        let of_node = [keys.life(&node), keys.stream(&node), keys.node_channel(&node)];
        for key in of_node.into_iter().chain([keys.sealed(&node), keys.notes(&lease)]) {
            assert_eq!(slot_of(&key), slot, "{key}");
        }
        let channel = ChannelKey::new(&Site::main(), &"exam:1".parse().unwrap());
        let heard_on = keys.channel(&channel.subject()).unwrap();
        assert_eq!(slot_of(&keys.position(&channel)), slot_of(&heard_on));
        for key in keys.roster(&channel) {
            assert_eq!(slot_of(&key), slot_of(&heard_on), "{key}");
        }
    }

    #[test]
    fn no_site_and_id_are_read_as_another_pair() {
        let keys = Keys::new("whisk");
        let token =
            |site: &str, jti: &str| keys.token(&TokenKey { site: site.into(), jti: jti.into() });
        assert_ne!(token("a", "b:c"), token("a:b", "c"));
        assert_ne!(token("", "a:b"), token("a", "b"));
    }

    #[test]
    fn a_time_to_live_is_at_least_a_millisecond_and_no_overflow() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_millis(1500)), 1500);
        assert_eq!(millis(Duration::MAX), millis(TTL_MAX));
    }
}
