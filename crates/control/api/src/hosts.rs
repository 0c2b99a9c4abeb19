//! How many connections each host has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bits of an IPv6 address that tell networks from each other; within one, a host may have any address it likes.
const NETWORK: u128 = !0 << 64;

/// Counts connections by host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of a host, counted while this lives.
#[derive(Debug)]
pub(crate) struct HostPlace {
    hosts: Hosts,
    host: IpAddr,
}

impl Hosts {
    /// Counts one more connection of a peer, unless its host has so many already.
    pub(crate) fn enter(&self, peer: IpAddr, most: usize) -> Option<HostPlace> {
        let host = host(peer);
        let mut counts = self.lock();
        let count = counts.entry(host).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(HostPlace { hosts: self.clone(), host })
    }

    /// Nothing under the lock can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        let mut counts = self.hosts.lock();
        match counts.get_mut(&self.host) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.host)),
        }
    }
}

/// What stands for the machine behind an address.
fn host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_so_many_places_and_gets_them_back() {
        let hosts = Hosts::default();
        let enter = |peer: &str| hosts.enter(peer.parse().unwrap(), 2);
        let first = enter("10.0.0.1");
        let second = enter("::ffff:10.0.0.1");
        assert!(first.is_some() && second.is_some() && enter("10.0.0.1").is_none());
        let network = [enter("2001:db8::1"), enter("2001:db8::2")];
        assert!(network.iter().all(Option::is_some) && enter("2001:db8::3").is_none());
        let others = [enter("10.0.0.2"), enter("2001:db8:0:1::1")];
        assert!(others.iter().all(Option::is_some));
        drop(first);
        let again = enter("10.0.0.1");
        assert!(again.is_some());
        drop((second, network, others, again));
        assert!(hosts.lock().is_empty(), "nothing is kept of those that left");
    }
}
