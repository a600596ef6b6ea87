//! PostgreSQL's SQL, and what it declares of its own behaviour.
//!
//! Session settings that the text relies on (see `pool`): `standard_conforming_strings`, UTC, ISO dates and a search path
//! of `pg_catalog` alone, so that every operator and function named here is PostgreSQL's own.
//!
//! Regular expressions, `replace` and `strpos` refuse nondeterministic collations, so their operands carry `COLLATE "C"`,
//! which compares bytes as we do.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{Days, NaiveDate};
use wayleave_connector_api::{
    AWAITED_PSEUDONYMS, Aggregate, AggregateFunction, Calculation, Collation, DatePart, DateUnit, Dialect, Expr, Form,
    GroupingSets, KeyFormat, LONGEST_PATTERN_BYTES, Mask, NotIn, OutputColumn, Scheme, Slice, Support, TextFunction,
    TextPart, TextUse, Value, WindowCall, WindowFunction, arithmetic_support,
};

mod function;

use crate::types::{is_native, wire_type};

/// The settings of a transaction in which pseudonyms are made: HMAC's pads as hexadecimal digits.
pub(crate) const INNER_PAD: &str = "wayleave.inner_pad";
pub(crate) const OUTER_PAD: &str = "wayleave.outer_pad";

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// A calendar date of the years 0001 to 9999, alone or before a time of day that no zone but UTC's moves.
const ISO_DATE: &str = "^(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])\
    |(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))\
    |(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)\
    (?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]+)?)?Z?)?$";

/// See the module's own text.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostgresDialect;

impl Dialect for PostgresDialect {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn expr_support(&self, expr: &Expr, input: &[OutputColumn]) -> Support {
        match expr {
            Expr::Column(_) | Expr::Outer(_) | Expr::And(_) | Expr::Or(_) | Expr::Not(_) => Support::Exact,
            Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Case { .. } | Expr::Coalesce(_) => Support::Exact,
            Expr::Literal(value) => literal_support(value),
            Expr::Compare { left, right, .. } => comparison_support(left, right, input),
            Expr::InList { expr, list, .. } => {
                let unsupported = list.iter().map(literal_support).find(|support| *support != Support::Exact);
                match unsupported {
                    Some(support) => support,
                    None => match expr.output(input).data_type {
                        DataType::Float32 | DataType::Float64 if !list.iter().all(is_plain_number) => FLOATS,
                        DataType::Float32 | DataType::Float64 => Support::Exact,
                        data_type => value_support(&data_type),
                    },
                }
            }
            Expr::Like { expr, pattern, .. } => match expr.output(input).data_type {
                DataType::Utf8 if pattern.contains('\0') => NUL,
                DataType::Utf8 if pattern.len() > LONGEST_PATTERN_BYTES => LONG_PATTERN,
                DataType::Utf8 => Support::Exact,
                _ => Support::Local { reason: "LIKE is for text" },
            },
            Expr::Widen { expr, to } => function::widen_support(&expr.output(input).data_type, to),
            Expr::Arithmetic { .. } => arithmetic_support(expr, input),
            Expr::Concat(parts) => {
                let texts = parts.iter().all(|part| part.output(input).data_type == DataType::Utf8);
                if texts { Support::Exact } else { Support::Local { reason: "the expression is for text" } }
            }
            Expr::OfText { function, expr } => function::text_support(function, expr, input),
            Expr::DatePart { part, expr } => function::date_part_support(*part, expr, input),
            Expr::Truncate { expr, .. } => function::truncate_support(expr, input),
            Expr::CanonicalKey { expr, .. } | Expr::WrittenKey { expr, .. } => text_support(expr, input),
            Expr::Mask { expr, mask: Mask::OutwardPostcode | Mask::LastCharacters(_) } => text_support(expr, input),
            Expr::Mask { expr, mask: Mask::YearOfDate } => match expr.output(input).data_type {
                DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
                _ => Support::Local { reason: "only dates and timestamps have a year" },
            },
            Expr::Released { value, .. } => self.expr_support(value, input),
            Expr::DateOf(expr) => match expr.output(input).data_type {
                DataType::Date32 | DataType::Utf8 | DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
                _ => Support::Local { reason: "the type holds no date" },
            },
            Expr::Exists { probe, .. } => {
                let columns: Vec<OutputColumn> = probe.columns.iter().map(OutputColumn::from).collect();
                let exact = |predicate| self.support(predicate, &columns) == Support::Exact;
                if probe.predicates.iter().all(exact) {
                    Support::Exact
                } else {
                    Support::Local { reason: "a predicate of the probe cannot be answered exactly" }
                }
            }
        }
    }

