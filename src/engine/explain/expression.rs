//! Expressions of a plan in the words of SQL: with the author's names, without casts that nobody wrote.
//!
//! For reading, never for running.

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{
    AggregateFunctionParams, Case, Lambda, Like, NullTreatment, WindowFunctionParams,
};
use datafusion::logical_expr::{BinaryExpr, Expr, GroupingSet, Operator, SortExpr};

use super::glossary::{Glossary, Meaning, is_identifier, is_made_up};
use crate::expression::as_written;

/// Characters of one expression; a longer one is cut.
pub(super) const LONGEST: usize = 400;

/// Characters of one constant, and values of one list.
const LONGEST_CONSTANT: usize = 60;
const LONGEST_LIST: usize = 12;

/// Whether a row of another relation matches.
const MATCH: &str = "EXISTS (match)";

/// How deep meanings of names are looked up inside each other.
const DEEPEST: usize = 24;

/// How tightly a text binds: what stands in an operand's place gets parentheses where it binds less tightly.
const LOOSEST: u8 = 0;
const NOT: u8 = 12;
const COMPARISON: u8 = 20;
const UNARY: u8 = 50;
const ATOM: u8 = u8::MAX;

/// An expression, as a person may read it.
pub(super) fn words(expr: &Expr, glossary: &Glossary) -> String {
    cut(&Writer { glossary, depth: 0 }.at(expr, LOOSEST), LONGEST)
}

/// Several expressions with commas between them.
pub(super) fn listed<'e>(exprs: impl IntoIterator<Item = &'e Expr>, glossary: &Glossary) -> String {
    exprs.into_iter().map(|expr| words(expr, glossary)).collect::<Vec<_>>().join(", ")
}

/// What rows are ordered by.
pub(super) fn order(keys: &[SortExpr], glossary: &Glossary) -> String {
    cut(&Writer { glossary, depth: 0 }.order(keys), LONGEST)
}

/// A text in which names that the planner made up are replaced by what they stand for.
pub(super) fn without_made_up_names(text: &str, glossary: &Glossary) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at_checked(start).unwrap_or((rest, ""));
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (name, after) = from.split_at_checked(end).unwrap_or((from, ""));
        plain.push_str(before);
        match glossary.meaning_of_name(name) {
            Some(Meaning::Expr(expr)) if is_made_up(name) => plain.push_str(&words(expr, glossary)),
            Some(Meaning::Match) => plain.push_str(MATCH),
            Some(Meaning::Expr(_)) | None => plain.push_str(name),
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// A name, in quotes where SQL needs them.
pub(super) fn identifier(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text of at most so many characters.
pub(super) fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest).and_then(|(end, _)| text.get(..end)) {
        Some(start) => format!("{start}…"),
        None => text.to_owned(),
    }
}

struct Writer<'a> {
    glossary: &'a Glossary,
    depth: usize,
}

