//! Whole fragments as Transact-SQL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Audience, Collation, Column, ColumnType, CompareOp, Existence, Expr, Form, Fragment,
    JoinKind, KeyDisclosure, KeyFormat, KeySlot, NullsOrder, Probe, Relation, Scan, ScanReason, Scheme, SemiKind,
    SetKind, SortDirection, SortKey, TableName, Value, render_fragment, render_policy_conjuncts,
};

use super::parses;
use crate::SqlServerDialect;
use crate::statement::refuse_what_is_no_query;

fn column(name: &str, source_type: &str, data_type: DataType) -> Column {
    Column {
        name: name.to_owned(),
        source_type: source_type.to_owned(),
        column_type: ColumnType::Readable(data_type),
        nullable: true,
        collation: Collation::Loose,
    }
}

/// `nhs`, `name`, `deceased`, `visits`
fn scan(policy: Vec<Expr>) -> Scan {
    Scan {
        table: TableName::new("dbo", "patients"),
        columns: vec![
            column("nhs", "varchar(12) COLLATE SQL_Latin1_General_CP1_CI_AS", DataType::Utf8),
            column("name", "nvarchar(50) COLLATE Latin1_General_CI_AS", DataType::Utf8),
            column("deceased", "bit", DataType::Boolean),
            column("visits", "int", DataType::Int32),
        ],
        outputs: (0..4).map(Expr::Column).collect(),
        policy,
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }
}

fn relation(policy: Vec<Expr>) -> Relation {
    Relation::Scan(Box::new(scan(policy)))
}

fn written(root: Relation) -> String {
    let fields: Vec<Field> = root
        .outputs()
        .into_iter()
        .enumerate()
        .map(|(place, output)| Field::new(format!("c{}", place + 1), output.data_type, true))
        .collect();
    let fragment = Fragment { root, schema: Arc::new(Schema::new(fields)) };
    let sql = render_fragment(&SqlServerDialect, &fragment, Some(&["9434765919".to_owned()]), Audience::Source);
    parses(&sql);
    assert!(refuse_what_is_no_query(&sql).is_ok(), "{sql}");
    sql
}

#[test]
fn a_bit_is_a_predicate_by_comparison_and_a_predicate_a_value_by_case() {
    let sql = written(Relation::Filter {
        input: Box::new(relation(vec![Expr::Not(Box::new(Expr::Column(2)))])),
        predicate: Expr::Column(2),
    });
    assert!(sql.contains("WHERE (NOT ([b].[deceased] = 1))"), "{sql}");
    assert!(sql.ends_with(" WHERE ([t1].[c3] = 1)"), "{sql}");
    let positive = Expr::compare(CompareOp::Greater, Expr::Column(3), Expr::Literal(Value::Int32(0)));
    let sql = written(Relation::Project { input: Box::new(relation(Vec::new())), exprs: vec![positive] });
    assert!(
        sql.starts_with(
            "SELECT CAST(CASE WHEN ([t1].[c4] > CAST(0 AS int)) THEN 1 WHEN NOT ([t1].[c4] > CAST(0 AS int)) THEN 0 END AS bit) \
             AS [c1] FROM ("
        ),
        "{sql}"
    );
}

#[test]
fn consent_looks_into_a_register_in_the_columns_own_collation() {
    let probe = Probe {
        table: TableName::new("dbo", "consents"),
        columns: vec![column("nhs", "varchar(12) COLLATE SQL_Latin1_General_CP1_CI_AS", DataType::Utf8)],
        predicates: vec![Expr::equal(Expr::Column(0), Expr::Outer(0))],
    };
    let exists = Expr::Exists { probe: Box::new(probe), existence: Existence::Forbidden };
    let policy = scan(vec![exists]);
    let conjuncts = render_policy_conjuncts(&SqlServerDialect, &policy);
    let [conjunct] = conjuncts.as_slice() else { panic!("{conjuncts:?}") };
    assert!(
        conjunct.starts_with(
            "NOT EXISTS (SELECT 1 FROM [dbo].[consents] AS [p1] WHERE ([p1].[nhs] = [b].[nhs] AND (CAST([p1].[nhs] AS \
             nvarchar(12)) COLLATE Latin1_General_100_BIN2) = (CAST([b].[nhs] AS nvarchar(12)) COLLATE \
             Latin1_General_100_BIN2) AND DATALENGTH("
        ),
        "{conjunct}"
    );
    let sql = written(Relation::Scan(Box::new(policy)));
    assert!(sql.contains(conjunct), "{sql}");
}

