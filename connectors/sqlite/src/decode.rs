//! Rows of a result into Arrow arrays.
//!
//! In: SQLite's values, each with a storage class of its own. Out: record batches of exactly the statement's schema. The
//! schema decides; a value that is none of its column's type ends the result with an error that does not show the value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Decimal128Builder, Decimal256Builder, NullArray, PrimitiveBuilder,
    RecordBatch, RecordBatchOptions, StringBuilder,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    SchemaRef, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type, i256,
};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use wayleave_connector_api::ConnectorError;

mod decimal;
pub(crate) mod moment;

use decimal::{Excess, decimal_digits};
use moment::{Moment, parse_time};

/// A value that is none of its column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Misfit;

/// Builds the batches of one result.
pub(crate) struct RowDecoder {
    schema: SchemaRef,
    columns: Vec<ColumnDecoder>,
    rows: usize,
}

struct ColumnDecoder {
    builder: Builder,
    nullable: bool,
}

impl RowDecoder {
    /// # Errors
    /// `Protocol` where the schema asks for a type that no value of SQLite becomes.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self, ConnectorError> {
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                let builder = Builder::new(field.data_type()).ok_or_else(|| ConnectorError::Protocol {
                    reason: format!("no value of SQLite can be read as {}", field.data_type()),
                })?;
                Ok(ColumnDecoder { builder, nullable: field.is_nullable() })
            })
            .collect::<Result<_, ConnectorError>>()?;
        Ok(Self { schema: Arc::clone(schema), columns, rows: 0 })
    }

    /// Whether a result of this many columns fits; a schema without columns counts rows, whatever stands in them.
    pub(crate) fn check_width(&self, columns: usize) -> Result<(), ConnectorError> {
        if self.columns.is_empty() || self.columns.len() == columns {
            return Ok(());
        }
        Err(ConnectorError::Protocol {
            reason: format!("the result has {columns} columns where {} were asked for", self.columns.len()),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn push(&mut self, row: &Row<'_>) -> Result<(), ConnectorError> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let value = row.get_ref(index).map_err(|error| ConnectorError::Protocol { reason: error.to_string() })?;
            let misfit = if matches!(value, ValueRef::Null) && !column.nullable {
                Err(Misfit)
            } else {
                column.builder.append(value)
            };
            misfit.map_err(|Misfit| ConnectorError::Decode {
                position: index + 1,
                expected: expectation(self.schema.field(index).data_type()),
            })?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows since the last batch.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ConnectorError> {
        let rows = std::mem::take(&mut self.rows);
        let arrays = self.columns.iter_mut().map(|column| column.builder.finish(rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| ConnectorError::Protocol { reason: error.to_string() })
    }
}

/// What a column's values should have been, in the words of a reader who knows no Arrow.
fn expectation(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "a boolean (0 or 1)".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => "an integer of its width".to_owned(),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            "an unsigned integer of its width".to_owned()
        }
        DataType::Float32 | DataType::Float64 => "a floating point number".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("a decimal of {precision} digits, {scale} of them after the point")
        }
        DataType::Utf8 => "a text in UTF-8".to_owned(),
        DataType::Binary => "a blob".to_owned(),
        DataType::Date32 => "a date (YYYY-MM-DD)".to_owned(),
        DataType::Time64(_) => "a time (HH:MM:SS)".to_owned(),
        DataType::Timestamp(_, None) => "a timestamp without time zone (YYYY-MM-DD HH:MM:SS)".to_owned(),
        DataType::Timestamp(_, Some(_)) => "a timestamp (YYYY-MM-DD HH:MM:SSZ)".to_owned(),
        other => other.to_string(),
    }
}

enum Builder {
    Null,
    Boolean(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    UInt8(PrimitiveBuilder<UInt8Type>),
    UInt16(PrimitiveBuilder<UInt16Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    UInt64(PrimitiveBuilder<UInt64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>, Zone),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    /// A wall clock's reading: a zone in the value is a misfit.
    None,
    /// An instant; a value without a zone is taken to be in UTC.
    Utc,
}

impl Builder {
    fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Self::Int8(PrimitiveBuilder::new()),
            DataType::Int16 => Self::Int16(PrimitiveBuilder::new()),
            DataType::Int32 => Self::Int32(PrimitiveBuilder::new()),
            DataType::Int64 => Self::Int64(PrimitiveBuilder::new()),
            DataType::UInt8 => Self::UInt8(PrimitiveBuilder::new()),
            DataType::UInt16 => Self::UInt16(PrimitiveBuilder::new()),
            DataType::UInt32 => Self::UInt32(PrimitiveBuilder::new()),
            DataType::UInt64 => Self::UInt64(PrimitiveBuilder::new()),
            DataType::Float32 => Self::Float32(PrimitiveBuilder::new()),
            DataType::Float64 => Self::Float64(PrimitiveBuilder::new()),
            DataType::Decimal128(precision, scale) => Self::Decimal128(
                Decimal128Builder::new().with_precision_and_scale(*precision, *scale).ok()?,
                *precision,
                *scale,
            ),
            DataType::Decimal256(precision, scale) => Self::Decimal256(
                Decimal256Builder::new().with_precision_and_scale(*precision, *scale).ok()?,
                *precision,
                *scale,
            ),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::Date32 => Self::Date(PrimitiveBuilder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(PrimitiveBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp(PrimitiveBuilder::new(), Zone::None),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
                Self::Timestamp(PrimitiveBuilder::new().with_timezone("UTC"), Zone::Utc)
            }
            _ => return None,
        })
    }

    fn append(&mut self, value: ValueRef<'_>) -> Result<(), Misfit> {
        match self {
            Self::Null => return if value == ValueRef::Null { Ok(()) } else { Err(Misfit) },
            Self::Boolean(builder) => builder.append_option(boolean(value)?),
            Self::Int8(builder) => integer(builder, value)?,
            Self::Int16(builder) => integer(builder, value)?,
            Self::Int32(builder) => integer(builder, value)?,
            Self::Int64(builder) => integer(builder, value)?,
            Self::UInt8(builder) => integer(builder, value)?,
            Self::UInt16(builder) => integer(builder, value)?,
            Self::UInt32(builder) => integer(builder, value)?,
            Self::UInt64(builder) => integer(builder, value)?,
            Self::Float32(builder) => builder.append_option(float(value)?.map(nearest_f32)),
            Self::Float64(builder) => builder.append_option(float(value)?),
            Self::Decimal128(builder, precision, scale) => {
                builder.append_option(decimal::<i128>(value, *precision, *scale)?);
            }
            Self::Decimal256(builder, precision, scale) => {
                builder.append_option(decimal::<i256>(value, *precision, *scale)?);
            }
            Self::Text(builder) => builder.append_option(text(value)?),
            Self::Binary(builder) => match value {
                ValueRef::Null => builder.append_null(),
                ValueRef::Blob(bytes) => builder.append_value(bytes),
                ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => return Err(Misfit),
            },
            Self::Date(builder) => builder.append_option(date(value)?),
            Self::Time(builder) => {
                builder.append_option(written(value)?.map(|bytes| parse_time(bytes).ok_or(Misfit)).transpose()?);
            }
            Self::Timestamp(builder, zone) => builder.append_option(timestamp(value, *zone)?),
        }
        Ok(())
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Self::Null => Arc::new(NullArray::new(rows)),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::UInt8(builder) => Arc::new(builder.finish()),
            Self::UInt16(builder) => Arc::new(builder.finish()),
            Self::UInt32(builder) => Arc::new(builder.finish()),
            Self::UInt64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal128(builder, ..) => Arc::new(builder.finish()),
            Self::Decimal256(builder, ..) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder, _) => Arc::new(builder.finish()),
        }
    }
}

