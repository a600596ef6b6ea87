//! The names that an expression can see.

use std::cell::RefCell;

use sqlparser::ast::Ident;

use crate::catalog::same_name;
use crate::error::SqlError;
use crate::sql_type::SqlType;
use crate::typed::{Strength, Typed};

#[derive(Clone, Debug)]
pub struct SourceColumn {
    pub name: String,
    /// Name in SQLite, without the source's alias.
    pub sqlite: String,
    pub sql_type: SqlType,
    pub nullable: bool,
    pub strength: Strength,
    pub table: Vec<String>,
}

/// A table, view or derived table of FROM.
#[derive(Clone, Debug)]
pub struct Source {
    /// Alias, or the table's name.
    pub exposed: String,
    /// Schema of a table that has no alias.
    pub schema: Option<String>,
    pub sqlite_alias: String,
    pub columns: Vec<SourceColumn>,
}

/// How a query groups its rows.
#[derive(Clone, Debug, Default)]
pub struct Grouping {
    /// The grouping expressions in SQLite's SQL.
    pub keys: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Scope<'p> {
    pub sources: Vec<Source>,
    pub parent: Option<&'p Scope<'p>>,
    /// Set while the select list, HAVING and ORDER BY of a grouped query are bound.
    pub grouping: RefCell<Option<Grouping>>,
}

/// Where an expression stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub aggregates: Aggregates,
    pub windows: Windows,
    /// The clause, for messages.
    pub clause: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregates {
    Allowed,
    /// WHERE, ON, GROUP BY: error 147 or 144.
    Refused,
    /// Inside an aggregate: error 130.
    Inside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    Allowed,
    Refused,
}

impl Place {
    pub const WHERE: Self = Self { aggregates: Aggregates::Refused, windows: Windows::Refused, clause: "WHERE" };
    pub const ON: Self = Self { aggregates: Aggregates::Refused, windows: Windows::Refused, clause: "ON" };
    pub const GROUP_BY: Self = Self { aggregates: Aggregates::Refused, windows: Windows::Refused, clause: "GROUP BY" };
    pub const HAVING: Self = Self { aggregates: Aggregates::Allowed, windows: Windows::Refused, clause: "HAVING" };
    pub const SELECT: Self = Self { aggregates: Aggregates::Allowed, windows: Windows::Allowed, clause: "SELECT" };
    pub const ORDER_BY: Self = Self { aggregates: Aggregates::Allowed, windows: Windows::Allowed, clause: "ORDER BY" };
    /// Outside of a query: VALUES, SET, IF.
    pub const ALONE: Self = Self { aggregates: Aggregates::Refused, windows: Windows::Refused, clause: "VALUES" };

    pub fn inside_aggregate(self) -> Self {
        Self { aggregates: Aggregates::Inside, windows: Windows::Refused, ..self }
    }

    pub fn inside_window(self) -> Self {
        Self { windows: Windows::Refused, ..self }
    }
}

impl<'p> Scope<'p> {
    pub fn with_parent(parent: Option<&'p Scope<'p>>) -> Self {
        Self { sources: Vec::new(), parent, grouping: RefCell::new(None) }
    }

    /// The column of a name of one to three parts.
    ///
    /// # Errors
    /// 207 (no such column), 209 (two of them), 4104 (no such table here), 8120 (neither grouped nor aggregated).
    pub fn resolve(&self, parts: &[Ident], place: Place) -> Result<Typed, SqlError> {
        let (qualifier, name) = match parts {
            [name] => (None, name),
            [table, name] => (Some((None, table)), name),
            [schema, table, name] => (Some((Some(schema), table)), name),
            [_, _, _, _] => return Err(super::not_run("a column named with its database")),
            _ => return Err(multi_part(parts)),
        };
        for part in parts {
            super::checked_name(part)?;
        }
        let mut found: Option<(&Source, &SourceColumn)> = None;
        let mut table_seen = false;
        for source in &self.sources {
            if let Some((schema, table)) = qualifier {
                let same_schema = match (schema, &source.schema) {
                    (Some(schema), Some(known)) => same_name(&schema.value, known),
                    (Some(_), None) => false,
                    (None, _) => true,
                };
                if !same_schema || !same_name(&table.value, &source.exposed) {
                    continue;
                }
                table_seen = true;
            }
            for column in source.columns.iter().filter(|column| same_name(&column.name, &name.value)) {
                if found.is_some() {
                    return Err(SqlError::new(209, 16, 1, format!("Ambiguous column name '{}'.", name.value)));
                }
                found = Some((source, column));
            }
        }
        match found {
            Some((source, column)) => {
                let sql = format!("{}.{}", source.sqlite_alias, column.sqlite);
                self.check_grouping(&sql, source, column, place)?;
                Ok(Typed { nullable: column.nullable, strength: column.strength, ..Typed::new(sql, column.sql_type) })
            }
            None if table_seen => Err(invalid_column(&name.value)),
            None => match self.parent {
                // An aggregate of the inner query does not shelter a column of the outer one.
                Some(parent) => parent.resolve(parts, Place { aggregates: Aggregates::Refused, ..place }),
                None if qualifier.is_some() => Err(multi_part(parts)),
                None => Err(invalid_column(&name.value)),
            },
        }
    }

    fn check_grouping(&self, sql: &str, source: &Source, column: &SourceColumn, place: Place) -> Result<(), SqlError> {
        if place.aggregates == Aggregates::Inside {
            return Ok(());
        }
        match &*self.grouping.borrow() {
            Some(grouping) if !grouping.keys.iter().any(|key| key == sql) => {
                let (number, list) = match place.clause {
                    "ORDER BY" => (8127, "ORDER BY clause"),
                    "HAVING" => (8121, "HAVING clause"),
                    _ => (8120, "select list"),
                };
                Err(SqlError::new(
                    number,
                    16,
                    1,
                    format!(
                        "Column '{}.{}' is invalid in the {list} because it is not contained in either an aggregate function or the GROUP BY clause.",
                        source.exposed, column.name
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether an expression of this SQL is one of the grouping expressions.
    pub fn is_grouping_key(&self, sql: &str) -> bool {
        self.grouping.borrow().as_ref().is_some_and(|grouping| grouping.keys.iter().any(|key| key == sql))
    }

    pub fn has_grouping_keys(&self) -> bool {
        self.grouping.borrow().as_ref().is_some_and(|grouping| !grouping.keys.is_empty())
    }
}

pub fn invalid_column(name: &str) -> SqlError {
    SqlError::new(207, 16, 1, format!("Invalid column name '{name}'."))
}

fn multi_part(parts: &[Ident]) -> SqlError {
    let name: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    SqlError::new(4104, 16, 1, format!("The multi-part identifier \"{}\" could not be bound.", name.join(".")))
}
