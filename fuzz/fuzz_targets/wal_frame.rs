//! See `tallystick_event_store::fuzzing::wal_frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("wal_frame"), |bytes: &[u8]| {
    tallystick_event_store::fuzzing::wal_frame(bytes);
});
