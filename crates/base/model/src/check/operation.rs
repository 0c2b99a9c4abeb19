//! Running it: an admin port that not everybody can use, secrets that are there, logs that can be written.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;

use super::checker::{Checker, Secrets};
use super::files::{self, CHECK_PATH, Unreadable};
use super::parse;
use crate::document::{self, Document, OrOff, SecretSource, Workers};
use crate::limits::MAX_SECRET_BYTES;
use crate::model::{
    AccessLog, Admin, Decisions, Driver, History, LogFormat, LogLevel, LogTarget, Operation, Secret,
};
use crate::text::Place;

/// What concerns the process; `None` if the admin port cannot be had.
pub(super) fn check(checker: &mut Checker<'_>, document: &Document) -> Option<Operation> {
    let admin = match &document.admin {
        Some(admin) => Some(admin_port(checker, admin)?),
        None => None,
    };
    Some(Operation {
        workers: match document.workers {
            Workers::Auto => None,
            Workers::Number(number) => Some(number),
        },
        io: match document.io {
            document::Driver::Auto => Driver::Auto,
            document::Driver::Epoll => Driver::Epoll,
            document::Driver::IoUring => Driver::IoUring,
        },
        busy_poll: document.busy_poll,
        drain: document.drain.duration(),
        admin,
        access_log: access_log(checker, &document.logs.access),
        log_level: match document.logs.level {
            document::LogLevel::Error => LogLevel::Error,
            document::LogLevel::Warn => LogLevel::Warn,
            document::LogLevel::Info => LogLevel::Info,
            document::LogLevel::Debug => LogLevel::Debug,
        },
        decisions: decisions(document),
        history: document
            .history
            .as_ref()
            .map(|history| History { folder: checker.path(&history.folder), keep: history.keep }),
    })
}

/// Whom could one ask without an admin port?
fn decisions(document: &Document) -> Option<Decisions> {
    let decisions = document.decisions.on().filter(|_| document.admin.is_some())?;
    let number = |count| usize::try_from(count).unwrap_or(usize::MAX);
    let (keep, failures) = (number(decisions.keep), number(decisions.failures));
    let slow = decisions.slow.duration();
    (keep + failures > 0).then_some(Decisions { keep, rate: decisions.rate, failures, slow })
}

fn admin_port(checker: &mut Checker<'_>, admin: &document::Admin) -> Option<Admin> {
    let top = Place::ROOT.key("admin");
    let place = top.key("bind");
    let bind = one_address(checker, &admin.bind, &place);
    let token = admin.token.as_ref().map(|source| secret(checker, source, &top.key("token")));
    let given = checker.root.get("admin").is_some_and(|node| node.entry("token").is_some());
    if let (Some(bind), false) = (bind, given)
        && !bind.ip().to_canonical().is_loopback()
    {
        checker.error(
            "open-admin",
            format!("the admin port on {bind} can be reached by others, and has no token"),
            &place,
            "add `token: {env: AYA_TOKEN}` or `token: {file: …}`, or bind it to 127.0.0.1",
        );
    }
    match token {
        Some(token) => Some(Admin { bind: bind?, token: Some(token?) }),
        None => Some(Admin { bind: bind?, token: None }),
    }
}

