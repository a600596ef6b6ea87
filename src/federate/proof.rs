//! The proof over generated SQL: each scan of a governed table carries its policy.
//!
//! In: the finished text that an agency would receive, and policy's own obligations, which were rendered from policy alone.
//! The text is parsed again by another parser than our generator, and each base table must stand in a SELECT whose WHERE has
//! every conjunct that policy demands of it. A table that policy did not name is a refusal too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, ObjectName, Query, Select, SetExpr, Statement, TableFactor,
    TableFunctionArgs, Top, TopQuantity, Value, Visit, VisitMut, Visitor, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::{
    Dialect, GenericDialect, MsSqlDialect, MySqlDialect, PostgreSqlDialect, Precedence, SQLiteDialect,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use wayleave_connector_api::{AWAITED_KEYS, AWAITED_PSEUDONYMS, TableName};

mod transact_sql;

use super::node::Origin;
use crate::catalog::Agency;
use crate::error::Error;
use crate::policy::Obligation;

/// The conjuncts and the guards of one obligation; `None` where they cannot be parsed.
type Owed = Option<(Rc<Vec<Expr>>, Rc<Vec<Expr>>)>;

/// What policy demands of the statements of one plan, each text of its parsed once.
#[derive(Debug)]
pub(super) struct Prover<'a> {
    obligations: Vec<&'a Obligation>,
    /// By the position of the obligation and the parser's dialect.
    parsed: RefCell<HashMap<(usize, String), Owed>>,
}

impl<'a> Prover<'a> {
    pub fn new(obligations: &'a [Obligation]) -> Self {
        let mut distinct: Vec<&Obligation> = Vec::new();
        for obligation in obligations {
            if !distinct.contains(&obligation) {
                distinct.push(obligation);
            }
        }
        Self { obligations: distinct, parsed: RefCell::default() }
    }

    /// Proves one statement.
    ///
    /// # Errors
    /// [`Error::Unproven`] naming the table that lacks its policy, or the statement where it cannot be parsed again.
    pub fn prove(&self, sql: &str, agency: &Agency, origins: &[Origin]) -> Result<(), Error> {
        let dialect = parser_for(agency.dialect().name());
        let unproven = |table: String| Error::Unproven { agency: agency.name.clone(), table };
        // A place that still waits for keys is empty, which no parser takes: any key will do for the proof.
        let awaited = [AWAITED_KEYS, AWAITED_PSEUDONYMS].map(|comment| format!("IN ({comment})"));
        let sql = awaited.iter().fold(sql.to_owned(), |sql, place| sql.replace(place, "IN ('')"));
        let name = agency.dialect().name();
        if !reads_one_way(name, &sql) || (name == "sqlserver" && !transact_sql::reads_one_way(&sql)) {
            return Err(unproven("a statement".to_owned()));
        }
        let statements = Parser::parse_sql(dialect.as_ref(), &sql).map_err(|_| unproven("a statement".to_owned()))?;
        let [Statement::Query(query)] = statements.as_slice() else { return Err(unproven("a statement".to_owned())) };
        let demanded = self
            .obligations
            .iter()
            .enumerate()
            .filter(|(_, obligation)| is_owed(obligation, agency, origins))
            .map(|(position, obligation)| {
                let owed = self.owed(position, obligation, name, dialect.as_ref());
                let (conjuncts, guards) = owed.ok_or_else(|| unproven(obligation.table.to_string()))?;
                Ok(Demand { table: &obligation.table, conjuncts, guards })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let long_lists = if name == "sqlite" { LongLists::JsonEach } else { LongLists::Plain };
        check_query(query, &Demands { tables: demanded, long_lists }).map_err(unproven)
    }

    fn owed(&self, position: usize, obligation: &Obligation, name: &str, dialect: &dyn Dialect) -> Owed {
        let parse = || {
            let parse = |conjunct: &String| {
                let mut parser = Parser::new(dialect).try_with_sql(conjunct).ok()?;
                parser.parse_expr().ok()
            };
            let all = |texts: &[String]| texts.iter().map(parse).collect::<Option<Vec<_>>>().map(Rc::new);
            Some((all(&obligation.conjuncts)?, all(&obligation.guards)?))
        };
        self.parsed.borrow_mut().entry((position, name.to_owned())).or_insert_with(parse).clone()
    }
}

/// Whether a statement owes this to policy. One that reads several agencies' tables owes each table what its own agency's
/// agreement demands; no other agency's obligation for a table of that name will do.
fn is_owed(obligation: &Obligation, agency: &Agency, origins: &[Origin]) -> bool {
    let shared = origins.iter().any(|origin| origin.agency != agency.name);
    if !shared {
        return obligation.agency == agency.name;
    }
    let table = obligation.table.to_string();
    origins.iter().any(|origin| origin.agency == obligation.agency && origin.table == table)
}

fn parser_for(name: &str) -> Box<dyn Dialect> {
    match name {
        "postgresql" => Box::new(PostgreSqlDialect {}),
        "sqlite" => Box::new(SqliteSql),
        "sqlserver" => Box::new(MsSqlDialect {}),
        "mysql" => Box::new(MySqlDialect {}),
        // What reads files is DataFusion itself, with this parser.
        "datafusion" => Box::new(GenericDialect {}),
        _ => Box::new(GenericDialect {}),
    }
}

/// Whether a text means the same whatever a session of its database is set to. To MariaDB and MySQL a backslash in a text and
/// double quotes are what the session says, and a comment may be a part of the statement: our generator writes none of them.
fn reads_one_way(name: &str, sql: &str) -> bool {
    if name != "mysql" {
        return true;
    }
    let mut quote = None;
    let mut previous = ' ';
    for character in sql.chars() {
        match (quote, character) {
            (Some('\''), '\\') => return false,
            // A doubled quote ends one and begins the next.
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '`') => quote = Some(character),
            (None, '"' | '\\' | '#') => return false,
            (None, '*') if previous == '/' => return false,
            (None, '-') if previous == '-' => return false,
            (None, _) => {}
        }
        previous = if quote.is_some() { ' ' } else { character };
    }
    quote.is_none()
}

/// SQLite's SQL with its GLOB operator, which the parser's own dialect lacks.
#[derive(Debug)]
struct SqliteSql;

impl SqliteSql {
    fn at_glob(parser: &Parser<'_>) -> bool {
        matches!(parser.peek_token_ref().token, Token::Word(ref word) if word.quote_style.is_none() && word.value == "GLOB")
    }
}

impl Dialect for SqliteSql {
    fn is_identifier_start(&self, character: char) -> bool {
        SQLiteDialect {}.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        SQLiteDialect {}.is_identifier_part(character)
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        SQLiteDialect {}.is_delimited_identifier_start(character)
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        Self::at_glob(parser).then(|| Ok(self.prec_value(Precedence::Like)))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        if !Self::at_glob(parser) {
            return None;
        }
        parser.advance_token();
        Some(parser.parse_subexpr(precedence).map(|right| Expr::BinaryOp {
            left: Box::new(left.clone()),
            op: BinaryOperator::Custom("GLOB".to_owned()),
            right: Box::new(right),
        }))
    }
}

/// What a statement has to show.
struct Demands<'a> {
    tables: Vec<Demand<'a>>,
    long_lists: LongLists,
}

