//! Rehearsals of policy: what a role should see of a small made-up world, said in `*.case.toml` beside the policies.
//!
//! In: policy files and case files. Out: for each case whether the real engine answers as the case says, over throw-away
//! SQLite databases that hold the case's rows; and which rules of the agreements the cases have tried. No agency is asked.

mod coverage;
mod read;
mod run;
mod world;

use std::path::PathBuf;

use serde::Serialize;

pub use read::{CaseFile, find_case_files};
pub use run::rehearse;

use super::render::{Document, Grid};

/// The files of cases, for the schema that editors read.
pub(super) const FILE_KIND: crate::diagnostic::schema::FileKind = read::CASE_FILE;

/// What came of all cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    pub cases: Vec<CaseResult>,
    /// Each rule of each agreement that is no draft.
    pub coverage: Vec<RuleCoverage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    pub file: PathBuf,
    pub line: usize,
    pub name: String,
    /// What is otherwise than the case says; empty where it passes.
    pub failures: Vec<String>,
}

/// A rule of an agreement, and whether a case that passes has tried it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCoverage {
    pub agreement: String,
    pub rule: String,
    pub tried: bool,
}

impl Rehearsal {
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.failures.is_empty()).count()
    }

    pub fn untried(&self) -> usize {
        self.coverage.iter().filter(|rule| !rule.tried).count()
    }

    pub fn document(&self) -> Document {
        let mut document = Document::new(format!("{} cases, {} failed", self.cases.len(), self.failed()));
        let mut grid = Grid::new(&["case", "file", "result"]);
        for case in &self.cases {
            let result = if case.failures.is_empty() { "passed" } else { "FAILED" };
            grid.push([case.name.clone(), format!("{}:{}", case.file.display(), case.line), result.to_owned()]);
        }
        document.table(grid);
        for case in self.cases.iter().filter(|case| !case.failures.is_empty()) {
            document.heading(2, format!("Failed: {} ({}:{})", case.name, case.file.display(), case.line));
            document.list(case.failures.clone());
        }
        document.heading(
            2,
            format!("{} of {} rules tried", self.coverage.len().saturating_sub(self.untried()), self.coverage.len()),
        );
        let untried: Vec<String> = self
            .coverage
            .iter()
            .filter(|rule| !rule.tried)
            .map(|rule| format!("{}: {}", rule.agreement, rule.rule))
            .collect();
        if !untried.is_empty() {
            document.paragraph("No passing case tries:");
            document.list(untried);
        }
        document
    }

    /// Each case, then each rule, in a row.
    pub fn grid(&self) -> Grid {
        let mut grid = Grid::new(&["kind", "of", "name", "result"]);
        for case in &self.cases {
            let result = if case.failures.is_empty() { "passed".to_owned() } else { case.failures.join("; ") };
            let of = format!("{}:{}", case.file.display(), case.line);
            grid.push(["case".to_owned(), of, case.name.clone(), result]);
        }
        for rule in &self.coverage {
            let result = if rule.tried { "tried" } else { "not tried" };
            grid.push(["rule".to_owned(), rule.agreement.clone(), rule.rule.clone(), result.to_owned()]);
        }
        grid
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::files::PolicySet;

    fn policies() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
    }

    async fn run(set: &PolicySet, text: &str) -> Rehearsal {
        rehearse(set, &[CaseFile::parse(Path::new("x.case.toml"), text).unwrap()]).await.unwrap()
    }

    const WORLD: &str = r#"on = 2026-06-01
