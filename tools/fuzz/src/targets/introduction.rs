//! Introductions of the PROXY protocol.

use traffic_net::{Introduction, LONGEST_INTRODUCTION};

use super::split::lengths;

/// What a connection begins with.
pub fn run(data: &[u8]) {
    let whole = Introduction::parse(data);
    // As it grows: nothing is said until enough has come, and then the same.
    for length in lengths(data) {
        let begun = Introduction::parse(data.get(..length).unwrap_or_default());
        assert!(begun == Ok(None) || begun == whole, "{begun:?} of {length} bytes, {whole:?} of all");
    }
    match whole {
        Ok(Some(introduction)) => {
            assert!(introduction.length <= data.len().min(LONGEST_INTRODUCTION));
            // What follows is nobody's business.
            let alone = Introduction::parse(data.get(..introduction.length).unwrap_or_default());
            assert_eq!(alone, whole);
        }
        Ok(None) => assert!(data.len() < LONGEST_INTRODUCTION, "nobody may be kept waiting for ever"),
        Err(_) => {}
    }
}
