//! CAST and CONVERT: a value of one type as another.
//!
//! Values are in the forms that `sql_type` lists. Source: "CAST and CONVERT (Transact-SQL)", with its table of conversions
//! that are allowed, its styles and its rules of rounding and truncation.

use rusqlite::types::Value;

use crate::calendar::{self, DAY_1753, DAY_1900, Instant, LAST_DAY, TICKS_PER_DAY, TICKS_PER_SECOND};
use crate::decimal;
use crate::error::SqlError;
use crate::guid::{guid_stored, guid_wire};
use crate::shown::display;
use crate::sql_type::{Kind, Length, SqlType};

/// Whether a conversion between the types exists at all; else error 529.
pub fn is_allowed(from: SqlType, to: SqlType) -> bool {
    use Kind::{Binary, Date, DateTime, DateTimeOffset, Decimal, Float, Integer, String, Time, UniqueIdentifier, Xml};
    if matches!(from, SqlType::Text(_) | SqlType::NText(_)) && !to.is_string() && to.kind() != Xml {
        return false;
    }
    if matches!(from, SqlType::Image) && to.kind() != Binary {
        return false;
    }
    match (from.kind(), to.kind()) {
        (_, String) if matches!(to, SqlType::Text(_) | SqlType::NText(_)) => matches!(from.kind(), String),
        (String, _) | (_, String) => true,
        (Integer | Float | Decimal, Integer | Float | Decimal) => true,
        (Integer | Decimal, Binary) | (Binary, Integer | Decimal) => true,
        (Float, Binary) | (Binary, Float) => false,
        (Integer | Float | Decimal, DateTime) => matches!(to, SqlType::DateTime | SqlType::SmallDateTime),
        (DateTime, Integer | Float | Decimal) => matches!(from, SqlType::DateTime | SqlType::SmallDateTime),
        (Date | Time, Date | Time) => from.kind() == to.kind(),
        (Date | Time | DateTime | DateTimeOffset, Date | Time | DateTime | DateTimeOffset) => true,
        (Binary, Binary | UniqueIdentifier | Xml) | (UniqueIdentifier, Binary | UniqueIdentifier) => true,
        (Xml, Xml | Binary) => true,
        _ => false,
    }
}

/// The value of type `from` as one of type `to`.
///
/// # Errors
/// What SQL Server reports where the text is no such value (241, 245, 8114, 8169) or the value does not fit (220, 8115).
pub fn cast(value: Value, from: SqlType, to: SqlType, style: i64) -> Result<Value, SqlError> {
    if value == Value::Null {
        return Ok(Value::Null);
    }
    match to.kind() {
        Kind::Integer => to_integer(value, from, to),
        Kind::Float => to_float(value, from, to),
        Kind::Decimal => to_decimal(value, from, to),
        Kind::String => to_string(value, from, to, style),
        Kind::Binary => to_binary(value, from, to, style),
        Kind::UniqueIdentifier => to_uniqueidentifier(value, from),
        Kind::Date | Kind::Time | Kind::DateTime | Kind::DateTimeOffset => to_moment(value, from, to),
        Kind::Xml => {
            to_string(value, from, SqlType::NVarChar(Length::Max, crate::collation::Collation::DEFAULT), style)
        }
    }
}

fn failed(from: SqlType, to: SqlType) -> SqlError {
    SqlError::new(8114, 16, 5, format!("Error converting data type {} to {}.", from.name(), named(to)))
}

fn named(sql_type: SqlType) -> &'static str {
    if matches!(sql_type, SqlType::Decimal { .. }) { "numeric" } else { sql_type.name() }
}

fn unreadable(from: SqlType, to: SqlType) -> SqlError {
    SqlError::new(
        245,
        16,
        1,
        format!("Conversion failed when converting the {} value to data type {}.", from.name(), to.name()),
    )
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}

pub fn unscaled(value: &Value) -> i128 {
    match value {
        Value::Blob(bytes) => decimal::from_blob(bytes).unwrap_or(0),
        _ => 0,
    }
}

pub fn integer(value: &Value) -> i64 {
    match value {
        Value::Integer(number) => *number,
        _ => 0,
    }
}

pub fn real(value: &Value) -> f64 {
    match value {
        Value::Real(number) => *number,
        Value::Integer(number) => *number as f64,
        _ => 0.0,
    }
}