    fn aggregate_support(&self, call: &Aggregate, input: &[OutputColumn]) -> Support {
        let argument = call.argument.as_ref().map(|expr| expr.output(input).data_type);
        match (call.function, argument) {
            (AggregateFunction::Count, None) => Support::Exact,
            (AggregateFunction::Count, Some(_)) if !call.distinct => Support::Exact,
            (AggregateFunction::Count, Some(data_type)) => value_support(&data_type),
            (AggregateFunction::Sum, Some(DataType::Int16 | DataType::Int32 | DataType::Int64))
                if matches!(call.data_type, DataType::Int64 | DataType::Decimal128(_, 0)) =>
            {
                Support::Exact
            }
            (AggregateFunction::Sum, Some(DataType::Decimal128(_, _) | DataType::Decimal256(_, _))) => Support::Exact,
            (AggregateFunction::Sum, Some(DataType::Float32 | DataType::Float64)) => {
                Support::Local { reason: "a sum of floats depends on the order of its rows" }
            }
            (AggregateFunction::Sum, _) => Support::Local { reason: "the sum has another type there" },
            (AggregateFunction::Min | AggregateFunction::Max, Some(DataType::Binary)) => {
                Support::Local { reason: "PostgreSQL has no min and max of this type" }
            }
            (AggregateFunction::Min | AggregateFunction::Max, Some(data_type)) => value_support(&data_type),
            (AggregateFunction::Min | AggregateFunction::Max, None) => {
                Support::Local { reason: "min and max need an argument" }
            }
        }
    }

    fn sort_support(&self, output: &OutputColumn) -> Support {
        value_support(&output.data_type)
    }

    fn group_support(&self, output: &OutputColumn) -> Support {
        value_support(&output.data_type)
    }

    fn literal(&self, value: &Value) -> String {
        match value {
            Value::Null(data_type) => match type_name(data_type) {
                Some(name) => format!("NULL::{name}"),
                None => "NULL".to_owned(),
            },
            // A bare constant would be refused in GROUP BY and ORDER BY; a cast one is an expression.
            Value::Boolean(value) => format!("{value}::boolean"),
            Value::Int16(value) => number(&value.to_string(), "int2"),
            Value::Int32(value) => number(&value.to_string(), "int4"),
            Value::Int64(value) => number(&value.to_string(), "int8"),
            Value::Float32(value) => format!("'{}'::float4", float_text(f64::from(*value), &format!("{value:?}"))),
            Value::Float64(value) => format!("'{}'::float8", float_text(*value, &format!("{value:?}"))),
            Value::Decimal128 { .. } | Value::Decimal256 { .. } => {
                value.decimal_digits().map_or_else(|| "NULL::numeric".to_owned(), |digits| number(&digits, "numeric"))
            }
            // No text of PostgreSQL's holds a NUL, and nothing equals NULL: nothing is let through by mistake.
            Value::Text(text) if text.contains('\0') => "NULL::text".to_owned(),
            Value::Text(text) => format!("{}::text", quoted(text)),
            Value::Binary(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("'\\x{digits}'::bytea")
            }
            Value::Date(days) => format!("{}::date", quoted(&date_text(*days))),
            Value::Time(microseconds) => format!("{}::time", quoted(&time_text(*microseconds))),
            Value::Timestamp { microseconds, zoned: false } => {
                format!("{}::timestamp", quoted(&timestamp_text(*microseconds, "")))
            }
            Value::Timestamp { microseconds, zoned: true } => {
                format!("{}::timestamptz", quoted(&timestamp_text(*microseconds, "+00")))
            }
        }
    }

    fn read_column(&self, quoted: &str, column: &OutputColumn) -> String {
        let value = self.cast_unless_native(quoted, column, &column.data_type);
        match (&column.data_type, column.collation) {
            // Bound to bytes where it is read: in whatever comparison it ends, even as the outer side of a probe, it must
            // not bring its own idea of equality along.
            (DataType::Utf8, Collation::Loose) => by_bytes(&value),
            _ => value,
        }
    }

    fn slice(&self, alias: &str, slice: Slice) -> Option<String> {
        let from = format!("{alias}.ctid >= '({},0)'::tid", slice.from_page);
        Some(match slice.until_page {
            Some(until) => format!("({from} AND {alias}.ctid < '({until},0)'::tid)"),
            None => format!("({from})"),
        })
    }

