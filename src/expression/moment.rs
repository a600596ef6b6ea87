//! The last step of an average, a variance or a standard deviation: what exact sums and a count make.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Builder, Float64Builder};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, DecimalType, Int64Type, i256};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `sum / count` as an average of this type: Float64, or a decimal that is cut off at its scale, as DataFusion's are. The sum
/// is a decimal, the count an Int64; of no values there is no average.
pub fn finished_average(sum: Expr, count: Expr, data_type: DataType) -> Expr {
    ScalarUDF::new_from_impl(FinishedAverage { data_type, signature: Signature::any(2, Volatility::Immutable) })
        .call(vec![sum, count])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FinishedAverage {
    data_type: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for FinishedAverage {
    fn name(&self) -> &str {
        "average_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let [sum, count] = args.args.as_slice() else { return internal_err!("an average without its two parts") };
        let (sum, count) = (sum.to_array(args.number_rows)?, count.to_array(args.number_rows)?);
        let DataType::Decimal128(_, sum_scale) = sum.data_type() else {
            return internal_err!("an average of {}", sum.data_type());
        };
        let pairs = sum.as_primitive::<Decimal128Type>().iter().zip(count.as_primitive::<Int64Type>().iter());
        let pairs = pairs.map(|(sum, count)| Some((sum?, count.filter(|count| *count > 0)?)));
        Ok(ColumnarValue::Array(match &self.data_type {
            DataType::Decimal128(precision, scale) => decimals(pairs, *sum_scale, *precision, *scale)?,
            _ => floats(pairs, *sum_scale)?,
        }))
    }
}

/// A variance or its root, of a sample or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spread {
    pub sample: bool,
    pub root: bool,
}

impl Spread {
    /// The name that SQL has for it.
    fn name(self) -> &'static str {
        match (self.root, self.sample) {
            (true, true) => "stddev_of",
            (true, false) => "stddev_pop_of",
            (false, true) => "var_of",
            (false, false) => "var_pop_of",
        }
    }

    /// `(n * squares - sum * sum) / (n * (n - 1))`, or over `n * n` where it is of all: exact but for the last division. The sum
    /// has this scale, the sum of squares twice as much.
    fn of(self, sum: i128, squares: i128, count: i64, scale: i8) -> Result<Option<f64>, ArrowError> {
        let overflow = || ArrowError::ArithmeticOverflow("a variance goes beyond its type".to_owned());
        let values = i128::from(count);
        let divisor = if self.sample { values * (values - 1) } else { values * values };
        if divisor <= 0 {
            return Ok(None);
        }
        let squared = i256::from_i128(sum).checked_mul(i256::from_i128(sum)).ok_or_else(overflow)?;
        let above = i256::from_i128(squares).checked_mul(i256::from_i128(values)).ok_or_else(overflow)?;
        let above = above.checked_sub(squared).ok_or_else(overflow)?;
        let shift = u32::try_from(scale).ok().and_then(|scale| i256::from_i128(10).checked_pow(scale.checked_mul(2)?));
        let below = shift.and_then(|shift| i256::from_i128(divisor).checked_mul(shift)).ok_or_else(overflow)?;
        let variance = nearest_of_long(above)? / nearest_of_long(below)?;
        Ok(Some(if self.root { variance.sqrt() } else { variance }))
    }
}

