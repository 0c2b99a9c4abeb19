//! The traits that kinds implement, and what they are told about a request.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base_kit::KindInfo;
use base_signal::Reason;
use traffic_http::{ClientCertificate, FieldName, Fields, RequestHead, ResponseHead};

use crate::SettingsError;

/// The request as it came in: the same in every phase, whatever filters have rewritten since.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// Who asks; behind a trusted proxy, the client that it names.
    pub client: IpAddr,
    /// The certificate that the client has shown, if there is one.
    pub certificate: Option<&'a ClientCertificate>,
    /// `http` or `https`, as the client sees it.
    pub scheme: &'a str,
    /// The authority as the client sent it, port included; empty if there was none.
    pub host: &'a [u8],
    /// The path that was matched: normalised, without the query.
    pub path: &'a [u8],
    /// Behind the `?`, as sent; `None` without a `?`.
    pub query: Option<&'a [u8]>,
    /// The route's name.
    pub route: &'a str,
    /// The site whose page has made the request, as a browser says it (`Origin`).
    pub origin: Option<&'a [u8]>,
    /// The request id.
    pub request_id: &'a str,
}

/// What comes after a filter has seen a request head.
#[derive(Debug)]
pub enum Flow {
    /// The next filter, then the route's action.
    Continue,
    /// The same; and the bodies of this exchange are changed on their way. At most one filter of a route does so to a request.
    Recode(Recoding),
    /// This answer; later filters and the action are not asked. Filters already passed still see the answer's head.
    Answer(Answer),
    /// The request fails for this reason, with what exactly is the matter. The client is told.
    Refuse(Reason, String),
}

/// A complete answer that Aya gives by itself.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status and fields, without `content-length`: whoever sends it frames it by the length of the body.
    pub head: ResponseHead,
    /// May be empty.
    pub body: Arc<[u8]>,
}

/// What becomes of the bodies of one exchange.
#[derive(Debug)]
pub struct Recoding {
    /// Changes the request's body, if that is to be changed. Its head has been changed already.
    pub request: Option<Box<dyn Recoder>>,
    /// Knows what to do with the answer.
    pub answer: Box<dyn AnswerRecoding>,
}

/// Decides what becomes of the body of an endpoint's answer.
pub trait AnswerRecoding: Send + fmt::Debug {
    /// Changes the head of the final answer, after all filters. What it gives changes the body, which then has no length that is known before.
    fn head(self: Box<Self>, response: &mut ResponseHead) -> Option<Box<dyn Recoder>>;
}

/// Changes one body on its way, piece by piece. It keeps no more than a few bytes of it: whoever sends has to wait for whoever reads.
pub trait Recoder: Send + fmt::Debug {
    /// Appends to `out` what becomes of a piece.
    ///
    /// # Errors
    /// If the body is not what it should be.
    fn recode(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), RecodeError>;

    /// The body has ended: appends the rest. What stood behind it goes no further, but as what is made of it here.
    ///
    /// # Errors
    /// If it must not end here.
    fn finish(&mut self, trailers: &Fields, out: &mut Vec<u8>) -> Result<(), RecodeError>;
}

/// A body that is not what it should be, in words for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecodeError(pub &'static str);

/// Changes requests and answers of a route. One instance serves all workers.
pub trait Filter: Send + Sync + fmt::Debug {
    /// Called with every request of the route, in the order of the document.
    fn request_head(&self, context: &RequestContext<'_>, request: &mut RequestHead) -> Flow {
        let _ = (context, request);
        Flow::Continue
    }

    /// Fields of requests of which it alone decides whether, and with what, they arrive. The rest of the message must not bring them
    /// back: trailers with such names are dropped.
    fn decides_in_requests(&self) -> Vec<FieldName> {
        Vec::new()
    }

    /// The same for answers.
    fn decides_in_responses(&self) -> Vec<FieldName> {
        Vec::new()
    }

    /// Called with the final answer, in the reverse order of the document.
    fn response_head(&self, context: &RequestContext<'_>, response: &mut ResponseHead) {
        let _ = (context, response);
    }

    /// Called with the answer to a request that could not be served, in the same order. For what a client needs to be able to read it.
    fn failure_head(&self, context: &RequestContext<'_>, response: &mut ResponseHead) {
        let _ = (context, response);
    }
}

/// Answers the requests of a route without an endpoint. One instance serves all workers.
pub trait Handler: Send + Sync + fmt::Debug {
    /// The answer to this request, whose head has passed the filters.
    fn answer(&self, context: &RequestContext<'_>, request: &RequestHead) -> Answer;
}

/// What a filter kind says about itself, and how to make one.
pub trait FilterKind: Sync {
    /// Its name card.
    fn info(&self) -> KindInfo;
    /// The schema of its settings.
    fn schema(&self) -> schemars::Schema;
    /// Settings that show it at work, as JSON.
    fn example(&self) -> &'static str;
    /// Checks the settings and makes the filter.
    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError>;
}

/// What a handler kind says about itself, and how to make one.
pub trait HandlerKind: Sync {
    /// Its name card.
    fn info(&self) -> KindInfo;
    /// The schema of its settings.
    fn schema(&self) -> schemars::Schema;
    /// Settings that show it at work, as JSON.
    fn example(&self) -> &'static str;
    /// Checks the settings and makes the handler.
    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Handler>, SettingsError>;
}
