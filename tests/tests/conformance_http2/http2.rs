//! What RFC 7540 asks, chapter by chapter: the group `http2`.

pub(super) mod definitions;
pub(super) mod framing;
pub(super) mod messages;
pub(super) mod streams;
pub(super) mod windows;

use super::Case;

/// The tables of all chapters.
pub(super) fn chapters() -> impl Iterator<Item = &'static [Case]> {
    [framing::CASES, streams::CASES, definitions::CASES, windows::CASES, messages::CASES].into_iter()
}
