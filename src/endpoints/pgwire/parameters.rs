//! Parameters of prepared statements, as text and in binary: each becomes a literal of the one statement that is asked.
//!
//! Source: PostgreSQL documentation, chapter "Data Types"; the receive functions of its types.

use bytes::BytesMut;
use chrono::{DateTime, NaiveDate, NaiveTime};
use pgwire::api::Type;

use super::arrays::elements;
use super::values::{EPOCH_DAYS, MICROSECONDS_A_DAY, element_of, write_moment};
use crate::hexadecimal::{from_hexadecimal, to_hexadecimal};

/// A parameter that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ParameterError {
    /// It is none of its type.
    Malformed,
    /// Its type cannot be read in binary.
    Binary,
}

/// A parameter as a literal of SQL that means the same value. `value` is its text, or its bytes in binary.
///
/// # Errors
/// It is none of its type, or of a type that is not read in binary.
pub(super) fn literal(of: &Type, value: Option<&[u8]>, is_binary: bool) -> Result<String, ParameterError> {
    let Some(bytes) = value else { return Ok("NULL".to_owned()) };
    if let Some(element) = element_of(of) {
        return array(&element, bytes, is_binary);
    }
    let text = match is_binary {
        true => text_of(of, bytes)?,
        false => str::from_utf8(bytes).map_err(|_| ParameterError::Malformed)?.to_owned(),
    };
    let quoted = format!("'{}'", text.replace('\'', "''"));
    let trimmed = text.trim();
    let malformed = |_| ParameterError::Malformed;
    Ok(match *of {
        Type::BOOL => match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "y" | "yes" => "TRUE".to_owned(),
            "f" | "false" | "0" | "off" | "n" | "no" => "FALSE".to_owned(),
            _ => return Err(ParameterError::Malformed),
        },
        Type::INT2 | Type::INT4 | Type::INT8 => format!("({})", trimmed.parse::<i64>().map_err(malformed)?),
        Type::NUMERIC => {
            let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
            let is_number = digits.chars().all(|c| c.is_ascii_digit() || c == '.')
                && digits.chars().any(|c| c.is_ascii_digit())
                && digits.matches('.').count() <= 1;
            if !is_number {
                return Err(ParameterError::Malformed);
            }
            format!("({})", trimmed.trim_start_matches('+'))
        }
        Type::FLOAT4 | Type::FLOAT8 => {
            let _: f64 = trimmed.parse().map_err(|_| ParameterError::Malformed)?;
            format!("CAST({quoted} AS DOUBLE PRECISION)")
        }
        Type::DATE => {
            // A time or a zone behind it says nothing of the day, and drivers write one.
            let (day, rest) =
                trimmed.split_at_checked(trimmed.find([' ', 'T']).unwrap_or(trimmed.len())).unwrap_or((trimmed, ""));
            let day: NaiveDate = day.parse().map_err(|_| ParameterError::Malformed)?;
            if !rest.chars().all(|c| c.is_ascii_digit() || " T:.+-Z".contains(c)) {
                return Err(ParameterError::Malformed);
            }
            format!("DATE '{day}'")
        }
        Type::TIMESTAMP => format!("CAST({quoted} AS TIMESTAMP)"),
        Type::TIMESTAMPTZ => format!("CAST({quoted} AS TIMESTAMP WITH TIME ZONE)"),
        Type::TIME => format!("CAST({quoted} AS TIME)"),
        Type::BYTEA => {
            format!("X'{}'", trimmed.strip_prefix("\\x").ok_or(ParameterError::Malformed).and_then(hex_only)?)
        }
        _ => quoted,
    })
}

/// An array as one of literals.
fn array(element: &Type, bytes: &[u8], is_binary: bool) -> Result<String, ParameterError> {
    let items = match is_binary {
        true => binary_elements(element, bytes)?,
        false => {
            let text = str::from_utf8(bytes).map_err(|_| ParameterError::Malformed)?;
            let items = elements(text).ok_or(ParameterError::Malformed)?;
            let items = items.into_iter().map(|item| literal(element, item.as_ref().map(String::as_bytes), false));
            items.collect::<Result<Vec<_>, _>>()?
        }
    };
    Ok(format!("ARRAY[{}]", items.join(", ")))
}

