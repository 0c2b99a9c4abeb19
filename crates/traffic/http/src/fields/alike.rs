//! Names that gateways to CGI-like interfaces cannot tell apart.
//!
//! CGI, FastCGI, WSGI and PHP give fields to programs as variables, in whose names `-` and `_` are the same: `X_Real_IP` is
//! `X-Real-IP` there. Who sets or drops a field means what the program sees, so the look-alikes go with it.
//!
//! Ordinary heads have no name with a `_`. One bit says whether there may be one, and only then names are compared here.

use super::{Fields, KnownField, Line};

/// A bit among those of the known fields: whether the name of an unknown field may have a `_`.
pub(super) const UNDERSCORES: u64 = 1 << 63;

// It means no known field.
const _: () = assert!(KnownField::ALL.len() < 64);

/// These frame the message. A head in which another line looks like one is refused, so an edit need not look for them;
/// and no edit of `content_length` can take the length away.
const FRAMING: u64 = KnownField::ContentLength.bit() | KnownField::TransferEncoding.bit();

/// Which known field this name is taken for where `_` is read as `-`.
pub(crate) fn known_alike(name: &[u8]) -> Option<KnownField> {
    let mut text = [0; KnownField::LONGEST_NAME];
    let text = text.get_mut(..name.len())?;
    for (read, &byte) in text.iter_mut().zip(name) {
        *read = if byte == b'_' { b'-' } else { byte };
    }
    KnownField::from_name(text)
}

/// Whether this name is taken for a framing field.
pub(super) fn looks_like_framing(name: &[u8]) -> bool {
    known_alike(name).is_some_and(|known| known.bit() & FRAMING != 0)
}

/// Whether the name begins so, in whatever case, where `_` is read as `-`.
pub(crate) fn begins_alike(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| reads_same(start, prefix))
}

/// Whether two names are the same in whatever case where `_` is read as `-`.
fn reads_same(one: &[u8], other: &[u8]) -> bool {
    let read = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(read).eq(other.iter().map(read))
}

impl Line {
    /// Whether this line has another name, which is read as this one.
    fn is_alike(self, bytes: &[u8], name: &[u8]) -> bool {
        let own = self.name(bytes);
        reads_same(own, name)
            && !own.eq_ignore_ascii_case(name)
            && self.known.is_none_or(|known| known.bit() & FRAMING == 0)
    }
}

impl Fields {
    /// Whether there may be a name with a `_`.
    #[inline]
    pub(super) const fn has_underscores(&self) -> bool {
        self.present & UNDERSCORES != 0
    }

    /// Takes note of a name with a `_`.
    #[cold]
    pub(super) const fn note_underscore(&mut self) {
        self.present |= UNDERSCORES;
    }

    /// Drops the lines with another name that is read as this one; whether there was one.
    #[cold]
    pub(super) fn remove_alike(&mut self, name: &[u8]) -> bool {
        let before = self.lines.len();
        self.retain_lines(|bytes, line| !line.is_alike(bytes, name));
        self.lines.len() != before
    }

    /// Drops the lines with another name that is read as that of this line.
    #[cold]
    pub(super) fn remove_alike_to(&mut self, fresh: Line) {
        self.retain_lines(|bytes, line| !line.is_alike(bytes, fresh.name(bytes)));
    }

    /// Drops the lines that are only taken for one of this set, or for a field whose name begins so; an empty beginning is none.
    #[inline]
    pub(crate) fn remove_alike_to_any(&mut self, set: u64, prefix: &[u8]) {
        if self.has_underscores() {
            self.remove_some_alike(set, prefix);
        }
    }

    #[cold]
    fn remove_some_alike(&mut self, set: u64, prefix: &[u8]) {
        self.retain(|known, name| {
            let is_alike = || {
                known_alike(name).is_some_and(|alike| alike.bit() & set != 0)
                    || (!prefix.is_empty() && begins_alike(name, prefix) && name.contains(&b'_'))
            };
            known.is_some() || !is_alike()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_cgi_does() {
        for &known in KnownField::ALL {
            let name = known.name().replace('-', "_").to_uppercase();
            assert_eq!(known_alike(name.as_bytes()), Some(known), "{name}");
            assert_eq!(looks_like_framing(name.as_bytes()), known.bit() & FRAMING != 0, "{name}");
        }
        assert_eq!(known_alike(b"x_forwarded-FOR"), Some(KnownField::XForwardedFor));
        assert_eq!(known_alike(b"x_forwarded_for_"), None);
        assert_eq!(known_alike(&[b'_'; 300]), None);
        assert_eq!(known_alike(b""), None);
        assert!(begins_alike(b"X_Forwarded-User", b"x-forwarded-"));
        assert!(!begins_alike(b"X_Forwarded", b"x-forwarded-"));
    }
}
