//! What is secret or shown to clients: the key of sticky cookies, and certificates.

mod certificates;
mod cookie_key;

pub(crate) use certificates::{Shown, watch};
pub(crate) use cookie_key::CookieKey;
