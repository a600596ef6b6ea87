//! Constants, what stays here, and lookups that an index of the agency's serves.

use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, Int32Type};
use wayleave_connector_api::{CompareOp, Dialect, Expr, Mask, OutputColumn, Support, Value};

use super::*;
use crate::PostgresDialect;

#[tokio::test]
async fn a_literal_comes_back_as_it_went() {
    let connector = PostgresConnector::new(options(&server().url("postgres"))).unwrap();
    let values = [
        Value::Boolean(true),
        Value::Int16(i16::MIN),
        Value::Int32(-5),
        Value::Int64(i64::MIN),
        Value::Float32(f32::MIN_POSITIVE),
        Value::Float64(f64::MAX),
        Value::Float64(f64::NEG_INFINITY),
        Value::Float64(-0.0),
        Value::Decimal128 { unscaled: -1_250, precision: 38, scale: 2 },
        Value::Text("it's \"x\" \\ é".to_owned()),
        Value::Binary(vec![0, 255, 39]),
        Value::Date(-719_162),
        Value::Date(2_932_896),
        Value::Date(-800_000),
        Value::Date(i32::MAX),
        Value::Time(86_399_999_999),
        Value::Timestamp { microseconds: -1, zoned: false },
        Value::Timestamp { microseconds: 253_402_300_799_999_999, zoned: true },
        Value::Timestamp { microseconds: i64::MIN, zoned: false },
        Value::Null(DataType::Int32),
    ];
    for value in values {
        let data_type = value.data_type();
        let deliver = PostgresDialect.deliver(
            &PostgresDialect.literal(&value),
            &OutputColumn::computed(data_type.clone()),
            &data_type,
        );
        let array = collect(&connector, &format!("SELECT {deliver}"), schema(&[data_type])).await.unwrap();
        let array = array.column(0);
        let micro = |array: &arrow::array::ArrayRef| {
            array.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0)
        };
        let same = match &value {
            Value::Boolean(v) => array.as_boolean().value(0) == *v,
            Value::Int16(v) => array.as_primitive::<arrow::datatypes::Int16Type>().value(0) == *v,
            Value::Int32(v) => array.as_primitive::<Int32Type>().value(0) == *v,
            Value::Int64(v) => array.as_primitive::<arrow::datatypes::Int64Type>().value(0) == *v,
            Value::Float32(v) => {
                array.as_primitive::<arrow::datatypes::Float32Type>().value(0).to_bits() == v.to_bits()
            }
            Value::Float64(v) => {
                array.as_primitive::<arrow::datatypes::Float64Type>().value(0).to_bits() == v.to_bits()
            }
            Value::Decimal128 { unscaled, .. } => {
                array.as_primitive::<arrow::datatypes::Decimal128Type>().value(0) == *unscaled
            }
            Value::Text(v) => array.as_string::<i32>().value(0) == v,
            Value::Binary(v) => array.as_binary::<i32>().value(0) == v,
            Value::Date(v) => array.as_primitive::<Date32Type>().value(0) == *v,
            Value::Time(v) => array.as_primitive::<arrow::datatypes::Time64MicrosecondType>().value(0) == *v,
            Value::Timestamp { microseconds, .. } => micro(array) == *microseconds,
            Value::Null(_) => array.null_count() == 1,
            Value::Decimal256 { .. } => false,
        };
        assert!(same, "{value:?} came back as {array:?}");
    }
}

#[tokio::test]
async fn the_year_of_a_date_never_fails() {
    let connector = PostgresConnector::new(options(&server().url("postgres"))).unwrap();
    let date = OutputColumn::computed(DataType::Date32);
    let cases = [
        ("'2024-05-06'::date", Some(2024)),
        ("'infinity'::date", None),
        ("'0001-12-31 BC'::date", Some(0)),
        ("'0005-12-31 BC'::date", Some(-4)),
        ("NULL::date", None),
    ];
    for (sql, expected) in cases {
        let year = PostgresDialect.mask(sql, &date, Mask::YearOfDate);
        let batch = collect(&connector, &format!("SELECT {year}"), schema(&[DataType::Int32])).await.unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int32Type>().iter().next(), Some(expected), "{sql}");
    }
}

