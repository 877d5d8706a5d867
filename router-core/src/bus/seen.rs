//! What was heard already, of what may come more than once: an emit for several rooms comes on each
//! room's channel, and what must not be missed is broadcast and transmitted.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::id::MessageId;

/// How many ids are remembered. The copies of one message are sent one right after the other, so this
/// many others between two of them are a lot.
const REMEMBERED: usize = 1_024;

/// The ids of the last messages that may come again.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Ids>);

#[derive(Debug, Default)]
struct Ids {
    known: HashSet<MessageId>,
    oldest_first: VecDeque<MessageId>,
}

impl Seen {
    /// Whether `id` is heard for the first time.
    pub(crate) fn is_new(&self, id: &MessageId) -> bool {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !ids.known.insert(id.clone()) {
            return false;
        }
        ids.oldest_first.push_back(id.clone());
        if ids.oldest_first.len() > REMEMBERED
            && let Some(oldest) = ids.oldest_first.pop_front()
        {
            ids.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageIds;

    #[test]
    fn an_id_is_new_once_and_memory_is_bounded() {
        let (seen, ids) = (Seen::default(), MessageIds::new());
        let first = ids.next();
        assert!(seen.is_new(&first));
        assert!(!seen.is_new(&first));
        for _ in 0..REMEMBERED {
            assert!(seen.is_new(&ids.next()));
        }
        assert!(seen.is_new(&first));
        assert_eq!(seen.0.lock().unwrap().known.len(), REMEMBERED);
    }
}
