//! Whole fragments, from the algebra to rows.

use arrow::array::AsArray;
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, ArithmeticOp, Audience, CompareOp, Dialect, Existence, Expr, Form, Fragment,
    JoinKind, KeyDisclosure, KeyFormat, KeySlot, NullsOrder, Probe, Relation, Scan, ScanReason, Scheme, SemiKind,
    SortDirection, SortKey, Support, Table, TableName, Value, WindowCall, WindowFunction, render_fragment,
    render_policy_conjuncts,
};

use super::*;
use crate::MysqlDialect;

const SETUP: &str = r#"
CREATE TABLE patients (id int PRIMARY KEY, nhs varchar(20), name varchar(20), cost decimal(10,2), visits bigint);
INSERT INTO patients VALUES (1, '943 476 5919', 'Ann', 10.50, 3), (2, '987 654 3210', 'Bob', 20.25, 5),
  (3, '401 023 2137', 'Cy', NULL, NULL), (4, 'none', 'Dee', 1, 1);
CREATE TABLE dissent (nhs varchar(20) CHARACTER SET latin1, until text);
INSERT INTO dissent VALUES ('987-654-3210', '2999-01-01'), ('943-476-5919', '2001-01-01'), ('401-023-2137', 'never');
CREATE TABLE visits (patient int, day date);
INSERT INTO visits VALUES (1, '2024-01-01'), (1, '2024-02-01'), (2, '2024-03-01'), (9, NULL);
"#;

const SPACED: KeyFormat = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: false };
const HYPHENATED: KeyFormat = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Hyphenated, assured: false };

struct Agency {
    connector: MysqlConnector,
    patients: Table,
    dissent: Table,
    visits: Table,
}

async fn open(name: &str) -> Agency {
    let connector = agency(name, SETUP).await;
    let table = async |table| connector.table(&TableName::new(name, table)).await.unwrap().unwrap();
    let (patients, dissent, visits) = (table("patients").await, table("dissent").await, table("visits").await);
    Agency { connector, patients, dissent, visits }
}

impl Agency {
    /// `nhs_number, name, cost, visits, id`, without those in the dissent register on the first of January 2024.
    fn released(&self) -> Relation {
        self.patients_where(vec![Expr::Exists { probe: Box::new(self.probe()), existence: Existence::Forbidden }])
    }

    fn patients_where(&self, policy: Vec<Expr>) -> Relation {
        let key = Expr::CanonicalKey { expr: Box::new(Expr::Column(1)), format: SPACED };
        Relation::Scan(Box::new(Scan {
            table: self.patients.name.clone(),
            columns: self.patients.columns.clone(),
            outputs: vec![key, Expr::Column(2), Expr::Column(3), Expr::Column(4), Expr::Column(0)],
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
        }))
    }

    fn probe(&self) -> Probe {
        let until = Expr::DateOf(Box::new(Expr::Column(1)));
        let today = Expr::Literal(Value::Date(19_723));
        Probe {
            table: self.dissent.name.clone(),
            columns: self.dissent.columns.clone(),
            predicates: vec![
                Expr::equal(
                    Expr::CanonicalKey { expr: Box::new(Expr::Column(0)), format: HYPHENATED },
                    Expr::CanonicalKey { expr: Box::new(Expr::Outer(1)), format: SPACED },
                ),
                Expr::Or(vec![
                    Expr::IsNull(Box::new(until.clone())),
                    Expr::compare(CompareOp::GreaterOrEqual, until, today),
                ]),
            ],
        }
    }

    fn visits(&self) -> Relation {
        Relation::Scan(Box::new(Scan {
            table: self.visits.name.clone(),
            columns: self.visits.columns.clone(),
            outputs: vec![Expr::Column(0), Expr::Column(1)],
            policy: Vec::new(),
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
        }))
    }

    async fn run(&self, root: Relation, types: &[DataType], keys: Option<&[String]>) -> RecordBatch {
        run(&self.connector, root, types, keys).await
    }
}

async fn run(connector: &MysqlConnector, root: Relation, types: &[DataType], keys: Option<&[String]>) -> RecordBatch {
    let fragment = Fragment { root, schema: schema(types) };
    let sql = render_fragment(&MysqlDialect, &fragment, keys, Audience::Source);
    for scan in fragment.root.scans() {
        for conjunct in render_policy_conjuncts(&MysqlDialect, scan) {
            assert!(sql.contains(&conjunct), "{conjunct} is missing from {sql}");
        }
    }
    collect(connector, &sql, fragment.schema).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"))
}

