//! The handshake with a client.

mod hello;

pub use hello::{ClientHello, HelloError, LONGEST_HELLO};

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use base_kit::{WallClock, excerpt};
use base_model::model::ClientCertificateTold;
use rustls::server::UnbufferedServerConnection;
use rustls::{
    AlertDescription, CertificateError as Verdict, Error, HandshakeKind, PeerIncompatible, ProtocolVersion,
};
use thiserror::Error as ThisError;
use traffic_http::ClientCertificate;
use traffic_net::{BufferPool, Stream};

use crate::certificate::Certificate;
use crate::certificates::{Shown, take_shown};
use crate::identity::identity;
use crate::policy::HTTP2;
use crate::server::ServerTls;
use crate::stream::{Broken, MAX_SAID, TlsStream};

type ServerStream = TlsStream<UnbufferedServerConnection>;

/// A client that has come in over TLS.
pub struct Accepted {
    /// The connection, as plain as any other.
    pub stream: Box<dyn Stream>,
    /// What was agreed upon.
    pub session: Session,
}

/// What a handshake has agreed upon.
#[derive(Clone, Debug)]
pub struct Session {
    /// As people write it: `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, as it is registered (RFC 8446 §B.4).
    pub cipher: &'static str,
    /// The name that the client has asked for, in lower case.
    pub name: Option<Box<str>>,
    /// What it was shown.
    pub certificate: Option<Arc<Certificate>>,
    /// Whether it was here before, and no full handshake was needed.
    pub is_resumed: bool,
    /// Whether HTTP/2 was agreed upon (ALPN); else it is HTTP/1.1, said or not.
    pub is_http2: bool,
    /// Who the client is, if it has shown a certificate.
    pub client: Option<Arc<ClientCertificate>>,
}

impl Session {
    /// Whether a request for this host may come over this connection: it is the one that was asked for, or the certificate that was
    /// shown is for it as well, so that the client may take it for the same server (RFC 9110 §7.4).
    pub fn serves(&self, host: &str) -> bool {
        let Some(name) = &self.name else { return true };
        let covers = |certificate: &Arc<Certificate>| certificate.covers(&host.to_ascii_lowercase());
        name.eq_ignore_ascii_case(host) || self.certificate.as_ref().is_some_and(covers)
    }
}

/// Whose fault it is that a handshake failed, and in which way: for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// The client went away.
    Closed,
    /// What came is not TLS.
    NotTls,
    /// No version, cipher suite, signature or key exchange that both know.
    NothingInCommon,
    /// No certificate for the name that the client asks for.
    UnknownName,
    /// The client does not accept the certificate, or something else: it has sent an alert.
    RefusedByClient,
    /// The client shows no certificate, but has to.
    ClientUnknown,
    /// The client's certificate is not accepted.
    ClientRefused,
    /// The client does not keep to the protocol.
    Protocol,
    /// It took too long: for whoever limits the time.
    TimedOut,
}

impl HandshakeFault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::NotTls,
        Self::NothingInCommon,
        Self::UnknownName,
        Self::RefusedByClient,
        Self::ClientUnknown,
        Self::ClientRefused,
        Self::Protocol,
        Self::TimedOut,
    ];

    /// The word in metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NotTls => "not-tls",
            Self::NothingInCommon => "nothing-in-common",
            Self::UnknownName => "unknown-name",
            Self::RefusedByClient => "refused-by-client",
            Self::ClientUnknown => "client-certificate-missing",
            Self::ClientRefused => "client-certificate-refused",
            Self::Protocol => "protocol",
            Self::TimedOut => "timeout",
        }
    }

    fn of(error: &Error, is_refused: bool) -> Self {
        match error {
            Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
                Self::ClientRefused
            }
            Error::PeerIncompatible(_) => Self::NothingInCommon,
            Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => {
                Self::Closed
            }
            Error::AlertReceived(_) => Self::RefusedByClient,
            Error::NoCertificatesPresented => Self::ClientUnknown,
            Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_) => Self::ClientRefused,
            // The library's word for a name without a certificate, or one without a signature that the client can verify.
            Error::General(_) if is_refused => Self::UnknownName,
            Error::General(_) => Self::NothingInCommon,
            _ => Self::Protocol,
        }
    }
}

