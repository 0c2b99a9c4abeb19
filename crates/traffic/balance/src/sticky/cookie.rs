//! Cookies that name an endpoint, and that nobody can make without the key.
//!
//! A value is an HMAC (RFC 2104, with SHA-256, cut to 128 bits) of the names of pool and endpoint. All values that can be right are known
//! beforehand, so a request's is only looked up: no cryptography while it waits. That the time of a look-up depends on the value helps nobody:
//! the map hashes it with a key of its own first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base_model::model::{SameSite, Secret, StickyCookie};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::endpoint::{EndpointId, EndpointState};

/// Bytes of the code that a value holds: half of what SHA-256 gives, far beyond guessing.
const CODE_BYTES: usize = 16;
/// Keeps these codes apart from any others that are made with the same key.
const PURPOSE: &[u8] = b"aya sticky cookie";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The code in hexadecimal: what the cookie holds.
type Value = [u8; 2 * CODE_BYTES];

/// One worker's cookies for the endpoints of a pool.
pub(super) struct CookieBook {
    settings: StickyCookie,
    /// The first signs.
    keys: Vec<Hmac<Sha256>>,
    endpoints: HashMap<Value, Signed>,
    /// `Set-Cookie` values.
    lines: HashMap<EndpointId, Box<[u8]>>,
}

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) endpoint: EndpointId,
    /// Whether it was signed with the key in use.
    pub(super) is_current: bool,
}

impl CookieBook {
    pub(super) fn new(settings: &StickyCookie) -> Self {
        Self {
            keys: settings.keys.iter().filter_map(keyed).collect(),
            settings: settings.clone(),
            endpoints: HashMap::new(),
            lines: HashMap::new(),
        }
    }

    /// The cookie's name.
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether there is a key to sign with.
    pub(super) fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The endpoints there are from now on.
    pub(super) fn update(&mut self, endpoints: &[Arc<EndpointState>]) {
        let present: HashSet<_> = endpoints.iter().map(|endpoint| endpoint.id()).collect();
        self.endpoints.retain(|_, signed| present.contains(&signed.endpoint));
        self.lines.retain(|id, _| present.contains(id));
        for endpoint in endpoints {
            // Signing costs a microsecond, and pools can be large: it is done once for each.
            if !self.lines.contains_key(&endpoint.id()) {
                self.add(endpoint);
            }
        }
    }

    fn add(&mut self, endpoint: &EndpointState) {
        let id = endpoint.id();
        for (index, key) in self.keys.iter().enumerate() {
            let value = value(key, endpoint);
            self.endpoints.insert(value, Signed { endpoint: id, is_current: index == 0 });
            if index == 0 {
                self.lines.insert(id, line(&self.settings, &value));
            }
        }
    }

    /// What the value of a request's cookie says; `None` if no key here has made it for an endpoint that is here.
    pub(super) fn find(&self, value: &[u8]) -> Option<Signed> {
        self.endpoints.get(<&Value>::try_from(value).ok()?).copied()
    }

    /// The value of a `Set-Cookie` line that names the endpoint.
    pub(super) fn line(&self, endpoint: EndpointId) -> Option<&[u8]> {
        self.lines.get(&endpoint).map(|line| &**line)
    }
}

/// HMAC takes keys of any length, so there is always one.
fn keyed(key: &Secret) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key.expose().as_bytes()).ok()
}

fn value(key: &Hmac<Sha256>, endpoint: &EndpointState) -> Value {
    // Names hold no zero byte, so no two pairs of them read the same.
    let mut code = key.clone();
    for part in [PURPOSE, endpoint.pool().as_bytes(), endpoint.name().as_bytes()] {
        code.update(part);
        code.update(&[0]);
    }
    let code = code.finalize().into_bytes();
    let digits = code.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut value = Value::default();
    for (place, digit) in value.iter_mut().zip(digits) {
        *place = HEX.get(usize::from(digit)).copied().unwrap_or_default();
    }
    value
}

