//! From T-SQL to the SQL of SQLite: names are resolved, every expression gets its type, and what SQL Server refuses is
//! refused with its number. What is not listed here is refused too.

mod aggregate;
mod arithmetic;
mod expression;
mod from;
mod function;
mod literal;
mod metadata;
mod order;
mod predicate;
mod query;
mod scope;
mod window;

use std::cell::{Cell, RefCell};

use sqlparser::ast::Ident;

use crate::catalog::{Catalog, Table};
use crate::collation::Collation;
use crate::error::SqlError;
use crate::options::Version;
use crate::reserved;
use crate::sql_type::SqlType;
use crate::wire::ResultColumn;

pub use query::Role;
pub use scope::{Place, Scope};

/// A variable or parameter that statements may name.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub sql_type: SqlType,
}

/// A query that SQLite can run, its parameters numbered as the variables are.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    pub sql: String,
    pub columns: Vec<OutputColumn>,
}

#[derive(Clone, Debug)]
pub struct OutputColumn {
    pub name: Option<String>,
    pub sql_type: SqlType,
    pub nullable: bool,
    pub strength: crate::typed::Strength,
    pub is_null_literal: bool,
    pub table: Vec<String>,
}

impl BoundQuery {
    pub fn result_columns(&self) -> Vec<ResultColumn> {
        self.columns
            .iter()
            .map(|column| ResultColumn {
                name: column.name.clone().unwrap_or_default(),
                sql_type: column.sql_type,
                nullable: column.nullable,
                table: column.table.clone(),
            })
            .collect()
    }
}

/// A common table expression: inlined where it is named.
#[derive(Clone, Debug)]
pub(crate) struct CommonTable {
    pub name: String,
    pub query: BoundQuery,
}

/// One statement's binding.
#[derive(Debug)]
pub struct Binder<'a> {
    pub catalog: &'a Catalog,
    pub temporary: &'a [Table],
    pub variables: &'a [Variable],
    pub database: &'a str,
    pub version: Version,
    aliases: Cell<usize>,
    common_tables: RefCell<Vec<CommonTable>>,
    system_views: RefCell<Vec<&'static str>>,
    touches_user_tables: Cell<bool>,
}

impl<'a> Binder<'a> {
    pub fn new(
        catalog: &'a Catalog,
        temporary: &'a [Table],
        variables: &'a [Variable],
        database: &'a str,
        version: Version,
    ) -> Self {
        Self {
            catalog,
            temporary,
            variables,
            database,
            version,
            aliases: Cell::new(0),
            common_tables: RefCell::new(Vec::new()),
            system_views: RefCell::new(Vec::new()),
            touches_user_tables: Cell::new(false),
        }
    }

    /// The system views that the statement reads: they are filled before it runs.
    pub fn system_views(&self) -> Vec<&'static str> {
        self.system_views.borrow().clone()
    }

    pub fn touches_user_tables(&self) -> bool {
        self.touches_user_tables.get()
    }

    fn next_alias(&self) -> String {
        let number = self.aliases.get();
        self.aliases.set(number + 1);
        format!("t{number}")
    }

    fn collation(&self) -> Collation {
        Collation::DEFAULT
    }
}

/// What the dialect's parser takes and T-SQL does not.
fn not_tsql(what: impl std::fmt::Display) -> SqlError {
    SqlError::syntax(what)
}

/// Valid T-SQL that this server cannot run: an error of its own, so that nobody takes it for a refusal of SQL Server.
pub(crate) fn not_run(what: impl std::fmt::Display) -> SqlError {
    SqlError::new(50001, 16, 1, format!("the test server does not run {what}, though SQL Server would"))
}

/// Names longer than sysname are refused (103), and reserved words without brackets (156).
fn checked_name(ident: &Ident) -> Result<&str, SqlError> {
    if ident.quote_style.is_none() && reserved::is_reserved(&ident.value) {
        let word = &ident.value;
        return Err(SqlError::new(156, 15, 1, format!("Incorrect syntax near the keyword '{word}'.")));
    }
    if ident.value.encode_utf16().count() > 128 {
        return Err(SqlError::new(
            103,
            15,
            4,
            format!(
                "The identifier that starts with '{}' is too long. Maximum length is 128.",
                ident.value.chars().take(128).collect::<String>()
            ),
        ));
    }
    Ok(&ident.value)
}
