//! Types and values on the wire: TYPE_INFO, COLMETADATA, rows, and the parameters of RPC (MS-TDS 2.2.5.2 to 2.2.5.6).

use rusqlite::types::{Value, ValueRef};

use crate::calendar::{self, DAY_1900, TICKS_PER_DAY};
use crate::collation::Collation;
use crate::convert::{offset_blob, offset_parts, utf16_text};
use crate::decimal;
use crate::guid::{guid_stored, guid_wire};
use crate::reader::{Malformed, Reader};
use crate::sql_type::{Length, SqlType, decimal_bytes, time_bytes};
use crate::token;

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    pub sql_type: SqlType,
    pub nullable: bool,
    /// The table behind a text, ntext or image column.
    pub table: Vec<String>,
}

const PLP_NULL: u64 = 0xffff_ffff_ffff_ffff;
const PLP_UNKNOWN: u64 = 0xffff_ffff_ffff_fffe;
/// Bytes of a chunk of a long value.
const PLP_CHUNK: usize = 60_000;

fn type_info(out: &mut Vec<u8>, sql_type: SqlType, nullable: bool) {
    let fixed = |out: &mut Vec<u8>, not_null: u8, null: u8, width: u8| {
        if nullable { out.extend_from_slice(&[null, width]) } else { out.push(not_null) }
    };
    let sized = |out: &mut Vec<u8>, code: u8, bytes: Option<u16>, collation: Option<Collation>| {
        out.push(code);
        out.extend_from_slice(&bytes.unwrap_or(0xffff).to_le_bytes());
        if let Some(collation) = collation {
            out.extend_from_slice(&collation.wire());
        }
    };
    let of = |length: Length, width: u16| match length {
        Length::Of(length) => Some(length * width),
        Length::Max => None,
    };
    match sql_type {
        SqlType::Bit => fixed(out, 0x32, 0x68, 1),
        SqlType::TinyInt => fixed(out, 0x30, 0x26, 1),
        SqlType::SmallInt => fixed(out, 0x34, 0x26, 2),
        SqlType::Int => fixed(out, 0x38, 0x26, 4),
        SqlType::BigInt => fixed(out, 0x7f, 0x26, 8),
        SqlType::Real => fixed(out, 0x3b, 0x6d, 4),
        SqlType::Float => fixed(out, 0x3e, 0x6d, 8),
        SqlType::SmallMoney => fixed(out, 0x7a, 0x6e, 4),
        SqlType::Money => fixed(out, 0x3c, 0x6e, 8),
        SqlType::SmallDateTime => fixed(out, 0x3a, 0x6f, 4),
        SqlType::DateTime => fixed(out, 0x3d, 0x6f, 8),
        SqlType::Decimal { precision, scale } => {
            out.extend_from_slice(&[0x6a, decimal_bytes(precision), precision, scale]);
        }
        SqlType::Date => out.push(0x28),
        SqlType::Time(scale) => out.extend_from_slice(&[0x29, scale]),
        SqlType::DateTime2(scale) => out.extend_from_slice(&[0x2a, scale]),
        SqlType::DateTimeOffset(scale) => out.extend_from_slice(&[0x2b, scale]),
        SqlType::UniqueIdentifier => out.extend_from_slice(&[0x24, 16]),
        SqlType::Char(length, collation) => sized(out, 0xaf, Some(length), Some(collation)),
        SqlType::VarChar(length, collation) => sized(out, 0xa7, of(length, 1), Some(collation)),
        SqlType::NChar(length, collation) => sized(out, 0xef, Some(length * 2), Some(collation)),
        SqlType::NVarChar(length, collation) => sized(out, 0xe7, of(length, 2), Some(collation)),
        SqlType::Binary(length) => sized(out, 0xad, Some(length), None),
        SqlType::VarBinary(length) => sized(out, 0xa5, of(length, 1), None),
        SqlType::Xml => out.extend_from_slice(&[0xf1, 0]),
        SqlType::Text(collation) => {
            out.push(0x23);
            out.extend_from_slice(&0x7fff_ffffu32.to_le_bytes());
            out.extend_from_slice(&collation.wire());
        }
        SqlType::NText(collation) => {
            out.push(0x63);
            out.extend_from_slice(&0x7fff_fffeu32.to_le_bytes());
            out.extend_from_slice(&collation.wire());
        }
        SqlType::Image => {
            out.push(0x22);
            out.extend_from_slice(&0x7fff_ffffu32.to_le_bytes());
        }
    }
}

