//! From the type that a file gives a column to the Arrow type in which its values are read.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::ColumnType;

/// What a column of this type arrives as: every value as it is, or the column cannot be read.
pub(crate) fn column_type(in_file: &DataType) -> ColumnType {
    let readable = match in_file {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _)
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond) => in_file.clone(),
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, value) if matches!(value.as_ref(), DataType::Utf8 | DataType::LargeUtf8) => {
            DataType::Utf8
        }
        DataType::Time32(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(_) => {
            return unreadable("it counts nanoseconds, and microseconds are kept here");
        }
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_zone| "UTC".into()))
        }
        _ => return unreadable("no type here corresponds to it"),
    };
    ColumnType::Readable(readable)
}

fn unreadable(reason: &str) -> ColumnType {
    ColumnType::Unreadable { reason: reason.to_owned() }
}
