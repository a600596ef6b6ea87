//! `wayleave tables`: what is released to an asker, and nothing else.

use std::fmt::Write as _;
use std::path::PathBuf;

use arrow::datatypes::DataType;
use clap::Args;

use super::completion::{Words, quoted};
use super::identity::IdentityArgs;
use super::table::{printable, width};
use super::{Failure, open_engine, print};
use crate::engine::ReleasedTable;

/// List the tables and columns released to you, with their agreements
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TablesArgs {
    /// Only this table, as agency.schema.table or its last parts
    #[arg(value_name = "TABLE")]
    table: Option<String>,
    #[command(flatten)]
    identity: IdentityArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave tables --as alice@torbay-asc/social-worker --purpose joint-needs-assessment
  wayleave tables health.public.patients --as … --purpose …
  WAYLEAVE_AS=ann@torbay-bi/analyst WAYLEAVE_PURPOSE=service-planning wayleave tables";

pub async fn run(config: PathBuf, args: TablesArgs) -> Result<(), Failure> {
    let session = args.identity.session()?;
    let engine = open_engine(&config).await?;
    let released = engine.released_tables(&session).await?;
    match args.table {
        Some(name) => print(&described(&released, &name)?),
        None => {
            let all: Vec<String> = released.iter().map(description).collect();
            print(&if all.is_empty() { NONE.to_owned() } else { all.join("\n") })
        }
    }
}

const NONE: &str = "nothing is released to this role for this purpose\n";

/// One line a table.
pub fn listing(released: &[ReleasedTable]) -> String {
    if released.is_empty() {
        return NONE.to_owned();
    }
    let lines: Vec<(String, String)> = released.iter().map(|table| (name(table), terms(table))).collect();
    aligned(&lines, "")
}

/// One table's columns, found by its whole name or its last parts.
pub fn described(released: &[ReleasedTable], wanted: &str) -> Result<String, Failure> {
    let wanted = wanted.trim().trim_end_matches(';');
    let found: Vec<String> = released
        .iter()
        .filter(|table| {
            let whole = format!("{}.{}.{}", table.agency, table.schema, table.table);
            [name(table), whole].iter().any(|name| name == wanted || name.ends_with(&format!(".{wanted}")))
        })
        .map(description)
        .collect();
    if found.is_empty() {
        return Err(Failure::Output {
            message: format!("`{}` is not released to this role for this purpose", printable(wanted)),
            detail: "whether it exists is not told".to_owned(),
        });
    }
    Ok(found.join("\n"))
}

/// What completion may offer.
pub fn words(released: &[ReleasedTable]) -> Words {
    Words::new(
        released.iter().map(|table| [table.agency.as_str(), table.schema.as_str(), table.table.as_str()]),
        released.iter().flat_map(|table| table.columns.iter().map(|(column, _)| column.as_str())),
    )
}

fn description(table: &ReleasedTable) -> String {
    let mut text = format!("{}  ({})\n", name(table), terms(table));
    let columns: Vec<(String, String)> =
        table.columns.iter().map(|(column, data_type)| (printable(&quoted(column)), sql_type(data_type))).collect();
    let _ = write!(text, "{}", aligned(&columns, "    "));
    text
}

fn name(table: &ReleasedTable) -> String {
    [&table.agency, &table.schema, &table.table].map(|part| printable(&quoted(part))).join(".")
}

fn terms(table: &ReleasedTable) -> String {
    printable(&format!("agreement {}, {}", table.agreement, table.state))
}

/// A type in SQL's words, as they may stand in a CAST.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("numeric({precision},{scale})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::List(item) => format!("{}[]", sql_type(item.data_type())),
        other => other.to_string(),
    }
}

fn aligned(lines: &[(String, String)], indent: &str) -> String {
    let widest = lines.iter().map(|(left, _)| width(left)).max().unwrap_or(0);
    lines
        .iter()
        .map(|(left, right)| format!("{indent}{left}{}  {right}\n", " ".repeat(widest.saturating_sub(width(left)))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_align_by_what_they_show() {
        let lines = [("a".to_owned(), "x".to_owned()), ("日本".to_owned(), "y".to_owned())];
        assert_eq!(aligned(&lines, "  "), "  a     x\n  日本  y\n");
    }

    fn released() -> [ReleasedTable; 2] {
        let table = |schema: &str, table: &str| ReleasedTable {
            agency: "health".to_owned(),
            schema: schema.to_owned(),
            table: table.to_owned(),
            columns: vec![("nhs_number".to_owned(), DataType::Utf8), ("Paid".to_owned(), DataType::Decimal128(10, 2))],
            agreement: "ISA-1".to_owned(),
            state: "available".to_owned(),
        };
        [table("public", "patients"), table("public", "old patients")]
    }

    #[test]
    fn a_table_is_found_by_its_last_parts_quoted_or_not() {
        let expected = "health.public.patients  (agreement ISA-1, available)\n    nhs_number  text\n    \"Paid\"      \
                        numeric(10,2)\n";
        for wanted in ["patients", "public.patients", "health.public.patients;"] {
            assert_eq!(described(&released(), wanted).unwrap(), expected, "{wanted}");
        }
        assert!(described(&released(), "old patients").is_ok());
        assert!(described(&released(), "\"old patients\"").is_ok());
        assert!(described(&released(), "atients").is_err());
    }

    #[test]
    fn the_listing_has_a_line_a_table() {
        assert_eq!(listing(&released()).lines().count(), 2);
        assert!(listing(&released()).starts_with("health.public.patients        agreement ISA-1, available\n"));
    }

    #[test]
    fn nothing_released_is_said() {
        assert_eq!(listing(&[]), NONE);
        assert!(described(&[], "health.public.patients").is_err());
    }
}
