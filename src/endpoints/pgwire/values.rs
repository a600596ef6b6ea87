//! Values as PostgreSQL's protocol carries them, as text and in binary.
//!
//! Source: PostgreSQL documentation, chapters "Data Types" and "Message Formats"; the send functions of its types. Numerics
//! keep every digit, which is why no type of 96 bits stands between.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Schema, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use pgwire::api::Type;
use pgwire::messages::data::{FORMAT_CODE_BINARY, FieldDescription};

use crate::hexadecimal::{from_hexadecimal, to_hexadecimal};

/// Days from 1970-01-01, where Arrow counts from, to 2000-01-01, where PostgreSQL does.
const EPOCH_DAYS: i32 = 10_957;
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

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
        _ => Type::TEXT,
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
        let announced = type_of(field.data_type());
        let format = i16::from(formats.is_binary(column));
        // As PostgreSQL packs `numeric(precision, scale)`.
        let modifier = match field.data_type() {
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) if *scale >= 0 => {
                (i32::from(*precision) << 16 | i32::from(*scale)) + 4
            }
            _ => -1,
        };
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
}

impl<'a> RowWriter<'a> {
    /// # Errors
    /// A column's values cannot be shown.
    pub fn new(batch: &'a RecordBatch, formats: &Formats) -> Result<Self, ArrowError> {
        const SHOWN: FormatOptions<'static> = FormatOptions::new();
        let columns = batch.columns().iter().enumerate().map(|(column, array)| {
            let shown = (type_of(array.data_type()) == Type::TEXT && *array.data_type() != DataType::Utf8)
                .then(|| ArrayFormatter::try_new(array.as_ref(), &SHOWN));
            Ok(ColumnWriter { array: array.as_ref(), is_binary: formats.is_binary(column), shown: shown.transpose()? })
        });
        Ok(Self { columns: columns.collect::<Result<_, ArrowError>>()? })
    }

    /// Writes one row as a `DataRow`. `row` is one of the batch.
    pub fn write(&self, row: usize, out: &mut BytesMut) {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(i16::try_from(self.columns.len()).unwrap_or(i16::MAX));
        for column in &self.columns {
            // An array of nothing but NULL has no mask that says so.
            if column.array.is_null(row) || *column.array.data_type() == DataType::Null {
                out.put_i32(-1);
                continue;
            }
            let length_at = out.len();
            out.put_i32(0);
            if column.is_binary {
                column.binary(row, out)
            } else {
                column.text(row, out)
            }
            set_length(out, length_at, out.len() - length_at - 4);
        }
        set_length(out, start, out.len() - start);
    }
}

