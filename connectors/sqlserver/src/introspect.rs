//! Reading a database's catalog: tables and views, columns, keys, sizes.
//!
//! In: what `sys.*` answered. Out: what the login may see, the server's own objects and synonyms left out. Each question is
//! one batch, and so one round trip; no table of the agency's is ever opened here.

use wayleave_connector_api::{
    Collation, Column, ColumnType, ConnectorError, Table, TableKind, TableName, TableSummary,
};

use crate::dialect::BINARY;
use crate::driver::{Collected, OwnedCell};
use crate::types::CatalogType;

/// The rows of a table's heap or clustered index, as the server counts along; every login may read it. Views have none.
const ROWS: &str = "(SELECT SUM([p].[rows]) FROM sys.partitions AS [p] \
    WHERE [p].[object_id] = [o].[object_id] AND [p].[index_id] IN (0, 1))";

/// Every table and view, in one question.
pub(crate) const TABLES: &str = "SELECT [s].[name] AS [schema], [o].[name] AS [name], \
    CASE WHEN [o].[type] = 'V' THEN 2 WHEN [t].[is_external] = 1 THEN 3 ELSE 1 END AS [kind], \
    (SELECT SUM([p].[rows]) FROM sys.partitions AS [p] \
        WHERE [p].[object_id] = [o].[object_id] AND [p].[index_id] IN (0, 1)) AS [rows] \
    FROM sys.objects AS [o] JOIN sys.schemas AS [s] ON [s].[schema_id] = [o].[schema_id] \
    LEFT JOIN sys.tables AS [t] ON [t].[object_id] = [o].[object_id] \
    WHERE [o].[type] IN ('U', 'V') AND [o].[is_ms_shipped] = 0 ORDER BY [s].[name], [o].[name];";

/// One table's columns, and in a second result its unique keys.
pub(crate) fn table_sql(name: &TableName) -> String {
    let (schema, table) = (literal(&name.schema), literal(&name.table));
    // Names are compared as they are written, whatever the database's own collation.
    let named = format!(
        "[s].[name] COLLATE {BINARY} = {schema} AND DATALENGTH([s].[name]) = DATALENGTH({schema}) \
         AND [o].[name] COLLATE {BINARY} = {table} AND DATALENGTH([o].[name]) = DATALENGTH({table}) \
         AND [o].[type] IN ('U', 'V') AND [o].[is_ms_shipped] = 0"
    );
    // The base type of an alias type has its number; a type of the runtime has none, whatever its name.
    format!(
        "SELECT CASE WHEN [o].[type] = 'V' THEN 2 WHEN [t].[is_external] = 1 THEN 3 ELSE 1 END AS [kind], {ROWS} AS [rows], \
         [c].[name] AS [column], COALESCE([bt].[name], N'clr ' + [ct].[name]) AS [type], \
         [c].[max_length] AS [max_length], [c].[precision] AS [precision], [c].[scale] AS [scale], \
         [c].[is_nullable] AS [is_nullable], [c].[collation_name] AS [collation], \
         CASE WHEN [c].[encryption_type] IS NULL THEN 0 ELSE 1 END AS [is_encrypted], \
         HAS_PERMS_BY_NAME(QUOTENAME([s].[name]) + N'.' + QUOTENAME([o].[name]), N'OBJECT', N'SELECT', [c].[name], N'COLUMN') \
         AS [may_select] \
         FROM sys.objects AS [o] JOIN sys.schemas AS [s] ON [s].[schema_id] = [o].[schema_id] \
         LEFT JOIN sys.tables AS [t] ON [t].[object_id] = [o].[object_id] \
         JOIN sys.columns AS [c] ON [c].[object_id] = [o].[object_id] \
         LEFT JOIN sys.types AS [ct] ON [ct].[user_type_id] = [c].[user_type_id] \
         LEFT JOIN sys.types AS [bt] ON [bt].[user_type_id] = [c].[system_type_id] \
         WHERE {named} ORDER BY [c].[column_id];\n\
         SELECT [i].[index_id] AS [index], [i].[is_primary_key] AS [is_primary], [c].[name] AS [column] \
         FROM sys.objects AS [o] JOIN sys.schemas AS [s] ON [s].[schema_id] = [o].[schema_id] \
         JOIN sys.indexes AS [i] ON [i].[object_id] = [o].[object_id] \
         JOIN sys.index_columns AS [k] ON [k].[object_id] = [i].[object_id] AND [k].[index_id] = [i].[index_id] \
         JOIN sys.columns AS [c] ON [c].[object_id] = [k].[object_id] AND [c].[column_id] = [k].[column_id] \
         WHERE {named} AND [i].[is_unique] = 1 AND [i].[has_filter] = 0 AND [i].[is_disabled] = 0 \
         AND [i].[is_hypothetical] = 0 AND [k].[key_ordinal] > 0 ORDER BY [i].[index_id], [k].[key_ordinal];"
    )
}