/// The elements of an array of one dimension as `array_send` writes it.
fn binary_elements(element: &Type, bytes: &[u8]) -> Result<Vec<String>, ParameterError> {
    let mut rest = bytes;
    let number = |rest: &mut &[u8]| -> Result<i32, ParameterError> {
        let (first, after) = rest.split_first_chunk().ok_or(ParameterError::Malformed)?;
        *rest = after;
        Ok(i32::from_be_bytes(*first))
    };
    let (dimensions, _flags, _type) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
    if dimensions == 0 {
        return Ok(Vec::new());
    }
    if dimensions != 1 {
        return Err(ParameterError::Binary);
    }
    let (count, _lower) = (number(&mut rest)?, number(&mut rest)?);
    let items = (0..count).map(|_| {
        let Ok(length) = usize::try_from(number(&mut rest)?) else { return literal(element, None, true) };
        let (item, after) = rest.split_at_checked(length).ok_or(ParameterError::Malformed)?;
        rest = after;
        literal(element, Some(item), true)
    });
    items.collect()
}

fn hex_only(digits: &str) -> Result<&str, ParameterError> {
    from_hexadecimal(digits).map(|_| digits).ok_or(ParameterError::Malformed)
}

/// What a value in binary is as text.
fn text_of(of: &Type, bytes: &[u8]) -> Result<String, ParameterError> {
    fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ParameterError> {
        bytes.try_into().map_err(|_| ParameterError::Malformed)
    }
    let moment = |bytes: &[u8]| -> Result<String, ParameterError> {
        let since = i64::from_be_bytes(array(bytes)?);
        let microseconds = since.checked_add(i64::from(EPOCH_DAYS) * MICROSECONDS_A_DAY);
        let mut text = BytesMut::new();
        let moment = microseconds.filter(|at| DateTime::from_timestamp_micros(*at).is_some());
        let _ = write_moment(&mut text, moment.ok_or(ParameterError::Malformed)?, "");
        String::from_utf8(text.to_vec()).map_err(|_| ParameterError::Malformed)
    };
    Ok(match *of {
        Type::BOOL => u8::from_be_bytes(array(bytes)?).to_string(),
        Type::INT2 => i16::from_be_bytes(array(bytes)?).to_string(),
        Type::INT4 | Type::OID => i32::from_be_bytes(array(bytes)?).to_string(),
        Type::INT8 => i64::from_be_bytes(array(bytes)?).to_string(),
        Type::FLOAT4 => f32::from_be_bytes(array(bytes)?).to_string(),
        Type::FLOAT8 => f64::from_be_bytes(array(bytes)?).to_string(),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::UNKNOWN | Type::JSON => {
            String::from_utf8(bytes.to_vec()).map_err(|_| ParameterError::Malformed)?
        }
        Type::DATE => {
            let days = i32::from_be_bytes(array(bytes)?).checked_add(EPOCH_DAYS);
            let day = days.and_then(NaiveDate::from_epoch_days).ok_or(ParameterError::Malformed)?;
            day.to_string()
        }
        Type::TIMESTAMP => moment(bytes)?,
        Type::TIMESTAMPTZ => format!("{}+00:00", moment(bytes)?),
        Type::TIME => {
            let microseconds = i64::from_be_bytes(array(bytes)?);
            let seconds = u32::try_from(microseconds / 1_000_000).map_err(|_| ParameterError::Malformed)?;
            let nanoseconds = u32::try_from(microseconds % 1_000_000 * 1_000).map_err(|_| ParameterError::Malformed)?;
            let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanoseconds);
            time.ok_or(ParameterError::Malformed)?.to_string()
        }
        Type::UUID => uuid::Uuid::from_bytes(array(bytes)?).to_string(),
        Type::BYTEA => format!("\\x{}", to_hexadecimal(bytes)),
        Type::NUMERIC => numeric_text(bytes).ok_or(ParameterError::Malformed)?,
        _ => return Err(ParameterError::Binary),
    })
}

/// What [`put_numeric`] has written, as text; NaN and infinities are none.
fn numeric_text(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks_exact(2).map(|pair| Some(i16::from_be_bytes(pair.try_into().ok()?)));
    let mut next = || words.next().flatten();
    let (count, weight, sign, scale) =
        (usize::try_from(next()?).ok()?, next()?, next()?, usize::try_from(next()?).ok()?);
    let groups: Vec<i16> = (0..count).map_while(|_| next()).collect();
    let fits = groups.len() == count && groups.iter().all(|group| (0..10_000).contains(group));
    if !fits || !matches!(sign, 0 | 0x4000) || scale > MOST_DIGITS || weight.unsigned_abs() > MOST_WEIGHT {
        return None;
    }
    let at = |place: i16| usize::try_from(weight - place).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
    let mut text = String::from(if sign == 0 { "" } else { "-" });
    let whole: String = (0..=weight.max(0)).rev().map(|place| format!("{:04}", at(place))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let places = i16::try_from(scale.div_ceil(4)).ok()?;
        let fraction: String = (1..=places).map(|place| format!("{:04}", at(-place))).collect();
        text.push('.');
        text.push_str(fraction.get(..scale)?);
    }
    Some(text)
}

