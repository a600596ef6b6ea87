use wayleave_connector_api::{Collation, ColumnType, Table, TableKind, TableName};

use super::*;

async fn table(connector: &SqliteConnector, name: &str) -> Table {
    connector.table(&TableName::new("main", name)).await.unwrap().unwrap_or_else(|| panic!("no table {name}"))
}

#[tokio::test]
async fn tables_and_views_are_listed_and_system_tables_are_not() {
    let database = Database::new(
        "CREATE TABLE b (x INTEGER PRIMARY KEY AUTOINCREMENT, y TEXT UNIQUE); CREATE VIEW a AS SELECT y FROM b;
         CREATE VIRTUAL TABLE notes USING fts5(body); CREATE TABLE \"sqliteish\" (x INTEGER);
         INSERT INTO b (y) VALUES ('p'), ('q'), ('r')",
    );
    let connector = database.connector();
    let listed = connector.tables().await.unwrap();
    let names: Vec<_> = listed.iter().map(|table| (table.name.to_string(), table.kind, table.row_estimate)).collect();
    assert_eq!(
        names,
        [
            ("main.a".to_owned(), TableKind::View, None),
            ("main.b".to_owned(), TableKind::Table, None),
            ("main.notes".to_owned(), TableKind::Table, None),
            ("main.sqliteish".to_owned(), TableKind::Table, None),
        ]
    );
    database.writer.execute_batch("ANALYZE").unwrap();
    let listed = connector.tables().await.unwrap();
    assert_eq!(listed[1].row_estimate, Some(3));
    assert_eq!(listed[0].row_estimate, None);
}

#[tokio::test]
async fn a_table_is_described_with_its_keys() {
    let database = Database::new(
        "CREATE TABLE person (id INTEGER PRIMARY KEY, nhs TEXT NOT NULL UNIQUE, name VARCHAR(40) COLLATE NOCASE,
           fee DECIMAL(8,2), shape geometry, anything, full_name TEXT GENERATED ALWAYS AS (name || '!') VIRTUAL,
           UNIQUE (name, fee));
         CREATE UNIQUE INDEX partial ON person (fee) WHERE fee > 0;
         CREATE UNIQUE INDEX expression ON person (lower(name));
         INSERT INTO person (id, nhs) VALUES (1, 'a'), (41, 'b')",
    );
    let person = table(&database.connector(), "person").await;
    let columns: Vec<_> = person
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.source_type.as_str(), column.nullable))
        .collect();
    assert_eq!(
        columns,
        [
            ("id", "INTEGER", false),
            ("nhs", "TEXT", false),
            ("name", "VARCHAR(40)", true),
            ("fee", "DECIMAL(8,2)", true),
            ("shape", "geometry", true),
            ("anything", "", true),
            ("full_name", "TEXT", true),
        ]
    );
    assert_eq!(person.primary_key, ["id"]);
    assert_eq!(person.unique_keys, [vec!["nhs".to_owned()], vec!["name".to_owned(), "fee".to_owned()]]);
    assert_eq!(person.row_estimate, Some(41));
    assert_eq!(person.column("fee").unwrap().column_type, ColumnType::Readable(DataType::Decimal128(8, 2)));
    for unreadable in ["shape", "anything"] {
        assert!(matches!(person.column(unreadable).unwrap().column_type, ColumnType::Unreadable { .. }));
    }
}

#[tokio::test]
async fn views_and_tables_without_rowid_have_no_estimate() {
    let database = Database::new(
        "CREATE TABLE k (b TEXT, a INTEGER, v REAL, PRIMARY KEY (a, b)) WITHOUT ROWID;
         CREATE VIEW w AS SELECT a, b AS bee, v * 2 AS twice FROM k;
         CREATE TABLE loose (id TEXT PRIMARY KEY); CREATE TABLE downward (id INTEGER PRIMARY KEY DESC);
         CREATE TABLE shadowed (rowid TEXT, _rowid_ TEXT, oid TEXT); CREATE TABLE empty (id INTEGER)",
    );
    let connector = database.connector();
    let k = table(&connector, "k").await;
    assert_eq!((k.primary_key, k.row_estimate), (vec!["a".to_owned(), "b".to_owned()], None));
    assert!(k.columns.iter().filter(|column| column.name != "v").all(|column| !column.nullable));
    let w = table(&connector, "w").await;
    assert_eq!((w.kind, w.row_estimate, w.primary_key), (TableKind::View, None, Vec::new()));
    assert_eq!(w.columns[0].column_type, ColumnType::Readable(DataType::Int64));
    assert_eq!(w.columns[1].column_type, ColumnType::Readable(DataType::Utf8));
    // SQLite lets NULL into a primary key that is not the rowid itself.
    assert!(table(&connector, "loose").await.columns[0].nullable);
    assert!(table(&connector, "downward").await.columns[0].nullable);
    assert_eq!(table(&connector, "shadowed").await.row_estimate, None);
    assert_eq!(table(&connector, "empty").await.row_estimate, Some(0));
}

#[tokio::test]
async fn names_are_compared_exactly() {
    let database = Database::new("CREATE TABLE Person (id INTEGER)");
    let connector = database.connector();
    for (schema, name) in [("main", "person"), ("main", "nobody"), ("temp", "Person"), ("main", "sqlite_schema")] {
        assert_eq!(connector.table(&TableName::new(schema, name)).await.unwrap(), None, "{schema}.{name}");
    }
    table(&connector, "Person").await;
}

#[tokio::test]
async fn a_collation_is_binary_only_where_the_table_says_so() {
    let database = Database::new(
        "CREATE TABLE t (plain TEXT, spelt TEXT COLLATE \"binary\", nocase TEXT COLLATE NOCASE, rtrim TEXT COLLATE rtrim,
           of_the_agency TEXT COLLATE nocase, \"od\"\"d näme\" TEXT, number INTEGER COLLATE NOCASE,
           made TEXT GENERATED ALWAYS AS (plain || 'x'), made_nocase TEXT COLLATE NOCASE AS (plain));
         CREATE TABLE k (id TEXT PRIMARY KEY COLLATE NOCASE, other TEXT) WITHOUT ROWID;
         CREATE VIEW v AS SELECT plain, nocase, plain COLLATE NOCASE AS changed, number FROM t;
         CREATE VIRTUAL TABLE notes USING fts5(body)",
    );
    // Known to the agency's own application, and not here.
    database
        .writer
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'COLLATE nocase', 'COLLATE agency_order') WHERE name = 't';
             PRAGMA writable_schema = OFF",
        )
        .unwrap();
    let connector = database.connector();
    for (name, loose) in [
        ("t", vec!["nocase", "rtrim", "of_the_agency", "made_nocase"]),
        ("k", vec!["id"]),
        ("v", vec!["plain", "nocase", "changed"]),
        ("notes", vec![]),
    ] {
        let described = table(&connector, name).await;
        let found: Vec<_> = described.columns.iter().filter(|column| column.collation == Collation::Loose).collect();
        assert_eq!(found.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), loose, "{name}");
        assert!(found.iter().all(|column| column.column_type.readable() == Some(&DataType::Utf8)));
    }
    let t = table(&connector, "t").await;
    let column = t.column("of_the_agency").unwrap();
    let read = connector.dialect().read_column("\"of_the_agency\"", &column.into());
    let count = |text: &str| format!("SELECT count(*) FROM t WHERE {text} = 'x'");
    assert!(run(&connector, count("of_the_agency"), &[DataType::Int64]).await.is_err());
    assert_eq!(rows(&run(&connector, count(&read), &[DataType::Int64]).await.unwrap()), ["0"]);
}
