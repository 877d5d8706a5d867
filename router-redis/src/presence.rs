//! Rosters: five keys for each in the slot of its channel; notes and seals in the slot of their node.

use redis::{FromRedisValue, Value, from_redis_value};
use router_core::{
    backend::{
        BackendError, BoxFuture,
        presence::{Adopted, Holding, Noted, Outcome, PresenceError, PresenceStore},
        registry::Lease,
    },
    channel::ChannelKey,
    presence::{ClientId, Counts, Entrance, Kind, Member, Millis, PAGE_MAX, Page, Serial, State},
};

use crate::{
    channels::fresh_epoch,
    commands::Commands,
    error::Fault,
    keys::{LIFE_TTL, ROSTER_TTL, millis},
    scripts::{self, Script},
};

const WRONG: Fault = Fault::Unexpected("a roster");

fn read<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    from_redis_value(value).map_err(|_| WRONG)
}

fn read_client(client: &[u8]) -> Result<ClientId, Fault> {
    std::str::from_utf8(client).ok().and_then(|client| client.parse().ok()).ok_or(WRONG)
}

/// Clients and their records, one after the other.
fn read_members(answer: &[Vec<u8>]) -> Result<Vec<Member>, Fault> {
    let member = |pair: &[Vec<u8>]| match pair {
        [client, record] => Member::from_record(read_client(client)?, record).ok_or(WRONG),
        _ => Err(WRONG),
    };
    answer.chunks(2).map(member).collect()
}

/// What a script did to a member; `None`: the owner is fenced.
fn read_outcome(value: Value) -> Result<Option<Outcome>, Fault> {
    let (word, version): (String, u64) = read(value)?;
    Ok(Some(match word.as_str() {
        "fenced" => return Ok(None),
        "not_held" => Outcome::NotHeld,
        "quiet" => Outcome::Quiet,
        kind => Outcome::Told(Kind::parse(kind).ok_or(WRONG)?, version),
    }))
}

fn unfenced<T>(answer: Result<Option<T>, Fault>) -> Result<T, PresenceError> {
    match answer {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(PresenceError::Fenced),
        Err(fault) => Err(PresenceError::Backend(fault.into())),
    }
}

impl Commands {
    /// One script on a channel's roster.
    async fn on_roster(
        &self,
        script: &Script,
        channel: &ChannelKey,
        args: &[&[u8]],
    ) -> Result<Value, Fault> {
        let keys = self.keys();
        let name = keys.channel(&channel.subject()).ok_or(Fault::NoChannel)?;
        let (epoch, ttl) = (fresh_epoch(), millis(ROSTER_TTL).to_string());
        let shared = [name.as_bytes(), epoch.as_bytes(), ttl.as_bytes()];
        self.run(script, &keys.roster(channel), &[&shared, args].concat()).await
    }

    async fn enters(
        &self,
        channel: &ChannelKey,
        owner: &Lease,
        entrance: &Entrance,
    ) -> Result<Option<Outcome>, Fault> {
        let Entrance { coming, at, kept, serial, again } = entrance;
        let args = [
            coming.client.as_str(),
            &owner.node.to_string(),
            &owner.incarnation.to_string(),
            &serial.to_string(),
            &coming.address.to_string(),
            &at.to_string(),
            &kept.to_string(),
            if *again { "1" } else { "0" },
            &coming.said(),
        ];
        let args = args.map(str::as_bytes);
        read_outcome(self.on_roster(&scripts::ROSTER_ENTER, channel, &args).await?)
    }

    /// A request about a member whose owner need not be looked at for fences.
    async fn on_member(
        &self,
        script: &Script,
        channel: &ChannelKey,
        args: &[&str],
    ) -> Result<Outcome, BackendError> {
        let args: Vec<_> = args.iter().map(|arg| arg.as_bytes()).collect();
        let answer = self.on_roster(script, channel, &args).await?;
        Ok(read_outcome(answer)?.ok_or(WRONG)?)
    }

