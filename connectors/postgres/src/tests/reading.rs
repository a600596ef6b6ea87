//! Types, catalog, decoding.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int16Type, Int32Type, Int64Type, Schema,
    TimestampMicrosecondType, i256,
};
use bytes::Bytes;
use wayleave_connector_api::{Collation, ColumnType, Dialect, OutputColumn, Table, TableKind, TableName};
use wayleave_connector_testkit::contract::Random;

use super::*;
use crate::PostgresDialect;
use crate::decode::Decoder;

const EVERY_TYPE: &str = r#"
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE DOMAIN nhs AS text CHECK (length(VALUE) > 2);
CREATE DOMAIN small AS numeric(6,2);
CREATE DOMAIN smaller AS small;
CREATE TYPE pair AS (a int, b int);
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE every (
  id int PRIMARY KEY, b bool NOT NULL, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(12,3), big numeric(50,5), free numeric,
  t text, v varchar(12), c char(5), nm name, q "char", by bytea, d date, tm time, ts timestamp, tz timestamptz, u uuid, j json,
  jb jsonb, x xml, ip inet, m mood, dom nhs, dom2 smaller, ints int[], words text[], nums numeric(5,1)[], moods mood[],
  loose text COLLATE loose, icu text COLLATE "en-x-icu", plain text COLLATE "C",
  span interval, cash money, o oid, r int4range, p pair, UNIQUE (v, i8));
INSERT INTO every VALUES (1, true, -32768, 9223372036854775807, 'NaN', '-0', -123456789.125, 123456789012345678901234567890123456789012345.12345,
  0.0000000001, 'é', 'abc', 'ab', 'nm', 'q', '\x00ff', '2024-02-29', '23:59:59.999999', '1999-12-31 23:59:59.5',
  '2024-01-01 00:00:00+02', '6F9619FF-8B86-D011-B42D-00C04FC964FF', '{"a": 1}', '{"b":2}', '<a/>', '10.0.0.1', 'low', '9434765919',
  1234.50, '{1,NULL,3}', '{"a,b",NULL,"c\"d"}', '{1.5,-2.0}', '{low,high}', 'L', 'I', 'P', '1 day', 1, 1, '[1,2)', '(1,2)');
INSERT INTO every (id, b, d, ts, ints) VALUES (2, false, 'infinity', '-infinity', '{}');
"#;

fn select(table: &Table) -> (String, SchemaRef) {
    let mut outputs = Vec::new();
    let mut types = Vec::new();
    for column in &table.columns {
        if let ColumnType::Readable(data_type) = &column.column_type {
            let quoted = PostgresDialect.quote_identifier(&column.name);
            let output = OutputColumn::from(column);
            let read = PostgresDialect.read_column(&quoted, &output);
            outputs.push(PostgresDialect.deliver(&read, &output, data_type));
            types.push(data_type.clone());
        }
    }
    let fields: Vec<Field> = table
        .columns
        .iter()
        .filter(|column| column.column_type.readable().is_some())
        .zip(types)
        .map(|(column, data_type)| Field::new(&column.name, data_type, true))
        .collect();
    let [schema, name] = [&table.name.schema, &table.name.table].map(|name| PostgresDialect.quote_identifier(name));
    let sql = format!("SELECT {} FROM {schema}.{name} ORDER BY 1", outputs.join(", "));
    (sql, Arc::new(Schema::new(fields)))
}

