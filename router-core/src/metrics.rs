//! What a process counts. One registry; every limit and every path of a message has its number.
//!
//! The counters are plain atomics, registered once. The page that shows them is the operator's;
//! [`Metrics::encode`] gives it in the OpenMetrics text format.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::limits::Limits;

type Labels = Vec<(&'static str, String)>;

macro_rules! metrics {
    (counters: $($(#[doc = $cdoc:literal])+ $counter:ident;)+
     gauges: $($(#[doc = $gdoc:literal])+ $gauge:ident;)+) => {
        /// The counters of one process.
        pub struct Metrics {
            $($(#[doc = $cdoc])+ pub $counter: Counter,)+
            $($(#[doc = $gdoc])+ pub $gauge: Gauge,)+
            limits: HashMap<&'static str, Counter>,
            closes: Family<Labels, Counter>,
            confirmations: Family<Labels, Counter>,
            registry: Mutex<Registry>,
        }

        impl Metrics {
            /// All counters at 0.
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix("whisk");
                $(let $counter = Counter::default();
                registry.register(stringify!($counter), concat!($($cdoc),+).trim(), $counter.clone());)+
                $(let $gauge = Gauge::default();
                registry.register(stringify!($gauge), concat!($($gdoc),+).trim(), $gauge.clone());)+
                let family = Family::<Labels, Counter>::default();
                registry.register("limit_hits", "How often each limit was reached", family.clone());
                let limits = Limits::NAMES
                    .iter()
                    .map(|name| {
                        let labels = vec![("limit", (*name).to_owned())];
                        (*name, family.get_or_create(&labels).clone())
                    })
                    .collect();
                let closes = Family::default();
                registry.register("closes", "Connections closed, by close code", closes.clone());
                let confirmations = Family::default();
                registry.register(
                    "confirmations",
                    "Confirmations of sockets, by outcome",
                    confirmations.clone(),
                );
                let registry = Mutex::new(registry);
                Self { $($counter,)+ $($gauge,)+ limits, closes, confirmations, registry }
            }
        }
    };
}

metrics! {
    counters:
    /// Events that clients emitted
    events_in;
    /// Events that a handler finished
    events_handled;
    /// Events that had no handler
    events_unknown;
    /// Events whose extractors or handler answered with an error
    events_failed;
    /// Handlers that panicked
    handler_panics;
    /// Messages queued to sockets
    messages_out;
    /// Bytes written to sockets
    bytes_out;
    /// Volatile messages dropped before a slow socket
    volatile_dropped;
    /// Broadcasts given to the bus
    broadcasts_out;
    /// Broadcasts that the bus did not take
    broadcasts_failed;
    /// Broadcasts received from the bus or from this node itself
    broadcasts_in;
    /// Broadcasts dropped before a full observer queue
    broadcasts_dropped;
    /// Emits to sockets of other nodes given to the bus
    emits_out;
    /// Emits from other nodes to sockets of this one
    emits_in;
    /// Emits from other nodes dropped before a full shard queue
    emits_dropped;
    /// Messages given to channels
    publications_out;
    /// Messages that a channel's store did not take
    publications_failed;
    /// Messages heard on channels that this node has sockets on
    publications_in;
    /// Changes of rosters heard on channels that this node has sockets on
    presence_heard;
    /// Replies of clients to requests that nobody waits for
    replies_unasked;
    /// Transmits and asks given to the bus
    transmits_out;
    /// Transmits and asks that were not received, answered or taken
    transmits_failed;
    /// Transmits and asks received
    transmits_in;
    /// Messages for a former life of this node, refused
    transmits_fenced;
    /// Frames from the bus that did not parse
    frames_refused;
    /// Times that the bus link was found deaf and made anew
    link_reconnects;
    /// Times that the node's lease was lost
    leases_lost;
    /// Polls and posts passed to the node that has their session
    peer_requests;
    /// Requests and WebSockets for another node that could not be passed to it
    peer_failed;
    /// Seals of other nodes that were not believed
    peer_seals_refused;
    /// Changes of rosters that this node made and members were told of
    presence_changes;
    /// Requests about rosters that failed and are made again
    presence_retries;
    /// Differences between what this node and the store say it holds, found and mended
    presence_repairs;
    /// Members of dead nodes that this one adopted
    presence_adopted;
    gauges:
    /// Connections that are open
    connections;
    /// Channels that the node listens to
    channels;
    /// Sockets that are confirmed
    sockets;
    /// Connections that are not confirmed yet
    unconfirmed;
    /// Bytes that wait in all outboxes, and of events that wait for their turn
    outbox_bytes;
    /// WebSockets that are passed to the node that has their session
    peer_tunnels;
    /// Members of rosters that this node keeps
    presence_members;
    /// 1 while the node is ready
    ready;
}

impl Metrics {
    /// Counts one hit of a limit, by its field's name in [`Limits`]; an unknown name is ignored.
    pub fn limit(&self, name: &str) {
        if let Some(counter) = self.limits.get(name) {
            counter.inc();
        }
    }

    /// How often a limit was hit.
    pub fn limit_hits(&self, name: &str) -> u64 {
        self.limits.get(name).map_or(0, Counter::get)
    }

    /// Counts a closed connection by the name of its close code.
    pub fn closed(&self, code: &str) {
        self.closes.get_or_create(&vec![("code", code.to_owned())]).inc();
    }

    /// Counts a confirmation by its outcome: `confirmed`, or the error's code.
    pub fn confirmation(&self, outcome: &str) {
        self.confirmations.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    /// All numbers in the OpenMetrics text format.
    ///
    /// # Errors
    /// When formatting fails, which a `String` does not.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limits_hits_are_shown_under_its_name() {
        let metrics = Metrics::new();
        metrics.limit("max_payload");
        metrics.limit("no_such_limit");
        assert_eq!(metrics.limit_hits("max_payload"), 1);
        let text = metrics.encode().unwrap();
        assert!(text.contains(r#"whisk_limit_hits_total{limit="max_payload"} 1"#), "{text}");
        assert!(!text.contains("no_such_limit"), "{text}");
    }
}
