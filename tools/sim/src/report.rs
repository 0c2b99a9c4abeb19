//! Results for people, programs and eyes.

mod chart;
mod json;
mod plot;
mod table;

pub use chart::chart;
pub use json::json;
pub use plot::{ChartLine, LineChart};
pub use table::table;

use crate::record::Latency;

/// Which latency the chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// The median.
    P50,
    /// 99 of 100.
    P99,
    /// 999 of 1000.
    P999,
}

impl Quantile {
    /// As people write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }

    const fn of(self, latency: &Latency) -> f64 {
        match self {
            Self::P50 => latency.p50_ms,
            Self::P99 => latency.p99_ms,
            Self::P999 => latency.p999_ms,
        }
    }
}