/// How a dialect writes a list of many constants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LongLists {
    Plain,
    /// SQLite's `json_each('[…]')`.
    JsonEach,
}

struct Demand<'a> {
    table: &'a TableName,
    conjuncts: Rc<Vec<Expr>>,
    guards: Rc<Vec<Expr>>,
}

fn check_query(query: &Query, demanded: &Demands<'_>) -> Result<(), String> {
    if query.with.is_some() {
        return Err("a named subquery".to_owned());
    }
    if !query.locks.is_empty() || query.for_clause.is_some() || !query.pipe_operators.is_empty() {
        return Err("an unknown clause".to_owned());
    }
    check_set(&query.body, demanded)?;
    let mut around = Subqueries::new(demanded);
    let _ = query.order_by.visit(&mut around);
    let _ = query.limit_clause.visit(&mut around);
    let _ = query.fetch.visit(&mut around);
    around.result()
}

fn check_set(body: &SetExpr, demanded: &Demands<'_>) -> Result<(), String> {
    match body {
        SetExpr::Select(select) => check_select(select, demanded),
        SetExpr::Query(query) => check_query(query, demanded),
        SetExpr::SetOperation { left, right, .. } => {
            check_set(left, demanded)?;
            check_set(right, demanded)
        }
        _ => Err("an unknown statement".to_owned()),
    }
}

