//! Single cases, and a model: servers whose slots move, connections that break, words that come late.

use std::collections::VecDeque;

use super::*;

const HERE: Place = Place::Home;

fn channel(name: &str) -> Subject {
    Subject::Channel(name.to_owned().into())
}

fn master(port: u16) -> Place {
    Place::Master(Host { name: "h".into(), port })
}

fn up(place: &Place, sharded: bool) -> Listening {
    let mut listening = Listening::default();
    listening.sharded(place, sharded);
    listening.up(place, 1);
    listening
}

fn step(name: &str, subscribe: bool, sharded: bool) -> Step {
    Step { name: name.into(), subscribe, sharded }
}

#[test]
fn only_channels_are_sharded_and_only_where_the_server_can() {
    for can in [true, false] {
        let mut listening = up(&HERE, can);
        drop(listening.want("c".into(), channel("c"), Some(HERE)));
        drop(listening.want("n".into(), Subject::Namespace("ws".parse().unwrap()), Some(HERE)));
        let mut steps = listening.steps(&HERE, 9);
        steps.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(steps, [step("c", true, can), step("n", true, false)]);
        // It is left as it was subscribed.
        listening.confirmed(&HERE, 1, "c", can);
        listening.leave("c");
        assert_eq!(listening.steps(&HERE, 9), [step("c", false, can)]);
    }
}

#[test]
fn what_a_former_server_was_asked_is_asked_anew_of_one_that_can_more() {
    let mut listening = up(&HERE, false);
    let (_, mut waits) = listening.want("c".into(), channel("c"), Some(HERE));
    assert_eq!(listening.steps(&HERE, 9), [step("c", true, false)]);
    listening.down(&HERE);
    listening.sharded(&HERE, true);
    listening.up(&HERE, 2);
    // The step arrives there all the same.
    listening.confirmed(&HERE, 2, "c", false);
    assert!(waits.try_recv().is_err());
    assert_eq!(listening.steps(&HERE, 9), [step("c", true, true)]);
    listening.confirmed(&HERE, 2, "c", true);
    assert!(waits.try_recv().unwrap().is_ok());
}

#[test]
fn a_second_subscription_asks_again_and_a_confirmed_one_is_left_alone() {
    let mut listening = up(&HERE, true);
    drop(listening.want("c".into(), channel("c"), Some(HERE)));
    assert_eq!(listening.steps(&HERE, 9).len(), 1);
    listening.confirmed(&HERE, 1, "c", true);
    assert!(listening.steps(&HERE, 9).is_empty());
    let (_, mut again) = listening.want("c".into(), channel("c"), Some(HERE));
    assert_eq!(listening.steps(&HERE, 9), [step("c", true, true)]);
    assert!(again.try_recv().is_err(), "it is confirmed by an answer to its own asking");
    listening.confirmed(&HERE, 1, "c", true);
    assert!(again.try_recv().unwrap().is_ok());
}

#[test]
fn who_was_refused_is_told_once_and_of_the_end_of_it_by_news() {
    let mut listening = up(&HERE, true);
    let (_, mut waits) = listening.want("c".into(), channel("c"), Some(HERE));
    let steps = listening.steps(&HERE, 9);
    listening.refused("c", &Fault::Busy);
    listening.answered(&HERE, &steps);
    assert!(waits.try_recv().unwrap().is_err());
    assert!(listening.steps(&HERE, 9).is_empty() && listening.is_put_off(&HERE));
    listening.retry(&HERE);
    assert_eq!(listening.steps(&HERE, 9), steps);
    listening.confirmed(&HERE, 1, "c", true);
    assert!(listening.take_news() && !listening.take_news());
}

#[test]
fn who_gave_up_waiting_is_told_by_news_too() {
    let mut listening = up(&HERE, true);
    drop(listening.want("c".into(), channel("c"), Some(HERE)));
    let (_, waits) = listening.want("d".into(), channel("d"), Some(HERE));
    assert_eq!(listening.steps(&HERE, 9).len(), 2);
    listening.confirmed(&HERE, 1, "d", true);
    assert!(!listening.take_news());
    listening.confirmed(&HERE, 1, "c", true);
    assert!(listening.take_news());
    drop(waits);
}

#[test]
fn a_connection_is_forgotten_when_nothing_is_wanted_there() {
    let place = master(1);
    let mut listening = up(&place, true);
    drop(listening.want("c".into(), channel("c"), Some(place.clone())));
    assert!(!listening.close(&place));
    let steps = listening.steps(&place, 9);
    listening.confirmed(&place, 1, "c", true);
    listening.answered(&place, &steps);
    let (_, ended) = listening.leave("c").unwrap();
    let mut ended = ended.unwrap();
    assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    assert!(listening.close(&place));
    assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Closed));
}

