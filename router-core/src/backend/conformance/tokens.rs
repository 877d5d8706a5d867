//! What the store of session-sync tokens promises.

use bytes::Bytes;

use super::{LONG, SHORT, Two, fresh_id, outlive};
use crate::backend::tokens::TokenKey;

fn key(site: &str) -> TokenKey {
    TokenKey { site: site.into(), jti: fresh_id() }
}

pub async fn of_a_hundred_takers_one_gets_the_token(two: Two) {
    let key = key("main");
    let body = Bytes::from_static(b"session\x00\xff");
    two.first.tokens.issue(&key, body.clone(), LONG).await.unwrap();
    let takers: Vec<_> = (0..100_u32)
        .map(|taker| {
            let backend = if taker % 2 == 0 { two.first.clone() } else { two.second.clone() };
            let key = key.clone();
            tokio::spawn(async move { backend.tokens.take(&key).await.unwrap() })
        })
        .collect();
    let mut got = Vec::new();
    for taker in takers {
        got.extend(taker.await.unwrap());
    }
    assert_eq!(got, [body]);
    assert_eq!(two.second.tokens.take(&key).await.unwrap(), None);
}

pub async fn a_token_expires(two: Two) {
    let (brief, living) = (key("main"), key("main"));
    two.first.tokens.issue(&brief, Bytes::from_static(b"x"), SHORT).await.unwrap();
    two.first.tokens.issue(&living, Bytes::from_static(b"y"), LONG).await.unwrap();
    outlive(&two.first, SHORT).await;
    assert_eq!(two.second.tokens.take(&brief).await.unwrap(), None);
    assert_eq!(two.second.tokens.take(&living).await.unwrap().as_deref(), Some(&b"y"[..]));
}

pub async fn tokens_of_sites_do_not_meet(two: Two) {
    let one = key("one");
    let other = TokenKey { site: "other".into(), jti: one.jti.clone() };
    two.first.tokens.issue(&one, Bytes::from_static(b"1"), LONG).await.unwrap();
    assert_eq!(two.second.tokens.take(&other).await.unwrap(), None);
    assert_eq!(two.second.tokens.take(&one).await.unwrap().as_deref(), Some(&b"1"[..]));
}
