//! How a connector behaves, whatever it is asked: introspection, names, sizes, cancelling, limits, reading only.

use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use futures::StreamExt;
use wayleave_connector_api::{
    BatchStream, CompareOp, Connector, ConnectorError, Expr, JoinKind, KeyDisclosure, KeySlot, Relation, Table,
    TableKind, TableName, Value,
};

use super::Kind;
use super::answer::{answer, eventually, fragment_statement, rows, run};
use super::fixture::{Database, Fixture, Settings, excuses};
use super::kind::Order;
use super::table::TableSpec;
use super::world::{aggregate, count, described, filter, join, project, scan, scan_with};

/// A dropped result has ended at its source by then.
const SOON: Duration = Duration::from_secs(5);

/// Nothing that works takes longer, even on a busy machine.
const LATE: Duration = Duration::from_secs(60);

pub async fn introspection(fixture: &dyn Fixture) {
    let mut plain =
        TableSpec::new("plain", &[("b", Kind::Int32), ("a", Kind::Text(Order::Bytes)), ("c", Kind::Boolean)]);
    plain = plain.with([Value::Int32(1), Value::Text("x".to_owned()), Value::Null(DataType::Boolean)]);
    let mut keyed =
        TableSpec::new("keyed", &[("n", Kind::Int32), ("m", Kind::Int32), ("k", Kind::Int64), ("l", Kind::Int32)]);
    let keys_are_known = excuses(fixture, "keys").is_empty();
    if keys_are_known {
        keyed.columns.iter_mut().take(3).for_each(|column| column.nullable = false);
        // Not in the order of the columns.
        keyed.primary_key = vec!["m".to_owned(), "n".to_owned()];
        keyed.unique_keys = vec![vec!["k".to_owned()]];
    }
    let database = fixture.database("introspection", &[plain, keyed]).await;
    let connector = database.connector(Settings::default());
    let schema = database.schema();
    let mut listed: Vec<String> =
        connector.tables().await.unwrap().iter().map(|table| table.name.to_string()).collect();
    listed.sort_unstable();
    assert_eq!(listed, [format!("{schema}.keyed"), format!("{schema}.plain")]);
    let plain = described(&*connector, &*database, "plain").await;
    assert_eq!(plain.kind, TableKind::Table);
    let names: Vec<&str> = plain.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "c"], "columns come in the table's order");
    assert!(plain.columns.iter().all(|column| column.nullable && !column.source_type.is_empty()));
    assert!(plain.row_estimate.is_none_or(|rows| rows <= 100), "{:?}", plain.row_estimate);
    assert!(plain.primary_key.is_empty() && plain.unique_keys.is_empty());
    let keyed = described(&*connector, &*database, "keyed").await;
    if keys_are_known {
        assert_eq!(keyed.primary_key, ["m", "n"]);
        assert_eq!(keyed.unique_keys, [["k"]]);
        let nullable: Vec<bool> = keyed.columns.iter().map(|column| column.nullable).collect();
        assert_eq!(nullable, [false, false, false, true]);
    }
    for (schema, table) in [(schema.as_str(), "nobody"), (schema.as_str(), "Plain"), ("nowhere", "plain"), ("", "")] {
        let found = connector.table(&TableName::new(schema, table)).await.unwrap();
        assert_eq!(found, None, "names are compared exactly: {schema}.{table}");
    }
}

