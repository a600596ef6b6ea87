//! The papers that the law asks for, drafted from the agreements: the record of processing activities (article 30), the annex
//! of an information sharing agreement, and a data protection impact assessment (article 35).
//!
//! From the files alone. What the files do not say is not made up: the papers name it as left to the controller.

use chrono::NaiveDate;
use serde::Serialize;
use wayleave_connector_api::KeyDisclosure;

use super::render::{Document, Grid};
use super::words;
use crate::policy::files::{Agreement, Consent, MaskRule, PolicySet};

const TO_COMPLETE: &str = "(to be completed by the controller)";

/// Which paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paper {
    Article30,
    Annex,
    ImpactAssessment,
}

/// What agreements say of their processing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessingRecord {
    pub on: String,
    /// SHA-256 of the policy files.
    pub policy_hash: String,
    pub activities: Vec<Activity>,
}

/// One agreement as a processing activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Activity {
    pub id: String,
    pub title: String,
    pub owner: String,
    pub state: String,
    pub starts: String,
    pub ends: String,
    pub review_by: String,
    pub purpose: String,
    pub purpose_title: String,
    /// Terms of other vocabularies.
    pub vocabularies: Vec<String>,
    pub lawful_basis: Vec<String>,
    pub impact_assessment: Option<String>,
    pub recipients: Vec<String>,
    /// Agencies that share.
    pub sources: Vec<String>,
    pub tables: Vec<ActivityTable>,
    pub consent: String,
    pub consent_required: bool,
    pub registers: Vec<String>,
    pub requires: Option<String>,
    pub answers: String,
    pub aggregates_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActivityTable {
    pub table: String,
    pub rows: Option<String>,
    pub columns: Vec<ActivityColumn>,
    /// Agencies that are sent its keys.
    pub keys_to: Option<String>,
    pub plain_keys_leave: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActivityColumn {
    pub column: String,
    pub seen_as: String,
    pub masked: bool,
    pub pseudonym: bool,
}

impl ProcessingRecord {
    /// Every agreement of a set, or the one of this id; drafts and ended ones among them, with their state.
    pub fn of(set: &PolicySet, on: NaiveDate, only: Option<&str>) -> Self {
        let wanted = set.agreements.iter().filter(|agreement| only.is_none_or(|id| id == agreement.id));
        Self {
            on: on.to_string(),
            policy_hash: set.hash.clone(),
            activities: wanted.map(|agreement| activity(set, agreement, on)).collect(),
        }
    }

    pub fn document(&self, paper: Paper) -> Document {
        let mut document = Document::new(match paper {
            Paper::Article30 => "Record of processing activities (UK GDPR, article 30)",
            Paper::Annex => "Annex of the information sharing agreement",
            Paper::ImpactAssessment => "Data protection impact assessment, draft (UK GDPR, article 35)",
        });
        let hash: String = self.policy_hash.chars().take(16).collect();
        document.paragraph(format!(
            "Drawn up from the policy files on {} (files' hash {hash}…). What the files do not say is marked {TO_COMPLETE}.",
            self.on
        ));
        for activity in &self.activities {
            document.heading(2, format!("{}: {}", activity.id, activity.title));
            match paper {
                Paper::Article30 => article_30(&mut document, activity),
                Paper::Annex => annex(&mut document, activity),
                Paper::ImpactAssessment => impact_assessment(&mut document, activity),
            }
        }
        document
    }

    /// An activity in a row, for spreadsheets.
    pub fn grid(&self) -> Grid {
        let mut grid = Grid::new(&[
            "agreement",
            "title",
            "owner",
            "state",
            "starts",
            "ends",
            "review by",
            "purpose",
            "lawful basis",
            "recipients",
            "sources",
            "data",
            "consent",
            "answers",
        ]);
        for activity in &self.activities {
            let data: Vec<String> = activity.tables.iter().map(table_words).collect();
            grid.push([
                activity.id.clone(),
                activity.title.clone(),
                activity.owner.clone(),
                activity.state.clone(),
                activity.starts.clone(),
                activity.ends.clone(),
                activity.review_by.clone(),
                activity.purpose_title.clone(),
                activity.lawful_basis.join("; "),
                activity.recipients.join("; "),
                activity.sources.join("; "),
                data.join("; "),
                activity.consent.clone(),
                activity.answers.clone(),
            ]);
        }
        grid
    }
}

fn activity(set: &PolicySet, agreement: &Agreement, on: NaiveDate) -> Activity {
    let purpose = set.purposes.get(&agreement.basis.purpose);
    let mut sources: Vec<String> = agreement.shares.iter().map(|share| share.table.agency.clone()).collect();
    sources.sort();
    sources.dedup();
    let basis = &agreement.basis;
    let mut lawful_basis = vec![format!("article 6(1)({}): {}", basis.article_6, article_6(&basis.article_6))];
    lawful_basis.extend(basis.article_9.as_ref().map(|point| format!("article 9(2)({point}): {}", article_9(point))));
    lawful_basis.extend(basis.gateway.clone());
    let asked = agreement.consent.registers().iter().filter_map(|name| set.registers.get(name));
    let registers = asked
        .map(|register| format!("{} in {}: {}", register.name, register.table, words::register(register)))
        .collect();
    let requires = words::requires(agreement.require);
    let tables = agreement.shares.iter().map(|share| {
        let keys_to = words::disclosures(share);
        ActivityTable {
            table: share.table.to_string(),
            rows: share.rows.clone(),
            columns: share
                .columns
                .iter()
                .map(|column| {
                    let mask = share.masks.get(column);
                    ActivityColumn {
                        column: column.clone(),
                        seen_as: words::seen_as(mask),
                        masked: mask.is_some(),
                        pseudonym: mask == Some(&MaskRule::Pseudonym),
                    }
                })
                .chain(words::dissent_column(share).map(|(column, seen_as)| ActivityColumn {
                    column: column.clone(),
                    seen_as,
                    masked: true,
                    pseudonym: false,
                }))
                .collect(),
            keys_to: (!keys_to.is_empty()).then_some(keys_to),
            plain_keys_leave: share.disclose_keys_to.values().any(|form| *form == KeyDisclosure::Plain),
        }
    });
    Activity {
        id: agreement.id.clone(),
        title: agreement.title.clone(),
        owner: agreement.owner.clone(),
        state: words::state(agreement.state(on)),
        starts: agreement.starts.to_string(),
        ends: agreement.ends.to_string(),
        review_by: agreement.review_by.to_string(),
        purpose: basis.purpose.clone(),
        purpose_title: purpose.map_or_else(|| basis.purpose.clone(), |purpose| purpose.title.clone()),
        vocabularies: purpose
            .into_iter()
            .flat_map(|purpose| {
                let dpv = purpose.dpv.as_ref().map(|term| format!("W3C Data Privacy Vocabulary: {term}"));
                let hl7 = purpose.hl7.as_ref().map(|term| format!("HL7 PurposeOfUse: {term}"));
                dpv.into_iter().chain(hl7)
            })
            .collect(),
        lawful_basis,
        impact_assessment: basis.dpia.clone(),
        recipients: words::recipients(agreement),
        sources,
        tables: tables.collect(),
        consent: words::whole_consent(agreement),
        consent_required: agreement.consent != Consent::NotRequired,
        registers,
        requires: (!requires.is_empty()).then_some(requires),
        answers: words::answers(agreement.output.as_ref()),
        aggregates_only: agreement.output.is_some_and(|output| output.aggregate_only),
    }
}

fn table_words(table: &ActivityTable) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| match column.masked {
            false => column.column.clone(),
            true => format!("{} ({})", column.column, column.seen_as),
        })
        .collect();
    format!("{}: {}", table.table, columns.join(", "))
}

