//! Large tables, read over several connections.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Audience, BatchStream, Divisible, Expr, Fragment, JoinKind, NullsOrder, Relation,
    Scan, ScanReason, SemiKind, Slice, SortDirection, SortKey, TableName, Value, render_fragment,
};

use super::*;
use crate::PostgresDialect;

const ROWS: usize = 20_000;

/// About 23 megabytes: many slices, and many batches to wait for.
const ACCOUNTS: &str = "CREATE TABLE account (id int NOT NULL, amount int8 NOT NULL, padding text); \
    INSERT INTO account SELECT n, 100, repeat('x', 1000) FROM generate_series(0, 19999) AS s (n); \
    CREATE INDEX ON account (id)";

/// Connections of the connector's that are in a transaction.
const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name LIKE 'wayleave%' AND xact_start IS NOT NULL";
const OPEN: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'wayleave%'";

struct Accounts {
    connector: PostgresConnector,
    scan: Scan,
}

async fn accounts(name: &str, setup: &str, change: impl FnOnce(&mut PostgresOptions)) -> Accounts {
    server().create_database(name).await.unwrap();
    server().execute(name, setup).await.unwrap();
    let mut options = PostgresOptions { divide_from_bytes: 4 << 20, ..options(&server().url(name)) };
    change(&mut options);
    let connector = PostgresConnector::new(options).unwrap();
    let table = connector.table(&TableName::new("public", "account")).await.unwrap().unwrap();
    let scan = Scan {
        table: table.name,
        outputs: (0..table.columns.len()).map(Expr::Column).collect(),
        columns: table.columns,
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
    };
    Accounts { connector, scan }
}

impl Accounts {
    async fn read(&self) -> BatchStream {
        self.read_scan(self.scan.clone()).await
    }

    async fn read_scan(&self, scan: Scan) -> BatchStream {
        self.read_relation(Relation::Scan(Box::new(scan))).await
    }

    async fn read_relation(&self, root: Relation) -> BatchStream {
        let types: Vec<DataType> = root.outputs().into_iter().map(|output| output.data_type).collect();
        let fragment = Fragment { root, schema: schema(&types) };
        let sql = render_fragment(&PostgresDialect, &fragment, None, Audience::Source);
        let divisible = Divisible::new(&PostgresDialect, &fragment).unwrap();
        self.connector.query_parts(statement(&sql, fragment.schema), divisible).await.unwrap()
    }

    /// A result of which two batches were taken, and which stalls while this many connections read it.
    async fn stalled(&self, database: &str, connections: &str) -> (BatchStream, Vec<RecordBatch>) {
        let mut stream = self.read().await;
        let mut taken = Vec::new();
        for _ in 0..2 {
            taken.push(stream.next().await.unwrap().unwrap());
        }
        wait_until(database, AT_WORK, connections).await;
        (stream, taken)
    }
}

async fn rest_of(mut stream: BatchStream, mut batches: Vec<RecordBatch>) -> Vec<RecordBatch> {
    while let Some(batch) = stream.next().await {
        batches.push(batch.unwrap());
    }
    batches
}

/// Ids, and the sum of what they hold.
fn content(batches: &[RecordBatch]) -> (Vec<i32>, i64) {
    let ids = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int32Type>().values().to_vec()).collect();
    let sum = batches.iter().flat_map(|batch| batch.column(1).as_primitive::<Int64Type>().values().to_vec()).sum();
    (ids, sum)
}

fn assert_whole(batches: &[RecordBatch]) {
    let (ids, sum) = content(batches);
    assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len(), sum), (ROWS, ROWS, 2_000_000));
}

#[tokio::test]
async fn all_parts_see_one_state_while_others_write() {
    let accounts = accounts("parts_writing", ACCOUNTS, |_| {}).await;
    let done = AtomicBool::new(false);
    let write = async {
        let mut rounds = 0;
        while !done.load(Ordering::Relaxed) {
            let from = rounds * 1_000 % 19_000;
            // Each keeps the sum, and moves rows to other pages.
            let transfers = format!(
                "UPDATE account SET amount = amount + CASE WHEN id % 2 = 0 THEN 7 ELSE -7 END \
                 WHERE id >= {from} AND id < {from} + 1000; \
                 INSERT INTO account SELECT 100000 + {rounds} * 10 + n, CASE WHEN n % 2 = 0 THEN 5 ELSE -5 END, 'new' \
                 FROM generate_series(0, 9) AS s (n); \
                 WITH gone AS (DELETE FROM account WHERE id IN ({from} + 2, {from} + 501) RETURNING amount) \
                 UPDATE account SET amount = amount + (SELECT coalesce(sum(amount), 0) FROM gone) WHERE id = 0; \
                 VACUUM account"
            );
            for sql in transfers.split("; ") {
                server().execute("parts_writing", sql).await.unwrap();
            }
            rounds += 1;
        }
        rounds
    };
    let read = async {
        for _ in 0..8 {
            let (stream, taken) = accounts.stalled("parts_writing", "3").await;
            let (ids, sum) = content(&rest_of(stream, taken).await);
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
            assert_eq!(sum, 2_000_000);
        }
        done.store(true, Ordering::Relaxed);
    };
    let (rounds, ()) = futures::join!(write, read);
    assert!(rounds > 3);
    // Updates of a row of one slice into the next would show as twice the row or none at all.
    let now = server().query_text("parts_writing", "SELECT sum(amount) FROM account").await.unwrap();
    assert_eq!(now.as_deref(), Some("2000000"));
}

