//! How SQLite writes SQL, and what it declares of its own behaviour.
//!
//! In: parts of a fragment. Out: SQL text, and what SQLite answers as we would. Two things shape both. Values carry their
//! own type, so that a column may hold what it does not declare: dates, decimals and floats are compared here, where a
//! value that is none is an error, and not there. And text has a collation by column, so that every comparison of text
//! says `COLLATE BINARY`, which is the order of bytes.

use arrow::datatypes::DataType;
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Collation, Dialect, Expr, KeyFormat, Mask, OutputColumn, Support, TextUse, Value,
};

mod key;
mod literal;
mod pattern;

use crate::types::keeps_numbers_as_text;

const BINARY: &str = " COLLATE BINARY";

/// From this many texts on, an IN list is handed over as one JSON array, which SQLite parses faster than a list.
const LONGEST_WRITTEN_LIST: usize = 500;

/// SQLite refuses an expression deeper than 1,000 and reads a chain of ANDs or ORs as a tree of that depth.
const LONGEST_CHAIN: usize = 400;

/// SQLite refuses a pattern of more than 50,000 bytes when it meets the first row; escapes make one three times longer.
const LONGEST_PATTERN_BYTES: usize = 10_000;

/// A calendar date at the beginning of a text.
const DATE_SHAPE: &str = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*";

const FLOATS: Support = Support::Local { reason: "SQLite and we round and order floats in ways that may differ" };
const DECIMALS: Support = Support::Local { reason: "SQLite keeps decimals as binary floats" };
const DATES: Support = Support::Local { reason: "SQLite keeps dates as text and does not check their shape" };
const OTHERS: Support = Support::Local { reason: "SQLite has no type that corresponds" };
const COLLATED: Support = Support::Local { reason: "the order of this text is not the order of bytes" };
const LONG: Support = Support::Local { reason: "SQLite refuses an expression of this size" };

/// SQLite's SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqliteDialect;

impl Dialect for SqliteDialect {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn expr_support(&self, expr: &Expr, input: &[OutputColumn]) -> Support {
        match expr {
            Expr::Column(_)
            | Expr::Outer(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Case { .. }
            | Expr::Coalesce(_)
            | Expr::CanonicalKey { .. }
            | Expr::WrittenKey { .. }
            | Expr::Mask { .. }
            | Expr::DateOf(_)
            | Expr::Exists { .. } => Support::Exact,
            Expr::Literal(value) => literal::support(value),
            Expr::And(parts) | Expr::Or(parts) => {
                if parts.len() > LONGEST_CHAIN {
                    LONG
                } else {
                    Support::Exact
                }
            }
            Expr::Compare { op, left, right } => {
                let text_use = if op.is_equality() { TextUse::Equality } else { TextUse::Order };
                if [left, right].into_iter().all(|side| is_checked_date(side))
                    && [left, right].into_iter().any(|side| matches!(**side, Expr::DateOf(_)))
                {
                    return Support::Exact;
                }
                [left, right]
                    .into_iter()
                    // The enclosing side has the type of the side it is compared with.
                    .filter(|side| !matches!(***side, Expr::Outer(_)))
                    .map(|side| comparable(&side.output(input), text_use))
                    .find(|support| *support != Support::Exact)
                    .unwrap_or(Support::Exact)
            }
            Expr::InList { expr, list, .. } => {
                let unwritable = list.iter().map(literal::support).find(|support| *support != Support::Exact);
                unwritable.unwrap_or_else(|| comparable(&expr.output(input), TextUse::Equality))
            }
            Expr::Like { pattern, .. } => {
                if pattern.len() > LONGEST_PATTERN_BYTES {
                    LONG
                } else {
                    Support::Exact
                }
            }
            Expr::Widen { expr, to } => {
                if expr.output(input).data_type.is_integer() && to.is_integer() {
                    Support::Exact
                } else {
                    FLOATS
                }
            }
        }
    }

    fn aggregate_support(&self, call: &Aggregate, input: &[OutputColumn]) -> Support {
        let Some(argument) = &call.argument else { return Support::Exact };
        let output = argument.output(input);
        match call.function {
            AggregateFunction::Count if call.distinct => comparable(&output, TextUse::Equality),
            AggregateFunction::Count => Support::Exact,
            AggregateFunction::Sum => match &output.data_type {
                integer if integer.is_integer() => Support::Exact,
                other => comparable_type(other).unwrap_or(OTHERS),
            },
            AggregateFunction::Min | AggregateFunction::Max => comparable(&output, TextUse::Order),
        }
    }

    fn sort_support(&self, output: &OutputColumn) -> Support {
        comparable(output, TextUse::Order)
    }

    fn group_support(&self, output: &OutputColumn) -> Support {
        comparable(output, TextUse::Equality)
    }

    fn literal(&self, value: &Value) -> String {
        literal::write(value)
    }

    /// The column itself, but for two kinds that would otherwise mean there what they do not mean here.
    fn read_column(&self, quoted: &str, column: &OutputColumn) -> String {
        match (&column.data_type, &column.source_type) {
            // `NOT 'yes'` is true in SQLite: whatever is no boolean is unknown, so that no row filter lets it through.
            (DataType::Boolean, _) => format!("(CASE {quoted} WHEN 0 THEN 0 WHEN 1 THEN 1 END)"),
            // A type such as UUID or JSON has numeric affinity: what looks like a number was stored as one.
            (DataType::Utf8, Some(declared)) if !keeps_numbers_as_text(declared) => format!("CAST({quoted} AS TEXT)"),
            _ => quoted.to_owned(),
        }
    }

