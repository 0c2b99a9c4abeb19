//! Addresses as text, both ways, without allocation.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// Room for the longest address.
const MAX_LENGTH: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// An address in its canonical text form, on the stack. An IPv4 address in IPv6 clothes is written as IPv4.
#[derive(Clone, Copy, Debug)]
pub struct AddressText {
    bytes: [u8; MAX_LENGTH],
    length: usize,
    is_v6: bool,
}

impl AddressText {
    /// The text of this address.
    pub fn new(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; MAX_LENGTH], length: 0, is_v6: false };
        match address.to_canonical() {
            IpAddr::V4(address) => text.push_v4(address),
            IpAddr::V6(address) => {
                text.is_v6 = true;
                // Cannot fail: there is room for every address.
                let _ = write!(text, "{address}");
            }
        }
        text
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether this is IPv6, which some places want in brackets.
    pub const fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn push_v4(&mut self, address: Ipv4Addr) {
        for octet in address.octets().map(u32::from) {
            // Three digits and a dot, of which the zeros in front are shifted out.
            let digits =
                u32::from_le_bytes(*b"000.") + octet / 100 + ((octet / 10 % 10) << 8) + ((octet % 10) << 16);
            let zeros = usize::from(octet < 100) + usize::from(octet < 10);
            if let Some(place) = self.bytes.get_mut(self.length..self.length + 4) {
                place.copy_from_slice(&(digits >> (8 * zeros)).to_le_bytes());
            }
            self.length += 4 - zeros;
        }
        // The last dot.
        self.length -= 1;
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

/// An element of `X-Forwarded-For`: an address, some proxies add the port.
pub(super) fn parse(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let address = if let Some(rest) = text.strip_prefix('[') {
        rest.split_once(']')?.0.parse().ok()
    } else {
        match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address.parse().ok().map(IpAddr::V4),
            _ => text.parse().ok(),
        }
    };
    address.map(|address: IpAddr| address.to_canonical())
}

/// The `for` parameter of an element of `Forwarded`.
pub(super) fn parse_forwarded(element: &[u8]) -> Option<IpAddr> {
    let value = element.split(|&byte| byte == b';').find_map(|parameter| {
        let (name, value) = parameter.trim_ascii().split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })?;
    parse(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}
