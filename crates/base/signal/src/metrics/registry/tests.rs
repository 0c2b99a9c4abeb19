use std::time::Duration;

use super::*;

static HITS: Family = Family {
    name: "hits_total",
    help: "Hits.",
    kind: FamilyKind::Counter,
    labels: &["route", "code"],
    max_series: 3,
};
static OPEN: Family =
    Family { name: "open", help: "Open\nnow.", kind: FamilyKind::Gauge, labels: &["pool"], max_series: 10 };
static SPAN: Family =
    Family { name: "span_seconds", help: "Time.", kind: FamilyKind::Histogram, labels: &[], max_series: 1 };

fn registry() -> Registry {
    Registry::with_families(&[&HITS, &OPEN, &SPAN, &families::METRICS_OVERFLOW])
}

fn lines(registry: &Registry, start: &str) -> Vec<String> {
    registry.render().lines().filter(|line| line.starts_with(start)).map(Into::into).collect()
}

#[test]
fn shards_on_their_own_threads_add_up() {
    let registry = registry();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let shard = registry.shard();
            scope.spawn(move || {
                let (hits, open) = (shard.counter(&HITS, &["a", "2xx"]), shard.gauge(&OPEN, &["p"]));
                for _ in 0..10_000 {
                    hits.increment();
                    open.add(1);
                    open.add(-1);
                }
                open.add(-3);
            });
        }
    });
    assert_eq!(lines(&registry, "hits_total"), [r#"hits_total{route="a",code="2xx"} 40000"#]);
    assert_eq!(lines(&registry, "open"), [r#"open{pool="p"} -12"#]);
}

#[test]
fn a_shared_shard_loses_nothing() {
    let registry = registry();
    let hits = registry.shared_shard().counter(&HITS, &["a", "2xx"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| hits.increment()));
        }
    });
    assert_eq!(hits.value(), 40_000);
}

#[test]
fn all_series_of_a_family_can_be_read_at_once() {
    let registry = registry();
    for _ in 0..2 {
        let shard = registry.shard();
        shard.counter(&HITS, &["a", "2xx"]).add(5);
        shard.counter(&HITS, &["b", "5xx"]).add(1);
        shard.histogram(&SPAN, &[]).record(Duration::from_millis(3));
    }
    let numbers = registry.numbers(&HITS);
    let seen: Vec<_> = numbers.iter().map(|(labels, value)| (&*labels[0], &*labels[1], *value)).collect();
    assert_eq!(seen, [("a", "2xx", 10), ("b", "5xx", 2)]);
    let mut sum = registry.distributions(&SPAN).remove(0).1;
    assert_eq!((sum.buckets.iter().sum::<u64>(), sum.sum_nanos), (2, 6_000_000));
    sum.add(&sum.clone());
    assert_eq!((sum.buckets.iter().sum::<u64>(), sum.sum_nanos), (4, 12_000_000));
}

#[test]
fn what_is_not_scraped_can_be_read_all_the_same() {
    let registry = Registry::new();
    let family = &families::ENDPOINT_FIRST_BYTE;
    registry.shard().histogram(family, &["p", "e"]).record(Duration::from_millis(3));
    assert_eq!(registry.distributions(family).len(), 1);
    assert_eq!(lines(&registry, family.name), [""; 0]);
    registry.retire(&[("pool", "p"), ("endpoint", "e")]);
    assert_eq!(registry.distributions(family).len(), 0);
}

#[cfg(debug_assertions)]
#[test]
fn a_second_writing_thread_is_found_out() {
    let hits = registry().shard().counter(&HITS, &["a", "2xx"]);
    hits.increment();
    let other = std::thread::spawn(move || hits.increment());
    assert!(other.join().is_err());
}

#[test]
fn the_same_labels_are_the_same_series() {
    let registry = registry();
    let shard = registry.shard();
    shard.counter(&HITS, &["a", "2xx"]).increment();
    shard.clone().counter(&HITS, &["a", "2xx"]).increment();
    assert_eq!(shard.counter(&HITS, &["a", "2xx"]).value(), 2);
}

#[test]
fn a_counter_can_be_asked_for_its_total() {
    let registry = registry();
    let (first, second) = (registry.shard(), registry.shared_shard());
    first.counter(&HITS, &["a", "2xx"]).add(2);
    second.counter(&HITS, &["a", "2xx"]).add(3);
    assert_eq!(registry.counter_total(&HITS, &["a", "2xx"]), 5);
    assert_eq!(registry.counter_total(&HITS, &["b", "2xx"]), 0);
    assert_eq!(lines(&registry, "hits_total").len(), 1, "asking makes no series");
}

