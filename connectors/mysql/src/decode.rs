//! Rows of a result into Arrow arrays.
//!
//! In: the binary protocol's values. Out: record batches of exactly the statement's schema. The schema decides; a value that
//! is none of its column's type, a zero date above all, ends the result with an error that does not show the value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, NullArray, RecordBatch, RecordBatchOptions,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, i256};
use chrono::{Datelike, NaiveDate};
use mysql_async::{Row, Value};
use wayleave_connector_api::ConnectorError;

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// The first batch is small, so that something shows soon.
const FIRST_BATCH_ROWS: usize = 256;
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 1 << 20;

/// A value that is none of its column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Misfit;

/// Builds the batches of one result.
pub(crate) struct Decoder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    row_limit: usize,
}

impl Decoder {
    /// # Errors
    /// [`ConnectorError::Protocol`] where the schema has a type in which nothing can be delivered.
    pub(crate) fn new(schema: SchemaRef) -> Result<Self, ConnectorError> {
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                ColumnBuilder::new(field.data_type()).ok_or_else(|| ConnectorError::Protocol {
                    reason: format!("a result of the type {} was asked for", field.data_type()),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { schema, columns, rows: 0, bytes: 0, row_limit: FIRST_BATCH_ROWS })
    }

    /// Whether a result of so many columns fits; one of none comes with one constant that stands for the row.
    pub(crate) fn check_width(&self, columns: usize) -> Result<(), ConnectorError> {
        let expected = self.columns.len().max(1);
        if columns == expected {
            return Ok(());
        }
        Err(ConnectorError::Protocol { reason: format!("a result has {columns} columns and not {expected}") })
    }

    /// Adds a row, and gives the batch that became full with it.
    pub(crate) fn push(&mut self, row: Row) -> Result<Option<RecordBatch>, ConnectorError> {
        let values = row.unwrap_raw();
        self.check_width(values.len())?;
        for (index, (column, value)) in self.columns.iter_mut().zip(values).enumerate() {
            let value = value.unwrap_or(Value::NULL);
            self.bytes += match &value {
                Value::Bytes(bytes) => bytes.len(),
                _ => 8,
            };
            if column.append(value).is_err() {
                let expected =
                    self.schema.fields().get(index).map_or_else(String::new, |field| expectation(field.data_type()));
                return Err(ConnectorError::Decode { position: index + 1, expected });
            }
        }
        self.rows += 1;
        if self.rows >= self.row_limit || self.bytes >= BATCH_BYTES {
            self.row_limit = BATCH_ROWS;
            return self.batch().map(Some);
        }
        Ok(None)
    }

    /// The rows since the last full batch.
    pub(crate) fn finish(mut self) -> Result<Option<RecordBatch>, ConnectorError> {
        if self.rows == 0 { Ok(None) } else { self.batch().map(Some) }
    }

    fn batch(&mut self) -> Result<RecordBatch, ConnectorError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let arrays = self.columns.iter_mut().map(|column| column.finish(rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| ConnectorError::Protocol { reason: error.to_string() })
    }
}

/// What a column's values should have been, in the words of a reader who knows no Arrow.
fn expectation(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "a boolean (0 or 1)".to_owned(),
        DataType::Date32 => "a date (0000-00-00 is none)".to_owned(),
        DataType::Timestamp(..) => "a date and time (0000-00-00 is none)".to_owned(),
        DataType::Time64(_) => "a time of day (00:00 to 23:59:59)".to_owned(),
        other => other.to_string(),
    }
}

enum ColumnBuilder {
    Null,
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128 { builder: Decimal128Builder, scale: i8, limit: i128 },
    Decimal256 { builder: Decimal256Builder, scale: i8, limit: i256 },
    Utf8(StringBuilder),
    Binary(BinaryBuilder),
    Date32(Date32Builder),
    Time64(Time64MicrosecondBuilder),
    Timestamp { builder: TimestampMicrosecondBuilder, zone: Option<Arc<str>> },
}

