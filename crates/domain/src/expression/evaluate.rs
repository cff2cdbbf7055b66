//! Evaluation: what each part gives, and where keys lead.

use super::error::EvaluationError;
use super::facts::Names;
use super::operator::Operator;
use super::value::Value;
use super::{Outcome, Part};
use crate::json::Tree;
use std::borrow::Cow;

/// Members of an object that are looked through in one step.
const MEMBERS_PER_STEP: usize = 32;
/// Bytes of text that are looked through in one step.
const BYTES_PER_STEP: usize = 256;

/// What a part gives, or why it gives nothing.
pub(super) type Evaluated<'v> = Result<Value<'v>, EvaluationError>;

/// One evaluation.
pub(super) struct Run<'v> {
    facts: &'v Tree<'v>,
    names: &'v Names,
    allowed: u32,
    left: u32,
}

/// Where keys begin.
pub(super) enum Scope<'s, 'v> {
    /// At the data of the event.
    Facts,
    /// At an item of a list.
    Item(&'s Value<'v>),
    /// At an item and what `reduce` has so far.
    Fold { current: &'s Value<'v>, accumulator: &'s Value<'v> },
}

/// What a key leads to. A number of the data is not read yet.
enum Found<'v> {
    Data(&'v Tree<'v>),
    Made(Value<'v>),
}

impl<'v> Run<'v> {
    pub(super) fn new(facts: &'v Tree<'v>, names: &'v Names, steps: u32) -> Self {
        Self { facts, names, allowed: steps, left: steps }
    }

    /// Evaluates a whole expression.
    pub(super) fn outcome(mut self, root: &'v Part) -> Result<Outcome, EvaluationError> {
        let value = self.value(root, &Scope::Facts)?;
        Ok(match (&value, value.items()) {
            (_, Some(items)) => Outcome::List { items: items.len() },
            (Value::Null, _) => Outcome::Null,
            (Value::Bool(value), _) => Outcome::Bool(*value),
            (Value::Number(number), _) => Outcome::Number(*number),
            (value, _) => value.text().map_or(Outcome::Object, |text| Outcome::Text(text.into())),
        })
    }

    /// Evaluates one part.
    pub(super) fn value(&mut self, part: &'v Part, scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        self.spend(1)?;
        match part {
            Part::Null => Ok(Value::Null),
            Part::Bool(value) => Ok(Value::Bool(*value)),
            Part::Number(number) => Ok(Value::Number(*number)),
            Part::Text(text) => Ok(Value::Text(text)),
            Part::List(parts) => Value::list(self.values(parts, scope)?),
            Part::Operation { operator, operands } => self.operation(*operator, operands, scope),
        }
    }