pub fn scale_of(sql_type: SqlType) -> u8 {
    sql_type.precision_and_scale().map_or(0, |(_, scale)| scale)
}

fn to_integer(value: Value, from: SqlType, to: SqlType) -> Result<Value, SqlError> {
    let overflow = || match to {
        SqlType::TinyInt | SqlType::SmallInt if from.kind() == Kind::Integer => {
            SqlError::new(220, 16, 1, format!("Arithmetic overflow error for data type {}.", to.name()))
        }
        _ => SqlError::overflow(to.name()),
    };
    let wide: i128 = match from.kind() {
        Kind::Integer => i128::from(integer(&value)),
        Kind::Float => {
            let number = real(&value).trunc();
            if number.abs() >= 1e19 {
                return Err(overflow());
            }
            if to == SqlType::Bit { i128::from(real(&value) != 0.0) } else { number as i128 }
        }
        Kind::Decimal => {
            let scale = scale_of(from);
            // money rounds, decimal is cut.
            let whole = match from {
                SqlType::Money | SqlType::SmallMoney => decimal::rescale(unscaled(&value), scale, 0),
                _ => decimal::truncate(unscaled(&value), scale, 0),
            };
            if to == SqlType::Bit { i128::from(unscaled(&value) != 0) } else { whole.unwrap_or(i128::MAX) }
        }
        Kind::String => {
            let trimmed = text(&value).trim_matches(' ');
            if to == SqlType::Bit && trimmed.eq_ignore_ascii_case("true") {
                1
            } else if to == SqlType::Bit && trimmed.eq_ignore_ascii_case("false") || trimmed.is_empty() {
                0
            } else {
                let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(if to == SqlType::BigInt { failed(from, to) } else { unreadable(from, to) });
                }
                trimmed.parse().map_err(|_| overflow())?
            }
        }
        Kind::Binary => match value {
            Value::Blob(bytes) => {
                let width = match to {
                    SqlType::BigInt => 8,
                    SqlType::Int => 4,
                    SqlType::SmallInt => 2,
                    _ => 1,
                };
                let tail = bytes.get(bytes.len().saturating_sub(width)..).unwrap_or_default();
                let number = tail.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
                match to {
                    SqlType::BigInt => i128::from(number as i64),
                    SqlType::Int => i128::from(number as u32 as i32),
                    SqlType::SmallInt => i128::from(number as u16 as i16),
                    _ => i128::from(number),
                }
            }
            _ => 0,
        },
        Kind::DateTime => {
            let ticks = integer(&value) - DAY_1900 * TICKS_PER_DAY;
            i128::from((ticks + TICKS_PER_DAY / 2).div_euclid(TICKS_PER_DAY))
        }
        _ => return Err(failed(from, to)),
    };
    if to == SqlType::Bit {
        return Ok(Value::Integer(i64::from(wide != 0)));
    }
    let (least, greatest) = to.integer_range().unwrap_or((i64::MIN, i64::MAX));
    match i64::try_from(wide) {
        Ok(number) if (least..=greatest).contains(&number) => Ok(Value::Integer(number)),
        _ => Err(overflow()),
    }
}

fn to_float(value: Value, from: SqlType, to: SqlType) -> Result<Value, SqlError> {
    let number = match from.kind() {
        Kind::Integer => integer(&value) as f64,
        Kind::Float => real(&value),
        Kind::Decimal => decimal::to_text(unscaled(&value), scale_of(from)).parse().map_err(|_| failed(from, to))?,
        Kind::String => {
            let trimmed = text(&value).trim_matches(' ');
            if trimmed.is_empty() {
                0.0
            } else if trimmed.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
                trimmed.parse().map_err(|_| failed(from, to))?
            } else {
                return Err(failed(from, to));
            }
        }
        Kind::DateTime => (integer(&value) - DAY_1900 * TICKS_PER_DAY) as f64 / TICKS_PER_DAY as f64,
        _ => return Err(failed(from, to)),
    };
    finite(number, to)
}

/// A float or real that is in range: NaN and infinity do not exist, real is rounded to four bytes.
pub fn finite(number: f64, to: SqlType) -> Result<Value, SqlError> {
    let number = if to == SqlType::Real { f64::from(number as f32) } else { number };
    if number.is_finite() { Ok(Value::Real(number)) } else { Err(SqlError::overflow(to.name())) }
}