impl ColumnBuilder {
    fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => Self::Decimal128 {
                builder: Decimal128Builder::new().with_data_type(data_type.clone()),
                scale: *scale,
                limit: 10_i128.checked_pow(u32::from(*precision))?,
            },
            DataType::Decimal256(precision, scale) => Self::Decimal256 {
                builder: Decimal256Builder::new().with_data_type(data_type.clone()),
                scale: *scale,
                limit: i256::from_i128(10).checked_pow(u32::from(*precision))?,
            },
            DataType::Utf8 => Self::Utf8(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::Date32 => Self::Date32(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time64(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp { builder: TimestampMicrosecondBuilder::new(), zone: zone.clone() }
            }
            _ => return None,
        })
    }

    fn append(&mut self, value: Value) -> Result<(), Misfit> {
        let value = match value {
            Value::NULL => None,
            value => Some(value),
        };
        match self {
            Self::Null => return if value.is_none() { Ok(()) } else { Err(Misfit) },
            Self::Boolean(builder) => builder.append_option(value.map(boolean).transpose()?),
            Self::Int16(builder) => builder.append_option(value.map(integer).transpose()?),
            Self::Int32(builder) => builder.append_option(value.map(integer).transpose()?),
            Self::Int64(builder) => builder.append_option(value.map(integer).transpose()?),
            Self::Float32(builder) => builder.append_option(value.map(float32).transpose()?),
            Self::Float64(builder) => builder.append_option(value.map(float64).transpose()?),
            Self::Decimal128 { builder, scale, limit } => {
                let value: Option<i128> = value.map(|value| decimal(value, *scale)).transpose()?;
                builder.append_option(value.map(|value| within(value, *limit)).transpose()?);
            }
            Self::Decimal256 { builder, scale, limit } => {
                let value: Option<i256> = value.map(|value| decimal(value, *scale)).transpose()?;
                builder.append_option(value.map(|value| within(value, *limit)).transpose()?);
            }
            Self::Utf8(builder) => match value {
                None => builder.append_null(),
                Some(Value::Bytes(bytes)) => builder.append_value(std::str::from_utf8(&bytes).map_err(|_| Misfit)?),
                Some(_) => return Err(Misfit),
            },
            Self::Binary(builder) => match value {
                None => builder.append_null(),
                Some(Value::Bytes(bytes)) => builder.append_value(bytes),
                Some(_) => return Err(Misfit),
            },
            Self::Date32(builder) => builder.append_option(value.map(date).transpose()?),
            Self::Time64(builder) => builder.append_option(value.map(time).transpose()?),
            Self::Timestamp { builder, .. } => builder.append_option(value.map(timestamp).transpose()?),
        }
        Ok(())
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Self::Null => Arc::new(NullArray::new(rows)),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal128 { builder, .. } => Arc::new(builder.finish()),
            Self::Decimal256 { builder, .. } => Arc::new(builder.finish()),
            Self::Utf8(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Date32(builder) => Arc::new(builder.finish()),
            Self::Time64(builder) => Arc::new(builder.finish()),
            Self::Timestamp { builder, zone } => Arc::new(builder.finish().with_timezone_opt(zone.clone())),
        }
    }
}

fn boolean(value: Value) -> Result<bool, Misfit> {
    match value {
        Value::Int(0) | Value::UInt(0) => Ok(false),
        Value::Int(1) | Value::UInt(1) => Ok(true),
        _ => Err(Misfit),
    }
}

fn integer<T: TryFrom<i128>>(value: Value) -> Result<T, Misfit> {
    let number = match value {
        Value::Int(number) => i128::from(number),
        Value::UInt(number) => i128::from(number),
        // A sum of integers is a decimal.
        decimal_text @ Value::Bytes(_) => decimal(decimal_text, 0)?,
        _ => return Err(Misfit),
    };
    T::try_from(number).map_err(|_| Misfit)
}

fn float64(value: Value) -> Result<f64, Misfit> {
    match value {
        Value::Double(number) => Ok(number),
        Value::Float(number) => Ok(f64::from(number)),
        _ => Err(Misfit),
    }
}

fn float32(value: Value) -> Result<f32, Misfit> {
    match value {
        Value::Float(number) => Ok(number),
        Value::Double(number) => {
            let narrow = nearest_f32(number);
            if f64::from(narrow) == number { Ok(narrow) } else { Err(Misfit) }
        }
        _ => Err(Misfit),
    }
}

#[expect(clippy::as_conversions, reason = "the caller checks that nothing was lost, and no other conversion does it")]
fn nearest_f32(number: f64) -> f32 {
    number as f32
}

fn within<T: PartialOrd + std::ops::Neg<Output = T> + Copy>(value: T, limit: T) -> Result<T, Misfit> {
    if -limit < value && value < limit { Ok(value) } else { Err(Misfit) }
}

/// An integer that a decimal's digits are gathered in.
trait Unscaled: Copy + std::ops::Neg<Output = Self> {
    const ZERO: Self;
    fn with_digit(self, digit: u8) -> Option<Self>;
}

impl Unscaled for i128 {
    const ZERO: Self = 0;

    fn with_digit(self, digit: u8) -> Option<Self> {
        self.checked_mul(10)?.checked_add(Self::from(digit))
    }
}

impl Unscaled for i256 {
    const ZERO: Self = i256::ZERO;

    fn with_digit(self, digit: u8) -> Option<Self> {
        self.checked_mul(Self::from_i128(10))?.checked_add(Self::from_i128(i128::from(digit)))
    }
}

