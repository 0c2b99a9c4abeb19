//! The conditions of a route beyond host and path.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base_model::model::{CertificateMatch, CertificateTest, FieldMatch, Match, Route, ValuePattern};
use ipnet::IpNet;
use regex::bytes::Regex;

use crate::error::CompileError;
use crate::regexes::Regexes;
use crate::request::{CertificateView, RequestView};
use crate::values::{any_cookie_value, any_query_value};

/// One condition.
#[derive(Debug)]
pub(crate) enum Condition {
    Listener(Box<[usize]>),
    Method(Box<[Arc<str>]>),
    Client(Box<[IpNet]>),
    Certificate(CertificateCondition),
    Header(ValueCondition),
    Query(ValueCondition),
    Cookie(ValueCondition),
}

/// Asks something of the client's certificate.
#[derive(Debug)]
pub(crate) enum CertificateCondition {
    Absent,
    Shown(Box<[PartTest]>),
}

/// Asks something of a part of a certificate.
#[derive(Debug)]
pub(crate) enum PartTest {
    Subject(ValueTest),
    Issuer(ValueTest),
    Name(ValueTest),
    Fingerprint(Box<[Arc<str>]>),
}

/// Asks something of a named value. Where a name has several values, one that fits is enough.
#[derive(Debug)]
pub(crate) struct ValueCondition {
    name: Arc<str>,
    test: ValueTest,
}

#[derive(Debug)]
pub(crate) enum ValueTest {
    Exact(Arc<str>),
    Present,
    Absent,
    Regex(Regex),
}

/// The first condition that a route lost on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The host.
    Host,
    /// The path.
    Path,
    /// The listener.
    Listener,
    /// The method.
    Method,
    /// The client's address.
    Client,
    /// The client's certificate.
    Certificate,
    /// The header of this name.
    Header(Arc<str>),
    /// The query parameter of this name.
    Query(Arc<str>),
    /// The cookie of this name.
    Cookie(Arc<str>),
    /// None: all its conditions hold, but a route that goes before it took the request.
    Outranked {
        /// That route's index.
        by: usize,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Listener => f.write_str("listener"),
            Self::Method => f.write_str("method"),
            Self::Client => f.write_str("client"),
            Self::Certificate => f.write_str("client certificate"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Outranked { .. } => f.write_str("a more specific route"),
        }
    }
}

/// The conditions of a route, the cheap ones first.
pub(crate) fn compile(route: &Route, regexes: &mut Regexes) -> Result<Box<[Condition]>, CompileError> {
    let Match { methods, headers, query, cookies, client, certificate, .. } = &route.matches;
    let mut conditions = Vec::new();
    if !route.listeners.is_empty() {
        conditions.push(Condition::Listener(route.listeners.clone().into()));
    }
    if !methods.is_empty() {
        conditions.push(Condition::Method(methods.clone().into()));
    }
    if !client.is_empty() {
        conditions.push(Condition::Client(client.clone().into()));
    }
    if let Some(certificate) = certificate {
        conditions.push(Condition::Certificate(CertificateCondition::compile(certificate, route, regexes)?));
    }
    let mut add = |fields: &[FieldMatch], kind: fn(ValueCondition) -> Condition| {
        for field in fields {
            conditions.push(kind(ValueCondition::compile(field, route, regexes)?));
        }
        Ok(())
    };
    add(headers, Condition::Header)?;
    add(query, Condition::Query)?;
    add(cookies, Condition::Cookie)?;
    Ok(conditions.into())
}

impl Condition {
    pub(crate) fn holds(&self, request: &RequestView<'_>) -> bool {
        match self {
            Self::Listener(listeners) => listeners.contains(&request.listener),
            Self::Method(methods) => methods.iter().any(|method| method.as_bytes() == request.method),
            Self::Client(networks) => lies_in(request.client, networks),
            Self::Certificate(condition) => condition.holds(request.certificate.as_ref()),
            Self::Header(condition) => {
                condition.holds(|accept| request.fields.any_value(&condition.name, accept))
            }
            Self::Query(condition) => condition.holds(|accept| {
                request.query.is_some_and(|query| any_query_value(query, &condition.name, accept))
            }),
            Self::Cookie(condition) => {
                condition.holds(|accept| any_cookie_value(request.fields, &condition.name, accept))
            }
        }
    }

