//! What an expression looks into: the data of an event, and where names lead in it.

use crate::json::{JsonError, Tree};
use std::collections::BTreeMap;

/// The deepest data that is read.
const MAX_DEPTH: usize = 127;

/// The data of an event, read once and looked into by any number of expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a>(Tree<'a>);

impl<'a> Facts<'a> {
    /// Reads the text of a JSON object. It is what was checked when the event was accepted (see [`crate::json::check`]):
    /// a key that comes twice is not looked for again, the first one counts.
    pub fn parse(data: &'a str) -> Result<Self, JsonError> {
        let tree = Tree::read(data, MAX_DEPTH)?;
        match tree {
            Tree::Object(_) => Ok(Self(tree)),
            _ => Err(JsonError::new("the data of an event must be a JSON object")),
        }
    }

    pub(super) fn tree(&self) -> &Tree<'a> {
        &self.0
    }
}

/// Where the first segment of a key leads: the members in which the rest of the key is looked for, in this order; `""` is
/// the top of the data. With `attribute → ["attributes", ""]`, the key `attribute.distance` leads to
/// `data.attributes.distance`, and if nothing or null is there, to `data.distance`. A first segment that is not in the map
/// is looked for as it is. Inside of `map`, `filter` and the like, where keys begin at an item, it has no meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub BTreeMap<String, Vec<String>>);
