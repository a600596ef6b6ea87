use wayleave_connector_api::{
    Audience, Column, CompareOp, Existence, Expr, Form, Fragment, KeyDisclosure, KeyFormat, KeySlot, Mask, NullsOrder,
    Probe, Pseudonymiser, Relation, Scan, ScanReason, Scheme, SortDirection, SortKey, TableName, Value,
    render_fragment, render_policy_conjuncts,
};

use super::*;

const SPACED: KeyFormat = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: false };
const COMPACT: KeyFormat = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Compact, assured: false };

fn agency() -> Database {
    Database::new(
        "CREATE TABLE person (nhs TEXT, name TEXT COLLATE NOCASE, postcode TEXT, deceased BOOLEAN, age INTEGER);
         INSERT INTO person VALUES
           ('943 476 5919', 'Ann', 'TQ1 3XX', 0, 70), ('401 023 2137', 'ann', 'TQ2 4YY', 0, 40),
           ('987 654 3210', 'Bob', NULL, 0, NULL), ('943 476 5919', 'Twin', 'TQ1 3XX', 'yes', 71),
           ('123 456 7890', 'Bad key', 'TQ9 9ZZ', 0, 30), (NULL, 'No key', 'TQ9 9ZZ', 0, 31),
           ('999 000 0018', 'Dead', 'TQ9 9ZZ', 1, 99);
         CREATE TABLE dissent (nhs TEXT, since DATE, until DATE);
         INSERT INTO dissent VALUES ('9876543210', '2024-01-01', NULL), ('4010232137', '2020-01-01', '2021-01-01'),
           ('9434765919', 'not a date', NULL);
         CREATE TABLE visit (nhs TEXT, kind TEXT, cost INTEGER);
         INSERT INTO visit VALUES ('9434765919', 'home', 10), ('9434765919', 'Home', 5), ('9434765919', NULL, 1),
           ('4010232137', 'clinic', 7), ('0000000000', 'clinic', 9), (NULL, 'home', 100)",
    )
}

async fn columns_of(connector: &SqliteConnector, table: &str, names: &[&str]) -> Vec<Column> {
    let table = connector.table(&TableName::new("main", table)).await.unwrap().unwrap();
    names.iter().map(|name| table.column(name).unwrap().clone()).collect()
}

/// Released persons: key, name and outward postcode; the living, with a valid key, who have not dissented on 2024-06-01.
async fn persons(connector: &SqliteConnector) -> Scan {
    let key = Expr::CanonicalKey { expr: Box::new(Expr::Column(0)), format: SPACED };
    let today = || Expr::Literal(Value::Date(19_875));
    let date_of = |index| Expr::DateOf(Box::new(Expr::Column(index)));
    let outer_key = Expr::CanonicalKey { expr: Box::new(Expr::Outer(0)), format: SPACED };
    let dissent = Probe {
        table: TableName::new("main", "dissent"),
        columns: columns_of(connector, "dissent", &["nhs", "since", "until"]).await,
        predicates: vec![
            Expr::equal(Expr::Column(0), outer_key),
            Expr::compare(CompareOp::LessOrEqual, date_of(1), today()),
            Expr::Or(vec![
                Expr::IsNull(Box::new(Expr::Column(2))),
                Expr::compare(CompareOp::Greater, date_of(2), today()),
            ]),
        ],
    };
    Scan {
        table: TableName::new("main", "person"),
        columns: columns_of(connector, "person", &["nhs", "name", "postcode", "deceased", "age"]).await,
        outputs: vec![
            key.clone(),
            Expr::Column(1),
            Expr::Mask { expr: Box::new(Expr::Column(2)), mask: Mask::OutwardPostcode },
            Expr::Column(4),
        ],
        policy: vec![
            Expr::Not(Box::new(Expr::Column(3))),
            Expr::IsNotNull(Box::new(key)),
            Expr::Exists { probe: Box::new(dissent), existence: Existence::Forbidden },
        ],
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
    }
}

