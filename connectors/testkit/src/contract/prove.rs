//! Runs the table of expressions at a source, and holds each answer against [`evaluate`].

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{sort_to_indices, take};
use arrow::datatypes::DataType;
use wayleave_connector_api::{
    Connector, Expr, OutputColumn, Relation, Scan, ScanReason, Support, Table, TableName, Value,
};

use super::answer::{answer, shown};
use super::evaluate::evaluate;
use super::expressions::{CASES, Case, Sample, case_name};
use super::fixture::{Fixture, Settings, excuses};
use super::kind::rarity;
use super::moment::is_open_to_debate;
use super::table::{TableSpec, constant};
use super::{Kind, groups};

/// Expressions of one statement.
const EXPRESSIONS_A_STATEMENT: usize = 30;

/// Kinds of up to so many values stand beside each other in every way.
const FEW_VALUES: usize = 16;

/// The table over which a kind's cases run: `id`, `x` and `y`.
pub(super) fn spec(fixture: &dyn Fixture, kind: Kind) -> TableSpec {
    let held = |value: &Value| rarity(value).is_none_or(|rarity| excuses(fixture, rarity).is_empty());
    let null = Value::Null(kind.data_type());
    let values: Vec<Value> = kind.values().into_iter().filter(held).collect();
    let mut pairs = Vec::new();
    if values.len() <= FEW_VALUES {
        let all: Vec<Value> = values.iter().cloned().chain([null]).collect();
        pairs.extend(all.iter().flat_map(|x| all.iter().map(move |y| (x.clone(), y.clone()))));
    } else {
        let next = values.iter().cycle().skip(1);
        pairs.extend(values.iter().cloned().zip(next.cloned()));
        pairs.extend(values.iter().step_by(5).map(|value| (value.clone(), value.clone())));
        pairs.extend([(null.clone(), values[0].clone()), (values[0].clone(), null.clone()), (null.clone(), null)]);
    }
    let table = TableSpec::new(&kind.table(), &[("id", Kind::Int32), ("x", kind), ("y", kind)]);
    pairs
        .into_iter()
        .enumerate()
        .fold(table, |table, (id, (x, y))| table.with([Value::Int32(i32::try_from(id).unwrap()), x, y]))
}

/// One kind's table at a source, with what should be in it.
pub(super) struct Place<'a> {
    pub connector: &'a dyn Connector,
    pub table: Table,
    pub rows: RecordBatch,
}

impl Place<'_> {
    fn scan(&self, outputs: Vec<Expr>, policy: Vec<Expr>) -> Relation {
        Relation::Scan(Box::new(Scan {
            table: self.table.name.clone(),
            columns: self.table.columns.clone(),
            outputs,
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "A".to_owned() },
        }))
    }

    fn whole(&self) -> Relation {
        self.scan((0..self.table.columns.len()).map(Expr::Column).collect(), Vec::new())
    }

    pub fn inputs(&self) -> Vec<OutputColumn> {
        self.table.columns.iter().map(OutputColumn::from).collect()
    }

    /// Whether this row's answer is each database's own affair.
    fn is_open(&self, expr: &Expr, row: usize) -> bool {
        let x = self.rows.column(1);
        *x.data_type() == DataType::Utf8
            && has_date_of(expr)
            && x.is_valid(row)
            && is_open_to_debate(x.as_string::<i32>().value(row))
    }

    /// These expressions in the SELECT of the table itself, and over a derived table.
    pub async fn values(&self, name: &str, exprs: &[Expr]) {
        for chunk in exprs.chunks(EXPRESSIONS_A_STATEMENT) {
            let outputs: Vec<Expr> = std::iter::once(Expr::Column(0)).chain(chunk.iter().cloned()).collect();
            let derived = Relation::Project { input: Box::new(self.whole()), exprs: outputs.clone() };
            for root in [self.scan(outputs, Vec::new()), derived] {
                let answered = by_id(&answer(self.connector, root, None).await);
                assert_eq!(answered.num_rows(), self.rows.num_rows(), "{name}");
                for (index, expr) in chunk.iter().enumerate() {
                    self.compare(name, expr, answered.column(index + 1));
                }
            }
        }
    }

    fn compare(&self, name: &str, expr: &Expr, answered: &ArrayRef) {
        let expected = evaluate(expr, &self.rows);
        assert_eq!(answered.data_type(), expected.data_type(), "{name}: {expr:?}");
        if answered == &expected {
            return;
        }
        let (there, here) = (shown(answered), shown(&expected));
        for row in 0..self.rows.num_rows() {
            if there[row] != here[row] && !self.is_open(expr, row) {
                let [x, y] = [1, 2].map(|column| shown(&self.rows.column(column).slice(row, 1)).remove(0));
                panic!("{name}: {expr:?} over x = {x:?}, y = {y:?} is {:?} there and {:?} here", there[row], here[row]);
            }
        }
    }

    /// A condition in the WHERE of the table itself, and over a derived table.
    async fn filter(&self, name: &str, expr: &Expr, support: &Support) {
        let expected = evaluate(expr, &self.rows);
        let holds = expected.as_boolean();
        let kept = |row: usize| holds.is_valid(row) && holds.value(row);
        let ids = || (0..self.rows.num_rows()).filter(|row| !self.is_open(expr, *row));
        let wanted: BTreeSet<usize> = ids().filter(|row| kept(*row)).collect();
        let policy = self.scan(vec![Expr::Column(0)], vec![expr.clone()]);
        let filter = Relation::Project {
            input: Box::new(Relation::Filter { input: Box::new(self.whole()), predicate: expr.clone() }),
            exprs: vec![Expr::Column(0)],
        };
        for root in [policy, filter] {
            let answered = answer(self.connector, root, None).await;
            let all: BTreeSet<usize> =
                shown(answered.column(0)).into_iter().map(|id| id.unwrap().parse().unwrap()).collect();
            let found: BTreeSet<usize> = ids().filter(|row| all.contains(row)).collect();
            match support {
                Support::Superset { .. } => assert!(found.is_superset(&wanted), "{name}: {expr:?} loses rows"),
                Support::Exact | Support::Local { .. } => {
                    let wrong: Vec<_> = found
                        .symmetric_difference(&wanted)
                        .map(|row| [1, 2].map(|column| shown(&self.rows.column(column).slice(*row, 1)).remove(0)))
                        .collect();
                    assert!(wrong.is_empty(), "{name}: {expr:?} as a filter is wrong over {wrong:?}");
                }
            }
        }
    }
}

