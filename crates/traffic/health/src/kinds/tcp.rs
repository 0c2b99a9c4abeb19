//! `tcp`: the endpoint accepts a connection.

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, CheckKind};

use crate::probe::{Passed, Probe, ProbeFuture, ProbeKind, Target, UnfitCheck};

/// The kind.
pub(super) struct TcpKind;

impl ProbeKind for TcpKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "tcp",
            summary: "The endpoint accepts a connection, which is closed at once.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        matches!(check.kind, CheckKind::Tcp).then(|| Ok(Box::new(TcpProbe) as Box<dyn Probe>))
    }
}

struct TcpProbe;

impl Probe for TcpProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(async { target.connect().await.map(|_| Passed::Connected) })
    }
}
