//! What no other database has: moments beyond every calendar, digits without end, texts of several collations.

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, TimeUnit};
use chrono::Datelike;
use wayleave_connector_api::{
    ArithmeticOp, Collation, Column, ColumnType, DatePart, DateUnit, Dialect, Expr, Fragment, NullsOrder, OutputColumn,
    Relation, Scan, ScanReason, SortDirection, SortKey, Support, TableName, TextFunction, Value, render_fragment,
};
use wayleave_connector_testkit::contract::answer::{answer, rows};
use wayleave_connector_testkit::contract::moment;

use super::*;
use crate::PostgresDialect;

const EXTREMES: &str = "CREATE TABLE extremes (id int4, i2 int2, i4 int4, i8 int8, n numeric(10,2), w numeric(19,0), free numeric, b bool, \
    d date, ts timestamp, tz timestamptz);
INSERT INTO extremes
  SELECT row_number() OVER (), i2, i4, i8, n, w, n, b, NULL, NULL, NULL FROM
    unnest(ARRAY[-32768, -1, 0, 7, 32767, NULL]::int2[]) AS i2,
    unnest(ARRAY[-2147483648, -10, 0, 3, 2147483647, NULL]::int4[]) AS i4,
    unnest(ARRAY[-9223372036854775808, -7, 0, 5, 9223372036854775807, NULL]::int8[]) AS i8,
    (VALUES (-99999999.99, -9999999999999999999, true), (0.01, 1, false), (99999999.99, 9999999999999999999, NULL), (NULL, NULL, true)) AS x (n, w, b);
