//! Each SQL expression against the same rule in Rust, over texts that nobody would want in a database.

use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, Int32Type};
use chrono::{Datelike, NaiveDate};
use wayleave_connector_api::{
    Collation, Column, ColumnType, CompareOp, Dialect, Expr, Form, Fragment, JoinKind, KeyFormat, Mask, NullsOrder,
    OutputColumn, Relation, Scan, ScanReason, Scheme, SortDirection, SortKey, Support, TableName, TextFunction, Value,
    render_fragment,
};

use super::reading::Random;
use super::*;
use crate::MysqlDialect;

/// Texts as a careless century leaves them behind.
fn nasty() -> Vec<String> {
    let fixed = [
        "9434765919",
        "943 476 5919",
        "943-476-5919",
        "943 476-5919",
        "9434765919\n",
        "\n9434765919",
        "943 476 5919\n",
        " 9434765919",
        "9434765919 ",
        "943  476 5919",
        "９４３４７６５９１９",
        "٩٤٣٤٧٦٥٩١٩",
        "9434765918",
        "0000000000",
        "000 000 0000",
        "94347659",
        "94347659190",
        "943\u{a0}476\u{a0}5919",
        "943\t476\t5919",
        "",
        " ",
        "-",
        "'",
        "\"",
        "\\",
        "\\'",
        "{}",
        "{a,b}",
        "NULL",
        "null",
        "%",
        "_",
        "a%b",
        "a\\b",
        "É",
        "é",
        "e\u{301}",
        "ß",
        "SS",
        "ss",
        "I",
        "ı",
        "i",
        "🦀🦀🦀",
        "\u{10ffff}\u{10ffff}\u{10ffff}",
        "\r\n",
        "TQ1 2AB",
        "tq12ab",
        " W1A 1AA ",
        "W1",
        "EC1A1BB",
        "TQ12AB\n",
        "a b",
        "abcde fgh",
        "abcdef g",
        "2024-02-29",
        "2023-02-29",
        "1900-02-29",
        "2000-02-29",
        "2400-02-29",
        "0000-01-01",
        "0001-01-01",
        "9999-12-31",
        "2024-04-31",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
        "2024-1-1",
        "2024-01-01T10:00:00Z",
        "2024-01-01 23:59",
        "2024-01-01 24:00",
        "2024-01-01+02",
        "2024-01-01T10:00+05:00",
        "01/02/2024",
        "2024-01-01\n",
        "infinity",
        "now",
        "today",
        "２０２４-01-01",
    ];
    let mut texts: Vec<String> = fixed.iter().map(|text| (*text).to_owned()).collect();
    let mut random = Random(0x00c0_ffee);
    for _ in 0..1_500 {
        let mut text: Vec<char> = fixed[random.below(fixed.len())].chars().collect();
        for _ in 0..random.below(3) {
            let new = ['0', '1', '9', ' ', '-', 'A', '\n', 'é', '2'][random.below(9)];
            let place = random.below(text.len() + 1);
            match random.below(3) {
                0 => text.insert(place, new),
                1 if place < text.len() => text[place] = new,
                _ if place < text.len() => {
                    text.remove(place);
                }
                _ => {}
            }
        }
        texts.push(text.into_iter().collect());
    }
    for _ in 0..500 {
        let digits: Vec<usize> = (0..9).map(|_| random.below(10)).collect();
        let sum: usize = digits.iter().zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
        let check = (11 - sum % 11) % 11;
        let plain: String = digits.iter().map(ToString::to_string).collect::<String>() + &check.to_string();
        let gap = ["", " ", "-"][random.below(3)];
        texts.push([&plain[..3], &plain[3..6], &plain[6..]].join(gap));
    }
    texts
}

fn text_column(name: &str, own: &str, collation: Collation) -> Column {
    Column {
        name: name.to_owned(),
        source_type: format!("text collate {own}"),
        column_type: ColumnType::Readable(DataType::Utf8),
        nullable: true,
        collation,
    }
}

/// The same text in three columns: byte order, a language's in which case does not matter, and byte order in which trailing
/// blanks do not.
fn columns() -> Vec<Column> {
    let id = Column {
        name: "id".to_owned(),
        source_type: "int(11)".to_owned(),
        column_type: ColumnType::Readable(DataType::Int32),
        nullable: false,
        collation: Collation::Binary,
    };
    let texts = [
        ("x", "utf8mb4_nopad_bin", Collation::Binary),
        ("y", "utf8mb4_unicode_520_ci", Collation::Loose),
        ("z", "utf8mb4_bin", Collation::Loose),
    ];
    std::iter::once(id).chain(texts.map(|(name, own, collation)| text_column(name, own, collation))).collect()
}