fn to_decimal(value: Value, from: SqlType, to: SqlType) -> Result<Value, SqlError> {
    let Some((precision, scale)) = to.precision_and_scale() else { return Err(failed(from, to)) };
    let overflow = || {
        let from = if matches!(from.kind(), Kind::Integer | Kind::DateTime) { "expression" } else { named(from) };
        if matches!(from, "expression") {
            SqlError::new(
                8115,
                16,
                8,
                format!("Arithmetic overflow error converting expression to data type {}.", named(to)),
            )
        } else {
            SqlError::new(
                8115,
                16,
                8,
                format!("Arithmetic overflow error converting {from} to data type {}.", named(to)),
            )
        }
    };
    let (number, from_scale) = match from.kind() {
        Kind::Integer => (i128::from(integer(&value)), 0),
        Kind::Decimal => (unscaled(&value), scale_of(from)),
        Kind::Float => {
            // 17 digits say a float exactly enough; past them SQL Server has zeros.
            let number = real(&value);
            if number.abs() >= 1e38 {
                return Err(overflow());
            }
            let shown = float_digits(number, scale);
            decimal::parse(&shown).ok_or_else(overflow)?
        }
        Kind::String => {
            let trimmed = text(&value).trim_matches(' ');
            let is_money = matches!(to, SqlType::Money | SqlType::SmallMoney);
            let plain = if is_money { trimmed.replace([',', '$', '£'], "") } else { trimmed.to_owned() };
            if is_money && plain.is_empty() {
                (0, 0)
            } else {
                match decimal::parse(&plain) {
                    Some(read) => read,
                    None if !plain.is_empty()
                        && plain.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte))
                        && plain.len() > 38 =>
                    {
                        return Err(overflow());
                    }
                    None if is_money => {
                        return Err(SqlError::new(
                            235,
                            16,
                            0,
                            format!(
                                "Cannot convert a {} value to {}. The char value has incorrect syntax.",
                                from.name(),
                                to.name()
                            ),
                        ));
                    }
                    None => return Err(failed(from, to)),
                }
            }
        }
        Kind::DateTime => {
            let days = real(&to_float(value, from, SqlType::Float)?);
            decimal::parse(&float_digits(days, scale)).ok_or_else(overflow)?
        }
        _ => return Err(failed(from, to)),
    };
    let number = decimal::rescale(number, from_scale, scale).ok_or_else(overflow)?;
    let fits = match to {
        SqlType::Money => i64::try_from(number).is_ok(),
        SqlType::SmallMoney => i32::try_from(number).is_ok(),
        _ => decimal::fits(number, precision),
    };
    if fits { Ok(Value::Blob(decimal::to_blob(number))) } else { Err(overflow()) }
}

fn float_digits(number: f64, scale: u8) -> String {
    let exponent = if number == 0.0 { 0 } else { number.abs().log10().floor() as i32 };
    let significant = (16 - exponent).clamp(0, 40) as usize;
    format!("{number:.places$}", places = significant.min(usize::from(scale) + 2))
}

/// Uppercase hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn to_string(value: Value, from: SqlType, to: SqlType, style: i64) -> Result<Value, SqlError> {
    let shown = match from.kind() {
        Kind::String | Kind::Xml => match value {
            Value::Text(text) => text,
            _ => String::new(),
        },
        Kind::Binary => match value {
            Value::Blob(bytes) => match style {
                1 => format!("0x{}", hexadecimal(&bytes)),
                2 => hexadecimal(&bytes),
                _ if to.is_unicode() => utf16_text(&bytes),
                _ => to.collation().unwrap_or(crate::collation::Collation::DEFAULT).decode(&bytes),
            },
            _ => String::new(),
        },
        _ => display(&value, from, style)?,
    };
    let length = to.length();
    let room = length.map_or(usize::MAX, usize::from);
    let size = if to.is_unicode() || to.kind() == Kind::Xml {
        shown.encode_utf16().count()
    } else {
        to.collation().map_or(shown.len(), |collation| collation.encode(&shown).len())
    };
    if size > room
        && !matches!(
            from.kind(),
            Kind::String | Kind::Xml | Kind::Binary | Kind::Date | Kind::Time | Kind::DateTime | Kind::DateTimeOffset
        )
    {
        return match from {
            SqlType::Int | SqlType::SmallInt | SqlType::TinyInt if !to.is_unicode() => Ok(Value::Text("*".to_owned())),
            SqlType::UniqueIdentifier => {
                Err(SqlError::new(8170, 16, 2, "Insufficient result space to convert uniqueidentifier value to char."))
            }
            SqlType::Money | SqlType::SmallMoney => Err(SqlError::new(
                234,
                16,
                2,
                format!("There is insufficient result space to convert a money value to {}.", to.name()),
            )),
            _ => Err(SqlError::overflow(to.name())),
        };
    }
    Ok(Value::Text(fit(&shown, to)))
}

