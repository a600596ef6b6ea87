//! Whether agreements and registers fit the agencies as they are today, and what their authors should look at.
//!
//! In: an engine. Out: findings. Agencies are asked for descriptions of tables; no row is read.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde::Serialize;
use wayleave_connector_api::Table;

use super::render::{Document, Grid};
use super::words;
use crate::catalog::Agency;
use crate::diagnostic::nearest;
use crate::engine::Engine;
use crate::error::Error;
use crate::names::QualifiedTable;
use crate::policy::files::{Agreement, AgreementState, CodedColumn, PolicySet};

/// How long before its end an agreement is named.
pub const DAYS_OF_NOTICE: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Queries are refused because of it.
    Error,
    /// They soon will be, or something is not as its author may think.
    Warning,
    /// For the record.
    Note,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct InspectionFinding {
    pub severity: Severity,
    /// An agreement, a register, an agency or a table.
    pub about: String,
    pub said: String,
    /// What to do.
    pub hint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    pub on: String,
    /// The gravest first.
    pub findings: Vec<InspectionFinding>,
}

impl Inspection {
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    pub fn document(&self) -> Document {
        let mut document = Document::new(format!(
            "Policies and agencies on {}: {} errors, {} warnings, {} notes",
            self.on,
            self.count(Severity::Error),
            self.count(Severity::Warning),
            self.count(Severity::Note)
        ));
        for (severity, heading) in [
            (Severity::Error, "Errors: queries are refused"),
            (Severity::Warning, "Warnings: look at them"),
            (Severity::Note, "Notes"),
        ] {
            let of_severity: Vec<String> = self
                .findings
                .iter()
                .filter(|finding| finding.severity == severity)
                .map(|finding| match &finding.hint {
                    Some(hint) => format!("{}: {} ({hint})", finding.about, finding.said),
                    None => format!("{}: {}", finding.about, finding.said),
                })
                .collect();
            if !of_severity.is_empty() {
                document.heading(2, heading);
                document.list(of_severity);
            }
        }
        document
    }

    pub fn grid(&self) -> Grid {
        let mut grid = Grid::new(&["severity", "about", "said", "hint"]);
        for finding in &self.findings {
            grid.push([
                finding.severity.word().to_owned(),
                finding.about.clone(),
                finding.said.clone(),
                finding.hint.clone().unwrap_or_default(),
            ]);
        }
        grid
    }
}

/// Looks at everything, against the agencies' live catalogs.
pub async fn inspect(engine: &Engine) -> Inspection {
    let on = engine.today();
    let mut findings = Findings(Vec::new());
    let policies = engine.policies();
    let set = policies.set();
    let mut reached = BTreeSet::new();
    for agency in engine.agencies().await {
        match agency.info {
            Ok(_) => {
                reached.insert(agency.agency);
            }
            Err(error) => findings.error(
                format!("agency {}", agency.agency),
                format!("it cannot be reached: {}", told(&error)),
                "what it shares is refused until it can be",
            ),
        }
    }
    for agreement in &set.agreements {
        findings.dates(agreement, on);
        findings.codes(set, agreement);
        findings.disclosures(agreement);
        if agreement.break_glass.is_some() && !engine.tells_owners() {
            let said = "its glass cannot be broken: the configuration has no `[alerts]`, so that nobody would be told";
            let hint = "write `[alerts]`, then `directory = \"alerts\"` or `command = [\"…\"]`";
            findings.warning(format!("agreement {}", agreement.id), said.to_owned(), hint);
        }
    }
    findings.catalog(engine, set, &reached).await;
    findings.registers(engine, set, &reached).await;
    for share in engine.shares().await {
        if let Err(error) = &share.state
            && reached.contains(&share.table.agency)
        {
            let about = format!("agreement {}", share.agreement);
            findings.error(about, format!("`{}` cannot be shared: {}", share.table, told(error)), "");
        }
    }
    findings.purposes(set);
    let mut findings = findings.0;
    findings.sort();
    findings.dedup();
    Inspection { on: on.to_string(), findings }
}

fn told(error: &Error) -> String {
    match error.operator_detail() {
        Some(detail) => format!("{error}: {detail}"),
        None => error.to_string(),
    }
}