fn boolean(value: ValueRef<'_>) -> Result<Option<bool>, Misfit> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(0) => Ok(Some(false)),
        ValueRef::Integer(1) => Ok(Some(true)),
        _ => Err(Misfit),
    }
}

fn integer<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>, value: ValueRef<'_>) -> Result<(), Misfit>
where
    T::Native: TryFrom<i64>,
{
    match value {
        ValueRef::Null => builder.append_null(),
        ValueRef::Integer(number) => builder.append_value(T::Native::try_from(number).map_err(|_| Misfit)?),
        ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => return Err(Misfit),
    }
    Ok(())
}

fn float(value: ValueRef<'_>) -> Result<Option<f64>, Misfit> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Real(number) => Ok(Some(number)),
        ValueRef::Integer(number) => Ok(Some(nearest_f64(number))),
        ValueRef::Text(_) | ValueRef::Blob(_) => Err(Misfit),
    }
}

#[expect(clippy::as_conversions, reason = "rounding to the nearest float is meant, and no other conversion does it")]
fn nearest_f64(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::as_conversions, reason = "rounding to the nearest float is meant, and no other conversion does it")]
fn nearest_f32(number: f64) -> f32 {
    number as f32
}

/// An integer type that a decimal's digits may be parsed into; the two of them have no trait in common that parses.
trait Unscaled: Sized {
    fn from_digits(digits: &str) -> Option<Self>;
}

impl Unscaled for i128 {
    fn from_digits(digits: &str) -> Option<Self> {
        digits.parse().ok()
    }
}

impl Unscaled for i256 {
    fn from_digits(digits: &str) -> Option<Self> {
        i256::from_string(digits)
    }
}

/// SQLite turns what goes into a NUMERIC column into an integer or a binary float where it can. A float is taken for the
/// shortest decimal that means it, and rounded to the scale; text and integers must fit the scale as they are.
fn decimal<T: Unscaled>(value: ValueRef<'_>, precision: u8, scale: i8) -> Result<Option<T>, Misfit> {
    let digits = match value {
        ValueRef::Null => return Ok(None),
        ValueRef::Integer(number) => decimal_digits(&number.to_string(), precision, scale, Excess::Refused),
        ValueRef::Real(number) => decimal_digits(&number.to_string(), precision, scale, Excess::Rounded),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| Misfit)?;
            decimal_digits(text, precision, scale, Excess::Refused)
        }
        ValueRef::Blob(_) => None,
    };
    digits.and_then(|digits| T::from_digits(&digits)).map(Some).ok_or(Misfit)
}

fn text(value: ValueRef<'_>) -> Result<Option<&str>, Misfit> {
    written(value)?.map(|bytes| std::str::from_utf8(bytes).map_err(|_| Misfit)).transpose()
}

fn written(value: ValueRef<'_>) -> Result<Option<&[u8]>, Misfit> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) => Ok(Some(bytes)),
        ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Err(Misfit),
    }
}

fn date(value: ValueRef<'_>) -> Result<Option<i32>, Misfit> {
    let Some(bytes) = written(value)? else { return Ok(None) };
    match Moment::parse(bytes) {
        Some(Moment { days, microseconds: 0, offset_minutes: None | Some(0) }) => Ok(Some(days)),
        Some(_) | None => Err(Misfit),
    }
}

fn timestamp(value: ValueRef<'_>, zone: Zone) -> Result<Option<i64>, Misfit> {
    let Some(bytes) = written(value)? else { return Ok(None) };
    let moment = Moment::parse(bytes).ok_or(Misfit)?;
    match (zone, moment.offset_minutes) {
        (Zone::None, Some(_)) => Err(Misfit),
        (Zone::None, None) | (Zone::Utc, _) => Ok(Some(moment.instant())),
    }
}
