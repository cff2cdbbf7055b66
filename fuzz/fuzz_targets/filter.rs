//! See `tallystick_dialect_openmeter::fuzzing::filter`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("filter"), |bytes: &[u8]| {
    tallystick_dialect_openmeter::fuzzing::filter(bytes);
});
