//! What is done in handshakes with endpoints.

mod connect;
mod verifier;

use std::fmt;
use std::sync::Arc;

use base_model::CertificateUse;
use base_model::model::{Host, Offered, PoolTls};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use crate::certificate::Certificate;
use crate::error::TlsError;
use crate::policy;
use verifier::verifier;

pub use connect::{ConnectError, ConnectFault, Connected, connect, connect_socket};

/// Sessions kept for one endpoint: what one full handshake brings, and some more.
const KEPT_SESSIONS: usize = 16;

/// A pool's side of TLS. Workers share it.
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// What certificates have to be for; the endpoint's own host if `None`.
    name: Option<ServerName<'static>>,
    certificate: Option<Arc<Certificate>>,
}

/// What is done in handshakes with one endpoint: its sessions are its own, since others do not know them.
#[derive(Clone)]
pub struct EndpointTls {
    /// By what is offered to be spoken.
    nothing: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl EndpointTls {
    pub(crate) const fn offering(&self, offered: Offered) -> &Arc<ClientConfig> {
        match offered {
            Offered::Nothing => &self.nothing,
            Offered::Http1 => &self.http1,
            Offered::Http2 => &self.http2,
        }
    }
}

impl ClientTls {
    /// Sets it up.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn new(settings: &PoolTls) -> Result<Self, TlsError> {
        let config = ClientConfig::builder_with_provider(policy::provider())
            .with_protocol_versions(policy::versions(settings.policy))?
            .dangerous()
            .with_custom_certificate_verifier(verifier(settings.trust.as_ref())?);
        let own = |one| TlsError::or_certificate(one, CertificateUse::Client, &policy::provider());
        let certificate = settings.certificate.as_ref().map(own).transpose()?;
        let config = match &certificate {
            Some(certificate) => {
                let shown = SingleCertAndKey::from(certificate.shown());
                config.with_client_cert_resolver(Arc::new(shown))
            }
            None => config.with_no_client_auth(),
        };
        let name = settings.name.as_ref().map(server_name).transpose()?;
        Ok(Self { config: Arc::new(config), name, certificate })
    }

    /// What endpoints are shown, if anything.
    pub const fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// For the endpoint on this host.
    ///
    /// # Errors
    /// If no certificate can be for a host that is called like this.
    pub fn endpoint(&self, host: &Host) -> Result<EndpointTls, TlsError> {
        let name = self.name.clone().map_or_else(|| server_name(host), Ok)?;
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(KEPT_SESSIONS);
        let offering = |offered| {
            let mut config = config.clone();
            config.alpn_protocols = policy::protocols(offered);
            Arc::new(config)
        };
        Ok(EndpointTls {
            nothing: offering(Offered::Nothing),
            http1: offering(Offered::Http1),
            http2: offering(Offered::Http2),
            name,
        })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for EndpointTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointTls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, TlsError> {
    match host {
        Host::Ip(ip) => Ok(ServerName::from(*ip)),
        Host::Name(name) => {
            // The dot at the end is for those who look it up.
            let name = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))
        }
    }
}
