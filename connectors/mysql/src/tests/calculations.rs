//! Arithmetic and functions at a real server, over the extremes of every type: none of them fails, and each answers as Arrow's
//! own kernels do, which DataFusion runs.

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Int32Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
use wayleave_connector_api::{
    ArithmeticOp, Collation, Column, ColumnType, DatePart, DateUnit, Dialect, Expr, Fragment, NullsOrder, OutputColumn,
    Relation, Scan, ScanReason, SortDirection, SortKey, Support, TableName, TextFunction, TrimSide, Value,
    render_fragment,
};

use super::reading::Random;
use super::*;
use crate::MysqlDialect;

const EXTREMES: &str = "CREATE TABLE extremes (id int, i2 smallint, i4 int, i8 bigint, u4 int unsigned, u8 bigint unsigned, \
    n decimal(10,2), w decimal(19,0), b tinyint(1), d date, ts datetime(6), tz timestamp(6) NULL);
INSERT INTO extremes (id, i2, i4, i8, u4, u8, n, w, b)
  WITH a (i2) AS (VALUES (-32768), (-1), (0), (7), (32767), (NULL)),
    b (i4) AS (VALUES (-2147483648), (-10), (0), (3), (2147483647), (NULL)),
    c (i8, u4, u8) AS (VALUES (-9223372036854775808, 0, 0), (-7, 1, 1), (0, 7, 7), (5, 4294967295, 18446744073709551615), (9223372036854775807, 3, 5), (NULL, NULL, NULL)),
    e (n, w, b) AS (VALUES (-99999999.99, -9999999999999999999, 1), (0.01, 1, 0), (99999999.99, 9999999999999999999, NULL), (NULL, NULL, 1))
  SELECT row_number() OVER (ORDER BY i2, i4, i8, n), i2, i4, i8, u4, u8, n, w, b FROM a, b, c, e;
SET time_zone = '+00:00';
INSERT INTO extremes (id, d, ts, tz) VALUES
  (10001, '0001-01-01', '0001-01-01 00:00:00', '1970-01-01 00:00:01'),
  (10002, '0001-12-31', '0001-12-31 23:59:59.999999', '2038-01-19 03:14:07.999999'),
  (10003, '0099-03-01', '0099-03-01 00:00:00', '2000-02-29 00:00:00'),
  (10004, '1969-12-31', '1969-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999'),
  (10005, '2024-02-29', '2024-02-29 12:34:56', '2024-02-29 23:30:00'),
  (10006, '2020-12-31', '2021-01-03 00:00:00', '2021-01-03 00:00:00'),
  (10007, '9999-12-31', '9999-12-31 23:59:59.999999', '2026-01-01 00:00:00'),
  (10008, '1000-01-01', '1000-01-01 10:10:10.1', '2010-11-12 13:14:15.161718');
";

