//! One suite over every backend: each promise of the traits is one function, named for it.
//!
//! A backend's crate runs it with [`conformance_suite!`](crate::conformance_suite), which emits one
//! test per promise. Each gets [`Two`] processes over one store; names are random, so that tests may
//! share a store and run side by side. Nothing sleeps to wait for a result: conditions are polled
//! with a deadline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "this is a test suite: it fails by panicking, and its functions' names are their docs"
)]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use bytestring::ByteString;
use tokio::{sync::Notify, time::Instant};

use super::{
    Backend,
    bus::{BusSink, Subject},
    records::{RecordKey, RecordKind},
    registry::Holder,
};
use crate::address::Namespace;

pub mod bus;
pub mod channels;
pub mod presence;
pub mod records;
pub mod registry;
pub mod secrets;
pub mod streams;
pub mod tokens;

/// How long a condition may take to come true.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A time to live that no test outlives.
pub const LONG: Duration = Duration::from_secs(300);

/// A time to live that a test waits for, where nothing depends on what happens before.
pub const SHORT: Duration = Duration::from_millis(60);

/// A time to live that a test waits for, long enough to do a few things before.
pub const TERM: Duration = Duration::from_secs(1);

/// The backends of two processes that share one store.
#[derive(Debug, Clone)]
pub struct Two {
    /// The one process.
    pub first: Backend,
    /// The other.
    pub second: Backend,
}

/// Emits one test per promise of the backend traits.
///
/// The argument is an expression that makes a future of [`Two`](crate::backend::conformance::Two),
/// evaluated for each test. The caller's crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! conformance_suite {
    ($two:expr) => {
        $crate::conformance_suite! { @tests ($two)
            bus:
                a_publish_reaches_every_subscriber_its_own_link_included,
                nothing_arrives_after_unsubscribe,
                one_publishers_frames_arrive_in_order,
                a_confirmed_subscription_misses_nothing,
                a_second_subscription_doubles_nothing,
                subjects_do_not_meet,
                frames_of_every_size_arrive_whole,
                a_dropped_link_listens_no_longer,
                a_reconnect_is_announced_and_keeps_the_subscriptions;
            streams:
                an_append_without_a_lease_is_refused,
                an_append_after_the_lease_expired_is_refused,
                an_append_after_release_is_refused,
                an_append_names_the_life_that_accepted_it,
                a_full_stream_refuses_until_entries_are_forgotten,
                entries_come_in_order_and_go_when_they_are_forgotten,
                entries_outlive_the_link_and_the_life,
                a_former_life_takes_and_forgets_nothing,
                an_append_wakes_the_node,
                appends_of_two_senders_are_all_kept_in_each_ones_order,
                streams_of_nodes_do_not_meet;
            registry:
                a_second_holder_is_refused_and_the_first_is_named,
                incarnations_rise_over_release_and_expiry,
                a_renewed_lease_outlives_its_first_term,
                a_lost_lease_is_not_renewed,
                a_former_lifes_release_frees_nothing,
                a_life_that_ended_never_lives_again,
                only_the_exactly_named_dead_holder_is_taken_over,
                of_racing_holders_one_wins,
                node_zero_is_a_node_of_its_own,
                the_live_nodes_are_listed_by_rising_id;
            records:
                a_record_is_created_once,
                a_write_with_a_stale_version_conflicts,
                versions_are_not_reused_after_a_removal,
                a_record_expires,
                a_touched_record_lives_on,
                a_removed_record_is_gone,
                two_writers_lose_nothing,
                sites_kinds_and_ids_do_not_meet,
                any_bytes_are_kept_as_they_are;
            channels:
                offsets_count_up_from_one_for_all_publishers,
                a_published_frame_reaches_every_listener_with_its_position,
                racing_publishers_frames_are_heard_in_the_order_of_their_offsets,
                what_is_published_after_a_position_was_read_is_heard,
                channels_of_sites_and_users_do_not_meet;
            presence:
                who_enters_a_roster_is_told_and_counted,
                who_enters_twice_is_told_once_unless_something_changed,
                who_is_lost_and_comes_back_is_told_once_each,
                a_removal_leaves_nothing_and_versions_rise_all_the_same,
                a_roster_that_nobody_is_on_has_its_epoch,
                what_is_said_of_a_member_is_kept_as_it_is,
                rosters_of_channels_do_not_meet,
                only_its_owner_changes_a_member,
                a_client_moves_between_owners_and_nobody_is_told,
                an_older_request_that_comes_late_changes_nothing,
                an_entrance_once_more_takes_nobody_from_a_newer_socket_that_is_there,
                of_racing_owners_one_has_the_client_and_each_change_is_told_once,
                a_dead_owners_members_are_adopted_once_however_many_try,
                a_life_that_was_adopted_from_enters_nobody,
                whom_an_owner_holds_is_listed_in_parts,
                notes_are_kept_until_exactly_they_are_taken_back,
                whoever_notes_something_is_an_owner_until_it_is_forgotten,
                a_life_is_sealed_when_its_lease_is_gone_and_notes_nothing_then,
                a_page_is_in_the_order_of_ids_and_leads_to_the_next,
                pages_and_the_changes_meanwhile_make_the_whole_roster,
                counts_are_what_the_roster_holds,
                a_member_of_a_roster_of_ten_thousand_costs_what_one_of_ten_does;
            tokens:
                of_a_hundred_takers_one_gets_the_token,
                a_token_expires,
                tokens_of_sites_do_not_meet;
            secrets:
                the_first_secret_wins,
                racing_processes_agree_on_a_secret,
                a_secret_lives_on_while_it_is_shared;
        }
    };
    (@tests ($two:expr) $($module:ident: $($promise:ident),+;)+) => {
        $($(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::backend::conformance::$module::$promise($two.await).await;
            }
        )+)+
    };
}

