//! What was probably meant.

/// The known word nearest to the one written, if it is near enough to be a slip.
fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase().replace('_', "-");
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed || candidate.eq_ignore_ascii_case(&word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether one word was probably meant by the other.
pub(crate) fn near(written: &str, meant: &str) -> bool {
    nearest(written, [meant]).is_some()
}

/// A help text: the nearest word, else all there are. `what` is the plural of what the words are.
pub fn did_you_mean(word: &str, what: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => format!("there are no {what} here"),
        None => match known {
            [only] => format!("write `{only}`"),
            _ => format!("the {what} are {}", listed(known)),
        },
    }
}

/// Words in backticks with commas; long lists are cut.
pub(crate) fn listed(words: &[&str]) -> String {
    const MOST: usize = 20;
    let mut text = words.iter().take(MOST).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if words.len() > MOST {
        text.push_str(&format!(" and {} more", words.len() - MOST));
    }
    text
}

/// Edits (insert, delete, replace, swap neighbours) from one word to the other: optimal string alignment.
fn distance(from: &str, to: &str) -> usize {
    const LONGEST: usize = 64;
    let from: Vec<char> = from.chars().take(LONGEST).collect();
    let to: Vec<char> = to.chars().take(LONGEST).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, j) + usize::from(a != b);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            if swapped && a != b {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["endpoints", "balance", "health"];
        assert_eq!(nearest("endpoint", known), Some("endpoints"));
        assert_eq!(nearest("enpdoints", known), Some("endpoints"));
        assert_eq!(nearest("Health", known), Some("health"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("max_idle", ["max-idle"]), Some("max-idle"));
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
