//! Functions of one value that every source must answer alike. What else they take is constant.

use arrow::datatypes::DataType;

use crate::{Expr, OutputColumn, Value};

/// A function of one text. A character is a Unicode code point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextFunction {
    /// The number of characters, as Int32.
    Length,
    /// `length` characters from `start` on, which counts from 1. What lies before the first or after the last character is
    /// not there: two characters from 0 on are the first one.
    Substring {
        start: i32,
        length: Option<i32>,
    },
    /// The first characters; a negative count leaves out so many of the last.
    Left(i32),
    /// The last characters; a negative count leaves out so many of the first.
    Right(i32),
    /// Without the blanks at its ends; no other white space counts.
    Trim(TrimSide),
    /// `from` is not empty, and `to` is not longer, neither in UTF-8 nor in UTF-16: the result fits wherever the text did.
    Replace {
        from: String,
        to: String,
    },
    /// Where this text, which is not empty, first begins, counted from 1; 0 where it does not. As Int32.
    Position(String),
    /// By Unicode's own mapping, whatever the language.
    Upper,
    Lower,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrimSide {
    Both,
    Start,
    End,
}

/// A part of a date or moment by the Gregorian calendar, which has a year 0, and by the clock of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatePart {
    Year,
    Quarter,
    Month,
    /// Of ISO 8601.
    Week,
    Day,
    /// Sunday is 0.
    DayOfWeek,
    /// Monday is 1.
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
}

impl DatePart {
    /// Whether a date without a time of day has it.
    pub fn is_of_dates(self) -> bool {
        !matches!(self, Self::Hour | Self::Minute)
    }
}

/// What a moment is truncated to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DateUnit {
    Year,
    Quarter,
    Month,
    /// Begins on Monday.
    Week,
    Day,
    Hour,
    Minute,
    Second,
}

/// Whether a cast can refuse no value of the first type and loses nothing of it. Texts are written as we write them.
pub fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Decimal128, Decimal256, Float32, Float64, Int16, Int32, Int64, Utf8};
    match (from, to) {
        (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Int16, Float32 | Float64) | (Int32, Float64) => true,
        (Boolean, Int16 | Int32 | Int64 | Utf8) | (Int16 | Int32 | Int64, Utf8) => true,
        (_, Decimal128(..) | Decimal256(..)) => match (digits(from), digits(to)) {
            (Some((whole, scale)), Some((to_whole, to_scale))) => whole <= to_whole && scale <= to_scale,
            _ => false,
        },
        _ => false,
    }
}

/// Digits before and after the point.
fn digits(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            (i16::from(*precision) - i16::from(*scale), i16::from(*scale))
        }
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        DataType::Int64 => (19, 0),
        _ => return None,
    })
}

impl Expr {
    /// How many bytes a text has at most; `None` where nothing tells.
    pub fn most_bytes(&self, input: &[OutputColumn]) -> Option<u64> {
        const BYTES_OF_A_CHARACTER: u64 = 4;
        let of_characters = |count: i32| u64::try_from(count).ok().map(|count| count * BYTES_OF_A_CHARACTER);
        match self {
            Self::Literal(Value::Text(text)) => u64::try_from(text.len()).ok(),
            Self::Literal(Value::Null(_)) => Some(0),
            // The digits of an integer, or `false`.
            Self::Widen { expr, to: DataType::Utf8 } if expr.output(input).data_type != DataType::Utf8 => Some(20),
            Self::OfText { function, expr } => match function {
                TextFunction::Left(count) | TextFunction::Right(count) if *count >= 0 => of_characters(*count),
                TextFunction::Substring { length: Some(length), .. } => of_characters(*length),
                TextFunction::Trim(_)
                | TextFunction::Replace { .. }
                | TextFunction::Left(_)
                | TextFunction::Right(_)
                | TextFunction::Substring { .. } => expr.most_bytes(input),
                TextFunction::Length | TextFunction::Position(_) | TextFunction::Upper | TextFunction::Lower => None,
            },
            Self::Concat(parts) => parts.iter().try_fold(0, |sum: u64, part| sum.checked_add(part.most_bytes(input)?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_widens_where_every_value_has_its_place() {
        assert!(widens(&DataType::Int64, &DataType::Decimal128(19, 0)));
        assert!(!widens(&DataType::Int64, &DataType::Decimal128(18, 0)));
        assert!(!widens(&DataType::Int64, &DataType::Decimal128(20, 2)));
        assert!(widens(&DataType::Decimal128(10, 2), &DataType::Decimal128(12, 4)));
        assert!(!widens(&DataType::Decimal128(10, 2), &DataType::Decimal128(10, 4)));
        assert!(!widens(&DataType::Int64, &DataType::Float64));
        assert!(!widens(&DataType::Int32, &DataType::Float32));
        assert!(!widens(&DataType::Utf8, &DataType::Int32));
        assert!(widens(&DataType::Boolean, &DataType::Utf8));
    }

    #[test]
    fn a_text_is_as_long_as_its_parts() {
        let column = OutputColumn::computed(DataType::Utf8);
        let left = Expr::OfText { function: TextFunction::Left(3), expr: Box::new(Expr::Column(0)) };
        assert_eq!(
            Expr::Concat(vec![Expr::text("é-"), left.clone()]).most_bytes(std::slice::from_ref(&column)),
            Some(15)
        );
        assert_eq!(Expr::Concat(vec![Expr::Column(0), left]).most_bytes(&[column]), None);
    }
}
