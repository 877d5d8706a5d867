//! Telling our own pages from other sites' pages, by what browsers say of a request.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{HOST, HeaderMap, HeaderValue, ORIGIN},
};

use crate::{WebError, layer};

/// The origins whose pages are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    /// The host that the request names itself, with this scheme.
    Own { scheme: &'static str },
    /// These and no others.
    Listed(Vec<String>),
}

/// A text that is no origin as browsers write it (RFC 6454, section 6.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin; one is written http://host or https://host:port, without a path")]
pub struct OriginError(pub String);

impl Origins {
    /// The origins of an allow-list.
    pub(crate) fn listed(origins: &[String]) -> Result<Self, OriginError> {
        origins.iter().map(|origin| normal(origin)).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// Whether nothing in a request's headers says that a foreign page sent it: no `Origin` but our
    /// own, no `Sec-Fetch-Site` but `same-origin`. Programs that are no browsers send neither, and
    /// hold no one else's cookie.
    pub(crate) fn admit(&self, headers: &HeaderMap, host: Option<&str>) -> bool {
        headers.get_all(ORIGIN).all(|origin| self.is_own(origin, host))
            && headers.get_all("sec-fetch-site").all(|site| site == "same-origin")
    }

    fn is_own(&self, origin: &HeaderValue, host: Option<&str>) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        match self {
            Self::Listed(origins) => origins.iter().any(|own| own.eq_ignore_ascii_case(origin)),
            Self::Own { scheme } => {
                let named = origin.split_once("://");
                named.is_some_and(|(of, name)| {
                    of.eq_ignore_ascii_case(scheme)
                        && host.is_some_and(|host| host.eq_ignore_ascii_case(name))
                })
            }
        }
    }
}

/// An origin as browsers write it: in lower case, without the scheme's own port.
fn normal(origin: &str) -> Result<String, OriginError> {
    let refused = || OriginError(origin.to_owned());
    let lower = origin.to_ascii_lowercase();
    let (scheme, host) = lower.split_once("://").ok_or_else(refused)?;
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return Err(refused()),
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let host = host.strip_suffix(default).unwrap_or(host);
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(refused());
    }
    Ok(format!("{scheme}://{host}"))
}

/// Shows, as an argument of a handler, that no foreign page sent the request.
///
/// It rejects with [`WebError::ForeignOrigin`] (403) a request with an `Origin` that is not one of
/// [`Builder::origins`](crate::Builder::origins), or a `Sec-Fetch-Site` other than `same-origin`.
/// Take it where a request changes something.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SameOrigin;

impl FromRequest for SameOrigin {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(check(req))
    }
}

fn check(req: &HttpRequest) -> Result<SameOrigin, WebError> {
    let service = layer::service(req)?;
    let named = req.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = named.or_else(|| req.uri().authority().map(|authority| authority.as_str()));
    if service.origins().admit(req.headers(), host) {
        Ok(SameOrigin)
    } else {
        Err(WebError::ForeignOrigin)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn admits(origins: &Origins, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        origins.admit(&map, Some("example.com:8888"))
    }

    #[test]
    fn without_a_list_the_requests_own_host_is_ours() {
        let own = Origins::Own { scheme: "http" };
        assert!(admits(&own, &[]));
        assert!(admits(&own, &[("origin", "http://example.com:8888")]));
        let foreign = ["https://example.com:8888", "http://example.com", "null", "", "http://evil"];
        for origin in foreign {
            assert!(!admits(&own, &[("origin", origin)]), "{origin}");
        }
        let both = [("origin", "http://example.com:8888"), ("origin", "http://evil")];
        assert!(!admits(&own, &both));
    }

    #[test]
    fn with_a_list_nothing_else_is_ours() {
        let list = Origins::listed(&["https://Shop.example:443".to_owned()]).unwrap();
        assert!(admits(&list, &[("origin", "https://shop.example")]));
        assert!(!admits(&list, &[("origin", "http://example.com:8888")]));
        assert!(!admits(&list, &[("origin", "https://shop.example.evil")]));
    }

    #[test]
    fn every_site_but_the_same_origin_is_foreign() {
        let own = Origins::Own { scheme: "http" };
        assert!(admits(&own, &[("sec-fetch-site", "same-origin")]));
        for site in ["same-site", "cross-site", "none", "same-origin, cross-site", ""] {
            assert!(!admits(&own, &[("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_at_start() {
        for origin in ["example.com", "http://", "ftp://a", "http://a/", "http://a/b", "null", "*"]
        {
            let refused = Origins::listed(&[origin.to_owned()]);
            assert_eq!(refused, Err(OriginError(origin.to_owned())));
        }
    }
}
