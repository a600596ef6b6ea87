//! The types of SQL Server, as a column, a parameter or an expression is declared.
//!
//! SQLite keeps each value in one form, chosen so that SQLite's own order is SQL Server's:
//!
//! | type | in SQLite |
//! |---|---|
//! | bit and the integers | INTEGER |
//! | real, float | REAL |
//! | decimal, money | BLOB of 16 bytes: the unscaled value, big-endian, sign bit flipped |
//! | date | INTEGER: days since 0001-01-01 |
//! | time, datetime2, datetime, smalldatetime | INTEGER: ticks of 100 ns since midnight, or since 0001-01-01 |
//! | datetimeoffset | BLOB of 10 bytes: the ticks in UTC, then the minutes of its offset |
//! | strings, xml | TEXT |
//! | binary | BLOB |
//! | uniqueidentifier | BLOB of 16 bytes, in the order in which SQL Server compares them |

use std::fmt;

use sqlparser::ast::{BinaryLength, CharacterLength, DataType, ExactNumberInfo, ObjectNamePart, TimezoneInfo};

use crate::collation::Collation;
use crate::error::SqlError;

/// Characters or bytes, as the type counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Length {
    Of(u16),
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlType {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Real,
    Float,
    Decimal { precision: u8, scale: u8 },
    SmallMoney,
    Money,
    Date,
    Time(u8),
    SmallDateTime,
    DateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    Char(u16, Collation),
    VarChar(Length, Collation),
    NChar(u16, Collation),
    NVarChar(Length, Collation),
    Text(Collation),
    NText(Collation),
    Binary(u16),
    VarBinary(Length),
    Image,
    UniqueIdentifier,
    Xml,
}

/// What kind of values a type holds: types of one kind have one form in SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Float,
    Decimal,
    Date,
    Time,
    DateTime,
    DateTimeOffset,
    String,
    Binary,
    UniqueIdentifier,
    Xml,
}

pub const SYSNAME: SqlType = SqlType::NVarChar(Length::Of(128), Collation::DEFAULT);

impl SqlType {
    pub fn kind(self) -> Kind {
        match self {
            Self::Bit | Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt => Kind::Integer,
            Self::Real | Self::Float => Kind::Float,
            Self::Decimal { .. } | Self::SmallMoney | Self::Money => Kind::Decimal,
            Self::Date => Kind::Date,
            Self::Time(_) => Kind::Time,
            Self::SmallDateTime | Self::DateTime | Self::DateTime2(_) => Kind::DateTime,
            Self::DateTimeOffset(_) => Kind::DateTimeOffset,
            Self::Char(..)
            | Self::VarChar(..)
            | Self::NChar(..)
            | Self::NVarChar(..)
            | Self::Text(_)
            | Self::NText(_) => Kind::String,
            Self::Binary(_) | Self::VarBinary(_) | Self::Image => Kind::Binary,
            Self::UniqueIdentifier => Kind::UniqueIdentifier,
            Self::Xml => Kind::Xml,
        }
    }

