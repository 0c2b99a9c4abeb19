//! What an endpoint tells of its load: the ORCA report, as servers put it into a response header.
//!
//! ORCA (Open Request Cost Aggregation) is the report of xDS and gRPC (`xds.data.orca.v3.OrcaLoadReport`, gRFC A51). Over HTTP it is a
//! field in one of these forms, of which Envoy reads the same:
//!
//! ```text
//! endpoint-load-metrics: TEXT cpu_utilization=0.3, mem_utilization=0.8, named_metrics.rif=7
//! endpoint-load-metrics: JSON {"cpu_utilization": 0.3, "named_metrics": {"rif": 7, "latency_ms": 12.5}}
//! ```
//!
//! `rif` (or `in_flight`) and `latency_ms` are names of Aya's own, for `prequal`. The binary form is not read.

use std::time::Duration;

use serde::Deserialize;

use super::utilisation::Resources;

/// A longer field is not looked at: some hundred named metrics fit in.
const MAX_FIELD_BYTES: usize = 8 << 10;
/// Beyond this, a time says no more than that it is long.
const MAX_LATENCY: Duration = Duration::from_secs(3_600);

/// What an endpoint tells of its load. What it does not mention is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// What is in use. Of the processors: what the application calls its utilisation, if it does. Of disks or network: `utilization.io`.
    pub resources: Resources,
    /// Requests in flight there, from whomever, and how long an answer takes with as many.
    pub requests: ProbeAnswer,
}

impl LoadReport {
    /// The field that holds it.
    pub const FIELD: &'static str = "endpoint-load-metrics";

    /// Reads a field's value. `None` if it is not a report, or says nothing that is known here.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_FIELD_BYTES {
            return None;
        }
        let text = std::str::from_utf8(value).ok()?.trim_ascii();
        let (form, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let written = match form {
            "TEXT" => Written::from_text(rest)?,
            "JSON" => serde_json::from_str(rest).ok()?,
            _ => return None,
        };
        let report = written.report();
        (report != Self::default()).then_some(report)
    }
}

/// What an endpoint says of itself when it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProbeAnswer {
    /// Requests in flight there, from whomever; `None` if it does not say.
    pub in_flight: Option<u32>,
    /// How long an answer takes with as much to do; `None` if it does not say.
    pub latency: Option<Duration>,
}

