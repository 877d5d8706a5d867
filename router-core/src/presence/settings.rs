//! The times of a channel's presence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Millis;

/// The times of a channel's presence, as a configuration writes them. [`Settings`] are those that
/// make sense together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// How often the channel's sockets are pinged. 2 s.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// How long a node waits before it tries again what the store did not take. 5 s.
    #[serde(with = "humantime_serde")]
    pub sync_interval: Duration,
    /// How long after it was last heard a member is disconnected. 10 s.
    #[serde(with = "humantime_serde")]
    pub disconnect_threshold: Duration,
    /// How long after it was last heard a member is removed. 60 s.
    #[serde(with = "humantime_serde")]
    pub removal_threshold: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(2),
            sync_interval: Duration::from_secs(5),
            disconnect_threshold: Duration::from_secs(10),
            removal_threshold: Duration::from_secs(60),
        }
    }
}

/// The times of a channel's presence: each more than zero, `ping_interval` less than
/// `disconnect_threshold`, and that less than `removal_threshold`.
///
/// ```
/// use router_core::presence::Settings;
///
/// let read = |json: &str| serde_json::from_str::<Settings>(json);
/// assert!(read(r#"{"disconnect_threshold": "4s"}"#).is_ok());
/// assert!(read(r#"{"disconnect_threshold": "1s"}"#).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Times", into = "Times")]
pub struct Settings(Times);

/// Times that make no sense together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "ping_interval and sync_interval are more than zero, ping_interval is less than \
     disconnect_threshold, and that less than removal_threshold"
)]
pub struct SettingsError;

impl TryFrom<Times> for Settings {
    type Error = SettingsError;

    fn try_from(times: Times) -> Result<Self, SettingsError> {
        let Times { ping_interval, sync_interval, disconnect_threshold, removal_threshold } = times;
        let counted = [ping_interval, sync_interval].iter().all(|time| time.as_millis() > 0);
        if counted
            && ping_interval < disconnect_threshold
            && disconnect_threshold < removal_threshold
        {
            Ok(Self(times))
        } else {
            Err(SettingsError)
        }
    }
}

impl From<Settings> for Times {
    fn from(settings: Settings) -> Self {
        settings.0
    }
}

impl Settings {
    /// How often the channel's sockets are pinged.
    pub fn ping_interval(&self) -> Duration {
        self.0.ping_interval
    }

    /// How long a node waits before it tries again what the store did not take.
    pub fn sync_interval(&self) -> Duration {
        self.0.sync_interval
    }

    /// How long after it was last heard a member is disconnected.
    pub fn disconnect_threshold(&self) -> Duration {
        self.0.disconnect_threshold
    }

    /// How long after it was last heard a member is removed.
    pub fn removal_threshold(&self) -> Duration {
        self.0.removal_threshold
    }
}

/// A time as the machines count it.
pub(super) fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        let second = Duration::from_secs;
        let good = Times::default();
        let bad = [
            Times { ping_interval: second(10), ..good },
            Times { disconnect_threshold: second(60), ..good },
            Times { removal_threshold: second(9), ..good },
            Times { ping_interval: second(0), ..good },
            Times { sync_interval: Duration::from_nanos(1), ..good },
        ];
        for times in bad {
            assert_eq!(Settings::try_from(times), Err(SettingsError), "{times:?}");
        }
        assert_eq!(Settings::try_from(good), Ok(Settings::default()));
        let text = serde_json::to_string(&Settings::default()).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), Settings::default());
    }
}
