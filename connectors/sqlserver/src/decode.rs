//! Fields into Arrow builders.
//!
//! In: the cells of a result, row by row. Out: record batches of the statement's schema. A cell that is no value of its
//! column's type, or has no exact place in it, is [`ConnectorError::Decode`], never a wrong value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, NullArray, RecordBatch, RecordBatchOptions, StringBuilder,
    Time64MicrosecondBuilder, Time64NanosecondBuilder, TimestampMicrosecondBuilder, TimestampNanosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use wayleave_connector_api::ConnectorError;

use crate::driver::{Cell, Filled};

/// The first batch is small, so that something shows soon.
const FIRST_BATCH_ROWS: usize = 256;
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 1 << 20;

/// From SQL Server's first day, 0001-01-01, to Arrow's, 1970-01-01.
const EPOCH_DAYS: i64 = 719_162;
const DAY_TICKS: i64 = 864_000_000_000;

pub(crate) struct Decoder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    row_limit: usize,
}

/// Why a cell is no value of its type; the column is added by the caller.
struct Malformed;

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

    /// How many columns the server sends: a SELECT of none sends a constant.
    pub(crate) fn width(&self) -> usize {
        self.columns.len().max(1)
    }

    pub(crate) fn cell(&mut self, position: usize, cell: Cell<'_>) -> Result<(), ConnectorError> {
        let Some(column) = self.columns.get_mut(position) else { return Ok(()) };
        self.bytes = self.bytes.saturating_add(match cell {
            Cell::Text(text) => text.len(),
            Cell::Binary(bytes) => bytes.len(),
            _ => 8,
        });
        column.push(cell).map_err(|Malformed| ConnectorError::Decode {
            position: position + 1,
            expected: self
                .schema
                .fields()
                .get(position)
                .map_or_else(String::new, |field| field.data_type().to_string()),
        })
    }

    pub(crate) fn end_row(&mut self) -> Filled {
        self.rows += 1;
        if self.rows >= self.row_limit || self.bytes >= BATCH_BYTES { Filled::Yes } else { Filled::No }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows since the last batch.
    pub(crate) fn batch(&mut self) -> Result<RecordBatch, ConnectorError> {
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(|column| column.finish(self.rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| ConnectorError::Protocol { reason: format!("the rows make no batch: {error}") });
        (self.rows, self.bytes, self.row_limit) = (0, 0, BATCH_ROWS);
        batch
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
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    TimeMicros(Time64MicrosecondBuilder),
    TimeNanos(Time64NanosecondBuilder),
    Micros(TimestampMicrosecondBuilder, DataType),
    Nanos(TimestampNanosecondBuilder, DataType),
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
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new().with_data_type(data_type.clone());
                Self::Decimal(builder, *precision, *scale)
            }
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::TimeMicros(Time64MicrosecondBuilder::new()),
            DataType::Time64(TimeUnit::Nanosecond) => Self::TimeNanos(Time64NanosecondBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Micros(TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()), data_type.clone())
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Self::Nanos(TimestampNanosecondBuilder::new().with_data_type(data_type.clone()), data_type.clone())
            }
            _ => return None,
        })
    }

    fn push(&mut self, cell: Cell<'_>) -> Result<(), Malformed> {
        match (self, cell) {
            (Self::Null, Cell::Null) => {}
            (Self::Boolean(builder), Cell::Null) => builder.append_null(),
            (Self::Boolean(builder), Cell::Bit(value)) => builder.append_value(value),
            (Self::Int16(builder), Cell::Null) => builder.append_null(),
            (Self::Int16(builder), Cell::Integer(value)) => {
                builder.append_value(i16::try_from(value).map_err(|_| Malformed)?);
            }
            (Self::Int32(builder), Cell::Null) => builder.append_null(),
            (Self::Int32(builder), Cell::Integer(value)) => {
                builder.append_value(i32::try_from(value).map_err(|_| Malformed)?);
            }
            (Self::Int64(builder), Cell::Null) => builder.append_null(),
            (Self::Int64(builder), Cell::Integer(value)) => builder.append_value(value),
            (Self::Float32(builder), Cell::Null) => builder.append_null(),
            (Self::Float32(builder), Cell::Float32(value)) => builder.append_value(value),
            (Self::Float64(builder), Cell::Null) => builder.append_null(),
            (Self::Float64(builder), Cell::Float64(value)) => builder.append_value(value),
            (Self::Float64(builder), Cell::Float32(value)) => builder.append_value(f64::from(value)),
            (Self::Decimal(builder, _, _), Cell::Null) => builder.append_null(),
            (Self::Decimal(builder, precision, scale), Cell::Decimal { unscaled, scale: own }) => {
                builder.append_value(rescaled(unscaled, own, *precision, *scale)?);
            }
            (Self::Text(builder), Cell::Null) => builder.append_null(),
            (Self::Text(builder), Cell::Text(value)) => builder.append_value(value),
            (Self::Binary(builder), Cell::Null) => builder.append_null(),
            (Self::Binary(builder), Cell::Binary(value)) => builder.append_value(value),
            (Self::Date(builder), Cell::Null) => builder.append_null(),
            (Self::Date(builder), Cell::Date(days)) => {
                builder.append_value(i32::try_from(i64::from(days) - EPOCH_DAYS).map_err(|_| Malformed)?);
            }
            (Self::TimeMicros(builder), Cell::Null) => builder.append_null(),
            (Self::TimeMicros(builder), Cell::Time(ticks)) => builder.append_value(micros(of_day(ticks)?)?),
            (Self::TimeNanos(builder), Cell::Null) => builder.append_null(),
            (Self::TimeNanos(builder), Cell::Time(ticks)) => builder.append_value(nanos(of_day(ticks)?)?),
            (Self::Micros(builder, _), Cell::Null) => builder.append_null(),
            (Self::Micros(builder, _), Cell::Moment { days, ticks }) => {
                builder.append_value(micros(moment(days, ticks)?)?)
            }
            (Self::Nanos(builder, _), Cell::Null) => builder.append_null(),
            (Self::Nanos(builder, _), Cell::Moment { days, ticks }) => {
                builder.append_value(nanos(moment(days, ticks)?)?)
            }
            _ => return Err(Malformed),
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
            Self::Decimal(builder, _, _) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::TimeMicros(builder) => Arc::new(builder.finish()),
            Self::TimeNanos(builder) => Arc::new(builder.finish()),
            // A finished builder forgets its zone.
            Self::Micros(builder, data_type) => {
                let array = builder.finish();
                *builder = TimestampMicrosecondBuilder::new().with_data_type(data_type.clone());
                Arc::new(array)
            }
            Self::Nanos(builder, data_type) => {
                let array = builder.finish();
                *builder = TimestampNanosecondBuilder::new().with_data_type(data_type.clone());
                Arc::new(array)
            }
        }
    }
}

