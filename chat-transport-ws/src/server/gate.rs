//! Who is let in: so many connections in all, of one address, and of one address per second.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::PerAddress;

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Gate {
    per_address: PerAddress,
    open_max: usize,
    state: Mutex<State>,
    /// Told whenever the last connection has gone.
    empty: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    addresses: HashMap<IpAddr, Address>,
    /// Addresses without connections are forgotten when there are this many, so the map is bounded by what is open.
    sweep_at: usize,
}

#[derive(Debug)]
struct Address {
    open: u32,
    /// When its connects would be used up at the allowed rate.
    used_until: Instant,
}

/// Holds one connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(per_address: PerAddress, open_max: usize) -> Arc<Self> {
        Arc::new(Self { per_address, open_max, state: Mutex::default(), empty: Notify::new() })
    }

    /// Lets a connection in, or not. Without an address only the total counts.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Permit> {
        let address = address.map(block);
        let mut state = self.state.lock();
        if state.open >= self.open_max {
            return None;
        }
        if let Some(address) = address {
            let now = Instant::now();
            state.sweep(now);
            state
                .addresses
                .entry(address)
                .or_insert(Address { open: 0, used_until: now })
                .enter(&self.per_address, now)?;
        }
        state.open += 1;
        Some(Permit { gate: self.clone(), address })
    }

    /// Waits until nobody is in, at most so long. Tells whether nobody is.
    pub(crate) async fn emptied(&self, within: Duration) -> bool {
        let wait = async {
            loop {
                let empty = self.empty.notified();
                if self.state.lock().open == 0 {
                    return;
                }
                empty.await;
            }
        };
        tokio::time::timeout(within, wait).await.is_ok()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.open -= 1;
        if let Some(address) = self.address.and_then(|address| state.addresses.get_mut(&address)) {
            address.open -= 1;
        }
        if state.open == 0 {
            self.gate.empty.notify_waiters();
        }
    }
}

impl State {
    fn sweep(&mut self, now: Instant) {
        if self.addresses.len() >= self.sweep_at {
            self.addresses.retain(|_, address| address.open > 0 || address.used_until > now);
            self.sweep_at = 2 * self.addresses.len() + 1024;
        }
    }
}

impl Address {
    fn enter(&mut self, limits: &PerAddress, now: Instant) -> Option<()> {
        let every = Duration::from_secs(1) / limits.connects_per_second.max(1);
        let used_until = self.used_until.max(now) + every;
        if self.open >= limits.connections_max || used_until > now + every * limits.connects_burst {
            return None;
        }
        (self.open, self.used_until) = (self.open + 1, used_until);
        Some(())
    }
}

/// One customer of an IPv6 provider has a network of 64 bits, any address of it.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn limits(connections_max: u32, connects_burst: u32) -> PerAddress {
        PerAddress { connections_max, connects_per_second: 1, connects_burst }
    }

    #[test]
    fn one_address_has_its_share_and_gets_a_place_back() {
        let gate = Gate::new(limits(2, 100), 10);
        let (one, other) = ("::ffff:10.0.0.1".parse().ok(), "10.0.0.2".parse().ok());
        let places = [gate.enter(one), gate.enter("10.0.0.1".parse().ok())];
        assert!(places.iter().all(Option::is_some) && gate.enter(one).is_none() && gate.enter(other).is_some());
        drop(places);
        assert!(gate.enter(one).is_some());
    }

    #[test]
    fn connects_are_limited_by_the_second() {
        let gate = Gate::new(limits(100, 5), 1000);
        let address = "2001:db8::1".parse().ok();
        let neighbour = "2001:db8::2".parse().ok();
        assert!((0..5).all(|_| gate.enter(address).is_some()));
        assert!(gate.enter(neighbour).is_none());
        assert!(gate.enter("2001:db8:1::".parse().ok()).is_some());
    }

    #[test]
    fn the_total_counts_whatever_the_address() {
        let gate = Gate::new(PerAddress::unlimited(), 1);
        let place = gate.enter(None).unwrap();
        assert!(gate.enter(None).is_none());
        drop(place);
        assert!(gate.enter("10.0.0.1".parse().ok()).is_some());
    }

    #[test]
    fn addresses_that_left_are_forgotten() {
        let gate = Gate::new(limits(1, 1_000_000), 1_000_000);
        gate.state.lock().sweep_at = 0;
        for i in 0..5_000u32 {
            drop(gate.enter(Some(IpAddr::V4(i.into()))));
            for address in gate.state.lock().addresses.values_mut() {
                address.used_until = Instant::now();
            }
        }
        assert!(gate.state.lock().addresses.len() <= 1025);
    }
}