/// The points of article 30(1), in its order.
fn article_30(document: &mut Document, activity: &Activity) {
    let mut grid = Grid::new(&["what", "record"]);
    let mut say = |what: &str, record: String| grid.push([what.to_owned(), record]);
    say("Controller, contact", format!("{}; name and address {TO_COMPLETE}", activity.owner));
    say("Sharing organisations", activity.sources.join(", "));
    say("Purposes", [vec![activity.purpose_title.clone()], activity.vocabularies.clone()].concat().join("; "));
    say("Lawful basis", activity.lawful_basis.join("; "));
    say("Categories of data subjects", format!("persons in {}; categories {TO_COMPLETE}", table_names(activity)));
    say("Categories of personal data", activity.tables.iter().map(table_words).collect::<Vec<_>>().join("; "));
    say("Categories of recipients", activity.recipients.join("; "));
    say("Transfers to third countries", TO_COMPLETE.to_owned());
    say(
        "Time limits",
        format!(
            "in force from {} to {}, review by {} ({}); erasure at the recipient {TO_COMPLETE}",
            activity.starts, activity.ends, activity.review_by, activity.state
        ),
    );
    say("Security measures", measures(activity).join("; "));
    document.table(grid);
}

fn annex(document: &mut Document, activity: &Activity) {
    document.heading(3, "Parties");
    document.list(vec![
        format!("Sharing: {}", activity.sources.join(", ")),
        format!("Receiving: {}", activity.recipients.join("; ")),
        format!("Owner of the agreement: {}", activity.owner),
        format!("In force from {} to {}, review by {}", activity.starts, activity.ends, activity.review_by),
    ]);
    document.heading(3, "Purpose and lawful basis");
    let mut basis = vec![format!("Purpose: {}", activity.purpose_title)];
    basis.extend(activity.vocabularies.clone());
    basis.extend(activity.lawful_basis.clone());
    basis.push(format!("Impact assessment: {}", activity.impact_assessment.as_deref().unwrap_or(TO_COMPLETE)));
    document.list(basis);
    document.heading(3, "What is shared, and nothing else");
    document.table(columns_grid(activity));
    document.heading(3, "The persons' own decisions");
    document.list([vec![format!("Consent: {}", activity.consent)], activity.registers.clone()].concat());
    document.heading(3, "How it is protected");
    document.list(measures(activity));
    document.heading(3, "Left to the parties");
    document.list(vec![
        format!("Retention and erasure at the recipient: {TO_COMPLETE}"),
        format!("Requests of data subjects, breaches: {TO_COMPLETE}"),
    ]);
    document.heading(3, "Signatures");
    let mut grid = Grid::new(&["organisation", "name and role", "date", "signature"]);
    for organisation in organisations(activity) {
        grid.push([organisation, String::new(), String::new(), String::new()]);
    }
    document.table(grid);
}

