//! CREATE TABLE, CREATE INDEX and CREATE VIEW: from T-SQL to the catalog and to SQLite's tables.

use sqlparser::ast::{ColumnDef, ColumnOption, CreateIndex, CreateTable, IndexColumn, ObjectName, TableConstraint};

use crate::binder::{Binder, Place, Scope, not_run};
use crate::catalog::{Catalog, Column, ForeignKey, Index, IndexKind, Table, TableKind, invalid_object, same_name};
use crate::collation::Collation;
use crate::error::SqlError;
use crate::sql_type::{Kind, Position, SqlType};

/// Where a name of one to three parts leads: the schema and the name itself.
pub fn schema_and_name(name: &ObjectName) -> Result<(String, String), SqlError> {
    let parts: Vec<String> =
        name.0.iter().filter_map(|part| part.as_ident().map(|ident| ident.value.clone())).collect();
    match parts.as_slice() {
        [table] => Ok(("dbo".to_owned(), table.clone())),
        [schema, table] | [_, schema, table] => {
            Ok((if schema.is_empty() { "dbo".to_owned() } else { schema.clone() }, table.clone()))
        }
        _ => Err(SqlError::syntax(name)),
    }
}

/// The table that the statement declares, under a number and a name in SQLite that the caller chose.
pub fn table(create: &CreateTable, binder: &Binder<'_>, id: i64, sqlite_name: String) -> Result<Table, SqlError> {
    let (schema, name) = schema_and_name(&create.name)?;
    if create.if_not_exists || create.or_replace || create.temporary || create.query.is_some() {
        return Err(SqlError::syntax("TABLE"));
    }
    let mut table = Table {
        id,
        schema,
        name,
        kind: TableKind::Table,
        columns: Vec::new(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        sqlite_name,
    };
    if create.columns.len() > 1024 {
        return Err(SqlError::new(
            1702,
            16,
            1,
            format!(
                "CREATE TABLE failed because column in table '{}' exceeds the maximum of 1024 columns.",
                table.name
            ),
        ));
    }
    for definition in &create.columns {
        let column = column(definition, binder, &mut table)?;
        if table.position(&column.name).is_some() {
            return Err(SqlError::new(
                2705,
                16,
                3,
                format!(
                    "Column names in each table must be unique. Column name '{}' in table '{}' is specified more than once.",
                    column.name, table.name
                ),
            ));
        }
        table.columns.push(column);
    }
    for constraint in &create.constraints {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let columns = index_columns(&table, &key.columns)?;
                let kind = IndexKind::PrimaryKey;
                add_key(&mut table, key.name.as_ref().map(|name| name.value.clone()), kind, columns);
            }
            TableConstraint::Unique(key) => {
                let columns = index_columns(&table, &key.columns)?;
                let kind = IndexKind::UniqueConstraint;
                add_key(&mut table, key.name.as_ref().map(|name| name.value.clone()), kind, columns);
            }
            TableConstraint::ForeignKey(key) => {
                let columns =
                    key.columns.iter().map(|column| position(&table, &column.value)).collect::<Result<Vec<_>, _>>()?;
                let names: Vec<&str> = key.referred_columns.iter().map(|column| column.value.as_str()).collect();
                let name = key.name.as_ref().map(|name| name.value.clone());
                add_foreign_key(&mut table, binder.catalog, name, columns, &key.foreign_table, &names)?;
            }
            TableConstraint::Check(_) => {}
            other => return Err(SqlError::syntax(other)),
        }
    }
    for index in &table.indexes {
        if index.kind == IndexKind::PrimaryKey {
            for (position, _) in &index.columns {
                if let Some(column) = table.columns.get_mut(*position) {
                    column.nullable = false;
                }
            }
        }
    }
    Ok(table)
}