#[tokio::test]
async fn every_type_arrives_as_it_is_or_is_refused_by_name() {
    let connector = agency("every_type", EVERY_TYPE).await;
    let table = connector.table(&TableName::new("public", "every")).await.unwrap().unwrap();
    assert_eq!(table.kind, TableKind::Table);
    assert_eq!(table.primary_key, ["id"]);
    assert_eq!(table.unique_keys, [["v", "i8"]]);
    assert_eq!(table.row_estimate, None);
    let unreadable: Vec<&str> =
        table.columns.iter().filter(|c| c.column_type.readable().is_none()).map(|c| c.name.as_str()).collect();
    assert_eq!(unreadable, ["span", "cash", "o", "r", "p"]);
    assert!(!table.column("b").unwrap().nullable && table.column("t").unwrap().nullable);
    assert_eq!(table.column("n").unwrap().source_type, "numeric(12,3)");
    assert_eq!(table.column("dom2").unwrap().column_type, ColumnType::Readable(DataType::Decimal128(6, 2)));
    for (name, collation) in [
        ("t", Collation::Binary),
        ("plain", Collation::Binary),
        ("icu", Collation::Loose),
        ("loose", Collation::Loose),
        ("u", Collation::EqualityOnly),
        ("m", Collation::EqualityOnly),
        ("i8", Collation::Binary),
    ] {
        assert_eq!(table.column(name).unwrap().collation, collation, "{name}");
    }

    let (sql, schema) = select(&table);
    let batch = collect(&connector, &sql, schema).await.unwrap();
    assert_eq!(batch.num_rows(), 2);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let text = |name: &str| column(name).as_string::<i32>().value(0).to_owned();
    for (name, expected) in [
        ("t", "é"),
        ("v", "abc"),
        ("c", "ab"),
        ("nm", "nm"),
        ("q", "q"),
        ("u", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("j", "{\"a\": 1}"),
        ("jb", "{\"b\": 2}"),
        ("x", "<a/>"),
        ("ip", "10.0.0.1/32"),
        ("m", "low"),
        ("dom", "9434765919"),
    ] {
        assert_eq!(text(name), expected, "{name}");
    }
    assert!(column("b").as_boolean().value(0));
    assert_eq!(column("i2").as_primitive::<Int16Type>().value(0), i16::MIN);
    assert_eq!(column("i8").as_primitive::<Int64Type>().value(0), i64::MAX);
    assert!(column("f4").as_primitive::<arrow::datatypes::Float32Type>().value(0).is_nan());
    assert!(column("f8").as_primitive::<Float64Type>().value(0).is_sign_negative());
    assert_eq!(column("n").as_primitive::<Decimal128Type>().value(0), -123_456_789_125);
    assert_eq!(
        column("big").as_primitive::<Decimal256Type>().value(0),
        i256::from_string("12345678901234567890123456789012345678901234512345").unwrap()
    );
    assert_eq!(column("free").as_primitive::<Decimal128Type>().value(0), 1);
    assert_eq!(column("dom2").as_primitive::<Decimal128Type>().value(0), 123_450);
    assert_eq!(column("by").as_binary::<i32>().value(0), [0, 255]);
    assert_eq!(column("d").as_primitive::<Date32Type>().values(), &[19_782, i32::MAX]);
    assert_eq!(column("tm").as_primitive::<arrow::datatypes::Time64MicrosecondType>().value(0), 86_399_999_999);
    assert_eq!(column("ts").as_primitive::<TimestampMicrosecondType>().values(), &[946_684_799_500_000, i64::MIN]);
    assert_eq!(column("tz").as_primitive::<TimestampMicrosecondType>().value(0), 1_704_060_000_000_000);
    let ints = column("ints").as_list::<i32>();
    assert_eq!(ints.value(0).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None, Some(3)]);
    assert_eq!((ints.value(1).len(), ints.is_null(1)), (0, false));
    let words = column("words").as_list::<i32>();
    assert_eq!(words.value(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a,b"), None, Some("c\"d")]);
    assert!(words.is_null(1));
    assert_eq!(column("nums").as_list::<i32>().value(0).as_primitive::<Decimal128Type>().values(), &[15, -20]);
    assert_eq!(column("moods").as_list::<i32>().value(0).as_string::<i32>().value(1), "high");
    for name in ["i2", "i8", "f4", "f8", "n", "big", "t", "by", "tm", "tz", "u", "words"] {
        assert!(column(name).is_null(1), "{name}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_type_is_refused_and_never_changed() {
    let connector = PostgresConnector::new(options(&server().url("postgres"))).unwrap();
    let cases = [
        ("1.25::numeric", DataType::Decimal128(5, 1)),
        ("'NaN'::numeric", DataType::Decimal128(38, 10)),
        ("100000::numeric", DataType::Decimal128(5, 0)),
        ("1e40::numeric", DataType::Decimal128(38, 0)),
        ("'24:00'::time", DataType::Time64(arrow::datatypes::TimeUnit::Microsecond)),
        ("'294276-12-31'::timestamp", DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)),
        ("1::int8", DataType::Int32),
        ("'{{1},{2}}'::int4[]", DataType::List(Arc::new(Field::new("item", DataType::Int32, true)))),
    ];
    for (sql, data_type) in cases {
        let outcome =
            collect(&connector, &format!("SELECT 0::int8, {sql}"), schema(&[DataType::Int64, data_type])).await;
        assert!(matches!(outcome, Err(ConnectorError::Decode { position: 2, .. })), "{sql}: {outcome:?}");
    }
    let exact = [
        ("1.50", 15, 1),
        ("-0.0001", -1, 4),
        ("12345678.9", 123_456_789_000, 4),
        ("0", 0, 3),
        ("1e20", 10_i128.pow(22), 2),
    ];
    for (sql, unscaled, scale) in exact {
        let types = schema(&[DataType::Decimal128(38, scale)]);
        let batch = collect(&connector, &format!("SELECT {sql}::numeric"), types).await.unwrap();
        assert_eq!(batch.column(0).as_primitive::<Decimal128Type>().value(0), unscaled, "{sql}");
    }
}

