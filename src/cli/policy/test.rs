//! `wayleave policy test`: runs the cases that stand beside the policies.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::Failure;
use super::format::ReportArgs;
use super::{FilesArgs, load_policies};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::stewardship::{CaseFile, find_case_files, rehearse};

/// Run the cases (*.case.toml) that stand beside the policies
///
/// Each case says who asks, what a small made-up world holds, and what should be seen or why it should be refused. The
/// worlds are throw-away SQLite databases under the real engine; no agency is asked. Fails where a case does, and where
/// there is none.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Only these case files
    #[arg(value_name = "FILE")]
    cases: Vec<PathBuf>,
    /// Fail as well where a rule of an agreement is tried by no case
    #[arg(long)]
    require_coverage: bool,
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    report: ReportArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy test
  wayleave policy test --policies policies --require-coverage
  wayleave policy test policies/agreements/safeguarding-hub.case.toml --format json

A CASE, in policies/agreements/NAME.case.toml:
  on = 2026-06-01
  [[table]]
  name = \"health.main.patients\"
  subject = { column = \"nhs_number\", scheme = \"nhs-number\", form = \"spaced\" }
  columns = { nhs_number = \"TEXT\", name = \"TEXT\", deceased = \"BOOLEAN\" }
  rows = [{ nhs_number = \"943 476 5919\", name = \"Ann\", deceased = false }]
  [[case]]
  name = \"a social worker sees the living\"
  as = \"alice@torbay-asc/social-worker\"
  purpose = \"joint-needs-assessment\"
  table = \"health.main.patients\"        # or: query = \"SELECT …\"
  rows = [{ name = \"Ann\" }]             # or: refused = \"table-not-released\"
A column that a row leaves out is NULL; \"<any>\" stands for any value but NULL.";

pub async fn run(config: &Path, args: TestArgs) -> Result<(), Failure> {
    let directory = args.files.directory(config)?;
    let set = load_policies(&directory)?;
    let wrong = |diagnostics: Diagnostics| Failure::Wayleave(diagnostics.into());
    let paths = if args.cases.is_empty() { find_case_files(&directory).map_err(wrong)? } else { args.cases };
    let mut files = Vec::new();
    let mut found: Vec<Diagnostic> = Vec::new();
    for path in &paths {
        match CaseFile::load(path) {
            Ok(file) => files.push(file),
            Err(Diagnostics(more)) => found.extend(more),
        }
    }
    if !found.is_empty() {
        return Err(wrong(Diagnostics(found)));
    }
    if files.iter().all(CaseFile::is_empty) {
        return Err(Failure::Output {
            message: "there is no case to run".to_owned(),
            detail: format!("`{}` and its `agreements` hold no `*.case.toml`", directory.display()),
        });
    }
    let rehearsal = rehearse(&set, &files).await?;
    args.report.write(&rehearsal, &rehearsal.document(), &rehearsal.grid())?;
    let failed = rehearsal.failed() > 0 || (args.require_coverage && rehearsal.untried() > 0);
    if failed { Err(Failure::Reported) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TestArgs,
    }

    async fn run_over(policies: &Path, more: &[&str]) -> Result<(), Failure> {
        let report = policies.join("report.json");
        let words = ["test", "--policies", policies.to_str().unwrap(), "--output", report.to_str().unwrap()];
        run(Path::new("none.toml"), Line::try_parse_from([&words, more].concat()).unwrap().args).await
    }

    const AGREEMENT: &str = "[agreement]\nid = \"A\"\ntitle = \"T\"\nowner = \"o\"\nstarts = 2026-01-01\nends = \
                             2026-12-31\nreview_by = 2026-12-31\n[basis]\npurpose = \"p\"\narticle_6 = \"e\"\n\
                             [[recipient]]\norganisation = \"o\"\nroles = [\"r\"]\n[consent]\nmode = \"not-required\"\n\
                             [require]\ncase_reference = true\nreason = true\n[[share]]\ntable = \"a.main.t\"\ncolumns = \
                             [\"x\"]\n";
    const CASE: &str = "on = 2026-06-01\n[[table]]\nname = \"a.main.t\"\ncolumns = { x = \"TEXT\", y = \"TEXT\" }\nrows = \
                        [{ x = \"1\" }]\n[[case]]\nname = \"one\"\nas = \"u@o/r\"\npurpose = \"p\"\ncase = \
                        \"c\"\nreason = \"r\"\ntable = \"a.main.t\"\ncolumns = [\"x\"]\n";

    #[tokio::test]
    async fn nothing_to_run_is_a_failure_and_so_is_a_case_that_fails() {
        let directory = tempfile::tempdir().unwrap();
        let policies = directory.path();
        std::fs::create_dir(policies.join("agreements")).unwrap();
        std::fs::write(policies.join("purposes.toml"), "[purpose.p]\ntitle = \"P\"\n").unwrap();
        std::fs::write(policies.join("agreements/a.toml"), AGREEMENT).unwrap();
        assert!(matches!(run_over(policies, &[]).await, Err(Failure::Output { .. })));
        let case = policies.join("agreements/a.case.toml");
        std::fs::write(&case, format!("{CASE}rows = [{{ x = \"1\" }}]\n")).unwrap();
        run_over(policies, &[]).await.unwrap();
        // Passing is one thing, and every rule tried another.
        assert!(matches!(run_over(policies, &["--require-coverage"]).await, Err(Failure::Reported)));
        std::fs::write(&case, format!("{CASE}rows = [{{ x = \"2\" }}]\n")).unwrap();
        assert!(matches!(run_over(policies, &[]).await, Err(Failure::Reported)));
        let report = std::fs::read_to_string(policies.join("report.json")).unwrap();
        assert!(report.contains("missing: x = 2") && report.contains("not expected: x = 1"), "{report}");
        std::fs::write(&case, "on = 2026-06-01\n[[case]]\n").unwrap();
        assert!(matches!(run_over(policies, &[]).await, Err(Failure::Wayleave(_))));
    }
}
