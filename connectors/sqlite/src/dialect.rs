//! How SQLite writes SQL, and what it declares of its own behaviour.
//!
//! In: parts of a fragment. Out: SQL text, and what SQLite answers as we would. Two things shape both. Values carry their
//! own type, so that a column may hold what it does not declare: dates, decimals and floats are compared here, where a
//! value that is none is an error, and not there. And text has a collation by column: where that is not `BINARY`, the order
//! of bytes, the SQL says `COLLATE BINARY` wherever the column stands. Keys, dates and masks are functions of our own
//! (`functions`), which SQLite runs in this process.

use arrow::datatypes::DataType;
use wayleave_connector_api::{
    AWAITED_PSEUDONYMS, Aggregate, AggregateFunction, Collation, DatePart, DateUnit, Dialect, Expr, KeyFormat,
    LONGEST_PATTERN_BYTES, Mask, OutputColumn, Support, TextFunction, TextPart, TextUse, Value, arithmetic_support,
    widens,
};

mod function;
mod key;
mod literal;
mod pattern;

use crate::functions::{
    AS_BOOLEAN, EXACT_SUM, INTEGER_SUM, ISO_DATE, JOIN_PSEUDONYM, LAST_CHARACTERS, OUTWARD_POSTCODE, YEAR_OF_DATE,
};
use crate::types::keeps_numbers_as_text;

const BINARY: &str = " COLLATE BINARY";

/// From this many texts on, an IN list is handed over as one JSON array, which SQLite parses faster than a list.
const LONGEST_WRITTEN_LIST: usize = 500;

/// SQLite refuses an expression deeper than 1,000 and reads a chain of ANDs or ORs as a tree of that depth.
const LONGEST_CHAIN: usize = 400;

