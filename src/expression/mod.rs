//! From DataFusion's expressions to a source's.
//!
//! In: a logical expression over a relation's columns. Out: the same expression in the connectors' algebra, in which
//! nothing can fail, or the reason why it stays here. What has no arm of its own stays local: nothing is passed through.

mod arithmetic;
mod comparison;
mod function;
mod literal;
mod moment;
mod overflow;
mod sum;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{Between, BinaryExpr, Case, Cast, InList, Like};
use datafusion::logical_expr::{Expr, Operator};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use wayleave_connector_api as source;
use wayleave_connector_api::{CompareOp, Dialect, LONGEST_PATTERN_BYTES, OutputColumn, Support, Value};

pub use moment::{INTEGER_AS_DECIMAL, Spread, finished_average, finished_spread};
pub use overflow::{OverflowIsAnError, as_written};
pub use sum::{exact_sum, sum_of_sums};

use comparison::compare;
use function::translate_function;
use literal::literal;

/// Why an expression stays in the engine, in the words that EXPLAIN shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHere(pub String);

impl KeptHere {
    fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// How far a predicate goes down.
#[derive(Clone, Debug, PartialEq)]
pub enum Pushed {
    /// The source's answer is ours.
    Exact(source::Expr),
    /// It narrows at the source and is checked again here.
    Superset(source::Expr),
}

/// Translates an expression and asks the dialect what becomes of it over these columns.
///
/// # Errors
/// [`KeptHere`] with the reason, where any part of it must be evaluated here.
pub fn push(
    expr: &Expr,
    schema: &DFSchema,
    columns: &[OutputColumn],
    dialect: &dyn Dialect,
) -> Result<Pushed, KeptHere> {
    let translated = translate(expr, schema)?;
    match dialect.support(&translated, columns) {
        Support::Exact => Ok(Pushed::Exact(translated)),
        Support::Superset { .. } => Ok(Pushed::Superset(translated)),
        Support::Local { reason } => Err(KeptHere::because(reason)),
    }
}

/// [`push`], for what has no second check here: only an exact expression will do.
///
/// # Errors
/// [`KeptHere`] with the reason.
pub fn push_exact(
    expr: &Expr,
    schema: &DFSchema,
    columns: &[OutputColumn],
    dialect: &dyn Dialect,
) -> Result<source::Expr, KeptHere> {
    match push(expr, schema, columns, dialect)? {
        Pushed::Exact(expr) => Ok(expr),
        Pushed::Superset(_) => Err(KeptHere::because("the source's answer may hold more rows than ours")),
    }
}

/// Whether no row can make an expression fail. What depends on no row must have a value: one that has none fails only
/// where there is a row to fail on.
pub fn cannot_fail(expr: &Expr, schema: &DFSchema) -> bool {
    if expr.column_refs().is_empty() && !holds_subquery(expr) && has_a_value(expr) {
        return true;
    }
    let safe = |expr: &Expr| cannot_fail(expr, schema);
    match expr {
        Expr::Alias(alias) => safe(&alias.expr),
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Not(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => safe(inner),
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And | Operator::Or => chain(binary, binary.op).into_iter().all(safe),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => safe(&binary.left) && safe(&binary.right),
            _ => false,
        },
        Expr::Like(like) => {
            let compiles = match like.pattern.as_ref() {
                Expr::Literal(pattern, _) => {
                    pattern.try_as_str().is_some_and(|text| text.is_none_or(|text| text.len() <= LONGEST_PATTERN_BYTES))
                }
                _ => false,
            };
            like.escape_char.is_none() && compiles && safe(&like.expr)
        }
        Expr::Between(between) => safe(&between.expr) && safe(&between.low) && safe(&between.high),
        Expr::InList(in_list) => safe(&in_list.expr) && in_list.list.iter().all(safe),
        Expr::Cast(cast) => {
            let Ok(from) = type_of(&cast.expr, schema) else { return false };
            let to = cast.field.data_type();
            let counts = matches!(from, DataType::Int16 | DataType::Int32 | DataType::Int64);
            // Integers as floating-point numbers or days lose digits at most: no value is refused.
            let never_refused = (counts && matches!(to, DataType::Float32 | DataType::Float64))
                || (from == DataType::Int32 && *to == DataType::Date32)
                || (matches!(from, DataType::Decimal128(..) | DataType::Decimal256(..)) && *to == DataType::Float64);
            // Days and moments beyond the calendar have no text, and not all bytes are one.
            let written = is_text(to) && (is_text(&from) || from.is_numeric() || from == DataType::Boolean);
            let exact = from == *to || written || source::widens(&from, to);
            safe(&cast.expr) && (exact || never_refused)
        }
        Expr::Case(case) => {
            case.expr.as_deref().is_none_or(safe)
                && case.when_then_expr.iter().all(|(when, then)| safe(when) && safe(then))
                && case.else_expr.as_deref().is_none_or(safe)
        }
        Expr::ScalarFunction(function) => function.name() == "coalesce" && function.args.iter().all(safe),
        _ => false,
    }
}

/// Whether an expression of constants can be computed: the simplifier leaves what fails as it is.
fn has_a_value(expr: &Expr) -> bool {
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_current_time().build());
    matches!(simplifier.simplify(expr.clone()), Ok(Expr::Literal(..)))
}

