//! A hundred thousand hosts.

use base_testkit::{Aya, Backend, Evidence, answer};

use super::{LISTENER, hosts, reload};
use crate::is_long;
use crate::vitals::{MIB, Vitals};

/// A hundred thousand routes by host are taken up while traffic flows, each leads where it should, and the memory they take is given
/// back with them.
#[test]
fn a_hundred_thousand_hosts() {
    // What is built without optimisation reads such a text in a minute.
    let count = if is_long() { 100_000 } else { 10_000 };
    let named = |name: &'static str| {
        Backend::answering(move |request| {
            answer(200, &[], if request.target == "/bystander" { "fine" } else { name })
        })
    };
    let (zero, one) = (named("p0"), named("p1"));
    let pools = format!("pools: {{p0: {{endpoints: [{zero}]}}, p1: {{endpoints: [{one}]}}}}\n");
    let text = |count: usize| format!("{LISTENER}{}{pools}", hosts(count, 2));
    let aya = Aya::start(&text(1));
    let before = Vitals::of(&aya);
    let first = reload(&aya, &text(count));
    let mut client = aya.client();
    for number in (0..count).step_by(count / 500) {
        client.send(format!("GET / HTTP/1.1\r\nHost: h{number}.play.test\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.text(), ["p0", "p1"][number % 2], "h{number}");
    }
    let height = Vitals::of(&aya);
    let second = reload(&aya, &text(count - 1));
    let last = reload(&aya, &text(1));
    let after = Vitals::of(&aya);
    let seen = format!(
        "{count} hosts: {first}; one host less: {second}; all taken away: {last}; memory {} → {} MiB, {} after",
        before.resident / MIB,
        height.resident / MIB,
        after.resident / MIB,
    );
    println!("{seen}");
    let claim = "a hundred thousand hosts (ten thousand in the short form) are taken up while traffic flows, and each leads where it should";
    Evidence::of("scale", file!()).claim(claim, true, seen);
}
