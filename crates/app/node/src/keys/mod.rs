//! What is secret or shown to clients: the key of sticky cookies, and certificates.

mod certificates;
mod cookie_key;
mod staples;

pub(crate) use certificates::{Shown, watch};
pub(crate) use cookie_key::CookieKey;
pub(crate) use staples::{Staples, keep_fresh};