fn ascending(expr: Expr) -> SortKey {
    SortKey { expr, direction: SortDirection::Ascending, nulls: NullsOrder::Last }
}

fn sorted(input: Relation, column: usize) -> Relation {
    Relation::Sort { input: Box::new(input), keys: vec![ascending(Expr::Column(column))], fetch: None }
}

fn project(input: Relation, columns: &[usize]) -> Relation {
    Relation::Project { input: Box::new(input), exprs: columns.iter().map(|index| Expr::Column(*index)).collect() }
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn a_probe_of_a_register_decides_row_by_row() {
    let agency = open("probe").await;
    let exists = Expr::Exists { probe: Box::new(agency.probe()), existence: Existence::Forbidden };
    assert_eq!(MysqlDialect.support(&exists, &[]), Support::Exact);
    // Bob's dissent lasts, Cy's has no readable end; Ann's is over, and Dee's key is nobody's.
    let batch = agency.run(sorted(project(agency.released(), &[1]), 0), &[DataType::Utf8], None).await;
    assert_eq!(column_texts(&batch, 0), some(&["Ann", "Dee"]));
    let required = Expr::Exists { probe: Box::new(agency.probe()), existence: Existence::Required };
    let dissenting = agency.patients_where(vec![required]);
    let batch = agency.run(sorted(project(dissenting, &[1]), 0), &[DataType::Utf8], None).await;
    assert_eq!(column_texts(&batch, 0), some(&["Bob", "Cy"]));
}

#[tokio::test]
async fn keys_arrive_in_the_written_form_at_any_number() {
    let agency = open("key_slot").await;
    let mut keys: Vec<String> = (0..20_000).map(|number| format!("{number:010}")).collect();
    keys.extend(["9434765919", "9876543210"].map(str::to_owned));
    let mut all = agency.patients_where(Vec::new());
    if let Relation::Scan(scan) = &mut all {
        scan.keys = Some(KeySlot { column: 1, format: Some(SPACED), disclosure: KeyDisclosure::Plain, number: 0 });
    }
    let batch = agency.run(sorted(project(all, &[0]), 0), &[DataType::Utf8], Some(&keys)).await;
    assert_eq!(column_texts(&batch, 0), some(&["9434765919", "9876543210"]));
}

#[tokio::test]
async fn joins_semi_joins_and_unions_answer_as_they_should() {
    let agency = open("joins").await;
    let on = vec![Expr::equal(Expr::Column(4), Expr::Column(5))];
    let join = |kind| Relation::Join {
        left: Box::new(agency.patients_where(Vec::new())),
        right: Box::new(agency.visits()),
        kind,
        on: on.clone(),
    };
    for (kind, rows) in [(JoinKind::Inner, 3), (JoinKind::Left, 5), (JoinKind::Right, 4)] {
        let types = [DataType::Utf8, DataType::Date32];
        assert_eq!(agency.run(project(join(kind), &[1, 6]), &types, None).await.num_rows(), rows, "{kind:?}");
    }
    let semi = |kind| Relation::SemiJoin {
        left: Box::new(agency.patients_where(Vec::new())),
        right: Box::new(agency.visits()),
        kind,
        on: on.clone(),
    };
    let names =
        async |root| column_texts(&agency.run(sorted(project(root, &[1]), 0), &[DataType::Utf8], None).await, 0);
    assert_eq!(names(semi(SemiKind::Matching)).await, some(&["Ann", "Bob"]));
    assert_eq!(names(semi(SemiKind::NotMatching)).await, some(&["Cy", "Dee"]));
    let limited = Relation::Limit { input: Box::new(sorted(agency.released(), 1)), skip: 0, fetch: Some(1) };
    let union = Relation::Union { inputs: vec![limited, agency.released()] };
    assert_eq!(names(union).await, some(&["Ann", "Ann", "Dee"]));
}

#[tokio::test]
async fn aggregates_arrive_in_the_promised_types() {
    let agency = open("aggregates").await;
    let call =
        |function, argument, data_type| Aggregate { function, argument, distinct: false, filter: None, data_type };
    let cost = || Some(Expr::Column(2));
    let filtered = Aggregate {
        filter: Some(Expr::compare(CompareOp::Greater, Expr::Column(3), Expr::Literal(Value::Int64(2)))),
        ..call(AggregateFunction::Count, None, DataType::Int64)
    };
    let sum_type = DataType::Decimal128(20, 2);
    let aggregates = vec![
        call(AggregateFunction::Count, None, DataType::Int64),
        call(AggregateFunction::Sum, cost(), sum_type.clone()),
        call(AggregateFunction::Sum, Some(Expr::Column(3)), DataType::Int64),
        call(AggregateFunction::Max, Some(Expr::Column(1)), DataType::Utf8),
        call(AggregateFunction::Min, cost(), DataType::Decimal128(10, 2)),
        filtered,
    ];
    let input = Box::new(agency.patients_where(Vec::new()));
    let columns = input.outputs();
    for aggregate in &aggregates {
        assert_eq!(MysqlDialect.aggregate_support(aggregate, &columns), Support::Exact);
    }
    let types =
        [DataType::Int64, sum_type, DataType::Int64, DataType::Utf8, DataType::Decimal128(10, 2), DataType::Int64];
    let root = Relation::Aggregate { input, groups: Vec::new(), aggregates: aggregates.clone() };
    let batch = agency.run(root, &types, None).await;
    let int = |index: usize| batch.column(index).as_primitive::<Int64Type>().value(0);
    assert_eq!((int(0), int(2), int(5)), (4, 9, 2));
    assert_eq!(batch.column(1).as_primitive::<Decimal128Type>().value(0), 3_175);
    assert_eq!(batch.column(3).as_string::<i32>().value(0), "Dee");
    assert_eq!(batch.column(4).as_primitive::<Decimal128Type>().value(0), 100);

    // Grouping by a constant, which MariaDB takes for a position unless it is an expression.
    for constant in [Expr::text("x"), Expr::Literal(Value::Int32(7)), Expr::Literal(Value::Boolean(true))] {
        let output = constant.output(&[]).data_type;
        let root = Relation::Aggregate {
            input: Box::new(agency.patients_where(Vec::new())),
            groups: vec![constant],
            aggregates: vec![aggregates[0].clone()],
        };
        assert_eq!(agency.run(sorted(root, 0), &[output, DataType::Int64], None).await.num_rows(), 1);
    }
}

#[tokio::test]
async fn a_loose_collation_gives_nobody_anothers_consent() {
    let setup = "CREATE TABLE person (reference varchar(9) COLLATE utf8mb4_general_ci); INSERT INTO person VALUES ('a1'), ('B2'), ('c3 '); \
        CREATE TABLE consent (reference varchar(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci); INSERT INTO consent VALUES ('A1'), ('B2'), ('c3')";
    let connector = agency("loose_probe", setup).await;
    let person = connector.table(&TableName::new("loose_probe", "person")).await.unwrap().unwrap();
    let consent = connector.table(&TableName::new("loose_probe", "consent")).await.unwrap().unwrap();
    let predicates = vec![Expr::equal(Expr::Column(0), Expr::Outer(0))];
    let probe = Probe { table: consent.name, columns: consent.columns, predicates };
    let root = Relation::Scan(Box::new(Scan {
        table: person.name,
        columns: person.columns,
        outputs: vec![Expr::Column(0)],
        policy: vec![Expr::Exists { probe: Box::new(probe), existence: Existence::Required }],
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }));
    let fragment = Fragment { root, schema: schema(&[DataType::Utf8]) };
    let sql = render_fragment(connector.dialect(), &fragment, None, Audience::Source);
    assert_eq!(texts(&connector, &sql).await, some(&["B2"]));
}

/// Every order of NULLs, which are the least of all to the server, and windows beside.
#[tokio::test]
async fn nulls_stand_where_they_are_asked_to() {
    let agency = open("nulls").await;
    for (direction, nulls, expected) in [
        (SortDirection::Ascending, NullsOrder::First, ["Cy", "Dee", "Ann", "Bob"]),
        (SortDirection::Ascending, NullsOrder::Last, ["Dee", "Ann", "Bob", "Cy"]),
        (SortDirection::Descending, NullsOrder::First, ["Cy", "Bob", "Ann", "Dee"]),
        (SortDirection::Descending, NullsOrder::Last, ["Bob", "Ann", "Dee", "Cy"]),
    ] {
        let key = SortKey { expr: Expr::Column(2), direction, nulls };
        let input = Box::new(agency.patients_where(Vec::new()));
        let sorted = Relation::Sort { input, keys: vec![key.clone()], fetch: None };
        let batch = agency.run(project(sorted.clone(), &[1]), &[DataType::Utf8], None).await;
        assert_eq!(column_texts(&batch, 0), some(&expected));
        let skipped = Relation::Limit { input: Box::new(sorted), skip: 3, fetch: None };
        let batch = agency.run(project(skipped, &[1]), &[DataType::Utf8], None).await;
        assert_eq!(column_texts(&batch, 0), some(&expected[3..]));
        let call = WindowCall {
            function: WindowFunction::RowNumber,
            argument: None,
            partition_by: Vec::new(),
            order_by: vec![key],
            frame: None,
            filter: None,
            data_type: DataType::Int64,
        };
        let numbered = Relation::Window { input: Box::new(agency.patients_where(Vec::new())), calls: vec![call] };
        let root = sorted_by_last(numbered);
        let batch = agency.run(project(root, &[1]), &[DataType::Utf8], None).await;
        assert_eq!(column_texts(&batch, 0), some(&expected));
    }
}

fn sorted_by_last(input: Relation) -> Relation {
    let last = input.outputs().len() - 1;
    sorted(input, last)
}

/// A sum that is too large for its type ends the query, and is no other number.
#[tokio::test]
async fn a_sum_that_is_too_large_is_an_error() {
    let connector =
        agency("large_sums", "CREATE TABLE t (n bigint); INSERT INTO t VALUES (9223372036854775807), (1)").await;
    let table = connector.table(&TableName::new("large_sums", "t")).await.unwrap().unwrap();
    let run = async |data_type: DataType| {
        let input = Relation::Scan(Box::new(Scan {
            table: table.name.clone(),
            columns: table.columns.clone(),
            outputs: vec![Expr::Column(0)],
            policy: Vec::new(),
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "A".to_owned() },
        }));
        let aggregates = vec![Aggregate {
            function: AggregateFunction::Sum,
            argument: Some(Expr::Column(0)),
            distinct: false,
            filter: None,
            data_type: data_type.clone(),
        }];
        let root = Relation::Aggregate { input: Box::new(input), groups: Vec::new(), aggregates };
        let fragment = Fragment { root, schema: schema(&[data_type]) };
        let sql = render_fragment(&MysqlDialect, &fragment, None, Audience::Source);
        collect(&connector, &sql, fragment.schema).await
    };
    let refused = run(DataType::Int64).await;
    assert!(matches!(&refused, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "22003"), "{refused:?}");
    let sum = run(DataType::Decimal128(29, 0)).await.unwrap();
    assert_eq!(sum.column(0).as_primitive::<Decimal128Type>().value(0), 9_223_372_036_854_775_808);
}

