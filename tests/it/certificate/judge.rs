//! Four answers to one query, compared: pushed, local, the oracle's, and where it may be asked the source's own.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Query, Statement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::TryStreamExt;
use wayleave::engine::Engine;

use super::oracle::{Answer, text_rows};
use super::portable::portable;
use super::stage::{Source, Stage, asker};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Everything pushed down that can be.
    Pushed,
    /// The released relations alone.
    Local,
    /// The agency's own database.
    Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    Rows,
    Order,
    Types,
    /// It fails where the oracle answers.
    Fails,
    /// It answers where the oracle fails.
    Answers,
}

/// One side's answer is not the oracle's.
#[derive(Clone, Debug)]
pub struct Finding {
    pub side: Side,
    pub difference: Difference,
    pub told: String,
}

impl Finding {
    pub fn is_like(&self, other: &Self) -> bool {
        self.side == other.side && self.difference == other.difference
    }
}

#[derive(Debug)]
pub enum Verdict {
    /// Everybody gives this, the source as well where it was asked.
    Agree {
        answer: Answer,
        source_asked: bool,
    },
    /// Everybody refuses.
    Refused(String),
    /// The oracle's own answer depends on the order of rows or wraps around, or memory ran out.
    Void,
    Differ {
        findings: Vec<Finding>,
        expected: Result<Answer, String>,
    },
}

pub fn parse(sql: &str) -> Result<Query, String> {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| error.to_string())?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(*query),
        _ => Err("not one query".to_owned()),
    }
}

/// Which sides are asked; the source is wherever it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Everybody,
    /// Everybody but the engine with the released relations alone, while nothing is found.
    NotLocal,
}

pub async fn judge(stage: &Stage, sql: &str, asked: Asked) -> Verdict {
    let expected = stage.oracle.answer(sql).await;
    let parsed = parse(sql);
    let ordered = parsed.as_ref().is_ok_and(|query| query.order_by.is_some());
    let mut findings = Vec::new();
    let mut void = false;
    for (side, engine) in [(Side::Pushed, &stage.full), (Side::Local, &stage.local)] {
        // It may yet tell that a sum is too large for anybody.
        if side == Side::Local && asked == Asked::NotLocal && findings.is_empty() {
            continue;
        }
        match (engine_answer(engine, sql).await, &expected) {
            (Ok(answer), Ok(expected)) => findings.extend(compare(side, &answer, expected, ordered)),
            (Err(_), Err(_)) => {}
            (Err(error), Ok(_)) => {
                // Arithmetic that overflows is an error of ours, and wraps around in plain DataFusion.
                if error.contains("Resources exhausted") || error.contains("a number out of range") {
                    return Verdict::Void;
                }
                findings.push(Finding { side, difference: Difference::Fails, told: format!("fails: {error}") });
            }
            // Which rows an expression meets is the plan's choice: one that pushed filters spare fails no more.
            (Ok(_), Err(error)) if fails_beside_the_query(error) => void = true,
            (Ok(answer), Err(error)) => {
                let told = format!("gives {} rows where the oracle fails: {error}", answer.rows.len());
                findings.push(Finding { side, difference: Difference::Answers, told });
            }
        }
    }
    let mut source_asked = false;
    if let (Ok(expected), Ok(query)) = (&expected, &parsed)
        && let Some(portable) = portable(query, &stage.oracle.released)
        // What a source refuses (an overflow, a division by zero) is no answer to compare with.
        && let Some(source) = stage.sources.get(&portable.agency)
        && let Ok(rows) = source_answer(source, &portable.sql).await
    {
        source_asked = true;
        let answer = Answer { schema: expected.schema.clone(), rows };
        findings.extend(compare(Side::Source, &answer, expected, ordered));
    }
    if findings.is_empty() {
        return match expected {
            Ok(answer) => Verdict::Agree { answer, source_asked },
            Err(_) if void => Verdict::Void,
            Err(error) => Verdict::Refused(error),
        };
    }
    if let Ok(answer) = &expected {
        let reversed = stage.oracle.answer_of_reversed(sql).await;
        let Ok(reversed) = reversed else { return Verdict::Void };
        match compare(Side::Local, &reversed, answer, ordered) {
            None => {}
            // Ties: the rows are sure, and their order is not.
            Some(Finding { difference: Difference::Order, .. }) => {
                findings.retain(|finding| finding.difference != Difference::Order);
                if findings.is_empty() {
                    return Verdict::Void;
                }
            }
            Some(_) => return Verdict::Void,
        }
    }
    Verdict::Differ { findings, expected }
}

/// Whether the error is about a value that was met, or about a plan of DataFusion's own making, and not about the query.
fn fails_beside_the_query(error: &str) -> bool {
    ["Arrow error", "Execution error", "Divide by zero", "overflow", "Cannot cast", "SanityCheckPlan"]
        .iter()
        .any(|words| error.contains(words))
}

async fn engine_answer(engine: &Engine, sql: &str) -> Result<Answer, String> {
    let answer = engine.query(&asker(), sql).await.map_err(|error| told(&error))?;
    let schema = answer.schema.clone();
    let batches: Vec<RecordBatch> =
        answer.batches.try_collect().await.map_err(|error| told(&wayleave::error::Error::from(error)))?;
    Ok(Answer { schema, rows: text_rows(&batches) })
}

fn told(error: &wayleave::error::Error) -> String {
    let source = match error {
        wayleave::error::Error::Source { source, .. } => source.operator_detail().unwrap_or_default(),
        _ => "",
    };
    [error.to_string(), error.detail().unwrap_or_default(), source.to_owned()]
        .join("; ")
        .trim_end_matches(' ')
        .to_owned()
}

