//! Worlds made up from a seed: agencies, tables, indexes and rows with nasty values in them.

use super::case::{Agency, Cell, Connector, Register, Subject, Table, World};
use super::chance::Chance;
use super::kind::{Collation, Kind};
use super::policies;

const TABLE_NAMES: [&str; 10] =
    ["people", "select", "Mixed Case", "it's", "a \"quoted\" one", "tëst", "order", "日本", "x%y_z", "t1"];
const COLUMN_NAMES: [&str; 22] = [
    "id",
    "Id",
    "name",
    "select",
    "from",
    "group",
    "Mixed Case",
    "it's",
    "a \"quote\"",
    "ünï",
    "名前",
    "c1",
    "b",
    "t2",
    "per cent %",
    "under_score",
    "back\\slash",
    "order",
    "date",
    "value",
    "user",
    "end",
];
const SCHEMAS: [&str; 4] = ["public", "main", "Odd Schema", "select"];
pub const FORMS: [&str; 4] = ["compact", "spaced", "hyphenated", "mixed"];

/// Text in which systems differ: case and accents, blanks, wildcards, escapes, planes, twins.
pub const TEXTS: [&str; 54] = [
    "",
    " ",
    "  ",
    "a",
    "A",
    "á",
    "Á",
    "a ",
    " a",
    "a  ",
    "ä",
    "Ä",
    "ae",
    "ß",
    "ss",
    "SS",
    "straße",
    "STRASSE",
    "%",
    "_",
    "\\",
    "a%",
    "a_b",
    "a\\",
    "\\%",
    "50%",
    "O'Brien",
    "o'brien",
    "\"q\"",
    "😀",
    "a😀b",
    "e\u{301}",
    "é",
    "E\u{301}",
    "NULL",
    "null",
    "0",
    "-1",
    "1e3",
    "007",
    "TQ1 4AA",
    "TQ14AA",
    "tq1 4aa",
    "2024-02-29",
    "\t",
    "a\nb",
    "İ",
    "ı",
    "zzz",
    "Z",
    "abc",
    "ABC",
    "abcdefghijk",
    "ﬁ",
];
pub const INTEGERS: [i64; 14] = [0, 1, -1, 2, 3, 5, 7, 10, -7, 100, 32_767, -32_768, 2_147_483_647, -2_147_483_648];
pub const LONG_INTEGERS: [i64; 4] = [9_223_372_036_854_775_807, -9_223_372_036_854_775_808, 9_007_199_254_740_993, -42];
pub const FLOATS: [&str; 16] = [
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "0.5",
    "1.5",
    "2.5",
    "-2.25",
    "1e300",
    "-1e300",
    "1e-300",
    "123456.789",
    "NaN",
    "inf",
    "-inf",
];
pub const DATES: [&str; 16] = [
    "0001-01-01",
    "9999-12-31",
    "1970-01-01",
    "1969-12-31",
    "2024-02-29",
    "2023-02-28",
    "2026-03-29",
    "2026-10-25",
    "2026-05-31",
    "2026-06-01",
    "2026-06-30",
    "1900-02-28",
    "2000-02-29",
    "1582-10-10",
    "2025-12-31",
    "2026-01-01",
];
const TIMES: [&str; 8] =
    ["00:00:00", "23:59:59.999999", "01:30:00", "02:30:00", "12:00:00.5", "00:59:59", "12:34:56.789012", "01:00:00"];
const UUIDS: [&str; 4] = [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "10e00000-0000-0000-0000-000000000000",
];
const BYTES: [&str; 5] = ["", "00", "ff", "00ff", "61"];

pub fn world(seed: u64) -> World {
    world_on(seed, &Connector::ALL)
}

/// A world whose agencies have databases of these kinds.
pub fn world_on(seed: u64, connectors: &[Connector]) -> World {
    let mut chance = Chance::new(seed);
    let persons: Vec<String> = (0..8).map(|_| person(&mut chance)).collect();
    let mut world = World::default();
    for name in ["alpha", "beta", "gamma"].into_iter().take(chance.between(2, 3)) {
        let connector = chance.pick(connectors);
        let schema = match connector {
            Connector::Sqlite => "main".to_owned(),
            Connector::Postgres => chance.pick(&SCHEMAS).to_owned(),
            Connector::Mariadb => format!("{name} `of` {seed:x}"),
            Connector::SqlServer => format!("{name} [of] {seed:x}"),
        };
        let mut names = TABLE_NAMES.to_vec();
        let mut tables = Vec::new();
        for _ in 0..chance.between(1, 3) {
            let name = names.remove(chance.below(names.len()));
            tables.push(table(&mut chance, name, connector, &persons));
        }
        world.agency.push(Agency { name: name.to_owned(), connector, schema, table: tables });
    }
    for name in ["first", "second"].into_iter().take(chance.below(3)) {
        let position = chance.below(world.agency.len());
        let agency = &mut world.agency[position];
        let (table, register) = register(&mut chance, name, agency, &persons);
        agency.table.push(table);
        world.register.push(register);
    }
    policies::make(&mut world, &mut chance);
    world
}

