//! What endpoints are told about the client: `X-Forwarded-*` and `Forwarded` (RFC 7239), and who is believed.

mod address;
pub mod client_certificate;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use base_model::model::{Forwarded, ForwardedMode, ForwardedStyle};
use ipnet::IpNet;

pub use address::AddressText;

use crate::fields::{Fields, KnownField, Span};
use crate::head::{RequestHead, tokens};

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Who opened the connection.
    pub peer: IpAddr,
    /// Whether the peer's forwarding fields are believed.
    pub is_trusted: bool,
    /// `http` or `https`.
    pub scheme: &'a str,
}

/// The fields that claim something about the client; any other `X-Forwarded-*` does too.
const CLAIMS: u64 = KnownField::Forwarded.bit()
    | KnownField::XForwardedFor.bit()
    | KnownField::XForwardedProto.bit()
    | KnownField::XForwardedHost.bit()
    | KnownField::XForwardedPort.bit()
    | KnownField::XRealIp.bit();

/// What the names of all claims but a few begin with.
const CLAIM_PREFIX: &[u8] = b"x-forwarded-";

/// Rewrites the forwarding fields of a request. To be called before the host is rewritten, so that the endpoint learns
/// what the client asked for, and after [`client_address`].
///
/// What an untrusted peer claims goes, and so does everything in the modes `replace` and `drop`. A trusted peer's
/// chain gets the peer added; its scheme and host stay, because they are nearer to the client.
///
/// What is only taken for a claim, by servers that read `_` as `-` (`X_Forwarded_For`), goes whoever sent it: a trusted
/// proxy that does not know of this passes on what its clients write.
pub fn apply(head: &mut RequestHead, settings: Forwarded, hop: &Hop<'_>) {
    let host = head.host_span();
    let fields = head.fields_mut();
    if settings.mode != ForwardedMode::Append || !hop.is_trusted {
        fields.remove_set(CLAIMS);
        fields.remove_unknown_with_prefix(CLAIM_PREFIX);
    } else {
        fields.remove_alike_to_any(CLAIMS, CLAIM_PREFIX);
    }
    if settings.mode == ForwardedMode::Drop {
        return;
    }
    let peer = AddressText::new(hop.peer);
    if matches!(settings.style, ForwardedStyle::XForwarded | ForwardedStyle::Both) {
        add_x_forwarded(fields, &peer, hop.scheme, host);
    }
    if matches!(settings.style, ForwardedStyle::Forwarded | ForwardedStyle::Both) {
        add_forwarded(fields, &peer, hop.scheme, host);
    }
}

fn add_x_forwarded(fields: &mut Fields, peer: &AddressText, scheme: &str, host: Span) {
    // One line for the whole chain: many servers look at one line only.
    fields
        .compose_known(KnownField::XForwardedFor)
        .push_values(KnownField::XForwardedFor)
        .push_own(peer.as_bytes())
        .replace();
    if !fields.has(KnownField::XForwardedProto) {
        let line = fields.compose_known(KnownField::XForwardedProto);
        match scheme {
            "http" => line.push_own(b"http").append(),
            "https" => line.push_own(b"https").append(),
            scheme => line.push(scheme.as_bytes()).append(),
        }
    }
    if !fields.has(KnownField::XForwardedHost) && !host.is_empty() {
        fields.compose_known(KnownField::XForwardedHost).push_stored(host).append();
    }
}

fn add_forwarded(fields: &mut Fields, peer: &AddressText, scheme: &str, host: Span) {
    // A colon must be quoted (RFC 7239 §4); the host was checked and has no quotation mark.
    let is_quoted = host.of(fields.bytes()).contains(&b':');
    let mut element = fields.compose_known(KnownField::Forwarded).push_values(KnownField::Forwarded);
    element = if peer.is_v6() {
        element.push_own(b"for=\"[").push_own(peer.as_bytes()).push_own(b"]\"")
    } else {
        element.push_own(b"for=").push_own(peer.as_bytes())
    };
    if !host.is_empty() {
        let quote: &[u8] = if is_quoted { b"\"" } else { b"" };
        element = element.push_own(b";host=").push_own(quote).push_stored(host).push_own(quote);
    }
    element.push_own(b";proto=").push(scheme.as_bytes()).replace();
}

/// Whether an address belongs to a trusted proxy. IPv4 addresses in IPv6 clothes count as IPv4.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The client that a request comes from: the peer, or, if that is a trusted proxy, the right-most address of the chain
/// that is not one. Where the chain ends or becomes unreadable, the last address that a trusted proxy vouched for.
///
/// `X-Forwarded-For` is read if it is there, else `Forwarded`.
pub fn client_address(fields: &Fields, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let has_x_forwarded = fields.has(KnownField::XForwardedFor);
    let known = if has_x_forwarded { KnownField::XForwardedFor } else { KnownField::Forwarded };
    let mut client = peer;
    for element in fields.values(known).rev().flat_map(|value| tokens(value).rev()) {
        let address =
            if has_x_forwarded { address::parse(element) } else { address::parse_forwarded(element) };
        let Some(address) = address else { break };
        client = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    client
}
