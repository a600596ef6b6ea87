//! A few persons and their teams, over which queries are asked.

use std::sync::Arc;

use arrow::datatypes::DataType;
use wayleave_connector_api::{
    Aggregate, AggregateFunction, CompareOp, Connector, Expr, JoinKind, NullsOrder, Relation, Scan, ScanReason,
    SortDirection, SortKey, Table, TableName, Value,
};

use super::Kind;
use super::fixture::{Database, Fixture, Settings};
use super::kind::Order;
use super::table::TableSpec;

pub(super) struct World {
    pub connector: Arc<dyn Connector>,
    /// Gone with this.
    _database: Box<dyn Database>,
    person: Table,
    team: Table,
    /// As what an integer arrives.
    pub integer: DataType,
}

/// The loosest texts that the database has.
fn name_kind(fixture: &dyn Fixture) -> Kind {
    let kinds = [Order::Loose, Order::Language, Order::Bytes].map(Kind::Text);
    kinds.into_iter().find(|kind| fixture.declare(*kind).is_some()).unwrap()
}

impl World {
    pub async fn new(fixture: &dyn Fixture, name: &str) -> Self {
        let text = name_kind(fixture);
        let number = |number: Option<i32>| number.map_or(Value::Null(DataType::Int32), Value::Int32);
        let word = |word: Option<&str>| word.map_or(Value::Null(DataType::Utf8), |word| Value::Text(word.to_owned()));
        let persons = [
            (1, Some(1), Some("Ann"), Some(30)),
            (2, Some(1), Some("ann"), Some(20)),
            (3, Some(2), Some("Bob"), None),
            (4, None, Some("Cy"), Some(40)),
            (5, Some(9), None, Some(20)),
            (6, Some(3), Some("Éa"), Some(25)),
        ];
        let person = TableSpec::new(
            "person",
            &[("id", Kind::Int32), ("team", Kind::Int32), ("name", text), ("age", Kind::Int32)],
        );
        let person = persons.into_iter().fold(person, |table, (id, team, name, age)| {
            table.with([number(Some(id)), number(team), word(name), number(age)])
        });
        let teams = [(1, Some("red")), (2, Some("Red")), (3, Some("blue")), (4, None)];
        let team = TableSpec::new("team", &[("id", Kind::Int32), ("name", text)]);
        let team = teams.into_iter().fold(team, |table, (id, name)| table.with([number(Some(id)), word(name)]));
        let database = fixture.database(name, &[person, team]).await;
        let connector = database.connector(Settings::default());
        let [person, team] =
            [described(&*connector, &*database, "person").await, described(&*connector, &*database, "team").await];
        let integer = person.columns[0].column_type.readable().unwrap().clone();
        Self { connector, _database: database, person, team, integer }
    }

    /// `id, team, name, age`
    pub fn persons(&self) -> Relation {
        scan(&self.person)
    }

    /// `id, name`
    pub fn teams(&self) -> Relation {
        scan(&self.team)
    }

    pub fn value(&self, number: i32) -> Value {
        match self.integer {
            DataType::Int64 => Value::Int64(i64::from(number)),
            _ => Value::Int32(number),
        }
    }

    pub fn number(&self, number: i32) -> Expr {
        Expr::Literal(self.value(number))
    }

    pub fn compare(&self, column: usize, op: CompareOp, number: i32) -> Expr {
        Expr::compare(op, Expr::Column(column), self.number(number))
    }

    pub fn members(&self, kind: JoinKind) -> Relation {
        join(self.persons(), self.teams(), kind, vec![Expr::equal(Expr::Column(1), Expr::Column(4))])
    }

    pub fn sum(&self, column: usize) -> Aggregate {
        call(AggregateFunction::Sum, Some(column), DataType::Int64)
    }
}

pub(super) async fn described(connector: &dyn Connector, database: &dyn Database, table: &str) -> Table {
    let name = TableName::new(database.schema(), table);
    connector.table(&name).await.unwrap().unwrap_or_else(|| panic!("there is no table {name}"))
}

/// A whole table.
pub(super) fn scan(table: &Table) -> Relation {
    scan_with(table, (0..table.columns.len()).map(Expr::Column).collect())
}

pub(super) fn scan_with(table: &Table, outputs: Vec<Expr>) -> Relation {
    Relation::Scan(Box::new(Scan {
        table: table.name.clone(),
        columns: table.columns.clone(),
        outputs,
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }))
}

pub(super) fn join(left: Relation, right: Relation, kind: JoinKind, on: Vec<Expr>) -> Relation {
    Relation::Join { left: Box::new(left), right: Box::new(right), kind, on }
}

pub(super) fn project(input: Relation, columns: &[usize]) -> Relation {
    Relation::Project { input: Box::new(input), exprs: columns.iter().map(|index| Expr::Column(*index)).collect() }
}

pub(super) fn filter(input: Relation, predicate: Expr) -> Relation {
    Relation::Filter { input: Box::new(input), predicate }
}

pub(super) fn key(column: usize, direction: SortDirection, nulls: NullsOrder) -> SortKey {
    SortKey { expr: Expr::Column(column), direction, nulls }
}

pub(super) fn ascending(column: usize) -> SortKey {
    key(column, SortDirection::Ascending, NullsOrder::Last)
}

pub(super) fn sort(input: Relation, keys: Vec<SortKey>, fetch: Option<u64>) -> Relation {
    Relation::Sort { input: Box::new(input), keys, fetch }
}

pub(super) fn limit(input: Relation, skip: u64, fetch: Option<u64>) -> Relation {
    Relation::Limit { input: Box::new(input), skip, fetch }
}

pub(super) fn call(function: AggregateFunction, column: Option<usize>, data_type: DataType) -> Aggregate {
    Aggregate { function, argument: column.map(Expr::Column), distinct: false, filter: None, data_type }
}

pub(super) fn count(column: Option<usize>) -> Aggregate {
    call(AggregateFunction::Count, column, DataType::Int64)
}

pub(super) fn aggregate(input: Relation, groups: &[usize], aggregates: Vec<Aggregate>) -> Relation {
    let groups = groups.iter().map(|column| Expr::Column(*column)).collect();
    Relation::Aggregate { input: Box::new(input), groups, aggregates }
}
