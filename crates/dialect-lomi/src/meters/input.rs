//! What a request wants of a meter: read whole, then a definition or a revision.

use super::always;
use super::words::{Faults, Meaning, Words, default_aggregation, is_active};
use crate::body::Fields;
use crate::ids;
use crate::problem::Problem;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tallystick_domain::MeterId;
use tallystick_domain::json::{self, JsonObject};
use tallystick_domain::meter::{
    DescriptionUpdate, Meter, MeterDefinition, MeterRevision, MeterStatus, NewJudging, Rule,
};

/// Characters of a name.
const MAX_NAME: usize = 256;
/// Bytes of a slug before what tells it apart from another one.
const SLUG_BYTES: usize = 48;

/// What the request is about.
#[derive(Clone, Copy)]
pub(super) enum Known<'m> {
    /// A meter that is to be made.
    Nothing,
    /// A meter as it is.
    Meter(&'m Meter, &'m Words),
}

/// A meter as a request wants it, with what it leaves out.
pub(super) struct Input {
    words: Words,
    meaning: Meaning,
    /// Whether the filter or the aggregation is another one than before.
    is_new_rule: bool,
    id: Option<MeterId>,
    pub is_active: Option<bool>,
}

impl Input {
    /// Reads all fields; an error names every one that is wrong.
    pub(super) fn read(mut fields: Fields, known: Known<'_>) -> Result<Self, Problem> {
        let before = match known {
            Known::Nothing => None,
            Known::Meter(_, words) => Some(words),
        };
        let name = match before {
            None => fields.required_text("name", MAX_NAME),
            Some(words) => fields.text("name", MAX_NAME).unwrap_or_else(|| words.name.clone()),
        };
        if name.is_empty() {
            fields.fault("name", format!("must have 1 to {MAX_NAME} characters"));
        }
        let filter = fields.object("filter").or_else(|| before.map(|words| words.filter.clone())).unwrap_or_default();
        let aggregation = fields.object("aggregation").or_else(|| before.map(|words| words.aggregation.clone()));
        let aggregation = aggregation.unwrap_or_else(default_aggregation);
        let (filter, aggregation) = match known {
            // What another door's meter counts is only said again, in whatever order.
            Known::Meter(meter, words) if meter.judging.is_none() => {
                (as_before(filter, &words.filter), as_before(aggregation, &words.aggregation))
            }
            _ => (filter, aggregation),
        };
        let product_id = match before {
            Some(words) if !fields.has("product_id") => words.product_id.clone(),
            _ => fields.uuid("product_id").map(|id| ids::text(id.as_u128())),
        };
        let is_active = fields.boolean("is_active");
        let id = fields.uuid("meter_id").map(|id| MeterId::from_bits(id.as_u128()));
        let words = Words { name, filter, aggregation, product_id };
        let is_new_rule =
            before.is_none_or(|before| before.filter != words.filter || before.aggregation != words.aggregation);
        if let Known::Meter(meter, _) = known {
            check_change(&mut fields, meter, (is_new_rule, is_active, id));
        }
        let meaning = match Meaning::of(&words.filter, &words.aggregation) {
            Ok(meaning) => meaning,
            // What another door made may be said in words that nobody could send; it is not looked into.
            Err(_) if !is_new_rule => Meaning::none(),
            Err(faults) => return Err(refused(fields, faults)),
        };
        fields.finish()?;
        Ok(Self { words, meaning, is_new_rule, id, is_active })
    }

    pub(super) fn name(&self) -> &str {
        &self.words.name
    }

    /// The meter to create.
    pub(super) fn definition(&self, slug: String) -> Result<MeterDefinition, Problem> {
        let active_from = self.is_active.unwrap_or(true).then(always);
        Ok(MeterDefinition {
            id: self.id,
            slug,
            name: Some(self.words.name.clone()),
            description: None,
            aggregation: self.meaning.aggregation,
            event_type: self.meaning.code.clone().unwrap_or_else(|| self.words.name.clone()),
            event_from: None,
            value_property: None,
            judging: Some(NewJudging { rule: self.meaning.rule.clone(), active_from }),
            group_by: Default::default(),
            metadata: None,
            details: self.words.to_details(),
        })
    }