INSERT INTO extremes (id, free, d, ts, tz) VALUES
  (10001, 1e1000, '4713-01-01 BC', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00 BC'),
  (10002, 'NaN', '0001-12-31 BC', '0001-12-31 23:59:59.999999 BC', '0001-12-31 23:59:59.999999 BC'),
  (10003, -1e1000, '0001-01-01', '0001-01-01', '0001-01-01'),
  (10004, 0, '1969-12-31', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999'),
  (10005, 0, '2024-02-29', '2024-02-29 12:34:56', '2024-02-29 23:30:00-05'),
  (10006, 0, '2020-12-31', '2021-01-03 00:00:00', '2021-01-03 00:00:00+14'),
  (10007, 0, '9999-12-31', '9999-12-31 23:59:59', '9999-12-31 23:59:59'),
  (10008, 0, '262142-12-31', '262142-12-31 23:59:59.999999', '262142-12-31 23:59:59.999999+00'),
  (10009, 0, '5874897-12-31', '294000-12-31 23:59:59.999999', '294000-12-31 23:59:59.999999'),
  (10010, 0, 'infinity', 'infinity', 'infinity'),
  (10011, 0, '-infinity', '-infinity', '-infinity'),
  (10012, 0, '4714-11-24 BC', '4714-11-24 00:00:00 BC', '4714-11-24 00:00:00 BC');
";

fn columns() -> Vec<Column> {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    [
        ("id", "integer", DataType::Int32),
        ("i2", "smallint", DataType::Int16),
        ("i4", "integer", DataType::Int32),
        ("i8", "bigint", DataType::Int64),
        ("n", "numeric(10,2)", DataType::Decimal128(10, 2)),
        ("w", "numeric(19,0)", DataType::Decimal128(19, 0)),
        ("b", "boolean", DataType::Boolean),
        ("d", "date", DataType::Date32),
        ("ts", "timestamp without time zone", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("tz", "timestamp with time zone", zoned),
        ("free", "numeric", DataType::Decimal128(38, 10)),
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

fn inputs() -> Vec<OutputColumn> {
    columns().iter().map(OutputColumn::from).collect()
}

/// All these expressions over every row, in the order of the rows.
async fn evaluate(connector: &PostgresConnector, exprs: Vec<Expr>) -> RecordBatch {
    let types: Vec<DataType> =
        std::iter::once(DataType::Int32).chain(exprs.iter().map(|expr| expr.output(&inputs()).data_type)).collect();
    let scan = Relation::Scan(Box::new(Scan {
        table: TableName::new("public", "extremes"),
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
    let sql = render_fragment(&PostgresDialect, &fragment, None, wayleave_connector_api::Audience::Source);
    collect(connector, &sql, schema).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"))
}

#[tokio::test]
async fn parts_of_every_date_that_has_a_calendar_and_of_no_other() {
    let connector = agency("date_parts", EXTREMES).await;
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
            if PostgresDialect.support(&expr, &inputs()) != Support::Exact {
                assert!(column == 7 && !part.is_of_dates());
                continue;
            }
            let answers = evaluate(&connector, vec![expr]).await;
            let answers = answers.column(1).as_primitive::<Int32Type>();
            let mut found = 0;
            for (moment, answer) in moment::of(rows.column(column)).into_iter().zip(answers.iter()) {
                assert_eq!(answer, moment.map(|moment| moment::part(moment, part)), "{part:?} of {moment:?}");
                found += usize::from(answer.is_some());
            }
            assert!(found > 5);
        }
    }
}

#[tokio::test]
async fn a_truncated_moment_is_when_its_unit_began() {
    let connector = agency("truncation", EXTREMES).await;
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
            assert_eq!(PostgresDialect.support(&expr, &inputs()), Support::Exact);
            let answers = evaluate(&connector, vec![expr]).await;
            for (moment, answer) in moment::of(rows.column(column)).into_iter().zip(moment::of(answers.column(1))) {
                // The few days of PostgreSQL's first year begin in a year that it has not.
                let whole = moment.filter(|moment| moment.year() > -4713);
                assert_eq!(answer, whole.map(|moment| moment::truncated(moment, to)), "{to:?} of {moment:?}");
            }
        }
    }
}

#[tokio::test]
async fn two_collations_put_together_still_compare_and_nothing_outgrows_the_server() {
    let setup = "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
        CREATE TABLE texts (id int, x text, y text COLLATE \"en-x-icu\", z text COLLATE loose); \
        INSERT INTO texts VALUES (1, 'a', 'é', 'x'), (2, 'a', 'É', 'X'), (3, repeat('x', 200000000), '', '')";
    let connector = agency("concatenation", setup).await;
    let table = connector.table(&TableName::new("public", "texts")).await.unwrap().unwrap();
    let both = Expr::Concat(vec![Expr::Column(2), Expr::Column(3)]);
    // A megabyte a thousand times over is no text there.
    let six = Expr::Concat(vec![Expr::Column(1); 6]);
    let length = Expr::OfText { function: TextFunction::Length, expr: Box::new(six) };
    let root = Relation::Scan(Box::new(Scan {
        table: table.name,
        columns: table.columns,
        outputs: vec![Expr::Column(0), Expr::equal(both, Expr::text("éx")), length],
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }));
    assert_eq!(rows(&answer(&connector, root, None).await), ["1|true|6", "2|false|6", "3|false|NULL"]);
}

#[test]
fn digits_that_no_type_declares_are_never_computed_with() {
    let free = Expr::Arithmetic {
        op: ArithmeticOp::Multiply,
        left: Box::new(Expr::Column(10)),
        right: Box::new(Expr::Column(10)),
        data_type: DataType::Decimal128(38, 20),
    };
    assert!(matches!(PostgresDialect.support(&free, &inputs()), Support::Local { .. }));
}

#[tokio::test]
async fn booleans_have_a_least_and_a_greatest() {
    use wayleave_connector_api::{Aggregate, AggregateFunction};
    let connector = agency("booleans", EXTREMES).await;
    let call = |function, argument: Expr| Aggregate {
        function,
        argument: Some(argument),
        distinct: false,
        filter: None,
        data_type: DataType::Boolean,
    };
    let input = Relation::Scan(Box::new(Scan {
        table: TableName::new("public", "extremes"),
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
        assert_eq!(PostgresDialect.aggregate_support(call, &input.outputs()), Support::Exact);
    }
    let root = Relation::Aggregate { input: Box::new(input.clone()), groups: Vec::new(), aggregates };
    let types = schema(&[DataType::Boolean, DataType::Boolean]);
    let fragment = Fragment { root, schema: Arc::clone(&types) };
    let sql = render_fragment(&PostgresDialect, &fragment, None, wayleave_connector_api::Audience::Source);
    let batch = collect(&connector, &sql, types).await.unwrap();
    assert!(!batch.column(0).as_boolean().value(0) && batch.column(1).as_boolean().value(0));
    // Integers are summed into as many digits as it takes.
    let longs = Relation::Project {
        input: Box::new(Relation::Scan(Box::new(Scan {
            table: TableName::new("public", "extremes"),
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
    assert_eq!(PostgresDialect.aggregate_support(&sum, &longs.outputs()), Support::Exact);
    let root = Relation::Aggregate { input: Box::new(longs), groups: Vec::new(), aggregates: vec![sum] };
    let types = schema(&[DataType::Decimal128(29, 0)]);
    let fragment = Fragment { root, schema: Arc::clone(&types) };
    let sql = render_fragment(&PostgresDialect, &fragment, None, wayleave_connector_api::Audience::Source);
    let batch = collect(&connector, &sql, types).await.unwrap();
    let sum = batch.column(0).as_primitive::<arrow::datatypes::Decimal128Type>().value(0);
    assert_eq!(sum, 6 * 6 * 4 * (i128::from(i64::MAX) + 5));
}
