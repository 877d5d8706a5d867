//! Whom an emit is for, as it is said to hubs and on the bus.

use std::sync::Arc;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::Recipients;
use crate::address::TenantId;

/// Some sockets of one nsp. A socket that several names mean gets an event once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The nsp.
    #[serde(rename = "n")]
    pub nsp: ByteString,
    /// The sockets that are on any of these rooms. Without rooms and sockets, all are meant.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<ByteString>,
    /// These sockets, too.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<TenantId>,
    /// But not those on any of these rooms.
    #[serde(rename = "xr", default, skip_serializing_if = "Vec::is_empty")]
    pub except_rooms: Vec<ByteString>,
    /// Nor these sockets.
    #[serde(rename = "xs", default, skip_serializing_if = "Vec::is_empty")]
    pub except_sockets: Vec<TenantId>,
}

impl Selection {
    /// All sockets of a nsp.
    pub fn nsp(nsp: impl Into<ByteString>) -> Self {
        Self {
            nsp: nsp.into(),
            rooms: Vec::new(),
            sockets: Vec::new(),
            except_rooms: Vec::new(),
            except_sockets: Vec::new(),
        }
    }

    /// Whether all sockets of the nsp are meant, but for the exceptions.
    pub fn is_whole_nsp(&self) -> bool {
        self.rooms.is_empty() && self.sockets.is_empty()
    }

    /// The sockets as a hub takes them: a whole nsp in the way that costs it least.
    pub(crate) fn recipients(self: &Arc<Self>) -> Recipients {
        if self.is_whole_nsp() && self.is_without_exception() {
            return Recipients::Nsp(self.nsp.clone());
        }
        Recipients::Selection(Arc::clone(self))
    }

    /// Whether nobody is excepted.
    pub fn is_without_exception(&self) -> bool {
        self.except_rooms.is_empty() && self.except_sockets.is_empty()
    }
}
