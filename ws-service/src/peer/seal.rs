//! The seal on a request that one node passes to another.
//!
//! One header line says which node passes the request on, for which client and when, signed with a
//! key that the nodes share. It makes two things believed: that the request was passed on already,
//! so that it is never passed on again; and whose request it is. It opens nothing by itself: whoever
//! may read a session still needs the session's id. That is why a seal that somebody got hold of is
//! worth so little that its short life is enough against replays, and no node remembers the ones
//! that it has seen.
//!
//! A line that does not verify is passed over, and the request is a client's like any other.

use std::{net::IpAddr, time::Duration};

use router_core::{
    NodeId,
    keys::{KeyRing, sign, verify},
};

/// The header that carries a seal.
pub(crate) const HEADER: &str = "whisk-peer";

/// How far the clocks of two nodes may be apart, and how long a request may be on its way.
const WINDOW: Duration = Duration::from_secs(30);

/// What the keys are derived for: nothing else that they sign is a seal.
const PURPOSE: &str = "peer";

/// The only form of the line so far; its first field.
const VERSION: &str = "1";

/// Seals requests, and judges seals. Pure: the time is handed to it.
pub(crate) struct Sealer {
    /// This node, as it names itself.
    from: NodeId,
    /// The keys' ids and secrets, the signing one first.
    keys: Vec<(String, [u8; 32])>,
}

/// What a good seal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The node that passed the request on.
    pub(crate) from: NodeId,
    /// The client whose request it is, as that node knows it.
    pub(crate) client: IpAddr,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Sealer {
    /// Seals of the node `from`, with the keys that all nodes have.
    pub(crate) fn new(from: NodeId, ring: &KeyRing) -> Self {
        let keys = ring.live().map(|key| (key.id().to_owned(), key.derive(PURPOSE))).collect();
        Self { from, keys }
    }

    /// The line for a request with this method and target (path and query) of `client`, made at
    /// `now` (time since 1970). `None` if the signature cannot be made.
    pub(crate) fn seal(
        &self,
        method: &str,
        target: &str,
        client: IpAddr,
        now: Duration,
    ) -> Option<String> {
        let (id, secret) = self.keys.first()?;
        let (from, client, at) =
            (self.from.to_string(), client.to_string(), now.as_millis().to_string());
        let signature = sign(secret, &[VERSION, method, target, &from, &client, &at])?;
        Some([VERSION, id, &from, &client, &at, &signature].join(","))
    }

    /// What the line says, if it is a fellow node's, about this request, and fresh at `now`.
    pub(crate) fn open(
        &self,
        line: &str,
        method: &str,
        target: &str,
        now: Duration,
    ) -> Option<Sealed> {
        let mut fields = line.split(',');
        let mut next = || fields.next();
        let (version, id, from, client, at, signature) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        if next().is_some() || version != VERSION {
            return None;
        }
        let (_, secret) = self.keys.iter().find(|(live, _)| live == id)?;
        if !verify(secret, &[version, method, target, from, client, at], signature) {
            return None;
        }
        let made = Duration::from_millis(at.parse().ok()?);
        let fresh = now.abs_diff(made) <= WINDOW;
        fresh.then_some(Sealed { from: from.parse().ok()?, client: client.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use router_core::keys::Key;

    use super::*;

    const TARGET: &str = "/socket.io/?EIO=4&transport=polling&sid=1.a.0.secret";
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn client() -> IpAddr {
        "2001:db8::7".parse().unwrap()
    }

    fn key(id: &str) -> Key {
        format!("{id}:{id}-0123456789abcdef0123456789abcdef").parse().unwrap()
    }

    fn sealer(nid: u32, current: &str, previous: Option<&str>) -> Sealer {
        let ring = KeyRing::new(key(current), previous.map(key)).unwrap();
        Sealer::new(NodeId(nid), &ring)
    }

    #[test]
    fn a_fellow_nodes_seal_tells_who_and_for_whom() {
        let line = sealer(3, "a", None).seal("GET", TARGET, client(), NOW).unwrap();
        let sealed = Sealed { from: NodeId(3), client: client() };
        assert_eq!(sealer(1, "a", None).open(&line, "GET", TARGET, NOW), Some(sealed));
    }

    #[test]
    fn while_keys_are_changed_both_are_believed() {
        let old = sealer(3, "a", None).seal("GET", TARGET, client(), NOW).unwrap();
        let new = sealer(3, "b", Some("a")).seal("GET", TARGET, client(), NOW).unwrap();
        let changing = sealer(1, "b", Some("a"));
        assert!(changing.open(&old, "GET", TARGET, NOW).is_some());
        assert!(changing.open(&new, "GET", TARGET, NOW).is_some());
        // Not yet changed, or changed for good.
        assert_eq!(sealer(1, "a", None).open(&new, "GET", TARGET, NOW), None);
        assert_eq!(sealer(1, "b", None).open(&old, "GET", TARGET, NOW), None);
    }

    #[test]
    fn a_seal_is_for_one_request() {
        let line = sealer(3, "a", None).seal("GET", TARGET, client(), NOW).unwrap();
        let here = sealer(1, "a", None);
        assert_eq!(here.open(&line, "POST", TARGET, NOW), None);
        assert_eq!(here.open(&line, "GET", "/socket.io/?sid=other", NOW), None);
    }

    #[test]
    fn an_old_seal_is_worth_nothing_and_neither_is_one_from_the_future() {
        let line = sealer(3, "a", None).seal("GET", TARGET, client(), NOW).unwrap();
        let here = sealer(1, "a", None);
        let late = WINDOW + Duration::from_millis(1);
        assert!(here.open(&line, "GET", TARGET, NOW + WINDOW).is_some());
        assert_eq!(here.open(&line, "GET", TARGET, NOW + late), None);
        assert_eq!(here.open(&line, "GET", TARGET, NOW - late), None);
    }

    #[test]
    fn a_forged_or_changed_seal_is_worth_nothing() {
        let line = sealer(3, "a", None).seal("GET", TARGET, client(), NOW).unwrap();
        let here = sealer(1, "a", None);
        // Another key under the same id.
        let other = "a:another-0123456789abcdef0123456789abcdef".parse().unwrap();
        let forger = Sealer::new(NodeId(3), &KeyRing::new(other, None).unwrap());
        let forged = forger.seal("GET", TARGET, client(), NOW).unwrap();
        let (head, signature) = line.rsplit_once(',').unwrap();
        for wrong in [
            forged,
            line.replace("2001:db8::7", "2001:db8::8"),
            line.replacen(",3,", ",4,", 1),
            line.replacen("1,", "2,", 1),
            line.replacen(",a,", ",b,", 1),
            format!("{line},"),
            format!("{head},"),
            format!("{head},{}", &signature[1..]),
            head.to_owned(),
            String::new(),
            ",,,,,".to_owned(),
        ] {
            assert_eq!(here.open(&wrong, "GET", TARGET, NOW), None, "{wrong}");
        }
        assert!(here.open(&line, "GET", TARGET, NOW).is_some());
    }
}