#[tokio::test]
async fn a_table_that_grows_is_read_as_it_was() {
    let accounts = accounts("parts_growing", ACCOUNTS, |_| {}).await;
    let (stream, taken) = accounts.stalled("parts_growing", "3").await;
    let grow = "INSERT INTO account SELECT n, 1, repeat('y', 1000) FROM generate_series(20000, 29999) AS s (n)";
    server().execute("parts_growing", grow).await.unwrap();
    assert_whole(&rest_of(stream, taken).await);
    let (ids, _) = content(&rest_of(accounts.read().await, Vec::new()).await);
    assert_eq!(ids.len(), 30_000);
}

#[tokio::test]
async fn a_budget_of_one_reads_over_one_connection() {
    let accounts = accounts("parts_budget_one", ACCOUNTS, |options| options.max_connections = 1).await;
    let (stream, taken) = accounts.stalled("parts_budget_one", "1").await;
    assert_whole(&rest_of(stream, taken).await);
    wait_until("parts_budget_one", OPEN, "1").await;
}

#[tokio::test]
async fn a_connection_that_others_wait_for_is_given_up() {
    let accounts = accounts("parts_budget_two", ACCOUNTS, |options| options.max_connections = 2).await;
    // Nobody takes rows, and both connections are taken: another query gets one all the same.
    let (stream, taken) = accounts.stalled("parts_budget_two", "2").await;
    assert_eq!(texts(&accounts.connector, "SELECT 'meanwhile'").await, [Some("meanwhile".to_owned())]);
    let second = accounts.read().await;
    let (first, second) = futures::join!(rest_of(stream, taken), rest_of(second, Vec::new()));
    assert_whole(&first);
    assert_whole(&second);
}

#[tokio::test]
async fn a_dropped_result_cancels_every_part() {
    let accounts = accounts("parts_dropped", ACCOUNTS, |_| {}).await;
    let (stream, _) = accounts.stalled("parts_dropped", "3").await;
    let started = Instant::now();
    drop(stream);
    wait_until("parts_dropped", OPEN, "0").await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(texts(&accounts.connector, "SELECT 'next'").await, [Some("next".to_owned())]);
    assert_whole(&rest_of(accounts.read().await, Vec::new()).await);
}

#[tokio::test]
async fn one_part_that_fails_is_the_failure_of_all() {
    let accounts = accounts("parts_failing", ACCOUNTS, |_| {}).await;
    let kills = [
        // The last that came helps; the first leads.
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND \
         application_name LIKE 'wayleave%' ORDER BY xact_start DESC LIMIT 1",
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND \
         application_name LIKE 'wayleave%' ORDER BY xact_start LIMIT 1",
    ];
    for kill in kills {
        let (mut stream, taken) = accounts.stalled("parts_failing", "3").await;
        assert_eq!(server().query_text("parts_failing", kill).await.unwrap().as_deref(), Some("true"));
        let mut rows: usize = taken.iter().map(RecordBatch::num_rows).sum();
        let error = loop {
            match stream.next().await {
                Some(Ok(batch)) => rows += batch.num_rows(),
                Some(Err(error)) => break error,
                None => panic!("a result of {rows} rows ended as if it were whole"),
            }
        };
        assert!(matches!(error, ConnectorError::Lost { .. }), "{error:?}");
        // A helper that had come to its end before may keep its connection for the next.
        wait_until("parts_failing", AT_WORK, "0").await;
    }
    // A value that cannot be read, in the last slice.
    let other = "CREATE TABLE account (id int NOT NULL, amount numeric, padding text); \
        INSERT INTO account SELECT n, CASE WHEN n = 19999 THEN 'NaN'::numeric ELSE 1 END, repeat('x', 1000) \
        FROM generate_series(0, 19999) AS s (n)";
    let accounts = self::accounts("parts_unreadable", other, |_| {}).await;
    let mut stream = accounts.read().await;
    let mut outcome = None;
    while let Some(batch) = stream.next().await {
        if let Err(error) = batch {
            outcome = Some(error);
        }
    }
    assert!(matches!(outcome, Some(ConnectorError::Decode { position: 2, .. })), "{outcome:?}");
    wait_until("parts_unreadable", AT_WORK, "0").await;
}

