//! See `tallystick_event_store::fuzzing::manifest`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("manifest"), |bytes: &[u8]| {
    tallystick_event_store::fuzzing::manifest(bytes);
});
