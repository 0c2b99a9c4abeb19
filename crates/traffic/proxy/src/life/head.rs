//! Receiving a request's head and deciding whether it may go further.

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::{Poll, ready};

use base_model::model::Route;
use base_signal::Reason;
use traffic_http::{ClientCertificate, Framing, HttpError, Method, RequestHead, Version};
use traffic_route::CertificateView;
use traffic_tls::Session;

use crate::failure::Failure;
use crate::life::Life;
use crate::life::facts::host_of;
use crate::life::grpc;
use crate::relay::Lookup;
use crate::timers::within;

impl Life<'_> {
    /// Reads until the head is complete. The bytes behind it stay in the client's buffer.
    pub(super) async fn receive_head(&mut self) -> Result<(), Failure> {
        let listener = std::rc::Rc::clone(&self.client.listener);
        // Mostly the head came in one piece and no deadline is needed.
        if self.parse_head(&listener.limits)? {
            return Ok(());
        }
        let deadline = self.exchange.record.started + listener.settings.timeouts.request_head;
        self.client.timer.set(deadline);
        loop {
            if self.client.input.len() == self.client.input.size().bytes() {
                self.client.input.grow();
            }
            self.client.input.shrink();
            let (stream, input) = (&mut self.client.stream, &mut self.client.input);
            let receiving = poll_fn(|cx| Poll::Ready(ready!(stream.poll_receive(cx, input))));
            match within(&self.client.timer, receiving).await {
                Ok(Ok(0)) => return Err(Reason::ClientClosed.into()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(Failure::with(Reason::ClientClosed, error)),
                Err(_) => return Err(Reason::RequestHeadTimeout.into()),
            }
            if self.parse_head(&listener.limits)? {
                self.exchange.notes.head = self.worker.now() - self.exchange.record.started;
                return Ok(());
            }
        }
    }

    fn parse_head(&mut self, limits: &traffic_http::HeadLimits) -> Result<bool, Failure> {
        let parsed = self.exchange.request.parse(self.client.input.filled(), limits);
        if parsed.is_err() && self.client.input.filled().starts_with(b"HEAD ") {
            self.method = Method::Head;
        }
        match parsed.map_err(|error| Failure::bad_request(&error))? {
            // What is no stream of bytes brings heads whole.
            None if self.client.stream.is_shared() => Err(Failure::bad_request(&HttpError::UnexpectedEnd)),
            None => Ok(false),
            Some(used) => {
                self.client.input.consume(used);
                // The answer may take its time; meanwhile another request can use the storage.
                self.client.input.release();
                self.exchange.record.bytes_received += used as u64;
                if let Some(stream) = self.client.stream.exchange() {
                    if stream.is_tunnel() && self.exchange.request.upgrade().is_none() {
                        let why = "this protocol is not switched to";
                        return Err(Failure::with(Reason::MethodNotSupported, why));
                    }
                    if !self.client.input.is_empty() {
                        return Err(Failure::bad_request(&HttpError::InvalidLineEnd));
                    }
                    self.exchange.request.set_version(Version::Http2);
                }
                Ok(true)
            }
        }
    }

    /// Takes from the head what decides how the exchange goes on, and refuses what a gateway must not pass on.
    pub(super) fn admit(&mut self) -> Result<(), Failure> {
        let exchange = &mut *self.exchange;
        let request = &exchange.request;
        exchange.asked.note(request);
        if self.worker.logs() {
            exchange.asked.note_client(request.fields());
        }
        (self.method, self.version) = (request.method(), request.version());
        self.call = grpc::call(request);
        self.is_last = !request.persists();
        self.closes |= self.is_last || self.worker.is_draining();
        let unframed = match self.client.stream.exchange() {
            Some(stream) if !stream.has_received_all() && !stream.is_tunnel() => Framing::UntilClose,
            _ => Framing::Empty,
        };
        let Admitted { framing, awaits_continue, upgrades } = admit(request, unframed)?;
        if let Some(session) = &self.client.session {
            is_directed(session, request.host())?;
        }
        let from = if unframed == Framing::UntilClose { unframed } else { framing };
        exchange.up.reset(from, endpoint_framing(framing));
        (self.awaits_continue, self.upgrades) = (awaits_continue, upgrades);
        Ok(())
    }

    /// Finds the route.
    pub(super) fn find_route(&mut self) -> Result<usize, Failure> {
        let exchange = &mut *self.exchange;
        let normal = traffic_route::normalise(exchange.request.path());
        let normal = normal.map_err(|error| Failure::with(Reason::BadRequest, error))?;
        if let Cow::Owned(normal) = &normal {
            exchange.asked.note_normal(normal);
        }
        let rewritten = matches!(normal, Cow::Owned(_));
        let lookup = Lookup(exchange.request.fields());
        let view = traffic_route::RequestView {
            listener: self.client.listener.index,
            host: exchange.asked.host(),
            method: exchange.request.method_bytes(),
            path: &normal,
            query: exchange.request.query(),
            client: exchange.record.client,
            certificate: self.client.certificate().map(certificate_view),
            fields: &lookup,
        };
        exchange.record.route = self.view.plan.router.find(&view);
        if rewritten {
            send_path(&mut exchange.request, exchange.asked.matched_path());
        }
        self.exchange.record.route.ok_or(Reason::NoRoute.into())
    }

    /// From here on the time for the whole request runs: that of the route, and that of a client that says how long it waits.
    pub(super) fn start_clock(&mut self, route: &Route) {
        let wanted = if self.call.is_some() { grpc::timeout(self.exchange.request.fields()) } else { None };
        if let Some(span) = route.request_timeout.into_iter().chain(wanted).min() {
            self.deadline = self.exchange.record.started + span;
        }
    }
}

