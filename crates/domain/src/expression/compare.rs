//! Equality, loose and strict, and containment.

use super::error::EvaluationError;
use super::evaluate::{Run, unfit};
use super::operator::Operator;
use super::value::Value;
use crate::quantity::Quantity;

impl<'v> Run<'v> {
    /// `==`.
    pub(super) fn equal(&mut self, left: &Value<'v>, right: &Value<'v>) -> Result<bool, EvaluationError> {
        match (left, right) {
            (Value::Null, Value::Null) => return Ok(true),
            (Value::Null, _) | (_, Value::Null) => return Ok(false),
            (Value::Number(left), Value::Number(right)) => return Ok(left == right),
            (Value::Bool(left), Value::Bool(right)) => return Ok(left == right),
            (Value::Number(number), Value::Bool(flag)) | (Value::Bool(flag), Value::Number(number)) => {
                return Ok(*number == Quantity::from_count(u64::from(*flag)));
            }
            _ => {}
        }
        match (left, left.text(), right, right.text()) {
            (_, Some(left), _, Some(right)) => self.same_text(left, right),
            (Value::Number(number), _, _, Some(text)) | (_, Some(text), Value::Number(number), _) => {
                self.spend_text(text.len())?;
                Ok(is_number(text, *number))
            }
            (Value::Bool(flag), _, _, Some(text)) | (_, Some(text), Value::Bool(flag), _) => {
                Ok(*flag != text.is_empty())
            }
            _ => Ok(!left.is_truthy() && !right.is_truthy()),
        }
    }

    /// `===`: of one kind and equal.
    pub(super) fn strictly_equal(&mut self, left: &Value<'v>, right: &Value<'v>) -> Result<bool, EvaluationError> {
        match (left, right) {
            (Value::Null, Value::Null) => Ok(true),
            (Value::Number(left), Value::Number(right)) => Ok(left == right),
            (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
            _ => match (left.text(), right.text()) {
                (Some(left), Some(right)) => self.same_text(left, right),
                _ => Ok(false),
            },
        }
    }

    /// `in`: an item of a list, or a part of a text.
    pub(super) fn contains(&mut self, wanted: &Value<'v>, whole: &Value<'v>) -> Result<bool, EvaluationError> {
        if let Some(items) = whole.items() {
            for position in 0..items.len() {
                self.spend(1)?;
                if self.strictly_equal(wanted, &items.at(position)?)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let Some(text) = whole.text() else { return Ok(false) };
        self.spend_text(text.len())?;
        match (wanted, wanted.text()) {
            (_, Some(part)) => Ok(text.contains(part)),
            (Value::Number(number), _) => Ok(text.contains(&number.to_string())),
            (Value::Bool(flag), _) => Ok(text.contains(if *flag { "true" } else { "false" })),
            (Value::Null, _) => Ok(false),
            _ => Err(unfit(Operator::In, "a text, a number or a boolean to look for in a text", wanted)),
        }
    }

    fn same_text(&mut self, left: &str, right: &str) -> Result<bool, EvaluationError> {
        self.spend_text(left.len().min(right.len()))?;
        Ok(left == right)
    }
}

/// Whether a text is a number. One that cannot be held exactly is none that can, so it is another number.
fn is_number(text: &str, number: Quantity) -> bool {
    let is_blank = text.chars().all(char::is_whitespace);
    if is_blank { number.is_zero() } else { Quantity::parse(text) == Ok(number) }
}
