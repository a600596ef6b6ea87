//! Exact numbers of up to 38 digits: their bytes in SQLite, their text, their arithmetic.
//!
//! Source of the result types: "Precision, scale, and length (Transact-SQL)".

use num_bigint::BigInt;

use crate::error::SqlError;

pub const MAX_PRECISION: u8 = 38;

/// 10 to the power of an exponent up to 38.
pub fn power_of_ten(exponent: u8) -> i128 {
    10i128.pow(u32::from(exponent.min(38)))
}

/// Big-endian with the sign bit flipped: bytes that sort as the numbers do.
pub fn to_blob(unscaled: i128) -> Vec<u8> {
    ((unscaled as u128) ^ (1 << 127)).to_be_bytes().to_vec()
}

pub fn from_blob(blob: &[u8]) -> Option<i128> {
    let bytes: [u8; 16] = blob.try_into().ok()?;
    Some((u128::from_be_bytes(bytes) ^ (1 << 127)) as i128)
}

/// The value at another scale, rounded half away from zero.
pub fn rescale(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        return unscaled.checked_mul(power_of_ten(to - from));
    }
    Some(divide_rounded(unscaled, power_of_ten(from - to)))
}

/// Cut, not rounded.
pub fn truncate(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from { rescale(unscaled, from, to) } else { Some(unscaled / power_of_ten(from - to)) }
}

fn divide_rounded(value: i128, by: i128) -> i128 {
    let (quotient, remainder) = (value / by, value % by);
    if remainder.unsigned_abs() >= by.unsigned_abs().div_ceil(2) { quotient + value.signum() } else { quotient }
}

pub fn fits(unscaled: i128, precision: u8) -> bool {
    unscaled.unsigned_abs() < power_of_ten(precision).unsigned_abs()
}

/// `precision`, `scale` of a sum, difference, product, quotient or remainder.
pub fn result_type(operator: char, left: (u8, u8), right: (u8, u8)) -> (u8, u8) {
    let (p1, s1) = (i32::from(left.0), i32::from(left.1));
    let (p2, s2) = (i32::from(right.0), i32::from(right.1));
    let (precision, scale) = match operator {
        '*' => (p1 + p2 + 1, s1 + s2),
        '/' => {
            let scale = 6.max(s1 + p2 + 1);
            (p1 - s1 + s2 + scale, scale)
        }
        '%' => ((p1 - s1).min(p2 - s2) + s1.max(s2), s1.max(s2)),
        _ => (s1.max(s2) + (p1 - s1).max(p2 - s2) + 1, s1.max(s2)),
    };
    let (precision, scale) = if precision <= 38 {
        (precision, scale)
    } else if matches!(operator, '*' | '/') {
        // The whole part is kept, but six digits of the fraction at least.
        let whole = precision - scale;
        (38, if whole < 32 { scale.min(38 - whole) } else { scale.min(6) })
    } else {
        let whole = (p1 - s1).max(p2 - s2);
        (38, scale.min((38 - whole).max(0)))
    };
    (precision as u8, scale as u8)
}

/// `left operator right` at the scale of the result.
pub fn arithmetic(operator: char, left: (i128, u8), right: (i128, u8), result: (u8, u8)) -> Result<i128, SqlError> {
    let overflow = || SqlError::overflow("numeric");
    let (precision, scale) = result;
    let (a, s1) = (BigInt::from(left.0), u32::from(left.1));
    let (b, s2) = (BigInt::from(right.0), u32::from(right.1));
    let ten = BigInt::from(10);
    let common = s1.max(s2);
    let (value, value_scale) = match operator {
        '+' => (a * ten.pow(common - s1) + b * ten.pow(common - s2), common),
        '-' => (a * ten.pow(common - s1) - b * ten.pow(common - s2), common),
        '*' => (a * b, s1 + s2),
        '/' | '%' if right.0 == 0 => return Err(SqlError::division_by_zero()),
        '/' => {
            // One digit more than is kept would round; SQL Server cuts.
            let raised = a * ten.pow(u32::from(scale) + s2);
            (raised / (b * ten.pow(s1)), u32::from(scale))
        }
        '%' => (a * ten.pow(common - s1) % (b * ten.pow(common - s2)), common),
        _ => return Err(SqlError::syntax(operator)),
    };
    let value = match u32::from(scale).checked_sub(value_scale) {
        Some(raise) => value * ten.pow(raise),
        None => round(&value, &ten.pow(value_scale - u32::from(scale))),
    };
    let value = i128::try_from(value).map_err(|_| overflow())?;
    if fits(value, precision) { Ok(value) } else { Err(overflow()) }
}

fn round(value: &BigInt, by: &BigInt) -> BigInt {
    let half = by / 2;
    if value.sign() == num_bigint::Sign::Minus { (value - half) / by } else { (value + half) / by }
}

pub fn to_text(unscaled: i128, scale: u8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let scale = usize::from(scale);
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A number in plain notation: the unscaled value and its scale; digits past the 38th of the fraction are cut.
pub fn parse(text: &str) -> Option<(i128, u8)> {
    let text = text.trim_matches(' ');
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let keep = 38usize.saturating_sub(whole.len());
    let mut value: i128 = 0;
    let mut scale = 0;
    for (position, character) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = character.to_digit(10)?;
        if position >= whole.len() {
            if position - whole.len() >= keep {
                continue;
            }
            scale += 1;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    if !fits(value, MAX_PRECISION) {
        return None;
    }
    Some((if negative { -value } else { value }, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_as_numbers_do() {
        let numbers = [-power_of_ten(38) + 1, -1, 0, 1, 255, 256, power_of_ten(38) - 1];
        for pair in numbers.windows(2) {
            assert!(to_blob(pair[0]) < to_blob(pair[1]));
            assert_eq!(from_blob(&to_blob(pair[0])), Some(pair[0]));
        }
    }

    #[test]
    fn result_types_are_those_of_the_documentation() {
        assert_eq!(result_type('+', (5, 2), (7, 4)), (8, 4));
        assert_eq!(result_type('*', (5, 2), (7, 4)), (13, 6));
        assert_eq!(result_type('/', (5, 2), (7, 4)), (17, 10));
        assert_eq!(result_type('*', (38, 20), (38, 20)), (38, 6));
        assert_eq!(result_type('/', (38, 4), (38, 4)), (38, 6));
        assert_eq!(result_type('+', (38, 10), (38, 0)), (38, 0));
    }

    #[test]
    fn quotients_are_cut_and_products_rounded() {
        assert_eq!(arithmetic('/', (2, 0), (3, 0), (17, 6)).unwrap(), 666_666);
        assert_eq!(arithmetic('*', (15, 1), (15, 1), (3, 1)).unwrap(), 23);
        assert_eq!(arithmetic('/', (1, 0), (0, 0), (17, 6)).unwrap_err().number, 8134);
        assert_eq!(arithmetic('+', (power_of_ten(38) - 1, 0), (1, 0), (38, 0)).unwrap_err().number, 8115);
    }

    #[test]
    fn text_round_trips() {
        assert_eq!(parse("-0012.340"), Some((-12340, 3)));
        assert_eq!(to_text(-12340, 3), "-12.340");
        assert_eq!(to_text(5, 3), "0.005");
        assert_eq!(parse("1e3"), None);
        assert_eq!(parse("."), None);
    }
}
