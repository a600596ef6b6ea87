//! What a policy releases, read row by row: nothing here knows the engine.
//!
//! In: a world. Out: each shared table as its asker sees it, every value as text.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chrono::NaiveDate;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::case::{Agreement, Cell, Connector, Register, Share, Table, World};
use super::stage::{PURPOSE_CODES, RECIPIENT_CODES};
use crate::harness::today;

/// A table as the asker sees it.
#[derive(Clone, Debug)]
pub struct Released {
    pub agency: String,
    pub connector: Connector,
    pub schema: String,
    pub table: String,
    pub columns: Vec<(String, DataType)>,
    pub rows: Vec<Vec<Option<String>>>,
    /// The released subject key, and a column of which no two rows have the same.
    pub key: Option<String>,
    pub unique: Option<String>,
}

/// How a world is read: the right way, or one that a test of the test gets wrong.
pub type Reading = fn(&World) -> Vec<Released>;

pub fn released(world: &World) -> Vec<Released> {
    world.shares().map(|(agreement, share)| released_table(world, agreement, share)).collect()
}

fn released_table(world: &World, agreement: &Agreement, share: &Share) -> Released {
    let agency = world.agency(&share.agency);
    let table = world.table(&share.agency, &share.table);
    let filter = share.rows.as_deref().map(parse_filter);
    let mut rows = Vec::new();
    for cells in &table.rows {
        let row = read_row(table, agency.connector, cells);
        let key = table.subject.as_ref().and_then(|subject| canonical(row[&subject.column].as_deref()?, &subject.form));
        let passes = filter.as_ref().is_none_or(|filter| holds(filter, &row) == Some(true));
        if passes && consents(world, agreement, key.as_deref()) {
            rows.push(share.columns.iter().map(|column| shown(table, share, column, &row, key.as_deref())).collect());
        }
    }
    let subject = table.subject.as_ref().map(|subject| subject.column.clone());
    let plain = |column: &String| share.columns.contains(column) && !share.mask.contains_key(column);
    let unique = table.columns.iter().find(|(_, kind)| kind.ends_with(" unique")).map(|(name, _)| name.clone());
    Released {
        agency: share.agency.clone(),
        connector: agency.connector,
        schema: agency.schema.clone(),
        table: share.table.clone(),
        columns: share
            .columns
            .iter()
            .map(|column| {
                let data_type = match share.mask.get(column).map(String::as_str) {
                    Some("year") => DataType::Int32,
                    _ => table.kind(column).arrives_as(agency.connector),
                };
                (column.clone(), data_type)
            })
            .collect(),
        rows,
        key: subject.filter(plain),
        unique: unique.filter(plain),
    }
}

type Row = BTreeMap<String, Option<String>>;

fn read_row(table: &Table, connector: Connector, cells: &[Cell]) -> Row {
    let read = |(name, _): &(String, String), cell: &Cell| {
        let kind = table.kind(name);
        (name.clone(), cell.text().and_then(|text| kind.read(text, connector)))
    };
    table.columns.iter().zip(cells).map(|(column, cell)| read(column, cell)).collect()
}

fn shown(table: &Table, share: &Share, column: &str, row: &Row, key: Option<&str>) -> Option<String> {
    let is_subject = table.subject.as_ref().is_some_and(|subject| subject.column == column);
    let plain = if is_subject { key.map(str::to_owned) } else { row[column].clone() };
    let Some(mask) = share.mask.get(column) else { return plain };
    match mask.split_once(' ').unwrap_or((mask, "")) {
        ("null", _) => None,
        ("constant", text) => Some(text.to_owned()),
        ("year", _) => plain.map(|date| date[..4].parse::<i32>().unwrap().to_string()),
        ("outward", _) => outward(plain?.trim_matches(' ')),
        ("last", count) => {
            let (text, count) = (plain?, count.parse::<usize>().unwrap());
            let characters: Vec<char> = text.chars().collect();
            let shown = if characters.len() > count { &characters[characters.len() - count..] } else { &[] };
            Some(format!("***{}", shown.iter().collect::<String>()))
        }
        other => panic!("no mask {other:?}"),
    }
}

/// `TQ1 4AA` and `TQ14AA` give `TQ1`.
fn outward(text: &str) -> Option<String> {
    let length = |part: &str| part.chars().count();
    match text.split_once(' ') {
        Some((first, _)) => (1..=4).contains(&length(first)).then(|| first.to_owned()),
        None => (5..=7).contains(&length(text)).then(|| text.chars().take(length(text) - 3).collect()),
    }
}