impl Writer<'_> {
    /// The text, in parentheses where its place binds more tightly than it does.
    fn at(&self, expr: &Expr, place: u8) -> String {
        if self.depth > DEEPEST {
            return "…".to_owned();
        }
        let deeper = Self { glossary: self.glossary, depth: self.depth + 1 };
        let (text, binds) = deeper.write(expr);
        // A text that is cut in the end need not be whole on its way there.
        let text = cut(&text, 4 * LONGEST);
        if binds < place { format!("({text})") } else { text }
    }

    fn write(&self, expr: &Expr) -> (String, u8) {
        let atom = |text: String| (text, ATOM);
        if let Some(written) = as_written(expr) {
            return self.write(&written);
        }
        let tested = |inner: &Expr, test: &str| (format!("{} {test}", self.at(inner, COMPARISON + 1)), COMPARISON);
        match expr {
            Expr::Alias(alias) => self.write(&alias.expr),
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => self.column(column),
            Expr::Literal(value, _) => atom(constant(value)),
            Expr::ScalarVariable(_, names) => atom(names.join(".")),
            Expr::BinaryExpr(binary) => self.binary(binary),
            Expr::Like(like) => self.like(like, if like.case_insensitive { "ILIKE" } else { "LIKE" }),
            Expr::SimilarTo(like) => self.like(like, "SIMILAR TO"),
            Expr::Not(inner) => (format!("NOT {}", self.at(inner, NOT)), NOT),
            Expr::IsNotNull(inner) if is_match_mark(inner) => (MATCH.to_owned(), NOT),
            Expr::IsNull(inner) if is_match_mark(inner) => (format!("NOT {MATCH}"), NOT),
            Expr::IsNotNull(inner) => tested(inner, "IS NOT NULL"),
            Expr::IsNull(inner) => tested(inner, "IS NULL"),
            Expr::IsTrue(inner) => tested(inner, "IS TRUE"),
            Expr::IsFalse(inner) => tested(inner, "IS FALSE"),
            Expr::IsUnknown(inner) => tested(inner, "IS UNKNOWN"),
            Expr::IsNotTrue(inner) => tested(inner, "IS NOT TRUE"),
            Expr::IsNotFalse(inner) => tested(inner, "IS NOT FALSE"),
            Expr::IsNotUnknown(inner) => tested(inner, "IS NOT UNKNOWN"),
            Expr::Negative(inner) => (format!("-{}", self.at(inner, UNARY + 1)), UNARY),
            Expr::Between(between) => {
                let inside = |expr: &Expr| self.at(expr, COMPARISON + 1);
                let not = if between.negated { "NOT " } else { "" };
                let (value, low, high) = (inside(&between.expr), inside(&between.low), inside(&between.high));
                (format!("{value} {not}BETWEEN {low} AND {high}"), COMPARISON)
            }
            Expr::Case(case) => atom(self.case(case)),
            Expr::Cast(cast) if self.glossary.casts_to(cast.field.data_type()) => {
                let to = type_name(cast.field.data_type());
                atom(format!("CAST({} AS {to})", self.at(&cast.expr, LOOSEST)))
            }
            // The planner made the two sides' types the same.
            Expr::Cast(cast) => self.write(&cast.expr),
            Expr::TryCast(cast) => {
                let to = type_name(cast.field.data_type());
                atom(format!("TRY_CAST({} AS {to})", self.at(&cast.expr, LOOSEST)))
            }
            Expr::ScalarFunction(function) => atom(self.call(function.name(), &function.args)),
            Expr::HigherOrderFunction(function) => atom(self.call(function.func.name(), &function.args)),
            Expr::Lambda(Lambda { params, body }) => {
                (format!("({}) -> {}", params.join(", "), self.at(body, LOOSEST)), LOOSEST)
            }
            Expr::LambdaVariable(variable) => atom(variable.name.clone()),
            Expr::AggregateFunction(call) => atom(self.aggregate(call.func.name(), &call.params)),
            Expr::WindowFunction(call) => atom(self.window(call.fun.name(), &call.params)),
            Expr::InList(in_list) => {
                let mut list: Vec<String> =
                    in_list.list.iter().take(LONGEST_LIST).map(|item| self.at(item, LOOSEST)).collect();
                if in_list.list.len() > LONGEST_LIST {
                    list.push(format!("… {} more", in_list.list.len() - LONGEST_LIST));
                }
                let not = if in_list.negated { "NOT " } else { "" };
                let value = self.at(&in_list.expr, COMPARISON + 1);
                (format!("{value} {not}IN ({})", list.join(", ")), COMPARISON)
            }
            Expr::Exists(exists) => {
                let not = if exists.negated { "NOT " } else { "" };
                (format!("{not}EXISTS (subquery)"), NOT)
            }
            Expr::InSubquery(found) => {
                let not = if found.negated { "NOT " } else { "" };
                (format!("{} {not}IN (subquery)", self.at(&found.expr, COMPARISON + 1)), COMPARISON)
            }
            Expr::SetComparison(set) => {
                let value = self.at(&set.expr, COMPARISON + 1);
                (format!("{value} {} {} (subquery)", set.op, set.quantifier), COMPARISON)
            }
            Expr::ScalarSubquery(_) => atom("(subquery)".to_owned()),
            #[expect(deprecated, reason = "the variant still exists")]
            Expr::Wildcard { .. } => atom("*".to_owned()),
            Expr::GroupingSet(sets) => atom(self.grouping_set(sets)),
            Expr::Placeholder(placeholder) => atom(placeholder.id.clone()),
            Expr::Unnest(unnest) => atom(format!("unnest({})", self.at(&unnest.expr, LOOSEST))),
        }
    }

    fn column(&self, column: &Column) -> (String, u8) {
        match self.glossary.meaning(column) {
            Some(Meaning::Expr(expr)) if self.depth <= DEEPEST => return self.write_deeper(expr),
            Some(Meaning::Expr(_)) => return ("…".to_owned(), ATOM),
            Some(Meaning::Match) => return (MATCH.to_owned(), NOT),
            None => {}
        }
        let name = identifier(&column.name);
        let text = match &column.relation {
            Some(relation) if !self.glossary.single_table() && !is_made_up(relation.table()) => {
                format!("{}.{name}", identifier(relation.table()))
            }
            _ => name,
        };
        (text, ATOM)
    }

    fn write_deeper(&self, expr: &Expr) -> (String, u8) {
        Self { glossary: self.glossary, depth: self.depth + 1 }.write(expr)
    }

    fn binary(&self, binary: &BinaryExpr) -> (String, u8) {
        // Comparisons all bind alike to a reader; the others as SQL has them.
        let binds = match binary.op {
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                COMPARISON
            }
            other => other.precedence(),
        };
        let associative = matches!(
            binary.op,
            Operator::And | Operator::Or | Operator::Plus | Operator::Multiply | Operator::StringConcat
        );
        // A chain may have a thousand links: they are walked, not descended into.
        let mut operands = vec![binary.right.as_ref()];
        let mut left = binary.left.as_ref();
        while let Expr::BinaryExpr(inner) = left
            && inner.op == binary.op
            && associative
        {
            operands.push(inner.right.as_ref());
            left = inner.left.as_ref();
        }
        let comparison = binds == COMPARISON;
        let mut text = self.at(left, if comparison { binds + 1 } else { binds });
        for operand in operands.into_iter().rev() {
            if text.len() > 4 * LONGEST {
                break;
            }
            let place = if associative { binds } else { binds + 1 };
            text = format!("{text} {} {}", symbol(binary.op), self.at(operand, place));
        }
        (text, binds)
    }

    fn like(&self, like: &Like, word: &str) -> (String, u8) {
        let not = if like.negated { "NOT " } else { "" };
        let (value, pattern) = (self.at(&like.expr, COMPARISON + 1), self.at(&like.pattern, COMPARISON + 1));
        let escape = like.escape_char.map_or(String::new(), |escape| format!(" ESCAPE '{escape}'"));
        (format!("{value} {not}{word} {pattern}{escape}"), COMPARISON)
    }

    fn case(&self, case: &Case) -> String {
        let mut text = "CASE".to_owned();
        if let Some(subject) = &case.expr {
            text.push_str(&format!(" {}", self.at(subject, LOOSEST)));
        }
        for (when, then) in &case.when_then_expr {
            text.push_str(&format!(" WHEN {} THEN {}", self.at(when, LOOSEST), self.at(then, LOOSEST)));
        }
        if let Some(otherwise) = &case.else_expr {
            text.push_str(&format!(" ELSE {}", self.at(otherwise, LOOSEST)));
        }
        text.push_str(" END");
        text
    }

    fn call(&self, name: &str, arguments: &[Expr]) -> String {
        format!("{name}({})", self.all(arguments))
    }

    fn all(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.at(expr, LOOSEST)).collect::<Vec<_>>().join(", ")
    }

    fn aggregate(&self, name: &str, params: &AggregateFunctionParams) -> String {
        let distinct = if params.distinct { "DISTINCT " } else { "" };
        let order = if params.order_by.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", self.order(&params.order_by))
        };
        let mut text = format!("{name}({distinct}{}{order})", self.arguments(name, &params.args));
        text.push_str(nulls(params.null_treatment));
        if let Some(filter) = &params.filter {
            text.push_str(&format!(" FILTER (WHERE {})", self.at(filter, LOOSEST)));
        }
        text
    }

    fn window(&self, name: &str, params: &WindowFunctionParams) -> String {
        let mut over = Vec::new();
        if !params.partition_by.is_empty() {
            over.push(format!("PARTITION BY {}", self.all(&params.partition_by)));
        }
        if !params.order_by.is_empty() {
            over.push(format!("ORDER BY {}", self.order(&params.order_by)));
        }
        let distinct = if params.distinct { "DISTINCT " } else { "" };
        let mut text = format!("{name}({distinct}{})", self.arguments(name, &params.args));
        text.push_str(nulls(params.null_treatment));
        if let Some(filter) = &params.filter {
            text.push_str(&format!(" FILTER (WHERE {})", self.at(filter, LOOSEST)));
        }
        format!("{text} OVER ({})", over.join(" "))
    }

    /// `count(*)` counts a constant to the planner.
    fn arguments(&self, name: &str, arguments: &[Expr]) -> String {
        match arguments {
            [Expr::Literal(value, _)] if name == "count" && !value.is_null() => "*".to_owned(),
            arguments => self.all(arguments),
        }
    }

    fn order(&self, keys: &[SortExpr]) -> String {
        let key = |key: &SortExpr| {
            let direction = if key.asc { "" } else { " DESC" };
            // What is said is what SQL would not take for granted.
            let nulls = match (key.asc, key.nulls_first) {
                (true, true) => " NULLS FIRST",
                (false, false) => " NULLS LAST",
                _ => "",
            };
            format!("{}{direction}{nulls}", self.at(&key.expr, LOOSEST))
        };
        keys.iter().map(key).collect::<Vec<_>>().join(", ")
    }

    fn grouping_set(&self, sets: &GroupingSet) -> String {
        match sets {
            GroupingSet::Rollup(exprs) => format!("ROLLUP ({})", self.all(exprs)),
            GroupingSet::Cube(exprs) => format!("CUBE ({})", self.all(exprs)),
            GroupingSet::GroupingSets(sets) => {
                let sets: Vec<String> = sets.iter().map(|set| format!("({})", self.all(set))).collect();
                format!("GROUPING SETS ({})", sets.join(", "))
            }
        }
    }
}

