//! Which Arrow type each SQL Server type is read as.
//!
//! In: a column's type as `sys.columns` describes it. Out: its name in the words of a column definition
//! (`nvarchar(20) COLLATE Latin1_General_CI_AS`) and a [`ColumnType`]. The dialect reads those words again, as [`Declared`]:
//! a text column may be compared in its own type and collation, which an index of its own serves.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::ColumnType;

/// The most characters of an `nvarchar` of bounded length.
pub(crate) const MOST_BOUNDED_CHARACTERS: u32 = 4_000;

/// A column's type as the catalog describes it, alias types resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogType {
    pub(crate) name: String,
    /// In bytes; -1 where it has no bound of its own.
    pub(crate) max_length: i16,
    pub(crate) precision: u8,
    pub(crate) scale: u8,
    /// `None` for what is not text.
    pub(crate) collation: Option<String>,
}

impl CatalogType {
    /// As a column definition would say it.
    pub(crate) fn words(&self) -> String {
        let name = self.name.as_str();
        let length = |bytes_each: i16| match self.max_length {
            -1 => "max".to_owned(),
            bytes => bytes.checked_div(bytes_each).unwrap_or(bytes).to_string(),
        };
        let plain = match name {
            "char" | "varchar" | "binary" | "varbinary" => format!("{name}({})", length(1)),
            "nchar" | "nvarchar" => format!("{name}({})", length(2)),
            "decimal" | "numeric" => format!("{name}({},{})", self.precision, self.scale),
            "time" | "datetime2" | "datetimeoffset" => format!("{name}({})", self.scale),
            _ => name.to_owned(),
        };
        match &self.collation {
            Some(collation) => format!("{plain} COLLATE {collation}"),
            None => plain,
        }
    }

    /// What a column of this type arrives as.
    pub(crate) fn column_type(&self) -> ColumnType {
        match self.arrow_type() {
            Ok(data_type) => ColumnType::Readable(data_type),
            Err(reason) => ColumnType::Unreadable { reason: reason.to_owned() },
        }
    }

    fn arrow_type(&self) -> Result<DataType, &'static str> {
        let too_many = "it has more digits than SQL Server allows";
        let scale = i8::try_from(self.scale).map_err(|_| too_many)?;
        // Six digits of a second are microseconds; the seventh needs nanoseconds, whose years end earlier.
        let unit = if self.scale > 6 { TimeUnit::Nanosecond } else { TimeUnit::Microsecond };
        Ok(match self.name.as_str() {
            "bit" => DataType::Boolean,
            // 0 to 255: it has no sign, and a smallint room for all of it.
            "tinyint" | "smallint" => DataType::Int16,
            "int" => DataType::Int32,
            "bigint" => DataType::Int64,
            "real" => DataType::Float32,
            "float" => DataType::Float64,
            "decimal" | "numeric" => DataType::Decimal128(self.precision, scale),
            "money" => DataType::Decimal128(19, 4),
            "smallmoney" => DataType::Decimal128(10, 4),
            "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext" | "uniqueidentifier" | "xml" => DataType::Utf8,
            "binary" | "varbinary" | "image" | "timestamp" => DataType::Binary,
            "date" => DataType::Date32,
            "time" => DataType::Time64(unit),
            "datetime" | "smalldatetime" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "datetime2" => DataType::Timestamp(unit, None),
            "datetimeoffset" => DataType::Timestamp(unit, Some("UTC".into())),
            "sql_variant" => return Err("every value of it may have another type"),
            "hierarchyid" | "geography" | "geometry" => return Err("the type belongs to the server's own runtime"),
            _ => return Err("the type is not supported"),
        })
    }
}

/// A column's type taken from its words again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    /// The first number in parentheses; `None` also for `max`.
    pub(crate) length: Option<u32>,
    pub(crate) collation: Option<&'a str>,
}

