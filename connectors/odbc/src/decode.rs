//! Rows of a cursor as Arrow record batches: every value exactly, or an error.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, i256};
use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use odbc_api::sys::{Date, Timestamp};
use odbc_api::{CursorRow, Nullable, Pod};
use wayleave_connector_api::ConnectorError;

/// Day 0 of Arrow's dates, counted as chrono counts days.
const EPOCH_DAY: i32 = 719_163;

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// Why a value did not arrive.
pub(crate) enum Failed {
    /// It is none of its column's type.
    Value,
    Driver(odbc_api::Error),
}

impl From<odbc_api::Error> for Failed {
    fn from(error: odbc_api::Error) -> Self {
        // A conversion that the driver refuses is the value's fault.
        match &error {
            odbc_api::Error::Diagnostics { record, .. } if record.state.as_str().starts_with("22") => Self::Value,
            _ => Self::Driver(error),
        }
    }
}

pub(crate) struct RowDecoder {
    schema: SchemaRef,
    builders: Vec<Builder>,
    rows: usize,
    buffers: Buffers,
}

/// Kept from value to value.
#[derive(Default)]
struct Buffers {
    bytes: Vec<u8>,
    wide: Vec<u16>,
}

enum Builder {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl RowDecoder {
    /// # Errors
    /// For a type that no column here is read as.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self, ConnectorError> {
        let builders = schema.fields().iter().map(|field| builder(field.data_type())).collect::<Result<_, _>>()?;
        Ok(Self { schema: SchemaRef::clone(schema), builders, rows: 0, buffers: Buffers::default() })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// # Errors
    /// With the value's position, from 1.
    pub(crate) fn push(&mut self, row: &mut CursorRow<'_>) -> Result<(), (usize, Failed)> {
        for (index, builder) in self.builders.iter_mut().enumerate() {
            let position = index + 1;
            let column = u16::try_from(position).map_err(|_| (position, Failed::Value))?;
            push(builder, row, column, &mut self.buffers).map_err(|failed| (position, failed))?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows so far.
    ///
    /// # Errors
    /// Where a column without NULL has one.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ConnectorError> {
        let columns: Vec<ArrayRef> = self.builders.iter_mut().map(finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
            .map_err(|_| ConnectorError::Protocol { reason: "a column without NULL has one".to_owned() })
    }
}

fn builder(data_type: &DataType) -> Result<Builder, ConnectorError> {
    Ok(match data_type {
        DataType::Boolean => Builder::Boolean(BooleanBuilder::new()),
        DataType::Int16 => Builder::Int16(Int16Builder::new()),
        DataType::Int32 => Builder::Int32(Int32Builder::new()),
        DataType::Int64 => Builder::Int64(Int64Builder::new()),
        DataType::Float32 => Builder::Float32(Float32Builder::new()),
        DataType::Float64 => Builder::Float64(Float64Builder::new()),
        DataType::Decimal128(precision, scale) => {
            let array = Decimal128Builder::new().with_data_type(data_type.clone());
            Builder::Decimal128(array, *precision, *scale)
        }
        DataType::Decimal256(precision, scale) => {
            let array = Decimal256Builder::new().with_data_type(data_type.clone());
            Builder::Decimal256(array, *precision, *scale)
        }
        DataType::Utf8 => Builder::Text(StringBuilder::new()),
        DataType::Binary => Builder::Binary(BinaryBuilder::new()),
        DataType::Date32 => Builder::Date(Date32Builder::new()),
        DataType::Time64(TimeUnit::Microsecond) => Builder::Time(Time64MicrosecondBuilder::new()),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Builder::Timestamp(TimestampMicrosecondBuilder::new()),
        other => return Err(ConnectorError::Protocol { reason: format!("nothing is read as {other}") }),
    })
}

fn push(builder: &mut Builder, row: &mut CursorRow<'_>, column: u16, buffers: &mut Buffers) -> Result<(), Failed> {
    match builder {
        Builder::Boolean(array) => array.append_option(match fixed::<i32>(row, column)? {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => return Err(Failed::Value),
        }),
        Builder::Int16(array) => {
            let number = fixed::<i32>(row, column)?;
            array.append_option(number.map(i16::try_from).transpose().map_err(|_| Failed::Value)?);
        }
        Builder::Int32(array) => {
            let number = fixed::<i64>(row, column)?;
            array.append_option(number.map(i32::try_from).transpose().map_err(|_| Failed::Value)?);
        }
        Builder::Int64(array) => array.append_option(fixed::<i64>(row, column)?),
        Builder::Float32(array) => array.append_option(fixed::<f32>(row, column)?),
        Builder::Float64(array) => array.append_option(fixed::<f64>(row, column)?),
        Builder::Decimal128(array, precision, scale) => {
            let unscaled = digits(row, column, buffers)?.map(|text| decimal(text, *precision, *scale)).transpose()?;
            let narrow = unscaled.map(|wide| wide.to_i128().ok_or(Failed::Value)).transpose()?;
            array.append_option(narrow);
        }
        Builder::Decimal256(array, precision, scale) => {
            array.append_option(
                digits(row, column, buffers)?.map(|text| decimal(text, *precision, *scale)).transpose()?,
            );
        }
        Builder::Text(array) => {
            if row.get_wide_text(column, &mut buffers.wide)? {
                array.append_value(String::from_utf16(&buffers.wide).map_err(|_| Failed::Value)?);
            } else {
                array.append_null();
            }
        }
        Builder::Binary(array) => {
            if row.get_binary(column, &mut buffers.bytes)? {
                array.append_value(&buffers.bytes);
            } else {
                array.append_null();
            }
        }
        Builder::Date(array) => {
            let date = fixed::<Date>(row, column)?;
            array.append_option(date.map(|date| day(date.year, date.month, date.day)).transpose()?);
        }
        Builder::Time(array) => {
            array.append_option(digits(row, column, buffers)?.map(time).transpose()?);
        }
        Builder::Timestamp(array) => {
            array.append_option(fixed::<Timestamp>(row, column)?.map(|moment| timestamp(&moment)).transpose()?);
        }
    }
    Ok(())
}

fn fixed<T: Pod>(row: &mut CursorRow<'_>, column: u16) -> Result<Option<T>, Failed> {
    let mut value = Nullable::<T>::null();
    row.get_data(column, &mut value)?;
    Ok(value.into_opt())
}

/// A value as the driver writes it in ASCII.
fn digits<'a>(row: &mut CursorRow<'_>, column: u16, buffers: &'a mut Buffers) -> Result<Option<&'a str>, Failed> {
    if !row.get_text(column, &mut buffers.bytes)? {
        return Ok(None);
    }
    std::str::from_utf8(&buffers.bytes).map(|text| Some(text.trim())).map_err(|_| Failed::Value)
}

/// A number without its point. One that has more digits than its column is none of its column's.
fn decimal(text: &str, precision: u8, scale: i8) -> Result<i256, Failed> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let fraction = fraction.trim_end_matches('0');
    let places = usize::try_from(scale).map_err(|_| Failed::Value)?;
    let is_number = whole.len() + fraction.len() > 0 || unsigned.contains('0');
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number || !all_digits || fraction.len() > places {
        return Err(Failed::Value);
    }
    let unscaled = format!("{whole}{fraction}{}", "0".repeat(places.saturating_sub(fraction.len())));
    let unscaled = unscaled.trim_start_matches('0');
    if unscaled.len() > usize::from(precision) {
        return Err(Failed::Value);
    }
    if unscaled.is_empty() {
        return Ok(i256::ZERO);
    }
    i256::from_string(&format!("{sign}{unscaled}")).ok_or(Failed::Value)
}

fn day(year: i16, month: u16, day: u16) -> Result<i32, Failed> {
    let date = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day)).ok_or(Failed::Value)?;
    Ok(date.num_days_from_ce().saturating_sub(EPOCH_DAY))
}

