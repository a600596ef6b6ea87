//! Values as PostgreSQL's protocol carries them, as text and in binary.
//!
//! Source: PostgreSQL documentation, chapters "Data Types" and "Message Formats"; the send functions of its types. Numerics
//! keep every digit, which is why no type of 96 bits stands between.

use std::fmt::Write as _;
use std::ops::Range;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Schema, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use pgwire::api::Type;
use pgwire::messages::data::{FORMAT_CODE_BINARY, FieldDescription};

use super::arrays::array_element;
use crate::hexadecimal::to_hexadecimal;

/// Days from 1970-01-01, where Arrow counts from, to 2000-01-01, where PostgreSQL does.
pub(super) const EPOCH_DAYS: i32 = 10_957;
pub(super) const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// The type by which a column is announced. What PostgreSQL has no like of goes as text.
pub(super) fn type_of(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Type::INT2,
        DataType::Int32 | DataType::UInt16 => Type::INT4,
        DataType::Int64 | DataType::UInt32 => Type::INT8,
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => Type::NUMERIC,
        DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Binary => Type::BYTEA,
        DataType::Date32 => Type::DATE,
        DataType::Time64(TimeUnit::Microsecond) => Type::TIME,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::List(element) => array_of(&type_of(element.data_type())),
        _ => Type::TEXT,
    }
}

/// Types of elements, and of their arrays.
const ARRAYS: [(Type, Type); 17] = [
    (Type::BOOL, Type::BOOL_ARRAY),
    (Type::INT2, Type::INT2_ARRAY),
    (Type::INT4, Type::INT4_ARRAY),
    (Type::INT8, Type::INT8_ARRAY),
    (Type::NUMERIC, Type::NUMERIC_ARRAY),
    (Type::FLOAT4, Type::FLOAT4_ARRAY),
    (Type::FLOAT8, Type::FLOAT8_ARRAY),
    (Type::BYTEA, Type::BYTEA_ARRAY),
    (Type::DATE, Type::DATE_ARRAY),
    (Type::TIME, Type::TIME_ARRAY),
    (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
    (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
    (Type::TEXT, Type::TEXT_ARRAY),
    (Type::VARCHAR, Type::VARCHAR_ARRAY),
    (Type::NAME, Type::NAME_ARRAY),
    (Type::CHAR, Type::CHAR_ARRAY),
    (Type::OID, Type::OID_ARRAY),
];

/// The type of arrays of these; text for arrays of arrays, which go as they are shown.
fn array_of(element: &Type) -> Type {
    let found = ARRAYS.iter().find(|(of, _)| of == element);
    found.map_or(Type::TEXT, |(_, array)| array.clone())
}

/// The type of an array's elements.
pub(super) fn element_of(array: &Type) -> Option<Type> {
    ARRAYS.iter().find(|(_, of)| of == array).map(|(element, _)| element.clone())
}

/// A column's metadata that says the type it is announced by, where that is not the one of its values: its number.
pub(super) const ANNOUNCED: &str = "wayleave.postgres_type";

/// The type by which a column is announced.
pub(super) fn announced(field: &Field) -> Type {
    let said = field.metadata().get(ANNOUNCED).and_then(|oid| Type::from_oid(oid.parse().ok()?));
    said.unwrap_or_else(|| type_of(field.data_type()))
}

/// `atttypmod`: precision and scale as PostgreSQL packs those of `numeric`, else -1.
pub(super) fn modifier_of(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) if *scale >= 0 => {
            (i32::from(*precision) << 16 | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}

/// Bytes of a value where each has as many, else -1.
fn size_of(of: &Type) -> i16 {
    match *of {
        Type::BOOL => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        _ => -1,
    }
}

/// How each column of an answer is written: one format for all, or one each, as a `Bind` says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Formats(pub Vec<i16>);

impl Formats {
    pub fn binary() -> Self {
        Self(vec![FORMAT_CODE_BINARY])
    }

    pub fn is_binary(&self, column: usize) -> bool {
        let code = match self.0.as_slice() {
            [all] => Some(all),
            each => each.get(column),
        };
        code == Some(&FORMAT_CODE_BINARY)
    }
}

/// An answer's columns, as they are announced.
pub(super) fn fields(schema: &Schema, formats: &Formats) -> Vec<FieldDescription> {
    let described = schema.fields().iter().enumerate().map(|(column, field)| {
        let announced = announced(field);
        let format = i16::from(formats.is_binary(column));
        let modifier = modifier_of(field.data_type());
        FieldDescription::new(field.name().clone(), 0, 0, announced.oid(), size_of(&announced), modifier, format)
    });
    described.collect()
}

/// Writes rows of a batch as messages.
pub(super) struct RowWriter<'a> {
    columns: Vec<ColumnWriter<'a>>,
}

struct ColumnWriter<'a> {
    array: &'a dyn Array,
    is_binary: bool,
    /// For types that go as they are shown.
    shown: Option<ArrayFormatter<'a>>,
    /// For arrays.
    elements: Option<Elements<'a>>,
}

/// What an array's values are written by.
struct Elements<'a> {
    of: Type,
    /// `int2vector` and `oidvector`, which are written without braces and count from 0.
    is_vector: bool,
    writer: Box<ColumnWriter<'a>>,
}

