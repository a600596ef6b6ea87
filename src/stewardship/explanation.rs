//! Why a role can or cannot see a table, a column, or what is held about one person: rule by rule.
//!
//! The rules are asked by the code that asks them for a query; this module only puts them into words.

use serde::Serialize;

use super::render::{Document, Grid};
use super::words;
use crate::engine::{Examination, PersonFinding, RegisterEntryFound};
use crate::error::Error;
use crate::names::QualifiedTable;
use crate::policy::files::{Consent, Decision};
use crate::policy::{Demand, Entitlement, RegisterEntry, ReleasedTable, Rule};
use crate::session::Session;

/// The whole explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyExplanation {
    pub who: String,
    pub purpose: String,
    pub table: String,
    pub column: Option<String>,
    /// Whether what was asked about can be seen; about a person, whether any row is.
    pub visible: bool,
    /// One sentence.
    pub because: String,
    pub agreements: Vec<AgreementRules>,
    /// What the agreement that answers does with columns and rows; empty where none does.
    pub release: Vec<Reason>,
    pub person: Option<PersonRules>,
}

/// What each rule says of one agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgreementRules {
    pub id: String,
    pub title: String,
    pub rules: Vec<Reason>,
}

/// A rule, whether it holds, and in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub rule: String,
    pub holds: bool,
    pub said: String,
}

/// What decides about one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonRules {
    pub rows: u64,
    pub rules: Vec<Reason>,
    pub registers: Vec<RegisterRules>,
}

impl PersonRules {
    /// The rule that says most of why nothing is seen: that there are no rows, else a register's, else another.
    fn telling_failure(&self) -> Option<&Reason> {
        if self.rows == 0 {
            return self.rules.first();
        }
        let failing = || self.rules.iter().rev().filter(|rule| !rule.holds);
        failing().find(|rule| rule.rule != TOGETHER).or_else(|| failing().next())
    }
}

