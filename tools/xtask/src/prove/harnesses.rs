//! All harnesses, a file each, in the order of the page.

mod bench;
mod chaos;
mod corpus;
mod differential;
mod fuzz;
mod hostile;
mod requirements;
mod scale;
mod simulation;
mod smuggling;
mod soak;

use super::harness::Harness;

pub(super) static ALL: &[&Harness] = &[
    &corpus::HARNESS,
    &requirements::HARNESS,
    &smuggling::HARNESS,
    &differential::HARNESS,
    &fuzz::HARNESS,
    &simulation::HARNESS,
    &hostile::HARNESS,
    &chaos::HARNESS,
    &scale::HARNESS,
    &soak::HARNESS,
    &bench::HARNESS,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::command;

    #[test]
    fn names_are_told_apart() {
        let names: BTreeSet<_> = ALL.iter().map(|harness| harness.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    /// A mutant whose place is gone would prove nothing.
    #[test]
    fn mutants_find_their_place() {
        let root = command::root().unwrap();
        for mutant in ALL.iter().flat_map(|harness| harness.mutants) {
            let text = fs::read_to_string(root.join(mutant.file)).unwrap();
            let count = text.matches(mutant.before).count();
            assert_eq!(count, 1, "{}: its text occurs {count} times in {}", mutant.fault, mutant.file);
            assert_ne!(mutant.before, mutant.after, "{}", mutant.fault);
        }
    }
}
