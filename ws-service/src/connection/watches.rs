//! The rosters that a connection's sockets are on: how often it is pinged for them, and since when it
//! is silent. [`Watches`] is plain, without a clock; the connection around it reads one.

use std::{sync::Arc, time::Duration};

use router_core::{
    channel::ChannelName,
    clock::millis,
    presence::{Millis, Settings},
    socket::SocketInfo,
};

use super::{Connection, effect::Input, lifecycle, timers::Timer};
use crate::clock::{self, Moment};

/// A socket on the roster of a channel.
#[derive(Debug)]
struct Watch {
    socket: Arc<SocketInfo>,
    channel: ChannelName,
    ping_interval: Duration,
    /// How long it may be silent.
    threshold: Duration,
    /// Whether it was for so long.
    silent: bool,
}

/// Which socket is silent on which channel, or is heard again.
pub(crate) type Sighted = (Arc<SocketInfo>, ChannelName);

/// The watches over one connection.
#[derive(Debug, Default)]
pub(crate) struct Watches(Vec<Watch>);

impl Watches {
    /// Watches over a socket on a channel, in place of what held for them before.
    pub(crate) fn set(
        &mut self,
        socket: &Arc<SocketInfo>,
        channel: &ChannelName,
        settings: &Settings,
    ) {
        let known = self.0.iter().position(|watch| watch.is(socket, channel));
        let silent = known.is_some_and(|at| self.0.swap_remove(at).silent);
        self.0.push(Watch {
            socket: Arc::clone(socket),
            channel: channel.clone(),
            ping_interval: settings.ping_interval(),
            threshold: settings.disconnect_threshold(),
            silent,
        });
    }

    /// Watches over a socket on a channel no more.
    pub(crate) fn end(&mut self, socket: &Arc<SocketInfo>, channel: &ChannelName) {
        self.0.retain(|watch| !watch.is(socket, channel));
    }

    /// A socket is gone.
    pub(crate) fn end_all(&mut self, socket: &Arc<SocketInfo>) {
        self.0.retain(|watch| !Arc::ptr_eq(&watch.socket, socket));
    }

    /// Whether a socket is watched over on a channel.
    pub(crate) fn has(&self, socket: &Arc<SocketInfo>, channel: &ChannelName) -> bool {
        self.0.iter().any(|watch| watch.is(socket, channel))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often the connection is pinged at least.
    pub(crate) fn pace(&self) -> Option<Duration> {
        self.0.iter().map(|watch| watch.ping_interval).min()
    }

    /// When the next one is silent for too long, if nothing is heard after `heard`.
    pub(crate) fn next(&self, heard: Moment) -> Option<Moment> {
        let waiting = self.0.iter().filter(|watch| !watch.silent);
        waiting.map(|watch| heard.after(watch.threshold)).min()
    }

    /// Those that are silent for too long now, and were not before.
    pub(crate) fn silenced(&mut self, heard: Moment, now: Moment) -> Vec<Sighted> {
        self.turn(true, |watch| heard.after(watch.threshold) <= now)
    }

    /// Something is heard: those that were silent.
    pub(crate) fn heard(&mut self) -> Vec<Sighted> {
        self.turn(false, |_| true)
    }

    fn turn(&mut self, silent: bool, which: impl Fn(&Watch) -> bool) -> Vec<Sighted> {
        let turned = self.0.iter_mut().filter(|watch| watch.silent != silent && which(watch));
        turned
            .map(|watch| {
                watch.silent = silent;
                (Arc::clone(&watch.socket), watch.channel.clone())
            })
            .collect()
    }
}

impl Watch {
    fn is(&self, socket: &Arc<SocketInfo>, channel: &ChannelName) -> bool {
        Arc::ptr_eq(&self.socket, socket) && self.channel == *channel
    }
}

/// A moment as others read it.
pub(crate) fn since_epoch(moment: Moment, now: Moment) -> Millis {
    millis().saturating_sub(clock::millis(now.since(moment)))
}

impl Connection {
    /// Something came from the peer.
    pub(super) fn hear(&mut self) {
        self.link.heard.set(self.shard.now());
        if self.link.is_watched() {
            let sighted = self.link.watches(Watches::heard);
            self.tell_sighted(&sighted, None);
            if !sighted.is_empty() {
                self.shard.await_silence(&self.link);
            }
        }
    }

