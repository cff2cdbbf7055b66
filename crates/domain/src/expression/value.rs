//! What parts of an expression give.

use super::error::{EvaluationError, shortened};
use crate::json::Tree;
use crate::quantity::{Quantity, QuantityError};
use std::rc::Rc;

/// How deep lists that an expression makes may nest. It bounds the stack that dropping them takes.
const MAX_LIST_DEPTH: u32 = 32;

/// A value, borrowed from the expression or the event wherever it stands there as it is.
#[derive(Clone, Debug)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Number(Quantity),
    Text(&'v str),
    MadeText(Rc<str>),
    /// A list or an object of the event.
    Data(&'v Tree<'v>),
    MadeList(Rc<[Value<'v>]>, u32),
}

/// A list's items, wherever they are.
pub(super) enum Items<'v> {
    Data(&'v [Tree<'v>]),
    Made(Rc<[Value<'v>]>),
}

impl<'v> Value<'v> {
    /// What stands in the event's data.
    pub(super) fn of(tree: &'v Tree<'v>) -> Result<Self, EvaluationError> {
        Ok(match tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(digits) => Value::Number(Quantity::parse(digits).map_err(|_| out_of_range(digits))?),
            Tree::Text(text) => Value::Text(text),
            Tree::List(_) | Tree::Object(_) => Value::Data(tree),
        })
    }

    /// A list that an expression makes.
    pub(super) fn list(items: Vec<Value<'v>>) -> Result<Self, EvaluationError> {
        let depth_of = |item: &Value<'v>| if let Value::MadeList(_, depth) = item { *depth } else { 0 };
        let depth = 1 + items.iter().map(depth_of).max().unwrap_or(0);
        match depth <= MAX_LIST_DEPTH {
            true => Ok(Value::MadeList(items.into(), depth)),
            false => Err(EvaluationError::ListTooDeep { allowed: MAX_LIST_DEPTH }),
        }
    }

    /// JSON-Logic's truth: `null`, `false`, zero, the empty text and the empty list are false. `"0"` and `{}` are true.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(number) => !number.is_zero(),
            Value::Text(text) => !text.is_empty(),
            Value::MadeText(text) => !text.is_empty(),
            Value::Data(Tree::List(items)) => !items.is_empty(),
            Value::Data(_) => true,
            Value::MadeList(items, _) => !items.is_empty(),
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::MadeText(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub(super) fn items(&self) -> Option<Items<'v>> {
        match self {
            Value::Data(Tree::List(items)) => Some(Items::Data(items)),
            Value::MadeList(items, _) => Some(Items::Made(items.clone())),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Value::Null => "null".into(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(_) | Value::MadeText(_) => format!("the text {:?}", shortened(self.text().unwrap_or_default())),
            Value::Data(Tree::List(_)) | Value::MadeList(..) => "a list".into(),
            Value::Data(_) => "an object".into(),
        }
    }
}

impl<'v> Items<'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Items::Data(items) => items.len(),
            Items::Made(items) => items.len(),
        }
    }

    /// The item at a position; null beyond the end.
    pub(super) fn at(&self, position: usize) -> Result<Value<'v>, EvaluationError> {
        match self {
            Items::Data(items) => items.get(position).map_or(Ok(Value::Null), Value::of),
            Items::Made(items) => Ok(items.get(position).cloned().unwrap_or(Value::Null)),
        }
    }

    /// All items; whoever asks has taken the steps for them.
    pub(super) fn to_vec(&self) -> Result<Vec<Value<'v>>, EvaluationError> {
        (0..self.len()).map(|position| self.at(position)).collect()
    }
}

/// The number of a text: none if it is no number, an error if it is one that cannot be held exactly.
pub(super) fn number_of(text: &str) -> Result<Option<Quantity>, EvaluationError> {
    match Quantity::parse(text) {
        Ok(number) => Ok(Some(number)),
        Err(QuantityError::NotANumber) => Ok(None),
        Err(QuantityError::OutOfRange) => Err(out_of_range(text)),
    }
}

fn out_of_range(digits: &str) -> EvaluationError {
    EvaluationError::NumberOutOfRange { digits: shortened(digits) }
}