    async fn adopts(
        &self,
        channel: &ChannelKey,
        dead: &Lease,
        owner: &Lease,
        seen: Millis,
        limit: usize,
    ) -> Result<Option<Adopted>, Fault> {
        let words = [
            dead.node.to_string(),
            dead.incarnation.to_string(),
            owner.node.to_string(),
            owner.incarnation.to_string(),
            seen.to_string(),
            limit.to_string(),
        ];
        let args = words.each_ref().map(String::as_bytes);
        let answer = self.on_roster(&scripts::ROSTER_ADOPT, channel, &args).await?;
        let answer: Vec<Vec<u8>> = read(answer)?;
        match answer.as_slice() {
            [word] if word == b"fenced" => Ok(None),
            [_, more, members @ ..] => {
                Ok(Some(Adopted { members: read_members(members)?, more: more == b"1" }))
            }
            _ => Err(WRONG),
        }
    }

    async fn page_of(
        &self,
        channel: &ChannelKey,
        after: Option<&ClientId>,
        limit: usize,
    ) -> Result<Page, Fault> {
        let after = after.map(ClientId::as_str).unwrap_or_default();
        let limit = limit.min(PAGE_MAX).to_string();
        let args = [after, &limit].map(str::as_bytes);
        let answer = self.on_roster(&scripts::ROSTER_PAGE, channel, &args).await?;
        let answer: Vec<Vec<u8>> = read(answer)?;
        let [epoch, version, more, members @ ..] = answer.as_slice() else { return Err(WRONG) };
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WRONG);
        let members = read_members(members)?;
        let last = members.last().map(|member| member.coming.client.clone());
        Ok(Page {
            epoch: text(epoch)?.into(),
            version: text(version)?.parse().map_err(|_| WRONG)?,
            members,
            next: last.filter(|_| more == b"1"),
        })
    }

    async fn holdings(
        &self,
        channel: &ChannelKey,
        owner: &Lease,
        after: Option<&ClientId>,
        limit: usize,
    ) -> Result<Vec<Holding>, Fault> {
        let after = after.map(ClientId::as_str).unwrap_or_default();
        let (owner, limit) = (owner.to_string(), limit.to_string());
        let args = [&owner, after, &limit].map(str::as_bytes);
        let answer = self.on_roster(&scripts::ROSTER_HELD, channel, &args).await?;
        let answer: Vec<String> = read(answer)?;
        let holding = |words: &[String]| match words {
            [client, state, serial] => Some(Holding {
                client: client.parse().ok()?,
                state: State::parse(state)?,
                serial: serial.parse().ok()?,
            }),
            _ => None,
        };
        answer.chunks(3).map(|words| holding(words).ok_or(WRONG)).collect()
    }

    async fn notes(
        &self,
        owner: &Lease,
        channel: &ChannelKey,
        serial: Serial,
    ) -> Result<Option<()>, Fault> {
        let keys = self.keys();
        // The list may be in another slot than the notes, so this comes first: an owner too many does
        // no harm, one too few would hide what a dead one held.
        let owners = keys.owners();
        let mut enlist = redis::cmd("SADD");
        enlist.arg(&owners).arg(owner.to_string());
        self.call(&owners, &enlist).await?;
        let (life, serial) = (owner.incarnation.to_string(), serial.to_string());
        let args = [&life, &serial, channel.as_str()].map(str::as_bytes);
        let keys = [keys.sealed(&owner.node), keys.notes(owner)];
        let noted: bool = read(self.run(&scripts::NOTE, &keys, &args).await?)?;
        Ok(noted.then_some(()))
    }
}