/// A text cut to a type's length, what its code page lacks replaced, and char and nchar padded with blanks.
pub fn fit(text: &str, to: SqlType) -> String {
    let room = to.length().map_or(usize::MAX, usize::from);
    if to.is_unicode() || to.kind() == Kind::Xml {
        let mut fitted = if text.encode_utf16().count() > room {
            let units: Vec<u16> = text.encode_utf16().take(room).collect();
            String::from_utf16_lossy(&units)
        } else {
            text.to_owned()
        };
        if let SqlType::NChar(length, _) = to {
            let missing = usize::from(length).saturating_sub(fitted.encode_utf16().count());
            fitted.extend(std::iter::repeat_n(' ', missing));
        }
        return fitted;
    }
    let collation = to.collation().unwrap_or(crate::collation::Collation::DEFAULT);
    if text.is_ascii() && text.len() <= room && !matches!(to, SqlType::Char(..)) {
        return text.to_owned();
    }
    let mut fitted = String::with_capacity(text.len());
    let mut size = 0;
    for character in text.chars() {
        let mut buffer = [0; 4];
        let bytes = collation.encode(character.encode_utf8(&mut buffer));
        if size + bytes.len() > room {
            break;
        }
        size += bytes.len();
        if bytes == b"?" {
            fitted.push('?');
        } else {
            fitted.push(character);
        }
    }
    if let SqlType::Char(length, _) = to {
        fitted.extend(std::iter::repeat_n(' ', usize::from(length).saturating_sub(size)));
    }
    fitted
}

pub fn utf16_text(bytes: &[u8]) -> String {
    let units: Vec<u16> =
        bytes.chunks(2).map(|pair| u16::from(pair[0]) | u16::from(pair.get(1).copied().unwrap_or(0)) << 8).collect();
    String::from_utf16_lossy(&units)
}

fn to_binary(value: Value, from: SqlType, to: SqlType, style: i64) -> Result<Value, SqlError> {
    let mut bytes = match (from.kind(), value) {
        (Kind::Binary, Value::Blob(bytes)) => bytes,
        (Kind::String | Kind::Xml, Value::Text(text)) => match style {
            1 | 2 => {
                let digits = if style == 1 { text.strip_prefix("0x") } else { Some(text.as_str()) };
                digits.and_then(from_hexadecimal).ok_or_else(|| failed(from, to))?
            }
            _ if from.is_unicode() || from.kind() == Kind::Xml => {
                text.encode_utf16().flat_map(u16::to_le_bytes).collect()
            }
            _ => from.collation().unwrap_or(crate::collation::Collation::DEFAULT).encode(&text),
        },
        (Kind::Integer, Value::Integer(number)) => {
            let width = match from {
                SqlType::BigInt => 8,
                SqlType::Int => 4,
                SqlType::SmallInt => 2,
                _ => 1,
            };
            number.to_be_bytes().get(8 - width..).unwrap_or_default().to_vec()
        }
        (Kind::UniqueIdentifier, Value::Blob(bytes)) => guid_wire(&bytes).to_vec(),
        _ => return Err(failed(from, to)),
    };
    if let Some(length) = to.length() {
        let length = usize::from(length);
        // Numbers keep their last bytes, everything else its first.
        if from.kind() == Kind::Integer && bytes.len() > length {
            bytes.drain(..bytes.len() - length);
        }
        bytes.truncate(length);
        if matches!(to, SqlType::Binary(_)) {
            let missing = length - bytes.len();
            if from.kind() == Kind::Integer {
                bytes.splice(0..0, std::iter::repeat_n(0, missing));
            } else {
                bytes.extend(std::iter::repeat_n(0, missing));
            }
        }
    }
    Ok(Value::Blob(bytes))
}

fn from_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

