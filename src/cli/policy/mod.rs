//! `wayleave policy`: the tools of those who write agreements, one file a command.
//!
//! They are for operators and data protection officers, who have the policy files on their disk: what they show is not
//! narrowed to an asker.

mod check;
mod diff;
mod explain;
mod format;
mod matrix;
mod new;
mod record;
mod schema;
mod sign;
mod test;
pub(super) mod text;

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{Failure, load_config};
use crate::policy::Clock;
use crate::policy::files::PolicySet;

/// Read, compare, test and explain the sharing agreements
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy matrix --purpose joint-needs-assessment
  wayleave policy diff HEAD~1:policies policies
  wayleave policy diff HEAD:policies policies --replay
  wayleave policy explain social.main.clients.phone --as … --purpose … --subject nhs-number:9992019441
  wayleave policy record --paper dpia --output dpia.html
  wayleave policy test
  wayleave policy check
  wayleave policy new
  wayleave policy schema policies
  wayleave policy sign --key ~/dpo.key

matrix, diff, record, test, new, schema, sign and verify read files only; explain, check and
diff --replay ask the agencies.
These are tools for operators and data protection officers: what they show is not narrowed to an asker.";

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Matrix(matrix::MatrixArgs),
    Diff(diff::DiffArgs),
    Explain(explain::ExplainArgs),
    Record(record::RecordArgs),
    Test(test::TestArgs),
    Check(check::CheckArgs),
    New(new::NewArgs),
    Schema(schema::SchemaArgs),
    Sign(sign::SignArgs),
    Verify(sign::VerifyArgs),
}

pub async fn run(config: PathBuf, args: PolicyArgs) -> Result<(), Failure> {
    match args.command {
        PolicyCommand::Matrix(args) => matrix::run(&config, &args),
        PolicyCommand::Explain(args) => explain::run(&config, args).await,
        PolicyCommand::Record(args) => record::run(&config, &args),
        PolicyCommand::Test(args) => test::run(&config, args).await,
        PolicyCommand::Check(args) => check::run(&config, args).await,
        PolicyCommand::New(args) => new::run(&config, &args),
        PolicyCommand::Schema(args) => schema::run(&args),
        PolicyCommand::Sign(args) => sign::sign(&config, &args),
        PolicyCommand::Verify(args) => sign::verify(&config, &args),
        PolicyCommand::Diff(args) => diff::run(&config, &args).await,
    }
}

/// Where the policy files are.
#[derive(Args, Clone, Debug)]
struct FilesArgs {
    /// Read the policy files of this directory, and no configuration
    #[arg(long, value_name = "DIRECTORY")]
    policies: Option<PathBuf>,
}

impl FilesArgs {
    fn directory(&self, config: &Path) -> Result<PathBuf, Failure> {
        match &self.policies {
            Some(directory) => Ok(directory.clone()),
            None => Ok(load_config(config)?.policies),
        }
    }

    fn load(&self, config: &Path) -> Result<PolicySet, Failure> {
        load_policies(&self.directory(config)?)
    }
}

fn load_policies(directory: &Path) -> Result<PolicySet, Failure> {
    PolicySet::load(directory).map_err(|diagnostics| Failure::Wayleave(diagnostics.into()))
}

/// The day that a report is made for.
fn day(on: Option<NaiveDate>) -> NaiveDate {
    on.unwrap_or_else(|| Clock::System.today())
}