    fn column_in_texts(&self, quoted_column: &str, column: &OutputColumn, texts: &[String]) -> String {
        let source_type = column.source_type.as_deref().unwrap_or_default();
        let is_integer = matches!(column.data_type, DataType::Int16 | DataType::Int32 | DataType::Int64);
        let (operand, element, texts): (String, &str, Vec<&str>) = if source_type == "uuid" {
            (quoted_column.to_owned(), "uuid", texts.iter().map(String::as_str).filter(|text| is_uuid(text)).collect())
        } else if is_integer && is_native(source_type, &column.data_type) {
            // Compared as `int8`, which any of the three widths' indexes serve.
            let written = |text: &&str| text.parse::<i64>().is_ok_and(|number| number.to_string() == *text);
            (quoted_column.to_owned(), "int8", texts.iter().map(String::as_str).filter(written).collect())
        } else {
            let read = if column.data_type == DataType::Utf8 {
                self.read_column(quoted_column, column)
            } else {
                format!("{quoted_column}::text")
            };
            let read =
                self.text(&read, &OutputColumn { data_type: DataType::Utf8, ..column.clone() }, TextUse::Equality);
            (read, "text", texts.iter().map(String::as_str).filter(|text| !text.contains('\0')).collect())
        };
        match texts.as_slice() {
            [] => "false".to_owned(),
            [only] => format!("{operand} = {}::{element}", quoted(only)),
            many => {
                let items: Vec<String> = many
                    .iter()
                    .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
                    .collect();
                format!("{operand} = ANY ({}::{element}[])", quoted(&format!("{{{}}}", items.join(","))))
            }
        }
    }

    fn in_pseudonyms(&self, canonical_sql: &str, format: KeyFormat, pseudonyms: Option<&[String]>) -> Option<String> {
        // Measured on PostgreSQL 15: a row takes 2 µs, HMAC half of them. 50,000 pseudonyms in one array take no longer than one
        // (arrays are hashed from version 14 on); `IN (SELECT unnest(…))` takes 40 % longer.
        //
        // HMAC by SHA-256 alone. The connector sets the two pads, which a subquery without a table reads once.
        let pad = |setting: &str| format!("(SELECT decode(current_setting('{setting}'), 'hex'))");
        let (inner, outer) = (pad(INNER_PAD), pad(OUTER_PAD));
        let inner = format!("sha256({inner} || decode({canonical_sql}, 'escape'))");
        let pseudonym = format!("encode(sha256({outer} || {inner}), 'hex')");
        let found = match pseudonyms {
            None => format!("{pseudonym} IN ({AWAITED_PSEUDONYMS})"),
            Some([]) => return Some("false".to_owned()),
            Some(pseudonyms) => {
                format!("{pseudonym} = ANY ({}::text[])", quoted(&format!("{{{}}}", pseudonyms.join(","))))
            }
        };
        Some(if format.scheme == Scheme::NhsNumber && !format.assured {
            found
        } else {
            // `decode` takes a backslash for an escape and may refuse it, and other characters than ASCII's have other bytes
            // in a database of another encoding: such keys come whatever their pseudonym, and are compared here.
            let text = by_bytes(canonical_sql);
            format!(
                "(CASE WHEN octet_length({canonical_sql}) <= 200 AND {text} !~ '[^ -\\[\\]-~]' THEN {found} \
                 ELSE {canonical_sql} IS NOT NULL END)"
            )
        })
    }

    fn text(&self, sql: &str, output: &OutputColumn, text_use: TextUse) -> String {
        if output.data_type != DataType::Utf8 {
            return sql.to_owned();
        }
        match (text_use, output.collation) {
            (TextUse::Equality, Collation::Binary | Collation::EqualityOnly) | (TextUse::Order, Collation::Binary) => {
                sql.to_owned()
            }
            (TextUse::Equality, Collation::Loose) | (TextUse::Order, Collation::EqualityOnly | Collation::Loose) => {
                by_bytes(sql)
            }
        }
    }

    fn like(&self, text: &str, pattern: &str) -> String {
        if pattern.contains('\0') {
            // As with a literal: neither this nor its negation lets a row through by mistake.
            return "NULL::boolean".to_owned();
        }
        let mut pattern = pattern.to_owned();
        // PostgreSQL refuses a pattern that ends in its escape; we read it as a backslash.
        let escapes_at_end = pattern.chars().rev().take_while(|c| *c == '\\').count();
        if escapes_at_end % 2 == 1 {
            pattern.push('\\');
        }
        format!("{text} LIKE {}", quoted(&pattern))
    }

