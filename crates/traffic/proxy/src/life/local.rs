//! Answers that need no endpoint: filters', handlers' and failures'.

use base_kit::Moment;
use base_model::model::Action;
use base_signal::{Blame, Reason};
use traffic_filter::{Answer, Flow, Handler, Recoding, RequestContext};
use traffic_http::{Framing, KnownField, Method, RequestHead, ResponseHead};

use crate::answer;
use crate::client::{Client, Ending};
use crate::failure::Failure;
use crate::life::Life;
use crate::life::grpc;
use crate::plan::RoutePlan;

/// The field that limits how often a request is forwarded.
pub(crate) const MAX_FORWARDS: &str = "max-forwards";

/// The request as filters are told of it. A macro, because it borrows single fields beside those that filters change.
macro_rules! context {
    ($life:expr, $route:expr) => {
        RequestContext {
            client: $life.exchange.record.client,
            certificate: $life.client.certificate(),
            scheme: $life.client.scheme(),
            host: $life.exchange.asked.host(),
            path: $life.exchange.asked.matched_path(),
            query: $life.exchange.asked.query(),
            route: &$route.route.name,
            origin: $life.exchange.asked.origin(),
            request_id: $life.exchange.record.id(),
        }
    };
}

impl Life<'_> {
    /// Lets the route's filters see the request. One of them may answer it, or refuse it.
    pub(super) fn filter_request(&mut self, route: &RoutePlan) -> Result<Option<Answer>, Failure> {
        if route.filters.is_empty() {
            return Ok(None);
        }
        self.exchange.up.drop_trailers(&route.decided_in_requests);
        self.exchange.asked.note_origin(self.exchange.request.fields());
        let context = context!(self, route);
        let mut recoding = None;
        for (filter, used) in route.filters.iter().zip(&route.route.filters) {
            match filter.request_head(&context, &mut self.exchange.request) {
                Flow::Continue => {}
                Flow::Recode(wanted) => recoding = Some(wanted),
                Flow::Answer(answer) => {
                    self.exchange.notes.answered_by(&used.kind.name);
                    return Ok(Some(answer));
                }
                Flow::Refuse(reason, detail) => {
                    self.exchange.notes.answered_by(&used.kind.name);
                    return Err(Failure::with(reason, detail));
                }
            }
        }
        if let Some(recoding) = recoding {
            self.recode(recoding);
        }
        Ok(None)
    }

    /// Has the bodies of this exchange changed on their way.
    fn recode(&mut self, Recoding { request, answer }: Recoding) {
        let exchange = &mut *self.exchange;
        exchange.recoding = Some(answer);
        if let Some(recoder) = request.filter(|_| exchange.up.has_body()) {
            exchange.up.change(recoder, Framing::Chunked);
            let fields = exchange.request.fields_mut();
            fields.remove_known(KnownField::ContentLength);
            fields.set_known(KnownField::TransferEncoding, b"chunked");
        }
    }

    /// Has the body of an endpoint's answer changed, if a filter wants to; how long it is then.
    pub(super) fn recode_answer(&mut self, framing: Framing) -> Framing {
        let exchange = &mut *self.exchange;
        let head = &mut exchange.reply.head;
        let Some(recoder) = exchange.recoding.take().and_then(|recoding| recoding.head(head)) else {
            return framing;
        };
        head.fields_mut().remove_known(KnownField::ContentLength);
        exchange.reply.body.change(recoder, answer::client_framing(Framing::UntilClose, self.version));
        Framing::UntilClose
    }

    /// Lets the route's filters see the head of an endpoint's answer.
    pub(super) fn filter_response(&mut self, route: &RoutePlan) {
        self.exchange.reply.body.drop_trailers(&route.decided_in_responses);
        let context = context!(self, route);
        for filter in route.filters.iter().rev() {
            filter.response_head(&context, &mut self.exchange.reply.head);
        }
    }

    /// Asks a handler.
    pub(super) fn ask_handler(&mut self, handler: &dyn Handler, route: &RoutePlan) -> Answer {
        if let Action::Handler(kind) = &route.route.action {
            self.exchange.notes.answered_by(&kind.name);
        }
        handler.answer(&context!(self, route), &self.exchange.request)
    }

    /// Sends an answer of Aya's own.
    pub(super) async fn answer(
        &mut self,
        mut answer: Answer,
        route: Option<&RoutePlan>,
    ) -> Result<Ending, Failure> {
        if let Some(route) = route {
            let context = context!(self, route);
            for filter in route.filters.iter().rev() {
                filter.response_head(&context, &mut answer.head);
            }
        }
        // A body that is here already is read over. One that is still to come may be long, so it ends the connection.
        let unread = !self.exchange.up.discard(&mut self.client.input);
        self.closes |= unread || self.worker.is_draining();
        self.worker.date.put(&mut answer.head, &*self.worker.clock);
        self.put_request_id(&mut answer.head);
        self.exchange.record.status = answer.head.status();
        if self.client.stream.is_shared() {
            // Whoever speaks HTTP/1.1 is not to pay for it with every connection.
            return Box::pin(self.answer_beside(answer)).await;
        }
        self.exchange.reply.out.clear();
        answer::encode(&mut answer, self.method, self.version, self.closes, &mut self.exchange.reply.out);
        self.begun = true;
        self.exchange.record.bytes_sent += self.exchange.reply.out.len() as u64;
        let sent = self.client.send(&self.exchange.reply.out, Moment::NEVER, &*self.worker.clock).await;
        sent.map_err(Failure::unsent)?;
        Ok(if unread { Ending::Linger } else { self.ending() })
    }

    /// The same where the head goes beside the body, and other exchanges go on.
    async fn answer_beside(&mut self, mut answer: Answer) -> Result<Ending, Failure> {
        if let Some(client) = self.client.stream.exchange() {
            if client.is_tunnel() && (200..300).contains(&answer.head.status()) {
                // It would say that the tunnel is open (RFC 8441 §5).
                let why = "no tunnel leads to where this is answered";
                return Err(Failure::with(Reason::MethodNotSupported, why));
            }
            client.end_with_length(true);
        }
        // What a call is told without a message is in the head alone, and has no length.
        let is_whole = self.call.is_some() && answer.body.is_empty();
        let has_body = !is_whole && answer::frame(&mut answer, self.method);
        put_response(self.client, &answer.head)?;
        self.begun = true;
        let body = if has_body { &*answer.body } else { &[] };
        self.exchange.record.bytes_sent += body.len() as u64;
        self.client.send(body, Moment::NEVER, &*self.worker.clock).await.map_err(Failure::unsent)?;
        self.client.end().await.map_err(Failure::unsent)?;
        Ok(Ending::Close)
    }

    /// Ends a request that could not be served: with an answer, if there can still be one.
    pub(super) async fn fail(&mut self, failure: Failure) -> Ending {
        let reason = failure.reason;
        let mut answer = match self.call {
            Some(dialect) => grpc::of_failure(&failure, dialect),
            None => answer::of_failure(&failure),
        };
        let view = std::rc::Rc::clone(&self.view);
        if let Some(route) = self.exchange.record.route.and_then(|index| view.route(index)) {
            let context = context!(self, route);
            for filter in route.filters.iter().rev() {
                filter.failure_head(&context, &mut answer.head);
            }
        }
        self.exchange.record.reason = Some(reason);
        self.exchange.record.detail = failure.detail;
        let gone = matches!(reason, Reason::ClientClosed | Reason::ClientSendTimeout);
        if self.begun && (self.until_close || self.client.stream.is_shared()) {
            // An end would look like that of the answer.
            self.client.stream.abort();
            return Ending::Close;
        }
        if gone {
            return Ending::Close;
        }
        if self.begun {
            // Its length tells the client that it broke off; a reset could take whole answers before it along.
            return Ending::Linger;
        }
        // What follows on such a connection may not be what the client believes it is.
        let distrusted = reason.blame() == Blame::Client;
        self.closes |= distrusted;
        match self.answer(answer, None).await {
            Ok(_) if distrusted => Ending::Linger,
            Ok(ending) => ending,
            Err(_) => Ending::Close,
        }
    }
}

