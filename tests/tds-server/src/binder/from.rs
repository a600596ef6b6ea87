//! FROM: tables, views, derived tables, OPENJSON and joins.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    OpenJsonTableColumn, SetExpr, TableAlias, TableFactor, TableWithJoins, Value,
};

use super::literal::quoted;
use super::scope::{Place, Scope, Source, SourceColumn};
use super::{Binder, BoundQuery, OutputColumn, Role, checked_name, not_run, not_tsql};
use crate::catalog::{Table, TableKind, invalid_object, same_name};
use crate::collation::Collation;
use crate::error::SqlError;
use crate::options::Version;
use crate::sql_type::{Kind, Length, Position, SqlType};
use crate::system_views;
use crate::typed::{Strength, Typed};

/// FROM in SQLite's SQL, and what it exposes.
#[derive(Debug)]
pub(super) struct BoundFrom {
    pub sql: String,
    pub sources: Vec<Source>,
}

const HINTS: &[&str] = &[
    "NOLOCK",
    "READUNCOMMITTED",
    "READCOMMITTED",
    "READCOMMITTEDLOCK",
    "READPAST",
    "REPEATABLEREAD",
    "SERIALIZABLE",
    "SNAPSHOT",
    "HOLDLOCK",
    "ROWLOCK",
    "PAGLOCK",
    "TABLOCK",
    "TABLOCKX",
    "UPDLOCK",
    "XLOCK",
    "FORCESEEK",
    "FORCESCAN",
    "NOWAIT",
];