#[test]
fn groups_of_text_are_told_apart_by_a_key_and_shown_by_their_value() {
    let count = Aggregate {
        function: AggregateFunction::Count,
        argument: Some(Expr::Column(0)),
        distinct: true,
        filter: Some(Expr::Column(2)),
        data_type: DataType::Int64,
    };
    let sql = written(Relation::Aggregate {
        input: Box::new(relation(Vec::new())),
        groups: vec![Expr::Column(1)],
        aggregates: vec![count],
    });
    assert!(
        sql.starts_with("SELECT min([t1].[c2]) AS [c1], COUNT_BIG(DISTINCT CASE WHEN ([t1].[c3] = 1) THEN "),
        "{sql}"
    );
    assert!(sql.ends_with(" GROUP BY (([t1].[c2] + N'.') COLLATE Latin1_General_100_BIN2)"), "{sql}");
}

#[test]
fn sets_are_compared_by_keys_and_give_values() {
    let names = |kind| {
        let side =
            || Box::new(Relation::Project { input: Box::new(relation(Vec::new())), exprs: vec![Expr::Column(1)] });
        written(Relation::SetOperation { left: side(), right: side(), kind })
    };
    for (kind, word) in [(SetKind::Intersect, " INTERSECT "), (SetKind::Except, " EXCEPT ")] {
        let sql = names(kind);
        assert!(sql.starts_with("SELECT SUBSTRING([t3].[c1], 1, LEN([t3].[c1]) - 1) AS [c1] FROM ("), "{sql}");
        assert!(sql.contains(word), "{sql}");
    }
    let union = written(Relation::Union { inputs: vec![relation(Vec::new()), relation(Vec::new())] });
    // Two collations have none in common.
    assert!(union.contains("([t1].[c2] COLLATE Latin1_General_100_BIN2) AS [c2]"), "{union}");
}

#[test]
fn an_order_without_a_limit_stays_out_of_derived_tables() {
    let key =
        |column| SortKey { expr: Expr::Column(column), direction: SortDirection::Descending, nulls: NullsOrder::Last };
    let sorted = |fetch| Relation::Sort { input: Box::new(relation(Vec::new())), keys: vec![key(3)], fetch };
    let joined = |left| {
        written(Relation::Join {
            left: Box::new(left),
            right: Box::new(relation(Vec::new())),
            kind: JoinKind::Inner,
            on: vec![Expr::equal(Expr::Column(3), Expr::Column(7))],
        })
    };
    assert!(!joined(sorted(None)).contains("ORDER BY"));
    let top = joined(sorted(Some(5)));
    assert!(top.contains("(SELECT TOP (5) [t1].[c1]") && top.contains("ORDER BY [t1].[c4] DESC)"), "{top}");
    let outermost = written(sorted(None));
    assert!(outermost.ends_with("ORDER BY [t1].[c4] DESC"), "{outermost}");
    let page = written(Relation::Limit { input: Box::new(sorted(None)), skip: 10, fetch: Some(5) });
    assert!(page.ends_with("ORDER BY [t1].[c4] DESC OFFSET 10 ROWS FETCH NEXT 5 ROWS ONLY"), "{page}");
}

#[test]
fn what_exists_is_a_value_where_it_is_shown() {
    let marked = Relation::MarkJoin {
        left: Box::new(relation(Vec::new())),
        right: Box::new(relation(Vec::new())),
        on: vec![Expr::equal(Expr::Column(1), Expr::Column(5))],
    };
    let sql = written(marked);
    assert!(sql.contains("CAST(CASE WHEN EXISTS (SELECT 1 FROM ("), "{sql}");
    let anti = Relation::SemiJoin {
        left: Box::new(relation(Vec::new())),
        right: Box::new(relation(Vec::new())),
        kind: SemiKind::NotMatching,
        on: vec![Expr::equal(Expr::Column(1), Expr::Column(5))],
    };
    let sql = written(anti);
    assert!(sql.contains("NOT EXISTS (SELECT 1 FROM ("), "{sql}");
}

#[test]
fn keys_arrive_in_the_written_form_and_the_columns_own_type() {
    let format = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: false };
    let narrowed = Scan {
        keys: Some(KeySlot { column: 0, format: Some(format), disclosure: KeyDisclosure::Plain, number: 0 }),
        ..scan(Vec::new())
    };
    let sql = written(Relation::Scan(Box::new(narrowed)));
    assert!(sql.contains("WHERE [b].[nhs] IN ('943 476 5919') AND "), "{sql}");
}