impl<'a> Declared<'a> {
    pub(crate) fn parse(words: &'a str) -> Self {
        let (plain, collation) = match words.split_once(" COLLATE ") {
            Some((plain, collation)) => (plain, Some(collation)),
            None => (words, None),
        };
        let (name, arguments) = plain.split_once('(').unwrap_or((plain, ""));
        let length = arguments.split([',', ')']).next().and_then(|first| first.parse().ok());
        // A collation's name is an identifier; what is none is not written into a statement.
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        Self { name, length, collation: collation.filter(is_name) }
    }

    pub(crate) fn text(self) -> Option<TextColumn<'a>> {
        let (units, padding) = match self.name {
            "char" => (Units::CodePage, Padding::Blanks),
            "varchar" => (Units::CodePage, Padding::None),
            "nchar" => (Units::Unicode, Padding::Blanks),
            "nvarchar" => (Units::Unicode, Padding::None),
            _ => return None,
        };
        Some(TextColumn { length: self.length, units, padding, collation: self.collation })
    }
}

/// A text column that is compared in its own type as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextColumn<'a> {
    pub(crate) length: Option<u32>,
    pub(crate) units: Units,
    pub(crate) padding: Padding,
    pub(crate) collation: Option<&'a str>,
}

/// What a text column's characters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Units {
    /// Bytes of the collation's code page.
    CodePage,
    /// UTF-16.
    Unicode,
}

/// What fills a value up to the column's length. It is no part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    None,
    Blanks,
}

impl TextColumn<'_> {
    /// The type of its values as Unicode, none of which is cut.
    pub(crate) fn unicode_type(self) -> String {
        match self.length {
            Some(length) if length <= MOST_BOUNDED_CHARACTERS => format!("nvarchar({length})"),
            Some(_) | None => "nvarchar(max)".to_owned(),
        }
    }

    /// Whether one more character fits into the type of its values.
    pub(crate) fn has_room(self) -> bool {
        self.length.is_some_and(|length| length < MOST_BOUNDED_CHARACTERS)
    }
}

/// The type in which a value of an Arrow type is computed and delivered.
pub(crate) fn server_type(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "bit".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "float".to_owned(),
        DataType::Decimal128(precision, scale @ 0..) if *precision <= 38 => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::Null => "nvarchar(max)".to_owned(),
        DataType::Binary => "varbinary(max)".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Time64(TimeUnit::Microsecond) => "time(6)".to_owned(),
        DataType::Time64(TimeUnit::Nanosecond) => "time(7)".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "datetime2(6)".to_owned(),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "datetime2(7)".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "datetimeoffset(6)".to_owned(),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => "datetimeoffset(7)".to_owned(),
        _ => return None,
    })
}