fn columns() -> Vec<Column> {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    [
        ("id", "int(11)", DataType::Int32),
        ("i2", "smallint(6)", DataType::Int16),
        ("i4", "int(11)", DataType::Int32),
        ("i8", "bigint(20)", DataType::Int64),
        ("n", "decimal(10,2)", DataType::Decimal128(10, 2)),
        ("w", "decimal(19,0)", DataType::Decimal128(19, 0)),
        ("b", "tinyint(1)", DataType::Boolean),
        ("d", "date", DataType::Date32),
        ("ts", "datetime(6)", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("tz", "timestamp(6)", zoned),
        ("u4", "int(10) unsigned", DataType::Int64),
        ("u8", "bigint(20) unsigned", DataType::Decimal128(20, 0)),
    ]
    .into_iter()
    .map(|(name, source_type, data_type)| Column {
        name: name.to_owned(),
        source_type: source_type.to_owned(),
        column_type: ColumnType::Readable(data_type),
        nullable: true,
        collation: Collation::Binary,
    })
    .collect()
}

/// One schema for every test, all of which only read it.
async fn extremes_agency() -> MysqlConnector {
    static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    MADE.get_or_init(|| async {
        agency("extremes", EXTREMES).await;
    })
    .await;
    MysqlConnector::new(options(&server().url("extremes"))).unwrap()
}

fn inputs() -> Vec<OutputColumn> {
    columns().iter().map(OutputColumn::from).collect()
}

/// All these expressions over every row, in the order of the rows.
async fn evaluate(connector: &MysqlConnector, exprs: Vec<Expr>) -> RecordBatch {
    let types: Vec<DataType> =
        std::iter::once(DataType::Int32).chain(exprs.iter().map(|expr| expr.output(&inputs()).data_type)).collect();
    let scan = Relation::Scan(Box::new(Scan {
        table: TableName::new("extremes", "extremes"),
        columns: columns(),
        outputs: std::iter::once(Expr::Column(0)).chain(exprs).collect(),
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }));
    let keys = vec![SortKey { expr: Expr::Column(0), direction: SortDirection::Ascending, nulls: NullsOrder::Last }];
    let schema = schema(&types);
    let fragment =
        Fragment { root: Relation::Sort { input: Box::new(scan), keys, fetch: None }, schema: Arc::clone(&schema) };
    let sql = render_fragment(&MysqlDialect, &fragment, None, wayleave_connector_api::Audience::Source);
    collect(connector, &sql, schema).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"))
}

/// What Arrow answers over the same rows; `None` where its kernels have no such operation.
fn expected(expr: &Expr, rows: &RecordBatch) -> Option<ArrayRef> {
    match expr {
        Expr::Column(index) => Some(Arc::clone(rows.column(*index))),
        Expr::Literal(value) => {
            let one: ArrayRef = match value {
                Value::Int16(v) => Arc::new(arrow::array::Int16Array::from(vec![*v])),
                Value::Int32(v) => Arc::new(arrow::array::Int32Array::from(vec![*v])),
                Value::Int64(v) => Arc::new(arrow::array::Int64Array::from(vec![*v])),
                Value::Decimal128 { unscaled, precision, scale } => Arc::new(
                    arrow::array::Decimal128Array::from(vec![*unscaled])
                        .with_precision_and_scale(*precision, *scale)
                        .unwrap(),
                ),
                other => panic!("{other:?}"),
            };
            let indices = arrow::array::UInt32Array::from(vec![0; rows.num_rows()]);
            Some(arrow::compute::take(&one, &indices, None).unwrap())
        }
        Expr::Widen { expr, to } => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            Some(cast_with_options(&expected(expr, rows)?, to, &options).unwrap())
        }
        Expr::Arithmetic { op, left, right, .. } => {
            let (left, right) = (expected(left, rows)?, expected(right, rows)?);
            let compute = match op {
                ArithmeticOp::Add => add,
                ArithmeticOp::Subtract => sub,
                ArithmeticOp::Multiply => mul,
                ArithmeticOp::Divide => div,
                ArithmeticOp::Modulo => rem,
            };
            Some(compute(&left, &right).unwrap_or_else(|error| panic!("{error} in {expr:?}")))
        }
        other => panic!("{other:?}"),
    }
}

fn leaf(random: &mut Random, decimals: bool) -> Expr {
    let wide = |column| Expr::Widen { expr: Box::new(Expr::Column(column)), to: DataType::Int64 };
    if decimals {
        let constant = |unscaled, precision, scale| Expr::Literal(Value::Decimal128 { unscaled, precision, scale });
        let decimal = |column, precision| Expr::Widen {
            expr: Box::new(Expr::Column(column)),
            to: DataType::Decimal128(precision, 0),
        };
        return match random.below(10) {
            0..=1 => Expr::Column(4),
            2 => Expr::Column(11),
            3 => Expr::Column(5),
            4 => decimal(1, 5),
            5 => decimal(3, 20),
            6 => constant(-15, 2, 1),
            7 => constant(7, 1, 0),
            _ => constant(333_333, 6, 5),
        };
    }
    let constants = [0, 1, -1, 2, -3, 7, 100, -365, i64::MAX, i64::MIN];
    match random.below(8) {
        0 => wide(1),
        1 => wide(2),
        2 => Expr::Column(10),
        3 | 4 => Expr::Column(3),
        _ => Expr::Literal(Value::Int64(constants[random.below(constants.len())])),
    }
}

/// An expression as planning would build it, with the type that Arrow gives it.
fn tree(random: &mut Random, decimals: bool, depth: usize) -> Expr {
    if depth == 0 || random.below(4) == 0 {
        return leaf(random, decimals);
    }
    let ops = [
        (ArithmeticOp::Add, add as fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> _),
        (ArithmeticOp::Subtract, sub),
        (ArithmeticOp::Multiply, mul),
        (ArithmeticOp::Divide, div),
        (ArithmeticOp::Modulo, rem),
    ];
    let (op, compute) = ops[random.below(ops.len())];
    let (left, right) = (tree(random, decimals, depth - 1), tree(random, decimals, depth - 1));
    let empty = |expr: &Expr| new_null_array(&expr.output(&inputs()).data_type, 0);
    match compute(&empty(&left), &empty(&right)) {
        Ok(result) => {
            Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right), data_type: result.data_type().clone() }
        }
        // Too many digits after the point for any type.
        Err(_) => left,
    }
}

