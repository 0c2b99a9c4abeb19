//! The scenarios lie in `tests/`: short plays in which real clients and servers meet a running Aya, one file per area, one
//! sentence per play that says what it proves.
//!
//! What always holds: nothing waits without a deadline, nothing sleeps to be on the safe side, every port is picked, every
//! play stands alone. What a play needs comes from `base-testkit`; nginx, curl, wrk and Python are the counterparts.
//!
//! `cargo nextest run -p scenarios` or `cargo test -p scenarios` runs them; the program is built when it is older than its
//! sources. Environment variables:
//!
//! | variable | what it does |
//! |---|---|
//! | `AYA_BIN` | the program to try, in place of the one of this build |
//! | `AYA_LONG=1` | plays under load take their long form: 20 kills, 100 reloads, ten minutes of chaos and of soaking, 100,000 hosts; the grid meets all origins |
//! | `AYA_PROVE` | the folder for what plays find, for `cargo xtask prove` |
//! | `AYA_SEED` | where the choices of the plays `chaos` and `differential` begin |
//! | `AYA_PYTHON_PACKAGES` | the folder with the package `websockets`; default: `python-packages` in the target folder, installed there when missing. The grid's servers in Python lie there too, but are not installed by the plays |
//!
//! To add a payload to the smuggling grid, write it into a file of `tests/grid/payloads`; the lines are explained in `tests/grid/table.rs`.

/// Bytes that look random and are the same in every run.
pub fn noise(count: usize, seed: u64) -> Vec<u8> {
    // Spread over all bits (by the golden ratio): of a small number the generator makes zeros at first.
    let mut state = (seed ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [first, ..] = state.to_be_bytes();
        first
    };
    (0..count).map(|_| next()).collect()
}

/// The body with which `origin` answers a request: made of the request's id and of what it brought, so that nobody else's answer
/// and no answer to other bytes passes for it.
pub fn answer_body(id: &str, brought: &[u8], count: usize) -> Vec<u8> {
    let seed = u64::from_str_radix(&base_testkit::checksum(brought), 16).unwrap_or_default();
    let own = u64::from_str_radix(&base_testkit::checksum(id.as_bytes()), 16).unwrap_or_default();
    noise(count, seed.rotate_left(17) ^ own)
}