/// The column by which a correlated subquery's rows are told from none.
fn is_match_mark(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == "__always_true")
}

fn nulls(treatment: Option<NullTreatment>) -> &'static str {
    match treatment {
        Some(NullTreatment::IgnoreNulls) => " IGNORE NULLS",
        Some(NullTreatment::RespectNulls) | None => "",
    }
}

fn symbol(op: Operator) -> String {
    match op {
        Operator::NotEq => "<>".to_owned(),
        other => other.to_string(),
    }
}

/// A constant as SQL writes it, cut where it is long.
fn constant(value: &ScalarValue) -> String {
    if value.is_null() {
        return "NULL".to_owned();
    }
    let plain = || {
        let array = value.to_array().ok()?;
        let options = FormatOptions::default();
        Some(ArrayFormatter::try_new(&array, &options).ok()?.value(0).to_string())
    };
    let text = cut(&plain().unwrap_or_else(|| value.to_string()), LONGEST_CONSTANT);
    match value.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => format!("'{}'", text.replace('\'', "''")),
        DataType::Date32 | DataType::Date64 => format!("DATE '{text}'"),
        DataType::Timestamp(..) => format!("TIMESTAMP '{}'", text.replace('T', " ")),
        DataType::Time32(_) | DataType::Time64(_) => format!("TIME '{text}'"),
        DataType::Interval(_) | DataType::Duration(_) => format!("INTERVAL '{text}'"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => format!("'\\x{text}'"),
        DataType::Boolean => text.to_uppercase(),
        // A number that was compared with one of another kind.
        DataType::Float32 | DataType::Float64 => text.strip_suffix(".0").unwrap_or(&text).to_owned(),
        _ => text,
    }
}

fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE PRECISION",
        DataType::Date32 => "DATE",
        DataType::Boolean => "BOOLEAN",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ",
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            return format!("DECIMAL({precision}, {scale})");
        }
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use datafusion::functions_aggregate::expr_fn::{count, sum};
    use datafusion::logical_expr::{cast, col, lit, not, when};

    use super::*;

    fn said(expr: &Expr) -> String {
        words(expr, &Glossary::default())
    }

    #[test]
    fn operators_get_the_parentheses_that_they_need_and_no_others() {
        let (a, b, c) = (col("a"), col("b"), col("c"));
        let or = a.clone().eq(lit(1)).or(b.clone().gt(lit(2)));
        for (expr, wanted) in [
            (or.clone().and(c.clone().is_null()), "(a = 1 OR b > 2) AND c IS NULL"),
            (not(or), "NOT (a = 1 OR b > 2)"),
            ((a.clone() - (b.clone() - c.clone())) * lit(2), "(a - (b - c)) * 2"),
            (a.clone() + b.clone() + c.clone(), "a + b + c"),
            (a.clone().eq(b.clone()).eq(c.clone()), "(a = b) = c"),
            (-(a.clone() + b.clone()), "-(a + b)"),
            (a.clone().between(lit(1), b.clone() + lit(1)), "a BETWEEN 1 AND b + 1"),
            ((a.clone() + b).like(lit("x%")), "a + b LIKE 'x%'"),
            (a.not_eq(c), "a <> c"),
        ] {
            assert_eq!(said(&expr), wanted);
        }
    }

    #[test]
    fn constants_are_written_as_sql_has_them() {
        for (value, wanted) in [
            (ScalarValue::Utf8(Some("O'Brien".to_owned())), "'O''Brien'"),
            (ScalarValue::Decimal128(Some(-1250), 10, 2), "-12.50"),
            (ScalarValue::Date32(Some(20_605)), "DATE '2026-06-01'"),
            (ScalarValue::TimestampMicrosecond(Some(0), None), "TIMESTAMP '1970-01-01 00:00:00'"),
            (ScalarValue::Boolean(Some(true)), "TRUE"),
            (ScalarValue::Utf8(None), "NULL"),
            (ScalarValue::Int64(Some(5)), "5"),
        ] {
            assert_eq!(constant(&value), wanted);
        }
        let long = constant(&ScalarValue::Utf8(Some("x".repeat(5_000))));
        assert!(long.len() < 80 && long.ends_with("…'"), "{long}");
    }

    #[test]
    fn calls_and_choices_are_written_as_sql_has_them() {
        assert_eq!(said(&count(lit(1_i64))), "count(*)");
        assert_eq!(said(&sum(col("t.cost")).alias("total")), "sum(cost)");
        let case = when(col("a").eq(lit(1)), lit("one")).otherwise(lit("more")).unwrap();
        assert_eq!(said(&case), "CASE WHEN a = 1 THEN 'one' ELSE 'more' END");
        assert_eq!(said(&cast(col("a"), DataType::Int64)), "a");
        let numbers: Vec<Expr> = (0..20).map(lit).collect();
        assert_eq!(said(&col("a").in_list(numbers, true)), "a NOT IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … 8 more)");
        let keys = [col("a").sort(true, false), col("b").sort(false, false), col("c").sort(false, true)];
        assert_eq!(order(&keys, &Glossary::default()), "a, b DESC NULLS LAST, c DESC");
    }

    #[test]
    fn a_long_chain_is_cut_and_not_descended_into() {
        let chain = (0..1_000).map(|n| col("a").eq(lit(n))).reduce(Expr::or).unwrap();
        let text = said(&chain);
        assert!(text.starts_with("a = 0 OR a = 1") && text.ends_with('…'), "{text}");
        assert_eq!(text.chars().count(), LONGEST + 1);
    }
}