    /// Takes steps from the budget.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), EvaluationError> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.left.checked_sub(steps));
        self.left = left.ok_or(EvaluationError::TooManySteps { allowed: self.allowed })?;
        Ok(())
    }

    /// Takes the steps for looking through text.
    pub(super) fn spend_text(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.spend(bytes / BYTES_PER_STEP)
    }

    fn values(&mut self, parts: &'v [Part], scope: &Scope<'_, 'v>) -> Result<Vec<Value<'v>>, EvaluationError> {
        parts.iter().map(|part| self.value(part, scope)).collect()
    }

    fn operation(&mut self, operator: Operator, operands: &'v [Part], scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        match operator {
            Operator::Var => self.variable(operands, scope),
            Operator::If => self.branch(operands, scope),
            Operator::And => self.first(operands, scope, false),
            Operator::Or => self.first(operands, scope, true),
            Operator::Map | Operator::Filter | Operator::All | Operator::Some | Operator::None => {
                self.each(operator, operands, scope)
            }
            Operator::Reduce => self.reduce(operands, scope),
            _ => {
                let values = self.values(operands, scope)?;
                self.apply(operator, &values, scope)
            }
        }
    }

    /// An operator whose operands are all evaluated first.
    fn apply(&mut self, operator: Operator, values: &[Value<'v>], scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        // The numbers of operands were checked when the expression was read.
        let operand = |position: usize| values.get(position).unwrap_or(&Value::Null);
        let (left, right) = (operand(0), operand(1));
        match operator {
            Operator::Missing => self.missing(values, scope),
            Operator::MissingSome => self.missing_some(left, right, scope),
            Operator::Not => Ok(Value::Bool(!left.is_truthy())),
            Operator::Truth => Ok(Value::Bool(left.is_truthy())),
            Operator::Equal => self.equal(left, right).map(Value::Bool),
            Operator::NotEqual => self.equal(left, right).map(|equal| Value::Bool(!equal)),
            Operator::StrictlyEqual => self.strictly_equal(left, right).map(Value::Bool),
            Operator::StrictlyNotEqual => self.strictly_equal(left, right).map(|equal| Value::Bool(!equal)),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                self.in_order(operator, values).map(Value::Bool)
            }
            Operator::Merge => self.merge(values),
            Operator::In => self.contains(left, right).map(Value::Bool),
            Operator::Cat => self.joined(values),
            Operator::Substr => self.substring(values),
            Operator::DurationOf => self.duration_of(left, right),
            Operator::DurationBetween => self.duration_between(left, right),
            Operator::DurationAs => self.duration_as(left, right),
            Operator::Log => Ok(left.clone()),
            _ => self.arithmetic(operator, values),
        }
    }

    /// `if`: pairs of a condition and what it gives, and perhaps what is given otherwise.
    fn branch(&mut self, operands: &'v [Part], scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        let mut pairs = operands.chunks_exact(2);
        for pair in &mut pairs {
            if self.value(&pair[0], scope)?.is_truthy() {
                return self.value(&pair[1], scope);
            }
        }
        pairs.remainder().first().map_or(Ok(Value::Null), |otherwise| self.value(otherwise, scope))
    }

    /// The first operand with a truth, or the last one; operands after it are not evaluated.
    fn first(&mut self, operands: &'v [Part], scope: &Scope<'_, 'v>, truth: bool) -> Evaluated<'v> {
        let mut value = Value::Null;
        for operand in operands {
            value = self.value(operand, scope)?;
            if value.is_truthy() == truth {
                break;
            }
        }
        Ok(value)
    }

    fn variable(&mut self, operands: &'v [Part], scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        let key = operands.first().map_or(Ok(Value::Null), |key| self.value(key, scope))?;
        match self.look(Operator::Var, &key, scope)? {
            Some(Found::Data(tree)) => Value::of(tree),
            Some(Found::Made(value)) => Ok(value),
            None => operands.get(1).map_or(Ok(Value::Null), |default| self.value(default, scope)),
        }
    }

    /// Those of the keys that lead to nothing, null or the empty text.
    fn missing(&mut self, values: &[Value<'v>], scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        let keys = match values.first().and_then(Value::items) {
            Some(items) => {
                self.spend(items.len())?;
                items.to_vec()?
            }
            None => values.to_vec(),
        };
        let mut missing = Vec::new();
        for key in keys {
            let is_missing = match self.look(Operator::Missing, &key, scope)? {
                None => true,
                Some(Found::Data(tree)) => matches!(tree, Tree::Text(text) if text.is_empty()),
                Some(Found::Made(value)) => value.text() == Some(""),
            };
            if is_missing {
                missing.push(key);
            }
        }
        Value::list(missing)
    }

    /// Nothing if enough of the keys lead to something, otherwise those that do not.
    fn missing_some(&mut self, needed: &Value<'v>, keys: &Value<'v>, scope: &Scope<'_, 'v>) -> Evaluated<'v> {
        let needed = self.whole_number(Operator::MissingSome, needed)?;
        let Some(items) = keys.items() else {
            return Err(unfit(Operator::MissingSome, "a list of keys", keys));
        };
        let missing = self.missing(std::slice::from_ref(keys), scope)?;
        let missing_count = missing.items().map_or(0, |missing| missing.len());
        match i128::try_from(items.len() - missing_count).is_ok_and(|present| present >= needed) {
            true => Value::list(Vec::new()),
            false => Ok(missing),
        }
    }

    fn look(
        &mut self,
        operator: Operator,
        key: &Value<'v>,
        scope: &Scope<'_, 'v>,
    ) -> Result<Option<Found<'v>>, EvaluationError> {
        let path: Cow<'_, str> = match key {
            Value::Null => "".into(),
            Value::Number(number) => number.to_string().into(),
            _ => key.text().ok_or_else(|| unfit(operator, "a key that is a text, a position or null", key))?.into(),
        };
        match scope {
            Scope::Facts => Ok(self.look_in_facts(&path)?.map(Found::Data)),
            Scope::Item(item) => self.look_in_value(item, &path),
            Scope::Fold { current, accumulator } => {
                let (first, rest) = path.split_once('.').unwrap_or((&path, ""));
                match first {
                    "current" => self.look_in_value(current, rest),
                    "accumulator" => self.look_in_value(accumulator, rest),
                    "" => Err(unfit(operator, "the key current or accumulator inside of reduce", key)),
                    _ => Ok(None),
                }
            }
        }
    }

    fn look_in_facts(&mut self, path: &str) -> Result<Option<&'v Tree<'v>>, EvaluationError> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let Some(members) = self.names.0.get(first) else { return self.look_in_tree(self.facts, path) };
        for member in members {
            self.spend(1)?;
            let base = if member.is_empty() { Some(self.facts) } else { self.member(self.facts, member)? };
            let found = base.map_or(Ok(None), |base| self.look_in_tree(base, rest))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn look_in_value(&mut self, value: &Value<'v>, path: &str) -> Result<Option<Found<'v>>, EvaluationError> {
        match value {
            Value::Data(tree) => Ok(self.look_in_tree(tree, path)?.map(Found::Data)),
            Value::Null => Ok(None),
            _ if path.is_empty() => Ok(Some(Found::Made(value.clone()))),
            Value::MadeList(items, _) => {
                let (first, rest) = path.split_once('.').unwrap_or((path, ""));
                self.spend(1)?;
                let item = first.parse::<usize>().ok().and_then(|position| items.get(position));
                item.map_or(Ok(None), |item| self.look_in_value(item, rest))
            }
            _ => Ok(None),
        }
    }

    /// What stands at a path, the longest keys first; null is as good as nothing.
    fn look_in_tree(&mut self, base: &'v Tree<'v>, path: &str) -> Result<Option<&'v Tree<'v>>, EvaluationError> {
        if path.is_empty() {
            return Ok(Some(base).filter(|tree| !matches!(tree, Tree::Null)));
        }
        if !matches!(base, Tree::Object(_) | Tree::List(_)) {
            return Ok(None);
        }
        let mut key = path;
        loop {
            if let Some(inner) = self.member(base, key)? {
                let rest = path.get(key.len() + 1..).unwrap_or_default();
                let found = self.look_in_tree(inner, rest)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            match key.rfind('.') {
                Some(end) => key = &key[..end],
                None => return Ok(None),
            }
        }
    }

    /// The member of an object, or the item of a list.
    fn member(&mut self, base: &'v Tree<'v>, key: &str) -> Result<Option<&'v Tree<'v>>, EvaluationError> {
        self.spend_text(key.len())?;
        match base {
            Tree::Object(members) => {
                self.spend(1 + members.len() / MEMBERS_PER_STEP)?;
                Ok(base.member(key))
            }
            Tree::List(items) => {
                self.spend(1)?;
                Ok(key.parse::<usize>().ok().and_then(|position| items.get(position)))
            }
            _ => Ok(None),
        }
    }

    /// A whole number, also as a text of one.
    pub(super) fn whole_number(&mut self, operator: Operator, value: &Value<'v>) -> Result<i128, EvaluationError> {
        let number = self.number(value)?.filter(|number| number.is_whole());
        number.map(|number| number.mantissa()).ok_or_else(|| unfit(operator, "a whole number", value))
    }
}

/// An operand for which an operator has no meaning.
pub(super) fn unfit(operator: Operator, wanted: &'static str, found: &Value<'_>) -> EvaluationError {
    EvaluationError::Operand { operator: operator.name(), wanted, found: found.shown() }
}
