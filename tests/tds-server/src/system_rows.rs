//! The rows of the catalog views.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::catalog::{Catalog, Index, IndexKind, Table, TableKind};
use crate::collation::Collation;
use crate::options::{Options, SnapshotIsolation, Version};
use crate::sql_type::{Length, SqlType};
use crate::system_views::SessionEntry;

/// The rows of the view of a name, each as wide as its columns.
pub(crate) fn rows(
    connection: &Connection,
    name: &str,
    catalog: &Catalog,
    options: &Options,
    sessions: &[SessionEntry],
) -> rusqlite::Result<Vec<Vec<Value>>> {
    let level = match options.version {
        Version::Sql2016 => 130,
        Version::Sql2017 => 140,
        Version::Sql2019 => 150,
        Version::Sql2022 => 160,
        Version::Sql2025 => 170,
    };
    let mut rows = Vec::new();
    match name {
        "databases" => {
            for (id, database) in
                [(1, "master"), (2, "tempdb"), (3, "model"), (4, "msdb"), (5, options.database.as_str())]
            {
                let snapshot = id == 5 && options.snapshot_isolation == SnapshotIsolation::On || id == 1 || id == 4;
                rows.push(vec![
                    text(database),
                    number(id),
                    made(),
                    number(level),
                    text(Collation::DEFAULT.name()),
                    flag(false),
                    number(0),
                    text("ONLINE"),
                    flag(snapshot),
                    text(if snapshot { "ON" } else { "OFF" }),
                    flag(false),
                ]);
            }
        }
        "schemas" => {
            for schema in catalog.schemas.iter().map(String::as_str).chain(["sys"]) {
                rows.push(vec![text(schema), number(catalog.schema_id(schema).unwrap_or(0)), number(1)]);
            }
            rows.push(vec![text("INFORMATION_SCHEMA"), number(3), number(3)]);
        }
        "objects" | "all_objects" => {
            for table in &catalog.tables {
                rows.push(object_row(catalog, table));
                for (position, index) in table.indexes.iter().enumerate() {
                    let (code, description) = match index.kind {
                        IndexKind::PrimaryKey => ("PK", "PRIMARY_KEY_CONSTRAINT"),
                        IndexKind::UniqueConstraint => ("UQ", "UNIQUE_CONSTRAINT"),
                        _ => continue,
                    };
                    rows.push(vec![
                        text(&index.name),
                        number(table.id + 1 + i64::try_from(position).unwrap_or(0)),
                        Value::Null,
                        number(catalog.schema_id(&table.schema).unwrap_or(1)),
                        number(table.id),
                        text(code),
                        text(description),
                        made(),
                        made(),
                        flag(false),
                    ]);
                }
            }
        }
        "tables" => {
            for table in catalog.tables.iter().filter(is_table) {
                let mut row = object_row(catalog, table);
                row.extend([flag(false), number(0), flag(false)]);
                rows.push(row);
            }
        }
        "views" => {
            rows.extend(catalog.tables.iter().filter(|table| !is_table(table)).map(|table| object_row(catalog, table)))
        }
        "columns" => {
            for table in &catalog.tables {
                for (position, column) in table.columns.iter().enumerate() {
                    let (length, precision, scale) = column.sql_type.catalog_sizes();
                    rows.push(vec![
                        number(table.id),
                        text(&column.name),
                        number(position + 1),
                        number(column.sql_type.system_type_id()),
                        number(column.sql_type.system_type_id()),
                        number(length),
                        number(precision),
                        number(scale),
                        column.sql_type.collation().map_or(Value::Null, |collation| text(collation.name())),
                        flag(column.nullable),
                        flag(column.is_identity),
                        flag(false),
                        flag(false),
                        flag(false),
                        number(i64::from(column.default.is_some())),
                        Value::Null,
                        Value::Null,
                    ]);
                }
            }
        }
        "types" => {
            for sql_type in all_types() {
                let (length, precision, scale) = sql_type.catalog_sizes();
                let length = if sql_type.length().is_some() { 8000 } else { length };
                let id = sql_type.system_type_id();
                rows.push(vec![
                    text(sql_type.name()),
                    number(id),
                    number(id),
                    number(4),
                    number(length),
                    number(precision),
                    number(scale),
                    sql_type.collation().map_or(Value::Null, |collation| text(collation.name())),
                    flag(true),
                    flag(false),
                    flag(false),
                    flag(false),
                ]);
            }
            // Two more names: numeric has a number of its own, sysname is an nvarchar.
            for (name, id, user, length, precision) in [
                ("numeric", 108, 108, 17, 38),
                ("sysname", 231, 256, 256, 0),
                ("sql_variant", 98, 98, 8016, 0),
                ("timestamp", 189, 189, 8, 0),
            ] {
                let row = [
                    number(id),
                    number(user),
                    number(4),
                    number(length),
                    number(precision),
                    number(0),
                    Value::Null,
                    flag(true),
                    flag(false),
                    flag(false),
                    flag(false),
                ];
                rows.push(std::iter::once(text(name)).chain(row).collect());
            }
        }
        "indexes" => {
            for table in catalog.tables.iter().filter(is_table) {
                for (id, index) in index_ids(table) {
                    let kind = match id {
                        0 => 0,
                        1 => 1,
                        _ => 2,
                    };
                    let description = ["HEAP", "CLUSTERED", "NONCLUSTERED"]
                        .get(usize::try_from(kind).unwrap_or(0))
                        .copied()
                        .unwrap_or("HEAP");
                    let unique = index.is_some_and(|index| index.kind != IndexKind::Index);
                    rows.push(vec![
                        number(table.id),
                        index.map_or(Value::Null, |index| text(&index.name)),
                        number(id),
                        number(kind),
                        text(description),
                        flag(unique),
                        flag(index.is_some_and(|index| index.kind == IndexKind::PrimaryKey)),
                        flag(index.is_some_and(|index| index.kind == IndexKind::UniqueConstraint)),
                        flag(false),
                        flag(false),
                        flag(index.is_some_and(|index| index.filter.is_some())),
                        index.and_then(|index| index.filter.as_ref()).map_or(Value::Null, text),
                    ]);
                }
            }
        }
        "index_columns" => {
            for table in catalog.tables.iter().filter(is_table) {
                for (id, index) in index_ids(table) {
                    for (ordinal, (position, descending)) in
                        index.iter().flat_map(|index| index.columns.iter()).enumerate()
                    {
                        rows.push(vec![
                            number(table.id),
                            number(id),
                            number(ordinal + 1),
                            number(position + 1),
                            number(ordinal + 1),
                            number(0),
                            flag(*descending),
                            flag(false),
                        ]);
                    }
                }
            }
        }
        "key_constraints" => {
            for table in catalog.tables.iter().filter(is_table) {
                for (id, index) in index_ids(table) {
                    let Some(index) = index else { continue };
                    let (code, description) = match index.kind {
                        IndexKind::PrimaryKey => ("PK", "PRIMARY_KEY_CONSTRAINT"),
                        IndexKind::UniqueConstraint => ("UQ", "UNIQUE_CONSTRAINT"),
                        _ => continue,
                    };
                    rows.push(vec![
                        text(&index.name),
                        number(table.id + id),
                        number(catalog.schema_id(&table.schema).unwrap_or(1)),
                        number(table.id),
                        text(code),
                        text(description),
                        number(id),
                    ]);
                }
            }
        }
        "foreign_keys" => {
            for table in &catalog.tables {
                for (position, key) in table.foreign_keys.iter().enumerate() {
                    rows.push(vec![
                        text(&key.name),
                        number(table.id + 10 + i64::try_from(position).unwrap_or(0)),
                        number(catalog.schema_id(&table.schema).unwrap_or(1)),
                        number(table.id),
                        number(key.referenced_table),
                        flag(false),
                        flag(false),
                    ]);
                }
            }
        }
        "foreign_key_columns" => {
            for table in &catalog.tables {
                for (position, key) in table.foreign_keys.iter().enumerate() {
                    for (ordinal, (parent, referenced)) in key.columns.iter().zip(&key.referenced_columns).enumerate() {
                        rows.push(vec![
                            number(table.id + 10 + i64::try_from(position).unwrap_or(0)),
                            number(ordinal + 1),
                            number(table.id),
                            number(parent + 1),
                            number(key.referenced_table),
                            number(referenced + 1),
                        ]);
                    }
                }
            }
        }
        "partitions" | "dm_db_partition_stats" => {
            for table in catalog.tables.iter().filter(is_table) {
                let count: i64 =
                    connection
                        .query_row(&format!("SELECT count(*) FROM {}", table.sqlite_name), [], |row| row.get(0))?;
                let count = catalog.told_rows.get(&table.id).copied().unwrap_or(count);
                for (id, _) in index_ids(table) {
                    let partition = number(table.id * 1000 + id);
                    rows.push(if name == "partitions" {
                        vec![partition.clone(), number(table.id), number(id), number(1), partition, number(count)]
                    } else {
                        vec![
                            partition,
                            number(table.id),
                            number(id),
                            number(1),
                            number(count),
                            number(count / 100 + 1),
                            number(count / 100 + 2),
                        ]
                    });
                }
            }
        }
        "dm_exec_sessions" => {
            for session in sessions {
                rows.push(vec![
                    number(session.id),
                    made(),
                    text(&session.host),
                    text(&session.application),
                    text(&session.login),
                    text("running"),
                    number(session.isolation),
                    number(session.transactions),
                    flag(true),
                    number(5),
                ]);
            }
        }
        "dm_exec_connections" => {
            for session in sessions {
                rows.push(vec![
                    number(session.id),
                    made(),
                    text("TCP"),
                    text(if session.encrypted { "TRUE" } else { "FALSE" }),
                    text("SQL"),
                ]);
            }
        }
        "TABLES" => {
            for table in &catalog.tables {
                let kind = if is_table(&table) { "BASE TABLE" } else { "VIEW" };
                rows.push(vec![text(&options.database), text(&table.schema), text(&table.name), text(kind)]);
            }
        }
        "COLUMNS" => {
            for table in &catalog.tables {
                for (position, column) in table.columns.iter().enumerate() {
                    let (length, precision, scale) = column.sql_type.catalog_sizes();
                    let sized = column.sql_type.is_string() || column.sql_type.kind() == crate::sql_type::Kind::Binary;
                    let length = column.sql_type.length().map_or(length, i64::from);
                    let numeric = column.sql_type.is_numeric();
                    let when = |condition: bool, value: i64| if condition { number(value) } else { Value::Null };
                    rows.push(vec![
                        text(&options.database),
                        text(&table.schema),
                        text(&table.name),
                        text(&column.name),
                        number(position + 1),
                        text(if column.nullable { "YES" } else { "NO" }),
                        text(column.sql_type.name()),
                        when(sized, length),
                        when(numeric, precision),
                        when(numeric, scale),
                        when(!numeric && !sized, scale),
                        column.sql_type.collation().map_or(Value::Null, |collation| text(collation.name())),
                    ]);
                }
            }
        }
        _ => {}
    }
    Ok(rows)
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn number(number: impl TryInto<i64>) -> Value {
    number.try_into().map_or(Value::Null, Value::Integer)
}

fn flag(set: bool) -> Value {
    Value::Integer(i64::from(set))
}

/// 2024-01-01, when everything was made.
fn made() -> Value {
    Value::Integer(crate::calendar::day_number(2024, 1, 1).unwrap_or(0) * crate::calendar::TICKS_PER_DAY)
}

fn object_row(catalog: &Catalog, table: &Table) -> Vec<Value> {
    let (code, description) = match table.kind {
        TableKind::Table => ("U ", "USER_TABLE"),
        TableKind::View(_) => ("V ", "VIEW"),
    };
    vec![
        text(&table.name),
        number(table.id),
        Value::Null,
        number(catalog.schema_id(&table.schema).unwrap_or(1)),
        number(0),
        text(code),
        text(description),
        made(),
        made(),
        flag(false),
    ]
}

/// The number of an index in its table: a clustered one is 1, the heap 0.
fn index_ids(table: &Table) -> Vec<(i64, Option<&Index>)> {
    let clustered = table.indexes.iter().find(|index| index.clustered);
    let mut ids = vec![match clustered {
        Some(index) => (1, Some(index)),
        None => (0, None),
    }];
    let others = table.indexes.iter().filter(|index| !index.clustered);
    ids.extend(others.zip(2..).map(|(index, id)| (id, Some(index))));
    ids
}

fn is_table(table: &&Table) -> bool {
    matches!(table.kind, TableKind::Table)
}

fn all_types() -> Vec<SqlType> {
    let collation = Collation::DEFAULT;
    vec![
        SqlType::Image,
        SqlType::Text(collation),
        SqlType::UniqueIdentifier,
        SqlType::Date,
        SqlType::Time(7),
        SqlType::DateTime2(7),
        SqlType::DateTimeOffset(7),
        SqlType::TinyInt,
        SqlType::SmallInt,
        SqlType::Int,
        SqlType::SmallDateTime,
        SqlType::Real,
        SqlType::Money,
        SqlType::DateTime,
        SqlType::Float,
        SqlType::NText(collation),
        SqlType::Bit,
        SqlType::Decimal { precision: 38, scale: 38 },
        SqlType::SmallMoney,
        SqlType::BigInt,
        SqlType::VarBinary(Length::Of(8000)),
        SqlType::VarChar(Length::Of(8000), collation),
        SqlType::Binary(8000),
        SqlType::Char(8000, collation),
        SqlType::NVarChar(Length::Of(4000), collation),
        SqlType::NChar(4000, collation),
        SqlType::Xml,
    ]
}
