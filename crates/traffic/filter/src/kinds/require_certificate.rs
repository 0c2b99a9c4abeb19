//! `require-certificate`: lets only clients with a certificate pass.

use base_kit::{KindInfo, Status};
use base_signal::Reason;
use schemars::JsonSchema;
use serde::Deserialize;
use traffic_http::{ClientCertificate, RequestHead};

use crate::settings;
use crate::{Filter, FilterKind, Flow, RequestContext, SettingsError};

/// The kind.
pub(super) struct RequireCertificate;

/// Its settings. Without any, every certificate passes that the listener has found good.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// One of these subjects, as RFC 4514 writes them: `CN=alice,O=Example`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    subject: Option<Vec<String>>,
    /// One of these alternative names, with its kind: `DNS:shop.example.com`, `URI:spiffe://…`, `email:…`, `IP:…`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    name: Option<Vec<String>>,
}

impl FilterKind for RequireCertificate {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "require-certificate",
            summary: "Answers 403 to clients that have shown no certificate, or none of these. Whose certificates are good at all, the listener's \
                      `tls: {clients: …}` says.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"name": ["URI:spiffe://example.com/billing", "DNS:billing.example.com"]}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        for (key, list) in [("subject", &settings.subject), ("name", &settings.name)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                let error = SettingsError::at([key], "it names nobody");
                return Err(error.suggest("name somebody, or leave it away: then every certificate passes"));
            }
        }
        Ok(Box::new(settings))
    }
}

impl Settings {
    fn takes(&self, certificate: &ClientCertificate) -> bool {
        let is_any = self.subject.is_none() && self.name.is_none();
        let has =
            |wanted: &Option<Vec<String>>, text: &str| wanted.iter().flatten().any(|wanted| wanted == text);
        is_any
            || has(&self.subject, &certificate.subject)
            || certificate.names.iter().any(|name| has(&self.name, name))
    }
}

impl Filter for Settings {
    fn request_head(&self, context: &RequestContext<'_>, _: &mut RequestHead) -> Flow {
        let detail = match context.certificate {
            Some(certificate) if self.takes(certificate) => return Flow::Continue,
            Some(certificate) => {
                format!("the certificate of `{}` is not one of those let in here", certificate.subject)
            }
            None => "a client certificate is needed here".to_owned(),
        };
        Flow::Refuse(Reason::CertificateRequired, detail)
    }
}
