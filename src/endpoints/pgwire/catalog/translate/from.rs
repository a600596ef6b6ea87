//! Relations of a question: those of the catalogs, of WITH, inner questions, and functions that give rows.

use datafusion::sql::sqlparser::ast;
use pgwire::api::Type;

use super::super::definitions::{Definition, INFORMATION_SCHEMA, PG_CATALOG, relation};
use super::scope::{Columns, Scope, Typed, Visible, element_of, folded, quoted};
use super::{Refusal, Shown, Translator};

/// The only database there is.
const DATABASE: &str = "wayleave";

/// Functions that give rows, which are none here, by their columns.
const WITHOUT_ROWS: [(&str, &[&str]); 4] = [
    ("pg_get_keywords", &["word", "catcode", "barelabel", "catdesc", "baredesc"]),
    ("aclexplode", &["grantor", "grantee", "privilege_type", "is_grantable"]),
    ("pg_options_to_table", &["option_name", "option_value"]),
    ("pg_get_publication_tables", &["relid"]),
];

impl Translator {
    /// A relation and those joined to it; what they have can be seen from then on.
    pub(super) fn joined(&self, tables: &ast::TableWithJoins, scope: &mut Scope<'_>) -> Result<String, Refusal> {
        let mut sql = self.factor(&tables.relation, scope)?;
        for join in &tables.joins {
            let right = self.factor(&join.relation, scope)?;
            use ast::JoinOperator::{CrossJoin, FullOuter, Inner, Join, Left, LeftOuter, Right, RightOuter};
            let (word, constraint) = match &join.join_operator {
                Join(constraint) | Inner(constraint) => ("JOIN", constraint),
                Left(constraint) | LeftOuter(constraint) => ("LEFT JOIN", constraint),
                Right(constraint) | RightOuter(constraint) => ("RIGHT JOIN", constraint),
                FullOuter(constraint) => ("FULL JOIN", constraint),
                CrossJoin(constraint) => ("CROSS JOIN", constraint),
                _ => return Err(Refusal::unsupported("this kind of a join")),
            };
            let constraint = match constraint {
                ast::JoinConstraint::On(expr) => {
                    format!(" ON {}", self.expression(expr, scope)?.into_type(&Type::BOOL).sql)
                }
                ast::JoinConstraint::Using(names) => {
                    let names = names.iter().filter_map(|name| name.0.last()?.as_ident()).map(folded);
                    format!(" USING ({})", super::list(names.map(|name| quoted(&name))))
                }
                ast::JoinConstraint::Natural => return Err(Refusal::unsupported("NATURAL JOIN")),
                ast::JoinConstraint::None => String::new(),
            };
            sql = format!("{sql} {word} {right}{constraint}");
        }
        Ok(sql)
    }

