//! What a data source holds, as `SQLTables` and `SQLColumns` tell it.

use odbc_api::{Connection, Cursor, CursorRow, Nullable};
use wayleave_connector_api::{Column, ConnectorError, ServerInfo, Table, TableKind, TableName, TableSummary};

use crate::pool::refusal;
use crate::types::{Described, collation, column_type};

/// For a database without schemas: SQLite answers to it.
const NO_SCHEMA: &str = "main";

/// Schemas that hold a database's own tables.
const OWN_SCHEMAS: [&str; 6] = ["information_schema", "pg_catalog", "pg_toast", "sys", "syscat", "sysibm"];

pub(crate) fn server(connection: &Connection<'static>) -> Result<ServerInfo, ConnectorError> {
    // The driver knows the product's name without its server, which only a question shows to be there.
    let asked = || connection.preallocate()?.into_tables_cursor("", "", "wayleave-ping", "")?.next_row().map(drop);
    asked().map_err(|error| refusal(&error, None))?;
    let product = connection.database_management_system_name().map_err(|error| refusal(&error, None))?;
    // ODBC's safe calls tell no version of the server.
    Ok(ServerInfo { product, version: "0 (not told through ODBC)".to_owned(), encrypted: false })
}

pub(crate) fn tables(connection: &Connection<'static>) -> Result<Vec<TableSummary>, ConnectorError> {
    let read = || {
        let statement = connection.preallocate()?;
        let mut cursor = statement.into_tables_cursor("", "", "", "")?;
        let mut found = Vec::new();
        while let Some(mut row) = cursor.next_row()? {
            let schema = schema(&mut row)?;
            let (Some(table), Some(kind)) = (text(&mut row, 3)?, text(&mut row, 4)?) else { continue };
            let kind = match kind.to_ascii_uppercase().as_str() {
                "TABLE" => TableKind::Table,
                "VIEW" => TableKind::View,
                "MATVIEW" | "MATERIALIZED VIEW" => TableKind::MaterializedView,
                "FOREIGN TABLE" => TableKind::ForeignTable,
                _ => continue,
            };
            if !OWN_SCHEMAS.iter().any(|own| schema.eq_ignore_ascii_case(own)) {
                found.push(TableSummary { name: TableName::new(schema, table), kind, row_estimate: None });
            }
        }
        Ok(found)
    };
    let mut found = read().map_err(|error: odbc_api::Error| refusal(&error, None))?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

pub(crate) fn table(connection: &Connection<'static>, name: &TableName) -> Result<Option<Table>, ConnectorError> {
    let Some(summary) = tables(connection)?.into_iter().find(|summary| summary.name == *name) else {
        return Ok(None);
    };
    let columns = columns(connection, name).map_err(|error| refusal(&error, None))?;
    Ok(Some(Table {
        name: summary.name,
        kind: summary.kind,
        columns,
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        row_estimate: None,
    }))
}

fn columns(connection: &Connection<'static>, name: &TableName) -> Result<Vec<Column>, odbc_api::Error> {
    let statement = connection.preallocate()?;
    // A pattern, in which a backslash escapes for most drivers: what it finds too much is left out below.
    let mut cursor = statement.into_columns_cursor("", "", &name.table.replace('\\', "_"), "")?;
    let mut found = Vec::new();
    while let Some(mut row) = cursor.next_row()? {
        let schema = schema(&mut row)?;
        let (table, column) = (text(&mut row, 3)?, text(&mut row, 4)?);
        let concise = number::<i16>(&mut row, 5)?.unwrap_or_default();
        let source_type = text(&mut row, 6)?.unwrap_or_default();
        let size = number::<i32>(&mut row, 7)?;
        let digits = number::<i16>(&mut row, 9)?;
        let nullable = number::<i16>(&mut row, 11)?;
        let Some(column) = column.filter(|_| schema == name.schema && table.as_deref() == Some(name.table.as_str()))
        else {
            continue;
        };
        let column_type = column_type(Described { concise, name: &source_type, size, digits });
        found.push(Column {
            name: column,
            source_type,
            collation: collation(&column_type),
            column_type,
            nullable: nullable != Some(0),
        });
    }
    Ok(found)
}

fn schema(row: &mut CursorRow<'_>) -> Result<String, odbc_api::Error> {
    let catalog = text(row, 1)?;
    let schema = text(row, 2)?;
    Ok([schema, catalog].into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_else(|| NO_SCHEMA.to_owned()))
}

fn text(row: &mut CursorRow<'_>, column: u16) -> Result<Option<String>, odbc_api::Error> {
    let mut wide = Vec::new();
    Ok(row.get_wide_text(column, &mut wide)?.then(|| String::from_utf16_lossy(&wide)))
}

fn number<T: odbc_api::Pod>(row: &mut CursorRow<'_>, column: u16) -> Result<Option<T>, odbc_api::Error> {
    let mut value = Nullable::<T>::null();
    row.get_data(column, &mut value)?;
    Ok(value.into_opt())
}
