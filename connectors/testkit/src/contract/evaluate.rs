//! What an expression is, computed over Arrow arrays by Arrow's own kernels, which DataFusion runs too, and by plain Rust where
//! those have no such function. It knows no database.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, Int32Array, RecordBatch, StringArray};
use arrow::array::{Date32Array, TimestampMicrosecondArray, UInt32Array, new_null_array};
use arrow::compute::kernels::boolean::{and_kleene, is_not_null, is_null, not, or_kleene};
use arrow::compute::kernels::cmp::{eq, gt, gt_eq, lt, lt_eq, neq};
use arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{CastOptions, cast_with_options, like, prep_null_mask_filter, take};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use wayleave_connector_api::{ArithmeticOp, CompareOp, Expr, Mask, OutputColumn, TextFunction, TrimSide, Value};

use super::moment;
use super::table::array;

/// The expression over every row.
pub fn evaluate(expr: &Expr, rows: &RecordBatch) -> ArrayRef {
    try_evaluate(expr, rows).unwrap_or_else(|error| panic!("{error} in {expr:?}"))
}

fn try_evaluate(expr: &Expr, rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let of = |expr: &Expr| try_evaluate(expr, rows);
    let boolean = |expr: &Expr| Ok::<_, ArrowError>(of(expr)?.as_boolean().clone());
    let repeated = |value: bool| BooleanArray::from(vec![value; rows.num_rows()]);
    Ok(match expr {
        Expr::Column(index) => Arc::clone(rows.column(*index)),
        Expr::Literal(value) => literal(value, rows.num_rows())?,
        Expr::Compare { op, left, right } => {
            let (left, right) = (of(left)?, of(right)?);
            Arc::new(compare(*op, &left, &right)?)
        }
        Expr::And(parts) => {
            let all = parts.iter().try_fold(repeated(true), |all, part| and_kleene(&all, &boolean(part)?))?;
            Arc::new(all)
        }
        Expr::Or(parts) => {
            let any = parts.iter().try_fold(repeated(false), |any, part| or_kleene(&any, &boolean(part)?))?;
            Arc::new(any)
        }
        Expr::Not(inner) => Arc::new(not(&boolean(inner)?)?),
        Expr::IsNull(inner) => Arc::new(is_null(&of(inner)?)?),
        Expr::IsNotNull(inner) => Arc::new(is_not_null(&of(inner)?)?),
        Expr::InList { expr, list, negated } => {
            let operand = of(expr)?;
            let mut found = repeated(false);
            for value in list {
                found = or_kleene(&found, &eq(&operand, &literal(value, rows.num_rows())?)?)?;
            }
            Arc::new(if *negated { not(&found)? } else { found })
        }
        Expr::Like { expr, pattern, negated } => {
            let found = like(&of(expr)?, &StringArray::new_scalar(pattern.as_str()))?;
            Arc::new(if *negated { not(&found)? } else { found })
        }
        Expr::Case { branches, otherwise } => {
            let mut value = match otherwise {
                Some(otherwise) => of(otherwise)?,
                None => new_null_array(of(&branches[0].1)?.data_type(), rows.num_rows()),
            };
            for (when, then) in branches.iter().rev() {
                value = zip(&only_true(&boolean(when)?), &of(then)?, &value)?;
            }
            value
        }
        Expr::Coalesce(parts) => {
            let (last, others) = parts.split_last().unwrap();
            let mut value = of(last)?;
            for part in others.iter().rev() {
                let part = of(part)?;
                value = zip(&is_not_null(&part)?, &part, &value)?;
            }
            value
        }
        Expr::Widen { expr, to } => {
            cast_with_options(&of(expr)?, to, &CastOptions { safe: false, ..CastOptions::default() })?
        }
        Expr::Arithmetic { op, left, right, .. } => kernel(*op)(&of(left)?, &of(right)?)?,
        Expr::Concat(parts) => {
            let parts = parts.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            let row = |row: usize| parts.iter().map(|part| text_at(part, row)).collect::<Option<String>>();
            Arc::new((0..rows.num_rows()).map(row).collect::<StringArray>())
        }
        Expr::OfText { function, expr } => {
            let texts = of(expr)?;
            let texts = texts.as_string::<i32>().iter();
            match function {
                TextFunction::Length | TextFunction::Position(_) => {
                    Arc::new(texts.map(|text| count(function, text?)).collect::<Int32Array>())
                }
                _ => Arc::new(texts.map(|text| Some(made(function, text?))).collect::<StringArray>()),
            }
        }
        Expr::DatePart { part, expr } => {
            let parts = moment::of(&of(expr)?).into_iter().map(|moment| Some(moment::part(moment?, *part)));
            Arc::new(parts.collect::<Int32Array>())
        }
        Expr::Truncate { to, expr } => {
            let operand = of(expr)?;
            let begun = moment::of(&operand).into_iter().map(|moment| Some(moment::truncated(moment?, *to)));
            let begun = begun.map(|moment| Some(moment?.and_utc().timestamp_micros()));
            Arc::new(begun.collect::<TimestampMicrosecondArray>().with_data_type(operand.data_type().clone()))
        }
        Expr::CanonicalKey { expr, format } => each_text(&of(expr)?, |text| format.canonical(text)),
        Expr::WrittenKey { expr, format } => each_text(&of(expr)?, |text| format.written(text).pop()),
        Expr::Released { value, .. } => of(value)?,
        Expr::Mask { expr, mask: Mask::OutwardPostcode } => each_text(&of(expr)?, outward),
        Expr::Mask { expr, mask: Mask::LastCharacters(count) } => {
            each_text(&of(expr)?, |text| Some(last(text, usize::try_from(*count).unwrap())))
        }
        Expr::Mask { expr, mask: Mask::YearOfDate } => {
            let years = moment::of(&of(expr)?).into_iter().map(|moment| Some(moment::year(moment?)));
            Arc::new(years.collect::<Int32Array>())
        }
        Expr::DateOf(inner) => {
            let operand = of(inner)?;
            match operand.data_type() {
                DataType::Utf8 => {
                    let days = operand.as_string::<i32>().iter().map(|text| moment::days(moment::iso_date(text?)?));
                    Arc::new(days.collect::<Date32Array>())
                }
                DataType::Date32 => Arc::new(operand.as_primitive::<Date32Type>().clone()),
                _ => {
                    let moments = operand.as_primitive::<TimestampMicrosecondType>().iter();
                    let day = |microseconds: i64| i32::try_from(microseconds.div_euclid(86_400_000_000)).ok();
                    Arc::new(moments.map(|moment| day(moment?)).collect::<Date32Array>())
                }
            }
        }
        Expr::Outer(_) | Expr::Exists { .. } => panic!("a probe is no expression over one table: {expr:?}"),
    })
}

