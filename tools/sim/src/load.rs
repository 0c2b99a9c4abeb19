//! From a file to a [`Simulation`]: the shape is checked by the schema, the meaning here.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

use base_kit::{Percent, TimeSpan};
use base_model::diagnostic::did_you_mean;
use base_model::document::{Ejection, OrOff};
use base_model::model::PassiveCheck;
use base_model::{Diagnostics, Findings, KindCatalog, KindEntry, read_other, read_other_bytes};
use serde_json::{Map, Value as Json};
use traffic_balance::kinds;

use crate::law::Law;
use crate::limits::{MAX_REPLAYED, MAX_REPLAYED_LINE_BYTES, MAX_VIEWS};
use crate::plan::{ArrivalPlan, ChecksPlan, Effect, FaultPlan, PhasePlan, Plan, PoolPlan, ServerPlan};
use crate::scenario::{Arrivals, Fault, Phase, PoolVariant, Scenario, ServerModel, Service};
use crate::simulation::{Policy, Simulation};

/// What replaces a part of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Policies by name; `all` stands for every balancer there is. Empty: those of the scenario.
    pub policies: Vec<String>,
    /// Where randomness starts.
    pub seed: Option<u64>,
    /// Time that is measured. Warm-up, phases and faults become longer or shorter with it.
    pub duration: Option<TimeSpan>,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The scenario is wrong.
    #[error(transparent)]
    Scenario(#[from] Diagnostics),
    /// What should replace a part of it is wrong.
    #[error("{0}")]
    Override(String),
}

/// Reads a scenario.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Simulation, LoadError> {
    let mut law = None;
    let folder = path.parent().unwrap_or(Path::new(""));
    let scenario = read_other(path, &catalog(), |scenario: &Scenario, findings| {
        law = checked(scenario, folder, findings);
    })?;
    simulation(scenario, law, overrides)
}

/// Like [`load`], for bytes that come from elsewhere; `path` is for messages, and its folder is where a file of service times is looked for.
///
/// # Errors
/// All that is wrong with it.
pub fn load_bytes(bytes: &[u8], path: &Path, overrides: &Overrides) -> Result<Simulation, LoadError> {
    let mut law = None;
    let folder = path.parent().unwrap_or(Path::new(""));
    let file_name = path.display().to_string();
    let scenario = read_other_bytes(bytes, &file_name, &catalog(), |scenario: &Scenario, findings| {
        law = checked(scenario, folder, findings);
    })?;
    simulation(scenario, law, overrides)
}

fn checked(scenario: &Scenario, folder: &Path, findings: &mut Findings<'_>) -> Option<Law> {
    let law = law_of(&scenario.service, folder, findings);
    check(scenario, findings);
    law
}

fn simulation(scenario: Scenario, law: Option<Law>, overrides: &Overrides) -> Result<Simulation, LoadError> {
    let mut balancers: Vec<Balancer> = scenario.policies.iter().map(balancer).collect();
    label(&mut balancers);
    if !overrides.policies.is_empty() {
        balancers = chosen(&overrides.policies, &balancers)?;
    }
    let policies = balancers.iter().flat_map(|balancer| with_pools(balancer, &scenario)).collect();
    let law = law.unwrap_or(Law::Constant(0.0));
    let plan = plan(&scenario, law, overrides)?;
    Ok(Simulation { name: scenario.name, plan, policies })
}

/// The balancers there are.
fn catalog() -> KindCatalog {
    let entry =
        |kind: &&dyn traffic_balance::BalancerKind| KindEntry::new(kind.info(), kind.schema().to_value());
    KindCatalog { balancers: kinds::ALL.iter().map(entry).collect(), ..KindCatalog::default() }
}

/// A balancer of the scenario, with its settings.
#[derive(Clone, Debug)]
struct Balancer {
    label: String,
    kind: String,
    /// An object, without `kind`.
    settings: Json,
}

