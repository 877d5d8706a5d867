//! Addresses: `ns`, `ns/nid` and `ns/nid/tid`, parsed once and printed in that form.
//!
//! Every part of a Whisk system is reached by an address. A namespace is a kind of service, a node
//! id is one running instance of it (0 is a valid one), a tenant id is what lives on the node: on a
//! ws node, a socket.

use std::{fmt, str::FromStr};

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// The longest namespace, in bytes.
pub const NAMESPACE_MAX: usize = 32;

/// The longest tenant id, in bytes.
pub const TENANT_MAX: usize = 64;

/// A text that is no address, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// A namespace is 1 to [`NAMESPACE_MAX`] bytes of `a-z 0-9 -` and begins with a letter.
    #[error("a namespace is 1 to 32 characters of a-z, 0-9 and '-', beginning with a letter")]
    Namespace,
    /// A node id is a decimal number from 0 to 4,294,967,295 without leading zeros.
    #[error("a node id is a decimal number from 0 to 4294967295")]
    NodeId,
    /// A tenant id is 1 to [`TENANT_MAX`] bytes of `A-Z a-z 0-9 - _ . :`.
    #[error("a tenant id is 1 to 64 characters of A-Z, a-z, 0-9, '-', '_', '.' and ':'")]
    TenantId,
    /// More than the three parts `ns/nid/tid`.
    #[error("an address has at most three parts: ns/nid/tid")]
    TooManyParts,
}

/// The kind of a service: `web`, `ws`, `worker`, or a name of your own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "ByteString", into = "ByteString")]
pub struct Namespace(ByteString);

impl Namespace {
    /// The namespace's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This namespace's node `nid`.
    pub fn node(&self, nid: impl Into<NodeId>) -> NodeAddress {
        NodeAddress { ns: self.clone(), nid: nid.into() }
    }
}

impl TryFrom<ByteString> for Namespace {
    type Error = AddressError;

    fn try_from(name: ByteString) -> Result<Self, AddressError> {
        if is_namespace(name.as_bytes()) { Ok(Self(name)) } else { Err(AddressError::Namespace) }
    }
}

impl From<Namespace> for ByteString {
    fn from(ns: Namespace) -> Self {
        ns.0
    }
}

impl FromStr for Namespace {
    type Err = AddressError;

    fn from_str(name: &str) -> Result<Self, AddressError> {
        ByteString::from(name).try_into()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A namespace that the program names itself.
///
/// # Panics
/// When the literal is no namespace; in a `const` already while compiling.
pub const fn ns(name: &'static str) -> Namespace {
    assert!(is_namespace(name.as_bytes()), "a namespace is 1 to 32 of a-z, 0-9 and '-'");
    Namespace(ByteString::from_static(name))
}

const fn is_namespace(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > NAMESPACE_MAX || !name[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 1;
    while at < name.len() {
        let byte = name[at];
        if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return false;
        }
        at += 1;
    }
    true
}

/// One running instance of a namespace. 0 is as good as any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl From<u32> for NodeId {
    fn from(nid: u32) -> Self {
        Self(nid)
    }
}

impl FromStr for NodeId {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let plain =
            text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| plain).map(Self).ok_or(AddressError::NodeId)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the lives of a node, so that a message for a former life is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What lives on a node; on a ws node, a socket's public id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "ByteString", into = "ByteString")]
pub struct TenantId(ByteString);

impl TenantId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<ByteString> for TenantId {
    type Error = AddressError;

    fn try_from(id: ByteString) -> Result<Self, AddressError> {
        let fits = (1..=TENANT_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        if fits { Ok(Self(id)) } else { Err(AddressError::TenantId) }
    }
}

impl From<TenantId> for ByteString {
    fn from(tid: TenantId) -> Self {
        tid.0
    }
}

impl FromStr for TenantId {
    type Err = AddressError;

