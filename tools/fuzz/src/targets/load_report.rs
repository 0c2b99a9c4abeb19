//! Load reports in a response's field.

use std::time::Duration;

use traffic_balance::LoadReport;

/// A field's value.
pub fn run(data: &[u8]) {
    let Some(report) = LoadReport::parse(data) else { return };
    assert_ne!(report, LoadReport::default(), "a report that says nothing is none");
    assert_eq!(report.resources, report.resources.sound());
    assert!(report.requests.latency.is_none_or(|latency| latency <= Duration::from_secs(3_600)));
    assert_eq!(LoadReport::parse(data), Some(report));
}
