//! The catalog views: their columns as SQL Server has them (those that clients ask for), and their rows.
//!
//! A statement that reads one finds a temporary table of SQLite in its place, filled before it runs.

use rusqlite::{Connection, params_from_iter};

use crate::catalog::{Catalog, same_name};
use crate::collation::Collation;
use crate::options::Options;
use crate::sql_type::{Length, SYSNAME, SqlType};
use crate::system_rows;

#[derive(Debug)]
pub struct SystemColumn {
    pub name: &'static str,
    pub sql_type: SqlType,
    pub nullable: bool,
}

#[derive(Debug)]
pub struct SystemView {
    pub schema: &'static str,
    pub name: &'static str,
    pub columns: &'static [SystemColumn],
}

const fn column(name: &'static str, sql_type: SqlType) -> SystemColumn {
    SystemColumn { name, sql_type, nullable: false }
}

const fn optional(name: &'static str, sql_type: SqlType) -> SystemColumn {
    SystemColumn { name, sql_type, nullable: true }
}

const INT: SqlType = SqlType::Int;
const BIT: SqlType = SqlType::Bit;
const BIGINT: SqlType = SqlType::BigInt;
const TINYINT: SqlType = SqlType::TinyInt;
const SMALLINT: SqlType = SqlType::SmallInt;
const DATETIME: SqlType = SqlType::DateTime;
const CHAR2: SqlType = SqlType::Char(2, Collation::DEFAULT);
const DESC: SqlType = SqlType::NVarChar(Length::Of(60), Collation::DEFAULT);
const TEXT: SqlType = SqlType::NVarChar(Length::Max, Collation::DEFAULT);

const OBJECT_COLUMNS: &[SystemColumn] = &[
    column("name", SYSNAME),
    column("object_id", INT),
    optional("principal_id", INT),
    column("schema_id", INT),
    column("parent_object_id", INT),
    optional("type", CHAR2),
    optional("type_desc", DESC),
    column("create_date", DATETIME),
    column("modify_date", DATETIME),
    column("is_ms_shipped", BIT),
];

