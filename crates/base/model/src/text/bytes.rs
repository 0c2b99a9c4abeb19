//! What is said of a file that gives no text.

use crate::diagnostic::{Diagnostic, Position, Span};

/// What to do about a file that cannot be read.
pub(crate) fn way_out(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "check the path",
        std::io::ErrorKind::PermissionDenied => "give the user that runs Aya the right to read it",
        std::io::ErrorKind::IsADirectory => "name a file, not a folder",
        _ => "check that it is a readable file",
    }
}

/// Says where the first byte is that is not UTF-8.
pub(crate) fn not_text(bytes: &[u8], offset: usize) -> Diagnostic {
    let before = bytes.get(..offset).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    let in_line = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default());
    let start = Position {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(in_line.chars().count() + 1).unwrap_or(u32::MAX),
    };
    let byte = bytes.get(offset).copied().unwrap_or_default();
    Diagnostic::error("not-utf-8", format!("byte {offset} (0x{byte:02x}) is not UTF-8 text"))
        .at(Span { start, end: start }.part(0, 1))
        .help("save the file as UTF-8")
}