/// Refuses a request for a host that the client must not take this server for: another listener may ask more of whoever wants to reach it.
fn is_directed(session: &Session, authority: &[u8]) -> Result<(), Failure> {
    let host = host_of(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    let host = String::from_utf8_lossy(host);
    if host.is_empty() || session.serves(&host) {
        return Ok(());
    }
    let (name, host) = (session.name.as_deref().unwrap_or_default(), host.to_ascii_lowercase());
    let detail = format!("the connection was made to `{name}`, and its certificate is not for `{host}`");
    Err(Failure::with(Reason::Misdirected, detail))
}

/// A client's certificate as routes look at it.
pub(crate) fn certificate_view(certificate: &ClientCertificate) -> CertificateView<'_> {
    let ClientCertificate { subject, issuer, names, fingerprint, .. } = certificate;
    CertificateView { subject, issuer, names, fingerprint }
}

/// What a head says of the exchange to come.
pub(crate) struct Admitted {
    /// Of the request's body.
    pub(crate) framing: Framing,
    /// Whether the client waits for a 100 before it sends the body.
    pub(crate) awaits_continue: bool,
    /// Whether the client asks to switch protocols.
    pub(crate) upgrades: bool,
}

/// How an endpoint that speaks HTTP/1.1 gets a body that comes in like this.
pub(crate) const fn endpoint_framing(client: Framing) -> Framing {
    match client {
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    }
}

/// Refuses what two servers could read differently, and what a gateway must not pass on. `unframed` is the body of a request whose head says
/// nothing of one: none in HTTP/1.1.
pub(crate) fn admit(request: &RequestHead, unframed: Framing) -> Result<Admitted, Failure> {
    let framing = match request.framing().map_err(|error| Failure::bad_request(&error))? {
        Framing::Empty => unframed,
        framing => framing,
    };
    let expects = request.expects_continue().map_err(|error| Failure::bad_request(&error))?;
    match request.method() {
        Method::Connect => Err(Failure::with(Reason::MethodNotSupported, "CONNECT is not supported here")),
        // RFC 9110 §9.3.8; what a server makes of a body here is anybody's guess.
        Method::Trace if framing != Framing::Empty => {
            Err(Failure::with(Reason::BadRequest, "a TRACE request must not have a body"))
        }
        _ => Ok(Admitted {
            framing,
            awaits_continue: expects && !matches!(framing, Framing::Empty | Framing::Length(0)),
            upgrades: request.upgrade().is_some(),
        }),
    }
}

/// Has the endpoint get the path that was matched: `/public/../admin` must not mean one thing here and another there.
pub(crate) fn send_path(request: &mut RequestHead, path: &[u8]) {
    let mut target = path.to_vec();
    if let Some(query) = request.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    request.set_path_and_query(&target);
}
