use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Float64Type, Int64Type, TimeUnit, i256};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Collation, CompareOp, Dialect, Expr, Form, KeyFormat, Mask, OutputColumn, Scheme,
    Support, TextUse, Value,
};

use super::*;
use crate::SqliteDialect;

const DIALECT: SqliteDialect = SqliteDialect;

fn text_column() -> OutputColumn {
    OutputColumn { data_type: DataType::Utf8, collation: Collation::Binary, source_type: Some("TEXT".to_owned()) }
}

/// A column as introspection describes one that is declared with NOCASE or RTRIM.
fn loose_column() -> OutputColumn {
    OutputColumn { collation: Collation::Loose, ..text_column() }
}

/// A table of texts, in order of `i`; the last row is NULL.
fn texts(values: &[&str], declaration: &str) -> Database {
    let database = Database::new(&format!("CREATE TABLE t (i INTEGER PRIMARY KEY, x {declaration})"));
    for value in values {
        database.writer.execute("INSERT INTO t (x) VALUES (?1)", [value]).unwrap();
    }
    database.writer.execute("INSERT INTO t (x) VALUES (NULL)", []).unwrap();
    database
}

async fn over_texts(connector: &SqliteConnector, expression: &str, data_type: DataType) -> ArrayRef {
    run_column(connector, format!("SELECT {expression} AS c1 FROM t AS b ORDER BY i"), data_type).await
}

#[tokio::test]
async fn written_keys_are_the_written_forms() {
    let database = texts(&["9434765919", "4010232137"], "TEXT");
    for form in [Form::Compact, Form::Spaced, Form::Hyphenated] {
        let format = KeyFormat { scheme: Scheme::NhsNumber, form, assured: false };
        let sql = DIALECT.written_key("b.\"x\"", format);
        let written = over_texts(&database.connector(), &sql, DataType::Utf8).await;
        assert_eq!(Some(written.as_string::<i32>().value(0).to_owned()), format.written("9434765919").pop());
        assert!(written.is_null(2));
    }
}

#[tokio::test]
async fn outward_postcodes() {
    let cases = [
        ("TQ1 3XX", Some("TQ1")),
        ("  SW1A 1AA ", Some("SW1A")),
        ("TQ13XX", Some("TQ1")),
        ("SW1A1AA", Some("SW1A")),
        ("M11AE", Some("M1")),
        ("M1 1AE", Some("M1")),
        ("", None),
        ("TQ1", None),
        ("ABCDE FGH", None),
        ("TQ1 3XX, Torquay", Some("TQ1")),
        ("12 Harbour Road", Some("12")),
        ("Torquay Harbour", None),
        ("SW1A1AAAA", None),
    ];
    let values: Vec<&str> = cases.iter().map(|(value, _)| *value).collect();
    let database = texts(&values, "TEXT");
    let sql = DIALECT.mask("b.\"x\"", &text_column(), Mask::OutwardPostcode);
    let masked = shown(&over_texts(&database.connector(), &sql, DataType::Utf8).await);
    for (index, (value, expected)) in cases.iter().enumerate() {
        assert_eq!(masked[index].as_deref(), *expected, "{value}");
    }
    assert_eq!(masked.last(), Some(&None));
}