    fn column_in_texts(&self, quoted: &str, column: &OutputColumn, texts: &[String]) -> String {
        if texts.is_empty() {
            return "1 = 0".to_owned();
        }
        match &column.data_type {
            DataType::Utf8 => {
                let text = self.read_column(quoted, column);
                in_texts(&format!("{text}{BINARY}"), texts)
            }
            integer if integer.is_integer() => {
                // Only what an integer would be written as can be equal to one; as a number, the column's index serves.
                let written: Vec<String> = texts
                    .iter()
                    .filter_map(|text| text.parse::<i64>().ok().filter(|number| number.to_string() == *text))
                    .map(|number| number.to_string())
                    .collect();
                if written.is_empty() { "1 = 0".to_owned() } else { format!("{quoted} IN ({})", written.join(", ")) }
            }
            _ => in_texts(&format!("CAST({quoted} AS TEXT){BINARY}"), texts),
        }
    }

    fn text(&self, sql: &str, output: &OutputColumn, _text_use: TextUse) -> String {
        match output.data_type {
            DataType::Utf8 => format!("{sql}{BINARY}"),
            _ => sql.to_owned(),
        }
    }

    fn like(&self, text: &str, pattern: &str) -> String {
        pattern::like(text.strip_suffix(BINARY).unwrap_or(text), pattern)
    }

    fn widen(&self, sql: &str, to: &DataType) -> String {
        match to {
            DataType::Float32 | DataType::Float64 => format!("CAST({sql} AS REAL)"),
            // Every integer has 64 bits there already, and a CAST would turn a text that is none into 0.
            _ => sql.to_owned(),
        }
    }

    fn canonical_key(&self, sql: &str, format: KeyFormat) -> String {
        key::canonical(sql, format)
    }

    fn mask(&self, sql: &str, _input: &OutputColumn, mask: Mask) -> String {
        match mask {
            Mask::OutwardPostcode => {
                let trimmed = format!("trim({sql}, ' ')");
                let blank = format!("instr({trimmed}, ' ')");
                format!(
                    "(CASE WHEN {blank} BETWEEN 2 AND 5 THEN substr({trimmed}, 1, {blank} - 1) \
                     WHEN {blank} = 0 AND length({trimmed}) BETWEEN 5 AND 7 \
                     THEN substr({trimmed}, 1, length({trimmed}) - 3) END)"
                )
            }
            Mask::YearOfDate => {
                format!("(CASE WHEN {} THEN CAST(substr(date({sql}), 1, 4) AS INTEGER) END)", is_date(sql))
            }
            Mask::LastCharacters(0) => format!("(CASE WHEN {sql} IS NOT NULL THEN '***' END)"),
            Mask::LastCharacters(count) => format!(
                "(CASE WHEN length({sql}) > {count} THEN '***' || substr({sql}, -{count}) \
                 WHEN {sql} IS NOT NULL THEN '***' END)"
            ),
        }
    }

    fn date_of(&self, sql: &str, _column: &OutputColumn) -> String {
        format!("(CASE WHEN {} THEN date({sql}) END)", is_date(sql))
    }

    fn deliver(&self, sql: &str, _output: &OutputColumn, _to: &DataType) -> String {
        // Reading goes by the schema, whatever the storage class.
        sql.to_owned()
    }
}

/// `date()` alone reads `now`, `2451545` and the 30th of February as dates, and hour 24 as the day after.
fn is_date(sql: &str) -> String {
    format!(
        "{sql} GLOB '{DATE_SHAPE}' AND date({sql}) IS NOT NULL AND date(substr({sql}, 1, 10)) = substr({sql}, 1, 10) \
         AND substr({sql}, 12, 2) <> '24'"
    )
}

/// Whether SQLite holds this date as ten characters that compare as dates do.
fn is_checked_date(expr: &Expr) -> bool {
    match expr {
        Expr::DateOf(_) | Expr::Literal(Value::Null(_)) => true,
        Expr::Literal(value @ Value::Date(_)) => literal::support(value) == Support::Exact,
        _ => false,
    }
}

fn comparable(output: &OutputColumn, text_use: TextUse) -> Support {
    match (&output.data_type, output.collation, text_use) {
        (DataType::Utf8, Collation::Loose, _) | (DataType::Utf8, Collation::EqualityOnly, TextUse::Order) => COLLATED,
        (data_type, _, _) => comparable_type(data_type).unwrap_or(Support::Exact),
    }
}

/// Why values of this type are not compared in SQLite; `None` where they are.
fn comparable_type(data_type: &DataType) -> Option<Support> {
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Utf8
        | DataType::Binary => None,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(FLOATS),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Some(DECIMALS),
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => {
            Some(DATES)
        }
        _ => Some(OTHERS),
    }
}

fn in_texts(operand: &str, texts: &[String]) -> String {
    let list = |texts: &[&String]| texts.iter().map(|text| literal::text(text)).collect::<Vec<_>>().join(", ");
    if texts.len() <= LONGEST_WRITTEN_LIST {
        return format!("{operand} IN ({})", list(&texts.iter().collect::<Vec<_>>()));
    }
    // A text in JSON ends at its first NUL as far as SQLite is concerned.
    let (with_nul, plain): (Vec<&String>, Vec<&String>) = texts.iter().partition(|text| text.contains('\0'));
    let array = serde_json::Value::Array(plain.into_iter().map(|text| text.as_str().into()).collect()).to_string();
    let found = format!("{operand} IN (SELECT value FROM json_each({}))", literal::text(&array));
    if with_nul.is_empty() { found } else { format!("({found} OR {operand} IN ({}))", list(&with_nul)) }
}