pub async fn types_are_declared_as_the_fixture_says(fixture: &dyn Fixture) {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| fixture.declare(*kind).is_some()).collect();
    let names: Vec<String> = kinds.iter().map(|kind| kind.table()).collect();
    let columns: Vec<(&str, Kind)> = names.iter().map(String::as_str).zip(kinds.iter().copied()).collect();
    let database = fixture.database("types", &[TableSpec::new("every", &columns)]).await;
    let connector = database.connector(Settings::default());
    let every = described(&*connector, &*database, "every").await;
    for (column, kind) in every.columns.iter().zip(&kinds) {
        let declared = fixture.declare(*kind).unwrap();
        assert_eq!(column.column_type.readable(), Some(&declared.arrives), "{}", declared.sql);
        assert_eq!(column.collation, declared.collation, "{}", declared.sql);
    }
    let mut made = 0;
    for own in fixture.own_types() {
        made += 1;
        let name = format!("own{made}");
        let quote = |name: &str| connector.dialect().quote_identifier(name);
        let table = format!("{}.{}", quote(&database.schema()), quote(&name));
        database
            .execute(&format!(
                "CREATE TABLE {table} ({} {}, {} {})",
                quote("id"),
                fixture.declare(Kind::Int32).unwrap().sql,
                quote("x"),
                own.sql
            ))
            .await;
        let values = own.values.iter().map(|(sql, _)| *sql).chain(["NULL"]);
        for (id, sql) in values.enumerate() {
            database.execute(&format!("INSERT INTO {table} VALUES ({id}, {sql})")).await;
        }
        let table = described(&*connector, &*database, &name).await;
        assert_eq!(table.columns[1].column_type.readable(), own.arrives.as_ref(), "{}", own.sql);
        if own.arrives.is_none() {
            continue;
        }
        let batch = answer(&*connector, scan(&table), None).await;
        let mut given = rows(&batch);
        let expected = own.values.iter().map(|(_, shown)| *shown).chain(["NULL"]);
        let mut expected: Vec<String> = expected.enumerate().map(|(id, shown)| format!("{id}|{shown}")).collect();
        given.sort_unstable();
        expected.sort_unstable();
        assert_eq!(given, expected, "{}", own.sql);
    }
}

/// Names that have broken something somewhere.
pub(super) const NAMES: [(&str, &str); 22] = [
    ("reserved word", "select"),
    ("blank", "with space"),
    ("double quote", "quo\"te"),
    ("two double quotes", "\"\""),
    ("single quote", "apo'strophe"),
    ("backtick", "back`tick"),
    ("brackets", "[bra]ck[et]]s"),
    ("backslash", "back\\slash"),
    ("semicolon", "semi;colon -- x"),
    ("comment", "/* comment */"),
    ("Unicode", "ünïcödé 日本 🦀"),
    ("mixed case", "MixedCase"),
    ("wildcards", "%_*?"),
    ("dot", "a.b"),
    ("dollar", "$1$$"),
    ("placeholder", "?:name@p"),
    ("digits", "007"),
    ("line break", "two\nlines"),
    ("braces", "{x}"),
    ("number sign", "#temporary"),
    ("brackets closed", "]; DROP TABLE kept; --"),
    ("quote closed", "\"; DROP TABLE kept; --"),
];

pub async fn hostile_names_are_only_names(fixture: &dyn Fixture) {
    let held = |label: &&(&str, &str)| excuses(fixture, &format!("name with {}", label.0)).is_empty();
    let names: Vec<&str> = NAMES.iter().filter(held).map(|(_, name)| *name).collect();
    let columns: Vec<(&str, Kind)> = names.iter().map(|name| (*name, Kind::Int32)).collect();
    let numbers: Vec<Value> = (0..names.len()).map(|number| Value::Int32(i32::try_from(number).unwrap())).collect();
    let tables: Vec<TableSpec> =
        names.iter().map(|name| TableSpec::new(name, &columns).with(numbers.clone())).collect();
    let database = fixture.database("names", &tables).await;
    let connector = database.connector(Settings::default());
    assert_eq!(connector.tables().await.unwrap().len(), names.len());
    for name in &names {
        let table = described(&*connector, &*database, name).await;
        assert_eq!(table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), names);
        for (index, column) in names.iter().enumerate() {
            let kind = table.columns[index].column_type.readable().unwrap();
            let number = i32::try_from(index).unwrap();
            let value = if *kind == DataType::Int64 { Value::Int64(i64::from(number)) } else { Value::Int32(number) };
            let root = filter(scan(&table), Expr::equal(Expr::Column(index), Expr::Literal(value)));
            let given = rows(&answer(&*connector, project(root, &[index]), None).await);
            assert_eq!(given, [number.to_string()], "column {column} of table {name}");
        }
    }
}