/// Why a handshake failed.
#[derive(ThisError)]
#[error("{what}")]
pub struct HandshakeError {
    /// In which way.
    pub fault: HandshakeFault,
    /// In words.
    pub what: String,
    /// The connection below. Closed at once, it could be reset before the client has read why; `None` if the client is gone.
    pub stream: Option<Box<dyn Stream>>,
}

impl fmt::Debug for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeError")
            .field("fault", &self.fault)
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl HandshakeError {
    fn new(broken: Broken, stream: ServerStream, is_refused: bool) -> Self {
        let (fault, what) = match &broken {
            Broken::NotTls => (HandshakeFault::NotTls, "the client speaks without TLS".to_owned()),
            Broken::Connection(error) => (HandshakeFault::Closed, error.to_string()),
            Broken::Tls(error) => (HandshakeFault::of(error, is_refused), described(error, is_refused)),
        };
        let is_gone = matches!(broken, Broken::Connection(_));
        Self { fault, what: excerpt(&what, MAX_SAID), stream: (!is_gone).then(|| stream.into_under()) }
    }
}

/// What the library says, with what an operator can do about the usual ones.
fn described(error: &Error, is_refused: bool) -> String {
    match error {
        Error::General(_) if is_refused => "no certificate for the name that the client asks for".to_owned(),
        Error::General(_) => {
            "no certificate with a signature and a cipher suite that the client knows".to_owned()
        }
        Error::InvalidCertificate(Verdict::UnknownIssuer) => {
            "the client's certificate is not signed by one of the `authorities`".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate) => {
            format!("{error}: the client does not trust the certificate; it may lack its issuers")
        }
        error => error.to_string(),
    }
}

/// Goes through the handshake with a client. The caller limits the time.
///
/// # Errors
/// Why it failed. What the client has to be told of it was sent.
pub async fn accept(
    stream: Box<dyn Stream>,
    tls: &ServerTls,
    buffers: &BufferPool,
) -> Result<Accepted, HandshakeError> {
    let records = match UnbufferedServerConnection::new(Arc::clone(&tls.config)) {
        Ok(records) => records,
        Err(error) => {
            return Err(HandshakeError {
                fault: HandshakeFault::Protocol,
                what: error.to_string(),
                stream: Some(stream),
            });
        }
    };
    let mut stream = TlsStream::new(stream, records, buffers);
    let mut shown = None;
    // The library does not tell later what it was.
    let note = &mut || shown = take_shown().map(Box::new).or_else(|| shown.take());
    if let Err(broken) = poll_fn(|cx| stream.poll_handshake(cx, &mut *note)).await {
        let is_refused = shown.is_some_and(|shown| shown.is_refused);
        return Err(HandshakeError::new(broken, stream, is_refused));
    }
    match session(stream.records(), shown, tls.told) {
        Ok(session) => Ok(Accepted { stream: Box::new(stream), session }),
        Err(what) => {
            let (fault, stream) = (HandshakeFault::ClientRefused, Some(stream.into_under()));
            Err(HandshakeError { fault, what, stream })
        }
    }
}

fn session(
    records: &UnbufferedServerConnection,
    shown: Option<Box<Shown>>,
    told: ClientCertificateTold,
) -> Result<Session, String> {
    let is_resumed = records.handshake_kind() == Some(HandshakeKind::Resumed);
    let client = match records.peer_certificates() {
        None | Some([]) => None,
        Some(chain) => {
            let client = identity(chain, told);
            let client = client.map_err(|error| format!("the client's certificate: {error}"))?;
            // A session that is taken up again brings its certificate along, and nobody else looks at it.
            if is_resumed && client.ends <= WallClock.since_epoch() {
                return Err("the client's certificate has run out since its session began".to_owned());
            }
            Some(Arc::new(client))
        }
    };
    let (name, certificate) = shown.map(|shown| (shown.name, shown.certificate)).unwrap_or_default();
    let suite = records.negotiated_cipher_suite();
    Ok(Session {
        version: match records.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: suite.and_then(|suite| suite.suite().as_str()).unwrap_or("unknown"),
        name,
        certificate,
        is_resumed,
        is_http2: records.alpn_protocol() == Some(HTTP2),
        client,
    })
}
