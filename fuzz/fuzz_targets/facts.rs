//! See `tallystick_event_store::fuzzing::facts`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("facts"), |bytes: &[u8]| {
    tallystick_event_store::fuzzing::facts(bytes);
});
