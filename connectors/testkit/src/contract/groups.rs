//! Orders, groupings and aggregates over every kind of value.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take};
use arrow::datatypes::DataType;
use wayleave_connector_api::{
    Aggregate, AggregateFunction, CompareOp, Connector, Dialect, Expr, NullsOrder, OutputColumn, Relation,
    SortDirection, Support, Value,
};

use super::Kind;
use super::answer::{answer, shown};
use super::fixture::{Fixture, excuses};
use super::kind::MONEY;
use super::table::constant;
use super::world::{aggregate, ascending, call, count, filter, key, project, sort};

/// What is asked of a column `x`, which is column 1.
pub(super) struct Use {
    pub name: &'static str,
    pub is_for: fn(Kind) -> bool,
    pub support: fn(&dyn Dialect, &[OutputColumn]) -> Support,
}

pub(super) const USES: &[Use] = &[
    Use { name: "sort", is_for: |_| true, support: |dialect, input| dialect.sort_support(&input[1]) },
    Use { name: "group", is_for: |_| true, support: |dialect, input| dialect.group_support(&input[1]) },
    Use { name: "count distinct", is_for: |_| true, support: |dialect, input| of(dialect, input, &distinct()) },
    Use {
        name: "least and greatest",
        is_for: |_| true,
        support: |dialect, input| of(dialect, input, &ends(&input[1].data_type)[0]),
    },
    Use {
        name: "sum",
        is_for: |kind| matches!(kind, Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Float32 | Kind::Float64 | MONEY),
        support: |dialect, input| of(dialect, input, &sum(&input[1].data_type)),
    },
];

fn of(dialect: &dyn Dialect, input: &[OutputColumn], call: &Aggregate) -> Support {
    dialect.aggregate_support(call, input)
}

fn distinct() -> Aggregate {
    Aggregate { distinct: true, ..count(Some(1)) }
}

fn ends(data_type: &DataType) -> [Aggregate; 2] {
    [AggregateFunction::Min, AggregateFunction::Max].map(|end| call(end, Some(1), data_type.clone()))
}

/// In the type that planning gives a sum whose integers may outgrow their own.
fn sum(data_type: &DataType) -> Aggregate {
    let data_type = match data_type {
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        float if float.is_floating() => DataType::Float64,
        _ => DataType::Decimal128(29, 0),
    };
    call(AggregateFunction::Sum, Some(1), data_type)
}

/// Proves each use of a kind's table `whole` (`id, x, y`), of which `rows` are the rows.
pub(super) async fn prove(
    fixture: &dyn Fixture,
    kind: Kind,
    connector: &dyn Connector,
    whole: &Relation,
    rows: &RecordBatch,
) {
    for asked in USES.iter().filter(|asked| (asked.is_for)(kind)) {
        let name = format!("{} over {}", asked.name, kind.name());
        let support = (asked.support)(connector.dialect(), &whole.outputs());
        let excuses = excuses(fixture, &name);
        if let Support::Local { reason } | Support::Superset { reason } = support {
            assert!(
                excuses.contains(&reason),
                "`{name}` stays here ({reason}), for which the fixture says {excuses:?}"
            );
            continue;
        }
        let named = fixture.cannot().iter().any(|cannot| cannot.what.contains(&name.as_str()));
        assert!(!named, "`{name}` goes down, though it is said that it cannot");
        match asked.name {
            "sort" => sorted(&name, connector, whole, rows).await,
            "group" => grouped(&name, connector, whole, rows).await,
            "count distinct" => {
                let answered = answer(connector, aggregate(whole.clone(), &[], vec![distinct()]), None).await;
                let groups = groups(rows);
                let expected = groups.keys().filter(|value| value.is_some()).count();
                assert_eq!(shown(answered.column(0)), [Some(expected.to_string())], "{name}");
            }
            "sum" => summed(&name, connector, whole, rows).await,
            _ => {
                let calls = ends(rows.column(1).data_type()).to_vec();
                let answered = answer(connector, aggregate(whole.clone(), &[], calls), None).await;
                let values = in_order(rows, SortDirection::Ascending, NullsOrder::Last);
                let values: Vec<String> = values.into_iter().flatten().collect();
                let expected = [values.first().cloned(), values.last().cloned()];
                assert_eq!([0, 1].map(|end| shown(answered.column(end)).remove(0)), expected, "{name}");
            }
        }
    }
}

