//! Grants in the shapes of the first version, by event subject, and of the second, by customer.

mod body;
pub(crate) mod handlers;
mod input;
pub(crate) mod list;

pub(crate) use input::GrantInput;
