//! Column types of the made-up worlds: as each database declares them, and as values arrive here.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};

use super::case::Connector;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal(u8, i8),
    Text(Collation),
    /// Padded with blanks, which reading leaves out.
    Char(u8),
    Uuid,
    Bytes,
    Date,
    Timestamp,
    TimestampZoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// The database's own.
    Default,
    /// Bytes.
    C,
    /// A language's order.
    Language,
    /// Neither case nor accents count in PostgreSQL and MariaDB; in SQLite `NOCASE`, in SQL Server `CI_AS`.
    Insensitive,
    /// Blanks at the end do not count: `RTRIM` of SQLite, `utf8mb4_bin` of MariaDB. In SQL Server they never do: there these
    /// are texts in UTF-8.
    Trimmed,
}

impl Kind {
    /// `boolean`, `int2`, `int4`, `int8`, `float4`, `float8`, `numeric(p,s)`, `text`, `text c`, `text language`,
    /// `text insensitive`, `text trimmed`, `char(n)`, `uuid`, `bytes`, `date`, `timestamp`, `timestamptz`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_end_matches(" unique").trim_end_matches(" not null");
        let numbers: Vec<u8> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap())
            .collect();
        match text {
            "boolean" => Self::Boolean,
            "int2" => Self::Int16,
            "int4" => Self::Int32,
            "int8" => Self::Int64,
            "float4" => Self::Float32,
            "float8" => Self::Float64,
            "text" => Self::Text(Collation::Default),
            "text c" => Self::Text(Collation::C),
            "text language" => Self::Text(Collation::Language),
            "text insensitive" => Self::Text(Collation::Insensitive),
            "text trimmed" => Self::Text(Collation::Trimmed),
            "uuid" => Self::Uuid,
            "bytes" => Self::Bytes,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampZoned,
            _ if text.starts_with("numeric(") => Self::Decimal(numbers[0], numbers[1].try_into().unwrap()),
            _ if text.starts_with("char(") => Self::Char(numbers[0]),
            other => panic!("no type `{other}`"),
        }
    }

    pub fn name(self) -> String {
        match self {
            Self::Boolean => "boolean".to_owned(),
            Self::Int16 => "int2".to_owned(),
            Self::Int32 => "int4".to_owned(),
            Self::Int64 => "int8".to_owned(),
            Self::Float32 => "float4".to_owned(),
            Self::Float64 => "float8".to_owned(),
            Self::Decimal(precision, scale) => format!("numeric({precision},{scale})"),
            Self::Text(Collation::Default) => "text".to_owned(),
            Self::Text(Collation::C) => "text c".to_owned(),
            Self::Text(Collation::Language) => "text language".to_owned(),
            Self::Text(Collation::Insensitive) => "text insensitive".to_owned(),
            Self::Text(Collation::Trimmed) => "text trimmed".to_owned(),
            Self::Char(length) => format!("char({length})"),
            Self::Uuid => "uuid".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::TimestampZoned => "timestamptz".to_owned(),
        }
    }

    /// The type in a CREATE TABLE.
    pub fn declared(self, connector: Connector) -> String {
        let plain = match (self, connector) {
            (Self::Boolean, Connector::SqlServer) => "bit",
            (Self::Boolean, _) => "boolean",
            (Self::Int16, Connector::Postgres | Connector::Mariadb | Connector::SqlServer) => "smallint",
            (Self::Int32, Connector::Postgres | Connector::Mariadb | Connector::SqlServer) => "integer",
            (Self::Int64, Connector::Postgres | Connector::Mariadb | Connector::SqlServer) => "bigint",
            (Self::Int16 | Self::Int32 | Self::Int64, Connector::Sqlite) => "INTEGER",
            (Self::Float32, Connector::Postgres | Connector::SqlServer) => "real",
            (Self::Float32, Connector::Mariadb) => "float",
            (Self::Float64, Connector::Postgres | Connector::Mariadb | Connector::SqlServer) => "double precision",
            (Self::Float32 | Self::Float64, Connector::Sqlite) => "REAL",
            (Self::Decimal(precision, scale), _) => return format!("numeric({precision},{scale})"),
            (Self::Text(Collation::C), Connector::Postgres) => "text COLLATE \"C\"",
            (Self::Text(Collation::Language), Connector::Postgres) => "text COLLATE \"en-x-icu\"",
            (Self::Text(Collation::Insensitive), Connector::Postgres) => "text COLLATE insensitive",
            (Self::Text(Collation::Insensitive), Connector::Sqlite) => "TEXT COLLATE NOCASE",
            (Self::Text(Collation::Trimmed), Connector::Sqlite) => "TEXT COLLATE RTRIM",
            // Long texts and short ones: much is done at the source with the latter alone.
            (Self::Text(Collation::Default), Connector::Mariadb) => "text",
            (Self::Text(Collation::C), Connector::Mariadb) => "varchar(90) COLLATE utf8mb4_nopad_bin",
            (Self::Text(Collation::Language), Connector::Mariadb) => "varchar(90) COLLATE utf8mb4_uca1400_nopad_as_cs",
            (Self::Text(Collation::Insensitive), Connector::Mariadb) => "varchar(90) COLLATE utf8mb4_general_ci",
            (Self::Text(Collation::Trimmed), Connector::Mariadb) => "varchar(90) COLLATE utf8mb4_bin",
            (Self::Text(Collation::Default), Connector::SqlServer) => "nvarchar(max)",
            (Self::Text(Collation::C), Connector::SqlServer) => "nvarchar(90) COLLATE Latin1_General_100_BIN2",
            (Self::Text(Collation::Language), Connector::SqlServer) => {
                "nvarchar(90) COLLATE Latin1_General_100_CS_AS_SC"
            }
            (Self::Text(Collation::Insensitive), Connector::SqlServer) => "nvarchar(90) COLLATE Latin1_General_CI_AS",
            (Self::Text(Collation::Trimmed), Connector::SqlServer) => {
                "varchar(90) COLLATE Latin1_General_100_CI_AS_SC_UTF8"
            }
            (Self::Text(_), _) => "text",
            (Self::Char(length), Connector::SqlServer) => return format!("nchar({length})"),
            (Self::Uuid, Connector::SqlServer) => "uniqueidentifier",
            (Self::Char(length), _) => return format!("char({length})"),
            (Self::Uuid, _) => "uuid",
            (Self::Bytes, Connector::Postgres) => "bytea",
            (Self::Bytes, Connector::Sqlite) => "BLOB",
            (Self::Bytes, Connector::Mariadb | Connector::SqlServer) => "varbinary(9)",
            (Self::Date, _) => "date",
            (Self::Timestamp, Connector::Mariadb) => "datetime(6)",
            (Self::TimestampZoned, Connector::Mariadb) => "timestamp(6) NULL",
            (Self::Timestamp, Connector::SqlServer) => "datetime2(6)",
            (Self::TimestampZoned, Connector::SqlServer) => "datetimeoffset(6)",
            (Self::Timestamp, _) => "timestamp",
            (Self::TimestampZoned, _) => "timestamptz",
        };
        plain.to_owned()
    }

    /// Whether the database makes an index of such a column.
    pub fn has_index(self, connector: Connector) -> bool {
        connector != Connector::SqlServer || self != Self::Text(Collation::Default)
    }

    /// The type in which values arrive here.
    pub fn arrives_as(self, connector: Connector) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int16 | Self::Int32 | Self::Int64 if connector == Connector::Sqlite => DataType::Int64,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 if connector != Connector::Sqlite => DataType::Float32,
            Self::Float32 | Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Text(_) | Self::Char(_) | Self::Uuid => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampZoned => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// The value as it is read from a cell of the database.
    pub fn read(self, text: &str, connector: Connector) -> Option<String> {
        match self {
            Self::Char(_) if connector != Connector::Sqlite => Some(text.trim_end_matches(' ').to_owned()),
            Self::Uuid if connector == Connector::SqlServer => Some(text.to_uppercase()),
            Self::Date | Self::Timestamp | Self::TimestampZoned if is_no_date(text) => None,
            _ => Some(text.to_owned()),
        }
    }
}

