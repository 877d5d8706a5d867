//! The session's cookie: written, signed, and believed.
//!
//! Its value is `key id . session id . signature`, all of URL-safe characters. The signature also
//! covers site and cookie name, so that what was signed for one is worth nothing for another.

use std::fmt;

use actix_web::{
    cookie::{Cookie, SameSite, time::Duration},
    http::header::{COOKIE, HeaderMap},
};
use router_core::{
    keys::{self, KeyRing},
    session::{SessionId, Site},
};

/// The longest value that is looked at, in bytes; ours have about 120.
const VALUE_MAX: usize = 256;

/// Reads and writes the cookie of one site.
pub(crate) struct Cookies {
    name: String,
    secure: bool,
    site: Site,
    /// The signing one first, each with its key's id.
    secrets: Vec<(String, [u8; 32])>,
}

/// What a request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// No cookie of ours.
    Nothing,
    /// Only cookies that nobody here has signed.
    Forged,
    /// A session's id; `stale` where the previous key has signed it.
    Session { sid: SessionId, stale: bool },
}

/// A text that cannot name a cookie (RFC 6265, section 4.1.1: a token).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cookie's name is 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'")]
pub(crate) struct NameError;

impl Cookies {
    /// The cookie `name` of `site`; behind TLS it is `Secure` and its name gets the prefix
    /// `__Host-`, with which browsers take it from this very host alone (RFC 6265bis, 4.1.3.2).
    pub(crate) fn new(
        name: &str,
        secure: bool,
        site: Site,
        keys: &KeyRing,
    ) -> Result<Self, NameError> {
        let named = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !named {
            return Err(NameError);
        }
        let prefix = if secure && !name.starts_with("__Host-") { "__Host-" } else { "" };
        let secrets =
            keys.live().map(|key| (key.id().to_owned(), key.derive("web-session"))).collect();
        Ok(Self { name: format!("{prefix}{name}"), secure, site, secrets })
    }

