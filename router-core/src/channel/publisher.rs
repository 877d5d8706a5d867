//! A process that only publishes: no node, no lease, nothing to stop.

use std::sync::{Arc, Weak};

use serde::Serialize;
use tokio::sync::mpsc;

use super::{ChannelName, ChannelRules, Channels, PublishError, Published};
use crate::{
    address::{Namespace, ns},
    backend::Backend,
    bus::{Bus, Shared, shared::Sink},
    id::MessageId,
    limits::Limits,
    metrics::Metrics,
    session::{Site, UserId},
    socket::NoSockets,
};

/// Whose words a publisher's are. No node lives there.
const PUBLISHER: Namespace = ns("publisher");

/// Publishes on the channels of a site, from a process that is no node: a script, a cron job, a
/// server of another kind. It hears nothing, so it can ask nobody. Cheap to clone.
///
/// ```
/// use router_core::{
///     backend::memory::MemoryHub,
///     channel::{ChannelName, Publisher},
///     session::Site,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = Publisher::open(&MemoryHub::new().backend(), Site::main());
/// let published = publisher.publish(&"news".parse()?, "headline", "It works.").await?;
/// assert_eq!(published.position.offset, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Publisher {
    channels: Channels,
}

impl Publisher {
    /// A publisher on this backend. Its link connects in the background.
    pub fn open(backend: &Backend, site: Site) -> Self {
        // Nothing is ever queued there: it listens to nothing.
        let (inbound, _) = mpsc::channel(1);
        let (limits, metrics) = (Arc::<Limits>::default(), Arc::<Metrics>::default());
        let registry = Arc::clone(&backend.registry);
        let shared = Shared::new(PUBLISHER.node(0), limits, metrics, registry, inbound);
        shared.set_link(backend.bus.open(Arc::new(Sink(Weak::new()))));
        let bus = Bus { shared: Arc::new(shared) };
        let (hub, rules) = (Arc::new(NoSockets), ChannelRules::default());
        let channels = Channels::new(site, bus, hub, backend, rules, None);
        Self { channels }
    }

    /// Publishes a message to every socket on a channel. As
    /// [`Channel::publish`](super::Channel::publish).
    ///
    /// # Errors
    /// [`PublishError`] says what is known.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        channel: &ChannelName,
        topic: &str,
        payload: &T,
    ) -> Result<Published, PublishError> {
        self.channels.at_name(channel).publish(topic, payload).await
    }

    /// Publishes one message on many channels. As [`Channels::publish_many`].
    ///
    /// # Errors
    /// When the payload cannot be written as JSON.
    pub async fn publish_many<T: Serialize + ?Sized>(
        &self,
        channels: impl IntoIterator<Item = ChannelName>,
        topic: &str,
        payload: &T,
    ) -> Result<Vec<Result<Published, PublishError>>, PublishError> {
        self.channels.publish_many(channels, topic, payload).await
    }

    /// Publishes to every confirmed socket of a user.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_to_user<T: Serialize + ?Sized>(
        &self,
        user: &UserId,
        topic: &str,
        payload: &T,
    ) -> Result<Published, PublishError> {
        self.channels.user(user).publish(topic, payload).await
    }

    /// Says something to every socket of every node. As [`Channels::broadcast`].
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn broadcast<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        payload: &T,
    ) -> Result<MessageId, PublishError> {
        self.channels.broadcast(topic, payload).await
    }

    /// Sends every socket on a channel away for good. As [`Channel::boot`](super::Channel::boot).
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn boot_channel(&self, channel: &ChannelName, why: &str) -> Result<(), PublishError> {
        self.channels.at_name(channel).boot(why).await
    }

    /// Sends every socket of a user away for good. As [`Private::boot`](super::Private::boot).
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn boot_user(&self, user: &UserId, why: &str) -> Result<(), PublishError> {
        self.channels.user(user).boot(why).await
    }
}