/// Ten digits with a right check digit.
fn person(chance: &mut Chance) -> String {
    loop {
        let digits: Vec<u32> = (0..9).map(|_| u32::try_from(chance.below(10)).unwrap()).collect();
        let weighted: u32 = digits.iter().zip(2..=10).map(|(digit, weight)| digit * (12 - weight)).sum();
        let check = (11 - weighted % 11) % 11;
        if check < 10 {
            return digits.iter().map(u32::to_string).collect::<String>() + &check.to_string();
        }
    }
}

fn written(chance: &mut Chance, key: &str, form: &str) -> String {
    let separator = match form {
        "compact" => "",
        "spaced" => " ",
        "hyphenated" => "-",
        _ => chance.pick(&["", " ", "-"]),
    };
    [&key[..3], &key[3..6], &key[6..]].join(separator)
}

/// A key cell: mostly one of the persons, at times in another form, with a wrong check digit, or none.
fn key_cell(chance: &mut Chance, persons: &[String], form: &str) -> Cell {
    let person = chance.pick(persons);
    let right = written(chance, &person, form);
    Cell::Value(match chance.below(14) {
        0 => return Cell::Null {},
        1 => chance.pick(&[String::new(), "no key".to_owned(), format!(" {right}"), format!("{right} ")]),
        2 => {
            let other = chance.pick(&FORMS);
            written(chance, &person, other)
        }
        3 => right.replace('1', "2"),
        _ => right,
    })
}

fn table(chance: &mut Chance, name: &str, connector: Connector, persons: &[String]) -> Table {
    let mut names = COLUMN_NAMES.to_vec();
    let mut columns = Vec::new();
    // In SQLite names that differ in case alone are one.
    let mut next_name = |chance: &mut Chance, columns: &[(String, String)]| loop {
        let name = names.remove(chance.below(names.len()));
        if !columns.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return name.to_owned();
        }
    };
    let unique = chance.pick(&["int8 not null unique", "int4 not null unique"]);
    columns.push((next_name(chance, &columns), unique.to_owned()));
    let subject = (!chance.once_in(6)).then(|| {
        let column = next_name(chance, &columns);
        columns.push((column.clone(), key_kind(chance, connector)));
        Subject { column, form: chance.pick(&FORMS).to_owned() }
    });
    for _ in 0..chance.between(1, 6) {
        let column = next_name(chance, &columns);
        let kind = kind(chance, connector).name();
        columns.push((column, kind));
    }
    let mut indexes: Vec<String> = Vec::new();
    for (column, kind) in &columns[1..] {
        if chance.once_in(4) && Kind::parse(kind).has_index(connector) {
            indexes.push(column.clone());
        }
    }
    let count = if chance.once_in(30) { 0 } else { chance.between(3, 22) };
    let rows = (0..count)
        .map(|row| {
            columns
                .iter()
                .enumerate()
                .map(|(position, (name, kind))| match &subject {
                    _ if position == 0 => Cell::Value((row * 3 + 1).to_string()),
                    Some(subject) if subject.column == *name => key_cell(chance, persons, &subject.form),
                    _ => cell(chance, Kind::parse(kind), connector),
                })
                .collect()
        })
        .collect();
    Table { name: name.to_owned(), subject, columns, indexes, rows }
}

fn key_kind(chance: &mut Chance, connector: Connector) -> String {
    match connector {
        Connector::Postgres => {
            chance.pick(&["text", "text", "text c", "text language", "text insensitive", "char(14)"])
        }
        Connector::Sqlite => chance.pick(&["text", "text", "text insensitive", "text trimmed", "char(14)"]),
        Connector::Mariadb | Connector::SqlServer => {
            chance.pick(&["text", "text c", "text language", "text insensitive", "text trimmed", "char(14)"])
        }
    }
    .to_owned()
}