    fn widen(&self, sql: &str, from: &DataType, to: &DataType) -> String {
        function::widen(sql, from, to)
    }

    fn arithmetic(&self, calculation: Calculation<'_>) -> String {
        function::arithmetic(calculation)
    }

    fn concat(&self, parts: &[TextPart]) -> String {
        function::concat(parts)
    }

    fn of_text(&self, function: &TextFunction, sql: &str) -> String {
        function::of_text(function, sql)
    }

    fn date_part(&self, part: DatePart, sql: &str, input: &OutputColumn) -> String {
        function::date_part(part, sql, input)
    }

    fn truncate(&self, to: DateUnit, sql: &str, input: &OutputColumn) -> String {
        function::truncate(to, sql, input)
    }

    fn canonical_key(&self, sql: &str, format: KeyFormat) -> String {
        let text = by_bytes(sql);
        match (format.scheme, format.assured) {
            (Scheme::Opaque, true) => sql.to_owned(),
            (Scheme::Opaque, false) => format!("nullif({text}, '')"),
            (Scheme::NhsNumber, true) => without_separators(sql, format.form),
            (Scheme::NhsNumber, false) => {
                let separators: Vec<&str> =
                    format.form.single_forms().iter().filter_map(|form| form.separator()).collect();
                let shapes: Vec<String> = separators
                    .iter()
                    .map(|separator| format!("[0-9]{{3}}{separator}[0-9]{{3}}{separator}[0-9]{{4}}"))
                    .collect();
                let digits = without_separators(sql, format.form);
                // Where one separator is sure, the digits are weighed where they stand.
                let (weighed, gap) = match separators.as_slice() {
                    [only] => (sql, only.len()),
                    _ => (digits.as_str(), 0),
                };
                // Code points do as well as digits, since 48 times the sum of the weights is a multiple of 11; and ten
                // times the highest code point stays far inside an int4, so that no text at all can make this fail.
                let weighted: Vec<String> = (1..=10)
                    .map(|digit| {
                        let gaps = usize::from(digit > 3) + usize::from(digit > 6);
                        format!("ascii(substr({weighed}, {}, 1)) * {}", digit + gaps * gap, 11 - digit)
                    })
                    .collect();
                format!(
                    "(CASE WHEN {text} ~ '^({})$' AND ({}) % 11 = 0 THEN {digits} END)",
                    shapes.join("|"),
                    weighted.join(" + ")
                )
            }
        }
    }

    fn mask(&self, sql: &str, input: &OutputColumn, mask: Mask) -> String {
        match mask {
            Mask::OutwardPostcode => {
                let text = format!("btrim({}, ' ')", by_bytes(sql));
                format!(
                    "(CASE WHEN strpos({text}, ' ') BETWEEN 2 AND 5 THEN left({text}, strpos({text}, ' ') - 1) \
                     WHEN strpos({text}, ' ') = 0 AND length({text}) BETWEEN 5 AND 7 THEN left({text}, -3) END)"
                )
            }
            Mask::YearOfDate => match input.data_type {
                // There is no year 0 in PostgreSQL: the year before 1 is -1 there and 0 here.
                DataType::Date32 | DataType::Timestamp(_, _) => {
                    let year = format!("extract(year FROM {sql})::int4");
                    format!("(CASE WHEN isfinite({sql}) THEN {year} + ({year} < 0)::int4 END)")
                }
                _ => "NULL::int4".to_owned(),
            },
            // A text has at most 2^30 characters.
            Mask::LastCharacters(count) => match i32::try_from(count) {
                Ok(count) => format!(
                    "(CASE WHEN length({sql}) > {count} THEN '***' || right({sql}, {count}) \
                     WHEN {sql} IS NOT NULL THEN '***' END)"
                ),
                Err(_) => format!("(CASE WHEN {sql} IS NOT NULL THEN '***' END)"),
            },
        }
    }

    fn date_of(&self, sql: &str, column: &OutputColumn) -> String {
        match &column.data_type {
            DataType::Date32 => sql.to_owned(),
            DataType::Timestamp(_, None) => format!("({sql})::date"),
            DataType::Timestamp(_, Some(_)) => format!("(({sql}) AT TIME ZONE 'UTC')::date"),
            DataType::Utf8 => {
                let part = |start: u8, length: u8| format!("substr({sql}, {start}, {length})::int4");
                // Only what the expression before THEN let through is ever cast.
                format!(
                    "(CASE WHEN {} ~ '{ISO_DATE}' THEN make_date({}, {}, {}) END)",
                    by_bytes(sql),
                    part(1, 4),
                    part(6, 2),
                    part(9, 2)
                )
            }
            _ => "NULL::date".to_owned(),
        }
    }

