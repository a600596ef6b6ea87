//! How one kind of database writes SQL, and what it declares of its own behaviour.
//!
//! A dialect says of each expression whether the source's answer is *exact*, a *superset* (push it, and check again here)
//! or must stay *local*. The default is exact; what a source cannot do, it declares, and tests prove.

use arrow::datatypes::DataType;

use crate::{
    Aggregate, AggregateFunction, ArithmeticOp, CompareOp, DatePart, DateUnit, Expr, Form, Frame, JoinKind, KeyFormat,
    Mask, NullsOrder, OutputColumn, Slice, SortDirection, TextFunction, Value, WindowCall,
};

/// What becomes of an expression at a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// The source's answer is ours, for every value of these types.
    Exact,
    /// Every row that we would keep is kept there, and perhaps more: as a filter it may be pushed, and is checked again.
    Superset { reason: &'static str },
    /// It stays here.
    Local { reason: &'static str },
}

/// How long a constant pattern of LIKE may be to be matched against rows that nobody may learn of. Matchers fail by the
/// pattern alone (SQLite's and the regular expressions here by its length) or by pattern and text together (PostgreSQL's
/// stack, by the number of `%`).
pub const LONGEST_PATTERN_BYTES: usize = 1_000;

/// What a text is about to be used for, which decides whether the source's own collation will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextUse {
    /// `=`, `IN`, `GROUP BY`, `DISTINCT`
    Equality,
    /// `<`, `ORDER BY`, `min`, `max`
    Order,
}

/// How a database groups by several sets of expressions at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupingSets {
    /// `GROUP BY GROUPING SETS (…)` and `grouping(…)`.
    Native,
    /// One grouping a set, one below the other.
    UnionAll,
}

/// How a database best finds the rows whose key is in no row of another relation, NULLs leaving it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIn {
    /// `key NOT IN (SELECT …)`
    NotIn,
    /// `NOT EXISTS` of an equal key, beside what NULLs on either side mean: a plan by hashing, at any size.
    NotExists,
}

/// How a database best finds out whether another table has a row of an equal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProbe {
    /// `EXISTS` over the table itself, whose index or whose own plan serves.
    Correlated,
    /// `EXISTS` over the table's distinct keys, each made once.
    DistinctKeys,
}

/// Whether a predicate may be neither true nor false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    Possible,
    Impossible,
}

/// Rows that a SELECT gives out of all that it could: so many (`None` is all) after so many others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub fetch: Option<u64>,
    pub skip: u64,
    /// Whether the SELECT says in which order they stand.
    pub ordered: bool,
}

/// A [`Cut`] as SQL: what follows the word SELECT, and what ends the statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutSql {
    pub start: String,
    pub end: String,
}

/// A comparison that the renderer is about to write.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    pub op: CompareOp,
    pub left: &'a str,
    pub right: &'a str,
    pub left_operand: Operand<'a>,
    pub right_operand: Operand<'a>,
}

/// What is known of one side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    pub output: &'a OutputColumn,
    /// The constant that it is.
    pub literal: Option<&'a Value>,
}

/// Arithmetic that the renderer is about to write, with the types of its operands.
#[derive(Clone, Copy, Debug)]
pub struct Calculation<'a> {
    pub op: ArithmeticOp,
    pub left: (&'a str, &'a DataType),
    pub right: (&'a str, &'a DataType),
    pub data_type: &'a DataType,
}

/// One of the texts that the renderer is about to put one after the other.
#[derive(Clone, Debug)]
pub struct TextPart {
    pub sql: String,
    /// `None` where nothing tells.
    pub most_bytes: Option<u64>,
}

/// One kind of database's SQL. Every method returns a complete SQL expression that needs no further parentheses inside
/// a comparison or a function call.
pub trait Dialect: Send + Sync + std::fmt::Debug {
    fn name(&self) -> &'static str;

    /// What becomes of this one expression node over these input columns; its parts are asked on their own.
    fn expr_support(&self, expr: &Expr, input: &[OutputColumn]) -> Support;

    /// What becomes of an aggregate call; its argument and filter are asked on their own.
    fn aggregate_support(&self, call: &Aggregate, input: &[OutputColumn]) -> Support;

    /// What becomes of ordering by an expression of this output.
    fn sort_support(&self, output: &OutputColumn) -> Support;

    /// What becomes of grouping by an expression of this output.
    fn group_support(&self, output: &OutputColumn) -> Support;

