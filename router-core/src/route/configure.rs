//! Registering routes and hooks, and refusing what is registered twice.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    panic::Location,
};

use bytestring::ByteString;

use super::nsp::NspRoutes;
use crate::{
    channel::ChannelRoutes,
    handler::{ErasedHandler, Handler, erase},
    pattern::Pattern,
};

/// A handler, and where it was registered.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) handler: ErasedHandler,
    pub(crate) at: &'static Location<'static>,
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handler at {}", self.at)
    }
}

/// Two registrations of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// What was registered twice.
    pub name: String,
    /// The first place.
    pub first: &'static Location<'static>,
    /// The second place.
    pub second: &'static Location<'static>,
}

/// Registrations that contradict each other; the program does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigureError {
    /// All of them, in the order of registration.
    pub duplicates: Vec<Duplicate>,
}

impl fmt::Display for ConfigureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("registered twice:")?;
        for Duplicate { name, first, second } in &self.duplicates {
            write!(f, "\n  {name}: at {first} and at {second}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigureError {}

/// The moments of a socket's life that a program can hook into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hook {
    /// A socket was admitted.
    Connect,
    /// A socket went; [`DisconnectReason`](crate::socket::DisconnectReason) says why. Its
    /// session can still be extracted: as it is, or, after a logout, as it was at its end.
    Disconnect,
    /// A session was confirmed.
    Confirmed,
    /// A credential was refused.
    Refused,
    /// A credential could not be checked.
    ConfirmError,
}

/// A handler of one event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) registered: Registered,
    /// Whether several of one socket may run at once.
    pub(super) concurrent: bool,
}

/// One named route while it is registered.
#[derive(Debug, Default)]
pub struct Route {
    pub(super) events: HashMap<ByteString, Event>,
    concurrent: bool,
    /// Whether its handlers are Whisk's own, which have bounds of their own.
    pub(super) own: bool,
    name: ByteString,
    first: Option<&'static Location<'static>>,
    duplicates: Vec<Duplicate>,
}

impl Route {
    /// Handles the event `route.method` (on the root route: `method`) by `handler`.
    #[track_caller]
    pub fn on<H, S: 'static, M: 'static>(&mut self, method: &str, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        let registered = Registered { handler: erase(handler), at: Location::caller() };
        self.add(method, Event { registered, concurrent: false })
    }

    /// [`on`](Self::on), and several events of one socket may run at once, up to the limit
    /// `socket_in_flight`. They still start in order, each up to where it waits for the first time,
    /// as for a store or the bus.
    #[track_caller]
    pub fn on_concurrent<H, S: 'static, M: 'static>(
        &mut self,
        method: &str,
        handler: H,
    ) -> &mut Self
    where
        H: Handler<S, M>,
    {
        let registered = Registered { handler: erase(handler), at: Location::caller() };
        self.add(method, Event { registered, concurrent: true })
    }

    /// [`on_concurrent`](Self::on_concurrent) for all events of this route.
    pub fn concurrent(&mut self) -> &mut Self {
        self.concurrent = true;
        self
    }

    pub(super) fn is_concurrent(&self, event: &Event) -> bool {
        self.concurrent || event.concurrent
    }

    fn add(&mut self, method: &str, event: Event) -> &mut Self {
        let second = event.registered.at;
        match self.events.entry(method.into()) {
            Entry::Vacant(place) => {
                place.insert(event);
            }
            Entry::Occupied(place) => {
                let dot = if self.name.is_empty() { "" } else { "." };
                let name = format!("event {}{dot}{method}", self.name);
                let first = place.get().registered.at;
                self.duplicates.push(Duplicate { name, first, second });
            }
        }
        self
    }

    /// A route of Whisk's own: its handlers wait for users' gates and for other clients, and have
    /// bounds of their own.
    pub(crate) fn own(&mut self) -> &mut Self {
        self.own = true;
        self.concurrent()
    }
}

/// Where a program registers its routes.
///
/// ```
/// use router_core::{Payload, Routes};
///
/// pub fn routes(cfg: &mut Routes) {
///     cfg.route("world").on("say", say);
/// }
///
/// async fn say(Payload(text): Payload<String>) -> usize {
///     text.len()
/// }
/// # Routes::build([routes as fn(&mut Routes)]).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Routes {
    pub(super) routes: HashMap<ByteString, Route>,
    pub(super) hooks: HashMap<Hook, Registered>,
    pub(super) nsps: Vec<NspRoutes>,
    pub(super) channels: Vec<ChannelRoutes>,
    pub(super) fallback: Option<Registered>,
    pub(super) observers: Vec<Registered>,
    duplicates: Vec<Duplicate>,
}

impl Routes {
    /// Runs `configure` functions and checks what they registered.
    ///
    /// # Errors
    /// [`ConfigureError`] names everything that was registered twice, with both places.
    pub fn build<F: FnOnce(&mut Self)>(
        configure: impl IntoIterator<Item = F>,
    ) -> Result<Self, ConfigureError> {
        let mut routes = Self::default();
        configure.into_iter().for_each(|configure| configure(&mut routes));
        routes.checked()
    }