/// The balancer in each of the pools that the scenario has.
fn with_pools(balancer: &Balancer, scenario: &Scenario) -> Vec<Policy> {
    let in_pool =
        |label: String, ejection: &OrOff<Ejection>, panic: Percent, slow_start: OrOff<TimeSpan>| Policy {
            label,
            kind: balancer.kind.clone(),
            settings: balancer.settings.clone(),
            pool: PoolPlan {
                passive: PassiveCheck::from(ejection),
                panic_below: panic.share(),
                slow_start: slow_start.on().map_or(Duration::ZERO, |span| span.duration()),
            },
        };
    if scenario.pools.is_empty() {
        return vec![in_pool(
            balancer.label.clone(),
            &scenario.ejection,
            scenario.panic,
            scenario.slow_start,
        )];
    }
    let of_variant = |variant: &PoolVariant| {
        let label = format!("{}, {}", balancer.label, variant.name);
        let ejection = variant.ejection.as_ref().unwrap_or(&scenario.ejection);
        let slow_start = variant.slow_start.unwrap_or(scenario.slow_start);
        in_pool(label, ejection, variant.panic.unwrap_or(scenario.panic), slow_start)
    };
    scenario.pools.iter().map(of_variant).collect()
}

/// A policy as written: a name, or a map with `kind`.
fn balancer(written: &Json) -> Balancer {
    let mut settings = written.as_object().cloned().unwrap_or_default();
    let kind = settings.shift_remove("kind").unwrap_or_else(|| written.clone());
    let kind = kind.as_str().unwrap_or_default().to_owned();
    Balancer { label: kind.clone(), kind, settings: Json::Object(settings) }
}

/// Tells policies of one kind apart by their settings.
fn label(policies: &mut [Balancer]) {
    let all: Vec<String> = policies.iter().map(|policy| policy.kind.clone()).collect();
    for policy in policies {
        if all.iter().filter(|kind| **kind == policy.kind).count() > 1 {
            let none = Map::new();
            let settings = policy.settings.as_object().unwrap_or(&none).iter();
            let settings: Vec<String> = settings.map(|(key, value)| format!("{key}={value}")).collect();
            if !settings.is_empty() {
                policy.label = format!("{}({})", policy.kind, settings.join(",").replace('"', ""));
            }
        }
    }
}

/// The policies asked for, with the scenario's settings where it has some.
fn chosen(names: &[String], written: &[Balancer]) -> Result<Vec<Balancer>, LoadError> {
    let known: Vec<&str> = kinds::ALL.iter().map(|kind| kind.info().name).collect();
    let plain = |name: &str| Balancer {
        label: name.to_owned(),
        kind: name.to_owned(),
        settings: Json::Object(Map::new()),
    };
    let mut out: Vec<Balancer> = Vec::new();
    for name in names {
        let of_scenario = written.iter().filter(|policy| policy.kind == *name || policy.label == *name);
        let mut found: Vec<Balancer> = of_scenario.cloned().collect();
        if name == "all" {
            let missing = known.iter().filter(|name| written.iter().all(|policy| policy.kind != **name));
            // What cannot do without settings is left out.
            let usable = |name: &&&str| kinds::find(name).is_some_and(|kind| kind.build(&Json::Null).is_ok());
            found = written.iter().cloned().chain(missing.filter(usable).map(|name| plain(name))).collect();
        } else if found.is_empty() {
            let Some(kind) = kinds::find(name) else {
                let help = did_you_mean(name, "balancers", &known);
                return Err(LoadError::Override(format!("there is no balancer `{name}`: {help}")));
            };
            if let Err(error) = kind.build(&Json::Null) {
                let help = "name it with its settings under `policies` of the scenario";
                return Err(LoadError::Override(format!("{error}: {help}")));
            }
            found.push(plain(name));
        }
        found.retain(|policy| out.iter().all(|known| known.label != policy.label));
        out.append(&mut found);
    }
    Ok(out)
}

fn nanos(span: TimeSpan) -> f64 {
    span.duration().as_nanos() as f64
}