/// RFC 6265 §4.1.
fn line(settings: &StickyCookie, value: &Value) -> Box<[u8]> {
    let StickyCookie { name, keys: _, max_age, path, domain, secure, http_only, same_site } = settings;
    let mut line = format!("{name}={}; Path={path}", String::from_utf8_lossy(value));
    if let Some(max_age) = max_age {
        line.push_str(&format!("; Max-Age={}", max_age.as_secs()));
    }
    if let Some(domain) = domain {
        line.push_str(&format!("; Domain={domain}"));
    }
    let same_site = match same_site {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    };
    for (is_wanted, attribute) in [(*secure, "; Secure"), (*http_only, "; HttpOnly"), (true, same_site)] {
        line.push_str(if is_wanted { attribute } else { "" });
    }
    line.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{pool_of, sticky_cookie};

    fn endpoints(pool_name: &str, count: usize) -> Arc<[Arc<EndpointState>]> {
        pool_of(pool_name, count).endpoints()
    }

    fn book(keys: &[&str], endpoints: &[Arc<EndpointState>]) -> CookieBook {
        let mut book = CookieBook::new(&sticky_cookie(keys));
        book.update(endpoints);
        book
    }

    fn value_in(line: &[u8]) -> Vec<u8> {
        let line = std::str::from_utf8(line).unwrap();
        line.strip_prefix("node=").unwrap().split(';').next().unwrap().as_bytes().to_vec()
    }

    #[test]
    fn what_was_signed_is_known_and_nothing_else_is() {
        let endpoints = endpoints("p", 3);
        let book = book(&["a key of the test"], &endpoints);
        let mut seen = HashSet::new();
        for endpoint in endpoints.iter() {
            let value = value_in(book.line(endpoint.id()).unwrap());
            let found = book.find(&value).unwrap();
            assert_eq!(found, Signed { endpoint: endpoint.id(), is_current: true });
            for place in 0..value.len() {
                let mut forged = value.clone();
                forged[place] ^= 1;
                assert_eq!(book.find(&forged), None);
            }
            assert_eq!(book.find(&value[1..]), None);
            seen.insert(value);
        }
        assert_eq!(seen.len(), 3);
    }

    /// Computed with Python's `hmac`: `hmac.new(key, b"aya sticky cookie\0p\x0010.0.0.0:80\0", "sha256").hexdigest()[:32]`. Other
    /// nodes and later versions must agree.
    #[test]
    fn the_value_is_that_of_every_other_node() {
        let endpoints = endpoints("p", 1);
        let book = book(&["0123456789abcdef"], &endpoints);
        let value = value_in(book.line(endpoints[0].id()).unwrap());
        assert_eq!(String::from_utf8(value).unwrap(), "4e5e632fecc7a8ac03510e5535c24e47");
    }

    #[test]
    fn pools_and_keys_do_not_understand_each_other() {
        let (one, other) = (endpoints("p", 1), endpoints("q", 1));
        let value = value_in(book(&["first key of all"], &one).line(one[0].id()).unwrap());
        assert_eq!(book(&["first key of all"], &other).find(&value), None);
        assert_eq!(book(&["another key here"], &one).find(&value), None);
    }

    #[test]
    fn an_older_key_is_understood_but_signs_no_more() {
        let endpoints = endpoints("p", 2);
        let id = endpoints[1].id();
        let old = value_in(book(&["the older key of it"], &endpoints).line(id).unwrap());
        let rotated = book(&["the newer key of it", "the older key of it"], &endpoints);
        assert_eq!(rotated.find(&old), Some(Signed { endpoint: id, is_current: false }));
        let new = value_in(rotated.line(id).unwrap());
        assert_ne!(new, old);
        assert_eq!(rotated.find(&new), Some(Signed { endpoint: id, is_current: true }));
    }

    #[test]
    fn endpoints_come_and_go() {
        let endpoints = endpoints("p", 3);
        let mut book = book(&["a key of the test"], &endpoints[..2]);
        let gone = value_in(book.line(endpoints[0].id()).unwrap());
        book.update(&endpoints[1..]);
        assert_eq!((book.find(&gone), book.line(endpoints[0].id())), (None, None));
        assert!(book.line(endpoints[2].id()).is_some());
        assert_eq!((book.endpoints.len(), book.lines.len()), (2, 2), "nothing is left behind");
    }

    #[test]
    fn attributes_are_written_as_clients_know_them() {
        let all = StickyCookie {
            max_age: Some(std::time::Duration::from_secs(60)),
            path: "/app".into(),
            domain: Some("example.com".into()),
            secure: true,
            http_only: false,
            same_site: SameSite::None,
            ..sticky_cookie(&[])
        };
        let text = |settings| String::from_utf8(line(&settings, &[b'0'; 32]).into()).unwrap();
        let value = "0".repeat(32);
        assert_eq!(
            text(all),
            format!("node={value}; Path=/app; Max-Age=60; Domain=example.com; Secure; SameSite=None")
        );
        assert_eq!(text(sticky_cookie(&[])), format!("node={value}; Path=/; HttpOnly; SameSite=Lax"));
    }
}
