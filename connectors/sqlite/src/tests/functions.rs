use rusqlite::types::Value;

use super::*;
use crate::functions::register;

fn connection() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    register(&connection).unwrap();
    connection
}

/// What an expression over the value `?1` makes of it.
fn answer(connection: &Connection, expression: &str, value: &Value) -> Value {
    connection
        .prepare_cached(&format!("SELECT {expression}"))
        .and_then(|mut statement| statement.query_row([value], |row| row.get(0)))
        .unwrap_or_else(|error| panic!("{expression} of {value:?}: {error}"))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

const CALLS: &[&str] = &[
    "nhs_number(?1, 'compact')",
    "nhs_number(?1, 'spaced')",
    "nhs_number(?1, 'hyphenated')",
    "nhs_number(?1, 'mixed')",
    "written_nhs_number(?1, 'spaced')",
    "written_nhs_number(?1, 'hyphenated')",
    "iso_date(?1)",
    "year_of_date(?1)",
    "outward_postcode(?1)",
    "last_characters(?1, 3)",
    "last_characters(?1, 0)",
    "as_boolean(?1)",
];

#[test]
fn values_that_are_no_text_have_no_form() {
    let connection = connection();
    let blob = |text: &str| Value::Blob(text.as_bytes().to_vec());
    for call in CALLS {
        for value in [
            Value::Null,
            Value::Real(9_434_765_919.0),
            Value::Real(f64::INFINITY),
            blob(""),
            blob("9434765919"),
            blob("943 476 5919"),
            blob("2024-01-31"),
            blob("TQ1 3XX"),
        ] {
            assert_eq!(answer(&connection, call, &value), Value::Null, "{call} of {value:?}");
        }
        for bytes in ["x'ff'", "x'393433343736353931ff'", "x'323032342d30312d3331ff'", "x'54513120335858ff'"] {
            let invalid = format!("CAST({bytes} AS TEXT)");
            let call = call.replace("?1", &format!("iif(?1, {invalid}, '')"));
            assert_eq!(answer(&connection, &call, &Value::Integer(1)), Value::Null, "{call}");
        }
    }
}

#[test]
fn an_integer_is_its_digits() {
    let connection = connection();
    let number = Value::Integer(9_434_765_919);
    for (call, expected) in [
        ("nhs_number(?1, 'compact')", text("9434765919")),
        ("nhs_number(?1, 'mixed')", text("9434765919")),
        ("nhs_number(?1, 'spaced')", Value::Null),
        ("nhs_number(?1 - 1, 'compact')", Value::Null),
        ("nhs_number(-?1, 'compact')", Value::Null),
        ("nhs_number(-9223372036854775808 + 0 * ?1, 'compact')", Value::Null),
        ("written_nhs_number(?1, 'hyphenated')", text("943-476-5919")),
        ("last_characters(?1, 3)", text("***919")),
        ("iso_date(?1)", Value::Null),
        ("year_of_date(?1)", Value::Null),
        ("outward_postcode(?1)", Value::Null),
        ("as_boolean(?1)", Value::Null),
        ("as_boolean(?1 > 0)", Value::Integer(1)),
        ("as_boolean(?1 < 0)", Value::Integer(0)),
        ("as_boolean(?1 = NULL)", Value::Null),
        ("as_boolean(?1 * 0.0)", Value::Integer(0)),
        ("as_boolean('1' || substr(?1, 1, 0))", Value::Null),
    ] {
        assert_eq!(answer(&connection, call, &number), expected, "{call}");
    }
}

#[test]
fn no_text_of_any_alphabet_or_size_fails() {
    let connection = connection();
    let huge = |part: &str| part.repeat(3_000_000 / part.len());
    let texts = [
        huge("9"),
        huge("943 476 5919"),
        huge("🙂"),
        huge(" "),
        huge("\0"),
        format!("2024-01-31{}", huge(" ")),
        format!("2024-01-31 10:00:00.{}", huge("7")),
        format!("2024-01-31{}", huge("T")),
        format!("{}TQ1 3XX{}", huge(" "), huge(" ")),
        "９４３４７６５９１９".to_owned(),
        "２０２４-０１-３１".to_owned(),
        "2024-01-3é".to_owned(),
        "2024-01-31é".to_owned(),
        "943é476é5919".to_owned(),
        "é".to_owned(),
        "\u{feff}9434765919".to_owned(),
        String::new(),
    ];
    for value in &texts {
        for call in CALLS {
            answer(&connection, call, &text(value));
        }
    }
    for (call, value, expected) in [
        ("iso_date(?1)", &texts[5], text("2024-01-31")),
        ("iso_date(?1)", &texts[6], text("2024-01-31")),
        ("outward_postcode(?1)", &texts[8], text("TQ1")),
        ("last_characters(?1, 3)", &texts[2], text("***🙂🙂🙂")),
        ("nhs_number(?1, 'mixed')", &texts[9], Value::Null),
        ("last_characters(?1, 1)", &texts[14], text("***")),
        ("last_characters(?1, 5)", &texts[16], text("***")),
    ] {
        assert_eq!(answer(&connection, call, &text(value)), expected, "{call}");
    }
}

#[test]
fn an_argument_that_the_dialect_never_writes_gives_null() {
    let connection = connection();
    let number = text("9434765919");
    for call in [
        "nhs_number(?1, 'roman')",
        "nhs_number(?1, NULL)",
        "nhs_number(?1, 1)",
        "nhs_number(?1, x'ff')",
        "written_nhs_number(?1, CAST(x'ff' AS TEXT))",
        "last_characters(?1, -1)",
        "last_characters(?1, NULL)",
        "last_characters(?1, '3')",
    ] {
        assert_eq!(answer(&connection, call, &number), Value::Null, "{call}");
    }
    assert_eq!(answer(&connection, "last_characters(?1, 9223372036854775807)", &number), text("***"));
}

#[test]
fn only_ten_digits_are_written_in_groups() {
    let connection = connection();
    for (value, expected) in [
        ("9434765919", text("943 476 5919")),
        // The check digit of an assured column is not looked at again.
        ("9434765918", text("943 476 5918")),
        ("943476591", Value::Null),
        ("943 476 5919", Value::Null),
        ("", Value::Null),
    ] {
        assert_eq!(answer(&connection, "written_nhs_number(?1, 'spaced')", &text(value)), expected, "{value}");
    }
}

/// SQLite's own function, with what it takes for a date beyond a calendar date kept out.
const BY_SQLITE: &str = "CASE WHEN ?1 GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' \
                         AND date(substr(?1, 1, 10)) = substr(?1, 1, 10) THEN date(?1) END";

#[test]
fn days_are_those_of_sqlite_itself() {
    let connection = connection();
    let dates =
        ["2024-02-29", "2023-02-29", "2023-12-31", "2024-01-01", "9999-12-31", "0001-01-01", "2024-1-01", "now"];
    let gaps = ["", " ", "T", "  ", " T ", "TT", "\t", "\u{b}", "\u{c}\r\n", "x", "t", "\u{a0}"];
    let clocks = [
        "",
        "00:00",
        "23:59",
        "10:00:00",
        "23:59:59.9999999",
        "10:00:60",
        "10:60",
        "9:00",
        "10:00.5",
        "10:00:00.",
        "10:00:00.x",
        "10",
        "nonsense",
    ];
    let zones = [
        "", "Z", "z", " Z ", "+00:00", "-00:00", "+14:00", "-14:59", " +01:30", "+15:00", "+01:60", "+01", "+0100",
        "Zulu", "- 1:00", " ",
    ];
    let mut days = 0;
    for date in dates {
        for (gap, clock, zone) in
            gaps.iter().flat_map(|gap| clocks.iter().flat_map(move |clock| zones.map(|zone| (gap, clock, zone))))
        {
            let value = text(&format!("{date}{gap}{clock}{zone}"));
            let day = answer(&connection, "iso_date(?1)", &value);
            assert_eq!(day, answer(&connection, BY_SQLITE, &value), "{value:?}");
            let year = answer(&connection, "CAST(substr(iso_date(?1), 1, 4) AS INTEGER)", &value);
            assert_eq!(answer(&connection, "year_of_date(?1)", &value), year, "{value:?}");
            days += usize::from(day != Value::Null);
        }
    }
    assert!(days > 1_000, "{days}");
}

#[test]
fn a_day_is_one_that_can_be_read_again() {
    let connection = connection();
    for (value, expected) in [
        ("0000-01-01", text("0000-01-01")),
        // The day before the year 0, and the one after 9999.
        ("0000-01-01 00:00+14:00", Value::Null),
        ("9999-12-31 23:59-00:01", Value::Null),
        ("2023-12-31 23:30-00:45", text("2024-01-01")),
        ("2024-03-01 00:30+01:00", text("2024-02-29")),
        ("2024-01-31  24:00", Value::Null),
        ("2024-01-31\0", Value::Null),
    ] {
        assert_eq!(answer(&connection, "iso_date(?1)", &text(value)), expected, "{value:?}");
    }
}

#[test]
fn no_function_takes_the_place_of_one_of_sqlite() {
    let names = |connection: &Connection| -> Vec<String> {
        let mut statement = connection.prepare("SELECT DISTINCT name FROM pragma_function_list ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let bare = Connection::open_in_memory().unwrap();
    let before = names(&bare);
    register(&bare).unwrap();
    assert_eq!(names(&bare).len(), before.len() + 21);
}

#[test]
fn a_sum_is_exact_however_large_a_part_of_it_is() {
    let connection = connection();
    let largest = "WITH v (n, x) AS (VALUES (1, 9223372036854775807), (2, 1), (3, NULL), (4, -1)) SELECT";
    let one = |sql: &str| connection.query_row(&format!("{largest} {sql}"), [], |row| row.get::<_, Value>(0));
    assert_eq!(one("integer_sum(x) FROM v").unwrap(), Value::Integer(i64::MAX));
    assert_eq!(one("integer_sum(x) FROM v WHERE x IS NULL").unwrap(), Value::Null);
    assert_eq!(one("exact_sum(x) FROM v WHERE n < 3").unwrap(), text("9223372036854775808"));
    assert!(one("integer_sum(x) FROM v WHERE n < 3").is_err());
    // What leaves a window's frame is taken off again.
    let over = "integer_sum(x) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM v WHERE n <> 2";
    assert_eq!(one(&format!("{over} LIMIT 1 OFFSET 2")).unwrap(), Value::Integer(-1));
}