fn options(direction: SortDirection, nulls: NullsOrder) -> SortOptions {
    SortOptions { descending: direction == SortDirection::Descending, nulls_first: nulls == NullsOrder::First }
}

fn in_order(rows: &RecordBatch, direction: SortDirection, nulls: NullsOrder) -> Vec<Option<String>> {
    let column = |index: usize, options| SortColumn { values: rows.column(index).clone(), options: Some(options) };
    let by = [column(1, options(direction, nulls)), column(0, SortOptions::default())];
    let order = lexsort_to_indices(&by, None).unwrap();
    let values: ArrayRef = take(rows.column(1), &order, None).unwrap();
    shown(&values)
}

async fn sorted(name: &str, connector: &dyn Connector, whole: &Relation, rows: &RecordBatch) {
    for direction in [SortDirection::Ascending, SortDirection::Descending] {
        for nulls in [NullsOrder::First, NullsOrder::Last] {
            let expected = in_order(rows, direction, nulls);
            let keys = vec![key(1, direction, nulls), ascending(0)];
            let all = project(sort(whole.clone(), keys.clone(), None), &[1]);
            assert_eq!(
                shown(answer(connector, all, None).await.column(0)),
                expected,
                "{name}: {direction:?} {nulls:?}"
            );
            let five = project(sort(whole.clone(), keys, Some(5)), &[1]);
            assert_eq!(
                shown(answer(connector, five, None).await.column(0)),
                expected[..5.min(expected.len())],
                "{name}"
            );
        }
    }
}

/// Every value with the number of its rows.
fn groups(rows: &RecordBatch) -> BTreeMap<Option<String>, usize> {
    let mut groups = BTreeMap::new();
    for value in shown(rows.column(1)) {
        *groups.entry(value).or_insert(0) += 1;
    }
    groups
}

async fn grouped(name: &str, connector: &dyn Connector, whole: &Relation, rows: &RecordBatch) {
    let answered = answer(connector, aggregate(whole.clone(), &[1], vec![count(None)]), None).await;
    let counts = shown(answered.column(1)).into_iter().map(|count| count.unwrap().parse().unwrap());
    let found: BTreeMap<Option<String>, usize> = shown(answered.column(0)).into_iter().zip(counts).collect();
    assert_eq!(found.len(), answered.num_rows(), "{name}: a value in two groups");
    assert_eq!(found, groups(rows), "{name}");
    let distinct = answer(connector, aggregate(whole.clone(), &[1], Vec::new()), None).await;
    assert_eq!(distinct.num_rows(), found.len(), "{name}");
}

async fn summed(name: &str, connector: &dyn Connector, whole: &Relation, rows: &RecordBatch) {
    let call = sum(rows.column(1).data_type());
    let digits = |text: String| text.replace('.', "").parse::<i128>().unwrap();
    let positive = |sums: &[Option<String>]| sums.iter().flatten().cloned().map(digits).collect::<Vec<_>>();
    let values = positive(&shown(rows.column(1)));
    let distinct: std::collections::BTreeSet<i128> = values.iter().copied().collect();
    let calls = vec![call.clone(), Aggregate { distinct: true, ..call }];
    let answered = answer(connector, aggregate(whole.clone(), &[], calls), None).await;
    assert_eq!(positive(&shown(answered.column(0))), [values.iter().sum::<i128>()], "{name}");
    assert_eq!(positive(&shown(answered.column(1))), [distinct.iter().sum::<i128>()], "{name} of distinct values");
    assert!(answered.column(0).is_valid(0));
    // Of its greater half alone, whose sum no column of this type could hold.
    let zero = match rows.column(1).data_type() {
        DataType::Decimal128(precision, scale) => {
            Value::Decimal128 { unscaled: 0, precision: *precision, scale: *scale }
        }
        integer => constant(&Value::Int16(0), integer),
    };
    let positive_rows = filter(whole.clone(), Expr::compare(CompareOp::Greater, Expr::Column(1), Expr::Literal(zero)));
    let answered = answer(connector, aggregate(positive_rows, &[], vec![sum(rows.column(1).data_type())]), None).await;
    let expected: i128 = values.iter().filter(|value| **value > 0).sum();
    assert_eq!(positive(&shown(answered.column(0))), [expected], "{name} of positive values");
}