    /// What becomes of a join of this kind.
    fn join_support(&self, _kind: JoinKind) -> Support {
        Support::Exact
    }

    fn quote_identifier(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn literal(&self, value: &Value) -> String;

    /// A base column, given as quoted SQL, as a value of its Arrow type (`b."id"::text` for a uuid).
    fn read_column(&self, quoted: &str, column: &OutputColumn) -> String;

    /// A base column given as quoted SQL, compared with a list of texts in its own type, so that its index serves.
    fn column_in_texts(&self, quoted: &str, column: &OutputColumn, texts: &[String]) -> String;

    /// Whether the pseudonym of a canonical key, given as SQL, is one of these (each as [`crate::Pseudonymiser::of`] writes it):
    /// one conjunct that cannot fail, true for every such row and perhaps for more. The secret comes beside the statement, see
    /// [`crate::Connector::query_pseudonymised`]. Without `pseudonyms` a comment stands in their place, as `IN (comment)`.
    ///
    /// `None` where the database cannot make pseudonyms of keys in this format: then no keys go there.
    fn in_pseudonyms(
        &self,
        _canonical_sql: &str,
        _format: KeyFormat,
        _pseudonyms: Option<&[String]>,
    ) -> Option<String> {
        None
    }

    /// The rows of one slice of the base table that is known by this quoted alias, as one conjunct that cannot fail: every
    /// row is in exactly one of a list of adjoining slices that begins at page 0 and ends open. `None` where the database
    /// has no such order of its own.
    fn slice(&self, _alias: &str, _slice: Slice) -> Option<String> {
        None
    }

    /// A text operand with the collation that the use asks for.
    fn text(&self, sql: &str, output: &OutputColumn, text_use: TextUse) -> String;

    fn compare(&self, comparison: Comparison<'_>) -> String {
        format!("{} {} {}", comparison.left, comparison.op.sql(), comparison.right)
    }

    /// A predicate as a value, where the database tells the two apart.
    fn truth_of(&self, predicate: &str, _unknown: Unknown) -> String {
        predicate.to_owned()
    }

    /// A boolean value as a predicate, where the database tells the two apart.
    fn predicate_of(&self, value: &str) -> String {
        value.to_owned()
    }

    /// A text as part of another expression, where a column's own type or collation would keep it from that.
    fn plain_text(&self, sql: &str, _output: &OutputColumn) -> String {
        sql.to_owned()
    }

    /// What groups and distinguishes rows in the place of a value, where the database takes values for equal that differ:
    /// equal for exactly those rows whose values are. `None` where it is the value itself.
    fn distinct_key(&self, _sql: &str, _output: &OutputColumn) -> Option<String> {
        None
    }

    /// The value whose [`Dialect::distinct_key`] this is.
    fn of_distinct_key(&self, key: &str) -> String {
        key.to_owned()
    }

    /// Case-sensitive LIKE over a constant pattern in which `\` escapes, at most [`LONGEST_PATTERN_BYTES`] long.
    fn like(&self, text: &str, pattern: &str) -> String;

    fn widen(&self, sql: &str, from: &DataType, to: &DataType) -> String;

    /// Written only where [`crate::arithmetic_support`] has shown that no row can make it fail.
    fn arithmetic(&self, calculation: Calculation<'_>) -> String {
        let Calculation { op, left: (left, _), right: (right, _), .. } = calculation;
        format!("{left} {} {right}", op.sql())
    }

    fn concat(&self, parts: &[TextPart]) -> String;

    fn of_text(&self, function: &TextFunction, sql: &str) -> String;

    fn date_part(&self, part: DatePart, sql: &str, input: &OutputColumn) -> String;

    fn truncate(&self, to: DateUnit, sql: &str, input: &OutputColumn) -> String;

    /// [`KeyFormat::canonical`] as SQL over a text expression.
    fn canonical_key(&self, sql: &str, format: KeyFormat) -> String;

    /// The single written form of a canonical key; see [`KeyFormat::written`].
    fn written_key(&self, canonical_sql: &str, format: KeyFormat) -> String {
        let separator = match format.form {
            Form::Compact | Form::Mixed => return canonical_sql.to_owned(),
            Form::Spaced => " ",
            Form::Hyphenated => "-",
        };
        format!(
            "(substr({canonical_sql}, 1, 3) || '{separator}' || substr({canonical_sql}, 4, 3) || '{separator}' || \
             substr({canonical_sql}, 7, 4))"
        )
    }

    fn mask(&self, sql: &str, input: &OutputColumn, mask: Mask) -> String;

    /// A date, timestamp or text column as a date; NULL where it is none. It must not be able to fail.
    fn date_of(&self, sql: &str, column: &OutputColumn) -> String;

    /// Whether a value may be computed by [`crate::Expr::Exists`], and not only a row be kept by it.
    fn looks_up_in_values(&self) -> bool {
        true
    }

    /// `argument` is `None` for `count(*)`; the filter is already folded in by the renderer.
    fn aggregate(&self, call: &Aggregate, argument: Option<&str>) -> String {
        let name = self.aggregate_name(call.function);
        match (argument, call.distinct) {
            (None, _) => format!("{name}(*)"),
            (Some(argument), true) => format!("{name}(DISTINCT {argument})"),
            (Some(argument), false) => format!("{name}({argument})"),
        }
    }

    fn aggregate_name(&self, function: AggregateFunction) -> &'static str {
        match function {
            AggregateFunction::Count => "count",
            AggregateFunction::Sum => "sum",
            AggregateFunction::Min => "min",
            AggregateFunction::Max => "max",
        }
    }

