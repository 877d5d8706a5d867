//! Turns by key: what is done under one key is done one after the other, in the order of asking.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

type Lane = Arc<tokio::sync::Mutex<()>>;

/// The keys under which something is done or waits. A key that nobody uses is forgotten.
#[derive(Debug)]
pub(super) struct Turns<K: Hash + Eq>(Mutex<HashMap<K, Lane>>);

impl<K: Hash + Eq> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// A turn; the next one begins when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a, K: Hash + Eq> {
    turns: &'a Turns<K>,
    key: K,
    lane: Option<OwnedMutexGuard<()>>,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    fn map(&self) -> MutexGuard<'_, HashMap<K, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, key: K) -> Turn<'_, K> {
        let lane = Arc::clone(self.map().entry(key.clone()).or_default());
        // Made before waiting, so that whoever gives up leaves nothing behind.
        let mut turn = Turn { turns: self, key, lane: None };
        turn.lane = Some(lane.lock_owned().await);
        turn
    }
}

impl<K: Hash + Eq> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.lane = None;
        let mut map = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever else waits holds the lane, too.
        if map.get(&self.key).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            map.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn turns_of_one_key_follow_each_other_and_leave_nothing() {
        let turns = Turns::<u8>::default();
        let first = turns.take(1).await;
        let other = turns.take(2).await;
        let (mut second, mut third) = (Box::pin(turns.take(1)), Box::pin(turns.take(1)));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none());
        let second = second.await;
        drop(third);
        drop((second, other));
        assert!(turns.map().is_empty());
    }
}
