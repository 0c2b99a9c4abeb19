//! `tls`: a TLS handshake with the endpoint comes to its end.

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, CheckKind, Offered, PoolTls};
use traffic_tls::{ClientTls, EndpointTls, connect_socket};

use crate::line::{Connection, Line};
use crate::probe::{Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck};

/// The kind.
pub(super) struct TlsKind;

impl ProbeKind for TlsKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "tls",
            summary: "A TLS handshake with the endpoint comes to its end, and its certificate is accepted as the pool's `tls` says; then the \
                      connection is closed.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        match &check.kind {
            CheckKind::Tls => Some(TlsProbe::new(check).map(|probe| Box::new(probe) as Box<dyn Probe>)),
            _ => None,
        }
    }
}

struct TlsProbe(ClientTls);

impl TlsProbe {
    fn new(check: &ActiveCheck) -> Result<Self, UnfitCheck> {
        let settings = check.tls.as_deref();
        settings.ok_or_else(|| UnfitCheck("the pool has no `tls`".to_owned())).and_then(tls_of).map(Self)
    }

    async fn ask(&self, target: &Target, line: &mut Line) -> Result<Passed, ProbeFailure> {
        dial(target, Some(&self.0), &mut line.tls, Offered::Http1).await.map(|_| Passed::Connected)
    }
}

impl Probe for TlsProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(async { self.ask(target, &mut Line::default()).await })
    }

    fn run_on<'probe>(&'probe self, target: &'probe Target, line: &'probe mut Line) -> ProbeFuture<'probe> {
        Box::pin(self.ask(target, line))
    }
}

/// What TLS needs of a pool's settings.
pub(super) fn tls_of(settings: &PoolTls) -> Result<ClientTls, UnfitCheck> {
    ClientTls::new(settings).map_err(|error| UnfitCheck(error.to_string()))
}

/// A new connection, over TLS if so wanted, where this is offered to be spoken. What the endpoint gave for coming back stays in `known`.
pub(super) async fn dial(
    target: &Target,
    tls: Option<&ClientTls>,
    known: &mut Option<EndpointTls>,
    offered: Offered,
) -> Result<Connection, ProbeFailure> {
    let socket = target.connect().await?;
    let Some(tls) = tls else { return Ok(Connection::Plain(socket)) };
    let tls = match known {
        Some(known) => known,
        none => {
            let tls = tls.endpoint(&target.host);
            none.insert(tls.map_err(|error| ProbeFailure::Unfit(error.to_string()))?)
        }
    };
    let connected = connect_socket(socket, tls, offered).await;
    connected.map(Box::new).map(Connection::Tls).map_err(|error| ProbeFailure::Tls(error.what))
}
