//! Reading a server's catalog: tables and views, columns, keys, sizes.
//!
//! In: a leased connection. Out: what the login may read, system schemas and temporary tables left out. Only PostgreSQL's
//! own catalog is asked; no table of the agency's is ever opened here.

use tokio_postgres::Row;
use wayleave_connector_api::{
    Collation, Column, ColumnType, ConnectorError, Table, TableKind, TableName, TableSummary,
};

use crate::pool::Lease;
use crate::types::{self, CatalogCollation, CatalogType, Described};

/// What is listed: tables, partitioned tables, views, materialized views and foreign tables of which the login may read
/// at least one column.
const VISIBLE: &str = "c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' \
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')";

/// -1 (before version 14 also 0 rows in 0 pages) stands for "never counted"; a partitioned table has its leaves' rows.
const ROW_ESTIMATE: &str = "CASE \
    WHEN c.relkind = 'p' THEN (SELECT CASE WHEN min(leaf.reltuples) >= 0 THEN sum(leaf.reltuples)::float8 END \
        FROM pg_partition_tree(c.oid) AS tree JOIN pg_class AS leaf ON leaf.oid = tree.relid WHERE tree.isleaf) \
    WHEN c.relkind = 'v' OR c.reltuples < 0 \
        OR (c.reltuples = 0 AND c.relpages = 0 AND current_setting('server_version_num')::int4 < 140000) THEN NULL \
    ELSE c.reltuples::float8 END";

/// Domains are followed down to the type they rest on. `datlocprovider` is read through JSON, since it is younger than
/// the oldest server we read.
const COLUMNS: &str = "SELECT c.oid, c.relkind::text, {row_estimate}, a.attname::text, \
        format_type(a.atttypid, a.atttypmod), a.attnotnull, has_column_privilege(c.oid, a.attnum, 'SELECT'), \
        t.typtype::text, tn.nspname::text, t.typname::text, base.modifier, \
        e.typtype::text, en.nspname::text, e.typname::text, \
        l.collprovider::text, l.collcollate::text, l.collisdeterministic, \
        coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), d.datcollate::text \
    FROM pg_class AS c \
    JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    JOIN pg_database AS d ON d.datname = current_database() \
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    LEFT JOIN LATERAL (WITH RECURSIVE step (type, modifier, depth) AS ( \
            SELECT a.atttypid, a.atttypmod, 0 \
            UNION ALL \
            SELECT s.typbasetype, CASE WHEN s.typtypmod >= 0 THEN s.typtypmod ELSE step.modifier END, step.depth + 1 \
            FROM step JOIN pg_type AS s ON s.oid = step.type WHERE s.typtype = 'd') \
        SELECT type, modifier FROM step ORDER BY depth DESC LIMIT 1) AS base ON TRUE \
    LEFT JOIN pg_type AS t ON t.oid = base.type \
    LEFT JOIN pg_namespace AS tn ON tn.oid = t.typnamespace \
    LEFT JOIN pg_type AS e ON e.typarray = t.oid \
    LEFT JOIN pg_namespace AS en ON en.oid = e.typnamespace \
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND {visible} \
    ORDER BY a.attnum";

/// Unique indexes of plain columns over all rows.
const KEYS: &str = "SELECT i.indisprimary, ARRAY(SELECT a.attname::text \
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
        WHERE k.place <= i.indnkeyatts ORDER BY k.place) \
    FROM pg_index AS i \
    JOIN pg_class AS c ON c.oid = i.indrelid \
    JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND {visible} \
        AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
    ORDER BY i.indexrelid";

/// Every table and view, in one round of questions.
pub(crate) async fn tables(lease: &Lease) -> Result<Vec<TableSummary>, ConnectorError> {
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, {ROW_ESTIMATE} \
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {VISIBLE} ORDER BY 1, 2"
    );
    let rows = lease.answer(lease.client()?.query(&sql, &[])).await?;
    rows.iter()
        .map(|row| {
            Ok(TableSummary {
                name: TableName::new(value::<String>(row, 0)?, value::<String>(row, 1)?),
                kind: kind_of(&value::<String>(row, 2)?),
                row_estimate: estimate_of(value(row, 3)?),
            })
        })
        .collect()
}