pub fn column_metadata(out: &mut Vec<u8>, columns: &[ResultColumn]) {
    out.push(0x81);
    out.extend_from_slice(&(columns.len() as u16).to_le_bytes());
    for column in columns {
        out.extend_from_slice(&0u32.to_le_bytes());
        // fNullable; usUpdateable unknown.
        out.extend_from_slice(&(u16::from(column.nullable) | 0x0008).to_le_bytes());
        type_info(out, column.sql_type, column.nullable);
        if matches!(column.sql_type, SqlType::Text(_) | SqlType::NText(_) | SqlType::Image) {
            let parts: Vec<&str> = column.table.iter().map(String::as_str).collect();
            token::table_name(out, &parts);
        }
        token::column_name(out, &column.name);
    }
}

/// A row: with a bitmap where that saves bytes of NULLs, as SQL Server does.
pub fn row(out: &mut Vec<u8>, columns: &[ResultColumn], values: &[ValueRef<'_>]) {
    let nulls = values.iter().filter(|value| matches!(value, ValueRef::Null)).count();
    let bitmap_bytes = columns.len().div_ceil(8);
    if nulls > bitmap_bytes {
        out.push(token::NBC_ROW);
        let mut bitmap = vec![0u8; bitmap_bytes];
        for (position, value) in values.iter().enumerate() {
            if let (ValueRef::Null, Some(byte)) = (value, bitmap.get_mut(position / 8)) {
                *byte |= 1 << (position % 8);
            }
        }
        out.extend_from_slice(&bitmap);
        for (column, value) in columns.iter().zip(values).filter(|(_, value)| !matches!(value, ValueRef::Null)) {
            write_value(out, column.sql_type, column.nullable, *value);
        }
    } else {
        out.push(token::ROW);
        for (column, value) in columns.iter().zip(values) {
            write_value(out, column.sql_type, column.nullable, *value);
        }
    }
}

/// RETURNVALUE of an output parameter.
pub fn return_value(out: &mut Vec<u8>, ordinal: u16, name: &str, sql_type: SqlType, value: &Value) {
    token::return_value(out, ordinal, name);
    type_info(out, sql_type, true);
    write_value(out, sql_type, true, ValueRef::from(value));
}

fn write_value(out: &mut Vec<u8>, sql_type: SqlType, nullable: bool, value: ValueRef<'_>) {
    let integer = value.as_i64().unwrap_or(0);
    if matches!(value, ValueRef::Null) {
        return write_null(out, sql_type);
    }
    let fixed = |out: &mut Vec<u8>, bytes: &[u8]| {
        if nullable {
            out.push(bytes.len() as u8);
        }
        out.extend_from_slice(bytes);
    };
    match sql_type {
        SqlType::Bit | SqlType::TinyInt => fixed(out, &[integer as u8]),
        SqlType::SmallInt => fixed(out, &(integer as i16).to_le_bytes()),
        SqlType::Int => fixed(out, &(integer as i32).to_le_bytes()),
        SqlType::BigInt => fixed(out, &integer.to_le_bytes()),
        SqlType::Real => fixed(out, &(value.as_f64().unwrap_or(integer as f64) as f32).to_le_bytes()),
        SqlType::Float => fixed(out, &value.as_f64().unwrap_or(integer as f64).to_le_bytes()),
        SqlType::SmallMoney => fixed(out, &(unscaled(value) as i32).to_le_bytes()),
        SqlType::Money => {
            let bytes = (unscaled(value) as i64).to_le_bytes();
            // The high half first.
            let [a, b, c, d, e, f, g, h] = bytes;
            fixed(out, &[e, f, g, h, a, b, c, d]);
        }
        SqlType::SmallDateTime => {
            let (day, ticks) = (integer.div_euclid(TICKS_PER_DAY), integer.rem_euclid(TICKS_PER_DAY));
            let mut bytes = ((day - DAY_1900) as u16).to_le_bytes().to_vec();
            bytes.extend_from_slice(&((ticks / calendar::TICKS_PER_SECOND / 60) as u16).to_le_bytes());
            fixed(out, &bytes);
        }
        SqlType::DateTime => {
            let (day, ticks) = (integer.div_euclid(TICKS_PER_DAY), integer.rem_euclid(TICKS_PER_DAY));
            let mut bytes = ((day - DAY_1900) as i32).to_le_bytes().to_vec();
            bytes.extend_from_slice(&(calendar::datetime_units(ticks) as u32).to_le_bytes());
            fixed(out, &bytes);
        }
        SqlType::Decimal { precision, .. } => {
            let number = unscaled(value);
            let width = decimal_bytes(precision);
            out.push(width);
            out.push(u8::from(number >= 0));
            out.extend(number.unsigned_abs().to_le_bytes().iter().take(usize::from(width) - 1));
        }
        SqlType::Date => {
            out.push(3);
            out.extend(integer.to_le_bytes().iter().take(3));
        }
        SqlType::Time(scale) => {
            out.push(time_bytes(scale));
            write_clock(out, integer, scale);
        }
        SqlType::DateTime2(scale) => {
            out.push(time_bytes(scale) + 3);
            write_clock(out, integer.rem_euclid(TICKS_PER_DAY), scale);
            out.extend(integer.div_euclid(TICKS_PER_DAY).to_le_bytes().iter().take(3));
        }
        SqlType::DateTimeOffset(scale) => {
            let (utc, offset) = offset_parts(&Value::Blob(value.as_bytes().unwrap_or_default().to_vec()));
            out.push(time_bytes(scale) + 5);
            write_clock(out, utc.rem_euclid(TICKS_PER_DAY), scale);
            out.extend(utc.div_euclid(TICKS_PER_DAY).to_le_bytes().iter().take(3));
            out.extend_from_slice(&(offset as i16).to_le_bytes());
        }
        SqlType::UniqueIdentifier => {
            out.push(16);
            out.extend_from_slice(&guid_wire(value.as_bytes().unwrap_or_default()));
        }
        _ => {
            let bytes = long_bytes(sql_type, value);
            match sql_type {
                SqlType::VarChar(Length::Max, _)
                | SqlType::NVarChar(Length::Max, _)
                | SqlType::VarBinary(Length::Max) => {
                    write_plp(out, &bytes, Some(bytes.len()));
                }
                SqlType::Xml => write_plp(out, &bytes, None),
                SqlType::Text(_) | SqlType::NText(_) | SqlType::Image => {
                    out.push(16);
                    out.extend_from_slice(&[0x64; 24]);
                    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    out.extend_from_slice(&bytes);
                }
                _ => {
                    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
                    out.extend_from_slice(&bytes);
                }
            }
        }
    }
}

fn write_null(out: &mut Vec<u8>, sql_type: SqlType) {
    match sql_type {
        SqlType::VarChar(Length::Max, _)
        | SqlType::NVarChar(Length::Max, _)
        | SqlType::VarBinary(Length::Max)
        | SqlType::Xml => out.extend_from_slice(&PLP_NULL.to_le_bytes()),
        SqlType::Char(..)
        | SqlType::VarChar(..)
        | SqlType::NChar(..)
        | SqlType::NVarChar(..)
        | SqlType::Binary(_)
        | SqlType::VarBinary(_) => out.extend_from_slice(&[0xff, 0xff]),
        _ => out.push(0),
    }
}

fn unscaled(value: ValueRef<'_>) -> i128 {
    value.as_bytes().ok().and_then(decimal::from_blob).unwrap_or(0)
}

fn write_clock(out: &mut Vec<u8>, ticks: i64, scale: u8) {
    let units = ticks / 10i64.pow(u32::from(7 - scale.min(7)));
    out.extend(units.to_le_bytes().iter().take(usize::from(time_bytes(scale))));
}

fn long_bytes(sql_type: SqlType, value: ValueRef<'_>) -> Vec<u8> {
    let bytes = value.as_bytes().unwrap_or_default();
    match sql_type {
        SqlType::Binary(_) | SqlType::VarBinary(_) | SqlType::Image => bytes.to_vec(),
        SqlType::Char(_, collation) | SqlType::VarChar(_, collation) | SqlType::Text(collation) => {
            collation.encode(&String::from_utf8_lossy(bytes))
        }
        _ => String::from_utf8_lossy(bytes).encode_utf16().flat_map(u16::to_le_bytes).collect(),
    }
}

fn write_plp(out: &mut Vec<u8>, bytes: &[u8], length: Option<usize>) {
    out.extend_from_slice(&length.map_or(PLP_UNKNOWN, |length| length as u64).to_le_bytes());
    for chunk in bytes.chunks(PLP_CHUNK) {
        out.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(&0u32.to_le_bytes());
}

/// A parameter as an RPC carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub is_output: bool,
    pub sql_type: SqlType,
    pub value: Value,
}

pub fn read_parameter(reader: &mut Reader<'_>) -> Result<Parameter, Malformed> {
    let name = reader.b_varchar()?;
    let is_output = reader.u8()? & 1 != 0;
    let (sql_type, value) = read_typed_value(reader)?;
    Ok(Parameter { name, is_output, sql_type, value })
}

fn read_typed_value(reader: &mut Reader<'_>) -> Result<(SqlType, Value), Malformed> {
    let code = reader.u8()?;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    match code {
        0x1f => Ok((SqlType::NVarChar(Length::Of(1), Collation::DEFAULT), Value::Null)),
        0x32 | 0x30 | 0x34 | 0x38 | 0x7f | 0x3b | 0x3e | 0x3c | 0x7a | 0x3d | 0x3a => {
            let (sql_type, width) = match code {
                0x32 => (SqlType::Bit, 1),
                0x30 => (SqlType::TinyInt, 1),
                0x34 => (SqlType::SmallInt, 2),
                0x38 => (SqlType::Int, 4),
                0x7f => (SqlType::BigInt, 8),
                0x3b => (SqlType::Real, 4),
                0x3e => (SqlType::Float, 8),
                0x3c => (SqlType::Money, 8),
                0x7a => (SqlType::SmallMoney, 4),
                0x3d => (SqlType::DateTime, 8),
                _ => (SqlType::SmallDateTime, 4),
            };
            let bytes = reader.bytes(width)?;
            Ok((sql_type, fixed_value(sql_type, bytes)?))
        }
        0x26 | 0x68 | 0x6d | 0x6e | 0x6f => {
            let width = reader.u8()?;
            let sql_type = match (code, width) {
                (0x68, _) => SqlType::Bit,
                (0x26, 1) => SqlType::TinyInt,
                (0x26, 2) => SqlType::SmallInt,
                (0x26, 4) => SqlType::Int,
                (0x26, 8) => SqlType::BigInt,
                (0x6d, 4) => SqlType::Real,
                (0x6d, 8) => SqlType::Float,
                (0x6e, 4) => SqlType::SmallMoney,
                (0x6e, 8) => SqlType::Money,
                (0x6f, 4) => SqlType::SmallDateTime,
                (0x6f, 8) => SqlType::DateTime,
                _ => return Err(Malformed("a parameter of an odd width")),
            };
            let length = usize::from(reader.u8()?);
            if length == 0 {
                return Ok((sql_type, Value::Null));
            }
            let bytes = reader.bytes(length)?;
            Ok((sql_type, fixed_value(sql_type, bytes)?))
        }
        0x6a | 0x6c => {
            let _width = reader.u8()?;
            let (precision, scale) = (reader.u8()?, reader.u8()?);
            let sql_type = SqlType::Decimal { precision, scale };
            let length = usize::from(reader.u8()?);
            let Some(digits) = length.checked_sub(1) else { return Ok((sql_type, Value::Null)) };
            let positive = reader.u8()? != 0;
            let magnitude =
                reader.bytes(digits)?.iter().rev().fold(0u128, |number, byte| number << 8 | u128::from(*byte)) as i128;
            let unscaled = if positive { magnitude } else { -magnitude };
            Ok((sql_type, Value::Blob(decimal::to_blob(unscaled))))
        }
        0x24 => {
            let _width = reader.u8()?;
            let length = usize::from(reader.u8()?);
            let bytes = reader.bytes(length)?;
            let value = if length == 0 { Value::Null } else { Value::Blob(guid_stored(bytes)) };
            Ok((SqlType::UniqueIdentifier, value))
        }
        0x28 => {
            let length = usize::from(reader.u8()?);
            let bytes = reader.bytes(length)?;
            Ok((SqlType::Date, if length == 0 { Value::Null } else { Value::Integer(number(bytes) as i64) }))
        }
        0x29..=0x2b => {
            let scale = reader.u8()?;
            let sql_type = match code {
                0x29 => SqlType::Time(scale),
                0x2a => SqlType::DateTime2(scale),
                _ => SqlType::DateTimeOffset(scale),
            };
            let length = usize::from(reader.u8()?);
            if length == 0 {
                return Ok((sql_type, Value::Null));
            }
            let clock_width = match code {
                0x29 => length,
                0x2a => length.saturating_sub(3),
                _ => length.saturating_sub(5),
            };
            let ticks = (reader.unsigned(clock_width)? as i64) * 10i64.pow(u32::from(7 - scale.min(7)));
            if code == 0x29 {
                return Ok((sql_type, Value::Integer(ticks)));
            }
            let whole = (reader.unsigned(3)? as i64) * TICKS_PER_DAY + ticks;
            if code == 0x2a {
                return Ok((sql_type, Value::Integer(whole)));
            }
            let offset = i64::from(reader.u16()? as i16);
            Ok((sql_type, offset_blob(whole, offset)))
        }
        0xa7 | 0xaf | 0xe7 | 0xef | 0xa5 | 0xad => {
            let room = reader.u16()?;
            let is_string = !matches!(code, 0xa5 | 0xad);
            let collation = if is_string { read_collation(reader)? } else { Collation::DEFAULT };
            let length = |width: u16| if room == 0xffff { Length::Max } else { Length::Of((room / width).max(1)) };
            let sql_type = match code {
                0xa7 => SqlType::VarChar(length(1), collation),
                0xaf => SqlType::Char(room.max(1), collation),
                0xe7 => SqlType::NVarChar(length(2), collation),
                0xef => SqlType::NChar((room / 2).max(1), collation),
                0xa5 => SqlType::VarBinary(length(1)),
                _ => SqlType::Binary(room.max(1)),
            };
            let bytes = if room == 0xffff {
                read_plp(reader)?
            } else {
                match reader.u16()? {
                    0xffff => None,
                    length => Some(reader.bytes(usize::from(length))?.to_vec()),
                }
            };
            Ok((sql_type, bytes.map_or(Value::Null, |bytes| long_value(sql_type, bytes))))
        }
        0xf1 => {
            if reader.u8()? != 0 {
                reader.b_varchar()?;
                reader.b_varchar()?;
                reader.us_varchar()?;
            }
            let bytes = read_plp(reader)?;
            Ok((SqlType::Xml, bytes.map_or(Value::Null, |bytes| long_value(SqlType::Xml, bytes))))
        }
        0x23 | 0x63 | 0x22 => {
            let _room = reader.u32()?;
            let collation = if code == 0x22 { Collation::DEFAULT } else { read_collation(reader)? };
            let sql_type = match code {
                0x23 => SqlType::VarChar(Length::Max, collation),
                0x63 => SqlType::NVarChar(Length::Max, collation),
                _ => SqlType::VarBinary(Length::Max),
            };
            match reader.u32()? {
                0xffff_ffff => Ok((sql_type, Value::Null)),
                length => {
                    let length = usize::try_from(length).map_err(|_| Malformed("a parameter of an absurd length"))?;
                    Ok((sql_type, long_value(sql_type, reader.bytes(length)?.to_vec())))
                }
            }
        }
        _ => Err(Malformed("a parameter of a type that is not known")),
    }
}

fn read_collation(reader: &mut Reader<'_>) -> Result<Collation, Malformed> {
    let bytes = reader.bytes(5)?;
    let is_utf8 = bytes.get(3).is_some_and(|byte| byte & 0x04 != 0);
    let utf8 = Collation::named("Latin1_General_100_CI_AS_SC_UTF8").unwrap_or(Collation::DEFAULT);
    Ok(if is_utf8 { utf8 } else { Collation::DEFAULT })
}

fn fixed_value(sql_type: SqlType, bytes: &[u8]) -> Result<Value, Malformed> {
    let mut reader = Reader::new(bytes);
    Ok(match sql_type {
        SqlType::Bit => Value::Integer(i64::from(reader.u8()? != 0)),
        SqlType::TinyInt => Value::Integer(i64::from(reader.u8()?)),
        SqlType::SmallInt => Value::Integer(i64::from(reader.u16()? as i16)),
        SqlType::Int => Value::Integer(i64::from(reader.u32()? as i32)),
        SqlType::BigInt => Value::Integer(reader.u64()? as i64),
        SqlType::Real => Value::Real(f64::from(f32::from_bits(reader.u32()?))),
        SqlType::Float => Value::Real(f64::from_bits(reader.u64()?)),
        SqlType::SmallMoney => Value::Blob(decimal::to_blob(i128::from(reader.u32()? as i32))),
        SqlType::Money => {
            let (high, low) = (u64::from(reader.u32()?), u64::from(reader.u32()?));
            Value::Blob(decimal::to_blob(i128::from((high << 32 | low) as i64)))
        }
        SqlType::SmallDateTime => {
            let (day, minutes) = (i64::from(reader.u16()?), i64::from(reader.u16()?));
            Value::Integer((day + DAY_1900) * TICKS_PER_DAY + minutes * 60 * calendar::TICKS_PER_SECOND)
        }
        _ => {
            let (day, units) = (i64::from(reader.u32()? as i32), i64::from(reader.u32()?));
            Value::Integer((day + DAY_1900) * TICKS_PER_DAY + calendar::datetime_ticks(units))
        }
    })
}

fn read_plp(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    if reader.u64()? == PLP_NULL {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        match reader.u32()? {
            0 => return Ok(Some(bytes)),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed("a chunk of an absurd length"))?;
                bytes.extend_from_slice(reader.bytes(length)?);
            }
        }
    }
}

fn long_value(sql_type: SqlType, bytes: Vec<u8>) -> Value {
    match sql_type {
        SqlType::VarBinary(_) | SqlType::Binary(_) => Value::Blob(bytes),
        SqlType::VarChar(_, collation) | SqlType::Char(_, collation) => Value::Text(collation.decode(&bytes)),
        SqlType::Xml => Value::Text(utf16_text(bytes.strip_prefix(&[0xff, 0xfe]).unwrap_or(&bytes))),
        _ => Value::Text(utf16_text(&bytes)),
    }
}