fn scan(scan: Scan) -> Relation {
    Relation::Scan(Box::new(scan))
}

fn ascending(index: usize) -> SortKey {
    SortKey { expr: Expr::Column(index), direction: SortDirection::Ascending, nulls: NullsOrder::Last }
}

async fn answer(connector: &SqliteConnector, root: Relation, keys: Option<&[String]>) -> Vec<String> {
    let types: Vec<DataType> = root.outputs().into_iter().map(|output| output.data_type).collect();
    let fragment = Fragment { root, schema: schema(&types) };
    let sql = render_fragment(connector.dialect(), &fragment, keys, Audience::Source);
    for scan in fragment.root.scans() {
        for conjunct in render_policy_conjuncts(connector.dialect(), scan) {
            assert!(sql.contains(&conjunct), "{conjunct} is not in {sql}");
        }
    }
    rows(&run(connector, sql.clone(), &types).await.unwrap_or_else(|error| panic!("{error:?} for {sql}")))
}

#[tokio::test]
async fn a_scan_releases_what_policy_lets_through() {
    let database = agency();
    let connector = database.connector();
    let root =
        Relation::Sort { input: Box::new(scan(persons(&connector).await)), keys: vec![ascending(1)], fetch: None };
    assert_eq!(answer(&connector, root.clone(), None).await, ["9434765919|Ann|TQ1|70", "4010232137|ann|TQ2|40"]);
    database.writer.execute("INSERT INTO dissent VALUES ('9434765919', '2024-05-31', '2024-06-02')", []).unwrap();
    assert_eq!(answer(&connector, root, None).await, ["4010232137|ann|TQ2|40"]);
}

#[tokio::test]
async fn lookups_and_join_keys_are_written_as_the_column_writes_them() {
    let database = agency();
    database.writer.execute_batch("CREATE INDEX by_nhs ON person (nhs)").unwrap();
    let connector = database.connector();
    let keyed = Scan {
        keys: Some(KeySlot { column: 0, format: Some(SPACED), disclosure: KeyDisclosure::Plain, number: 0 }),
        ..persons(&connector).await
    };
    let keys = ["9434765919".to_owned(), "not a key".to_owned()];
    assert_eq!(answer(&connector, scan(keyed.clone()), Some(&keys)).await, ["9434765919|Ann|TQ1|70"]);
    assert_eq!(answer(&connector, scan(keyed.clone()), Some(&[])).await, Vec::<String>::new());
    let many: Vec<String> = (0..100_000).map(|key| format!("{key:010}")).chain(keys.clone()).collect();
    assert_eq!(answer(&connector, scan(keyed.clone()), Some(&many)).await, ["9434765919|Ann|TQ1|70"]);
    let fragment = Fragment {
        root: scan(keyed),
        schema: schema(&[DataType::Utf8, DataType::Utf8, DataType::Utf8, DataType::Int64]),
    };
    let sql = render_fragment(connector.dialect(), &fragment, Some(&keys), Audience::Source);
    assert!(sql.contains("b\".\"nhs\" IN ('943 476 5919')"), "{sql}");
    let plan: String = database.writer.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get(3)).unwrap();
    assert!(plan.contains("by_nhs"), "{plan}");
}