#[test]
fn a_channel_that_was_sent_away_and_back_is_asked_for_anew_and_its_gap_is_told() {
    let (here, there) = (master(1), master(2));
    let mut listening = up(&here, true);
    drop(listening.want("c".into(), channel("c"), Some(here.clone())));
    let steps = listening.steps(&here, 9);
    listening.confirmed(&here, 1, "c", true);
    assert!(listening.take_news(), "who asked is gone");
    // Between the two changes of the map, what came on the old connection was heard by nobody.
    listening.replace(|_, _| Some(there.clone()));
    assert!(listening.heard(&here, "c").is_none());
    listening.replace(|_, _| Some(here.clone()));
    assert_eq!(listening.steps(&here, 9), steps);
    listening.confirmed(&here, 1, "c", true);
    assert!(listening.take_news() && !listening.is_late());
    assert!(listening.close(&there));
}

/// What a server pushes to a connection.
#[derive(Clone)]
enum Push {
    On(String),
    Off(String),
}

/// One master, and the link's connection to it.
#[derive(Default)]
struct Server {
    generation: u64,
    stands: bool,
    on: HashSet<String>,
    pushes: VecDeque<Push>,
}

/// What somebody who listens was told of a channel, and whether it missed frames without a word.
#[derive(Default)]
struct Known {
    told: bool,
    missed: bool,
}

/// Servers, a map that is old at times, a link, and somebody who listens.
struct World {
    chance: u64,
    listening: Listening,
    servers: Vec<Server>,
    /// By name; the map lags behind the truth.
    truth: HashMap<String, u16>,
    map: HashMap<String, u16>,
    waits: Vec<(String, Confirmed)>,
    known: HashMap<String, Known>,
    /// No connection breaks.
    calm: bool,
}

const SERVERS: u16 = 3;
const NAMES: u64 = 6;

impl World {
    fn new(seed: u64) -> Self {
        let names: Vec<_> = (0..NAMES).map(|name| (format!("c{name}"), 0)).collect();
        let mut world = Self {
            chance: seed | 1,
            listening: Listening::default(),
            servers: (0..SERVERS).map(|_| Server::default()).collect(),
            truth: names.iter().cloned().collect(),
            map: names.into_iter().collect(),
            waits: Vec::new(),
            known: HashMap::new(),
            calm: false,
        };
        (0..SERVERS).for_each(|server| world.connect(server));
        world
    }