/// Whether a date is one of those that MariaDB keeps though they are none: `0000-00-00`, `2024-02-00`.
pub fn is_no_date(text: &str) -> bool {
    text.get(..10).is_some_and(|date| date.starts_with("0000") || date.ends_with("-00"))
}

/// Values, given as text, as a column of this type.
pub fn array(data_type: &DataType, texts: &[Option<String>]) -> ArrayRef {
    fn parsed<T>(texts: &[Option<String>], parse: impl Fn(&str) -> T) -> Vec<Option<T>> {
        texts.iter().map(|text| text.as_deref().map(&parse)).collect()
    }
    match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from(parsed(texts, |text| text == "true"))),
        DataType::Int16 => Arc::new(Int16Array::from(parsed(texts, |text| text.parse().unwrap()))),
        DataType::Int32 => Arc::new(Int32Array::from(parsed(texts, |text| text.parse().unwrap()))),
        DataType::Int64 => Arc::new(Int64Array::from(parsed(texts, |text| text.parse().unwrap()))),
        DataType::Float32 => Arc::new(Float32Array::from(parsed(texts, |text| text.parse().unwrap()))),
        DataType::Float64 => Arc::new(Float64Array::from(parsed(texts, |text| text.parse().unwrap()))),
        DataType::Decimal128(precision, scale) => {
            let unscaled = parsed(texts, |text| unscaled(text, *scale));
            Arc::new(Decimal128Array::from(unscaled).with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Utf8 => Arc::new(StringArray::from(parsed(texts, str::to_owned))),
        DataType::Binary => {
            let bytes = parsed(texts, unhex);
            Arc::new(BinaryArray::from_iter(bytes))
        }
        DataType::Date32 => Arc::new(Date32Array::from(parsed(texts, days))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let moments = TimestampMicrosecondArray::from(parsed(texts, microseconds));
            match zone {
                Some(zone) => Arc::new(moments.with_timezone(Arc::clone(zone))),
                None => Arc::new(moments),
            }
        }
        other => panic!("no cells of type {other}"),
    }
}

fn unscaled(text: &str, scale: i8) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = usize::try_from(scale).unwrap();
    format!("{whole}{fraction:0<scale$}").parse().unwrap()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|index| u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).unwrap()).collect()
}

fn days(text: &str) -> i32 {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap();
    i32::try_from((date - NaiveDate::default()).num_days()).unwrap()
}

fn microseconds(text: &str) -> i64 {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").unwrap().and_utc().timestamp_micros()
}
