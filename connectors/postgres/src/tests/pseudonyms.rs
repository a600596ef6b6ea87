//! Rows found by the pseudonyms of their keys, whatever else is in the table and whatever its texts are compared by.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use futures::TryStreamExt;
use wayleave_connector_api::{
    Audience, Collation, Column, ColumnType, Dialect, Expr, Form, Fragment, KeyDisclosure, KeyFormat, KeySlot,
    Pseudonymiser, Relation, Scan, ScanReason, Scheme, TableName, Value, render_fragment,
};

use super::*;
use crate::PostgresDialect;

fn texts_of_all_kinds() -> Vec<String> {
    let fixed = [
        "9434765919",
        "943 476 5919",
        "943-476-5919",
        "943 476-5919",
        "9434765919\n",
        " 9434765919",
        "９４３４７６５９１９",
        "9434765918",
        "0000000000",
        "000 000 0000",
        "9876543210",
        "987 654 3210",
        "401-023-2137",
        "",
        " ",
        "-",
        "'",
        "\"",
        "\\",
        "\\'",
        "\\000",
        "\\x41",
        "a\\b",
        "{a,b}",
        "NULL",
        "é",
        "e\u{301}",
        "É",
        "ß",
        "ss",
        "SS",
        "🦀",
        "\u{10ffff}",
        "\u{1}",
        "\u{7f}",
        "[",
        "]",
        "^",
        "~",
        "A-7",
        "a-7",
    ];
    let long = [200, 201, 100_000].map(|length| "k".repeat(length));
    fixed.into_iter().map(str::to_owned).chain(long).collect()
}

fn column(name: &str, source_type: &str, data_type: DataType, collation: Collation) -> Column {
    let column_type = ColumnType::Readable(data_type);
    Column { name: name.to_owned(), source_type: source_type.to_owned(), column_type, nullable: true, collation }
}

#[tokio::test]
async fn rows_are_found_by_the_pseudonyms_of_their_keys() {
    let texts = texts_of_all_kinds();
    let rows: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(id, text)| {
            let literal = PostgresDialect.literal(&Value::Text(text.clone()));
            format!("({id}, {literal}, {literal}, {literal})")
        })
        .collect();
    let setup = format!(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
         CREATE TABLE person (id int PRIMARY KEY, x text, y text COLLATE \"en-x-icu\", z text COLLATE loose); \
         INSERT INTO person VALUES {}; INSERT INTO person VALUES (1000000, NULL, NULL, NULL)",
        rows.join(", ")
    );
    let connector = agency("pseudonyms", &setup).await;
    let pseudonymiser = Pseudonymiser::new([42; Pseudonymiser::SECRET_BYTES]);
    let formats = [Scheme::NhsNumber, Scheme::Opaque].into_iter().flat_map(|scheme| {
        Form::NAMES
            .into_iter()
            .flat_map(move |(_, form)| [false, true].map(|assured| KeyFormat { scheme, form, assured }))
    });
    for format in formats {
        let keys: Vec<Option<String>> = texts.iter().map(|text| format.canonical(text)).collect();
        let mut sent: Vec<String> = keys.iter().flatten().step_by(2).cloned().collect();
        sent.push("9434765919".to_owned());
        let pseudonyms: Vec<String> = sent.iter().map(|key| pseudonymiser.of(key)).collect();
        for place in 1..=3 {
            let disclosure = KeyDisclosure::Pseudonymised;
            let root = Relation::Scan(Box::new(Scan {
                table: TableName::new("public", "person"),
                columns: vec![
                    column("id", "integer", DataType::Int32, Collation::Binary),
                    column("x", "text", DataType::Utf8, Collation::Binary),
                    column("y", "text", DataType::Utf8, Collation::EqualityOnly),
                    column("z", "text", DataType::Utf8, Collation::Loose),
                ],
                outputs: vec![Expr::Column(0)],
                policy: Vec::new(),
                lookups: Vec::new(),
                keys: Some(KeySlot { column: place, format: Some(format), disclosure, number: 0 }),
                reason: ScanReason::Released { agreement: "A".to_owned() },
            }));
            let types = schema(&[DataType::Int32]);
            let fragment = Fragment { root, schema: Arc::clone(&types) };
            let sql = render_fragment(&PostgresDialect, &fragment, Some(&pseudonyms), Audience::Source);
            let answer = connector.query_pseudonymised(statement(&sql, types), &pseudonymiser).await.unwrap();
            let batches: Vec<RecordBatch> = answer.try_collect().await.unwrap();
            let found: BTreeSet<i32> = batches
                .iter()
                .flat_map(|batch| batch.column(0).as_primitive::<Int32Type>().values().to_vec())
                .collect();
            for (id, (key, text)) in keys.iter().zip(&texts).enumerate() {
                let is_found = found.contains(&i32::try_from(id).unwrap());
                let printable = |key: &str| key.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\');
                match key {
                    Some(key) if sent.contains(key) => assert!(is_found, "{text:?}, {format:?}"),
                    // What PostgreSQL makes no pseudonym of comes in any case.
                    Some(key) if key.len() > 200 || !printable(key) => assert!(is_found, "{text:?}, {format:?}"),
                    Some(_) | None => assert!(!is_found, "{text:?}, {format:?}"),
                }
            }
            assert!(!found.contains(&1_000_000));
        }
    }
}

/// Whoever has the same connection next finds no secret on it.
#[tokio::test]
async fn the_secret_ends_with_its_transaction() {
    let connector = agency("secret", "CREATE TABLE t (k text); INSERT INTO t VALUES ('9434765919')").await;
    let pseudonymiser = Pseudonymiser::new([42; Pseudonymiser::SECRET_BYTES]);
    let read = "SELECT current_setting('wayleave.inner_pad', true) AS c1";
    let types = schema(&[DataType::Utf8]);
    let secret = connector.query_pseudonymised(statement(read, Arc::clone(&types)), &pseudonymiser).await.unwrap();
    let batches: Vec<RecordBatch> = secret.try_collect().await.unwrap();
    assert_eq!(column_texts(&batches[0], 0), [Some(pseudonymiser.inner_pad())]);
    for _ in 0..4 {
        let left = texts(&connector, read).await;
        assert!(left == [None] || left == [Some(String::new())], "{left:?}");
    }
}
