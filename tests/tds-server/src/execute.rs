//! The statements of a batch, one after the other.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::types::Value;
use sqlparser::ast::{FromTable, ObjectName, ObjectType, Query, SchemaName, SetExpr, Statement as Parsed, TableFactor};

use crate::batch::{Isolation, Statement};
use crate::binder::{Binder, Place, Role, Scope, Variable, not_run};
use crate::catalog::{Column, Index, Table, TableKind, invalid_object, same_name};
use crate::ddl;
use crate::error::SqlError;
use crate::options::SnapshotIsolation;
use crate::response::Stop;
use crate::rows::{bind_values, sqlite};
use crate::session::{Session, find_temporary, is_temporary};
use crate::sql_type::{Position, SqlType};
use crate::system_views;
use crate::token::{self, EnvironmentChange};

use crate::wire::ResultColumn;

impl Session {
    pub(crate) fn execute(&mut self, statement: &Statement) -> Result<(), Stop> {
        match statement {
            Statement::Set => self.quiet_done(),
            Statement::SetNoCount(on) => {
                self.no_count = *on;
                self.quiet_done();
            }
            Statement::SetFormatOnly(on) => {
                self.format_only = *on;
                self.quiet_done();
            }
            Statement::SetImplicitTransactions(on) => {
                self.implicit_transactions = *on;
                self.quiet_done();
            }
            Statement::SetLockTimeout(milliseconds) => {
                self.with_facts(|facts| facts.lock_timeout = *milliseconds);
                let wait = if *milliseconds < 0 { 10_000 } else { u64::try_from(*milliseconds).unwrap_or(0) };
                let _outcome = self.connection.busy_timeout(std::time::Duration::from_millis(wait));
                self.quiet_done();
            }
            Statement::SetIsolation(isolation) => {
                self.isolation = *isolation;
                self.publish();
                self.quiet_done();
            }
            Statement::BeginTransaction => {
                self.begin()?;
                self.quiet_done();
            }
            Statement::Commit => {
                self.commit()?;
                self.quiet_done();
            }
            Statement::Rollback => {
                self.rollback()?;
                self.quiet_done();
            }
            Statement::Use(name) => {
                let database = self.shared.options.database.clone();
                if !same_name(name, &database) {
                    return Err(SqlError::new(
                        911,
                        16,
                        1,
                        format!("Database '{name}' does not exist. Make sure that the name is entered correctly."),
                    )
                    .into());
                }
                self.response.write_pending(token::STATUS_MORE);
                let change = EnvironmentChange::Database { new: &database, old: &database };
                token::environment_change(&mut self.response.buffer, &change);
                self.quiet_done();
            }
            Statement::Declare(declared) => {
                for (name, data_type, value) in declared {
                    let sql_type =
                        SqlType::from_ast(data_type, crate::collation::Collation::DEFAULT, Position::Column)?;
                    if self.variables.iter().any(|known| known.name.eq_ignore_ascii_case(name)) {
                        return Err(SqlError::new(134, 15, 2, format!("The variable name '{name}' has already been declared. Variable names must be unique within a query batch or stored procedure.")).into());
                    }
                    let value = match value {
                        None => Value::Null,
                        Some(expr) => self.evaluate(expr, Some(sql_type))?.1,
                    };
                    self.variables.push(Variable { name: name.clone(), sql_type });
                    self.values.push(value);
                }
            }
            Statement::Assign(name, expr) => {
                let position = self.variables.iter().position(|known| known.name.eq_ignore_ascii_case(name));
                let position = position.ok_or_else(|| {
                    SqlError::new(137, 15, 1, format!("Must declare the scalar variable \"{name}\"."))
                })?;
                let sql_type = self.variables.get(position).map(|variable| variable.sql_type);
                let value = self.evaluate(expr, sql_type)?.1;
                if let Some(place) = self.values.get_mut(position) {
                    *place = value;
                }
                self.quiet_done();
            }
            Statement::Print(expr) => {
                let target = SqlType::NVarChar(crate::sql_type::Length::Of(4000), crate::collation::Collation::DEFAULT);
                let text = match self.evaluate(expr, Some(target))?.1 {
                    Value::Text(text) => text,
                    _ => String::new(),
                };
                self.response.write_pending(token::STATUS_MORE);
                token::info(&mut self.response.buffer, &SqlError::new(0, 0, 1, text));
            }
            Statement::WaitFor(time) => {
                let signals = Arc::clone(&self.response.signals);
                let deadline = Instant::now() + *time;
                self.response.hand_over()?;
                self.shared.faults.pause(deadline.saturating_duration_since(Instant::now()), || {
                    signals.is_closed() || signals.has_attention()
                });
                self.quiet_done();
            }
            Statement::If { condition, then, otherwise } => {
                let holds = self.holds(condition)?;
                let branch = if holds { then } else { otherwise };
                for statement in branch {
                    self.execute(statement)?;
                }
            }
            Statement::Raise { number, class, state, message } => {
                let target = SqlType::NVarChar(crate::sql_type::Length::Of(2048), crate::collation::Collation::DEFAULT);
                let text = match self.evaluate(message, Some(target))?.1 {
                    Value::Text(text) => text,
                    _ => String::new(),
                };
                let message = SqlError::new(*number, *class, *state, text);
                if *class <= 10 {
                    self.response.write_pending(token::STATUS_MORE);
                    token::info(&mut self.response.buffer, &message);
                    self.quiet_done();
                } else if *number == 50000 {
                    // RAISERROR ends nothing.
                    self.response.error(&message);
                    self.response.done(token::STATUS_ERROR, token::COMMAND_OTHER, 0);
                } else {
                    return Err(message.into());
                }
            }
            Statement::Execute { procedure, arguments } => return self.execute_procedure(procedure, arguments),
            Statement::Parsed(parsed) => return self.execute_parsed(parsed),
        }
        Ok(())
    }

