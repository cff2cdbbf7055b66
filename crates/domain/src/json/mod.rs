//! Reading event data without losing a digit: strict checks and single values by path, both on the text itself, and trees
//! in which numbers are still text.

mod lookup;
mod members;
mod object;
mod scan;
mod strict;
mod tree;

pub use lookup::{Leaf, lookup};
pub use members::members;
pub use object::JsonObject;
pub use scan::{CheckedObject, Scanner};
pub use strict::{JsonError, check};
pub use tree::Tree;