#[tokio::test]
async fn last_characters() {
    let database = texts(&["abcdef", "abcd", "abc", "", "żółć🙂x"], "TEXT");
    let connector = database.connector();
    for (count, expected) in [
        (4, vec![Some("***cdef"), Some("***"), Some("***"), Some("***"), Some("***łć🙂x"), None]),
        (0, vec![Some("***"), Some("***"), Some("***"), Some("***"), Some("***"), None]),
    ] {
        let sql = DIALECT.mask("b.\"x\"", &text_column(), Mask::LastCharacters(count));
        let masked = shown(&over_texts(&connector, &sql, DataType::Utf8).await);
        assert_eq!(masked.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }
}

const DATES: &[(&str, Option<&str>)] = &[
    ("2024-02-29", Some("2024-02-29")),
    ("2023-02-29", None),
    ("2023-02-30", None),
    ("2024-13-01", None),
    ("2024-00-10", None),
    ("2024-01-31 23:59:59", Some("2024-01-31")),
    ("2024-01-31T10:00:00.123Z", Some("2024-01-31")),
    ("2024-01-31 24:00:00", None),
    ("2024-01-31 nonsense", None),
    ("2024-01-31x", None),
    ("0001-01-01", Some("0001-01-01")),
    ("9999-12-31", Some("9999-12-31")),
    ("now", None),
    ("2451545", None),
    ("12:00", None),
    ("31/01/2024", None),
    ("24-01-31", None),
    ("", None),
    (" 2024-01-31", None),
    ("-2024-01-31", None),
];

#[tokio::test]
async fn dates_and_years_are_null_where_there_is_no_date() {
    let values: Vec<&str> = DATES.iter().map(|(value, _)| *value).collect();
    for declaration in ["TEXT", "DATE"] {
        let database = texts(&values, declaration);
        let connector = database.connector();
        let column = OutputColumn { source_type: Some(declaration.to_owned()), ..text_column() };
        let dates = shown(&over_texts(&connector, &DIALECT.date_of("b.\"x\"", &column), DataType::Date32).await);
        let year = DIALECT.mask("b.\"x\"", &column, Mask::YearOfDate);
        let years = shown(&over_texts(&connector, &year, DataType::Int32).await);
        for (index, (value, expected)) in DATES.iter().enumerate() {
            assert_eq!(dates[index].as_deref(), *expected, "{value}");
            let year = expected.map(|date| date.split_once('-').unwrap().0.parse::<i32>().unwrap().to_string());
            assert_eq!(years[index], year, "{value}");
        }
        assert_eq!((dates.last(), years.last()), (Some(&None), Some(&None)));
    }
}

#[tokio::test]
async fn like_with_a_fixed_beginning_uses_the_index() {
    let database = Database::new("CREATE TABLE t (x TEXT); CREATE INDEX by_x ON t (x)");
    let plan = |condition: String| -> String {
        let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM t AS b WHERE {condition}");
        database.writer.query_row(&sql, [], |row| row.get(3)).unwrap()
    };
    // A view's columns are described as loose, and the index of the table behind them serves all the same.
    for column in [text_column(), loose_column()] {
        let operand = DIALECT.text("b.\"x\"", &column, TextUse::Equality);
        assert!(plan(DIALECT.like(&operand, "Smi%")).contains("by_x (x>? AND x<?)"));
        assert!(plan(DIALECT.like(&operand, "Smith")).contains("by_x (x=?)"));
        let keys: Vec<String> = (0..3).map(|key| key.to_string()).collect();
        assert!(plan(DIALECT.column_in_texts("b.\"x\"", &column, &keys)).contains("by_x (x=?)"));
        let keys: Vec<String> = (0..3_000).map(|key| key.to_string()).collect();
        assert!(plan(DIALECT.column_in_texts("b.\"x\"", &column, &keys)).contains("by_x (x=?)"));
        let probe = format!("{operand} = '9434765919'");
        assert!(plan(probe).contains("by_x (x=?)"));
    }
}

#[test]
fn only_a_loose_column_is_asked_for_its_bytes() {
    let quoted = "\"b\".\"x\"";
    let keys = ["a".to_owned()];
    assert_eq!(DIALECT.read_column(quoted, &text_column()), quoted);
    assert_eq!(DIALECT.text(quoted, &text_column(), TextUse::Order), quoted);
    assert_eq!(DIALECT.column_in_texts(quoted, &text_column(), &keys), "\"b\".\"x\" IN ('a')");
    let read = DIALECT.read_column(quoted, &loose_column());
    assert_eq!(read, "\"b\".\"x\" COLLATE BINARY");
    assert_eq!(DIALECT.text(&read, &loose_column(), TextUse::Order), read);
    assert_eq!(DIALECT.column_in_texts(quoted, &loose_column(), &keys), "\"b\".\"x\" COLLATE BINARY IN ('a')");
    let uuid = OutputColumn { source_type: Some("UUID".to_owned()), ..loose_column() };
    assert_eq!(DIALECT.read_column(quoted, &uuid), "CAST(\"b\".\"x\" AS TEXT) COLLATE BINARY");
    for column in [text_column(), loose_column()] {
        assert_eq!((DIALECT.sort_support(&column), DIALECT.group_support(&column)), (Support::Exact, Support::Exact));
    }
}

#[test]
fn keys_dates_and_masks_are_one_call() {
    let format = |form, assured| KeyFormat { scheme: Scheme::NhsNumber, form, assured };
    for (sql, expected) in [
        (DIALECT.canonical_key("x", format(Form::Spaced, false)), "nhs_number(x, 'spaced')"),
        (DIALECT.canonical_key("x", format(Form::Compact, true)), "x"),
        (DIALECT.canonical_key("x", format(Form::Spaced, true)), "replace(x, ' ', '')"),
        (DIALECT.written_key("x", format(Form::Hyphenated, false)), "written_nhs_number(x, 'hyphenated')"),
        (DIALECT.written_key("x", format(Form::Compact, false)), "x"),
        (DIALECT.date_of("x", &text_column()), "iso_date(x)"),
        (DIALECT.mask("x", &text_column(), Mask::YearOfDate), "year_of_date(x)"),
        (DIALECT.mask("x", &text_column(), Mask::OutwardPostcode), "outward_postcode(x)"),
        (DIALECT.mask("x", &text_column(), Mask::LastCharacters(4)), "last_characters(x, 4)"),
    ] {
        assert_eq!(sql, expected);
    }
}

#[tokio::test]
async fn every_list_of_texts_finds_exactly_its_own() {
    let nasty = [
        "plain",
        "it's",
        "quo\"te",
        "back\\slash",
        "tab\there",
        "nul\0inside",
        "żółć",
        "🙂",
        "\u{2028}",
        "",
        " ",
        "\u{1}",
    ];
    let mut values = nasty.to_vec();
    values.extend(["PLAIN", "nul", "plain ", "nul\0other", "\\u0000"]);
    let database = texts(&values, "TEXT COLLATE NOCASE");
    let connector = database.connector();
    for padding in [0, 600, 20_000] {
        let mut keys: Vec<String> = nasty.iter().map(|text| (*text).to_owned()).collect();
        keys.extend((0..padding).map(|index| format!("key '{index}'")));
        let sql = DIALECT.column_in_texts("b.\"x\"", &loose_column(), &keys);
        let found = over_texts(&connector, &sql, DataType::Boolean).await;
        for (index, value) in values.iter().enumerate() {
            assert_eq!(found.as_boolean().value(index), nasty.contains(value), "{value:?} of {}", keys.len());
        }
    }
    assert_eq!(DIALECT.column_in_texts("b.\"x\"", &text_column(), &[]), "1 = 0");
}

#[tokio::test]
async fn keys_in_columns_of_other_types() {
    let database = Database::new(
        "CREATE TABLE t (i INTEGER, u UUID, f REAL); INSERT INTO t VALUES (9434765919, '123', 1.5), (1, '1.0', 2.0), (NULL, NULL, NULL)",
    );
    let connector = database.connector();
    let column = |data_type, source_type: &str| OutputColumn {
        data_type,
        collation: Collation::Binary,
        source_type: Some(source_type.to_owned()),
    };
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    for (quoted, column, keys, expected) in [
        ("\"i\"", column(DataType::Int64, "INTEGER"), keys(&["9434765919", "x", "01"]), 1),
        ("\"i\"", column(DataType::Int64, "INTEGER"), keys(&["x"]), 0),
        ("\"u\"", column(DataType::Utf8, "UUID"), keys(&["123"]), 1),
        ("\"u\"", column(DataType::Utf8, "UUID"), keys(&["123.0", "1.00"]), 0),
        ("\"f\"", column(DataType::Float64, "REAL"), keys(&["1.5"]), 1),
    ] {
        let condition = DIALECT.column_in_texts(quoted, &column, &keys);
        let found = run_column(&connector, format!("SELECT count(*) FROM t WHERE {condition}"), DataType::Int64).await;
        assert_eq!(found.as_primitive::<Int64Type>().value(0), expected, "{condition}");
    }
}

#[tokio::test]
async fn literals_arrive_as_they_are() {
    let database = Database::new("CREATE TABLE t (a)");
    let connector = database.connector();
    let timestamp = |microseconds, zoned| Value::Timestamp { microseconds, zoned };
    for (value, expected) in [
        (Value::Null(DataType::Utf8), None),
        (Value::Boolean(true), Some("true")),
        (Value::Boolean(false), Some("false")),
        (Value::Int16(i16::MIN), Some("-32768")),
        (Value::Int32(i32::MIN), Some("-2147483648")),
        (Value::Int64(i64::MIN), Some("-9223372036854775808")),
        (Value::Int64(i64::MAX), Some("9223372036854775807")),
        (Value::Float64(f64::INFINITY), Some("inf")),
        (Value::Float64(f64::NEG_INFINITY), Some("-inf")),
        (Value::Decimal128 { unscaled: -12_345, precision: 38, scale: 2 }, Some("-123.45")),
        (
            Value::Decimal128 {
                unscaled: 99_999_999_999_999_999_999_999_999_999_999_999_999,
                precision: 38,
                scale: 38,
            },
            Some("0.99999999999999999999999999999999999999"),
        ),
        (Value::Decimal256 { unscaled: i256::from_i128(7), precision: 76, scale: 3 }, Some("0.007")),
        (Value::Text("it's \"q\"; --".to_owned()), Some("it's \"q\"; --")),
        (Value::Text("a\0'b".to_owned()), Some("a\0'b")),
        (Value::Text(String::new()), Some("")),
        (Value::Binary(vec![0, 255, 39]), Some("00ff27")),
        (Value::Binary(Vec::new()), Some("")),
        (Value::Date(-1), Some("1969-12-31")),
        (Value::Date(2_932_896), Some("9999-12-31")),
        (Value::Time(0), Some("00:00:00")),
        (Value::Time(86_399_999_999), Some("23:59:59.999999")),
        (timestamp(-1, false), Some("1969-12-31T23:59:59.999999")),
        (timestamp(1_000_000, true), Some("1970-01-01T00:00:01Z")),
    ] {
        let sql = DIALECT.literal(&value);
        let read = run_column(&connector, format!("SELECT {sql} AS c1"), value.data_type()).await;
        assert_eq!(shown(&read), [expected.map(str::to_owned)], "{sql}");
        assert_eq!(DIALECT.expr_support(&Expr::Literal(value), &[]), Support::Exact);
    }
}

#[tokio::test]
async fn floats_go_there_and_back() {
    let database = Database::new("CREATE TABLE t (a)");
    let connector = database.connector();
    let mut numbers =
        vec![0.0, 0.1, -1.5, 1e22, 1e23, 123_456_789.123_456_79, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    numbers.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(state)
        })
        .filter(|number| number.is_finite())
        .take(500),
    );
    for number in numbers {
        let sql = format!("SELECT {} AS c1", DIALECT.literal(&Value::Float64(number)));
        let read = run_column(&connector, sql, DataType::Float64).await;
        assert_eq!(read.as_primitive::<Float64Type>().value(0), number);
    }
    for number in [0.1_f32, f32::MAX, f32::MIN_POSITIVE, -3.25, 1e-45] {
        let sql = format!("SELECT {} AS c1", DIALECT.literal(&Value::Float32(number)));
        let read = run_column(&connector, sql, DataType::Float32).await;
        assert_eq!(read.as_primitive::<Float32Type>().value(0), number);
    }
}