fn set_length(out: &mut BytesMut, at: usize, length: usize) {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// An array's value in this row.
macro_rules! value {
    ($column:expr, $row:expr, $kind:ty) => {
        $column.array.as_primitive::<$kind>().value($row)
    };
}

impl ColumnWriter<'_> {
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

fn write_moment(out: &mut BytesMut, microseconds: i64, zone: &str) -> std::fmt::Result {
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
fn put_numeric(out: &mut BytesMut, text: &str) {
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

/// A parameter that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ParameterError {
    /// It is none of its type.
    Malformed,
    /// Its type cannot be read in binary.
    Binary,
}

/// A parameter as a literal of SQL that means the same value. `value` is its text, or its bytes in binary.
///
/// # Errors
/// It is none of its type, or of a type that is not read in binary.
pub(super) fn literal(of: &Type, value: Option<&[u8]>, is_binary: bool) -> Result<String, ParameterError> {
    let Some(bytes) = value else { return Ok("NULL".to_owned()) };
    let text = match is_binary {
        true => text_of(of, bytes)?,
        false => str::from_utf8(bytes).map_err(|_| ParameterError::Malformed)?.to_owned(),
    };
    let quoted = format!("'{}'", text.replace('\'', "''"));
    let trimmed = text.trim();
    let malformed = |_| ParameterError::Malformed;
    Ok(match *of {
        Type::BOOL => match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "y" | "yes" => "TRUE".to_owned(),
            "f" | "false" | "0" | "off" | "n" | "no" => "FALSE".to_owned(),
            _ => return Err(ParameterError::Malformed),
        },
        Type::INT2 | Type::INT4 | Type::INT8 => format!("({})", trimmed.parse::<i64>().map_err(malformed)?),
        Type::NUMERIC => {
            let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
            let is_number = digits.chars().all(|c| c.is_ascii_digit() || c == '.')
                && digits.chars().any(|c| c.is_ascii_digit())
                && digits.matches('.').count() <= 1;
            if !is_number {
                return Err(ParameterError::Malformed);
            }
            format!("({})", trimmed.trim_start_matches('+'))
        }
        Type::FLOAT4 | Type::FLOAT8 => {
            let _: f64 = trimmed.parse().map_err(|_| ParameterError::Malformed)?;
            format!("CAST({quoted} AS DOUBLE PRECISION)")
        }
        Type::DATE => {
            let _: NaiveDate = trimmed.parse().map_err(|_| ParameterError::Malformed)?;
            format!("DATE {quoted}")
        }
        Type::TIMESTAMP => format!("CAST({quoted} AS TIMESTAMP)"),
        Type::TIMESTAMPTZ => format!("CAST({quoted} AS TIMESTAMP WITH TIME ZONE)"),
        Type::TIME => format!("CAST({quoted} AS TIME)"),
        Type::BYTEA => {
            format!("X'{}'", trimmed.strip_prefix("\\x").ok_or(ParameterError::Malformed).and_then(hex_only)?)
        }
        _ => quoted,
    })
}

fn hex_only(digits: &str) -> Result<&str, ParameterError> {
    from_hexadecimal(digits).map(|_| digits).ok_or(ParameterError::Malformed)
}

/// What a value in binary is as text.
fn text_of(of: &Type, bytes: &[u8]) -> Result<String, ParameterError> {
    fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ParameterError> {
        bytes.try_into().map_err(|_| ParameterError::Malformed)
    }
    let moment = |bytes: &[u8]| -> Result<String, ParameterError> {
        let since = i64::from_be_bytes(array(bytes)?);
        let microseconds = since.checked_add(i64::from(EPOCH_DAYS) * MICROSECONDS_A_DAY);
        let mut text = BytesMut::new();
        let moment = microseconds.filter(|at| DateTime::from_timestamp_micros(*at).is_some());
        let _ = write_moment(&mut text, moment.ok_or(ParameterError::Malformed)?, "");
        String::from_utf8(text.to_vec()).map_err(|_| ParameterError::Malformed)
    };
    Ok(match *of {
        Type::BOOL => u8::from_be_bytes(array(bytes)?).to_string(),
        Type::INT2 => i16::from_be_bytes(array(bytes)?).to_string(),
        Type::INT4 | Type::OID => i32::from_be_bytes(array(bytes)?).to_string(),
        Type::INT8 => i64::from_be_bytes(array(bytes)?).to_string(),
        Type::FLOAT4 => f32::from_be_bytes(array(bytes)?).to_string(),
        Type::FLOAT8 => f64::from_be_bytes(array(bytes)?).to_string(),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
            String::from_utf8(bytes.to_vec()).map_err(|_| ParameterError::Malformed)?
        }
        Type::DATE => {
            let days = i32::from_be_bytes(array(bytes)?).checked_add(EPOCH_DAYS);
            let day = days.and_then(NaiveDate::from_epoch_days).ok_or(ParameterError::Malformed)?;
            day.to_string()
        }
        Type::TIMESTAMP => moment(bytes)?,
        Type::TIMESTAMPTZ => format!("{}+00:00", moment(bytes)?),
        Type::TIME => {
            let microseconds = i64::from_be_bytes(array(bytes)?);
            let seconds = u32::try_from(microseconds / 1_000_000).map_err(|_| ParameterError::Malformed)?;
            let nanoseconds = u32::try_from(microseconds % 1_000_000 * 1_000).map_err(|_| ParameterError::Malformed)?;
            let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanoseconds);
            time.ok_or(ParameterError::Malformed)?.to_string()
        }
        Type::UUID => uuid::Uuid::from_bytes(array(bytes)?).to_string(),
        Type::BYTEA => format!("\\x{}", to_hexadecimal(bytes)),
        Type::NUMERIC => numeric_text(bytes).ok_or(ParameterError::Malformed)?,
        _ => return Err(ParameterError::Binary),
    })
}

