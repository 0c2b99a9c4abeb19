//! `cors`: lets pages of other sites make requests, and read the answers.
//!
//! Source: the Fetch standard, "HTTP-CORS protocol".

mod origin;

use base_kit::{KindInfo, Status, TimeSpan};
use base_signal::Reason;
use schemars::JsonSchema;
use serde::Deserialize;
use traffic_http::{FieldName, Fields, Method, RequestHead, ResponseHead};

use self::origin::Origin;
use crate::settings;
use crate::{Answer, Filter, FilterKind, Flow, RequestContext, SettingsError};

/// What a browser asks before a request that a form could not make.
const ASKED_METHOD: &str = "access-control-request-method";
const ASKED_FIELDS: &str = "access-control-request-headers";
/// What it is told.
const ORIGIN: &str = "access-control-allow-origin";
const CREDENTIALS: &str = "access-control-allow-credentials";
const METHODS: &str = "access-control-allow-methods";
const FIELDS: &str = "access-control-allow-headers";
pub(super) const EXPOSE: &str = "access-control-expose-headers";
const MAX_AGE: &str = "access-control-max-age";
/// What of that counts in answers to other than these questions. What the endpoint says of it is not passed on: two answers would be none.
const SHARING: [&str; 3] = [ORIGIN, CREDENTIALS, EXPOSE];
/// Browsers remember for an hour or a day at most; where nothing is said, for five seconds.
const REMEMBERED: TimeSpan = TimeSpan::from_secs(600);

/// The kind.
pub(super) struct Cors;

/// Its settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Sites whose pages may: `https://shop.example.com`, `https://*.example.com` (every name below), `null` (pages without a site, such as
    /// files), or `*` alone for all.
    #[schemars(length(min = 1))]
    origins: Vec<String>,
    /// The methods that they may use; any, if none are named.
    #[serde(default)]
    #[schemars(length(min = 1))]
    methods: Option<Vec<String>>,
    /// The headers that they may set; any, if none are named.
    #[serde(default)]
    #[schemars(length(min = 1))]
    headers: Option<Vec<String>>,
    /// The headers of answers that they may read beside the few that all may.
    #[serde(default)]
    expose: Vec<String>,
    /// Whether requests may carry cookies, certificates and passwords that the browser keeps for the site that is asked.
    #[serde(default)]
    credentials: bool,
    /// How long browsers may remember what they were told: `10m` if nothing is said.
    #[serde(default)]
    max_age: Option<String>,
}

/// The filter.
#[derive(Debug)]
struct Sharing {
    /// `None` for all.
    origins: Option<Box<[Origin]>>,
    methods: Option<Names>,
    headers: Option<Names>,
    expose: Option<Names>,
    credentials: bool,
    /// In seconds.
    max_age: String,
}

/// Names, and how a field has them.
#[derive(Debug)]
struct Names {
    each: Box<[String]>,
    list: String,
}

impl FilterKind for Cors {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "cors",
            summary: "Lets pages of other sites make requests and read the answers (CORS): answers the questions that browsers ask before, and replaces what \
                      endpoints say of it. Belongs in front of filters that ask who it is.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"origins": ["https://shop.example.com", "https://*.example.org"], "expose": ["x-request-id"], "credentials": true}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        let origins = origins(&settings.origins)?;
        if origins.is_none() && settings.credentials {
            let error =
                SettingsError::at(["credentials"], "`*` lets every site act as whoever looks at its page");
            return Err(error.suggest("name the sites in `origins`"));
        }
        let names = |key: &str, list: &[String]| Names::build(list).map_err(|error| error.below(key));
        let max_age = match &settings.max_age {
            Some(text) => text.parse().map_err(|error: base_kit::UnitError| {
                SettingsError::at(["max-age"], error.to_string()).suggest(error.help())
            })?,
            None => REMEMBERED,
        };
        Ok(Box::new(Sharing {
            origins,
            methods: settings.methods.as_deref().map(|list| names("methods", list)).transpose()?,
            headers: settings.headers.as_deref().map(|list| names("headers", list)).transpose()?,
            expose: (!settings.expose.is_empty()).then(|| names("expose", &settings.expose)).transpose()?,
            credentials: settings.credentials,
            max_age: max_age.duration().as_secs().to_string(),
        }))
    }
}

/// Who may; `None` for all.
fn origins(list: &[String]) -> Result<Option<Box<[Origin]>>, SettingsError> {
    if list.is_empty() {
        let error = SettingsError::at(["origins"], "it names nobody");
        return Err(
            error.suggest("name the sites, like `https://shop.example.com`; or leave the filter away")
        );
    }
    match list.iter().any(|origin| origin == "*") {
        true if list.len() > 1 => {
            let error = SettingsError::at(["origins"], "`*` stands for all of them");
            Err(error.suggest("leave the others away, or `*`"))
        }
        true => Ok(None),
        false => {
            let parsed = list.iter().map(|text| Origin::parse(text)).collect::<Result<Vec<_>, _>>();
            Ok(Some(parsed.map_err(|error| error.below("origins"))?.into()))
        }
    }
}

