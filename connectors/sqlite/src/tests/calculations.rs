//! Arithmetic and functions in a real file: each answers as Arrow's kernels and Rust's texts do, which is what happens here.

use arrow::array::Int64Array;
use arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, ArithmeticOp, Audience, Collation, Column, ColumnType, Dialect, Expr, Fragment,
    OutputColumn, Relation, Scan, ScanReason, Support, TableName, TextFunction, TrimSide, Value, render_fragment,
};

use super::*;
use crate::SqliteDialect;

const DIALECT: SqliteDialect = SqliteDialect;

const NUMBERS: [i64; 11] = [i64::MIN, i64::MIN + 1, -365, -7, -1, 0, 1, 9, 100, i64::MAX - 1, i64::MAX];

const TEXTS: [&str; 18] = [
    "",
    " ",
    "  two  ",
    "\u{a0}nbsp\u{a0}",
    "\ttab ",
    "a",
    "é",
    "e\u{301}",
    "🦀🦀",
    "\0",
    "a\0b\0",
    " \0 ",
    "'",
    "\\",
    "Straße",
    "İI ıi",
    "ΣΑΣ",
    "9434765919",
];

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

fn calculation(op: ArithmeticOp, left: Expr, right: Expr) -> Expr {
    Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right), data_type: DataType::Int64 }
}

#[tokio::test]
async fn arithmetic_stays_within_64_bits_or_stays_here() {
    let database = Database::new("CREATE TABLE t (x INTEGER)");
    for number in NUMBERS {
        database.writer.execute("INSERT INTO t VALUES (?1)", [number]).unwrap();
    }
    database.writer.execute("INSERT INTO t VALUES (NULL)", []).unwrap();
    let connector = database.connector();
    let values = Int64Array::from(NUMBERS.iter().copied().map(Some).chain([None]).collect::<Vec<_>>());
    let input = [OutputColumn {
        data_type: DataType::Int64,
        collation: Collation::Binary,
        source_type: Some("INTEGER".to_owned()),
    }];
    let kernels = [
        (ArithmeticOp::Add, add as fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> _),
        (ArithmeticOp::Subtract, sub),
        (ArithmeticOp::Multiply, mul),
        (ArithmeticOp::Divide, div),
        (ArithmeticOp::Modulo, rem),
    ];
    let (mut exact, mut here) = (0, 0);
    for constant in NUMBERS {
        for (outer, outer_kernel) in kernels {
            for (inner, inner_kernel) in kernels {
                let number = |number| Expr::Literal(Value::Int64(number));
                let expr = calculation(outer, calculation(inner, Expr::Column(0), number(constant)), number(7));
                if DIALECT.support(&expr, &input) != Support::Exact {
                    here += 1;
                    continue;
                }
                exact += 1;
                let scalar = |number| Int64Array::new_scalar(number);
                let first = inner_kernel(&values, &scalar(constant)).unwrap();
                let expected = outer_kernel(&first, &scalar(7)).unwrap();
                let relation = scan("INTEGER", DataType::Int64, Collation::Binary, vec![expr.clone()]);
                assert_eq!(evaluate(&connector, relation).await.column(0), &expected, "{expr:?}");
            }
        }
    }
    assert!(exact > 50 && here > 50, "{exact} {here}");
}

fn rule(function: &TextFunction, text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let count = i32::try_from(characters.len()).unwrap();
    let slice = |from: i32, to: i32| {
        let bound = |place: i32| usize::try_from(place.clamp(0, count)).unwrap();
        characters[bound(from)..bound(to).max(bound(from))].iter().collect::<String>()
    };
    Some(match function {
        TextFunction::Substring { start, length } => {
            slice(start - 1, length.map_or(count, |length| (start - 1).saturating_add(length)))
        }
        TextFunction::Left(length) if *length < 0 => slice(0, count + length),
        TextFunction::Left(length) => slice(0, *length),
        TextFunction::Right(length) if *length < 0 => slice(-length, count),
        TextFunction::Right(length) => slice(count - length, count),
        TextFunction::Trim(TrimSide::Both) => text.trim_matches(' ').to_owned(),
        TextFunction::Trim(TrimSide::Start) => text.trim_start_matches(' ').to_owned(),
        TextFunction::Trim(TrimSide::End) => text.trim_end_matches(' ').to_owned(),
        TextFunction::Replace { from, to } => text.replace(from, to),
        TextFunction::Upper => text.to_uppercase(),
        TextFunction::Lower => text.to_lowercase(),
        TextFunction::Length => count.to_string(),
        TextFunction::Position(part) => {
            text.find(part.as_str()).map_or(0, |place| text[..place].chars().count() + 1).to_string()
        }
    })
}

#[tokio::test]
async fn functions_of_texts_count_every_character() {
    let most = 1 << 30;
    let mut functions = vec![
        TextFunction::Length,
        TextFunction::Upper,
        TextFunction::Lower,
        TextFunction::Trim(TrimSide::Both),
        TextFunction::Trim(TrimSide::Start),
        TextFunction::Trim(TrimSide::End),
        TextFunction::Replace { from: "\0".to_owned(), to: String::new() },
        TextFunction::Replace { from: "é".to_owned(), to: "e'".to_owned() },
        TextFunction::Position("\0".to_owned()),
        TextFunction::Position("🦀".to_owned()),
        TextFunction::Position("\u{301}".to_owned()),
    ];
    for number in [-most, -3, -1, 0, 1, 2, 5, most] {
        functions.extend([TextFunction::Left(number), TextFunction::Right(number)]);
        functions.push(TextFunction::Substring { start: number, length: None });
        functions.extend([0, 1, 3, most].map(|length| TextFunction::Substring { start: number, length: Some(length) }));
    }
    for (declared, collation) in [("TEXT", Collation::Binary), ("TEXT COLLATE NOCASE", Collation::Loose)] {
        let database = Database::new(&format!("CREATE TABLE t (x {declared})"));
        for text in TEXTS {
            database.writer.execute("INSERT INTO t VALUES (?1)", [text]).unwrap();
        }
        database.writer.execute("INSERT INTO t VALUES (NULL)", []).unwrap();
        let connector = database.connector();
        for function in &functions {
            let expr = Expr::OfText { function: function.clone(), expr: Box::new(Expr::Column(0)) };
            let answers = evaluate(&connector, scan("TEXT", DataType::Utf8, collation, vec![expr])).await;
            let mut expected: Vec<Option<String>> = TEXTS.iter().map(|text| rule(function, text)).collect();
            expected.push(None);
            assert_eq!(shown(answers.column(0)), expected, "{function:?}");
        }
        let concat = Expr::Concat(vec![Expr::text("<\0"), Expr::Column(0), Expr::text("'>")]);
        let answers = evaluate(&connector, scan("TEXT", DataType::Utf8, collation, vec![concat])).await;
        let mut expected: Vec<Option<String>> = TEXTS.iter().map(|text| Some(format!("<\0{text}'>"))).collect();
        expected.push(None);
        assert_eq!(shown(answers.column(0)), expected);
    }
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
