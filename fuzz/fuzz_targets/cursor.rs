//! See `tallystick_dialect_openmeter::fuzzing::cursor`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("cursor"), |bytes: &[u8]| {
    tallystick_dialect_openmeter::fuzzing::cursor(bytes);
});