impl PresenceStore for Commands {
    fn enter<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        entrance: &'a Entrance,
    ) -> BoxFuture<'a, Result<Outcome, PresenceError>> {
        Box::pin(async move { unfenced(self.enters(channel, owner, entrance).await) })
    }

    fn lose<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
        last_seen: Millis,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>> {
        Box::pin(async move {
            let words = [owner.to_string(), serial.to_string(), last_seen.to_string()];
            let [owner, serial, seen] = words.each_ref().map(String::as_str);
            let args = [client.as_str(), owner, serial, seen];
            self.on_member(&scripts::ROSTER_LOSE, channel, &args).await
        })
    }

    fn remove<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>> {
        Box::pin(async move {
            let (owner, serial) = (owner.to_string(), serial.to_string());
            let args = [client.as_str(), &owner, &serial];
            self.on_member(&scripts::ROSTER_REMOVE, channel, &args).await
        })
    }

    fn adopt<'a>(
        &'a self,
        channel: &'a ChannelKey,
        dead: &'a Lease,
        owner: &'a Lease,
        seen: Millis,
        limit: usize,
    ) -> BoxFuture<'a, Result<Adopted, PresenceError>> {
        Box::pin(async move { unfenced(self.adopts(channel, dead, owner, seen, limit).await) })
    }

    fn page<'a>(
        &'a self,
        channel: &'a ChannelKey,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, BackendError>> {
        Box::pin(async move { Ok(self.page_of(channel, after, limit).await?) })
    }

    fn member<'a>(
        &'a self,
        channel: &'a ChannelKey,
        client: &'a ClientId,
    ) -> BoxFuture<'a, Result<Option<Member>, BackendError>> {
        Box::pin(async move {
            let [_, members, ..] = self.keys().roster(channel);
            let mut get = redis::cmd("HGET");
            get.arg(&members).arg(client.as_str());
            let record: Option<Vec<u8>> = read(self.call(&members, &get).await?)?;
            let member = |record: Vec<u8>| {
                Member::from_record(client.clone(), &record).ok_or(BackendError::from(WRONG))
            };
            record.map(member).transpose()
        })
    }

    fn counts<'a>(
        &'a self,
        channel: &'a ChannelKey,
    ) -> BoxFuture<'a, Result<Counts, BackendError>> {
        Box::pin(async move {
            let answer = self.on_roster(&scripts::ROSTER_COUNTS, channel, &[]).await?;
            let (connected, disconnected, users) = read(answer)?;
            Ok(Counts { connected, disconnected, users })
        })
    }

    fn held<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Holding>, BackendError>> {
        Box::pin(async move { Ok(self.holdings(channel, owner, after, limit).await?) })
    }

    fn note<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        Box::pin(async move { unfenced(self.notes(owner, channel, serial).await) })
    }

    fn forget<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let serial = serial.to_string();
            let args = [channel.as_str(), &serial].map(str::as_bytes);
            self.run(&scripts::FORGET, &[self.keys().notes(owner)], &args).await?;
            Ok(())
        })
    }

    fn noted<'a>(
        &'a self,
        owner: &'a Lease,
        after: Serial,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Noted>, BackendError>> {
        Box::pin(async move {
            let (after, limit) = (after.to_string(), limit.to_string());
            let args = [after.as_bytes(), limit.as_bytes()];
            let answer = self.run(&scripts::NOTED, &[self.keys().notes(owner)], &args).await?;
            let answer: Vec<String> = read(answer)?;
            let noted = |words: &[String]| match words {
                [channel, serial] => Some(Noted {
                    serial: serial.parse().ok()?,
                    channel: ChannelKey::from_stored(channel.as_str()),
                }),
                _ => None,
            };
            answer.chunks(2).map(|words| noted(words).ok_or(WRONG.into())).collect()
        })
    }

    fn owners(&self) -> BoxFuture<'_, Result<Vec<Lease>, BackendError>> {
        Box::pin(async move {
            let owners = self.keys().owners();
            let mut look = redis::cmd("SMEMBERS");
            look.arg(&owners);
            let listed: Vec<String> = read(self.call(&owners, &look).await?)?;
            let lease = |owner: &String| Lease::parse(owner).ok_or(BackendError::from(WRONG));
            listed.iter().map(lease).collect()
        })
    }

    fn seal<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let keys = [self.keys().lease(&owner.node), self.keys().sealed(&owner.node)];
            let (life, ttl) = (owner.incarnation.to_string(), millis(LIFE_TTL).to_string());
            let args = [life.as_bytes(), ttl.as_bytes()];
            Ok(read(self.run(&scripts::SEAL, &keys, &args).await?)?)
        })
    }

    fn forget_owner<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let owners = self.keys().owners();
            let mut delist = redis::cmd("SREM");
            delist.arg(&owners).arg(owner.to_string());
            self.call(&owners, &delist).await?;
            Ok(())
        })
    }
}