/// `-12.50` as digits at this scale; digits beyond it may only be zeros.
fn decimal<T: Unscaled>(value: Value, scale: i8) -> Result<T, Misfit> {
    let written;
    let bytes = match &value {
        Value::Bytes(bytes) => bytes.as_slice(),
        Value::Int(number) => {
            written = number.to_string();
            written.as_bytes()
        }
        Value::UInt(number) => {
            written = number.to_string();
            written.as_bytes()
        }
        _ => return Err(Misfit),
    };
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, bytes),
    };
    if !digits.iter().any(u8::is_ascii_digit) {
        return Err(Misfit);
    }
    let mut number = T::ZERO;
    let mut places: Option<i8> = None;
    for byte in digits {
        match byte {
            b'0'..=b'9' if places == Some(scale) => {
                if *byte != b'0' {
                    return Err(Misfit);
                }
            }
            b'0'..=b'9' => {
                number = number.with_digit(byte - b'0').ok_or(Misfit)?;
                places = places.map(|places| places + 1);
            }
            b'.' if places.is_none() => places = Some(0),
            _ => return Err(Misfit),
        }
    }
    for _ in places.unwrap_or(0)..scale {
        number = number.with_digit(0).ok_or(Misfit)?;
    }
    Ok(if negative { -number } else { number })
}

fn date(value: Value) -> Result<i32, Misfit> {
    match value {
        Value::Date(year, month, day, 0, 0, 0, 0) => days(year, month, day),
        _ => Err(Misfit),
    }
}

fn timestamp(value: Value) -> Result<i64, Misfit> {
    match value {
        Value::Date(year, month, day, hour, minute, second, microsecond) => {
            let of_day = microseconds(hour, minute, second, microsecond)?;
            i64::from(days(year, month, day)?)
                .checked_mul(DAY_MICROSECONDS)
                .and_then(|midnight| midnight.checked_add(of_day))
                .ok_or(Misfit)
        }
        _ => Err(Misfit),
    }
}

/// Days since 1970. The year 0, which the server's own calendar counts otherwise than ours, has no dates.
fn days(year: u16, month: u8, day: u8) -> Result<i32, Misfit> {
    let date = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day)).ok_or(Misfit)?;
    if year == 0 {
        return Err(Misfit);
    }
    Ok(date.num_days_from_ce() - NaiveDate::default().num_days_from_ce())
}

fn time(value: Value) -> Result<i64, Misfit> {
    match value {
        Value::Time(false, 0, hour, minute, second, microsecond) => microseconds(hour, minute, second, microsecond),
        _ => Err(Misfit),
    }
}

fn microseconds(hour: u8, minute: u8, second: u8, microsecond: u32) -> Result<i64, Misfit> {
    if hour > 23 || minute > 59 || second > 59 || microsecond > 999_999 {
        return Err(Misfit);
    }
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Ok(seconds * 1_000_000 + i64::from(microsecond))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, scale: i8) -> Result<i128, Misfit> {
        decimal(Value::Bytes(text.as_bytes().to_vec()), scale)
    }

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        assert_eq!(parsed("-12.5", 2), Ok(-1250));
        assert_eq!(parsed("12.500", 2), Ok(1250));
        assert_eq!(parsed("0.005", 3), Ok(5));
        assert_eq!(parsed(".5", 1), Ok(5));
        assert_eq!(parsed("12.501", 2), Err(Misfit));
        for none in ["", "-", ".", "1.2.3", "1e3", "NULL", "170141183460469231731687303715884105728"] {
            assert_eq!(parsed(none, 2), Err(Misfit), "{none}");
        }
        let wide: i256 = decimal(Value::Bytes(b"170141183460469231731687303715884105728".to_vec()), 1).unwrap();
        assert_eq!(wide.to_string(), "1701411834604692317316873037158841057280");
    }

    #[test]
    fn what_is_no_date_is_no_value() {
        assert_eq!(date(Value::Date(1970, 1, 2, 0, 0, 0, 0)), Ok(1));
        assert_eq!(date(Value::Date(9999, 12, 31, 0, 0, 0, 0)), Ok(2_932_896));
        for (year, month, day) in [(0, 0, 0), (2020, 0, 0), (2020, 2, 0), (2021, 2, 29), (0, 3, 1)] {
            assert_eq!(date(Value::Date(year, month, day, 0, 0, 0, 0)), Err(Misfit));
        }
        assert_eq!(time(Value::Time(false, 0, 23, 59, 59, 999_999)), Ok(86_399_999_999));
        assert_eq!(time(Value::Time(true, 0, 0, 0, 1, 0)), Err(Misfit));
        assert_eq!(time(Value::Time(false, 1, 0, 0, 0, 0)), Err(Misfit));
    }

    #[test]
    fn a_number_that_is_not_in_its_type_is_no_value() {
        assert_eq!(integer::<i16>(Value::Int(-32_768)), Ok(-32_768));
        assert_eq!(integer::<i16>(Value::Int(32_768)), Err(Misfit));
        assert_eq!(integer::<i64>(Value::UInt(u64::MAX)), Err(Misfit));
        assert_eq!(integer::<i64>(Value::Bytes(b"9223372036854775807".to_vec())), Ok(i64::MAX));
        assert_eq!(float32(Value::Double(0.5)), Ok(0.5));
        assert_eq!(float32(Value::Double(0.1)), Err(Misfit));
        assert_eq!(boolean(Value::Int(2)), Err(Misfit));
    }
}
