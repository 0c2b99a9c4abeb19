//! Certificates, keys and authorities: files that are there, certificates that belong to their keys and are still good.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base_kit::WallClock;

use super::{CHECK_PATH, Unreadable, read_regular_bytes};
use crate::check::checker::{Checker, Secrets};
use crate::document::{
    self, CertificateCheck, CertificateFiles, CertificateUse, KeySource, OcspProblem, SYSTEM, SecretSource,
};
use crate::limits::{CERTIFICATE_ENDS_SOON, MAX_CERTIFICATE_BYTES};
use crate::model::{Certificate, Secret, TlsPolicy};
use crate::text::Place;

const DAY: Duration = Duration::from_hours(24);

/// A certificate and its key; `None` if they cannot be had, or not be used together.
pub(in crate::check) fn certificate(
    checker: &mut Checker<'_>,
    files: &CertificateFiles,
    shown_by: CertificateUse,
    place: &Place<'_>,
) -> Option<Certificate> {
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
        looked_at(checker, &path, (&chain, &key), shown_by, place)?;
    }
    let ocsp = match &files.ocsp {
        None => None,
        Some(file) => Some(ocsp(checker, &checker.path(file), &chain, place)?.into()),
    };
    Some(Certificate { name: path.display().to_string().into(), chain: chain.into(), key, ocsp })
}

/// What an authority says of the certificate. One that does not hold any more is worth a warning: clients do not need it.
fn ocsp(checker: &mut Checker<'_>, path: &Path, chain: &str, place: &Place<'_>) -> Option<Vec<u8>> {
    let place = whole_or(checker, place, "ocsp");
    let response = match bytes_of(checker, path, "OCSP response") {
        Ok(response) => response,
        Err((message, help)) => {
            checker.error("unreadable", message, &place, help);
            return None;
        }
    };
    let looker = checker.surroundings.catalog.certificates.clone();
    match looker.map(|looker| looker.ocsp(chain, &response)) {
        None | Some(Ok(())) => Some(response),
        Some(Err(OcspProblem { message, help, is_of_time })) => {
            let message = format!("{}: {message}", path.display());
            if is_of_time && checker.surroundings.secrets != Secrets::Wanted {
                checker.warning_of_value("certificate", message, &place, &help);
                return Some(response);
            }
            checker.error("certificate", message, &place, help);
            None
        }
    }
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
    (chain, key): (&str, &Secret),
    shown_by: CertificateUse,
    place: &Place<'_>,
) -> Option<()> {
    let looker = checker.surroundings.catalog.certificates.clone()?;
    let shown = path.display();
    match looker.certificate(chain, key.expose(), shown_by) {
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

/// Who signs the other side's certificates, and what was revoked of them, from files that the keys `authorities` and `revoked` of this place name;
/// `None` if they cannot be had, or not be used. What the system trusts is not among them.
pub(in crate::check) fn authorities(
    checker: &mut Checker<'_>,
    of: CertificateUse,
    trusted: &[String],
    revoked: &[String],
    place: &Place<'_>,
) -> Option<(String, String)> {
    let trusts_system = of == CertificateUse::Server && trusted.iter().any(|path| path == SYSTEM);
    let files = trusted.iter().enumerate().filter(|(_, path)| !(trusts_system && *path == SYSTEM));
    let authorities = joined(checker, files, "certificates", &place.key("authorities"));
    let revoked = joined(checker, revoked.iter().enumerate(), "revocation list", &place.key("revoked"));
    let (authorities, revoked) = (authorities?, revoked?);
    let looker = checker.surroundings.catalog.certificates.clone();
    let look =
        |looker: Arc<dyn CertificateCheck>| looker.authorities(of, trusts_system, &authorities, &revoked);
    if let Some(Err(problem)) = looker.map(look) {
        let key = problem.at.first().map_or("authorities", String::as_str);
        checker.error("certificate", problem.message, &place.key(key), problem.help.unwrap_or_default());
        return None;
    }
    Some((authorities, revoked))
}

/// What is in these files, one behind the other; `None` if one cannot be read.
fn joined<'p>(
    checker: &mut Checker<'_>,
    paths: impl Iterator<Item = (usize, &'p String)>,
    what: &str,
    place: &Place<'_>,
) -> Option<String> {
    let mut text = String::new();
    let mut is_whole = true;
    for (index, path) in paths {
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
    String::from_utf8(bytes_of(checker, path, what)?)
        .map_err(|_| (format!("the {what} {} is not PEM: it is no text", path.display()), "turn it into PEM"))
}

/// The same for what is no text.
fn bytes_of(checker: &mut Checker<'_>, path: &Path, what: &str) -> Result<Vec<u8>, (String, &'static str)> {
    checker.follow(path.to_owned());
    let shown = path.display();
    read_regular_bytes(path, MAX_CERTIFICATE_BYTES).map_err(|unreadable| match unreadable {
        Unreadable::System(error) => (format!("the {what} {shown} cannot be read: {error}"), CHECK_PATH),
        Unreadable::NotRegular => (format!("the {what} {shown} is not a regular file"), "name a file"),
        Unreadable::TooLong => {
            (format!("the {what} {shown} is over {MAX_CERTIFICATE_BYTES} bytes"), "check the path")
        }
    })
}

impl From<document::TlsPolicy> for TlsPolicy {
    fn from(document: document::TlsPolicy) -> Self {
        match document {
            document::TlsPolicy::Modern => Self::Modern,
            document::TlsPolicy::Intermediate => Self::Intermediate,
        }
    }
}
