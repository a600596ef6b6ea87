//! A new agreement, as a file's text that is valid beside the files that are there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::diagnostic::Diagnostics;
use crate::names::QualifiedTable;
use crate::policy::files::{ConsentMode, Decision, PolicySet};

/// What an agreement cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementDraft {
    pub id: String,
    pub title: String,
    pub owner: String,
    pub starts: NaiveDate,
    pub ends: NaiveDate,
    pub review_by: NaiveDate,
    /// Whether it releases anything yet.
    pub force: Force,
    pub purpose: String,
    pub article_6: String,
    pub article_9: Option<String>,
    pub gateway: Option<String>,
    pub dpia: Option<String>,
    /// Organisations and their roles.
    pub recipients: Vec<(String, Vec<String>)>,
    pub consent: DraftConsent,
    /// Tables and their released columns.
    pub shares: Vec<(QualifiedTable, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    Draft,
    InForce,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftConsent {
    /// Then a case reference and a reason are required.
    NotRequired,
    Required {
        mode: ConsentMode,
        registers: Vec<String>,
        no_information: Decision,
    },
}

impl AgreementDraft {
    /// The file's name inside the policy directory: its id in small letters, what is neither letter nor digit as `-`.
    pub fn file_name(&self) -> PathBuf {
        let name: String =
            self.id.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Path::new("agreements").join(format!("{}.toml", name.trim_matches('-')))
    }

    /// The file's text.
    pub fn toml(&self) -> String {
        let mut text = "#:schema ../agreement.schema.json\n\n[agreement]\n".to_owned();
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "{key} = {value}");
        };
        line("id", quoted(&self.id));
        line("title", quoted(&self.title));
        line("owner", quoted(&self.owner));
        line("starts", self.starts.to_string());
        line("ends", self.ends.to_string());
        line("review_by", format!("{} # past it, the agreement refuses", self.review_by));
        if self.force == Force::Draft {
            line("draft", "true # a draft releases nothing: take this line out once it is agreed".to_owned());
        }
        text.push_str("\n[basis]\n");
        let mut line = |key: &str, value: Option<&String>| {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
        };
        line("purpose", Some(&self.purpose));
        line("article_6", Some(&self.article_6));
        line("article_9", self.article_9.as_ref());
        line("gateway", self.gateway.as_ref());
        line("dpia", self.dpia.as_ref());
        for (organisation, roles) in &self.recipients {
            let _ = write!(text, "\n[[recipient]]\norganisation = {}\nroles = {}\n", quoted(organisation), list(roles));
        }
        text.push_str("\n[consent]\n");
        match &self.consent {
            DraftConsent::NotRequired => {
                text.push_str("mode = \"not-required\"\n\n[require]\ncase_reference = true\nreason = true\n");
            }
            DraftConsent::Required { mode, registers, no_information } => {
                let mode = match mode {
                    ConsentMode::OptIn => "opt-in",
                    ConsentMode::OptOut => "opt-out",
                };
                let silent = match no_information {
                    Decision::Permit => "permit",
                    Decision::Deny => "deny",
                };
                let registers = list(registers);
                let _ = write!(text, "mode = \"{mode}\"\nregisters = {registers}\nno_information = \"{silent}\"\n");
            }
        }
        for (table, columns) in &self.shares {
            let _ = write!(text, "\n[[share]]\ntable = {}\ncolumns = {}\n", quoted(&table.to_string()), list(columns));
        }
        text
    }

    /// The file's text, which together with the files that are there is a policy set without a fault.
    ///
    /// # Errors
    /// Everything that would be wrong, in the new file or in those that are there.
    pub fn checked(&self, directory: &Path, files: &BTreeMap<PathBuf, String>) -> Result<String, Diagnostics> {
        let text = self.toml();
        let mut files = files.clone();
        files.insert(self.file_name(), text.clone());
        PolicySet::parse(directory, &files)?;
        Ok(text)
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> AgreementDraft {
        AgreementDraft {
            id: "ISA 2027/001".to_owned(),
            title: "A \"new\" one".to_owned(),
            owner: "dpo@x.example".to_owned(),
            starts: "2027-01-01".parse().unwrap(),
            ends: "2028-01-01".parse().unwrap(),
            review_by: "2027-06-01".parse().unwrap(),
            force: Force::Draft,
            purpose: "safeguarding".to_owned(),
            article_6: "e".to_owned(),
            article_9: Some("h".to_owned()),
            gateway: None,
            dpia: None,
            recipients: vec![("org".to_owned(), vec!["a".to_owned(), "b".to_owned()])],
            consent: DraftConsent::Required {
                mode: ConsentMode::OptOut,
                registers: vec!["shared-care".to_owned()],
                no_information: Decision::Permit,
            },
            shares: vec![(QualifiedTable::new("health", "main", "a.b"), vec!["x".to_owned(), "y".to_owned()])],
        }
    }

    fn examples() -> (PathBuf, BTreeMap<PathBuf, String>) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let files = PolicySet::read_files(&directory).unwrap();
        (directory, files)
    }

    #[test]
    fn a_draft_is_a_file_that_reads_back_as_it_was_meant() {
        let (directory, files) = examples();
        let draft = draft();
        assert_eq!(draft.file_name(), Path::new("agreements/isa-2027-001.toml"));
        let text = draft.checked(&directory, &files).unwrap();
        let mut files = files;
        files.insert(draft.file_name(), text);
        let set = PolicySet::parse(&directory, &files).unwrap();
        let read = set.agreements.iter().find(|agreement| agreement.id == draft.id).unwrap();
        assert_eq!((read.title.as_str(), read.draft, read.review_by), (draft.title.as_str(), true, draft.review_by));
        assert_eq!(read.shares[0].table, draft.shares[0].0);
        assert_eq!(read.recipients[0].roles, ["a", "b"]);
    }

    #[test]
    fn a_statutory_basis_asks_for_case_and_reason_at_once() {
        let (directory, files) = examples();
        let mut draft = draft();
        draft.consent = DraftConsent::NotRequired;
        draft.force = Force::InForce;
        let text = draft.checked(&directory, &files).unwrap();
        assert!(text.contains("case_reference = true") && !text.contains("draft"), "{text}");
    }

    #[test]
    fn what_would_be_wrong_is_refused() {
        let (directory, files) = examples();
        let wrong = |edit: &dyn Fn(&mut AgreementDraft)| {
            let mut draft = draft();
            edit(&mut draft);
            draft.checked(&directory, &files).unwrap_err().to_string()
        };
        assert!(wrong(&|draft| draft.purpose = "nothing".to_owned()).contains("there is no purpose `nothing`"));
        assert!(wrong(&|draft| draft.id = "ISA-2026-014".to_owned()).contains("has the id `ISA-2026-014` already"));
        assert!(wrong(&|draft| draft.ends = "2020-01-01".parse().unwrap()).contains("`ends` is before `starts`"));
    }
}
