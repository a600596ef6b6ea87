//! Which Arrow type each PostgreSQL type is read as, and how its text is compared.
//!
//! In: a column's type as the server's catalog describes it. Out: a [`ColumnType`] and a [`Collation`]. The dialect reads
//! a column's [`source_type`](wayleave_connector_api::Column::source_type) again, in the words of `format_type`, through
//! [`is_native`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use wayleave_connector_api::{Collation, ColumnType};

const DECIMAL128_DIGITS: i32 = 38;
const DECIMAL256_DIGITS: i32 = 76;

/// A type as `pg_type` describes it, domains resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogType {
    /// `pg_catalog` or another schema.
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `typtype`: `b` base, `e` enum, `c` composite, `r` and `m` ranges, `d` domain.
    pub(crate) kind: String,
    /// `atttypmod`, -1 where there is none.
    pub(crate) modifier: i32,
}

/// A column's type; the element's own where it is an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Described {
    Scalar(CatalogType),
    Array(CatalogType),
}

/// A collation as `pg_collation` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogCollation {
    /// `d` the database's own, `c` libc, `i` ICU, `b` built in.
    pub(crate) provider: String,
    pub(crate) locale: String,
    pub(crate) deterministic: bool,
}

/// What a column of this type arrives as.
pub(crate) fn column_type(described: &Described) -> ColumnType {
    let outcome = match described {
        Described::Scalar(scalar) => scalar_type(scalar),
        Described::Array(element) if element.kind == "d" => Err("an array of a domain is not supported"),
        Described::Array(element) => {
            scalar_type(element).map(|item| DataType::List(Arc::new(Field::new("item", item, true))))
        }
    };
    match outcome {
        Ok(data_type) => ColumnType::Readable(data_type),
        Err(reason) => ColumnType::Unreadable { reason: reason.to_owned() },
    }
}

fn scalar_type(scalar: &CatalogType) -> Result<DataType, &'static str> {
    match scalar.kind.as_str() {
        "e" => return Ok(DataType::Utf8),
        "c" => return Err("a composite value has no exact counterpart"),
        "r" | "m" => return Err("a range has no exact counterpart"),
        "b" => {}
        _ => return Err("the type is not supported"),
    }
    if scalar.schema != "pg_catalog" {
        let known = scalar.name == "citext";
        return if known { Ok(DataType::Utf8) } else { Err("the type belongs to an extension that is not supported") };
    }
    Ok(match scalar.name.as_str() {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => numeric_type(scalar.modifier)?,
        "text" | "varchar" | "bpchar" | "name" | "char" => DataType::Utf8,
        "uuid" | "json" | "jsonb" | "xml" | "inet" | "cidr" | "macaddr" | "macaddr8" => DataType::Utf8,
        "bytea" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "interval" => return Err("an interval has no exact counterpart"),
        "timetz" => return Err("a time with a zone but no date has no exact counterpart"),
        "money" => return Err("its digits depend on the server's locale"),
        "oid" => return Err("it numbers the server's own objects"),
        _ => return Err("the type is not supported"),
    })
}

/// `numeric(p,s)`; without a precision, thirty-eight digits of which ten are fractional: a value beyond is refused when
/// it is met, and never rounded.
fn numeric_type(modifier: i32) -> Result<DataType, &'static str> {
    if modifier < 4 {
        return Ok(DataType::Decimal128(38, 10));
    }
    let precision = ((modifier - 4) >> 16) & 0xffff;
    // Eleven bits with a sign since version 15; before it, scales end at 1000 and read the same.
    let scale = (((modifier - 4) & 0x7ff) ^ 0x400) - 0x400;
    // Arrow's scale is neither negative nor above the precision.
    let digits = if scale < 0 { precision - scale } else { precision.max(scale) };
    let too_many = "it has more than 76 digits";
    let scale = i8::try_from(scale.max(0)).map_err(|_| too_many)?;
    let precision = u8::try_from(digits).map_err(|_| too_many)?;
    if digits <= DECIMAL128_DIGITS {
        Ok(DataType::Decimal128(precision, scale))
    } else if digits <= DECIMAL256_DIGITS {
        Ok(DataType::Decimal256(precision, scale))
    } else {
        Err(too_many)
    }
}

/// How the server compares this column's text as it is read; `database` is what `default` stands for.
pub(crate) fn collation(
    described: &Described,
    own: Option<&CatalogCollation>,
    database: &CatalogCollation,
) -> Collation {
    let Described::Scalar(scalar) = described else { return Collation::Binary };
    if scalar_type(scalar) != Ok(DataType::Utf8) {
        return Collation::Binary;
    }
    if scalar.name == "citext" {
        return Collation::Loose;
    }
    let Some(own) = own else {
        // A uuid, an enum: its text takes the database's collation, whatever that is by then.
        return Collation::EqualityOnly;
    };
    let meant = if own.provider == "d" { database } else { own };
    let code_points = match meant.provider.as_str() {
        "c" => matches!(meant.locale.as_str(), "C" | "POSIX" | "C.UTF-8" | "C.utf8"),
        // All of PostgreSQL's own collations compare code points.
        "b" => true,
        _ => false,
    };
    // PostgreSQL refuses to compare columns of two collations, neither of which is the database's own. `C` may meet that one
    // and what is bound to bytes where it is read; any other collation of a column's own is so bound.
    let agrees_with_others = own.provider == "d" || (own.provider == "c" && own.locale == "C");
    match (agrees_with_others, code_points, meant.deterministic) {
        (true, true, _) => Collation::Binary,
        (true, false, true) => Collation::EqualityOnly,
        (true, false, false) | (false, _, _) => Collation::Loose,
    }
}