fn check(scenario: &Scenario, findings: &mut Findings<'_>) {
    match (scenario.duration, scenario.phases.as_slice()) {
        (None, []) => findings.error(&[], "nothing says how long to measure", "add `duration: 60s`"),
        (Some(_), [_, ..]) => {
            let help = "remove it: the phases have durations of their own";
            findings.error(&["duration"], "`duration` is given beside `phases`", help);
        }
        _ => {}
    }
    positive(scenario.duration, &["duration"], findings);
    positive(Some(scenario.deadline), &["deadline"], findings);
    positive(scenario.health.on().map(|checks| checks.interval), &["health", "interval"], findings);
    for (index, phase) in scenario.phases.iter().enumerate() {
        positive(Some(phase.duration), &["phases", &index.to_string(), "duration"], findings);
    }
    check_arrivals(&scenario.arrivals, findings);
    check_servers(scenario, findings);
    check_faults(scenario, findings);
    check_policies(&scenario.policies, findings);
    check_pools(&scenario.pools, findings);
}

fn positive(span: Option<TimeSpan>, path: &[&str], findings: &mut Findings<'_>) {
    if span.is_some_and(TimeSpan::is_zero) {
        let key = path.last().copied().unwrap_or_default();
        findings.error(path, format!("`{key}` is zero"), "write at least `1ms`");
    }
}

fn check_arrivals(arrivals: &Arrivals, findings: &mut Findings<'_>) {
    let (Arrivals::Poisson { rate_per_second, load } | Arrivals::Constant { rate_per_second, load }) =
        arrivals
    else {
        return;
    };
    if rate_per_second.is_some() == load.is_some() {
        let message = "open arrivals need one of `rate-per-second` and `load`";
        findings.error(&["arrivals"], message, "write for instance `{kind: poisson, load: 0.8}`");
    }
}

fn check_servers(scenario: &Scenario, findings: &mut Findings<'_>) {
    let groups = scenario.servers.groups();
    let total: u64 = groups.iter().map(|group| u64::from(group.count)).sum();
    let most = traffic_balance::MAX_ENDPOINTS_PER_POOL as u64;
    if total > most {
        findings.error(
            &["servers"],
            format!("there are {total} servers"),
            format!("at most {most} are allowed"),
        );
    }
    let views = total * u64::from(scenario.instances);
    if views > MAX_VIEWS {
        let message = format!("{} instances that know {total} servers each are too many", scenario.instances);
        let help = format!("instances × servers may be {MAX_VIEWS}: take fewer of either");
        findings.error(&["instances"], message, help);
    }
    for (index, group) in groups.iter().enumerate() {
        let index = index.to_string();
        let several = matches!(scenario.servers, crate::scenario::Servers::Groups(_));
        let path = |key| if several { vec!["servers", &index, key] } else { vec!["servers", key] };
        if group.model == ServerModel::Fifo && (group.slots < 1.0 || group.slots.fract() != 0.0) {
            let message = "`slots` of a `fifo` server is not a whole number";
            findings.error(&path("slots"), message, "write 1, 2, …, or take `model: processor-sharing`");
        }
        if group.antagonist.is_some_and(|antagonist| antagonist.on.is_zero() || antagonist.off.is_zero()) {
            let message = "`on` and `off` of an antagonist cannot be zero";
            findings.error(&path("antagonist"), message, "write at least `1ms` for both");
        }
    }
}

fn check_faults(scenario: &Scenario, findings: &mut Findings<'_>) {
    let total: usize = scenario.servers.groups().iter().map(|group| group.count as usize).sum();
    for (index, fault) in scenario.faults.iter().enumerate() {
        let index = index.to_string();
        let (servers, from, to) = fault.extent();
        if let Some(number) = servers.iter().find(|number| **number >= total) {
            let help = format!("the {total} servers are numbered from 0 to {}", total.saturating_sub(1));
            findings.error(&["faults", &index, "servers"], format!("there is no server {number}"), help);
        }
        if from >= to {
            let help = format!("`to` has to be later than `from`, which is {from}");
            findings.error(&["faults", &index, "to"], "the fault is over before it begins", help);
        }
    }
}

