//! The probes there are: one file each, one line each in [`ALL`].
//!
//! To add one: a variant of `base_model`'s `CheckKind` with its settings, a file beside the others with a type that
//! implements [`Probe`] and a unit struct that implements [`ProbeKind`]; a line in [`ALL`].

mod agent;
mod exec;
mod grpc;
mod http;
mod icmp;
mod tcp;
mod tls;
mod udp;

use std::sync::Arc;

use base_model::model::ActiveCheck;

use crate::probe::{Probe, ProbeKind, Unfit, UnfitCheck};

/// All kinds.
pub static ALL: &[&dyn ProbeKind] = &[
    &tcp::TcpKind,
    &tls::TlsKind,
    &http::HttpKind,
    &grpc::GrpcKind,
    &agent::AgentKind,
    &exec::ExecKind,
    &icmp::IcmpKind,
    &udp::UdpKind,
];

/// The name of a check's kind and its probe. A check that no kind can run fails always, and says why.
pub(crate) fn probe(check: &ActiveCheck) -> (&'static str, Arc<dyn Probe>) {
    for kind in ALL {
        let name = kind.info().name;
        match kind.build(check) {
            None => {}
            Some(Ok(probe)) => return (name, Arc::from(probe)),
            Some(Err(unfit)) => return (name, Arc::new(Unfit(unfit))),
        }
    }
    ("unknown", Arc::new(Unfit(UnfitCheck("there is no such kind".to_owned()))))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn kinds_introduce_themselves() {
        let names: HashSet<_> = ALL.iter().map(|kind| kind.info().name).collect();
        assert_eq!(names.len(), ALL.len());
        for kind in ALL {
            assert!(kind.info().summary.ends_with('.'), "{}", kind.info().name);
        }
    }
}