/// The type whose binary form the decoder reads for an Arrow type. Unconstrained `numeric` on purpose: a cast to a
/// precision would round.
pub(crate) fn wire_type(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Boolean => "boolean",
        DataType::Int16 => "int2",
        DataType::Int32 => "int4",
        DataType::Int64 => "int8",
        DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => "numeric",
        DataType::Utf8 | DataType::Null => "text",
        DataType::Binary => "bytea",
        DataType::Date32 => "date",
        DataType::Time64(TimeUnit::Microsecond) => "time",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamptz",
        _ => return None,
    })
}

/// Whether a column of this type, in the words of `format_type`, already is what [`wire_type`] names. A type of the
/// agency's own never is: since only `pg_catalog` is searched, its name comes with its schema.
pub(crate) fn is_native(source_type: &str, data_type: &DataType) -> bool {
    if let DataType::List(item) = data_type {
        return source_type.strip_suffix("[]").is_some_and(|element| is_native(element, item.data_type()));
    }
    // `character varying(12)`, `timestamp(3) without time zone`, `numeric(10,2)`
    let plain: String = match (source_type.find('('), source_type.find(')')) {
        (Some(open), Some(close)) => {
            [source_type.get(..open), source_type.get(close + 1..)].into_iter().flatten().collect()
        }
        _ => source_type.to_owned(),
    };
    match data_type {
        DataType::Boolean => plain == "boolean",
        DataType::Int16 => plain == "smallint",
        DataType::Int32 => plain == "integer",
        DataType::Int64 => plain == "bigint",
        DataType::Float32 => plain == "real",
        DataType::Float64 => plain == "double precision",
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => plain == "numeric",
        DataType::Utf8 => plain == "text" || plain == "character varying",
        DataType::Binary => plain == "bytea",
        DataType::Date32 => plain == "date",
        DataType::Time64(TimeUnit::Microsecond) => plain == "time without time zone",
        DataType::Timestamp(TimeUnit::Microsecond, None) => plain == "timestamp without time zone",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => plain == "timestamp with time zone",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(precision: i32, scale: i32) -> Result<DataType, &'static str> {
        numeric_type(((precision << 16) | (scale & 0x7ff)) + 4)
    }

    #[test]
    fn a_numeric_keeps_its_own_digits() {
        assert_eq!(numeric(10, 2), Ok(DataType::Decimal128(10, 2)));
        assert_eq!(numeric(38, 38), Ok(DataType::Decimal128(38, 38)));
        assert_eq!(numeric(39, 0), Ok(DataType::Decimal256(39, 0)));
        assert_eq!(numeric(2, -3), Ok(DataType::Decimal128(5, 0)));
        assert_eq!(numeric(2, 5), Ok(DataType::Decimal128(5, 5)));
        assert_eq!(numeric_type(-1), Ok(DataType::Decimal128(38, 10)));
        assert!(numeric(77, 0).is_err());
        assert!(numeric(1000, 1000).is_err());
    }

    #[test]
    fn the_collation_of_a_column_decides_what_its_text_may_be_used_for() {
        let text = |name: &str| {
            Described::Scalar(CatalogType {
                schema: "pg_catalog".to_owned(),
                name: name.to_owned(),
                kind: "b".to_owned(),
                modifier: -1,
            })
        };
        let of = |provider: &str, locale: &str, deterministic| CatalogCollation {
            provider: provider.to_owned(),
            locale: locale.to_owned(),
            deterministic,
        };
        let english = of("c", "en_GB.UTF-8", true);
        let cases = [
            (Some(of("c", "C", true)), Collation::Binary),
            (Some(of("c", "en_GB.UTF-8", true)), Collation::Loose),
            (Some(of("i", "und-u-ks-level2", false)), Collation::Loose),
            (Some(of("i", "C", true)), Collation::Loose),
            (Some(of("b", "C.UTF-8", true)), Collation::Loose),
            (Some(of("d", "", true)), Collation::EqualityOnly),
            (None, Collation::EqualityOnly),
        ];
        for (own, expected) in cases {
            assert_eq!(collation(&text("text"), own.as_ref(), &english), expected, "{own:?}");
        }
        assert_eq!(collation(&text("text"), Some(&of("d", "", true)), &of("c", "C.UTF-8", true)), Collation::Binary);
        assert_eq!(collation(&text("int4"), None, &english), Collation::Binary);
    }

    #[test]
    fn only_postgresqls_own_types_are_taken_as_they_are() {
        assert!(is_native("character varying(12)", &DataType::Utf8));
        assert!(is_native("timestamp(3) without time zone", &DataType::Timestamp(TimeUnit::Microsecond, None)));
        assert!(is_native("numeric", &DataType::Decimal128(38, 10)));
        assert!(!is_native("public.text", &DataType::Utf8));
        assert!(!is_native("character(3)", &DataType::Utf8));
        assert!(!is_native("uuid", &DataType::Utf8));
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        assert!(is_native("integer[]", &list(DataType::Int32)));
        assert!(is_native("numeric(10,2)[]", &list(DataType::Decimal128(10, 2))));
        assert!(!is_native("character(3)[]", &list(DataType::Utf8)));
    }
}
