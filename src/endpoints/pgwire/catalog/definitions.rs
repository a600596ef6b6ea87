//! What PostgreSQL's own catalogs have: their relations with columns and types, and the types there are.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pgwire::api::Type;

pub(super) const PG_CATALOG: &str = "pg_catalog";
pub(super) const INFORMATION_SCHEMA: &str = "information_schema";

/// A relation of the catalogs.
#[derive(Debug)]
pub(super) struct Definition {
    pub schema: &'static str,
    pub name: &'static str,
    pub oid: i32,
    /// `r` for a table, `v` for a view.
    pub kind: &'static str,
    pub columns: Vec<(&'static str, Type)>,
}

/// A line of `types.txt`, by its fields.
pub(super) type TypeLine = Vec<&'static str>;

static RELATIONS: LazyLock<Vec<Definition>> =
    LazyLock::new(|| lines(include_str!("relations.txt")).filter_map(definition).collect());

pub(super) static TYPES: LazyLock<Vec<TypeLine>> =
    LazyLock::new(|| lines(include_str!("types.txt")).map(|line| line.split(' ').collect()).collect());

/// `pg_proc`: identifiers and names.
pub(super) static FUNCTIONS: LazyLock<Vec<(i32, &'static str)>> = LazyLock::new(|| {
    let pairs = lines(include_str!("functions.txt")).filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(oid, name)| Some((oid.parse().ok()?, name))).collect()
});

static TYPES_BY_NAME: LazyLock<BTreeMap<&str, Type>> = LazyLock::new(|| {
    let known = TYPES.iter().filter_map(|line| Some((*line.get(1)?, Type::from_oid(line.first()?.parse().ok()?)?)));
    known.collect()
});

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

fn definition(line: &'static str) -> Option<Definition> {
    let mut words = line.split(' ');
    let (schema, name) = words.next()?.split_once('.')?;
    let (oid, kind) = (words.next()?.parse().ok()?, words.next()?);
    let columns = words.filter_map(|word| word.split_once(':')).map(|(column, of)| (column, type_named(of)));
    Some(Definition { schema, name, oid, kind, columns: columns.collect() })
}

/// A type by its name in `pg_type`; text for those that are shown as text here.
pub(super) fn type_named(name: &str) -> Type {
    TYPES_BY_NAME.get(name).cloned().unwrap_or(Type::TEXT)
}

/// A relation of the catalogs, in the schema or, without one, where PostgreSQL finds it: in `pg_catalog`.
pub(super) fn relation(schema: Option<&str>, name: &str) -> Option<&'static Definition> {
    let schema = schema.unwrap_or(PG_CATALOG);
    relations().find(|known| known.name == name && known.schema == schema)
}

pub(super) fn relations() -> impl Iterator<Item = &'static Definition> {
    RELATIONS.iter()
}

/// The type that SQL calls otherwise than `pg_type` does, or by a name that is another type's there.
pub(super) fn type_of_sql(name: &str) -> Option<Type> {
    Some(match name {
        "integer" | "int" => Type::INT4,
        "bigint" => Type::INT8,
        "smallint" => Type::INT2,
        "boolean" => Type::BOOL,
        "character varying" => Type::VARCHAR,
        "character" | "char" => Type::BPCHAR,
        "double precision" | "double" | "float" => Type::FLOAT8,
        "real" => Type::FLOAT4,
        "decimal" => Type::NUMERIC,
        "timestamp with time zone" => Type::TIMESTAMPTZ,
        "timestamp without time zone" => Type::TIMESTAMP,
        _ => return None,
    })
}

/// What a type is called in SQL, as `format_type` of PostgreSQL has it; a type that is said to have no modifier is called so
/// that it has none.
pub(super) fn sql_name(oid: i64, modifier: Option<i64>) -> Option<String> {
    let line = TYPES.iter().find(|line| line.first().and_then(|text| text.parse().ok()) == Some(oid))?;
    let (name, element) = (*line.get(1)?, line.get(9)?.parse::<i64>().ok()?);
    if line.get(5) == Some(&"A") && element != 0 && name.starts_with('_') {
        return Some(format!("{}[]", sql_name(element, modifier)?));
    }
    let plain = match name {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bpchar" if modifier == Some(-1) => "bpchar",
        "bpchar" => "character",
        "varchar" => "character varying",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "time" => "time without time zone",
        "timetz" => "time with time zone",
        "varbit" => "bit varying",
        "char" => "\"char\"",
        other => other,
    };
    let modifier = modifier.unwrap_or(-1);
    Some(match name {
        "numeric" if modifier >= 4 => format!("numeric({},{})", (modifier - 4) >> 16, (modifier - 4) & 0xffff),
        "varchar" | "bpchar" if modifier >= 4 => format!("{plain}({})", modifier - 4),
        _ => plain.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        assert_eq!(relations().count(), 208);
        assert!(relations().all(|definition| !definition.columns.is_empty()));
        assert!(TYPES.iter().all(|line| line.len() == 17));
        assert!(FUNCTIONS.len() > 300);
        let class = relation(None, "pg_class").unwrap();
        assert_eq!((class.oid, class.columns.first().unwrap()), (1259, &("oid", Type::OID)));
        assert!(relation(Some(INFORMATION_SCHEMA), "columns").is_some());
        assert!(relation(None, "columns").is_none());
    }

    #[test]
    fn types_are_called_what_sql_calls_them() {
        for (oid, modifier, name) in [
            (16, -1, "boolean"),
            (1043, 14, "character varying(10)"),
            (1700, (10 << 16 | 2) + 4, "numeric(10,2)"),
            (1009, -1, "text[]"),
            (1184, -1, "timestamp with time zone"),
        ] {
            assert_eq!(sql_name(oid, Some(modifier)).as_deref(), Some(name));
        }
        assert_eq!(sql_name(1, None), None);
    }
}
