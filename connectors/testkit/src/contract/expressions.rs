//! The table of expressions: what each connector either computes as we do, or leaves to us and says why.
//!
//! A case is built over a table of one kind of value: column 0 numbers the rows, columns 1 and 2 (`x`, `y`) hold the values.

use arrow::datatypes::DataType;
use wayleave_connector_api::{
    ArithmeticOp, CompareOp, DatePart, DateUnit, Expr, Form, KeyFormat, Mask, OutputColumn, Scheme, TextFunction,
    TrimSide, Value,
};

use super::Kind;
use super::kind::MONEY;

/// What a case is built from.
pub struct Sample<'a> {
    pub kind: Kind,
    /// The type in which `x` and `y` arrive.
    pub data_type: &'a DataType,
    /// The values of `x`, in that type, without NULL.
    pub values: &'a [Value],
}

pub struct Case {
    pub name: &'static str,
    pub is_for: fn(Kind) -> bool,
    pub build: fn(&Sample<'_>) -> Vec<Expr>,
}

pub const CASES: &[Case] = &[
    Case { name: "literal", is_for: any, build: |sample| sample.values.iter().cloned().map(Expr::Literal).collect() },
    Case { name: "is null", is_for: any, build: |_| vec![Expr::IsNull(x().into()), Expr::IsNotNull(x().into())] },
    Case { name: "equal", is_for: any, build: |sample| compared(sample, &[CompareOp::Equal, CompareOp::NotEqual]) },
    Case {
        name: "order",
        is_for: any,
        build: |sample| {
            use CompareOp::{Greater, GreaterOrEqual, Less, LessOrEqual};
            compared(sample, &[Less, LessOrEqual, Greater, GreaterOrEqual])
        },
    },
    Case { name: "in list", is_for: any, build: in_lists },
    Case { name: "and, or, not", is_for: |kind| kind == Kind::Boolean, build: logic },
    Case { name: "case", is_for: any, build: cases },
    Case {
        name: "coalesce",
        is_for: any,
        build: |sample| {
            let last = sample.values.last().cloned().map(Expr::Literal);
            vec![Expr::Coalesce(vec![x(), y()]), Expr::Coalesce([x(), y()].into_iter().chain(last).collect())]
        },
    },
    Case { name: "widen", is_for: is_plain, build: widened },
    Case { name: "add", is_for: has_room, build: |sample| calculated(sample, ArithmeticOp::Add) },
    Case { name: "subtract", is_for: has_room, build: |sample| calculated(sample, ArithmeticOp::Subtract) },
    Case { name: "multiply", is_for: has_room, build: |sample| calculated(sample, ArithmeticOp::Multiply) },
    Case { name: "divide", is_for: is_number, build: |sample| calculated(sample, ArithmeticOp::Divide) },
    Case { name: "modulo", is_for: is_number, build: |sample| calculated(sample, ArithmeticOp::Modulo) },
    Case { name: "like", is_for: is_text, build: |_| PATTERNS.iter().flat_map(|pattern| likes(pattern)).collect() },
    Case {
        name: "concat",
        is_for: is_text,
        build: |_| {
            vec![
                Expr::Concat(vec![x(), y()]),
                Expr::Concat(vec![Expr::text("<é"), x(), Expr::text("'"), y(), Expr::text("\\")]),
            ]
        },
    },
    Case { name: "length", is_for: is_text, build: |_| vec![of_text(TextFunction::Length)] },
    Case { name: "substring", is_for: is_text, build: |_| substrings() },
    Case {
        name: "left and right",
        is_for: is_text,
        build: |_| {
            let counts = COUNTS.into_iter().flat_map(|n| [TextFunction::Left(n), TextFunction::Right(n)]);
            counts.map(of_text).collect()
        },
    },
    Case {
        name: "trim",
        is_for: is_text,
        build: |_| [TrimSide::Both, TrimSide::Start, TrimSide::End].map(TextFunction::Trim).map(of_text).to_vec(),
    },
    Case {
        name: "replace",
        is_for: is_text,
        build: |_| {
            [("9", ""), ("é", "'"), ("a", "A"), ("e\u{301}", "\\"), ("ss", "ß"), (" ", "%"), ("\\", "/")]
                .map(|(from, to)| of_text(TextFunction::Replace { from: from.to_owned(), to: to.to_owned() }))
                .to_vec()
        },
    },
    Case {
        name: "position",
        is_for: is_text,
        build: |_| {
            ["é", "S", "s", "476", " ", "\u{301}", "🦀", "%", "_", "'", "\\", "[", "a "]
                .map(|text| of_text(TextFunction::Position(text.to_owned())))
                .to_vec()
        },
    },
    Case { name: "upper", is_for: is_text, build: |_| vec![of_text(TextFunction::Upper)] },
    Case { name: "lower", is_for: is_text, build: |_| vec![of_text(TextFunction::Lower)] },
    Case {
        name: "date part",
        is_for: is_dated,
        build: |sample| {
            PARTS
                .into_iter()
                .filter(|part| sample.kind != Kind::Date || part.is_of_dates())
                .map(|part| Expr::DatePart { part, expr: x().into() })
                .collect()
        },
    },
    Case {
        name: "truncate",
        is_for: |kind| is_dated(kind) && kind != Kind::Date,
        build: |_| UNITS.map(|to| Expr::Truncate { to, expr: x().into() }).to_vec(),
    },
    Case { name: "date of", is_for: |kind| is_dated(kind) || is_text(kind), build: |_| vec![Expr::DateOf(x().into())] },
    Case {
        name: "date of, compared",
        is_for: |kind| is_dated(kind) || is_text(kind),
        build: |_| {
            let today = || Expr::Literal(Value::Date(19_723));
            let date = || Expr::DateOf(x().into());
            vec![
                Expr::compare(CompareOp::LessOrEqual, date(), today()),
                Expr::compare(CompareOp::Greater, date(), today()),
                Expr::Or(vec![Expr::IsNull(date().into()), Expr::compare(CompareOp::GreaterOrEqual, date(), today())]),
            ]
        },
    },
    Case { name: "year of date", is_for: is_dated, build: |_| vec![masked(Mask::YearOfDate)] },
    Case { name: "outward postcode", is_for: is_text, build: |_| vec![masked(Mask::OutwardPostcode)] },
    Case {
        name: "last characters",
        is_for: is_text,
        build: |_| [0, 1, 4, u32::MAX].map(|count| masked(Mask::LastCharacters(count))).to_vec(),
    },
    Case {
        name: "subject key",
        is_for: is_text,
        build: |_| formats().into_iter().map(|format| Expr::CanonicalKey { expr: x().into(), format }).collect(),
    },
    Case {
        name: "subject key, compared",
        is_for: is_text,
        build: |_| {
            let key = |form, expr: Expr| Expr::CanonicalKey {
                expr: expr.into(),
                format: KeyFormat { scheme: Scheme::NhsNumber, form, assured: false },
            };
            vec![
                Expr::equal(key(Form::Mixed, x()), Expr::text("9434765919")),
                Expr::equal(key(Form::Mixed, x()), key(Form::Spaced, y())),
                Expr::IsNotNull(key(Form::Hyphenated, x()).into()),
            ]
        },
    },
    Case {
        name: "written key",
        is_for: is_text,
        build: |_| {
            [Form::Compact, Form::Spaced, Form::Hyphenated]
                .map(|form| {
                    let format = KeyFormat { scheme: Scheme::NhsNumber, form, assured: false };
                    let read = KeyFormat { form: Form::Mixed, ..format };
                    Expr::WrittenKey { expr: Expr::CanonicalKey { expr: x().into(), format: read }.into(), format }
                })
                .to_vec()
        },
    },
];

const PATTERNS: [&str; 36] = [
    "%",
    "",
    "_",
    "__",
    "94%",
    "%5919",
    "%\\%%",
    "\\_",
    "\\%",
    "a\\",
    "a\\\\b",
    "\\\\",
    "\\",
    "%\\",
    "%'%",
    "%é%",
    "é",
    "___ ___ ____",
    "%\n%",
    "a%",
    "A%",
    "a_",
    "a_b",
    "[a-z]",
    "%[%",
    "*",
    "?",
    "^",
    "\\a\\b",
    "%🦀",
    "_🦀%",
    "ss",
    "a ",
    "%a",
    "%\\_%",
    "tq1%",
];

const COUNTS: [i32; 10] = [-(1 << 30), -12, -3, -1, 0, 1, 2, 5, 12, 1 << 30];

const PARTS: [DatePart; 10] = [
    DatePart::Year,
    DatePart::Quarter,
    DatePart::Month,
    DatePart::Week,
    DatePart::Day,
    DatePart::DayOfWeek,
    DatePart::IsoDayOfWeek,
    DatePart::DayOfYear,
    DatePart::Hour,
    DatePart::Minute,
];

const UNITS: [DateUnit; 8] = [
    DateUnit::Year,
    DateUnit::Quarter,
    DateUnit::Month,
    DateUnit::Week,
    DateUnit::Day,
    DateUnit::Hour,
    DateUnit::Minute,
    DateUnit::Second,
];

fn x() -> Expr {
    Expr::Column(1)
}

fn y() -> Expr {
    Expr::Column(2)
}

fn any(_: Kind) -> bool {
    true
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text(_))
}

