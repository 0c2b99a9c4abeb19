//! From trees to text: canonical form, full form, differences, reference.

mod comments;
mod diff;
mod format;
mod reference;
mod writer;

pub use diff::{Change, ChangeKind, diff};
pub use format::{FormatError, format, render_full};
pub use reference::reference_markdown;