fn check_policies(policies: &[Json], findings: &mut Findings<'_>) {
    for (index, written) in policies.iter().enumerate() {
        let number = index.to_string();
        let Balancer { kind, settings, .. } = balancer(written);
        if let Some(Err(error)) = kinds::find(&kind).map(|kind| kind.build(&settings)) {
            findings.error(&["policies", &number], error.to_string(), "change the setting");
        }
        if policies.iter().take(index).any(|earlier| earlier == written) {
            let message = format!("`{kind}` is there twice with the same settings");
            findings.error(&["policies", &number], message, "remove it");
        }
    }
}

fn check_pools(pools: &[PoolVariant], findings: &mut Findings<'_>) {
    for (index, pool) in pools.iter().enumerate() {
        if pools.iter().take(index).any(|earlier| earlier.name == pool.name) {
            let message = format!("there are two pools `{}`", pool.name);
            findings.error(&["pools", &index.to_string(), "name"], message, "give it another name");
        }
    }
}

fn law_of(service: &Service, folder: &Path, findings: &mut Findings<'_>) -> Option<Law> {
    let mut positive = |key: &str, span: TimeSpan| {
        positive(Some(span), &["service", key], findings);
        nanos(span)
    };
    match service {
        Service::Constant { time } => Some(Law::Constant(positive("time", *time))),
        Service::Exponential { mean } => Some(Law::Exponential(positive("mean", *mean))),
        Service::TruncatedNormal { mean, deviation } => {
            Some(Law::TruncatedNormal { mean: positive("mean", *mean), deviation: nanos(*deviation) })
        }
        Service::Pareto { shape, min, max } => {
            let law = Law::Pareto { shape: *shape, min: positive("min", *min), max: nanos(*max) };
            if min >= max {
                let help = format!("write more than `min`, which is {min}");
                findings.error(&["service", "max"], "`max` is not more than `min`", help);
            }
            Some(law)
        }
        Service::Replay { times, file: None } if !times.is_empty() => {
            let times: Vec<f64> = times.iter().map(|span| nanos(*span)).collect();
            if times.iter().all(|time| *time <= 0.0) {
                findings.error(&["service", "times"], "all times are zero", "write at least one that is not");
            }
            Some(Law::Replay(times))
        }
        Service::Replay { times, file: Some(file) } if times.is_empty() => {
            match replayed(&folder.join(file)) {
                Ok(times) => Some(Law::Replay(times)),
                Err((message, help)) => {
                    findings.error(&["service", "file"], message, help);
                    None
                }
            }
        }
        Service::Replay { .. } => {
            let message = "`replay` needs one of `times` and `file`";
            findings.error(&["service"], message, "write `times: [10ms, 12ms]`, or name a file");
            None
        }
    }
}

/// The times of a file, in nanoseconds; else what is wrong and how to mend it.
fn replayed(path: &Path) -> Result<Vec<f64>, (String, String)> {
    let shown = path.display();
    let unreadable =
        |error: io::Error| (format!("`{shown}` cannot be read: {error}"), "check the path".to_owned());
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let (mut times, mut line) = (Vec::new(), String::new());
    for number in 1.. {
        line.clear();
        // Not all at once: the path may lead to something that has no end.
        let length =
            reader.by_ref().take(MAX_REPLAYED_LINE_BYTES).read_line(&mut line).map_err(unreadable)?;
        if length == 0 {
            break;
        }
        if number > MAX_REPLAYED {
            let message = format!("`{shown}` has more than {MAX_REPLAYED} lines");
            return Err((message, "keep the first ones".to_owned()));
        }
        let is_whole = line.ends_with('\n') || (length as u64) < MAX_REPLAYED_LINE_BYTES;
        match line.trim().parse::<f64>() {
            _ if is_whole && line.trim().is_empty() => {}
            Ok(milliseconds) if is_whole && milliseconds.is_finite() && milliseconds >= 0.0 => {
                times.push(milliseconds * 1e6);
            }
            _ => {
                let message = format!("line {number} of `{shown}` is no time");
                return Err((message, "write one number a line, in milliseconds: `12.5`".to_owned()));
            }
        }
    }
    if times.iter().all(|time| *time <= 0.0) {
        let help = "write one number a line, in milliseconds: `12.5`".to_owned();
        return Err((format!("`{shown}` holds no time above zero"), help));
    }
    Ok(times)
}