/// One table, or `None` where the login sees none of that name.
pub(crate) async fn table(lease: &Lease, name: &TableName) -> Result<Option<Table>, ConnectorError> {
    let columns_sql = COLUMNS.replace("{row_estimate}", ROW_ESTIMATE).replace("{visible}", VISIBLE);
    let keys_sql = KEYS.replace("{visible}", VISIBLE);
    let client = lease.client()?;
    let named: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&name.schema, &name.table];
    // Both are on their way before the first is answered.
    let both = async { futures::try_join!(client.query(&columns_sql, &named), client.query(&keys_sql, &named)) };
    let (columns, keys) = lease.answer(both).await?;
    let Some(first) = columns.first() else { return Ok(None) };
    let (kind, row_estimate) = (kind_of(&value::<String>(first, 1)?), estimate_of(value(first, 2)?));
    let columns = columns.iter().map(column).filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
    let mut primary_key = Vec::new();
    let mut unique_keys = Vec::new();
    for row in &keys {
        let key: Vec<String> = value(row, 1)?;
        if value(row, 0)? {
            primary_key = key;
        } else {
            unique_keys.push(key);
        }
    }
    Ok(Some(Table { name: name.clone(), kind, columns, primary_key, unique_keys, row_estimate }))
}

/// A column, or `None` for the one line of a table that has none.
fn column(row: &Row) -> Result<Option<Column>, ConnectorError> {
    let Some(name) = value::<Option<String>>(row, 3)? else { return Ok(None) };
    let own =
        CatalogType { schema: value(row, 8)?, name: value(row, 9)?, kind: value(row, 7)?, modifier: value(row, 10)? };
    let described = match value::<Option<String>>(row, 11)? {
        Some(kind) => Described::Array(CatalogType {
            schema: value(row, 12)?,
            name: value(row, 13)?,
            kind,
            modifier: own.modifier,
        }),
        None => Described::Scalar(own),
    };
    let collation = match value::<Option<String>>(row, 14)? {
        Some(provider) => Some(CatalogCollation {
            provider,
            // ICU's and the default's locale stand elsewhere, and do not matter.
            locale: value::<Option<String>>(row, 15)?.unwrap_or_default(),
            deterministic: value(row, 16)?,
        }),
        None => None,
    };
    let database = CatalogCollation { provider: value(row, 17)?, locale: value(row, 18)?, deterministic: true };
    let readable: bool = value(row, 6)?;
    let (column_type, collation) = if readable {
        (types::column_type(&described), types::collation(&described, collation.as_ref(), &database))
    } else {
        let reason = "the login may not read this column".to_owned();
        (ColumnType::Unreadable { reason }, Collation::Binary)
    };
    let not_null: bool = value(row, 5)?;
    Ok(Some(Column { name, source_type: value(row, 4)?, column_type, nullable: !not_null, collation }))
}

fn kind_of(relkind: &str) -> TableKind {
    match relkind {
        "v" => TableKind::View,
        "m" => TableKind::MaterializedView,
        "f" => TableKind::ForeignTable,
        _ => TableKind::Table,
    }
}

/// The server keeps its estimate as a float; no table has more rows than an integer of 64 bits.
fn estimate_of(rows: Option<f64>) -> Option<u64> {
    let rows = rows.filter(|rows| rows.is_finite() && *rows >= 0.0)?;
    format!("{:.0}", rows.round()).parse().ok()
}

fn value<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, ConnectorError> {
    row.try_get(index).map_err(|_| ConnectorError::Protocol {
        reason: format!("the catalog's column {} is not as described", index + 1),
    })
}
