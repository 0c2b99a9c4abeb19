//! What is measured, and how big it may be.

use crate::tidy::finding::Finding;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// From `fn` to the closing brace, in lines.
    Function,
    /// All of a file but its tests, in lines.
    File,
    /// A file's tests, or a file of tests, in lines.
    Tests,
    /// What is in a folder, hidden files apart.
    Folder,
    /// Modules that import each other in a circle.
    Circle,
}

/// Something measured.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    /// In what way.
    pub(crate) measure: Measure,
    /// Its name in the ratchet.
    pub(crate) what: String,
    /// The file or folder.
    pub(crate) path: String,
    /// Where it begins.
    pub(crate) line: usize,
    /// How big it is.
    pub(crate) size: usize,
    /// What else there is to say.
    pub(crate) remark: String,
}

impl Measure {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Function, "function"),
        (Self::File, "file"),
        (Self::Tests, "tests"),
        (Self::Folder, "folder"),
        (Self::Circle, "circle"),
    ];

    /// The measure that the ratchet calls so.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(measure, _)| *measure)
    }

    /// The most that is allowed.
    pub(crate) const fn limit(self) -> usize {
        match self {
            // What fits on a screen, with the reason for each step.
            Self::Function => 70,
            // What can still be read top to bottom in one go.
            Self::File | Self::Tests => 800,
            // What can be taken in without scrolling or grouping in one's head.
            Self::Folder => 15,
            // Whoever wants to understand one module of a circle has to understand all.
            Self::Circle => 0,
        }
    }
}

impl Size {
    /// What to say when it is too big.
    pub(crate) fn finding(&self) -> Finding {
        let (size, limit) = (self.size, self.measure.limit());
        let message = match self.measure {
            Measure::Function => {
                format!("`{}` has {size} lines, at most {limit}: give its parts names", self.what)
            }
            Measure::File => format!("{size} lines without tests, at most {limit}: split the file"),
            Measure::Tests => format!("{size} lines of tests, at most {limit}: split them by subject"),
            Measure::Folder => format!("{size} entries, at most {limit}: group them in folders"),
            Measure::Circle => format!(
                "modules import each other in a circle: {}; move what they share below both",
                self.remark
            ),
        };
        let rule = if self.measure == Measure::Circle { "cycles" } else { "size" };
        Finding::new(rule, &self.path, self.line, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_has_its_word() {
        for (measure, word) in Measure::ALL {
            assert_eq!(Measure::from_word(word), Some(measure));
        }
        assert_eq!(Measure::from_word("weight"), None);
    }
}