fn to_uniqueidentifier(value: Value, from: SqlType) -> Result<Value, SqlError> {
    let failed =
        || SqlError::new(8169, 16, 2, "Conversion failed when converting from a character string to uniqueidentifier.");
    match (from.kind(), value) {
        (Kind::UniqueIdentifier, value) => Ok(value),
        (Kind::Binary, Value::Blob(mut bytes)) => {
            bytes.resize(16, 0);
            Ok(Value::Blob(guid_stored(&bytes)))
        }
        (Kind::String, Value::Text(text)) => {
            let text = text.strip_prefix('{').unwrap_or(&text);
            let text = text.get(..36).ok_or_else(failed)?;
            let groups: Vec<&str> = text.split('-').collect();
            if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
                return Err(failed());
            }
            let bytes = from_hexadecimal(&groups.concat()).ok_or_else(failed)?;
            let mut wire = bytes;
            wire.get_mut(0..4).ok_or_else(failed)?.reverse();
            wire.get_mut(4..6).ok_or_else(failed)?.reverse();
            wire.get_mut(6..8).ok_or_else(failed)?.reverse();
            Ok(Value::Blob(guid_stored(&wire)))
        }
        _ => Err(failed()),
    }
}

/// The ticks in UTC and the minutes of the offset that a datetimeoffset's bytes hold.
pub fn offset_parts(value: &Value) -> (i64, i64) {
    let Value::Blob(bytes) = value else { return (0, 0) };
    let ticks = bytes.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes);
    let offset = bytes.get(8..10).and_then(|bytes| bytes.try_into().ok()).map_or(0, i16::from_be_bytes);
    (ticks, i64::from(offset))
}

pub fn offset_blob(utc_ticks: i64, offset_minutes: i64) -> Value {
    let mut bytes = utc_ticks.to_be_bytes().to_vec();
    bytes.extend_from_slice(&(offset_minutes as i16).to_be_bytes());
    Value::Blob(bytes)
}

