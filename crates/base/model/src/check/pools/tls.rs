//! TLS to endpoints: whose certificates are good, and what they are shown.

use crate::check::checker::{Checker, unless_refused};
use crate::check::files::certificates as read;
use crate::check::parse;
use crate::document::{self, CertificateFiles, CertificateUse, OwnCertificate, SYSTEM, Switch};
use crate::model::{PoolTls, TlsPolicy, Trust};
use crate::text::Place;

/// `None` if something in it was refused.
pub(super) fn check(
    checker: &mut Checker<'_>,
    document: &document::PoolTls,
    place: &Place<'_>,
) -> Option<PoolTls> {
    let name = document.name.as_deref();
    let name = name.map(|name| checker.parsed(name, parse::server_name, &place.key("name")));
    let trust = match document.verify {
        Switch::On => Some(trust(checker, document, place)),
        Switch::Off => {
            unverified(checker, document, place);
            None
        }
    };
    let certificate = document.certificate.clone().map(|OwnCertificate { cert, key }| {
        let files = CertificateFiles { cert, key, ocsp: None };
        read::certificate(checker, &files, CertificateUse::Client, &place.key("certificate"))
    });
    Some(PoolTls {
        name: unless_refused(name)?,
        trust: unless_refused(trust)?,
        certificate: unless_refused(certificate)?,
        policy: TlsPolicy::from(document.policy),
    })
}

fn trust(checker: &mut Checker<'_>, document: &document::PoolTls, place: &Place<'_>) -> Option<Trust> {
    let system = document.authorities.iter().any(|authority| authority == SYSTEM);
    let (authorities, revoked) =
        read::authorities(checker, CertificateUse::Server, &document.authorities, &document.revoked, place)?;
    Some(Trust { system, authorities: authorities.into(), revoked: revoked.into() })
}

/// Says what it means that nobody looks at certificates.
fn unverified(checker: &mut Checker<'_>, document: &document::PoolTls, place: &Place<'_>) {
    checker.warning(
        "unverified",
        format!("`{place}` takes any certificate for the endpoint's: whoever is on the way can read and change everything"),
        &place.key("verify"),
        "name who signs them: `authorities: ca.pem`; a certificate that has signed itself may stand there, too",
    );
    let usual = document::PoolTls::default();
    let unused = [
        ("authorities", document.authorities != usual.authorities),
        ("revoked", document.revoked != usual.revoked),
    ];
    for (key, _) in unused.into_iter().filter(|(_, is_given)| *is_given) {
        let message = format!("`{key}` makes no difference: with `verify: off` nobody looks at certificates");
        checker.warning("unused-setting", message, &place.key(key), "remove it, or `verify: off`");
    }
}
