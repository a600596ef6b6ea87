//! JSON: the members that OPENJSON and JSON_VALUE read, and base64 for its binary columns.

use rusqlite::types::Value;
use rusqlite::{Connection, Result};
use serde_json::Value as Json;

use super::PURE;
use crate::error::SqlError;

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("tds_isjson", 1, PURE, |ctx| {
        Ok(ctx.get::<Option<String>>(0)?.map(|text| {
            i64::from(serde_json::from_str::<Json>(&text).is_ok_and(|json| json.is_object() || json.is_array()))
        }))
    })?;
    connection.create_scalar_function("tds_json_checked", 1, PURE, |ctx| {
        let text: Option<String> = ctx.get(0)?;
        match text {
            Some(text) if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() => {
                Err(SqlError::new(13609, 16, 4, "JSON text is not properly formatted. Unexpected character is found.")
                    .into_sqlite())
            }
            text => Ok(text),
        }
    })?;
    // value and type of json_each, a path below it, whether objects and arrays are asked for.
    connection.create_scalar_function("tds_json", 4, PURE, |ctx| {
        let (value, kind, path): (Value, String, String) = (ctx.get(0)?, ctx.get(1)?, ctx.get(2)?);
        let as_json: bool = ctx.get(3)?;
        let element = match (kind.as_str(), value) {
            ("object" | "array", Value::Text(text)) => serde_json::from_str(&text).unwrap_or(Json::Null),
            (_, Value::Null) => Json::Null,
            ("true", _) => Json::Bool(true),
            ("false", _) => Json::Bool(false),
            (_, Value::Text(text)) => Json::String(text),
            (_, Value::Integer(number)) => Json::from(number),
            (_, Value::Real(number)) => Json::from(number),
            (_, Value::Blob(_)) => Json::Null,
        };
        Ok(member(&element, &path, as_json))
    })?;
    connection.create_scalar_function("tds_json_plain", 2, PURE, |ctx| {
        let (value, kind): (Value, String) = (ctx.get(0)?, ctx.get(1)?);
        Ok(match (kind.as_str(), value) {
            ("true", _) => Some("true".to_owned()),
            ("false", _) => Some("false".to_owned()),
            (_, Value::Text(text)) => Some(text),
            (_, Value::Integer(number)) => Some(number.to_string()),
            (_, Value::Real(number)) => Some(number.to_string()),
            _ => None,
        })
    })?;
    connection.create_scalar_function("tds_split", 2, PURE, |ctx| {
        Ok(match (ctx.get::<Option<String>>(0)?, ctx.get::<Option<String>>(1)?) {
            (Some(text), Some(separator)) if !separator.is_empty() => {
                let parts: Vec<Json> =
                    text.split(separator.as_str()).map(|part| Json::String(part.to_owned())).collect();
                Json::Array(parts).to_string()
            }
            _ => "[]".to_owned(),
        })
    })?;
    connection.create_scalar_function("tds_base64", 1, PURE, |ctx| {
        Ok(match ctx.get::<Option<String>>(0)? {
            Some(text) => decoded(&text).map_or(Value::Null, Value::Blob),
            None => Value::Null,
        })
    })
}

/// The text of a member; NULL where there is none, or where it is no scalar (or no object, where one is asked for).
fn member(element: &Json, path: &str, as_json: bool) -> Option<String> {
    let path = path.trim().trim_start_matches("lax ").trim();
    let mut rest = path.strip_prefix('$')?;
    let mut found = element;
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let (name, after) = match name.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find('"')?;
                    (quoted.get(..end)?, quoted.get(end + 1..)?)
                }
                None => {
                    let end = name.find(['.', '[']).unwrap_or(name.len());
                    (name.get(..end)?, name.get(end..)?)
                }
            };
            found = found.get(name)?;
            rest = after;
        } else {
            let (position, after) = rest.strip_prefix('[')?.split_once(']')?;
            found = found.get(position.parse::<usize>().ok()?)?;
            rest = after;
        }
    }
    match found {
        Json::Object(_) | Json::Array(_) => as_json.then(|| found.to_string()),
        _ if as_json => None,
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text
        .bytes()
        .filter(|byte| *byte != b'=')
        .map(|byte| {
            Some(u32::from(match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            }))
        })
        .collect();
    let mut bytes = Vec::new();
    for group in digits?.chunks(4) {
        let number = group.iter().fold(0, |number, digit| number << 6 | digit) << (6 * (4 - group.len()));
        let [_, a, b, c] = number.to_be_bytes();
        bytes.extend([a, b, c].iter().take((group.len() * 6) / 8));
    }
    Some(bytes)
}
