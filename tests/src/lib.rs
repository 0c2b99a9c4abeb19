//! The scenarios lie in `tests/`: short plays in which real clients and servers meet a running Aya, one file per area, one
//! sentence per play that says what it proves.
//!
//! What always holds: nothing waits without a deadline, nothing sleeps to be on the safe side, every port is picked.
//! What a play needs comes from `base-testkit`.