    fn aggregate(&self, call: &Aggregate, argument: Option<&str>) -> String {
        let name = match (call.function, &call.data_type) {
            (AggregateFunction::Count, _) => "count",
            (AggregateFunction::Sum, _) => "sum",
            (AggregateFunction::Min, DataType::Boolean) => "bool_and",
            (AggregateFunction::Max, DataType::Boolean) => "bool_or",
            (AggregateFunction::Min, _) => "min",
            (AggregateFunction::Max, _) => "max",
        };
        let sql = match (argument, call.distinct) {
            (None, _) => format!("{name}(*)"),
            (Some(argument), true) => format!("{name}(DISTINCT {argument})"),
            (Some(argument), false) => format!("{name}({argument})"),
        };
        match call.function {
            // The sum of int8 is numeric, and what is built on it expects the type that was promised.
            AggregateFunction::Sum => cast(&sql, &call.data_type),
            AggregateFunction::Count | AggregateFunction::Min | AggregateFunction::Max => sql,
        }
    }

    fn window_support(&self, call: &WindowCall, _input: &[OutputColumn]) -> Support {
        match (&call.function, &call.data_type) {
            (WindowFunction::Aggregate(AggregateFunction::Min | AggregateFunction::Max), DataType::Boolean) => {
                Support::Local { reason: "PostgreSQL has no min and max of booleans" }
            }
            _ => Support::Exact,
        }
    }

    fn window(&self, call: &WindowCall, sql: &str) -> String {
        match call.function {
            // The sum of int8 is numeric, and ntile is int4.
            WindowFunction::Aggregate(AggregateFunction::Sum) | WindowFunction::Ntile { .. } => {
                cast(&format!("({sql})"), &call.data_type)
            }
            _ => sql.to_owned(),
        }
    }

    fn grouping_sets(&self) -> GroupingSets {
        GroupingSets::Native
    }

    /// A NOT IN whose rows do not fit into `work_mem` is decided row against row.
    fn not_in(&self) -> NotIn {
        NotIn::NotExists
    }

    fn deliver(&self, sql: &str, output: &OutputColumn, to: &DataType) -> String {
        self.cast_unless_native(sql, output, to)
    }
}

impl PostgresDialect {
    fn cast_unless_native(self, sql: &str, output: &OutputColumn, to: &DataType) -> String {
        match &output.source_type {
            Some(source_type) if is_native(source_type, to) && output.data_type == *to => sql.to_owned(),
            Some(_) | None => cast(sql, to),
        }
    }
}

const FLOATS: Support = Support::Local { reason: "PostgreSQL compares NaN and negative zero in another way" };
const LONG_PATTERN: Support = Support::Local { reason: "PostgreSQL can fail on a long pattern, on a hidden row too" };
const NUL: Support = Support::Local { reason: "no text of PostgreSQL's holds a NUL character" };

/// Whether equality, order and grouping of this type are ours.
fn value_support(data_type: &DataType) -> Support {
    match data_type {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _)
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond)
        | DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
        DataType::Float32 | DataType::Float64 => FLOATS,
        DataType::List(_) => Support::Local { reason: "lists are compared here" },
        _ => Support::Local { reason: "PostgreSQL has no type that is compared in the same way" },
    }
}

fn comparison_support(left: &Expr, right: &Expr, input: &[OutputColumn]) -> Support {
    // An outer column does not say its type; the other side has the same.
    let typed = |expr: &Expr| (!matches!(expr, Expr::Outer(_))).then(|| expr.output(input).data_type);
    match typed(left).or_else(|| typed(right)) {
        Some(DataType::Float32 | DataType::Float64) => {
            let plain = |expr: &Expr| matches!(expr, Expr::Literal(value) if is_plain_number(value));
            if plain(left) || plain(right) { Support::Exact } else { FLOATS }
        }
        Some(data_type) => value_support(&data_type),
        None => Support::Local { reason: "a comparison of two outer columns belongs to the outer query" },
    }
}

/// A float that is compared the same way everywhere.
fn is_plain_number(value: &Value) -> bool {
    match value {
        Value::Float32(value) => value.is_finite() && *value != 0.0,
        Value::Float64(value) => value.is_finite() && *value != 0.0,
        _ => false,
    }
}

