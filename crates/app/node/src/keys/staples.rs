//! What authorities say of the certificates in use (OCSP): asked for, and shown beside them while it holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base_kit::{Clock as _, Moment, MonotonicClock, WallClock};
use base_signal::{Counter, Registry, families};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use traffic_http::{BodyEvent, BodyReader, HeadLimits, Method, ResponseHead};
use traffic_proxy::Plan;
use traffic_tls::{Certificate, OcspQuestion, Staple, StapleError};

use crate::control::{lock, tracked};
use crate::keys::Shown;

/// How often it is looked whom to ask.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// For all of a question and its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a failure.
const ASK_AGAIN: Duration = Duration::from_mins(5);
/// At least so long an answer is kept, however soon it ends.
const KEEP_AT_LEAST: Duration = Duration::from_mins(1);
/// At most: authorities renew their answers every few days, and may have something new to say before.
const KEEP_AT_MOST: Duration = Duration::from_hours(12);
/// Answers have some 2 KiB.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const HEAD_LIMITS: HeadLimits = HeadLimits { max_head_bytes: 16 << 10, max_fields: 100, max_target_bytes: 0 };

/// The certificates that are to be asked about.
#[derive(Debug, Default)]
pub(crate) struct Staples {
    wanted: Mutex<Vec<Wanted>>,
    changed: Notify,
}

#[derive(Debug)]
struct Wanted {
    certificate: Arc<Certificate>,
    /// When it is asked next.
    due: Moment,
}

impl Staples {
    /// Takes up those of a plan.
    pub(crate) fn note(&self, plan: &Plan) {
        let mut wanted = lock(&self.wanted);
        let before: HashMap<_, _> =
            wanted.drain(..).map(|known| (known.certificate.fingerprint(), known)).collect();
        for certificate in plan.certificates_to_ask_about() {
            // What was said of a certificate holds for it, wherever it is used now.
            let known = before.get(&certificate.fingerprint());
            if let Some(known) = known.filter(|known| !Arc::ptr_eq(&known.certificate, certificate)) {
                certificate.take_staple_of(&known.certificate);
            }
            if known.is_none() && OcspQuestion::about(&certificate.chain()).is_none() {
                let name = &*certificate.name;
                tracing::warn!(target: "aya::tls", certificate = name, "`ocsp: fetch` has nobody to ask: the certificate names no authority that answers over HTTP, or its issuer is not behind it");
            }
            let due = known.map_or_else(|| MonotonicClock.now(), |known| known.due);
            wanted.push(Wanted { certificate: Arc::clone(certificate), due });
        }
        drop(wanted);
        self.changed.notify_one();
    }

    /// The next one that is due; it will be again after a while, should nothing come of it.
    fn next_due(&self) -> Option<Arc<Certificate>> {
        let now = MonotonicClock.now();
        let mut wanted = lock(&self.wanted);
        // The one that has waited longest: those whose authority is dead must not keep others from being asked about.
        let next = wanted.iter_mut().filter(|wanted| wanted.due <= now).min_by_key(|wanted| wanted.due)?;
        next.due = now + ASK_AGAIN;
        Some(Arc::clone(&next.certificate))
    }

    /// Keeps the answer for half of the time that it holds.
    fn asked(&self, certificate: &Arc<Certificate>, holds_for: Duration) {
        let due = MonotonicClock.now() + (holds_for / 2).clamp(KEEP_AT_LEAST, KEEP_AT_MOST);
        let mut wanted = lock(&self.wanted);
        let same = wanted.iter_mut().filter(|wanted| Arc::ptr_eq(&wanted.certificate, certificate));
        same.for_each(|wanted| wanted.due = due);
    }