fn scan(outputs: Vec<Expr>, policy: Vec<Expr>) -> Relation {
    Relation::Scan(Box::new(Scan {
        table: TableName::new("nasty", "nasty"),
        columns: columns(),
        outputs,
        policy,
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }))
}

/// One schema for every test that only reads it.
pub(super) async fn nasty_agency() -> (MysqlConnector, Vec<String>) {
    static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let texts = nasty();
    MADE.get_or_init(|| async {
        let rows: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(id, text)| {
                let literal = MysqlDialect.literal(&Value::Text(text.clone()));
                format!("({id}, {literal}, {literal}, {literal})")
            })
            .collect();
        let setup = format!(
            "SET NAMES utf8mb4; CREATE TABLE nasty (id int PRIMARY KEY, x text COLLATE utf8mb4_nopad_bin, \
             y text COLLATE utf8mb4_unicode_520_ci, z text COLLATE utf8mb4_bin) CHARACTER SET utf8mb4; \
             INSERT INTO nasty VALUES {}; INSERT INTO nasty VALUES (1000000, NULL, NULL, NULL)",
            rows.join(", ")
        );
        agency("nasty", &setup).await;
    })
    .await;
    (MysqlConnector::new(options(&server().url("nasty"))).unwrap(), texts)
}

/// The expression over every row, the one of NULLs last.
pub(super) async fn evaluate(connector: &MysqlConnector, expr: Expr, data_type: DataType) -> arrow::array::ArrayRef {
    let keys = vec![SortKey { expr: Expr::Column(0), direction: SortDirection::Ascending, nulls: NullsOrder::Last }];
    let input = Box::new(scan(vec![Expr::Column(0), expr], Vec::new()));
    let root = Relation::Sort { input, keys, fetch: None };
    let types = schema(&[DataType::Int32, data_type]);
    let fragment = Fragment { root, schema: Arc::clone(&types) };
    let sql = render_fragment(&MysqlDialect, &fragment, None, wayleave_connector_api::Audience::Source);
    let batch = collect(connector, &sql, types).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    Arc::clone(batch.column(1))
}

pub(super) async fn compare_texts(
    connector: &MysqlConnector,
    texts: &[String],
    expr: impl Fn(Expr) -> Expr,
    rule: impl Fn(&str) -> Option<String>,
) {
    for column in 1..=3 {
        let expr = expr(Expr::Column(column));
        let support = MysqlDialect.support(&expr, &columns().iter().map(OutputColumn::from).collect::<Vec<_>>());
        assert_eq!(support, Support::Exact, "{expr:?}");
        let answers = evaluate(connector, expr.clone(), DataType::Utf8).await;
        let mut answers = answers.as_string::<i32>().iter();
        for text in texts {
            assert_eq!(answers.next().unwrap().map(str::to_owned), rule(text), "{text:?} in {expr:?}");
        }
        assert_eq!(answers.next(), Some(None));
    }
}

#[tokio::test]
async fn subject_keys_are_read_as_the_rules_say() {
    let (connector, texts) = nasty_agency().await;
    for scheme in [Scheme::NhsNumber, Scheme::Opaque] {
        for (_, form) in Form::NAMES {
            for assured in [false, true] {
                let format = KeyFormat { scheme, form, assured };
                compare_texts(
                    &connector,
                    &texts,
                    |expr| Expr::CanonicalKey { expr: Box::new(expr), format },
                    |text| format.canonical(text),
                )
                .await;
            }
        }
    }
}

fn outward(text: &str) -> Option<String> {
    let text: Vec<char> = text.trim_matches(' ').chars().collect();
    match text.iter().position(|c| *c == ' ') {
        Some(place @ 1..=4) => Some(text[..place].iter().collect()),
        None if (5..=7).contains(&text.len()) => Some(text[..text.len() - 3].iter().collect()),
        _ => None,
    }
}

