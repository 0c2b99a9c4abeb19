//! The codec against everything: random messages in all pieces, the cases of others, and what the standard asks.

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

mod corpus;
mod requirements;
mod splits;
mod stream;
