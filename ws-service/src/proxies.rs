//! Whose word about a client's address is believed.
//!
//! Bounds are counted by client address. Behind a proxy every connection has the proxy's, so the
//! proxy names the client in `X-Forwarded-For`; anybody else could write there what he likes.

use std::{fmt, net::IpAddr, str::FromStr};

/// A network of trusted proxies: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy {
    network: IpAddr,
    /// How many bits at the front must be equal.
    prefix: u8,
}

/// A text that is no address and no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trusted proxy is an IP address, or a network as 10.0.0.0/8")]
pub struct TrustedProxyError;

impl FromStr for TrustedProxy {
    type Err = TrustedProxyError;

    fn from_str(text: &str) -> Result<Self, TrustedProxyError> {
        let (network, prefix) = match text.split_once('/') {
            Some((network, prefix)) => (network, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| TrustedProxyError)?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| TrustedProxyError)?,
            None => most,
        };
        if prefix > most {
            return Err(TrustedProxyError);
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl TrustedProxy {
    fn contains(&self, address: IpAddr) -> bool {
        // An IPv4 address may come in its IPv6 form from a socket that listens to both.
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The client's address: the peer, unless it is a trusted proxy; then the last address in
/// `X-Forwarded-For` that is no trusted proxy. Each proxy appends whom it got the request from, so
/// only the end of the list is worth anything.
pub(crate) fn client_address<'a>(
    trusted: &[TrustedProxy],
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|proxy| proxy.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    for address in forwarded.rev().flat_map(|line| line.rsplit(',')) {
        let Ok(address) = address.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<TrustedProxy> =
            trusted.iter().map(|proxy| proxy.parse().unwrap()).collect();
        let peer = peer.parse().unwrap();
        client_address(&trusted, peer, forwarded.iter().copied()).to_string()
    }

    #[test]
    fn a_strangers_header_is_not_believed() {
        assert_eq!(client(&[], "9.9.9.9", &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(client(&["10.0.0.0/8"], "9.9.9.9", &["1.1.1.1"]), "9.9.9.9");
    }

    #[test]
    fn a_proxy_names_its_client_at_the_end_of_the_list() {
        let proxies = ["10.0.0.0/8", "::1"];
        assert_eq!(client(&proxies, "10.1.2.3", &["6.6.6.6, 1.1.1.1"]), "1.1.1.1");
        assert_eq!(client(&proxies, "10.1.2.3", &["6.6.6.6", "1.1.1.1, 10.9.9.9"]), "1.1.1.1");
        assert_eq!(client(&proxies, "::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(client(&proxies, "::ffff:10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        // Nothing there, or nothing readable: what is known is the last proxy.
        assert_eq!(client(&proxies, "10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(client(&proxies, "10.1.2.3", &["unknown"]), "10.1.2.3");
    }

    #[test]
    fn networks_are_read_strictly() {
        assert_eq!("0.0.0.0/0".parse::<TrustedProxy>().unwrap().to_string(), "0.0.0.0/0");
        assert_eq!(client(&["0.0.0.0/0"], "9.9.9.9", &["1.1.1.1"]), "1.1.1.1");
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "proxy"] {
            assert_eq!(wrong.parse::<TrustedProxy>(), Err(TrustedProxyError), "{wrong}");
        }
    }
}
