//! The fields after a chunked body (RFC 9112 §7.1.2, RFC 9110 §6.5).

use crate::HttpError;
use crate::fields::{FieldName, Fields, KnownField, begins_alike, known_alike, parse_field_lines};
use crate::limits::MAX_TRAILER_BYTES;

/// Collects the trailer section, which may be split anywhere, and then its fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Trailers(Option<Box<Collected>>);

/// What there is of them. In a box of its own, because few bodies have any.
#[derive(Clone, Debug, Default)]
struct Collected {
    /// The section, with the CRLF before it; empty while nothing but a whole final line was seen.
    section: Vec<u8>,
    fields: Fields,
}

static NONE: Fields = Fields::new();

impl Trailers {
    pub(super) fn fields(&self) -> &Fields {
        self.0.as_ref().map_or(&NONE, |collected| &collected.fields)
    }

    pub(super) fn remove(&mut self, name: &FieldName) {
        if let Some(collected) = &mut self.0 {
            collected.fields.remove_named(name);
        }
    }

    pub(super) fn clear(&mut self) {
        if let Some(collected) = &mut self.0 {
            collected.section.clear();
            collected.fields.clear();
        }
    }

    /// Takes bytes from the front of `input`; gives how many, and whether the section is complete.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        let has_begun = self.0.as_ref().is_some_and(|collected| !collected.section.is_empty());
        // The common case: no trailers, in one piece.
        if !has_begun && input.starts_with(b"\r\n") {
            return Ok((2, true));
        }
        self.0.get_or_insert_default().read(input)
    }
}

impl Collected {
    fn read(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        if self.section.is_empty() {
            self.section.extend_from_slice(b"\r\n");
        }
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let line_end = memchr::memchr(b'\n', rest);
            let piece = rest.get(..line_end.map_or(rest.len(), |at| at + 1)).unwrap_or_default();
            if self.section.len() + piece.len() > MAX_TRAILER_BYTES {
                return Err(HttpError::TrailersTooLarge);
            }
            self.section.extend_from_slice(piece);
            taken += piece.len();
            if line_end.is_some() && !self.section.ends_with(b"\r\n") {
                return Err(HttpError::InvalidLineEnd);
            }
            if line_end.is_some() && self.section.ends_with(b"\r\n\r\n") {
                parse_field_lines(&self.section, &mut self.fields)?;
                self.fields.retain(may_be_trailer);
                return Ok((taken, true));
            }
        }
        Ok((taken, false))
    }
}

/// Whether a field may come after the body. All that decides about framing, routing, authentication, caching or the
/// meaning of the content is dropped: it would take effect at some recipients and not at others. Of the known fields,
/// and of what is taken for one where `_` is read as `-`, only `ETag` is left.
fn may_be_trailer(known: Option<KnownField>, name: &[u8]) -> bool {
    match known.or_else(|| known_alike(name)) {
        Some(known) => known == KnownField::Etag,
        None => ![b"x-forwarded-".as_slice(), b"proxy-"].iter().any(|prefix| begins_alike(name, prefix)),
    }
}
