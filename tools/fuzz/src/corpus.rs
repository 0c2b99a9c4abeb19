//! Inputs that are kept: a file for each target, a line for each input, so that they can be read and compared.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::Target;

/// The folder of this package.
pub fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where the inputs of a target are kept.
pub fn place(target: &Target) -> PathBuf {
    home().join("corpus").join(format!("{}.txt", target.name))
}

/// The inputs that are kept for a target.
///
/// # Errors
/// If there is no such file, or a line of it cannot be read.
pub fn load(target: &Target) -> Result<Vec<Vec<u8>>> {
    let place = place(target);
    let text = fs::read_to_string(&place).with_context(|| format!("cannot read {}", place.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| unescape(line).with_context(|| format!("in {}: {line}", place.display()))).collect()
}

/// Keeps these inputs for a target, and no others: short ones first.
///
/// # Errors
/// If the file cannot be written.
pub fn store(target: &Target, mut inputs: Vec<Vec<u8>>) -> Result<()> {
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    inputs.dedup();
    let mut text =
        String::from("# Inputs for the fuzzer, one a line, with the escapes of Rust's byte strings.\n");
    for input in inputs {
        text.push_str(&escape(&input));
        text.push('\n');
    }
    let place = place(target);
    fs::write(&place, text).with_context(|| format!("cannot write {}", place.display()))
}

/// In one line that is no comment.
fn escape(input: &[u8]) -> String {
    let line = input.escape_ascii().to_string();
    line.strip_prefix('#').map(|rest| format!("\\x23{rest}")).unwrap_or(line)
}

/// The bytes that were written so.
fn unescape(line: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'x') => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).with_context(|| format!("`{digits}` is no byte"))?
                }
                Some(quoted @ (b'\\' | b'\'' | b'"')) => quoted,
                other => bail!("no escape: {:?}", other.map(char::from)),
            },
            plain => plain,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_can_be_kept() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)).unwrap(), all);
        assert_eq!(unescape(&escape(b"#5")).unwrap(), b"#5");
        assert!(!escape(b"#5").starts_with('#'));
        for wrong in ["\\q", "\\xgg", "\\"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
