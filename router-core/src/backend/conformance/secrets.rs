//! What the store of shared secrets promises.

use super::{LONG, TERM, Two, fresh_id, outlive};

pub async fn the_first_secret_wins(two: Two) {
    let name = fresh_id();
    let first = two.first.secrets.share(&name, "one".into(), LONG).await.unwrap();
    let second = two.second.secrets.share(&name, "two".into(), LONG).await.unwrap();
    assert_eq!((&*first, &*second), ("one", "one"));
    let other = two.second.secrets.share(&fresh_id(), "two".into(), LONG).await.unwrap();
    assert_eq!(&*other, "two");
}

pub async fn racing_processes_agree_on_a_secret(two: Two) {
    let name = fresh_id();
    let racers: Vec<_> = (0..32)
        .map(|racer: u32| {
            let backend =
                if racer.is_multiple_of(2) { two.first.clone() } else { two.second.clone() };
            let name = name.clone();
            let share = async move {
                backend.secrets.share(&name, racer.to_string().into(), LONG).await.unwrap()
            };
            tokio::spawn(share)
        })
        .collect();
    let mut agreed = Vec::new();
    for racer in racers {
        agreed.push(racer.await.unwrap());
    }
    agreed.dedup();
    assert_eq!(agreed.len(), 1);
}

pub async fn a_secret_lives_on_while_it_is_shared(two: Two) {
    let (kept, brief) = (fresh_id(), fresh_id());
    for name in [&kept, &brief] {
        two.first.secrets.share(name, "old".into(), TERM).await.unwrap();
    }
    two.second.secrets.share(&kept, "late".into(), LONG).await.unwrap();
    outlive(&two.first, TERM).await;
    assert_eq!(&*two.second.secrets.share(&kept, "new".into(), LONG).await.unwrap(), "old");
    assert_eq!(&*two.second.secrets.share(&brief, "new".into(), LONG).await.unwrap(), "new");
}