/// Registers and joins whose keys are computed, at a size at which row against row would never end.
#[tokio::test]
async fn computed_keys_are_looked_up_and_not_tried_one_by_one() {
    let setup = "CREATE TABLE patients (id int PRIMARY KEY, nhs varchar(20), name varchar(20), cost decimal(10,2), visits bigint);
        INSERT INTO patients SELECT seq, seq, seq, 1, seq FROM seq_1_to_40000;
        CREATE TABLE dissent (nhs varchar(20) CHARACTER SET latin1, until text, KEY (nhs));
        INSERT INTO dissent SELECT seq * 2, NULL FROM seq_1_to_20000; CREATE TABLE visits (patient int, day date)";
    let connector = agency("many_keys", setup).await;
    let table = async |name| connector.table(&TableName::new("many_keys", name)).await.unwrap().unwrap();
    let (patients, dissent) = (table("patients").await, table("dissent").await);
    let scan = |table: &Table, outputs: Vec<Expr>, policy: Vec<Expr>| {
        Relation::Scan(Box::new(Scan {
            table: table.name.clone(),
            columns: table.columns.clone(),
            outputs,
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "A".to_owned() },
        }))
    };
    let trimmed = |expr: Expr| Expr::OfText {
        function: wayleave_connector_api::TextFunction::Trim(wayleave_connector_api::TrimSide::Both),
        expr: Box::new(expr),
    };
    let count = async |root: Relation| {
        let aggregates = vec![Aggregate {
            function: AggregateFunction::Count,
            argument: None,
            distinct: false,
            filter: None,
            data_type: DataType::Int64,
        }];
        let root = Relation::Aggregate { input: Box::new(root), groups: Vec::new(), aggregates };
        let fragment = Fragment { root, schema: schema(&[DataType::Int64]) };
        let sql = render_fragment(&MysqlDialect, &fragment, None, Audience::Source);
        let batch = collect(&connector, &sql, fragment.schema).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        batch.column(0).as_primitive::<Int64Type>().value(0)
    };
    let started = Instant::now();
    for (inner, outer) in [(Expr::Column(0), Expr::Outer(1)), (trimmed(Expr::Column(0)), trimmed(Expr::Outer(1)))] {
        for (existence, expected) in [(Existence::Forbidden, 20_000), (Existence::Required, 20_000)] {
            let probe = Probe {
                table: dissent.name.clone(),
                columns: dissent.columns.clone(),
                predicates: vec![Expr::equal(inner.clone(), outer.clone()), Expr::IsNull(Box::new(Expr::Column(1)))],
            };
            let policy = vec![Expr::Exists { probe: Box::new(probe), existence }];
            assert_eq!(count(scan(&patients, vec![Expr::Column(0)], policy)).await, expected);
        }
    }
    let (left, right) =
        (scan(&patients, vec![Expr::Column(1)], Vec::new()), scan(&dissent, vec![Expr::Column(0)], Vec::new()));
    let on = vec![Expr::equal(Expr::Column(0), Expr::Column(1))];
    let (left, right) = (Box::new(left), Box::new(right));
    let joined = Relation::Join { left: left.clone(), right: right.clone(), kind: JoinKind::Inner, on: on.clone() };
    assert_eq!(count(joined).await, 20_000);
    for kind in [SemiKind::Matching, SemiKind::NotMatching] {
        let semi = Relation::SemiJoin { left: left.clone(), right: right.clone(), kind, on: on.clone() };
        assert_eq!(count(semi).await, 20_000);
    }
    let not_in = Relation::NotIn { left, right, left_key: Expr::Column(0), right_key: Expr::Column(0) };
    assert_eq!(count(not_in).await, 20_000);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test]