impl Names {
    fn build(list: &[String]) -> Result<Self, SettingsError> {
        if list.is_empty() {
            return Err(SettingsError::at([], "it names none").suggest("leave it away: then all may be used"));
        }
        // Methods are tokens as names of fields are.
        if let Some(name) = list.iter().find(|name| FieldName::new(&name.to_ascii_lowercase()).is_none()) {
            let error = SettingsError::at([], format!("`{}` is not the name of one", name.escape_debug()));
            return Err(error.suggest("one name for each element of the list"));
        }
        Ok(Self { each: list.into(), list: list.join(", ") })
    }

    fn has(&self, name: &[u8]) -> bool {
        self.each.iter().any(|each| each.as_bytes().eq_ignore_ascii_case(name))
    }
}

impl Sharing {
    fn takes(&self, origin: &[u8]) -> bool {
        self.origins.as_ref().is_none_or(|origins| origins.iter().any(|each| each.takes(origin)))
    }

    /// Whether a page of this site may make such a request; if not, why.
    fn check(&self, origin: &[u8], method: &[u8], asked: &Fields) -> Result<(), String> {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        if !self.takes(origin) {
            return Err(format!("pages of `{}` may make no requests here", shown(origin)));
        }
        if self.methods.as_ref().is_some_and(|methods| !methods.has(method)) {
            return Err(format!("pages of other sites may not use {} here", shown(method)));
        }
        let forbidden = |name: &&[u8]| self.headers.as_ref().is_some_and(|headers| !headers.has(name));
        let names = asked.find_all(ASKED_FIELDS).flat_map(|value| value.split(|byte| *byte == b','));
        let mut names = names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
        match names.find(forbidden) {
            Some(name) => Err(format!("pages of other sites may not set the header `{}` here", shown(name))),
            None => Ok(()),
        }
    }

    /// The answer to a browser that asks whether its page may.
    fn allow(&self, method: &[u8], asked: &Fields) -> Answer {
        let mut head = ResponseHead::new(204);
        let fields = head.fields_mut();
        fields.set(METHODS, self.methods.as_ref().map_or(method, |methods| methods.list.as_bytes()));
        match &self.headers {
            Some(headers) => fields.set(FIELDS, headers.list.as_bytes()),
            None => asked.find_all(ASKED_FIELDS).for_each(|names| fields.append(FIELDS, names)),
        }
        fields.set(MAX_AGE, self.max_age.as_bytes());
        fields.append("vary", b"access-control-request-method, access-control-request-headers");
        Answer { head, body: [].into() }
    }

    /// Says who may read an answer.
    fn share(&self, context: &RequestContext<'_>, fields: &mut Fields) {
        if self.origins.is_some() {
            // Caches must not give one site's answer to another.
            fields.append("vary", b"origin");
        }
        let Some(origin) = context.origin.filter(|origin| self.takes(origin)) else { return };
        fields.set(ORIGIN, if self.origins.is_some() { origin } else { b"*" });
        if self.credentials {
            fields.set(CREDENTIALS, b"true");
        }
        if let Some(expose) = &self.expose {
            fields.append(EXPOSE, expose.list.as_bytes());
        }
    }
}

impl Filter for Sharing {
    fn request_head(&self, context: &RequestContext<'_>, request: &mut RequestHead) -> Flow {
        if request.method() != Method::Options {
            return Flow::Continue;
        }
        let fields = request.fields();
        let Some((origin, method)) = context.origin.zip(fields.find(ASKED_METHOD)) else {
            return Flow::Continue;
        };
        match self.check(origin, method, fields) {
            Ok(()) => Flow::Answer(self.allow(method, fields)),
            Err(why) => Flow::Refuse(Reason::CrossOrigin, why),
        }
    }

    fn decides_in_responses(&self) -> Vec<FieldName> {
        SHARING.iter().filter_map(|name| FieldName::new(name)).collect()
    }

    fn response_head(&self, context: &RequestContext<'_>, response: &mut ResponseHead) {
        let fields = response.fields_mut();
        SHARING.iter().for_each(|name| {
            fields.remove(name);
        });
        self.share(context, fields);
    }

    fn failure_head(&self, context: &RequestContext<'_>, response: &mut ResponseHead) {
        self.share(context, response.fields_mut());
    }
}

#[cfg(test)]
mod tests;
