//! A JSON Schema checked against a value, as far as our own schemas go: for tests that hold schemas and readers against each
//! other.

use serde_json::Value;

/// Where a value breaks a schema, as a path, or `None` where it keeps it.
pub fn breach(schema: &Value, value: &Value) -> Option<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found.into_iter().next()
}

/// A TOML text as an editor hands it to a schema.
pub fn of_toml(text: &str) -> Value {
    fn convert(value: &toml::Value) -> Value {
        match value {
            toml::Value::Datetime(moment) => Value::from(moment.to_string()),
            toml::Value::Array(items) => items.iter().map(convert).collect(),
            toml::Value::Table(table) => table.iter().map(|(name, value)| (name.clone(), convert(value))).collect(),
            toml::Value::String(text) => Value::from(text.as_str()),
            toml::Value::Integer(number) => Value::from(*number),
            toml::Value::Float(number) => Value::from(*number),
            toml::Value::Boolean(flag) => Value::from(*flag),
        }
    }
    convert(&toml::Value::Table(text.parse().unwrap()))
}

const KNOWN: [&str; 22] = [
    "$schema",
    "$id",
    "title",
    "description",
    "examples",
    "format",
    "type",
    "additionalProperties",
    "required",
    "properties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "enum",
    "const",
    "pattern",
    "minimum",
    "maximum",
    "items",
];

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let Some(object) = schema.as_object() else {
        if schema == &Value::Bool(false) {
            found.push(format!("{path}: nothing may stand here"));
        }
        return;
    };
    let keeps = |schema: &Value| breach(schema, value).is_none();
    for (word, said) in object {
        let fits = match word.as_str() {
            "type" => {
                let kinds: Vec<&str> = match said {
                    Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
                    kind => vec![kind.as_str().unwrap()],
                };
                kinds.iter().any(|kind| match *kind {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("{other}"),
                })
            }
            "required" => value.as_object().is_none_or(|object| {
                said.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = said.get(key) {
                        check(schema, inner, &format!("{path}/{key}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                let named = object.get("properties").and_then(Value::as_object);
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if named.is_none_or(|named| !named.contains_key(key)) {
                        check(said, inner, &format!("{path}/{key}"), found);
                    }
                }
                true
            }
            "items" => {
                for (position, inner) in value.as_array().into_iter().flatten().enumerate() {
                    check(said, inner, &format!("{path}/{position}"), found);
                }
                true
            }
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= said.as_u64().unwrap()),
            "uniqueItems" => value
                .as_array()
                .is_none_or(|items| items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))),
            "enum" => said.as_array().unwrap().contains(value),
            "const" => said == value,
            "minimum" => value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap()),
            "pattern" => {
                let pattern = said.as_str().unwrap();
                value.as_str().is_none_or(|text| match pattern {
                    "\\S" => !text.trim().is_empty(),
                    "^.+\\..+\\..+$" => text.split('.').filter(|part| !part.is_empty()).count() >= 3,
                    "^[^@/]+@[^@/]+/[^@/]+$" => text.contains('@') && text.contains('/'),
                    other => panic!("the pattern {other}"),
                })
            }
            "not" => !keeps(said),
            "anyOf" => said.as_array().unwrap().iter().any(keeps),
            "oneOf" => said.as_array().unwrap().iter().filter(|schema| keeps(schema)).count() == 1,
            "allOf" => said.as_array().unwrap().iter().all(keeps),
            "if" => !keeps(said) || keeps(&object["then"]),
            known => {
                assert!(KNOWN.contains(&known), "the schema says `{known}`, which this check does not know");
                true
            }
        };
        if !fits {
            found.push(format!("{path}: {word}"));
        }
    }
}
