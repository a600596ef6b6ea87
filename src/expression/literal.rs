//! Constants in the connectors' terms.

use datafusion::common::ScalarValue;
use wayleave_connector_api::Value;

use super::{KeptHere, is_text};
use datafusion::arrow::datatypes::DataType;

/// A constant in the connectors' terms.
pub(super) fn literal(value: &ScalarValue) -> Result<Value, KeptHere> {
    if value.is_null() {
        let data_type = if is_text(&value.data_type()) { DataType::Utf8 } else { value.data_type() };
        return Ok(Value::Null(data_type));
    }
    let zoned = |zone: &Option<std::sync::Arc<str>>| match zone.as_deref() {
        None => Ok(false),
        Some("UTC" | "+00:00" | "+00") => Ok(true),
        Some(_) => Err(KeptHere::because("a timestamp in another zone than UTC is compared here")),
    };
    Ok(match value {
        ScalarValue::Boolean(Some(value)) => Value::Boolean(*value),
        ScalarValue::Int8(Some(value)) => Value::Int16(i16::from(*value)),
        ScalarValue::Int16(Some(value)) => Value::Int16(*value),
        ScalarValue::Int32(Some(value)) => Value::Int32(*value),
        ScalarValue::Int64(Some(value)) => Value::Int64(*value),
        ScalarValue::Float32(Some(value)) => Value::Float32(*value),
        ScalarValue::Float64(Some(value)) => Value::Float64(*value),
        ScalarValue::Decimal128(Some(unscaled), precision, scale) => {
            Value::Decimal128 { unscaled: *unscaled, precision: *precision, scale: *scale }
        }
        ScalarValue::Decimal256(Some(unscaled), precision, scale) => {
            Value::Decimal256 { unscaled: *unscaled, precision: *precision, scale: *scale }
        }
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Value::Text(text.clone())
        }
        ScalarValue::Binary(Some(bytes)) => Value::Binary(bytes.clone()),
        ScalarValue::Date32(Some(days)) => Value::Date(*days),
        ScalarValue::Time64Microsecond(Some(microseconds)) => Value::Time(*microseconds),
        ScalarValue::TimestampMicrosecond(Some(microseconds), zone) => {
            Value::Timestamp { microseconds: *microseconds, zoned: zoned(zone)? }
        }
        ScalarValue::TimestampNanosecond(Some(nanoseconds), zone) if nanoseconds % 1_000 == 0 => {
            Value::Timestamp { microseconds: nanoseconds / 1_000, zoned: zoned(zone)? }
        }
        other => {
            return Err(KeptHere::because(format!("a constant of type {} is compared here", other.data_type())));
        }
    })
}