async fn source_answer(source: &Source, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    match source {
        Source::Postgres(client) => client.rows(sql).await,
        Source::Sqlite(connection) => sqlite_rows(connection, sql).map_err(|error| error.to_string()),
    }
}

fn sqlite_rows(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Vec<Vec<Option<String>>>> {
    use rusqlite::types::Value;
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| {
                Ok(match row.get::<_, Value>(column)? {
                    Value::Null => None,
                    Value::Integer(number) => Some(number.to_string()),
                    Value::Real(number) => Some(number.to_string()),
                    Value::Text(text) => Some(text),
                    Value::Blob(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
                })
            })
            .collect()
    })?;
    rows.collect()
}

/// The first way in which an answer is not the expected one.
pub fn compare(side: Side, answer: &Answer, expected: &Answer, ordered: bool) -> Option<Finding> {
    let types = |answer: &Answer| -> Vec<DataType> {
        answer.schema.fields().iter().map(|field| field.data_type().clone()).collect()
    };
    let (given, wanted) = (types(answer), types(expected));
    if given != wanted {
        return Some(Finding { side, difference: Difference::Types, told: format!("types {given:?}, not {wanted:?}") });
    }
    let loose = side == Side::Source;
    let typed = |answer: &Answer| -> Vec<Vec<Value>> {
        let value = |(text, data_type)| Value::read(text, data_type);
        answer.rows.iter().map(|row| row.iter().zip(&wanted).map(value).collect()).collect()
    };
    let (given, wanted) = (typed(answer), typed(expected));
    let same = |given: &[Vec<Value>], wanted: &[Vec<Value>]| {
        given.len() == wanted.len()
            && given.iter().zip(wanted).all(|(given, wanted)| {
                given.len() == wanted.len()
                    && given.iter().zip(wanted).all(|(given, wanted)| given.is_close_to(wanted, loose))
            })
    };
    let sorted = |rows: &[Vec<Value>]| {
        let mut rows = rows.to_vec();
        rows.sort_by(|one, other| order(one, other));
        rows
    };
    let told = || format!("gives\n{}\n  not\n{}", listed(&answer.rows), listed(&expected.rows));
    if !same(&sorted(&given), &sorted(&wanted)) {
        return Some(Finding { side, difference: Difference::Rows, told: told() });
    }
    if ordered && !same(&given, &wanted) {
        return Some(Finding { side, difference: Difference::Order, told: told() });
    }
    None
}

fn listed(rows: &[Vec<Option<String>>]) -> String {
    let shown = |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |text| format!("{text:?}"));
    let lines: Vec<String> = rows
        .iter()
        .take(20)
        .map(|row| format!("    {}", row.iter().map(shown).collect::<Vec<_>>().join(" | ")))
        .collect();
    format!("{}\n    ({} rows)", lines.join("\n"), rows.len())
}

/// A value as it is compared.
#[derive(Clone, Debug)]
enum Value {
    Null,
    Exact(String),
    Float(f64),
}

impl Value {
    fn read(text: &Option<String>, data_type: &DataType) -> Self {
        let Some(text) = text else { return Self::Null };
        match data_type {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                text.parse().map_or_else(|_| Self::Exact(text.clone()), Self::Float)
            }
            DataType::Boolean => Self::Exact(matches!(text.as_str(), "true" | "t" | "1").to_string()),
            DataType::Decimal128(..) | DataType::Decimal256(..) => {
                let plain = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
                Self::Exact(if plain == "-0" { "0".to_owned() } else { plain.to_owned() })
            }
            DataType::Timestamp(..) => {
                let plain = text.replace('T', " ");
                let plain = plain.trim_end_matches('Z').trim_end_matches("+00");
                let plain = if plain.contains('.') { plain.trim_end_matches('0').trim_end_matches('.') } else { plain };
                Self::Exact(plain.to_owned())
            }
            DataType::Binary => Self::Exact(text.trim_start_matches("\\x").to_owned()),
            _ => Self::Exact(text.clone()),
        }
    }

    /// The order of summing may move the last digits of a float, and a source may round an average elsewhere.
    fn is_close_to(&self, other: &Self, loose: bool) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Exact(one), Self::Exact(other)) => {
                one == other
                    || (loose
                        && one.contains('.')
                        && matches!((one.parse::<f64>(), other.parse::<f64>()), (Ok(one), Ok(other)) if close(one, other, 1e-5)))
            }
            (Self::Float(one), Self::Float(other)) => close(*one, *other, 0.0),
            _ => false,
        }
    }
}

fn close(one: f64, other: f64, absolute: f64) -> bool {
    if one.is_nan() || other.is_nan() {
        return one.is_nan() && other.is_nan();
    }
    if one == other {
        return one != 0.0 || one.is_sign_negative() == other.is_sign_negative();
    }
    (one - other).abs() <= absolute.max(1e-9 * one.abs().max(other.abs()))
}

/// What is exact decides first, so that floats that nearly agree stand beside each other.
fn order(one: &[Value], other: &[Value]) -> std::cmp::Ordering {
    let exact = |row: &[Value]| -> Vec<Option<String>> {
        row.iter()
            .map(|value| match value {
                Value::Null => None,
                Value::Exact(text) => Some(text.clone()),
                Value::Float(_) => Some("number".to_owned()),
            })
            .collect()
    };
    exact(one).cmp(&exact(other)).then_with(|| {
        for pair in one.iter().zip(other) {
            if let (Value::Float(one), Value::Float(other)) = pair {
                let order = one.total_cmp(other);
                if order.is_ne() {
                    return order;
                }
            }
        }
        std::cmp::Ordering::Equal
    })
}