/// Has this head go before the body, where it is not among the bytes that are sent.
pub(super) fn put_response(client: &mut Client, head: &ResponseHead) -> Result<(), Failure> {
    match client.stream.exchange() {
        Some(exchange) => {
            exchange.put_response(head).map_err(|error| Failure::with(Reason::BadResponse, error))
        }
        None => Ok(()),
    }
}

/// Counts `Max-Forwards` down (RFC 9110 §7.6.2). At zero the request ends here, and this is its answer.
pub(crate) fn spend_forward(request: &mut RequestHead) -> Option<Answer> {
    let method = request.method();
    if !matches!(method, Method::Options | Method::Trace) {
        return None;
    }
    let fields = request.fields_mut();
    let left =
        fields.find(MAX_FORWARDS).and_then(|value| std::str::from_utf8(value).ok()?.parse::<u32>().ok());
    match left? {
        // Nothing is said about what could be done elsewhere: 204 to OPTIONS. TRACE is not done here: 405, which says what is
        // (RFC 9110 §15.5.6).
        0 => {
            let is_options = method == Method::Options;
            let mut head = ResponseHead::new(if is_options { 204 } else { 405 });
            head.fields_mut().set(KnownField::Allow.name(), b"OPTIONS");
            Some(Answer { head, body: [].into() })
        }
        left => {
            fields.set(MAX_FORWARDS, (left - 1).to_string().as_bytes());
            None
        }
    }
}
