//! What the registry promises about leases.

use super::{LONG, SHORT, TERM, Two, eventually, fresh_ns, holder, outlive};
use crate::{
    address::NodeAddress,
    backend::{
        Backend,
        registry::{AcquireError, Holder, Lease, RenewError},
    },
};

async fn acquire(backend: &Backend, node: &NodeAddress, nonce: &str) -> Lease {
    backend.registry.acquire(node, &holder(nonce), None, LONG).await.unwrap()
}

async fn held_by(backend: &Backend, node: &NodeAddress, dead: Option<&Holder>) -> Holder {
    match backend.registry.acquire(node, &holder("late"), dead, LONG).await {
        Err(AcquireError::Held(holder)) => *holder,
        other => panic!("the lease is not held: {other:?}"),
    }
}

pub async fn a_second_holder_is_refused_and_the_first_is_named(two: Two) {
    let node = fresh_ns().node(3);
    acquire(&two.first, &node, "a").await;
    assert_eq!(held_by(&two.second, &node, None).await, holder("a"));
    assert_eq!(held_by(&two.first, &node, None).await, holder("a"));
}

pub async fn incarnations_rise_over_release_and_expiry(two: Two) {
    let node = fresh_ns().node(3);
    let mut last = acquire(&two.first, &node, "a").await;
    for round in 0..5_u32 {
        two.first.registry.release(&last).await.unwrap();
        let backend = if round % 2 == 0 { &two.second } else { &two.first };
        let next = acquire(backend, &node, "b").await;
        assert!(next.incarnation > last.incarnation);
        last = next;
    }
    two.first.registry.release(&last).await.unwrap();
    let brief = two.first.registry.acquire(&node, &holder("c"), None, SHORT).await.unwrap();
    let next = eventually("the lease to expire", async || {
        two.second.registry.acquire(&node, &holder("d"), None, LONG).await.ok()
    })
    .await;
    assert!(next.incarnation > brief.incarnation);
}

pub async fn a_renewed_lease_outlives_its_first_term(two: Two) {
    let node = fresh_ns().node(3);
    let lease = two.first.registry.acquire(&node, &holder("a"), None, TERM).await.unwrap();
    two.second.registry.renew(&lease, LONG).await.unwrap();
    outlive(&two.first, TERM).await;
    assert_eq!(held_by(&two.second, &node, None).await, holder("a"));
}

pub async fn a_lost_lease_is_not_renewed(two: Two) {
    let node = fresh_ns().node(3);
    let old = two.first.registry.acquire(&node, &holder("a"), None, SHORT).await.unwrap();
    outlive(&two.first, SHORT).await;
    let lost = two.first.registry.renew(&old, LONG).await;
    assert!(matches!(lost, Err(RenewError::Lost)), "expired: {lost:?}");
    let new = acquire(&two.second, &node, "b").await;
    let lost = two.first.registry.renew(&old, LONG).await;
    assert!(matches!(lost, Err(RenewError::Lost)), "taken by another life: {lost:?}");
    two.second.registry.renew(&new, LONG).await.unwrap();
}

pub async fn a_former_lifes_release_frees_nothing(two: Two) {
    let node = fresh_ns().node(3);
    let old = acquire(&two.first, &node, "a").await;
    two.first.registry.release(&old).await.unwrap();
    acquire(&two.second, &node, "b").await;
    two.first.registry.release(&old).await.unwrap();
    assert_eq!(held_by(&two.first, &node, None).await, holder("b"));
}

pub async fn a_life_that_ended_never_lives_again(two: Two) {
    let node = fresh_ns().node(3);
    let lives = async |lease: &Lease| two.second.registry.lives(lease).await.unwrap();
    let first = acquire(&two.first, &node, "a").await;
    assert!(lives(&first).await);
    two.first.registry.release(&first).await.unwrap();
    assert!(!lives(&first).await);
    let second = acquire(&two.second, &node, "a").await;
    assert!(lives(&second).await && !lives(&first).await);
    let brief = two.first.registry.acquire(&node, &holder("b"), Some(&holder("a")), SHORT).await;
    outlive(&two.first, SHORT).await;
    assert!(!lives(&second).await && !lives(&brief.unwrap()).await);
}

pub async fn only_the_exactly_named_dead_holder_is_taken_over(two: Two) {
    let node = fresh_ns().node(3);
    let old = acquire(&two.first, &node, "a").await;
    let almost = [
        Holder { nonce: "b".into(), ..holder("a") },
        Holder { pid: 8, ..holder("a") },
        Holder { pid_started: 9, ..holder("a") },
        Holder { host: "machine/other boot".into(), ..holder("a") },
        Holder { advertise: None, ..holder("a") },
    ];
    for dead in &almost {
        assert_eq!(held_by(&two.second, &node, Some(dead)).await, holder("a"));
    }
    let new =
        two.second.registry.acquire(&node, &holder("c"), Some(&holder("a")), LONG).await.unwrap();
    assert!(new.incarnation > old.incarnation);
    let lost = two.first.registry.renew(&old, LONG).await;
    assert!(matches!(lost, Err(RenewError::Lost)), "{lost:?}");
}

pub async fn of_racing_holders_one_wins(two: Two) {
    for _ in 0..10 {
        let node = fresh_ns().node(3);
        let racers: Vec<_> = (0..16_u32)
            .map(|racer| {
                let backend = if racer % 2 == 0 { two.first.clone() } else { two.second.clone() };
                let node = node.clone();
                tokio::spawn(async move {
                    let holder = holder(&racer.to_string());
                    (backend.registry.acquire(&node, &holder, None, LONG).await, holder)
                })
            })
            .collect();
        let (mut won, mut named) = (Vec::new(), Vec::new());
        for racer in racers {
            match racer.await.unwrap() {
                (Ok(_), holder) => won.push(holder),
                (Err(AcquireError::Held(by)), _) => named.push(*by),
                (Err(error), _) => panic!("{error:?}"),
            }
        }
        assert_eq!(won.len(), 1);
        assert!(named.iter().all(|by| *by == won[0]), "the losers are told the winner");
    }
}

pub async fn node_zero_is_a_node_of_its_own(two: Two) {
    let ns = fresh_ns();
    let zero = acquire(&two.first, &ns.node(0), "zero").await;
    acquire(&two.second, &ns.node(1), "one").await;
    assert_eq!(held_by(&two.second, &ns.node(0), None).await, holder("zero"));
    two.first.registry.release(&zero).await.unwrap();
    assert_eq!(held_by(&two.second, &ns.node(1), None).await, holder("one"));
    acquire(&two.second, &ns.node(0), "again").await;
}

pub async fn the_live_nodes_are_listed_by_rising_id(two: Two) {
    let (ns, other) = (fresh_ns(), fresh_ns());
    let mut leases = Vec::new();
    for nid in [11, 0, 2, 7] {
        leases.push(acquire(&two.first, &ns.node(nid), &nid.to_string()).await);
    }
    acquire(&two.first, &other.node(1), "stranger").await;
    two.first.registry.acquire(&ns.node(5), &holder("brief"), None, SHORT).await.unwrap();
    two.first.registry.release(&leases[3]).await.unwrap();
    outlive(&two.first, SHORT).await;
    let nodes = two.second.registry.nodes(&ns).await.unwrap();
    let listed: Vec<_> = nodes.iter().map(|entry| entry.lease.clone()).collect();
    assert_eq!(listed, [leases[1].clone(), leases[2].clone(), leases[0].clone()]);
    assert_eq!(nodes[2].holder, holder("11"));
}