fn has_date_of(expr: &Expr) -> bool {
    matches!(expr, Expr::DateOf(_)) || expr.children().into_iter().any(has_date_of)
}

fn by_id(batch: &RecordBatch) -> RecordBatch {
    let order = sort_to_indices(batch.column(0), None, None).unwrap();
    let columns = batch.columns().iter().map(|column| take(column, &order, None).unwrap()).collect();
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// Every case that is for this kind: what the dialect calls exact is exact, what it calls a superset is one, and what it leaves
/// to us the fixture names with the dialect's own reason.
pub async fn expressions(fixture: &dyn Fixture, kind: Kind) {
    let Some(declared) = fixture.declare(kind) else {
        let name = format!("type {}", kind.name());
        assert!(!excuses(fixture, &name).is_empty(), "`{name}` is neither declared nor explained");
        return;
    };
    let spec = spec(fixture, kind);
    let database = fixture.database(&format!("of_{}", kind.table()), std::slice::from_ref(&spec)).await;
    let connector = database.connector(Settings::default());
    let table = connector.table(&TableName::new(database.schema(), &spec.name)).await.unwrap().unwrap();
    assert_eq!(table.columns[1].column_type.readable(), Some(&declared.arrives), "{}", kind.name());
    let place = Place { connector: connector.as_ref(), table, rows: spec.arriving(fixture) };
    // What is in the table has arrived unchanged: without this the rest would prove nothing.
    place.values(&format!("reading {}", kind.name()), &[Expr::Column(1), Expr::Column(2)]).await;
    groups::prove(fixture, kind, connector.as_ref(), &place.whole(), &place.rows).await;
    for case in CASES.iter().filter(|case| (case.is_for)(kind)) {
        let name = case_name(case, kind);
        let judged = judge(case, kind, connector.as_ref(), &place.inputs());
        let exact: Vec<Expr> = judged.with(&Support::Exact);
        place.values(&name, &exact).await;
        for (expr, support) in &judged.exprs {
            let is_condition = expr.output(&place.inputs()).data_type == DataType::Boolean;
            if is_condition && !matches!(support, Support::Local { .. }) {
                place.filter(&name, expr, support).await;
            }
        }
        judged.check(fixture, &name);
    }
}

/// What a dialect says of a case's expressions.
pub(super) struct Judged {
    pub exprs: Vec<(Expr, Support)>,
}

pub(super) fn judge(case: &Case, kind: Kind, connector: &dyn Connector, inputs: &[OutputColumn]) -> Judged {
    let data_type = inputs[1].data_type.clone();
    let values: Vec<Value> = kind.values().iter().map(|value| constant(value, &data_type)).collect();
    let exprs = (case.build)(&Sample { kind, data_type: &data_type, values: &values });
    assert!(!exprs.is_empty() || case.name == "widen", "{} has no expression over {}", case.name, kind.name());
    let dialect = connector.dialect();
    let judged = exprs.into_iter().map(|expr| {
        let support = dialect.support(&expr, inputs);
        (expr, support)
    });
    Judged { exprs: judged.collect() }
}

impl Judged {
    fn with(&self, wanted: &Support) -> Vec<Expr> {
        self.exprs.iter().filter(|(_, support)| support == wanted).map(|(expr, _)| expr.clone()).collect()
    }

    /// Why some of it stays here.
    pub fn reasons(&self) -> BTreeSet<&'static str> {
        self.exprs
            .iter()
            .filter_map(|(_, support)| match support {
                Support::Local { reason } => Some(*reason),
                Support::Exact | Support::Superset { .. } => None,
            })
            .collect()
    }

    pub fn goes_down(&self) -> bool {
        self.exprs.is_empty() || self.exprs.iter().any(|(_, support)| !matches!(support, Support::Local { .. }))
    }

    fn check(&self, fixture: &dyn Fixture, name: &str) {
        let excuses = excuses(fixture, name);
        if self.goes_down() {
            let named = fixture.cannot().iter().any(|cannot| cannot.what.contains(&name));
            assert!(!named, "`{name}` goes down, though it is said that it cannot");
        } else {
            let reasons = self.reasons();
            let explained = !excuses.is_empty() && reasons.iter().all(|reason| excuses.contains(reason));
            assert!(explained, "`{name}` stays here ({reasons:?}), for which the fixture says {excuses:?}");
        }
    }
}
