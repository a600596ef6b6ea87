//! Made-up arithmetic over the extremes of every kind of number beside each other: what a dialect lets through never fails, and
//! is what Arrow computes.

use arrow::datatypes::DataType;
use wayleave_connector_api::{ArithmeticOp, Expr, OutputColumn, Support, Value};

use super::evaluate::result_type;
use super::fixture::{Fixture, Settings};
use super::kind::{Kind, MONEY};
use super::prove::Place;
use super::random::Random;
use super::table::{TableSpec, constant};
use super::world::described;

/// So many trees are tried of each kind; the fewest of them that a dialect must let through.
const TREES: usize = 3_000;
const LEAST: usize = 30;

const EXPRESSIONS_AT_ONCE: usize = 50;

fn numbers() -> TableSpec {
    let kinds = [Kind::Int16, Kind::Int32, Kind::Int64, MONEY];
    let columns = [("id", Kind::Int32), ("i16", kinds[0]), ("i32", kinds[1]), ("i64", kinds[2]), ("money", kinds[3])];
    let values = kinds.map(|kind| {
        let values = kind.values();
        let ends = [values[0].clone(), values[1].clone(), Value::Null(kind.data_type())];
        ends.into_iter().chain(values.iter().rev().take(2).cloned()).collect::<Vec<Value>>()
    });
    let count = values[0].len();
    let table = TableSpec::new("numbers", &columns);
    (0..count.pow(4)).fold(table, |table, id| {
        let places = [id % count, id / count % count, id / count.pow(2) % count, id / count.pow(3)];
        let row = values.iter().zip(places).map(|(values, place)| values[place].clone());
        table.with([Value::Int32(i32::try_from(id).unwrap())].into_iter().chain(row))
    })
}

struct Trees<'a> {
    random: Random,
    input: &'a [OutputColumn],
    decimals: bool,
}

impl Trees<'_> {
    fn leaf(&mut self) -> Expr {
        if self.decimals {
            let number = |unscaled, precision, scale| Expr::Literal(Value::Decimal128 { unscaled, precision, scale });
            return match self.random.below(7) {
                0..=2 => Expr::Column(4),
                3 => self.widened(1, DataType::Decimal128(if self.is_narrow(1) { 5 } else { 19 }, 0)),
                4 => number(-15, 2, 1),
                5 => number(7, 1, 0),
                _ => number(333_333, 6, 5),
            };
        }
        let constants = [0, 1, -1, 2, -3, 7, 100, -365, i64::MAX, i64::MIN];
        match self.random.below(6) {
            0 => self.widened(1, DataType::Int64),
            1 => self.widened(2, DataType::Int64),
            2 => Expr::Column(3),
            _ => Expr::Literal(Value::Int64(constants[self.random.below(constants.len())])),
        }
    }

    fn is_narrow(&self, column: usize) -> bool {
        self.input[column].data_type != DataType::Int64
    }

    fn widened(&self, column: usize, to: DataType) -> Expr {
        if self.input[column].data_type == to {
            return Expr::Column(column);
        }
        Expr::Widen { expr: Box::new(Expr::Column(column)), to }
    }

    /// An expression as planning would build it, with the type that Arrow gives it.
    fn tree(&mut self, depth: usize) -> Expr {
        use ArithmeticOp::{Add, Divide, Modulo, Multiply, Subtract};
        if depth == 0 || self.random.below(4) == 0 {
            return self.leaf();
        }
        let op = [Add, Subtract, Multiply, Divide, Modulo][self.random.below(5)];
        let (left, right) = (self.tree(depth - 1), self.tree(depth - 1));
        match result_type(op, &left, &right, self.input) {
            Some(data_type) => Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right), data_type },
            // Too many digits after the point for any type.
            None => left,
        }
    }
}

pub async fn arithmetic_that_goes_down_never_fails(fixture: &dyn Fixture) {
    let spec = numbers();
    let database = fixture.database("arithmetic", std::slice::from_ref(&spec)).await;
    let connector = database.connector(Settings::default());
    let table = described(&*connector, &*database, "numbers").await;
    let place = Place { connector: &*connector, table, rows: spec.arriving(fixture) };
    let input = place.inputs();
    for decimals in [false, true] {
        let random = Random(if decimals { 0xdec1 } else { 0x1234 });
        let mut trees = Trees { random, input: &input, decimals };
        let (mut allowed, mut refused) = (Vec::new(), 0);
        for _ in 0..TREES {
            let expr = trees.tree(3);
            match connector.dialect().support(&expr, &input) {
                Support::Exact if matches!(expr, Expr::Arithmetic { .. }) => allowed.push(expr),
                Support::Exact => {}
                Support::Local { .. } | Support::Superset { .. } => refused += 1,
            }
        }
        assert!(refused > 50, "{refused} are refused");
        // Where not even the multiplication by 1 goes down there is nothing to prove.
        let sample = Expr::Literal(constant(&Value::Int64(1), &DataType::Int64));
        let sample = if decimals { Expr::Column(4) } else { sample };
        let least = Expr::Arithmetic {
            op: ArithmeticOp::Multiply,
            data_type: result_type(ArithmeticOp::Multiply, &sample, &sample, &input).unwrap(),
            left: Box::new(sample.clone()),
            right: Box::new(sample),
        };
        let computes = connector.dialect().support(&least, &input) == Support::Exact;
        assert!(!computes || allowed.len() >= LEAST, "{} go down", allowed.len());
        for chunk in allowed.chunks(EXPRESSIONS_AT_ONCE).take(8) {
            place.values("arithmetic", chunk).await;
        }
    }
}