fn is_dated(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Timestamp | Kind::TimestampZoned)
}

fn is_integer(kind: Kind) -> bool {
    matches!(kind, Kind::Int16 | Kind::Int32 | Kind::Int64)
}

fn is_number(kind: Kind) -> bool {
    is_integer(kind) || kind == MONEY
}

/// Whether sums and products of its values have a place in a wider type.
fn has_room(kind: Kind) -> bool {
    is_number(kind) && kind != Kind::Int64
}

fn is_plain(kind: Kind) -> bool {
    is_number(kind) || matches!(kind, Kind::Boolean | Kind::Float32)
}

/// With the other column, and with constants: some of the values, which are found, and NULL.
fn compared(sample: &Sample<'_>, ops: &[CompareOp]) -> Vec<Expr> {
    // Of texts a third of those that somebody thought of.
    let step = if is_text(sample.kind) { 3 } else { 1 };
    let constants =
        sample.values.iter().take(120).step_by(step).cloned().chain([Value::Null(sample.data_type.clone())]);
    let others: Vec<Expr> = constants.map(Expr::Literal).chain([y()]).collect();
    ops.iter().flat_map(|op| others.iter().map(|other| Expr::compare(*op, x(), other.clone()))).collect()
}

fn in_lists(sample: &Sample<'_>) -> Vec<Expr> {
    let null = Value::Null(sample.data_type.clone());
    let half: Vec<Value> = sample.values.iter().step_by(2).cloned().collect();
    let one: Vec<Value> = sample.values.iter().take(1).cloned().collect();
    let with_null: Vec<Value> = one.iter().cloned().chain([null]).collect();
    let list = |list: &Vec<Value>, negated| Expr::InList { expr: x().into(), list: list.clone(), negated };
    [half, one, with_null].iter().flat_map(|values| [list(values, false), list(values, true)]).collect()
}