#[tokio::test]
async fn arithmetic_that_may_go_there_never_fails_and_is_exact() {
    let connector = extremes_agency().await;
    let plain = (0..12).map(Expr::Column).collect::<Vec<_>>();
    let rows = evaluate(&connector, plain[1..].to_vec()).await;
    for decimals in [false, true] {
        let mut random = Random(if decimals { 0xdec1 } else { 0x1234 });
        let mut allowed = Vec::new();
        let mut refused = 0;
        while allowed.len() < 400 {
            let expr = tree(&mut random, decimals, 3);
            match MysqlDialect.support(&expr, &inputs()) {
                Support::Exact if matches!(expr, Expr::Arithmetic { .. }) => allowed.push(expr),
                Support::Exact => {}
                Support::Local { .. } | Support::Superset { .. } => refused += 1,
            }
        }
        assert!(refused > 50, "{refused}");
        for batch in allowed.chunks(50) {
            let answers = evaluate(&connector, batch.to_vec()).await;
            for (index, expr) in batch.iter().enumerate() {
                let expected = expected(expr, &rows).unwrap();
                assert_eq!(answers.column(index + 1), &expected, "{expr:?}");
            }
        }
    }
}

#[tokio::test]
async fn casts_that_lose_nothing_are_what_they_are_here() {
    let connector = extremes_agency().await;
    let rows = evaluate(&connector, (1..7).map(Expr::Column).collect()).await;
    let mut casts = Vec::new();
    for column in 1..=6 {
        for to in [
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::Float32,
            DataType::Float64,
            DataType::Decimal128(22, 2),
            DataType::Decimal128(38, 10),
            DataType::Utf8,
        ] {
            let cast = Expr::Widen { expr: Box::new(Expr::Column(column)), to };
            if MysqlDialect.support(&cast, &inputs()) == Support::Exact {
                casts.push(cast);
            }
        }
    }
    assert!(casts.len() > 20, "{}", casts.len());
    let answers = evaluate(&connector, casts.clone()).await;
    for (index, cast) in casts.iter().enumerate() {
        assert_eq!(answers.column(index + 1), &expected(cast, &rows).unwrap(), "{cast:?}");
    }
}

/// The moments of a column as the calendar has them; `None` where it has none.
fn moments(rows: &RecordBatch, column: usize) -> Vec<Option<NaiveDateTime>> {
    let array = rows.column(column);
    if *array.data_type() == DataType::Date32 {
        let days = array.as_primitive::<arrow::datatypes::Date32Type>();
        return days
            .iter()
            .map(|days| Some(DateTime::from_timestamp(i64::from(days?).checked_mul(86_400)?, 0)?.naive_utc()))
            .collect();
    }
    let microseconds = array.as_primitive::<TimestampMicrosecondType>();
    microseconds.iter().map(|value| Some(DateTime::from_timestamp_micros(value?)?.naive_utc())).collect()
}

fn part_of(moment: NaiveDateTime, part: DatePart) -> i32 {
    let number = |value: u32| i32::try_from(value).unwrap();
    match part {
        DatePart::Year => moment.year(),
        DatePart::Quarter => number((moment.month() - 1) / 3 + 1),
        DatePart::Month => number(moment.month()),
        DatePart::Week => number(moment.iso_week().week()),
        DatePart::Day => number(moment.day()),
        DatePart::DayOfWeek => number(moment.weekday().num_days_from_sunday()),
        DatePart::IsoDayOfWeek => number(moment.weekday().number_from_monday()),
        DatePart::DayOfYear => number(moment.ordinal()),
        DatePart::Hour => number(moment.hour()),
        DatePart::Minute => number(moment.minute()),
    }
}

#[tokio::test]
async fn parts_of_every_date_that_has_a_calendar_and_of_no_other() {
    let connector = extremes_agency().await;
    let rows = evaluate(&connector, (1..10).map(Expr::Column).collect()).await;
    for part in [
        DatePart::Year,
        DatePart::Quarter,
        DatePart::Month,
        DatePart::Week,
        DatePart::Day,
        DatePart::DayOfWeek,
        DatePart::IsoDayOfWeek,
        DatePart::DayOfYear,
        DatePart::Hour,
        DatePart::Minute,
    ] {
        for column in 7..=9 {
            let expr = Expr::DatePart { part, expr: Box::new(Expr::Column(column)) };
            if MysqlDialect.support(&expr, &inputs()) != Support::Exact {
                assert!(column == 7 && !part.is_of_dates());
                continue;
            }
            let answers = evaluate(&connector, vec![expr]).await;
            let answers = answers.column(1).as_primitive::<Int32Type>();
            let mut found = 0;
            for (moment, answer) in moments(&rows, column).into_iter().zip(answers.iter()) {
                assert_eq!(answer, moment.map(|moment| part_of(moment, part)), "{part:?} of {moment:?}");
                found += usize::from(answer.is_some());
            }
            assert!(found > 5);
        }
    }
}

