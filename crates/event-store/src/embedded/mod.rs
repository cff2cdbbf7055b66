//! The embedded store: one directory, no other process.

mod row;
