//! What a run is made of: a seed, and what was taken out of it to make a failure smaller.

use std::fmt;
use std::str::FromStr;

use crate::dice::Dice;

/// A part of a run that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Clients that go, stall or dawdle.
    ClientFaults,
    /// Endpoints that fail.
    EndpointFaults,
    /// Delays, pieces, back-pressure.
    Weather,
    /// Reloads, and what an operator does to endpoints.
    Operator,
    /// Draining while there is still something to do.
    EarlyDrain,
}

impl Part {
    const ALL: [Self; 5] =
        [Self::Operator, Self::EarlyDrain, Self::ClientFaults, Self::EndpointFaults, Self::Weather];

    const fn word(self) -> &'static str {
        match self {
            Self::ClientFaults => "no-client-faults",
            Self::EndpointFaults => "no-endpoint-faults",
            Self::Weather => "no-weather",
            Self::Operator => "no-operator",
            Self::EarlyDrain => "no-early-drain",
        }
    }
}

/// What a run is made of. Everything else follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// All chance comes from it.
    pub seed: u64,
    /// Which clients take part.
    pub clients: Vec<u32>,
    /// So many requests at most on a connection.
    pub requests: u32,
    /// So many connections at most of each client.
    pub sessions: u32,
    /// Endpoints there are.
    pub endpoints: u32,
    without: Vec<Part>,
}

impl Scenario {
    /// That of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "scenario");
        let clients = dice.between(1, 12) as u32;
        let endpoints = dice.weighted(&[(1, 1), (3, 2), (4, 3), (3, 5), (1, 10)]);
        // A calm world shows that nothing fails that need not; each kind of trouble is left out of some.
        let is_calm = dice.percent(8);
        let without = Part::ALL.into_iter().filter(|part| {
            let left_out = dice.percent(20);
            (is_calm && *part != Part::Weather) || left_out
        });
        Self {
            seed,
            clients: (0..clients).collect(),
            requests: 6,
            sessions: 4,
            endpoints,
            without: without.collect(),
        }
    }

    /// Whether it has this part.
    pub fn has(&self, part: Part) -> bool {
        !self.without.contains(&part)
    }

    /// Whether nobody does anything wrong, so that every request must succeed.
    pub fn is_calm(&self) -> bool {
        Part::ALL.into_iter().all(|part| part == Part::Weather || !self.has(part))
    }

    /// Smaller ones, the smallest first.
    pub fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            change(&mut next);
            if next != *self {
                smaller.push(next);
            }
        };
        if self.clients.len() > 1 {
            let half = self.clients.len() / 2;
            with(&|next| next.clients.truncate(half));
            with(&|next| drop(next.clients.drain(..half)));
        }
        with(&|next| next.sessions = 1);
        with(&|next| next.requests = 1);
        for part in Part::ALL {
            if self.has(part) {
                with(&|next| next.without.push(part));
            }
        }
        for place in 0..self.clients.len() {
            if self.clients.len() > 1 {
                with(&|next| {
                    next.clients.remove(place);
                });
            }
        }
        with(&|next| next.requests = (next.requests - 1).max(1));
        with(&|next| next.sessions = (next.sessions - 1).max(1));
        with(&|next| next.endpoints = (next.endpoints - 1).max(1));
        smaller
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Self::of(self.seed);
        write!(f, "{}", self.seed)?;
        if self.clients != whole.clients {
            let clients: Vec<_> = self.clients.iter().map(u32::to_string).collect();
            write!(f, "/clients={}", clients.join(","))?;
        }
        let numbers = [
            ("requests", self.requests, whole.requests),
            ("sessions", self.sessions, whole.sessions),
            ("endpoints", self.endpoints, whole.endpoints),
        ];
        for (name, own, _) in numbers.into_iter().filter(|(_, own, whole)| own != whole) {
            write!(f, "/{name}={own}")?;
        }
        for part in self.without.iter().filter(|part| whole.has(**part)) {
            write!(f, "/{}", part.word())?;
        }
        Ok(())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().map_err(|error| format!("{text:?}: {error}"));
        let mut words = text.split('/');
        let seed = words.next().unwrap_or_default();
        let mut scenario = Self::of(seed.parse().map_err(|error| format!("{seed:?}: {error}"))?);
        for word in words {
            match word.split_once('=') {
                Some(("clients", list)) => {
                    scenario.clients = list.split(',').map(number).collect::<Result<_, _>>()?;
                }
                Some(("requests", value)) => scenario.requests = number(value)?,
                Some(("sessions", value)) => scenario.sessions = number(value)?,
                Some(("endpoints", value)) => scenario.endpoints = number(value)?,
                _ => {
                    let part = Part::ALL.into_iter().find(|part| part.word() == word);
                    scenario.without.push(part.ok_or_else(|| format!("{word:?} is no part of a scenario"))?);
                }
            }
        }
        Ok(scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_as_it_is_written() {
        let whole = Scenario::of(17);
        assert_eq!(whole.to_string(), "17");
        for smaller in whole.smaller() {
            assert_eq!(smaller.to_string().parse::<Scenario>(), Ok(smaller.clone()), "{smaller}");
        }
        "17/what".parse::<Scenario>().unwrap_err();
    }
}
