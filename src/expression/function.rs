//! Functions in the connectors' terms: those of which every source's answer can be ours.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use wayleave_connector_api as source;
use wayleave_connector_api::{CompareOp, DatePart, DateUnit, TextFunction, TrimSide, Value};

use super::comparison::compare;
use super::literal::literal;
use super::{KeptHere, is_text, overflow, same_type, translate, type_of};

/// Positions and lengths beyond it are beyond every text.
const MOST_CHARACTERS: i64 = 1 << 30;

/// A choice among more is written out twice as long for each.
const MOST_CHOICES: usize = 3;

pub(super) fn translate_function(function: &ScalarFunction, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let name = function.name();
    let args = function.args.as_slice();
    let text = |function: TextFunction, expr: &Expr| of_text(function, expr, schema);
    match (name, args) {
        ("coalesce", args) => {
            let parts = args.iter().map(|arg| translate(arg, schema)).collect::<Result<Vec<_>, _>>()?;
            Ok(source::Expr::Coalesce(parts))
        }
        ("nullif", [value, other]) => {
            let equal = compare(CompareOp::Equal, value, other, schema)?;
            let null = source::Expr::Literal(Value::Null(value_type(value, schema)?));
            let otherwise = Some(Box::new(translate(value, schema)?));
            Ok(source::Expr::Case { branches: vec![(equal, null)], otherwise })
        }
        ("greatest", args) => choice(CompareOp::GreaterOrEqual, args, schema),
        ("least", args) => choice(CompareOp::LessOrEqual, args, schema),
        ("concat", args) => concat(args, schema),
        ("character_length", [expr]) => text(TextFunction::Length, expr),
        ("substr", [expr, start]) => text(TextFunction::Substring { start: count(start)?, length: None }, expr),
        ("substr", [expr, start, length]) => {
            let (start, length) = (count(start)?, count(length)?);
            if length < 0 {
                return Err(KeptHere::because("a substring of a negative length is an error"));
            }
            text(TextFunction::Substring { start, length: Some(length) }, expr)
        }
        ("left", [expr, length]) => text(TextFunction::Left(count(length)?), expr),
        ("right", [expr, length]) => text(TextFunction::Right(count(length)?), expr),
        ("btrim", [expr, ..]) => text(TextFunction::Trim(TrimSide::Both), trimmed_of_blanks(args, expr)?),
        ("ltrim", [expr, ..]) => text(TextFunction::Trim(TrimSide::Start), trimmed_of_blanks(args, expr)?),
        ("rtrim", [expr, ..]) => text(TextFunction::Trim(TrimSide::End), trimmed_of_blanks(args, expr)?),
        ("replace", [expr, from, to]) => {
            let (from, to) = (constant_text(from)?, constant_text(to)?);
            if from.is_empty() {
                return Err(KeptHere::because("an empty text is replaced in each system's own way"));
            }
            if to.len() > from.len() || to.encode_utf16().count() > from.encode_utf16().count() {
                return Err(KeptHere::because("a replacement by a longer text could outgrow what a source can hold"));
            }
            text(TextFunction::Replace { from, to }, expr)
        }
        ("strpos", [expr, part]) => {
            let part = constant_text(part)?;
            if part.is_empty() {
                return Err(KeptHere::because("an empty text is found in each system's own way"));
            }
            text(TextFunction::Position(part), expr)
        }
        ("starts_with", [expr, part]) => like(expr, ("", &constant_text(part)?, "%"), schema),
        ("ends_with", [expr, part]) => like(expr, ("%", &constant_text(part)?, ""), schema),
        ("contains", [expr, part]) => like(expr, ("%", &constant_text(part)?, "%"), schema),
        ("upper", [expr]) => text(TextFunction::Upper, expr),
        ("lower", [expr]) => text(TextFunction::Lower, expr),
        ("date_part", [part, expr]) => {
            let part = date_part(&constant_text(part)?)?;
            Ok(source::Expr::DatePart { part, expr: Box::new(translate(expr, schema)?) })
        }
        ("date_trunc", [unit, expr]) => {
            let to = date_unit(&constant_text(unit)?)?;
            Ok(source::Expr::Truncate { to, expr: Box::new(translate(expr, schema)?) })
        }
        (name, _) if overflow::is_checked(name) => {
            Err(KeptHere::because("the result could be too large for its type, on a hidden row too"))
        }
        (name, _) => Err(KeptHere::because(format!("function `{name}` is evaluated here, on released rows only"))),
    }
}

/// `left || right`, the whole chain of them in one.
pub(super) fn concatenated(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let mut parts = Vec::new();
    for side in [left, right] {
        texts_only(side, schema)?;
        match translate(side, schema)? {
            source::Expr::Concat(inner) => parts.extend(inner),
            part => parts.push(part),
        }
    }
    Ok(source::Expr::Concat(parts))
}

