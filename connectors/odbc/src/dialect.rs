//! SQL that every database takes, and a declared set that every database computes alike.
//!
//! Only integers and what was made of them are compared, ordered and grouped there: what a database thinks of texts, floats,
//! decimals and moments is its own affair. A truth value travels as 1 or 0, since not every database has one.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;
use wayleave_connector_api::{
    Aggregate, AggregateFunction, DatePart, DateUnit, Dialect, Expr, KeyFormat, Mask, NullsOrder, OutputColumn,
    SortDirection, Support, TextFunction, TextPart, TextUse, Unknown, Value, WindowCall,
};

/// The one reason for all that stays here.
pub(crate) const KEPT: &str = "databases differ in this, and ODBC does not tell how";

/// Texts of one list: Oracle takes no longer one.
const LONGEST_LIST: usize = 500;

const LOCAL: Support = Support::Local { reason: KEPT };

/// What a connection tells of its database's SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub quote: char,
    pub cuts: Cuts,
}

/// How a SELECT ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// `OFFSET … FETCH`, of SQL:2008.
    Standard,
    Limit,
}

const UNTOLD: Told = Told { quote: '"', cuts: Cuts::Standard };

/// SQL for whatever is behind the driver.
#[derive(Clone, Debug, Default)]
pub struct OdbcDialect {
    told: Arc<OnceLock<Told>>,
}

impl OdbcDialect {
    /// The first connection tells it.
    pub(crate) fn tell(&self, told: Told) {
        self.told.get_or_init(|| told);
    }

    fn told(&self) -> Told {
        self.told.get().copied().unwrap_or(UNTOLD)
    }
}

