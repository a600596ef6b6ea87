//! Binary `COPY` into Arrow builders.
//!
//! In: chunks of the stream, cut anywhere. Out: record batches of the statement's schema. The bytes are not trusted: every
//! length is checked, and what cannot be a value of its column's type is [`ConnectorError::Decode`], never a wrong value.
//!
//! The format is that of PostgreSQL's manual, `COPY`, "Binary Format"; each field is what the type's `send` function writes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListArray, NullArray, NullBufferBuilder, RecordBatch,
    RecordBatchOptions, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, SchemaRef, TimeUnit, i256};
use bytes::{Bytes, BytesMut};
use wayleave_connector_api::ConnectorError;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Days and microseconds from 1970-01-01, Arrow's first day, to 2000-01-01, PostgreSQL's.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// The first batch is small, so that something shows soon.
const FIRST_BATCH_ROWS: usize = 256;
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 1 << 20;

/// A `COPY` stream being read.
pub(crate) struct Decoder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    /// The part of a row, or of the header, that the last chunk ended in.
    rest: BytesMut,
    state: State,
    rows: usize,
    bytes: usize,
    row_limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

/// What one look at the unread bytes gave.
enum Step {
    NeedMore,
    /// Bytes read.
    Read(usize),
}

/// Why a field is no value of its type; the column is added by the caller.
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
        let state = State::Header;
        Ok(Self { schema, columns, rest: BytesMut::new(), state, rows: 0, bytes: 0, row_limit: FIRST_BATCH_ROWS })
    }

    /// Reads a chunk and adds every batch that became full.
    pub(crate) fn feed(&mut self, chunk: &Bytes, full: &mut Vec<RecordBatch>) -> Result<(), ConnectorError> {
        if self.rest.is_empty() {
            // The usual case: PostgreSQL sends whole rows, which are read where they lie.
            let read = self.read(chunk, full)?;
            self.rest.extend_from_slice(chunk.get(read..).unwrap_or_default());
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(chunk);
            let read = self.read(&joined, full)?;
            self.rest = joined.split_off(read.min(joined.len()));
        }
        Ok(())
    }

    /// Ends one stream, after which another may follow. Only a stream that said itself that it is complete is one.
    pub(crate) fn end_of_copy(&mut self) -> Result<(), ConnectorError> {
        if self.state != State::Ended || !self.rest.is_empty() {
            return Err(ConnectorError::Protocol { reason: "a result ended without its end mark".to_owned() });
        }
        self.state = State::Header;
        Ok(())
    }

    /// The rows since the last full batch, between streams.
    pub(crate) fn finish(mut self) -> Result<Option<RecordBatch>, ConnectorError> {
        if self.state != State::Header || !self.rest.is_empty() {
            return Err(ConnectorError::Protocol { reason: "a result was not read to its end".to_owned() });
        }
        if self.rows == 0 { Ok(None) } else { self.batch().map(Some) }
    }

    fn read(&mut self, bytes: &[u8], full: &mut Vec<RecordBatch>) -> Result<usize, ConnectorError> {
        let mut position = 0;
        loop {
            let unread = bytes.get(position..).unwrap_or_default();
            let step = match self.state {
                State::Header => self.header(unread)?,
                State::Rows => self.row(unread)?,
                State::Ended if unread.is_empty() => return Ok(position),
                State::Ended => {
                    return Err(ConnectorError::Protocol { reason: "a result goes on after its end mark".to_owned() });
                }
            };
            match step {
                Step::NeedMore => return Ok(position),
                Step::Read(length) => position += length,
            }
            if self.rows >= self.row_limit || self.bytes >= BATCH_BYTES {
                full.push(self.batch()?);
                self.row_limit = BATCH_ROWS;
            }
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<Step, ConnectorError> {
        let wrong = |reason: &str| ConnectorError::Protocol { reason: reason.to_owned() };
        let mut reader = Reader { bytes };
        let signature = bytes.get(..SIGNATURE.len().min(bytes.len())).unwrap_or_default();
        if !SIGNATURE.starts_with(signature) {
            return Err(wrong("a result is not binary COPY"));
        }
        let (Some(_), Some(flags), Some(extension)) = (reader.take(SIGNATURE.len()), reader.u32(), reader.u32()) else {
            return Ok(Step::NeedMore);
        };
        // The upper half of the flags are those without which the rest cannot be read; none is defined but row ids.
        if flags >> 16 != 0 {
            return Err(wrong("a result has a COPY format of a later time"));
        }
        let extension = usize::try_from(extension).map_err(|_| wrong("a result's header is too long"))?;
        if extension > 1 << 16 {
            return Err(wrong("a result's header is too long"));
        }
        if reader.take(extension).is_none() {
            return Ok(Step::NeedMore);
        }
        self.state = State::Rows;
        Ok(Step::Read(bytes.len() - reader.bytes.len()))
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Step, ConnectorError> {
        let mut reader = Reader { bytes };
        let Some(count) = reader.i16() else { return Ok(Step::NeedMore) };
        if count == -1 {
            self.state = State::Ended;
            return Ok(Step::Read(2));
        }
        // A result of no columns comes with one constant that stands for the row.
        let expected = self.columns.len().max(1);
        if usize::try_from(count) != Ok(expected) {
            return Err(ConnectorError::Protocol { reason: format!("a row has {count} fields and not {expected}") });
        }
        let mut whole = Reader { bytes: reader.bytes };
        for _ in 0..expected {
            match whole.field()? {
                Some(_) => {}
                None => return Ok(Step::NeedMore),
            }
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            let field = reader.field()?.flatten();
            if column.append(field).is_err() {
                let expected =
                    self.schema.fields().get(index).map_or_else(String::new, |field| field.data_type().to_string());
                return Err(ConnectorError::Decode { position: index + 1, expected });
            }
        }
        let length = bytes.len() - whole.bytes.len();
        self.rows += 1;
        self.bytes += length;
        Ok(Step::Read(length))
    }

    fn batch(&mut self) -> Result<RecordBatch, ConnectorError> {
        let failed = |error: arrow::error::ArrowError| ConnectorError::Protocol { reason: error.to_string() };
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect::<Result<_, _>>().map_err(failed)?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(failed)
    }
}

/// Bytes not read yet. Every method takes from the front, or nothing.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length and as many bytes: the outer option is "all there", the inner one "not NULL".
    fn field(&mut self) -> Result<Option<Option<&'a [u8]>>, ConnectorError> {
        let mut ahead = Reader { bytes: self.bytes };
        let Some(length) = ahead.i32() else { return Ok(None) };
        let value = match usize::try_from(length) {
            Ok(length) => match ahead.take(length) {
                Some(value) => Some(value),
                None => return Ok(None),
            },
            Err(_) if length == -1 => None,
            Err(_) => return Err(ConnectorError::Protocol { reason: "a field has a negative length".to_owned() }),
        };
        self.bytes = ahead.bytes;
        Ok(Some(value))
    }
}