    /// What is aggregated, with the type in which the aggregate is computed.
    fn aggregate_argument(&self, _function: AggregateFunction, sql: &str, _input: &OutputColumn) -> String {
        sql.to_owned()
    }

    /// What becomes of a window function's call; its parts, and an aggregate over a window, are asked on their own.
    fn window_support(&self, _call: &WindowCall, _input: &[OutputColumn]) -> Support {
        Support::Exact
    }

    /// A finished window function's call, with the type that was promised.
    fn window(&self, _call: &WindowCall, sql: &str) -> String {
        sql.to_owned()
    }

    /// The rows around the current one, as the end of a call's OVER.
    fn frame(&self, call: &WindowCall) -> Option<String> {
        call.frame.map(Frame::sql)
    }

    fn grouping_sets(&self) -> GroupingSets {
        GroupingSets::UnionAll
    }

    /// For a key of the other table and the enclosing row's; a computed one has no source type.
    fn key_probe(&self, _inner: &OutputColumn, _outer: &OutputColumn) -> KeyProbe {
        KeyProbe::Correlated
    }

    fn not_in(&self) -> NotIn {
        NotIn::NotIn
    }

    /// What becomes of EXISTS as a value of a select list.
    fn mark_join_support(&self) -> Support {
        Support::Exact
    }

    /// The end of a SELECT that gives so many rows (`None` is all) after so many others.
    fn limit(&self, fetch: Option<u64>, skip: u64) -> String {
        let fetch = fetch.map_or(String::new(), |fetch| format!(" LIMIT {fetch}"));
        let skip = if skip == 0 { String::new() } else { format!(" OFFSET {skip}") };
        format!("{fetch}{skip}")
    }

    /// The same as SQL before and after the rest of the SELECT.
    fn cut(&self, cut: Cut) -> CutSql {
        CutSql { start: String::new(), end: self.limit(cut.fetch, cut.skip) }
    }

    /// Whether a derived table may say in which order its rows stand though it gives all of them.
    fn orders_derived_tables(&self) -> bool {
        true
    }

    fn sort_key(&self, sql: &str, direction: SortDirection, nulls: NullsOrder) -> String {
        let direction = match direction {
            SortDirection::Ascending => "ASC",
            SortDirection::Descending => "DESC",
        };
        let nulls = match nulls {
            NullsOrder::First => "NULLS FIRST",
            NullsOrder::Last => "NULLS LAST",
        };
        format!("{sql} {direction} {nulls}")
    }

    /// Whether computed values of this type arrive as well, which not every database has.
    fn delivers(&self, _data_type: &DataType) -> bool {
        false
    }

    /// The outermost select list's expression, cast so that the value arrives as exactly this type.
    fn deliver(&self, sql: &str, output: &OutputColumn, to: &DataType) -> String;

    /// [`Dialect::expr_support`] over the whole expression: a part that is a superset is not one inside another
    /// expression (under NOT it would lose rows), so there it makes the whole local.
    fn support(&self, expr: &Expr, input: &[OutputColumn]) -> Support {
        for part in expr.children() {
            match self.support(part, input) {
                Support::Exact => {}
                Support::Superset { reason } | Support::Local { reason } => return Support::Local { reason },
            }
        }
        self.expr_support(expr, input)
    }
}