/// `concat(…)`, to which NULL is an empty text.
fn concat(args: &[Expr], schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let parts = args
        .iter()
        .map(|arg| {
            texts_only(arg, schema)?;
            Ok(match translate(arg, schema)? {
                source::Expr::Literal(Value::Null(_)) => source::Expr::text(""),
                constant @ source::Expr::Literal(_) => constant,
                part => source::Expr::Coalesce(vec![part, source::Expr::text("")]),
            })
        })
        .collect::<Result<Vec<_>, KeptHere>>()?;
    Ok(source::Expr::Concat(parts))
}

/// The greatest or the least of the values that are not NULL.
fn choice(op: CompareOp, args: &[Expr], schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    if args.len() > MOST_CHOICES {
        return Err(KeptHere::because(format!(
            "the greatest or least of more than {MOST_CHOICES} values is chosen here"
        )));
    }
    let Some((first, others)) = args.split_first() else { return Err(KeptHere::because("there is nothing to choose")) };
    let mut chosen = translate(first, schema)?;
    for other in others {
        same_type(first, other, schema)?;
        let other = translate(other, schema)?;
        let keeps = source::Expr::Or(vec![
            source::Expr::IsNull(Box::new(other.clone())),
            source::Expr::compare(op, chosen.clone(), other.clone()),
        ]);
        chosen = source::Expr::Case { branches: vec![(keeps, chosen)], otherwise: Some(Box::new(other)) };
    }
    Ok(chosen)
}

fn of_text(function: TextFunction, expr: &Expr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    texts_only(expr, schema)?;
    Ok(source::Expr::OfText { function, expr: Box::new(translate(expr, schema)?) })
}

fn like(expr: &Expr, (before, text, after): (&str, &str, &str), schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    texts_only(expr, schema)?;
    let mut pattern = before.to_owned();
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push_str(after);
    Ok(source::Expr::Like { expr: Box::new(translate(expr, schema)?), pattern, negated: false })
}

fn texts_only(expr: &Expr, schema: &DFSchema) -> Result<(), KeptHere> {
    match type_of(expr, schema)? {
        DataType::LargeUtf8 => Err(KeptHere::because("lengths of such texts are counted here")),
        text if is_text(&text) => Ok(()),
        DataType::Null => Ok(()),
        _ => Err(KeptHere::because("lists and bytes are put together here")),
    }
}

fn value_type(expr: &Expr, schema: &DFSchema) -> Result<DataType, KeptHere> {
    let data_type = type_of(expr, schema)?;
    Ok(if is_text(&data_type) { DataType::Utf8 } else { data_type })
}

/// The argument, where nothing but blanks is trimmed.
fn trimmed_of_blanks<'e>(args: &[Expr], expr: &'e Expr) -> Result<&'e Expr, KeptHere> {
    match args {
        [_] => Ok(expr),
        [_, characters] if constant_text(characters)? == " " => Ok(expr),
        _ => Err(KeptHere::because("only blanks are trimmed at a source")),
    }
}

fn constant_text(expr: &Expr) -> Result<String, KeptHere> {
    match expr {
        Expr::Literal(value, _) => match literal(value)? {
            Value::Text(text) => Ok(text),
            _ => Err(KeptHere::because("an argument that is no text is taken here")),
        },
        _ => Err(KeptHere::because("an argument that is not constant is taken here")),
    }
}

fn count(expr: &Expr) -> Result<i32, KeptHere> {
    let Expr::Literal(value, _) = expr else {
        return Err(KeptHere::because("a position or length that is not constant is taken here"));
    };
    let number = match literal(value)? {
        Value::Int16(number) => i64::from(number),
        Value::Int32(number) => i64::from(number),
        Value::Int64(number) => number,
        _ => return Err(KeptHere::because("a position or length that is no number is taken here")),
    };
    i32::try_from(number)
        .ok()
        .filter(|number| i64::from(*number).abs() <= MOST_CHARACTERS)
        .ok_or_else(|| KeptHere::because("a position or length beyond every text is taken here"))
}

fn date_part(name: &str) -> Result<DatePart, KeptHere> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "year" => DatePart::Year,
        "quarter" | "qtr" => DatePart::Quarter,
        "month" => DatePart::Month,
        "week" => DatePart::Week,
        "day" => DatePart::Day,
        "dow" => DatePart::DayOfWeek,
        "isodow" => DatePart::IsoDayOfWeek,
        "doy" => DatePart::DayOfYear,
        "hour" => DatePart::Hour,
        "minute" => DatePart::Minute,
        other => return Err(KeptHere::because(format!("the {other} of a date is taken here"))),
    })
}

fn date_unit(name: &str) -> Result<DateUnit, KeptHere> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "year" => DateUnit::Year,
        "quarter" => DateUnit::Quarter,
        "month" => DateUnit::Month,
        "week" => DateUnit::Week,
        "day" => DateUnit::Day,
        "hour" => DateUnit::Hour,
        "minute" => DateUnit::Minute,
        "second" => DateUnit::Second,
        other => return Err(KeptHere::because(format!("a moment is truncated to its {other} here"))),
    })
}
