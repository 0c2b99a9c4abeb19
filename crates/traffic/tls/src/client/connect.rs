//! The handshake with an endpoint.

use std::future::poll_fn;
use std::sync::Arc;

use base_kit::excerpt;
use base_model::model::Offered;
use rustls::client::UnbufferedClientConnection;
use rustls::{AlertDescription, CertificateError as Verdict, Error, HandshakeKind};
use thiserror::Error as ThisError;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as TokioStream;
use traffic_net::{BufferPool, Stream};

use crate::client::EndpointTls;
use crate::policy::HTTP2;
use crate::stream::{Broken, MAX_SAID, TlsStream};

/// A connection to an endpoint over TLS.
pub struct Connected {
    /// As plain as any other.
    pub stream: Box<dyn Stream>,
    /// Whether the endpoint has known us, and no full handshake was needed.
    pub is_resumed: bool,
    /// Whether HTTP/2 was agreed upon (ALPN); else it is HTTP/1.1, said or not.
    pub is_http2: bool,
}

/// In which way a handshake with an endpoint failed: for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFault {
    /// The endpoint went away.
    Closed,
    /// What it says is not TLS.
    NotTls,
    /// No version, cipher suite, signature or key exchange that both know.
    NothingInCommon,
    /// Its certificate is not accepted.
    CertificateRefused,
    /// It does not accept us, or our certificate: it has sent an alert.
    RefusedByEndpoint,
    /// It does not keep to the protocol.
    Protocol,
    /// It took too long: for whoever limits the time.
    TimedOut,
}

impl ConnectFault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::NotTls,
        Self::NothingInCommon,
        Self::CertificateRefused,
        Self::RefusedByEndpoint,
        Self::Protocol,
        Self::TimedOut,
    ];

    /// The word in metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NotTls => "not-tls",
            Self::NothingInCommon => "nothing-in-common",
            Self::CertificateRefused => "certificate-refused",
            Self::RefusedByEndpoint => "refused-by-endpoint",
            Self::Protocol => "protocol",
            Self::TimedOut => "timeout",
        }
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::PeerIncompatible(_) | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                Self::NothingInCommon
            }
            Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => {
                Self::Closed
            }
            Error::AlertReceived(_) => Self::RefusedByEndpoint,
            Error::InvalidCertificate(_)
            | Error::InvalidCertRevocationList(_)
            | Error::NoCertificatesPresented => Self::CertificateRefused,
            _ => Self::Protocol,
        }
    }
}

/// Why a handshake with an endpoint failed.
#[derive(Debug, ThisError)]
#[error("{what}")]
pub struct ConnectError {
    /// In which way.
    pub fault: ConnectFault,
    /// In words.
    pub what: String,
}

impl From<Broken> for ConnectError {
    fn from(broken: Broken) -> Self {
        let (fault, what) = match broken {
            Broken::NotTls => (ConnectFault::NotTls, "the endpoint speaks without TLS".to_owned()),
            Broken::Connection(error) => {
                (ConnectFault::Closed, format!("the endpoint went away in the TLS handshake: {error}"))
            }
            Broken::Tls(error) => (ConnectFault::of(&error), described(&error)),
        };
        Self { fault, what: excerpt(&what, MAX_SAID) }
    }
}

/// What the library says, with what an operator can do about the usual ones.
fn described(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(Verdict::UnknownIssuer) => {
            "the endpoint's certificate is not signed by one of the `authorities`, or it lacks its issuers"
                .to_owned()
        }
        Error::InvalidCertificate(verdict) => {
            format!("the endpoint's certificate is not accepted: {verdict}")
        }
        Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure) => {
            format!("{error}: it may want a certificate (`tls: {{certificate: …}}`)")
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("{error}: it knows no such host; `tls: {{name: …}}` asks for another")
        }
        error => error.to_string(),
    }
}

/// Goes through the handshake with an endpoint. The caller limits the time.
///
/// # Errors
/// Why it failed. What the endpoint has to be told of it was sent.
pub async fn connect(
    stream: Box<dyn Stream>,
    tls: &EndpointTls,
    offered: Offered,
    buffers: &BufferPool,
) -> Result<Connected, ConnectError> {
    let config = tls.offering(offered);
    let records = UnbufferedClientConnection::new(Arc::clone(config), tls.name.clone())
        .map_err(|error| ConnectError::from(Broken::Tls(error)))?;
    let mut stream = TlsStream::new(stream, records, buffers);
    poll_fn(|cx| stream.poll_handshake(cx, || ())).await?;
    let is_resumed = stream.records().handshake_kind() == Some(HandshakeKind::Resumed);
    let is_http2 = stream.records().alpn_protocol() == Some(HTTP2);
    Ok(Connected { stream: Box::new(stream), is_resumed, is_http2 })
}

/// The same for a socket of tokio's, wherever nobody counts bytes and copies.
///
/// # Errors
/// Why it failed.
pub async fn connect_socket(
    socket: TcpStream,
    tls: &EndpointTls,
    offered: Offered,
) -> Result<TokioStream<TcpStream>, ConnectError> {
    let config = tls.offering(offered);
    let connector = TlsConnector::from(Arc::clone(config));
    let connecting = connector.connect(tls.name.clone(), socket);
    connecting.await.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => ConnectError::from(Broken::Tls(error.clone())),
        None => ConnectError::from(Broken::Connection(error)),
    })
}
