//! From what a driver says of a column to the Arrow type in which its values are read.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::{Collation, ColumnType};

/// Most digits of an Arrow decimal.
const MOST_DIGITS: u8 = 76;

/// What `SQLColumns` says of a column's type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described<'a> {
    /// A concise ODBC type (`SQL_INTEGER` is 4).
    pub concise: i16,
    /// In the database's own words.
    pub name: &'a str,
    pub size: Option<i32>,
    pub digits: Option<i16>,
}

/// How a column arrives. Codes: ODBC Programmer's Reference, appendix D.
pub(crate) fn column_type(described: Described<'_>) -> ColumnType {
    let name = described.name.to_ascii_lowercase();
    ColumnType::Readable(match described.concise {
        -7 => DataType::Boolean,
        -6 | 5 => DataType::Int16,
        4 => DataType::Int32,
        -5 => DataType::Int64,
        7 => DataType::Float32,
        6 | 8 => DataType::Float64,
        2 | 3 => return decimal(described),
        1 | 12 | -1 | -8 | -9 | -10 | -11 => DataType::Utf8,
        -4..=-2 => DataType::Binary,
        9 | 91 => DataType::Date32,
        10 | 92 if has_zone(&name) => return unreadable("ODBC drops its zone"),
        11 | 93 if has_zone(&name) => return unreadable("ODBC drops its zone"),
        10 | 92 => DataType::Time64(TimeUnit::Microsecond),
        11 | 93 => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => return unreadable("no type here corresponds to it"),
    })
}

fn has_zone(name: &str) -> bool {
    name.ends_with("tz") || name.contains("zone") || name.contains("offset")
}

fn decimal(described: Described<'_>) -> ColumnType {
    let precision =
        described.size.and_then(|size| u8::try_from(size).ok()).filter(|size| (1..=MOST_DIGITS).contains(size));
    let scale = described.digits.and_then(|digits| i8::try_from(digits).ok());
    match (precision, scale) {
        (Some(precision), Some(scale)) if (0..=precision.cast_signed()).contains(&scale) => {
            ColumnType::Readable(if precision <= 38 {
                DataType::Decimal128(precision, scale)
            } else {
                DataType::Decimal256(precision, scale)
            })
        }
        _ => unreadable("the driver gives it no precision and scale that a decimal has here"),
    }
}

fn unreadable(reason: &str) -> ColumnType {
    ColumnType::Unreadable { reason: reason.to_owned() }
}

/// ODBC tells nothing of it, so that a text may equal any other.
pub(crate) fn collation(column_type: &ColumnType) -> Collation {
    if column_type.readable() == Some(&DataType::Utf8) { Collation::Loose } else { Collation::Binary }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(concise: i16, name: &str, size: i32, digits: i16) -> Option<DataType> {
        let described = Described { concise, name, size: Some(size), digits: Some(digits) };
        column_type(described).readable().cloned()
    }

    #[test]
    fn a_type_is_read_exactly_or_not_at_all() {
        assert_eq!(of(4, "int4", 10, 0), Some(DataType::Int32));
        assert_eq!(of(2, "numeric", 10, 2), Some(DataType::Decimal128(10, 2)));
        assert_eq!(of(3, "decimal", 50, 5), Some(DataType::Decimal256(50, 5)));
        for (size, digits) in [(0, 0), (77, 0), (10, 11), (10, -1)] {
            assert_eq!(of(2, "numeric", size, digits), None, "{size}, {digits}");
        }
        assert_eq!(of(93, "timestamp", 26, 6), Some(DataType::Timestamp(TimeUnit::Microsecond, None)));
        for name in ["timestamptz", "TIMESTAMP WITH TIME ZONE", "datetimeoffset"] {
            assert_eq!(of(93, name, 26, 6), None, "{name}");
        }
        assert_eq!(of(-154, "time", 0, 0), None);
    }
}
