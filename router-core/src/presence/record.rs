//! The bytes of a member in a store, and of a change on the bus.
//!
//! A script on the store's side must be able to put them together without reading JSON, so a record
//! is lines of text:
//!
//! ```text
//! STATE FIRST_SEEN LAST_SEEN VERSION KEPT OWNER SERIAL ADDRESS
//! the user as a JSON string, or nothing
//! the label as a JSON string, or nothing
//! the meta as JSON, or nothing; here line feeds may follow
//! ```
//!
//! and a change is a line before the record: `!EPOCH KIND CLIENT`. No frame of the bus itself begins
//! with `!`.

use bytes::Bytes;
use bytestring::ByteString;

use super::{ClientId, Coming, Entrance, Kind, Member, Meta, PresenceEvent, Profile, State};
use crate::{address::Address, backend::registry::Lease, session::UserId};

/// Marks a change of a roster.
const MARK: u8 = b'!';

/// The longest first line of a change, in bytes.
const HEAD_MAX: usize = 256;

impl State {
    /// The state's word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Connected, Self::Disconnected].into_iter().find(|state| state.as_str() == word)
    }
}

impl Coming {
    /// Whose it is and what it says of itself, as a record ends with it: three lines, of which the
    /// first is the user's.
    pub fn said(&self) -> String {
        // A text is always writable as JSON.
        let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let user = self.user.as_ref().map(|user| json(user.as_str())).unwrap_or_default();
        let label = self.profile.label.as_ref().map(|label| json(label.as_str()));
        let meta = self.profile.meta.as_ref().map_or("", Meta::as_str);
        format!("{user}\n{}\n{meta}", label.unwrap_or_default())
    }

    fn read(client: ClientId, address: Address, said: &str) -> Option<Self> {
        let mut lines = said.splitn(3, '\n');
        let mut json = || {
            let line = lines.next()?;
            Some(if line.is_empty() { None } else { Some(serde_json::from_str(line).ok()?) })
        };
        let (user, label): (Option<ByteString>, Option<ByteString>) = (json()?, json()?);
        let user = user.map(|user| UserId::new(user).ok_or(())).transpose().ok()?;
        let label = label.map(TryInto::try_into).transpose().ok()?;
        let meta = lines.next().filter(|meta| !meta.is_empty()).map(Meta::from_stored);
        Some(Self { client, user, address, profile: Profile { label, meta } })
    }
}

impl Member {
    /// The member as stores keep it.
    pub fn to_record(&self) -> String {
        let Self { coming, state, first_seen, last_seen, version, kept, owner, serial } = self;
        let (state, address, said) = (state.as_str(), &coming.address, coming.said());
        format!(
            "{state} {first_seen} {last_seen} {version} {kept} {owner} {serial} {address}\n{said}"
        )
    }

    /// Reads a record; `None` if it is none.
    pub fn from_record(client: ClientId, record: &[u8]) -> Option<Self> {
        let (head, said) = std::str::from_utf8(record).ok()?.split_once('\n')?;
        let mut words = head.split(' ');
        let state = State::parse(words.next()?)?;
        let mut number = || words.next()?.parse().ok();
        let (first_seen, last_seen, version, kept) = (number()?, number()?, number()?, number()?);
        let owner = Lease::parse(words.next()?)?;
        let serial = words.next()?.parse().ok()?;
        let address = words.next()?.parse().ok()?;
        if words.next().is_some() {
            return None;
        }
        let coming = Coming::read(client, address, said)?;
        Some(Self { coming, state, first_seen, last_seen, version, kept, owner, serial })
    }
}

impl Kind {
    /// The kind's word on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Reconnected => "reconnected",
            Self::Updated => "updated",
            Self::Removed => "removed",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        use Kind::{Connected, Disconnected, Reconnected, Removed, Updated};
        let kinds = [Connected, Disconnected, Reconnected, Updated, Removed];
        kinds.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl PresenceEvent {
    /// Whether a frame of a channel is a change of its roster; the others are messages.
    pub fn is_one(frame: &[u8]) -> bool {
        frame.first() == Some(&MARK)
    }

    /// What a store publishes on the channel's subject.
    pub fn encode(&self) -> Bytes {
        let Self { kind, epoch, member } = self;
        let (kind, client) = (kind.as_str(), &member.coming.client);
        format!("!{epoch} {kind} {client}\n{}", member.to_record()).into()
    }

    /// Reads it; `None` if it is no change.
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let rest = frame.strip_prefix(&[MARK])?;
        let end = rest.iter().take(HEAD_MAX).position(|byte| *byte == b'\n')?;
        let (head, record) = rest.split_at_checked(end)?;
        let mut words = std::str::from_utf8(head).ok()?.split(' ');
        let epoch = words.next()?.into();
        let kind = Kind::parse(words.next()?)?;
        let client = words.next()?.parse().ok()?;
        if words.next().is_some() {
            return None;
        }
        Some(Self { kind, epoch, member: Member::from_record(client, record.get(1..)?)? })
    }
}

impl Entrance {
    /// The member that it makes where there was none.
    pub fn member(&self, owner: &Lease) -> Member {
        Member {
            coming: self.coming.clone(),
            state: State::Connected,
            first_seen: self.at,
            last_seen: self.at,
            version: 0,
            kept: self.kept,
            owner: owner.clone(),
            serial: self.serial,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(user: Option<String>, label: Option<String>, meta: Option<String>) -> Member {
        let label = label.map(|label| ByteString::from(label).try_into().unwrap());
        let meta = meta.map(|meta| Meta::parse(&meta).unwrap());
        Member {
            coming: Coming {
                client: "c-1".parse().unwrap(),
                user: user.and_then(UserId::new),
                address: "ws/0/t.1".parse().unwrap(),
                profile: Profile { label, meta },
            },
            state: State::Disconnected,
            first_seen: 1,
            last_seen: u64::MAX,
            version: 3,
            kept: 60_000,
            owner: Lease::parse("ws/0#17").unwrap(),
            serial: 5,
        }
    }

    proptest! {
        #[test]
        fn a_member_and_its_change_read_as_they_were_written(
            user in proptest::option::of(".{1,40}"),
            label in proptest::option::of("(?s).{0,30}"),
            meta in proptest::option::of("(?s).{0,60}"),
        ) {
            let meta = meta.map(|text| format!(" {{\n\"a\": {}}}", serde_json::json!(text)));
            let member = member(user, label, meta);
            let record = member.to_record();
            let client = member.coming.client.clone();
            let read = Member::from_record(client, record.as_bytes());
            prop_assert_eq!(read, Some(member.clone()));
            let event = PresenceEvent { kind: Kind::Removed, epoch: "e1".into(), member };
            prop_assert!(PresenceEvent::is_one(&event.encode()));
            prop_assert_eq!(PresenceEvent::decode(&event.encode()), Some(event));
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _read = Member::from_record("c".parse().unwrap(), &bytes);
            let _read = PresenceEvent::decode(&bytes);
            let _read = PresenceEvent::decode(&[b"!", &bytes[..]].concat());
        }
    }

    #[test]
    fn a_member_as_clients_see_it() {
        let shown = member(Some("u".into()), None, Some("[]".into()));
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            r#"{"client":"c-1","user":"u","meta":[],"state":"disconnected","first_seen":1,"last_seen":18446744073709551615,"version":3}"#
        );
        let plain = serde_json::to_value(member(None, None, None)).unwrap();
        assert_eq!(plain.as_object().unwrap().len(), 5);
    }
}