#[test]
fn what_cannot_be_written_stays_here() {
    for value in [
        Value::Float64(f64::NAN),
        Value::Float32(f32::NAN),
        Value::Date(i32::MAX),
        Value::Date(2_932_897),
        Value::Timestamp { microseconds: i64::MAX, zoned: false },
        Value::Time(-1),
    ] {
        assert_eq!(DIALECT.literal(&value), "NULL");
        assert!(matches!(DIALECT.expr_support(&Expr::Literal(value.clone()), &[]), Support::Local { .. }), "{value:?}");
    }
}

#[tokio::test]
async fn a_boolean_that_is_none_is_unknown_either_way() {
    let database = Database::new(
        "CREATE TABLE t (i INTEGER PRIMARY KEY, x BOOLEAN); INSERT INTO t (x) VALUES (0), (1), (2), ('yes'), (''), (NULL)",
    );
    let column = OutputColumn { data_type: DataType::Boolean, collation: Collation::Binary, source_type: None };
    let connector = database.connector();
    let read = DIALECT.read_column("b.\"x\"", &column);
    let negated = over_texts(&connector, &format!("(NOT {read})"), DataType::Boolean).await;
    let unknown = [None, None, None, None].map(|none: Option<&str>| none.map(str::to_owned));
    assert_eq!(shown(&negated)[..2], [Some("true".to_owned()), Some("false".to_owned())]);
    assert_eq!(shown(&negated)[2..], unknown);
    assert_eq!(shown(&over_texts(&connector, &read, DataType::Boolean).await)[2..], unknown);
}

