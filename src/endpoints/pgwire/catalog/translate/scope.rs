//! What names mean at one place of a question, and expressions with their types.

use std::cell::RefCell;

use datafusion::sql::sqlparser::ast;
use pgwire::api::Type;

use super::super::definitions::{TYPES, TypeLine};

/// Names of columns with their types.
pub(in super::super) type Columns = Vec<(String, Type)>;

/// An expression as SQLite understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub sql: String,
    pub of: Type,
    /// A text that was written without a type: it takes the type of what it meets.
    pub literal: Option<String>,
}

/// A relation that a place can see.
#[derive(Clone, Debug)]
pub(super) struct Visible {
    pub schema: Option<&'static str>,
    pub name: String,
    /// Columns by name; what only PostgreSQL's own relations have beside them is in `hidden`.
    pub columns: Vec<(String, Typed)>,
    pub hidden: Vec<(&'static str, Typed)>,
}

/// Elements of an array as rows, which a projection asks for.
#[derive(Clone, Debug)]
pub(super) struct Elements {
    pub of: String,
    pub name: String,
    pub sql: String,
}

/// What one place can see, from inside to outside.
pub(super) struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    pub relations: Vec<Visible>,
    pub tables: Vec<(String, Columns)>,
    pub sets: RefCell<Vec<Elements>>,
}

impl Typed {
    pub fn new(sql: impl Into<String>, of: Type) -> Self {
        Self { sql: sql.into(), of, literal: None }
    }

    pub fn text(text: &str) -> Self {
        Self { sql: text_literal(text), of: Type::UNKNOWN, literal: Some(text.to_owned()) }
    }

    pub fn null() -> Self {
        Self::new("NULL", Type::UNKNOWN)
    }

    /// The value as one of this type, where it was written without one.
    pub fn into_type(self, of: &Type) -> Self {
        let Some(literal) = &self.literal else {
            return self;
        };
        let trimmed = literal.trim();
        if let Some(element) = element_of(of) {
            let numbers = i32::from(is_number(&element));
            return Self::new(format!("wl_array({}, {numbers})", self.sql), of.clone());
        }
        match *of {
            Type::BOOL => {
                let truth = matches!(trimmed.to_ascii_lowercase().as_str(), "t" | "true" | "1" | "on" | "y" | "yes");
                Self::new(if truth { "1" } else { "0" }, Type::BOOL)
            }
            Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE | Type::REGROLE => {
                Self::new(format!("wl_{}({})", of.name(), self.sql), of.clone())
            }
            _ if is_number(of) && trimmed.parse::<f64>().is_ok() => Self::new(trimmed, of.clone()),
            _ => self,
        }
    }

    /// The value as a client is shown it: names for the numbers that stand for them.
    pub fn shown(self) -> Self {
        match self.of {
            Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE | Type::REGROLE => {
                Self::new(format!("wl_{}_name({})", self.of.name(), self.sql), Type::TEXT)
            }
            _ => self,
        }
    }
}

impl<'a> Scope<'a> {
    pub fn outermost() -> Self {
        Self { outer: None, relations: Vec::new(), tables: Vec::new(), sets: RefCell::default() }
    }

    /// A place inside this one.
    pub fn inside(&'a self) -> Scope<'a> {
        Scope { outer: Some(self), ..Scope::outermost() }
    }

    /// The columns of a table of WITH.
    pub fn table(&self, name: &str) -> Option<&Columns> {
        let found = self.tables.iter().rev().find(|(known, _)| known == name).map(|(_, columns)| columns);
        found.or_else(|| self.outer?.table(name))
    }

    pub fn column(&self, table: Option<&str>, name: &str) -> Option<Typed> {
        let seen = || self.relations.iter().filter(|relation| table.is_none_or(|table| relation.name == table));
        let own = seen().find_map(|relation| relation.columns.iter().find(|(column, _)| column == name));
        if let Some((_, typed)) = own {
            return Some(typed.clone());
        }
        let hidden = seen().find_map(|relation| relation.hidden.iter().find(|(column, _)| *column == name));
        hidden.map(|(_, typed)| typed.clone()).or_else(|| self.outer?.column(table, name))
    }

    /// Every column of a relation, or of all.
    pub fn all(&self, table: Option<&str>) -> Vec<(String, Typed)> {
        let seen = self.relations.iter().filter(|relation| table.is_none_or(|table| relation.name == table));
        let found: Vec<_> = seen.flat_map(|relation| relation.columns.clone()).collect();
        match (found.is_empty(), self.outer, table) {
            (true, Some(outer), Some(_)) => outer.all(table),
            _ => found,
        }
    }
}

/// A name, in lower case where it is not quoted.
pub(in super::super) fn folded(name: &ast::Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}

pub(super) fn is_number(of: &Type) -> bool {
    matches!(
        *of,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC | Type::XID
    ) || is_reg(of)
}

/// Whether it is a number that stands for a name.
pub(super) fn is_reg(of: &Type) -> bool {
    matches!(*of, Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE | Type::REGROLE)
}

/// The type of an array's elements.
pub(super) fn element_of(of: &Type) -> Option<Type> {
    if *of == Type::ANYARRAY {
        return Some(Type::TEXT);
    }
    let line = type_line(of).filter(|line| line.get(5) == Some(&"A"))?;
    Type::from_oid(line.get(9)?.parse().ok()?)
}

pub(in super::super) fn is_array(of: &Type) -> bool {
    element_of(of).is_some()
}

/// The type of arrays of these.
pub(super) fn array_of(element: &Type) -> Type {
    let array = type_line(element).and_then(|line| Type::from_oid(line.get(10)?.parse().ok()?));
    array.unwrap_or(Type::TEXT_ARRAY)
}

fn type_line(of: &Type) -> Option<&'static TypeLine> {
    let oid = of.oid().to_string();
    TYPES.iter().find(|line| line.first() == Some(&oid.as_str()))
}