/// The spread, a Float64, of the values that have this sum, this sum of squares (decimals, the second with twice the first's
/// scale) and this count, an Int64.
pub fn finished_spread(sum: Expr, squares: Expr, count: Expr, spread: Spread) -> Expr {
    ScalarUDF::new_from_impl(FinishedSpread { spread, signature: Signature::any(3, Volatility::Immutable) })
        .call(vec![sum, squares, count])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FinishedSpread {
    spread: Spread,
    signature: Signature,
}

impl ScalarUDFImpl for FinishedSpread {
    fn name(&self) -> &str {
        self.spread.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let [sum, squares, count] = args.args.as_slice() else { return internal_err!("a spread without its parts") };
        let [sum, squares, count] = [sum, squares, count].map(|part| part.to_array(args.number_rows));
        let (sum, squares, count) = (sum?, squares?, count?);
        let (DataType::Decimal128(_, scale), DataType::Decimal128(_, twice)) = (sum.data_type(), squares.data_type())
        else {
            return internal_err!("a spread of {} and {}", sum.data_type(), squares.data_type());
        };
        if scale.checked_mul(2) != Some(*twice) {
            return internal_err!("squares of another scale");
        }
        let parts = sum.as_primitive::<Decimal128Type>().iter().zip(squares.as_primitive::<Decimal128Type>());
        let mut builder = Float64Builder::new();
        for ((sum, squares), count) in parts.zip(count.as_primitive::<Int64Type>()) {
            builder.append_option(match (sum, squares, count) {
                (Some(sum), Some(squares), Some(count)) => self.spread.of(sum, squares, count, *scale)?,
                _ => None,
            });
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

fn decimals(
    pairs: impl Iterator<Item = Option<(i128, i64)>>,
    sum_scale: i8,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef, DataFusionError> {
    let overflow = || ArrowError::ArithmeticOverflow("an average goes beyond its type".to_owned());
    let shift = scale.checked_sub(sum_scale).and_then(|shift| u32::try_from(shift).ok()).ok_or_else(overflow)?;
    let factor = i256::from_i128(10).checked_pow(shift).ok_or_else(overflow)?;
    let mut builder = Decimal128Builder::new().with_precision_and_scale(precision, scale)?;
    for pair in pairs {
        let Some((sum, count)) = pair else {
            builder.append_null();
            continue;
        };
        let average = i256::from_i128(sum)
            .checked_mul(factor)
            .and_then(|sum| sum.checked_div(i256::from_i128(i128::from(count))))
            .and_then(i256::to_i128)
            .filter(|average| Decimal128Type::validate_decimal_precision(*average, precision, scale).is_ok())
            .ok_or_else(overflow)?;
        builder.append_value(average);
    }
    Ok(Arc::new(builder.finish()))
}

fn floats(pairs: impl Iterator<Item = Option<(i128, i64)>>, sum_scale: i8) -> Result<ArrayRef, DataFusionError> {
    if sum_scale != 0 {
        return internal_err!("an average of decimals as a float");
    }
    let mut builder = Float64Builder::new();
    for pair in pairs {
        builder.append_option(pair.map(|(sum, count)| nearest(sum) / nearest(i128::from(count))));
    }
    Ok(Arc::new(builder.finish()))
}

#[expect(clippy::as_conversions, reason = "rounding to the nearest float is meant, and no other conversion does it")]
fn nearest(number: i128) -> f64 {
    number as f64
}

/// By way of its digits, which the standard library rounds to the nearest float.
fn nearest_of_long(number: i256) -> Result<f64, ArrowError> {
    number.to_string().parse().map_err(|_| ArrowError::CastError("a number without digits".to_owned()))
}

/// The type that an exact sum of integers is made in: digits enough for the widest of them.
pub const INTEGER_AS_DECIMAL: DataType = DataType::Decimal128(19, 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_cut_off_and_never_rounded() {
        let average = |sum, count| {
            let pairs = [Some((sum, count)), None].into_iter();
            decimals(pairs, 2, 14, 6).map(|array| array.as_primitive::<Decimal128Type>().value(0))
        };
        assert_eq!(average(200, 3).unwrap(), 666_666);
        assert_eq!(average(-200, 3).unwrap(), -666_666);
        assert!(average(10_i128.pow(37), 1).is_err());
    }

    #[test]
    fn a_spread_is_exact_where_floats_cancel() {
        let [all, sample] = [false, true].map(|sample| Spread { sample, root: false });
        // 10^9, 10^9 + 1 and 10^9 + 2: floats lose the variance among the squares.
        let values: [i128; 3] = [0, 1, 2].map(|more| 1_000_000_000 + more);
        let (sum, squares) = (values.iter().sum(), values.iter().map(|value| value * value).sum());
        assert_eq!(sample.of(sum, squares, 3, 0).unwrap(), Some(1.0));
        assert_eq!(all.of(sum, squares, 3, 0).unwrap(), Some(2.0 / 3.0));
        assert_eq!(Spread { root: true, ..sample }.of(sum, squares, 3, 1).unwrap(), Some(0.1));
        assert_eq!((all.of(7, 49, 1, 0).unwrap(), sample.of(7, 49, 1, 0).unwrap()), (Some(0.0), None));
        assert_eq!(all.of(0, 0, 0, 0).unwrap(), None);
    }

    #[test]
    fn an_average_of_integers_is_the_quotient_of_exact_numbers() {
        let pairs = [Some((9_007_199_254_740_992 * 3, 3)), Some((1, 3)), None].into_iter();
        let averages = floats(pairs, 0).unwrap();
        let averages: Vec<_> = averages.as_primitive::<datafusion::arrow::datatypes::Float64Type>().iter().collect();
        assert_eq!(averages, [Some(9_007_199_254_740_992.0), Some(1.0 / 3.0), None]);
    }
}