/// An expression without the names that are given to it.
pub fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Whether an expression asks another plan for its value; one that cannot be walked is taken to.
pub fn holds_subquery(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|part| {
        Ok(matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)))
    })
    .unwrap_or(true)
}

fn translate(expr: &Expr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let boxed = |expr: &Expr| translate(expr, schema).map(Box::new);
    match expr {
        Expr::Alias(alias) => translate(&alias.expr, schema),
        Expr::Column(column) => schema
            .maybe_index_of_column(column)
            .map(source::Expr::Column)
            .ok_or_else(|| KeptHere::because("a column of another relation")),
        Expr::Literal(value, _) => literal(value).map(source::Expr::Literal),
        Expr::BinaryExpr(binary) => translate_binary(binary, schema),
        Expr::Like(like) => translate_like(like, schema),
        Expr::Not(inner) => Ok(source::Expr::Not(boxed(inner)?)),
        Expr::IsNull(inner) | Expr::IsUnknown(inner) => Ok(source::Expr::IsNull(boxed(inner)?)),
        Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => Ok(source::Expr::IsNotNull(boxed(inner)?)),
        Expr::IsTrue(inner) => Ok(is_true(translate(inner, schema)?)),
        Expr::IsFalse(inner) => Ok(is_false(translate(inner, schema)?)),
        Expr::IsNotTrue(inner) => Ok(source::Expr::Not(Box::new(is_true(translate(inner, schema)?)))),
        Expr::IsNotFalse(inner) => Ok(source::Expr::Not(Box::new(is_false(translate(inner, schema)?)))),
        Expr::Between(between) => translate_between(between, schema),
        Expr::InList(in_list) => translate_in_list(in_list, schema),
        Expr::Case(case) => translate_case(case, schema),
        Expr::Cast(cast) => translate_cast(cast, schema),
        Expr::ScalarFunction(function) => translate_function(function, schema),
        Expr::SimilarTo(_) => Err(KeptHere::because("SIMILAR TO is evaluated here")),
        Expr::Negative(inner) => arithmetic::negated(inner, schema),
        Expr::TryCast(_) => Err(KeptHere::because("a cast that can fail is evaluated on released rows only")),
        Expr::ScalarVariable(..) | Expr::Placeholder(_) => {
            Err(KeptHere::because("its value is not known to the source"))
        }
        Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::GroupingSet(_) => {
            Err(KeptHere::because("grouping and window functions inside an expression are evaluated here"))
        }
        Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_)
        | Expr::OuterReferenceColumn(..) => Err(KeptHere::because("the value of a subquery is computed here")),
        Expr::Unnest(_) | Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => {
            Err(KeptHere::because("lists are taken apart here"))
        }
        #[expect(deprecated, reason = "the variant still exists and must be refused like any other")]
        Expr::Wildcard { .. } => Err(KeptHere::because("a wildcard is no value")),
    }
}

