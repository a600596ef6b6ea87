//! Which Arrow type each column type is read as.
//!
//! In: a column as `information_schema` describes it. Out: a [`ColumnType`], and the column's type in the words that the
//! dialect reads again: `varchar(30) collate latin1_swedish_ci`, `int(10) unsigned`.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::ColumnType;

const DECIMAL128_DIGITS: u8 = 38;

/// A character of any character set in UTF-8.
const BYTES_OF_A_CHARACTER: u64 = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// `varchar`
    pub(crate) data_type: String,
    /// `varchar(30)`, `bigint(20) unsigned zerofill`, `enum('a','b')`
    pub(crate) column_type: String,
    pub(crate) precision: Option<u64>,
    pub(crate) scale: Option<u64>,
    pub(crate) collation: Option<String>,
}

impl Described {
    pub(crate) fn source_type(&self) -> String {
        match &self.collation {
            Some(collation) => format!("{} collate {collation}", self.column_type),
            None => self.column_type.clone(),
        }
    }
}

/// Whether it is text that is stored as it is.
pub(crate) fn is_plain_text(data_type: &str) -> bool {
    matches!(data_type, "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext")
}

/// What a column of this type arrives as.
pub(crate) fn column_type(described: &Described) -> ColumnType {
    let unsigned = is_unsigned(&described.column_type);
    let microseconds = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let readable = match described.data_type.as_str() {
        "tinyint" if described.column_type == "tinyint(1)" => Ok(DataType::Boolean),
        "tinyint" | "year" => Ok(DataType::Int16),
        "smallint" if unsigned => Ok(DataType::Int32),
        "smallint" => Ok(DataType::Int16),
        "mediumint" => Ok(DataType::Int32),
        "int" if unsigned => Ok(DataType::Int64),
        "int" => Ok(DataType::Int32),
        "bigint" if unsigned => Ok(DataType::Decimal128(20, 0)),
        "bigint" => Ok(DataType::Int64),
        "decimal" => decimal(described),
        "float" => Ok(DataType::Float32),
        "double" => Ok(DataType::Float64),
        "bit" => Ok(match described.precision {
            Some(1) => DataType::Boolean,
            Some(64) | None => DataType::Decimal128(20, 0),
            Some(_) => DataType::Int64,
        }),
        "enum" | "set" | "json" | "uuid" | "inet4" | "inet6" => Ok(DataType::Utf8),
        text if is_plain_text(text) => Ok(DataType::Utf8),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Ok(DataType::Binary),
        "date" => Ok(DataType::Date32),
        "time" => Ok(DataType::Time64(TimeUnit::Microsecond)),
        "datetime" => Ok(microseconds(None)),
        "timestamp" => Ok(microseconds(Some("UTC"))),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection" => Err("a geometry has no exact counterpart"),
        _ => Err("the type is not supported"),
    };
    match readable {
        Ok(data_type) => ColumnType::Readable(data_type),
        Err(reason) => ColumnType::Unreadable { reason: reason.to_owned() },
    }
}

fn decimal(described: &Described) -> Result<DataType, &'static str> {
    let part = |number: Option<u64>| number.and_then(|number| u8::try_from(number).ok());
    let (Some(precision), Some(scale)) = (part(described.precision), part(described.scale)) else {
        return Err("its digits are not declared");
    };
    let scale = i8::try_from(scale).map_err(|_| "its digits are not declared")?;
    Ok(if precision <= DECIMAL128_DIGITS {
        DataType::Decimal128(precision, scale)
    } else {
        DataType::Decimal256(precision, scale)
    })
}

/// Of a column's type in the words of [`Described::source_type`].
pub(crate) fn is_unsigned(source_type: &str) -> bool {
    source_type.split(' ').any(|word| word == "unsigned")
}

/// The first word: `varchar` of `varchar(30) collate latin1_swedish_ci`.
pub(crate) fn base_name(source_type: &str) -> &str {
    source_type.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

/// The character set of a text column.
pub(crate) fn character_set(source_type: &str) -> Option<&str> {
    let (_, collation) = source_type.rsplit_once(" collate ")?;
    collation.split('_').next()
}

/// How many bytes a value of a text or binary column has at most, its text in UTF-8; `None` for a number that is beyond
/// use, or for what has none.
pub(crate) fn most_bytes(source_type: &str) -> Option<u64> {
    let utf8 = character_set(source_type).is_some_and(|set| set.starts_with("utf8"));
    let of_bytes = |bytes: u64| if utf8 { bytes } else { bytes * BYTES_OF_A_CHARACTER };
    let length = || -> Option<u64> {
        let (_, after) = source_type.split_once('(')?;
        after.split(')').next()?.parse().ok()
    };
    match base_name(source_type) {
        "char" | "varchar" => Some(length()? * BYTES_OF_A_CHARACTER),
        "binary" | "varbinary" => length(),
        "tinytext" => Some(of_bytes(255)),
        "text" => Some(of_bytes(65_535)),
        "tinyblob" => Some(255),
        "blob" => Some(65_535),
        // All labels together, which a set may name.
        "enum" | "set" => u64::try_from(source_type.len()).ok().map(|length| length * BYTES_OF_A_CHARACTER),
        "uuid" | "inet4" | "inet6" => Some(64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(column_type: &str, precision: Option<u64>, scale: Option<u64>) -> Described {
        let data_type = base_name(column_type).to_owned();
        Described { data_type, column_type: column_type.to_owned(), precision, scale, collation: None }
    }

    #[test]
    fn every_type_keeps_all_of_its_values() {
        let readable = |column_type: &str| column_type_of(column_type).readable().cloned();
        fn column_type_of(text: &str) -> ColumnType {
            column_type(&described(text, None, None))
        }
        assert_eq!(readable("tinyint(1)"), Some(DataType::Boolean));
        assert_eq!(readable("tinyint(1) unsigned"), Some(DataType::Int16));
        assert_eq!(readable("tinyint(4)"), Some(DataType::Int16));
        assert_eq!(readable("smallint(5) unsigned zerofill"), Some(DataType::Int32));
        assert_eq!(readable("mediumint(8) unsigned"), Some(DataType::Int32));
        assert_eq!(readable("int unsigned"), Some(DataType::Int64));
        assert_eq!(readable("bigint(20) unsigned"), Some(DataType::Decimal128(20, 0)));
        assert_eq!(readable("point"), None);
        assert_eq!(readable("vector(3)"), None);
        let decimal = |precision, scale| {
            column_type(&described("decimal(1,0)", Some(precision), Some(scale))).readable().cloned()
        };
        assert_eq!(decimal(10, 2), Some(DataType::Decimal128(10, 2)));
        assert_eq!(decimal(65, 30), Some(DataType::Decimal256(65, 30)));
    }

    #[test]
    fn a_type_tells_how_long_its_values_may_be() {
        assert_eq!(most_bytes("varchar(30) collate latin1_swedish_ci"), Some(120));
        assert_eq!(most_bytes("text collate utf8mb4_general_ci"), Some(65_535));
        assert_eq!(most_bytes("text collate latin1_swedish_ci"), Some(262_140));
        assert_eq!(most_bytes("longtext collate utf8mb4_general_ci"), None);
        assert_eq!(most_bytes("varbinary(16)"), Some(16));
        assert_eq!(character_set("varchar(30) collate latin1_swedish_ci"), Some("latin1"));
        assert_eq!(character_set("enum('a collate b') collate utf8mb4_bin"), Some("utf8mb4"));
    }
}