impl Binder<'_> {
    pub(super) fn bind_from(&self, from: &[TableWithJoins], outer: Option<&Scope<'_>>) -> Result<BoundFrom, SqlError> {
        let mut parts = Vec::new();
        let mut sources = Vec::new();
        for tree in from {
            let bound = self.bind_joins(tree, outer)?;
            parts.push(if tree.joins.is_empty() { bound.sql } else { format!("({})", bound.sql) });
            sources.extend(bound.sources);
        }
        for (position, source) in sources.iter().enumerate() {
            let twice = sources.iter().skip(position + 1).any(|other: &Source| {
                same_name(&other.exposed, &source.exposed)
                    && match (&other.schema, &source.schema) {
                        (Some(a), Some(b)) => same_name(a, b),
                        _ => true,
                    }
            });
            if twice {
                return Err(SqlError::new(
                    1013,
                    16,
                    1,
                    format!(
                        "The objects \"{0}\" and \"{0}\" in the FROM clause have the same exposed names. Use correlation names to distinguish them.",
                        source.exposed
                    ),
                ));
            }
        }
        Ok(BoundFrom { sql: parts.join(","), sources })
    }

    fn bind_joins(&self, tree: &TableWithJoins, outer: Option<&Scope<'_>>) -> Result<BoundFrom, SqlError> {
        let mut bound = self.bind_factor(&tree.relation, outer)?;
        for Join { relation, global, join_operator } in &tree.joins {
            if *global {
                return Err(not_tsql("GLOBAL"));
            }
            let mut right = self.bind_factor(relation, outer)?;
            let (word, constraint) = match join_operator {
                JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => ("JOIN", Some(constraint)),
                JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => ("LEFT JOIN", Some(constraint)),
                JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                    ("RIGHT JOIN", Some(constraint))
                }
                JoinOperator::FullOuter(constraint) => ("FULL JOIN", Some(constraint)),
                JoinOperator::CrossJoin(JoinConstraint::None) => ("CROSS JOIN", None),
                JoinOperator::CrossJoin(_) => return Err(not_tsql("ON")),
                JoinOperator::CrossApply | JoinOperator::OuterApply => return Err(not_run("APPLY")),
                _ => return Err(not_tsql("JOIN")),
            };
            if matches!(word, "RIGHT JOIN" | "FULL JOIN") {
                bound.sources.iter_mut().for_each(make_nullable);
            }
            if matches!(word, "LEFT JOIN" | "FULL JOIN") {
                right.sources.iter_mut().for_each(make_nullable);
            }
            bound.sources.extend(right.sources);
            let on = match constraint {
                None => String::new(),
                Some(JoinConstraint::On(condition)) => {
                    let mut scope = Scope::with_parent(outer);
                    scope.sources = bound.sources.clone();
                    format!(" ON {}", self.bind_predicate(condition, &scope, Place::ON)?)
                }
                Some(JoinConstraint::Using(_)) => return Err(not_tsql("USING")),
                Some(JoinConstraint::Natural) => return Err(not_tsql("NATURAL")),
                Some(JoinConstraint::None) => return Err(not_tsql("JOIN")),
            };
            bound.sql = format!("{} {word} {}{on}", bound.sql, right.sql);
        }
        Ok(bound)
    }

    fn bind_factor(&self, factor: &TableFactor, outer: Option<&Scope<'_>>) -> Result<BoundFrom, SqlError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if partitions.is_empty() && index_hints.is_empty() => {
                for hint in with_hints {
                    let word = hint.to_string().to_ascii_uppercase();
                    if !HINTS.contains(&word.as_str()) && !word.starts_with("INDEX") {
                        return Err(SqlError::new(
                            321,
                            15,
                            1,
                            format!("\"{hint}\" is not a recognized table hints option."),
                        ));
                    }
                }
                self.bind_table(name, alias.as_ref())
            }
            TableFactor::Table { name, alias, args: Some(args), with_hints, version: None, sample: None, .. }
                if with_hints.is_empty() && args.settings.is_none() =>
            {
                self.bind_table_function(name, &args.args, alias.as_ref(), outer)
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let Some(alias) = alias else { return Err(not_tsql(")")) };
                let bound = match subquery.body.as_ref() {
                    SetExpr::Values(values) if subquery.order_by.is_none() && subquery.limit_clause.is_none() => {
                        if alias.columns.is_empty() {
                            return Err(SqlError::new(
                                8155,
                                16,
                                2,
                                format!("No column name was specified for column 1 of '{}'.", alias.name.value),
                            ));
                        }
                        self.bind_values(values, outer)?
                    }
                    _ => self.bind_query(subquery, outer, Role::Derived)?,
                };
                self.bind_derived(bound, alias)
            }
            TableFactor::OpenJsonTable { json_expr, json_path, columns, alias } => {
                let path = json_path.as_ref().map(|path| &path.value);
                self.bind_openjson(json_expr, path, columns, alias.as_ref(), outer)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                let bound = self.bind_joins(table_with_joins, outer)?;
                Ok(BoundFrom { sql: format!("({})", bound.sql), ..bound })
            }
            TableFactor::NestedJoin { .. } => Err(not_tsql("AS")),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => Err(not_run("PIVOT")),
            other => Err(not_tsql(other)),
        }
    }

    fn bind_table(&self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<BoundFrom, SqlError> {
        let parts = name_parts(name)?;
        if let Some(alias) = alias
            && (!alias.columns.is_empty() || alias.at.is_some())
        {
            return Err(not_tsql("("));
        }
        let exposed = match (alias, parts.last()) {
            (Some(alias), _) => checked_name(&alias.name)?.to_owned(),
            (None, Some(last)) => last.value.clone(),
            (None, None) => return Err(not_tsql(name)),
        };
        if let [single] = parts.as_slice() {
            let found =
                self.common_tables.borrow().iter().rev().find(|table| same_name(&table.name, &single.value)).cloned();
            if let Some(common) = found {
                return Ok(self.source_of(common.query, exposed, None));
            }
        }
        let (schema, table) = match parts.as_slice() {
            [table] => ("dbo", table),
            [schema, table] => (schema.value.as_str(), table),
            [database, schema, table] => {
                if !same_name(&database.value, self.database) && !same_name(&database.value, "tempdb") {
                    return Err(invalid_object(&name.to_string()));
                }
                (if schema.value.is_empty() { "dbo" } else { schema.value.as_str() }, table)
            }
            _ => {
                return Err(SqlError::new(
                    7202,
                    11,
                    2,
                    "Could not find server in sys.servers. Verify that the correct server name was specified.",
                ));
            }
        };
        let exposed_schema = if alias.is_none() { Some(schema.to_owned()) } else { None };
        if table.value.starts_with('#') {
            let found = self.temporary.iter().rev().find(|known| same_name(&known.name, &table.value));
            let found = found.ok_or_else(|| invalid_object(&table.value))?;
            return Ok(self.stored_source(found, exposed, exposed_schema));
        }
        if same_name(schema, "sys") || same_name(schema, "INFORMATION_SCHEMA") {
            let view = system_views::find(schema, &table.value).ok_or_else(|| invalid_object(&name.to_string()))?;
            self.system_views.borrow_mut().push(view.name);
            let alias = self.next_alias();
            let columns = view
                .columns
                .iter()
                .enumerate()
                .map(|(position, column)| SourceColumn {
                    name: column.name.to_owned(),
                    sqlite: format!("c{position}"),
                    sql_type: column.sql_type,
                    nullable: column.nullable,
                    strength: Strength::Implicit,
                    table: Vec::new(),
                })
                .collect();
            let sql = format!("temp.{} AS {alias}", view.sqlite_name());
            return Ok(BoundFrom {
                sql,
                sources: vec![Source { exposed, schema: exposed_schema, sqlite_alias: alias, columns }],
            });
        }
        let found = self.catalog.find(schema, &table.value).ok_or_else(|| invalid_object(&plain(name)))?;
        self.touches_user_tables.set(true);
        match &found.kind {
            TableKind::Table => Ok(self.stored_source(found, exposed, exposed_schema)),
            TableKind::View(text) => {
                let query = crate::batch::parse_query(text)?;
                let bound = self.bind_query(&query, None, Role::View)?;
                let mut from = self.source_of(bound, exposed, exposed_schema);
                for source in &mut from.sources {
                    for (column, declared) in source.columns.iter_mut().zip(&found.columns) {
                        column.name.clone_from(&declared.name);
                    }
                }
                Ok(from)
            }
        }
    }

    fn stored_source(&self, table: &Table, exposed: String, schema: Option<String>) -> BoundFrom {
        let alias = self.next_alias();
        let columns = table
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| SourceColumn {
                name: column.name.clone(),
                sqlite: format!("c{position}"),
                sql_type: column.sql_type,
                nullable: column.nullable,
                strength: Strength::Implicit,
                table: vec![table.schema.clone(), table.name.clone()],
            })
            .collect();
        let sql = format!("{} AS {alias}", table.sqlite_name);
        BoundFrom { sql, sources: vec![Source { exposed, schema, sqlite_alias: alias, columns }] }
    }

    fn source_of(&self, query: BoundQuery, exposed: String, schema: Option<String>) -> BoundFrom {
        let alias = self.next_alias();
        let columns = query
            .columns
            .into_iter()
            .enumerate()
            .map(|(position, column)| SourceColumn {
                name: column.name.unwrap_or_default(),
                sqlite: format!("c{position}"),
                sql_type: column.sql_type,
                nullable: column.nullable,
                strength: if column.strength == Strength::CoercibleDefault {
                    Strength::Implicit
                } else {
                    column.strength
                },
                table: column.table,
            })
            .collect();
        let sql = format!("({}) AS {alias}", query.sql);
        BoundFrom { sql, sources: vec![Source { exposed, schema, sqlite_alias: alias, columns }] }
    }

    fn bind_derived(&self, bound: BoundQuery, alias: &TableAlias) -> Result<BoundFrom, SqlError> {
        let names: Vec<&Ident> = alias.columns.iter().map(|column| &column.name).collect();
        if alias.at.is_some() || alias.columns.iter().any(|column| column.data_type.is_some()) {
            return Err(not_tsql("("));
        }
        let bound = renamed(bound, &names, checked_name(&alias.name)?)?;
        Ok(self.source_of(bound, alias.name.value.clone(), None))
    }

    pub(super) fn bind_values(
        &self,
        values: &sqlparser::ast::Values,
        outer: Option<&Scope<'_>>,
    ) -> Result<BoundQuery, SqlError> {
        if values.explicit_row || values.value_keyword {
            return Err(not_tsql("ROW"));
        }
        let empty = Scope::with_parent(outer);
        let mut rows: Vec<Vec<Typed>> = Vec::new();
        for row in &values.rows {
            let bound = row
                .content
                .iter()
                .map(|expr| self.bind_value(expr, &empty, Place::ALONE))
                .collect::<Result<Vec<_>, _>>()?;
            if rows.first().is_some_and(|first| first.len() != bound.len()) {
                return Err(SqlError::new(
                    10709,
                    16,
                    1,
                    "The number of columns for each row in a table value constructor must be the same.",
                ));
            }
            rows.push(bound);
        }
        let width = rows.first().map_or(0, Vec::len);
        let mut columns = Vec::new();
        for position in 0..width {
            let column: Vec<Typed> = rows.iter().filter_map(|row| row.get(position)).cloned().collect();
            let (sql_type, strength) = self.unified(&column, "VALUES")?;
            let is_null_literal = column.iter().all(|value| value.form == crate::typed::Form::Null);
            let nullable = column.iter().any(|value| value.nullable);
            columns.push(OutputColumn { name: None, sql_type, nullable, strength, is_null_literal, table: Vec::new() });
        }
        let mut selects = Vec::new();
        for row in &rows {
            let items: Vec<String> = row
                .iter()
                .zip(&columns)
                .enumerate()
                .map(|(at, (value, column))| format!("{} AS c{at}", value.converted(column.sql_type, 0)))
                .collect();
            selects.push(format!("SELECT {}", items.join(",")));
        }
        Ok(BoundQuery { sql: selects.join(" UNION ALL "), columns })
    }

    /// `GENERATE_SERIES` and `STRING_SPLIT`.
    fn bind_table_function(
        &self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        outer: Option<&Scope<'_>>,
    ) -> Result<BoundFrom, SqlError> {
        let scope = Scope::with_parent(outer);
        let mut bound = Vec::new();
        for arg in args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { return Err(not_tsql(arg)) };
            bound.push(self.bind_value(expr, &scope, Place::ALONE)?);
        }
        let (sql, sql_type) = match (name.to_string().to_ascii_uppercase().as_str(), bound.as_slice()) {
            ("GENERATE_SERIES", [start, stop, rest @ ..]) if self.version >= Version::Sql2022 && rest.len() <= 1 => {
                let integers = bound.iter().all(|value| value.sql_type.kind() == Kind::Integer);
                if !integers || start.sql_type != stop.sql_type {
                    return Err(not_run("GENERATE_SERIES of other numbers than integers of one type"));
                }
                let step = rest.first().map_or("1", |step| step.sql.as_str());
                let (first, last) = (&start.sql, &stop.sql);
                let goes_on = |value: &str, step: &str| {
                    format!("CASE WHEN {step}>0 THEN {value}<={last} ELSE {value}>={last} END")
                };
                let sql = format!(
                    "WITH RECURSIVE s(c0) AS (SELECT {first} WHERE {} UNION ALL SELECT c0+{step} FROM s WHERE {}) SELECT c0 FROM s",
                    goes_on(first, step),
                    goes_on(&format!("(c0+{step})"), step)
                );
                (sql, start.sql_type)
            }
            ("STRING_SPLIT", [text, separator]) if text.sql_type.is_string() && separator.sql_type.is_string() => {
                let inner = self.next_alias();
                let sql = format!(
                    "SELECT {inner}.value AS c0 FROM json_each(tds_split({},{})) AS {inner}",
                    text.sql, separator.sql
                );
                (sql, text.sql_type)
            }
            _ => return Err(invalid_object(&plain(name))),
        };
        let column = OutputColumn {
            name: Some("value".to_owned()),
            sql_type,
            nullable: true,
            strength: Strength::CoercibleDefault,
            is_null_literal: false,
            table: Vec::new(),
        };
        let query = BoundQuery { sql, columns: vec![column] };
        match alias {
            Some(alias) => self.bind_derived(query, alias),
            None => Ok(self.source_of(query, plain(name), None)),
        }
    }

    fn bind_openjson(
        &self,
        json: &Expr,
        path: Option<&Value>,
        columns: &[OpenJsonTableColumn],
        alias: Option<&TableAlias>,
        outer: Option<&Scope<'_>>,
    ) -> Result<BoundFrom, SqlError> {
        let scope = Scope::with_parent(outer);
        let document = self.bind_value(json, &scope, Place::ALONE)?;
        if !document.sql_type.is_string() {
            return Err(SqlError::new(
                8116,
                16,
                1,
                format!(
                    "Argument data type {} is invalid for argument 1 of OpenJson function.",
                    document.sql_type.name()
                ),
            ));
        }
        let root = match path {
            None => "'$'".to_owned(),
            Some(Value::SingleQuotedString(path) | Value::NationalStringLiteral(path)) => {
                quoted(path.trim_start_matches("lax "))
            }
            Some(other) => return Err(not_tsql(other)),
        };
        let inner = self.next_alias();
        let mut items = Vec::new();
        let mut outputs = Vec::new();
        let output = |name: &str, sql_type: SqlType| OutputColumn {
            name: Some(name.to_owned()),
            sql_type,
            nullable: true,
            strength: Strength::CoercibleDefault,
            is_null_literal: false,
            table: Vec::new(),
        };
        let binary = Collation::named("Latin1_General_BIN2").unwrap_or(Collation::DEFAULT);
        if columns.is_empty() {
            items.push(format!("CAST({inner}.key AS TEXT)"));
            items.push(format!("tds_json_plain({inner}.value,{inner}.type)"));
            items.push(format!(
                "CASE {inner}.type WHEN 'null' THEN 0 WHEN 'text' THEN 1 WHEN 'integer' THEN 2 WHEN 'real' THEN 2 WHEN 'true' THEN 3 WHEN 'false' THEN 3 WHEN 'array' THEN 4 ELSE 5 END"
            ));
            outputs.push(output("key", SqlType::NVarChar(Length::Of(4000), binary)));
            outputs.push(output("value", SqlType::NVarChar(Length::Max, Collation::DEFAULT)));
            outputs.push(output("type", SqlType::Int));
        }
        for column in columns {
            let sql_type = SqlType::from_ast(&column.r#type, self.collation(), Position::Column)?;
            let path =
                column.path.clone().unwrap_or_else(|| format!("$.\"{}\"", column.name.value.replace('"', "\\\"")));
            let text = format!("tds_json({inner}.value,{inner}.type,{},{})", quoted(&path), u8::from(column.as_json));
            let read = Typed::new(text, SqlType::NVarChar(Length::Max, Collation::DEFAULT));
            items.push(match sql_type {
                SqlType::VarBinary(_) | SqlType::Binary(_) => format!("tds_base64({})", read.sql),
                _ => read.converted(sql_type, 0),
            });
            outputs.push(output(&column.name.value, sql_type));
        }
        let items: Vec<String> =
            items.iter().enumerate().map(|(position, item)| format!("{item} AS c{position}")).collect();
        let sql =
            format!("SELECT {} FROM json_each(tds_json_checked({}),{root}) AS {inner}", items.join(","), document.sql);
        let bound = BoundQuery { sql, columns: outputs };
        match alias {
            Some(alias) => self.bind_derived(bound, alias),
            None => Ok(self.source_of(bound, "OPENJSON".to_owned(), None)),
        }
    }
}