enum ColumnBuilder {
    Null(usize),
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
    List(Box<ListBuilder>),
}

struct ListBuilder {
    field: FieldRef,
    items: ColumnBuilder,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl ColumnBuilder {
    fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null(0),
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
            DataType::List(field) => match field.data_type() {
                DataType::List(_) => return None,
                item => Self::List(Box::new(ListBuilder {
                    field: Arc::clone(field),
                    items: Self::new(item)?,
                    offsets: vec![0],
                    nulls: NullBufferBuilder::new(0),
                })),
            },
            _ => return None,
        })
    }

    fn append(&mut self, field: Option<&[u8]>) -> Result<(), Malformed> {
        match self {
            Self::Null(count) => {
                *count += 1;
                if field.is_some() {
                    return Err(Malformed);
                }
            }
            Self::Boolean(builder) => builder.append_option(field.map(boolean).transpose()?),
            Self::Int16(builder) => {
                builder.append_option(field.map(|bytes| fixed(bytes).map(i16::from_be_bytes)).transpose()?);
            }
            Self::Int32(builder) => {
                builder.append_option(field.map(|bytes| fixed(bytes).map(i32::from_be_bytes)).transpose()?);
            }
            Self::Int64(builder) => {
                builder.append_option(field.map(|bytes| fixed(bytes).map(i64::from_be_bytes)).transpose()?);
            }
            Self::Float32(builder) => builder.append_option(field.map(float32).transpose()?),
            Self::Float64(builder) => builder.append_option(field.map(float64).transpose()?),
            Self::Decimal128 { builder, scale, limit } => {
                let value = field.map(|bytes| decimal::<i128>(bytes, *scale)).transpose()?;
                if value.is_some_and(|value| value >= *limit || value <= -*limit) {
                    return Err(Malformed);
                }
                builder.append_option(value);
            }
            Self::Decimal256 { builder, scale, limit } => {
                let value = field.map(|bytes| decimal::<i256>(bytes, *scale)).transpose()?;
                if value.is_some_and(|value| value >= *limit || value <= limit.wrapping_neg()) {
                    return Err(Malformed);
                }
                builder.append_option(value);
            }
            Self::Utf8(builder) => match field {
                Some(bytes) => builder.append_value(std::str::from_utf8(bytes).map_err(|_| Malformed)?),
                None => builder.append_null(),
            },
            Self::Binary(builder) => builder.append_option(field),
            Self::Date32(builder) => builder.append_option(field.map(date).transpose()?),
            Self::Time64(builder) => builder.append_option(field.map(time).transpose()?),
            Self::Timestamp { builder, .. } => builder.append_option(field.map(timestamp).transpose()?),
            Self::List(list) => list.append(field)?,
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, arrow::error::ArrowError> {
        Ok(match self {
            Self::Null(count) => Arc::new(NullArray::new(std::mem::take(count))),
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
            Self::List(list) => list.finish()?,
        })
    }
}

impl ListBuilder {
    /// `array_send`: dimensions, whether there are NULLs, the element type, each dimension's size and first index, items.
    fn append(&mut self, field: Option<&[u8]>) -> Result<(), Malformed> {
        if let Some(bytes) = field {
            let mut reader = Reader { bytes };
            let dimensions = reader.i32().ok_or(Malformed)?;
            let _has_nulls = reader.i32().ok_or(Malformed)?;
            let _element_type = reader.u32().ok_or(Malformed)?;
            let count = match dimensions {
                0 => 0,
                1 => {
                    let count = reader.i32().ok_or(Malformed)?;
                    let _first_index = reader.i32().ok_or(Malformed)?;
                    count
                }
                _ => return Err(Malformed),
            };
            // The count is not trusted to allocate by: each item must be there.
            for _ in 0..count.max(0) {
                let item = reader.field().map_err(|_| Malformed)?.ok_or(Malformed)?;
                self.items.append(item)?;
            }
            if count < 0 || !reader.bytes.is_empty() {
                return Err(Malformed);
            }
            let end = self.offsets.last().copied().unwrap_or(0).checked_add(count).ok_or(Malformed)?;
            self.offsets.push(end);
            self.nulls.append_non_null();
        } else {
            self.offsets.push(self.offsets.last().copied().unwrap_or(0));
            self.nulls.append_null();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, arrow::error::ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0])));
        let items = self.items.finish()?;
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.field), offsets, items, self.nulls.finish())?))
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed)
}

