//! What a configuration has the process do on its machine besides serving traffic.
//!
//! On loopback the admin port asks for no token, so that every account of the machine may change where traffic goes. Running
//! programs and writing files with the process's rights is more than that: without a token, only what is in force stays.

use std::collections::BTreeSet;

use base_model::Model;
use base_model::model::{CheckKind, LogTarget};

/// Why whoever asks the admin port may not bring about a configuration; `None` if they may, as is always so when that takes a token.
pub(crate) fn refusal(now: &Model, next: &Model) -> Option<String> {
    if has_token(now) {
        return None;
    }
    let (now, next) = (powers(now), powers(next));
    let mut more = next.difference(&now).peekable();
    more.peek()?;
    let more: Vec<&str> = more.map(String::as_str).collect();
    Some(format!("without a token, a configuration may not add {}", more.join(", ")))
}

/// Programs that are run, files that are written, and who may ask for that, in words.
fn powers(model: &Model) -> BTreeSet<String> {
    let checks = model.pools.iter().flat_map(|pool| &pool.checks);
    let programs = checks.filter_map(|check| match &check.kind {
        CheckKind::Exec { program, arguments } => Some(format!("the program `{program}` with {arguments:?}")),
        _ => None,
    });
    let operation = &model.operation;
    let log = operation.access_log.as_ref().and_then(|log| match &log.target {
        LogTarget::File(path) => Some(format!("the file `{}`", path.display())),
        LogTarget::Stdout | LogTarget::Stderr => None,
    });
    let history =
        operation.history.as_ref().map(|history| format!("the folder `{}`", history.folder.display()));
    let tls = model.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let key_logs = tls.filter_map(|tls| Some(format!("the file `{}`", tls.key_log.as_ref()?.display())));
    let token = has_token(model).then(|| "a token".to_owned());
    programs.chain(log).chain(key_logs).chain(history).chain(token).collect()
}

fn has_token(model: &Model) -> bool {
    model.operation.admin.as_ref().is_some_and(|admin| admin.token.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> Model {
        let source = format!("listeners: {{web: {{bind: 127.0.0.1:0}}}}\nroutes: [{{pool: p}}]\n{text}\n");
        let loaded = base_model::load(
            &source,
            "test.yaml",
            &|_| Some("secret-enough-to-be-taken".to_owned()),
            &crate::catalog(),
        );
        loaded.unwrap_or_else(|found| panic!("{found}")).model
    }

    #[test]
    fn only_what_is_in_force_stays() {
        let plain = "pools: {p: {endpoints: [127.0.0.1:1]}}";
        let other = "pools: {p: {endpoints: [127.0.0.1:2], health: {http: /}}}";
        let exec = "pools: {p: {endpoints: [127.0.0.1:1], health: {exec: [/bin/sh, -c, id]}}}";
        let log = format!("{plain}\nlogs: {{access: {{to: /tmp/x}}}}");
        let history = format!("{plain}\nhistory: {{folder: /tmp/h}}");
        let token = format!("{plain}\nadmin: {{bind: '127.0.0.1:0', token: {{env: T}}}}");
        assert_eq!(refusal(&model(plain), &model(other)), None);
        for (more, what) in
            [(exec, "/bin/sh"), (&log, "`/tmp/x`"), (&history, "`/tmp/h`"), (&token, "a token")]
        {
            let why = refusal(&model(plain), &model(more)).unwrap_or_default();
            assert!(why.contains(what), "{why}");
            assert_eq!(refusal(&model(more), &model(more)), None, "{what}");
            assert_eq!(refusal(&model(more), &model(plain)), None, "{what}");
        }
        let otherwise = exec.replace("id", "rm");
        assert!(refusal(&model(exec), &model(&otherwise)).is_some(), "the same program with other words");
    }
}
