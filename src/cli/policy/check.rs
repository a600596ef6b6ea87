//! `wayleave policy check`: whether agreements and registers fit the agencies as they are today.

use std::path::Path;

use clap::Args;

use super::super::{Failure, open_engine};
use super::format::ReportArgs;
use crate::stewardship::{Severity, inspect};

/// Check agreements and registers against the agencies' live catalogs
///
/// Asks every agency for its tables' descriptions; no row is read. Finds columns that no longer exist, columns and tables
/// that no share names, registers that cannot be read, agreements that have ended or will within 60 days, shares that
/// nobody can use, and lists key disclosures.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Fail on warnings as well
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    report: ReportArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy check
  wayleave policy check --strict --format json
  wayleave policy check --output findings.html

Exit codes: 0 no errors, 1 errors (with --strict: or warnings).";

pub async fn run(config: &Path, args: CheckArgs) -> Result<(), Failure> {
    let engine = open_engine(config).await?;
    let inspection = inspect(&engine).await;
    args.report.write(&inspection, &inspection.document(), &inspection.grid())?;
    let grave = inspection.count(Severity::Error) > 0 || (args.strict && inspection.count(Severity::Warning) > 0);
    if grave { Err(Failure::Reported) } else { Ok(()) }
}
