//! `aya simulate` on the scenarios that are shipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base_testkit::TempFolder;
use serde_json::Value;

fn aya(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aya")).arg("simulate").args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples/simulations");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_example_runs_and_says_how() {
    let paths = scenarios();
    assert!(paths.len() >= 4);
    for path in paths {
        let path = path.to_str().unwrap();
        let output = aya(&[path, "--json", "--seed", "3", "--duration", "300ms"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let results: Value = serde_json::from_slice(&output.stdout).unwrap();
        let policies = results["policies"].as_object().unwrap();
        assert!(policies.len() >= 2, "{path}");
        for (policy, figures) in policies {
            assert!(figures["throughput_rps"].as_f64().unwrap() > 0.0, "{path}: {policy}");
            assert!(figures["mean_ms"].as_f64() <= figures["p999_ms"].as_f64(), "{path}: {policy}");
        }
        let source = std::fs::read_to_string(path).unwrap();
        let name = path.rsplit('/').next().unwrap();
        assert!(source.contains(&format!("aya simulate examples/simulations/{name}")), "{name}");
    }
}

#[test]
fn every_balancer_there_is_can_be_compared() {
    let folder = TempFolder::new();
    let chart = folder.path().join("chart.svg");
    let path = scenarios().into_iter().find(|path| path.ends_with("slow-servers.yaml")).unwrap();
    let (path, chart_path) = (path.to_str().unwrap(), chart.to_str().unwrap());
    let output =
        aya(&[path, "--duration", "200ms", "--svg", chart_path, "--quantile", "p99.9", "--policy", "all"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (table, chart) = (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(chart).unwrap());
    for kind in traffic_balance::kinds::ALL.iter().filter(|kind| kind.build(&Value::Null).is_ok()) {
        let name = kind.info().name;
        assert!(table.lines().any(|line| line.starts_with(name)), "{name} is not in\n{table}");
        assert!(chart.contains(&format!(">{name}<")), "{name} is not in the chart");
    }
    assert!(chart.contains("p99.9 latency"));
}

#[test]
fn bad_input_ends_with_2_and_a_way_out() {
    let path = scenarios().into_iter().find(|path| path.ends_with("two-choices.yaml")).unwrap();
    let unknown = aya(&[path.to_str().unwrap(), "--policy", "random", "power-of-tow"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("did you mean `power-of-two`?"), "{}", stderr(&unknown));

    let folder = TempFolder::new();
    let text = std::fs::read_to_string(&path).unwrap().replace("policies:", "polices:");
    let file = folder.write("bad.yaml", text);
    let misspelt = aya(&[file.to_str().unwrap()]);
    assert_eq!(misspelt.status.code(), Some(2));
    for part in ["unknown key `polices`", "bad.yaml:23:1", "did you mean `policies`?"] {
        assert!(stderr(&misspelt).contains(part), "{}", stderr(&misspelt));
    }
    assert_eq!(aya(&["/nowhere.yaml"]).status.code(), Some(2));
}
