//! `Via`: which gateways a message passed (RFC 9110 §7.6.3).

use crate::fields::{Fields, KnownField};
use crate::head::Version;

/// Adds `version pseudonym` after what is there, for instance `1.1 aya`. `received` is the version of the message as
/// it came in.
pub fn append(fields: &mut Fields, received: Version, pseudonym: &str) {
    let entry = fields.compose_known(KnownField::Via).push_own(received.number().as_bytes()).push_own(b" ");
    entry.push(pseudonym.as_bytes()).append();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_adds_its_line_with_the_version_it_received() {
        let mut fields = Fields::new();
        fields.append("via", b"1.0 edge");
        append(&mut fields, Version::Http11, "aya");
        append(&mut fields, Version::Http10, "aya");
        assert_eq!(
            fields.values(KnownField::Via).collect::<Vec<_>>(),
            [b"1.0 edge".as_slice(), b"1.1 aya", b"1.0 aya"]
        );
    }
}