    /// The session that a request shows. A browser may send several cookies of one name, of other
    /// paths or domains: the first one that we have signed counts.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Shown {
        let mut shown = Shown::Nothing;
        let pairs = headers
            .get_all(COOKIE)
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        for (name, value) in pairs {
            if name == self.name {
                match self.verify(value) {
                    Some(session) => return session,
                    None => shown = Shown::Forged,
                }
            }
        }
        shown
    }

    fn verify(&self, value: &str) -> Option<Shown> {
        if value.len() > VALUE_MAX {
            return None;
        }
        let (key, rest) = value.split_once('.')?;
        let (sid, signature) = rest.split_once('.')?;
        let at = self.secrets.iter().position(|(id, _)| id == key)?;
        let (_, secret) = self.secrets.get(at)?;
        keys::verify(secret, &[self.site.as_str(), &self.name, sid], signature).then(|| {
            let sid = SessionId::from_signed(sid.to_owned());
            Shown::Session { sid, stale: at > 0 }
        })
    }

    /// The cookie that shows `sid`. It lives as long as the browser's session; how long the record
    /// behind it lives is the store's matter.
    pub(crate) fn set(&self, sid: &SessionId) -> Option<Cookie<'static>> {
        let (key, secret) = self.secrets.first()?;
        let sid = sid.as_str();
        let signature = keys::sign(secret, &[self.site.as_str(), &self.name, sid])?;
        Some(self.cookie(format!("{key}.{sid}.{signature}")))
    }

    /// The cookie that takes ours away.
    pub(crate) fn clear(&self) -> Cookie<'static> {
        let mut cookie = self.cookie(String::new());
        cookie.set_max_age(Duration::ZERO);
        cookie
    }

    fn cookie(&self, value: String) -> Cookie<'static> {
        Cookie::build(self.name.clone(), value)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.secure)
            .finish()
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use router_core::keys::Key;

    use super::*;

    fn cookies(name: &str, site: &str, keys: &KeyRing) -> Cookies {
        let site = serde_json::from_value(site.into()).unwrap();
        Cookies::new(name, false, site, keys).unwrap()
    }

    fn ring(current: &Key, previous: Option<&Key>) -> KeyRing {
        KeyRing::new(current.clone(), previous.cloned()).unwrap()
    }

    fn shown(cookies: &Cookies, header: &str) -> Shown {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(header).unwrap());
        cookies.read(&headers)
    }

    fn pair(cookie: &Cookie<'_>) -> String {
        format!("{}={}", cookie.name(), cookie.value())
    }

    #[test]
    fn a_cookie_is_believed_by_its_own_site_name_and_keys_alone() {
        let (key, other) = (Key::random("a").unwrap(), Key::random("a").unwrap());
        let ours = cookies("s", "main", &ring(&key, None));
        let sid = SessionId::random().unwrap();
        let cookie = ours.set(&sid).unwrap();
        let session = Shown::Session { sid, stale: false };
        assert_eq!(shown(&ours, &pair(&cookie)), session);

        let foreign_site = cookies("s", "other", &ring(&key, None));
        assert_eq!(shown(&foreign_site, &pair(&cookie)), Shown::Forged);
        let foreign_key = cookies("s", "main", &ring(&other, None));
        assert_eq!(shown(&foreign_key, &pair(&cookie)), Shown::Forged);
        let other_name = cookies("t", "main", &ring(&key, None));
        assert_eq!(shown(&other_name, &pair(&cookie)), Shown::Nothing);
        assert_eq!(shown(&other_name, &format!("t={}", cookie.value())), Shown::Forged);
    }

    #[test]
    fn a_cookie_of_the_previous_key_is_stale_and_of_an_older_one_forged() {
        let keys = ["a", "b", "c"].map(|id| Key::random(id).unwrap());
        let [first, second, third] = &keys;
        let sid = SessionId::random().unwrap();
        let cookie = cookies("s", "main", &ring(first, None)).set(&sid).unwrap();
        let rotated = cookies("s", "main", &ring(second, Some(first)));
        assert_eq!(shown(&rotated, &pair(&cookie)), Shown::Session { sid, stale: true });
        let later = cookies("s", "main", &ring(third, Some(second)));
        assert_eq!(shown(&later, &pair(&cookie)), Shown::Forged);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_forged() {
        let ours = cookies("s", "main", &ring(&Key::random("a").unwrap(), None));
        let value = ours.set(&SessionId::random().unwrap()).unwrap().value().to_owned();
        for at in 0..value.len() {
            assert_eq!(shown(&ours, &format!("s={}", &value[..at])), Shown::Forged);
            // '~' is in no alphabet of ours, and the last character's spare bits do not hide it.
            let changed = format!("{}~{}", &value[..at], &value[at + 1..]);
            assert_eq!(shown(&ours, &format!("s={changed}")), Shown::Forged);
        }
        let long = "a".repeat(10_000);
        assert_eq!(shown(&ours, &format!("s={long}")), Shown::Forged);
    }

    #[test]
    fn a_planted_cookie_does_not_hide_ours_and_a_neighbours_broken_one_does_not_matter() {
        let ours = cookies("s", "main", &ring(&Key::random("a").unwrap(), None));
        let sid = SessionId::random().unwrap();
        let header = format!("s=planted; %zz; x=%ff; {}", pair(&ours.set(&sid).unwrap()));
        assert_eq!(shown(&ours, &header), Shown::Session { sid, stale: false });
    }

    #[test]
    fn names_are_tokens() {
        let keys = ring(&Key::random("a").unwrap(), None);
        for name in ["", "a b", "a;b", "a=b", "ü"] {
            assert!(Cookies::new(name, false, Site::main(), &keys).is_err(), "{name}");
        }
        let secure = Cookies::new("s", true, Site::main(), &keys).unwrap();
        assert_eq!(secure.clear().name(), "__Host-s");
    }
}
