//! Whether two answers are the same, where one database gives a quotient more digits than another.

use std::cmp::Ordering;

/// Digits after the point up to which a quotient must agree at least.
const LEAST_SCALE: usize = 4;

/// PostgreSQL's rows as an answer shows them.
pub fn shown(rows: Vec<Vec<Option<String>>>) -> Vec<Vec<String>> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
    rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect()
}

/// Where an answer is not the one expected, in words; `None` where it is. Rows are compared in their order.
pub fn difference(answer: &[Vec<String>], expected: &[Vec<String>]) -> Option<String> {
    if answer.len() != expected.len() {
        return Some(format!("{} rows, where {} are expected", answer.len(), expected.len()));
    }
    answer.iter().zip(expected).enumerate().find_map(|(row, (answer, expected))| {
        let same =
            answer.len() == expected.len() && answer.iter().zip(expected).all(|(left, right)| equal(left, right));
        (!same)
            .then(|| format!("row {row} is\n  {}\nwhere\n  {}\nis expected", answer.join(" | "), expected.join(" | ")))
    })
}

/// Numbers of the same scale are equal digit for digit. Where scales differ, the longer may have lost no more than one unit
/// in the last digit of the shorter: systems round a quotient or cut it off.
fn equal(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    let (Some((left, left_scale)), Some((right, right_scale))) = (number(left), number(right)) else { return false };
    let (shorter, shorter_scale, longer, longer_scale) = match left_scale.cmp(&right_scale) {
        Ordering::Equal => return left == right,
        Ordering::Less => (left, left_scale, right, right_scale),
        Ordering::Greater => (right, right_scale, left, left_scale),
    };
    let unit = 10_i128.pow((longer_scale - shorter_scale) as u32);
    let exact = shorter * unit == longer;
    exact || (shorter_scale >= LEAST_SCALE && (shorter * unit - longer).abs() < unit)
}

/// A plain decimal's digits without its point, and how many stood after it.
fn number(text: &str) -> Option<(i128, usize)> {
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = text.replacen('.', "", 1).parse().ok()?;
    Some((digits, scale))
}

#[test]
fn numbers_are_equal_as_far_as_both_say() {
    for (left, right) in
        [("a", "a"), ("12.50", "12.5"), ("3", "3.0000"), ("0.333333", "0.33333333333"), ("-0.6666", "-0.66667")]
    {
        assert!(equal(left, right) && equal(right, left), "{left} {right}");
    }
    for (left, right) in [
        ("a", "b"),
        ("12.50", "12.51"),
        ("0.33", "0.333"),
        ("0.3333", "0.33343"),
        ("1.00001", "1.00002"),
        ("NULL", "0"),
    ] {
        assert!(!equal(left, right) && !equal(right, left), "{left} {right}");
    }
    assert_eq!(difference(&[vec!["1".to_owned()]], &[vec!["1.0".to_owned()]]), None);
    assert!(difference(&[], &[vec!["1".to_owned()]]).is_some());
}