    /// "Data type precedence (Transact-SQL)": the higher wins.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Xml => 29,
            Self::DateTimeOffset(_) => 28,
            Self::DateTime2(_) => 27,
            Self::DateTime => 26,
            Self::SmallDateTime => 25,
            Self::Date => 24,
            Self::Time(_) => 23,
            Self::Float => 22,
            Self::Real => 21,
            Self::Decimal { .. } => 20,
            Self::Money => 19,
            Self::SmallMoney => 18,
            Self::BigInt => 17,
            Self::Int => 16,
            Self::SmallInt => 15,
            Self::TinyInt => 14,
            Self::Bit => 13,
            Self::NText(_) => 12,
            Self::Text(_) => 11,
            Self::Image => 10,
            Self::UniqueIdentifier => 8,
            Self::NVarChar(..) => 7,
            Self::NChar(..) => 6,
            Self::VarChar(..) => 5,
            Self::Char(..) => 4,
            Self::VarBinary(_) => 3,
            Self::Binary(_) => 2,
        }
    }

    pub fn is_numeric(self) -> bool {
        matches!(self.kind(), Kind::Integer | Kind::Float | Kind::Decimal)
    }

    pub fn is_string(self) -> bool {
        self.kind() == Kind::String
    }

    pub fn is_unicode(self) -> bool {
        matches!(self, Self::NChar(..) | Self::NVarChar(..) | Self::NText(_))
    }

    /// text, ntext, image and xml can be neither compared nor sorted.
    pub fn is_comparable(self) -> bool {
        !matches!(self, Self::Text(_) | Self::NText(_) | Self::Image | Self::Xml)
    }

    pub fn collation(self) -> Option<Collation> {
        match self {
            Self::Char(_, collation)
            | Self::VarChar(_, collation)
            | Self::NChar(_, collation)
            | Self::NVarChar(_, collation)
            | Self::Text(collation)
            | Self::NText(collation) => Some(collation),
            _ => None,
        }
    }

    pub fn with_collation(self, collation: Collation) -> Self {
        match self {
            Self::Char(length, _) => Self::Char(length, collation),
            Self::VarChar(length, _) => Self::VarChar(length, collation),
            Self::NChar(length, _) => Self::NChar(length, collation),
            Self::NVarChar(length, _) => Self::NVarChar(length, collation),
            Self::Text(_) => Self::Text(collation),
            Self::NText(_) => Self::NText(collation),
            other => other,
        }
    }

    /// Digits and scale of an exact number.
    pub fn precision_and_scale(self) -> Option<(u8, u8)> {
        match self {
            Self::Bit => Some((1, 0)),
            Self::TinyInt => Some((3, 0)),
            Self::SmallInt => Some((5, 0)),
            Self::Int => Some((10, 0)),
            Self::BigInt => Some((19, 0)),
            Self::Decimal { precision, scale } => Some((precision, scale)),
            Self::SmallMoney => Some((10, 4)),
            Self::Money => Some((19, 4)),
            _ => None,
        }
    }

    /// The least and the greatest value of an integer type.
    pub fn integer_range(self) -> Option<(i64, i64)> {
        match self {
            Self::Bit => Some((0, 1)),
            Self::TinyInt => Some((0, 255)),
            Self::SmallInt => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
            Self::Int => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            Self::BigInt => Some((i64::MIN, i64::MAX)),
            _ => None,
        }
    }

    /// Characters (strings) or bytes (binary) that it holds; `None` for max and for other types.
    pub fn length(self) -> Option<u16> {
        match self {
            Self::Char(length, _) | Self::NChar(length, _) | Self::Binary(length) => Some(length),
            Self::VarChar(Length::Of(length), _) | Self::NVarChar(Length::Of(length), _) => Some(length),
            Self::VarBinary(Length::Of(length)) => Some(length),
            _ => None,
        }
    }

    /// The type as one number, for functions that SQLite calls.
    pub fn code(self) -> i64 {
        let length = |length: Length| match length {
            Length::Of(length) => i64::from(length),
            Length::Max => 0xffff,
        };
        let (a, collation) = match self {
            Self::Decimal { precision, scale } => (i64::from(precision) << 8 | i64::from(scale), 0),
            Self::Time(scale) | Self::DateTime2(scale) | Self::DateTimeOffset(scale) => (i64::from(scale), 0),
            Self::Char(size, collation) | Self::NChar(size, collation) => (i64::from(size), collation.code()),
            Self::VarChar(size, collation) | Self::NVarChar(size, collation) => (length(size), collation.code()),
            Self::Text(collation) | Self::NText(collation) => (0, collation.code()),
            Self::Binary(size) => (i64::from(size), 0),
            Self::VarBinary(size) => (length(size), 0),
            _ => (0, 0),
        };
        i64::from(self.precedence()) << 32 | a << 8 | i64::from(collation)
    }

    /// What [`SqlType::code`] wrote.
    pub fn from_code(code: i64) -> Option<Self> {
        let low = u8::try_from(code & 0xff).ok()?;
        let size = u16::try_from((code >> 8) & 0xffff).ok()?;
        let scale = u8::try_from(size & 0xff).ok()?;
        let collation = Collation::from_code(low);
        let length = if size == 0xffff { Length::Max } else { Length::Of(size) };
        Some(match code >> 32 {
            29 => Self::Xml,
            28 => Self::DateTimeOffset(scale),
            27 => Self::DateTime2(scale),
            26 => Self::DateTime,
            25 => Self::SmallDateTime,
            24 => Self::Date,
            23 => Self::Time(scale),
            22 => Self::Float,
            21 => Self::Real,
            20 => Self::Decimal { precision: u8::try_from(size >> 8).ok()?, scale },
            19 => Self::Money,
            18 => Self::SmallMoney,
            17 => Self::BigInt,
            16 => Self::Int,
            15 => Self::SmallInt,
            14 => Self::TinyInt,
            13 => Self::Bit,
            12 => Self::NText(collation),
            11 => Self::Text(collation),
            10 => Self::Image,
            8 => Self::UniqueIdentifier,
            7 => Self::NVarChar(length, collation),
            6 => Self::NChar(size, collation),
            5 => Self::VarChar(length, collation),
            4 => Self::Char(size, collation),
            3 => Self::VarBinary(length),
            2 => Self::Binary(size),
            _ => return None,
        })
    }

    /// The affinity-free column type in SQLite.
    pub fn sqlite_type(self) -> &'static str {
        match self.kind() {
            Kind::Integer | Kind::Date | Kind::Time | Kind::DateTime => "INTEGER",
            Kind::Float => "REAL",
            Kind::String | Kind::Xml => "TEXT",
            Kind::Decimal | Kind::DateTimeOffset | Kind::Binary | Kind::UniqueIdentifier => "BLOB",
        }
    }

    /// The name without a length, as sys.types and error messages have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bit => "bit",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Real => "real",
            Self::Float => "float",
            Self::Decimal { .. } => "decimal",
            Self::SmallMoney => "smallmoney",
            Self::Money => "money",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::SmallDateTime => "smalldatetime",
            Self::DateTime => "datetime",
            Self::DateTime2(_) => "datetime2",
            Self::DateTimeOffset(_) => "datetimeoffset",
            Self::Char(..) => "char",
            Self::VarChar(..) => "varchar",
            Self::NChar(..) => "nchar",
            Self::NVarChar(..) => "nvarchar",
            Self::Text(_) => "text",
            Self::NText(_) => "ntext",
            Self::Binary(_) => "binary",
            Self::VarBinary(_) => "varbinary",
            Self::Image => "image",
            Self::UniqueIdentifier => "uniqueidentifier",
            Self::Xml => "xml",
        }
    }

    /// `system_type_id` of sys.types.
    pub fn system_type_id(self) -> i64 {
        match self {
            Self::Image => 34,
            Self::Text(_) => 35,
            Self::UniqueIdentifier => 36,
            Self::Date => 40,
            Self::Time(_) => 41,
            Self::DateTime2(_) => 42,
            Self::DateTimeOffset(_) => 43,
            Self::TinyInt => 48,
            Self::SmallInt => 52,
            Self::Int => 56,
            Self::SmallDateTime => 58,
            Self::Real => 59,
            Self::Money => 60,
            Self::DateTime => 61,
            Self::Float => 62,
            Self::NText(_) => 99,
            Self::Bit => 104,
            Self::Decimal { .. } => 106,
            Self::SmallMoney => 122,
            Self::BigInt => 127,
            Self::VarBinary(_) => 165,
            Self::VarChar(..) => 167,
            Self::Binary(_) => 173,
            Self::Char(..) => 175,
            Self::NVarChar(..) => 231,
            Self::NChar(..) => 239,
            Self::Xml => 241,
        }
    }

    /// `max_length`, `precision` and `scale` of sys.columns.
    pub fn catalog_sizes(self) -> (i64, i64, i64) {
        let length = |length: Length, width: i64| match length {
            Length::Of(length) => i64::from(length) * width,
            Length::Max => -1,
        };
        let fraction = |scale: u8| if scale == 0 { 0 } else { i64::from(scale) + 1 };
        match self {
            Self::Bit => (1, 1, 0),
            Self::TinyInt => (1, 3, 0),
            Self::SmallInt => (2, 5, 0),
            Self::Int => (4, 10, 0),
            Self::BigInt => (8, 19, 0),
            Self::Real => (4, 24, 0),
            Self::Float => (8, 53, 0),
            Self::Decimal { precision, scale } => {
                (i64::from(decimal_bytes(precision)), i64::from(precision), i64::from(scale))
            }
            Self::SmallMoney => (4, 10, 4),
            Self::Money => (8, 19, 4),
            Self::Date => (3, 10, 0),
            Self::Time(scale) => (i64::from(time_bytes(scale)), 8 + fraction(scale), i64::from(scale)),
            Self::SmallDateTime => (4, 16, 0),
            Self::DateTime => (8, 23, 3),
            Self::DateTime2(scale) => (i64::from(time_bytes(scale)) + 3, 19 + fraction(scale), i64::from(scale)),
            Self::DateTimeOffset(scale) => (i64::from(time_bytes(scale)) + 5, 26 + fraction(scale), i64::from(scale)),
            Self::Char(size, _) | Self::Binary(size) => (i64::from(size), 0, 0),
            Self::NChar(size, _) => (i64::from(size) * 2, 0, 0),
            Self::VarChar(size, _) | Self::VarBinary(size) => (length(size, 1), 0, 0),
            Self::NVarChar(size, _) => (length(size, 2), 0, 0),
            Self::Text(_) | Self::NText(_) | Self::Image => (16, 0, 0),
            Self::UniqueIdentifier => (16, 0, 0),
            Self::Xml => (-1, 0, 0),
        }
    }

    /// The type that the parser read, in a database of the collation.
    ///
    /// # Errors
    /// A type that SQL Server does not have (error 243), or with a length that it does not take.
    pub fn from_ast(data_type: &DataType, collation: Collation, position: Position) -> Result<Self, SqlError> {
        let default_length: u16 = match position {
            Position::Column => 1,
            Position::Cast => 30,
        };
        let characters = |length: &Option<CharacterLength>, name: &str, greatest: u64| -> Result<Length, SqlError> {
            match length {
                None => Ok(Length::Of(default_length)),
                Some(CharacterLength::Max) => Ok(Length::Max),
                Some(CharacterLength::IntegerLength { length, unit: None }) => sized(*length, name, greatest),
                Some(CharacterLength::IntegerLength { .. }) => Err(SqlError::syntax(name)),
            }
        };
        let fixed = |length: Length, name: &str| match length {
            Length::Of(length) => Ok(length),
            Length::Max => Err(SqlError::syntax(format!("{name}(max)"))),
        };
        Ok(match data_type {
            DataType::Bit(None) => Self::Bit,
            DataType::TinyInt(None) => Self::TinyInt,
            DataType::SmallInt(None) => Self::SmallInt,
            DataType::Int(None) | DataType::Integer(None) => Self::Int,
            DataType::BigInt(None) => Self::BigInt,
            DataType::Real => Self::Real,
            DataType::DoublePrecision => Self::Float,
            DataType::Float(ExactNumberInfo::None) => Self::Float,
            DataType::Float(ExactNumberInfo::Precision(1..=24)) => Self::Real,
            DataType::Float(ExactNumberInfo::Precision(25..=53)) => Self::Float,
            DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(*info)?,
            DataType::Date => Self::Date,
            DataType::Time(scale, TimezoneInfo::None) => Self::Time(fraction(*scale)?),
            DataType::Datetime(None) => Self::DateTime,
            DataType::Char(length) | DataType::Character(length) => {
                Self::Char(fixed(characters(length, "char", 8000)?, "char")?, collation)
            }
            DataType::Varchar(length) | DataType::CharVarying(length) | DataType::CharacterVarying(length) => {
                Self::VarChar(characters(length, "varchar", 8000)?, collation)
            }
            DataType::Nvarchar(length) => Self::NVarChar(characters(length, "nvarchar", 4000)?, collation),
            DataType::Text => Self::Text(collation),
            DataType::Binary(length) => Self::Binary(match length {
                None => default_length,
                Some(length) => fixed(sized(*length, "binary", 8000)?, "binary")?,
            }),
            DataType::Varbinary(length) => Self::VarBinary(match length {
                None => Length::Of(default_length),
                Some(BinaryLength::Max) => Length::Max,
                Some(BinaryLength::IntegerLength { length }) => sized(*length, "varbinary", 8000)?,
            }),
            DataType::Custom(name, modifiers) => {
                let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
                    return Err(unknown(data_type));
                };
                let name = name.value.to_ascii_lowercase();
                let modifier = || -> Result<Option<u64>, SqlError> {
                    match modifiers.as_slice() {
                        [] => Ok(None),
                        [one] => one.parse().map(Some).map_err(|_| SqlError::syntax(one)),
                        _ => Err(SqlError::syntax(data_type)),
                    }
                };
                let plain = |sql_type| {
                    if modifiers.is_empty() {
                        Ok(sql_type)
                    } else {
                        Err(SqlError::new(2716, 16, 1, format!("Cannot specify a column width on data type {name}.")))
                    }
                };
                match name.as_str() {
                    "money" => plain(Self::Money)?,
                    "smallmoney" => plain(Self::SmallMoney)?,
                    "smalldatetime" => plain(Self::SmallDateTime)?,
                    "uniqueidentifier" => plain(Self::UniqueIdentifier)?,
                    "xml" => plain(Self::Xml)?,
                    "ntext" => plain(Self::NText(collation))?,
                    "image" => plain(Self::Image)?,
                    "sysname" => plain(SYSNAME)?,
                    "bit" => plain(Self::Bit)?,
                    "datetime2" => Self::DateTime2(fraction(modifier()?)?),
                    "datetimeoffset" => Self::DateTimeOffset(fraction(modifier()?)?),
                    "nchar" => match modifier()? {
                        None => Self::NChar(default_length, collation),
                        Some(length) => Self::NChar(fixed(sized(length, "nchar", 4000)?, "nchar")?, collation),
                    },
                    _ => return Err(unknown(data_type)),
                }
            }
            _ => return Err(unknown(data_type)),
        })
    }
}

