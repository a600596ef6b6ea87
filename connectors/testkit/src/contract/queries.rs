//! The table of queries: joins, groupings, orders, set operations and windows over [`World`], with their rows.

use arrow::datatypes::DataType;
use wayleave_connector_api::{
    Aggregate, AggregateFunction, CompareOp, Dialect, Expr, Frame, FrameBound, FrameUnits, GroupingSets, JoinKind,
    NullsOrder, OutputColumn, Relation, SemiKind, SetKind, SortDirection, Support, Value, WindowCall, WindowFunction,
};

use super::answer::{answer, rows};
use super::fixture::{Fixture, excuses};
use super::world::{World, aggregate, ascending, call, count, filter, join, key, limit, project, sort};

pub(super) struct Query {
    pub name: &'static str,
    rows_are: Rows,
    build: fn(&World) -> Relation,
}

impl Query {
    pub fn relation(&self, world: &World) -> Relation {
        (self.build)(world)
    }
}

/// The rows that it must give.
enum Rows {
    InOrder(&'static [&'static str]),
    InAny(&'static [&'static str]),
}

use Rows::{InAny, InOrder};

const ASC: SortDirection = SortDirection::Ascending;
const DESC: SortDirection = SortDirection::Descending;

pub(super) const QUERIES: &[Query] = &[
    Query {
        name: "filter",
        rows_are: InAny(&["1", "4", "6"]),
        build: |w| project(filter(w.persons(), w.compare(3, CompareOp::GreaterOrEqual, 25)), &[0]),
    },
    Query {
        name: "inner join",
        rows_are: InAny(&["1|red", "2|red", "3|Red", "6|blue"]),
        build: |w| project(w.members(JoinKind::Inner), &[0, 5]),
    },
    Query {
        name: "left join",
        rows_are: InAny(&["1|red", "2|red", "3|Red", "4|NULL", "5|NULL", "6|blue"]),
        build: |w| project(w.members(JoinKind::Left), &[0, 5]),
    },
    Query {
        name: "right join",
        rows_are: InAny(&["1|1", "2|1", "3|2", "6|3", "NULL|4"]),
        build: |w| project(w.members(JoinKind::Right), &[0, 4]),
    },
    Query {
        name: "full join",
        rows_are: InAny(&["1|1", "2|1", "3|2", "4|NULL", "5|NULL", "6|3", "NULL|4"]),
        build: |w| project(w.members(JoinKind::Full), &[0, 4]),
    },
    Query {
        name: "cross join",
        rows_are: InAny(&["24"]),
        build: |w| aggregate(join(w.persons(), w.teams(), JoinKind::Inner, Vec::new()), &[], vec![count(None)]),
    },
    Query {
        name: "join by order",
        rows_are: InAny(&["3|1", "5|1", "5|2", "5|3", "5|4", "6|1", "6|2"]),
        build: |w| {
            let on = vec![Expr::compare(CompareOp::Less, Expr::Column(4), Expr::Column(1))];
            project(join(w.persons(), w.teams(), JoinKind::Inner, on), &[0, 4])
        },
    },
    Query {
        name: "left join with a condition",
        rows_are: InAny(&["1|red", "2|NULL", "3|NULL", "4|NULL", "5|NULL", "6|NULL"]),
        build: |w| {
            let on = vec![Expr::equal(Expr::Column(1), Expr::Column(4)), w.compare(3, CompareOp::Equal, 30)];
            project(join(w.persons(), w.teams(), JoinKind::Left, on), &[0, 5])
        },
    },
    Query {
        name: "join by text",
        rows_are: InAny(&["1|1", "2|2", "3|3", "4|4", "6|6"]),
        build: |w| {
            let on = vec![Expr::equal(Expr::Column(2), Expr::Column(6))];
            project(join(w.persons(), w.persons(), JoinKind::Inner, on), &[0, 4])
        },
    },
    Query {
        name: "join of three",
        rows_are: InAny(&["1|red|1", "1|red|2", "2|red|1", "2|red|2", "3|Red|3", "6|blue|6"]),
        build: |w| {
            let on = vec![Expr::equal(Expr::Column(4), Expr::Column(7))];
            project(join(w.members(JoinKind::Inner), w.persons(), JoinKind::Inner, on), &[0, 5, 6])
        },
    },
    Query { name: "semi join", rows_are: InAny(&["1", "2", "3", "6"]), build: |w| semi(w, SemiKind::Matching) },
    Query { name: "anti join", rows_are: InAny(&["4", "5"]), build: |w| semi(w, SemiKind::NotMatching) },
    Query {
        name: "mark join",
        rows_are: InAny(&["1|true", "2|true", "3|true", "4|false", "5|false", "6|true"]),
        build: |w| {
            let on = vec![Expr::equal(Expr::Column(1), Expr::Column(4))];
            let join = Relation::MarkJoin { left: w.persons().into(), right: w.teams().into(), on };
            project(join, &[0, 4])
        },
    },
    Query { name: "not in", rows_are: InAny(&["5"]), build: |w| project(not_in(w.persons(), 1, w.teams(), 0), &[0]) },
    Query {
        name: "not in what may be NULL",
        rows_are: InAny(&[]),
        build: |w| project(not_in(w.teams(), 0, w.persons(), 1), &[0]),
    },
    Query {
        name: "not in nothing",
        rows_are: InAny(&["1", "2", "3", "4", "5", "6"]),
        build: |w| {
            let nobody = filter(w.teams(), w.compare(0, CompareOp::Less, 0));
            project(not_in(w.persons(), 1, nobody, 0), &[0])
        },
    },
    Query {
        name: "group by",
        rows_are: InAny(&[
            "1|2|2|50|20|30",
            "2|1|0|NULL|NULL|NULL",
            "3|1|1|25|25|25",
            "9|1|1|20|20|20",
            "NULL|1|1|40|40|40",
        ]),
        build: |w| {
            let ends =
                [AggregateFunction::Min, AggregateFunction::Max].map(|end| call(end, Some(3), w.integer.clone()));
            let calls = [count(None), count(Some(3)), w.sum(3)].into_iter().chain(ends).collect();
            aggregate(w.persons(), &[1], calls)
        },
    },
    Query {
        name: "group by text",
        rows_are: InAny(&["Ann|1", "ann|1", "Bob|1", "Cy|1", "Éa|1", "NULL|1"]),
        build: |w| aggregate(w.persons(), &[2], vec![count(None)]),
    },
    Query {
        name: "least and greatest text",
        rows_are: InAny(&["Ann|Éa|5"]),
        build: |w| {
            let ends = [AggregateFunction::Min, AggregateFunction::Max].map(|end| call(end, Some(2), DataType::Utf8));
            let distinct = Aggregate { distinct: true, ..count(Some(2)) };
            aggregate(w.persons(), &[], ends.into_iter().chain([distinct]).collect())
        },
    },
    Query {
        name: "having",
        rows_are: InAny(&["1|2"]),
        build: |w| {
            let groups = aggregate(w.persons(), &[1], vec![count(None)]);
            filter(groups, Expr::compare(CompareOp::Greater, Expr::Column(1), Expr::Literal(Value::Int64(1))))
        },
    },
    Query {
        name: "aggregate everything",
        rows_are: InAny(&["6|135"]),
        build: |w| aggregate(w.persons(), &[], vec![count(None), w.sum(3)]),
    },
    Query {
        name: "aggregate nothing",
        rows_are: InAny(&["0|NULL"]),
        build: |w| {
            let nobody = filter(w.persons(), w.compare(0, CompareOp::Less, 0));
            aggregate(nobody, &[], vec![count(None), w.sum(3)])
        },
    },
    Query {
        name: "group nothing by a constant",
        rows_are: InAny(&[]),
        build: |w| {
            let nobody = filter(w.persons(), w.compare(0, CompareOp::Less, 0));
            Relation::Aggregate { input: nobody.into(), groups: vec![Expr::text("x")], aggregates: vec![count(None)] }
        },
    },
    Query {
        name: "group by a constant",
        rows_are: InAny(&["x|7|6"]),
        build: |w| Relation::Aggregate {
            input: w.persons().into(),
            groups: vec![Expr::text("x"), w.number(7)],
            aggregates: vec![count(None)],
        },
    },
    Query {
        name: "distinct",
        rows_are: InAny(&["20", "25", "30", "40", "NULL"]),
        build: |w| aggregate(w.persons(), &[3], Vec::new()),
    },
    Query {
        name: "distinct aggregate",
        rows_are: InAny(&["4|115"]),
        build: |w| {
            let calls = [count(Some(3)), w.sum(3)].map(|call| Aggregate { distinct: true, ..call });
            aggregate(w.persons(), &[], calls.into())
        },
    },
    Query {
        name: "filtered aggregate",
        rows_are: InAny(&["3|95|4"]),
        build: |w| {
            let elders = || Some(w.compare(3, CompareOp::GreaterOrEqual, 25));
            let named = Some(Expr::Not(Expr::IsNull(Expr::Column(1).into()).into()));
            let calls = vec![
                Aggregate { filter: elders(), ..count(None) },
                Aggregate { filter: elders(), ..w.sum(3) },
                Aggregate { filter: named, ..count(Some(3)) },
            ];
            aggregate(w.persons(), &[], calls)
        },
    },
    Query {
        name: "grouping sets",
        rows_are: InAny(&["1|0|2", "2|0|1", "3|0|1", "9|0|1", "NULL|0|1", "NULL|1|6"]),
        build: |w| Relation::GroupingSets {
            input: w.persons().into(),
            groups: vec![Expr::Column(1)],
            sets: vec![vec![0], Vec::new()],
            aggregates: vec![count(None)],
        },
    },
    Query {
        name: "ascending, NULL last",
        rows_are: InOrder(&["2", "5", "6", "1", "4", "3"]),
        build: |w| ordered(w, 3, ASC, NullsOrder::Last),
    },
    Query {
        name: "ascending, NULL first",
        rows_are: InOrder(&["3", "2", "5", "6", "1", "4"]),
        build: |w| ordered(w, 3, ASC, NullsOrder::First),
    },
    Query {
        name: "descending, NULL last",
        rows_are: InOrder(&["4", "1", "6", "2", "5", "3"]),
        build: |w| ordered(w, 3, DESC, NullsOrder::Last),
    },
    Query {
        name: "descending, NULL first",
        rows_are: InOrder(&["3", "4", "1", "6", "2", "5"]),
        build: |w| ordered(w, 3, DESC, NullsOrder::First),
    },
    Query {
        name: "order by text",
        rows_are: InOrder(&["6", "2", "4", "3", "1", "5"]),
        build: |w| ordered(w, 2, DESC, NullsOrder::Last),
    },
    Query {
        name: "order by a constant",
        rows_are: InOrder(&["1|2", "2|2", "3|2", "4|2", "5|2", "6|2"]),
        build: |w| {
            let constant = Relation::Project { input: w.persons().into(), exprs: vec![Expr::Column(0), w.number(2)] };
            sort(constant, vec![ascending(1), ascending(0)], None)
        },
    },
    Query {
        name: "top-k",
        rows_are: InOrder(&["4|40", "1|30"]),
        build: |w| project(sort(w.persons(), vec![key(3, DESC, NullsOrder::Last), ascending(0)], Some(2)), &[0, 3]),
    },
    Query {
        name: "limit with offset",
        rows_are: InOrder(&["1", "6"]),
        build: |w| limit(ordered(w, 3, DESC, NullsOrder::Last), 1, Some(2)),
    },
    Query {
        name: "offset alone",
        rows_are: InOrder(&["5", "3"]),
        build: |w| limit(ordered(w, 3, DESC, NullsOrder::Last), 4, None),
    },
    Query {
        name: "limit of a limit",
        rows_are: InOrder(&["6"]),
        build: |w| limit(limit(ordered(w, 3, DESC, NullsOrder::Last), 1, Some(2)), 1, Some(5)),
    },
    Query { name: "limit to nothing", rows_are: InAny(&[]), build: |w| limit(project(w.persons(), &[0]), 0, Some(0)) },
    Query {
        name: "limit without order",
        rows_are: InAny(&["2"]),
        build: |w| {
            let two = limit(project(w.persons(), &[0]), 3, Some(2));
            aggregate(two, &[], vec![count(None)])
        },
    },
    Query {
        name: "filter above a limit",
        rows_are: InAny(&["1", "6"]),
        build: |w| {
            let three = sort(w.persons(), vec![key(3, DESC, NullsOrder::Last)], Some(3));
            project(filter(three, w.compare(3, CompareOp::Less, 35)), &[0])
        },
    },
    Query {
        name: "aggregate above a limit",
        rows_are: InAny(&["95"]),
        build: |w| {
            let three = sort(w.persons(), vec![key(3, DESC, NullsOrder::Last)], Some(3));
            aggregate(three, &[], vec![w.sum(3)])
        },
    },
    Query {
        name: "union all",
        rows_are: InAny(&["1", "1", "2", "2", "3", "3", "4", "4", "5", "6"]),
        build: |w| Relation::Union { inputs: vec![project(w.persons(), &[0]), project(w.teams(), &[0])] },
    },
    Query {
        name: "union all of limits",
        rows_are: InAny(&["1", "6"]),
        build: |w| {
            let end = |direction| sort(project(w.persons(), &[0]), vec![key(0, direction, NullsOrder::Last)], Some(1));
            Relation::Union { inputs: vec![end(ASC), end(DESC)] }
        },
    },
    Query {
        name: "intersect",
        rows_are: InAny(&["1", "2", "3"]),
        build: |w| set(project(w.persons(), &[1]), project(w.teams(), &[0]), SetKind::Intersect),
    },
    Query {
        name: "intersect with NULL",
        rows_are: InAny(&["1", "2", "3", "9", "NULL"]),
        build: |w| set(project(w.persons(), &[1]), project(w.persons(), &[1]), SetKind::Intersect),
    },
    Query {
        name: "except",
        rows_are: InAny(&["9", "NULL"]),
        build: |w| set(project(w.persons(), &[1]), project(w.teams(), &[0]), SetKind::Except),
    },
    Query {
        name: "except by text",
        rows_are: InAny(&["ann", "Bob", "Cy", "NULL", "Éa"]),
        build: |w| {
            let one = filter(w.persons(), w.compare(0, CompareOp::Equal, 1));
            set(project(w.persons(), &[2]), project(one, &[2]), SetKind::Except)
        },
    },
    Query {
        name: "aggregate of a join",
        rows_are: InAny(&["Red|1|NULL", "blue|1|25", "red|2|50"]),
        build: |w| aggregate(w.members(JoinKind::Inner), &[5], vec![count(None), w.sum(3)]),
    },
    Query {
        name: "join of an aggregate",
        rows_are: InAny(&["red|2", "Red|1", "blue|1"]),
        build: |w| {
            let sizes = aggregate(w.persons(), &[1], vec![count(None)]);
            let on = vec![Expr::equal(Expr::Column(0), Expr::Column(2))];
            project(join(w.teams(), sizes, JoinKind::Inner, on), &[1, 3])
        },
    },
    Query { name: "no columns", rows_are: InAny(&["", "", "", "", "", ""]), build: |w| project(w.persons(), &[]) },
    Query {
        name: "row_number",
        rows_are: InAny(&["1|1", "2|2", "3|1", "4|1", "5|1", "6|1"]),
        build: |w| windowed(w, window(WindowFunction::RowNumber, None, &[1], 0, DataType::Int64)),
    },
    Query {
        name: "rank",
        rows_are: InAny(&["1|4", "2|1", "3|6", "4|5", "5|1", "6|3"]),
        build: |w| windowed(w, window(WindowFunction::Rank, None, &[], 3, DataType::Int64)),
    },
    Query {
        name: "dense_rank",
        rows_are: InAny(&["1|3", "2|1", "3|5", "4|4", "5|1", "6|2"]),
        build: |w| windowed(w, window(WindowFunction::DenseRank, None, &[], 3, DataType::Int64)),
    },
    Query {
        name: "ntile",
        rows_are: InAny(&["1|1", "2|1", "3|2", "4|2", "5|3", "6|4"]),
        build: |w| windowed(w, window(WindowFunction::Ntile { buckets: 4 }, None, &[], 0, DataType::Int64)),
    },
    Query {
        name: "lag",
        rows_are: InAny(&["1|0", "2|30", "3|20", "4|NULL", "5|40", "6|20"]),
        build: |w| {
            let lag = WindowFunction::Lag { offset: 1, default: Some(w.value(0)) };
            windowed(w, window(lag, Some(3), &[], 0, w.integer.clone()))
        },
    },
    Query {
        name: "lead",
        rows_are: InAny(&["1|NULL", "2|40", "3|20", "4|25", "5|NULL", "6|NULL"]),
        build: |w| {
            let lead = WindowFunction::Lead { offset: 2, default: None };
            windowed(w, window(lead, Some(3), &[], 0, w.integer.clone()))
        },
    },
    Query {
        name: "first_value",
        rows_are: InAny(&["1|Ann", "2|Ann", "3|Bob", "4|Cy", "5|NULL", "6|Éa"]),
        build: |w| windowed(w, window(WindowFunction::FirstValue, Some(2), &[1], 0, DataType::Utf8)),
    },
    Query {
        name: "last_value",
        rows_are: InAny(&["1|2", "2|3", "3|4", "4|5", "5|6", "6|6"]),
        build: |w| {
            let frame = framed(FrameUnits::Rows, FrameBound::CurrentRow, FrameBound::Following(1));
            let call = window(WindowFunction::LastValue, Some(0), &[], 0, w.integer.clone());
            windowed(w, WindowCall { frame, ..call })
        },
    },
    Query {
        name: "nth_value",
        rows_are: InAny(&["1|NULL", "2|2", "3|2", "4|2", "5|2", "6|2"]),
        build: |w| windowed(w, window(WindowFunction::NthValue { n: 2 }, Some(0), &[], 0, w.integer.clone())),
    },
    Query {
        name: "running sum",
        rows_are: InAny(&["1|30", "2|50", "3|50", "4|90", "5|110", "6|135"]),
        build: |w| {
            let sum = WindowFunction::Aggregate(AggregateFunction::Sum);
            windowed(w, window(sum, Some(3), &[], 0, DataType::Int64))
        },
    },
    Query {
        name: "sum of a range",
        rows_are: InAny(&["1|95", "2|40", "3|135", "4|135", "5|40", "6|65"]),
        build: |w| {
            let sum = WindowFunction::Aggregate(AggregateFunction::Sum);
            let frame = framed(FrameUnits::Range, FrameBound::UnboundedPreceding, FrameBound::CurrentRow);
            windowed(w, WindowCall { frame, ..window(sum, Some(3), &[], 3, DataType::Int64) })
        },
    },
    Query {
        name: "filtered count of a frame",
        rows_are: InAny(&["1|1", "2|1", "3|1", "4|1", "5|2", "6|1"]),
        build: |w| {
            let counted = WindowFunction::Aggregate(AggregateFunction::Count);
            let frame = framed(FrameUnits::Rows, FrameBound::Preceding(1), FrameBound::Following(1));
            let filter = Some(w.compare(3, CompareOp::GreaterOrEqual, 25));
            let call = window(counted, None, &[], 0, DataType::Int64);
            windowed(w, WindowCall { frame, filter, ..call })
        },
    },
    Query {
        name: "filter above a window",
        rows_are: InAny(&["2"]),
        build: |w| {
            let numbered = windowed(w, window(WindowFunction::RowNumber, None, &[1], 0, DataType::Int64));
            let second = Expr::equal(Expr::Column(1), Expr::Literal(Value::Int64(2)));
            project(filter(numbered, second), &[0])
        },
    },
];

