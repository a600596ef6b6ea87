//! Overflow is an error: DataFusion's integers wrap, and a number that has wrapped is a wrong answer.
//!
//! In: a plan whose types are settled. Out: the same plan, in which sums, differences and products of integers fail where
//! their type has no room for the result. What cannot overflow, as the ranges of its operands show, stays as it was, and may
//! go to a source.

use std::sync::Arc;

use datafusion::arrow::compute::kernels::numeric::{add, mul, neg, sub};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, internal_err};
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;
use wayleave_connector_api::OutputColumn;

use super::{translate, type_of};

/// The rule; see the module's own text.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverflowIsAnError;

impl AnalyzerRule for OverflowIsAnError {
    fn name(&self) -> &str {
        "overflow_is_an_error"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan, DataFusionError> {
        Ok(plan.transform_up_with_subqueries(checked_plan)?.data)
    }
}

/// Whether a function is arithmetic that this rule has found able to overflow.
pub(super) fn is_checked(name: &str) -> bool {
    Checked::ALL.into_iter().any(|op| op.name() == name)
}

fn checked_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    if matches!(plan, LogicalPlan::TableScan(_)) {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(expr.transform_up(|expr| Ok(checked(expr, &schema)))?.update_data(|expr| name.restore(expr)))
    })?;
    if rewritten.transformed { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
}

fn checked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let op = match &expr {
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::Plus => Checked::Add,
            Operator::Minus => Checked::Subtract,
            Operator::Multiply => Checked::Multiply,
            _ => return Transformed::no(expr),
        },
        Expr::Negative(_) => Checked::Negate,
        _ => return Transformed::no(expr),
    };
    if !type_of(&expr, schema).is_ok_and(|data_type| data_type.is_integer()) || cannot_overflow(&expr, schema) {
        return Transformed::no(expr);
    }
    let args = match expr {
        // The difference of two dates is an integer as well.
        Expr::BinaryExpr(binary) if type_of(&binary.left, schema).is_ok_and(|left| left.is_integer()) => {
            vec![*binary.left, *binary.right]
        }
        Expr::Negative(inner) => vec![*inner],
        other => return Transformed::no(other),
    };
    let function = Arc::new(ScalarUDF::new_from_impl(CheckedFunction::new(op)));
    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, args)))
}

fn cannot_overflow(expr: &Expr, schema: &DFSchema) -> bool {
    let columns: Vec<OutputColumn> =
        schema.fields().iter().map(|field| OutputColumn::computed(field.data_type().clone())).collect();
    translate(expr, schema).is_ok_and(|translated| translated.range(&columns).is_some())
}

/// A checked call as the operation that its author wrote; `None` for any other expression.
pub fn as_written(expr: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let op = Checked::ALL.into_iter().find(|op| op.name() == call.func.name())?;
    let operator = match op {
        Checked::Add => Operator::Plus,
        Checked::Subtract => Operator::Minus,
        Checked::Multiply => Operator::Multiply,
        Checked::Negate => return Some(Expr::Negative(Box::new(call.args.first()?.clone()))),
    };
    let [left, right] = call.args.as_slice() else { return None };
    Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), operator, Box::new(right.clone()))))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Checked {
    Add,
    Subtract,
    Multiply,
    Negate,
}

impl Checked {
    const ALL: [Self; 4] = [Self::Add, Self::Subtract, Self::Multiply, Self::Negate];

    fn name(self) -> &'static str {
        match self {
            Self::Add => "exact_add",
            Self::Subtract => "exact_subtract",
            Self::Multiply => "exact_multiply",
            Self::Negate => "exact_negate",
        }
    }
}

/// Arithmetic on integers of one type that fails where the result is none of it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedFunction {
    op: Checked,
    signature: Signature,
}

impl CheckedFunction {
    fn new(op: Checked) -> Self {
        let count = if op == Checked::Negate { 1 } else { 2 };
        Self { op, signature: Signature::any(count, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for CheckedFunction {
    fn name(&self) -> &str {
        self.op.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType, DataFusionError> {
        args.first().cloned().map_or_else(|| internal_err!("`{}` without an argument", self.name()), Ok)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef, DataFusionError> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        match (self.op, args.args.as_slice()) {
            (Checked::Add, [left, right]) => apply(left, right, add),
            (Checked::Subtract, [left, right]) => apply(left, right, sub),
            (Checked::Multiply, [left, right]) => apply(left, right, mul),
            (Checked::Negate, [value]) => {
                let negated = neg(value.to_array(args.number_rows)?.as_ref())?;
                Ok(ColumnarValue::Array(negated))
            }
            _ => internal_err!("`{}` with other arguments than its own", self.name()),
        }
    }
}
