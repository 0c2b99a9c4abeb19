//! What is wrong with a scenario is said with its line and the way to mend it.

#![expect(clippy::panic, reason = "a test that cannot go on says why")]

use base_kit::TimeSpan;
use base_testkit::TempFolder;
use serde_json::json;
use sim::{Overrides, Quantile, chart, load, table};

const GOOD: &str = "name: good
duration: 2s
arrivals: {kind: poisson, load: 0.5}
service: {kind: exponential, mean: 10ms}
servers: 4
policies: [random, {kind: source-hash, ipv4-prefix: 24}]
";

/// What is said about a scenario.
fn complaint(text: &str, overrides: &Overrides) -> String {
    let folder = TempFolder::new();
    match load(&folder.write("scenario.yaml", text), overrides) {
        Ok(_) => panic!("nothing is wrong with {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_wrong_is_said_with_line_and_way_out() {
    let cases = [
        ("duration: 2s", "duraton: 2s", &["unknown key `duraton`", ":2:1", "did you mean `duration`?"][..]),
        ("servers: 4\n", "", &["has no `servers`"]),
        ("duration: 2s\n", "", &["nothing says how long", "add `duration: 60s`"]),
        ("duration: 2s", "duration: 2", &["has no unit", ":2:", "`2s`"]),
        ("duration: 2s", "duration: 0s", &["`duration` is zero", ":2:"]),
        ("duration: 2s", "duration: 2s\nphases: [{duration: 1s, load: 1}]", &["beside `phases`", ":2:"]),
        ("random,", "randm,", &["there is no balancer `randm`", ":6:", "did you mean `random`?"]),
        ("ipv4-prefix: 24", "ipv4-prefix: 99", &["99", ":6:", "from 1 to 32"]),
        ("random,", "random, random,", &["`random` is there twice", ":6:"]),
        ("kind: poisson", "kind: poison", &["there is no kind of arrivals `poison`", ":3:", "`poisson`"]),
        ("load: 0.5", "load: 0.5, rate-per-second: 3", &["need one of `rate-per-second` and `load`", ":3:"]),
        ("load: 0.5", "laod: 0.5", &["`laod`", ":3:", "did you mean `load`?"]),
        ("mean: 10ms", "mean: 0ms", &["`mean` is zero", ":4:"]),
        (
            "kind: exponential, mean: 10ms",
            "kind: pareto, shape: 1.2, min: 9ms, max: 3ms",
            &["`max` is not more", ":4:"],
        ),
        ("kind: exponential, mean: 10ms", "kind: replay", &["needs one of `times` and `file`", ":4:"]),
        (
            "kind: exponential, mean: 10ms",
            "kind: replay, file: none.txt",
            &["none.txt` cannot be read", ":4:"],
        ),
        ("servers: 4", "servers: {slots: 1.5}", &["not a whole number", ":5:", "processor-sharing"]),
        ("servers: 4", "servers: {model: lifo}", &["`lifo`", ":5:", "`fifo`"]),
        ("servers: 4", "servers: 10001", &["out of range", ":5:"]),
        ("servers: 4", "servers: 9999\ninstances: 100", &["100 instances", ":6:", "250000"]),
        ("servers: 4", "servers: {antagonist: {share: 0.5, on: 0s, off: 1s}}", &["cannot be zero", ":5:"]),
        (
            "servers: 4",
            "servers: 4\nfaults: [{kind: down, servers: 4, from: 1s, to: 2s}]",
            &["there is no server 4", ":6:", "from 0 to 3"],
        ),
        (
            "servers: 4",
            "servers: 4\npools: [{name: a}, {name: a, ejection: off}]",
            &["there are two pools `a`", ":6:"],
        ),
        (
            "servers: 4",
            "servers: 4\nfaults: [{kind: down, servers: [1], from: 2s, to: 2s}]",
            &["over before it begins", ":6:"],
        ),
    ];
    for (good, bad, wanted) in cases {
        let said = complaint(&GOOD.replace(good, bad), &Overrides::default());
        for part in wanted {
            assert!(said.contains(part), "{bad}: no {part:?} in\n{said}");
        }
    }
}

#[test]
fn overrides_are_checked_too() {
    let policies = |name: &str| Overrides { policies: vec![name.to_owned()], ..Overrides::default() };
    let said = complaint(GOOD, &policies("rondom"));
    assert!(said.contains("there is no balancer `rondom`: did you mean `random`?"), "{said}");
    let zero = Overrides { duration: Some(TimeSpan::default()), ..Overrides::default() };
    assert!(complaint(GOOD, &zero).contains("duration is zero"));
    let folder = TempFolder::new();
    assert!(
        load(&folder.path().join("none.yaml"), &Overrides::default())
            .unwrap_err()
            .to_string()
            .contains("check the path")
    );
}

#[test]
fn results_come_as_table_json_and_chart() {
    let folder = TempFolder::new();
    let text = GOOD.replace("duration: 2s", "phases: [{duration: 1s, load: 1}, {duration: 3s, load: 0.25}]");
    let overrides =
        Overrides { seed: Some(5), duration: Some(TimeSpan::from_secs(2)), ..Overrides::default() };
    let simulation = load(&folder.write("scenario.yaml", text), &overrides).unwrap();
    let results = simulation.run().unwrap();
    assert!(simulation.describe().contains("4 servers, 1 instance"), "{}", simulation.describe());
    assert!(simulation.describe().contains("2 s after 0 s of warm-up, seed 5"), "{}", simulation.describe());

    let json = sim::json(&results);
    let policies = json["policies"].as_object().unwrap();
    assert_eq!(policies.keys().collect::<Vec<_>>(), ["random", "source-hash"]);
    let keys: Vec<_> = policies["random"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["throughput_rps", "errors", "mean_ms", "p50_ms", "p99_ms", "p999_ms"]);
    assert_eq!(policies["random"]["errors"], json!(0));

    let table = table(&simulation, &results);
    assert!(table.contains("\nload 1\n") && table.contains("\nload 0.25\n"), "{table}");
    assert_eq!(table.matches("source-hash").count(), 3, "{table}");

    let chart = chart(&simulation, &results, Quantile::P99);
    assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>\n"));
    for part in
        [">random<", ">source-hash<", "p99 latency, ms", "seconds after the warm-up", ">load 1<", ">0.25<"]
    {
        assert!(chart.contains(part), "no {part} in\n{chart}");
    }
    assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
}

#[test]
fn a_name_takes_the_settings_of_the_scenario() {
    let folder = TempFolder::new();
    let several = GOOD.replace("random,", "{kind: source-hash, ipv4-prefix: 16},");
    let file = folder.write("scenario.yaml", several);
    let names = |policies: &[&str]| {
        let policies = policies.iter().map(|name| (*name).to_owned()).collect();
        let simulation = load(&file, &Overrides { policies, ..Overrides::default() }).unwrap();
        let results = simulation.run().unwrap();
        results.into_iter().map(|result| result.policy).collect::<Vec<_>>()
    };
    let both = ["source-hash(ipv4-prefix=16)", "source-hash(ipv4-prefix=24)"];
    assert_eq!(names(&[]), both);
    assert_eq!(names(&["source-hash", "random"]), [both[0], both[1], "random"]);
    assert_eq!(names(&[both[1], both[1]]), [both[1]]);
}

#[test]
fn every_policy_runs_in_every_pool() {
    let folder = TempFolder::new();
    let pools = "pools:\n  - {name: on}\n  - {name: off, ejection: off}\n  - {name: calm, panic: 50%}\n";
    let fault = "faults: [{kind: silent, servers: 1, from: 0s, to: 2s}]\ndeadline: 500ms\n";
    let file = folder.write("scenario.yaml", format!("{GOOD}{pools}{fault}"));
    let overrides = Overrides { policies: vec!["random".to_owned()], ..Overrides::default() };
    let results = load(&file, &overrides).unwrap().run().unwrap();
    let names: Vec<&str> = results.iter().map(|result| &*result.policy).collect();
    assert_eq!(names, ["random, on", "random, off", "random, calm"]);
    assert!(results.iter().all(|result| result.figures.errors > 0), "who is silent answers nobody");
    let shares: Vec<f64> = results.iter().map(|result| result.figures.degraded_share).collect();
    assert!(shares[0] > 0.0 && shares[1] == 0.0 && shares[2] > 0.0, "{shares:?}");
    assert!(results[0].figures.errors < results[1].figures.errors, "{results:?}");
}

#[test]
fn checks_take_servers_out_and_back_in_slowly() {
    let folder = TempFolder::new();
    let text = "name: checks\nduration: 60s\narrivals: {kind: poisson, load: 0.5}\nservice: {kind: constant, time: 10ms}\n\
        servers: 4\nejection: off\nfaults: [{kind: down, servers: 1, from: 10s, to: 20s}]\npolicies: [round-robin]\n\
        pools: [{name: at once}, {name: slowly, slow-start: 20s}]\n";
    let shares = |health: &str| -> Vec<f64> {
        let file = folder.write("checks.yaml", format!("{text}{health}"));
        let results = load(&file, &Overrides::default()).unwrap().run().unwrap();
        assert!(results.iter().all(|result| result.figures.errors == 0), "a refused one goes elsewhere");
        results.iter().map(|result| result.figures.degraded_share * 4.0 * 60.0).collect()
    };
    assert_eq!(shares(""), [0.0, 0.0], "nobody finds out");
    let [at_once, slowly] = shares("health: {interval: 1s, rise: 2, fall: 3}\n")[..] else {
        panic!("two pools")
    };
    // Found after three checks, back after two, and then 20 s more.
    assert!((8.0..10.0).contains(&at_once), "{at_once} s");
    assert!((27.0..31.0).contains(&slowly), "{slowly} s");
}

#[test]
fn service_times_come_from_a_file() {
    let folder = TempFolder::new();
    folder.write("times.txt", "10\n\n20.5\n");
    let text = GOOD.replace("kind: exponential, mean: 10ms", "kind: replay, file: times.txt");
    let file =
        folder.write("scenario.yaml", text.replace("poisson, load: 0.5", "constant, rate-per-second: 1"));
    let results =
        load(&file, &Overrides { duration: Some(TimeSpan::from_secs(9)), ..Overrides::default() }).unwrap();
    let latency = results.run().unwrap()[0].figures.latency.unwrap();
    assert!((latency.p99_ms - 20.5).abs() < 0.05 && (latency.p50_ms - 10.0).abs() < 0.05, "{latency:?}");
    folder.write("times.txt", "10\nten\n");
    assert!(load(&file, &Overrides::default()).unwrap_err().to_string().contains("line 2 of"));
}