async fn many_long_texts_are_sorted_and_grouped_at_once() {
    let columns: Vec<String> = (1..=9).map(|number| format!("t{number} text")).collect();
    let rows: Vec<String> = (0..40)
        .map(|row| format!("({})", vec![format!("concat(repeat('x', 60000), {})", row % 20); columns.len()].join(", ")))
        .collect();
    let setup =
        format!("CREATE TABLE long_texts ({}); INSERT INTO long_texts VALUES {}", columns.join(", "), rows.join(", "));
    let connector = agency("long_texts", &setup).await;
    let table = connector.table(&TableName::new("long_texts", "long_texts")).await.unwrap().unwrap();
    let scan = Relation::Scan(Box::new(Scan {
        table: table.name.clone(),
        columns: table.columns.clone(),
        outputs: (0..9).map(Expr::Column).collect(),
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
    }));
    let output = scan.outputs().swap_remove(8);
    assert_eq!(MysqlDialect.sort_support(&output), Support::Exact);
    assert_eq!(MysqlDialect.group_support(&output), Support::Exact);
    let keys: Vec<SortKey> = (0..9).map(|column| ascending(Expr::Column(column))).collect();
    let sorted = Relation::Sort { input: Box::new(scan.clone()), keys, fetch: None };
    let grouped = Relation::Aggregate {
        input: Box::new(scan),
        groups: (0..9).map(Expr::Column).collect(),
        aggregates: vec![Aggregate {
            function: AggregateFunction::Count,
            argument: Some(Expr::Column(8)),
            distinct: true,
            filter: None,
            data_type: DataType::Int64,
        }],
    };
    let texts = vec![DataType::Utf8; 9];
    let with_count: Vec<DataType> = texts.iter().cloned().chain([DataType::Int64]).collect();
    for (root, types, count) in [(sorted, texts, 40), (grouped, with_count, 20)] {
        assert_eq!(run(&connector, root, &types, None).await.num_rows(), count);
    }
}