fn semi(world: &World, kind: SemiKind) -> Relation {
    let on = vec![Expr::equal(Expr::Column(1), Expr::Column(4))];
    project(Relation::SemiJoin { left: world.persons().into(), right: world.teams().into(), kind, on }, &[0])
}

fn not_in(left: Relation, left_key: usize, right: Relation, right_key: usize) -> Relation {
    Relation::NotIn {
        left: left.into(),
        right: right.into(),
        left_key: Expr::Column(left_key),
        right_key: Expr::Column(right_key),
    }
}

fn set(left: Relation, right: Relation, kind: SetKind) -> Relation {
    Relation::SetOperation { left: left.into(), right: right.into(), kind }
}

fn ordered(world: &World, column: usize, direction: SortDirection, nulls: NullsOrder) -> Relation {
    project(sort(world.persons(), vec![key(column, direction, nulls), ascending(0)], None), &[0])
}

fn window(
    function: WindowFunction,
    argument: Option<usize>,
    partition_by: &[usize],
    order_by: usize,
    data_type: DataType,
) -> WindowCall {
    let frame = match function {
        WindowFunction::FirstValue | WindowFunction::NthValue { .. } | WindowFunction::Aggregate(_) => {
            framed(FrameUnits::Rows, FrameBound::UnboundedPreceding, FrameBound::CurrentRow)
        }
        _ => None,
    };
    WindowCall {
        function,
        argument: argument.map(Expr::Column),
        partition_by: partition_by.iter().map(|column| Expr::Column(*column)).collect(),
        order_by: vec![ascending(order_by)],
        frame,
        filter: None,
        data_type,
    }
}