    pub(crate) fn quiet_done(&mut self) {
        self.response.done(0, token::COMMAND_OTHER, 0);
    }

    fn execute_parsed(&mut self, parsed: &Parsed) -> Result<(), Stop> {
        if self.implicit_transactions && self.with_facts(|facts| facts.transactions) == 0 {
            self.begin()?;
        }
        match parsed {
            Parsed::Query(query) => match query.body.as_ref() {
                SetExpr::Select(select) if select.into.is_some() => self.select_into(query),
                _ => self.query(query),
            },
            Parsed::Insert(insert) => self.insert(insert),
            Parsed::CreateTable(create) => {
                let (schema, name) = ddl::schema_and_name(&create.name)?;
                let temporary = is_temporary(&name);
                let table = {
                    let mut catalog = self.shared.catalog_mut();
                    let taken = if temporary {
                        find_temporary(&self.temporary, &name).is_some()
                    } else {
                        catalog.find(&schema, &name).is_some()
                    };
                    if taken {
                        return Err(SqlError::new(
                            2714,
                            16,
                            6,
                            format!("There is already an object named '{name}' in the database."),
                        )
                        .into());
                    }
                    if !temporary && catalog.schema_id(&schema).is_none() {
                        return Err(SqlError::new(2760, 16, 1, format!("The specified schema name \"{schema}\" either does not exist or you do not have permission to use it.")).into());
                    }
                    let id = catalog.next_id();
                    let sqlite_name = if temporary { format!("temp.x{id}") } else { format!("main.o{id}") };
                    let binder = Binder::new(
                        &catalog,
                        &self.temporary,
                        &self.variables,
                        &self.shared.options.database,
                        self.shared.options.version,
                    );
                    ddl::table(create, &binder, id, sqlite_name)?
                };
                ddl::check_row_size(&table)?;
                self.add_table(table, temporary)?;
                self.quiet_done();
                Ok(())
            }
            Parsed::CreateIndex(create) => {
                let (schema, name) = ddl::schema_and_name(&create.table_name)?;
                if is_temporary(&name) {
                    let position = find_temporary(&self.temporary, &name).ok_or_else(|| invalid_object(&name))?;
                    let Some(table) = self.temporary.get_mut(position) else { return Ok(()) };
                    let index = ddl::index(create, table)?;
                    let sql = ddl::sqlite_index(table, &index, table.indexes.len(), true);
                    table.indexes.push(index);
                    self.write(&sql)?;
                } else {
                    let (sql, index) = {
                        let catalog = self.shared.catalog();
                        let table = ddl::existing(&catalog, &create.table_name)?;
                        let index = ddl::index(create, table)?;
                        (ddl::sqlite_index(table, &index, table.indexes.len(), false), index)
                    };
                    self.write(&sql)?;
                    self.note_index(&schema, &name, index);
                }
                self.quiet_done();
                Ok(())
            }
            Parsed::CreateView(view) => {
                let (schema, name) = ddl::schema_and_name(&view.name)?;
                let mut catalog = self.shared.catalog_mut();
                if catalog.find(&schema, &name).is_some() {
                    return Err(SqlError::new(
                        2714,
                        16,
                        6,
                        format!("There is already an object named '{name}' in the database."),
                    )
                    .into());
                }
                let binder =
                    Binder::new(&catalog, &[], &[], &self.shared.options.database, self.shared.options.version);
                let bound = binder.bind_query(&view.query, None, Role::View)?;
                let mut columns = Vec::new();
                for (position, column) in bound.columns.iter().enumerate() {
                    let declared = view.columns.get(position).map(|column| column.name.value.clone());
                    let column_name = declared.or_else(|| column.name.clone()).ok_or_else(|| {
                        SqlError::new(
                            4511,
                            16,
                            1,
                            format!(
                                "Create View or Function failed because no column name was specified for column {}.",
                                position + 1
                            ),
                        )
                    })?;
                    columns.push(Column {
                        name: column_name,
                        sql_type: column.sql_type,
                        nullable: column.nullable,
                        is_identity: false,
                        default: None,
                    });
                }
                let id = catalog.next_id();
                catalog.tables.push(Table {
                    id,
                    schema,
                    name,
                    kind: TableKind::View(view.query.to_string()),
                    columns,
                    indexes: Vec::new(),
                    foreign_keys: Vec::new(),
                    sqlite_name: String::new(),
                });
                drop(catalog);
                self.quiet_done();
                Ok(())
            }
            Parsed::CreateSchema { schema_name, .. } => {
                let SchemaName::Simple(name) = schema_name else {
                    return Err(not_run("AUTHORIZATION").into());
                };
                self.shared.catalog_mut().add_schema(&only_name(name)?);
                self.quiet_done();
                Ok(())
            }
            Parsed::Drop { object_type: ObjectType::Schema, if_exists, names, cascade: false, .. } => {
                let [name] = names.as_slice() else { return Err(SqlError::syntax(",").into()) };
                self.shared.catalog_mut().drop_schema(&only_name(name)?, *if_exists)?;
                self.quiet_done();
                Ok(())
            }
            Parsed::Drop {
                object_type: ObjectType::Table | ObjectType::View,
                if_exists,
                names,
                cascade: false,
                ..
            } => {
                for name in names {
                    self.drop_table(name, *if_exists)?;
                }
                self.quiet_done();
                Ok(())
            }
            Parsed::Delete(delete) => {
                let FromTable::WithFromKeyword(from) = &delete.from else {
                    return Err(not_run("DELETE without FROM").into());
                };
                let [tree] = from.as_slice() else { return Err(not_run("DELETE from several tables").into()) };
                let TableFactor::Table { name, alias: None, .. } = &tree.relation else {
                    return Err(not_run("DELETE with an alias").into());
                };
                let (sql, _) = self.delete_statement(name, delete.selection.as_ref())?;
                let rows = self.write(&sql)?;
                self.counted(token::COMMAND_DELETE, rows);
                Ok(())
            }
            Parsed::Truncate(truncate) => {
                for target in &truncate.table_names {
                    let (sql, _) = self.delete_statement(&target.name, None)?;
                    self.write(&sql)?;
                }
                self.quiet_done();
                Ok(())
            }
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or_default().to_owned();
                Err(not_run(word).into())
            }
        }
    }

    fn note_index(&mut self, schema: &str, name: &str, index: Index) {
        if let Some(table) = self.shared.catalog_mut().find_mut(schema, name) {
            table.indexes.push(index);
        }
    }

    pub(crate) fn add_table(&mut self, table: Table, temporary: bool) -> Result<(), Stop> {
        self.write(&ddl::sqlite_statements(&table, temporary))?;
        if temporary {
            self.temporary.push(table);
        } else {
            self.shared.catalog_mut().tables.push(table);
        }
        Ok(())
    }

    fn drop_table(&mut self, name: &sqlparser::ast::ObjectName, if_exists: bool) -> Result<(), Stop> {
        let (schema, bare) = ddl::schema_and_name(name)?;
        let missing = || {
            SqlError::new(
                3701,
                11,
                5,
                format!("Cannot drop the table '{bare}', because it does not exist or you do not have permission."),
            )
        };
        if is_temporary(&bare) {
            match find_temporary(&self.temporary, &bare) {
                Some(position) => {
                    let table = self.temporary.remove(position);
                    self.write(&format!("DROP TABLE {}", table.sqlite_name))?;
                    Ok(())
                }
                None if if_exists => Ok(()),
                None => Err(missing().into()),
            }
        } else {
            let sqlite_name = self.shared.catalog().find(&schema, &bare).map(|table| table.sqlite_name.clone());
            match sqlite_name {
                Some(sqlite_name) => {
                    if !sqlite_name.is_empty() {
                        self.write(&format!("DROP TABLE {sqlite_name}"))?;
                    }
                    self.shared
                        .catalog_mut()
                        .tables
                        .retain(|table| !(same_name(&table.schema, &schema) && same_name(&table.name, &bare)));
                    Ok(())
                }
                None if if_exists => Ok(()),
                None => Err(missing().into()),
            }
        }
    }

    /// What reads in this statement, bound against the catalog as it is now.
    pub(crate) fn bind<T>(&mut self, bind: impl FnOnce(&Binder<'_>) -> Result<T, SqlError>) -> Result<T, Stop> {
        let catalog = self.shared.catalog();
        let options = &self.shared.options;
        let binder = Binder::new(&catalog, &self.temporary, &self.variables, &options.database, options.version);
        let bound = bind(&binder)?;
        let views = binder.system_views();
        if self.isolation == Isolation::Snapshot
            && binder.touches_user_tables()
            && options.snapshot_isolation == SnapshotIsolation::Off
        {
            return Err(SqlError::new(
                3952,
                16,
                1,
                format!("Snapshot isolation transaction failed accessing database '{}' because snapshot isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.", options.database),
            )
            .into());
        }
        if !views.is_empty() {
            let sessions = self.shared.sessions().clone();
            for view in views {
                system_views::fill(&self.connection, view, &catalog, options, &sessions).map_err(sqlite)?;
            }
        }
        Ok(bound)
    }

    /// The value of an expression, and its type.
    pub(crate) fn evaluate(
        &mut self,
        expr: &sqlparser::ast::Expr,
        target: Option<SqlType>,
    ) -> Result<(SqlType, Value), Stop> {
        let bound = self.bind(|binder| binder.bind_value(expr, &Scope::default(), Place::ALONE))?;
        let sql_type = target.unwrap_or(bound.sql_type);
        let sql = format!("SELECT {}", bound.converted(sql_type, 0));
        Ok((sql_type, self.single(&sql)?))
    }

    fn holds(&mut self, condition: &sqlparser::ast::Expr) -> Result<bool, Stop> {
        let sql = self.bind(|binder| binder.bind_predicate(condition, &Scope::default(), Place::ALONE))?;
        Ok(self.single(&format!("SELECT {sql}"))? == Value::Integer(1))
    }

    fn single(&mut self, sql: &str) -> Result<Value, Stop> {
        let mut statement = self.connection.prepare(sql).map_err(sqlite)?;
        bind_values(&mut statement, &self.values)?;
        let mut rows = statement.raw_query();
        match rows.next().map_err(sqlite)? {
            Some(row) => Ok(row.get(0).map_err(sqlite)?),
            None => Ok(Value::Null),
        }
    }

    fn query(&mut self, query: &Query) -> Result<(), Stop> {
        let bound = self.bind(|binder| binder.bind_query(query, None, Role::Statement))?;
        self.send_rows(&bound)
    }

    pub(crate) fn counted(&mut self, command: u16, rows: u64) {
        self.with_facts(|facts| facts.row_count = i64::try_from(rows).unwrap_or(i64::MAX));
        let status = if self.no_count && command != token::COMMAND_SELECT { 0 } else { token::STATUS_COUNT };
        self.response.done(status, command, rows);
    }

    /// Runs statements that change something, inside the transaction that is open.
    pub(crate) fn write(&mut self, sql: &str) -> Result<u64, Stop> {
        if self.with_facts(|facts| facts.transactions) > 0 && self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN").map_err(sqlite)?;
        }
        if sql.trim_end().ends_with(';') {
            self.connection.execute_batch(sql).map_err(sqlite)?;
            return Ok(0);
        }
        let mut statement = self.connection.prepare(sql).map_err(sqlite)?;
        bind_values(&mut statement, &self.values)?;
        let changed = statement.raw_execute().map_err(sqlite)?;
        Ok(u64::try_from(changed).unwrap_or(0))
    }

    pub(crate) fn target(&self, name: &sqlparser::ast::ObjectName) -> Result<Table, SqlError> {
        let (_, bare) = ddl::schema_and_name(name)?;
        if is_temporary(&bare) {
            let position = find_temporary(&self.temporary, &bare).ok_or_else(|| invalid_object(&bare))?;
            return self.temporary.get(position).cloned().ok_or_else(|| invalid_object(&bare));
        }
        let catalog = self.shared.catalog();
        ddl::existing(&catalog, name).cloned()
    }

    fn delete_statement(
        &mut self,
        name: &sqlparser::ast::ObjectName,
        selection: Option<&sqlparser::ast::Expr>,
    ) -> Result<(String, Table), Stop> {
        let table = self.target(name)?;
        let Some(selection) = selection else { return Ok((format!("DELETE FROM {}", table.sqlite_name), table)) };
        // Found as a query does it, and deleted by row.
        let text = format!("SELECT 1 AS x FROM {name} WHERE {selection}");
        let query = crate::batch::parse_query(&text)?;
        let bound = self.bind(|binder| binder.bind_query(&query, None, Role::Existence))?;
        let sql = bound.sql.replacen("SELECT 1 AS c0 FROM", "SELECT t0.rowid FROM", 1);
        Ok((format!("DELETE FROM {} WHERE rowid IN ({sql})", table.sqlite_name), table))
    }

    /// The columns that a statement would answer with, for `sp_prepare`.
    pub(crate) fn describe(&mut self, text: &str) -> Result<Option<Vec<ResultColumn>>, Stop> {
        let statements = crate::batch::parse(text, self.shared.options.version)?;
        match statements.first() {
            Some(Statement::Parsed(parsed)) => match parsed.as_ref() {
                Parsed::Query(query) => {
                    let bound = self.bind(|binder| binder.bind_query(query, None, Role::Statement))?;
                    Ok(Some(bound.result_columns()))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }
}

/// A name of one part.
fn only_name(name: &ObjectName) -> Result<String, SqlError> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(|ident| ident.value.clone()).ok_or_else(|| SqlError::syntax(name)),
        _ => Err(SqlError::syntax(name)),
    }
}