fn plan(scenario: &Scenario, law: Law, overrides: &Overrides) -> Result<Plan, LoadError> {
    let whole = Phase { duration: scenario.duration.unwrap_or_default(), load: 1.0 };
    let phases = if scenario.phases.is_empty() { std::slice::from_ref(&whole) } else { &scenario.phases };
    let written: f64 = phases.iter().map(|phase| nanos(phase.duration)).sum();
    let stretch = match overrides.duration {
        None => 1.0,
        Some(duration) if duration.is_zero() => {
            return Err(LoadError::Override("the duration is zero: write at least `1ms`".to_owned()));
        }
        Some(duration) => nanos(duration) / written,
    };
    let scaled = |span: TimeSpan| (nanos(span) * stretch).round() as u64;
    let warm_up = scaled(scenario.warm_up);
    let mut begins = warm_up;
    let phases = phases.iter().map(|phase| {
        let phase = PhasePlan { begins, ends: begins + scaled(phase.duration), load: phase.load };
        begins = phase.ends;
        phase
    });
    let phases = phases.collect();
    let faults = scenario.faults.iter().map(|fault| {
        let (servers, from, to) = fault.extent();
        let effect = match fault {
            Fault::Down { .. } => Effect::Down,
            Fault::Silent { .. } => Effect::Silent,
            Fault::Slow { factor, .. } => Effect::Slow(*factor),
            Fault::Errors { share, .. } => Effect::Errors(*share),
        };
        FaultPlan {
            servers: servers.to_vec(),
            from: warm_up + scaled(from),
            to: warm_up + scaled(to),
            effect,
        }
    });
    Ok(Plan {
        seed: overrides.seed.unwrap_or(scenario.seed),
        warm_up,
        phases,
        instances: scenario.instances as usize,
        arrivals: arrivals(scenario, &law),
        law,
        servers: servers(scenario),
        deadline: scenario.deadline.duration().as_nanos() as u64,
        attempts: scenario.attempts,
        checks: scenario.health.on().map(|checks| ChecksPlan {
            interval: nanos(checks.interval) as u64,
            rise: checks.rise,
            fall: checks.fall,
        }),
        sources: u64::from(scenario.sources),
        faults: faults.collect(),
    })
}

fn arrivals(scenario: &Scenario, law: &Law) -> ArrivalPlan {
    let gap = |rate_per_second: &Option<f64>, load: &Option<f64>| match (rate_per_second, load) {
        (Some(rate), _) => 1e9 / rate,
        (None, load) => {
            let groups = scenario.servers.groups();
            let capacity = groups
                .iter()
                .map(|group| f64::from(group.count) * group.allocation.unwrap_or(group.speed * group.slots));
            law.mean() / (capacity.sum::<f64>() * load.unwrap_or(1.0))
        }
    };
    match &scenario.arrivals {
        Arrivals::Poisson { rate_per_second, load } => {
            ArrivalPlan::Poisson { gap: gap(rate_per_second, load) }
        }
        Arrivals::Constant { rate_per_second, load } => {
            ArrivalPlan::Constant { gap: gap(rate_per_second, load) }
        }
        Arrivals::Closed { clients, think } => {
            ArrivalPlan::Closed { clients: *clients, think: nanos(*think) }
        }
    }
}

fn servers(scenario: &Scenario) -> Vec<ServerPlan> {
    let groups = scenario.servers.groups();
    let each = groups.iter().flat_map(|group| {
        let plan = ServerPlan {
            model: group.model,
            speed: group.speed,
            slots: group.slots,
            weight: group.weight,
            antagonist: group.antagonist,
        };
        std::iter::repeat_n(plan, group.count as usize)
    });
    each.collect()
}