/// To the database a label is also its number, a set its bits, a year two digits and an unsigned number never below zero.
#[tokio::test]
async fn labels_are_texts_and_bits_are_numbers() {
    let setup = "SET SESSION sql_mode = ''; CREATE TABLE odd (id int, e enum('low','high','7'), s set('a','b'), j json, \
        bit1 bit(1), bit9 bit(9), bit64 bit(64), u1 tinyint unsigned, u8 bigint unsigned, y year, flag tinyint(1)); \
        INSERT INTO odd VALUES (1, 'high', 'b,a', '{\"a\": 1}', 1, 341, ~0, 255, ~0, 2155, 1), \
            (2, 'low', 'b', '[]', 0, 0, 0, 0, 0, 1901, 0), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), \
            (4, 'none', '', 'null', 0, 256, 1, 1, 1, 2001, 2)";
    let connector = agency("odd_types", setup).await;
    let table = connector.table(&TableName::new("odd_types", "odd")).await.unwrap().unwrap();
    let scan = |policy: Vec<Expr>, outputs: Vec<Expr>| {
        Relation::Scan(Box::new(Scan {
            table: table.name.clone(),
            columns: table.columns.clone(),
            outputs,
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
        }))
    };
    let columns = scan(Vec::new(), (0..table.columns.len()).map(Expr::Column).collect()).outputs();
    let at = |name: &str| table.columns.iter().position(|column| column.name == name).unwrap();
    let column = |name: &str| Expr::Column(at(name));
    let compare = |name, op, value: Value| Expr::compare(op, column(name), Expr::Literal(value));
    let is = |name, text: &str| Expr::equal(column(name), Expr::text(text));
    let wide = |unscaled: u64| Value::Decimal128 { unscaled: unscaled.into(), precision: 20, scale: 0 };
    let like =
        |name, pattern: &str| Expr::Like { expr: Box::new(column(name)), pattern: pattern.to_owned(), negated: false };
    let among = |name, list: &[&str]| Expr::InList {
        expr: Box::new(column(name)),
        list: list.iter().map(|text| Value::Text((*text).to_owned())).collect(),
        negated: false,
    };
    let one_less = Expr::Arithmetic {
        op: ArithmeticOp::Subtract,
        left: Box::new(Expr::Widen { expr: Box::new(column("u1")), to: DataType::Int32 }),
        right: Box::new(Expr::Literal(Value::Int32(1))),
        data_type: DataType::Int32,
    };
    let cases: Vec<(Expr, &[i32])> = vec![
        (is("e", "high"), &[1]),
        (is("e", "HIGH"), &[]),
        (is("e", "2"), &[]),
        (is("e", ""), &[4]),
        (compare("e", CompareOp::Less, Value::Text("low".to_owned())), &[1, 4]),
        (among("e", &["low", "1"]), &[2]),
        (like("e", "%o%"), &[2]),
        (is("s", "a,b"), &[1]),
        (is("s", "b,a"), &[]),
        (is("s", "3"), &[]),
        (is("s", ""), &[4]),
        (is("j", "{\"a\": 1}"), &[1]),
        (is("j", "{\"a\":1}"), &[]),
        (column("bit1"), &[1]),
        (Expr::Not(Box::new(column("bit1"))), &[2, 4]),
        (compare("bit9", CompareOp::Equal, Value::Int64(341)), &[1]),
        (compare("bit9", CompareOp::Less, Value::Int64(300)), &[2, 4]),
        (compare("bit64", CompareOp::Equal, wide(u64::MAX)), &[1]),
        (compare("u8", CompareOp::Greater, wide(1 << 63)), &[1]),
        (compare("u8", CompareOp::Equal, wide(0)), &[2]),
        (Expr::compare(CompareOp::Less, one_less, Expr::Literal(Value::Int32(0))), &[2]),
        (compare("y", CompareOp::Equal, Value::Int16(2001)), &[4]),
        (compare("y", CompareOp::Equal, Value::Int16(1)), &[]),
        (compare("y", CompareOp::Less, Value::Int16(1990)), &[2]),
        (column("flag"), &[1]),
        (Expr::Not(Box::new(column("flag"))), &[2]),
    ];
    for (predicate, expected) in cases {
        assert_eq!(MysqlDialect.support(&predicate, &columns), Support::Exact, "{predicate:?}");
        let found =
            run(&connector, sorted(scan(vec![predicate.clone()], vec![Expr::Column(0)]), 0), &[DataType::Int32], None);
        let found = found.await;
        assert_eq!(found.column(0).as_primitive::<Int32Type>().values(), expected, "{predicate:?}");
    }
    for (name, expected) in [("e", ["", "high", "low"]), ("s", ["", "a,b", "b"]), ("j", ["[]", "null", "{\"a\": 1}"])] {
        let batch = run(&connector, sorted(scan(Vec::new(), vec![column(name)]), 0), &[DataType::Utf8], None).await;
        let texts: Vec<String> = column_texts(&batch, 0).into_iter().flatten().collect();
        assert_eq!(texts, expected, "{name}");
        assert_eq!(batch.num_rows(), 4);
    }
}
