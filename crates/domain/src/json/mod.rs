//! Reading event data without losing a digit: strict checks and single values by path, both on the text itself.

mod lookup;
mod members;
mod object;
mod scan;
mod strict;

pub use lookup::{Leaf, lookup};
pub use members::members;
pub use object::JsonObject;
pub use scan::{CheckedObject, Scanner};
pub use strict::{JsonError, check};