fn make_nullable(source: &mut Source) {
    for column in &mut source.columns {
        column.nullable = true;
    }
}

/// The parts of a name, none of them a function.
pub(crate) fn name_parts(name: &ObjectName) -> Result<Vec<&Ident>, SqlError> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => {
                checked_name(ident)?;
                Ok(ident)
            }
            ObjectNamePart::Function(_) => Err(not_tsql(name)),
        })
        .collect()
}

fn plain(name: &ObjectName) -> String {
    let parts: Vec<String> =
        name.0.iter().filter_map(|part| part.as_ident().map(|ident| ident.value.clone())).collect();
    parts.join(".")
}

/// The columns under the names of an alias; all of them must have one, and no two the same.
pub(super) fn renamed(mut bound: BoundQuery, names: &[&Ident], table: &str) -> Result<BoundQuery, SqlError> {
    if !names.is_empty() {
        if names.len() != bound.columns.len() {
            let (number, relation) = if names.len() > bound.columns.len() { (8158, "more") } else { (8159, "fewer") };
            return Err(SqlError::new(
                number,
                16,
                1,
                format!("'{table}' has {relation} columns than were specified in the column list."),
            ));
        }
        for (column, name) in bound.columns.iter_mut().zip(names) {
            column.name = Some(checked_name(name)?.to_owned());
        }
    }
    for (position, column) in bound.columns.iter().enumerate() {
        let Some(name) = &column.name else {
            return Err(SqlError::new(
                8155,
                16,
                2,
                format!("No column name was specified for column {} of '{table}'.", position + 1),
            ));
        };
        let twice = bound
            .columns
            .iter()
            .skip(position + 1)
            .any(|other| other.name.as_ref().is_some_and(|other| same_name(other, name)));
        if twice {
            return Err(SqlError::new(
                8156,
                16,
                1,
                format!("The column '{name}' was specified multiple times for '{table}'."),
            ));
        }
    }
    Ok(bound)
}
