//! Who asks, and what the two sides are told of each other: fields about one connection go, fields about the whole way are added.

use std::net::IpAddr;

use base_kit::Rng;
use base_model::model::{ClientCertificateTold, Listener};
use traffic_http::forwarding::{self, Hop};
use traffic_http::request_id::RequestId;
use traffic_http::trace_context::TraceContext;
use traffic_http::{
    ClientCertificate, Framing, KnownField, RequestHead, ResponseHead, client_certificate, hygiene, via,
};

use crate::life::Life;
use crate::life::head::endpoint_framing;

/// New traces are not marked as sampled: who records nothing must not make the endpoints record everything.
const SAMPLES_NEW_TRACES: bool = false;

impl Life<'_> {
    /// Rewrites the request's head for the endpoint, and notes who asks.
    pub(super) fn identify(&mut self) {
        let exchange = &mut *self.exchange;
        let arrival = Arrival {
            listener: &self.client.listener.settings,
            scheme: self.client.scheme(),
            peer: self.client.peer.ip(),
            certificate: self.client.certificate(),
            framing: exchange.up.framing(),
            awaits_continue: self.awaits_continue,
            upgrades: self.upgrades,
        };
        let identity = identify(&mut exchange.request, &arrival, &mut *self.worker.rng.borrow_mut());
        exchange.record.client = identity.client;
        exchange.record.request_id = Some(identity.request_id);
        if self.worker.logs() {
            exchange.asked.note_trace(&identity.trace);
        }
    }

    /// Rewrites the head of an endpoint's final answer for the client.
    pub(super) fn identify_response(&mut self) {
        let response = &mut self.exchange.reply.head;
        let (status, version) = (response.status(), response.version());
        hygiene::strip_hop_by_hop(response.fields_mut());
        hygiene::strip_forbidden_framing(response.fields_mut(), status);
        if let Some(pseudonym) = &self.client.listener.settings.via {
            via::append(response.fields_mut(), version, pseudonym);
        }
        // RFC 9110 §6.6.1: who passes on an answer without a date adds the time at which it came.
        self.worker.date.put(response, &*self.worker.clock);
        self.put_own_request_id();
    }

    /// The same for a 101, which keeps what names the new protocol.
    pub(super) fn identify_switch(&mut self) {
        hygiene::strip_interim(self.exchange.reply.head.fields_mut(), 101);
        self.put_own_request_id();
    }

    fn put_own_request_id(&mut self) {
        let header = self.client.listener.settings.request_id.header.as_deref();
        let exchange = &mut *self.exchange;
        put_request_id(&mut exchange.reply.head, header, exchange.record.request_id.as_ref());
    }

    /// Tells the client the request's id with an answer of Aya's own.
    pub(super) fn put_request_id(&self, head: &mut ResponseHead) {
        let header = self.client.listener.settings.request_id.header.as_deref();
        put_request_id(head, header, self.exchange.record.request_id.as_ref());
    }
}

/// How a request came in.
pub(crate) struct Arrival<'a> {
    pub(crate) listener: &'a Listener,
    /// As in a URL.
    pub(crate) scheme: &'static str,
    /// Who has opened the connection.
    pub(crate) peer: IpAddr,
    /// What the client has shown in the TLS handshake.
    pub(crate) certificate: Option<&'a ClientCertificate>,
    /// Of the request's body.
    pub(crate) framing: Framing,
    /// Whether the client waits for a 100 before it sends the body.
    pub(crate) awaits_continue: bool,
    /// Whether the client asks to switch protocols.
    pub(crate) upgrades: bool,
}

/// Who asks, and under which names.
pub(crate) struct Identity {
    /// The peer, or whom a trusted proxy names.
    pub(crate) client: IpAddr,
    pub(crate) request_id: RequestId,
    pub(crate) trace: TraceContext,
}

/// Rewrites a request's head for the endpoint.
#[inline]
pub(crate) fn identify(request: &mut RequestHead, arrival: &Arrival<'_>, rng: &mut dyn Rng) -> Identity {
    let Arrival { listener, scheme, peer, certificate, framing, awaits_continue, upgrades } = *arrival;
    let is_trusted = forwarding::is_trusted(peer, &listener.trusted_proxies);
    let client = if is_trusted {
        forwarding::client_address(request.fields(), peer, &listener.trusted_proxies)
    } else {
        peer
    };
    if upgrades {
        hygiene::strip_keeping_upgrade(request.fields_mut());
    } else {
        hygiene::strip_hop_by_hop(request.fields_mut());
    }
    if !awaits_continue {
        // An endpoint must not wait for, or answer, what the client did not ask for or has no body to wait with.
        request.fields_mut().remove_known(KnownField::Expect);
    }
    if endpoint_framing(framing) == Framing::Chunked {
        request.fields_mut().set("transfer-encoding", b"chunked");
    }
    forwarding::apply(request, listener.forwarded, &Hop { peer, is_trusted, scheme });
    client_certificate::apply(request.fields_mut(), told(listener), certificate, is_trusted);
    if let Some(pseudonym) = &listener.via {
        let version = request.version();
        via::append(request.fields_mut(), version, pseudonym);
    }
    let request_id = match &listener.request_id.header {
        Some(header) => {
            let is_kept = listener.request_id.trust && is_trusted;
            RequestId::ensure(request.fields_mut(), header, is_kept, rng)
        }
        None => RequestId::fresh(rng),
    };
    let trace = TraceContext::ensure(request.fields_mut(), SAMPLES_NEW_TRACES, rng);
    Identity { client, request_id, trace }
}

/// What endpoints are told of clients' certificates.
fn told(listener: &Listener) -> ClientCertificateTold {
    let clients = listener.tls.as_ref().and_then(|tls| tls.clients.as_ref());
    clients.map_or(ClientCertificateTold::Nothing, |clients| clients.told)
}

/// Tells the client the request's id, so that it can ask about it.
fn put_request_id(head: &mut ResponseHead, header: Option<&str>, id: Option<&RequestId>) {
    if let (Some(header), Some(id)) = (header, id) {
        id.put(head.fields_mut(), header);
    }
}