#[tokio::test]
async fn a_lock_that_waits_for_the_leader_stops_nobody() {
    let accounts = accounts("parts_locked", ACCOUNTS, |_| {}).await;
    let stream = accounts.read().await;
    let lock = tokio::spawn(server().execute("parts_locked", "ALTER TABLE account ADD COLUMN later int"));
    wait_until("parts_locked", "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'", "1")
        .await;
    assert_whole(&rest_of(stream, Vec::new()).await);
    lock.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_small_or_found_by_an_index_is_read_over_one_connection() {
    let small = accounts("parts_small", ACCOUNTS, |options| options.divide_from_bytes = 1 << 30).await;
    assert_whole(&rest_of(small.read().await, Vec::new()).await);
    wait_until("parts_small", OPEN, "1").await;

    server().execute("parts_small", "VACUUM ANALYZE account").await.unwrap();
    let options = PostgresOptions { divide_from_bytes: 4 << 20, ..options(&server().url("parts_small")) };
    let large = Accounts { connector: PostgresConnector::new(options).unwrap(), scan: small.scan.clone() };
    drop(small);
    wait_until("parts_small", OPEN, "0").await;
    let found = Expr::equal(Expr::Column(0), Expr::Literal(Value::Int32(7)));
    let one = Scan { lookups: vec![found], ..large.scan.clone() };
    assert_eq!(content(&rest_of(large.read_scan(one).await, Vec::new()).await), (vec![7], 100));
    wait_until("parts_small", OPEN, "1").await;
    let (stream, taken) = large.stalled("parts_small", "3").await;
    assert_whole(&rest_of(stream, taken).await);

    let empty = "CREATE TABLE account (id int NOT NULL, amount int8 NOT NULL, padding text)";
    let empty = accounts("parts_empty", empty, |options| options.divide_from_bytes = 0).await;
    assert_eq!(content(&rest_of(empty.read().await, Vec::new()).await), (Vec::new(), 0));
    let view = "CREATE TABLE base AS SELECT 1 AS id, 2::int8 AS amount, 'x' AS padding; \
        CREATE VIEW account AS SELECT * FROM base";
    let view = accounts("parts_view", view, |options| options.divide_from_bytes = 0).await;
    assert_eq!(content(&rest_of(view.read().await, Vec::new()).await), (vec![1], 2));
    let partitioned = "CREATE TABLE account (id int, amount int8, padding text) PARTITION BY RANGE (id); \
        CREATE TABLE low PARTITION OF account FOR VALUES FROM (0) TO (5); \
        CREATE TABLE high PARTITION OF account FOR VALUES FROM (5) TO (10); \
        INSERT INTO account SELECT n, n, 'x' FROM generate_series(0, 9) AS s (n)";
    let partitioned = accounts("parts_partitioned", partitioned, |options| options.divide_from_bytes = 0).await;
    assert_eq!(content(&rest_of(partitioned.read().await, Vec::new()).await).1, 45);
}

/// In every slice the server prepares the other side of the join again, which it does twice at most where that is much.
#[tokio::test]
async fn what_every_part_prepares_again_makes_for_fewer_parts() {
    let setup = format!(
        "{ACCOUNTS}; CREATE TABLE known AS SELECT n AS id FROM generate_series(0, 49999) AS s (n); \
         ANALYZE account; ANALYZE known"
    );
    let accounts = accounts("parts_joined", &setup, |options| options.scan_connections = 2).await;
    let known = accounts.connector.table(&TableName::new("public", "known")).await.unwrap().unwrap();
    let known =
        Scan { table: known.name, outputs: vec![Expr::Column(0)], columns: known.columns, ..accounts.scan.clone() };
    let root = Relation::SemiJoin {
        left: Box::new(Relation::Scan(Box::new(accounts.scan.clone()))),
        right: Box::new(Relation::Scan(Box::new(known))),
        kind: SemiKind::Matching,
        on: vec![Expr::equal(Expr::Column(0), Expr::Column(3))],
    };
    let mut stream = accounts.read_relation(root).await;
    let taken = vec![stream.next().await.unwrap().unwrap()];
    wait_until("parts_joined", AT_WORK, "2").await;
    assert_whole(&rest_of(stream, taken).await);
}

/// Slices one after the other, over a shape that may be divided: together they must be the whole.
#[tokio::test]
async fn the_rows_of_the_slices_are_those_of_the_whole_in_every_shape_that_is_divided() {
    let setup = "CREATE TABLE account (id int, amount int8, padding text); \
        INSERT INTO account SELECT n, n % 7, repeat('x', 500) FROM generate_series(0, 199) AS s (n)";
    let accounts = accounts("parts_shapes", setup, |_| {}).await;
    let scan = || Box::new(Relation::Scan(Box::new(accounts.scan.clone())));
    let same = |left: usize, right: usize| vec![Expr::equal(Expr::Column(left), Expr::Column(3 + right))];
    let join = |kind, on| Relation::Join { left: scan(), right: scan(), kind, on };
    let semi = |kind, on| Relation::SemiJoin { left: scan(), right: scan(), kind, on };
    let none_of = Expr::equal(Expr::Column(0), Expr::Literal(Value::Int32(-1)));
    let wider = Expr::Coalesce(vec![Expr::Literal(Value::Int32(-1))]);
    let divided = [
        *scan(),
        Relation::Filter { input: scan(), predicate: Expr::equal(Expr::Column(1), Expr::Literal(Value::Int64(3))) },
        Relation::Project { input: scan(), exprs: vec![Expr::Column(1)] },
        join(JoinKind::Inner, vec![Expr::equal(Expr::Column(0), Expr::Column(3))]),
        join(JoinKind::Left, vec![none_of.clone()]),
        join(JoinKind::Right, vec![none_of.clone()]),
        semi(SemiKind::Matching, same(0, 0)),
        semi(SemiKind::NotMatching, vec![none_of]),
        Relation::MarkJoin { left: scan(), right: scan(), on: same(1, 0) },
        Relation::NotIn { left: scan(), right: scan(), left_key: Expr::Column(0), right_key: wider },
    ];
    for root in divided {
        // Rows are counted by what they hold.
        let outputs = root.outputs();
        let texts = outputs.iter().enumerate().filter(|(_, output)| output.data_type != DataType::Utf8);
        let exprs: Vec<Expr> = texts.map(|(index, _)| Expr::Column(index)).collect();
        let types: Vec<DataType> = exprs.iter().map(|expr| expr.output(&outputs).data_type).collect();
        let fragment = Fragment { root: Relation::Project { input: Box::new(root), exprs }, schema: schema(&types) };
        let divisible = Divisible::new(&PostgresDialect, &fragment).unwrap();
        let rows = async |sql: &str| -> Vec<String> {
            let batch = collect(&accounts.connector, sql, Arc::clone(&fragment.schema)).await.unwrap();
            (0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1).columns())).collect()
        };
        let mut whole = rows(&render_fragment(&PostgresDialect, &fragment, None, Audience::Source)).await;
        let mut parts = Vec::new();
        for (from_page, until_page) in [(0, Some(1)), (1, Some(4)), (4, Some(5)), (5, None)] {
            let part = rows(&divisible.sql(&PostgresDialect, Slice { from_page, until_page })).await;
            assert!(part.len() < whole.len());
            parts.extend(part);
        }
        whole.sort();
        parts.sort();
        assert!(!whole.is_empty());
        assert_eq!(whole, parts);
    }
    let sort_key = SortKey { expr: Expr::Column(0), direction: SortDirection::Ascending, nulls: NullsOrder::Last };
    let count = Aggregate {
        function: AggregateFunction::Count,
        argument: None,
        distinct: false,
        filter: None,
        data_type: DataType::Int64,
    };
    let undivided = [
        join(JoinKind::Full, same(0, 0)),
        Relation::Aggregate { input: scan(), groups: Vec::new(), aggregates: vec![count] },
        Relation::Sort { input: scan(), keys: vec![sort_key], fetch: None },
        Relation::Limit { input: scan(), skip: 0, fetch: Some(3) },
        Relation::Union { inputs: vec![*scan(), *scan()] },
        Relation::Filter {
            input: Box::new(Relation::Limit { input: scan(), skip: 0, fetch: Some(3) }),
            predicate: Expr::IsNotNull(Box::new(Expr::Column(0))),
        },
    ];
    for root in undivided {
        let fragment = Fragment { root, schema: schema(&[]) };
        assert!(Divisible::new(accounts.connector.dialect(), &fragment).is_none());
    }
}
