//! Which versions and cipher suites are spoken, and which keys are exchanged.

use std::sync::Arc;

use base_model::model::{Offered, TlsPolicy};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// Mozilla's "Server Side TLS" 5.7, in its order: AES-128 first, which is as far beyond breaking as AES-256 and costs less. The client
/// chooses: it knows whether it has AES in hardware.
const CIPHER_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The first is safe from whoever records today and has a quantum computer later.
const KEY_EXCHANGES: &[&dyn SupportedKxGroup] =
    &[kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// The cryptography that all of Aya's TLS uses.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: CIPHER_SUITES.to_vec(),
        kx_groups: KEY_EXCHANGES.to_vec(),
        ..aws_lc_rs::default_provider()
    })
}

static MODERN: &[&SupportedProtocolVersion] = &[&version::TLS13];
static INTERMEDIATE: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// HTTP/2 as it is agreed upon (RFC 7301).
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What is offered to be spoken inside, the best first.
pub(crate) fn protocols(offered: Offered) -> Vec<Vec<u8>> {
    match offered {
        Offered::Nothing => Vec::new(),
        Offered::Http1 => vec![HTTP1.to_vec()],
        Offered::Http2 => vec![HTTP2.to_vec(), HTTP1.to_vec()],
    }
}

/// The versions of a policy.
pub(crate) fn versions(policy: TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    match policy {
        TlsPolicy::Modern => MODERN,
        TlsPolicy::Intermediate => INTERMEDIATE,
    }
}
