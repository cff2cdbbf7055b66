//! Texts: putting them together and taking parts of them.

use super::error::EvaluationError;
use super::evaluate::{Evaluated, Run, unfit};
use super::operator::Operator;
use super::value::Value;

/// The longest text that an expression makes, in bytes.
const MAX_TEXT_BYTES: usize = 16 * 1024;

impl<'v> Run<'v> {
    /// `cat`: what all operands are as text, one after the other.
    pub(super) fn joined(&mut self, values: &[Value<'v>]) -> Evaluated<'v> {
        let mut text = String::new();
        for value in values {
            self.write(Operator::Cat, value, &mut text)?;
        }
        Ok(Value::MadeText(text.into()))
    }

    /// `substr`: a part of a text, by characters.
    pub(super) fn substring(&mut self, values: &[Value<'v>]) -> Evaluated<'v> {
        let [source, start, length @ ..] = values else { return Ok(Value::Null) };
        let mut text = String::new();
        self.write(Operator::Substr, source, &mut text)?;
        let characters = i128::try_from(text.chars().count()).unwrap_or(i128::MAX);
        // Numbers have 96 bits at most, so none of these sums leaves 128.
        let from_start = |position: i128| if position < 0 { characters + position } else { position };
        let from = from_start(self.whole_number(Operator::Substr, start)?).clamp(0, characters);
        let to = match length.first() {
            None => characters,
            Some(length) => match self.whole_number(Operator::Substr, length)? {
                length if length < 0 => characters + length,
                length => from + length,
            },
        };
        let at_most = |count: i128| usize::try_from(count).unwrap_or(0);
        let part: String = text.chars().skip(at_most(from)).take(at_most(to.min(characters) - from)).collect();
        Ok(Value::MadeText(part.into()))
    }

    fn write(&mut self, operator: Operator, value: &Value<'v>, out: &mut String) -> Result<(), EvaluationError> {
        if let Some(items) = value.items() {
            for position in 0..items.len() {
                self.spend(1)?;
                if position > 0 {
                    self.append(",", out)?;
                }
                self.write(operator, &items.at(position)?, out)?;
            }
            return Ok(());
        }
        match (value, value.text()) {
            (_, Some(text)) => self.append(text, out),
            (Value::Number(number), _) => self.append(&number.to_string(), out),
            (Value::Bool(flag), _) => self.append(if *flag { "true" } else { "false" }, out),
            (Value::Null, _) => Ok(()),
            _ => Err(unfit(operator, "texts, numbers, booleans, nulls and lists of them", value)),
        }
    }

    fn append(&mut self, text: &str, out: &mut String) -> Result<(), EvaluationError> {
        if out.len() + text.len() > MAX_TEXT_BYTES {
            return Err(EvaluationError::TextTooLong { allowed: MAX_TEXT_BYTES });
        }
        self.spend_text(text.len())?;
        out.push_str(text);
        Ok(())
    }
}
