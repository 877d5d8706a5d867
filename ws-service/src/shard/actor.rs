//! The shard as an actor: it takes its queue, turns its wheel, and writes.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix::{Actor, ActorFuture, AsyncContext};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Pumped, Shard, wheel::TICK};

/// The actor of a shard. It has no mailbox of its own: a mailbox's bound is ignored by
/// `Addr::do_send`, and the shard's queue carries payload.
#[derive(Debug)]
struct ShardActor {
    shard: Rc<Shard>,
}

/// Starts the actor on this thread.
pub(super) fn start(shard: Rc<Shard>) {
    ShardActor { shard }.start();
}

impl Actor for ShardActor {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let mut wheel = interval(TICK);
        wheel.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ctx.spawn(Rounds { wheel });
    }
}

/// Goes on for as long as the thread does.
struct Rounds {
    wheel: Interval,
}

impl ActorFuture<ShardActor> for Rounds {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut ShardActor,
        _: &mut actix::Context<ShardActor>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let shard = &actor.shard;
        shard.read_clock();
        while self.wheel.poll_tick(cx).is_ready() {
            shard.turn_wheel();
        }
        let pumped = shard.pump(cx);
        shard.flush_dirty();
        match pumped {
            Pumped::All => Poll::Pending,
            Pumped::Some => {
                // Others on this thread come first.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            // The hub lives as long as the service, so this is the end.
            Pumped::Over => Poll::Ready(()),
        }
    }
}