impl<'a> RowWriter<'a> {
    /// # Errors
    /// A column's values cannot be shown.
    pub fn new(batch: &'a RecordBatch, formats: &Formats) -> Result<Self, ArrowError> {
        let schema = batch.schema_ref();
        let columns = batch.columns().iter().zip(schema.fields()).enumerate();
        let writers = columns.map(|(column, (array, field))| {
            ColumnWriter::new(array.as_ref(), &announced(field), formats.is_binary(column))
        });
        Ok(Self { columns: writers.collect::<Result<_, ArrowError>>()? })
    }

    /// Writes one row as a `DataRow`. `row` is one of the batch.
    pub fn write(&self, row: usize, out: &mut BytesMut) {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(i16::try_from(self.columns.len()).unwrap_or(i16::MAX));
        self.columns.iter().for_each(|column| column.write(row, out));
        set_length(out, start, out.len() - start);
    }
}

fn set_length(out: &mut BytesMut, at: usize, length: usize) {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

impl Elements<'_> {
    fn write(&self, places: Range<usize>, is_binary: bool, out: &mut BytesMut) {
        if is_binary {
            let count = i32::try_from(places.len()).unwrap_or(i32::MAX);
            let has_null = places.clone().any(|place| self.writer.array.is_null(place));
            out.put_i32(i32::from(count > 0));
            out.put_i32(i32::from(has_null));
            out.put_u32(self.of.oid());
            if count > 0 {
                out.put_i32(count);
                out.put_i32(i32::from(!self.is_vector));
            }
            places.for_each(|place| self.writer.write(place, out));
            return;
        }
        let (start, between, end) = if self.is_vector { ("", " ", "") } else { ("{", ",", "}") };
        out.put_slice(start.as_bytes());
        for (position, place) in places.enumerate() {
            out.put_slice(if position > 0 { between } else { "" }.as_bytes());
            if self.writer.array.is_null(place) {
                out.put_slice(b"NULL");
                continue;
            }
            let mut text = BytesMut::new();
            self.writer.text(place, &mut text);
            out.put_slice(array_element(&String::from_utf8_lossy(&text)).as_bytes());
        }
        out.put_slice(end.as_bytes());
    }
}

/// An array's value in this row.
macro_rules! value {
    ($column:expr, $row:expr, $kind:ty) => {
        $column.array.as_primitive::<$kind>().value($row)
    };
}

impl<'a> ColumnWriter<'a> {
    fn new(array: &'a dyn Array, announced: &Type, is_binary: bool) -> Result<Self, ArrowError> {
        const SHOWN: FormatOptions<'static> = FormatOptions::new();
        let elements = match array.as_list_opt::<i32>() {
            Some(list) if *announced != Type::TEXT => {
                let of = match *announced {
                    Type::OID_VECTOR => Type::OID,
                    Type::INT2_VECTOR => Type::INT2,
                    _ => element_of(announced).unwrap_or(Type::TEXT),
                };
                let writer = Box::new(Self::new(list.values().as_ref(), &of, is_binary)?);
                Some(Elements { of, is_vector: matches!(*announced, Type::INT2_VECTOR | Type::OID_VECTOR), writer })
            }
            _ => None,
        };
        let shown = (type_of(array.data_type()) == Type::TEXT && *array.data_type() != DataType::Utf8)
            .then(|| ArrayFormatter::try_new(array, &SHOWN));
        Ok(Self { array, is_binary, shown: shown.transpose()?, elements })
    }

