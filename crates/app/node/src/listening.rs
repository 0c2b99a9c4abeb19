//! The addresses that are listened on, and the change from one configuration's to the next's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use base_model::Model;
use traffic_net::{BindError, Listeners, bind, bind_beside};

use crate::workers::Workers;

/// A listener's name and an address as configured; the port may be 0.
type Place = (Arc<str>, SocketAddr);

/// What is listened on.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// Place → address with its real port.
    bound: HashMap<Place, SocketAddr>,
    /// Connections open, by listener.
    open: HashMap<Arc<str>, Arc<AtomicU32>>,
}

/// Sockets that are bound but not yet accepted on. Dropped, they are closed again.
#[derive(Debug)]
pub(crate) struct Prepared {
    added: Vec<(Place, Listeners)>,
    removed: Vec<Place>,
}

impl Listening {
    /// Binds what the model has and is not there yet.
    pub(crate) fn prepare(&self, model: &Model, workers: usize) -> Result<Prepared, BindError> {
        let wanted: Vec<Place> = model
            .listeners
            .iter()
            .flat_map(|listener| listener.bind.iter().map(|&address| (Arc::clone(&listener.name), address)))
            .collect();
        let mut added = Vec::new();
        for place in wanted.iter().filter(|place| !self.bound.contains_key(*place)) {
            // The same address under another name: the old sockets go once the new ones are there.
            let is_ours = place.1.port() != 0 && self.bound.values().any(|&bound| bound == place.1);
            let sockets = if is_ours { bind_beside(place.1, workers) } else { bind(place.1, workers) };
            match sockets {
                Ok(sockets) => added.push((place.clone(), sockets)),
                // `:80` means all addresses there are.
                Err(error) if error.is_without_ipv6() && has_ipv4_twin(place, &wanted) => {
                    tracing::warn!(target: "aya::node", listener = %place.0, "this machine has no IPv6; IPv4 only");
                }
                Err(error) => return Err(error),
            }
        }
        let removed = self.bound.keys().filter(|place| !wanted.contains(place)).cloned().collect();
        Ok(Prepared { added, removed })
    }

    /// Accepts on what was prepared, and no more on what is gone.
    pub(crate) async fn commit(&mut self, prepared: Prepared, workers: &Workers) {
        for place in prepared.removed {
            if let Some(address) = self.bound.remove(&place) {
                workers.unlisten(address).await;
            }
        }
        for ((name, configured), sockets) in prepared.added {
            let open = Arc::clone(self.open.entry(Arc::clone(&name)).or_default());
            self.bound.insert((Arc::clone(&name), configured), sockets.address);
            workers.listen(&name, sockets, &open);
        }
    }

    /// The addresses of a listener, with their real ports, in the order of the configuration.
    pub(crate) fn addresses(&self, listener: &base_model::model::Listener) -> Vec<SocketAddr> {
        let real = |address: &SocketAddr| self.bound.get(&(Arc::clone(&listener.name), *address)).copied();
        listener.bind.iter().filter_map(real).collect()
    }
}

/// Whether all IPv4 addresses are wanted on the same port of the same listener.
fn has_ipv4_twin(place: &Place, wanted: &[Place]) -> bool {
    let twin = SocketAddr::from((Ipv4Addr::UNSPECIFIED, place.1.port()));
    place.1.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && wanted.contains(&(Arc::clone(&place.0), twin))
}