/// Asks until there is an answer, and fails naming `what` after [`DEADLINE`].
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns when whatever was given `ttl` to live before this call is past it, by the store's own
/// clock: a record of the same time to live, written now, is seen to expire.
pub async fn outlive(backend: &Backend, ttl: Duration) {
    let key = RecordKey { kind: RecordKind::Session, site: "clock".into(), id: fresh_id() };
    backend.records.write(&key, None, Bytes::new(), ttl).await.unwrap();
    eventually("the clock's record to expire", async || {
        backend.records.load(&key).await.unwrap().is_none().then_some(())
    })
    .await;
}

/// A namespace that nobody else uses.
pub fn fresh_ns() -> Namespace {
    format!("t{:016x}", getrandom::u64().unwrap()).parse().unwrap()
}

/// A text that nobody else uses.
pub fn fresh_id() -> ByteString {
    format!("{:016x}", getrandom::u64().unwrap()).into()
}

/// A holder told from others by its nonce.
pub fn holder(nonce: &str) -> Holder {
    Holder {
        host: "machine/boot".into(),
        pid: 7,
        pid_started: 8,
        nonce: nonce.into(),
        advertise: Some("127.0.0.1:9".into()),
    }
}

/// A sink that remembers what it heard.
#[derive(Debug, Default)]
pub struct Heard {
    frames: Mutex<Vec<(Subject, Bytes)>>,
    resubscribed: AtomicU64,
    changed: Notify,
}

impl BusSink for Heard {
    fn published(&self, subject: &Subject, frame: Bytes) {
        self.frames.lock().unwrap().push((subject.clone(), frame));
        self.changed.notify_waiters();
    }

    fn resubscribed(&self) {
        self.resubscribed.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

impl Heard {
    /// All frames heard on `subject` so far, in order.
    pub fn on(&self, subject: &Subject) -> Vec<Bytes> {
        let frames = self.frames.lock().unwrap();
        frames.iter().filter(|(on, _)| on == subject).map(|(_, frame)| frame.clone()).collect()
    }

    /// How often the link told that it had subscribed anew.
    pub fn resubscriptions(&self) -> u64 {
        self.resubscribed.load(Ordering::SeqCst)
    }

    /// Waits until `wanted` gives an answer, looking after every change.
    ///
    /// # Panics
    /// Naming `what`, when that does not happen within [`DEADLINE`].
    pub async fn until<T>(&self, what: &str, wanted: impl Fn(&Self) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(answer) = wanted(self) {
                    return answer;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(answer) => answer,
            Err(_) => panic!("in vain: {what}; heard {:?}", self.frames.lock().unwrap()),
        }
    }

    /// Waits until `frame` was heard on `subject`.
    pub async fn hears(&self, subject: &Subject, frame: &[u8]) {
        let heard = |heard: &Self| heard.on(subject).iter().any(|on| on == frame).then_some(());
        self.until("a frame", heard).await;
    }
}
