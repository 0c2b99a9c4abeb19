//! Session tickets (RFC 8446 §4.6.1, RFC 5077): what a client keeps of a session, encrypted so that only Aya can read it.
//!
//! All workers use the same keys, over all reloads; with keys from the configuration all nodes do. A ticket is only good where it was
//! given: what a listener asks of its clients goes into the encryption, so that nobody enters with the ticket of another one.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base_kit::{Clock, Moment, MonotonicClock};
use rustls::server::ProducesTickets;

/// How long a ticket is good. RFC 8446 allows seven days; who has its key can read what TLS 1.2 clients said under it.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Bytes in front of a ticket that tell its key from others.
const NAME_BYTES: usize = 16;
/// A ticket holds a session's secret and the client's certificates; what is longer was not made here.
const MOST_BYTES: usize = 64 << 10;

/// Keys of tickets: the first encrypts, all decrypt.
pub(crate) struct TicketKeys {
    keys: ArcSwap<Vec<Arc<TicketKey>>>,
    /// When the first was drawn; `None` if they come from outside.
    drawn: Option<Mutex<Moment>>,
}

struct TicketKey {
    name: [u8; NAME_BYTES],
    key: RandomizedNonceKey,
}

/// No randomness to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key for session tickets can be made: the system gives no random numbers")]
pub struct NoTicketKey;

impl TicketKeys {
    /// Draws one now, and another each twelve hours; the one before goes on decrypting for as long.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub(crate) fn drawn() -> Result<Self, NoTicketKey> {
        let first = Arc::new(TicketKey::draw()?);
        Ok(Self { keys: ArcSwap::from_pointee(vec![first]), drawn: Some(Mutex::new(MonotonicClock.now())) })
    }

    /// Makes them of secrets.
    ///
    /// # Errors
    /// If a key cannot be made.
    pub(crate) fn of_secrets<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Result<Self, NoTicketKey> {
        let keys = secrets.into_iter().map(|secret| TicketKey::of_secret(secret).map(Arc::new));
        Ok(Self { keys: ArcSwap::from_pointee(keys.collect::<Result<_, _>>()?), drawn: None })
    }

    /// Draws the next key if it is time.
    fn renew(&self, now: Moment) {
        let Some(drawn) = &self.drawn else { return };
        // Whoever comes while another one draws goes on with what is there.
        let Ok(mut drawn) = drawn.try_lock() else { return };
        if now.since(*drawn) < LIFETIME {
            return;
        }
        if let Ok(next) = TicketKey::draw() {
            *drawn = now;
            let before = self.keys.load().first().cloned();
            self.keys.store(Arc::new(std::iter::once(Arc::new(next)).chain(before).collect()));
        }
    }

    fn seal(&self, plain: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let TicketKey { name, key } = &**keys.first()?;
        let mut sealed = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut sealed).ok()?;
        Some([name.as_slice(), nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, ticket: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.key.open_in_place(nonce, Aad::from(context), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").field("keys", &self.keys.load().len()).finish_non_exhaustive()
    }
}

impl TicketKey {
    fn draw() -> Result<Self, NoTicketKey> {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| NoTicketKey)?;
        Self::of_bytes(&seed)
    }

    fn of_secret(secret: &str) -> Result<Self, NoTicketKey> {
        Self::of_bytes(secret.as_bytes())
    }

    /// Key and name are different parts of what comes out, so that the name tells nothing of the key.
    fn of_bytes(seed: &[u8]) -> Result<Self, NoTicketKey> {
        let drawn = Salt::new(HKDF_SHA256, b"aya session tickets").extract(seed);
        let mut key = [0; 32];
        let mut name = [0; NAME_BYTES];
        expand(&drawn, b"key", &mut key)?;
        expand(&drawn, b"name", &mut name)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| NoTicketKey)?;
        Ok(Self { name, key })
    }
}

/// How many bytes are to come out of a derivation.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(from: &Prk, what: &[u8], out: &mut [u8]) -> Result<(), NoTicketKey> {
    let info = [what];
    let expanded = from.expand(&info, Length(out.len())).map_err(|_| NoTicketKey)?;
    expanded.fill(out).map_err(|_| NoTicketKey)
}

/// Gives and takes the tickets of one listener.
#[derive(Debug)]
pub(crate) struct Ticketer {
    keys: Arc<TicketKeys>,
    /// What clients have to be or to show here: a ticket of another place is none here.
    context: [u8; 32],
}

impl Ticketer {
    /// For a place with these demands.
    pub(crate) const fn new(keys: Arc<TicketKeys>, context: [u8; 32]) -> Self {
        Self { keys, context }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.renew(MonotonicClock.now());
        self.keys.seal(plain, &self.context)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MOST_BYTES {
            return None;
        }
        self.keys.open(ticket, &self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticketer(keys: &Arc<TicketKeys>, context: u8) -> Ticketer {
        Ticketer::new(Arc::clone(keys), [context; 32])
    }

    #[test]
    fn a_ticket_is_read_where_it_was_given_and_nowhere_else() {
        let keys = Arc::new(TicketKeys::drawn().unwrap());
        let here = ticketer(&keys, 1);
        let ticket = here.encrypt(b"session").unwrap();
        assert_eq!(here.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(ticketer(&keys, 2).decrypt(&ticket), None, "another place");
        let others = Arc::new(TicketKeys::drawn().unwrap());
        assert_eq!(ticketer(&others, 1).decrypt(&ticket), None, "other keys");
        for length in 0..ticket.len() {
            assert_eq!(here.decrypt(&ticket[..length]), None);
        }
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(here.decrypt(&changed), None);
        }
        assert_ne!(ticket, here.encrypt(b"session").unwrap(), "no two are the same");
    }

    #[test]
    fn nodes_with_the_same_secrets_read_each_others_tickets_while_one_replaces_the_other() {
        let keys =
            |secrets: &[&'static str]| Arc::new(TicketKeys::of_secrets(secrets.iter().copied()).unwrap());
        let ticket = ticketer(&keys(&["old"]), 1).encrypt(b"session").unwrap();
        assert!(ticketer(&keys(&["new", "old"]), 1).decrypt(&ticket).is_some());
        assert!(ticketer(&keys(&["new"]), 1).decrypt(&ticket).is_none());
        let next = ticketer(&keys(&["new", "old"]), 1).encrypt(b"session").unwrap();
        assert!(ticketer(&keys(&["new"]), 1).decrypt(&next).is_some(), "the first encrypts");
    }

    #[test]
    fn a_drawn_key_is_followed_by_another_and_then_forgotten() {
        let keys = TicketKeys::drawn().unwrap();
        let start = MonotonicClock.now();
        let ticket = keys.seal(b"session", b"").unwrap();
        keys.renew(start + LIFETIME / 2);
        let same = keys.seal(b"session", b"").unwrap();
        assert_eq!(ticket[..NAME_BYTES], same[..NAME_BYTES]);
        keys.renew(start + LIFETIME * 2);
        let next = keys.seal(b"session", b"").unwrap();
        assert_ne!(ticket[..NAME_BYTES], next[..NAME_BYTES]);
        assert!(keys.open(&ticket, b"").is_some());
        keys.renew(start + LIFETIME * 4);
        assert!(keys.open(&ticket, b"").is_none() && keys.open(&next, b"").is_some());
    }
}