fn to_moment(value: Value, from: SqlType, to: SqlType) -> Result<Value, SqlError> {
    let out_of_range = || {
        SqlError::new(
            242,
            16,
            3,
            format!(
                "The conversion of a {} data type to a {} data type resulted in an out-of-range value.",
                from.name(),
                to.name()
            ),
        )
    };
    let moment = match from.kind() {
        Kind::String => calendar::parse(text(&value)).ok_or_else(|| match to {
            SqlType::SmallDateTime => SqlError::new(
                295,
                16,
                3,
                "Conversion failed when converting character string to smalldatetime data type.",
            ),
            _ => SqlError::new(241, 16, 1, "Conversion failed when converting date and/or time from character string."),
        })?,
        Kind::Date => Instant { day: integer(&value), ticks: 0, offset_minutes: None },
        Kind::Time => Instant { day: DAY_1900, ticks: integer(&value), offset_minutes: None },
        Kind::DateTime => {
            let ticks = integer(&value);
            Instant {
                day: ticks.div_euclid(TICKS_PER_DAY),
                ticks: ticks.rem_euclid(TICKS_PER_DAY),
                offset_minutes: None,
            }
        }
        Kind::DateTimeOffset => {
            let (utc, offset) = offset_parts(&value);
            let local = utc + offset * 60 * TICKS_PER_SECOND;
            Instant {
                day: local.div_euclid(TICKS_PER_DAY),
                ticks: local.rem_euclid(TICKS_PER_DAY),
                offset_minutes: Some(offset),
            }
        }
        Kind::Integer | Kind::Float | Kind::Decimal => {
            let days = real(&to_float(value, from, SqlType::Float)?);
            let ticks = (days * TICKS_PER_DAY as f64) as i64 + DAY_1900 * TICKS_PER_DAY;
            Instant {
                day: ticks.div_euclid(TICKS_PER_DAY),
                ticks: ticks.rem_euclid(TICKS_PER_DAY),
                offset_minutes: None,
            }
        }
        _ => return Err(failed(from, to)),
    };
    let whole = moment.day * TICKS_PER_DAY + moment.ticks;
    let last = (LAST_DAY + 1) * TICKS_PER_DAY;
    match to {
        SqlType::Date => Ok(Value::Integer(moment.day)),
        SqlType::Time(scale) => {
            Ok(Value::Integer(calendar::round_ticks(moment.ticks, scale).rem_euclid(TICKS_PER_DAY)))
        }
        SqlType::DateTime2(scale) => {
            let rounded = calendar::round_ticks(whole, scale);
            if rounded < last { Ok(Value::Integer(rounded)) } else { Err(out_of_range()) }
        }
        SqlType::DateTimeOffset(scale) => {
            let offset = moment.offset_minutes.unwrap_or(0);
            let utc = calendar::round_ticks(whole, scale) - offset * 60 * TICKS_PER_SECOND;
            if (0..last).contains(&utc) { Ok(offset_blob(utc, offset)) } else { Err(out_of_range()) }
        }
        SqlType::DateTime => {
            let rounded = calendar::round_to_datetime(whole);
            if moment.day < DAY_1753 || rounded >= last {
                return Err(out_of_range());
            }
            Ok(Value::Integer(rounded))
        }
        SqlType::SmallDateTime => {
            let minute = 60 * TICKS_PER_SECOND;
            let rounded = (whole + minute / 2).div_euclid(minute) * minute;
            // 1900-01-01 to 2079-06-06: the days are two bytes.
            if !(0..=0xffff).contains(&(rounded.div_euclid(TICKS_PER_DAY) - DAY_1900)) {
                return Err(out_of_range());
            }
            Ok(Value::Integer(rounded))
        }
        _ => Err(failed(from, to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collation::Collation;

    const VARCHAR: SqlType = SqlType::VarChar(Length::Of(40), Collation::DEFAULT);

    fn read(text: &str, to: SqlType) -> Result<Value, SqlError> {
        cast(Value::Text(text.to_owned()), VARCHAR, to, 0)
    }

    fn shown(value: Value, from: SqlType, style: i64) -> String {
        match cast(value, from, VARCHAR, style).unwrap() {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn integers_are_read_from_text_and_overflow() {
        assert_eq!(read(" 12 ", SqlType::Int), Ok(Value::Integer(12)));
        assert_eq!(read("", SqlType::Int), Ok(Value::Integer(0)));
        assert_eq!(read("1.5", SqlType::Int).unwrap_err().number, 245);
        assert_eq!(read("3000000000", SqlType::Int).unwrap_err().number, 8115);
        assert_eq!(cast(Value::Integer(300), SqlType::Int, SqlType::TinyInt, 0).unwrap_err().number, 220);
    }

    #[test]
    fn guids_round_trip_and_sort_by_their_last_group() {
        let text = "00112233-4455-6677-8899-AABBCCDDEEFF";
        let stored = read(text, SqlType::UniqueIdentifier).unwrap();
        assert_eq!(shown(stored.clone(), SqlType::UniqueIdentifier, 0), text);
        let Value::Blob(bytes) = stored else { panic!() };
        assert_eq!(bytes[0], 0xaa);
        assert_eq!(guid_wire(&bytes)[0], 0x33);
    }

    #[test]
    fn moments_are_shown_in_their_styles() {
        let datetime = read("2024-02-29T13:45:07.123", SqlType::DateTime).unwrap();
        assert_eq!(shown(datetime.clone(), SqlType::DateTime, 121), "2024-02-29 13:45:07.123");
        assert_eq!(shown(datetime, SqlType::DateTime, 0), "Feb 29 2024  1:45PM");
        let offset = read("2024-02-29 13:45:07.5 -05:30", SqlType::DateTimeOffset(1)).unwrap();
        assert_eq!(shown(offset.clone(), SqlType::DateTimeOffset(1), 0), "2024-02-29 13:45:07.5 -05:30");
        assert_eq!(shown(offset, SqlType::DateTimeOffset(1), 127), "2024-02-29T19:15:07.5Z");
        assert_eq!(read("1752-12-31", SqlType::DateTime).unwrap_err().number, 242);
        assert_eq!(read("2024-02-30", SqlType::Date).unwrap_err().number, 241);
    }

    #[test]
    fn floats_are_shown_with_six_digits() {
        assert_eq!(shown(Value::Real(0.1), SqlType::Float, 0), "0.1");
        assert_eq!(shown(Value::Real(1_234_567.0), SqlType::Float, 0), "1.23457e+006");
        assert_eq!(shown(Value::Real(0.1), SqlType::Float, 3), "1.0000000000000001e-001");
    }

    #[test]
    fn char_is_padded_and_varchar_is_cut() {
        assert_eq!(fit("ab", SqlType::Char(4, Collation::DEFAULT)), "ab  ");
        assert_eq!(fit("abж", SqlType::VarChar(Length::Of(3), Collation::DEFAULT)), "ab?");
        assert_eq!(fit("abcd", SqlType::NVarChar(Length::Of(3), Collation::DEFAULT)), "abc");
    }
}
