//! The kinds there are, as the configuration is told of them.

use std::sync::Arc;

use base_kit::KindInfo;
use base_model::{
    CertificateCheck, CertificateUse, KindCatalog, KindEntry, OcspProblem, SettingsProblem, Validity,
};
use base_signal::AccessField;
use serde_json::Value;

/// All kinds of this build.
pub fn catalog() -> KindCatalog {
    let balancers = traffic_balance::kinds::ALL.iter().map(|&kind| {
        entry(kind.info(), kind.schema().to_value(), move |settings| match kind.build(settings) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string().into()),
        })
    });
    let filters = traffic_filter::kinds::FILTERS.iter().map(|&kind| {
        entry(kind.info(), kind.schema().to_value(), move |settings| match kind.build(settings) {
            Ok(_) => Ok(()),
            Err(error) => Err(problem(&error)),
        })
    });
    let handlers = traffic_filter::kinds::HANDLERS.iter().map(|&kind| {
        entry(kind.info(), kind.schema().to_value(), move |settings| match kind.build(settings) {
            Ok(_) => Ok(()),
            Err(error) => Err(problem(&error)),
        })
    });
    KindCatalog {
        balancers: balancers.collect(),
        filters: filters.collect(),
        handlers: handlers.collect(),
        access_fields: AccessField::ALL.iter().map(|field| field.name()).collect(),
        certificates: Some(Arc::new(Certificates)),
    }
}

fn entry(
    info: KindInfo,
    schema: Value,
    check: impl Fn(&Value) -> Result<(), SettingsProblem> + Send + Sync + 'static,
) -> KindEntry {
    KindEntry::new(info, schema).with_check(check)
}

/// Looks at certificates as the listeners do that use them.
#[derive(Debug)]
struct Certificates;

impl CertificateCheck for Certificates {
    fn certificate(
        &self,
        chain: &str,
        key: &str,
        shown_by: CertificateUse,
    ) -> Result<Validity, SettingsProblem> {
        match traffic_tls::check_certificate("", (chain, key), shown_by) {
            Ok(certificate) => Ok(Validity { begins: certificate.begins, ends: certificate.ends }),
            Err(error) => Err(SettingsProblem {
                at: vec![if error.is_about_key() { "key" } else { "cert" }.to_owned()],
                message: error.to_string(),
                help: Some(error.help().to_owned()),
            }),
        }
    }

    fn ocsp(&self, chain: &str, response: &[u8]) -> Result<(), OcspProblem> {
        traffic_tls::check_staple(chain, response).map_err(|error| OcspProblem {
            message: error.to_string(),
            help: error.help().to_owned(),
            is_of_time: error.is_of_time(),
        })
    }

    fn authorities(
        &self,
        of: CertificateUse,
        system: bool,
        authorities: &str,
        revoked: &str,
    ) -> Result<(), SettingsProblem> {
        traffic_tls::check_authorities(of, system, authorities, revoked).map_err(|error| SettingsProblem {
            at: vec![if error.is_about_lists() { "revoked" } else { "authorities" }.to_owned()],
            message: error.to_string(),
            help: Some(error.help().to_owned()),
        })
    }
}

fn problem(error: &traffic_filter::SettingsError) -> SettingsProblem {
    SettingsProblem { at: error.path.clone(), message: error.problem.clone(), help: error.suggestion.clone() }
}
