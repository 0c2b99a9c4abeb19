//! Clients and backends that mean harm: each play is an attack, with a bystander who must not notice, a bound for the memory
//! that follows from the limits, and everything given back when it is over.

mod backends;
mod clients;
mod floods;
mod heads;
mod http2;
mod slowhttptest;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base_testkit::{Aya, Backend, Evidence, answer};

use crate::vitals::{Bystander, MIB, Vitals, wait_for_rest, wait_long};

/// What the workers keep for themselves, whoever attacks: 5.3 MiB of buffers and the memory of requests that are over, for each
/// of two workers, and pages of the program that are read when they are first needed.
const OWN_BYTES: u64 = 24 * MIB;
/// What a connection costs besides the bytes that it has sent: its task, its timer, and what the allocator rounds up.
const STATE_BYTES: u64 = 4 * 1024;

/// How late whoever's time is over may be let go: the attackers are slow to see it on a machine that they share with Aya. Without its
/// time a client would stay for ever.
const GRACE: Duration = Duration::from_secs(15);

/// An Aya under attack: routes `/bystander` to a sound backend of its own, and everything else to the pool `main`.
struct Siege {
    aya: Aya,
    sound: Backend,
    before: Vitals,
    bystander: Bystander,
    /// What else was seen.
    notes: String,
}

impl Siege {
    /// As [`crate::front_with`], and a bystander who begins to ask.
    fn lay(listener: &str, route: &str, pool: &str, backends: &[&Backend]) -> Self {
        Self::lay_at(&crate::config(listener, route, pool, backends))
    }

    /// The same before a server of another kind.
    fn lay_before(server: SocketAddr) -> Self {
        Self::lay_at(&crate::config_of("", "", "", &server.to_string()))
    }

    fn lay_at(text: &str) -> Self {
        let sound = Backend::answering(|_| answer(200, &[], "fine"));
        let text = text
            .replace("routes:\n", "routes:\n  - {match: {path: /bystander}, pool: sound}\n  - {match: {path: /own}, respond: {body: here}}\n")
            .replace("pools:\n", &format!("pools:\n  sound: {{endpoints: [{sound}]}}\n"));
        let aya = Aya::start(&text);
        (0..50).for_each(|_| assert_eq!(aya.get("/bystander").text(), "fine"));
        let before = Vitals::of(&aya);
        aya.forget_peak();
        let bystander = Bystander::start(&aya);
        Self { aya, sound, before, bystander, notes: String::new() }
    }

    /// Ends the attack: nobody else noticed it, no more memory was taken than `bytes` beyond what the workers keep, and everything
    /// was given back.
    fn lift(self, claim: &str, by: &'static str, bytes: u64, because: &str) {
        let Self { aya, sound, before, bystander, notes } = self;
        let calm = bystander.finish();
        let peak = aya.memory().peak;
        let after = wait_for_rest(&aya, &before);
        let (taken, bound) = (peak.saturating_sub(before.resident), bytes + OWN_BYTES);
        let kept = after.resident.saturating_sub(before.resident);
        let seen = format!(
            "{calm}; {notes}memory {:.1} MiB before, +{:.1} at the height, +{:.1} after (bound {:.0} MiB: {because}, and {} MiB that \
             the workers keep)",
            mib(before.resident),
            mib(taken),
            mib(kept),
            mib(bound),
            OWN_BYTES / MIB,
        );
        let served = calm.faults.is_empty();
        Evidence::of("hostile", by).claim(claim, served && taken <= bound, seen.as_str());
        println!("{claim}: {seen}");
        assert!(served, "the bystander suffered: {:?}; {seen}", calm.faults);
        assert!(taken <= bound, "more memory than stated: {seen}");
        drop(sound);
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// Connections that are made before it is waited for that they were accepted: the kernel's queue holds 4,096, and drops what is beyond.
const WAVE: usize = 1_000;

/// So many connections to Aya, as far as this process may have files open.
pub(crate) fn crowd(aya: &Aya, count: usize) -> Vec<TcpStream> {
    let allowed = base_testkit::raise_file_limit().saturating_sub(200);
    let (address, mut crowd) = (aya.listener("web"), Vec::new());
    let accepted = || aya.total("aya_connections_accepted_total", &[]);
    while crowd.len() < count.min(allowed) {
        let (wave, before) = (WAVE.min(count.min(allowed) - crowd.len()), accepted());
        crowd.extend((0..wave).map(|_| TcpStream::connect(address).expect("a connection is made")));
        wait_long("a wave to be accepted", || accepted() > before + wave as f64 - 0.5);
    }
    crowd
}