/// A condition that is open does not hold.
fn only_true(condition: &BooleanArray) -> BooleanArray {
    if condition.null_count() > 0 { prep_null_mask_filter(condition) } else { condition.clone() }
}

fn literal(value: &Value, count: usize) -> Result<ArrayRef, ArrowError> {
    let data_type = value.data_type();
    let one = array(std::slice::from_ref(value), &data_type, &data_type);
    take(&one, &UInt32Array::from(vec![0; count]), None)
}

fn compare(op: CompareOp, left: &ArrayRef, right: &ArrayRef) -> Result<BooleanArray, ArrowError> {
    match op {
        CompareOp::Equal => eq(left, right),
        CompareOp::NotEqual => neq(left, right),
        CompareOp::Less => lt(left, right),
        CompareOp::LessOrEqual => lt_eq(left, right),
        CompareOp::Greater => gt(left, right),
        CompareOp::GreaterOrEqual => gt_eq(left, right),
    }
}

/// The type that Arrow gives to arithmetic over these columns; `None` where it has no such result.
pub fn result_type(op: ArithmeticOp, left: &Expr, right: &Expr, input: &[OutputColumn]) -> Option<DataType> {
    let empty = |expr: &Expr| new_null_array(&expr.output(input).data_type, 0);
    Some(kernel(op)(&empty(left), &empty(right)).ok()?.data_type().clone())
}

fn kernel(op: ArithmeticOp) -> fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError> {
    match op {
        ArithmeticOp::Add => add,
        ArithmeticOp::Subtract => sub,
        ArithmeticOp::Multiply => mul,
        ArithmeticOp::Divide => div,
        ArithmeticOp::Modulo => rem,
    }
}

fn text_at(array: &ArrayRef, row: usize) -> Option<&str> {
    let array = array.as_string::<i32>();
    array.is_valid(row).then(|| array.value(row))
}

fn each_text(texts: &ArrayRef, rule: impl Fn(&str) -> Option<String>) -> ArrayRef {
    Arc::new(texts.as_string::<i32>().iter().map(|text| rule(text?)).collect::<StringArray>())
}

fn count(function: &TextFunction, text: &str) -> Option<i32> {
    let count = match function {
        TextFunction::Position(part) => text.find(part.as_str()).map_or(0, |place| text[..place].chars().count() + 1),
        _ => text.chars().count(),
    };
    i32::try_from(count).ok()
}

fn made(function: &TextFunction, text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let count = i32::try_from(characters.len()).unwrap();
    let slice = |from: i32, to: i32| {
        let bound = |place: i32| usize::try_from(place.clamp(0, count)).unwrap();
        characters[bound(from)..bound(to).max(bound(from))].iter().collect::<String>()
    };
    match function {
        TextFunction::Substring { start, length } => {
            slice(start - 1, length.map_or(count, |length| (start - 1).saturating_add(length)))
        }
        TextFunction::Left(length) if *length < 0 => slice(0, count + length),
        TextFunction::Left(length) => slice(0, *length),
        TextFunction::Right(length) if *length < 0 => slice(-length, count),
        TextFunction::Right(length) => slice(count - length, count),
        TextFunction::Trim(TrimSide::Both) => text.trim_matches(' ').to_owned(),
        TextFunction::Trim(TrimSide::Start) => text.trim_start_matches(' ').to_owned(),
        TextFunction::Trim(TrimSide::End) => text.trim_end_matches(' ').to_owned(),
        TextFunction::Replace { from, to } => text.replace(from, to),
        TextFunction::Upper => text.to_uppercase(),
        TextFunction::Lower => text.to_lowercase(),
        TextFunction::Length | TextFunction::Position(_) => panic!("{function:?} makes no text"),
    }
}

fn outward(text: &str) -> Option<String> {
    let text: Vec<char> = text.trim_matches(' ').chars().collect();
    match text.iter().position(|c| *c == ' ') {
        Some(place @ 1..=4) => Some(text[..place].iter().collect()),
        None if (5..=7).contains(&text.len()) => Some(text[..text.len() - 3].iter().collect()),
        _ => None,
    }
}

fn last(text: &str, count: usize) -> String {
    let text: Vec<char> = text.chars().collect();
    if text.len() > count {
        format!("***{}", text[text.len() - count..].iter().collect::<String>())
    } else {
        "***".to_owned()
    }
}