[[table]]
name = "social.main.packages"
subject = { column = "nhs_number", scheme = "nhs-number" }
columns = { client_id = "INTEGER", nhs_number = "TEXT", kind = "TEXT", weekly_cost_pence = "INTEGER", start_date = "DATE", end_date = "DATE" }
rows = [{ client_id = 1, nhs_number = "9020000020", kind = "home care", weekly_cost_pence = 100, start_date = 2026-01-01 }]
[[table]]
name = "health.main.consents"
columns = { nhs_number = "TEXT", purpose = "TEXT", recipient = "TEXT", status = "TEXT", valid_from = "DATE", valid_to = "DATE" }
[[case]]
name = "one"
as = "u@torbay-asc/social-worker"
purpose = "joint-needs-assessment"
table = "social.main.packages"
"#;

    /// Of every case in a folder of policies; all of them pass.
    async fn rehearsed(folder: &Path) -> Rehearsal {
        let set = PolicySet::load(folder).unwrap();
        let paths = find_case_files(folder).unwrap();
        let files: Vec<CaseFile> =
            paths.iter().map(|path| CaseFile::load(path).unwrap_or_else(|wrong| panic!("{wrong}"))).collect();
        let rehearsal = rehearse(&set, &files).await.unwrap();
        let failed: Vec<&CaseResult> = rehearsal.cases.iter().filter(|case| !case.failures.is_empty()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        rehearsal
    }

    #[tokio::test]
    async fn each_rule_has_cases_that_pass() {
        assert_eq!(rehearsed(&policies().join("rules")).await.cases.len(), 49);
    }

    #[tokio::test]
    async fn the_examples_cases_pass_and_try_every_rule() {
        let rehearsal = rehearsed(&policies()).await;
        let untried: Vec<&RuleCoverage> = rehearsal.coverage.iter().filter(|rule| !rule.tried).collect();
        assert!(untried.is_empty(), "{untried:#?}");
        assert!(rehearsal.cases.len() >= 25);
    }

    #[tokio::test]
    async fn what_fails_shows_its_values_and_tries_nothing() {
        let set = PolicySet::load(&policies()).unwrap();
        let rehearsal = run(&set, &format!("{WORLD}columns = [\"kind\"]\nrows = [{{ kind = \"day care\" }}]\n")).await;
        let expected = [
            "the columns are nhs_number, client_id, kind, weekly_cost_pence, start_date, end_date, and should be kind",
            "missing: kind = day care",
            "not expected: kind = home care",
        ];
        assert_eq!(rehearsal.cases[0].failures, expected);
        assert_eq!((rehearsal.failed(), rehearsal.cases[0].line), (1, 10));
        assert!(rehearsal.coverage.iter().all(|rule| !rule.tried));
        let rehearsal = run(&set, &format!("{WORLD}refused = \"table-not-released\"\n")).await;
        assert_eq!(
            rehearsal.cases[0].failures,
            ["it is answered with 1 rows, and should be refused as `table-not-released`"]
        );
        let shown = format!("{:?}", rehearsal.document());
        assert!(shown.contains("FAILED") && shown.contains("0 of "), "{shown}");
    }

    #[tokio::test]
    async fn refusals_are_compared_by_code_and_reason() {
        let set = PolicySet::load(&policies()).unwrap();
        let wrong_purpose = WORLD.replace("joint-needs-assessment", "benefit-fraud");
        let failures = async |text: &str| run(&set, text).await.cases.remove(0).failures;
        assert!(failures(&format!("{wrong_purpose}refused = \"table-not-released\"\n")).await.is_empty());
        let other =
            failures(&format!("{wrong_purpose}refused = \"aggregates-only\"\nbecause = \"no such words\"\n")).await;
        assert!(other[0].starts_with("it is refused as `table-not-released`, and should be as `aggregates-only`"));
        assert!(other[1].starts_with("the refusal does not say `no such words`"), "{other:?}");
        let answered = failures(&format!("{wrong_purpose}rows = []\n")).await;
        assert!(answered[0].starts_with("it is refused: `social.main.packages` is not released"), "{answered:?}");
    }

    #[tokio::test]
    async fn a_register_that_the_world_lacks_refuses() {
        let set = PolicySet::load(&policies()).unwrap();
        let start = WORLD.find("[[table]]\nname = \"health.main.consents\"").unwrap();
        let end = WORLD.find("[[case]]").unwrap();
        let without = format!("{}{}rows = []\n", &WORLD[..start], &WORLD[end..]);
        let failures = run(&set, &without).await.cases.remove(0).failures;
        assert!(failures[0].contains("the agency has no such table"), "{failures:?}");
    }

    #[tokio::test]
    async fn a_world_stands_for_databases_with_other_schemas() {
        let mut set = PolicySet::load(&policies()).unwrap();
        for share in set.agreements.iter_mut().flat_map(|agreement| &mut agreement.shares) {
            share.table.schema = "public".to_owned();
        }
        for register in set.registers.values_mut() {
            register.table.schema = "public".to_owned();
        }
        let text = WORLD.replace(".main.", ".public.");
        let rehearsal = run(&set, &format!("{text}rows = [{{ kind = \"<any>\" }}]\n")).await;
        assert!(rehearsal.cases[0].failures.is_empty(), "{rehearsal:?}");
        let query = text.replace("table = \"social", "query = \"SELECT kind FROM social");
        let rehearsal = run(&set, &format!("{query}rows = [{{ kind = \"home care\" }}]\n")).await;
        assert!(rehearsal.cases[0].failures.is_empty(), "{rehearsal:?}");
        let of_rule = |rule: &RuleCoverage| rule.rule == "social.public.packages is released" && rule.tried;
        assert!(rehearsal.coverage.iter().any(of_rule), "{:?}", rehearsal.coverage);
    }
}
