//! INSERT and SELECT INTO.

use sqlparser::ast::{Insert, Query, SetExpr, TableObject};

use crate::binder::{Place, Role, Scope, not_run};
use crate::catalog::{Column, Table, TableKind};
use crate::error::SqlError;
use crate::response::Stop;
use crate::session::{Session, find_temporary, is_temporary};
use crate::sql_type::{Kind, SqlType};
use crate::token;
use crate::typed::{Form, Typed, clash, is_implicit};

impl Session {
    pub(crate) fn select_into(&mut self, query: &Query) -> Result<(), Stop> {
        let mut plain = query.clone();
        let SetExpr::Select(select) = plain.body.as_mut() else { return Ok(()) };
        let Some(into) = select.into.take() else { return Ok(()) };
        let text = into.name.to_string();
        let text = text.trim_matches(['[', ']', '"']).to_owned();
        if !is_temporary(&text) {
            return Err(not_run("SELECT INTO a table that is not temporary").into());
        }
        if find_temporary(&self.temporary, &text).is_some() {
            return Err(SqlError::new(
                2714,
                16,
                6,
                format!("There is already an object named '{text}' in the database."),
            )
            .into());
        }
        let bound = self.bind(|binder| binder.bind_query(&plain, None, Role::Insert))?;
        let mut columns = Vec::new();
        for (position, column) in bound.columns.iter().enumerate() {
            let name = column.name.clone().ok_or_else(|| {
                SqlError::new(1038, 15, 5, format!("An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name ({}).", position + 1))
            })?;
            columns.push(Column {
                name,
                sql_type: column.sql_type,
                nullable: column.nullable,
                is_identity: false,
                default: None,
            });
        }
        let id = self.shared.catalog_mut().next_id();
        let table = Table {
            id,
            schema: "dbo".to_owned(),
            name: text,
            kind: TableKind::Table,
            columns,
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            sqlite_name: format!("temp.x{id}"),
        };
        let sqlite_name = table.sqlite_name.clone();
        self.add_table(table, true)?;
        let rows = self.write(&format!("INSERT INTO {sqlite_name} {}", bound.sql))?;
        self.counted(token::COMMAND_INSERT, rows);
        Ok(())
    }

    pub(crate) fn insert(&mut self, insert: &Insert) -> Result<(), Stop> {
        if insert.or.is_some()
            || insert.ignore
            || insert.overwrite
            || insert.on.is_some()
            || insert.returning.is_some()
            || insert.replace_into
            || !insert.assignments.is_empty()
        {
            return Err(SqlError::syntax("INSERT").into());
        }
        if insert.output.is_some() {
            return Err(not_run("OUTPUT").into());
        }
        let TableObject::TableName(name) = &insert.table else { return Err(SqlError::syntax("INSERT").into()) };
        let table = self.target(name)?;
        let mut targets = Vec::new();
        for column in &insert.columns {
            let text =
                column.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone()).unwrap_or_default();
            targets.push(
                table
                    .position(&text)
                    .ok_or_else(|| SqlError::new(207, 16, 1, format!("Invalid column name '{text}'.")))?,
            );
        }
        if insert.columns.is_empty() {
            targets = (0..table.columns.len())
                .filter(|position| table.columns.get(*position).is_some_and(|column| !column.is_identity))
                .collect();
        }
        let source = insert.source.as_ref().ok_or_else(|| not_run("INSERT … DEFAULT VALUES"))?;
        let identity =
            table.columns.iter().position(|column| column.is_identity).filter(|position| !targets.contains(position));
        let rows_sql = self.insert_source(source, &table, &targets)?;
        let mut names: Vec<String> = targets.iter().map(|position| format!("c{position}")).collect();
        let mut items: Vec<String> = (0..targets.len()).map(|position| format!("s.c{position}")).collect();
        if let Some(position) = identity {
            names.push(format!("c{position}"));
            items
                .push(format!("(SELECT coalesce(max(c{position}),0) FROM {})+row_number() OVER ()", table.sqlite_name));
        }
        for (position, column) in table.columns.iter().enumerate() {
            if !targets.contains(&position)
                && !column.is_identity
                && let Some(default) = &column.default
            {
                names.push(format!("c{position}"));
                items.push(default.clone());
            }
        }
        let sql = format!(
            "INSERT INTO {} ({}) SELECT {} FROM ({rows_sql}) AS s",
            table.sqlite_name,
            names.join(","),
            items.join(",")
        );
        let rows = self.write(&sql)?;
        self.counted(token::COMMAND_INSERT, rows);
        Ok(())
    }

    /// The rows to insert, converted to the columns' types.
    fn insert_source(&mut self, source: &Query, table: &Table, targets: &[usize]) -> Result<String, Stop> {
        let types: Vec<SqlType> =
            targets.iter().filter_map(|position| table.columns.get(*position)).map(|column| column.sql_type).collect();
        let wrong_count =
            || SqlError::new(213, 16, 1, "Column name or number of supplied values does not match table definition.");
        if let SetExpr::Values(values) = source.body.as_ref() {
            if values.rows.len() > 1000 {
                return Err(SqlError::new(10738, 15, 1, "The number of row value expressions in the INSERT statement exceeds the maximum allowed number of 1000 row values.").into());
            }
            return self.bind(|binder| {
                let mut rows = Vec::new();
                for row in &values.rows {
                    if row.content.len() != types.len() {
                        return Err(wrong_count());
                    }
                    let mut items = Vec::new();
                    for (expr, sql_type) in row.content.iter().zip(&types) {
                        let bound = binder.bind_value(expr, &Scope::default(), Place::ALONE)?;
                        items.push(stored(&bound, *sql_type)?);
                    }
                    rows.push(format!("({})", items.join(",")));
                }
                let items: Vec<String> =
                    (1..=types.len()).map(|position| format!("column{position} AS c{}", position - 1)).collect();
                Ok(format!("SELECT {} FROM (VALUES {})", items.join(","), rows.join(",")))
            });
        }
        let bound = self.bind(|binder| binder.bind_query(source, None, Role::Insert))?;
        if bound.columns.len() != types.len() {
            return Err(wrong_count().into());
        }
        let mut items = Vec::new();
        for (position, (column, sql_type)) in bound.columns.iter().zip(&types).enumerate() {
            let form = if column.is_null_literal { Form::Null } else { Form::Other };
            let typed = Typed::new(format!("q.c{position}"), column.sql_type).with_form(form);
            items.push(format!("{} AS c{position}", stored(&typed, *sql_type)?));
        }
        Ok(format!("SELECT {} FROM ({}) AS q", items.join(","), bound.sql))
    }
}

/// A value as a column stores it: what does not fit is an error, not cut.
fn stored(value: &Typed, target: SqlType) -> Result<String, SqlError> {
    if value.form == Form::Null {
        return Ok("NULL".to_owned());
    }
    if !is_implicit(value.sql_type, target) {
        return Err(clash(value.sql_type, target));
    }
    let longer = match (value.sql_type.length(), target.length()) {
        (_, None) => false,
        (Some(from), Some(to)) => from > to,
        (None, Some(_)) => true,
    };
    let same_kind = value.sql_type.kind() == target.kind() && matches!(target.kind(), Kind::String | Kind::Binary);
    if same_kind && longer {
        return Ok(format!("tds_store({},{},{})", value.sql, value.sql_type.code(), target.code()));
    }
    Ok(value.converted(target, 0))
}
