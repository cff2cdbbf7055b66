//! Compares a body with the schema that the document publishes for it, and names every difference.

use super::faults::{Faults, InvalidParameter};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayItems, KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type,
};

const BODY: &str = "body";

/// Checks a body of type `T`.
pub(crate) fn body<T: ToSchema>(value: &Value, faults: &mut Faults) {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let checker = Checker { named: named.into_iter().collect() };
    checker.value("", value, &T::schema(), faults);
}

struct Checker {
    named: BTreeMap<String, RefOr<Schema>>,
}

impl Checker {
    fn value(&self, at: &str, value: &Value, schema: &RefOr<Schema>, faults: &mut Faults) {
        match schema {
            // A body of millions of faults costs no more than its reading.
            _ if faults.is_full() => {}
            RefOr::Ref(reference) => {
                let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
                if let Some(schema) = self.named.get(name) {
                    self.value(at, value, schema, faults);
                }
            }
            RefOr::T(Schema::Object(object)) => self.object_or_scalar(at, value, object, faults),
            RefOr::T(Schema::Array(array)) => self.array(at, value, array, faults),
            // What may be left out may be null too: the other alternative says what it is otherwise.
            RefOr::T(Schema::OneOf(one_of)) if !value.is_null() => {
                let others = one_of.items.iter().filter(|item| !is_null_type(item));
                others.for_each(|item| self.value(at, value, item, faults));
            }
            RefOr::T(Schema::OneOf(_) | Schema::AnyOf(_)) => {}
            RefOr::T(Schema::AllOf(all_of)) => all_of.items.iter().for_each(|item| self.value(at, value, item, faults)),
            RefOr::T(_) => {}
        }
    }

    fn object_or_scalar(&self, at: &str, value: &Value, object: &Object, faults: &mut Faults) {
        let allowed = types_of(&object.schema_type);
        if value.is_null() && allowed.contains(&Type::Null) {
            return;
        }
        let Some(wanted) = allowed.into_iter().find(|kind| *kind != Type::Null) else { return };
        match (wanted, value) {
            (Type::Object, Value::Object(_)) => self.members(at, value, object, faults),
            (Type::String, Value::String(text)) => string(at, text, object, faults),
            (Type::Boolean, Value::Bool(_)) | (Type::Number | Type::Integer, Value::Number(_)) => {}
            (wanted, _) => faults.add(wrong_type(at, &wanted)),
        }
    }

    fn members(&self, at: &str, value: &Value, object: &Object, faults: &mut Faults) {
        let Value::Object(members) = value else { return };
        if let Some(most) = object.max_properties.filter(|most| members.len() > *most) {
            faults.add(InvalidParameter::too_much(shown(at), BODY, "max_items", most, "have members,"));
        }
        for name in object.required.iter().filter(|name| !members.contains_key(*name)) {
            faults.add(InvalidParameter::new(joined(at, name), BODY, "required", "is missing"));
        }
        for (name, member) in members {
            let at = joined(at, name);
            match (object.properties.get(name), object.additional_properties.as_deref()) {
                (Some(schema), _) | (None, Some(AdditionalProperties::RefOr(schema))) => {
                    self.value(&at, member, schema, faults);
                }
                (None, Some(AdditionalProperties::FreeForm(false))) if !faults.is_full() => {
                    let known: Vec<_> = object.properties.keys().map(String::as_str).collect();
                    let reason = format!("there is no such field; known are: {}", known.join(", "));
                    faults.add(InvalidParameter::new(at, BODY, "unknown_property", reason));
                }
                (None, _) => {}
            }
        }
    }

    fn array(&self, at: &str, value: &Value, array: &Array, faults: &mut Faults) {
        if value.is_null() && types_of(&array.schema_type).contains(&Type::Null) {
            return;
        }
        let Value::Array(items) = value else {
            faults.add(wrong_type(at, &Type::Array));
            return;
        };
        if let Some(least) = array.min_items.filter(|least| items.len() < *least) {
            faults.add(InvalidParameter::too_little(shown(at), BODY, "min_items", least, "have items,"));
        }
        if let Some(most) = array.max_items.filter(|most| items.len() > *most) {
            faults.add(InvalidParameter::too_much(shown(at), BODY, "max_items", most, "have items,"));
        }
        if let ArrayItems::RefOrSchema(schema) = &array.items {
            for (index, item) in items.iter().enumerate() {
                self.value(&format!("{at}[{index}]"), item, schema, faults);
            }
        }
    }
}

fn string(at: &str, text: &str, object: &Object, faults: &mut Faults) {
    let count = text.chars().count();
    if let Some(words) = &object.enum_values {
        let choices: Vec<String> = words.iter().filter_map(|word| word.as_str().map(str::to_string)).collect();
        if !choices.iter().any(|choice| choice == text) {
            faults.add(InvalidParameter::choice(shown(at), BODY, choices));
        }
    }
    if let Some(least) = object.min_length.filter(|least| count < *least) {
        faults.add(InvalidParameter::too_little(shown(at), BODY, "min_length", least, "have characters,"));
    }
    if let Some(most) = object.max_length.filter(|most| count > *most) {
        faults.add(InvalidParameter::too_much(shown(at), BODY, "max_length", most, "have characters,"));
    }
    // A pattern that is none matches nothing: it must not let everything through.
    let fits = |pattern: &String| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
    if let Some(pattern) = object.pattern.as_ref().filter(|pattern| !fits(pattern)) {
        faults.add(InvalidParameter::new(shown(at), BODY, "matches_regex", format!("must match {pattern}")));
    }
    if matches!(object.format, Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        && let Err(error) = Instant::parse_rfc3339(text)
    {
        faults.add(InvalidParameter::new(shown(at), BODY, "is_date_time", error.to_string()));
    }
}

fn wrong_type(at: &str, wanted: &Type) -> InvalidParameter {
    let (rule, reason) = match wanted {
        Type::Object => ("is_object", "must be an object"),
        Type::Array => ("is_array", "must be a list"),
        Type::Boolean => ("is_boolean", "must be true or false"),
        Type::Integer => ("is_integer", "must be a whole number"),
        Type::Number => ("is_number", "must be a number"),
        Type::String | Type::Null => ("is_string", "must be a string"),
    };
    InvalidParameter::new(shown(at), BODY, rule, reason)
}

fn types_of(schema_type: &SchemaType) -> Vec<Type> {
    match schema_type {
        SchemaType::Type(one) => vec![one.clone()],
        SchemaType::Array(many) => many.clone(),
        SchemaType::AnyValue => vec![],
    }
}

fn is_null_type(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if types_of(&object.schema_type) == [Type::Null])
}

fn joined(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_string() } else { format!("{at}.{name}") }
}

fn shown(at: &str) -> &str {
    if at.is_empty() { BODY } else { at }
}
