//! Lines as the parser counts them.

/// The lines of a text: `\n`, `\r\n` and `\r` end one.
pub(crate) fn lines(source: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for line in source.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        lines.extend(line.split('\r'));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_once() {
        assert_eq!(lines("a\nb\r\nc\rd\r\r\n"), ["a", "b", "c", "d", "", ""]);
        assert_eq!(lines(""), [""]);
    }
}
