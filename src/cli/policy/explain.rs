//! `wayleave policy explain`: why a table, a column or what is held about one person can or cannot be seen.

use std::path::Path;

use clap::Args;
use wayleave_connector_api::{Form, KeyFormat, Scheme};

use super::super::identity::IdentityArgs;
use super::super::{Failure, open_engine};
use super::format::ReportArgs;
use crate::engine::AskedAbout;
use crate::names::{QualifiedColumn, QualifiedTable};
use crate::stewardship::PolicyExplanation;

/// Explain, rule by rule, why something can or cannot be seen
///
/// For operators and data protection officers: it names hidden columns and filters. It asks the table's agency for the
/// table's description, and with --subject reads that person's rows (numbers of them) and consent entries from the
/// agencies, now. That is recorded in the audit log like a query.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// agency.schema.table, or agency.schema.table.column
    #[arg(value_name = "TABLE[.COLUMN]")]
    what: String,
    /// One person, by the scheme and the key: down to the person's consent entries
    #[arg(long, value_name = "SCHEME:KEY")]
    subject: Option<String>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    report: ReportArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy explain health.main.patients.postcode \\
      --as alice@torbay-asc/social-worker --purpose joint-needs-assessment
  wayleave policy explain social.main.clients --as … --purpose … --subject nhs-number:9992019441
  wayleave policy explain police.main.persons --as lea@torbay-mash/duty-officer --purpose safeguarding --output why.html";

pub async fn run(config: &Path, args: ExplainArgs) -> Result<(), Failure> {
    let session = args.identity.session()?;
    let (table, column) = named(&args.what)?;
    let person = args.subject.as_deref().map(subject).transpose()?;
    let engine = open_engine(config).await?;
    let examination = engine.examine(&session, &table, person.as_ref()).await?;
    let explanation = PolicyExplanation::of(&session, &table, column.as_deref(), &examination);
    args.report.write(&explanation, &explanation.document(), &explanation.grid())
}

fn named(what: &str) -> Result<(QualifiedTable, Option<String>), Failure> {
    if let Ok(column) = QualifiedColumn::parse(what) {
        return Ok((column.table, Some(column.column)));
    }
    let table = QualifiedTable::parse(what).map_err(|error| {
        Failure::usage(error.to_string(), "write agency.schema.table, or agency.schema.table.column")
    })?;
    Ok((table, None))
}

/// A person's key in any written form of its scheme.
fn subject(text: &str) -> Result<AskedAbout, Failure> {
    let wrong = |message: &str| {
        Failure::usage(
            message,
            "write --subject SCHEME:KEY, such as nhs-number:9434765919; schemes are nhs-number and opaque",
        )
    };
    let (name, key) = text.split_once(':').ok_or_else(|| wrong("--subject names no scheme"))?;
    let scheme = Scheme::NAMES.iter().find(|(known, _)| *known == name.trim()).map(|(_, scheme)| *scheme);
    let scheme = scheme.ok_or_else(|| wrong("--subject names an unknown scheme"))?;
    let form = if scheme == Scheme::Opaque { Form::Compact } else { Form::Mixed };
    let format = KeyFormat { scheme, form, assured: false };
    let key = format.canonical(key.trim()).ok_or_else(|| wrong("--subject holds no valid key of its scheme"))?;
    Ok(AskedAbout { scheme, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_checked_before_anything_is_asked() {
        let written = subject("nhs-number:943 476 5919").unwrap();
        assert_eq!((written.scheme, written.key.as_str()), (Scheme::NhsNumber, "9434765919"));
        assert_eq!(subject("opaque:a:b").unwrap().key, "a:b");
        for text in ["9434765919", "nhs:9434765919", "nhs-number:9434765918", "opaque:"] {
            assert!(subject(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_or_a_column_is_named() {
        assert_eq!(named("a.b.c").unwrap().1, None);
        assert_eq!(named("a.b.c.d").unwrap().1.as_deref(), Some("d"));
        assert!(named("a.b").is_err());
    }
}
