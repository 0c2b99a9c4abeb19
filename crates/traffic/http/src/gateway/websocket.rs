//! The two words by which a WebSocket begins over HTTP/1.1 (RFC 6455 §4). HTTP/2 needs none (RFC 8441 §5), so whoever stands between the two
//! says the one and checks the other.

use base_kit::Rng;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The field by which a client asks.
pub const KEY: &str = "sec-websocket-key";
/// The field by which a server shows that it has understood.
pub const ACCEPT: &str = "sec-websocket-accept";

/// What is hashed behind the key (RFC 6455 §1.3).
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key for one connection. It keeps caches from mixing connections up, and need not be secret.
pub fn fresh_key(rng: &mut dyn Rng) -> String {
    let words = [rng.next_u64().to_ne_bytes(), rng.next_u64().to_ne_bytes()];
    STANDARD.encode(words.concat())
}

/// What a server answers to a key.
pub fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(SUFFIX).finalize())
}

#[cfg(test)]
mod tests {
    use base_kit::SeededRng;

    use super::*;

    #[test]
    fn a_key_is_answered_as_the_standard_says() {
        // RFC 6455 §1.3
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        let key = fresh_key(&mut SeededRng::new(1));
        assert_eq!(STANDARD.decode(&key).unwrap().len(), 16);
        assert_ne!(key, fresh_key(&mut SeededRng::new(2)));
    }
}
