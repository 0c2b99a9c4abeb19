//! What a listener with TLS does in handshakes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::digest::{SHA256, digest};
use base_kit::WallClock;
use base_model::CertificateUse;
use base_model::model::{self, ClientCertificateTold, ListenerTls, PoolTls, Secret, TlsClients};
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};

use crate::certificate::Certificate;
use crate::certificates::Certificates;
use crate::client::ClientTls;
use crate::error::TlsError;
use crate::key_log::KeyLog;
use crate::policy;
use crate::staple::Staple;
use crate::tickets::{NoTicketKey, TicketKeys, Ticketer};
use crate::trust::{self, AuthorityError};

/// Sessions that a listener keeps for clients that take no ticket; some 500 bytes each, and what the client has shown.
const KEPT_SESSIONS: usize = 4096;
/// Tickets that a client gets with one handshake: browsers open several connections at once, and use each ticket once.
const TICKETS: usize = 2;

/// A listener's side of TLS. Workers share it.
pub struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    certificates: Vec<Arc<Certificate>>,
    /// What it asks of its clients.
    context: Context,
    /// What endpoints are told of clients' certificates.
    pub(crate) told: ClientCertificateTold,
}

/// What outlives a configuration: sessions of clients that were here before.
#[derive(Debug)]
pub struct Sessions {
    drawn: Arc<TicketKeys>,
    /// By what a place asks of its clients.
    kept: Mutex<HashMap<Context, Arc<ServerSessionMemoryCache>>>,
    /// What listeners have, by name.
    listeners: Mutex<Made<ListenerTls, ServerTls>>,
    /// What pools have, by name.
    pools: Mutex<Made<PoolTls, ClientTls>>,
}

/// What is in use, by name, and what it was made of.
type Made<S, T> = HashMap<String, (Arc<S>, Weak<T>)>;

/// What this was made of before, as long as it is in use, or a new one.
fn made_or<S: PartialEq, T>(
    made: &Mutex<Made<S, T>>,
    name: &str,
    settings: &Arc<S>,
    make: impl FnOnce() -> Result<T, TlsError>,
) -> Result<Arc<T>, TlsError> {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    made.retain(|_, (_, tls)| tls.strong_count() > 0);
    if let Some((before, tls)) = made.get(name)
        && before == settings
        && let Some(tls) = tls.upgrade()
    {
        return Ok(tls);
    }
    let tls = Arc::new(make()?);
    made.insert(name.to_owned(), (Arc::clone(settings), Arc::downgrade(&tls)));
    Ok(tls)
}

/// What a place asks of its clients, as a number: who was let in at one is not for that let in at another.
type Context = [u8; 32];

impl Sessions {
    /// None yet.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn new() -> Result<Self, NoTicketKey> {
        let drawn = Arc::new(TicketKeys::drawn()?);
        Ok(Self { drawn, kept: Mutex::default(), listeners: Mutex::default(), pools: Mutex::default() })
    }

    /// TLS for the listener of this name. What is as it was is not made anew.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn listener(&self, name: &str, settings: &Arc<ListenerTls>) -> Result<Arc<ServerTls>, TlsError> {
        made_or(&self.listeners, name, settings, || ServerTls::build(name, settings, self))
    }

    /// TLS for the pool of this name. What is as it was is not made anew, so that connections and sessions are kept.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn pool(&self, name: &str, settings: &Arc<PoolTls>) -> Result<Arc<ClientTls>, TlsError> {
        made_or(&self.pools, name, settings, || ClientTls::new(settings))
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
            let certificate = TlsError::or_certificate(one, CertificateUse::Server, &provider)?;
            staple(&certificate, one.ocsp.as_deref());
            Ok::<_, TlsError>(certificate)
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
        config.alpn_protocols = policy::protocols(settings.offered);
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
        let told = settings.clients.as_ref().map_or(ClientCertificateTold::Nothing, |clients| clients.told);
        Ok(Self { config: Arc::new(config), certificates, context, told })
    }

    /// Whether it asks the same of clients as another one, and tells endpoints the same of them: who has come in there need not come again.
    pub fn treats_clients_as(&self, other: &Self) -> bool {
        (self.context, self.told) == (other.context, other.told)
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

/// Shows what the authority says beside the certificate, if that still holds: it was looked at when the configuration was.
fn staple(certificate: &Certificate, response: Option<&[u8]>) {
    let Some(response) = response else { return };
    if let Ok(staple) = Staple::read(response, &certificate.chain(), WallClock.since_epoch()) {
        certificate.set_staple(Some(&staple));
    }
}

fn verifier(clients: &TlsClients) -> Result<Arc<dyn ClientCertVerifier>, AuthorityError> {
    let roots = trust::of_clients(&clients.authorities)?;
    let builder = WebPkiClientVerifier::builder_with_provider(roots, policy::provider())
        .with_crls(trust::lists(&clients.revoked)?)
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
