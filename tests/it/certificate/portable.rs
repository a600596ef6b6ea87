//! Which queries a source may be asked as they are: those whose SQL means there what it means here.
//!
//! In: a query and the released tables. Out: the agency whose tables it is about, and the same query over the tables of
//! released rows that the source keeps for this. What is not known to mean the same is not asked.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, OrderByExpr, OrderByKind, Query, Select, SetExpr,
    SetOperator, SetQuantifier, Value, VisitMut, VisitorMut, WindowType,
};

use super::case::Connector;
use super::release::Released;
use super::stage::source_name;

/// Functions that both kinds of source know as we do, over the types that are let through.
const FUNCTIONS: [&str; 14] = [
    "count",
    "sum",
    "min",
    "max",
    "coalesce",
    "nullif",
    "row_number",
    "rank",
    "dense_rank",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "length",
];

/// What PostgreSQL knows besides.
const POSTGRES_FUNCTIONS: [&str; 9] =
    ["avg", "stddev", "concat", "btrim", "strpos", "abs", "replace", "character_length", "ntile"];

pub struct Portable {
    pub agency: String,
    pub sql: String,
}

pub fn portable(query: &Query, released: &[Released]) -> Option<Portable> {
    let mut query = query.clone();
    let mut tables = Tables { released, used: Vec::new(), foreign: false };
    let _ = VisitMut::visit(&mut query, &mut tables);
    let first = tables.used.first().copied()?;
    let agency = &released[first].agency;
    if tables.foreign || tables.used.iter().any(|position| released[*position].agency != *agency) {
        return None;
    }
    let columns: Vec<&(String, DataType)> =
        tables.used.iter().flat_map(|position| &released[*position].columns).collect();
    let mut meaning =
        Meaning { connector: released[first].connector, columns, same: true, decimals: false, divides: false };
    let _ = VisitMut::visit(&mut query, &mut meaning);
    let same = meaning.same && !(meaning.decimals && meaning.divides);
    same.then(|| Portable { agency: agency.clone(), sql: query.to_string() })
}

/// Writes the source's own tables where the query names ours.
struct Tables<'a> {
    released: &'a [Released],
    used: Vec<usize>,
    foreign: bool,
}

impl VisitorMut for Tables<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        let parts: Vec<&str> =
            relation.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.as_str()).collect();
        let [agency, schema, table] = parts.as_slice() else {
            // A name of one part is a common table expression's.
            self.foreign |= parts.len() != 1;
            return ControlFlow::Continue(());
        };
        let found = self
            .released
            .iter()
            .position(|known| known.agency == *agency && known.schema == *schema && known.table == *table);
        match found {
            Some(position) => {
                self.used.push(position);
                relation.0 = vec![ObjectNamePart::Identifier(Ident::new(source_name(position)))];
            }
            None => self.foreign = true,
        }
        ControlFlow::Continue(())
    }
}

struct Meaning<'a> {
    connector: Connector,
    columns: Vec<&'a (String, DataType)>,
    same: bool,
    decimals: bool,
    divides: bool,
}

impl Meaning<'_> {
    fn column(&mut self, name: &str) {
        let types: Vec<&DataType> =
            self.columns.iter().filter(|(known, _)| known == name).map(|(_, data_type)| data_type).collect();
        for data_type in types {
            let is_simple = matches!(data_type, DataType::Boolean | DataType::Utf8) || data_type.is_integer();
            self.decimals |= matches!(data_type, DataType::Decimal128(..));
            self.same &= is_simple || (self.connector == Connector::Postgres && !data_type.is_floating());
        }
    }

    fn order(&mut self, keys: &[OrderByExpr]) {
        // Where NULL stands unless it is said differs in SQLite.
        self.same &= self.connector == Connector::Postgres || keys.iter().all(|key| key.options.nulls_first.is_some());
    }
}

impl VisitorMut for Meaning<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(order) = &query.order_by
            && let OrderByKind::Expressions(keys) = &order.kind
        {
            self.order(keys);
        }
        if let SetExpr::SetOperation { left, op, set_quantifier, right } = query.body.as_ref() {
            let is_sqlite = self.connector == Connector::Sqlite;
            let nested = |side: &SetExpr| !matches!(side, SetExpr::Select(_));
            self.same &= !(is_sqlite && (nested(left) || nested(right)));
            // SQLite has no EXCEPT ALL and no INTERSECT ALL.
            self.same &= !is_sqlite || *op == SetOperator::Union || *set_quantifier != SetQuantifier::All;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.same &= select.qualify.is_none();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let is_sqlite = self.connector == Connector::Sqlite;
        match expr {
            Expr::Identifier(name) => self.column(&name.value.clone()),
            Expr::CompoundIdentifier(parts) => self.column(&parts[parts.len() - 1].value.clone()),
            Expr::Value(value) => {
                self.same &= match &value.value {
                    Value::Number(digits, _) => {
                        self.decimals |= digits.contains('.');
                        !(is_sqlite && digits.contains('.'))
                    }
                    _ => true,
                };
            }
            Expr::BinaryOp { op, .. } => match op {
                BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Modulo => {
                    self.same &= !is_sqlite;
                }
                BinaryOperator::Divide => {
                    self.divides = true;
                    self.same &= !is_sqlite;
                }
                BinaryOperator::StringConcat
                | BinaryOperator::And
                | BinaryOperator::Or
                | BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq => {}
                _ => self.same = false,
            },
            Expr::Like { pattern, any, .. } => {
                self.same &= !*any && !pattern.to_string().contains('\\');
            }
            Expr::TypedString(_) | Expr::Extract { .. } | Expr::Rollup(_) | Expr::Cube(_) => {
                self.same &= !is_sqlite;
            }
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                self.divides |= name == "avg" || name == "stddev";
                self.same &=
                    FUNCTIONS.contains(&name.as_str()) || (!is_sqlite && POSTGRES_FUNCTIONS.contains(&name.as_str()));
                if let Some(WindowType::WindowSpec(window)) = &function.over {
                    let keys = window.order_by.clone();
                    self.order(&keys);
                }
            }
            Expr::Nested(_)
            | Expr::UnaryOp { .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_) => {}
            Expr::Substring { .. } | Expr::Trim { .. } => self.same &= false,
            _ => self.same = false,
        }
        ControlFlow::Continue(())
    }
}