struct Findings(Vec<InspectionFinding>);

impl Findings {
    fn add(&mut self, severity: Severity, about: String, said: String, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.0.push(InspectionFinding { severity, about, said, hint });
    }

    fn error(&mut self, about: String, said: String, hint: &str) {
        self.add(Severity::Error, about, said, hint);
    }

    fn warning(&mut self, about: String, said: String, hint: &str) {
        self.add(Severity::Warning, about, said, hint);
    }

    fn note(&mut self, about: String, said: String) {
        self.add(Severity::Note, about, said, "");
    }

    fn dates(&mut self, agreement: &Agreement, on: NaiveDate) {
        let about = format!("agreement {}", agreement.id);
        match agreement.state(on) {
            AgreementState::Draft => self.note(about, "a draft: it releases nothing".to_owned()),
            AgreementState::NotStarted { starts } => self.note(about, format!("it starts on {starts}")),
            AgreementState::Ended { ends } => {
                self.warning(
                    about,
                    format!("it ended on {ends}, and nobody can use its shares"),
                    "take the file out, or renew it",
                );
            }
            AgreementState::ReviewPassed { review_by } => self.warning(
                about,
                format!("its review was due by {review_by}, and nobody can use its shares"),
                "review it, then move `review_by`",
            ),
            AgreementState::InForce => {
                let soon = on.checked_add_days(Days::new(DAYS_OF_NOTICE)).unwrap_or(NaiveDate::MAX);
                for (what, day) in [("it ends on", agreement.ends), ("its review is due by", agreement.review_by)] {
                    if day <= soon {
                        let days = day.signed_duration_since(on).num_days();
                        let said = format!("{what} {day}, in {days} days");
                        self.warning(about.clone(), said, "it refuses the day after");
                    }
                }
            }
        }
    }

    /// Registers with codes of their own, which lack this agreement's.
    fn codes(&mut self, set: &PolicySet, agreement: &Agreement) {
        for register in agreement.registers().filter_map(|name| set.registers.get(name)) {
            let lacks = |column: &Option<CodedColumn>, code: &str| {
                column.as_ref().is_some_and(|column| !column.codes.is_empty() && !column.codes.contains_key(code))
            };
            let mut missing = Vec::new();
            if lacks(&register.purpose, &agreement.basis.purpose) {
                missing.push(format!("purpose `{}`", agreement.basis.purpose));
            }
            for recipient in &agreement.recipients {
                if lacks(&register.recipient, &recipient.organisation) {
                    missing.push(format!("recipient `{}`", recipient.organisation));
                }
            }
            let classes: BTreeSet<&String> = agreement.shares.iter().filter_map(|share| share.class.as_ref()).collect();
            missing.extend(
                classes
                    .into_iter()
                    .filter(|class| lacks(&register.class, class))
                    .map(|class| format!("class `{class}`")),
            );
            for what in missing {
                let said = format!("register `{}` has codes for others, and none for {what}", register.name);
                let hint = "entries count only where they hold that very word or `*`: add the register's codes";
                self.warning(format!("agreement {}", agreement.id), said, hint);
            }
        }
    }

    fn disclosures(&mut self, agreement: &Agreement) {
        for share in agreement.shares.iter().filter(|share| !share.disclose_keys_to.is_empty()) {
            let said = format!("keys of `{}` may be sent to {}", share.table, words::disclosures(share));
            self.note(format!("agreement {}", agreement.id), said);
        }
    }