fn translate_binary(binary: &BinaryExpr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let op = match binary.op {
        Operator::And | Operator::Or => {
            let parts = chain(binary, binary.op)
                .into_iter()
                .map(|part| translate(part, schema))
                .collect::<Result<Vec<_>, _>>()?;
            return Ok(if binary.op == Operator::And { source::Expr::And(parts) } else { source::Expr::Or(parts) });
        }
        Operator::Eq => CompareOp::Equal,
        Operator::NotEq => CompareOp::NotEqual,
        Operator::Lt => CompareOp::Less,
        Operator::LtEq => CompareOp::LessOrEqual,
        Operator::Gt => CompareOp::Greater,
        Operator::GtEq => CompareOp::GreaterOrEqual,
        Operator::IsDistinctFrom => {
            return Ok(source::Expr::Not(Box::new(comparison::same(&binary.left, &binary.right, schema)?)));
        }
        Operator::IsNotDistinctFrom => return comparison::same(&binary.left, &binary.right, schema),
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            return arithmetic::translate_arithmetic(binary, schema);
        }
        Operator::StringConcat => return function::concatenated(&binary.left, &binary.right, schema),
        other => return Err(KeptHere::because(format!("operator {other} is evaluated here"))),
    };
    compare(op, &binary.left, &binary.right, schema)
}

/// Never NULL.
fn is_true(expr: source::Expr) -> source::Expr {
    source::Expr::And(vec![source::Expr::IsNotNull(Box::new(expr.clone())), expr])
}

fn is_false(expr: source::Expr) -> source::Expr {
    let negated = source::Expr::Not(Box::new(expr.clone()));
    source::Expr::And(vec![source::Expr::IsNotNull(Box::new(expr)), negated])
}

/// The operands of a chain such as `a OR b OR c`, in order. Walked without recursion: a chain may have thousands.
fn chain(binary: &BinaryExpr, op: Operator) -> Vec<&Expr> {
    let mut operands = Vec::new();
    let mut pending = vec![binary.right.as_ref(), binary.left.as_ref()];
    while let Some(next) = pending.pop() {
        match next {
            Expr::BinaryExpr(inner) if inner.op == op => pending.extend([inner.right.as_ref(), inner.left.as_ref()]),
            operand => operands.push(operand),
        }
    }
    operands
}

fn translate_like(like: &Like, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    if like.case_insensitive {
        return Err(KeptHere::because("ILIKE folds upper and lower case by each system's own rules"));
    }
    if like.escape_char.is_some_and(|escape| escape != '\\') {
        return Err(KeptHere::because("an escape character of its own is evaluated here"));
    }
    let Expr::Literal(pattern, _) = like.pattern.as_ref() else {
        return Err(KeptHere::because("a pattern that is not constant is evaluated here"));
    };
    let Value::Text(pattern) = literal(pattern)? else {
        return Err(KeptHere::because("a pattern that is not text is evaluated here"));
    };
    let expr = Box::new(translate(&like.expr, schema)?);
    Ok(source::Expr::Like { expr, pattern, negated: like.negated })
}

fn translate_between(between: &Between, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let low = compare(CompareOp::GreaterOrEqual, &between.expr, &between.low, schema)?;
    let high = compare(CompareOp::LessOrEqual, &between.expr, &between.high, schema)?;
    let both = source::Expr::And(vec![low, high]);
    Ok(if between.negated { source::Expr::Not(Box::new(both)) } else { both })
}