    pub(super) fn checked(mut self) -> Result<Self, ConfigureError> {
        let mut duplicates = std::mem::take(&mut self.duplicates);
        for route in self.routes.values_mut() {
            duplicates.append(&mut route.duplicates);
        }
        for channel in &mut self.channels {
            duplicates.append(&mut channel.duplicates);
        }
        if duplicates.is_empty() { Ok(self) } else { Err(ConfigureError { duplicates }) }
    }

    /// The route `name`, whose events are `name.method`.
    #[track_caller]
    pub fn route(&mut self, name: &str) -> &mut Route {
        let at = Location::caller();
        let route = self.routes.entry(name.into()).or_default();
        match route.first {
            Some(first) => {
                let name = format!("route {name}");
                self.duplicates.push(Duplicate { name, first, second: at });
            }
            None => {
                route.first = Some(at);
                route.name = name.into();
            }
        }
        route
    }

    /// The root route, whose events are names without a dot.
    #[track_caller]
    pub fn root(&mut self) -> &mut Route {
        self.route("")
    }

    /// What holds for a nsp, or with `*` at the end for all whose names begin so: `/room-*`. What is
    /// registered for several that fit adds up, in the order of registration.
    pub fn nsp(&mut self, pattern: &str) -> &mut NspRoutes {
        let pattern = Pattern::new(pattern);
        let at = self.nsps.iter().position(|known| known.pattern == pattern);
        let at = at.unwrap_or_else(|| {
            self.nsps.push(NspRoutes::new(pattern));
            self.nsps.len() - 1
        });
        &mut self.nsps[at]
    }

    /// What holds for a channel, or with `*` at the end for all whose names begin so: `exam:*`. What
    /// is registered for several that fit adds up, in the order of registration.
    pub fn channel(&mut self, pattern: &str) -> &mut ChannelRoutes {
        let pattern = Pattern::new(pattern);
        let at = self.channels.iter().position(|known| known.pattern == pattern);
        let at = at.unwrap_or_else(|| {
            self.channels.push(ChannelRoutes::new(pattern));
            self.channels.len() - 1
        });
        &mut self.channels[at]
    }

    /// What was registered for channels: for whoever makes the services of a node.
    pub fn take_channels(&mut self) -> Vec<ChannelRoutes> {
        std::mem::take(&mut self.channels)
    }

    /// Handles every event that no route has a handler for, in place of the answer `unknown_event`.
    /// [`EventName`](crate::EventName) says which one it is.
    #[track_caller]
    pub fn fallback<H, S: 'static, M: 'static>(&mut self, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        let at = Location::caller();
        match &self.fallback {
            Some(first) => {
                let name = "the fallback".to_owned();
                self.duplicates.push(Duplicate { name, first: first.at, second: at });
            }
            None => self.fallback = Some(Registered { handler: erase(handler), at }),
        }
        self
    }

    /// Shows `handler` every event that came from a client, also one that nothing handles, before the
    /// event's handler runs. It changes nothing: what it returns is ignored, an error is logged.
    /// [`Socket::on_any`](crate::socket::Socket::on_any) does so for one socket.
    #[track_caller]
    pub fn on_any<H, S: 'static, M: 'static>(&mut self, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.observers.push(Registered { handler: erase(handler), at: Location::caller() });
        self
    }

    /// Runs `handler` at a moment of every socket's life. Its error is logged and changes nothing.
    #[track_caller]
    pub fn hook<H, S: 'static, M: 'static>(&mut self, hook: Hook, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        let at = Location::caller();
        match self.hooks.entry(hook) {
            Entry::Vacant(place) => {
                place.insert(Registered { handler: erase(handler), at });
            }
            Entry::Occupied(place) => {
                let name = format!("hook {hook:?}");
                self.duplicates.push(Duplicate { name, first: place.get().at, second: at });
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing() {}

    #[test]
    fn an_event_registered_twice_is_refused_with_both_places() {
        let error = Routes::build([|cfg: &mut Routes| {
            cfg.route("world").on("say", nothing).on("say", nothing);
        }])
        .unwrap_err();
        let [Duplicate { name, first, second }] = &error.duplicates[..] else { panic!("one") };
        assert_eq!(name, "event world.say");
        assert_eq!((first.file(), second.file()), (file!(), file!()));
        assert_ne!((first.line(), first.column()), (second.line(), second.column()));
    }

    #[test]
    fn a_route_registered_twice_is_refused() {
        let module = |cfg: &mut Routes| {
            cfg.route("world");
        };
        let error = Routes::build([module, module]).unwrap_err();
        assert_eq!(error.duplicates[0].name, "route world");
    }

    #[test]
    fn a_hook_registered_twice_is_refused() {
        let module = |cfg: &mut Routes| {
            cfg.hook(Hook::Connect, nothing);
        };
        assert!(Routes::build([module]).is_ok());
        assert_eq!(Routes::build([module, module]).unwrap_err().duplicates.len(), 1);
    }
}
