//! From a column's declared type to the Arrow type in which its values are read.
//!
//! In: the type as the table's definition writes it. Out: a [`ColumnType`]. The names are those of
//! <https://www.sqlite.org/datatype3.html>, section 3, and of the databases whose definitions people paste into SQLite.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, TimeUnit};
use wayleave_connector_api::ColumnType;

/// The Arrow type of a column declared so; every integer type is 64 bits wide, since SQLite checks no narrower range.
pub(crate) fn column_type(declared: &str) -> ColumnType {
    let Declared { name, arguments } = Declared::parse(declared);
    let readable = match name.as_str() {
        "" => return unreadable("column has no declared type"),
        "BOOLEAN" | "BOOL" => DataType::Boolean,
        "REAL" | "DOUBLE" | "DOUBLE PRECISION" | "FLOAT" | "FLOAT4" | "FLOAT8" | "NUM" => DataType::Float64,
        "DECIMAL" | "NUMERIC" | "DEC" => match arguments {
            Some(arguments) => return decimal(&arguments),
            None => DataType::Float64,
        },
        "BLOB" | "BYTEA" | "BINARY" | "VARBINARY" => DataType::Binary,
        "JSON" | "UUID" | "GUID" | "STRING" => DataType::Utf8,
        "DATE" => DataType::Date32,
        "TIME" | "TIME WITHOUT TIME ZONE" => DataType::Time64(TimeUnit::Microsecond),
        "DATETIME" | "TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "ANY" => return unreadable("column may hold values of any type"),
        // Both contain INT, which would make them integers by SQLite's rule of affinity; nobody means that.
        "INTERVAL" | "POINT" => return unreadable("no type here corresponds to it"),
        other => match affinity(other) {
            Affinity::Integer => DataType::Int64,
            Affinity::Text => DataType::Utf8,
            Affinity::Blob | Affinity::Real | Affinity::Numeric => {
                return unreadable("the declared type is not known");
            }
        },
    };
    ColumnType::Readable(readable)
}

/// Whether SQLite stores every number that goes into such a column as text (its TEXT affinity).
pub(crate) fn keeps_numbers_as_text(declared: &str) -> bool {
    affinity(&declared.to_ascii_uppercase()) == Affinity::Text
}

fn unreadable(reason: &str) -> ColumnType {
    ColumnType::Unreadable { reason: reason.to_owned() }
}

fn decimal(arguments: &[i64]) -> ColumnType {
    let (precision, scale) = match arguments {
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => return unreadable("the precision and scale of a decimal are two numbers"),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if precision > 0 && (0..=i64::from(precision)).contains(&i64::from(scale)) => {
            if precision <= DECIMAL128_MAX_PRECISION {
                ColumnType::Readable(DataType::Decimal128(precision, scale))
            } else if precision <= DECIMAL256_MAX_PRECISION {
                ColumnType::Readable(DataType::Decimal256(precision, scale))
            } else {
                unreadable("a decimal has at most 76 digits here")
            }
        }
        _ => unreadable("a decimal has 1 to 76 digits here, and a scale from 0 to that"),
    }
}

/// A declared type in parts: its words in upper case, and the numbers in parentheses.
struct Declared {
    name: String,
    arguments: Option<Vec<i64>>,
}

impl Declared {
    fn parse(declared: &str) -> Self {
        let upper = declared.to_ascii_uppercase();
        let (before, rest) =
            upper.split_once('(').map_or((upper.as_str(), None), |(before, rest)| (before, Some(rest)));
        let (inside, after) = match rest {
            Some(rest) => rest.split_once(')').unwrap_or((rest, "")),
            None => ("", ""),
        };
        // `TIMESTAMP(6) WITH TIME ZONE` goes on after its argument.
        let name = before.split_whitespace().chain(after.split_whitespace()).collect::<Vec<_>>().join(" ");
        let arguments = rest.map(|_| {
            // What is no number becomes one that no decimal accepts.
            inside.split(',').map(|part| part.trim().parse().unwrap_or(-1)).collect()
        });
        Self { name, arguments }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

/// The rules of <https://www.sqlite.org/datatype3.html>, section 3.1, in their order.
fn affinity(upper: &str) -> Affinity {
    let has = |part: &str| upper.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || upper.trim().is_empty() {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(declared: &str) -> Option<DataType> {
        column_type(declared).readable().cloned()
    }

    #[test]
    fn declared_types_become_arrow_types() {
        let microseconds = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        for (declared, expected) in [
            ("INTEGER", DataType::Int64),
            ("int", DataType::Int64),
            ("tinyint(1)", DataType::Int64),
            ("UNSIGNED BIG INT", DataType::Int64),
            ("Bool", DataType::Boolean),
            ("double precision", DataType::Float64),
            ("numeric", DataType::Float64),
            ("numeric(10, 2)", DataType::Decimal128(10, 2)),
            ("DECIMAL(5)", DataType::Decimal128(5, 0)),
            ("decimal(76,38)", DataType::Decimal256(76, 38)),
            ("nvarchar(55)", DataType::Utf8),
            ("CHARACTER VARYING (20)", DataType::Utf8),
            ("clob", DataType::Utf8),
            ("uuid", DataType::Utf8),
            ("blob", DataType::Binary),
            ("date", DataType::Date32),
            ("time", DataType::Time64(TimeUnit::Microsecond)),
            ("datetime", microseconds(None)),
            ("timestamp(6) with time zone", microseconds(Some("UTC"))),
            ("timestamptz", microseconds(Some("UTC"))),
        ] {
            assert_eq!(readable(declared), Some(expected), "{declared}");
        }
    }

    #[test]
    fn what_has_no_counterpart_is_listed_with_a_reason() {
        for declared in ["", "ANY", "geometry", "interval", "point", "numeric(77,0)", "numeric(2,3)", "numeric(a,b)"] {
            assert!(matches!(column_type(declared), ColumnType::Unreadable { .. }), "{declared}");
        }
        let ColumnType::Unreadable { reason } = column_type("") else { panic!("readable") };
        assert_eq!(reason, "column has no declared type");
    }

    #[test]
    fn only_text_affinity_keeps_numbers_as_text() {
        assert!(keeps_numbers_as_text("varchar(10)"));
        assert!(!keeps_numbers_as_text("uuid"));
        assert!(!keeps_numbers_as_text("json"));
    }
}
