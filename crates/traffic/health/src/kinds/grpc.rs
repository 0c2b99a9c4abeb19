//! `grpc`: the endpoint's health service says that it serves.
//!
//! The service is `grpc.health.v1.Health` of gRPC's health checking protocol. Its two messages are read and written here by hand: a name in the question, a
//! number in the answer.

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, CheckKind, Offered};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use traffic_tls::ClientTls;

use crate::kinds::http::USER_AGENT;
use crate::kinds::tls::{dial, tls_of};
use crate::line::{Connection, Line};
use crate::probe::{Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck, excerpt};

/// The kind.
pub(super) struct GrpcKind;

const METHOD: &str = "/grpc.health.v1.Health/Check";
const MEDIA_TYPE: &str = "application/grpc";
/// What goes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// The answer is two bytes; one with much else in it is no health answer.
const MAX_MESSAGE_BYTES: usize = 1024;
/// The same for its head and for what comes behind it.
const MAX_HEAD_BYTES: u32 = 16 * 1024;
/// `SERVING` of `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;

impl ProbeKind for GrpcKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "grpc",
            summary: "The endpoint's health service (`grpc.health.v1.Health`) says that it serves: as a whole, or the service that is named.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        let CheckKind::Grpc { service, host } = &check.kind else { return None };
        let tls = check.tls.as_deref().map(tls_of).transpose();
        Some(tls.map(|tls| {
            let (question, host) = (question(service), host.as_deref().map(str::to_owned));
            Box::new(GrpcProbe { tls, host, question }) as Box<dyn Probe>
        }))
    }
}

struct GrpcProbe {
    /// Asked over TLS.
    tls: Option<ClientTls>,
    /// The configured authority.
    host: Option<String>,
    /// A whole message.
    question: Bytes,
}

impl GrpcProbe {
    async fn ask(&self, target: &Target, line: &mut Line) -> Result<Passed, ProbeFailure> {
        match dial(target, self.tls.as_ref(), &mut line.tls, Offered::Http2).await? {
            Connection::Plain(socket) => self.ask_over(socket, target).await,
            Connection::Tls(stream) => match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => self.ask_over(*stream, target).await,
                _ => Err(ProbeFailure::Tls("the endpoint does not agree to HTTP/2 (ALPN)".to_owned())),
            },
        }
    }

    async fn ask_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        target: &Target,
    ) -> Result<Passed, ProbeFailure> {
        let mut settings = Builder::new();
        settings.enable_push(false).max_header_list_size(MAX_HEAD_BYTES);
        let (requests, connection) = settings.handshake::<_, Bytes>(stream).await.map_err(broken)?;
        // The connection moves frames for as long as the answer is waited for.
        tokio::select! {
            biased;
            done = self.call(requests, target) => done,
            ended = connection => Err(match ended {
                Ok(()) => ProbeFailure::Closed("before the answer"),
                Err(error) => broken(error),
            }),
        }
    }

    async fn call(&self, requests: SendRequest<Bytes>, target: &Target) -> Result<Passed, ProbeFailure> {
        let mut requests = requests.ready().await.map_err(broken)?;
        let request = self.request(target)?;
        let (answer, mut body) = requests.send_request(request, false).map_err(broken)?;
        // An endpoint may answer before it took the question: the answer counts.
        let _ = body.send_data(self.question.clone(), true);
        let (head, body) = answer.await.map_err(broken)?.into_parts();
        if head.status != 200 {
            return Err(ProbeFailure::Status { got: head.status.as_u16(), wanted: "200".to_owned() });
        }
        // What fails at once has no message, and its status in the head.
        judge_call(&head.headers)?;
        let (message, trailers) = receive(body).await?;
        if !judge_call(&trailers)? {
            return Err(ProbeFailure::NotUnderstood("it ends without `grpc-status`".to_owned()));
        }
        judge_answer(&message)
    }

    fn request(&self, target: &Target) -> Result<Request<()>, ProbeFailure> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let authority = self.host.as_deref().unwrap_or(&target.authority);
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(METHOD).build();
        let request = uri.and_then(|uri| {
            Request::post(uri)
                .header("content-type", MEDIA_TYPE)
                .header("te", "trailers")
                .header("user-agent", USER_AGENT)
                .body(())
        });
        request.map_err(|error| ProbeFailure::Unfit(error.to_string()))
    }
}

impl Probe for GrpcProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(async { self.ask(target, &mut Line::default()).await })
    }

    fn run_on<'probe>(&'probe self, target: &'probe Target, line: &'probe mut Line) -> ProbeFuture<'probe> {
        Box::pin(self.ask(target, line))
    }
}