/// More digits than any decimal here has.
const MOST_DIGITS: usize = 400;
const MOST_WEIGHT: u16 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::pgwire::values::put_numeric;

    fn numeric(text: &str) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_numeric(&mut out, text);
        out.to_vec()
    }

    #[test]
    fn numerics_come_back_digit_by_digit() {
        let nines = "9".repeat(38);
        let small = format!("-0.{}1", "0".repeat(37));
        for text in ["0", "1", "-1", "10000", "-12345678.90", "0.0001", "0.00", "123456.000", &nines, &small] {
            assert_eq!(numeric_text(&numeric(text)).unwrap(), text, "{text}");
        }
        // As PostgreSQL's numeric_send writes 12345.678: three groups, the first of 10,000s.
        assert_eq!(numeric("12345.678"), [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
        assert_eq!(numeric_text(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), None, "NaN");
        assert_eq!(numeric_text(&[0, 9, 0, 0, 0, 0, 0, 0]), None, "cut short");
    }

    #[test]
    fn a_parameter_can_be_nothing_but_a_value() {
        let of = |of: &Type, text: &str| literal(of, Some(text.as_bytes()), false);
        assert_eq!(of(&Type::TEXT, "x' OR '1'='1").unwrap(), "'x'' OR ''1''=''1'");
        assert_eq!(of(&Type::INT4, " -5 ").unwrap(), "(-5)");
        assert_eq!(of(&Type::NUMERIC, "+1.50").unwrap(), "(1.50)");
        assert_eq!(of(&Type::BYTEA, "\\x00ff").unwrap(), "X'00ff'");
        assert_eq!(of(&Type::DATE, "1950-01-31 +01").unwrap(), "DATE '1950-01-31'");
        assert_eq!(of(&Type::TEXT_ARRAY, "{a,\"it's\",NULL}").unwrap(), "ARRAY['a', 'it''s', NULL]");
        assert_eq!(of(&Type::INT4_ARRAY, "{1, -2}").unwrap(), "ARRAY[(1), (-2)]");
        let binary =
            [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, b'a', 255, 255, 255, 255];
        assert_eq!(literal(&Type::TEXT_ARRAY, Some(&binary), true).unwrap(), "ARRAY['a', NULL]");
        assert_eq!(literal(&Type::TEXT_ARRAY, Some(&binary[..27]), true), Err(ParameterError::Malformed));
        for (of_type, wrong) in [
            (Type::INT4, "1; DROP"),
            (Type::NUMERIC, "1e5) OR (1=1"),
            (Type::NUMERIC, "NaN"),
            (Type::FLOAT8, "1' OR '1"),
            (Type::BOOL, "perhaps"),
            (Type::DATE, "2026-02-30"),
            (Type::DATE, "2026-02-03 'x"),
            (Type::INT4_ARRAY, "{1, x}"),
            (Type::TEXT_ARRAY, "a') OR ('1"),
            (Type::BYTEA, "\\x0'"),
        ] {
            assert_eq!(of(&of_type, wrong), Err(ParameterError::Malformed), "{wrong}");
        }
        assert_eq!(literal(&Type::TEXT, None, false).unwrap(), "NULL");
        assert_eq!(literal(&Type::INT4, Some(&7_i32.to_be_bytes()), true).unwrap(), "(7)");
        assert_eq!(literal(&Type::DATE, Some(&1_i32.to_be_bytes()), true).unwrap(), "DATE '2000-01-02'");
        let moment = literal(&Type::TIMESTAMP, Some(&1_i64.to_be_bytes()), true).unwrap();
        assert_eq!(moment, "CAST('2000-01-01 00:00:00.000001' AS TIMESTAMP)");
        assert_eq!(literal(&Type::INT4, Some(&[1]), true), Err(ParameterError::Malformed));
        assert_eq!(literal(&Type::POINT, Some(&[1]), true), Err(ParameterError::Binary));
    }
}
