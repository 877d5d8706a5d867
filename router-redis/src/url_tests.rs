//! URLs that are read, URLs that are refused, and a password that is seen nowhere.

use super::*;

fn url(text: &str) -> RedisUrl {
    text.parse().unwrap()
}

fn hosts(text: &str) -> Vec<String> {
    url(text).hosts.iter().map(Host::to_string).collect()
}

#[test]
fn every_form_is_read() {
    let plain = url("redis://localhost");
    assert_eq!((plain.kind.clone(), plain.tls, plain.database), (Kind::Single, false, 0));
    assert_eq!(hosts("redis://localhost"), ["localhost:6379"]);
    assert_eq!(hosts("redis://[::1]:7000/3"), ["[::1]:7000"]);
    assert_eq!(hosts("redis://[::1]"), ["[::1]:6379"]);
    assert_eq!(url("redis://h:1/3").database, 3);
    assert!(url("rediss://h").tls);
    let cluster = url("rediss+cluster://a:1,b:2,c");
    assert_eq!((cluster.kind.clone(), cluster.tls), (Kind::Cluster, true));
    assert_eq!(hosts("redis+cluster://a:1,b:2,c"), ["a:1", "b:2", "c:6379"]);
    let sentinel = url("redis+sentinel://a,b:2/mymaster/4?prefix=other");
    assert_eq!(sentinel.kind, Kind::Sentinel { master: "mymaster".into() });
    assert_eq!((sentinel.database, sentinel.prefix.as_str()), (4, "other"));
    assert_eq!(hosts("redis+sentinel://a,b:2/mymaster"), ["a:26379", "b:2"]);
}

#[test]
fn credentials_are_decoded() {
    let of = |text: &str| url(text).credentials.unwrap();
    let both = of("redis://me:p%40ss%2Fw@h");
    assert_eq!((both.user.as_deref(), both.password.as_str()), (Some("me"), "p@ss/w"));
    let alone = of("redis://:secret@h");
    assert_eq!((alone.user, alone.password.as_str()), (None, "secret"));
    assert_eq!(of("redis://me:a@b/c@h").password, "a@b/c");
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("", UrlError::Scheme),
        ("localhost:6379", UrlError::Scheme),
        ("http://localhost", UrlError::Scheme),
        ("REDIS://localhost", UrlError::Scheme),
        ("redis://", UrlError::Host),
        ("redis://:6379", UrlError::Host),
        ("redis+cluster://a,,b", UrlError::Host),
        ("redis://[::1", UrlError::Host),
        ("redis://h:port", UrlError::Port),
        ("redis://h:0", UrlError::Port),
        ("redis://h:65536", UrlError::Port),
        ("redis://[::1]7000", UrlError::Port),
        ("redis://a,b", UrlError::ManyHosts),
        ("redis://h/x", UrlError::Database),
        ("redis+cluster://h/1", UrlError::Database),
        ("redis+sentinel://h", UrlError::MasterName),
        ("redis+sentinel://h/", UrlError::MasterName),
        ("redis+sentinel://h/m/x", UrlError::Database),
        ("redis://u:%zz@h", UrlError::Credentials),
        ("redis://u:%ff@h", UrlError::Credentials),
        ("redis://u:%4@h", UrlError::Credentials),
        ("redis://h?prefix=", UrlError::Prefix),
        ("redis://h?prefix={x}", UrlError::Prefix),
        ("redis://h?timeout=3", UrlError::Parameter),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<RedisUrl>(), Err(error), "{text:?}");
    }
}

#[test]
fn a_password_is_seen_nowhere() {
    for text in ["redis://me:hunter2@h", "redis+cluster://:hunter2@h,i", "rediss://me:hunter2@h/2"]
    {
        let url = url(text);
        assert!(!format!("{url} {url:?} {:?}", url.credentials).contains("hunter2"));
        assert!(url.to_string().contains(":***@"));
    }
    for wrong in ["redis://me:hunter2@h:x", "redis://me:hunter2", "redis:/me:hunter2@h"] {
        let error = wrong.parse::<RedisUrl>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