/// The steps of the Information Commissioner's template.
fn impact_assessment(document: &mut Document, activity: &Activity) {
    document.heading(3, "1. Why an assessment");
    document.paragraph(format!(
        "{} share personal data with {} for {}. Reference: {}.",
        activity.sources.join(", "),
        activity.recipients.join("; "),
        activity.purpose_title,
        activity.impact_assessment.as_deref().unwrap_or(TO_COMPLETE),
    ));
    document.heading(3, "2. The processing");
    document.table(columns_grid(activity));
    document.list(vec![
        "Nature: each question is answered from the agencies' own databases when it is asked; nothing is copied.".to_owned(),
        format!("Scope: {}. Number of persons and area: {TO_COMPLETE}", activity.answers),
        format!("Duration: from {} to {}", activity.starts, activity.ends),
        format!("Context (relationship with the persons, their expectations, children and other vulnerable groups): {TO_COMPLETE}"),
    ]);
    document.heading(3, "3. Consultation");
    document.paragraph(TO_COMPLETE);
    document.heading(3, "4. Necessity and proportionality");
    document.list(
        [activity.lawful_basis.clone(), vec![format!("Consent: {}", activity.consent), minimisation(activity)]]
            .concat(),
    );
    document.heading(3, "5. Risks");
    let mut grid = Grid::new(&["risk", "measure in place", "likelihood, severity, what remains"]);
    for (risk, measure) in risks(activity) {
        grid.push([risk, measure, TO_COMPLETE.to_owned()]);
    }
    document.table(grid);
    document.heading(3, "6. Measures in place");
    document.list(measures(activity));
    document.heading(3, "7. Signed off");
    let mut grid = Grid::new(&["step", "name", "date"]);
    for step in ["Measures approved by", "Remaining risks accepted by", "Data protection officer's advice"] {
        grid.push([step.to_owned(), String::new(), String::new()]);
    }
    document.table(grid);
}