    fn factor(&self, factor: &ast::TableFactor, scope: &mut Scope<'_>) -> Result<String, Refusal> {
        match factor {
            ast::TableFactor::Table { name, alias, args: None, .. } => self.named(name, alias.as_ref(), scope),
            ast::TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.rows_of(&function_name(name)?, &args.args, *with_ordinality, alias.as_ref(), scope)
            }
            ast::TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                self.rows_of(&function_name(name)?, args, *with_ordinality, alias.as_ref(), scope)
            }
            ast::TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let arguments = array_exprs.iter().map(|expr| unnamed(expr.clone()));
                self.rows_of("unnest", &arguments.collect::<Vec<_>>(), *with_ordinality, alias.as_ref(), scope)
            }
            ast::TableFactor::Derived { subquery, alias, .. } => {
                let (sql, columns) = self.query(subquery, scope, Shown::No)?;
                let name = alias.as_ref().map_or_else(|| self.fresh(), |alias| folded(&alias.name));
                let visible = visible(&name, columns.iter().map(|(column, of)| (column.as_str(), of.clone())), alias);
                scope.relations.push(visible);
                Ok(format!("({sql}) AS {}", quoted(&name)))
            }
            ast::TableFactor::NestedJoin { table_with_joins, alias: None } => {
                Ok(format!("({})", self.joined(table_with_joins, scope)?))
            }
            _ => Err(Refusal::unsupported("this kind of a relation")),
        }
    }

    fn named(
        &self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
        scope: &mut Scope<'_>,
    ) -> Result<String, Refusal> {
        let (schema, table) = relation_name(name)?;
        let called = alias.map_or_else(|| table.clone(), |alias| folded(&alias.name));
        if let Some(columns) = scope.table(&table).filter(|_| schema.is_none()) {
            let columns: Columns = columns.clone();
            let visible =
                visible(&called, columns.iter().map(|(column, of)| (column.as_str(), of.clone())), &alias.cloned());
            scope.relations.push(visible);
            return Ok(format!("{} AS {}", quoted(&table), quoted(&called)));
        }
        let Some(definition) = relation(schema.as_deref(), &table) else {
            return Err(Refusal::new("42P01", format!("the catalogs have no relation `{table}`")));
        };
        self.relations.borrow_mut().insert((definition.schema, definition.name));
        let columns = definition.columns.iter().map(|(column, of)| (*column, of.clone()));
        let mut visible = visible(&called, columns, &alias.cloned());
        visible.hidden = hidden(definition);
        visible.schema = Some(definition.schema).filter(|_| alias.is_none());
        scope.relations.push(visible);
        Ok(format!("{}.{} AS {}", quoted(definition.schema), quoted(definition.name), quoted(&called)))
    }

    /// A function that gives rows: the elements of an array.
    fn rows_of(
        &self,
        function: &str,
        arguments: &[ast::FunctionArg],
        with_ordinality: bool,
        alias: Option<&ast::TableAlias>,
        scope: &mut Scope<'_>,
    ) -> Result<String, Refusal> {
        let called = alias.map_or_else(|| function.to_owned(), |alias| folded(&alias.name));
        let at = |part: &str| format!("{}.{part}", quoted(&called));
        let ordinal = || Typed::new(format!("({} + 1)", at("key")), Type::INT8);
        let columns_of_nothing = WITHOUT_ROWS.iter().find(|(known, _)| *known == function);
        let (array, mut columns) = if let Some((_, columns)) = columns_of_nothing {
            let columns = columns.iter().map(|column| ((*column).to_owned(), Typed::new(at("value"), Type::TEXT)));
            ("'[]'".to_owned(), columns.collect::<Vec<_>>())
        } else {
            let arguments = self.arguments(arguments, scope)?;
            let array = self.array_of_rows(function, &arguments)?;
            let columns = match function {
                "_pg_expandarray" => {
                    vec![("x".to_owned(), Typed::new(at("value"), Type::INT4)), ("n".to_owned(), ordinal())]
                }
                "generate_subscripts" => vec![(called.clone(), ordinal())],
                _ => {
                    let element = element_of(&array.of).unwrap_or(Type::TEXT);
                    vec![(called.clone(), Typed::new(at("value"), element))]
                }
            };
            (array.sql, columns)
        };
        if with_ordinality {
            columns.push(("ordinality".to_owned(), ordinal()));
        }
        for (column, alias) in columns.iter_mut().zip(alias.iter().flat_map(|alias| &alias.columns)) {
            column.0 = folded(&alias.name);
        }
        scope.relations.push(Visible { schema: None, name: called.clone(), columns, hidden: Vec::new() });
        Ok(format!("json_each({array}) AS {}", quoted(&called)))
    }

    /// The array whose elements a function gives as rows.
    pub(super) fn array_of_rows(&self, function: &str, arguments: &[Typed]) -> Result<Typed, Refusal> {
        let first = arguments.first().cloned().unwrap_or_else(Typed::null);
        match function {
            "unnest" | "generate_subscripts" | "_pg_expandarray" => Ok(first.into_type(&Type::TEXT_ARRAY)),
            "generate_series" => {
                let numbers = super::list(arguments.iter().map(|bound| bound.clone().into_type(&Type::INT8).sql));
                Ok(Typed::new(format!("wl_series({numbers})"), Type::INT4_ARRAY))
            }
            "regexp_split_to_table" | "string_to_table" => {
                let texts = super::list(arguments.iter().map(|text| text.sql.clone()));
                Ok(Typed::new(format!("string_to_array({texts})"), Type::TEXT_ARRAY))
            }
            // What gives one value is a row of it.
            scalar => {
                let value = self.called(scalar, arguments)?;
                Ok(Typed::new(format!("json_array({})", value.sql), super::scope::array_of(&value.of)))
            }
        }
    }
}

/// What a relation shows under its alias, with the alias's own names of columns.
fn visible<'c>(
    called: &str,
    columns: impl Iterator<Item = (&'c str, Type)>,
    alias: &Option<ast::TableAlias>,
) -> Visible {
    let renamed = alias.as_ref().map(|alias| alias.columns.as_slice()).unwrap_or_default();
    let columns = columns.enumerate().map(|(at, (column, of))| {
        let name = renamed.get(at).map_or_else(|| column.to_owned(), |renamed| folded(&renamed.name));
        (name, Typed::new(format!("{}.{}", quoted(called), quoted(column)), of))
    });
    Visible { schema: None, name: called.to_owned(), columns: columns.collect(), hidden: Vec::new() }
}

/// Columns of PostgreSQL's relations that no `*` shows.
fn hidden(definition: &Definition) -> Vec<(&'static str, Typed)> {
    vec![
        ("tableoid", Typed::new(definition.oid.to_string(), Type::OID)),
        ("xmin", Typed::new("1", Type::XID)),
        ("ctid", Typed::new("'(0,1)'", Type::TEXT)),
    ]
}

/// Schema and name of a relation, without the only database there is.
pub(in super::super) fn relation_name(name: &ast::ObjectName) -> Result<(Option<String>, String), Refusal> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(folded)).collect();
    match parts.as_deref() {
        Some([table]) => Ok((None, table.clone())),
        Some([schema, table]) => Ok((Some(schema.clone()), table.clone())),
        Some([database, schema, table]) if database == DATABASE => Ok((Some(schema.clone()), table.clone())),
        _ => Err(Refusal::new("42P01", format!("the catalogs have no relation `{name}`"))),
    }
}

/// A function's name, which PostgreSQL has in its own schemas only.
pub(in super::super) fn function_name(name: &ast::ObjectName) -> Result<String, Refusal> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(folded)).collect();
    match parts.as_deref() {
        Some([function]) => Ok(function.clone()),
        Some([schema, function]) if matches!(schema.as_str(), PG_CATALOG | INFORMATION_SCHEMA) => Ok(function.clone()),
        _ => Err(Refusal::new("42883", format!("there is no function `{name}`"))),
    }
}

pub(super) fn unnamed(expr: ast::Expr) -> ast::FunctionArg {
    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr))
}
