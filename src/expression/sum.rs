//! `sum` that fails where its result is none of its type, whatever the order of its rows: DataFusion's wraps.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Builder, Int64Builder};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, DecimalType, Field, FieldRef, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, ScalarValue, internal_err};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

/// `sum`, to be registered in place of DataFusion's. Other types than integers and decimals of up to 38 digits are left to
/// that one.
pub fn exact_sum() -> AggregateUDF {
    AggregateUDF::new_from_impl(ExactSum { inner: Sum::new(), result: ResultType::AsUsual })
}

/// The sum of sums of integers, which are decimals without a scale: an integer again.
pub fn sum_of_sums() -> AggregateUDF {
    AggregateUDF::new_from_impl(ExactSum { inner: Sum::new(), result: ResultType::Integer })
}

/// Digits of the running sum, which has room for 2^64 of the largest integers.
const STATE_DIGITS: u8 = 38;

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    inner: Sum,
    result: ResultType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ResultType {
    AsUsual,
    Integer,
}

impl ExactSum {
    fn is_exact_here(data_type: &DataType) -> bool {
        matches!(data_type, DataType::Int64 | DataType::Decimal128(..))
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        match self.result {
            ResultType::AsUsual => self.inner.name(),
            // Another name, since no source has it.
            ResultType::Integer => "sum_of_sums",
        }
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType, DataFusionError> {
        match self.result {
            ResultType::AsUsual => self.inner.return_type(args),
            ResultType::Integer => Ok(DataType::Int64),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>, DataFusionError> {
        if args.is_distinct || !Self::is_exact_here(args.return_field.data_type()) {
            return self.inner.state_fields(args);
        }
        let state = state_type(args.return_field.data_type());
        Ok(vec![Arc::new(Field::new(format!("{}[sum]", args.name), state, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>, DataFusionError> {
        let result = args.return_field.data_type().clone();
        if !Self::is_exact_here(&result) {
            return self.inner.accumulator(args);
        }
        if args.is_distinct {
            return Ok(Box::new(DistinctSum { inner: self.inner.accumulator(args)?, result }));
        }
        Ok(Box::new(RunningSum { sum: Some(0), values: 0, result }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>, DataFusionError> {
        if args.is_distinct { self.inner.create_sliding_accumulator(args) } else { self.accumulator(args) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>, DataFusionError> {
        let result = args.return_field.data_type().clone();
        if !Self::is_exact_here(&result) {
            return self.inner.create_groups_accumulator(args);
        }
        Ok(Box::new(GroupSums { sums: Vec::new(), result }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn state_type(result: &DataType) -> DataType {
    match result {
        DataType::Decimal128(_, scale) => DataType::Decimal128(STATE_DIGITS, *scale),
        _ => DataType::Decimal128(STATE_DIGITS, 0),
    }
}

fn overflow() -> DataFusionError {
    ArrowError::ArithmeticOverflow("a sum goes beyond its type".to_owned()).into()
}

/// The values, whichever of the two kinds they are.
fn numbers(values: &ArrayRef) -> Result<Box<dyn Iterator<Item = Option<i128>> + '_>, DataFusionError> {
    match values.data_type() {
        DataType::Int64 => Ok(Box::new(values.as_primitive::<Int64Type>().iter().map(|value| value.map(i128::from)))),
        DataType::Decimal128(..) => Ok(Box::new(values.as_primitive::<Decimal128Type>().iter())),
        other => internal_err!("a sum of {other}"),
    }
}

fn first(values: &[ArrayRef]) -> Result<&ArrayRef, DataFusionError> {
    values.first().map_or_else(|| internal_err!("a sum of nothing"), Ok)
}

/// The sum as its type, where that has room for it.
fn checked_result(sum: i128, result: &DataType) -> Result<i128, DataFusionError> {
    let fits = match result {
        DataType::Decimal128(precision, scale) => {
            Decimal128Type::validate_decimal_precision(sum, *precision, *scale).is_ok()
        }
        _ => i64::try_from(sum).is_ok(),
    };
    if fits { Ok(sum) } else { Err(overflow()) }
}

fn scalar(sum: Option<i128>, result: &DataType) -> Result<ScalarValue, DataFusionError> {
    let sum = sum.map(|sum| checked_result(sum, result)).transpose()?;
    Ok(match result {
        DataType::Decimal128(precision, scale) => ScalarValue::Decimal128(sum, *precision, *scale),
        _ => ScalarValue::Int64(sum.map(i64::try_from).transpose().map_err(|_| overflow())?),
    })
}

/// The sum of the rows of one window frame or of a whole table.
#[derive(Debug)]
struct RunningSum {
    /// `None` once it has left even the widest type.
    sum: Option<i128>,
    values: u64,
    result: DataType,
}

impl RunningSum {
    fn known(&self) -> Result<Option<i128>, DataFusionError> {
        match (self.values, self.sum) {
            (0, _) => Ok(None),
            (_, Some(sum)) => Ok(Some(sum)),
            (_, None) => Err(overflow()),
        }
    }
}

impl Accumulator for RunningSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<(), DataFusionError> {
        for number in numbers(first(values)?)?.flatten() {
            self.sum = self.sum.and_then(|sum| sum.checked_add(number));
            self.values = self.values.saturating_add(1);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<(), DataFusionError> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<(), DataFusionError> {
        for number in numbers(first(values)?)?.flatten() {
            self.sum = self.sum.and_then(|sum| sum.checked_sub(number));
            self.values = self.values.saturating_sub(1);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>, DataFusionError> {
        Ok(vec![scalar(self.known()?, &state_type(&self.result))?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue, DataFusionError> {
        scalar(self.known()?, &self.result)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// DataFusion's set of distinct values, summed here.
struct DistinctSum {
    inner: Box<dyn Accumulator>,
    result: DataType,
}

impl fmt::Debug for DistinctSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinctSum({})", self.result)
    }
}

impl Accumulator for DistinctSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<(), DataFusionError> {
        self.inner.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<(), DataFusionError> {
        self.inner.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>, DataFusionError> {
        self.inner.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue, DataFusionError> {
        let states = self.inner.state()?;
        let Some(ScalarValue::List(list)) = states.first() else { return internal_err!("no list of distinct values") };
        let distinct: ArrayRef = Arc::clone(list.values());
        let mut sum = None;
        for number in numbers(&distinct)?.flatten() {
            sum = Some(sum.unwrap_or(0_i128).checked_add(number).ok_or_else(overflow)?);
        }
        scalar(sum, &self.result)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// The sums of many groups; a group without values has none.
struct GroupSums {
    sums: Vec<Option<i128>>,
    result: DataType,
}

impl GroupSums {
    fn add<'a>(
        &mut self,
        numbers: impl Iterator<Item = Option<i128>>,
        groups: impl Iterator<Item = &'a usize>,
        counts: impl Fn(usize) -> bool,
        total: usize,
    ) -> Result<(), DataFusionError> {
        self.sums.resize(total, None);
        for (row, (number, group)) in numbers.zip(groups).enumerate() {
            let (Some(number), true) = (number, counts(row)) else { continue };
            let Some(sum) = self.sums.get_mut(*group) else { return internal_err!("a group out of place") };
            *sum = Some(sum.unwrap_or(0).checked_add(number).ok_or_else(overflow)?);
        }
        Ok(())
    }
}

impl GroupsAccumulator for GroupSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<(), DataFusionError> {
        let counts = |row| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        self.add(numbers(first(values)?)?, group_indices.iter(), counts, total_num_groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<(), DataFusionError> {
        self.add(numbers(first(values)?)?, group_indices.iter(), |_| true, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef, DataFusionError> {
        let sums = emit_to.take_needed(&mut self.sums);
        array(sums.into_iter(), &self.result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>, DataFusionError> {
        let sums = emit_to.take_needed(&mut self.sums);
        Ok(vec![array(sums.into_iter(), &state_type(&self.result))?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>, DataFusionError> {
        let counts = |row| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let kept = numbers(first(values)?)?.enumerate().map(|(row, number)| number.filter(|_| counts(row)));
        Ok(vec![array(kept, &state_type(&self.result))?])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Option<i128>>()
    }
}

fn array(sums: impl Iterator<Item = Option<i128>>, data_type: &DataType) -> Result<ArrayRef, DataFusionError> {
    if let DataType::Decimal128(precision, scale) = data_type {
        let mut builder = Decimal128Builder::new().with_precision_and_scale(*precision, *scale)?;
        for sum in sums {
            builder.append_option(sum.map(|sum| checked_result(sum, data_type)).transpose()?);
        }
        return Ok(Arc::new(builder.finish()));
    }
    let mut builder = Int64Builder::new();
    for sum in sums {
        builder.append_option(sum.map(i64::try_from).transpose().map_err(|_| overflow())?);
    }
    Ok(Arc::new(builder.finish()))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Int64Array};

    use super::*;

    fn sum_of(numbers: &[i64]) -> Result<ScalarValue, DataFusionError> {
        let mut sum = RunningSum { sum: Some(0), values: 0, result: DataType::Int64 };
        sum.update_batch(&[Arc::new(Int64Array::from(numbers.to_vec()))])?;
        sum.evaluate()
    }

    fn group_sums(numbers: &[Option<i64>], groups: &[usize]) -> Result<ArrayRef, DataFusionError> {
        let mut sums = GroupSums { sums: Vec::new(), result: DataType::Int64 };
        let total = groups.iter().max().map_or(0, |last| last + 1);
        sums.update_batch(&[Arc::new(Int64Array::from(numbers.to_vec()))], groups, None, total)?;
        sums.evaluate(EmitTo::All)
    }

    #[test]
    fn a_sum_that_does_not_fit_is_an_error_and_no_other_number() {
        assert_eq!(sum_of(&[]).unwrap(), ScalarValue::Int64(None));
        assert_eq!(sum_of(&[i64::MAX, -1]).unwrap(), ScalarValue::Int64(Some(i64::MAX - 1)));
        assert!(sum_of(&[i64::MAX, 1]).is_err());
        assert!(sum_of(&[i64::MIN, -1]).is_err());
        // On its way it may leave the type.
        assert_eq!(sum_of(&[i64::MAX, 1, -2]).unwrap(), ScalarValue::Int64(Some(i64::MAX - 1)));
    }

    #[test]
    fn groups_are_summed_apart() {
        let sums = group_sums(&[Some(1), None, Some(3), Some(i64::MAX), None], &[0, 0, 0, 1, 2]).unwrap();
        assert_eq!(*sums.as_primitive::<Int64Type>(), Int64Array::from(vec![Some(4), Some(i64::MAX), None]));
        assert!(group_sums(&[Some(i64::MAX), Some(1)], &[0, 0]).is_err());
    }

    #[test]
    fn decimals_keep_to_their_digits() {
        let result = DataType::Decimal128(38, 2);
        let largest = 10_i128.pow(38) - 1;
        let mut sum = RunningSum { sum: Some(0), values: 0, result: result.clone() };
        let values = Decimal128Array::from(vec![largest, 1, -1]).with_precision_and_scale(38, 2).unwrap();
        sum.update_batch(&[Arc::new(values.slice(0, 2))]).unwrap();
        assert!(sum.evaluate().is_err());
        sum.update_batch(&[Arc::new(values.slice(2, 1))]).unwrap();
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Decimal128(Some(largest), 38, 2));
    }

    #[test]
    fn a_window_takes_back_what_leaves_it() {
        let mut sum = RunningSum { sum: Some(0), values: 0, result: DataType::Int64 };
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), None]));
        sum.update_batch(&[Arc::clone(&values)]).unwrap();
        sum.retract_batch(&[values]).unwrap();
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Int64(None));
    }
}