fn columns_grid(activity: &Activity) -> Grid {
    let mut grid = Grid::new(&["table", "column", "seen as", "only rows where", "keys sent to"]);
    for table in &activity.tables {
        for (position, column) in table.columns.iter().enumerate() {
            let once = |text: Option<&String>| match (position, text) {
                (0, Some(text)) => text.clone(),
                _ => String::new(),
            };
            grid.push([
                table.table.clone(),
                column.column.clone(),
                column.seen_as.clone(),
                once(table.rows.as_ref()),
                once(table.keys_to.as_ref()),
            ]);
        }
    }
    grid
}

fn table_names(activity: &Activity) -> String {
    activity.tables.iter().map(|table| table.table.clone()).collect::<Vec<_>>().join(", ")
}

fn organisations(activity: &Activity) -> Vec<String> {
    let receiving = activity.recipients.iter().filter_map(|who| who.split_once('/')).map(|(who, _)| who.to_owned());
    let mut all: Vec<String> = activity.sources.iter().cloned().chain(receiving).collect();
    all.sort();
    all.dedup();
    all
}

fn minimisation(activity: &Activity) -> String {
    let columns = activity.tables.iter().flat_map(|table| &table.columns);
    let (total, masked) = columns.fold((0_u32, 0_u32), |(total, masked), column| {
        (total.saturating_add(1), masked.saturating_add(u32::from(column.masked)))
    });
    let filtered = activity.tables.iter().filter(|table| table.rows.is_some()).count();
    format!(
        "Minimisation: {total} named columns of {} tables, {masked} of them masked, {filtered} tables filtered by rows",
        activity.tables.len()
    )
}

/// What the software enforces for every agreement, and for this one.
fn measures(activity: &Activity) -> Vec<String> {
    let mut measures = vec![
        "Only named columns are released; other columns are not told to exist".to_owned(),
        format!(
            "The agreement refuses outside {} to {} and after its review date {}",
            activity.starts, activity.ends, activity.review_by
        ),
        "Every question is recorded in a hash-chained audit log before an agency is asked".to_owned(),
        "Agencies' databases are read in read-only transactions; nothing is copied".to_owned(),
    ];
    if activity.consent_required {
        measures.push("Consent is read live in its register, in the question itself".to_owned());
    }
    measures.extend(activity.requires.as_ref().map(|what| format!("Each question must give {what}")));
    if activity.aggregates_only {
        measures.push(format!("Answers are {}", activity.answers));
    }
    if activity.tables.iter().any(|table| table.columns.iter().any(|column| column.pseudonym)) {
        measures.push("Pseudonyms are keyed by agreement and purpose, and join nowhere else".to_owned());
    }
    measures
}

