//! See `tallystick_event_store::fuzzing::run`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("run"), |bytes: &[u8]| {
    tallystick_event_store::fuzzing::run(bytes);
});
