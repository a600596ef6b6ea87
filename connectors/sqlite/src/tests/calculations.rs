//! Functions and sums over values of every storage class.

use wayleave_connector_api::{
    Aggregate, AggregateFunction, Audience, Collation, Column, ColumnType, Dialect, Expr, Fragment, Relation, Scan,
    ScanReason, Support, TableName, TextFunction, TrimSide, render_fragment,
};

use super::*;
use crate::SqliteDialect;

const DIALECT: SqliteDialect = SqliteDialect;

fn scan(declared: &str, data_type: DataType, collation: Collation, outputs: Vec<Expr>) -> Relation {
    Relation::Scan(Box::new(Scan {
        table: TableName::new("main", "t"),
        columns: vec![Column {
            name: "x".to_owned(),
            source_type: declared.to_owned(),
            column_type: ColumnType::Readable(data_type),
            nullable: true,
            collation,
        }],
        outputs,
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }))
}

/// Each expression over the rows of `t`, in their order, since a plain scan reads them so.
async fn evaluate(connector: &SqliteConnector, relation: Relation) -> RecordBatch {
    let types: Vec<DataType> = relation.outputs().into_iter().map(|output| output.data_type).collect();
    let fragment = Fragment { root: relation, schema: schema(&types) };
    let sql = render_fragment(&DIALECT, &fragment, None, Audience::Source);
    run(connector, sql, &types).await.unwrap()
}

#[tokio::test]
async fn no_value_of_any_kind_makes_a_function_fail() {
    let database = Database::new(
        "CREATE TABLE t (x); INSERT INTO t VALUES (1), (-9223372036854775808), (1.5), (9e999), (x'00ff'), (CAST(x'c328' AS TEXT)), \
         (NULL), ('a')",
    );
    let functions = [
        TextFunction::Length,
        TextFunction::Upper,
        TextFunction::Left(-1),
        TextFunction::Substring { start: 2, length: Some(1) },
        TextFunction::Trim(TrimSide::Both),
        TextFunction::Replace { from: "a".to_owned(), to: "b".to_owned() },
        TextFunction::Position("a".to_owned()),
    ];
    for function in functions {
        let sql = DIALECT.of_text(&function, "x");
        let answers: usize = database
            .writer
            .prepare(&format!("SELECT {sql} FROM t"))
            .unwrap()
            .query_map([], |row| row.get::<_, rusqlite::types::Value>(0))
            .unwrap()
            .map(Result::unwrap)
            .count();
        assert_eq!(answers, 8, "{sql}");
    }
}

#[tokio::test]
async fn a_sum_of_integers_takes_as_many_digits_as_it_needs() {
    let database = Database::new("CREATE TABLE t (x INTEGER)");
    let sum_of = |values: &'static [i64], distinct: bool| {
        database.writer.execute("DELETE FROM t", []).unwrap();
        for value in values {
            database.writer.execute("INSERT INTO t VALUES (?1)", [value]).unwrap();
        }
        database.writer.execute("INSERT INTO t VALUES (NULL)", []).unwrap();
        let call = Aggregate {
            function: AggregateFunction::Sum,
            argument: Some(Expr::Column(0)),
            distinct,
            filter: None,
            data_type: DataType::Decimal128(29, 0),
        };
        let input = scan("INTEGER", DataType::Int64, Collation::Binary, vec![Expr::Column(0)]);
        assert_eq!(DIALECT.aggregate_support(&call, &input.outputs()), Support::Exact);
        let relation = Relation::Aggregate { input: Box::new(input), groups: Vec::new(), aggregates: vec![call] };
        let connector = database.connector();
        async move { shown(evaluate(&connector, relation).await.column(0)) }
    };
    let text = |text: &str| vec![Some(text.to_owned())];
    assert_eq!(sum_of(&[], false).await, [None]);
    assert_eq!(sum_of(&[2, 2, 3], false).await, text("7"));
    assert_eq!(sum_of(&[2, 2, 3], true).await, text("5"));
    assert_eq!(sum_of(&[i64::MAX, i64::MAX, 1], false).await, text("18446744073709551615"));
    assert_eq!(sum_of(&[i64::MIN, i64::MIN], false).await, text("-18446744073709551616"));
    assert_eq!(sum_of(&[i64::MAX, 1, -1], false).await, text("9223372036854775807"));
}