/// What [`put_numeric`] has written, as text; NaN and infinities are none.
fn numeric_text(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks_exact(2).map(|pair| Some(i16::from_be_bytes(pair.try_into().ok()?)));
    let mut next = || words.next().flatten();
    let (count, weight, sign, scale) =
        (usize::try_from(next()?).ok()?, next()?, next()?, usize::try_from(next()?).ok()?);
    let groups: Vec<i16> = (0..count).map_while(|_| next()).collect();
    let fits = groups.len() == count && groups.iter().all(|group| (0..10_000).contains(group));
    if !fits || !matches!(sign, 0 | 0x4000) || scale > MOST_DIGITS || weight.unsigned_abs() > MOST_WEIGHT {
        return None;
    }
    let at = |place: i16| usize::try_from(weight - place).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
    let mut text = String::from(if sign == 0 { "" } else { "-" });
    let whole: String = (0..=weight.max(0)).rev().map(|place| format!("{:04}", at(place))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let places = i16::try_from(scale.div_ceil(4)).ok()?;
        let fraction: String = (1..=places).map(|place| format!("{:04}", at(-place))).collect();
        text.push('.');
        text.push_str(fraction.get(..scale)?);
    }
    Some(text)
}

/// More digits than any decimal here has.
const MOST_DIGITS: usize = 400;
const MOST_WEIGHT: u16 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(text: &str) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_numeric(&mut out, text);
        out.to_vec()
    }

    #[test]
    fn numerics_come_back_digit_by_digit() {
        let nines = "9".repeat(38);
        let small = format!("-0.{}1", "0".repeat(37));
        for text in ["0", "1", "-1", "10000", "-12345678.90", "0.0001", "0.00", "123456.000", &nines, &small] {
            assert_eq!(numeric_text(&numeric(text)).unwrap(), text, "{text}");
        }
        // As PostgreSQL's numeric_send writes 12345.678: three groups, the first of 10,000s.
        assert_eq!(numeric("12345.678"), [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
        assert_eq!(numeric_text(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), None, "NaN");
        assert_eq!(numeric_text(&[0, 9, 0, 0, 0, 0, 0, 0]), None, "cut short");
    }

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

    #[test]
    fn a_parameter_can_be_nothing_but_a_value() {
        let of = |of: &Type, text: &str| literal(of, Some(text.as_bytes()), false);
        assert_eq!(of(&Type::TEXT, "x' OR '1'='1").unwrap(), "'x'' OR ''1''=''1'");
        assert_eq!(of(&Type::INT4, " -5 ").unwrap(), "(-5)");
        assert_eq!(of(&Type::NUMERIC, "+1.50").unwrap(), "(1.50)");
        assert_eq!(of(&Type::BYTEA, "\\x00ff").unwrap(), "X'00ff'");
        for (of_type, wrong) in [
            (Type::INT4, "1; DROP"),
            (Type::NUMERIC, "1e5) OR (1=1"),
            (Type::NUMERIC, "NaN"),
            (Type::FLOAT8, "1' OR '1"),
            (Type::BOOL, "perhaps"),
            (Type::DATE, "2026-02-30"),
            (Type::BYTEA, "\\x0'"),
        ] {
            assert_eq!(of(&of_type, wrong), Err(ParameterError::Malformed), "{wrong}");
        }
        assert_eq!(literal(&Type::TEXT, None, false).unwrap(), "NULL");
        assert_eq!(literal(&Type::INT4, Some(&7_i32.to_be_bytes()), true).unwrap(), "(7)");
        assert_eq!(literal(&Type::DATE, Some(&1_i32.to_be_bytes()), true).unwrap(), "DATE '2000-01-02'");
        let moment = literal(&Type::TIMESTAMP, Some(&1_i64.to_be_bytes()), true).unwrap();
        assert_eq!(moment, "CAST('2000-01-01 00:00:00.000001' AS TIMESTAMP)");
        assert_eq!(literal(&Type::INT4, Some(&[1]), true), Err(ParameterError::Malformed));
        assert_eq!(literal(&Type::POINT, Some(&[1]), true), Err(ParameterError::Binary));
    }
}