fn last(text: &str, count: usize) -> String {
    let text: Vec<char> = text.chars().collect();
    if text.len() > count {
        format!("***{}", text[text.len() - count..].iter().collect::<String>())
    } else {
        "***".to_owned()
    }
}

#[tokio::test]
async fn masks_show_what_they_may_and_no_more() {
    let (connector, texts) = nasty_agency().await;
    let mask = |mask| move |expr| Expr::Mask { expr: Box::new(expr), mask };
    compare_texts(&connector, &texts, mask(Mask::OutwardPostcode), outward).await;
    for count in [0, 1, 4, u32::MAX] {
        let rule = |text: &str| Some(last(text, usize::try_from(count).unwrap()));
        compare_texts(&connector, &texts, mask(Mask::LastCharacters(count)), rule).await;
    }
}

fn iso_date(text: &str) -> Option<NaiveDate> {
    let (date, rest) = text.split_at_checked(10)?;
    let shape = date.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect::<Vec<_>>();
    if shape != *b"0000-00-00" || date.starts_with("0000") {
        return None;
    }
    let parsed = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let time = rest.strip_prefix(['T', ' ']).map(|time| time.strip_suffix('Z').unwrap_or(time));
    match time {
        None => rest.is_empty().then_some(parsed),
        Some(time) if time.starts_with(|c: char| c.is_ascii_digit()) && time.len() >= 5 && time.is_ascii() => {
            let known = ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f"];
            let two =
                time.split([':', '.']).take(3).all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()));
            (two && known.iter().any(|format| chrono::NaiveTime::parse_from_str(time, format).is_ok()))
                .then_some(parsed)
        }
        Some(_) => None,
    }
}

#[tokio::test]
async fn a_text_is_a_date_or_nothing_and_never_an_error() {
    let (connector, texts) = nasty_agency().await;
    for column in 1..=3 {
        let answers = evaluate(&connector, Expr::DateOf(Box::new(Expr::Column(column))), DataType::Date32).await;
        let answers = answers.as_primitive::<Date32Type>();
        let mut dates = 0;
        for (text, days) in texts.iter().zip(answers.iter()) {
            let expected = iso_date(text).map(|date| date.num_days_from_ce() - 719_163);
            assert_eq!(days, expected, "{text:?}");
            dates += usize::from(days.is_some());
        }
        assert!(dates > 20);
    }
}

#[tokio::test]
async fn texts_compare_as_bytes_under_every_collation() {
    let (connector, texts) = nasty_agency().await;
    let probes: Vec<String> = texts.iter().take(70).cloned().collect();
    for column in 1..=3 {
        for probe in &probes {
            for (op, holds) in [
                (CompareOp::Equal, (|a: &str, b: &str| a == b) as fn(&str, &str) -> bool),
                (CompareOp::Less, |a, b| a < b),
            ] {
                let predicate = Expr::compare(op, Expr::Column(column), Expr::text(probe.clone()));
                let answers = evaluate(&connector, predicate, DataType::Boolean).await;
                for (text, answer) in texts.iter().zip(answers.as_boolean().iter()) {
                    assert_eq!(answer, Some(holds(text, probe)), "{text:?} {op:?} {probe:?} in column {column}");
                }
            }
        }
        // The index's own comparison, as a list and as one.
        for list in [probes.clone(), vec![probes[1].clone()], vec!["a\0b".to_owned()], Vec::new()] {
            let values = list.iter().cloned().map(Value::Text).collect();
            let predicate = Expr::InList { expr: Box::new(Expr::Column(column)), list: values, negated: false };
            let sql = render(scan(vec![Expr::Column(0)], vec![predicate]), &[DataType::Int32]);
            let count = collect(&connector, &sql, schema(&[DataType::Int32])).await.unwrap().num_rows();
            assert_eq!(count, texts.iter().filter(|text| list.contains(text)).count(), "{sql}");
        }
        let keys =
            vec![SortKey { expr: Expr::Column(0), direction: SortDirection::Descending, nulls: NullsOrder::First }];
        let sorted =
            Relation::Sort { input: Box::new(scan(vec![Expr::Column(column)], Vec::new())), keys, fetch: None };
        let answers = super::texts(&connector, &render(sorted, &[DataType::Utf8])).await;
        let mut expected: Vec<Option<String>> = texts.iter().cloned().map(Some).collect();
        expected.sort_by(|a, b| b.cmp(a));
        expected.insert(0, None);
        assert_eq!(answers, expected);
        let groups = Relation::Aggregate {
            input: Box::new(scan(vec![Expr::Column(column)], Vec::new())),
            groups: vec![Expr::Column(0)],
            aggregates: Vec::new(),
        };
        let answers = super::texts(&connector, &render(groups, &[DataType::Utf8])).await;
        let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
        assert_eq!(answers.len(), distinct.len() + 1);
    }
}