fn timestamp(moment: &Timestamp) -> Result<i64, Failed> {
    let days = i64::from(day(moment.year, moment.month, moment.day)?);
    let (hour, minute, second) = (u32::from(moment.hour), u32::from(moment.minute), u32::from(moment.second));
    let clock = NaiveTime::from_hms_opt(hour, minute, second).ok_or(Failed::Value)?;
    // Counted in nanoseconds.
    if !moment.fraction.is_multiple_of(1_000) {
        return Err(Failed::Value);
    }
    let within = i64::from(clock.num_seconds_from_midnight()) * 1_000_000 + i64::from(moment.fraction / 1_000);
    days.checked_mul(MICROSECONDS_A_DAY).and_then(|start| start.checked_add(within)).ok_or(Failed::Value)
}

fn time(text: &str) -> Result<i64, Failed> {
    let clock = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").map_err(|_| Failed::Value)?;
    if clock.nanosecond() % 1_000 != 0 || clock.nanosecond() >= 1_000_000_000 {
        return Err(Failed::Value);
    }
    Ok(i64::from(clock.num_seconds_from_midnight()) * 1_000_000 + i64::from(clock.nanosecond() / 1_000))
}

fn finish(builder: &mut Builder) -> ArrayRef {
    match builder {
        Builder::Boolean(array) => Arc::new(array.finish()),
        Builder::Int16(array) => Arc::new(array.finish()),
        Builder::Int32(array) => Arc::new(array.finish()),
        Builder::Int64(array) => Arc::new(array.finish()),
        Builder::Float32(array) => Arc::new(array.finish()),
        Builder::Float64(array) => Arc::new(array.finish()),
        Builder::Decimal128(array, ..) => Arc::new(array.finish()),
        Builder::Decimal256(array, ..) => Arc::new(array.finish()),
        Builder::Text(array) => Arc::new(array.finish()),
        Builder::Binary(array) => Arc::new(array.finish()),
        Builder::Date(array) => Arc::new(array.finish()),
        Builder::Time(array) => Arc::new(array.finish()),
        Builder::Timestamp(array) => Arc::new(array.finish()),
    }
}
