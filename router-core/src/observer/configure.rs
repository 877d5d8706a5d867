//! Registering observers, and refusing what is registered twice.

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::Location,
};

use bytestring::ByteString;

use crate::{
    envelope::Kind,
    handler::{Handler, erase},
    route::{ConfigureError, Duplicate, Registered},
};

/// One named observer while it is registered.
#[derive(Debug, Default)]
pub struct Observer {
    pub(super) handlers: HashMap<(Kind, ByteString), Registered>,
    pub(super) concurrent: bool,
    name: ByteString,
    first: Option<&'static Location<'static>>,
    duplicates: Vec<Duplicate>,
}

impl Observer {
    /// Observes broadcasts of `name.event`.
    #[track_caller]
    pub fn on_broadcast<H, S: 'static, M: 'static>(&mut self, event: &str, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.add(Kind::Broadcast, event, erase(handler))
    }

    /// Observes transmits of `name.event` to this node and its tenants. `Option<Socket>` is the
    /// tenant, when it lives here.
    #[track_caller]
    pub fn on_transmit<H, S: 'static, M: 'static>(&mut self, event: &str, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.add(Kind::Transmit, event, erase(handler))
    }

    /// Answers what other nodes ask as `name.event`; the returned value is the answer.
    #[track_caller]
    pub fn on_ask<H, S: 'static, M: 'static>(&mut self, event: &str, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.add(Kind::Ask, event, erase(handler))
    }

    /// Lets several messages run at once on this observer. They still start in order.
    pub fn concurrent(&mut self) -> &mut Self {
        self.concurrent = true;
        self
    }

    #[track_caller]
    fn add(
        &mut self,
        kind: Kind,
        event: &str,
        handler: crate::handler::ErasedHandler,
    ) -> &mut Self {
        let at = Location::caller();
        match self.handlers.entry((kind, event.into())) {
            Entry::Vacant(place) => {
                place.insert(Registered { handler, at });
            }
            Entry::Occupied(place) => {
                let name = format!("{kind:?} of {}.{event}", self.name);
                self.duplicates.push(Duplicate { name, first: place.get().at, second: at });
            }
        }
        self
    }
}

/// Where a program registers its observers.
///
/// ```
/// use router_core::{Observers, Payload, socket::{EmitError, LocalSockets}};
///
/// pub fn observers(cfg: &mut Observers) {
///     cfg.observer("world").on_broadcast("reply", reply);
/// }
///
/// async fn reply(sockets: LocalSockets, Payload(text): Payload<String>) -> Result<(), EmitError> {
///     sockets.emit("world.reply", &text).await
/// }
/// # Observers::build([observers as fn(&mut Observers)]).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Observers {
    pub(super) observers: HashMap<ByteString, Observer>,
    duplicates: Vec<Duplicate>,
}

impl Observers {
    /// Runs `configure` functions and checks what they registered.
    ///
    /// # Errors
    /// [`ConfigureError`] names everything that was registered twice, with both places.
    pub fn build<F: FnOnce(&mut Self)>(
        configure: impl IntoIterator<Item = F>,
    ) -> Result<Self, ConfigureError> {
        let mut observers = Self::default();
        configure.into_iter().for_each(|configure| configure(&mut observers));
        observers.checked()
    }

    pub(super) fn checked(mut self) -> Result<Self, ConfigureError> {
        let mut duplicates = std::mem::take(&mut self.duplicates);
        for observer in self.observers.values_mut() {
            duplicates.append(&mut observer.duplicates);
        }
        if duplicates.is_empty() { Ok(self) } else { Err(ConfigureError { duplicates }) }
    }

    /// The observer `name`, of messages `name.event`.
    #[track_caller]
    pub fn observer(&mut self, name: &str) -> &mut Observer {
        let at = Location::caller();
        let observer = self.observers.entry(name.into()).or_default();
        match observer.first {
            Some(first) => {
                let name = format!("observer {name}");
                self.duplicates.push(Duplicate { name, first, second: at });
            }
            None => {
                observer.first = Some(at);
                observer.name = name.into();
            }
        }
        observer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing() {}

    #[test]
    fn one_event_may_be_observed_once_for_each_kind() {
        let fine = Observers::build([|cfg: &mut Observers| {
            cfg.observer("world").on_broadcast("say", nothing).on_transmit("say", nothing);
        }]);
        assert!(fine.is_ok());
        let twice = Observers::build([|cfg: &mut Observers| {
            cfg.observer("world").on_ask("say", nothing).on_ask("say", nothing);
        }]);
        assert_eq!(twice.unwrap_err().duplicates[0].name, "Ask of world.say");
    }
}