fn logic(_: &Sample<'_>) -> Vec<Expr> {
    vec![
        Expr::And(vec![x(), y()]),
        Expr::Or(vec![x(), y()]),
        Expr::Not(x().into()),
        Expr::Not(Expr::And(vec![x(), Expr::Not(y().into())]).into()),
        Expr::Or(vec![Expr::And(vec![x(), y()]), Expr::IsNull(Expr::Or(vec![x(), y()]).into())]),
        Expr::And(Vec::new()),
        Expr::Or(Vec::new()),
    ]
}

fn cases(sample: &Sample<'_>) -> Vec<Expr> {
    let other = sample.values.first().cloned().map_or_else(y, Expr::Literal);
    let missing = || Expr::IsNull(x().into());
    vec![
        Expr::Case { branches: vec![(missing(), y())], otherwise: Some(Box::new(x())) },
        Expr::Case { branches: vec![(missing(), y())], otherwise: None },
        Expr::Case {
            branches: vec![(missing(), other), (Expr::IsNull(y().into()), x())],
            otherwise: Some(Box::new(y())),
        },
    ]
}

fn widened(sample: &Sample<'_>) -> Vec<Expr> {
    let targets = [
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(22, 2),
        DataType::Decimal128(38, 10),
        DataType::Utf8,
    ];
    targets
        .into_iter()
        .filter(|to| wayleave_connector_api::widens(sample.data_type, to))
        .map(|to| Expr::Widen { expr: x().into(), to })
        .collect()
}

