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
//! | `AYA_LONG=1` | plays under load take their long form: 20 kills, 100 reloads; the grid meets all origins |
//! | `AYA_SEED` | where the choices of the plays `chaos` and `differential` begin |
//! | `AYA_PYTHON_PACKAGES` | the folder with the package `websockets`; default: `python-packages` in the target folder, installed there when missing. The grid's servers in Python lie there too, but are not installed by the plays |
//!
//! To add a payload to the smuggling grid, write it into a file of `tests/grid/payloads`; the lines are explained in `tests/grid/table.rs`.