pub async fn any_size_arrives(fixture: &dyn Fixture) {
    let names: Vec<String> = (0..500).map(|index| format!("column_{index}")).collect();
    let columns: Vec<(&str, Kind)> = names.iter().map(|name| (name.as_str(), Kind::Int32)).collect();
    let wide = TableSpec::new("wide", &columns).with((0..500).map(Value::Int32));
    let empty = TableSpec::new("empty", &[("id", Kind::Int32), ("x", Kind::Text(Order::Bytes))]);
    let text = "é🦀'\\x".repeat(110_000);
    let bytes: Vec<u8> = (0..1_100_000_u32).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let large = TableSpec::new("large", &[("x", Kind::Text(Order::Bytes)), ("y", Kind::Binary)])
        .with([Value::Text(text.clone()), Value::Binary(bytes.clone())])
        .with([Value::Text("short".to_owned()), Value::Binary(Vec::new())]);
    let has_binary = fixture.declare(Kind::Binary).is_some();
    let large = if has_binary { large } else { text_only(large) };
    let database = fixture.database("sizes", &[wide, empty, large]).await;
    let connector = database.connector(Settings::default());
    let wide = described(&*connector, &*database, "wide").await;
    let batch = answer(&*connector, scan(&wide), None).await;
    let expected: Vec<String> = (0..500).map(|number: i32| number.to_string()).collect();
    assert_eq!(rows(&batch), [expected.join("|")]);
    let empty = described(&*connector, &*database, "empty").await;
    assert_eq!(answer(&*connector, scan(&empty), None).await.num_rows(), 0);
    assert_eq!(rows(&answer(&*connector, aggregate(scan(&empty), &[], vec![count(None)]), None).await), ["0"]);
    let large = described(&*connector, &*database, "large").await;
    let batch = answer(&*connector, scan(&large), None).await;
    let long = (0..2).find(|row| batch.column(0).as_string::<i32>().value(*row).len() > 100).unwrap();
    assert!(batch.column(0).as_string::<i32>().value(long) == text, "a long text has changed");
    if has_binary {
        assert!(batch.column(1).as_binary::<i32>().value(long) == bytes, "a long binary has changed");
    }
}

fn text_only(table: TableSpec) -> TableSpec {
    let columns = table.columns.into_iter().take(1).collect();
    let rows = table.rows.into_iter().map(|row| row.into_iter().take(1).collect()).collect();
    TableSpec { columns, rows, ..table }
}

/// Keys of the engine's statements, one after the other.
const KEYS_A_STATEMENT: usize = 20_000;

pub async fn keyed_joins_at_any_number_of_keys(fixture: &dyn Fixture) {
    let rows = 3_000;
    let written = |number: usize| format!("key '{}'", number * 331);
    let text = TableSpec::new("person", &[("k", Kind::Text(Order::Bytes)), ("n", Kind::Int32)]);
    let table = (0..rows).fold(text, |table, number| {
        table.with([Value::Text(written(number)), Value::Int32(i32::try_from(number).unwrap())])
    });
    let database = fixture.database("keys", &[table]).await;
    let connector = database.connector(Settings::default());
    let table = described(&*connector, &*database, "person").await;
    let mut root = scan_with(&table, vec![Expr::Column(1)]);
    if let Relation::Scan(scan) = &mut root {
        scan.keys = Some(KeySlot { column: 0, format: None, disclosure: KeyDisclosure::Plain, number: 0 });
    }
    for number_of_keys in [1, 1_000, 1_000_000] {
        let keys: Vec<String> = (0..number_of_keys).map(|number| format!("key '{number}'")).collect();
        let mut found = 0;
        for keys in keys.chunks(KEYS_A_STATEMENT) {
            found += answer(&*connector, root.clone(), Some(keys)).await.num_rows();
        }
        assert_eq!(found, rows.min((number_of_keys - 1) / 331 + 1), "of {number_of_keys} keys");
    }
    assert_eq!(answer(&*connector, root, Some(&[])).await.num_rows(), 0);
}