#[test]
fn text_is_escaped_and_complete() {
    let registry = registry();
    let shard = registry.shard();
    shard.gauge(&OPEN, &["a\"b\\c\nd"]).set(-1);
    let span = shard.histogram(&SPAN, &[]);
    for millis in [0, 1, 2, 2, 61_000] {
        span.record(Duration::from_millis(millis));
    }
    let text = registry.render();
    assert!(
        text.contains("# HELP open Open\\nnow.\n# TYPE open gauge\nopen{pool=\"a\\\"b\\\\c\\nd\"} -1\n"),
        "{text}"
    );
    assert!(text.contains("# TYPE span_seconds histogram\nspan_seconds_bucket{le=\"0.0001\"} 1\n"), "{text}");
    for expected in [
        r#"span_seconds_bucket{le="0.0005"} 1"#,
        r#"span_seconds_bucket{le="0.001"} 2"#,
        r#"span_seconds_bucket{le="0.002"} 4"#,
        r#"span_seconds_bucket{le="60"} 4"#,
        r#"span_seconds_bucket{le="+Inf"} 5"#,
        "span_seconds_sum 61.005",
        "span_seconds_count 5",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected} in {text}");
    }
}

#[test]
fn what_exceeds_the_limit_is_counted_under_other() {
    let registry = registry();
    let shard = registry.shard();
    for route in ["a", "b", "c", "d", "e"] {
        shard.counter(&HITS, &[route, "2xx"]).add(10);
    }
    shard.counter(&HITS, &["a", "2xx"]).increment();
    let text = registry.render();
    assert!(text.contains(r#"hits_total{route="a",code="2xx"} 11"#));
    assert!(text.contains(r#"hits_total{route="other",code="other"} 20"#));
    assert!(!text.contains(r#"route="d""#));
    assert!(text.contains(r#"aya_metrics_overflow_total{family="hits_total"} 2"#));
}

#[test]
fn a_retired_series_goes_with_its_last_handle() {
    let registry = registry();
    let (first, second) = (registry.shared_shard(), registry.shared_shard());
    let (kept, dropped) = (first.counter(&HITS, &["a", "2xx"]), second.counter(&HITS, &["a", "2xx"]));
    let other = first.counter(&HITS, &["b", "2xx"]);
    kept.add(1);
    dropped.add(2);
    drop(dropped);
    registry.retire(&[("route", "a")]);
    assert_eq!(lines(&registry, "hits_total{route=\"a\"").len(), 1, "a handle is left");
    drop(kept);
    assert_eq!(lines(&registry, "hits_total"), [r#"hits_total{route="b",code="2xx"} 0"#]);
    drop(other);
    assert_eq!(lines(&registry, "hits_total").len(), 1, "a series that is not retired stays without handles");
}

#[test]
fn a_look_up_takes_a_series_out_of_retirement() {
    let registry = registry();
    let shard = registry.shared_shard();
    let old = shard.counter(&HITS, &["a", "2xx"]);
    old.add(5);
    registry.retire(&[("route", "a"), ("code", "2xx")]);
    let new = shard.counter(&HITS, &["a", "2xx"]);
    drop((old, new));
    assert_eq!(lines(&registry, "hits_total"), [r#"hits_total{route="a",code="2xx"} 5"#]);
}

#[test]
fn retired_series_make_room() {
    let registry = registry();
    let shard = registry.shard();
    for route in ["a", "b", "c"] {
        shard.counter(&HITS, &[route, "2xx"]).increment();
    }
    registry.retire(&[("route", "a")]);
    registry.retire(&[]);
    registry.retire(&[("pool", "a")]);
    shard.counter(&HITS, &["d", "2xx"]).increment();
    let routes = lines(&registry, "hits_total").join(" ");
    assert!(routes.contains("\"b\"") && routes.contains("\"d\"") && !routes.contains("other"), "{routes}");
}

#[test]
fn collectors_report_at_each_scrape_and_keep_the_limit() {
    let registry = registry();
    registry.shard().counter(&HITS, &["a", "2xx"]).add(1);
    registry.collect(|samples| {
        for route in ["a", "b", "c", "d", "e"] {
            samples.count(&HITS, &[route, "2xx"], 7);
        }
        samples.level(&OPEN, &["p"], 4);
    });
    for _ in 0..2 {
        let text = registry.render();
        assert!(text.contains(r#"hits_total{route="a",code="2xx"} 8"#), "{text}");
        assert!(text.contains(r#"hits_total{route="other",code="other"} 14"#), "{text}");
        assert!(text.contains(r#"open{pool="p"} 4"#), "{text}");
    }
}

#[test]
fn the_build_and_the_process_are_reported() {
    let text = Registry::new().render();
    assert!(
        text.contains(concat!("aya_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n")),
        "{text}"
    );
    for family in ["process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds"] {
        let line = text
            .lines()
            .find(|line| line.starts_with(family))
            .unwrap_or_else(|| panic!("{family} in {text}"));
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value > 0.0, "{line}");
    }
}