fn truncated(moment: NaiveDateTime, to: DateUnit) -> NaiveDateTime {
    let first =
        |month: u32| moment.date().with_day(1).unwrap().with_month(month).unwrap().and_hms_opt(0, 0, 0).unwrap();
    match to {
        DateUnit::Year => first(1),
        DateUnit::Quarter => first((moment.month() - 1) / 3 * 3 + 1),
        DateUnit::Month => first(moment.month()),
        DateUnit::Week => {
            let days = chrono::Days::new(u64::from(moment.weekday().num_days_from_monday()));
            moment.date().checked_sub_days(days).unwrap().and_hms_opt(0, 0, 0).unwrap()
        }
        DateUnit::Day => moment.date().and_hms_opt(0, 0, 0).unwrap(),
        DateUnit::Hour => moment.date().and_hms_opt(moment.hour(), 0, 0).unwrap(),
        DateUnit::Minute => moment.date().and_hms_opt(moment.hour(), moment.minute(), 0).unwrap(),
        DateUnit::Second => moment.with_nanosecond(0).unwrap(),
    }
}

#[tokio::test]
async fn a_truncated_moment_is_when_its_unit_began() {
    let connector = extremes_agency().await;
    let rows = evaluate(&connector, (1..10).map(Expr::Column).collect()).await;
    for to in [
        DateUnit::Year,
        DateUnit::Quarter,
        DateUnit::Month,
        DateUnit::Week,
        DateUnit::Day,
        DateUnit::Hour,
        DateUnit::Minute,
        DateUnit::Second,
    ] {
        for column in 8..=9 {
            let expr = Expr::Truncate { to, expr: Box::new(Expr::Column(column)) };
            assert_eq!(MysqlDialect.support(&expr, &inputs()), Support::Exact);
            let answers = evaluate(&connector, vec![expr]).await;
            for (moment, answer) in moments(&rows, column).into_iter().zip(moments(&answers, 1)) {
                assert_eq!(answer, moment.map(|moment| truncated(moment, to)), "{to:?} of {moment:?}");
            }
        }
    }
}

fn text_rule(function: &TextFunction, text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let count = i32::try_from(characters.len()).unwrap();
    let slice = |from: i32, to: i32| {
        let bound = |place: i32| usize::try_from(place.clamp(0, count)).unwrap();
        characters[bound(from)..bound(to).max(bound(from))].iter().collect::<String>()
    };
    Some(match function {
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
        TextFunction::Length | TextFunction::Position(_) | TextFunction::Upper | TextFunction::Lower => return None,
    })
}

#[tokio::test]
async fn functions_of_texts_count_characters_under_every_collation() {
    let (connector, texts) = super::expressions::nasty_agency().await;
    let most = 1 << 30;
    let mut functions = vec![
        TextFunction::Trim(TrimSide::Both),
        TextFunction::Trim(TrimSide::Start),
        TextFunction::Trim(TrimSide::End),
        TextFunction::Replace { from: "9".to_owned(), to: String::new() },
        TextFunction::Replace { from: "é".to_owned(), to: "e'".to_owned() },
        TextFunction::Replace { from: "e\u{301}".to_owned(), to: "\\".to_owned() },
    ];
    for number in [-most, -12, -3, -1, 0, 1, 2, 5, 12, most] {
        functions.extend([TextFunction::Left(number), TextFunction::Right(number)]);
        functions.push(TextFunction::Substring { start: number, length: None });
        for length in [0, 1, 3, most] {
            functions.push(TextFunction::Substring { start: number, length: Some(length) });
        }
    }
    for function in functions {
        super::expressions::compare_texts(
            &connector,
            &texts,
            |expr| Expr::OfText { function: function.clone(), expr: Box::new(expr) },
            |text| text_rule(&function, text),
        )
        .await;
    }
    super::expressions::compare_texts(
        &connector,
        &texts,
        |expr| Expr::Concat(vec![Expr::text("<é"), expr, Expr::text("'")]),
        |text| Some(format!("<é{text}'")),
    )
    .await;
    for column in 1..=3 {
        for (function, rule) in [
            (TextFunction::Length, Box::new(|text: &str| text.chars().count()) as Box<dyn Fn(&str) -> usize>),
            (
                TextFunction::Position("é".to_owned()),
                Box::new(|text| text.find('é').map_or(0, |place| text[..place].chars().count() + 1)),
            ),
            (
                TextFunction::Position("S".to_owned()),
                Box::new(|text| text.find('S').map_or(0, |place| text[..place].chars().count() + 1)),
            ),
        ] {
            let expr = Expr::OfText { function, expr: Box::new(Expr::Column(column)) };
            let answers = super::expressions::evaluate(&connector, expr, DataType::Int32).await;
            let answers = answers.as_primitive::<Int32Type>();
            for (text, answer) in texts.iter().zip(answers.iter()) {
                assert_eq!(answer, i32::try_from(rule(text)).ok(), "{text:?}");
            }
            assert!(answers.is_null(texts.len()));
        }
    }
}

