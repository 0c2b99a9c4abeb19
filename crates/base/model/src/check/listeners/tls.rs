//! TLS of a listener: what clients are shown, and asked for.

use std::path::PathBuf;

use crate::check::checker::{Checker, unless_refused};
use crate::check::files::{CHECK_PATH, certificates as read};
use crate::check::operation::{self, KeysWanted};
use crate::document::{self, CertificateFiles, CertificateUse, KeySource, OrOff, SecretSource, UnknownName};
use crate::limits::{MAX_CERTIFICATES, MAX_TICKET_KEYS, MIN_TICKET_KEY_BYTES};
use crate::model::{Certificate, ClientCertificateTold, ListenerTls, Offered, TlsClients, TlsPolicy};
use crate::text::Place;

/// Files that hold a certificate, in a folder of them.
const CERTIFICATE_FILES: [&str; 2] = ["pem", "crt"];

/// `None` if something in it was refused.
pub(super) fn check(
    checker: &mut Checker<'_>,
    document: &document::ListenerTls,
    offered: Offered,
    place: &Place<'_>,
) -> Option<ListenerTls> {
    let certificates = certificates(checker, &document.certificates, &place.key("certificates"));
    let clients =
        document.clients.as_ref().map(|clients| clients_of(checker, clients, &place.key("clients")));
    let ticket_keys = match &document.tickets {
        OrOff::Off => None,
        OrOff::On(tickets) => {
            let tickets_place = place.key("tickets");
            let wanted =
                KeysWanted { most: MAX_TICKET_KEYS, least_bytes: MIN_TICKET_KEY_BYTES, to: "encrypt" };
            Some(operation::keys(checker, &tickets.keys, wanted, &tickets_place.key("keys")))
        }
    };
    if document.key_log.is_some() {
        checker.warning(
            "key-log",
            format!("`{place}` writes down the secrets of all connections"),
            &place.key("key-log"),
            "take `key-log` away as soon as the fault is found",
        );
    }
    Some(ListenerTls {
        certificates: certificates?,
        policy: TlsPolicy::from(document.policy),
        offered,
        fetches_ocsp: document.ocsp == document::Ocsp::Fetch,
        refuses_unknown_names: document.unknown_name == UnknownName::Refuse,
        clients: unless_refused(clients)?,
        ticket_keys: unless_refused(ticket_keys)?,
        key_log: document.key_log.as_ref().map(|path| checker.path(path)),
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
                let certificate = read::certificate(checker, files, CertificateUse::Server, &place);
                is_whole &= certificate.is_some();
                found.extend(certificate);
            }
            document::Certificate::Folder(folder) => match in_folder(checker, &folder.folder, &place) {
                Some(files) => {
                    for files in files {
                        let certificate = read::certificate(checker, &files, CertificateUse::Server, &place);
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
        let beside = |extension: &str| {
            let path = path.with_extension(extension);
            path.exists().then(|| path.display().to_string())
        };
        CertificateFiles {
            cert: path.display().to_string(),
            key: beside("key").map(|key| KeySource(SecretSource::File(key))),
            ocsp: beside("ocsp"),
        }
    });
    Some(files.collect())
}

fn clients_of(
    checker: &mut Checker<'_>,
    clients: &document::TlsClients,
    place: &Place<'_>,
) -> Option<TlsClients> {
    let (authorities, revoked) =
        read::authorities(checker, CertificateUse::Client, &clients.authorities, &clients.revoked, place)?;
    Some(TlsClients {
        is_required: clients.certificate == document::ClientCertificate::Required,
        authorities: authorities.into(),
        revoked: revoked.into(),
        told: match clients.forward {
            document::ClientCertificateTold::Off => ClientCertificateTold::Nothing,
            document::ClientCertificateTold::Certificate => ClientCertificateTold::Certificate,
            document::ClientCertificateTold::Chain => ClientCertificateTold::Chain,
        },
    })
}
