//! See `tallystick_dialect_openmeter::fuzzing::cloudevents_body`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("cloudevents_body"), |bytes: &[u8]| {
    tallystick_dialect_openmeter::fuzzing::cloudevents_body(bytes);
});
