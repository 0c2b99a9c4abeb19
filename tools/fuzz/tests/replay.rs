//! What the fuzzer has found worth keeping holds with the stable compiler too.

use std::fs;

use base_testkit::Evidence;
use fuzz::{TARGETS, corpus};

/// Of one target: what is kept is to be read.
const MAX_CORPUS_BYTES: u64 = 96 * 1024;

#[test]
fn the_corpora_hold() {
    let mut inputs = 0;
    for target in TARGETS {
        let corpus = corpus::load(target).unwrap();
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for (index, input) in corpus.iter().enumerate() {
            // Stands in the output if the next line fails.
            eprintln!("{}, input {index}: {}", target.name, input.escape_ascii());
            (target.run)(input);
        }
        inputs += corpus.len();
    }
    let mut evidence = Evidence::of("fuzz", file!());
    let claim = "What fuzzing has found worth keeping is replayed with the stable compiler, and holds";
    evidence.claim(claim, true, format!("{inputs} inputs over {} targets", TARGETS.len()));
}

#[test]
fn every_target_is_complete() {
    let home = corpus::home();
    let manifest = fs::read_to_string(home.join("libfuzzer/Cargo.toml")).unwrap();
    for target in TARGETS {
        let bytes = fs::metadata(corpus::place(target)).unwrap().len();
        assert!(bytes <= MAX_CORPUS_BYTES, "{} has {bytes} bytes: minimise it", target.name);
        assert!(home.join(format!("libfuzzer/targets/{}.rs", target.name)).is_file(), "{}", target.name);
        assert!(home.join(format!("dictionaries/{}.dict", target.name)).is_file(), "{}", target.name);
        assert!(manifest.contains(&format!("targets/{}.rs", target.name)), "{}", target.name);
    }
}
