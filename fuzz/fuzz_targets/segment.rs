//! See `tallystick_event_store::fuzzing::segment`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("segment"), |bytes: &[u8]| {
    tallystick_event_store::fuzzing::segment(bytes);
});
