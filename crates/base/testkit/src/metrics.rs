//! Metrics in the Prometheus text format, read strictly.

use std::collections::{BTreeMap, HashMap};

/// One reading of all metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    series: HashMap<Series, f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads the text format 0.0.4.
    ///
    /// # Panics
    /// When a line is not well formed, a series is there twice, or has no `# TYPE`.
    pub fn parse(text: &str) -> Self {
        let mut types = Vec::new();
        let mut series = HashMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap_or_default();
                assert!(!types.contains(&name), "# TYPE is there twice: {line}");
                types.push(name);
            } else if !line.starts_with('#') {
                let (one, value) =
                    read_line(line).unwrap_or_else(|| panic!("a bad line in the metrics: {line:?}"));
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| one.name.strip_suffix(end));
                let known =
                    types.contains(&one.name.as_str()) || family.is_some_and(|name| types.contains(&name));
                assert!(known, "no # TYPE before {line:?}");
                assert!(series.insert(one, value).is_none(), "a series is there twice: {line:?}");
            }
        }
        Self { series }
    }

    /// The sum over the series of this name that have all these labels; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |series: &Series| {
            series.name == name
                && labels.iter().all(|(key, value)| series.labels.get(*key).is_some_and(|have| have == value))
        };
        self.series.iter().filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
    }

    /// Whether there is a series of this name.
    pub fn has(&self, name: &str) -> bool {
        self.series.keys().any(|series| series.name == name)
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The names there are, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.series.keys().map(|series| series.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn read_line(line: &str) -> Option<(Series, f64)> {
    let (name, labels, value) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, value) = rest.rsplit_once("} ")?;
            (name, read_labels(labels)?, value)
        }
        None => {
            let (name, value) = line.split_once(' ')?;
            (name, BTreeMap::new(), value)
        }
    };
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    (!name.is_empty() && name.chars().all(plain)).then_some(())?;
    let value = value.trim().replace("+Inf", "inf").parse().ok()?;
    Some((Series { name: name.to_owned(), labels }, value))
}

fn read_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (index, '"') => break index,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.to_owned(), value).is_none().then_some(())?;
        text = rest[end + 1..].trim_start_matches(',');
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_label() {
        let metrics = Metrics::parse("# TYPE a counter\na{x=\"1\",y=\"q\\\"}\"} 2\na{x=\"2\",y=\"\"} 3\n");
        assert!((metrics.sum("a", &[]) - 5.0).abs() < 1e-9);
        assert!((metrics.sum("a", &[("x", "2")]) - 3.0).abs() < 1e-9);
        assert!((metrics.sum("a", &[("y", "q\"}")]) - 2.0).abs() < 1e-9);
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn a_series_may_be_there_once() {
        Metrics::parse("# TYPE a counter\na{x=\"1\"} 2\na{x=\"1\"} 3\n");
    }
}