#[tokio::test]
async fn like_means_here_what_it_means_there() {
    let (connector, texts) = nasty_agency().await;
    let values = arrow::array::StringArray::from(texts.clone());
    for pattern in [
        "%",
        "",
        "_",
        "94%",
        "%5919",
        "%\\%%",
        "\\_",
        "a\\",
        "a\\\\b",
        "\\\\",
        "%'%",
        "%é%",
        "___ ___ ____",
        "%\n%",
        "\\",
    ] {
        let scalar = arrow::array::StringArray::new_scalar(pattern);
        let expected = arrow::compute::kernels::comparison::like(&values, &scalar).unwrap();
        for column in 1..=3 {
            let like = Expr::Like { expr: Box::new(Expr::Column(column)), pattern: pattern.to_owned(), negated: false };
            let answers = evaluate(&connector, like, DataType::Boolean).await;
            for ((text, answer), expected) in texts.iter().zip(answers.as_boolean().iter()).zip(expected.iter()) {
                assert_eq!(answer, expected, "{text:?} LIKE {pattern:?}");
            }
        }
    }
}

fn render(root: Relation, types: &[DataType]) -> String {
    let fragment = Fragment { root, schema: schema(types) };
    render_fragment(&MysqlDialect, &fragment, None, wayleave_connector_api::Audience::Source)
}

#[tokio::test]
async fn a_literal_comes_back_as_it_went() {
    let connector = MysqlConnector::new(options(&server().url("mysql"))).unwrap();
    let values = [
        Value::Boolean(true),
        Value::Int16(i16::MIN),
        Value::Int32(-5),
        Value::Int64(i64::MIN),
        Value::Float32(f32::MIN_POSITIVE),
        Value::Float64(f64::MAX),
        Value::Float64(-1.0e-300),
        Value::Decimal128 { unscaled: -1_250, precision: 38, scale: 2 },
        Value::Text("it's \"x\" \\ é".to_owned()),
        Value::Binary(vec![0, 255, 39]),
        Value::Date(-719_162),
        Value::Date(2_932_896),
        Value::Time(86_399_999_999),
        Value::Timestamp { microseconds: -1, zoned: false },
        Value::Timestamp { microseconds: 253_402_300_799_999_999, zoned: true },
        Value::Text("a\0b\r\n\u{10ffff}".to_owned()),
        Value::Binary(Vec::new()),
        Value::Null(DataType::Int32),
    ];
    for value in [
        Value::Float64(f64::NEG_INFINITY),
        Value::Float32(f32::NAN),
        Value::Date(-800_000),
        Value::Date(i32::MAX),
        Value::Timestamp { microseconds: i64::MIN, zoned: false },
        Value::Decimal256 { unscaled: arrow::datatypes::i256::ONE, precision: 66, scale: 0 },
    ] {
        let support = MysqlDialect.support(&Expr::Literal(value.clone()), &[]);
        assert!(matches!(support, Support::Local { .. }), "{value:?}");
    }
    for value in values {
        let data_type = value.data_type();
        let deliver =
            MysqlDialect.deliver(&MysqlDialect.literal(&value), &OutputColumn::computed(data_type.clone()), &data_type);
        let array = collect(&connector, &format!("SELECT {deliver}"), schema(&[data_type])).await.unwrap();
        let array = array.column(0);
        let micro = |array: &arrow::array::ArrayRef| {
            array.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0)
        };
        let same = match &value {
            Value::Boolean(v) => array.as_boolean().value(0) == *v,
            Value::Int16(v) => array.as_primitive::<arrow::datatypes::Int16Type>().value(0) == *v,
            Value::Int32(v) => array.as_primitive::<Int32Type>().value(0) == *v,
            Value::Int64(v) => array.as_primitive::<arrow::datatypes::Int64Type>().value(0) == *v,
            Value::Float32(v) => {
                array.as_primitive::<arrow::datatypes::Float32Type>().value(0).to_bits() == v.to_bits()
            }
            Value::Float64(v) => {
                array.as_primitive::<arrow::datatypes::Float64Type>().value(0).to_bits() == v.to_bits()
            }
            Value::Decimal128 { unscaled, .. } => {
                array.as_primitive::<arrow::datatypes::Decimal128Type>().value(0) == *unscaled
            }
            Value::Text(v) => array.as_string::<i32>().value(0) == v,
            Value::Binary(v) => array.as_binary::<i32>().value(0) == v,
            Value::Date(v) => array.as_primitive::<Date32Type>().value(0) == *v,
            Value::Time(v) => array.as_primitive::<arrow::datatypes::Time64MicrosecondType>().value(0) == *v,
            Value::Timestamp { microseconds, .. } => micro(array) == *microseconds,
            Value::Null(_) => array.null_count() == 1,
            Value::Decimal256 { .. } => false,
        };
        assert!(same, "{value:?} came back as {array:?}");
    }
}