/// With constants, and with the other column where the type leaves room for every result.
fn calculated(sample: &Sample<'_>, op: ArithmeticOp) -> Vec<Expr> {
    let calculate = |left: Expr, right: Expr, data_type: DataType| Expr::Arithmetic {
        op,
        left: Box::new(left),
        right: Box::new(right),
        data_type,
    };
    let operands: Vec<(Expr, Expr)> = if let DataType::Decimal128(..) = sample.data_type {
        let decimal = |unscaled, precision, scale| Expr::Literal(Value::Decimal128 { unscaled, precision, scale });
        vec![(x(), y()), (x(), decimal(-15, 2, 1)), (x(), decimal(7, 1, 0)), (decimal(333_333, 6, 5), x())]
    } else {
        let long = |expr: Expr| match sample.data_type {
            DataType::Int64 => expr,
            _ => Expr::Widen { expr: expr.into(), to: DataType::Int64 },
        };
        let number = |number| Expr::Literal(Value::Int64(number));
        vec![
            (long(x()), long(y())),
            (long(x()), number(7)),
            (long(x()), number(-3)),
            (long(x()), number(i64::MAX)),
            (number(1_000_003), long(x())),
        ]
    };
    let input = vec![OutputColumn::computed(sample.data_type.clone()); 3];
    operands
        .into_iter()
        .filter_map(|(left, right)| {
            let data_type = super::evaluate::result_type(op, &left, &right, &input)?;
            Some(calculate(left, right, data_type))
        })
        .collect()
}

fn likes(pattern: &str) -> [Expr; 2] {
    [false, true].map(|negated| Expr::Like { expr: x().into(), pattern: pattern.to_owned(), negated })
}

fn of_text(function: TextFunction) -> Expr {
    Expr::OfText { function, expr: x().into() }
}

fn substrings() -> Vec<Expr> {
    let functions = COUNTS.into_iter().flat_map(|start| {
        [None, Some(0), Some(1), Some(3), Some(1 << 30)].map(|length| TextFunction::Substring { start, length })
    });
    functions.map(of_text).collect()
}

fn masked(mask: Mask) -> Expr {
    Expr::Mask { expr: x().into(), mask }
}

/// Every scheme and form, checked and assured.
pub fn formats() -> Vec<KeyFormat> {
    let mut formats = Vec::new();
    for scheme in [Scheme::NhsNumber, Scheme::Opaque] {
        for (_, form) in Form::NAMES {
            formats.extend([false, true].map(|assured| KeyFormat { scheme, form, assured }));
        }
    }
    formats
}

/// Every case over every kind that it is for, as the matrix and the exceptions name it.
pub fn case_name(case: &Case, kind: Kind) -> String {
    format!("{} over {}", case.name, kind.name())
}