#[tokio::test]
async fn two_collations_put_together_still_compare() {
    let (connector, texts) = super::expressions::nasty_agency().await;
    let wanted = format!("{}{}", texts[0], texts[0]);
    let both = Expr::Concat(vec![
        Expr::OfText { function: TextFunction::Left(99), expr: Box::new(Expr::Column(2)) },
        Expr::Column(3),
    ]);
    let equal = Expr::equal(both, Expr::text(wanted.clone()));
    let answers = super::expressions::evaluate(&connector, equal, DataType::Boolean).await;
    let found = answers.as_boolean().iter().filter(|answer| *answer == Some(true)).count();
    assert_eq!(found, texts.iter().filter(|text| format!("{text}{text}") == wanted).count());
    let pair = Expr::equal(Expr::Column(2), Expr::Column(3));
    let answers = super::expressions::evaluate(&connector, pair, DataType::Boolean).await;
    assert_eq!(answers.as_boolean().iter().filter(|answer| *answer == Some(true)).count(), texts.len());
}

#[tokio::test]
async fn booleans_have_a_least_and_a_greatest() {
    use wayleave_connector_api::{Aggregate, AggregateFunction};
    let connector = extremes_agency().await;
    let call = |function, argument: Expr| Aggregate {
        function,
        argument: Some(argument),
        distinct: false,
        filter: None,
        data_type: DataType::Boolean,
    };
    let input = Relation::Scan(Box::new(Scan {
        table: TableName::new("extremes", "extremes"),
        columns: columns(),
        outputs: vec![Expr::Column(6)],
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }));
    let sum = Aggregate { data_type: DataType::Decimal128(29, 0), ..call(AggregateFunction::Sum, Expr::Column(0)) };
    let aggregates = vec![call(AggregateFunction::Min, Expr::Column(0)), call(AggregateFunction::Max, Expr::Column(0))];
    for call in &aggregates {
        assert_eq!(MysqlDialect.aggregate_support(call, &input.outputs()), Support::Exact);
    }
    let root = Relation::Aggregate { input: Box::new(input.clone()), groups: Vec::new(), aggregates };
    let types = schema(&[DataType::Boolean, DataType::Boolean]);
    let fragment = Fragment { root, schema: Arc::clone(&types) };
    let sql = render_fragment(&MysqlDialect, &fragment, None, wayleave_connector_api::Audience::Source);
    let batch = collect(&connector, &sql, types).await.unwrap();
    assert!(!batch.column(0).as_boolean().value(0) && batch.column(1).as_boolean().value(0));
    // Integers are summed into as many digits as it takes.
    let longs = Relation::Project {
        input: Box::new(Relation::Scan(Box::new(Scan {
            table: TableName::new("extremes", "extremes"),
            columns: columns(),
            outputs: vec![Expr::Column(3)],
            policy: Vec::new(),
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "A".to_owned() },
        }))),
        exprs: vec![Expr::Column(0)],
    };
    let filter = Some(Expr::compare(
        wayleave_connector_api::CompareOp::Greater,
        Expr::Column(0),
        Expr::Literal(Value::Int64(0)),
    ));
    let sum = Aggregate { filter, ..sum };
    assert_eq!(MysqlDialect.aggregate_support(&sum, &longs.outputs()), Support::Exact);
    let root = Relation::Aggregate { input: Box::new(longs), groups: Vec::new(), aggregates: vec![sum] };
    let types = schema(&[DataType::Decimal128(29, 0)]);
    let fragment = Fragment { root, schema: Arc::clone(&types) };
    let sql = render_fragment(&MysqlDialect, &fragment, None, wayleave_connector_api::Audience::Source);
    let batch = collect(&connector, &sql, types).await.unwrap();
    let sum = batch.column(0).as_primitive::<arrow::datatypes::Decimal128Type>().value(0);
    assert_eq!(sum, 6 * 6 * 4 * (i128::from(i64::MAX) + 5));
}