/// What comes behind the head: a message, and what is told at the end.
async fn receive(mut body: RecvStream) -> Result<(Vec<u8>, HeaderMap), ProbeFailure> {
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(broken)?;
        if message.len() + piece.len() > MAX_MESSAGE_BYTES {
            return Err(ProbeFailure::NotUnderstood("it is too long for a health answer".to_owned()));
        }
        message.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.map_err(broken)?;
    Ok((message, trailers.unwrap_or_default()))
}

/// Fails where it stands here that the call did not go well; otherwise whether anything stands here about it.
fn judge_call(fields: &HeaderMap) -> Result<bool, ProbeFailure> {
    let Some(status) = fields.get("grpc-status") else { return Ok(false) };
    if status.as_bytes() == b"0" {
        return Ok(true);
    }
    let message = fields.get("grpc-message").map_or(&b""[..], |message| message.as_bytes());
    let what = format!("grpc-status {}", excerpt(status.as_bytes()));
    Err(ProbeFailure::NotServing(match (status.as_bytes(), excerpt(message)) {
        // As the protocol has it for a service of which the endpoint knows nothing, and gRPC for an endpoint without such a method.
        (b"5", _) => format!("it does not know the service ({what})"),
        (b"12", _) => format!("it has no health service ({what})"),
        (_, message) if message.is_empty() => what,
        (_, message) => format!("{what}, `{message}`"),
    }))
}

fn judge_answer(message: &[u8]) -> Result<Passed, ProbeFailure> {
    let not_understood = || ProbeFailure::NotUnderstood("it is no message of the health service".to_owned());
    let (prefix, message) = message.split_at_checked(PREFIX_BYTES).ok_or_else(not_understood)?;
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    if prefix != [&[0][..], &length].concat() {
        return Err(not_understood());
    }
    match serving_status(message).ok_or_else(not_understood)? {
        SERVING => Ok(Passed::Serving),
        0 => Err(ProbeFailure::NotServing("UNKNOWN".to_owned())),
        2 => Err(ProbeFailure::NotServing("NOT_SERVING".to_owned())),
        3 => Err(ProbeFailure::NotServing("SERVICE_UNKNOWN".to_owned())),
        other => Err(ProbeFailure::NotServing(format!("status {other}"))),
    }
}

/// `HealthCheckRequest` with its one field, the name of the service, as a whole message.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, of a length that is told.
        message.push(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, &message].concat().into()
}

/// Field 1 of `HealthCheckResponse`, which is 0 if it is left out; `None` if that cannot be read. Other fields are none of ours.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let skipped = match key & 7 {
            0 => {
                let value = take_varint(&mut message)?;
                status = if key >> 3 == 1 { value } else { status };
                0
            }
            1 => 8,
            2 => usize::try_from(take_varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        message = message.get(skipped..)?;
    }
    Some(status)
}

/// A number as Protocol Buffers write it: seven bits in each byte, the lowest first.
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A connection that broke, or an endpoint that does not speak HTTP/2.
fn broken(error: h2::Error) -> ProbeFailure {
    match error.reason() {
        Some(Reason::NO_ERROR) => ProbeFailure::Closed("before the answer"),
        Some(_) if error.is_library() => ProbeFailure::NotUnderstood(error.to_string()),
        _ => ProbeFailure::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 0, content.len() as u8][..], content].concat()
    }

    #[test]
    fn questions_name_the_service() {
        assert_eq!(&question("")[..], [0; 5]);
        assert_eq!(&question("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        let long = "x".repeat(300);
        assert_eq!(&question(&long)[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn answers_are_judged() {
        let judge = |content: &[u8]| judge_answer(&message(content));
        assert_eq!(judge(&[8, 1]), Ok(Passed::Serving));
        // A field of each kind that is not ours, around ours.
        let others =
            [&[0x12, 2, 8, 2][..], &[0x1d, 8, 2, 8, 2], &[8, 1], &[0x21, 8, 2, 8, 2, 8, 2, 8, 2]].concat();
        assert_eq!(judge(&others), Ok(Passed::Serving));
        for (content, said) in
            [(&[8, 2][..], "NOT_SERVING"), (&[][..], "UNKNOWN"), (&[8, 0x87, 1][..], "status 135")]
        {
            assert_eq!(judge(content), Err(ProbeFailure::NotServing(said.to_owned())));
        }
        for broken in [&[8][..], &[8, 0x80], &[0x0b], &[0x12, 9, 1], &[8, 1, 0x1d, 1], &[0xff; 11]] {
            assert!(matches!(judge(broken), Err(ProbeFailure::NotUnderstood(_))), "{broken:?}");
        }
        for broken in [&[][..], &[0; 4], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1]] {
            assert!(matches!(judge_answer(broken), Err(ProbeFailure::NotUnderstood(_))), "{broken:?}");
        }
    }
}