fn framed(units: FrameUnits, start: FrameBound, end: FrameBound) -> Option<Frame> {
    Some(Frame { units, start, end })
}

/// The person and the window's value.
fn windowed(world: &World, call: WindowCall) -> Relation {
    project(Relation::Window { input: world.persons().into(), calls: vec![call] }, &[0, 4])
}

/// Every query gives its rows, or a part of it stays here for a reason that the fixture names too.
pub async fn queries(fixture: &dyn Fixture) {
    let world = World::new(fixture, "queries").await;
    for query in QUERIES {
        let root = (query.build)(&world);
        let reasons = reasons(world.connector.dialect(), &root);
        let excuses = excuses(fixture, query.name);
        if !reasons.is_empty() {
            let explained = reasons.iter().all(|reason| excuses.contains(reason));
            assert!(explained, "`{}` stays here ({reasons:?}), for which the fixture says {excuses:?}", query.name);
            continue;
        }
        assert!(excuses.is_empty(), "`{}` goes down, though it is said that it cannot", query.name);
        let mut given = rows(&answer(world.connector.as_ref(), root, None).await);
        match query.rows_are {
            InOrder(expected) => assert_eq!(given, expected, "{}", query.name),
            InAny(expected) => {
                let mut expected = expected.to_vec();
                expected.sort_unstable();
                given.sort_unstable();
                assert_eq!(given, expected, "{}", query.name);
            }
        }
    }
}

