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
    TableFunctionArgs, Top, TopQuantity, Value, Visit, Visitor,
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

/// The conjuncts of one obligation; `None` where they cannot be parsed.
type Conjuncts = Option<Rc<Vec<Expr>>>;

/// What policy demands of the statements of one plan, each text of its parsed once.
#[derive(Debug)]
pub(super) struct Prover<'a> {
    obligations: Vec<&'a Obligation>,
    /// By the position of the obligation and the parser's dialect.
    parsed: RefCell<HashMap<(usize, String), Conjuncts>>,
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
                let conjuncts = self.conjuncts(position, obligation, name, dialect.as_ref());
                let conjuncts = conjuncts.ok_or_else(|| unproven(obligation.table.to_string()))?;
                Ok(Demand { table: &obligation.table, conjuncts })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let long_lists = if name == "sqlite" { LongLists::JsonEach } else { LongLists::Plain };
        check_query(query, &Demands { tables: demanded, long_lists }).map_err(unproven)
    }

    fn conjuncts(&self, position: usize, obligation: &Obligation, name: &str, dialect: &dyn Dialect) -> Conjuncts {
        let parse = || {
            let parse = |conjunct: &String| {
                let mut parser = Parser::new(dialect).try_with_sql(conjunct).ok()?;
                parser.parse_expr().ok()
            };
            obligation.conjuncts.iter().map(parse).collect::<Option<Vec<_>>>().map(Rc::new)
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
            check_subqueries(conjunct, demanded)?;
        }
    }
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
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use wayleave_connector_api::{
        Audience, Collation, Column, ColumnType, Connector, Divisible, Form, Fragment, KeyDisclosure, KeyFormat,
        KeySlot, Relation, Scan, ScanReason, Scheme, Slice, render_fragment, render_policy_conjuncts,
    };
    use wayleave_connector_files::{CsvHeader, FilesConnector, FilesOptions};
    use wayleave_connector_mysql::{MysqlConnector, MysqlOptions};
    use wayleave_connector_postgres::{PostgresConnector, PostgresOptions, TlsMode};
    use wayleave_connector_sqlite::{SqliteConnector, SqliteOptions};

    use super::*;

    fn prove(sql: &str, agency: &Agency, origins: &[Origin], obligations: &[Obligation]) -> Result<(), Error> {
        Prover::new(obligations).prove(sql, agency, origins)
    }

    /// `patients` must carry two conjuncts, the register `consents` one.
    fn proven(sql: &str) -> bool {
        let options = SqliteOptions { path: "none.db".into(), max_connections: 1, statement_timeout_ms: 1 };
        let agency = Agency::new("health", None, Arc::new(SqliteConnector::new(options)), BTreeMap::new());
        let obligation = |table: &str, conjuncts: &[&str]| Obligation {
            agency: "health".to_owned(),
            table: TableName::new("main", table),
            conjuncts: conjuncts.iter().map(|&conjunct| conjunct.to_owned()).collect(),
        };
        let obligations = [
            obligation("patients", &[r#"(NOT "b"."deceased")"#, CONSENT]),
            obligation("consents", &[r#"("b"."status" = 'withdrawn')"#]),
        ];
        prove(sql, &agency, &[], &obligations).is_ok()
    }

    #[test]
    fn in_a_shared_server_each_table_carries_its_own_agencys_policy() {
        let options = SqliteOptions { path: "none.db".into(), max_connections: 1, statement_timeout_ms: 1 };
        let agency = Agency::new("health", None, Arc::new(SqliteConnector::new(options)), BTreeMap::new());
        let obligation = |agency: &str, table: &str, conjunct: &str| Obligation {
            agency: agency.to_owned(),
            table: TableName::new("main", table),
            conjuncts: vec![conjunct.to_owned()],
        };
        let origin = |agency: &str, table: &str| Origin {
            agency: agency.to_owned(),
            table: format!("main.{table}"),
            agreement: "A".to_owned(),
            disclose_keys_to: BTreeMap::new(),
            join_at_source_with: std::collections::BTreeSet::new(),
        };
        let obligations = [
            obligation("health", "patients", r#"("b"."shared" = 1)"#),
            obligation("social", "clients", r#"("b"."open" = 1)"#),
            // Another agreement of the query, under which the running agency shares a table of that name.
            obligation("health", "clients", r#"("b"."k" = 'anything')"#),
        ];
        let origins = [origin("health", "patients"), origin("social", "clients")];
        let joined = |left: &str, right: &str| {
            format!(
                r#"SELECT 1 AS "c1" FROM (SELECT 1 AS "c1" FROM "main"."patients" AS "b" WHERE {left}) AS "t1" JOIN (SELECT 1 AS "c1" FROM "main"."clients" AS "b" WHERE {right}) AS "t2" ON 1 = 1"#
            )
        };
        let proven = |sql: &str| prove(sql, &agency, &origins, &obligations).is_ok();
        assert!(proven(&joined(r#"("b"."shared" = 1)"#, r#"("b"."open" = 1)"#)));
        assert!(!proven(&joined(r#"("b"."shared" = 1)"#, r#"("b"."shared" = 1)"#)));
        assert!(!proven(&joined(r#"("b"."shared" = 1)"#, r#"("b"."k" = 'anything')"#)));
        assert!(!proven(&joined("1 = 1", r#"("b"."open" = 1)"#)));
        // Alone, a statement may not read another agency's table at all.
        let sql = joined(r#"("b"."shared" = 1)"#, r#"("b"."open" = 1)"#);
        assert!(prove(&sql, &agency, &origins[..1], &obligations).is_err());
    }

    const CONSENT: &str = r#"NOT EXISTS (SELECT 1 FROM "main"."consents" AS "p1" WHERE ("p1"."k" = "b"."k"))"#;

    fn scan(conjuncts: &[&str]) -> String {
        format!(r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b" WHERE {}"#, conjuncts.join(" AND "))
    }

    fn released() -> String {
        scan(&[r#"(NOT "b"."deceased")"#, CONSENT])
    }

    #[test]
    fn a_scan_with_all_its_conjuncts_is_proven_wherever_it_stands() {
        let released = released();
        assert!(proven(&released));
        assert!(proven(&scan(&[r#"(NOT "b"."deceased")"#, CONSENT, r#"("b"."k" IN ('1'))"#])));
        assert!(proven(&format!(r#"SELECT count(*) AS "c1" FROM ({released}) AS "t1" GROUP BY "t1"."c1""#)));
        assert!(proven(&format!(r#"SELECT 1 AS "c1" FROM ({released}) AS "t1" JOIN ({released}) AS "t2" ON 1 = 1"#)));
        assert!(proven(&format!("SELECT * FROM ({released} UNION ALL {released}) AS t")));
        assert!(proven(r#"SELECT "b"."k" AS "c1" FROM "main"."consents" AS "b" WHERE ("b"."status" = 'withdrawn')"#));
    }

    #[test]
    fn one_slice_of_a_table_carries_what_the_whole_does() {
        let options = PostgresOptions {
            url: "postgres://nobody@localhost/none".to_owned(),
            tls: TlsMode::Disable,
            ca_file: None,
            max_connections: 1,
            connect_timeout_ms: 1,
            statement_timeout_ms: 1,
            scan_connections: 1,
            divide_from_bytes: 1,
        };
        let connector: Arc<dyn Connector> = Arc::new(PostgresConnector::new(options).unwrap());
        let deceased = Column {
            name: "deceased".to_owned(),
            source_type: "boolean".to_owned(),
            column_type: ColumnType::Readable(DataType::Boolean),
            nullable: true,
            collation: Collation::Binary,
        };
        let scan = |policy: Vec<wayleave_connector_api::Expr>| Scan {
            table: TableName::new("public", "patients"),
            columns: vec![deceased.clone()],
            outputs: vec![wayleave_connector_api::Expr::Column(0)],
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "A".to_owned() },
        };
        let demanded = scan(vec![wayleave_connector_api::Expr::Not(Box::new(wayleave_connector_api::Expr::Column(0)))]);
        let conjuncts = render_policy_conjuncts(connector.dialect(), &demanded);
        let obligations = [Obligation { agency: "health".to_owned(), table: demanded.table.clone(), conjuncts }];
        let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
        let slices = [Slice::FIRST_PAGE, Slice { from_page: 7, until_page: None }];
        let proven = |scan: &Scan| {
            let root = Relation::Scan(Box::new(scan.clone()));
            let schema = Arc::new(Schema::new(vec![Field::new("deceased", DataType::Boolean, true)]));
            let divisible = Divisible::new(connector.dialect(), &Fragment { root, schema }).unwrap();
            slices.map(|slice| {
                let sql = divisible.sql(connector.dialect(), slice);
                assert!(sql.contains(r#""b".ctid >= '("#), "{sql}");
                // Joined to policy's conjuncts in any other way than by AND, it would not do.
                assert!(
                    prove(&sql.replace(" AND (\"b\".ctid", " OR (\"b\".ctid"), &agency, &[], &obligations).is_err()
                );
                prove(&sql, &agency, &[], &obligations).is_ok()
            })
        };
        assert_eq!(proven(&demanded), [true, true]);
        assert_eq!(proven(&scan(Vec::new())), [false, false]);
    }

    /// Everything that MariaDB's dialect writes is read again to the letter, and nothing that a session could read otherwise.
    #[test]
    fn in_mariadb_each_expression_of_policys_is_found_again() {
        use wayleave_connector_api::{
            CompareOp, DatePart, DateUnit, Expr, Form, KeyFormat, Mask, Scheme, TextFunction, TrimSide, Value,
        };
        let options = MysqlOptions {
            url: "mysql://u@localhost/d".to_owned(),
            tls: wayleave_connector_mysql::TlsMode::Disable,
            ca_file: None,
            max_connections: 1,
            connect_timeout_ms: 1,
            statement_timeout_ms: 1,
        };
        let connector: Arc<dyn Connector> = Arc::new(MysqlConnector::new(options).unwrap());
        let column = |name: &str, source_type: &str, data_type: DataType| Column {
            name: name.to_owned(),
            source_type: source_type.to_owned(),
            column_type: ColumnType::Readable(data_type),
            nullable: true,
            collation: if source_type.contains("collate") { Collation::Loose } else { Collation::Binary },
        };
        let moment = DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, None);
        let columns = vec![
            column("na`me", "varchar(30) collate latin1_swedish_ci", DataType::Utf8),
            column("flag", "tinyint(1)", DataType::Boolean),
            column("at", "datetime", moment.clone()),
            column("n", "int(11)", DataType::Int32),
        ];
        let boxed = |index: usize| Box::new(Expr::Column(index));
        let text = |text: &str| Expr::Literal(Value::Text(text.to_owned()));
        let of_text = |function| Expr::OfText { function, expr: boxed(0) };
        let key = |form| Expr::CanonicalKey {
            expr: boxed(0),
            format: KeyFormat { scheme: Scheme::NhsNumber, form, assured: false },
        };
        let date = |microseconds| Expr::Literal(Value::Timestamp { microseconds, zoned: false });
        let texts = ["O'Brien", "back\\slash", "'", "\0", "--", "/*! 1 */", "#", "日本"];
        let mut policy: Vec<Expr> = texts.iter().map(|value| Expr::equal(Expr::Column(0), text(value))).collect();
        policy.extend([
            Expr::Column(1),
            Expr::Not(boxed(1)),
            Expr::InList {
                expr: boxed(0),
                list: texts.iter().map(|t| Value::Text((*t).to_owned())).collect(),
                negated: false,
            },
            Expr::InList { expr: boxed(3), list: vec![Value::Int32(-1), Value::Int32(2)], negated: true },
            Expr::Like { expr: boxed(0), pattern: "50\\%!_%".to_owned(), negated: true },
            Expr::IsNotNull(Box::new(key(Form::Mixed))),
            Expr::IsNotNull(Box::new(key(Form::Spaced))),
            Expr::compare(CompareOp::Less, Expr::DateOf(boxed(0)), Expr::Literal(Value::Date(-1))),
            Expr::compare(CompareOp::Greater, Expr::Column(2), date(-1)),
            Expr::equal(of_text(TextFunction::Trim(TrimSide::Both)), text("x")),
            Expr::equal(of_text(TextFunction::Substring { start: -2, length: Some(5) }), text("x")),
            Expr::equal(of_text(TextFunction::Left(-3)), text("x")),
            Expr::equal(of_text(TextFunction::Replace { from: "\\".to_owned(), to: "'".to_owned() }), text("x")),
            Expr::equal(of_text(TextFunction::Position("a".to_owned())), Expr::Literal(Value::Int32(1))),
            Expr::equal(Expr::Mask { expr: boxed(0), mask: Mask::OutwardPostcode }, text("TQ1")),
            Expr::equal(Expr::Mask { expr: boxed(0), mask: Mask::LastCharacters(3) }, text("***abc")),
            Expr::equal(Expr::DatePart { part: DatePart::Week, expr: boxed(2) }, Expr::Literal(Value::Int32(1))),
            Expr::equal(Expr::Truncate { to: DateUnit::Quarter, expr: boxed(2) }, date(0)),
            Expr::equal(Expr::Truncate { to: DateUnit::Week, expr: boxed(2) }, date(0)),
            Expr::equal(Expr::Coalesce(vec![Expr::Column(2), Expr::Literal(Value::Null(moment))]), date(0)),
            Expr::equal(
                Expr::Arithmetic {
                    op: wayleave_connector_api::ArithmeticOp::Divide,
                    left: Box::new(Expr::Widen { expr: boxed(3), to: DataType::Int64 }),
                    right: Box::new(Expr::Literal(Value::Int64(-2))),
                    data_type: DataType::Int64,
                },
                Expr::Literal(Value::Int64(-3)),
            ),
            Expr::equal(
                Expr::Widen { expr: boxed(3), to: DataType::Decimal128(12, 2) },
                Expr::Literal(Value::Decimal128 { unscaled: -150, precision: 12, scale: 2 }),
            ),
            Expr::equal(
                Expr::Concat(vec![Expr::Column(0), Expr::Widen { expr: boxed(3), to: DataType::Utf8 }]),
                text("x"),
            ),
        ]);
        // A register that is asked by its distinct keys.
        let probe = wayleave_connector_api::Probe {
            table: TableName::new("main", "regi`ster"),
            columns: columns.clone(),
            predicates: vec![
                Expr::equal(
                    key(Form::Hyphenated),
                    Expr::CanonicalKey {
                        expr: Box::new(Expr::Outer(0)),
                        format: KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: false },
                    },
                ),
                Expr::Column(1),
            ],
        };
        let existence = wayleave_connector_api::Existence::Forbidden;
        policy.push(Expr::Exists { probe: Box::new(probe), existence });
        let scan = |policy: Vec<Expr>| Scan {
            table: TableName::new("main", "pati`ents"),
            columns: columns.clone(),
            outputs: vec![Expr::Column(0)],
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "A".to_owned() },
        };
        let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
        let schema = Arc::new(Schema::new(vec![Field::new("c1", DataType::Utf8, true)]));
        let sql_of = |scan: Scan| {
            let fragment = Fragment { root: Relation::Scan(Box::new(scan)), schema: Arc::clone(&schema) };
            wayleave_connector_api::render_fragment(
                connector.dialect(),
                &fragment,
                None,
                wayleave_connector_api::Audience::Source,
            )
        };
        let full = scan(policy.clone());
        let obligation =
            |conjuncts: Vec<String>| Obligation { agency: "health".to_owned(), table: full.table.clone(), conjuncts };
        let conjuncts = render_policy_conjuncts(connector.dialect(), &full);
        let sql = sql_of(full.clone());
        prove(&sql, &agency, &[], &[obligation(conjuncts.clone())]).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        for index in 0..policy.len() {
            let mut fewer = policy.clone();
            fewer.remove(index);
            let sql = sql_of(scan(fewer));
            assert!(prove(&sql, &agency, &[], &[obligation(conjuncts.clone())]).is_err(), "{index}: {sql}");
        }
        let plain = sql_of(scan(Vec::new()));
        let bare = |sql: &str| prove(sql, &agency, &[], &[obligation(Vec::new())]).is_ok();
        assert!(bare(&plain));
        for added in [
            " WHERE `b`.`c` = '\\'",
            " WHERE `b`.`c` = \"x\"",
            " /*! FOR UPDATE */",
            " -- x",
            " # x",
            " WHERE 1 = 1 /* x */",
        ] {
            assert!(!bare(&format!("{plain}{added}")), "{added}");
        }
    }

    /// Where keys or their pseudonyms narrow a scan, before and after they are known.
    #[test]
    fn keys_and_pseudonyms_narrow_what_policy_leaves_and_nothing_else() {
        let text = |name: &str| Column {
            name: name.to_owned(),
            source_type: "text".to_owned(),
            column_type: ColumnType::Readable(DataType::Utf8),
            nullable: true,
            collation: Collation::Binary,
        };
        let postgres = PostgresOptions {
            url: "postgres://nobody@localhost/none".to_owned(),
            tls: TlsMode::Disable,
            ca_file: None,
            max_connections: 1,
            connect_timeout_ms: 1,
            statement_timeout_ms: 1,
            scan_connections: 1,
            divide_from_bytes: 1,
        };
        let sqlite = SqliteOptions { path: "none.db".into(), max_connections: 1, statement_timeout_ms: 1 };
        let files = FilesOptions {
            path: "none".into(),
            csv_delimiter: b',',
            csv_header: CsvHeader::Present,
            max_connections: 1,
            statement_timeout_ms: 1,
            memory_bytes: FilesOptions::DEFAULT_MEMORY_BYTES,
        };
        let connectors: [Arc<dyn Connector>; 3] = [
            Arc::new(PostgresConnector::new(postgres).unwrap()),
            Arc::new(SqliteConnector::new(sqlite)),
            Arc::new(FilesConnector::new(files)),
        ];
        for connector in connectors {
            for (scheme, assured) in [(Scheme::NhsNumber, false), (Scheme::NhsNumber, true), (Scheme::Opaque, false)] {
                for disclosure in [KeyDisclosure::Plain, KeyDisclosure::Pseudonymised] {
                    let format = KeyFormat { scheme, form: Form::Spaced, assured };
                    // No pseudonyms go where none can be made.
                    if disclosure == KeyDisclosure::Pseudonymised
                        && connector.dialect().in_pseudonyms("k", format, None).is_none()
                    {
                        assert_eq!(connector.dialect().name(), "datafusion");
                        continue;
                    }
                    let scan = Scan {
                        table: TableName::new("public", "patients"),
                        columns: vec![text("nhs"), text("shared")],
                        outputs: vec![wayleave_connector_api::Expr::Column(0)],
                        policy: vec![wayleave_connector_api::Expr::equal(
                            wayleave_connector_api::Expr::Column(1),
                            wayleave_connector_api::Expr::text("yes"),
                        )],
                        lookups: Vec::new(),
                        keys: Some(KeySlot { column: 0, format: Some(format), disclosure, number: 0 }),
                        reason: ScanReason::Released { agreement: "A".to_owned() },
                    };
                    let conjuncts = render_policy_conjuncts(connector.dialect(), &scan);
                    let obligation = Obligation { agency: "health".to_owned(), table: scan.table.clone(), conjuncts };
                    let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
                    let schema = Arc::new(Schema::new(vec![Field::new("nhs", DataType::Utf8, true)]));
                    let keys: Vec<String> = (0..100).map(|key| format!("{key:064}")).collect();
                    for (known, policy) in [(None, true), (Some(keys.as_slice()), true), (None, false)] {
                        let mut scan = scan.clone();
                        if !policy {
                            scan.policy.clear();
                        }
                        let fragment = Fragment { root: Relation::Scan(Box::new(scan)), schema: Arc::clone(&schema) };
                        let sql = render_fragment(connector.dialect(), &fragment, known, Audience::Source);
                        let proven = prove(&sql, &agency, &[], std::slice::from_ref(&obligation)).is_ok();
                        assert_eq!(proven, policy, "{disclosure:?}: {sql}");
                        let weakened =
                            sql.replace("= 'yes') AND", "= 'yes') OR").replace("'yes'::text) AND", "'yes'::text) OR");
                        assert_eq!(weakened != sql, policy, "{sql}");
                        assert!(
                            prove(&weakened, &agency, &[], std::slice::from_ref(&obligation)).is_err(),
                            "{weakened}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_list_is_one_text_and_no_table() {
        let listed = |call: &str| format!(r#""b"."k" IN (SELECT value FROM {call})"#);
        let with = |call: &str| scan(&[r#"(NOT "b"."deceased")"#, CONSENT, &listed(call)]);
        assert!(proven(&with(r#"json_each('["1","2"]')"#)));
        // Anything but a text that stands there might read what policy does not release.
        assert!(!proven(&with(r#"json_each("b"."k")"#)));
        assert!(!proven(&with(r#"json_each((SELECT "k" FROM "main"."patients"))"#)));
        assert!(!proven(&with("json_tree('[1]')")));
        assert!(!proven(&scan(&[CONSENT, &listed("json_each('[1]')")])));
    }

    #[test]
    fn a_scan_that_lacks_a_conjunct_is_not() {
        assert!(!proven(&scan(&[CONSENT])));
        assert!(!proven(&scan(&[r#"(NOT "b"."deceased")"#])));
        assert!(!proven(r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b""#));
        assert!(!proven(&format!(r#"SELECT * FROM ({}) AS t JOIN "main"."patients" AS "b" ON 1 = 1"#, released())));
        assert!(!proven(&format!(r#"SELECT * FROM ({} UNION ALL {}) AS t"#, released(), scan(&[CONSENT]))));
    }

    #[test]
    fn a_conjunct_that_does_not_hold_for_every_row_is_none() {
        let weakened = r#"((NOT "b"."deceased") OR 1 = 1)"#;
        assert!(!proven(&scan(&[weakened, CONSENT])));
        assert!(!proven(&format!(
            r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b" WHERE (NOT "b"."deceased") OR {CONSENT}"#
        )));
        let as_output = format!(r#"SELECT {CONSENT} AS "c1" FROM "main"."patients" AS "b" WHERE (NOT "b"."deceased")"#);
        assert!(!proven(&as_output));
        // The conjuncts would speak of the other table here.
        assert!(!proven(&format!(
            r#"SELECT 1 FROM "main"."patients" AS "x", "main"."consents" AS "b" WHERE (NOT "b"."deceased") AND {CONSENT}"#
        )));
    }

    #[test]
    fn a_table_in_a_subquery_of_the_users_must_carry_its_own() {
        let inner = r#"EXISTS (SELECT 1 FROM "main"."patients" AS "b" WHERE 1 = 1)"#;
        assert!(!proven(&scan(&[r#"(NOT "b"."deceased")"#, CONSENT, inner])));
        let good = format!("EXISTS (SELECT 1 FROM ({}) AS t)", released());
        assert!(proven(&scan(&[r#"(NOT "b"."deceased")"#, CONSENT, &good])));
        assert!(!proven(&format!(
            r#"SELECT (SELECT max("b"."k") FROM "main"."patients" AS "b") AS "c1" FROM ({}) AS t"#,
            released()
        )));
    }

    /// Each shape of SQL with a scan in every place where one may stand: proven with its policy, and not without.
    #[test]
    fn no_shape_hides_a_scan_without_its_policy() {
        let good = released();
        let bad = scan(&[CONSENT]);
        let shapes = [
            "SELECT row_number() OVER (PARTITION BY t.c1 ORDER BY t.c1) AS c1 FROM (@) AS t",
            "SELECT c1 FROM (SELECT c1, sum(c1) OVER (ORDER BY c1 ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS c2 FROM (@) AS t) AS u",
            "SELECT count(*) OVER (PARTITION BY EXISTS (SELECT 1 FROM (@) AS u)) AS c1 FROM (#) AS t",
            "SELECT count(*) OVER (ORDER BY (SELECT max(c1) FROM (@) AS u)) AS c1 FROM (#) AS t",
            "SELECT count(*) OVER w AS c1 FROM (#) AS t WINDOW w AS (PARTITION BY EXISTS (SELECT 1 FROM (@) AS u))",
            "SELECT c1 FROM (# INTERSECT @) AS t",
            "SELECT c1 FROM (@ EXCEPT #) AS t",
            "SELECT c1 FROM (# EXCEPT @) AS t",
            "SELECT t.c1 FROM (#) AS t JOIN (#) AS u ON EXISTS (SELECT 1 FROM (@) AS v WHERE v.c1 = t.c1)",
            "SELECT t.c1 FROM (#) AS t LEFT JOIN (@) AS u ON t.c1 = u.c1",
            "SELECT t.c1 FROM (#) AS t WHERE t.c1 NOT IN (SELECT c1 FROM (@) AS u)",
            "SELECT t.c1 FROM (#) AS t WHERE t.c1 = 1 OR EXISTS (SELECT 1 FROM (@) AS u WHERE u.c1 = t.c1)",
            "SELECT EXISTS (SELECT 1 FROM (@) AS u) AS c1 FROM (#) AS t",
            "SELECT t.c1 FROM (#) AS t CROSS JOIN (SELECT max(u.c1) AS c1 FROM (@) AS u) AS v",
            "SELECT t.c1 FROM (#) AS t ORDER BY EXISTS (SELECT 1 FROM (@) AS u) LIMIT 3 OFFSET 1",
            "SELECT t.c1 FROM (#) AS t LIMIT (SELECT count(*) FROM (@) AS u)",
            "SELECT t.c1, count(*) AS c2 FROM (@) AS t GROUP BY t.c1 HAVING count(*) > 0",
            "SELECT t.c1 FROM (#) AS t GROUP BY t.c1 HAVING EXISTS (SELECT 1 FROM (@) AS u)",
        ];
        for shape in shapes {
            let shape = shape.replace('#', &good);
            assert!(proven(&shape.replace('@', &good)), "{shape}");
            assert!(!proven(&shape.replace('@', &bad)), "{shape}");
            assert!(!proven(&shape.replace('@', r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b""#)), "{shape}");
        }
    }

    #[test]
    fn clauses_that_are_never_written_are_refused() {
        let released = released();
        assert!(!proven(&released.replace(" FROM ", " INTO stolen FROM ")));
        assert!(!proven(&format!("{released} FOR UPDATE")));
        assert!(!proven(&format!("SELECT * FROM ({released}) AS t, LATERAL (SELECT 1 FROM main.patients AS b) AS u")));
    }

    #[test]
    fn what_policy_did_not_name_is_refused() {
        assert!(!proven(r#"SELECT 1 AS "c1" FROM "main"."staff" AS "b""#));
        assert!(!proven(r#"SELECT 1 AS "c1" FROM "patients" AS "b""#));
        assert!(!proven("DELETE FROM main.patients"));
        assert!(!proven(&format!("{}; SELECT 1", released())));
        assert!(!proven(&format!("WITH x AS ({}) SELECT * FROM x", released())));
        assert!(!proven("no sql"));
    }
}
