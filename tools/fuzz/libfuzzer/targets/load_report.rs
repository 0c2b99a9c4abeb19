#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::load_report::run(data));