/// The rule that all demands at the table's agency hold of one row.
const TOGETHER: &str = "all that the table's agency checks";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisterRules {
    pub register: String,
    pub entries: Vec<EntryWords>,
    /// `permits`, `denies`, or `says nothing`.
    pub decides: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryWords {
    pub entry: String,
    pub counts: String,
}

fn reason(rule: &str, holds: bool, said: impl Into<String>) -> Reason {
    Reason { rule: rule.to_owned(), holds, said: said.into() }
}

impl PolicyExplanation {
    pub fn of(session: &Session, table: &QualifiedTable, column: Option<&str>, examination: &Examination) -> Self {
        let agreements = examination
            .agreements
            .iter()
            .map(|examined| AgreementRules {
                id: examined.agreement.id.clone(),
                title: examined.agreement.title.clone(),
                rules: examined
                    .findings
                    .iter()
                    .map(|finding| {
                        let said = finding.failing.clone().unwrap_or_else(|| "yes".to_owned());
                        reason(rule_words(finding.rule), finding.failing.is_none(), said)
                    })
                    .collect(),
            })
            .collect();
        let mut explanation = Self {
            who: format!("{}/{}", session.organisation, session.role),
            purpose: session.purpose.clone(),
            table: table.to_string(),
            column: column.map(str::to_owned),
            visible: false,
            because: String::new(),
            agreements,
            release: Vec::new(),
            person: None,
        };
        match (&examination.decision, &examination.released) {
            (Err(error), _) => explanation.because = refusal(error, examination.agreements.is_empty()),
            (Ok(_), Some(Err(error))) => {
                explanation.because = match error.operator_detail() {
                    Some(detail) => format!("{error}: {detail}"),
                    None => error.to_string(),
                };
            }
            (Ok(entitlement), Some(Ok(released))) => explanation.released(entitlement, released, examination),
            (Ok(_), None) => explanation.because = "it was not looked at".to_owned(),
        }
        explanation
    }

    fn released(&mut self, entitlement: &Entitlement, released: &ReleasedTable, examination: &Examination) {
        let Entitlement { agreement, share, passed_over } = entitlement;
        self.visible = true;
        self.because = format!("agreement `{}` releases it", agreement.id);
        if let Some(column) = &self.column {
            let unreadable = released.unreadable.iter().find(|(name, _)| name == column);
            let (holds, said) = match (share.columns.contains(column), unreadable) {
                (false, _) => (false, format!("agreement `{}` does not name the column `{column}`", agreement.id)),
                (true, Some((_, why))) => (false, format!("the column cannot be read: {why}")),
                (true, None) => (true, format!("seen {}", words::seen_as(share.masks.get(column)))),
            };
            self.release.push(reason("column", holds, said.clone()));
            if !holds {
                self.visible = false;
                self.because = said;
            }
        } else {
            for column in &released.columns {
                let said = format!("`{}` is seen {}", column.name, words::seen_as(share.masks.get(&column.name)));
                self.release.push(reason("column", true, said));
            }
        }
        self.release.push(reason(
            "row filter",
            true,
            share.rows.as_ref().map_or_else(|| "none: every row".to_owned(), |rows| format!("only rows where {rows}")),
        ));
        self.release.push(reason("consent", true, words::whole_consent(agreement)));
        self.release.push(reason("answers", true, words::answers(agreement.output.as_ref())));
        let Some(findings) = &examination.person else { return };
        let consent = if passed_over.is_some() { Consent::NotRequired } else { agreement.consent.clone() };
        let person = person(consent, findings);
        if self.visible {
            let failing = person.telling_failure();
            self.visible = failing.is_none();
            if let Some(failing) = failing {
                self.because =
                    format!("nothing of this person is released: `{}` does not hold: {}", failing.rule, failing.said);
            }
        }
        self.person = Some(person);
    }

    pub fn document(&self) -> Document {
        let what = match &self.column {
            Some(column) => format!("{}.{column}", self.table),
            None => self.table.clone(),
        };
        let whose = if self.person.is_some() { " of this person" } else { "" };
        let can = if self.visible { "can see" } else { "cannot see" };
        let title = format!("{} for {} {can} {what}{whose}", self.who, self.purpose);
        let mut document = Document::new(title);
        document.paragraph(format!("Because {}.", self.because));
        for agreement in &self.agreements {
            document.heading(2, format!("Agreement {}: {}", agreement.id, agreement.title));
            document.table(reasons(&agreement.rules));
        }
        if !self.release.is_empty() {
            document.heading(2, "What it releases");
            document.table(reasons(&self.release));
        }
        if let Some(person) = &self.person {
            document.heading(2, "This person, as the agencies say now");
            document.table(reasons(&person.rules));
            for register in &person.registers {
                document.heading(3, format!("Register {} {}", register.register, register.decides));
                if register.entries.is_empty() {
                    document.paragraph("It has no entry about this person.");
                    continue;
                }
                let mut grid = Grid::new(&["entry", "counts"]);
                for entry in &register.entries {
                    grid.push([entry.entry.clone(), entry.counts.clone()]);
                }
                document.table(grid);
            }
        }
        document
    }

    /// Every rule in a row.
    pub fn grid(&self) -> Grid {
        let mut grid = Grid::new(&["of", "rule", "holds", "said"]);
        let mut add = |of: &str, reasons: &[Reason]| {
            for one in reasons {
                grid.push([of.to_owned(), one.rule.clone(), yes_or_no(one.holds).to_owned(), one.said.clone()]);
            }
        };
        for agreement in &self.agreements {
            add(&agreement.id, &agreement.rules);
        }
        add("release", &self.release);
        if let Some(person) = &self.person {
            add("person", &person.rules);
        }
        grid
    }
}

fn yes_or_no(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

fn reasons(reasons: &[Reason]) -> Grid {
    let mut grid = Grid::new(&["rule", "holds", "said"]);
    for one in reasons {
        grid.push([one.rule.clone(), yes_or_no(one.holds).to_owned(), one.said.clone()]);
    }
    grid
}

fn rule_words(rule: Rule) -> &'static str {
    match rule {
        Rule::Recipient => "names the organisation and role",
        Rule::Purpose => "is made for the purpose",
        Rule::Published => "is no draft",
        Rule::Table => "shares the table",
        Rule::InForce => "is in force today",
        Rule::PassingOver => "lets consent be passed over, where that is asked",
        Rule::CaseReference => "has its case reference",
        Rule::Reason => "has its reason",
    }
}

fn refusal(error: &Error, nobody_shares: bool) -> String {
    match error {
        Error::TableNotReleased { .. } if nobody_shares => "no agreement shares the table with anybody".to_owned(),
        Error::TableNotReleased { .. } => {
            "no agreement shares the table with this role for this purpose: the rules below say where each fails"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// What agencies have answered, as rules.
fn person(consent: Consent, findings: &[PersonFinding]) -> PersonRules {
    let mut rows = 0;
    let mut rules = Vec::new();
    let mut registers: Vec<RegisterRules> = Vec::new();
    let mut permitted = 0;
    for finding in findings {
        match finding {
            PersonFinding::Rows(count) => {
                rows = *count;
                rules.push(reason("the table has rows about the person", *count > 0, rows_words(*count)));
            }
            PersonFinding::RowsThatMeet(demand, count) => {
                rules.push(reason(
                    &demand_words(demand),
                    *count > 0,
                    format!("{count} of {} meet it", rows_words(rows)),
                ));
            }
            PersonFinding::RowsThatMeetAll(count) => {
                rules.push(reason(TOGETHER, *count > 0, rows_words(*count)));
            }
            PersonFinding::Entries { register, entries } => registers.push(RegisterRules {
                register: register.clone(),
                entries: entries.iter().map(entry_words).collect(),
                decides: "says nothing".to_owned(),
            }),
            PersonFinding::Deciding { register, entry, count } => {
                let Some(known) = registers.iter_mut().find(|known| known.register == *register) else { continue };
                match entry {
                    RegisterEntry::Permits if *count > 0 => {
                        permitted += count;
                        known.decides = "permits".to_owned();
                    }
                    RegisterEntry::Denies if *count > 0 => known.decides = "denies".to_owned(),
                    RegisterEntry::Permits | RegisterEntry::Denies => {}
                }
                if *entry == RegisterEntry::Denies {
                    let said = if *count == 0 { "no refusal decides" } else { "a refusal decides" };
                    let rule = format!("not refused in register {register}");
                    rules.push(reason(&rule, *count == 0, format!("{said} in register `{register}`")));
                }
            }
        }
    }
    if let Consent::Required { no_information: Decision::Deny, registers, .. } = consent {
        let said = if permitted > 0 { "a permission decides" } else { "no register holds a permission that decides" };
        rules.push(reason(&format!("permitted in {}", registers.join(" or ")), permitted > 0, said));
    }
    PersonRules { rows, rules, registers }
}

fn rows_words(count: u64) -> String {
    match count {
        0 => "no row".to_owned(),
        1 => "1 row".to_owned(),
        many => format!("{many} rows"),
    }
}

fn demand_words(demand: &Demand) -> String {
    match demand {
        Demand::RowFilter => "row filter".to_owned(),
        Demand::ValidSubjectKey => "a valid subject key".to_owned(),
        Demand::NotRefused { register } => format!("no refusal in register {register}, as the query asks"),
        Demand::Permitted { registers } => format!("a permission in {}, as the query asks", registers.join(" or ")),
    }
}

fn entry_words(entry: &RegisterEntryFound) -> EntryWords {
    let values: Vec<String> = entry
        .values
        .iter()
        .map(|(column, value)| format!("{column} = {}", value.as_deref().unwrap_or("NULL")))
        .collect();
    let counts = match (entry.permits, entry.denies) {
        (true, true) => "as permission and as refusal",
        (true, false) => "as a permission",
        (false, true) => "as a refusal",
        (false, false) => "not: another purpose or recipient, out of its time, or no decision",
    };
    EntryWords { entry: values.join(", "), counts: counts.to_owned() }
}