/// The ten digits of a key that is written in this form and has a right check digit.
fn canonical(written: &str, form: &str) -> Option<String> {
    let separators: &[&str] = match form {
        "compact" => &[""],
        "spaced" => &[" "],
        "hyphenated" => &["-"],
        "mixed" => &["", " ", "-"],
        other => panic!("no form `{other}`"),
    };
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    if digits.len() != 10 {
        return None;
    }
    let as_written = |separator: &&str| [&digits[..3], &digits[3..6], &digits[6..]].join(separator) == written;
    let weighted: u32 = digits.chars().zip(0..).map(|(digit, place)| digit.to_digit(10).unwrap() * (10 - place)).sum();
    (separators.iter().any(as_written) && weighted.is_multiple_of(11)).then_some(digits)
}

/// Whether the person behind a key lets this agreement have their rows.
fn consents(world: &World, agreement: &Agreement, key: Option<&str>) -> bool {
    let Some(consent) = &agreement.consent else { return true };
    let Some(key) = key else { return false };
    let registers = || world.register.iter().filter(|register| consent.registers.contains(&register.name));
    let refuses = registers().any(|register| decides(world, register, key, Decision::Deny));
    let agrees = registers().any(|register| decides(world, register, key, Decision::Permit));
    !refuses && (agrees || consent.no_information == "permit")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Permit,
    Deny,
}

/// Whether a register decides so for a person: some entry does, and no more specific one (for a permission, no equally
/// specific one) decides the other way.
fn decides(world: &World, register: &Register, key: &str, decision: Decision) -> bool {
    let agency = world.agency(&register.agency);
    let table = world.table(&register.agency, &register.table);
    let entries: Vec<Row> = table
        .rows
        .iter()
        .map(|cells| read_row(table, agency.connector, cells))
        .filter(|row| {
            let written = row[&register.subject.column].as_deref();
            written.and_then(|written| canonical(written, &register.subject.form)).as_deref() == Some(key)
        })
        .collect();
    let ranks = |decision| {
        let counting = entries.iter().filter(move |row| counts_as(register, row, decision));
        counting.map(|row| specificity(register, row)).collect::<Vec<_>>()
    };
    let (permits, denials) = (ranks(Decision::Permit), ranks(Decision::Deny));
    match decision {
        Decision::Deny => denials.iter().any(|denial| permits.iter().all(|permit| permit <= denial)),
        Decision::Permit => permits.iter().any(|permit| denials.iter().all(|denial| denial < permit)),
    }
}

/// How many codes an entry names, `*` being none; a NULL is taken for one.
fn specificity(register: &Register, row: &Row) -> usize {
    let coded = [&register.purpose, &register.recipient];
    coded.into_iter().flatten().filter(|column| row[*column].as_deref() != Some("*")).count()
}

/// Whether an entry is a permission, or a refusal, that is in force and about this purpose and recipient. What is unclear in
/// it never permits and always denies.
fn counts_as(register: &Register, row: &Row, decision: Decision) -> bool {
    let unclear = decision == Decision::Deny;
    let decided = match (register.kind.as_str(), &register.decision) {
        ("dissent", _) => decision == Decision::Deny,
        ("allow", _) => decision == Decision::Permit,
        (_, Some(column)) => match row[column].as_deref() {
            None => unclear,
            Some("yes") => decision == Decision::Permit,
            Some("no") => decision == Decision::Deny,
            Some(_) => false,
        },
        (kind, None) => panic!("a register of kind `{kind}` without decisions"),
    };
    let date = |column: &String| {
        let text = row[column].as_deref()?;
        NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()
    };
    let begun = register.from.as_ref().is_none_or(|from| date(from).map_or(unclear, |date| date <= today()));
    let lasts = register.until.as_ref().is_none_or(|until| match (&row[until], date(until)) {
        (None, _) => true,
        (Some(_), None) => unclear,
        (Some(_), Some(date)) => date >= today(),
    });
    let is_about = |column: &Option<String>, codes: &[&str]| {
        column.as_ref().is_none_or(|column| match row[column].as_deref() {
            None => unclear,
            Some(code) => code == "*" || codes.contains(&code),
        })
    };
    decided
        && begun
        && lasts
        && is_about(&register.purpose, &PURPOSE_CODES)
        && is_about(&register.recipient, &RECIPIENT_CODES)
}

