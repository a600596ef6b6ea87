//! What a SQLite file says of its tables.
//!
//! In: an open connection. Out: [`TableSummary`]s and [`Table`]s of the schema `main`. System tables and the shadow
//! tables of virtual ones are left out. See <https://www.sqlite.org/pragma.html> for the pragmas read here.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use rusqlite::{Connection, OptionalExtension, Result};
use wayleave_connector_api::{Collation, Column, Table, TableKind, TableName, TableSummary};

use crate::types::column_type;

/// The one schema of a file on its own.
pub(crate) const SCHEMA: &str = "main";

/// Every table and view, with the row estimates of the last ANALYZE where there was one.
pub(crate) fn tables(connection: &Connection) -> Result<Vec<TableSummary>> {
    let estimates = if is_analyzed(connection)? {
        // The first number of `stat` is the number of rows in the index; a partial index has fewer than the table.
        "(SELECT tbl, max(CAST(stat AS INTEGER)) AS row_count FROM sqlite_stat1 GROUP BY tbl)"
    } else {
        "(SELECT NULL AS tbl, NULL AS row_count)"
    };
    let sql = format!(
        "SELECT l.name, l.type, s.row_count FROM pragma_table_list AS l LEFT JOIN {estimates} AS s ON s.tbl = l.name \
         WHERE l.schema = 'main' AND l.type IN ('table', 'view', 'virtual') AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY l.name"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        Ok(TableSummary {
            name: TableName::new(SCHEMA, row.get::<_, String>(0)?),
            kind: kind(&row.get::<_, String>(1)?),
            row_estimate: row.get::<_, Option<i64>>(2)?.and_then(|count| u64::try_from(count).ok()),
        })
    })?;
    rows.collect()
}

/// Whether ANALYZE has ever run, so that the file has statistics of its own.
fn is_analyzed(connection: &Connection) -> Result<bool> {
    connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'", [], |row| row.get(0))
}

/// One table, found by its exact name.
pub(crate) fn table(connection: &Connection, name: &TableName) -> Result<Option<Table>> {
    if name.schema != SCHEMA || name.table.to_ascii_lowercase().starts_with("sqlite_") {
        return Ok(None);
    }
    // A consistent picture, should the agency change its schema meanwhile.
    let transaction = connection.unchecked_transaction()?;
    let listed = transaction
        .query_row(
            "SELECT type, wr FROM pragma_table_list(?1) WHERE schema = 'main' AND name = ?1 COLLATE BINARY \
             AND type IN ('table', 'view', 'virtual')",
            [&name.table],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)),
        )
        .optional()?;
    let Some((type_name, without_rowid)) = listed else { return Ok(None) };
    let described = describe(&transaction, &name.table, &type_name)?;
    let keys = unique_keys(&transaction, &name.table)?;
    let rowid_alias = match described.primary_key.as_slice() {
        // `INTEGER PRIMARY KEY` is the rowid itself, unless the key needed an index (`… DESC` does, for old files' sake).
        [only] if type_name == "table" && !without_rowid && !keys.has_primary => described
            .columns
            .iter()
            .find(|column| column.name == *only && column.source_type.eq_ignore_ascii_case("INTEGER"))
            .map(|column| column.name.clone()),
        _ => None,
    };
    let columns: Vec<Column> = described
        .columns
        .into_iter()
        .map(|column| Column { nullable: column.nullable && rowid_alias.as_ref() != Some(&column.name), ..column })
        .collect();
    let row_estimate = match analyzed_rows(&transaction, &name.table)? {
        // A rowid that is a number from elsewhere may be far above the count: the statistics come first.
        Some(rows) => Some(rows),
        None if type_name == "table" && !without_rowid => highest_rowid(&transaction, &name.table, &described.names)?,
        None => None,
    };
    Ok(Some(Table {
        name: name.clone(),
        kind: kind(&type_name),
        columns,
        primary_key: described.primary_key,
        unique_keys: keys.others,
        row_estimate,
    }))
}

fn kind(type_name: &str) -> TableKind {
    if type_name == "view" { TableKind::View } else { TableKind::Table }
}