fn literal(name: &str) -> String {
    use wayleave_connector_api::{Dialect, Value};
    crate::SqlServerDialect.literal(&Value::Text(name.to_owned()))
}

pub(crate) fn tables(answer: &Collected) -> Result<Vec<TableSummary>, ConnectorError> {
    set(answer, 0)?
        .iter()
        .map(|row| match row.as_slice() {
            [OwnedCell::Text(schema), OwnedCell::Text(name), OwnedCell::Integer(kind), rows] => Ok(TableSummary {
                name: TableName::new(schema, name),
                kind: kind_of(*kind),
                row_estimate: estimate_of(rows),
            }),
            _ => Err(unexpected()),
        })
        .collect()
}

/// The table, or `None` where the login sees none of that name.
pub(crate) fn table(name: &TableName, answer: &Collected) -> Result<Option<Table>, ConnectorError> {
    let columns = set(answer, 0)?;
    let Some([OwnedCell::Integer(kind), rows, ..]) = columns.first().map(Vec::as_slice) else {
        return Ok(None);
    };
    let (kind, row_estimate) = (kind_of(*kind), estimate_of(rows));
    let columns = columns.iter().map(|row| column(row)).collect::<Result<Vec<_>, _>>()?;
    let mut primary_key: Vec<String> = Vec::new();
    let mut unique_keys: Vec<Vec<String>> = Vec::new();
    let mut last_index = None;
    for row in set(answer, 1)? {
        let [OwnedCell::Integer(index), OwnedCell::Integer(is_primary), OwnedCell::Text(column)] = row.as_slice()
        else {
            return Err(unexpected());
        };
        if *is_primary == 1 {
            primary_key.push(column.clone());
        } else if last_index == Some(*index)
            && let Some(key) = unique_keys.last_mut()
        {
            key.push(column.clone());
        } else {
            unique_keys.push(vec![column.clone()]);
        }
        last_index = Some(*index);
    }
    Ok(Some(Table { name: name.clone(), kind, columns, primary_key, unique_keys, row_estimate }))
}

fn column(row: &[OwnedCell]) -> Result<Column, ConnectorError> {
    let [
        _,
        _,
        OwnedCell::Text(name),
        OwnedCell::Text(type_name),
        OwnedCell::Integer(max_length),
        OwnedCell::Integer(precision),
        OwnedCell::Integer(scale),
        OwnedCell::Integer(is_nullable),
        collation,
        OwnedCell::Integer(is_encrypted),
        may_select,
    ] = row
    else {
        return Err(unexpected());
    };
    let described = CatalogType {
        name: type_name.clone(),
        max_length: i16::try_from(*max_length).map_err(|_| unexpected())?,
        precision: u8::try_from(*precision).map_err(|_| unexpected())?,
        scale: u8::try_from(*scale).map_err(|_| unexpected())?,
        collation: match collation {
            OwnedCell::Text(collation) => Some(collation.clone()),
            _ => None,
        },
    };
    let unreadable = |reason: &str| ColumnType::Unreadable { reason: reason.to_owned() };
    let column_type = if *is_encrypted == 1 {
        unreadable("it is encrypted, and its key is not the server's")
    } else if *may_select == OwnedCell::Integer(0) {
        unreadable("the login may not read this column")
    } else {
        described.column_type()
    };
    let is_text = column_type.readable() == Some(&arrow::datatypes::DataType::Utf8);
    Ok(Column {
        name: name.clone(),
        source_type: described.words(),
        column_type,
        nullable: *is_nullable == 1,
        // No collation compares as we do: each leaves blanks at the end out.
        collation: if is_text { Collation::Loose } else { Collation::Binary },
    })
}

fn set(answer: &Collected, place: usize) -> Result<&[Vec<OwnedCell>], ConnectorError> {
    answer.sets.get(place).map(Vec::as_slice).ok_or_else(unexpected)
}

fn kind_of(kind: i64) -> TableKind {
    match kind {
        2 => TableKind::View,
        3 => TableKind::ForeignTable,
        _ => TableKind::Table,
    }
}

fn estimate_of(rows: &OwnedCell) -> Option<u64> {
    match rows {
        OwnedCell::Integer(rows) => u64::try_from(*rows).ok(),
        _ => None,
    }
}

fn unexpected() -> ConnectorError {
    ConnectorError::Protocol { reason: "the catalog is not as described".to_owned() }
}