/// Where a type is written: a length that is left out means 1 in a column and 30 in CAST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Column,
    Cast,
}

fn unknown(data_type: &DataType) -> SqlError {
    SqlError::new(243, 16, 1, format!("Type {data_type} is not a defined system type."))
}

fn sized(length: u64, name: &str, greatest: u64) -> Result<Length, SqlError> {
    match u16::try_from(length) {
        Ok(0) => Err(SqlError::new(
            1001,
            15,
            1,
            format!("Line 1: Length or precision specification 0 is invalid for {name}."),
        )),
        Ok(small) if length <= greatest => Ok(Length::Of(small)),
        _ => Err(SqlError::new(
            131,
            15,
            3,
            format!("The size ({length}) given to the type '{name}' exceeds the maximum allowed ({greatest})."),
        )),
    }
}

fn fraction(scale: Option<u64>) -> Result<u8, SqlError> {
    match scale {
        None => Ok(7),
        Some(scale @ 0..=7) => Ok(scale as u8),
        Some(scale) => Err(SqlError::new(1002, 15, 1, format!("Line 1: Specified scale {scale} is invalid."))),
    }
}

fn decimal(info: ExactNumberInfo) -> Result<SqlType, SqlError> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (18, 0),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => {
            (precision, u64::try_from(scale).map_err(|_| SqlError::syntax(scale))?)
        }
    };
    if precision == 0 || precision > 38 {
        return Err(SqlError::new(1007, 15, 1, format!("The number '{precision}' is out of the range for numeric.")));
    }
    if scale > precision {
        return Err(SqlError::new(192, 15, 1, "The scale must be less than or equal to the precision."));
    }
    Ok(SqlType::Decimal { precision: precision as u8, scale: scale as u8 })
}

/// Bytes of a decimal on the wire and in a row, its sign included.
pub fn decimal_bytes(precision: u8) -> u8 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// Bytes of the time of day at a scale.
pub fn time_bytes(scale: u8) -> u8 {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Decimal { precision, scale } => write!(f, "({precision},{scale})"),
            Self::Time(scale) | Self::DateTime2(scale) | Self::DateTimeOffset(scale) => write!(f, "({scale})"),
            Self::VarChar(Length::Max, _) | Self::NVarChar(Length::Max, _) | Self::VarBinary(Length::Max) => {
                f.write_str("(max)")
            }
            _ => match self.length() {
                Some(length) => write!(f, "({length})"),
                None => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_keeps_the_whole_type() {
        let collation = Collation::named("Greek_CI_AS").unwrap();
        for sql_type in [
            SqlType::Decimal { precision: 38, scale: 17 },
            SqlType::NVarChar(Length::Max, collation),
            SqlType::Char(8000, collation),
            SqlType::DateTimeOffset(3),
            SqlType::VarBinary(Length::Of(7)),
            SqlType::Bit,
            SqlType::Xml,
        ] {
            assert_eq!(SqlType::from_code(sql_type.code()), Some(sql_type));
        }
    }
}
