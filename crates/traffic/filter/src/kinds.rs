//! The lists of filter and handler kinds. To add one: a file here, a line in the list, a test.

mod add_header;
mod cors;
mod grpc_web;
mod redirect;
mod remove_header;
mod require_certificate;
mod respond;
mod rewrite;
mod set_header;
#[cfg(test)]
mod tests;

use crate::{FilterKind, HandlerKind};

/// Every filter kind.
pub static FILTERS: &[&dyn FilterKind] = &[
    &set_header::SetHeader,
    &add_header::AddHeader,
    &remove_header::RemoveHeader,
    &rewrite::Rewrite,
    &require_certificate::RequireCertificate,
    &cors::Cors,
    &grpc_web::GrpcWeb,
];

/// Every handler kind.
pub static HANDLERS: &[&dyn HandlerKind] = &[&redirect::Redirect, &respond::Respond];

/// The filter kind of this name.
pub fn filter(name: &str) -> Option<&'static dyn FilterKind> {
    FILTERS.iter().copied().find(|kind| kind.info().name == name)
}

/// The handler kind of this name.
pub fn handler(name: &str) -> Option<&'static dyn HandlerKind> {
    HANDLERS.iter().copied().find(|kind| kind.info().name == name)
}