fn column(definition: &ColumnDef, binder: &Binder<'_>, table: &mut Table) -> Result<Column, SqlError> {
    let collation = definition.options.iter().find_map(|option| match &option.option {
        ColumnOption::Collation(name) => Some(name.to_string()),
        _ => None,
    });
    let collation = match collation {
        None => Collation::DEFAULT,
        Some(name) => {
            Collation::named(&name).ok_or_else(|| SqlError::new(448, 16, 2, format!("Invalid collation '{name}'.")))?
        }
    };
    let sql_type = SqlType::from_ast(&definition.data_type, collation, Position::Column)?;
    let mut column =
        Column { name: definition.name.value.clone(), sql_type, nullable: true, is_identity: false, default: None };
    let at = table.columns.len();
    for option in &definition.options {
        let name = option.name.as_ref().map(|name| name.value.clone());
        match &option.option {
            ColumnOption::Null | ColumnOption::Collation(_) | ColumnOption::Check(_) => {}
            ColumnOption::NotNull => column.nullable = false,
            ColumnOption::PrimaryKey(_) => add_key(table, name, IndexKind::PrimaryKey, vec![(at, false)]),
            ColumnOption::Unique(_) => add_key(table, name, IndexKind::UniqueConstraint, vec![(at, false)]),
            ColumnOption::Default(value) => {
                let bound = binder.bind_value(value, &Scope::default(), Place::ALONE)?;
                column.default = Some(bound.converted(sql_type, 0));
            }
            ColumnOption::Identity(_) => {
                column.is_identity = true;
                column.nullable = false;
            }
            ColumnOption::ForeignKey(key) => {
                let names: Vec<&str> = key.referred_columns.iter().map(|column| column.value.as_str()).collect();
                add_foreign_key(table, binder.catalog, name, vec![at], &key.foreign_table, &names)?;
            }
            other => return Err(not_run(other)),
        }
    }
    Ok(column)
}

fn position(table: &Table, name: &str) -> Result<usize, SqlError> {
    table.position(name).ok_or_else(|| {
        SqlError::new(1911, 16, 1, format!("Column name '{name}' does not exist in the target table or view."))
    })
}

fn index_columns(table: &Table, columns: &[IndexColumn]) -> Result<Vec<(usize, bool)>, SqlError> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            sqlparser::ast::Expr::Identifier(name) => {
                let at = position(table, &name.value)?;
                let sql_type = table.columns.get(at).map(|column| column.sql_type);
                if sql_type.is_some_and(|sql_type| !sql_type.is_comparable() || sql_type.is_string() && sql_type.length().is_none()) {
                    return Err(SqlError::new(1919, 16, 1, format!("Column '{}' in table '{}' is of a type that is invalid for use as a key column in an index.", name.value, table.name)));
                }
                Ok((at, column.column.options.asc == Some(false)))
            }
            other => Err(SqlError::syntax(other)),
        })
        .collect()
}

fn add_key(table: &mut Table, name: Option<String>, kind: IndexKind, columns: Vec<(usize, bool)>) {
    let prefix = if kind == IndexKind::PrimaryKey { "PK" } else { "UQ" };
    let name = name.unwrap_or_else(|| {
        format!("{prefix}__{}__{:016X}", table.name, table.id + i64::try_from(table.indexes.len()).unwrap_or(0))
    });
    let clustered = kind == IndexKind::PrimaryKey && !table.indexes.iter().any(|index| index.clustered);
    table.indexes.push(Index { name, kind, clustered, columns, filter: None });
}

