//! Events of ours that wait for a client's acknowledgement. A plain table.

use router_core::{Args, socket::AckError};
use tokio::sync::oneshot;

use super::{auth, effect::SocketKey};

/// Whom an acknowledgement is told to.
pub(crate) type Asker = oneshot::Sender<Result<Args, AckError>>;

/// What waits on one connection. Its ids are never used twice, so that a late acknowledgement meets
/// no other event; the first ones are the session's own questions ([`auth::REQUESTS`]).
#[derive(Debug, Default)]
pub(crate) struct Asks {
    begun: u64,
    /// By rising id.
    waiting: Vec<Ask>,
}

#[derive(Debug)]
struct Ask {
    id: u64,
    key: SocketKey,
    asker: Asker,
}

impl Asks {
    /// Begins to wait for the socket `key`: the id to ask under.
    ///
    /// # Errors
    /// Gives the asker back when `max` wait already.
    pub(crate) fn begin(&mut self, key: SocketKey, asker: Asker, max: usize) -> Result<u64, Asker> {
        if self.waiting.len() >= max {
            // Whose asker gave up waits no more.
            self.waiting.retain(|ask| !ask.asker.is_closed());
        }
        if self.waiting.len() >= max {
            return Err(asker);
        }
        let id = auth::REQUESTS + self.begun;
        self.begun += 1;
        self.waiting.push(Ask { id, key, asker });
        Ok(id)
    }

    /// The socket `key` acknowledged. Returns whether anybody waited for it; it may be late.
    pub(crate) fn answered(&mut self, key: SocketKey, id: u64, args: Args) -> bool {
        if let Ok(at) = self.waiting.binary_search_by_key(&id, |ask| ask.id)
            && self.waiting[at].key == key
        {
            tell(self.waiting.remove(at).asker, Ok(args));
            self.shrink();
            return true;
        }
        false
    }

    /// The socket `key` is gone.
    pub(crate) fn leave(&mut self, key: SocketKey) {
        for ask in self.waiting.extract_if(.., |ask| ask.key == key) {
            tell(ask.asker, Err(AckError::Disconnected));
        }
        self.shrink();
    }

    /// An idle connection holds no memory for it.
    fn shrink(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
    }
}

fn tell(asker: Asker, outcome: Result<Args, AckError>) {
    // Whoever asked may have given up.
    let _gone = asker.send(outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(asks: &mut Asks, key: SocketKey) -> (u64, oneshot::Receiver<Result<Args, AckError>>) {
        let (asker, told) = oneshot::channel();
        (asks.begin(key, asker, 2).unwrap_or(0), told)
    }

    #[test]
    fn an_answer_goes_to_who_asked_and_ids_are_never_used_twice() {
        let mut asks = Asks::default();
        let ((one, mut first), (two, mut second)) = (ask(&mut asks, 7), ask(&mut asks, 8));
        assert_eq!((one, two), (2, 3));
        assert!(!asks.answered(8, one, Args::EMPTY));
        assert!(!asks.answered(7, 0, Args::EMPTY));
        assert!(first.try_recv().is_err());
        assert!(asks.answered(8, two, Args::one(&2).unwrap()));
        assert!(!asks.answered(8, two, Args::EMPTY));
        assert_eq!(second.try_recv().unwrap().unwrap().json(), "2");
        assert_eq!(ask(&mut asks, 7).0, 4);
        asks.answered(7, one, Args::one(&1).unwrap());
        assert_eq!(first.try_recv().unwrap().unwrap().json(), "1");
    }

    #[test]
    fn who_gave_up_leaves_a_place_and_others_are_bounded() {
        let mut asks = Asks::default();
        let (_, _waits) = ask(&mut asks, 7);
        drop(ask(&mut asks, 7));
        let (id, _waits_too) = ask(&mut asks, 7);
        assert_eq!(id, 4);
        assert!(asks.begin(7, oneshot::channel().0, 2).is_err());
    }

    #[test]
    fn a_socket_that_goes_answers_nothing() {
        let mut asks = Asks::default();
        let ((_, mut gone), (id, mut stays)) = (ask(&mut asks, 7), ask(&mut asks, 8));
        asks.leave(7);
        assert!(matches!(gone.try_recv(), Ok(Err(AckError::Disconnected))));
        asks.answered(8, id, Args::EMPTY);
        assert!(matches!(stays.try_recv(), Ok(Ok(_))));
        assert_eq!(asks.waiting.capacity(), 0);
    }
}