fn check_select(select: &Select, demanded: &Demands<'_>) -> Result<(), String> {
    if has_unknown_clause(select) {
        return Err("an unknown clause".to_owned());
    }
    let mut conjuncts = Vec::new();
    if let Some(selection) = &select.selection {
        split(selection, &mut conjuncts);
    }
    let mut proven_by_policy: Vec<&Expr> = Vec::new();
    let mut guards: &[Expr] = &[];
    for item in &select.from {
        for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation)) {
            match factor {
                TableFactor::Derived { subquery, .. } => check_query(subquery, demanded)?,
                list if demanded.long_lists == LongLists::JsonEach && is_list_of_constants(list) => {}
                TableFactor::Table { name, alias, .. } => {
                    let table = base_table(name).ok_or_else(|| name.to_string())?;
                    // Policy's conjuncts speak of the one table `b`: a second item could make them speak of another.
                    let alone = select.from.len() == 1 && item.joins.is_empty();
                    if !alone || alias.as_ref().is_none_or(|alias| alias.name.value != "b") {
                        return Err(table.to_string());
                    }
                    // One table may be released under one agreement and read as a register too: any full set will do.
                    let held = demanded
                        .tables
                        .iter()
                        .filter(|demand| *demand.table == table)
                        .find(|demand| demand.conjuncts.iter().all(|demanded| conjuncts.contains(&demanded)))
                        .ok_or_else(|| table.to_string())?;
                    guards = held.guards.as_slice();
                    proven_by_policy.extend(conjuncts.iter().filter(|conjunct| held.conjuncts.contains(conjunct)));
                }
                // Constants that stand in the statement itself.
                TableFactor::OpenJsonTable { json_expr: Expr::Value(_), json_path: None, .. } => {}
                _ => return Err("an unknown relation".to_owned()),
            }
        }
    }
    // Subqueries inside what policy wrote are policy's; any other must carry its own.
    for conjunct in conjuncts {
        if !proven_by_policy.contains(&conjunct) {
            check_subqueries(&without(guards, conjunct.clone()), demanded)?;
        }
    }
    // The one table of this SELECT is the one that the guards speak of.
    let unguarded;
    let select = if guards.is_empty() {
        select
    } else {
        unguarded = without(guards, Select { selection: None, ..select.clone() });
        &unguarded
    };
    let mut elsewhere = Subqueries::new(demanded);
    for join in select.from.iter().flat_map(|item| &item.joins) {
        let _ = join.join_operator.visit(&mut elsewhere);
    }
    let _ = select.distinct.visit(&mut elsewhere);
    let _ = select.projection.visit(&mut elsewhere);
    let _ = select.group_by.visit(&mut elsewhere);
    let _ = select.having.visit(&mut elsewhere);
    let _ = select.named_window.visit(&mut elsewhere);
    let _ = select.qualify.visit(&mut elsewhere);
    elsewhere.result()
}

/// Clauses that our generator does not write: what they would do is not looked into.
fn has_unknown_clause(select: &Select) -> bool {
    select.into.is_some()
        || select.top.as_ref().is_some_and(|top| !is_a_number_of_rows(top))
        || select.prewhere.is_some()
        || select.exclude.is_some()
        || !select.lateral_views.is_empty()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
}

/// Whether it only says how many rows there shall be.
fn is_a_number_of_rows(top: &Top) -> bool {
    let is_number = match &top.quantity {
        Some(TopQuantity::Constant(_)) => true,
        Some(TopQuantity::Expr(quantity)) => matches!(quantity, Expr::Value(_)),
        None => false,
    };
    is_number && !top.percent && !top.with_ties
}

/// The same with a constant in the place of each guard.
fn without<T: VisitMut>(guards: &[Expr], mut within: T) -> T {
    if !guards.is_empty() {
        let _: ControlFlow<()> = visit_expressions_mut(&mut within, |expr| {
            if guards.contains(expr) {
                *expr = Expr::Value(Value::Boolean(true).into());
            }
            ControlFlow::Continue(())
        });
    }
    within
}

fn check_subqueries(expr: &Expr, demanded: &Demands<'_>) -> Result<(), String> {
    let mut visitor = Subqueries::new(demanded);
    let _ = expr.visit(&mut visitor);
    visitor.result()
}

struct Subqueries<'a> {
    demanded: &'a Demands<'a>,
    depth: usize,
    failure: Option<String>,
}

impl<'a> Subqueries<'a> {
    fn new(demanded: &'a Demands<'a>) -> Self {
        Self { demanded, depth: 0, failure: None }
    }

    fn result(self) -> Result<(), String> {
        self.failure.map_or(Ok(()), Err)
    }
}

impl Visitor for Subqueries<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        // Nested ones are reached by `check_query` itself.
        if self.depth == 1
            && let Err(failure) = check_query(query, self.demanded)
        {
            self.failure = Some(failure);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

fn split<'a>(expr: &'a Expr, conjuncts: &mut Vec<&'a Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(left, conjuncts);
            split(right, conjuncts);
        }
        other => conjuncts.push(other),
    }
}

/// `json_each` over one text that stands there: it reads no table.
fn is_list_of_constants(factor: &TableFactor) -> bool {
    let TableFactor::Table { name, alias: None, args: Some(TableFunctionArgs { args, settings: None }), .. } = factor
    else {
        return false;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(list)))] = args.as_slice() else { return false };
    name.to_string() == "json_each" && matches!(list.value, Value::SingleQuotedString(_))
}

fn base_table(name: &ObjectName) -> Option<TableName> {
    let [schema, table] = name.0.as_slice() else { return None };
    Some(TableName::new(schema.as_ident()?.value.clone(), table.as_ident()?.value.clone()))
}

#[cfg(test)]
mod tests;