const VIEWS: &[SystemView] = &[
    SystemView {
        schema: "sys",
        name: "databases",
        columns: &[
            column("name", SYSNAME),
            column("database_id", INT),
            column("create_date", DATETIME),
            column("compatibility_level", TINYINT),
            optional("collation_name", SYSNAME),
            optional("is_read_only", BIT),
            optional("state", TINYINT),
            optional("state_desc", DESC),
            optional("snapshot_isolation_state", TINYINT),
            optional("snapshot_isolation_state_desc", DESC),
            optional("is_read_committed_snapshot_on", BIT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "schemas",
        columns: &[column("name", SYSNAME), column("schema_id", INT), optional("principal_id", INT)],
    },
    SystemView { schema: "sys", name: "objects", columns: OBJECT_COLUMNS },
    SystemView { schema: "sys", name: "all_objects", columns: OBJECT_COLUMNS },
    SystemView {
        schema: "sys",
        name: "tables",
        columns: &[
            column("name", SYSNAME),
            column("object_id", INT),
            optional("principal_id", INT),
            column("schema_id", INT),
            column("parent_object_id", INT),
            optional("type", CHAR2),
            optional("type_desc", DESC),
            column("create_date", DATETIME),
            column("modify_date", DATETIME),
            column("is_ms_shipped", BIT),
            optional("is_external", BIT),
            optional("temporal_type", TINYINT),
            optional("is_memory_optimized", BIT),
        ],
    },
    SystemView { schema: "sys", name: "views", columns: OBJECT_COLUMNS },
    SystemView {
        schema: "sys",
        name: "columns",
        columns: &[
            column("object_id", INT),
            optional("name", SYSNAME),
            column("column_id", INT),
            column("system_type_id", TINYINT),
            column("user_type_id", INT),
            column("max_length", SMALLINT),
            column("precision", TINYINT),
            column("scale", TINYINT),
            optional("collation_name", SYSNAME),
            optional("is_nullable", BIT),
            column("is_identity", BIT),
            column("is_computed", BIT),
            optional("is_hidden", BIT),
            optional("is_masked", BIT),
            column("default_object_id", INT),
            optional("encryption_type", INT),
            optional("graph_type", INT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "types",
        columns: &[
            column("name", SYSNAME),
            column("system_type_id", TINYINT),
            column("user_type_id", INT),
            column("schema_id", INT),
            column("max_length", SMALLINT),
            column("precision", TINYINT),
            column("scale", TINYINT),
            optional("collation_name", SYSNAME),
            optional("is_nullable", BIT),
            column("is_user_defined", BIT),
            column("is_assembly_type", BIT),
            column("is_table_type", BIT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "indexes",
        columns: &[
            column("object_id", INT),
            optional("name", SYSNAME),
            column("index_id", INT),
            column("type", TINYINT),
            optional("type_desc", DESC),
            optional("is_unique", BIT),
            optional("is_primary_key", BIT),
            optional("is_unique_constraint", BIT),
            optional("is_disabled", BIT),
            optional("is_hypothetical", BIT),
            optional("has_filter", BIT),
            optional("filter_definition", TEXT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "index_columns",
        columns: &[
            column("object_id", INT),
            column("index_id", INT),
            column("index_column_id", INT),
            column("column_id", INT),
            column("key_ordinal", TINYINT),
            column("partition_ordinal", TINYINT),
            optional("is_descending_key", BIT),
            optional("is_included_column", BIT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "key_constraints",
        columns: &[
            column("name", SYSNAME),
            column("object_id", INT),
            column("schema_id", INT),
            column("parent_object_id", INT),
            optional("type", CHAR2),
            optional("type_desc", DESC),
            optional("unique_index_id", INT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "foreign_keys",
        columns: &[
            column("name", SYSNAME),
            column("object_id", INT),
            column("schema_id", INT),
            column("parent_object_id", INT),
            optional("referenced_object_id", INT),
            optional("is_disabled", BIT),
            optional("is_not_trusted", BIT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "foreign_key_columns",
        columns: &[
            column("constraint_object_id", INT),
            column("constraint_column_id", INT),
            column("parent_object_id", INT),
            column("parent_column_id", INT),
            column("referenced_object_id", INT),
            column("referenced_column_id", INT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "partitions",
        columns: &[
            column("partition_id", BIGINT),
            column("object_id", INT),
            column("index_id", INT),
            column("partition_number", INT),
            column("hobt_id", BIGINT),
            optional("rows", BIGINT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "dm_db_partition_stats",
        columns: &[
            optional("partition_id", BIGINT),
            column("object_id", INT),
            column("index_id", INT),
            column("partition_number", INT),
            optional("row_count", BIGINT),
            optional("used_page_count", BIGINT),
            optional("reserved_page_count", BIGINT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "dm_exec_sessions",
        columns: &[
            column("session_id", SMALLINT),
            column("login_time", DATETIME),
            optional("host_name", SYSNAME),
            optional("program_name", SYSNAME),
            column("login_name", SYSNAME),
            column("status", SqlType::NVarChar(Length::Of(30), Collation::DEFAULT)),
            column("transaction_isolation_level", SMALLINT),
            column("open_transaction_count", INT),
            column("is_user_process", BIT),
            column("database_id", SMALLINT),
        ],
    },
    SystemView {
        schema: "sys",
        name: "dm_exec_connections",
        columns: &[
            optional("session_id", INT),
            column("connect_time", DATETIME),
            column("net_transport", SqlType::NVarChar(Length::Of(40), Collation::DEFAULT)),
            column("encrypt_option", SqlType::NVarChar(Length::Of(40), Collation::DEFAULT)),
            column("auth_scheme", SqlType::NVarChar(Length::Of(40), Collation::DEFAULT)),
        ],
    },
    SystemView {
        schema: "INFORMATION_SCHEMA",
        name: "TABLES",
        columns: &[
            optional("TABLE_CATALOG", SYSNAME),
            optional("TABLE_SCHEMA", SYSNAME),
            column("TABLE_NAME", SYSNAME),
            optional("TABLE_TYPE", SqlType::VarChar(Length::Of(10), Collation::DEFAULT)),
        ],
    },
    SystemView {
        schema: "INFORMATION_SCHEMA",
        name: "COLUMNS",
        columns: &[
            optional("TABLE_CATALOG", SYSNAME),
            optional("TABLE_SCHEMA", SYSNAME),
            column("TABLE_NAME", SYSNAME),
            optional("COLUMN_NAME", SYSNAME),
            optional("ORDINAL_POSITION", INT),
            optional("IS_NULLABLE", SqlType::VarChar(Length::Of(3), Collation::DEFAULT)),
            optional("DATA_TYPE", SYSNAME),
            optional("CHARACTER_MAXIMUM_LENGTH", INT),
            optional("NUMERIC_PRECISION", TINYINT),
            optional("NUMERIC_SCALE", INT),
            optional("DATETIME_PRECISION", SMALLINT),
            optional("COLLATION_NAME", SYSNAME),
        ],
    },
];

impl SystemView {
    pub fn sqlite_name(&self) -> String {
        format!("\"{}.{}\"", self.schema, self.name)
    }
}

pub fn find(schema: &str, name: &str) -> Option<&'static SystemView> {
    VIEWS.iter().find(|view| same_name(view.schema, schema) && same_name(view.name, name))
}

/// A connection, as dm_exec_sessions shows it.
#[derive(Clone, Debug)]
pub struct SessionEntry {
    pub id: u16,
    pub login: String,
    pub host: String,
    pub application: String,
    pub encrypted: bool,
    pub isolation: i64,
    pub transactions: i64,
}

/// Fills the view's table anew.
pub fn fill(
    connection: &Connection,
    name: &str,
    catalog: &Catalog,
    options: &Options,
    sessions: &[SessionEntry],
) -> rusqlite::Result<()> {
    let Some(view) = VIEWS.iter().find(|view| view.name == name) else { return Ok(()) };
    let table = view.sqlite_name();
    let columns: Vec<String> = view
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("c{at} {}", column.sql_type.sqlite_type()))
        .collect();
    connection.execute_batch(&format!(
        "CREATE TEMP TABLE IF NOT EXISTS {table} ({}); DELETE FROM temp.{table}",
        columns.join(",")
    ))?;
    let marks = vec!["?"; view.columns.len()].join(",");
    let mut insert = connection.prepare_cached(&format!("INSERT INTO temp.{table} VALUES ({marks})"))?;
    for row in system_rows::rows(connection, view.name, catalog, options, sessions)? {
        insert.execute(params_from_iter(row))?;
    }
    Ok(())
}