impl Dialect for OdbcDialect {
    fn name(&self) -> &'static str {
        "odbc"
    }

    fn expr_support(&self, expr: &Expr, input: &[OutputColumn]) -> Support {
        let exact = |holds: bool| if holds { Support::Exact } else { LOCAL };
        let is_alike = |expr: &Expr| is_alike(&expr.output(input).data_type);
        match expr {
            Expr::Column(_)
            | Expr::Outer(_)
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_) => Support::Exact,
            Expr::Literal(value) => exact(is_written(value)),
            Expr::Compare { left, right, .. } => {
                exact(is_alike(left) && left.output(input).data_type == right.output(input).data_type)
            }
            Expr::InList { expr, list, .. } => exact(is_alike(expr) && list.iter().all(is_written)),
            Expr::Exists { probe, .. } => {
                let columns: Vec<OutputColumn> = probe.columns.iter().map(OutputColumn::from).collect();
                exact(probe.predicates.iter().all(|predicate| self.support(predicate, &columns) == Support::Exact))
            }
            Expr::Case { .. }
            | Expr::Coalesce(_)
            | Expr::Like { .. }
            | Expr::OfText { .. }
            | Expr::CanonicalKey { .. }
            | Expr::WrittenKey { .. }
            | Expr::Mask { .. }
            | Expr::Released { .. }
            | Expr::Concat(_)
            | Expr::Widen { .. }
            | Expr::Arithmetic { .. }
            | Expr::DatePart { .. }
            | Expr::Truncate { .. }
            | Expr::DateOf(_) => LOCAL,
        }
    }

    fn aggregate_support(&self, call: &Aggregate, input: &[OutputColumn]) -> Support {
        let argument = call.argument.as_ref().map(|expr| expr.output(input).data_type);
        match (call.function, argument) {
            (AggregateFunction::Count, argument) if !call.distinct || argument.as_ref().is_some_and(is_alike) => {
                Support::Exact
            }
            (AggregateFunction::Min | AggregateFunction::Max, Some(argument)) if is_alike(&argument) => Support::Exact,
            _ => LOCAL,
        }
    }

    fn sort_support(&self, output: &OutputColumn) -> Support {
        self.group_support(output)
    }

    fn group_support(&self, output: &OutputColumn) -> Support {
        if is_alike(&output.data_type) { Support::Exact } else { LOCAL }
    }

    fn quote_identifier(&self, name: &str) -> String {
        let quote = self.told().quote;
        let doubled: String = [quote, quote].iter().collect();
        format!("{quote}{}{quote}", name.replace(quote, &doubled))
    }

    fn literal(&self, value: &Value) -> String {
        match value {
            Value::Boolean(value) => if *value { "1" } else { "0" }.to_owned(),
            Value::Int16(number) => whole(i64::from(*number)),
            Value::Int32(number) => whole(i64::from(*number)),
            Value::Int64(number) => whole(*number),
            Value::Text(text) => quoted(text),
            _ => never(),
        }
    }

    /// A bit is a number or a truth value of the database's own; either equals a text that is written as it.
    fn read_column(&self, quoted: &str, column: &OutputColumn) -> String {
        match column.data_type {
            DataType::Boolean => format!("(CASE WHEN {quoted} = '1' THEN 1 WHEN {quoted} = '0' THEN 0 END)"),
            _ => quoted.to_owned(),
        }
    }

    /// Narrows texts to those that the database takes for equal, and nothing where a text could be read in another way.
    fn column_in_texts(&self, quoted_column: &str, column: &OutputColumn, texts: &[String]) -> String {
        let written: Vec<String> = match column.data_type {
            DataType::Utf8 => {
                if texts.iter().any(|text| text.is_empty() || text.contains('\\') || text.contains(char::is_control)) {
                    return format!("({quoted_column} IS NOT NULL)");
                }
                texts.iter().map(|text| quoted(text)).collect()
            }
            DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                let numbers =
                    texts.iter().filter_map(|text| text.parse().ok().filter(|n: &i64| n.to_string() == *text));
                numbers.map(whole).collect()
            }
            _ => return format!("({quoted_column} IS NOT NULL)"),
        };
        if written.is_empty() {
            return "(1 = 0)".to_owned();
        }
        let lists = written.chunks(LONGEST_LIST).map(|list| format!("{quoted_column} IN ({})", list.join(", ")));
        format!("({})", lists.collect::<Vec<_>>().join(" OR "))
    }

    fn text(&self, sql: &str, _output: &OutputColumn, _text_use: TextUse) -> String {
        sql.to_owned()
    }

    fn truth_of(&self, predicate: &str, unknown: Unknown) -> String {
        match unknown {
            Unknown::Possible => format!("(CASE WHEN {predicate} THEN 1 WHEN NOT ({predicate}) THEN 0 END)"),
            Unknown::Impossible => format!("(CASE WHEN {predicate} THEN 1 ELSE 0 END)"),
        }
    }

    fn predicate_of(&self, value: &str) -> String {
        format!("({value} = 1)")
    }

    fn like(&self, _text: &str, _pattern: &str) -> String {
        never()
    }

    fn widen(&self, _sql: &str, _from: &DataType, _to: &DataType) -> String {
        never()
    }

    fn concat(&self, _parts: &[TextPart]) -> String {
        never()
    }

    fn of_text(&self, _function: &TextFunction, _sql: &str) -> String {
        never()
    }

    fn date_part(&self, _part: DatePart, _sql: &str, _input: &OutputColumn) -> String {
        never()
    }

    fn truncate(&self, _to: DateUnit, _sql: &str, _input: &OutputColumn) -> String {
        never()
    }

    fn canonical_key(&self, _sql: &str, _format: KeyFormat) -> String {
        never()
    }

    fn written_key(&self, _canonical_sql: &str, _format: KeyFormat) -> String {
        never()
    }

    fn mask(&self, _sql: &str, _input: &OutputColumn, _mask: Mask) -> String {
        never()
    }

    fn looks_up_in_values(&self) -> bool {
        false
    }

    fn date_of(&self, _sql: &str, _column: &OutputColumn) -> String {
        never()
    }

    fn window_support(&self, _call: &WindowCall, _input: &[OutputColumn]) -> Support {
        LOCAL
    }

    fn limit(&self, fetch: Option<u64>, skip: u64) -> String {
        match (self.told().cuts, fetch) {
            (Cuts::Standard, Some(fetch)) => format!(" OFFSET {skip} ROWS FETCH NEXT {fetch} ROWS ONLY"),
            (Cuts::Standard, None) => format!(" OFFSET {skip} ROWS"),
            (Cuts::Limit, fetch) => {
                let most = fetch.unwrap_or(i64::MAX.cast_unsigned());
                if skip == 0 { format!(" LIMIT {most}") } else { format!(" LIMIT {most} OFFSET {skip}") }
            }
        }
    }

    /// Without NULLS FIRST, which not every database has.
    fn sort_key(&self, sql: &str, direction: SortDirection, nulls: NullsOrder) -> String {
        let direction = match direction {
            SortDirection::Ascending => "ASC",
            SortDirection::Descending => "DESC",
        };
        let (null, other) = match nulls {
            NullsOrder::First => (0, 1),
            NullsOrder::Last => (1, 0),
        };
        format!("CASE WHEN {sql} IS NULL THEN {null} ELSE {other} END, {sql} {direction}")
    }

    fn deliver(&self, sql: &str, _output: &OutputColumn, _to: &DataType) -> String {
        // The driver converts.
        sql.to_owned()
    }
}

fn is_alike(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

fn is_written(value: &Value) -> bool {
    matches!(value, Value::Boolean(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_))
}

/// A number that no sign before it makes a comment.
fn whole(number: i64) -> String {
    if number < 0 { format!("({number})") } else { number.to_string() }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// For what is declared to stay here.
fn never() -> String {
    "NULL".to_owned()
}
