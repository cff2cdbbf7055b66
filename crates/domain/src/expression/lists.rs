//! Lists: what is done with each of their items.

use super::Part;
use super::evaluate::{Evaluated, Run, Scope};
use super::operator::Operator;
use super::value::Value;

impl<'v> Run<'v> {
    /// `map filter all some none`: a list, and what is evaluated with each item.
    pub(super) fn each(&mut self, operator: Operator, operands: &'v [Part], scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        let [list, body] = operands else { return Ok(Value::Null) };
        let items = self.value(list, scope)?.items();
        let mut made = Vec::new();
        for position in 0..items.as_ref().map_or(0, |items| items.len()) {
            let item = items.as_ref().map_or(Ok(Value::Null), |items| items.at(position))?;
            let value = self.value(body, &Scope::Item(&item))?;
            match (operator, value.is_truthy()) {
                (Operator::Map, _) => made.push(value),
                (Operator::Filter, true) => made.push(item),
                (Operator::All, false) | (Operator::None, true) => return Ok(Value::Bool(false)),
                (Operator::Some, true) => return Ok(Value::Bool(true)),
                _ => {}
            }
        }
        match operator {
            Operator::Map | Operator::Filter => Value::list(made),
            Operator::All => Ok(Value::Bool(items.is_some_and(|items| items.len() > 0))),
            _ => Ok(Value::Bool(operator == Operator::None)),
        }
    }

    /// `reduce`: a list, what is evaluated with each item and what there is so far, and what there is at first.
    pub(super) fn reduce(&mut self, operands: &'v [Part], scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        let [list, body, first @ ..] = operands else { return Ok(Value::Null) };
        let items = self.value(list, scope)?.items();
        let mut accumulator = first.first().map_or(Ok(Value::Null), |first| self.value(first, scope))?;
        if let Some(items) = items {
            for position in 0..items.len() {
                let current = items.at(position)?;
                accumulator = self.value(body, &Scope::Fold { current: &current, accumulator: &accumulator })?;
            }
        }
        Ok(accumulator)
    }

    /// `merge`: the items of lists, and what is no list, in one list.
    pub(super) fn merge(&mut self, values: &[Value<'v>]) -> Evaluated<'v> {
        let mut merged: Vec<Value<'v>> = Vec::new();
        for value in values {
            match value.items() {
                None => merged.push(value.clone()),
                Some(items) => {
                    self.spend(items.len())?;
                    merged.extend(items.to_vec()?);
                }
            }
        }
        Value::list(merged)
    }
}
