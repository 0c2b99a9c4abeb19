//! From a file to its text, and what is said of one that gives none.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics, Position, Problems, Span};
use crate::limits::MAX_SOURCE_BYTES;

/// The bytes of a file, or a little more than may be. `what` it is, such as `configuration`, is for the message.
pub(crate) fn read_file(path: &Path, what: &str) -> Result<Vec<u8>, Diagnostics> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells that there is more.
    let limit = MAX_SOURCE_BYTES as u64 + 1;
    match File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Ok(bytes),
        Err(error) => {
            let diagnostic = Diagnostic::error("unreadable", format!("the {what} cannot be read: {error}"));
            Err(Diagnostics::of_file(&path.display().to_string(), diagnostic.help(way_out(&error))))
        }
    }
}

/// The text of these bytes, without the byte order mark that some editors put in front.
pub(crate) fn text_of<'a>(bytes: &'a [u8], file_name: &str, what: &str) -> Result<&'a str, Diagnostics> {
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(Diagnostics::of_file(file_name, too_large(what)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let mut problems = Problems::default();
            problems.push(not_text(bytes, error.valid_up_to()));
            Err(problems.finish(file_name, &String::from_utf8_lossy(bytes)))
        }
    }
}

/// Says that there is too much of it.
pub(crate) fn too_large(what: &str) -> Diagnostic {
    let message = format!("the {what} is over {MAX_SOURCE_BYTES} bytes");
    Diagnostic::error("too-large", message)
        .help("is it the right file? A configuration of 10,000 routes needs a tenth of that")
}

/// What to do about a file that cannot be read.
fn way_out(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "check the path",
        std::io::ErrorKind::PermissionDenied => "give the user that runs Aya the right to read it",
        std::io::ErrorKind::IsADirectory => "name a file, not a folder",
        _ => "check that it is a readable file",
    }
}

/// Says where the first byte is that is not UTF-8.
fn not_text(bytes: &[u8], offset: usize) -> Diagnostic {
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