/// What of a column has to be cast where it is read, and to which type; `None` where it arrives as it is. `money` would
/// come as a binary float, and a `datetime` as thirds of a hundredth of a second.
pub(crate) fn reading_cast(words: &str) -> Option<&'static str> {
    Some(match Declared::parse(words).name {
        "tinyint" => "smallint",
        "money" => "decimal(19,4)",
        "smallmoney" => "decimal(10,4)",
        "datetime" => "datetime2(3)",
        "smalldatetime" => "datetime2(0)",
        "text" | "ntext" | "xml" => "nvarchar(max)",
        "uniqueidentifier" => "nvarchar(36)",
        "image" => "varbinary(max)",
        "timestamp" => "binary(8)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(name: &str, max_length: i16, precision: u8, scale: u8) -> CatalogType {
        CatalogType { name: name.to_owned(), max_length, precision, scale, collation: None }
    }

    #[test]
    fn a_type_is_written_as_its_definition_would_be() {
        let text = |name: &str, length| CatalogType {
            collation: Some("Latin1_General_CI_AS".to_owned()),
            ..catalog(name, length, 0, 0)
        };
        for (described, words) in [
            (text("nvarchar", 40), "nvarchar(20) COLLATE Latin1_General_CI_AS"),
            (text("nvarchar", -1), "nvarchar(max) COLLATE Latin1_General_CI_AS"),
            (text("char", 10), "char(10) COLLATE Latin1_General_CI_AS"),
            (catalog("decimal", 9, 18, 4), "decimal(18,4)"),
            (catalog("datetime2", 8, 27, 7), "datetime2(7)"),
            (catalog("varbinary", -1, 0, 0), "varbinary(max)"),
            (catalog("int", 4, 10, 0), "int"),
        ] {
            assert_eq!(described.words(), words);
        }
    }

    #[test]
    fn the_words_of_a_text_column_say_how_it_is_compared() {
        let text = Declared::parse("nvarchar(20) COLLATE Latin1_General_CI_AS").text().unwrap();
        assert_eq!(
            text,
            TextColumn {
                length: Some(20),
                units: Units::Unicode,
                padding: Padding::None,
                collation: Some("Latin1_General_CI_AS")
            }
        );
        assert_eq!(text.unicode_type(), "nvarchar(20)");
        let long = Declared::parse("varchar(8000) COLLATE x").text().unwrap();
        assert_eq!(
            (long.unicode_type().as_str(), long.units, long.has_room()),
            ("nvarchar(max)", Units::CodePage, false)
        );
        assert_eq!(Declared::parse("varchar(max) COLLATE x").text().unwrap().length, None);
        assert_eq!(Declared::parse("char(3) COLLATE x").text().unwrap().padding, Padding::Blanks);
        assert_eq!(Declared::parse("xml").text(), None);
        // Nothing but a name ever gets into a statement.
        assert_eq!(Declared::parse("char(3) COLLATE x; DROP TABLE t").text().unwrap().collation, None);
    }

    #[test]
    fn every_type_has_an_exact_counterpart_or_a_reason() {
        let readable = |described: &CatalogType| described.column_type().readable().cloned();
        for (described, expected) in [
            (catalog("bit", 1, 1, 0), DataType::Boolean),
            (catalog("tinyint", 1, 3, 0), DataType::Int16),
            (catalog("smallint", 2, 5, 0), DataType::Int16),
            (catalog("int", 4, 10, 0), DataType::Int32),
            (catalog("bigint", 8, 19, 0), DataType::Int64),
            (catalog("real", 4, 24, 0), DataType::Float32),
            (catalog("float", 8, 53, 0), DataType::Float64),
            (catalog("numeric", 17, 38, 38), DataType::Decimal128(38, 38)),
            (catalog("money", 8, 19, 4), DataType::Decimal128(19, 4)),
            (catalog("smallmoney", 4, 10, 4), DataType::Decimal128(10, 4)),
            (catalog("ntext", 16, 0, 0), DataType::Utf8),
            (catalog("uniqueidentifier", 16, 0, 0), DataType::Utf8),
            (catalog("timestamp", 8, 0, 0), DataType::Binary),
            (catalog("date", 3, 10, 0), DataType::Date32),
            (catalog("time", 5, 16, 6), DataType::Time64(TimeUnit::Microsecond)),
            (catalog("time", 5, 16, 7), DataType::Time64(TimeUnit::Nanosecond)),
            (catalog("datetime", 8, 23, 3), DataType::Timestamp(TimeUnit::Microsecond, None)),
            (catalog("datetime2", 8, 23, 3), DataType::Timestamp(TimeUnit::Microsecond, None)),
            (catalog("datetime2", 8, 27, 7), DataType::Timestamp(TimeUnit::Nanosecond, None)),
            (catalog("datetimeoffset", 10, 34, 7), DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        ] {
            assert_eq!(readable(&described), Some(expected), "{}", described.name);
            assert!(server_type(&readable(&described).unwrap()).is_some(), "{}", described.name);
        }
        for name in ["sql_variant", "hierarchyid", "geography", "geometry", "vector", "json"] {
            assert_eq!(readable(&catalog(name, -1, 0, 0)), None, "{name}");
        }
    }
}
