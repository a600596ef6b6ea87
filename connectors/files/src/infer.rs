//! What the texts of a CSV file are, and the values of JSON lines.
//!
//! A column is of a type only where every value of the whole file is written as that type writes it: `007` is a text, since a
//! number would be written `7`, and a person's key must not lose a digit.

use std::fs::File;
use std::io::{BufReader, Seek};

use arrow::array::AsArray;
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};

use crate::options::CsvHeader;

/// How a CSV file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CsvForm {
    pub delimiter: u8,
    pub header: CsvHeader,
}

/// What the values of a column could all be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Could {
    integer: bool,
    float: bool,
    boolean: bool,
    date: bool,
    timestamp: bool,
    any_value: bool,
}

impl Could {
    const ANYTHING: Self =
        Self { integer: true, float: true, boolean: true, date: true, timestamp: true, any_value: false };

    fn see(&mut self, text: &str) {
        self.any_value = true;
        self.integer &= text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
        self.float &= is_plain_float(text);
        self.boolean &= matches!(text, "true" | "false");
        self.date &= text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
        self.timestamp &= is_timestamp(text);
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            integer: self.integer && other.integer,
            float: self.float && other.float,
            boolean: self.boolean && other.boolean,
            date: self.date && other.date,
            timestamp: self.timestamp && other.timestamp,
            any_value: self.any_value || other.any_value,
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self { any_value: false, .. } => DataType::Utf8,
            Self { integer: true, .. } => DataType::Int64,
            Self { float: true, .. } => DataType::Float64,
            Self { boolean: true, .. } => DataType::Boolean,
            Self { date: true, .. } => DataType::Date32,
            Self { timestamp: true, .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Utf8,
        }
    }
}

/// Digits on both sides of a point, no more of them than a float keeps, and none that a number would not write.
fn is_plain_float(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number =
        !whole.is_empty() && all_digits(whole) && all_digits(fraction) && (whole == "0" || !whole.starts_with('0'));
    is_number && whole.len() + fraction.len() <= 15 && (!digits.contains('.') || !fraction.is_empty()) && text != "-0"
}

fn is_timestamp(text: &str) -> bool {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    text.len() >= 19
        && fraction.len() <= 6
        && formats.iter().any(|format| NaiveDateTime::parse_from_str(text, format).is_ok())
}

/// The names and possibilities of a CSV file's columns.
///
/// # Errors
/// Where the file is no CSV; without a word of it.
pub(crate) fn csv(file: &File, form: CsvForm) -> Result<Vec<(String, Could)>, String> {
    let wrong = |_: arrow::error::ArrowError| "it is not CSV as configured".to_owned();
    let reader = || {
        let mut copy = file.try_clone().map_err(|error| error.kind().to_string())?;
        copy.rewind().map_err(|error| error.kind().to_string())?;
        Ok::<_, String>(BufReader::new(copy))
    };
    let has_header = form.header == CsvHeader::Present;
    let format = arrow::csv::reader::Format::default().with_delimiter(form.delimiter).with_header(has_header);
    let (first, _) = format.infer_schema(reader()?, Some(1)).map_err(wrong)?;
    let fields: Vec<Field> =
        first.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let schema = std::sync::Arc::new(Schema::new(fields));
    let rows = ReaderBuilder::new(std::sync::Arc::clone(&schema))
        .with_delimiter(form.delimiter)
        .with_header(has_header)
        .build(reader()?)
        .map_err(wrong)?;
    let mut could = vec![Could::ANYTHING; schema.fields().len()];
    for batch in rows {
        let batch = batch.map_err(wrong)?;
        for (could, column) in could.iter_mut().zip(batch.columns()) {
            let texts = column.as_string::<i32>();
            texts.iter().flatten().filter(|text| !text.is_empty()).for_each(|text| could.see(text));
        }
    }
    Ok(schema.fields().iter().map(|field| field.name().clone()).zip(could).collect())
}

/// The columns of a file of JSON lines.
///
/// # Errors
/// Where a line is no object; without a word of it.
pub(crate) fn json(file: &File) -> Result<Schema, String> {
    let mut copy = file.try_clone().map_err(|error| error.kind().to_string())?;
    copy.rewind().map_err(|error| error.kind().to_string())?;
    let (schema, _) = arrow::json::reader::infer_json_schema(BufReader::new(copy), None)
        .map_err(|_| "a line of it is no JSON object, or a value is of several types".to_owned())?;
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> DataType {
        let mut could = Could::ANYTHING;
        texts.iter().for_each(|text| could.see(text));
        could.data_type()
    }

    #[test]
    fn only_what_every_value_is_written_as_is_a_type() {
        assert_eq!(of(&["1", "-20"]), DataType::Int64);
        assert_eq!(of(&["1", "2.5"]), DataType::Float64);
        assert_eq!(of(&["true", "false"]), DataType::Boolean);
        assert_eq!(of(&["2024-02-29"]), DataType::Date32);
        assert_eq!(of(&["2024-02-29T10:00:00.123456"]), DataType::Timestamp(TimeUnit::Microsecond, None));
        for text in [
            "007",
            "+1",
            "1e5",
            "1.",
            ".5",
            "-0",
            "2024-02-30",
            "9223372036854775808",
            "0.1234567890123456",
            "NaN",
            "True",
            "2024-02-29T10:00:00.1234567",
            "2024-2-9",
        ] {
            assert_eq!(of(&[text]), DataType::Utf8, "{text}");
        }
        assert_eq!(of(&[]), DataType::Utf8);
        assert_eq!(of(&["1", "x"]), DataType::Utf8);
    }
}