#[test]
fn what_postgresql_answers_differently_stays_here() {
    let float = [OutputColumn::computed(DataType::Float64)];
    let less = |value| Expr::compare(CompareOp::Less, Expr::Column(0), Expr::Literal(value));
    let is_exact = |expr: &Expr, input: &[OutputColumn]| PostgresDialect.support(expr, input) == Support::Exact;
    assert!(is_exact(&less(Value::Float64(1.5)), &float));
    assert!(!is_exact(&less(Value::Float64(0.0)), &float));
    assert!(!is_exact(&less(Value::Float64(f64::NAN)), &float));
    assert!(!is_exact(&Expr::equal(Expr::Column(0), Expr::Column(0)), &float));
    let text = [OutputColumn::computed(DataType::Utf8)];
    assert!(is_exact(&Expr::equal(Expr::Column(0), Expr::text("x")), &text));
    assert!(!is_exact(&Expr::equal(Expr::Column(0), Expr::text("x\0")), &text));
    let date = [OutputColumn::computed(DataType::Date32)];
    assert!(is_exact(&less(Value::Date(0)), &date));
    assert!(!is_exact(&less(Value::Date(2_932_897)), &date));
    let list = OutputColumn::computed(DataType::List(Arc::new(Field::new("item", DataType::Int32, true))));
    assert_ne!(PostgresDialect.group_support(&list), Support::Exact);
    assert_ne!(PostgresDialect.sort_support(&float[0]), Support::Exact);
    assert_eq!(PostgresDialect.sort_support(&text[0]), Support::Exact);
}

#[tokio::test]
async fn a_lookup_uses_the_agencys_own_index() {
    let setup = "CREATE TABLE p (u uuid PRIMARY KEY, k varchar(12) UNIQUE, n int4 UNIQUE); \
        INSERT INTO p SELECT gen_random_uuid(), g::text, g FROM generate_series(1, 20000) g; ANALYZE p";
    let connector = agency("lookups", setup).await;
    let column = |source_type: &str, data_type| OutputColumn {
        source_type: Some(source_type.to_owned()),
        ..OutputColumn::computed(data_type)
    };
    let uuids: Vec<String> =
        texts(&connector, "SELECT u::text FROM public.p ORDER BY k LIMIT 2").await.into_iter().flatten().collect();
    let cases = [
        ("u", column("uuid", DataType::Utf8), uuids.clone()),
        ("u", column("uuid", DataType::Utf8), vec![uuids[0].clone(), uuids[0].to_uppercase(), "x".to_owned()]),
        ("k", column("character varying(12)", DataType::Utf8), vec!["17".to_owned(), "18".to_owned()]),
        ("k", column("character varying(12)", DataType::Utf8), vec!["17".to_owned()]),
        ("n", column("integer", DataType::Int32), vec!["17".to_owned(), "018".to_owned(), "99999999999".to_owned()]),
    ];
    for (name, output, keys) in cases {
        let predicate = PostgresDialect.column_in_texts(&format!("\"{name}\""), &output, &keys);
        let valid =
            keys.iter().filter(|key| **key != "018" && **key != "x" && **key == key.to_lowercase() && key.len() != 11);
        let rows = texts(&connector, &format!("SELECT k FROM public.p WHERE {predicate}")).await;
        assert_eq!(rows.len(), valid.count(), "{predicate}");
        let plan = server()
            .query_text("lookups", &format!("EXPLAIN (FORMAT JSON) SELECT k FROM public.p WHERE {predicate}"))
            .await
            .unwrap();
        assert!(plan.unwrap().contains("Index"), "{predicate}");
    }
    let nothing = PostgresDialect.column_in_texts("\"u\"", &column("uuid", DataType::Utf8), &["X".to_owned()]);
    assert_eq!(nothing, "false");
}