/// Ten thousand numbers.
pub(super) fn numbers() -> TableSpec {
    (0..10_000).fold(TableSpec::new("numbers", &[("n", Kind::Int32)]), |table, n| table.with([Value::Int32(n)]))
}

/// The numbers beside each other in three columns: a million million rows, of which the first is there at once.
pub(super) fn endless(numbers: &Table) -> Relation {
    let two = join(scan(numbers), scan(numbers), JoinKind::Inner, Vec::new());
    // The long side is on the right, where no engine holds it.
    join(scan(numbers), two, JoinKind::Inner, Vec::new())
}

/// As long, and no row at all: no three numbers are each greater than the next.
pub(super) fn silent(numbers: &Table) -> Relation {
    let greater = |left, right| Expr::compare(CompareOp::Greater, Expr::Column(left), Expr::Column(right));
    filter(endless(numbers), Expr::And(vec![greater(0, 1), greater(1, 2), greater(2, 0)]))
}

pub(super) async fn start(connector: &dyn Connector, root: Relation) -> BatchStream {
    connector.query(fragment_statement(connector, root, None)).await.unwrap()
}

pub(super) async fn count_numbers(connector: &dyn Connector, numbers: &Table) {
    let root = aggregate(scan(numbers), &[], vec![count(None)]);
    assert_eq!(rows(&answer(connector, root, None).await), ["10000"]);
}

async fn ends(database: &dyn Database) {
    eventually("the end of the statement at its source", SOON, || async { database.running().await == 0 }).await;
}

pub async fn the_first_row_comes_before_the_scan_ends_and_a_dropped_result_ends_it(fixture: &dyn Fixture) {
    let database = fixture.database("cancel", &[numbers()]).await;
    let connector = database.connector(Settings { max_connections: 1, ..Settings::default() });
    let numbers = described(&*connector, &*database, "numbers").await;
    let mut stream = start(&*connector, endless(&numbers)).await;
    let first = tokio::time::timeout(LATE, stream.next()).await.expect("no row has come").unwrap().unwrap();
    assert!(first.num_rows() > 0);
    drop(stream);
    ends(&*database).await;
    // Its one connection is free again, and knows nothing of what ran on it.
    count_numbers(&*connector, &numbers).await;
    // A statement that has no row yet is stopped as well.
    let mut stream = start(&*connector, silent(&numbers)).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), stream.next()).await.is_err(), "it must still run");
    drop(stream);
    ends(&*database).await;
    count_numbers(&*connector, &numbers).await;
}

pub async fn no_query_sees_rows_of_another(fixture: &dyn Fixture) {
    let database = fixture.database("rounds", &[numbers()]).await;
    let connector = database.connector(Settings { max_connections: 1, ..Settings::default() });
    let numbers = described(&*connector, &*database, "numbers").await;
    for round in 0..20 {
        let mut stream = start(&*connector, endless(&numbers)).await;
        if round % 2 == 0 {
            stream.next().await.unwrap().unwrap();
        }
        drop(stream);
        count_numbers(&*connector, &numbers).await;
    }
}

pub async fn a_statement_that_runs_too_long_is_stopped(fixture: &dyn Fixture) {
    let database = fixture.database("timeout", &[numbers()]).await;
    let patient = database.connector(Settings::default());
    let numbers = described(&*patient, &*database, "numbers").await;
    let connector =
        database.connector(Settings { statement_timeout_ms: 500, max_connections: 1, ..Settings::default() });
    let begun = Instant::now();
    let mut stream = start(&*connector, silent(&numbers)).await;
    let outcome = tokio::time::timeout(LATE, stream.next()).await.expect("the statement has no end");
    assert!(matches!(outcome, Some(Err(ConnectorError::Timeout { timeout_ms: 500 }))), "{outcome:?}");
    assert!(begun.elapsed() >= Duration::from_millis(400));
    drop(stream);
    ends(&*database).await;
    count_numbers(&*connector, &numbers).await;
}

