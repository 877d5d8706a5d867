//! How a socket comes to be on a channel, and off it.
//!
//! What is done for one socket on one channel follows each other: gates, the bus's confirmation, the
//! index, the roster. A failure on the way takes back what was done. The hooks of what happened come
//! afterwards, in the channel's own order, so that they may themselves do something to the socket.

use std::sync::Arc;

use bytestring::ByteString;
use futures_util::future::join_all;

use super::{
    ChannelHook, ChannelName, Position, SubscribeError,
    judge::is_passing,
    local::{Change, Seat},
    moments::{Hooks, Moment},
    node::ChannelNode,
    roster::Gone,
    rules::Rules,
};
use crate::{
    address::TenantId,
    handler::Services,
    presence::Profile,
    socket::{JoinError, Socket},
};

/// How a socket wants to be on a channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    /// The client's query, as the text of arguments.
    pub(super) query: ByteString,
    /// Whether the server itself puts the socket there: no gate is asked.
    pub(super) by_server: bool,
    /// What the client says of itself on the roster; `None` if it only watches.
    pub(super) profile: Option<Profile>,
}

impl ChannelNode {
    /// Puts a socket on a channel. When this returns, the bus has confirmed that the node listens to
    /// it: what is published after the returned position arrives.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        wish: Wish,
        hooks: Hooks,
    ) -> Result<Position, SubscribeError> {
        let mut moments = Vec::new();
        let turn = self.turn(socket, name)?.begin().await;
        let outcome = self.subscribe_now(services, socket, name, wish, &mut moments).await;
        drop(turn);
        self.run_moments(services, moments, hooks).await;
        outcome
    }

    /// Takes a socket off a channel; nothing if it is not on it.
    pub(super) async fn unsubscribe(
        self: &Arc<Self>,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        gone: Gone,
        hooks: Hooks,
    ) {
        let mut moments = Vec::new();
        let Ok(ticket) = self.turn(socket, name) else { return };
        let turn = ticket.begin().await;
        self.take_off(socket, name, gone, &mut moments).await;
        drop(turn);
        self.run_moments(services, moments, hooks).await;
    }

    /// A socket is gone: it is on nothing any more. Returns when the hooks have seen it.
    pub(super) async fn depart(
        self: &Arc<Self>,
        services: &Arc<Services>,
        socket: &Socket,
        gone: Gone,
    ) {
        let Some(tid) = socket.address().tid() else { return };
        self.requests.forget(tid);
        let off = self.channels_of(tid).into_iter().map(async |name| {
            self.unsubscribe(services, socket, &name, gone, Hooks::Await).await;
        });
        join_all(off).await;
    }

    /// The channels that a socket is on, or that something is being done about.
    pub(super) fn channels_of(&self, tid: &TenantId) -> Vec<ChannelName> {
        let mut names = self.local().seats(tid);
        for (_, name) in self.seats.keys(|(of, _)| of == tid) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn turn(
        &self,
        socket: &Socket,
        name: &ChannelName,
    ) -> Result<super::turns::Ticket<(TenantId, ChannelName)>, SubscribeError> {
        let tid = socket.address().tid().ok_or(JoinError::Gone)?;
        Ok(self.seats.ticket((tid.clone(), name.clone())))
    }

    /// In the socket's turn on the channel.
    async fn subscribe_now(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        wish: Wish,
        moments: &mut Vec<Moment>,
    ) -> Result<Position, SubscribeError> {
        let tid = socket.address().tid().ok_or(JoinError::Gone)?;
        // It may have gone while others came before it.
        self.hub.find(tid).ok_or(JoinError::Gone)?;
        if self.limits().subscription_query.exceeded_by(wish.query.len() as u64) {
            self.metrics().limit("subscription_query");
            return Err(SubscribeError::QueryTooLong);
        }
        let before = self.local().seat(tid, name).cloned();
        if wish.by_server && before.is_some() {
            return Ok(self.position(name).await?);
        }
        let placed = before.as_ref().filter(|seat| seat.by_server).cloned();
        let (query, by_server) = match placed {
            // What the server did needs nobody's leave.
            Some(seat) => (seat.query, true),
            None => (wish.query, wish.by_server),
        };
        let rules = self.rules(name);
        if !by_server && let Err(error) = self.judge(services, socket, name, &rules, &query).await {
            // Asked again, the gates may have changed their mind.
            let gone = if is_passing(&error) { Gone::now() } else { Gone::Left };
            self.take_off(socket, name, gone, moments).await;
            return Err(SubscribeError::Refused(error));
        }
        let seat = Seat { query, by_server, present: wish.profile.is_some() };
        let put = self.put_on(socket, name, &rules, seat, wish.profile, before, moments).await;
        if put.is_err() {
            self.take_off(socket, name, Gone::now(), moments).await;
        }
        put
    }

    /// Puts a socket on a channel that may be there. After an error it is taken off.
    #[allow(clippy::too_many_arguments, reason = "a part of its caller")]
    async fn put_on(
        &self,
        socket: &Socket,
        name: &ChannelName,
        rules: &Rules,
        seat: Seat,
        profile: Option<Profile>,
        before: Option<Seat>,
        moments: &mut Vec<Moment>,
    ) -> Result<Position, SubscribeError> {
        let tid = socket.address().tid().ok_or(JoinError::Gone)?;
        self.hub.subscribe(tid, name, self.key(name)).await?;
        self.enter(socket, name, seat, moments);
        // It went meanwhile; whoever let it go may have looked too early.
        self.hub.find(tid).ok_or(JoinError::Gone)?;
        match profile {
            Some(profile) => {
                let appeared = self.appear(socket, name, rules, profile).await;
                appeared.map_err(SubscribeError::Presence)?;
            }
            None if before.is_some_and(|seat| seat.present) => {
                self.disappear(socket, name, Gone::Left).await;
            }
            None => {}
        }
        Ok(self.position(name).await?)
    }

    fn enter(&self, socket: &Socket, name: &ChannelName, seat: Seat, moments: &mut Vec<Moment>) {
        let Some(tid) = socket.address().tid() else { return };
        let rules = self.rules(name);
        let mut local = self.local();
        let hooks: &[_] = match local.enter(tid, name, seat, &rules) {
            Change::Edge => &[ChannelHook::Opened, ChannelHook::Subscribed],
            Change::Inner => &[ChannelHook::Subscribed],
            Change::Nothing => return,
        };
        // The place in the channel's order is taken while nobody else can change it.
        if let Some(here) = local.here(name) {
            moments.extend(self.moment(socket, name, here, hooks));
        }
    }

    /// Takes a socket off, in its turn.
    pub(super) async fn take_off(
        &self,
        socket: &Socket,
        name: &ChannelName,
        gone: Gone,
        moments: &mut Vec<Moment>,
    ) {
        let Some(tid) = socket.address().tid() else { return };
        // The index may know it even where it never sat down.
        self.hub.unsubscribe(tid, name).await;
        let seat = {
            let mut local = self.local();
            let here = local.here(name).cloned();
            let (change, seat) = local.leave(tid, name);
            let hooks: &[_] = match change {
                Change::Edge => &[ChannelHook::Unsubscribed, ChannelHook::Closed],
                Change::Inner => &[ChannelHook::Unsubscribed],
                Change::Nothing => &[],
            };
            moments.extend(here.and_then(|here| self.moment(socket, name, &here, hooks)));
            seat
        };
        if seat.is_some_and(|seat| seat.present) {
            self.disappear(socket, name, gone).await;
        }
    }
}
