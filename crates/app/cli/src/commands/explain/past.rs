//! What became of a request of the past, in plain words.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use base_kit::WallClock;
use control_api::{AttemptView, CandidateView, DecisionView, EndpointNow, SessionView};

use crate::admin::{Client, escaped};
use crate::output;

/// No answer in this time is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Below this, in milliseconds, a part of a request's time is not worth a word.
const WORTH_SAYING_MS: f64 = 0.05;

/// Says what became of the request with this id.
pub(super) fn explain(
    id: &str,
    admin: &str,
    token_file: Option<&Path>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut client = Client::at(admin, token_file, PATIENCE)?;
    let path = format!("/api/v1/decisions?request-id={}", escaped(id));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(client.get(&path));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let found: Vec<DecisionView> = answer.map_err(|none| none.explained(&client.target))?;
    if found.is_empty() {
        output::say(&format!(
            "aya: request `{id}` is not remembered: too many came after it (`decisions.keep`, `decisions.failures`), \
             more came in its second than `decisions.rate`, it is still under way, or it did not come here; the access log may have it\n"
        ));
        return Ok(ExitCode::FAILURE);
    }
    if json {
        output::print(&format!("{}\n", serde_json::to_string_pretty(&found)?))?;
    } else {
        // A client behind a trusted proxy may have used an id twice.
        let texts: Vec<String> = found.iter().map(to_text).collect();
        output::print(&texts.join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn to_text(decision: &DecisionView) -> String {
    let DecisionView { request_id, method, host, path, listener, client, .. } = decision;
    let now = WallClock.since_epoch();
    let ago = now.saturating_sub(Duration::from_millis(decision.time_ms)).as_secs();
    let cut = if decision.path_cut { "… (cut)" } else { "" };
    let mut text = format!("request   {request_id}, {ago} s ago\n");
    let _ = writeln!(text, "asked     {method} {host}{path}{cut}");
    let _ = writeln!(text, "listener  {listener}\nclient    {client}");
    let _ = writeln!(text, "route     {}", decision.route.as_deref().unwrap_or("none took it"));
    if let Some(kind) = &decision.answered_by {
        let _ = writeln!(text, "answered  by `{kind}`, no endpoint was asked");
    }
    if let (Some(pool), Some(balancer)) = (&decision.pool, &decision.balancer) {
        let panic = if decision.panic { "; in panic: so little is fit that all get traffic" } else { "" };
        let _ = writeln!(text, "pool      {pool}, balanced by {balancer}{panic}");
    }
    if let Some(session) = &decision.session {
        let _ = writeln!(text, "session   {}", of_session(session));
    }
    for (index, attempt) in decision.attempts.iter().enumerate() {
        let is_last = index + 1 == decision.attempts.len();
        if is_last && decision.attempts_omitted > 0 {
            let _ = writeln!(text, "          {} attempts are not kept", decision.attempts_omitted);
        }
        write_attempt(
            &mut text,
            index + 1 + if is_last { decision.attempts_omitted as usize } else { 0 },
            attempt,
            decision.balancer.as_deref().unwrap_or_default(),
        );
    }
    write_candidates(&mut text, &decision.candidates);
    write_now(&mut text, &decision.now);
    write_times(&mut text, decision);
    write_answer(&mut text, decision);
    text
}

/// What kept it with an endpoint.
fn of_session(SessionView { endpoint, outcome }: &SessionView) -> String {
    let bound = endpoint.as_deref().map(|endpoint| format!("bound to {endpoint}"));
    let bound = bound.unwrap_or_else(|| "bound to nobody who is still there".to_owned());
    match outcome.as_deref() {
        Some("kept") => format!("{bound}, which answered"),
        Some("moved") => format!("{bound}; moved to the endpoint that answered"),
        Some("new") => "none; begins with this answer".to_owned(),
        Some("unknown") => "named, but not known here: forged, of another key, or forgotten".to_owned(),
        _ => bound,
    }
}

fn write_attempt(text: &mut String, number: usize, attempt: &AttemptView, balancer: &str) {
    let AttemptView { endpoint, others_in_flight: others, .. } = attempt;
    let connection = match (attempt.reused, attempt.connect_ms) {
        (true, _) => "on an open connection".to_owned(),
        (false, Some(took)) => format!("on a new connection, for which {took} ms were taken"),
        (false, None) => "on a new connection".to_owned(),
    };
    let _ = writeln!(text, "attempt {number} {endpoint} {connection}; {others} other requests there");
    let _ = writeln!(text, "          {}", choice(attempt, balancer));
    if let (Some(send), Some(first_byte)) = (attempt.send_ms, attempt.first_byte_ms) {
        let status = attempt.status.unwrap_or_default();
        let _ = writeln!(text, "          sent in {send} ms; answered {status} {first_byte} ms later");
    }
    if let Some(reason) = &attempt.reason {
        let detail = attempt.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let fault = match attempt.fault.as_deref() {
            Some("neither") | None => "whose fault cannot be told".to_owned(),
            Some(who) => format!("by fault of the {who}"),
        };
        let _ = writeln!(text, "          went wrong: {reason}{detail}, {fault}");
        let _ = writeln!(text, "          {}", after(attempt.after.as_deref().unwrap_or_default()));
    }
}

/// Why this endpoint.
fn choice(attempt: &AttemptView, balancer: &str) -> String {
    let AttemptView { among, tier, share_percent: share, .. } = attempt;
    let mut why = match (&*attempt.chosen_by, among) {
        ("session", _) => "its session is bound to it".to_owned(),
        (_, 1) => "the only one that took traffic".to_owned(),
        _ => format!("chosen by {balancer} among {among} that took traffic"),
    };
    if *tier > 0 {
        let _ = write!(why, "; a backup, of tier {tier}");
    }
    if *share < 100 {
        let _ = write!(why, "; it gets {share}% of its share");
    }
    why
}

/// Why it was sent again, or why not.
fn after(word: &str) -> &str {
    match word {
        "fresh-connection" => {
            "sent again on a fresh connection: endpoints may close one that was idle at any time"
        }
        "next-endpoint" => "another endpoint was looked for: it could be sent again without harm",
        "not-its-fault" => "not sent again: it was not the endpoint's fault",
        "not-idempotent" => "not sent again: it had been sent, and its method must not be repeated",
        "body-gone" => "not sent again: its body was too large to be kept (the pool's `replay`)",
        "answer-begun" => "not sent again: its answer had begun",
        "no-attempt-left" => "not sent again: the attempts were used up (the route's `retry`)",
        "no-other-endpoint" => "not sent again: no other endpoint could take it",
        other => other,
    }
}

fn write_candidates(text: &mut String, candidates: &[CandidateView]) {
    for (index, candidate) in candidates.iter().enumerate() {
        let title = if index == 0 { "endpoints" } else { "" };
        let _ = writeln!(text, "{title:<9} {} {}", candidate.endpoint, standing(candidate));
    }
}

/// How an endpoint stood.
fn standing(candidate: &CandidateView) -> String {
    let cause = candidate.cause.as_ref().map(|cause| format!(", and still is: {cause}")).unwrap_or_default();
    match (candidate.out.as_deref(), candidate.despite.as_deref()) {
        (Some("reserve"), _) => {
            format!("was in reserve: tier {}, and those before it suffice", candidate.tier)
        }
        (Some("subset"), _) => "was not among those that this node uses (`subset`)".to_owned(),
        (Some(out), _) => format!("was out: {out}{cause}"),
        (None, Some(despite)) => format!("took traffic though {despite}: too little else was fit{cause}"),
        (None, None) if candidate.share_percent < 100 => {
            let why = candidate.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("took traffic, {}% of its share{why}", candidate.share_percent)
        }
        (None, None) => "took traffic".to_owned(),
    }
}

/// How the endpoints are by now, which says nothing of then.
fn write_now(text: &mut String, endpoints: &[EndpointNow]) {
    for (index, now) in endpoints.iter().enumerate() {
        let title = if index == 0 { "now" } else { "" };
        let cause = now.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
        let mut parts = vec![format!("{}{cause}", now.condition), format!("{} in flight", now.in_flight)];
        parts.extend(now.latency_ms.map(|latency| format!("answers in {latency} ms")));
        parts.extend(now.in_use_percent.map(|share| format!("{share}% in use")));
        parts.extend((now.share_percent < 100).then(|| format!("{}% of its share", now.share_percent)));
        parts.extend((now.weight != 1).then(|| format!("weight {}", now.weight)));
        parts.extend((now.tier > 0).then(|| format!("tier {}", now.tier)));
        parts.extend(now.zone.as_ref().map(|zone| format!("zone {zone}")));
        let _ = writeln!(text, "{title:<9} {} {}", now.endpoint, parts.join(", "));
    }
}

/// Where the time went, the longest part named.
fn write_times(text: &mut String, decision: &DecisionView) {
    let parts = parts(decision);
    let longest = parts.iter().map(|(_, took)| *took).fold(0.0, f64::max);
    let _ = writeln!(text, "time      {} ms in all", decision.total_ms);
    for (name, took) in parts.iter().filter(|(_, took)| *took >= WORTH_SAYING_MS) {
        let most = if *took >= longest && parts.len() > 1 { ", the longest part" } else { "" };
        let _ = writeln!(text, "          {took} ms {name}{most}");
    }
}

/// What the time was spent with, in order.
fn parts(decision: &DecisionView) -> Vec<(String, f64)> {
    let mut parts = vec![("receiving the head".to_owned(), decision.head_ms)];
    if let Some(queued) = decision.queued_ms {
        parts.push(("waiting for an endpoint with room".to_owned(), queued));
    }
    let ends = decision.attempts.iter().skip(1).map(|next| next.began_ms).chain([decision.total_ms]);
    for (attempt, end) in decision.attempts.iter().zip(ends) {
        let AttemptView { endpoint, .. } = attempt;
        if let Some(took) = attempt.connect_ms {
            parts.push((format!("connecting to {endpoint}"), took));
        }
        match (attempt.send_ms, attempt.first_byte_ms) {
            (Some(send), Some(first_byte)) => {
                parts.push((format!("sending the request to {endpoint}"), send));
                parts.push((format!("until {endpoint} began to answer"), first_byte));
            }
            _ => {
                let vain = end - attempt.began_ms - attempt.connect_ms.unwrap_or_default();
                parts.push((format!("in vain with {endpoint}"), (vain * 1e3).round() / 1e3));
            }
        }
    }
    parts.push(("relaying the answer".to_owned(), decision.body_ms));
    parts
}

fn write_answer(text: &mut String, decision: &DecisionView) {
    let status = match decision.status {
        0 => "none: the client was sent nothing".to_owned(),
        status => status.to_string(),
    };
    let _ = match &decision.reason {
        None => writeln!(text, "answer    {status}"),
        Some(reason) => {
            let meaning = decision.meaning.as_deref().unwrap_or_default();
            let detail = decision.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            let blame = decision.blame.as_deref().unwrap_or_default();
            writeln!(text, "answer    {status}; {reason}: {meaning}{detail}\nmended by {blame}")
        }
    };
}
