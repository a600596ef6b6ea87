//! `wayleave policy matrix`: who may see which column of which table, for which purpose, under which agreement.

use std::path::Path;

use chrono::NaiveDate;
use clap::Args;

use super::super::Failure;
use super::format::ReportArgs;
use super::{FilesArgs, day};
use crate::names::QualifiedTable;
use crate::stewardship::{Matrix, MatrixFilter};

/// Show who may see which column, for which purpose, under which agreement
///
/// Reads the policy files only; no agency is asked.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct MatrixArgs {
    /// Only this organisation or role, such as torbay-asc or torbay-asc/social-worker
    #[arg(long = "as", value_name = "ORGANISATION[/ROLE]")]
    who: Option<String>,
    /// Only this purpose
    #[arg(long, value_name = "CODE")]
    purpose: Option<String>,
    /// Only this table, as agency.schema.table
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// The day that says which agreements are in force; today where it is left out
    #[arg(long, value_name = "YYYY-MM-DD")]
    on: Option<NaiveDate>,
    /// Agreements that are drafts, ended, not begun or past their review as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    report: ReportArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy matrix
  wayleave policy matrix --as torbay-asc/social-worker --purpose joint-needs-assessment
  wayleave policy matrix --table health.main.patients --format csv > patients.csv
  wayleave policy matrix --output matrix.html
  wayleave policy matrix --policies policies --on 2027-01-01 --all";

pub fn run(config: &Path, args: &MatrixArgs) -> Result<(), Failure> {
    let (organisation, role) = args.who.as_deref().map(who).transpose()?.unwrap_or_default();
    let table = args.table.as_deref().map(table).transpose()?;
    let set = args.files.load(config)?;
    if let Some(purpose) = args.purpose.as_ref().filter(|purpose| !set.purposes.contains_key(*purpose)) {
        let known: Vec<String> = set.purposes.keys().map(|code| format!("`{code}`")).collect();
        return Err(Failure::usage(
            format!("there is no purpose `{purpose}`"),
            format!("purposes.toml has {}", known.join(", ")),
        ));
    }
    let filter = MatrixFilter { organisation, role, purpose: args.purpose.clone(), table, all_states: args.all };
    let matrix = Matrix::of(&set, day(args.on), &filter);
    args.report.write(&matrix, &matrix.document(), &matrix.grid())
}

/// `user@organisation/role`, as queries say it, is understood as well: the user counts for nothing here.
fn who(text: &str) -> Result<(Option<String>, Option<String>), Failure> {
    let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest).trim();
    let (organisation, role) = match text.split_once('/') {
        Some((organisation, role)) => (organisation.trim(), Some(role.trim())),
        None => (text, None),
    };
    if organisation.is_empty() || role.is_some_and(|role| role.is_empty() || role.contains('/')) {
        return Err(Failure::usage(
            "--as names no organisation",
            "write --as torbay-asc, or --as torbay-asc/social-worker",
        ));
    }
    Ok((Some(organisation.to_owned()), role.map(str::to_owned)))
}

fn table(text: &str) -> Result<QualifiedTable, Failure> {
    QualifiedTable::parse(text)
        .map_err(|error| Failure::usage(format!("--table: {error}"), "write --table agency.schema.table"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organisation_a_role_and_a_user_are_understood() {
        let read = |text: &str| who(text).map(|(o, r)| (o.unwrap(), r));
        assert_eq!(read("a").unwrap(), ("a".to_owned(), None));
        assert_eq!(read("a/b").unwrap(), ("a".to_owned(), Some("b".to_owned())));
        assert_eq!(read("u@a/b").unwrap(), ("a".to_owned(), Some("b".to_owned())));
        for text in ["", "/b", "a/", "a/b/c", "u@"] {
            assert!(who(text).is_err(), "{text}");
        }
    }
}
