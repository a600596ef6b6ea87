//! Constants: each has the type that SQL Server gives it.

use sqlparser::ast::Value;

use super::{Binder, not_tsql};
use crate::collation::Collation;
use crate::decimal;
use crate::error::SqlError;
use crate::sql_type::{Length, SqlType};
use crate::typed::{Form, Typed};

/// A text as SQLite's SQL.
pub fn quoted(text: &str) -> String {
    if text.contains('\0') {
        // SQLite's parser stops at a NUL.
        let bytes: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        return format!("CAST(x'{bytes}' AS TEXT)");
    }
    format!("'{}'", text.replace('\'', "''"))
}

pub fn blob(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{digits}'")
}

impl Binder<'_> {
    pub(super) fn bind_literal(&self, value: &Value) -> Result<Typed, SqlError> {
        let literal = |sql: String, sql_type| Typed::new(sql, sql_type).with_form(Form::Literal).not_null();
        match value {
            Value::Null => Ok(Typed::null()),
            Value::Number(text, false) => number(text),
            Value::SingleQuotedString(text) => {
                let collation = self.collation();
                // What the code page lacks is lost here already: N'' keeps it.
                let kept = collation.decode(&collation.encode(text));
                let length = u16::try_from(collation.encode(text).len()).unwrap_or(u16::MAX);
                let length = if length > 8000 { Length::Max } else { Length::Of(length.max(1)) };
                Ok(literal(quoted(&kept), SqlType::VarChar(length, collation)))
            }
            Value::NationalStringLiteral(text) => {
                let length = u16::try_from(text.encode_utf16().count()).unwrap_or(u16::MAX);
                let length = if length > 4000 { Length::Max } else { Length::Of(length.max(1)) };
                Ok(literal(quoted(text), SqlType::NVarChar(length, Collation::DEFAULT)))
            }
            Value::HexStringLiteral(digits) => {
                let padded = if digits.len() % 2 == 0 { digits.clone() } else { format!("0{digits}") };
                let bytes: Option<Vec<u8>> = (0..padded.len())
                    .step_by(2)
                    .map(|at| padded.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
                    .collect();
                let bytes = bytes.ok_or_else(|| not_tsql(digits))?;
                let length = u16::try_from(bytes.len()).ok().filter(|length| *length <= 8000);
                let length = length.map_or(Length::Max, |length| Length::Of(length.max(1)));
                Ok(literal(blob(&bytes), SqlType::VarBinary(length)))
            }
            other => Err(not_tsql(other)),
        }
    }
}

/// An int, a decimal of just the digits that are written, or a float where there is an exponent.
fn number(text: &str) -> Result<Typed, SqlError> {
    if text.contains(['e', 'E']) {
        let number: f64 = text.parse().map_err(|_| not_tsql(text))?;
        if !number.is_finite() {
            return Err(SqlError::new(
                168,
                15,
                1,
                format!("The floating point value '{text}' is out of the range of computer representation (8 bytes)."),
            ));
        }
        return Ok(Typed::new(format!("{number:e}"), SqlType::Float).with_form(Form::Literal).not_null());
    }
    if !text.contains('.')
        && let Ok(number) = text.parse::<i32>()
    {
        let digits = u8::try_from(number.to_string().len()).unwrap_or(10);
        return Ok(Typed::new(number.to_string(), SqlType::Int).with_form(Form::Integer(digits)).not_null());
    }
    let too_long = || {
        SqlError::new(
            1007,
            15,
            1,
            format!("The number '{text}' is out of the range for numeric representation (maximum precision 38)."),
        )
    };
    if text.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'.') {
        return Err(not_tsql(text));
    }
    let significant = text.trim_start_matches('0').bytes().filter(u8::is_ascii_digit).count();
    if significant > 38 {
        return Err(too_long());
    }
    let (unscaled, scale) = decimal::parse(text).ok_or_else(too_long)?;
    let digits = u8::try_from(unscaled.unsigned_abs().to_string().len()).unwrap_or(38);
    let sql_type = SqlType::Decimal { precision: digits.max(scale).max(1), scale };
    Ok(Typed::new(blob(&decimal::to_blob(unscaled)), sql_type).with_form(Form::Literal).not_null())
}
