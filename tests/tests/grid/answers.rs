//! The other direction.