fn kind(chance: &mut Chance, connector: Connector) -> Kind {
    let text = match connector {
        Connector::Postgres => chance.pick(&[
            Kind::Text(Collation::Default),
            Kind::Text(Collation::C),
            Kind::Text(Collation::Language),
            Kind::Text(Collation::Insensitive),
            Kind::Char(6),
        ]),
        Connector::Sqlite => chance.pick(&[
            Kind::Text(Collation::Default),
            Kind::Text(Collation::Insensitive),
            Kind::Text(Collation::Trimmed),
            Kind::Char(6),
        ]),
        Connector::Mariadb | Connector::SqlServer => chance.pick(&[
            Kind::Text(Collation::Default),
            Kind::Text(Collation::C),
            Kind::Text(Collation::Language),
            Kind::Text(Collation::Insensitive),
            Kind::Text(Collation::Trimmed),
            Kind::Char(6),
        ]),
    };
    match chance.below(18) {
        0 => Kind::Boolean,
        1 => Kind::Int16,
        2 | 3 => Kind::Int32,
        4 => Kind::Int64,
        5 => Kind::Float64,
        6 => Kind::Float32,
        7 => chance.pick(&[Kind::Decimal(10, 2), Kind::Decimal(5, 0), Kind::Decimal(15, 5)]),
        8 => match connector {
            // SQLite keeps decimals as binary floats, in which more digits are lost.
            Connector::Sqlite => Kind::Decimal(12, 3),
            Connector::Postgres | Connector::Mariadb | Connector::SqlServer => {
                chance.pick(&[Kind::Decimal(38, 10), Kind::Decimal(20, 20), Kind::Decimal(18, 2)])
            }
        },
        9 | 10 => Kind::Date,
        11 => Kind::Timestamp,
        12 => Kind::TimestampZoned,
        13 => chance.pick(&[Kind::Uuid, Kind::Bytes]),
        _ => text,
    }
}

pub fn cell(chance: &mut Chance, kind: Kind, connector: Connector) -> Cell {
    if chance.once_in(7) {
        return Cell::Null {};
    }
    Cell::Value(match kind {
        Kind::Boolean => chance.pick(&["true", "false"]).to_owned(),
        Kind::Int16 => {
            let number = chance.pick(&INTEGERS);
            if i16::try_from(number).is_ok() { number.to_string() } else { "42".to_owned() }
        }
        Kind::Int32 => chance.pick(&INTEGERS).to_string(),
        Kind::Int64 if chance.once_in(6) => chance.pick(&LONG_INTEGERS).to_string(),
        Kind::Int64 => chance.pick(&INTEGERS).to_string(),
        Kind::Float32 | Kind::Float64 => {
            let text = chance.pick(&FLOATS);
            match (kind, connector, text) {
                (Kind::Float32, _, "1e300" | "-1e300" | "1e-300") => "1e30",
                // Not everybody has them.
                (_, Connector::Sqlite | Connector::Mariadb | Connector::SqlServer, "NaN" | "-0") => "2.5",
                (_, Connector::Mariadb | Connector::SqlServer, "inf" | "-inf") => "-7.5",
                _ => text,
            }
            .to_owned()
        }
        Kind::Decimal(precision, scale) => decimal(chance, precision, scale),
        Kind::Text(_) => chance.pick(&TEXTS).to_owned(),
        Kind::Char(length) => chance.pick(&TEXTS).chars().take(length.into()).collect(),
        Kind::Uuid => chance.pick(&UUIDS).to_owned(),
        Kind::Bytes => chance.pick(&BYTES).to_owned(),
        Kind::Date | Kind::Timestamp if connector == Connector::Mariadb && chance.once_in(8) => {
            chance.pick(&["0000-00-00", "2024-02-00", "0000-01-01"]).to_owned()
        }
        Kind::Date => chance.pick(&DATES).to_owned(),
        // From 1970 to 2038 there.
        Kind::TimestampZoned if connector == Connector::Mariadb => {
            let days: Vec<&str> = DATES.into_iter().filter(|date| *date > "1970-01-01" && *date < "2038").collect();
            format!("{} {}", chance.pick(&days), chance.pick(&TIMES))
        }
        Kind::Timestamp | Kind::TimestampZoned => moment(chance),
    })
}

/// Mostly one that can be counted in nanoseconds, as DataFusion counts a literal: beyond, a comparison with one fails.
pub fn moment(chance: &mut Chance) -> String {
    let days: Vec<&str> = DATES.into_iter().filter(|date| *date > "1700" && *date < "2200").collect();
    let day = if chance.once_in(60) { chance.pick(&DATES) } else { chance.pick(&days) };
    format!("{day} {}", chance.pick(&TIMES))
}

