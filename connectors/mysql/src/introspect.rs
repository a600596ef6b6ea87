//! Reading a server's catalog: tables and views, columns, keys, sizes.
//!
//! In: a leased connection. Out: what the login may read, system schemas left out. Only `information_schema` is asked; no
//! table of the agency's is ever opened here.

use arrow::datatypes::DataType;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};
use wayleave_connector_api::{
    Collation, Column, ColumnType, ConnectorError, Table, TableKind, TableName, TableSummary,
};

use crate::dialect::catalog_name;
use crate::pool::Lease;
use crate::types::{self, Described};

const SYSTEM_SCHEMAS: &str = "('information_schema', 'performance_schema', 'mysql', 'sys')";

const TABLE_TYPES: &str = "('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED', 'SEQUENCE')";

/// Every table and view, in one question.
pub(crate) async fn tables(lease: &mut Lease) -> Result<Vec<TableSummary>, ConnectorError> {
    let patience = lease.patience();
    let sql = format!(
        "SELECT table_schema, table_name, table_type, table_rows FROM information_schema.tables \
         WHERE table_schema NOT IN {SYSTEM_SCHEMAS} AND table_type IN {TABLE_TYPES} ORDER BY 1, 2"
    );
    let rows: Vec<Row> = patience.answer(lease.driver()?.query(sql)).await?;
    rows.iter()
        .filter(|row| text(row, 2).as_deref() != Some("SEQUENCE"))
        .map(|row| {
            Ok(TableSummary {
                name: TableName::new(required(row, 0)?, required(row, 1)?),
                kind: kind_of(&required(row, 2)?),
                row_estimate: number(row, 3),
            })
        })
        .collect()
}

/// One table, or `None` where the login sees none of that name: columns and keys in one round trip.
pub(crate) async fn table(lease: &mut Lease, name: &TableName) -> Result<Option<Table>, ConnectorError> {
    // No identifier has a character beyond the first plane, with which the catalog's own cannot be compared.
    let beyond = |name: &str| name.chars().any(|character| character > '\u{ffff}' || character == '\0');
    if beyond(&name.schema) || beyond(&name.table) {
        return Ok(None);
    }
    let patience = lease.patience();
    let product = lease.server()?.product;
    let named = |alias: &str| {
        let schema = catalog_name(&format!("{alias}.table_schema"), &name.schema);
        format!("{schema} AND {}", catalog_name(&format!("{alias}.table_name"), &name.table))
    };
    let sql = format!(
        "SELECT c.column_name, c.column_type, c.data_type, c.is_nullable, c.collation_name, c.numeric_precision, \
         c.numeric_scale, c.privileges, t.table_type, t.table_rows \
         FROM information_schema.tables AS t LEFT JOIN information_schema.columns AS c \
         ON c.table_schema = t.table_schema AND c.table_name = t.table_name AND {columns} \
         WHERE {tables} AND t.table_schema NOT IN {SYSTEM_SCHEMAS} ORDER BY c.ordinal_position; \
         SELECT s.index_name, s.column_name FROM information_schema.statistics AS s \
         WHERE {keys} AND s.non_unique = 0 ORDER BY s.index_name, s.seq_in_index",
        columns = named("c"),
        tables = named("t"),
        keys = named("s"),
    );
    let driver = lease.driver()?;
    let (described, keyed): (Vec<Row>, Vec<Row>) = patience
        .answer(async {
            let mut results = driver.query_iter(sql).await?;
            let described = results.collect().await?;
            let keyed = results.collect().await?;
            results.drop_result().await?;
            Ok((described, keyed))
        })
        .await?;
    let Some(first) = described.first() else { return Ok(None) };
    let (kind, row_estimate) = (kind_of(&required(first, 8)?), number(first, 9));
    let columns: Vec<Column> = described
        .iter()
        .filter(|row| text(row, 0).is_some())
        .map(|row| column(row, product.collation()))
        .collect::<Result<_, _>>()?;
    let mut primary_key = Vec::new();
    let mut unique_keys = Vec::new();
    for (index, key) in keys(&keyed, &columns)? {
        if index == "PRIMARY" {
            primary_key = key;
        } else {
            unique_keys.push(key);
        }
    }
    Ok(Some(Table { name: name.clone(), kind, columns, primary_key, unique_keys, row_estimate }))
}

fn column(row: &Row, session_collation: &str) -> Result<Column, ConnectorError> {
    let own_collation = text(row, 4);
    let described = Described {
        data_type: required(row, 2)?.to_ascii_lowercase(),
        column_type: required(row, 1)?,
        precision: number(row, 5),
        scale: number(row, 6),
        collation: own_collation.clone(),
    };
    let may_read = required(row, 7)?.split(',').any(|privilege| privilege.trim().eq_ignore_ascii_case("select"));
    let column_type = if may_read {
        types::column_type(&described)
    } else {
        ColumnType::Unreadable { reason: "the login may not read this column".to_owned() }
    };
    let collation = match &own_collation {
        Some(own) if types::is_plain_text(&described.data_type) && own == session_collation => Collation::Binary,
        _ if column_type.readable() == Some(&DataType::Utf8) => Collation::Loose,
        _ => Collation::Binary,
    };
    let nullable = required(row, 3)? != "NO" || reads_as_null(&column_type);
    Ok(Column { name: required(row, 0)?, source_type: described.source_type(), column_type, nullable, collation })
}

/// Whether a column may hold what is read as NULL: dates that are none.
fn reads_as_null(column_type: &ColumnType) -> bool {
    matches!(column_type.readable(), Some(DataType::Date32 | DataType::Timestamp(..)))
}

/// The columns of each unique index, in order. One over an expression is none of columns, and where a column's values are
/// read as other ones (a number that is no boolean is unknown, as is a date that is none), what is unique there may not be
/// here.
fn keys(rows: &[Row], columns: &[Column]) -> Result<Vec<(String, Vec<String>)>, ConnectorError> {
    let mut keys: Vec<(String, Option<Vec<String>>)> = Vec::new();
    for row in rows {
        let index = required(row, 0)?;
        if keys.last().is_none_or(|(last, _)| *last != index) {
            keys.push((index, Some(Vec::new())));
        }
        let faithful = text(row, 1).filter(|name| {
            columns.iter().any(|column| {
                let is_boolean = column.column_type.readable() == Some(&DataType::Boolean);
                column.name == *name && !is_boolean && !reads_as_null(&column.column_type)
            })
        });
        if let Some((_, key)) = keys.last_mut() {
            match faithful {
                Some(name) => key.iter_mut().for_each(|key| key.push(name.clone())),
                None => *key = None,
            }
        }
    }
    Ok(keys.into_iter().filter_map(|(index, key)| Some((index, key?))).collect())
}

fn kind_of(table_type: &str) -> TableKind {
    match table_type {
        "VIEW" => TableKind::View,
        _ => TableKind::Table,
    }
}

fn text(row: &Row, index: usize) -> Option<String> {
    match row.as_ref(index)? {
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(row: &Row, index: usize) -> Option<u64> {
    text(row, index)?.parse().ok()
}

fn required(row: &Row, index: usize) -> Result<String, ConnectorError> {
    text(row, index).ok_or_else(|| ConnectorError::Protocol {
        reason: format!("the catalog's column {} is not as described", index + 1),
    })
}
