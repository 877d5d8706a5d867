//! A WebSocket in somebody's App whose session another node has.
//!
//! The listener passes the owner's answer on as bytes. Here the answer is the App's to give: so the
//! head of the owner's is read, and what it says is said again. The client's key went to the owner,
//! and the same answer follows from it.

use std::{io, net::IpAddr, sync::Arc};

use actix_codec::Framed;
use actix_http::{StatusCode, h1::ClientCodec};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, time::timeout};
use wire::engine::OpenError;

use super::stream::Mounted;
use crate::{
    peer::{CONNECT, Peers, tunnel},
    respond::Answer,
    shared::Shared,
    sid::Sid,
    upgrade::Asked,
};

/// Asks the owner for the upgrade; once granted, bytes are carried in the background.
///
/// # Errors
/// What the client is answered in place of the upgrade.
pub(super) async fn open(
    shared: &Arc<Shared>,
    peers: &Arc<Peers>,
    sid: &Sid,
    client: IpAddr,
    asked: Asked<'_>,
    mut mounted: Mounted,
) -> Result<(), Answer> {
    let (counted, owner) = tunnel::open(peers, sid, client, asked).await?;
    let mut owner = Framed::new(owner, ClientCodec::default());
    let head = match timeout(CONNECT, owner.next()).await {
        Ok(Some(Ok(head))) => head,
        // An answer that breaks off, or none in time.
        Ok(Some(Err(_)) | None) => {
            return Err(tunnel::not_passed(peers, sid, io::ErrorKind::UnexpectedEof.into()));
        }
        Err(_) => return Err(tunnel::not_passed(peers, sid, io::ErrorKind::TimedOut.into())),
    };
    match head.status {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::SERVICE_UNAVAILABLE => return Err(Answer::UNAVAILABLE),
        // Of what the owner may refuse, this node judged all else itself.
        _ => return Err(OpenError::UnknownSession.into()),
    }
    let parts = owner.into_parts();
    let early = parts.read_buf.freeze();
    let shared = Arc::clone(shared);
    actix_rt::spawn(async move {
        let carried = async {
            // What came behind the owner's answer.
            mounted.write_all(&early).await?;
            tunnel::carry(&shared, counted, &mut mounted, parts.io, Bytes::new()).await
        };
        if carried.await.is_err() {
            mounted.cut();
        }
    });
    Ok(())
}