    /// What changes of a meter; `None` if nothing does.
    pub(super) fn revision(&self, meter: &Meter, before: &Words) -> Option<MeterRevision> {
        if self.words == *before {
            return None;
        }
        let is_draft = meter.judging.as_ref().is_some_and(|judging| judging.status() == MeterStatus::Draft);
        let is_renamed = self.words.name != before.name;
        let event_type = match &self.meaning.code {
            Some(code) if self.is_new_rule => Some(code.clone()),
            // The code of a meter that counted stays with it, so that a new name loses no usage.
            None if is_draft && (is_renamed || self.is_new_rule) => Some(self.words.name.clone()),
            _ => None,
        };
        let rule: Option<Rule> = self.is_new_rule.then(|| self.meaning.rule.clone());
        Some(MeterRevision {
            name: is_renamed.then(|| self.words.name.clone()),
            description: DescriptionUpdate::Keep,
            rule,
            aggregation: self.is_new_rule.then_some(self.meaning.aggregation),
            event_type,
            details: self.words.to_details(),
        })
    }
}

/// The object as it was before, if this one has the same members.
fn as_before(object: JsonObject, before: &JsonObject) -> JsonObject {
    let members = |object: &JsonObject| {
        let mut members = BTreeMap::new();
        let read = json::members(object.as_str(), &mut |name, value| {
            members.insert(name.to_string(), value.to_string());
        });
        read.map(|()| members).ok()
    };
    if members(&object) == members(before) { before.clone() } else { object }
}

/// Notes what cannot change of a meter.
fn check_change(fields: &mut Fields, meter: &Meter, (is_new_rule, wanted, id): (bool, Option<bool>, Option<MeterId>)) {
    if id.is_some_and(|id| id != meter.id) {
        fields.fault("meter_id", "cannot be changed");
    }
    if meter.judging.is_some() {
        return;
    }
    let reads = "another door made this meter, and it reads events whenever it is asked";
    if is_new_rule {
        let field = if fields.has("filter") { "filter" } else { "aggregation" };
        fields.fault(field, format!("{reads}: what it counts cannot be changed here"));
    }
    if wanted.is_some_and(|wanted| wanted != is_active(meter)) {
        fields.fault("is_active", format!("{reads}: it always counts; delete it to stop that"));
    }
}

fn refused(mut fields: Fields, faults: Faults) -> Problem {
    for (field, message) in faults {
        fields.fault(field, message);
    }
    fields.finish().err().unwrap_or_else(|| Problem::bad_request("the meter is not understood"))
}

/// The slug of a meter by its name, and another one for when an unlike name has the same slug.
pub(super) fn slugs(name: &str) -> [String; 2] {
    let mut plain = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            plain.push(c);
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
    }
    plain.truncate(SLUG_BYTES);
    let plain = plain.trim_end_matches('_');
    let plain = if plain.is_empty() { "meter" } else { plain };
    let hash: String = Sha256::digest(name).iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    [plain.to_string(), format!("{plain}_{hash}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_domain::meter::valid_slug;

    #[test]
    fn every_name_has_two_slugs_that_are_valid() {
        let long = "x".repeat(256);
        for (name, slug) in [
            ("api_calls", "api_calls"),
            ("API Calls!", "api_calls"),
            ("--a--b--", "a_b"),
            ("été", "t"),
            ("日本", "meter"),
            (&*long, &"x".repeat(48)),
        ] {
            let [plain, told_apart] = slugs(name);
            assert_eq!(plain, slug, "{name}");
            assert!(valid_slug(&plain) && valid_slug(&told_apart) && plain != told_apart, "{name}");
        }
        assert_ne!(slugs("API Calls")[1], slugs("api calls")[1]);
    }
}
