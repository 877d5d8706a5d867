//! Rosters as a backend keeps them: who is on a channel, in whose hands, and what a dead node left.
//!
//! What a roster promises its followers, and how the parts play together, stands in
//! [`presence`](crate::presence).

use std::fmt::Debug;

use super::{BackendError, BoxFuture, registry::Lease};
use crate::{
    channel::ChannelKey,
    presence::{ClientId, Counts, Entrance, Kind, Member, Millis, Page, Serial, State},
};

/// What became of a request about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The member changed, and its channel's subject was told so under this version of the roster.
    Told(Kind, u64),
    /// It is as it should be, and nobody had to be told.
    Quiet,
    /// The client is in other hands, or not on the roster: nothing was done.
    NotHeld,
}

/// Members that came into other hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// What they are now.
    pub members: Vec<Member>,
    /// The former owner has more.
    pub more: bool,
}

/// Somebody in an owner's hands, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Who.
    pub client: ClientId,
    /// What it is.
    pub state: State,
    /// The owner's request that changed it last.
    pub serial: Serial,
}

/// A channel that a life has noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The note's serial: they rise from page to page.
    pub serial: Serial,
    /// The channel.
    pub channel: ChannelKey,
}

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// The owner's life is over, as the store knows; nothing was done.
    #[error("the owner's life is over")]
    Fenced,
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// The rosters of channels, and the notes of who has members where.
///
/// A change and its telling ([`PresenceEvent`](crate::presence::PresenceEvent), on the channel's
/// [subject](ChannelKey::subject)) are one atomic step, and cost the same however long the roster is.
/// A roster's version rises with each change in its epoch. A roster without members is forgotten some
/// time after the last one left, the notes when they are taken back.
///
/// Notes and rosters need not be in one atomic step: whoever writes keeps to the order
/// [`note`](Self::note), [`enter`](Self::enter) or [`adopt`](Self::adopt), and at the end
/// [`forget`](Self::forget), so that a crash anywhere leaves a note too many and never one too few.
pub trait PresenceStore: Debug + Send + Sync {
    /// Puts a client on the roster, connected, in the hands of `owner`. Who was disconnected is
    /// reconnected; who was connected already is moved quietly, unless what is said of it changed.
    ///
    /// [`Outcome::NotHeld`] where this owner changed the member by a request of a greater serial, or
    /// where the entrance is one [again](Entrance::again) and another owner has it connected by another
    /// socket.
    ///
    /// Fenced if somebody adopted from this owner on this channel.
    fn enter<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        entrance: &'a Entrance,
    ) -> BoxFuture<'a, Result<Outcome, PresenceError>>;

    /// Makes a client disconnected, if it is `owner`'s and not changed by a request of a greater
    /// serial. Quiet if it is so already.
    fn lose<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
        last_seen: Millis,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>>;

    /// Takes a client off the roster, if it is `owner`'s and not changed by a request of a greater
    /// serial.
    fn remove<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>>;

    /// Moves at most `limit` members of `dead` into the hands of `owner`, each disconnected and told
    /// so if it was connected, as last seen at `seen` or later. From then on `dead` enters nobody on
    /// this channel. The caller knows that it is [sealed](Self::seal).
    ///
    /// Fenced if somebody adopted from `owner` on this channel.
    fn adopt<'a>(
        &'a self,
        channel: &'a ChannelKey,
        dead: &'a Lease,
        owner: &'a Lease,
        seen: Millis,
        limit: usize,
    ) -> BoxFuture<'a, Result<Adopted, PresenceError>>;

    /// At most `limit` members (and no more than [`PAGE_MAX`](crate::presence::PAGE_MAX)) that come
    /// after a client in the order of ids. A roster that nobody is on has an epoch, too.
    fn page<'a>(
        &'a self,
        channel: &'a ChannelKey,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, BackendError>>;

    /// One member.
    fn member<'a>(
        &'a self,
        channel: &'a ChannelKey,
        client: &'a ClientId,
    ) -> BoxFuture<'a, Result<Option<Member>, BackendError>>;

    /// How many there are, however many that is, at the same cost.
    fn counts<'a>(&'a self, channel: &'a ChannelKey)
    -> BoxFuture<'a, Result<Counts, BackendError>>;

    /// At most `limit` members in the hands of `owner` that come after a client in the order of ids.
    fn held<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Holding>, BackendError>>;

    /// Notes that `owner` has members on a channel, or is about to, and that it is an owner. A later
    /// note of the same channel replaces an earlier one.
    ///
    /// Fenced if the owner was sealed.
    fn note<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), PresenceError>>;

    /// Takes a note back, if it is exactly this one.
    fn forget<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), BackendError>>;

    /// At most `limit` notes of an owner whose serials are greater than `after`, by rising serial.
    fn noted<'a>(
        &'a self,
        owner: &'a Lease,
        after: Serial,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Noted>, BackendError>>;

    /// Every life that has notes, in no order.
    fn owners(&self) -> BoxFuture<'_, Result<Vec<Lease>, BackendError>>;

    /// Ends what a life may note, for ever, if its lease is gone. `false`, and nothing is done, if it
    /// lives. The check and the seal are one atomic step.
    fn seal<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>>;

    /// Takes a sealed life without notes off the list of [owners](Self::owners).
    fn forget_owner<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>>;
}
