//! The addresses that are listened on, and the change from one configuration's to the next's.

pub(crate) mod handover;

pub use handover::HandoverError;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use base_model::Model;
use base_model::model::{Listener, Protocol};
use traffic_net::{BindError, BoundSocket, Listeners, Transport, bind, bind_beside};

use crate::workers::Workers;
use handover::{Inheritance, Parcel};

/// A listener's name, an address as configured, whose port may be 0, and what comes in there.
type Place = (Arc<str>, SocketAddr, Transport);

/// What is listened on.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    bound: HashMap<Place, Bound>,
    /// Connections open, by listener.
    open: HashMap<Arc<str>, Arc<AtomicU32>>,
}

/// An address that is listened on.
#[derive(Debug)]
struct Bound {
    /// With its real port.
    address: SocketAddr,
    /// The workers' sockets once more, for a successor. They are open for as long as these are.
    sockets: Vec<BoundSocket>,
}

/// Sockets that are bound but not yet accepted on. Dropped, they are closed again.
#[derive(Debug)]
pub(crate) struct Prepared {
    added: Vec<(Place, Listeners)>,
    removed: Vec<Place>,
}

impl Listening {
    /// Binds what the model has and is not there yet, or takes it from what was inherited.
    pub(crate) fn prepare(
        &self,
        model: &Model,
        workers: usize,
        inheritance: &mut Inheritance,
    ) -> Result<Prepared, BindError> {
        let wanted: Vec<Place> = model
            .listeners
            .iter()
            .flat_map(|listener| listener.bind.iter().map(|&address| place(listener, address)))
            .collect();
        let mut added = Vec::new();
        for place in wanted.iter().filter(|place| !self.bound.contains_key(*place)) {
            // The same address under another name: the old sockets go once the new ones are there.
            let (_, configured, transport) = *place;
            let is_it =
                |(place, bound): (&Place, &Bound)| bound.address == configured && place.2 == transport;
            let is_ours = configured.port() != 0 && self.bound.iter().any(is_it);
            let inherited = inheritance.claim(&named(place), transport);
            let sockets = match inherited.first().and_then(|socket| socket.local_addr().ok()) {
                Some(address) => complete(Listeners { address, sockets: inherited }, transport, workers),
                None if is_ours => bind_beside(configured, transport, workers),
                None => bind(configured, transport, workers),
            };
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
            if let Some(Bound { address, sockets }) = self.bound.remove(&place) {
                drop(sockets);
                workers.unlisten(address, place.2).await;
            }
        }
        for (place, sockets) in prepared.added {
            let name = Arc::clone(&place.0);
            let open = Arc::clone(self.open.entry(Arc::clone(&name)).or_default());
            let again = sockets.sockets.iter().filter_map(|socket| socket.try_clone().ok()).collect();
            let bound = Bound { address: sockets.address, sockets: again };
            self.bound.insert(place, bound);
            workers.listen(&name, sockets, &open);
        }
    }

    /// The addresses of a listener, with their real ports, in the order of the configuration.
    pub(crate) fn addresses(&self, listener: &Listener) -> Vec<SocketAddr> {
        let bound = |address: &SocketAddr| self.bound.get(&place(listener, *address));
        listener.bind.iter().filter_map(bound).map(|bound| bound.address).collect()
    }

    /// What a successor is given.
    ///
    /// # Errors
    /// If there are no more descriptors to be had.
    pub(crate) fn parcels(&self) -> io::Result<Vec<Parcel>> {
        let parcel = |(place, bound): (&Place, &Bound)| {
            let sockets = bound.sockets.iter().map(BoundSocket::try_clone).collect::<io::Result<_>>()?;
            Ok(Parcel { place: named(place), sockets })
        };
        self.bound.iter().map(parcel).collect()
    }

    /// Lets go of all sockets but those that the workers have: what these close is closed.
    pub(crate) fn let_go(&mut self) {
        self.bound.values_mut().for_each(|bound| bound.sockets.clear());
    }
}

fn place(listener: &Listener, address: SocketAddr) -> Place {
    let transport = match listener.protocol {
        Protocol::Udp { .. } => Transport::Udp,
        Protocol::Http | Protocol::Tcp { .. } => Transport::Tcp,
    };
    (Arc::clone(&listener.name), address, transport)
}

fn named((name, address, _): &Place) -> handover::Place {
    handover::Place { listener: Some(name.to_string()), address: *address }
}

/// Sees to it that there is one for each worker. More than that may be: each of them has a queue that somebody may wait in.
fn complete(mut listeners: Listeners, transport: Transport, workers: usize) -> Result<Listeners, BindError> {
    let missing = workers.saturating_sub(listeners.sockets.len());
    if missing > 0 {
        listeners.sockets.extend(bind_beside(listeners.address, transport, missing)?.sockets);
    }
    Ok(listeners)
}

/// Whether all IPv4 addresses are wanted on the same port of the same listener.
fn has_ipv4_twin(place: &Place, wanted: &[Place]) -> bool {
    let twin = SocketAddr::from((Ipv4Addr::UNSPECIFIED, place.1.port()));
    place.1.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && wanted.contains(&(Arc::clone(&place.0), twin, place.2))
}