#[tokio::test]
async fn the_year_of_a_date_never_fails() {
    let connector = MysqlConnector::new(options(&server().url("mysql"))).unwrap();
    let date = OutputColumn::computed(DataType::Date32);
    let cases = [
        ("DATE'2024-05-06'", Some(2024)),
        ("DATE'0001-12-31'", Some(1)),
        ("CAST('no date' AS DATE)", None),
        ("CAST(NULL AS DATE)", None),
    ];
    for (sql, expected) in cases {
        let year = MysqlDialect.mask(sql, &date, Mask::YearOfDate);
        let batch = collect(&connector, &format!("SELECT {year}"), schema(&[DataType::Int32])).await.unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int32Type>().iter().next(), Some(expected), "{sql}");
    }
}

#[test]
fn what_mariadb_answers_differently_stays_here() {
    let float = [OutputColumn::computed(DataType::Float64)];
    let less = |value| Expr::compare(CompareOp::Less, Expr::Column(0), Expr::Literal(value));
    let is_exact = |expr: &Expr, input: &[OutputColumn]| MysqlDialect.support(expr, input) == Support::Exact;
    assert!(is_exact(&less(Value::Float64(1.5)), &float));
    assert!(!is_exact(&less(Value::Float64(0.0)), &float));
    assert!(!is_exact(&less(Value::Float64(f64::NAN)), &float));
    assert!(!is_exact(&Expr::equal(Expr::Column(0), Expr::Column(0)), &float));
    let text = [OutputColumn::computed(DataType::Utf8)];
    assert!(is_exact(&Expr::equal(Expr::Column(0), Expr::text("x")), &text));
    assert!(is_exact(&Expr::equal(Expr::Column(0), Expr::text("x\0")), &text));
    let date = [OutputColumn::computed(DataType::Date32)];
    assert!(is_exact(&less(Value::Date(0)), &date));
    assert!(!is_exact(&less(Value::Date(2_932_897)), &date));
    let list = OutputColumn::computed(DataType::List(Arc::new(Field::new("item", DataType::Int32, true))));
    assert_ne!(MysqlDialect.group_support(&list), Support::Exact);
    assert_ne!(MysqlDialect.sort_support(&float[0]), Support::Exact);
    assert_eq!(MysqlDialect.sort_support(&text[0]), Support::Exact);
    // Long texts are compared to their end and sorted by their beginning.
    let long = |own: &str| OutputColumn { source_type: Some(own.to_owned()), ..OutputColumn::computed(DataType::Utf8) };
    let short = [long("varchar(255) collate utf8mb4_general_ci"), long("text collate utf8mb4_general_ci")];
    assert!(short.iter().all(|column| MysqlDialect.group_support(column) == Support::Exact));
    let long = [long("longtext collate utf8mb4_general_ci")];
    assert_ne!(MysqlDialect.group_support(&long[0]), Support::Exact);
    assert_ne!(MysqlDialect.sort_support(&long[0]), Support::Exact);
    assert!(is_exact(&Expr::equal(Expr::Column(0), Expr::text("x")), &long));
    let function = |function| Expr::OfText { function, expr: Box::new(Expr::Column(0)) };
    assert!(is_exact(&function(TextFunction::Left(10)), &long));
    assert!(is_exact(&function(TextFunction::Length), &long));
    assert!(!is_exact(&function(TextFunction::Left(-10)), &long));
    assert!(!is_exact(&Expr::Concat(vec![Expr::Column(0)]), &long));
    assert!(!is_exact(&Expr::Concat(vec![Expr::Column(0), Expr::Column(0), Expr::Column(0)]), &short[1..]));
    assert!(!is_exact(&Expr::Coalesce(vec![Expr::Column(0), Expr::text("x")]), &long));
    for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Right] {
        assert_eq!(MysqlDialect.join_support(kind), Support::Exact);
    }
    assert_ne!(MysqlDialect.join_support(JoinKind::Full), Support::Exact);
}

