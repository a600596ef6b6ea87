//! Which numbers an expression can take, as far as the types of its columns tell; and so which arithmetic can overflow for
//! no row at all.
//!
//! In: an expression and its input columns. Out: the least and the greatest value that any row could give it. A bound is
//! never too narrow: what is not known has none.

use arrow::datatypes::{DataType, i256};

use crate::{ArithmeticOp, Expr, OutputColumn, Support, TextFunction, Value};

/// Most digits of a decimal in arithmetic, here as at every step of it.
const MOST_DIGITS: u8 = 38;

/// From `low` to `high`, both times `10^-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    low: i256,
    high: i256,
    scale: i8,
}

/// What becomes of an [`Expr::Arithmetic`] at a source that computes in the very types of its operands.
pub fn arithmetic_support(expr: &Expr, input: &[OutputColumn]) -> Support {
    let Expr::Arithmetic { op, right, data_type, .. } = expr else { return Support::Exact };
    if data_type.is_floating() {
        return Support::Local { reason: "arithmetic on floats overflows into an error at the source, and not here" };
    }
    if !data_type.is_integer() && !matches!(data_type, DataType::Decimal128(..)) {
        return Support::Local { reason: "only integers and decimals of up to 38 digits are computed at a source" };
    }
    if matches!(op, ArithmeticOp::Divide | ArithmeticOp::Modulo)
        && right.range(input).is_none_or(|divisor| divisor.holds_zero())
    {
        return Support::Local { reason: "the divisor could be zero, on a hidden row too" };
    }
    match expr.range(input) {
        Some(_) => Support::Exact,
        None => Support::Local { reason: "the result could be too large for its type, on a hidden row too" },
    }
}

impl Expr {
    /// `None` where nothing bounds it, where it is no exact number, or where arithmetic in it could overflow.
    pub fn range(&self, input: &[OutputColumn]) -> Option<Range> {
        match self {
            Self::Column(index) => {
                let column = input.get(*index)?;
                match &column.data_type {
                    // A number without declared digits may have any number of them at the source.
                    DataType::Decimal128(..) if !column.source_type.as_ref().is_some_and(|own| own.contains('(')) => {
                        None
                    }
                    data_type => Range::of_type(data_type),
                }
            }
            Self::Literal(value) => Range::of_value(value),
            Self::Widen { expr, to } => {
                let range = match expr.output(input).data_type {
                    DataType::Boolean => Range { low: i256::ZERO, high: i256::ONE, scale: 0 },
                    _ => expr.range(input)?,
                };
                match to {
                    DataType::Decimal128(_, scale) => range.rescaled(*scale)?.within(to),
                    integer => range.within(integer),
                }
            }
            Self::Arithmetic { op, left, right, data_type } => {
                Range::computed(*op, left.range(input)?, right.range(input)?, data_type)
            }
            Self::Case { branches, otherwise } => {
                Self::union(branches.iter().map(|(_, value)| value).chain(otherwise.as_deref()), input)
            }
            Self::Coalesce(exprs) => Self::union(exprs.iter(), input),
            Self::OfText { function: TextFunction::Length | TextFunction::Position(_), .. } => {
                Some(Range { low: i256::ZERO, high: i256::from_i128(i128::from(i32::MAX)), scale: 0 })
            }
            other => match other.output(input).data_type {
                integer if integer.is_integer() => Range::of_type(&integer),
                _ => None,
            },
        }
    }

    /// NULLs take no value.
    fn union<'a>(exprs: impl Iterator<Item = &'a Expr>, input: &[OutputColumn]) -> Option<Range> {
        let mut union: Option<Range> = None;
        for expr in exprs.filter(|expr| !matches!(expr, Expr::Literal(Value::Null(_)))) {
            let range = expr.range(input)?;
            union = Some(match union {
                None => range,
                Some(other) if other.scale == range.scale => {
                    Range { low: other.low.min(range.low), high: other.high.max(range.high), scale: range.scale }
                }
                Some(_) => return None,
            });
        }
        union
    }
}

impl Range {
    fn of_type(data_type: &DataType) -> Option<Self> {
        let integers = |low: i64, high: i64| Self {
            low: i256::from_i128(i128::from(low)),
            high: i256::from_i128(i128::from(high)),
            scale: 0,
        };
        Some(match data_type {
            DataType::Int16 => integers(i64::from(i16::MIN), i64::from(i16::MAX)),
            DataType::Int32 => integers(i64::from(i32::MIN), i64::from(i32::MAX)),
            DataType::Int64 => integers(i64::MIN, i64::MAX),
            DataType::Decimal128(precision, scale) => {
                let high = power_of_ten(*precision)?.checked_sub(i256::ONE)?;
                Self { low: high.checked_neg()?, high, scale: *scale }
            }
            _ => return None,
        })
    }

