//! The statements of a batch, one after the other.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::types::{Value, ValueRef};
use sqlparser::ast::{FromTable, Insert, ObjectType, Query, SetExpr, Statement as Parsed, TableFactor, TableObject};

use crate::batch::{Isolation, Statement};
use crate::binder::{Binder, BoundQuery, Place, Role, Scope, Variable, not_run};
use crate::catalog::{Column, Index, Table, TableKind, invalid_object, same_name};
use crate::ddl;
use crate::error::SqlError;
use crate::faults::Fault;
use crate::options::SnapshotIsolation;
use crate::response::{Output, Response, Signals, Stop};
use crate::session::{Session, find_temporary, is_temporary, next_transaction};
use crate::sql_type::{Position, SqlType};
use crate::system_views;
use crate::token::{self, EnvironmentChange};
use crate::typed::{Form, Typed};
use crate::wire::{self, ResultColumn};

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

    fn quiet_done(&mut self) {
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
                self.shared.catalog_mut().add_schema(schema_name.to_string().trim_matches(['[', ']', '"']));
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

    fn add_table(&mut self, table: Table, temporary: bool) -> Result<(), Stop> {
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
    fn bind<T>(&mut self, bind: impl FnOnce(&Binder<'_>) -> Result<T, SqlError>) -> Result<T, Stop> {
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

    /// Runs a bound query and sends its columns and rows.
    fn send_rows(&mut self, bound: &BoundQuery) -> Result<(), Stop> {
        let columns = bound.result_columns();
        let mut statement = self.connection.prepare(&bound.sql).map_err(sqlite)?;
        bind_values(&mut statement, &self.values)?;
        self.response.write_pending(token::STATUS_MORE);
        wire::column_metadata(&mut self.response.buffer, &columns);
        if self.format_only {
            self.response.done(token::STATUS_COUNT, token::COMMAND_SELECT, 0);
            return Ok(());
        }
        let faults = &self.shared.faults;
        let mut sender =
            RowSender { response: &mut self.response, columns: &columns, fault: self.fault.as_ref(), sent: 0 };
        let mut rows = statement.raw_query();
        let outcome = loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let mut values = Vec::with_capacity(columns.len());
                    for position in 0..columns.len() {
                        values.push(row.get_ref(position).map_err(sqlite)?);
                    }
                    if let Err(stop) = sender.send(&values, faults) {
                        break Err(stop);
                    }
                }
                Ok(None) => break sender.end(faults),
                Err(error) => break Err(sqlite(error)),
            }
        };
        let sent = sender.sent;
        drop(rows);
        drop(statement);
        outcome?;
        self.counted(token::COMMAND_SELECT, sent);
        Ok(())
    }

    fn counted(&mut self, command: u16, rows: u64) {
        self.with_facts(|facts| facts.row_count = i64::try_from(rows).unwrap_or(i64::MAX));
        let status = if self.no_count && command != token::COMMAND_SELECT { 0 } else { token::STATUS_COUNT };
        self.response.done(status, command, rows);
    }

    /// Runs statements that change something, inside the transaction that is open.
    fn write(&mut self, sql: &str) -> Result<u64, Stop> {
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

    fn target(&self, name: &sqlparser::ast::ObjectName) -> Result<Table, SqlError> {
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

    fn select_into(&mut self, query: &Query) -> Result<(), Stop> {
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

    fn insert(&mut self, insert: &Insert) -> Result<(), Stop> {
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

    pub(crate) fn begin(&mut self) -> Result<(), Stop> {
        let count = self.with_facts(|facts| facts.transactions);
        if count == 0 {
            self.temporary_before = self.temporary.clone();
            self.transaction = next_transaction(&self.shared);
            if matches!(self.isolation, Isolation::Snapshot | Isolation::Serializable | Isolation::RepeatableRead) {
                self.connection.execute_batch("BEGIN").map_err(sqlite)?;
            }
            self.response.write_pending(token::STATUS_MORE);
            token::environment_change(
                &mut self.response.buffer,
                &EnvironmentChange::BeginTransaction(self.transaction),
            );
        }
        self.set_transactions(count + 1);
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), Stop> {
        let count = self.with_facts(|facts| facts.transactions);
        if count == 0 {
            return Err(SqlError::new(
                3902,
                16,
                1,
                "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            )
            .into());
        }
        if count == 1 {
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("COMMIT").map_err(sqlite)?;
            }
            self.response.write_pending(token::STATUS_MORE);
            token::environment_change(
                &mut self.response.buffer,
                &EnvironmentChange::CommitTransaction(self.transaction),
            );
        }
        self.set_transactions(count - 1);
        Ok(())
    }

    pub(crate) fn rollback(&mut self) -> Result<(), Stop> {
        if self.with_facts(|facts| facts.transactions) == 0 {
            return Err(SqlError::new(
                3903,
                16,
                1,
                "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            )
            .into());
        }
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").map_err(sqlite)?;
            self.temporary = std::mem::take(&mut self.temporary_before);
        }
        self.response.write_pending(token::STATUS_MORE);
        token::environment_change(&mut self.response.buffer, &EnvironmentChange::RollbackTransaction(self.transaction));
        self.set_transactions(0);
        Ok(())
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

/// A value as a column stores it: what does not fit is an error, not cut.
fn stored(value: &Typed, target: SqlType) -> Result<String, SqlError> {
    if value.form == Form::Null {
        return Ok("NULL".to_owned());
    }
    if !crate::typed::is_implicit(value.sql_type, target) {
        return Err(crate::typed::clash(value.sql_type, target));
    }
    let longer = match (value.sql_type.length(), target.length()) {
        (_, None) => false,
        (Some(from), Some(to)) => from > to,
        (None, Some(_)) => true,
    };
    let same_kind = value.sql_type.kind() == target.kind()
        && matches!(target.kind(), crate::sql_type::Kind::String | crate::sql_type::Kind::Binary);
    if same_kind && longer {
        return Ok(format!("tds_store({},{},{})", value.sql, value.sql_type.code(), target.code()));
    }
    Ok(value.converted(target, 0))
}

fn sqlite(error: rusqlite::Error) -> Stop {
    Stop::Error(SqlError::from_sqlite(&error))
}

fn bind_values(statement: &mut rusqlite::Statement<'_>, values: &[Value]) -> Result<(), Stop> {
    for position in 1..=statement.parameter_count() {
        if let Some(value) = values.get(position - 1) {
            statement.raw_bind_parameter(position, value).map_err(sqlite)?;
        }
    }
    Ok(())
}

/// Sends rows, and lets happen to them what was ordered.
struct RowSender<'a> {
    response: &'a mut Response,
    columns: &'a [ResultColumn],
    fault: Option<&'a Fault>,
    sent: u64,
}

impl RowSender<'_> {
    fn send(&mut self, values: &[ValueRef<'_>], faults: &crate::faults::Faults) -> Result<(), Stop> {
        self.befall(Some(values), faults)?;
        if self.response.signals.is_closed() {
            return Err(Stop::Closed);
        }
        if self.response.signals.has_attention() {
            return Err(Stop::Attention);
        }
        wire::row(&mut self.response.buffer, self.columns, values);
        self.sent += 1;
        self.response.flush_if_full()
    }

    fn end(&mut self, faults: &crate::faults::Faults) -> Result<(), Stop> {
        self.befall(None, faults)
    }

    fn befall(&mut self, values: Option<&[ValueRef<'_>]>, faults: &crate::faults::Faults) -> Result<(), Stop> {
        let signals: Arc<Signals> = Arc::clone(&self.response.signals);
        match self.fault {
            Some(Fault::DisconnectAfterRows(rows)) if *rows == self.sent => {
                if let Some(values) = values {
                    let start = self.response.buffer.len();
                    wire::row(&mut self.response.buffer, self.columns, values);
                    let half = start + (self.response.buffer.len() - start) / 2;
                    self.response.buffer.truncate(half);
                }
                self.response.hand_over()?;
                self.response.send(Output::Flush)?;
                self.response.send(Output::Disconnect)?;
                Err(Stop::Closed)
            }
            Some(Fault::StallAfterRows(rows)) if *rows == self.sent => {
                self.response.hand_over()?;
                self.response.send(Output::Flush)?;
                faults.stall(|| signals.is_closed() || signals.has_attention());
                Ok(())
            }
            Some(Fault::StallDeafAfterRows(rows)) if *rows == self.sent => {
                self.response.hand_over()?;
                self.response.send(Output::Flush)?;
                faults.stall(|| signals.is_closed());
                Ok(())
            }
            Some(Fault::ErrorAfterRows(rows)) if *rows == self.sent => {
                Err(SqlError::new(50000, 16, 1, "The statement was ordered to fail.").into())
            }
            _ => Ok(()),
        }
    }
}
