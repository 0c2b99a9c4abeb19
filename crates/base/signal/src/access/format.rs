//! How a record becomes a line.

use std::io::Write as _;
use std::time::Duration;

use thiserror::Error;

use super::record::{AccessField, AccessRecord, TlsRecord};
use super::text::{push_logfmt, push_milliseconds, push_number, push_quoted, push_time};
use crate::reason::Reason;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// One JSON object; what is not known is `null`.
    Json,
    /// `name=value` pairs (logfmt), quoted like JSON strings where needed; what is not known is `-`.
    Text,
}

/// Why a list of field names is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AccessFieldError {
    /// It is not one of [`AccessField::ALL`].
    #[error("there is no access-log field `{0}`")]
    Unknown(String),
    /// A JSON object with two members of one name is read differently by different readers.
    #[error("the access-log field `{0}` is named twice")]
    Repeated(&'static str),
}

/// Format and fields of every line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLayout {
    format: AccessFormat,
    fields: Vec<AccessField>,
}

/// A value of a record.
enum Value<'a> {
    Absent,
    /// May be any bytes.
    Text(&'a [u8]),
    Number(u64),
    Milliseconds(Duration),
    Time(Duration),
    Address(std::net::IpAddr),
}

impl AccessLayout {
    /// A layout with the default fields.
    pub fn standard(format: AccessFormat) -> Self {
        Self { format, fields: AccessField::ALL.iter().copied().filter(|field| field.is_default()).collect() }
    }

    /// A layout with these fields, in this order; with the default ones if there are none.
    ///
    /// # Errors
    /// The first name that is unknown or was there before.
    pub fn new<N: AsRef<str>>(format: AccessFormat, names: &[N]) -> Result<Self, AccessFieldError> {
        if names.is_empty() {
            return Ok(Self::standard(format));
        }
        let mut fields = Vec::with_capacity(names.len());
        for name in names.iter().map(AsRef::as_ref) {
            let field = AccessField::named(name).ok_or_else(|| AccessFieldError::Unknown(name.into()))?;
            if fields.contains(&field) {
                return Err(AccessFieldError::Repeated(field.name()));
            }
            fields.push(field);
        }
        Ok(Self { format, fields })
    }

    /// Appends the record's line, its line feed included.
    pub fn write(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        match self.format {
            AccessFormat::Json => self.write_json(record, out),
            AccessFormat::Text => self.write_text(record, out),
        }
        out.push(b'\n');
    }

    fn write_json(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        let mut separator = b'{';
        for field in &self.fields {
            out.push(separator);
            separator = b',';
            out.push(b'"');
            out.extend_from_slice(field.name().as_bytes());
            out.extend_from_slice(b"\":");
            match value(*field, record) {
                Value::Absent => out.extend_from_slice(b"null"),
                Value::Text(text) => push_quoted(out, text),
                Value::Number(number) => push_number(out, number),
                Value::Milliseconds(duration) => push_milliseconds(out, duration),
                Value::Time(time) => in_quotes(out, |out| push_time(out, time)),
                // Writing into a vector cannot fail, here and below.
                Value::Address(address) => in_quotes(out, |out| drop(write!(out, "{address}"))),
            }
        }
        out.push(b'}');
    }

    fn write_text(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        for (place, field) in self.fields.iter().enumerate() {
            if place > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(field.name().as_bytes());
            out.push(b'=');
            match value(*field, record) {
                Value::Absent => out.push(b'-'),
                Value::Text(text) => push_logfmt(out, text),
                Value::Number(number) => push_number(out, number),
                Value::Milliseconds(duration) => push_milliseconds(out, duration),
                Value::Time(time) => push_time(out, time),
                Value::Address(address) => drop(write!(out, "{address}")),
            }
        }
    }
}

fn in_quotes(out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    push(out);
    out.push(b'"');
}

fn value<'a>(field: AccessField, record: &AccessRecord<'a>) -> Value<'a> {
    let text = |value: Option<&'a [u8]>| value.map_or(Value::Absent, Value::Text);
    let name = |value: Option<&'a str>| text(value.map(str::as_bytes));
    let tls = |part: &dyn Fn(TlsRecord<'a>) -> Option<&'a str>| name(record.tls.and_then(part));
    let span = |value: Option<Duration>| value.map_or(Value::Absent, Value::Milliseconds);
    match field {
        AccessField::Time => Value::Time(record.time),
        AccessField::RequestId => name(Some(record.request_id)),
        AccessField::Client => Value::Address(record.client),
        AccessField::Listener => name(Some(record.listener)),
        AccessField::Method => text(Some(record.method)),
        AccessField::Host => text(Some(record.host)),
        AccessField::Path => text(Some(record.path)),
        AccessField::Query => text(record.query),
        AccessField::Version => name(Some(record.version)),
        AccessField::Status => Value::Number(record.status.into()),
        AccessField::Reason => name(record.reason.map(Reason::word)),
        AccessField::Blame => name(record.reason.map(|reason| reason.blame().word())),
        AccessField::Route => name(record.route),
        AccessField::Pool => name(record.pool),
        AccessField::Endpoint => name(record.endpoint),
        AccessField::Attempts => Value::Number(record.attempts.into()),
        AccessField::BytesIn => Value::Number(record.bytes_in),
        AccessField::BytesOut => Value::Number(record.bytes_out),
        AccessField::Duration => span(Some(record.duration)),
        AccessField::Queued => span(record.queued),
        AccessField::Connect => span(record.connect),
        AccessField::FirstByte => span(record.first_byte),
        AccessField::UserAgent => text(record.user_agent),
        AccessField::Referer => text(record.referer),
        AccessField::TraceId => text(record.trace_id),
        AccessField::TlsVersion => tls(&|tls| Some(tls.version)),
        AccessField::TlsCipher => tls(&|tls| Some(tls.cipher)),
        AccessField::TlsName => tls(&|tls| tls.name),
        AccessField::TlsClient => tls(&|tls| tls.client),
        AccessField::TlsClientFingerprint => tls(&|tls| tls.client_fingerprint),
        AccessField::TlsHandshake => tls(&|tls| Some(if tls.is_resumed { "resumed" } else { "full" })),
    }
}

#[cfg(test)]
mod tests;
