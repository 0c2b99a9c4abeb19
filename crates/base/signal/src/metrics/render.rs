//! Prometheus text, format 0.0.4.

use std::fmt::Write as _;

use super::buckets;
use super::families::Family;
use super::samples::{Distribution, Labels, Value, Values};

/// Appends a family; nothing at all if it has no series.
pub(super) fn family(text: &mut String, family: &Family, values: &Values) {
    if values.is_empty() {
        return;
    }
    let Family { name, help, kind, .. } = family;
    // Writing into a string cannot fail, here and below.
    let _ = write!(text, "# HELP {name} ");
    escape(text, help, false);
    let _ = writeln!(text, "\n# TYPE {name} {}", kind.word());
    for (labels, value) in values {
        match value {
            Value::Count(count) => line(text, family, "", labels, None, count),
            Value::Level(level) => line(text, family, "", labels, None, level),
            Value::Number(number) => line(text, family, "", labels, None, number),
            Value::Histogram(distribution) => histogram(text, family, labels, distribution),
        }
    }
}

fn histogram(text: &mut String, family: &Family, labels: &Labels, distribution: &Distribution) {
    let mut count = 0;
    let bounds = buckets::BOUNDS.iter().map(|&bound| seconds(bound).to_string()).chain(["+Inf".into()]);
    for (bound, in_bucket) in bounds.zip(distribution.buckets) {
        count += in_bucket;
        line(text, family, "_bucket", labels, Some(&bound), count);
    }
    line(text, family, "_sum", labels, None, seconds(distribution.sum_nanos));
    line(text, family, "_count", labels, None, count);
}

fn line(
    text: &mut String,
    family: &Family,
    suffix: &str,
    labels: &Labels,
    bound: Option<&str>,
    value: impl std::fmt::Display,
) {
    let _ = write!(text, "{}{suffix}", family.name);
    let pairs = family.labels.iter().copied().zip(labels.iter().map(AsRef::as_ref));
    let mut separator = '{';
    for (name, held) in pairs.chain(bound.map(|bound| ("le", bound))) {
        let _ = write!(text, "{separator}{name}=\"");
        escape(text, held, true);
        text.push('"');
        separator = ',';
    }
    let end = if separator == ',' { "}" } else { "" };
    let _ = writeln!(text, "{end} {value}");
}

fn escape(text: &mut String, value: &str, in_quotes: bool) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if in_quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
