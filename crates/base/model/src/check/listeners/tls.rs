//! TLS of a listener: files that are there, certificates that belong to their keys and are still good.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base_kit::WallClock;

use crate::check::checker::{Checker, Secrets};
use crate::check::files::{self, CHECK_PATH, Unreadable};
use crate::check::operation::{self, KeysWanted};
use crate::document::{self, CertificateFiles, KeySource, OrOff, SecretSource, UnknownName};
use crate::limits::{
    CERTIFICATE_ENDS_SOON, MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES, MAX_TICKET_KEYS, MIN_TICKET_KEY_BYTES,
};
use crate::model::{Certificate, ListenerTls, Secret, TlsClients, TlsPolicy};
use crate::text::Place;

const DAY: Duration = Duration::from_hours(24);

/// Files that hold a certificate, in a folder of them.
const CERTIFICATE_FILES: [&str; 2] = ["pem", "crt"];

/// `None` if something in it was refused.
pub(super) fn check(
    checker: &mut Checker<'_>,
    tls: &document::ListenerTls,
    place: &Place<'_>,
) -> Option<ListenerTls> {
    let certificates = certificates(checker, &tls.certificates, &place.key("certificates"));
    let clients = tls.clients.as_ref().map(|clients| clients_of(checker, clients, &place.key("clients")));
    let ticket_keys = match &tls.tickets {
        OrOff::Off => None,
        OrOff::On(tickets) => {
            let tickets_place = place.key("tickets");
            let wanted =
                KeysWanted { most: MAX_TICKET_KEYS, least_bytes: MIN_TICKET_KEY_BYTES, to: "encrypt" };
            Some(operation::keys(checker, &tickets.keys, wanted, &tickets_place.key("keys")))
        }
    };
    if tls.key_log.is_some() {
        checker.warning(
            "key-log",
            format!("`{place}` writes down the secrets of all connections"),
            &place.key("key-log"),
            "take `key-log` away as soon as the fault is found",
        );
    }
    Some(ListenerTls {
        certificates: certificates?,
        policy: match tls.policy {
            document::TlsPolicy::Modern => TlsPolicy::Modern,
            document::TlsPolicy::Intermediate => TlsPolicy::Intermediate,
        },
        refuses_unknown_names: tls.unknown_name == UnknownName::Refuse,
        clients: match clients {
            None => None,
            Some(clients) => Some(clients?),
        },
        ticket_keys: match ticket_keys {
            None => None,
            Some(keys) => Some(keys?),
        },
        key_log: tls.key_log.as_ref().map(|path| checker.path(path)),
    })
}

/// All of them, in the order of the document; `None` if one cannot be had.
fn certificates(
    checker: &mut Checker<'_>,
    documents: &[document::Certificate],
    place: &Place<'_>,
) -> Option<Vec<Certificate>> {
    let mut found = Vec::new();
    let mut is_whole = true;
    for (index, document) in documents.iter().enumerate() {
        let place = place.index(index);
        match document {
            document::Certificate::Files(files) => {
                let certificate = one(checker, files, &place);
                is_whole &= certificate.is_some();
                found.extend(certificate);
            }
            document::Certificate::Folder(folder) => match in_folder(checker, &folder.folder, &place) {
                Some(files) => {
                    for files in files {
                        let certificate = one(checker, &files, &place);
                        is_whole &= certificate.is_some();
                        found.extend(certificate);
                    }
                }
                None => is_whole = false,
            },
        }
    }
    if found.len() > MAX_CERTIFICATES {
        let message = format!("`{place}` has {} certificates", found.len());
        checker.error(
            "too-many",
            message,
            place,
            format!("keep at most {MAX_CERTIFICATES} for each listener"),
        );
        return None;
    }
    if is_whole && found.is_empty() {
        let message = format!("`{place}` has no certificate");
        checker.error("no-certificate", message, place, "put one into the folder, `NAME.pem` and `NAME.key`");
        return None;
    }
    is_whole.then_some(found)
}

/// The certificates of a folder, by name; `None` if it cannot be read.
fn in_folder(checker: &mut Checker<'_>, folder: &str, place: &Place<'_>) -> Option<Vec<CertificateFiles>> {
    let path = checker.path(folder);
    checker.follow(path.clone());
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("the folder {} cannot be read: {error}", path.display());
            checker.error("unreadable", message, &place.key("folder"), CHECK_PATH);
            return None;
        }
    };
    let is_certificate = |path: &PathBuf| {
        path.extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| CERTIFICATE_FILES.contains(&extension))
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_certificate)
        .take(MAX_CERTIFICATES + 1)
        .collect();
    paths.sort();
    let files = paths.iter().map(|path| {
        let key = path.with_extension("key");
        CertificateFiles {
            cert: path.display().to_string(),
            key: key.exists().then(|| KeySource(SecretSource::File(key.display().to_string()))),
        }
    });
    Some(files.collect())
}

fn one(checker: &mut Checker<'_>, files: &CertificateFiles, place: &Place<'_>) -> Option<Certificate> {
    let path = checker.path(&files.cert);
    let chain = read(checker, &path, "certificate", place)?;
    let key = match &files.key {
        None => Secret::new(&chain),
        Some(KeySource(SecretSource::File(key))) => private_key(checker, &checker.path(key), place)?,
        Some(KeySource(SecretSource::Env(name))) => match (checker.surroundings.environment)(name) {
            Some(key) => Secret::new(&key),
            None => {
                let message = format!("the environment variable `{name}` for the private key is not set");
                missing_key(checker, message, place, "set it, or use `{file: …}`")?
            }
        },
    };
    if !key.is_missing() {
        looked_at(checker, &path, &chain, &key, place)?;
    }
    Some(Certificate { name: path.display().to_string().into(), chain: chain.into(), key })
}