fn boolean(bytes: &[u8]) -> Result<bool, Malformed> {
    match fixed(bytes)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [_] => Err(Malformed),
    }
}

/// PostgreSQL puts every NaN above all numbers; Arrow does so only with those of positive sign.
fn float32(bytes: &[u8]) -> Result<f32, Malformed> {
    let value = f32::from_be_bytes(fixed(bytes)?);
    Ok(if value.is_nan() { f32::NAN } else { value })
}

fn float64(bytes: &[u8]) -> Result<f64, Malformed> {
    let value = f64::from_be_bytes(fixed(bytes)?);
    Ok(if value.is_nan() { f64::NAN } else { value })
}

/// The two infinities, which stand for "always" in many registers, become the first and the last day that Arrow has.
fn date(bytes: &[u8]) -> Result<i32, Malformed> {
    match i32::from_be_bytes(fixed(bytes)?) {
        infinite @ (i32::MIN | i32::MAX) => Ok(infinite),
        days => days.checked_add(EPOCH_DAYS).ok_or(Malformed),
    }
}

/// `24:00:00`, which PostgreSQL has and Arrow has not, cannot be read.
fn time(bytes: &[u8]) -> Result<i64, Malformed> {
    let microseconds = i64::from_be_bytes(fixed(bytes)?);
    if (0..DAY_MICROSECONDS).contains(&microseconds) { Ok(microseconds) } else { Err(Malformed) }
}