#[tokio::test]
async fn rows_are_found_by_the_pseudonyms_of_their_keys() {
    let database = agency();
    let connector = database.connector();
    let pseudonymiser = Pseudonymiser::new([42; Pseudonymiser::SECRET_BYTES]);
    for (format, sent, found) in [
        (SPACED, vec!["9434765919"], vec!["9434765919|Ann|TQ1|70"]),
        (
            SPACED,
            vec!["9434765919", "4010232137", "1234567890"],
            vec!["4010232137|ann|TQ2|40", "9434765919|Ann|TQ1|70"],
        ),
        // Another written form is another key, or none.
        (COMPACT, vec!["9434765919"], vec![]),
        (SPACED, vec!["943 476 5919"], vec![]),
        (SPACED, vec![], vec![]),
    ] {
        let slot = KeySlot { column: 0, format: Some(format), disclosure: KeyDisclosure::Pseudonymised, number: 0 };
        let root = scan(Scan { keys: Some(slot), ..persons(&connector).await });
        let types: Vec<DataType> = root.outputs().into_iter().map(|output| output.data_type).collect();
        let fragment = Fragment { root, schema: schema(&types) };
        // More than one way of writing a list.
        for others in [0, 5_000] {
            let mut pseudonyms: Vec<String> = sent.iter().map(|key| pseudonymiser.of(key)).collect();
            pseudonyms.extend((0..others).map(|other| pseudonymiser.of(&format!("nobody {other}"))));
            let sql = render_fragment(connector.dialect(), &fragment, Some(&pseudonyms), Audience::Source);
            let answer = connector.query_pseudonymised(statement(sql, &types), &pseudonymiser).await.unwrap();
            let batches: Vec<RecordBatch> = answer.try_collect().await.unwrap();
            let mut told: Vec<String> = batches.iter().flat_map(rows).collect();
            told.sort();
            assert_eq!(told, found, "{format:?} {sent:?}");
            // Under another secret nobody has these pseudonyms.
            let sql = render_fragment(connector.dialect(), &fragment, Some(&pseudonyms), Audience::Source);
            let other = Pseudonymiser::new([43; Pseudonymiser::SECRET_BYTES]);
            let answer = connector.query_pseudonymised(statement(sql, &types), &other).await.unwrap();
            assert_eq!(answer.try_collect::<Vec<_>>().await.unwrap().len(), 0);
        }
    }
}

#[tokio::test]
async fn a_register_is_correlated_by_bytes_whatever_its_columns_declare() {
    let opaque = KeyFormat { scheme: Scheme::Opaque, form: Form::Compact, assured: false };
    for (person, register) in
        [("NOCASE", "NOCASE"), ("NOCASE", "BINARY"), ("BINARY", "NOCASE"), ("BINARY", "BINARY"), ("RTRIM", "BINARY")]
    {
        let database = Database::new(&format!(
            "CREATE TABLE person (ref TEXT COLLATE {person}); CREATE TABLE consent (ref TEXT COLLATE {register});
             INSERT INTO person VALUES ('ann'), ('Ann'), ('bob'), ('bob '), (''), (NULL);
             INSERT INTO consent VALUES ('ann'), ('bob'), ('BOB'), ('')"
        ));
        let connector = database.connector();
        let key = |expr: Expr| Expr::CanonicalKey { expr: Box::new(expr), format: opaque };
        for (mine, theirs) in [
            (Expr::Column(0), Expr::Outer(0)),
            (Expr::Outer(0), Expr::Column(0)),
            (key(Expr::Column(0)), key(Expr::Outer(0))),
            (key(Expr::Column(0)), Expr::Outer(0)),
            (Expr::Outer(0), key(Expr::Column(0))),
        ] {
            let consent = Probe {
                table: TableName::new("main", "consent"),
                columns: columns_of(&connector, "consent", &["ref"]).await,
                predicates: vec![Expr::equal(mine, theirs), Expr::IsNotNull(Box::new(key(Expr::Outer(0))))],
            };
            let released = Scan {
                table: TableName::new("main", "person"),
                columns: columns_of(&connector, "person", &["ref"]).await,
                outputs: vec![Expr::Column(0)],
                policy: vec![Expr::Exists { probe: Box::new(consent), existence: Existence::Required }],
                lookups: Vec::new(),
                keys: None,
                reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
            };
            assert_eq!(answer(&connector, scan(released), None).await, ["ann", "bob"], "{person} {register}");
        }
    }
}