    /// Writes a value behind its length.
    fn write(&self, row: usize, out: &mut BytesMut) {
        // An array of nothing but NULL has no mask that says so.
        if self.array.is_null(row) || *self.array.data_type() == DataType::Null {
            out.put_i32(-1);
            return;
        }
        let length_at = out.len();
        out.put_i32(0);
        match (&self.elements, self.is_binary) {
            (Some(elements), is_binary) => elements.write(self.places(row), is_binary, out),
            (None, true) => self.binary(row, out),
            (None, false) => self.text(row, out),
        }
        set_length(out, length_at, out.len() - length_at - 4);
    }

    /// Where an array's elements stand.
    fn places(&self, row: usize) -> Range<usize> {
        let offsets = self.array.as_list::<i32>().value_offsets();
        let place = |at: usize| offsets.get(at).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        place(row)..place(row + 1)
    }

    fn text(&self, row: usize, out: &mut BytesMut) {
        // Writing into memory does not fail.
        let _ = match self.array.data_type() {
            DataType::Boolean => out.write_str(if self.array.as_boolean().value(row) { "t" } else { "f" }),
            DataType::Float32 => {
                write_float(out, f64::from(value!(self, row, Float32Type)), &value!(self, row, Float32Type))
            }
            DataType::Float64 => write_float(out, value!(self, row, Float64Type), &value!(self, row, Float64Type)),
            DataType::Utf8 => out.write_str(self.array.as_string::<i32>().value(row)),
            DataType::Binary => {
                let bytes = self.array.as_binary::<i32>().value(row);
                write!(out, "\\x{}", to_hexadecimal(bytes))
            }
            DataType::Date32 => write_date(out, value!(self, row, Date32Type)),
            DataType::Timestamp(unit, zone) => {
                write_moment(out, self.microseconds(*unit, row), if zone.is_some() { "+00" } else { "" })
            }
            DataType::Time64(TimeUnit::Microsecond) => write_time(out, value!(self, row, Time64MicrosecondType)),
            _ => match self.number(row) {
                Some(number) => out.write_str(&number),
                None => self.shown.as_ref().map_or(Ok(()), |shown| write!(out, "{}", shown.value(row))),
            },
        };
    }

    fn binary(&self, row: usize, out: &mut BytesMut) {
        match self.array.data_type() {
            DataType::Boolean => out.put_u8(u8::from(self.array.as_boolean().value(row))),
            DataType::Int8 => out.put_i16(i16::from(value!(self, row, Int8Type))),
            DataType::UInt8 => out.put_i16(i16::from(value!(self, row, UInt8Type))),
            DataType::Int16 => out.put_i16(value!(self, row, Int16Type)),
            DataType::UInt16 => out.put_i32(i32::from(value!(self, row, UInt16Type))),
            DataType::Int32 => out.put_i32(value!(self, row, Int32Type)),
            DataType::UInt32 => out.put_i64(i64::from(value!(self, row, UInt32Type))),
            DataType::Int64 => out.put_i64(value!(self, row, Int64Type)),
            DataType::Float32 => out.put_f32(value!(self, row, Float32Type)),
            DataType::Float64 => out.put_f64(value!(self, row, Float64Type)),
            DataType::Utf8 => out.put_slice(self.array.as_string::<i32>().value(row).as_bytes()),
            DataType::Binary => out.put_slice(self.array.as_binary::<i32>().value(row)),
            DataType::Date32 => out.put_i32(value!(self, row, Date32Type).saturating_sub(EPOCH_DAYS)),
            DataType::Timestamp(unit, _) => {
                out.put_i64(self.microseconds(*unit, row).saturating_sub(i64::from(EPOCH_DAYS) * MICROSECONDS_A_DAY))
            }
            DataType::Time64(TimeUnit::Microsecond) => out.put_i64(value!(self, row, Time64MicrosecondType)),
            DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                put_numeric(out, &self.number(row).unwrap_or_default());
            }
            _ => self.text(row, out),
        }
    }

    /// A whole or decimal number, digit by digit.
    fn number(&self, row: usize) -> Option<String> {
        Some(match self.array.data_type() {
            DataType::Int8 => value!(self, row, Int8Type).to_string(),
            DataType::UInt8 => value!(self, row, UInt8Type).to_string(),
            DataType::Int16 => value!(self, row, Int16Type).to_string(),
            DataType::UInt16 => value!(self, row, UInt16Type).to_string(),
            DataType::Int32 => value!(self, row, Int32Type).to_string(),
            DataType::UInt32 => value!(self, row, UInt32Type).to_string(),
            DataType::Int64 => value!(self, row, Int64Type).to_string(),
            DataType::UInt64 => value!(self, row, UInt64Type).to_string(),
            DataType::Decimal128(..) => self.array.as_primitive::<Decimal128Type>().value_as_string(row),
            DataType::Decimal256(..) => self.array.as_primitive::<Decimal256Type>().value_as_string(row),
            _ => return None,
        })
    }

    /// From 1970 on; what PostgreSQL's microseconds cannot hold of a nanosecond is cut.
    fn microseconds(&self, unit: TimeUnit, row: usize) -> i64 {
        match unit {
            TimeUnit::Second => value!(self, row, TimestampSecondType).saturating_mul(1_000_000),
            TimeUnit::Millisecond => value!(self, row, TimestampMillisecondType).saturating_mul(1_000),
            TimeUnit::Microsecond => value!(self, row, TimestampMicrosecondType),
            TimeUnit::Nanosecond => value!(self, row, TimestampNanosecondType).div_euclid(1_000),
        }
    }
}