fn columns() -> Vec<OutputColumn> {
    [
        DataType::Int64,
        DataType::Utf8,
        DataType::Boolean,
        DataType::Binary,
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Decimal128(10, 2),
        DataType::Float64,
    ]
    .map(OutputColumn::computed)
    .to_vec()
}

const EXACT: [usize; 4] = [0, 1, 2, 3];
const LOCAL: [usize; 5] = [4, 5, 6, 7, 8];

fn column(index: usize) -> Expr {
    Expr::Column(index)
}

fn is_local(support: &Support) -> bool {
    matches!(support, Support::Local { .. })
}

#[test]
fn comparisons_are_exact_only_where_sqlite_keeps_the_type() {
    let input = columns();
    for (index, output) in input.iter().enumerate() {
        let compare = Expr::compare(CompareOp::Less, column(index), column(index));
        let in_list = Expr::InList {
            expr: Box::new(column(index)),
            list: vec![Value::Null(output.data_type.clone())],
            negated: false,
        };
        let found = [
            DIALECT.support(&compare, &input),
            DIALECT.support(&in_list, &input),
            DIALECT.support(&Expr::Not(Box::new(compare)), &input),
            DIALECT.sort_support(output),
            DIALECT.group_support(output),
        ];
        if EXACT.contains(&index) {
            assert!(found.iter().all(|support| *support == Support::Exact), "{output:?}");
        } else {
            assert!(LOCAL.contains(&index) && found.iter().all(is_local), "{output:?}");
        }
        assert_eq!(DIALECT.support(&Expr::IsNull(Box::new(column(index))), &input), Support::Exact);
        assert_eq!(DIALECT.support(&Expr::equal(column(0), Expr::Outer(7)), &input), Support::Exact);
    }
}

