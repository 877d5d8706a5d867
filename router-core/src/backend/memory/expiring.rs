//! A map whose entries end at an instant, with no task that looks after it.
//!
//! What is past its end is never handed out. It is dropped when it is met, and by a sweep on
//! insertion whenever the map has doubled since the last one: so a map holds at most about twice
//! what lives, at a constant cost per insertion.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// Below this size a sweep is not worth its while.
const SWEEP_MIN: usize = 64;

/// The longest time to live that is kept apart from "for ever": 30 years.
const TTL_MAX: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: HashMap<K, (V, Instant)>,
    /// The size at which the next insertion sweeps.
    sweep_at: usize,
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), sweep_at: SWEEP_MIN }
    }
}

impl<K: Hash + Eq, V> Expiring<K, V> {
    pub(super) fn get<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.entries.get(key)?.1 <= Instant::now() {
            self.entries.remove(key);
            return None;
        }
        self.entries.get_mut(key).map(|(value, _)| value)
    }

    pub(super) fn insert(&mut self, key: K, value: V, ttl: Duration) {
        if self.entries.len() >= self.sweep_at {
            let now = Instant::now();
            self.entries.retain(|_, (_, ends)| *ends > now);
            self.sweep_at = (self.entries.len() * 2).max(SWEEP_MIN);
        }
        self.entries.insert(key, (value, ends(ttl)));
    }

    /// The entry, made by `make` where there is none. It lives for `ttl` from now.
    pub(super) fn get_or_insert_with(
        &mut self,
        key: &K,
        ttl: Duration,
        make: impl Fn() -> V,
    ) -> &mut V
    where
        K: Clone,
    {
        let now = Instant::now();
        if self.entries.get(key).is_none_or(|(_, end)| *end <= now) {
            self.insert(key.clone(), make(), ttl);
        }
        let (value, end) = self.entries.entry(key.clone()).or_insert_with(|| (make(), now));
        *end = ends(ttl);
        value
    }

    /// Lets the entry live for `ttl` from now; `false` if there is none.
    pub(super) fn touch<Q>(&mut self, key: &Q, ttl: Duration) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.get(key).is_none() {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.1 = ends(ttl);
        }
        true
    }

    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (value, ends) = self.entries.remove(key)?;
        (ends > Instant::now()).then_some(value)
    }

    /// All that lives, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let now = Instant::now();
        self.entries
            .iter()
            .filter(move |(_, (_, ends))| *ends > now)
            .map(|(key, (value, _))| (key, value))
    }

    /// How many entries are in memory, dead ones included.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.entries.len()
    }
}

fn ends(ttl: Duration) -> Instant {
    Instant::now() + ttl.min(TTL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_expired_does_not_accumulate() {
        let mut map = Expiring::default();
        for round in 0..100_000 {
            map.insert(round, (), Duration::from_millis(10));
            if round % 50 == 0 {
                tokio::time::advance(Duration::from_millis(10)).await;
            }
            assert!(map.held() <= 2 * SWEEP_MIN + 50, "{} held", map.held());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_ends_at_its_time_and_no_sooner() {
        let mut map = Expiring::default();
        map.insert("a", 1, Duration::from_millis(10));
        tokio::time::advance(Duration::from_millis(9)).await;
        assert_eq!(map.get("a"), Some(&mut 1));
        assert!(map.touch("a", Duration::from_millis(10)));
        tokio::time::advance(Duration::from_millis(9)).await;
        assert_eq!(map.iter().count(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(map.iter().count(), 0);
        assert!(!map.touch("a", Duration::from_millis(10)));
        assert_eq!(map.remove("a"), None);
    }

    #[tokio::test]
    async fn the_longest_time_to_live_is_no_overflow() {
        let mut map = Expiring::default();
        map.insert("a", 1, Duration::MAX);
        assert_eq!(map.get("a"), Some(&mut 1));
    }
}