    /// It may be silent for too long.
    pub(super) fn look_for_silence(&mut self) {
        let (heard, now) = (self.link.heard.get(), self.shard.now());
        let sighted = self.link.watches(|watches| watches.silenced(heard, now));
        self.tell_sighted(&sighted, Some(since_epoch(heard, now)));
        self.shard.await_silence(&self.link);
    }

    /// The thread stood still: the peer was not asked, or its answer lies unread. It has the time
    /// between two pings to say something.
    pub(super) fn put_silence_off(&mut self) {
        if let Some(pace) = self.link.watches(|watches| watches.pace()) {
            let at = self.shard.now().after(pace);
            self.shard.set_timer(&self.link, Timer::Silence, at);
        }
    }

    fn tell_sighted(&self, sighted: &[Sighted], silent_since: Option<Millis>) {
        let shared = &self.shard.shared;
        for (info, channel) in sighted {
            let socket = lifecycle::handle(shared, info);
            shared.services.upkeep.sighted(&socket, channel, silent_since);
        }
    }

    /// The rosters that its sockets are on changed.
    pub(super) fn keep_pace(&mut self) {
        let pace = self.link.watches(|watches| watches.pace());
        if pace.is_none() {
            self.link.timers.borrow_mut().clear(Timer::Silence);
        }
        self.step(Input::Pace(pace));
    }
}

#[cfg(test)]
mod tests {
    use router_core::presence::Times;

    use super::*;
    use crate::shard::table::tests::socket;

    fn settings(ping: u64, disconnect: u64) -> Settings {
        let [ping_interval, disconnect_threshold] = [ping, disconnect].map(Duration::from_secs);
        let times = Times { ping_interval, disconnect_threshold, ..Times::default() };
        times.try_into().unwrap()
    }

    fn channel(name: &str) -> ChannelName {
        name.parse().unwrap()
    }

    #[test]
    fn the_quickest_roster_sets_the_pace() {
        let (a, b) = (socket("a", "/", "one").info.clone(), socket("b", "/x", "one").info.clone());
        let mut watches = Watches::default();
        assert_eq!((watches.pace(), watches.next(Moment(5))), (None, None));
        watches.set(&a, &channel("slow"), &settings(9, 40));
        watches.set(&b, &channel("quick"), &settings(2, 10));
        assert_eq!(watches.pace(), Some(Duration::from_secs(2)));
        assert_eq!(watches.next(Moment(5)), Some(Moment(10_005)));
        // The same again replaces it.
        watches.set(&b, &channel("quick"), &settings(3, 20));
        assert_eq!(watches.pace(), Some(Duration::from_secs(3)));
        watches.end(&a, &channel("quick"));
        assert!(watches.has(&b, &channel("quick")) && !watches.has(&a, &channel("quick")));
        watches.end_all(&b);
        assert_eq!(watches.pace(), Some(Duration::from_secs(9)));
        watches.end(&a, &channel("slow"));
        assert!(watches.is_empty());
    }

    #[test]
    fn silence_and_its_end_are_each_told_once() {
        let a = socket("a", "/", "one").info.clone();
        let mut watches = Watches::default();
        watches.set(&a, &channel("slow"), &settings(2, 40));
        watches.set(&a, &channel("quick"), &settings(2, 10));
        let names = |sighted: Vec<Sighted>| {
            sighted.into_iter().map(|(_, name)| name.to_string()).collect::<Vec<_>>()
        };
        let heard = Moment(1_000);
        assert!(watches.heard().is_empty());
        assert!(watches.silenced(heard, Moment(10_999)).is_empty());
        assert_eq!(names(watches.silenced(heard, Moment(11_000))), ["quick"]);
        assert!(watches.silenced(heard, Moment(11_001)).is_empty());
        assert_eq!(watches.next(heard), Some(Moment(41_000)));
        // Subscribed again, it is as silent as it was.
        watches.set(&a, &channel("quick"), &settings(2, 10));
        assert!(watches.silenced(heard, Moment(12_000)).is_empty());
        assert_eq!(names(watches.silenced(heard, Moment(41_000))), ["slow"]);
        assert_eq!(watches.next(heard), None);
        let mut back = names(watches.heard());
        back.sort_unstable();
        assert_eq!(back, ["quick", "slow"]);
        assert!(watches.heard().is_empty());
    }
}