    fn of_value(value: &Value) -> Option<Self> {
        let (unscaled, scale) = match value {
            Value::Int16(number) => (i128::from(*number), 0),
            Value::Int32(number) => (i128::from(*number), 0),
            Value::Int64(number) => (i128::from(*number), 0),
            Value::Decimal128 { unscaled, scale, .. } => (*unscaled, *scale),
            _ => return None,
        };
        let number = i256::from_i128(unscaled);
        Some(Self { low: number, high: number, scale })
    }

    fn holds_zero(self) -> bool {
        self.low <= i256::ZERO && i256::ZERO <= self.high
    }

    /// The range, where every number of it is one of the type's.
    fn within(self, data_type: &DataType) -> Option<Self> {
        let all = Self::of_type(data_type)?;
        (self.scale == all.scale && all.low <= self.low && self.high <= all.high).then_some(self)
    }

    /// The same numbers with more digits after the point, where all of them have room.
    fn rescaled(self, scale: i8) -> Option<Self> {
        let more = u8::try_from(scale.checked_sub(self.scale)?).ok()?;
        let factor = power_of_ten(more)?;
        let rescaled = Self { low: self.low.checked_mul(factor)?, high: self.high.checked_mul(factor)?, scale };
        rescaled.within(&DataType::Decimal128(MOST_DIGITS, scale))
    }

    fn computed(op: ArithmeticOp, left: Self, right: Self, data_type: &DataType) -> Option<Self> {
        let decimal = |range: Self| range.within(&DataType::Decimal128(MOST_DIGITS, range.scale));
        let from = |numbers: &[i256], scale: i8| {
            let (low, high) = (numbers.iter().min()?, numbers.iter().max()?);
            Some(Self { low: *low, high: *high, scale })
        };
        let result = match op {
            ArithmeticOp::Add | ArithmeticOp::Subtract => {
                let scale = left.scale.max(right.scale);
                let (left, right) = (left.rescaled(scale)?, right.rescaled(scale)?);
                if op == ArithmeticOp::Add {
                    Self { low: left.low.checked_add(right.low)?, high: left.high.checked_add(right.high)?, scale }
                } else {
                    Self { low: left.low.checked_sub(right.high)?, high: left.high.checked_sub(right.low)?, scale }
                }
            }
            ArithmeticOp::Multiply => {
                let corners = corners(decimal(left)?, decimal(right)?, i256::checked_mul)?;
                from(&corners, left.scale.checked_add(right.scale)?)?
            }
            ArithmeticOp::Divide => {
                if right.holds_zero() {
                    return None;
                }
                let scale = match data_type {
                    DataType::Decimal128(_, scale) => *scale,
                    _ => 0,
                };
                let shifted = left.scale.checked_add(scale.checked_sub(left.scale)?.checked_add(right.scale)?)?;
                let corners = corners(left.rescaled(shifted)?, right, i256::checked_div)?;
                from(&corners, scale)?
            }
            ArithmeticOp::Modulo => {
                if right.holds_zero() {
                    return None;
                }
                let scale = left.scale.max(right.scale);
                let (left, right) = (left.rescaled(scale)?, right.rescaled(scale)?);
                let divisor = right.low.checked_abs()?.max(right.high.checked_abs()?).checked_sub(i256::ONE)?;
                // The least integer has no positive counterpart: here and there its remainder by -1 may be an error.
                let least = right.low <= i256::MINUS_ONE && right.high >= i256::MINUS_ONE && data_type.is_integer();
                if least && Self::of_type(data_type)?.low == left.low {
                    return None;
                }
                Self {
                    low: left.low.max(divisor.checked_neg()?).min(i256::ZERO),
                    high: left.high.min(divisor).max(i256::ZERO),
                    scale,
                }
            }
        };
        result.within(data_type)
    }
}

/// Both ends of the left with both ends of the right: the extremes of a product, and of a quotient by what is never zero.
fn corners(left: Range, right: Range, compute: impl Fn(i256, i256) -> Option<i256>) -> Option<[i256; 4]> {
    Some([
        compute(left.low, right.low)?,
        compute(left.low, right.high)?,
        compute(left.high, right.low)?,
        compute(left.high, right.high)?,
    ])
}

