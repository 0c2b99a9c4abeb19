//! What the router is told about a request.

use std::net::IpAddr;

/// A request, as far as routing looks at it.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// Index of the listener it came in by.
    pub listener: usize,
    /// The authority: any case, with or without a port; empty if there is none.
    pub host: &'a [u8],
    /// The method, as sent.
    pub method: &'a [u8],
    /// The path in its normal form (see [`crate::normalise`]), without the query. It is matched as it stands here.
    pub path: &'a [u8],
    /// Behind the `?`, as sent; `None` without a `?`.
    pub query: Option<&'a [u8]>,
    /// The client's address.
    pub client: IpAddr,
    /// What the client's certificate says, if it has shown one.
    pub certificate: Option<CertificateView<'a>>,
    /// The request's fields.
    pub fields: &'a dyn FieldLookup,
}

/// A client's certificate, as far as routing looks at it.
#[derive(Clone, Copy)]
pub struct CertificateView<'a> {
    /// As RFC 4514 writes it.
    pub subject: &'a str,
    /// As RFC 4514 writes it.
    pub issuer: &'a str,
    /// Its alternative names.
    pub names: &'a [Box<str>],
    /// SHA-256 in hexadecimal digits, in lower case.
    pub fingerprint: &'a str,
}

/// Where field values are found.
pub trait FieldLookup {
    /// Offers the values of the fields of this name (any case) one after the other; true as soon as `accept` is.
    /// Values come without white space around them.
    fn any_value(&self, name: &str, accept: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// A plain list of names and values, for tools and tests.
impl<Name: AsRef<str>, Value: AsRef<[u8]>> FieldLookup for Vec<(Name, Value)> {
    fn any_value(&self, name: &str, accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter()
            .filter(|(own, _)| own.as_ref().eq_ignore_ascii_case(name))
            .any(|(_, value)| accept(value.as_ref().trim_ascii()))
    }
}