/// Risks that follow from what the agreement says, each with what stands against it.
fn risks(activity: &Activity) -> Vec<(String, String)> {
    let mut risks = vec![(
        "Whoever may see a row remembers it or passes it on".to_owned(),
        "purpose declared with each question; audit log; otherwise organisational".to_owned(),
    )];
    if !activity.consent_required {
        risks.push((
            "Persons' own decisions are not asked for".to_owned(),
            "statutory basis; case reference and reason with each question".to_owned(),
        ));
    }
    let plain = activity.tables.iter().filter(|table| table.plain_keys_leave);
    for table in plain {
        risks.push((
            format!(
                "Who is a client of {} becomes known to {}",
                table.table,
                table.keys_to.as_deref().unwrap_or_default()
            ),
            "only keys that a question joins by are sent; the audit log counts them".to_owned(),
        ));
    }
    if activity.aggregates_only {
        risks.push((
            "Persons are singled out by combining many figures".to_owned(),
            format!("{}; there is no budget across answers", activity.answers),
        ));
    } else {
        risks.push((
            "More persons are looked up than a task needs".to_owned(),
            "audit log; otherwise organisational".to_owned(),
        ));
    }
    if activity.tables.iter().any(|table| table.columns.iter().any(|column| column.pseudonym)) {
        risks.push((
            "Pseudonyms are traced back through other columns, or by whoever holds the key".to_owned(),
            "the key stays with the operator; masks of other columns".to_owned(),
        ));
    }
    risks
}

/// Regulation (EU) 2016/679 as it is law in the United Kingdom.
fn article_6(point: &str) -> &'static str {
    match point {
        "a" => "consent",
        "b" => "contract",
        "c" => "legal obligation",
        "d" => "vital interests",
        "e" => "public task",
        "f" => "legitimate interests",
        _ => "",
    }
}

fn article_9(point: &str) -> &'static str {
    match point {
        "a" => "explicit consent",
        "b" => "employment, social security and social protection",
        "c" => "vital interests",
        "d" => "not-for-profit bodies",
        "e" => "made public by the person",
        "f" => "legal claims",
        "g" => "substantial public interest",
        "h" => "health or social care",
        "i" => "public health",
        "j" => "archiving, research and statistics",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::stewardship::render::{html, markdown};

    fn example() -> PolicySet {
        PolicySet::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap()
    }

    fn on() -> NaiveDate {
        "2026-06-01".parse().unwrap()
    }

    #[test]
    fn the_record_says_what_article_30_asks_and_marks_what_the_files_do_not_say() {
        let record = ProcessingRecord::of(&example(), on(), None);
        assert_eq!(record.activities.len(), 3);
        let text = markdown(&record.document(Paper::Article30));
        for wanted in [
            "Joint assessment of older people",
            "article 6(1)(e): public task",
            "article 9(2)(h): health or social care",
            "torbay-asc/social-worker",
            "postcode (outward postcode only)",
            "Transfers to third countries | (to be completed",
            "aggregates of at least 10 persons",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert_eq!(record.grid().rows().len(), 3);
    }

    #[test]
    fn the_annex_and_the_assessment_are_of_one_agreement() {
        let record = ProcessingRecord::of(&example(), on(), Some("ISA-2026-021"));
        assert_eq!(record.activities.len(), 1);
        let annex = html(&record.document(Paper::Annex));
        assert!(annex.contains("police.main.persons") && annex.contains("torbay-mash"), "{annex}");
        assert!(!annex.contains("ISA-2026-014"));
        let assessment = markdown(&record.document(Paper::ImpactAssessment));
        assert!(assessment.contains("own decisions are not asked for"), "{assessment}");
        assert!(assessment.contains("a case reference and a reason"));
    }

    #[test]
    fn keys_that_go_to_other_agencies_are_a_risk_of_their_own() {
        let joint = ProcessingRecord::of(&example(), on(), Some("ISA-2026-014"));
        let text = markdown(&joint.document(Paper::ImpactAssessment));
        assert!(text.contains("client of health.main.patients becomes known to housing, social"), "{text}");
        let figures = ProcessingRecord::of(&example(), on(), Some("ISA-2026-030"));
        let text = markdown(&figures.document(Paper::ImpactAssessment));
        assert!(!text.contains("becomes known to") && text.contains("no budget across answers"), "{text}");
    }
}