/// The admin port has one address, not one for each family.
fn one_address(checker: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<SocketAddr> {
    let addresses = checker.parsed(text, parse::bind_address, place)?;
    if let [only] = addresses.as_slice() {
        return Some(*only);
    }
    let help = format!("write `127.0.0.1{text}`, or `0.0.0.0{text}` with a token");
    checker.error(
        "bad-value",
        format!("`{text}` stands for several addresses, the admin port has one"),
        place,
        help,
    );
    None
}

/// Why a secret cannot be had, and what to do.
type NoSecret = (String, &'static str);

/// The value of a secret. It appears in no message.
pub(super) fn secret(checker: &mut Checker<'_>, source: &SecretSource, place: &Place<'_>) -> Option<Secret> {
    let found = match source {
        SecretSource::Env(name) => (checker.surroundings.environment)(name).ok_or_else(|| {
            let message = format!("the environment variable `{name}` for the secret is not set");
            (message, "set it, or use `{file: …}`")
        }),
        SecretSource::File(name) => read_secret(&checker.path(name)),
    };
    let value = match found {
        Ok(value) => value,
        Err((message, help)) if checker.surroundings.secrets == Secrets::Wanted => {
            checker.warning_of_value("secret", message, place, help);
            return Some(Secret::missing());
        }
        Err((message, help)) => {
            checker.error("secret", message, place, help);
            return None;
        }
    };
    let value = value.trim_end_matches(['\r', '\n']);
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        checker.error(
            "secret",
            "the secret is empty, or holds something that cannot be sent in a header field".to_owned(),
            place,
            "use letters, digits and signs, without spaces: `openssl rand -hex 32` makes a good one",
        );
        return None;
    }
    Some(Secret::new(value))
}

/// What secrets have to be like that protect what clients bring back.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeysWanted {
    /// How many there may be.
    pub(super) most: usize,
    /// How long each has to be.
    pub(super) least_bytes: usize,
    /// What is done with them.
    pub(super) to: &'static str,
}

/// Secrets of which the first one is in use, and the others are those it replaced; `None` if one cannot be had.
pub(super) fn keys(
    checker: &mut Checker<'_>,
    sources: &[SecretSource],
    wanted: KeysWanted,
    place: &Place<'_>,
) -> Option<Vec<Secret>> {
    let KeysWanted { most, least_bytes, to } = wanted;
    if sources.len() > most {
        let message = format!("`{place}` has {} keys", sources.len());
        let help = format!("keep at most {most}: the one in use, and those it replaced");
        checker.error("too-many", message, place, help);
        return None;
    }
    let keys = sources.iter().enumerate().map(|(index, source)| {
        let place = place.index(index);
        let key = secret(checker, source, &place)?;
        if !key.is_missing() && key.expose().len() < least_bytes {
            let message =
                format!("the secret is too short to {to} with: it has less than {least_bytes} characters");
            checker.error("secret", message, &place, "`openssl rand -hex 32` makes a good one");
            return None;
        }
        Some(key)
    });
    // All of them are looked at before one that cannot be had ends it.
    let mut keys = keys.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    // Where they are only checked for, one that is not there must not pass for a key.
    keys.retain(|key| !key.is_missing());
    Some(keys)
}

fn read_secret(path: &Path) -> Result<String, NoSecret> {
    let shown = path.display();
    files::read_regular(path, MAX_SECRET_BYTES).map_err(|unreadable| match unreadable {
        Unreadable::System(error) => (format!("the secret in {shown} cannot be read: {error}"), CHECK_PATH),
        Unreadable::NotRegular => {
            (format!("the secret in {shown} is not in a regular file"), "name a file that holds it")
        }
        Unreadable::TooLong => {
            (format!("the secret in {shown} is over {MAX_SECRET_BYTES} bytes"), "check the path")
        }
    })
}

fn access_log(checker: &mut Checker<'_>, access: &OrOff<document::Access>) -> Option<AccessLog> {
    let access = access.on()?;
    let top = Place::ROOT.key("logs");
    let place = top.key("access");
    let fields_place = place.key("fields");
    let mut seen = HashSet::new();
    for (index, field) in access.fields.iter().enumerate() {
        if !seen.insert(field) {
            let message = format!("the field `{field}` is listed twice");
            checker.error("duplicate-field", message, &fields_place.index(index), "keep one of them");
        }
    }
    let target = match checker.parsed(&access.to, parse::log_target, &place.key("to"))? {
        LogTarget::File(path) => LogTarget::File(checker.surroundings.folder.join(path)),
        stream => stream,
    };
    Some(AccessLog {
        format: match access.format {
            document::AccessFormat::Json => LogFormat::Json,
            document::AccessFormat::Text => LogFormat::Text,
        },
        target,
        fields: access.fields.iter().map(|field| field.as_str().into()).collect(),
    })
}