#[tokio::test]
async fn a_result_comes_in_batches_and_may_have_no_columns() {
    let connector = PostgresConnector::new(options(&server().url("postgres"))).unwrap();
    let sql = "SELECT n, repeat('x', 10) FROM generate_series(1, 20000) AS s (n)";
    let mut stream = connector.query(statement(sql, schema(&[DataType::Int32, DataType::Utf8]))).await.unwrap();
    let mut sizes = Vec::new();
    while let Some(batch) = stream.next().await {
        sizes.push(batch.unwrap().num_rows());
    }
    assert_eq!(sizes, [256, 8_192, 8_192, 3_360]);

    let wide = "SELECT repeat('x', 100000) FROM generate_series(1, 40)";
    let mut stream = connector.query(statement(wide, schema(&[DataType::Utf8]))).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 11);
    drop(stream);

    let batch = collect(&connector, "SELECT 1 AS c1 FROM generate_series(1, 300)", schema(&[])).await.unwrap();
    assert_eq!((batch.num_columns(), batch.num_rows()), (0, 300));
    let none = collect(&connector, "SELECT 1 WHERE false", schema(&[DataType::Int32])).await.unwrap();
    assert_eq!(none.num_rows(), 0);
}

#[tokio::test]
async fn thousands_of_tables_and_every_kind_of_them_are_listed() {
    let setup = "DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE t%s (id int)', i); END LOOP; END $$; \
        CREATE SCHEMA \"Odd \"\"Schema\"; CREATE TABLE \"Odd \"\"Schema\".\"ta.ble'\" (\"co\"\"l\" text); \
        CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE TABLE empty (); \
        CREATE TABLE parts (id int) PARTITION BY RANGE (id); \
        CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (100); \
        INSERT INTO parts SELECT generate_series(1, 50); ANALYZE parts; ANALYZE part1; \
        CREATE TABLE secret (id int, open text, hidden text); CREATE TABLE closed (id int); \
        CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT SELECT (id, open) ON secret TO reader; GRANT SELECT ON v TO reader;";
    let connector = agency("many_tables", setup).await;
    let tables = connector.tables().await.unwrap();
    assert_eq!(tables.iter().filter(|table| table.name.schema == "public").count(), 2_007);
    let find = |name: &TableName| tables.iter().find(|table| table.name == *name).unwrap();
    let public = |table: &str| TableName::new("public", table);
    assert_eq!(find(&public("v")).kind, TableKind::View);
    assert_eq!(find(&public("m")).kind, TableKind::MaterializedView);
    assert_eq!(find(&public("parts")).row_estimate, Some(50));
    assert_eq!(find(&public("t1")).row_estimate, None);
    let odd = TableName::new("Odd \"Schema", "ta.ble'");
    assert_eq!(find(&odd).kind, TableKind::Table);
    assert_eq!(connector.table(&odd).await.unwrap().unwrap().columns[0].name, "co\"l");
    assert_eq!(connector.table(&public("T1")).await.unwrap(), None);
    assert_eq!(connector.table(&TableName::new("pg_catalog", "pg_authid")).await.unwrap(), None);
    assert_eq!(connector.table(&public("empty")).await.unwrap().unwrap().columns, []);
    let (sql, types) = select(&connector.table(&odd).await.unwrap().unwrap());
    assert_eq!(collect(&connector, &sql, types).await.unwrap().num_rows(), 0);

    let url = server().url("many_tables").replace("wayleave:password", "reader:r");
    let reader = PostgresConnector::new(options(&url)).unwrap();
    let names: Vec<String> = reader.tables().await.unwrap().into_iter().map(|table| table.name.table).collect();
    assert_eq!(names, ["secret", "v"]);
    let secret = reader.table(&public("secret")).await.unwrap().unwrap();
    let readable: Vec<bool> = secret.columns.iter().map(|column| column.column_type.readable().is_some()).collect();
    assert_eq!(readable, [true, true, false]);
}