#[tokio::test]
async fn a_lookup_uses_the_agencys_own_index() {
    let setup = "CREATE TABLE p (l varchar(12) CHARACTER SET latin1 UNIQUE, k varchar(12) CHARACTER SET utf8mb4 UNIQUE, \
        n int unsigned UNIQUE, u uuid UNIQUE, pad char(200)) CHARACTER SET utf8mb4; \
        INSERT INTO p SELECT seq, seq, seq, uuid(), repeat('x', 200) FROM seq_1_to_20000; \
        UPDATE p SET l = 'é', k = 'é' WHERE n = 20000; ANALYZE TABLE p";
    let connector = agency("lookups", setup).await;
    let table = connector.table(&TableName::new("lookups", "p")).await.unwrap().unwrap();
    let many: Vec<String> = (1..=100).map(|number| number.to_string()).collect();
    let cases = [
        ("l", vec!["17".to_owned(), "18".to_owned()], 2),
        ("k", vec!["17".to_owned(), "18 ".to_owned()], 1),
        ("k", vec!["17".to_owned()], 1),
        ("k", vec!["é".to_owned(), "É".to_owned()], 1),
        ("k", many.clone(), 100),
        ("n", vec!["17".to_owned(), "018".to_owned(), "99999999999".to_owned()], 1),
        ("n", many, 100),
    ];
    let run = async |predicate: &str| {
        let plan =
            server().query_rows("lookups", &format!("EXPLAIN SELECT pad FROM p WHERE {predicate}")).await.unwrap();
        let rows = texts(&connector, &format!("SELECT k FROM lookups.p WHERE {predicate}")).await.len();
        (plan[0][3].clone().unwrap_or_default(), rows)
    };
    for (name, keys, count) in cases {
        let output = OutputColumn::from(table.column(name).unwrap());
        let predicate = MysqlDialect.column_in_texts(&format!("`{name}`"), &output, &keys);
        let (access, rows) = run(&predicate).await;
        assert_eq!(rows, count, "{name} {keys:?}");
        assert!(["const", "ref", "range", "eq_ref"].contains(&access.as_str()), "{access}: {name} {keys:?}");
    }
    // What a column's character set has not, no index of it finds, and nobody is refused for it.
    let latin = OutputColumn::from(table.column("l").unwrap());
    for (keys, count) in [(vec!["é", "日本", "\\"], 1), (vec!["17", "日本"], 1), (vec!["日本"], 0), (vec![], 0)]
    {
        let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        let predicate = MysqlDialect.column_in_texts("`l`", &latin, &keys);
        assert_eq!(run(&predicate).await.1, count, "{predicate}");
    }
    // A comparison with one text is a lookup as well, by the column's whole name.
    let scan = Relation::Scan(Box::new(Scan {
        table: table.name.clone(),
        columns: table.columns.clone(),
        outputs: vec![Expr::Column(1)],
        policy: vec![Expr::equal(Expr::Column(0), Expr::text("17"))],
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    }));
    let sql = render(scan, &[DataType::Utf8]);
    assert_eq!(super::texts(&connector, &sql).await, [Some("17".to_owned())]);
    let plan = server().query_rows("lookups", &format!("EXPLAIN {sql}")).await.unwrap();
    assert_eq!(plan[0][3].as_deref(), Some("const"), "{sql}");
    let uuid = texts(&connector, "SELECT u FROM lookups.p WHERE n = 5").await.remove(0).unwrap();
    let output = OutputColumn::from(table.column("u").unwrap());
    for (keys, count) in [(vec![uuid.clone(), "x".to_owned()], 1), (vec![uuid.to_uppercase()], 0)] {
        assert_eq!(run(&MysqlDialect.column_in_texts("`u`", &output, &keys)).await.1, count, "{keys:?}");
    }
}