struct Described {
    columns: Vec<Column>,
    primary_key: Vec<String>,
    /// In lower case, hidden columns included.
    names: HashSet<String>,
}

fn describe(connection: &Connection, table: &str, type_name: &str) -> Result<Described> {
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid")?;
    let mut rows = statement.query([table])?;
    let mut described = Described { columns: Vec::new(), primary_key: Vec::new(), names: HashSet::new() };
    let mut key_parts: Vec<(i64, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let source_type: String = row.get(1)?;
        described.names.insert(name.to_ascii_lowercase());
        let key_position: i64 = row.get(3)?;
        if key_position > 0 {
            key_parts.push((key_position, name.clone()));
        }
        // 1 is a hidden column of a virtual table; 2 and 3 are generated ones, which are columns like any other.
        if row.get::<_, i64>(4)? != 1 {
            let column_type = column_type(&source_type);
            let collation = match column_type.readable() {
                Some(DataType::Utf8) => collation(connection, table, type_name, &name),
                Some(_) | None => Collation::Binary,
            };
            let nullable = !row.get::<_, bool>(2)?;
            described.columns.push(Column { name, source_type, column_type, nullable, collation });
        }
    }
    key_parts.sort();
    described.primary_key = key_parts.into_iter().map(|(_, name)| name).collect();
    Ok(described)
}

/// Only a table's own column says by which collation it is compared: a view's column may be any expression, and a virtual
/// table's is compared by a module that may not be here. What is not known to be `BINARY` is asked for it in every statement.
fn collation(connection: &Connection, table: &str, type_name: &str, column: &str) -> Collation {
    let declared = match connection.column_metadata(Some(SCHEMA), table, column) {
        Ok((_, declared, ..)) if type_name == "table" => declared,
        Ok(_) | Err(_) => None,
    };
    // The name is as the definition writes it.
    match declared {
        Some(declared) if declared.to_bytes().eq_ignore_ascii_case(b"BINARY") => Collation::Binary,
        Some(_) | None => Collation::Loose,
    }
}

struct UniqueKeys {
    /// Whether the primary key has an index of its own.
    has_primary: bool,
    others: Vec<Vec<String>>,
}

fn unique_keys(connection: &Connection, table: &str) -> Result<UniqueKeys> {
    // A partial index says nothing of the rows outside it.
    let mut statement = connection.prepare(
        "SELECT name, origin FROM pragma_index_list(?1, 'main') WHERE \"unique\" = 1 AND partial = 0 ORDER BY seq DESC",
    )?;
    let indexes = statement
        .query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>>>()?;
    let mut keys = UniqueKeys { has_primary: false, others: Vec::new() };
    let mut parts = connection.prepare("SELECT name FROM pragma_index_info(?1, 'main') ORDER BY seqno")?;
    for (index, origin) in indexes {
        if origin == "pk" {
            keys.has_primary = true;
            continue;
        }
        let names = parts.query_map([&index], |row| row.get::<_, Option<String>>(0))?.collect::<Result<Vec<_>>>()?;
        // An expression has no name, and is no column. What is unique under a looser collation is so under ours.
        let named: Option<Vec<String>> = names.into_iter().collect();
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            keys.others.push(named);
        }
    }
    Ok(keys)
}

/// The number of rows when ANALYZE last ran.
fn analyzed_rows(connection: &Connection, table: &str) -> Result<Option<u64>> {
    if !is_analyzed(connection)? {
        return Ok(None);
    }
    let sql = "SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?1";
    let rows: Option<i64> = connection.query_row(sql, [table], |row| row.get(0))?;
    Ok(rows.and_then(|rows| u64::try_from(rows).ok()))
}

/// The highest rowid, one step down the table's tree, as a guess at the number of rows.
fn highest_rowid(connection: &Connection, table: &str, columns: &HashSet<String>) -> Result<Option<u64>> {
    // A column may take one of the names, or all three of them.
    let Some(rowid) = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !columns.contains(*name)) else {
        return Ok(None);
    };
    let sql = format!("SELECT max({rowid}) FROM main.\"{}\"", table.replace('"', "\"\""));
    let highest: Option<i64> = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(Some(u64::try_from(highest.unwrap_or(0)).unwrap_or(0)))
}
