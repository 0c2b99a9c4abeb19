//! A field section by itself: trailers, and what tests read.

use super::Fields;
use crate::HttpError;
use crate::limits::MAX_TRAILER_FIELDS;

/// Parses a complete field section. `section` begins with the CRLF of the line before it.
pub(crate) fn parse_field_lines(section: &[u8], fields: &mut Fields) -> Result<(), HttpError> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(section.get(2..).unwrap_or_default(), &mut slots) {
        Ok(httparse::Status::Complete((length, headers))) if length + 2 == section.len() => {
            fields.load(section, headers)
        }
        Ok(_) => Err(HttpError::InvalidLineEnd),
        Err(httparse::Error::TooManyHeaders) => Err(HttpError::TrailersTooLarge),
        Err(error) => Err(field_error(error)),
    }
}

/// Names what is wrong, as far as it is not wrong in the start line only.
pub(crate) fn field_error(error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::HeaderName => HttpError::InvalidFieldName,
        httparse::Error::HeaderValue => HttpError::InvalidFieldValue,
        httparse::Error::NewLine => HttpError::InvalidLineEnd,
        httparse::Error::Status => HttpError::InvalidStatus,
        httparse::Error::TooManyHeaders => HttpError::TooManyFields,
        httparse::Error::Token | httparse::Error::Version => HttpError::InvalidStartLine,
    }
}
