//! `wayleave policy record`: the papers that the law asks for, drafted from the agreements.

use std::path::Path;

use chrono::NaiveDate;
use clap::{Args, ValueEnum};

use super::super::Failure;
use super::format::ReportArgs;
use super::{FilesArgs, day};
use crate::stewardship::{Paper, ProcessingRecord};

/// Draft the record of processing, the annex of an agreement, or an impact assessment
///
/// Reads the policy files only; no agency is asked. What the files do not say is marked for the controller to complete.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    /// Which paper
    #[arg(long, value_enum, default_value_t = PaperName::Article30)]
    paper: PaperName,
    /// Only the agreement of this id
    #[arg(long, value_name = "ID")]
    agreement: Option<String>,
    /// The day that the paper is drawn up for; today where it is left out
    #[arg(long, value_name = "YYYY-MM-DD")]
    on: Option<NaiveDate>,
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PaperName {
    /// The record of processing activities of article 30
    #[value(name = "article-30")]
    Article30,
    /// The annex of the information sharing agreement
    Annex,
    /// A draft of the data protection impact assessment
    Dpia,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy record --output record.html
  wayleave policy record --paper annex --agreement ISA-2026-014 --format markdown
  wayleave policy record --paper dpia --agreement ISA-2026-021 --output dpia.md";

pub fn run(config: &Path, args: &RecordArgs) -> Result<(), Failure> {
    let set = args.files.load(config)?;
    let record = ProcessingRecord::of(&set, day(args.on), args.agreement.as_deref());
    if record.activities.is_empty() {
        let known: Vec<String> = set.agreements.iter().map(|agreement| format!("`{}`", agreement.id)).collect();
        return Err(match &args.agreement {
            Some(id) => {
                Failure::usage(format!("there is no agreement `{id}`"), format!("the ids are {}", known.join(", ")))
            }
            None => Failure::usage("there is no agreement to record", "`wayleave policy new` writes one"),
        });
    }
    let paper = match args.paper {
        PaperName::Article30 => Paper::Article30,
        PaperName::Annex => Paper::Annex,
        PaperName::Dpia => Paper::ImpactAssessment,
    };
    args.report.write(&record, &record.document(paper), &record.grid())
}