fn translate_in_list(in_list: &InList, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let list = in_list
        .list
        .iter()
        .map(|item| {
            same_type(&in_list.expr, item, schema)?;
            match translate(item, schema)? {
                source::Expr::Literal(Value::Null(_)) => Err(KeptHere::because("NULL in a list is evaluated here")),
                source::Expr::Literal(value) => Ok(value),
                _ => Err(KeptHere::because("a list that is not constant is evaluated here")),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let expr = Box::new(translate(&in_list.expr, schema)?);
    Ok(source::Expr::InList { expr, list, negated: in_list.negated })
}

fn translate_case(case: &Case, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let branches = case
        .when_then_expr
        .iter()
        .map(|(when, then)| {
            let condition = match &case.expr {
                None => translate(when, schema)?,
                Some(subject) => compare(CompareOp::Equal, subject, when, schema)?,
            };
            Ok((condition, translate(then, schema)?))
        })
        .collect::<Result<Vec<_>, KeptHere>>()?;
    let otherwise = case.else_expr.as_deref().map(|expr| translate(expr, schema).map(Box::new)).transpose()?;
    Ok(source::Expr::Case { branches, otherwise })
}

fn translate_cast(cast: &Cast, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let from = type_of(&cast.expr, schema)?;
    let to = cast.field.data_type();
    let inner = translate(&cast.expr, schema)?;
    if from == *to || (is_text(&from) && is_text(to)) {
        return Ok(inner);
    }
    if source::widens(&from, to) {
        return Ok(source::Expr::Widen { expr: Box::new(inner), to: to.clone() });
    }
    Err(KeptHere::because(format!(
        "a cast from {from} to {to} can fail or lose digits, and is made on released rows only"
    )))
}

fn same_type(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<(), KeptHere> {
    let (left, right) = (type_of(left, schema)?, type_of(right, schema)?);
    if left == right || (is_text(&left) && is_text(&right)) {
        Ok(())
    } else {
        Err(KeptHere::because("its two sides have different types"))
    }
}

fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType, KeptHere> {
    use datafusion::logical_expr::ExprSchemable;
    expr.get_type(schema).map_err(|_| KeptHere::because("its type is not known"))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, Schema, TimeUnit};
    use datafusion::prelude::{cast, col, lit};

    use super::*;

    fn never_fails(expr: &Expr) -> bool {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("d", DataType::Date32, true),
            Field::new("m", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("t", DataType::Utf8, true),
            Field::new("b", DataType::Binary, true),
        ]);
        cannot_fail(expr, &DFSchema::try_from(schema).unwrap())
    }

    #[test]
    fn what_has_no_text_for_some_value_can_fail() {
        assert!(never_fails(&cast(col("n"), DataType::Utf8)));
        assert!(never_fails(&cast(col("t"), DataType::Utf8View)));
        assert!(!never_fails(&cast(col("d"), DataType::Utf8)));
        assert!(!never_fails(&cast(col("m"), DataType::Utf8)));
        assert!(!never_fails(&cast(col("b"), DataType::Utf8)));
    }

    #[test]
    fn a_constant_that_has_no_value_can_fail() {
        let (one, zero) = (lit(1_i64), lit(0_i64));
        assert!(never_fails(&(one.clone() + zero.clone()).gt(lit(0_i64))));
        assert!(!never_fails(&(one / zero).gt(lit(0_i64))));
    }

    #[test]
    fn every_pattern_that_is_taken_compiles() {
        for unit in ["_", "%x", "%", "é", "\\%"] {
            let pattern = unit.repeat(LONGEST_PATTERN_BYTES / unit.len());
            assert!(never_fails(&col("t").like(lit(pattern.clone()))), "{unit}");
            let texts: datafusion::arrow::array::ArrayRef =
                std::sync::Arc::new(datafusion::arrow::array::StringArray::from(vec!["x"; 2]));
            let pattern = datafusion::arrow::array::StringArray::new_scalar(pattern);
            datafusion::arrow::compute::like(&texts, &pattern).unwrap_or_else(|error| panic!("{unit}: {error}"));
            datafusion::arrow::compute::ilike(&texts, &pattern).unwrap_or_else(|error| panic!("{unit}: {error}"));
        }
        assert!(!never_fails(&col("t").like(lit("_".repeat(LONGEST_PATTERN_BYTES + 1)))));
    }
}