pub(super) const NO_GROUPING_SETS: &str = "the dialect groups by one set after the other";

/// Why a relation cannot be answered there as it is.
pub(super) fn reasons(dialect: &dyn Dialect, relation: &Relation) -> Vec<&'static str> {
    let mut found: Vec<&'static str> =
        relation.inputs().into_iter().flat_map(|input| reasons(dialect, input)).collect();
    let columns: Vec<OutputColumn> = match relation {
        Relation::Scan(scan) => scan.base_columns(),
        other => other.inputs().into_iter().flat_map(Relation::outputs).collect(),
    };
    let expr = |expr: &Expr| dialect.support(expr, &columns);
    let aggregate = |call: &Aggregate| {
        let parts = call.argument.iter().chain(&call.filter).map(expr);
        parts.chain([dialect.aggregate_support(call, &columns)]).collect::<Vec<_>>()
    };
    let supports: Vec<Support> = match relation {
        Relation::Scan(scan) => scan.outputs.iter().chain(&scan.policy).chain(&scan.lookups).map(expr).collect(),
        Relation::Filter { predicate, .. } => vec![expr(predicate)],
        Relation::Project { exprs, .. } => exprs.iter().map(expr).collect(),
        Relation::Join { on, kind, .. } => on.iter().map(expr).chain([dialect.join_support(*kind)]).collect(),
        Relation::SemiJoin { on, .. } => on.iter().map(expr).collect(),
        Relation::MarkJoin { on, .. } => on.iter().map(expr).chain([dialect.mark_join_support()]).collect(),
        Relation::NotIn { left, left_key, right, right_key } => {
            let support = |key: &Expr, side: &Relation| dialect.group_support(&key.output(&side.outputs()));
            vec![support(left_key, left), support(right_key, right)]
        }
        Relation::Aggregate { groups, aggregates, .. } => {
            let grouped = groups.iter().flat_map(|group| [expr(group), dialect.group_support(&group.output(&columns))]);
            grouped.chain(aggregates.iter().flat_map(aggregate)).collect()
        }
        Relation::GroupingSets { groups, aggregates, .. } => {
            if dialect.grouping_sets() == GroupingSets::UnionAll {
                found.push(NO_GROUPING_SETS);
            }
            let grouped = groups.iter().map(|group| dialect.group_support(&group.output(&columns)));
            grouped.chain(aggregates.iter().flat_map(aggregate)).collect()
        }
        Relation::Window { calls, .. } => calls
            .iter()
            .flat_map(|call| {
                let grouped = call.partition_by.iter().map(|key| dialect.group_support(&key.output(&columns)));
                let sorted = call.order_by.iter().map(|key| dialect.sort_support(&key.expr.output(&columns)));
                let parts = call.argument.iter().chain(&call.filter).map(expr);
                grouped.chain(sorted).chain(parts).chain([dialect.window_support(call, &columns)]).collect::<Vec<_>>()
            })
            .collect(),
        Relation::Sort { keys, .. } => {
            keys.iter().map(|key| dialect.sort_support(&key.expr.output(&columns))).collect()
        }
        Relation::Limit { .. } | Relation::Union { .. } => Vec::new(),
        Relation::SetOperation { left, .. } => {
            left.outputs().iter().map(|output| dialect.group_support(output)).collect()
        }
    };
    found.extend(supports.into_iter().filter_map(|support| match support {
        Support::Exact => None,
        Support::Superset { reason } | Support::Local { reason } => Some(reason),
    }));
    found
}