fn timestamp(bytes: &[u8]) -> Result<i64, Malformed> {
    match i64::from_be_bytes(fixed(bytes)?) {
        infinite @ (i64::MIN | i64::MAX) => Ok(infinite),
        microseconds => microseconds.checked_add(EPOCH_MICROSECONDS).ok_or(Malformed),
    }
}

/// The integers that hold a decimal's digits.
trait Unscaled: Copy {
    const ZERO: Self;
    /// `self × factor + digits`
    fn shifted(self, factor: i32, digits: i32) -> Option<Self>;
    fn negated(self) -> Option<Self>;
}

impl Unscaled for i128 {
    const ZERO: Self = 0;

    fn shifted(self, factor: i32, digits: i32) -> Option<Self> {
        self.checked_mul(Self::from(factor))?.checked_add(Self::from(digits))
    }

    fn negated(self) -> Option<Self> {
        self.checked_neg()
    }
}

impl Unscaled for i256 {
    const ZERO: Self = Self::ZERO;

    fn shifted(self, factor: i32, digits: i32) -> Option<Self> {
        self.checked_mul(Self::from_i128(i128::from(factor)))?.checked_add(Self::from_i128(i128::from(digits)))
    }

    fn negated(self) -> Option<Self> {
        self.checked_neg()
    }
}

/// `numeric_send`: a count of base 10000 digits, the first one's weight, the sign, a display scale, the digits. The value
/// is read exactly or not at all.
fn decimal<T: Unscaled>(bytes: &[u8], scale: i8) -> Result<T, Malformed> {
    const NEGATIVE: u16 = 0x4000;
    let mut reader = Reader { bytes };
    let count = reader.u16().ok_or(Malformed)?;
    let weight = reader.i16().ok_or(Malformed)?;
    let sign = reader.u16().ok_or(Malformed)?;
    let _display_scale = reader.u16().ok_or(Malformed)?;
    // NaN and the infinities have signs of their own.
    if sign != 0 && sign != NEGATIVE {
        return Err(Malformed);
    }
    let mut value = T::ZERO;
    let mut is_zero = true;
    // The power of ten of the last digit taken up so far, in units of the scale.
    let mut power = (i32::from(weight) + 1) * 4 + i32::from(scale);
    for _ in 0..count {
        let digits = reader.u16().ok_or(Malformed)?;
        if digits > 9_999 {
            return Err(Malformed);
        }
        let digits = i32::from(digits);
        is_zero &= digits == 0;
        power -= 4;
        value = match power {
            0.. => value.shifted(10_000, digits),
            // Part of the four digits lie beyond the scale, and must be zeros.
            -3..=-1 => {
                let beyond = 10_i32.pow(power.unsigned_abs());
                (digits % beyond == 0).then_some(()).and_then(|()| value.shifted(10_000 / beyond, digits / beyond))
            }
            _ => (digits == 0).then_some(value),
        }
        .ok_or(Malformed)?;
    }
    if !reader.bytes.is_empty() {
        return Err(Malformed);
    }
    if is_zero {
        return Ok(T::ZERO);
    }
    // Trailing zeros are not sent.
    while power >= 4 {
        value = value.shifted(10_000, 0).ok_or(Malformed)?;
        power -= 4;
    }
    for _ in 0..power.max(0) {
        value = value.shifted(10, 0).ok_or(Malformed)?;
    }
    if sign == NEGATIVE { value.negated().ok_or(Malformed) } else { Ok(value) }
}