/// The parts of a report that are looked at, in the names of its two JSON forms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    #[serde(alias = "applicationUtilization")]
    application_utilization: f64,
    #[serde(alias = "cpuUtilization")]
    cpu_utilization: Option<f64>,
    #[serde(alias = "memUtilization")]
    mem_utilization: Option<f64>,
    utilization: WrittenUtilisation,
    #[serde(alias = "namedMetrics")]
    named_metrics: WrittenMetrics,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenUtilisation {
    io: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenMetrics {
    #[serde(alias = "in_flight")]
    rif: Option<f64>,
    latency_ms: Option<f64>,
}

impl Written {
    /// `name=value` between commas. Names that are not known do not matter; a value that is no number makes it no report.
    fn from_text(text: &str) -> Option<Self> {
        let mut written = Self::default();
        for entry in text.split(',').map(str::trim_ascii).filter(|entry| !entry.is_empty()) {
            let (name, value) = entry.split_once('=')?;
            let value: f64 = value.trim_ascii_start().parse().ok()?;
            match name.trim_ascii_end() {
                "application_utilization" => written.application_utilization = value,
                "cpu_utilization" => written.cpu_utilization = Some(value),
                "mem_utilization" => written.mem_utilization = Some(value),
                "utilization.io" => written.utilization.io = Some(value),
                "named_metrics.rif" | "named_metrics.in_flight" => written.named_metrics.rif = Some(value),
                "named_metrics.latency_ms" => written.named_metrics.latency_ms = Some(value),
                _ => {}
            }
        }
        Some(written)
    }

    fn report(&self) -> LoadReport {
        // As gRPC takes it (gRFC A58): the application knows best what it has left.
        let of_application = Some(self.application_utilization).filter(|value| *value > 0.0);
        let WrittenMetrics { rif, latency_ms } = self.named_metrics;
        LoadReport {
            resources: Resources {
                cpu: of_application.or(self.cpu_utilization),
                memory: self.mem_utilization,
                io: self.utilization.io,
            }
            .sound(),
            requests: ProbeAnswer {
                // Casts of numbers that are too large end at the largest.
                in_flight: rif.filter(|rif| *rif >= 0.0).map(|rif| rif as u32),
                latency: latency_ms.filter(|latency| *latency >= 0.0).map(milliseconds),
            },
        }
    }
}

fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1e3).unwrap_or(MAX_LATENCY).min(MAX_LATENCY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requests(in_flight: Option<u32>, millis: Option<u64>) -> ProbeAnswer {
        ProbeAnswer { in_flight, latency: millis.map(Duration::from_millis) }
    }

    #[test]
    fn both_forms_say_the_same() {
        let expected = LoadReport {
            resources: Resources { cpu: Some(0.3), memory: Some(0.8), io: Some(0.1) },
            requests: requests(Some(7), Some(12)),
        };
        for text in [
            "TEXT cpu_utilization=0.3, mem_utilization=0.8,utilization.io=0.1, named_metrics.rif=7,named_metrics.latency_ms=12",
            "TEXT  cpu_utilization = 0.3 ,mem_utilization=8e-1,,utilization.io=.1,named_metrics.in_flight=7.9,\tnamed_metrics.latency_ms=12,rps_fractional=3",
            r#"JSON {"cpu_utilization":0.3,"mem_utilization":0.8,"utilization":{"io":0.1,"gpu":1},"named_metrics":{"rif":7,"latency_ms":12,"x":{}}}"#,
            r#"JSON {"cpuUtilization":0.3,"memUtilization":0.8,"utilization":{"io":0.1},"namedMetrics":{"in_flight":7,"latency_ms":12.0},"eps":1}"#,
        ] {
            assert_eq!(LoadReport::parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_application_knows_best_and_zero_is_its_silence() {
        let cpu = |text: &str| LoadReport::parse(text.as_bytes()).unwrap().resources.cpu;
        assert_eq!(cpu("TEXT cpu_utilization=0.3,application_utilization=0.7"), Some(0.7));
        assert_eq!(cpu("TEXT cpu_utilization=0.3,application_utilization=0"), Some(0.3));
        assert_eq!(cpu("TEXT cpu_utilization=0"), Some(0.0));
        assert_eq!(cpu("TEXT cpu_utilization=99"), Some(4.0));
    }

    #[test]
    fn what_is_no_report_says_nothing() {
        for text in [
            "",
            "TEXT",
            "TEXT ",
            "JSON",
            "JSON {}",
            "JSON []",
            "JSON {\"cpu_utilization\":\"high\"}",
            "TEXT cpu_utilization",
            "TEXT cpu_utilization=high",
            "TEXT cpu_utilization=-1",
            "TEXT cpu_utilization=NaN",
            "TEXT rps=3",
            "text cpu_utilization=0.3",
            "BIN CgkJmpmZmZmZ2T8=",
            "cpu_utilization=0.3",
        ] {
            assert_eq!(LoadReport::parse(text.as_bytes()), None, "{text}");
        }
        let long = format!("TEXT cpu_utilization=0.3{}", " ".repeat(MAX_FIELD_BYTES));
        assert_eq!(LoadReport::parse(long.as_bytes()), None);
        let deep = format!("JSON {}", "[".repeat(5_000));
        assert_eq!(LoadReport::parse(deep.as_bytes()), None);
    }

    #[test]
    fn numbers_out_of_range_stay_in_it() {
        let report =
            LoadReport::parse(b"TEXT named_metrics.rif=1e300,named_metrics.latency_ms=1e300").unwrap();
        assert_eq!(report.requests, ProbeAnswer { in_flight: Some(u32::MAX), latency: Some(MAX_LATENCY) });
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(form in "TEXT|JSON|BIN|", rest in any::<Vec<u8>>()) {
            let value = [form.as_bytes(), b" ", &rest].concat();
            if let Some(report) = LoadReport::parse(&value) {
                prop_assert_eq!(report.resources, report.resources.sound());
            }
        }

        #[test]
        fn what_is_written_is_read(cpu in 0.0..1.0, memory in 0.0..1.0, rif in 0..u32::MAX, latency in 0..3_600_000_u64) {
            let text = format!(
                "TEXT mem_utilization={memory},named_metrics.rif={rif},named_metrics.latency_ms={latency},cpu_utilization={cpu}"
            );
            let json = serde_json::json!({
                "cpu_utilization": cpu, "mem_utilization": memory, "named_metrics": {"rif": rif, "latency_ms": latency},
            });
            let expected = LoadReport {
                resources: Resources { cpu: Some(cpu), memory: Some(memory), io: None },
                requests: requests(Some(rif), Some(latency)),
            };
            prop_assert_eq!(LoadReport::parse(text.as_bytes()), Some(expected));
            let from_json = LoadReport::parse(format!("JSON {json}").as_bytes()).unwrap();
            prop_assert_eq!(from_json.requests, expected.requests);
            prop_assert!((from_json.resources.cpu.unwrap() - cpu).abs() < 1e-12);
        }
    }
}
