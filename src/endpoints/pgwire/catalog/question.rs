//! Whether a statement asks the catalogs, or agencies.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use super::definitions::{INFORMATION_SCHEMA, PG_CATALOG, relation};
use super::functions;
use super::translate::{function_name, relation_name};
use crate::statements::{check_chains, check_relations};

/// Whom a statement asks.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Asked {
    Catalogs(Box<ast::Query>),
    Agencies,
    /// Both at once, which nobody can answer.
    Both,
}

impl Asked {
    /// A statement that cannot be read, or is too long to be, is left to the engine, which says so.
    pub fn by(sql: &str) -> Self {
        Self::read(sql).unwrap_or(Self::Agencies)
    }

    fn read(sql: &str) -> Option<Self> {
        let dialect = PostgreSqlDialect {};
        let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().ok()?;
        check_chains(tokens.iter().map(|token| &token.token)).ok()?;
        let statement = Parser::new(&dialect).with_tokens_with_locations(tokens).parse_statements().ok()?;
        let [statement @ ast::Statement::Query(query)] = statement.as_slice() else { return None };
        check_relations(statement).ok()?;
        let mut names = Names::default();
        let _ = query.visit(&mut names);
        names.relations.retain(|name| !matches!(name, (None, table) if names.common.contains(table)));
        let (own, others): (Vec<_>, Vec<_>) = names.relations.iter().partition(|(schema, table)| match schema {
            Some(schema) => matches!(schema.as_str(), PG_CATALOG | INFORMATION_SCHEMA),
            None => relation(None, table).is_some(),
        });
        Some(match (own.is_empty(), others.is_empty()) {
            (false, false) => Self::Both,
            (false, true) => Self::Catalogs(query.clone()),
            (true, true) if names.is_system => Self::Catalogs(query.clone()),
            (true, _) => Self::Agencies,
        })
    }
}

#[derive(Default)]
struct Names {
    relations: BTreeSet<(Option<String>, String)>,
    /// Tables of WITH.
    common: BTreeSet<String>,
    /// Whether something is called that only catalogs have.
    is_system: bool,
}

impl Names {
    fn function(&mut self, name: &ast::ObjectName) {
        let is_qualified = name.0.len() > 1;
        if let Ok(name) = function_name(name) {
            self.is_system |=
                is_qualified || functions::known(&name).is_some_and(|known| known.is_system && name != "now");
        }
    }
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.common.extend(tables.map(|table| super::translate::folded(&table.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        match factor {
            ast::TableFactor::Table { name, args: None, .. } => {
                let name = relation_name(name).unwrap_or_else(|_| (Some(String::new()), name.to_string()));
                self.relations.insert(name);
            }
            ast::TableFactor::Table { name, args: Some(_), .. } | ast::TableFactor::Function { name, .. } => {
                self.function(name);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::Function(function) => self.function(&function.name),
            ast::Expr::Identifier(name) if name.quote_style.is_none() => {
                let lower = name.value.to_lowercase();
                self.is_system |= matches!(
                    lower.as_str(),
                    "current_user" | "session_user" | "current_role" | "current_catalog" | "current_schema"
                );
            }
            ast::Expr::Cast { data_type, .. } => self.is_system |= is_reg(data_type),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether it is one of the types whose values stand for names of the catalogs.
fn is_reg(data_type: &ast::DataType) -> bool {
    let written = data_type.to_string().to_lowercase();
    written.strip_prefix("pg_catalog.").unwrap_or(&written).starts_with("reg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogs_are_asked_by_their_names() {
        for sql in [
            "SELECT * FROM pg_catalog.pg_class",
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace",
            "SELECT table_name FROM information_schema.tables",
            "SELECT 1 FROM wayleave.information_schema.columns",
            "WITH t AS (SELECT * FROM pg_type) SELECT * FROM t",
            "SELECT version()",
            "select current_user",
            "SELECT pg_catalog.set_config('search_path', '', false)",
            "SELECT 'pg_class'::pg_catalog.regclass::pg_catalog.oid",
        ] {
            assert!(matches!(Asked::by(sql), Asked::Catalogs(_)), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "SELECT now()",
            "SELECT * FROM health.patients",
            "SELECT * FROM clients",
            "SELECT * FROM generate_series(1, 3)",
            "SELECT lower('A')",
            "SELECT nothing that is SQL",
            "SHOW TABLES",
        ] {
            assert_eq!(Asked::by(sql), Asked::Agencies, "{sql}");
        }
        let both = "SELECT * FROM health.patients WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_class)";
        assert_eq!(Asked::by(both), Asked::Both);
    }
}