fn write_float(out: &mut BytesMut, value: f64, shortest: &dyn std::fmt::Display) -> std::fmt::Result {
    if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        write!(out, "{shortest}")
    }
}

/// `2026-01-31`, and before our era as PostgreSQL writes it; returns what stands behind the time then.
fn write_day(out: &mut BytesMut, day: NaiveDate) -> Result<&'static str, std::fmt::Error> {
    let (year, era) = if day.year() > 0 { (day.year(), "") } else { (1 - day.year(), " BC") };
    write!(out, "{year:04}-{:02}-{:02}", day.month(), day.day())?;
    Ok(era)
}

fn write_date(out: &mut BytesMut, days: i32) -> std::fmt::Result {
    match NaiveDate::from_epoch_days(days) {
        Some(day) => {
            let era = write_day(out, day)?;
            out.write_str(era)
        }
        None => out.write_str(if days > 0 { "infinity" } else { "-infinity" }),
    }
}

pub(super) fn write_moment(out: &mut BytesMut, microseconds: i64, zone: &str) -> std::fmt::Result {
    match DateTime::from_timestamp_micros(microseconds).map(|moment| moment.naive_utc()) {
        Some(moment) => {
            let era = write_day(out, moment.date())?;
            out.write_char(' ')?;
            write_time(out, microseconds.rem_euclid(MICROSECONDS_A_DAY))?;
            out.write_str(zone)?;
            out.write_str(era)
        }
        None => out.write_str(if microseconds > 0 { "infinity" } else { "-infinity" }),
    }
}

/// `13:45:00`, with no more digits of a second than there are.
fn write_time(out: &mut BytesMut, microseconds: i64) -> std::fmt::Result {
    let (seconds, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        write!(out, ".{}", digits.trim_end_matches('0'))?;
    }
    Ok(())
}

/// A decimal number as `numeric_send` writes it: digits to the base of 10,000.
pub(super) fn put_numeric(out: &mut BytesMut, text: &str) {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (0x4000, rest),
        None => (0, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let padded = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let mut groups: Vec<i16> = Vec::new();
    let fraction_padded = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let group = |four: &[u8]| four.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit.wrapping_sub(b'0')));
    groups.extend(padded.as_bytes().chunks(4).map(group));
    let mut weight = i16::try_from(groups.len()).unwrap_or(i16::MAX) - 1;
    groups.extend(fraction_padded.as_bytes().chunks(4).map(group));
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= i16::try_from(leading).unwrap_or(0);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_i16(i16::try_from(groups.len()).unwrap_or(i16::MAX));
    out.put_i16(weight);
    out.put_u16(if groups.is_empty() { 0 } else { sign });
    out.put_i16(i16::try_from(fraction.len()).unwrap_or(i16::MAX));
    groups.into_iter().for_each(|group| out.put_i16(group));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_postgresql_does() {
        let written = |write: &dyn Fn(&mut BytesMut) -> std::fmt::Result| {
            let mut out = BytesMut::new();
            write(&mut out).unwrap();
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(written(&|out| write_date(out, 0)), "1970-01-01");
        assert_eq!(written(&|out| write_date(out, -719_163)), "0001-12-31 BC");
        assert_eq!(written(&|out| write_date(out, 2_932_897)), "10000-01-01");
        assert_eq!(written(&|out| write_moment(out, -1, "+00")), "1969-12-31 23:59:59.999999+00");
        assert_eq!(written(&|out| write_moment(out, 1_500_000, "")), "1970-01-01 00:00:01.5");
        assert_eq!(written(&|out| write_float(out, f64::NEG_INFINITY, &0)), "-Infinity");
    }
}