/// The private key in a file. Where keys are only checked for, one that is not there is worth a warning.
fn private_key(checker: &mut Checker<'_>, path: &Path, place: &Place<'_>) -> Option<Secret> {
    match text_of(checker, path, "private key") {
        Ok(key) => Some(Secret::new(&key)),
        Err((message, help)) => missing_key(checker, message, place, help),
    }
}

fn missing_key(checker: &mut Checker<'_>, message: String, place: &Place<'_>, help: &str) -> Option<Secret> {
    let place = whole_or(checker, place, "key");
    if checker.surroundings.secrets == Secrets::Wanted {
        checker.warning_of_value("secret", message, &place, help);
        return Some(Secret::missing());
    }
    checker.error("secret", message, &place, help);
    None
}

/// What the library that knows certificates has to say.
fn looked_at(
    checker: &mut Checker<'_>,
    path: &Path,
    chain: &str,
    key: &Secret,
    place: &Place<'_>,
) -> Option<()> {
    let looker = checker.surroundings.catalog.certificates.clone()?;
    let shown = path.display();
    match looker.certificate(chain, key.expose()) {
        Err(problem) => {
            let key = problem.at.first().map_or("cert", String::as_str);
            let place = whole_or(checker, place, key);
            let help = problem.help.unwrap_or_default();
            checker.error("certificate", format!("{shown}: {}", problem.message), &place, help);
            None
        }
        Ok(validity) => {
            let place = whole_or(checker, place, "cert");
            let now = WallClock.since_epoch();
            let help = "have it renewed";
            if validity.ends <= now {
                let message =
                    format!("the certificate {shown} has run out {} ago", days(now - validity.ends));
                // A checker is to find it. Whoever runs already, or comes back, must not be down for one of many.
                if checker.surroundings.secrets == Secrets::Wanted {
                    checker.error("certificate", message, &place, help);
                } else {
                    checker.warning_of_value("certificate", message, &place, help);
                }
            } else if validity.begins > now {
                let message =
                    format!("the certificate {shown} is good only in {}", days(validity.begins - now));
                checker.warning_of_value("certificate", message, &place, "check the clock of this machine");
            } else if validity.ends - now < CERTIFICATE_ENDS_SOON {
                let message = format!("the certificate {shown} runs out in {}", days(validity.ends - now));
                checker.warning_of_value("certificate", message, &place, help);
            }
            Some(())
        }
    }
}

/// The value of this key, or all of it where it is written short.
fn whole_or<'p>(checker: &Checker<'_>, place: &'p Place<'p>, key: &'p str) -> Place<'p> {
    let inner = place.key(key);
    if checker.is_written(&inner) { inner } else { *place }
}

fn days(time: Duration) -> String {
    match time.as_secs() / DAY.as_secs() {
        0 => format!("{} h", time.as_secs() / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn clients_of(
    checker: &mut Checker<'_>,
    clients: &document::TlsClients,
    place: &Place<'_>,
) -> Option<TlsClients> {
    let authorities = joined(checker, &clients.authorities, "certificates", &place.key("authorities"));
    let revoked = joined(checker, &clients.revoked, "revocation list", &place.key("revoked"));
    let (authorities, revoked) = (authorities?, revoked?);
    let looker = checker.surroundings.catalog.certificates.clone();
    if let Some(Err(problem)) = looker.map(|looker| looker.authorities(&authorities, &revoked)) {
        let key = problem.at.first().map_or("authorities", String::as_str);
        checker.error("certificate", problem.message, &place.key(key), problem.help.unwrap_or_default());
        return None;
    }
    Some(TlsClients {
        is_required: clients.certificate == document::ClientCertificate::Required,
        authorities: authorities.into(),
        revoked: revoked.into(),
    })
}

/// What is in these files, one behind the other; `None` if one cannot be read.
fn joined(checker: &mut Checker<'_>, paths: &[String], what: &str, place: &Place<'_>) -> Option<String> {
    let mut text = String::new();
    let mut is_whole = true;
    for (index, path) in paths.iter().enumerate() {
        match read(checker, &checker.path(path), what, &place.index(index)) {
            Some(part) => {
                text.push_str(&part);
                text.push('\n');
            }
            None => is_whole = false,
        }
    }
    is_whole.then_some(text)
}

fn read(checker: &mut Checker<'_>, path: &Path, what: &str, place: &Place<'_>) -> Option<String> {
    match text_of(checker, path, what) {
        Ok(text) => Some(text),
        Err((message, help)) => {
            let place = whole_or(checker, place, "cert");
            checker.error("unreadable", message, &place, help);
            None
        }
    }
}

/// What is in a file, or why that cannot be had, and what to do. The file is followed from now on.
fn text_of(checker: &mut Checker<'_>, path: &Path, what: &str) -> Result<String, (String, &'static str)> {
    checker.follow(path.to_owned());
    let shown = path.display();
    files::read_regular(path, MAX_CERTIFICATE_BYTES).map_err(|unreadable| match unreadable {
        Unreadable::System(error) => (format!("the {what} {shown} cannot be read: {error}"), CHECK_PATH),
        Unreadable::NotRegular => (format!("the {what} {shown} is not a regular file"), "name a file"),
        Unreadable::TooLong => {
            (format!("the {what} {shown} is over {MAX_CERTIFICATE_BYTES} bytes"), "check the path")
        }
    })
}
