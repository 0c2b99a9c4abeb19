//! When results of a check change its verdict.

use traffic_balance::Health;

/// The verdict of one check about one endpoint.
///
/// The first result decides at once. After that, `fall` failures in a row make it down and `rise` successes in a row
/// bring it up; any result of the other sort starts the count anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckState {
    verdict: Health,
    /// Results in a row against the verdict.
    against: u32,
}

impl CheckState {
    /// Not checked yet: the next result decides.
    pub const UNCHECKED: Self = Self { verdict: Health::Unchecked, against: 0 };
    /// Taken for up, as for a check that is new at an endpoint in service.
    pub const UP: Self = Self { verdict: Health::Up, against: 0 };

    /// The verdict.
    pub const fn verdict(self) -> Health {
        self.verdict
    }

    /// Takes a result in; gives the verdict if it changed. A `rise` or `fall` of 0 is taken as 1.
    pub fn observe(&mut self, passed: bool, rise: u32, fall: u32) -> Option<Health> {
        let (says, needed) = if passed { (Health::Up, rise) } else { (Health::Down, fall) };
        if says == self.verdict {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.verdict != Health::Unchecked && self.against < needed {
            return None;
        }
        *self = Self { verdict: says, against: 0 };
        Some(says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` passes, `-` fails; gives the verdict after each result.
    fn play(state: CheckState, results: &str, rise: u32, fall: u32) -> String {
        let mut state = state;
        let verdict = |result: char| {
            let before = state.verdict();
            let changed = state.observe(result == '+', rise, fall);
            assert_eq!(changed, (before != state.verdict()).then_some(state.verdict()));
            match state.verdict() {
                Health::Unchecked => '?',
                Health::Up => 'u',
                Health::Down => 'd',
            }
        };
        results.chars().map(verdict).collect()
    }

    #[test]
    fn the_first_result_decides_at_once() {
        assert_eq!(play(CheckState::UNCHECKED, "+", 5, 5), "u");
        assert_eq!(play(CheckState::UNCHECKED, "-", 5, 5), "d");
    }

    #[test]
    fn later_ones_need_a_row() {
        assert_eq!(play(CheckState::UNCHECKED, "+---++++", 2, 3), "uuuddu".to_owned() + "uu");
        assert_eq!(play(CheckState::UNCHECKED, "-+++---", 3, 2), "dddu".to_owned() + "udd");
        assert_eq!(play(CheckState::UP, "--", 1, 3), "uu");
    }

    #[test]
    fn a_result_of_the_other_sort_starts_the_row_anew() {
        assert_eq!(play(CheckState::UP, "--+--+---", 2, 3), "uuuuuuuud");
        assert_eq!(play(CheckState::UNCHECKED, "-+-+-++", 2, 3), "ddddddu");
    }

    #[test]
    fn one_in_a_row_follows_every_result() {
        assert_eq!(play(CheckState::UNCHECKED, "+-+-", 1, 1), "udud");
        assert_eq!(play(CheckState::UNCHECKED, "+-+-", 0, 0), "udud");
    }

    #[test]
    fn every_short_history_agrees_with_the_rule() {
        // The rule, said differently: the verdict changes when the last `needed` results all disagree with it.
        for (rise, fall) in [(1, 1), (1, 3), (2, 3), (4, 2)] {
            for history in 0..1_u32 << 12 {
                let mut state = CheckState::UNCHECKED;
                let mut expected: Option<bool> = None;
                let mut row = 0;
                for step in 0..12 {
                    let passed = history >> step & 1 == 1;
                    state.observe(passed, rise, fall);
                    row = if expected == Some(passed) { 0 } else { row + 1 };
                    if expected.is_none() || row >= if passed { rise } else { fall } {
                        expected = Some(passed);
                        row = 0;
                    }
                    let verdict = if expected == Some(true) { Health::Up } else { Health::Down };
                    assert_eq!(state.verdict(), verdict, "{history:b} at {step}");
                }
            }
        }
    }
}
