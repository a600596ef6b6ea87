#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "the other target has the rest")]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::parse(input));
