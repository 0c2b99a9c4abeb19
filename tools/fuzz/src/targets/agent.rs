//! Lines of agents.

use traffic_balance::MAX_AGENT_PERCENT;
use traffic_health::AgentWords;

/// A line.
pub fn run(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    let Some(words) = AgentWords::parse(&line) else { return };
    assert!(words.percent.is_none_or(|percent| percent <= MAX_AGENT_PERCENT));
    assert!(!words.line.chars().any(char::is_control));
    let resources = words.resources.sound();
    for share in [resources.cpu, resources.memory, resources.io].into_iter().flatten() {
        assert!(share.is_finite() && share >= 0.0);
    }
    // What follows a `#` is for people.
    let spoken = line.split('#').next().unwrap_or_default();
    let again = AgentWords::parse(spoken);
    assert_eq!(
        again.map(|again| (again.percent, again.state, again.up)),
        Some((words.percent, words.state, words.up))
    );
}