fn add_foreign_key(
    table: &mut Table,
    catalog: &Catalog,
    name: Option<String>,
    columns: Vec<usize>,
    referenced: &ObjectName,
    referenced_columns: &[&str],
) -> Result<(), SqlError> {
    let (schema, target) = schema_and_name(referenced)?;
    let itself = same_name(&schema, &table.schema) && same_name(&target, &table.name);
    let found = catalog.find(&schema, &target);
    if found.is_none() && !itself {
        return Err(SqlError::new(1767, 16, 0, format!("Foreign key references invalid table '{target}'.")));
    }
    let referenced_table = found.map_or(table.id, |found| found.id);
    let mut positions = Vec::new();
    {
        let target = found.unwrap_or(table);
        for name in referenced_columns {
            positions.push(position(target, name)?);
        }
        if positions.is_empty()
            && let Some(key) = target.indexes.iter().find(|index| index.kind == IndexKind::PrimaryKey)
        {
            positions.extend(key.columns.iter().map(|(position, _)| *position));
        }
    }
    let name = name.unwrap_or_else(|| {
        format!("FK__{}__{:016X}", table.name, table.id + i64::try_from(table.foreign_keys.len()).unwrap_or(0))
    });
    table.foreign_keys.push(ForeignKey { name, columns, referenced_table, referenced_columns: positions });
    Ok(())
}

/// The statements that make the table in SQLite.
pub fn sqlite_statements(table: &Table, temporary: bool) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(position, column)| {
            let collation = match column.sql_type.collation() {
                Some(collation) => format!(" COLLATE {}", collation.sqlite_name()),
                None => String::new(),
            };
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            format!("c{position} {}{not_null}{collation}", column.sql_type.sqlite_type())
        })
        .collect();
    let mut sql = format!("CREATE TABLE {} ({});", table.sqlite_name, columns.join(","));
    for (position, index) in table.indexes.iter().enumerate() {
        sql.push_str(&sqlite_index(table, index, position, temporary));
    }
    sql
}

pub fn sqlite_index(table: &Table, index: &Index, position: usize, temporary: bool) -> String {
    let unique = if index.kind == IndexKind::Index || index.filter.is_some() { "" } else { "UNIQUE " };
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|(at, descending)| format!("c{at}{}", if *descending { " DESC" } else { "" }))
        .collect();
    let (database, bare) = table.sqlite_name.split_once('.').unwrap_or(("main", &table.sqlite_name));
    let database = if temporary { "temp" } else { database };
    format!("CREATE {unique}INDEX {database}.i_{bare}_{position} ON {bare} ({});", columns.join(","))
}

/// The index that the statement adds to a table.
pub fn index(create: &CreateIndex, table: &Table) -> Result<Index, SqlError> {
    if create.using.is_some() || create.concurrently || create.if_not_exists {
        return Err(SqlError::syntax("INDEX"));
    }
    let name = create.name.as_ref().ok_or_else(|| SqlError::syntax("ON"))?;
    let columns = index_columns(table, &create.columns)?;
    let kind = if create.unique { IndexKind::UniqueIndex } else { IndexKind::Index };
    let filter = create.predicate.as_ref().map(ToString::to_string);
    Ok(Index { name: schema_and_name(name)?.1, kind, clustered: false, columns, filter })
}

/// Values in a row that is longer than SQL Server's page would be refused there; long types live off the row.
pub fn row_size(table: &Table) -> i64 {
    table
        .columns
        .iter()
        .map(|column| match (column.sql_type.kind(), column.sql_type.catalog_sizes().0) {
            (Kind::String | Kind::Binary, _)
                if !matches!(column.sql_type, SqlType::Char(..) | SqlType::NChar(..) | SqlType::Binary(_)) =>
            {
                2
            }
            (_, size) => size.max(2),
        })
        .sum()
}

pub fn check_row_size(table: &Table) -> Result<(), SqlError> {
    let size = row_size(table);
    if size > 8060 {
        return Err(SqlError::new(
            1701,
            16,
            1,
            format!(
                "Creating or altering table '{}' failed because the minimum row size would be {size}, including 7 bytes of internal overhead. This exceeds the maximum allowable table row size of 8060 bytes.",
                table.name
            ),
        ));
    }
    Ok(())
}

/// A table of the catalog, for statements that change it.
pub fn existing<'c>(catalog: &'c Catalog, name: &ObjectName) -> Result<&'c Table, SqlError> {
    let (schema, table) = schema_and_name(name)?;
    catalog.find(&schema, &table).ok_or_else(|| invalid_object(&name.to_string()))
}