#[test]
fn checked_dates_compare_exactly() {
    let input = columns();
    let date_of = |index| Expr::DateOf(Box::new(column(index)));
    let literal = |days| Expr::Literal(Value::Date(days));
    let compare = |left, right| Expr::compare(CompareOp::LessOrEqual, left, right);
    for (expr, exact) in [
        (compare(date_of(4), literal(19_000)), true),
        (compare(literal(19_000), date_of(1)), true),
        (compare(date_of(4), date_of(5)), true),
        (compare(date_of(4), Expr::DateOf(Box::new(Expr::Outer(0)))), true),
        (compare(date_of(4), literal(i32::MAX)), false),
        (compare(date_of(4), column(4)), false),
        (compare(column(4), literal(19_000)), false),
        (compare(column(4), Expr::Outer(0)), false),
    ] {
        assert_eq!(DIALECT.support(&expr, &input) == Support::Exact, exact, "{expr:?}");
    }
}

#[test]
fn aggregates_are_exact_only_over_types_that_are_kept() {
    let input = columns();
    let call = |function, index: Option<usize>, distinct| Aggregate {
        function,
        argument: index.map(column),
        distinct,
        filter: None,
        data_type: DataType::Int64,
    };
    let exact = |call: Aggregate| DIALECT.aggregate_support(&call, &input) == Support::Exact;
    assert!(exact(call(AggregateFunction::Count, None, false)));
    for index in 0..input.len() {
        let kept = EXACT.contains(&index);
        assert!(exact(call(AggregateFunction::Count, Some(index), false)));
        assert_eq!(exact(call(AggregateFunction::Count, Some(index), true)), kept);
        assert_eq!(exact(call(AggregateFunction::Min, Some(index), false)), kept);
        assert_eq!(exact(call(AggregateFunction::Max, Some(index), false)), kept);
        assert_eq!(exact(call(AggregateFunction::Sum, Some(index), false)), index == 0);
        assert_eq!(exact(call(AggregateFunction::Sum, Some(index), true)), index == 0);
    }
}

#[test]
fn what_sqlite_would_refuse_for_its_size_stays_here() {
    let input = columns();
    let text = |size: usize| Expr::Like { expr: Box::new(column(1)), pattern: "a".repeat(size), negated: false };
    assert_eq!(DIALECT.support(&text(100), &input), Support::Exact);
    assert!(is_local(&DIALECT.support(&text(50_000), &input)));
    let chain = |count: usize| Expr::Or(vec![Expr::equal(column(0), Expr::Literal(Value::Int64(1))); count]);
    assert_eq!(DIALECT.support(&chain(100), &input), Support::Exact);
    assert!(is_local(&DIALECT.support(&chain(1_000), &input)));
    let widen = |to| Expr::Widen { expr: Box::new(column(0)), to };
    assert_eq!(DIALECT.support(&widen(DataType::Int64), &input), Support::Exact);
    assert!(is_local(&DIALECT.support(&widen(DataType::Float64), &input)));
}