fn literal_support(value: &Value) -> Support {
    const FAR: Support = Support::Local { reason: "the date or time lies outside the years 1 to 9999" };
    match value {
        Value::Null(data_type) if type_name(data_type).is_none() => {
            Support::Local { reason: "PostgreSQL has no such type" }
        }
        Value::Text(text) if text.contains('\0') => NUL,
        Value::Date(days) if !is_near(i64::from(*days)) => FAR,
        Value::Time(microseconds) if !(0..DAY_MICROSECONDS).contains(microseconds) => FAR,
        Value::Timestamp { microseconds, .. } if !is_near(microseconds.div_euclid(DAY_MICROSECONDS)) => FAR,
        _ => Support::Exact,
    }
}

/// Whether a day lies in the years 0001 to 9999, which every date format writes alike.
fn is_near(days: i64) -> bool {
    (-719_162..=2_932_896).contains(&days)
}

/// The one way in which PostgreSQL writes a uuid; a text in any other way equals none.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn text_support(expr: &Expr, input: &[OutputColumn]) -> Support {
    match expr.output(input).data_type {
        DataType::Utf8 => Support::Exact,
        _ => Support::Local { reason: "the expression is for text" },
    }
}

fn type_name(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::List(item) => wire_type(item.data_type()).map(|name| format!("{name}[]")),
        other => wire_type(other).map(str::to_owned),
    }
}

fn cast(sql: &str, to: &DataType) -> String {
    match type_name(to) {
        Some(name) => format!("({sql})::{name}"),
        // The decoder refuses such a schema before the statement runs.
        None => sql.to_owned(),
    }
}

fn by_bytes(sql: &str) -> String {
    // The parser of the proof takes no COLLATE right after a cast.
    if sql.ends_with("::text") { format!("(({sql}) COLLATE \"C\")") } else { format!("({sql} COLLATE \"C\")") }
}

fn without_separators(sql: &str, form: Form) -> String {
    match form {
        Form::Compact => sql.to_owned(),
        Form::Spaced => format!("replace({}, ' ', '')", by_bytes(sql)),
        Form::Hyphenated => format!("replace({}, '-', '')", by_bytes(sql)),
        Form::Mixed => format!("replace(replace({}, ' ', ''), '-', '')", by_bytes(sql)),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn number(digits: &str, type_name: &str) -> String {
    // A cast binds closer than a sign.
    if digits.starts_with('-') { format!("({digits})::{type_name}") } else { format!("{digits}::{type_name}") }
}

fn float_text(value: f64, shortest: &str) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        shortest.to_owned()
    }
}

/// `2024-02-29`, `0044-03-15 BC`; what lies beyond every calendar is what the decoder reads an infinity as.
fn date_text(days: i32) -> String {
    let epoch = NaiveDate::default();
    let offset = Days::new(u64::from(days.unsigned_abs()));
    let date = if days < 0 { epoch.checked_sub_days(offset) } else { epoch.checked_add_days(offset) };
    match date {
        Some(date) => calendar_text(date, ""),
        None if days < 0 => "-infinity".to_owned(),
        None => "infinity".to_owned(),
    }
}

fn calendar_text(date: NaiveDate, after: &str) -> String {
    use chrono::Datelike;
    let (year, era) = if date.year() > 0 { (date.year(), "") } else { (1 - date.year(), " BC") };
    format!("{year:04}-{:02}-{:02}{after}{era}", date.month(), date.day())
}

fn time_text(microseconds: i64) -> String {
    let (seconds, fraction) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    let (minutes, second) = (seconds.div_euclid(60), seconds.rem_euclid(60));
    format!("{:02}:{:02}:{second:02}.{fraction:06}", minutes.div_euclid(60), minutes.rem_euclid(60))
}

fn timestamp_text(microseconds: i64, zone: &str) -> String {
    let time = time_text(microseconds.rem_euclid(DAY_MICROSECONDS));
    let days = microseconds.div_euclid(DAY_MICROSECONDS);
    let epoch = NaiveDate::default();
    let offset = Days::new(days.unsigned_abs());
    let date = if days < 0 { epoch.checked_sub_days(offset) } else { epoch.checked_add_days(offset) };
    match date {
        Some(date) if microseconds != i64::MAX && microseconds != i64::MIN => {
            calendar_text(date, &format!(" {time}{zone}"))
        }
        _ if microseconds < 0 => "-infinity".to_owned(),
        _ => "infinity".to_owned(),
    }
}