    /// An even chance of `0..below` (xorshift).
    fn chance(&mut self, below: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) % below
    }

    fn a_name(&mut self) -> String {
        format!("c{}", self.chance(NAMES))
    }

    fn a_server(&mut self) -> u16 {
        u16::try_from(self.chance(u64::from(SERVERS))).unwrap()
    }

    fn server(&mut self, server: u16) -> &mut Server {
        &mut self.servers[usize::from(server)]
    }

    fn connect(&mut self, at: u16) {
        if !self.server(at).stands {
            self.server(at).stands = true;
            self.server(at).generation += 1;
            let generation = self.server(at).generation;
            self.listening.sharded(&master(at), true);
            self.listening.up(&master(at), generation);
        }
    }

    fn lose(&mut self, at: u16) {
        let server = self.server(at);
        if std::mem::take(&mut server.stands) {
            server.on.clear();
            let late = std::mem::take(&mut server.pushes);
            let generation = server.generation;
            self.listening.down(&master(at));
            self.connect(at);
            // A word of the former connection comes after all.
            if let Some(push) = late.into_iter().next() {
                self.push(at, generation, push);
            }
        }
    }

    fn push(&mut self, at: u16, generation: u64, push: Push) {
        match push {
            Push::On(name) => self.listening.confirmed(&master(at), generation, &name, true),
            Push::Off(name) => drop(self.listening.ended(&master(at), generation, &name)),
        }
    }

    fn hear(&mut self, at: u16) -> bool {
        let generation = self.server(at).generation;
        let push = self.server(at).pushes.pop_front();
        push.inspect(|push| self.push(at, generation, push.clone())).is_some()
    }

    fn migrate(&mut self, name: &str, to: u16) {
        let from = self.truth.insert(name.to_owned(), to).unwrap();
        let server = self.server(from);
        if from != to && server.on.remove(name) {
            server.pushes.push_back(Push::Off(name.to_owned()));
        }
    }

    fn look(&mut self) {
        self.map.clone_from(&self.truth);
        let map = &self.map;
        self.listening.replace(|name, _| map.get(name).copied().map(master));
    }

    /// A batch goes to a server, is answered, and the answers are read after the pushes. What has
    /// nothing to do is closed, and made again when it has.
    fn round(&mut self, at: u16) {
        let place = master(at);
        if self.listening.close(&place) {
            let server = self.server(at);
            *server = Server { generation: server.generation, ..Server::default() };
            return;
        }
        self.connect(at);
        let steps = self.listening.steps(&place, 2);
        let mut refused = Vec::new();
        for step in &steps {
            let name = step.name.clone();
            if self.truth[&name] != at {
                refused.push(name);
                continue;
            }
            let server = self.server(at);
            if step.subscribe {
                server.on.insert(name.clone());
                server.pushes.push_back(Push::On(name));
            } else {
                server.on.remove(&name);
                server.pushes.push_back(Push::Off(name));
            }
        }
        if !self.calm && self.chance(8) == 0 {
            self.lose(at);
            self.listening.answered(&place, &steps);
            self.listening.failed(&place, &Fault::Silent);
            return;
        }
        while self.hear(at) {}
        for name in refused {
            if self.chance(2) == 0 {
                self.listening.refused(&name, &Fault::Lost);
            }
        }
        self.listening.answered(&place, &steps);
    }

    /// A frame goes to all whom the slot's master knows, and is heard once at most.
    fn publish(&mut self, name: &str) {
        let owner = self.truth[name];
        let stands = self.server(owner).stands && self.server(owner).on.contains(name);
        let heard = stands && self.listening.heard(&master(owner), name).is_some();
        let known = self.known.entry(name.to_owned()).or_default();
        known.missed |= known.told && !heard;
    }

    fn listen(&mut self) {
        if self.listening.take_news() {
            let seats = &self.listening.seats;
            let held = |name: &str| seats.values().any(|seat| seat.held.contains_key(name));
            let heard_again = self.known.iter_mut().filter(|(name, _)| held(name));
            heard_again.for_each(|(_, known)| known.missed = false);
        }
        let known = &mut self.known;
        self.waits.retain_mut(|(name, waits)| match waits.try_recv() {
            Ok(outcome) => {
                known.entry(name.clone()).or_default().told |= outcome.is_ok();
                false
            }
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => false,
        });
    }

    fn happens(&mut self) {
        let (name, at) = (self.a_name(), self.a_server());
        match self.chance(16) {
            0..=2 => {
                let place = (self.chance(8) > 0).then(|| master(self.map[&name]));
                let (_, waits) = self.listening.want(name.clone(), channel(&name), place);
                if self.chance(4) > 0 {
                    self.waits.push((name, waits));
                }
            }
            3 => {
                self.listening.leave(&name);
                self.known.remove(&name);
                self.waits.retain(|(waiting, _)| *waiting != name);
            }
            4 => self.migrate(&name, at),
            5 => self.look(),
            6 => self.lose(at),
            7 => self.listening.retry(&master(at)),
            8 => drop(self.hear(at)),
            9..=12 => self.round(at),
            _ => self.publish(&name),
        }
        let listening = &self.listening;
        for name in self.truth.keys() {
            let heard = (0..SERVERS).filter(|at| listening.heard(&master(*at), name).is_some());
            assert!(heard.count() <= 1, "{name} would be heard twice");
        }
        self.listen();
    }

    /// Nothing goes wrong any more.
    fn settle(&mut self) {
        self.calm = true;
        self.look();
        for _ in 0..8 {
            for at in 0..SERVERS {
                while self.hear(at) {}
                self.listening.retry(&master(at));
                self.round(at);
            }
        }
        self.listen();
        self.calm = false;
    }

    fn is_right(&self) {
        for (name, owner) in &self.truth {
            let wanted = self.listening.wanted.contains_key(name);
            for at in 0..SERVERS {
                let on = self.servers[usize::from(at)].on.contains(name);
                assert_eq!(on, wanted && at == *owner, "{name} at {at}");
                assert_eq!(self.listening.heard(&master(at), name).is_some(), on);
            }
            let missed = self.known.get(name).is_some_and(|known| known.missed);
            assert!(!missed, "{name} missed frames, and nobody was told");
        }
        assert!(self.waits.is_empty(), "somebody waits for ever");
        assert!(!self.listening.is_late());
        for (place, seat) in &self.listening.seats {
            let wanted = self.listening.wanted.values();
            let wanted = wanted.filter(|wanted| wanted.at.as_ref() == Some(place)).count();
            assert_eq!(seat.wanted, wanted, "{place:?}");
            assert!(seat.check.is_empty() && seat.put_off.is_empty());
        }
    }
}

#[test]
fn whatever_happens_in_the_end_each_channel_is_heard_once_from_its_master_and_every_gap_is_told() {
    for seed in 1..=500_u64 {
        let mut world = World::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for _ in 0..4 {
            for _ in 0..100 {
                world.happens();
            }
            world.settle();
            world.is_right();
        }
    }
}
