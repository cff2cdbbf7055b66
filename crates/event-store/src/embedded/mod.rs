//! The embedded store: one directory, no other process.

mod aggregate;
mod list;
mod row;
mod segment;
mod view;