pub async fn the_budget_of_connections_is_kept(fixture: &dyn Fixture) {
    let database = fixture.database("budget", &[numbers()]).await;
    let settings = Settings { max_connections: 2, budget_wait_ms: 1_000, ..Settings::default() };
    let connector = database.connector(settings);
    let numbers = described(&*connector, &*database, "numbers").await;
    let first = start(&*connector, endless(&numbers)).await;
    let second = start(&*connector, endless(&numbers)).await;
    let outcome = connector.query(fragment_statement(&*connector, scan(&numbers), None)).await;
    let error = outcome.err().expect("a third connection");
    assert!(matches!(error, ConnectorError::Budget { budget: 2, waited_ms } if waited_ms >= 900), "{error:?}");
    drop(first);
    count_numbers(&*connector, &numbers).await;
    drop(second);
    // Twenty at once take turns.
    let connector = database.connector(Settings { max_connections: 2, ..Settings::default() });
    let all = futures::future::join_all((0..20).map(|_| count_numbers(&*connector, &numbers)));
    all.await;
}

pub async fn nothing_can_be_written(fixture: &dyn Fixture) {
    let kept = TableSpec::new("kept", &[("id", Kind::Int32)]).with([Value::Int32(1)]);
    let database = fixture.database("read_only", &[kept]).await;
    let connector = database.connector(Settings::default());
    let kept = described(&*connector, &*database, "kept").await;
    let integer = kept.columns[0].column_type.readable().unwrap().clone();
    let before = connector.tables().await.unwrap();
    let writes = database.writes();
    assert!(!writes.is_empty());
    for sql in writes {
        let outcome = run(&*connector, sql.clone(), std::slice::from_ref(&integer)).await;
        let error = outcome.err().unwrap_or_else(|| panic!("`{sql}` ran"));
        assert!(matches!(error, ConnectorError::Refused { .. }), "{sql}: {error:?}");
        assert_eq!(rows(&answer(&*connector, scan(&kept), None).await), ["1"], "{sql}");
    }
    assert_eq!(connector.tables().await.unwrap(), before);
}

pub async fn a_refusal_tells_the_operator_alone(fixture: &dyn Fixture) {
    let kept = TableSpec::new("kept", &[("id", Kind::Int32)]).with([Value::Int32(1)]);
    let database = fixture.database("refusal", &[kept]).await;
    let connector = database.connector(Settings::default());
    let mut table = described(&*connector, &*database, "kept").await;
    table.columns[0].name = "hidden".to_owned();
    let statement = fragment_statement(&*connector, scan(&table), None);
    let types = [DataType::Int64];
    let error = run(&*connector, statement.sql, &types).await.expect_err("there is no such column");
    assert!(matches!(error, ConnectorError::Refused { .. }), "{error:?}");
    assert!(!error.to_string().contains("hidden"), "{error}");
    assert!(error.operator_detail().is_some_and(|detail| !detail.is_empty()));
}

pub async fn a_server_says_what_it_is(fixture: &dyn Fixture) {
    let database = fixture.database("ping", &[]).await;
    let connector = database.connector(Settings::default());
    let info = connector.ping().await.unwrap();
    assert!(!info.product.is_empty() && info.version.starts_with(|c: char| c.is_ascii_digit()), "{info:?}");
    assert_eq!(connector.tables().await.unwrap(), []);
    // Whether two connectors read the same source is known without a look at it.
    let other = database.connector(Settings { max_connections: 1, ..Settings::default() });
    assert_eq!(connector.source_identity().is_some(), excuses(fixture, "source identity").is_empty());
    assert_eq!(connector.source_identity(), other.source_identity());
}