pub fn parse_filter(rows: &str) -> Expr {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(rows).unwrap().parse_expr().unwrap()
}

/// A value of a row filter; dates compare as their texts do.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Operand {
    Boolean(bool),
    Integer(i128),
    Text(String),
}

/// SQL's own logic: `None` is unknown.
fn holds(expr: &Expr, row: &Row) -> Option<bool> {
    let not = |negated: bool, truth: Option<bool>| truth.map(|truth| truth != negated);
    match expr {
        Expr::Nested(inner) => holds(inner, row),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => not(true, holds(expr, row)),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => match (holds(left, row), holds(right, row)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => match (holds(left, row), holds(right, row)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Expr::BinaryOp { left, op, right } => compare(op, left, right, row),
        Expr::IsNull(inner) => Some(operand(inner, row).is_none()),
        Expr::IsNotNull(inner) => Some(operand(inner, row).is_some()),
        Expr::Between { expr, negated, low, high } => {
            let (least, most) =
                (compare(&BinaryOperator::GtEq, expr, low, row), compare(&BinaryOperator::LtEq, expr, high, row));
            not(*negated, least.zip(most).map(|(least, most)| least && most))
        }
        Expr::InList { expr, list, negated } => {
            let found = list.iter().map(|item| compare(&BinaryOperator::Eq, expr, item, row));
            not(*negated, found.reduce(|one, other| Some(one? || other?)).flatten())
        }
        Expr::Like { negated, expr, pattern, .. } => {
            let (Operand::Text(text), Operand::Text(pattern)) = (operand(expr, row)?, operand(pattern, row)?) else {
                panic!("LIKE is for text");
            };
            let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
            not(*negated, Some(like(&text, &pattern)))
        }
        _ => match operand(expr, row)? {
            Operand::Boolean(truth) => Some(truth),
            other => panic!("{other:?} is no truth"),
        },
    }
}

fn compare(op: &BinaryOperator, left: &Expr, right: &Expr, row: &Row) -> Option<bool> {
    let (left, right) = alike(operand(left, row)?, operand(right, row)?);
    Some(match op {
        BinaryOperator::Eq => left == right,
        BinaryOperator::NotEq => left != right,
        BinaryOperator::Lt => left < right,
        BinaryOperator::LtEq => left <= right,
        BinaryOperator::Gt => left > right,
        BinaryOperator::GtEq => left >= right,
        other => panic!("no row filter has {other}"),
    })
}

/// A column's cell is text until it is compared with what is none.
fn alike(left: Operand, right: Operand) -> (Operand, Operand) {
    let like = |one: Operand, other: &Operand| match (one, other) {
        (Operand::Text(text), Operand::Integer(_)) => Operand::Integer(text.parse().unwrap()),
        (Operand::Text(text), Operand::Boolean(_)) => Operand::Boolean(text == "true"),
        (one, _) => one,
    };
    (like(left.clone(), &right), like(right, &left))
}

fn operand(expr: &Expr, row: &Row) -> Option<Operand> {
    match expr {
        Expr::Nested(inner) => operand(inner, row),
        Expr::Identifier(name) => {
            let text = row[&name.value].clone()?;
            Some(match text.as_str() {
                // Only a boolean stands where a truth is asked for; elsewhere it is compared as the text that it was.
                "true" | "false" => Operand::Boolean(text == "true"),
                _ => Operand::Text(text),
            })
        }
        Expr::Value(value) => match &value.value {
            Value::Null => None,
            Value::Boolean(truth) => Some(Operand::Boolean(*truth)),
            Value::Number(digits, _) => Some(Operand::Integer(digits.parse().unwrap())),
            other => Some(Operand::Text(other.clone().into_string().unwrap())),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match operand(expr, row)? {
            Operand::Integer(number) => Some(Operand::Integer(-number)),
            other => panic!("no minus of {other:?}"),
        },
        Expr::TypedString(typed) => Some(Operand::Text(typed.value.value.clone().into_string().unwrap())),
        other => panic!("no row filter has {other}"),
    }
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skipped| like(&text[skipped..], rest)),
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest),
        ['\\', escaped, rest @ ..] => text.first() == Some(escaped) && like(&text[1..], rest),
        [plain, rest @ ..] => text.first() == Some(plain) && like(&text[1..], rest),
    }
}
