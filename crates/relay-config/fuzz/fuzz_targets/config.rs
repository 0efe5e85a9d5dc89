#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| relay_config_fuzz::config::check(input));