    fn from_str(id: &str) -> Result<Self, AddressError> {
        ByteString::from(id).try_into()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `ns/nid`: one node. What has a lease, a stream and an inbox of answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Address", into = "Address")]
pub struct NodeAddress {
    /// The kind of service.
    pub ns: Namespace,
    /// The instance.
    pub nid: NodeId,
}

impl NodeAddress {
    /// The address of a tenant on this node.
    pub fn tenant(&self, tid: TenantId) -> Address {
        Address { ns: self.ns.clone(), at: Some((self.nid, Some(tid))) }
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse::<Address>()?.try_into()
    }
}

impl TryFrom<Address> for NodeAddress {
    type Error = AddressError;

    fn try_from(address: Address) -> Result<Self, AddressError> {
        match address.at {
            Some((nid, None)) => Ok(Self { ns: address.ns, nid }),
            Some((_, Some(_))) => Err(AddressError::TooManyParts),
            None => Err(AddressError::NodeId),
        }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ns, self.nid)
    }
}

/// `ns`, `ns/nid` or `ns/nid/tid`.
///
/// ```
/// use router_core::Address;
///
/// let address: Address = "ws/0/Xk2".parse()?;
/// assert_eq!(address.node().map(|node| node.nid.0), Some(0));
/// assert_eq!(address.to_string(), "ws/0/Xk2");
/// # Ok::<_, router_core::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "ByteString", into = "ByteString")]
pub struct Address {
    ns: Namespace,
    at: Option<(NodeId, Option<TenantId>)>,
}

impl Address {
    /// The kind of service.
    pub fn ns(&self) -> &Namespace {
        &self.ns
    }

    /// The node, unless the address is a namespace alone.
    pub fn node(&self) -> Option<NodeAddress> {
        self.at.as_ref().map(|(nid, _)| self.ns.node(*nid))
    }

    /// The tenant, where the address has one.
    pub fn tid(&self) -> Option<&TenantId> {
        self.at.as_ref().and_then(|(_, tid)| tid.as_ref())
    }
}

impl From<Namespace> for Address {
    fn from(ns: Namespace) -> Self {
        Self { ns, at: None }
    }
}

impl From<NodeAddress> for Address {
    fn from(node: NodeAddress) -> Self {
        Self { ns: node.ns, at: Some((node.nid, None)) }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut parts = text.splitn(3, '/');
        let ns = parts.next().unwrap_or_default().parse()?;
        let Some(nid) = parts.next() else {
            return Ok(Self { ns, at: None });
        };
        let nid = nid.parse()?;
        let tid = match parts.next() {
            Some(tid) if tid.contains('/') => return Err(AddressError::TooManyParts),
            Some(tid) => Some(tid.parse()?),
            None => None,
        };
        Ok(Self { ns, at: Some((nid, tid)) })
    }
}

impl TryFrom<ByteString> for Address {
    type Error = AddressError;

    fn try_from(text: ByteString) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for ByteString {
    fn from(address: Address) -> Self {
        address.to_string().into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ns.fmt(f)?;
        if let Some((nid, tid)) = &self.at {
            write!(f, "/{nid}")?;
            if let Some(tid) = tid {
                write!(f, "/{tid}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_were_parsed() {
        for text in ["ws", "ws/0", "ws/4294967295", "my-kind/7/a.B-c_d:9"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn node_zero_is_addressable() {
        let node: NodeAddress = "ws/0".parse().unwrap();
        assert_eq!(node.nid, NodeId(0));
        assert_ne!(Address::from(node.clone()), Address::from(node.ns));
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_part() {
        let cases = [
            ("", AddressError::Namespace),
            ("Ws", AddressError::Namespace),
            ("0ws", AddressError::Namespace),
            ("ws/", AddressError::NodeId),
            ("ws/*", AddressError::NodeId),
            ("ws/01", AddressError::NodeId),
            ("ws/+1", AddressError::NodeId),
            ("ws/4294967296", AddressError::NodeId),
            ("ws/1/", AddressError::TenantId),
            ("ws/1/a b", AddressError::TenantId),
            ("ws/1/a/b", AddressError::TooManyParts),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
        assert_eq!("ws".repeat(17).parse::<Namespace>(), Err(AddressError::Namespace));
        assert_eq!("t".repeat(65).parse::<TenantId>(), Err(AddressError::TenantId));
    }

    #[test]
    fn a_node_address_is_exactly_two_parts() {
        assert_eq!("ws".parse::<NodeAddress>(), Err(AddressError::NodeId));
        assert_eq!("ws/1/t".parse::<NodeAddress>(), Err(AddressError::TooManyParts));
    }
}
