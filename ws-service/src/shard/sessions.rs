//! The polling sessions of a shard: requests find them by the secret of their id.

use std::rc::Rc;

use wire::engine::OpenError;

use super::{Shard, message::Request};
use crate::{
    connection::{
        link::{Link, Notice},
        probe::Candidate,
        stream::Stream,
    },
    respond::Answer,
    sid::Sid,
};

/// How long a WebSocket may be on probation.
const PROBE: std::time::Duration = std::time::Duration::from_secs(10);

impl Shard {
    /// A session begins that is reached by requests.
    pub(crate) fn add_session(&self, sid: &Sid, link: &Rc<Link>) {
        self.sessions.borrow_mut().insert(sid.secret, Rc::clone(link));
    }

    /// A session is over.
    pub(crate) fn remove_session(&self, sid: &Sid) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.remove(&sid.secret);
        // The memory of a storm of sessions goes with it.
        if sessions.capacity() > 64 && sessions.len() < sessions.capacity() / 4 {
            sessions.shrink_to_fit();
        }
    }

    /// Hands a request to its session.
    pub(crate) fn request(&self, sid: &Sid, request: Request) {
        let session = self.sessions.borrow().get(&sid.secret).cloned();
        match (request, session) {
            (Request::Poll(reply), Some(link)) => link.notify(Notice::Poll(reply)),
            (Request::Post { body, reply }, Some(link)) => {
                link.notify(Notice::Post(body, reply));
            }
            // Dropping the reply says it.
            (Request::Poll(_) | Request::Post { .. }, None) => {}
            (Request::Upgrade { stream, response, early }, session) => {
                let mut stream = match stream.arrive() {
                    Ok(stream) => stream,
                    Err(error) => return tracing::debug!(%error, "a socket did not arrive"),
                };
                match session {
                    None => refuse(stream, OpenError::UnknownSession),
                    // One that moved already, or is about to. Its client may take an error for a
                    // server without WebSockets, so it gets one that is over, as the reference
                    // server has it.
                    Some(link) if !link.is_polling() || link.upgrading.replace(true) => {
                        actix_rt::spawn(stream.turn_away(response));
                    }
                    Some(link) => {
                        stream.grant();
                        let until = self.read_clock().after(PROBE);
                        let bounds = &self.shared.rules.bounds;
                        let candidate = Candidate::new(stream, &response, early, bounds, until);
                        link.notify(Notice::Candidate(Box::new(candidate)));
                    }
                }
            }
        }
    }
}

fn refuse(stream: Stream, error: OpenError) {
    actix_rt::spawn(stream.refuse(Answer::from(error)));
}
