//! What may be set, each default with its reason.

use std::{net::IpAddr, time::Duration};

use crate::Origins;

/// Bounds connections. The size of a message and the time for `hello` are the engine's ([`chat_core::Limits`]).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WsConfig {
    /// Which pages may connect. Default: those of the same host, and clients that are no browsers.
    pub origins: Origins,
    /// Bytes waiting for one client: 256 KiB, a thousand messages; then it is parked and served from the log.
    pub outbox_bytes_max: usize,
    /// The kernel's send buffer: 64 KiB. Left to itself it grows to megabytes for a client that never reads.
    pub send_buffer_bytes: usize,
    /// A client not heard of for this long is pinged: 25 s, below the 30 s of impatient proxies.
    pub ping_every: Duration,
    /// An idle connection's pong is due within this: 8 s, a phone waking up.
    pub pong_within: Duration,
    /// A connection without any progress in either direction is closed after this: 60 s.
    pub stalled_after: Duration,
    /// What was taken is written within this when a connection closes: 5 s.
    pub close_within: Duration,
    /// WebSockets at once: 100,000, half a gigabyte when idle.
    pub connections_max: usize,
    /// WebSockets of one address.
    pub per_address: PerAddress,
}

impl Default for WsConfig {
    fn default() -> Self {
        Self {
            origins: Origins::default(),
            outbox_bytes_max: 256 * 1024,
            send_buffer_bytes: 64 * 1024,
            ping_every: Duration::from_secs(25),
            pong_within: Duration::from_secs(8),
            stalled_after: Duration::from_mins(1),
            close_within: Duration::from_secs(5),
            connections_max: 100_000,
            per_address: PerAddress::default(),
        }
    }
}

/// Bounds what comes from one address; of IPv6, from one network of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PerAddress {
    /// Connections at once: 100, an office behind one address.
    pub connections_max: u32,
    /// New connections per second: 10.
    pub connects_per_second: u32,
    /// New connections at once after a pause: 100, that office after a power cut.
    pub connects_burst: u32,
}

impl Default for PerAddress {
    fn default() -> Self {
        Self { connections_max: 100, connects_per_second: 10, connects_burst: 100 }
    }
}

impl PerAddress {
    /// Returns no limits, for load tests and for networks where all users share one address.
    pub fn unlimited() -> Self {
        Self { connections_max: u32::MAX, connects_per_second: u32::MAX, connects_burst: u32::MAX }
    }
}

/// Bounds HTTP before the WebSocket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrontConfig {
    /// A request's head is complete within this: 5 s, against clients that send a byte a second.
    pub head_within: Duration,
    /// Bytes of a request's head, and of what is read ahead: 64 KiB.
    pub head_bytes_max: usize,
    /// Header fields: 100, three times what browsers behind proxies send.
    pub headers_max: usize,
    /// HTTP connections at once: 10,000; WebSockets are not counted here any more.
    pub connections_max: usize,
    /// HTTP connections of one address.
    pub per_address: PerAddress,
    /// Reverse proxies before this server: their `X-Forwarded-For` is believed, nobody else's, and they are not
    /// limited as an address. Default: none.
    pub proxies: Proxies,
    /// Requests under way may end within this after shutdown: 10 s.
    pub drain_within: Duration,
}

impl Default for FrontConfig {
    fn default() -> Self {
        Self {
            head_within: Duration::from_secs(5),
            head_bytes_max: 64 * 1024,
            headers_max: 100,
            connections_max: 10_000,
            per_address: PerAddress::default(),
            proxies: Proxies::None,
            drain_within: Duration::from_secs(10),
        }
    }
}

/// Says which peers are reverse proxies of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxies {
    /// None.
    #[default]
    None,
    /// Those at these addresses, of which several may stand one behind the other.
    Listed(Vec<IpAddr>),
    /// Any one of this machine or of a private network, where addresses change with each start of a container.
    Nearby,
}

impl Proxies {
    /// Tells whether a peer is a proxy of ours.
    pub fn contains(&self, peer: IpAddr) -> bool {
        match (self, peer.to_canonical()) {
            (Self::None, _) => false,
            (Self::Listed(listed), peer) => listed.contains(&peer),
            (Self::Nearby, IpAddr::V4(v4)) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
            (Self::Nearby, IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        }
    }
}
