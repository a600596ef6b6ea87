//! A column compared with a list of texts, so that the column's own index serves.
//!
//! A short list is written out; a long one is one JSON array, which SQL Server reads as a table: a list of some thousands
//! makes it give up.

use arrow::datatypes::DataType;
use wayleave_connector_api::{Dialect, OutputColumn};

use super::text::{by_units, distinct_key, own_literal, text_column};
use super::{SqlServerDialect, cast, literal};
use crate::types::{Declared, MOST_BOUNDED_CHARACTERS, Units, server_type};

/// From this many texts on a list is handed over as JSON.
const LONGEST_WRITTEN_LIST: usize = 100;

const NOTHING: &str = "1 = 0";

pub(super) fn column_in_texts(quoted: &str, column: &OutputColumn, texts: &[String]) -> String {
    let words = column.source_type.as_deref().unwrap_or_default();
    match &column.data_type {
        DataType::Utf8 if words == "uniqueidentifier" => {
            let known: Vec<&str> = texts.iter().map(String::as_str).filter(|text| is_uuid(text)).collect();
            in_values(quoted, "uniqueidentifier", &known, |text| format!("CAST('{text}' AS uniqueidentifier)"))
        }
        DataType::Utf8 => in_texts(quoted, column, texts),
        integer @ (DataType::Int16 | DataType::Int32 | DataType::Int64) => {
            let name = if words == "tinyint" { "tinyint".to_owned() } else { server_type(integer).unwrap_or_default() };
            // What another integer type would have to hold turns the column into that type, and its index away.
            let range = match (name.as_str(), integer) {
                ("tinyint", _) => 0..=i64::from(u8::MAX),
                (_, DataType::Int16) => i64::from(i16::MIN)..=i64::from(i16::MAX),
                (_, DataType::Int32) => i64::from(i32::MIN)..=i64::from(i32::MAX),
                _ => i64::MIN..=i64::MAX,
            };
            let is_written = |text: &&str| {
                text.parse::<i64>().is_ok_and(|number| number.to_string() == *text && range.contains(&number))
            };
            let known: Vec<&str> = texts.iter().map(String::as_str).filter(is_written).collect();
            in_values(quoted, &name, &known, |text| format!("CAST({text} AS {name})"))
        }
        DataType::Decimal128(precision, 0) => {
            let name = format!("decimal({precision},0)");
            let is_written = |text: &&str| {
                let digits = text.strip_prefix('-').unwrap_or(text);
                text.parse::<i128>().is_ok_and(|number| number.to_string() == *text)
                    && digits.len() <= usize::from(*precision)
            };
            let known: Vec<&str> = texts.iter().map(String::as_str).filter(is_written).collect();
            in_values(quoted, &name, &known, |text| format!("CAST({text} AS {name})"))
        }
        _ => {
            let text = OutputColumn { source_type: None, data_type: DataType::Utf8, ..column.clone() };
            in_texts(&by_units(&cast(quoted, &DataType::Utf8)), &text, texts)
        }
    }
}

/// A column in values of its own type.
fn in_values(quoted: &str, type_name: &str, texts: &[&str], write: impl Fn(&str) -> String) -> String {
    if texts.is_empty() {
        return NOTHING.to_owned();
    }
    if texts.len() <= LONGEST_WRITTEN_LIST {
        let values: Vec<String> = texts.iter().map(|text| write(text)).collect();
        return format!("{quoted} IN ({})", values.join(", "));
    }
    format!("{quoted} IN (SELECT [j].[k] FROM {})", open_json(texts, type_name))
}

/// A text column in texts: by its own collation, which its index serves and which finds too many, and by their characters.
fn in_texts(quoted: &str, column: &OutputColumn, texts: &[String]) -> String {
    if texts.is_empty() {
        return NOTHING.to_owned();
    }
    let key = distinct_key(&read(quoted, column), column);
    let longest = texts.iter().map(|text| text.encode_utf16().count()).max().unwrap_or(0).max(1);
    let longest = u32::try_from(longest).unwrap_or(u32::MAX);
    let own = text_column(column);
    if texts.len() <= LONGEST_WRITTEN_LIST
        || longest > MOST_BOUNDED_CHARACTERS
        || texts.iter().any(|t| t.contains('\0'))
    {
        let keys: Vec<String> = texts.iter().map(|text| literal::text(&[text, "."].concat())).collect();
        let exact = format!("{key} IN ({})", keys.join(", "));
        let own: Option<Vec<String>> =
            own.and_then(|own| texts.iter().map(|text| own_literal(own.units, text)).collect());
        return match own {
            Some(values) => format!("{quoted} IN ({}) AND {exact}", values.join(", ")),
            None => exact,
        };
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let exact = format!(
        "{key} IN (SELECT {} FROM {})",
        by_units("([j].[k] + N'.')"),
        open_json(&texts, &format!("nvarchar({longest})"))
    );
    let own = own.and_then(|own| {
        let type_name = match own.units {
            Units::Unicode => format!("nvarchar({longest})"),
            Units::CodePage if texts.iter().all(|text| text.is_ascii()) => format!("varchar({longest})"),
            Units::CodePage => return None,
        };
        Some(format!("{quoted} IN (SELECT [j].[k] COLLATE {} FROM {})", own.collation?, open_json(&texts, &type_name)))
    });
    match own {
        Some(own) => format!("{own} AND {exact}"),
        None => exact,
    }
}

/// The texts as a table `j` of one column `k`.
fn open_json(texts: &[&str], type_name: &str) -> String {
    let items: Vec<String> = texts.iter().map(|text| json_text(text)).collect();
    let array = literal::text(&format!("[{}]", items.join(",")));
    format!("OPENJSON({array}) WITH ([k] {type_name} '$') AS [j]")
}

fn json_text(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if u32::from(control) < 0x20 => json.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// The one way in which SQL Server writes a uniqueidentifier; a text in any other way equals none.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'A'..=b'F'),
        })
}

/// A base column as a value, where that is not the column itself.
fn read(quoted: &str, column: &OutputColumn) -> String {
    match column.source_type.as_deref() {
        Some(words) if Declared::parse(words).text().is_none() => SqlServerDialect.read_column(quoted, column),
        _ => quoted.to_owned(),
    }
}