/// The same number at another scale, where it has a place there.
fn rescaled(unscaled: i128, own: u8, precision: u8, scale: i8) -> Result<i128, Malformed> {
    let more = i32::from(scale) - i32::from(own);
    let power = |digits: i32| u32::try_from(digits).ok().and_then(|digits| 10_i128.checked_pow(digits));
    let value = if more >= 0 {
        power(more).and_then(|factor| unscaled.checked_mul(factor))
    } else {
        power(-more).filter(|factor| unscaled % factor == 0).map(|factor| unscaled / factor)
    };
    let limit = power(i32::from(precision)).ok_or(Malformed)?;
    value.filter(|value| value.unsigned_abs() < limit.unsigned_abs()).ok_or(Malformed)
}

fn of_day(ticks: u64) -> Result<i64, Malformed> {
    i64::try_from(ticks).ok().filter(|ticks| *ticks < DAY_TICKS).ok_or(Malformed)
}

/// Hundreds of nanoseconds since 1970.
fn moment(days: u32, ticks: u64) -> Result<i64, Malformed> {
    let days = i64::from(days) - EPOCH_DAYS;
    days.checked_mul(DAY_TICKS).and_then(|start| start.checked_add(of_day(ticks).ok()?)).ok_or(Malformed)
}

/// A seventh digit of a second has no place among microseconds, and is not rounded away.
fn micros(ticks: i64) -> Result<i64, Malformed> {
    if ticks % 10 == 0 { Ok(ticks / 10) } else { Err(Malformed) }
}

/// Nanoseconds since 1970 end in the year 2262.
fn nanos(ticks: i64) -> Result<i64, Malformed> {
    ticks.checked_mul(100).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Field, Schema, TimestampNanosecondType};

    use super::*;

    fn decoder(data_type: DataType) -> Decoder {
        Decoder::new(Arc::new(Schema::new(vec![Field::new("c1", data_type, true)]))).unwrap()
    }

    fn is_read(data_type: DataType, cell: Cell<'_>) -> bool {
        decoder(data_type).cell(0, cell).is_ok()
    }

    #[test]
    fn what_has_no_exact_place_is_an_error() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let moment = |days, ticks| Cell::Moment { days, ticks };
        // 9999-12-31T23:59:59.999999 and a seventh digit.
        assert!(is_read(micros.clone(), moment(3_652_058, 863_999_999_990)));
        assert!(!is_read(micros, moment(3_652_058, 863_999_999_999)));
        assert!(is_read(nanos.clone(), moment(738_000, 863_999_999_999)));
        assert!(!is_read(nanos, moment(3_652_058, 863_999_999_999)));
        let decimal = |unscaled, scale| is_read(DataType::Decimal128(5, 2), Cell::Decimal { unscaled, scale });
        assert!(decimal(99_999, 2) && decimal(1, 0) && decimal(1_500, 3) && decimal(-99_999, 2));
        assert!(!decimal(100_000, 2) && !decimal(1_501, 3) && !decimal(1_000, 0));
        assert!(!is_read(DataType::Int16, Cell::Integer(40_000)));
        assert!(!is_read(DataType::Int32, Cell::Text("1")));
        assert!(!is_read(DataType::Utf8, Cell::Other));
        assert!(matches!(
            decoder(DataType::Int16).cell(0, Cell::Integer(40_000)),
            Err(ConnectorError::Decode { position: 1, expected }) if expected == "Int16"
        ));
    }

    #[test]
    fn every_batch_has_the_whole_type() {
        let zoned = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let mut decoder = decoder(zoned.clone());
        for _ in 0..2 {
            decoder.cell(0, Cell::Moment { days: 719_162, ticks: 7 }).unwrap();
            decoder.end_row();
            let batch = decoder.batch().unwrap();
            assert_eq!(batch.column(0).data_type(), &zoned);
            assert_eq!(batch.column(0).as_primitive::<TimestampNanosecondType>().value(0), 700);
        }
    }
}
