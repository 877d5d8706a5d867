//! Turns by key: what is done under one key is done one after the other, in the order of asking.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Who waits, by key; whose turn it is stands in none of these.
type Waiting<K> = HashMap<K, VecDeque<oneshot::Sender<()>>>;

/// The keys under which something is done or waits. A key that nobody uses is forgotten.
#[derive(Debug)]
pub(super) struct Turns<K: Hash + Eq>(Arc<Mutex<Waiting<K>>>);

impl<K: Hash + Eq> Default for Turns<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// A place in the order of a key. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Ticket<K: Hash + Eq>(Turn<K>);

/// A turn; the next one begins when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<K: Hash + Eq> {
    turns: Arc<Mutex<Waiting<K>>>,
    key: K,
    /// Hears from whoever is before it; `None` once it has begun.
    called: Option<oneshot::Receiver<()>>,
}

fn lock<K>(turns: &Mutex<Waiting<K>>) -> MutexGuard<'_, Waiting<K>> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Takes the next place of a key.
    pub(super) fn ticket(&self, key: K) -> Ticket<K> {
        let mut waiting = lock(&self.0);
        let called = waiting.get_mut(&key).map(|others| {
            let (call, called) = oneshot::channel();
            others.push_back(call);
            called
        });
        if called.is_none() {
            waiting.insert(key.clone(), VecDeque::new());
        }
        Ticket(Turn { turns: Arc::clone(&self.0), key, called })
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, key: K) -> Turn<K> {
        self.ticket(key).begin().await
    }

    /// Those of these keys under which something is done or waits.
    pub(super) fn keys(&self, is_meant: impl Fn(&K) -> bool) -> Vec<K> {
        lock(&self.0).keys().filter(|key| is_meant(key)).cloned().collect()
    }
}

impl<K: Hash + Eq> Ticket<K> {
    /// Waits until its turn has come.
    pub(super) async fn begin(self) -> Turn<K> {
        let mut turn = self.0;
        if let Some(called) = &mut turn.called {
            // Whoever is before it always calls.
            let _called = called.await;
        }
        turn.called = None;
        turn
    }
}

impl<K: Hash + Eq> Drop for Turn<K> {
    fn drop(&mut self) {
        if let Some(called) = &mut self.called {
            // Given up before it began; unless it was called in this moment, nobody waits for it.
            called.close();
            if called.try_recv().is_err() {
                return;
            }
        }
        let mut waiting = lock(&self.turns);
        let Some(others) = waiting.get_mut(&self.key) else { return };
        while let Some(next) = others.pop_front() {
            // Who gave up is passed over.
            if next.send(()).is_ok() {
                return;
            }
        }
        waiting.remove(&self.key);
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
        // The order is that of the tickets, whoever looks first.
        let [second, third, fourth] = [(); 3].map(|()| turns.ticket(1));
        let mut third = Box::pin(third.begin());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none());
        let second = second.begin().now_or_never().unwrap();
        drop(second);
        let third = third.now_or_never().unwrap();
        assert_eq!(turns.keys(|key| *key == 1), [1]);
        drop((fourth, third, other));
        assert!(lock(&turns.0).is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_when_called_passes_the_turn_on() {
        let turns = Turns::<u8>::default();
        let first = turns.take(1).await;
        let [gives_up, next] = [(); 2].map(|()| turns.ticket(1));
        drop(first);
        // It was called, and never looked.
        drop(gives_up);
        drop(next.begin().now_or_never().unwrap());
        assert!(lock(&turns.0).is_empty());
    }
}
