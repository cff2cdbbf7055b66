//! Numbers: arithmetic and order.

use super::error::EvaluationError;
use super::evaluate::{Evaluated, Run};
use super::operator::Operator;
use super::value::{Value, number_of};
use crate::quantity::{Quantity, QuantityError};

impl<'v> Run<'v> {
    /// The number that a value is, also as a text of one.
    pub(super) fn number(&mut self, value: &Value<'v>) -> Result<Option<Quantity>, EvaluationError> {
        match (value, value.text()) {
            (Value::Number(number), _) => Ok(Some(*number)),
            (_, Some(text)) => {
                self.spend_text(text.len())?;
                number_of(text)
            }
            _ => Ok(None),
        }
    }

    /// `+ - * / % min max`: from the first operand to the last; null if one of them is no number.
    pub(super) fn arithmetic(&mut self, operator: Operator, values: &[Value<'v>]) -> Evaluated<'v> {
        let mut total = None;
        for value in values {
            let number = match operator {
                Operator::Plus | Operator::Times => self.first_number(value.clone())?,
                _ => self.number(value)?,
            };
            let Some(number) = number else { return Ok(Value::Null) };
            total = Some(match total {
                None => number,
                Some(total) => combined(operator, total, number)?,
            });
        }
        let is_negation = operator == Operator::Minus && values.len() == 1;
        let total = if is_negation { total.map(Quantity::negated) } else { total };
        Ok(total.map_or(Value::Null, Value::Number))
    }

    /// The number that a value is, or the first item of a list.
    fn first_number(&mut self, mut value: Value<'v>) -> Result<Option<Quantity>, EvaluationError> {
        while let Some(items) = value.items() {
            self.spend(1)?;
            value = items.at(0)?;
        }
        self.number(&value)
    }

    /// `< <= > >=` between two numbers or, one after the other, three.
    pub(super) fn in_order(&mut self, operator: Operator, values: &[Value<'v>]) -> Result<bool, EvaluationError> {
        let mut numbers = Vec::with_capacity(values.len());
        for value in values {
            let Some(number) = self.number(value)? else { return Ok(false) };
            numbers.push(number);
        }
        let fits = |left: &Quantity, right: &Quantity| match operator {
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            _ => left >= right,
        };
        Ok(numbers.windows(2).all(|pair| fits(&pair[0], &pair[1])))
    }
}

fn combined(operator: Operator, left: Quantity, right: Quantity) -> Result<Quantity, EvaluationError> {
    let by_zero = || EvaluationError::DivisionByZero { operator: operator.name() };
    let result: Result<Quantity, QuantityError> = match operator {
        Operator::Plus => left.plus(right),
        Operator::Minus => left.minus(right),
        Operator::Times => left.times(right),
        Operator::Divide => left.divided_by(right).ok_or_else(by_zero)?,
        Operator::Remainder => left.remainder(right).ok_or_else(by_zero)?,
        Operator::Min => Ok(left.min(right)),
        _ => Ok(left.max(right)),
    };
    result.map_err(|_| EvaluationError::OutOfRange { operator: operator.name() })
}