#[test]
fn no_bytes_make_the_decoder_panic_and_no_cut_changes_a_result() {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    let micro = arrow::datatypes::TimeUnit::Microsecond;
    let types = schema(&[
        DataType::Boolean,
        DataType::Int32,
        DataType::Float64,
        DataType::Decimal128(38, 4),
        DataType::Decimal256(76, 4),
        DataType::Utf8,
        DataType::Binary,
        DataType::Date32,
        DataType::Time64(micro),
        DataType::Timestamp(micro, Some("UTC".into())),
        list(DataType::Utf8),
        DataType::Null,
    ]);
    let mut row = vec![0, 12];
    let mut field = |bytes: &[u8]| {
        row.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
        row.extend(bytes);
    };
    field(&[1]);
    field(&7_i32.to_be_bytes());
    field(&1.5_f64.to_be_bytes());
    field(&[0, 2, 0, 0, 0, 0, 0, 1, 0, 1, 0x13, 0x88]);
    field(&[0, 1, 0, 1, 0x40, 0, 0, 0, 0, 3]);
    field("héllo".as_bytes());
    field(&[0, 255]);
    field(&10_i32.to_be_bytes());
    field(&1_i64.to_be_bytes());
    field(&1_i64.to_be_bytes());
    field(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, b'a', 255, 255, 255, 255]);
    row.extend((-1_i32).to_be_bytes());
    let mut whole = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for _ in 0..3 {
        whole.extend(&row);
    }
    whole.extend([255, 255]);

    let decode = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let mut decoder = Decoder::new(Arc::clone(&types))?;
        let mut full = Vec::new();
        for chunk in chunks {
            decoder.feed(&Bytes::copy_from_slice(chunk), &mut full)?;
        }
        decoder.end_of_copy()?;
        decoder.finish()
    };
    let expected = decode(&mut std::iter::once(whole.as_slice())).unwrap().unwrap();
    assert_eq!(expected.num_rows(), 3);
    assert_eq!(expected.column(3).as_primitive::<Decimal128Type>().value(0), 15_000);
    assert_eq!(expected.column(4).as_primitive::<Decimal256Type>().value(0), i256::from_i128(-300_000_000));
    for size in 1..40 {
        assert_eq!(decode(&mut whole.chunks(size)).unwrap().unwrap(), expected);
    }
    for end in 0..whole.len() {
        assert!(decode(&mut std::iter::once(&whole[..end])).is_err(), "cut at {end}");
    }
    let mut random = Random(0x5eed_1234_abcd);
    for _ in 0..30_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let place = random.below(bytes.len());
            bytes[place] = [0, 1, 127, 128, 255, u8::try_from(random.below(256)).unwrap()][random.below(6)];
        }
        bytes.truncate(bytes.len() - random.below(2) * random.below(bytes.len()));
        // Any outcome but a panic.
        let _outcome = decode(&mut bytes.chunks(1 + random.below(64)));
    }
}
