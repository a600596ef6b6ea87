//! Constants of a fragment.

use arrow::datatypes::{DataType, TimeUnit, i256};

/// A constant. Dates count days from 1970-01-01; times microseconds from midnight; timestamps microseconds from
/// 1970-01-01T00:00 (in UTC where `zoned`).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null(DataType),
    Boolean(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    /// `unscaled × 10^-scale`.
    Decimal128 {
        unscaled: i128,
        precision: u8,
        scale: i8,
    },
    Decimal256 {
        unscaled: i256,
        precision: u8,
        scale: i8,
    },
    Text(String),
    Binary(Vec<u8>),
    Date(i32),
    Time(i64),
    Timestamp {
        microseconds: i64,
        zoned: bool,
    },
}

impl Value {
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null(data_type) => data_type.clone(),
            Self::Boolean(_) => DataType::Boolean,
            Self::Int16(_) => DataType::Int16,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::Float32(_) => DataType::Float32,
            Self::Float64(_) => DataType::Float64,
            Self::Decimal128 { precision, scale, .. } => DataType::Decimal128(*precision, *scale),
            Self::Decimal256 { precision, scale, .. } => DataType::Decimal256(*precision, *scale),
            Self::Text(_) => DataType::Utf8,
            Self::Binary(_) => DataType::Binary,
            Self::Date(_) => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { zoned, .. } => DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into())),
        }
    }

    /// The decimal as plain digits (`-12.50`), exact at any size; `None` for what is no decimal.
    pub fn decimal_digits(&self) -> Option<String> {
        let (digits, scale) = match self {
            Self::Decimal128 { unscaled, scale, .. } => (unscaled.to_string(), *scale),
            Self::Decimal256 { unscaled, scale, .. } => (unscaled.to_string(), *scale),
            _ => return None,
        };
        let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |rest| ("-", rest));
        Some(match usize::try_from(scale) {
            Ok(0) => format!("{sign}{digits}"),
            Ok(scale) => {
                let padded = format!("{digits:0>width$}", width = scale + 1);
                let (whole, fraction) = padded.split_at(padded.len() - scale);
                format!("{sign}{whole}.{fraction}")
            }
            Err(_) => format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit() {
        let decimal = |unscaled, scale| Value::Decimal128 { unscaled, precision: 38, scale }.decimal_digits();
        assert_eq!(decimal(-1250, 2).as_deref(), Some("-12.50"));
        assert_eq!(decimal(5, 3).as_deref(), Some("0.005"));
        assert_eq!(decimal(5, 0).as_deref(), Some("5"));
        assert_eq!(decimal(5, -2).as_deref(), Some("500"));
    }
}