    /// Asks about all that are due, one after the other.
    async fn ask_for_all(&self, fetched: &Counter, failed: &Counter) {
        while let Some(certificate) = self.next_due() {
            let chain = certificate.chain();
            // One that says of nobody that they answer needs nothing.
            let Some(question) = OcspQuestion::about(&chain) else { continue };
            let name = &*certificate.name;
            let answer = timeout(PATIENCE, ask(&question)).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
            let now = WallClock.since_epoch();
            let staple = answer.and_then(|answer| {
                Staple::read(&answer, &chain, now).map_err(|error| {
                    if matches!(error, StapleError::Revoked | StapleError::Unknown) {
                        // It has said something else before, which is over.
                        certificate.set_staple(None);
                    }
                    error.to_string()
                })
            });
            match staple {
                Ok(staple) => {
                    fetched.increment();
                    self.asked(&certificate, staple.ends.saturating_sub(now));
                    certificate.set_staple(Some(&staple));
                }
                Err(error) => {
                    failed.increment();
                    let url = &*question.url;
                    tracing::warn!(target: "aya::tls", certificate = name, url, error, "the authority does not say what it thinks of the certificate");
                }
            }
        }
    }
}

/// Asks, again and again, until the node stops; what has ended, asked for or from a file, is not shown any more.
pub(crate) fn keep_fresh(
    staples: Arc<Staples>,
    shown: Arc<Shown>,
    metrics: &Registry,
    mut stopped: watch::Receiver<bool>,
) {
    let shard = metrics.shared_shard();
    let counter = |result| shard.counter(&families::TLS_OCSP_FETCHES, &[result]);
    let (fetched, failed) = (counter("fetched"), counter("failed"));
    tracked(async move {
        let asking = async {
            loop {
                staples.ask_for_all(&fetched, &failed).await;
                // A change is looked at soon, all else in a while.
                let _ = timeout(LOOK_EVERY, staples.changed.notified()).await;
            }
        };
        let dropping = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                shown.drop_ended_staples();
            }
        };
        tokio::select! {
            () = asking => {}
            () = dropping => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

/// Sends a question, and reads the answer.
async fn ask(question: &OcspQuestion) -> Result<Vec<u8>, String> {
    let not_a_url = || format!("`{}` is no URL that can be asked", question.url);
    let rest = question.url.strip_prefix("http://").ok_or_else(not_a_url)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    // It comes from a certificate, and goes into a request.
    if authority.is_empty() || !question.url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(not_a_url());
    }
    let address = if has_port(authority) { authority.to_owned() } else { format!("{authority}:80") };
    let mut stream = TcpStream::connect(&address).await.map_err(|error| error.to_string())?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/ocsp-request\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        question.request.len()
    );
    let request = [head.as_bytes(), &question.request].concat();
    stream.write_all(&request).await.map_err(|error| error.to_string())?;
    let mut received = Vec::new();
    let head = loop {
        let mut head = ResponseHead::default();
        match head.parse(&received, &HEAD_LIMITS).map_err(|error| error.to_string())? {
            Some(consumed) => {
                received.drain(..consumed);
                if !head.is_interim() {
                    break head;
                }
            }
            None => read(&mut stream, &mut received).await?,
        }
    };
    if head.status() != 200 {
        return Err(format!("status {}", head.status()));
    }
    let mut reader = BodyReader::new(head.framing(Method::Post).map_err(|error| error.to_string())?);
    let mut body = Vec::new();
    loop {
        let (consumed, event) = reader.read(&received).map_err(|error| error.to_string())?;
        let (is_over, wants_more) = match event {
            BodyEvent::Data(data) => {
                body.extend_from_slice(data);
                (false, false)
            }
            BodyEvent::NeedMore => (false, true),
            BodyEvent::End => (true, false),
        };
        received.drain(..consumed);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer is over {MAX_ANSWER_BYTES} bytes"));
        }
        if is_over {
            return Ok(body);
        }
        if wants_more && read(&mut stream, &mut received).await.is_err() {
            reader.end_of_input().map_err(|error| error.to_string())?;
            return Ok(body);
        }
    }
}

fn has_port(authority: &str) -> bool {
    authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

async fn read(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<(), String> {
    match stream.read_buf(received).await {
        Ok(0) => Err("the connection was closed".to_owned()),
        Ok(_) if received.len() > MAX_ANSWER_BYTES => {
            Err(format!("the answer is over {MAX_ANSWER_BYTES} bytes"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
