//! Decimals as digits.
//!
//! In: a number as text. Out: its digits at a given scale, without a point; nothing where it does not fit.

/// What becomes of digits beyond the scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Only zeros may be dropped.
    Refused,
    /// Half is rounded away from zero.
    Rounded,
}

/// The unscaled digits (`-1250` for `-12.5` at scale 2), or `None` where the text is no plain decimal, has more digits
/// than `precision`, or loses something that `excess` does not allow.
pub(super) fn decimal_digits(text: &str, precision: u8, scale: i8, excess: Excess) -> Option<String> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let shift = i64::from(scale) - i64::try_from(fraction.len()).ok()?;
    match usize::try_from(shift) {
        Ok(zeros) => digits.extend(std::iter::repeat_n(b'0', zeros)),
        Err(_) => shorten(&mut digits, usize::try_from(shift.unsigned_abs()).ok()?, excess)?,
    }
    let significant: Vec<u8> = digits.into_iter().skip_while(|digit| *digit == b'0').collect();
    if significant.len() > usize::from(precision) {
        return None;
    }
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    Some(format!("{}{}", if negative { "-" } else { "" }, String::from_utf8(significant).ok()?))
}

fn shorten(digits: &mut Vec<u8>, count: usize, excess: Excess) -> Option<()> {
    // A digit more than there are: the first one dropped is then a zero.
    let missing = count.saturating_sub(digits.len());
    let dropped = digits.split_off(digits.len().saturating_sub(count));
    match excess {
        Excess::Refused => dropped.iter().all(|digit| *digit == b'0').then_some(()),
        Excess::Rounded => {
            if missing == 0 && dropped.first().is_some_and(|digit| *digit >= b'5') {
                increment(digits);
            }
            Some(())
        }
    }
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit += 1;
            return;
        }
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_keep_their_scale() {
        let exact = |text, scale| decimal_digits(text, 5, scale, Excess::Refused);
        assert_eq!(exact("12.5", 2).as_deref(), Some("1250"));
        assert_eq!(exact("-12.500", 2).as_deref(), Some("-1250"));
        assert_eq!(exact("+.5", 1).as_deref(), Some("5"));
        assert_eq!(exact("-0.00", 2).as_deref(), Some("0"));
        assert_eq!(exact("00012345", 0).as_deref(), Some("12345"));
        assert_eq!(exact("1200", -2).as_deref(), Some("12"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let exact = |text, scale| decimal_digits(text, 5, scale, Excess::Refused);
        for (text, scale) in [
            ("12.345", 2),
            ("123456", 0),
            ("1234.5", 2),
            ("", 0),
            (".", 0),
            ("-", 0),
            ("1e3", 0),
            ("1.2.3", 2),
            ("٣", 0),
            (" 1", 0),
            ("inf", 2),
            ("NaN", 2),
            ("1250", -2),
            ("--1", 0),
        ] {
            assert_eq!(exact(text, scale), None, "{text}");
        }
    }

    #[test]
    fn floats_round_half_away_from_zero() {
        let rounded = |text, scale| decimal_digits(text, 5, scale, Excess::Rounded);
        assert_eq!(rounded("12.345", 2).as_deref(), Some("1235"));
        assert_eq!(rounded("-12.345", 2).as_deref(), Some("-1235"));
        assert_eq!(rounded("12.3449", 2).as_deref(), Some("1234"));
        assert_eq!(rounded("9.999", 2).as_deref(), Some("1000"));
        assert_eq!(rounded("0.004", 2).as_deref(), Some("0"));
        assert_eq!(rounded("0.6", 0).as_deref(), Some("1"));
        assert_eq!(rounded("999.999", 2), None);
        assert_eq!(rounded("6", -2).as_deref(), Some("0"));
        assert_eq!(rounded("60", -2).as_deref(), Some("1"));
    }
}