    /// What to say when it does not hold.
    pub(crate) fn loss(&self) -> Loss {
        match self {
            Self::Listener(_) => Loss::Listener,
            Self::Method(_) => Loss::Method,
            Self::Client(_) => Loss::Client,
            Self::Certificate(_) => Loss::Certificate,
            Self::Header(condition) => Loss::Header(condition.name.clone()),
            Self::Query(condition) => Loss::Query(condition.name.clone()),
            Self::Cookie(condition) => Loss::Cookie(condition.name.clone()),
        }
    }
}

/// An IPv4 client on a socket for both families is still an IPv4 client.
fn lies_in(client: IpAddr, networks: &[IpNet]) -> bool {
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}

impl CertificateCondition {
    fn compile(
        wanted: &CertificateMatch,
        route: &Route,
        regexes: &mut Regexes,
    ) -> Result<Self, CompileError> {
        let tests = match wanted {
            CertificateMatch::Absent => return Ok(Self::Absent),
            CertificateMatch::Shown(tests) => tests,
        };
        let mut compile = |pattern| ValueTest::compile(pattern, route, regexes);
        let tests = tests.iter().map(|test| {
            Ok(match test {
                CertificateTest::Subject(pattern) => PartTest::Subject(compile(pattern)?),
                CertificateTest::Issuer(pattern) => PartTest::Issuer(compile(pattern)?),
                CertificateTest::Name(pattern) => PartTest::Name(compile(pattern)?),
                CertificateTest::Fingerprint(all) => PartTest::Fingerprint(all.clone().into()),
            })
        });
        Ok(Self::Shown(tests.collect::<Result<_, CompileError>>()?))
    }

    fn holds(&self, certificate: Option<&CertificateView<'_>>) -> bool {
        match (self, certificate) {
            (Self::Absent, shown) => shown.is_none(),
            (Self::Shown(_), None) => false,
            (Self::Shown(tests), Some(certificate)) => tests.iter().all(|test| test.holds(certificate)),
        }
    }
}

impl PartTest {
    fn holds(&self, certificate: &CertificateView<'_>) -> bool {
        match self {
            Self::Subject(test) => test.holds(|accept| accept(certificate.subject.as_bytes())),
            Self::Issuer(test) => test.holds(|accept| accept(certificate.issuer.as_bytes())),
            Self::Name(test) => {
                test.holds(|accept| certificate.names.iter().any(|name| accept(name.as_bytes())))
            }
            Self::Fingerprint(all) => all.iter().any(|one| **one == *certificate.fingerprint),
        }
    }
}

impl ValueCondition {
    fn compile(field: &FieldMatch, route: &Route, regexes: &mut Regexes) -> Result<Self, CompileError> {
        Ok(Self { name: field.name.clone(), test: ValueTest::compile(&field.value, route, regexes)? })
    }

    /// `any_value` offers the values of the name until its argument takes one, and says whether it did.
    fn holds(&self, any_value: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        self.test.holds(any_value)
    }
}

impl ValueTest {
    fn compile(pattern: &ValuePattern, route: &Route, regexes: &mut Regexes) -> Result<Self, CompileError> {
        Ok(match pattern {
            ValuePattern::Exact(text) => Self::Exact(text.clone()),
            ValuePattern::Present => Self::Present,
            ValuePattern::Absent => Self::Absent,
            ValuePattern::Regex(pattern) => Self::Regex(regexes.anywhere(pattern, route)?),
        })
    }

    /// `any_value` offers values until its argument takes one, and says whether it did.
    fn holds(&self, any_value: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        match self {
            Self::Exact(text) => any_value(&mut |value| value == text.as_bytes()),
            Self::Present => any_value(&mut |_| true),
            Self::Absent => !any_value(&mut |_| true),
            Self::Regex(regex) => any_value(&mut |value| regex.is_match(value)),
        }
    }
}