    /// Shares and the tables as they are.
    async fn catalog(&mut self, engine: &Engine, set: &PolicySet, reached: &BTreeSet<String>) {
        let shared: BTreeSet<&QualifiedTable> =
            set.agreements.iter().flat_map(|agreement| agreement.shares.iter().map(|share| &share.table)).collect();
        for name in &shared {
            let Some(agency) = engine.agencies_configured().get(&name.agency) else { continue };
            if !reached.contains(&agency.name) {
                continue;
            }
            match agency.table(&name.table_name()).await {
                Ok(Some(table)) => self.table(set, agency, name, &table),
                Ok(None) => {
                    for agreement in set.agreements.iter().filter(|agreement| agreement.share_of(name).is_some()) {
                        let said = format!("`{name}` does not exist at the agency");
                        self.error(format!("agreement {}", agreement.id), said, "the table was dropped or renamed");
                    }
                }
                Err(error) => {
                    self.error(format!("table {name}"), format!("it cannot be described: {error}"), "");
                }
            }
        }
        let registers: BTreeSet<&QualifiedTable> = set.registers.values().map(|register| &register.table).collect();
        for agency in engine.agencies_configured().iter().filter(|agency| reached.contains(&agency.name)) {
            let Ok(tables) = agency.tables().await else { continue };
            let unnamed: Vec<String> = tables
                .iter()
                .map(|table| QualifiedTable::new(&agency.name, &table.name.schema, &table.name.table))
                .filter(|table| !shared.contains(table) && !registers.contains(table))
                .map(|table| format!("{}.{}", table.schema, table.table))
                .collect();
            if !unnamed.is_empty() {
                let said = format!("no agreement shares {}", unnamed.join(", "));
                self.note(format!("agency {}", agency.name), said);
            }
        }
    }

    fn table(&mut self, set: &PolicySet, agency: &Agency, name: &QualifiedTable, table: &Table) {
        let columns = || table.columns.iter().map(|column| column.name.as_str());
        let mut named = BTreeSet::new();
        for agreement in &set.agreements {
            let Some(share) = agreement.share_of(name) else { continue };
            let about = format!("agreement {}", agreement.id);
            for column in &share.columns {
                named.insert(column.as_str());
                if !columns().any(|known| known == column) {
                    let hint = match nearest(column, columns()) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => "take it out of `columns`: the whole table is refused until then".to_owned(),
                    };
                    self.error(about.clone(), format!("`{name}` has no column `{column}`"), &hint);
                }
            }
            let counts = agreement.output.is_some_and(|output| output.aggregate_only);
            if counts && !agency.subjects.contains_key(&table.name) {
                let said = format!(
                    "nobody can use its share of `{name}`: aggregates need a subject column to count persons by"
                );
                self.error(about, said, "declare the table's `subject` in the configuration");
            }
        }
        let unnamed: Vec<&str> = columns().filter(|column| !named.contains(column)).collect();
        if !unnamed.is_empty() {
            let said = format!("no share names its columns {}", unnamed.join(", "));
            self.note(format!("table {name}"), said);
        }
    }

    async fn registers(&mut self, engine: &Engine, set: &PolicySet, reached: &BTreeSet<String>) {
        for register in set.registers.values() {
            let about = format!("register {}", register.name);
            let users: Vec<&str> = set
                .agreements
                .iter()
                .filter(|agreement| agreement.registers().any(|name| *name == register.name))
                .map(|agreement| agreement.id.as_str())
                .collect();
            if users.is_empty() {
                self.note(about.clone(), "no agreement asks it".to_owned());
            }
            let Some(agency) = engine.agencies_configured().get(&register.table.agency) else { continue };
            if !reached.contains(&agency.name) {
                let said = format!("its agency `{}` cannot be reached", agency.name);
                self.error(about, said, &refused(&users));
                continue;
            }
            match agency.table(&register.table.table_name()).await {
                Ok(Some(table)) => {
                    for column in register.columns().filter(|column| table.column(column).is_none()) {
                        let said = format!("`{}` has no column `{column}`", register.table);
                        self.error(about.clone(), said, &refused(&users));
                    }
                }
                Ok(None) => {
                    self.error(about, format!("`{}` does not exist at the agency", register.table), &refused(&users))
                }
                Err(error) => self.error(about, format!("it cannot be described: {error}"), &refused(&users)),
            }
        }
    }

    fn purposes(&mut self, set: &PolicySet) {
        for code in set.purposes.keys() {
            if !set.agreements.iter().any(|agreement| agreement.basis.purpose == *code) {
                self.note(
                    format!("purpose {code}"),
                    "no agreement is made for it: every table is refused to it".to_owned(),
                );
            }
        }
    }
}

fn refused(users: &[&str]) -> String {
    if users.is_empty() { String::new() } else { format!("refused until it can be read: {}", users.join(", ")) }
}
