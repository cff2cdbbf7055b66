//! From JSON to the parts of an expression. Whatever can be refused without an event is refused here.

use super::error::{ExpressionError, shortened};
use super::operator::{Operator, in_words};
use super::{ExpressionLimits, Part};
use crate::json::{Tree, check};
use crate::quantity::Quantity;
use std::fmt::Write;

/// Reads a text into its parts.
pub(super) fn parse(text: &str, limits: &ExpressionLimits) -> Result<Part, ExpressionError> {
    if text.len() > limits.bytes {
        return Err(ExpressionError::TooLong { bytes: text.len(), allowed: limits.bytes });
    }
    let depth = limits.depth.min(ExpressionLimits::MAX_DEPTH);
    let read = check(text, depth).and_then(|()| Tree::read(text, depth));
    let tree = read.map_err(|error| match error.is_too_deep() {
        true => ExpressionError::TooDeep { allowed: depth },
        false => ExpressionError::NotJson(error),
    })?;
    Reader { allowed: limits.nodes, nodes: 0, place: "$".into() }.part(&tree)
}

struct Reader {
    allowed: usize,
    nodes: usize,
    /// Where in the text the reader is.
    place: String,
}

impl Reader {
    fn part(&mut self, tree: &Tree<'_>) -> Result<Part, ExpressionError> {
        self.nodes += 1;
        if self.nodes > self.allowed {
            return Err(ExpressionError::TooManyNodes { allowed: self.allowed });
        }
        Ok(match tree {
            Tree::Null => Part::Null,
            Tree::Bool(value) => Part::Bool(*value),
            Tree::Text(text) => Part::Text(text.as_ref().into()),
            Tree::Number(digits) => Part::Number(Quantity::parse(digits).map_err(|reason| {
                ExpressionError::Number { place: self.place.clone(), digits: shortened(digits), reason }
            })?),
            Tree::List(items) => Part::List(self.parts(items)?),
            Tree::Object(members) => match members.as_slice() {
                [(name, operands)] => self.operation(name, operands)?,
                _ => return Err(ExpressionError::NotOneOperator { place: self.place.clone(), members: members.len() }),
            },
        })
    }

    fn parts(&mut self, items: &[Tree<'_>]) -> Result<Box<[Part]>, ExpressionError> {
        let here = self.place.len();
        let mut parts = Vec::with_capacity(items.len().min(self.allowed));
        for (index, item) in items.iter().enumerate() {
            // Writing into a text cannot fail.
            let _ = write!(self.place, "[{index}]");
            parts.push(self.part(item)?);
            self.place.truncate(here);
        }
        Ok(parts.into())
    }

    fn operation(&mut self, name: &str, operands: &Tree<'_>) -> Result<Part, ExpressionError> {
        let Some((operator, name, allowed)) = Operator::named(name) else { return Err(self.unknown(name)) };
        let here = self.place.len();
        self.place.push('.');
        self.place.push_str(name);
        let operands = match operands {
            Tree::List(items) => self.parts(items)?,
            single => Box::new([self.part(single)?]),
        };
        if !allowed.contains(&operands.len()) {
            let (place, found) = (self.place.clone(), operands.len());
            return Err(ExpressionError::Operands { place, name, allowed: in_words(&allowed), found });
        }
        self.check_keys(operator, &operands)?;
        self.place.truncate(here);
        Ok(Part::Operation { operator, operands })
    }

    fn unknown(&self, name: &str) -> ExpressionError {
        let (place, name, is_unsettled) = (self.place.clone(), shortened(name), Operator::is_unsettled(name));
        match is_unsettled {
            true => ExpressionError::Unsettled { place, name },
            false => ExpressionError::UnknownOperator { place, name, known: Operator::names() },
        }
    }

    /// Keys that are written out are texts, positions or null; others are seen when there is an event.
    fn check_keys(&self, operator: Operator, operands: &[Part]) -> Result<(), ExpressionError> {
        let keys = match (operator, operands) {
            (Operator::Var, [key, ..]) => std::slice::from_ref(key),
            (Operator::Missing, [Part::List(keys), ..]) | (Operator::MissingSome, [_, Part::List(keys)]) => keys,
            (Operator::Missing, keys) => keys,
            _ => &[],
        };
        let wrong = keys.iter().find_map(|key| match key {
            Part::Bool(_) => Some("a boolean"),
            Part::List(_) => Some("a list"),
            _ => None,
        });
        wrong.map_or(Ok(()), |found| Err(ExpressionError::Key { place: self.place.clone(), found }))
    }
}