fn decimal(chance: &mut Chance, precision: u8, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap();
    let whole = usize::from(precision) - scale;
    let digits = match chance.below(8) {
        0 => "9".repeat(usize::from(precision)),
        1 => "1".to_owned() + &"0".repeat(scale),
        2 => "5".repeat(scale.max(1)),
        3 => "0".to_owned(),
        _ => chance.pick(&["1", "2", "10", "25", "199", "250", "1005", "12345"]).to_owned(),
    };
    let digits: String = digits.chars().take(usize::from(precision)).collect();
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (front, back) = padded.split_at(padded.len() - scale);
    let front = if whole == 0 { "0" } else { front };
    let sign = if chance.once_in(3) && digits.contains(|digit| digit != '0') { "-" } else { "" };
    if scale == 0 { format!("{sign}{front}") } else { format!("{sign}{front}.{back}") }
}

/// A table of decisions, and what its columns mean.
fn register(chance: &mut Chance, name: &str, agency: &Agency, persons: &[String]) -> (Table, Register) {
    let kind = chance.pick(&["decisions", "decisions", "dissent", "allow"]);
    let subject = Subject { column: "who".to_owned(), form: chance.pick(&FORMS).to_owned() };
    let connector = agency.connector;
    let mut columns = vec![("who".to_owned(), key_kind(chance, connector))];
    let mut add = |chance: &mut Chance, column: &str, kinds: &[&str]| {
        columns.push((column.to_owned(), chance.pick(kinds).to_owned()));
        Some(column.to_owned())
    };
    let texts: &[&str] = &["text", "text insensitive"];
    let dates: &[&str] = &["date", "text", "timestamp"];
    let decision = if kind == "decisions" { add(chance, "What Was Said", texts) } else { None };
    let purpose = if chance.once_in(2) { add(chance, "why", texts) } else { None };
    let recipient = if chance.once_in(2) { add(chance, "to whom", texts) } else { None };
    let from = if chance.once_in(3) { add(chance, "from", dates) } else { None };
    let until = if chance.once_in(3) { add(chance, "until", dates) } else { None };
    let rows = (0..chance.between(0, 7))
        .map(|_| {
            columns
                .iter()
                .map(|(column, kind)| {
                    let kind = Kind::parse(kind);
                    let text: &[&str] = match column.as_str() {
                        "who" => return key_cell(chance, persons, &subject.form),
                        "What Was Said" => &["yes", "no", "yes", "no", "YES", "maybe", "yes "],
                        "why" => &["c1", "c2", "*", "other", "C1"],
                        "to whom" => &["org", "*", "ORG", "someone"],
                        _ if matches!(kind, Kind::Text(_)) => {
                            &["2026-05-31", "2026-06-01", "2026-06-02", "soon", "", "2026-02-30"]
                        }
                        _ if connector == Connector::Mariadb && chance.once_in(3) => &["0000-00-00", "2026-05-00"],
                        _ => &["2026-05-31", "2026-06-01", "2026-06-02", "0001-01-01", "9999-12-31"],
                    };
                    if chance.once_in(9) {
                        return Cell::Null {};
                    }
                    let text = chance.pick(text).to_owned();
                    Cell::Value(if kind == Kind::Timestamp { format!("{text} 12:00:00") } else { text })
                })
                .collect()
        })
        .collect();
    let indexed = Kind::parse(&columns[0].1).has_index(connector);
    let indexes = if chance.once_in(2) && indexed { vec!["who".to_owned()] } else { Vec::new() };
    let table_name = format!("register {name}");
    let table = Table { name: table_name.clone(), subject: None, columns: columns.clone(), indexes, rows };
    let register = Register {
        name: name.to_owned(),
        agency: agency.name.clone(),
        table: table_name,
        kind: kind.to_owned(),
        subject,
        purpose,
        recipient,
        decision,
        from,
        until,
    };
    (table, register)
}

#[test]
fn a_made_up_person_has_a_right_check_digit() {
    let mut chance = Chance::new(1);
    for _ in 0..50 {
        let key = person(&mut chance);
        let weighted: u32 =
            key.chars().zip((1..=10).rev()).map(|(digit, weight)| digit.to_digit(10).unwrap() * weight).sum();
        assert_eq!(weighted % 11, 0, "{key}");
    }
}
