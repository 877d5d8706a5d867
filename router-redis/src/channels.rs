//! How far channels are: a hash for each, in the slot of its pub/sub channel.

use bytes::Bytes;
use redis::{FromRedisValue, Value, from_redis_value};
use router_core::{
    backend::{
        BackendError, BoxFuture,
        channels::{ChannelStore, Stored},
    },
    channel::{ChannelKey, Position},
};

use crate::{
    commands::Commands,
    error::Fault,
    keys::{CHANNEL_TTL, millis},
    scripts::PUBLISH,
};

const WRONG: Fault = Fault::Unexpected("a channel's position");

fn read<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    from_redis_value(value).map_err(|_| WRONG)
}

/// The name of an epoch, if one is to begin: none that the channel had before. It is short, since
/// every message carries it.
pub(crate) fn fresh_epoch() -> String {
    format!("{:x}", getrandom::u64().unwrap_or_default() & 0xff_ffff_ffff)
}

/// Whether a server's answer says that it does not know the command.
fn is_unknown(fault: &Fault) -> bool {
    let text = match fault {
        Fault::Redis(error) if error.code() == Some("ERR") => error.detail(),
        _ => None,
    };
    text.is_some_and(|text| text.starts_with("unknown command"))
}

impl Commands {
    /// Publishes on a plain channel, by its slot; gives how many heard it.
    pub(crate) async fn publish(&self, channel: &str, frame: &[u8]) -> Result<u64, Fault> {
        self.publish_by("PUBLISH", channel, frame).await
    }

    /// Says a frame on a channel, as a script's `say` does, and for half its price: by sharded
    /// pub/sub where the server has it. Gives how many heard it.
    pub(crate) async fn say(&self, channel: &str, frame: &[u8]) -> Result<u64, Fault> {
        match self.publish_by("SPUBLISH", channel, frame).await {
            Err(fault) if is_unknown(&fault) => self.publish(channel, frame).await,
            outcome => outcome,
        }
    }

    async fn publish_by(&self, how: &str, channel: &str, frame: &[u8]) -> Result<u64, Fault> {
        let mut publish = redis::Cmd::with_capacity(3, 16 + channel.len() + frame.len());
        publish.arg(how).arg(channel).arg(frame);
        let heard = self.call(channel, &publish).await?;
        from_redis_value(heard).map_err(|_| Fault::Unexpected("an answer to a publish"))
    }

    async fn publish_on(&self, channel: &ChannelKey, frame: &[u8]) -> Result<Stored, Fault> {
        let keys = self.keys();
        let subject = channel.subject();
        let name = keys.channel(&subject).ok_or(Fault::NoChannel)?;
        let (epoch, ttl) = (fresh_epoch(), millis(CHANNEL_TTL).to_string());
        let args = [epoch.as_bytes(), ttl.as_bytes(), name.as_bytes(), frame];
        let answer = self.run(&PUBLISH, &[keys.position(channel)], &args).await?;
        let (epoch, offset, listeners): (String, u64, u64) = read(answer)?;
        Ok(Stored { position: Position { epoch: epoch.into(), offset }, listeners })
    }

    async fn position_of(&self, channel: &ChannelKey) -> Result<Position, Fault> {
        let key = self.keys().position(channel);
        let mut fields = redis::cmd("HMGET");
        fields.arg(&key).arg("epoch").arg("offset");
        let answer = self.call(&key, &fields).await?;
        let (epoch, offset): (Option<String>, Option<u64>) = read(answer)?;
        Ok(epoch.map_or_else(Position::default, |epoch| Position {
            epoch: epoch.into(),
            offset: offset.unwrap_or(0),
        }))
    }
}

impl ChannelStore for Commands {
    fn publish<'a>(
        &'a self,
        channel: &'a ChannelKey,
        frame: Bytes,
    ) -> BoxFuture<'a, Result<Stored, BackendError>> {
        Box::pin(async move { Ok(self.publish_on(channel, &frame).await?) })
    }

    fn position<'a>(
        &'a self,
        channel: &'a ChannelKey,
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(async move { Ok(self.position_of(channel).await?) })
    }
}
