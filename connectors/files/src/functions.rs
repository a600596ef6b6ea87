//! The functions that every session brings along, so that the SQL we write for it can be read.
//!
//! INVARIANT: none of them fails, whatever text it meets.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, StringArray};
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDate, NaiveTime};
use datafusion::common::{HashSet, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use wayleave_connector_api::{Form, KeyFormat, Scheme};

/// `nhs_number_<form>(text)`: the ten digits of a valid number that is written in this form.
pub(crate) const NHS_NUMBER: &str = "nhs_number_";

/// `iso_date(text)`: the day of a date, alone or before a time of day in no zone but UTC's.
pub(crate) const ISO_DATE: &str = "iso_date";

/// `text_in(text, list)`: whether it is in a list of texts, which is written as one JSON array.
pub(crate) const TEXT_IN: &str = "text_in";

/// Day 0 of Arrow's dates, counted as chrono counts days.
const EPOCH_DAY: i32 = 719_163;

pub(crate) fn register(context: &SessionContext) {
    for (name, form) in Form::NAMES {
        let format = KeyFormat { scheme: Scheme::NhsNumber, form, assured: false };
        let canonical = move |texts: &StringArray| -> ArrayRef {
            Arc::new(texts.iter().map(|text| format.canonical(text?)).collect::<StringArray>())
        };
        let name = format!("{NHS_NUMBER}{name}");
        context.register_udf(create_udf(
            &name,
            vec![DataType::Utf8],
            DataType::Utf8,
            Volatility::Immutable,
            over_texts(canonical),
        ));
    }
    let dates = |texts: &StringArray| -> ArrayRef {
        Arc::new(texts.iter().map(|text| iso_date(text?)).collect::<Date32Array>())
    };
    context.register_udf(create_udf(
        ISO_DATE,
        vec![DataType::Utf8],
        DataType::Date32,
        Volatility::Immutable,
        over_texts(dates),
    ));
    context.register_udf(create_udf(
        TEXT_IN,
        vec![DataType::Utf8, DataType::Utf8],
        DataType::Boolean,
        Volatility::Immutable,
        text_in(),
    ));
}

type Function = Arc<dyn Fn(&[ColumnarValue]) -> Result<ColumnarValue> + Send + Sync>;

/// A function of one text.
fn over_texts(work: impl Fn(&StringArray) -> ArrayRef + Send + Sync + 'static) -> Function {
    Arc::new(move |arguments| {
        let [argument, ..] = arguments else { return Err(DataFusionError::Internal("no argument".to_owned())) };
        Ok(match argument {
            ColumnarValue::Array(array) => ColumnarValue::Array(work(array.as_string::<i32>())),
            ColumnarValue::Scalar(scalar) => {
                let one = work(scalar.to_array()?.as_string::<i32>());
                ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?)
            }
        })
    })
}

/// The list is read once, however many batches ask for it.
fn text_in() -> Function {
    let known: Mutex<Option<(String, Arc<HashSet<String>>)>> = Mutex::new(None);
    Arc::new(move |arguments| {
        let [text, ColumnarValue::Scalar(ScalarValue::Utf8(Some(list)))] = arguments else {
            return Err(DataFusionError::Internal("the list is a constant".to_owned()));
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let set = match &*known {
            Some((of, set)) if of == list => Arc::clone(set),
            _ => {
                let texts: Vec<String> = serde_json::from_str(list)
                    .map_err(|_| DataFusionError::Internal("the list is no JSON array of texts".to_owned()))?;
                let set = Arc::new(texts.into_iter().collect::<HashSet<String>>());
                *known = Some((list.clone(), Arc::clone(&set)));
                set
            }
        };
        drop(known);
        let texts = match text {
            ColumnarValue::Array(array) => Arc::clone(array),
            ColumnarValue::Scalar(scalar) => scalar.to_array()?,
        };
        let found = texts.as_string::<i32>().iter().map(|text| Some(set.contains(text?)));
        Ok(ColumnarValue::Array(Arc::new(found.collect::<BooleanArray>())))
    })
}

fn iso_date(text: &str) -> Option<i32> {
    let (date, rest) = text.split_at_checked(10)?;
    let is_digit = |place: usize, byte: u8| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if !date.bytes().enumerate().all(|(place, byte)| is_digit(place, byte)) {
        return None;
    }
    let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|day| day.year() > 0)?;
    (rest.is_empty() || is_time(rest)).then(|| day.num_days_from_ce().saturating_sub(EPOCH_DAY))
}

fn is_time(rest: &str) -> bool {
    let Some(time) = rest.strip_prefix(['T', ' ']) else { return false };
    let time = time.strip_suffix('Z').unwrap_or(time);
    let (clock, fraction) = time.split_once('.').map_or((time, None), |(clock, fraction)| (clock, Some(fraction)));
    let has_fraction = fraction.is_none_or(|digits| {
        clock.len() == 8 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let two_digits = clock.split(':').all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()));
    let format = if clock.len() == 5 { "%H:%M" } else { "%H:%M:%S" };
    has_fraction && two_digits && !clock.ends_with(":60") && NaiveTime::parse_from_str(clock, format).is_ok()
}