const FLOATS: Support = Support::Local { reason: "SQLite and we round and order floats in ways that may differ" };
const DECIMALS: Support = Support::Local { reason: "SQLite keeps decimals as binary floats" };
const DATES: Support = Support::Local { reason: "SQLite keeps dates as text and does not check their shape" };
const OTHERS: Support = Support::Local { reason: "SQLite has no type that corresponds" };
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
            | Expr::Released { .. }
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
            Expr::Compare { left, right, .. } => {
                if [left, right].into_iter().all(|side| is_checked_date(side))
                    && [left, right].into_iter().any(|side| matches!(**side, Expr::DateOf(_)))
                {
                    return Support::Exact;
                }
                [left, right]
                    .into_iter()
                    // The enclosing side has the type of the side it is compared with.
                    .filter(|side| !matches!(***side, Expr::Outer(_)))
                    .map(|side| comparable(&side.output(input)))
                    .find(|support| *support != Support::Exact)
                    .unwrap_or(Support::Exact)
            }
            Expr::InList { expr, list, .. } => {
                let unwritable = list.iter().map(literal::support).find(|support| *support != Support::Exact);
                unwritable.unwrap_or_else(|| comparable(&expr.output(input)))
            }
            Expr::Like { pattern, .. } => {
                if pattern.len() > LONGEST_PATTERN_BYTES {
                    LONG
                } else {
                    Support::Exact
                }
            }
            Expr::Widen { expr, to } => widen_support(&expr.output(input).data_type, to),
            Expr::Arithmetic { data_type, .. } => match data_type {
                DataType::Decimal128(..) | DataType::Decimal256(..) => DECIMALS,
                _ => arithmetic_support(expr, input),
            },
            Expr::Concat(_) | Expr::OfText { .. } => Support::Exact,
            Expr::DatePart { .. } | Expr::Truncate { .. } => DATES,
        }
    }

    fn aggregate_support(&self, call: &Aggregate, input: &[OutputColumn]) -> Support {
        let Some(argument) = &call.argument else { return Support::Exact };
        let output = argument.output(input);
        match call.function {
            AggregateFunction::Count if call.distinct => comparable(&output),
            AggregateFunction::Count => Support::Exact,
            AggregateFunction::Sum if output.data_type.is_integer() => Support::Exact,
            AggregateFunction::Sum => match comparable(&output) {
                Support::Exact => OTHERS,
                other => other,
            },
            AggregateFunction::Min | AggregateFunction::Max => comparable(&output),
        }
    }

    fn sort_support(&self, output: &OutputColumn) -> Support {
        comparable(output)
    }

    fn group_support(&self, output: &OutputColumn) -> Support {
        comparable(output)
    }

    fn literal(&self, value: &Value) -> String {
        literal::write(value)
    }

    /// The column itself, but for three kinds that would otherwise mean there what they do not mean here.
    fn read_column(&self, quoted: &str, column: &OutputColumn) -> String {
        match (&column.data_type, &column.source_type) {
            // `NOT 'yes'` is true in SQLite: whatever is no boolean is unknown, so that no row filter lets it through.
            (DataType::Boolean, _) => format!("{AS_BOOLEAN}({quoted})"),
            (DataType::Utf8, declared) => {
                let is_text = declared.as_ref().is_none_or(|declared| keeps_numbers_as_text(declared));
                // A type such as UUID or JSON has numeric affinity: what looks like a number was stored as one.
                let text = if is_text { quoted.to_owned() } else { format!("CAST({quoted} AS TEXT)") };
                // The collation goes along from here, since whoever compares an enclosing column does not know it.
                by_bytes(&text, column.collation)
            }
            _ => quoted.to_owned(),
        }
    }

    fn column_in_texts(&self, quoted: &str, column: &OutputColumn, texts: &[String]) -> String {
        if texts.is_empty() {
            return "1 = 0".to_owned();
        }
        match &column.data_type {
            DataType::Utf8 => in_texts(&self.read_column(quoted, column), texts),
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

    fn in_pseudonyms(&self, canonical_sql: &str, _format: KeyFormat, pseudonyms: Option<&[String]>) -> Option<String> {
        // The connector binds the secret.
        let pseudonym = format!("{JOIN_PSEUDONYM}({canonical_sql}, ?1)");
        Some(match pseudonyms {
            None => format!("{pseudonym} IN ({AWAITED_PSEUDONYMS})"),
            Some([]) => "1 = 0".to_owned(),
            Some(pseudonyms) => in_texts(&pseudonym, pseudonyms),
        })
    }

    fn text(&self, sql: &str, output: &OutputColumn, _text_use: TextUse) -> String {
        match output.data_type {
            DataType::Utf8 => by_bytes(sql, output.collation),
            _ => sql.to_owned(),
        }
    }

    fn like(&self, text: &str, pattern: &str) -> String {
        pattern::like(text, pattern)
    }

    fn widen(&self, sql: &str, from: &DataType, to: &DataType) -> String {
        match (from, to) {
            (_, DataType::Float32 | DataType::Float64) => format!("CAST({sql} AS REAL)"),
            (DataType::Boolean, DataType::Utf8) => format!("(CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"),
            (_, DataType::Utf8) => format!("CAST({sql} AS TEXT)"),
            // Every integer has 64 bits there already, and a CAST would turn a text that is none into 0.
            _ => sql.to_owned(),
        }
    }

    fn concat(&self, parts: &[TextPart]) -> String {
        function::concat(parts)
    }

    fn of_text(&self, function: &TextFunction, sql: &str) -> String {
        function::of_text(function, sql)
    }

    /// Never asked for: dates stay here.
    fn date_part(&self, _part: DatePart, _sql: &str, _input: &OutputColumn) -> String {
        "NULL".to_owned()
    }

    fn truncate(&self, _to: DateUnit, _sql: &str, _input: &OutputColumn) -> String {
        "NULL".to_owned()
    }

    fn aggregate(&self, call: &Aggregate, argument: Option<&str>) -> String {
        let name = match (call.function, &call.data_type) {
            (AggregateFunction::Sum, DataType::Decimal128(..)) => EXACT_SUM,
            (function, _) => self.aggregate_name(function),
        };
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        match argument {
            None => format!("{name}(*)"),
            Some(argument) => format!("{name}({distinct}{argument})"),
        }
    }

    /// Its own `sum` of integers gives up where a part of it does not fit, even if the whole does.
    fn aggregate_name(&self, function: AggregateFunction) -> &'static str {
        match function {
            AggregateFunction::Count => "count",
            AggregateFunction::Sum => INTEGER_SUM,
            AggregateFunction::Min => "min",
            AggregateFunction::Max => "max",
        }
    }

    fn canonical_key(&self, sql: &str, format: KeyFormat) -> String {
        key::canonical(sql, format)
    }

    fn written_key(&self, canonical_sql: &str, format: KeyFormat) -> String {
        key::written(canonical_sql, format)
    }

    fn mask(&self, sql: &str, _input: &OutputColumn, mask: Mask) -> String {
        match mask {
            Mask::OutwardPostcode => format!("{OUTWARD_POSTCODE}({sql})"),
            Mask::YearOfDate => format!("{YEAR_OF_DATE}({sql})"),
            Mask::LastCharacters(count) => format!("{LAST_CHARACTERS}({sql}, {count})"),
        }
    }

    fn date_of(&self, sql: &str, _column: &OutputColumn) -> String {
        format!("{ISO_DATE}({sql})")
    }

    fn limit(&self, fetch: Option<u64>, skip: u64) -> String {
        match (fetch, skip) {
            (Some(fetch), 0) => format!(" LIMIT {fetch}"),
            (Some(fetch), _) => format!(" LIMIT {fetch} OFFSET {skip}"),
            (None, 0) => String::new(),
            // There is no OFFSET without a LIMIT, and a negative one is none.
            (None, _) => format!(" LIMIT -1 OFFSET {skip}"),
        }
    }

    fn deliver(&self, sql: &str, _output: &OutputColumn, _to: &DataType) -> String {
        // Reading goes by the schema, whatever the storage class.
        sql.to_owned()
    }
}

fn widen_support(from: &DataType, to: &DataType) -> Support {
    match to {
        DataType::Decimal128(..) | DataType::Decimal256(..) => DECIMALS,
        // Integers of SQLite's have 64 bits, and every one of ours a place there.
        DataType::Float32 | DataType::Float64 if !widens(from, to) || !from.is_integer() => FLOATS,
        _ if from == to || widens(from, to) => Support::Exact,
        _ => Support::Local { reason: "the cast could fail or lose digits, on a hidden row too" },
    }
}

/// Whether SQLite holds this date as ten characters that compare as dates do.
fn is_checked_date(expr: &Expr) -> bool {
    match expr {
        Expr::DateOf(_) | Expr::Literal(Value::Null(_)) => true,
        Expr::Literal(value @ Value::Date(_)) => literal::support(value) == Support::Exact,
        _ => false,
    }
}

/// Whether SQLite's answer to a comparison is ours: that of text always is, since `text` writes the collation.
fn comparable(output: &OutputColumn) -> Support {
    match &output.data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Utf8
        | DataType::Binary => Support::Exact,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => FLOATS,
        DataType::Decimal128(..) | DataType::Decimal256(..) => DECIMALS,
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => {
            DATES
        }
        _ => OTHERS,
    }
}

/// A text of a column that is compared by this collation, compared by bytes.
fn by_bytes(sql: &str, collation: Collation) -> String {
    match collation {
        Collation::EqualityOnly | Collation::Loose if !sql.ends_with(BINARY) => format!("{sql}{BINARY}"),
        Collation::Binary | Collation::EqualityOnly | Collation::Loose => sql.to_owned(),
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
