//! What a listener with TLS does in handshakes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::digest::{SHA256, digest};
use base_model::model::{self, ListenerTls, Secret, TlsClients};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::certificates::Certificates;
use crate::key_log::KeyLog;
use crate::policy;
use crate::tickets::{NoTicketKey, TicketKeys, Ticketer};

/// Sessions that a listener keeps for clients that take no ticket; some 500 bytes each.
const KEPT_SESSIONS: usize = 4096;
/// Tickets that a client gets with one handshake: browsers open several connections at once, and use each ticket once.
const TICKETS: usize = 2;

/// A listener's side of TLS. Workers share it.
pub struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    certificates: Vec<Arc<Certificate>>,
}

/// Why a listener's TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A certificate cannot be used.
    #[error("{name}: {problem}")]
    Certificate {
        /// Which one.
        name: Arc<str>,
        /// Why.
        problem: CertificateError,
    },
    /// Those who sign clients' certificates cannot be used.
    #[error(transparent)]
    Authorities(#[from] AuthorityError),
    /// No keys for tickets.
    #[error(transparent)]
    Tickets(#[from] NoTicketKey),
    /// The file for the secrets of connections cannot be written.
    #[error("cannot write the key log {path}: {source}")]
    KeyLog {
        /// Its path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The library refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Refused(#[from] rustls::Error),
}

/// Why the authorities or the revocation lists for clients' certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// No certificate, or none that can sign.
    #[error("the authorities cannot be used: {0}")]
    Authorities(String),
    /// A revocation list cannot be read.
    #[error("the revocation lists cannot be used: {0}")]
    Revoked(String),
}

impl AuthorityError {
    /// Whether it is about the revocation lists.
    pub const fn is_about_lists(&self) -> bool {
        matches!(self, Self::Revoked(_))
    }

    /// How to mend it.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Authorities(_) => {
                "name a file with the certificates that sign those of the clients, in PEM"
            }
            Self::Revoked(_) => {
                "name a file with revocation lists in PEM; `openssl crl -inform der -in FILE` turns DER into it"
            }
        }
    }
}

/// What outlives a configuration: sessions of clients that were here before.
#[derive(Debug)]
pub struct Sessions {
    drawn: Arc<TicketKeys>,
    /// By what a place asks of its clients.
    kept: Mutex<HashMap<Context, Arc<ServerSessionMemoryCache>>>,
    /// What listeners have, by name, as long as it is in use.
    made: Mutex<HashMap<String, Made>>,
}

/// A listener's TLS, and what it was made of.
type Made = (Arc<ListenerTls>, Weak<ServerTls>);

/// What a place asks of its clients, as a number: who was let in at one is not for that let in at another.
type Context = [u8; 32];

impl Sessions {
    /// None yet.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn new() -> Result<Self, NoTicketKey> {
        let drawn = Arc::new(TicketKeys::drawn()?);
        Ok(Self { drawn, kept: Mutex::default(), made: Mutex::default() })
    }

    /// TLS for the listener of this name. What is as it was is not made anew.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn listener(&self, name: &str, settings: &Arc<ListenerTls>) -> Result<Arc<ServerTls>, TlsError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|_, (_, tls)| tls.strong_count() > 0);
        if let Some((before, tls)) = made.get(name)
            && before == settings
            && let Some(tls) = tls.upgrade()
        {
            return Ok(tls);
        }
        let tls = Arc::new(ServerTls::build(name, settings, self)?);
        made.insert(name.to_owned(), (Arc::clone(settings), Arc::downgrade(&tls)));
        Ok(tls)
    }

    fn kept(&self, context: Context) -> Arc<ServerSessionMemoryCache> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Places that are no more need none.
        kept.retain(|place, sessions| *place == context || Arc::strong_count(sessions) > 1);
        Arc::clone(kept.entry(context).or_insert_with(|| ServerSessionMemoryCache::new(KEPT_SESSIONS)))
    }
}

impl ServerTls {
    fn build(listener: &str, settings: &ListenerTls, sessions: &Sessions) -> Result<Self, TlsError> {
        let provider = policy::provider();
        let read = |one: &model::Certificate| {
            Certificate::read(Arc::clone(&one.name), &one.chain, one.key.expose(), &provider)
                .map(Arc::new)
                .map_err(|problem| TlsError::Certificate { name: Arc::clone(&one.name), problem })
        };
        let certificates = settings.certificates.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let by_name = Certificates::new(&certificates, settings.refuses_unknown_names);
        let verifier = match &settings.clients {
            Some(clients) => verifier(clients)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(policy::versions(settings.policy))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(by_name));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.send_tls13_tickets = TICKETS;
        let context = context(listener, settings.clients.as_ref());
        match &settings.ticket_keys {
            Some(secrets) => {
                let keys = if secrets.is_empty() {
                    Arc::clone(&sessions.drawn)
                } else {
                    Arc::new(TicketKeys::of_secrets(secrets.iter().map(Secret::expose))?)
                };
                config.ticketer = Arc::new(Ticketer::new(keys, context));
                config.session_storage = sessions.kept(context);
            }
            None => {
                config.session_storage = Arc::new(NoServerSessionStorage {});
            }
        }
        if let Some(path) = &settings.key_log {
            let fail = |source| TlsError::KeyLog { path: path.display().to_string(), source };
            config.key_log = Arc::new(KeyLog::open(path).map_err(fail)?);
        }
        Ok(Self { config: Arc::new(config), certificates })
    }

    /// What clients are shown, in the order of the configuration.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Whether authorities and revocation lists can be used.
///
/// # Errors
/// Why not.
pub fn check_authorities(authorities: &str, revoked: &str) -> Result<(), AuthorityError> {
    let clients = TlsClients { is_required: true, authorities: authorities.into(), revoked: revoked.into() };
    verifier(&clients).map(drop)
}

fn verifier(clients: &TlsClients) -> Result<Arc<dyn ClientCertVerifier>, AuthorityError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(clients.authorities.as_bytes()) {
        let certificate = certificate.map_err(|error| AuthorityError::Authorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| AuthorityError::Authorities(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(AuthorityError::Authorities("there is no certificate in them".to_owned()));
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(clients.revoked.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| AuthorityError::Revoked(error.to_string()))?;
    if lists.is_empty() && !clients.revoked.is_empty() {
        return Err(AuthorityError::Revoked("there is none in them".to_owned()));
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), policy::provider())
        .with_crls(lists)
        .enforce_revocation_expiration();
    let builder = if clients.is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| AuthorityError::Revoked(error.to_string()))
}

/// Names and all that clients have to show, each with its length in front, so that no two places are taken for one.
fn context(listener: &str, clients: Option<&TlsClients>) -> Context {
    let mut bytes = Vec::new();
    let mut add = |text: &str| {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    add(listener);
    if let Some(clients) = clients {
        add(if clients.is_required { "required" } else { "optional" });
        add(&clients.authorities);
        add(&clients.revoked);
    }
    let mut context = [0; 32];
    context.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    context
}