fn power_of_ten(exponent: u8) -> Option<i256> {
    i256::from_i128(10).checked_pow(u32::from(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: DataType, source_type: &str) -> OutputColumn {
        OutputColumn { source_type: Some(source_type.to_owned()), ..OutputColumn::computed(data_type) }
    }

    fn columns() -> Vec<OutputColumn> {
        vec![
            column(DataType::Int16, "smallint"),
            column(DataType::Int32, "integer"),
            column(DataType::Int64, "bigint"),
            column(DataType::Decimal128(10, 2), "numeric(10,2)"),
            column(DataType::Decimal128(38, 10), "numeric"),
        ]
    }

    fn arithmetic(op: ArithmeticOp, left: Expr, right: Expr, data_type: DataType) -> Expr {
        Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right), data_type }
    }

    fn wide(column: usize) -> Expr {
        Expr::Widen { expr: Box::new(Expr::Column(column)), to: DataType::Int64 }
    }

    fn int(number: i64) -> Expr {
        Expr::Literal(Value::Int64(number))
    }

    fn decimal(unscaled: i128, scale: i8) -> Expr {
        Expr::Literal(Value::Decimal128 { unscaled, precision: 10, scale })
    }

    fn fits(expr: &Expr) -> bool {
        arithmetic_support(expr, &columns()) == Support::Exact
    }

    #[test]
    fn a_narrow_column_has_room_in_a_wide_type_and_a_wide_one_has_none() {
        use ArithmeticOp::{Add, Divide, Modulo, Multiply, Subtract};
        let long = DataType::Int64;
        assert!(fits(&arithmetic(Add, wide(1), int(5), long.clone())));
        assert!(fits(&arithmetic(Multiply, wide(1), wide(1), long.clone())));
        let cube = arithmetic(Multiply, arithmetic(Multiply, wide(1), wide(1), long.clone()), wide(1), long.clone());
        assert!(!fits(&cube));
        assert!(!fits(&arithmetic(Add, Expr::Column(2), int(1), long.clone())));
        assert!(!fits(&arithmetic(Subtract, int(0), Expr::Column(2), long.clone())));
        assert!(fits(&arithmetic(Subtract, int(-1), Expr::Column(2), long.clone())));
        assert!(fits(&arithmetic(Divide, Expr::Column(2), int(2), long.clone())));
        assert!(!fits(&arithmetic(Divide, Expr::Column(2), int(-1), long.clone())));
        assert!(!fits(&arithmetic(Divide, Expr::Column(2), int(0), long.clone())));
        assert!(!fits(&arithmetic(Divide, Expr::Column(2), wide(1), long.clone())));
        assert!(fits(&arithmetic(Modulo, Expr::Column(2), int(-7), long.clone())));
        assert!(!fits(&arithmetic(Modulo, Expr::Column(2), int(-1), long.clone())));
        assert!(!fits(&arithmetic(Add, Expr::Column(0), Expr::Column(0), DataType::Int16)));
        let tens =
            arithmetic(Multiply, arithmetic(Divide, Expr::Column(2), int(10), long.clone()), int(10), long.clone());
        assert!(fits(&tens));
        assert!(!fits(&arithmetic(Add, tens, int(10), long)));
    }

    #[test]
    fn decimals_need_room_for_their_digits_at_every_step() {
        use ArithmeticOp::{Add, Divide, Modulo, Multiply};
        let sum = |precision| arithmetic(Add, Expr::Column(3), Expr::Column(3), DataType::Decimal128(precision, 2));
        assert!(fits(&sum(11)));
        assert!(!fits(&sum(10)));
        assert!(fits(&arithmetic(Multiply, Expr::Column(3), decimal(150, 2), DataType::Decimal128(21, 4))));
        assert!(fits(&arithmetic(Divide, Expr::Column(3), decimal(300, 2), DataType::Decimal128(16, 6))));
        assert!(!fits(&arithmetic(Divide, Expr::Column(3), Expr::Column(3), DataType::Decimal128(18, 6))));
        assert!(fits(&arithmetic(Modulo, Expr::Column(3), decimal(7, 0), DataType::Decimal128(10, 2))));
        // Its digits are declared nowhere: the source may hold more than any type of ours.
        assert!(!fits(&arithmetic(Multiply, Expr::Column(4), decimal(1, 0), DataType::Decimal128(38, 10))));
        assert!(!fits(&arithmetic(Add, Expr::Column(3), Expr::Column(3), DataType::Float64)));
    }

    #[test]
    fn a_choice_is_as_wide_as_its_widest_branch() {
        let choice = Expr::Case {
            branches: vec![(Expr::IsNull(Box::new(Expr::Column(0))), int(i64::MAX))],
            otherwise: Some(Box::new(Expr::Literal(Value::Null(DataType::Int64)))),
        };
        assert!(!fits(&arithmetic(ArithmeticOp::Add, choice.clone(), int(1), DataType::Int64)));
        assert!(fits(&arithmetic(ArithmeticOp::Subtract, choice, int(1), DataType::Int64)));
    }
}
