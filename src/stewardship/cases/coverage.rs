//! Which rules of the agreements the passing cases have tried.

use std::collections::BTreeSet;

use wayleave_connector_api::Scheme;

use super::RuleCoverage;
use super::read::{Asked, Case, Expected, compared};
use super::run::Answered;
use super::world::{CaseTable, here};
use crate::engine::{AskedAbout, Engine, Examination, PersonFinding};
use crate::error::Error;
use crate::policy::files::{Agreement, Consent, Decision, PolicySet, Share};
use crate::policy::{Demand, PassedOver, RegisterEntry};
use crate::stewardship::words;

/// Every rule, and what has been tried of them.
pub(super) struct Coverage<'a> {
    set: &'a PolicySet,
    tried: BTreeSet<(String, String)>,
}

impl<'a> Coverage<'a> {
    pub fn of(set: &'a PolicySet) -> Self {
        Self { set, tried: BTreeSet::new() }
    }

    pub fn finish(self) -> Vec<RuleCoverage> {
        let agreements = self.set.agreements.iter().filter(|agreement| !agreement.draft);
        agreements
            .flat_map(|agreement| rules(agreement).into_iter().map(|rule| (agreement.id.clone(), rule)))
            .map(|(agreement, rule)| {
                let tried = self.tried.contains(&(agreement.clone(), rule.clone()));
                RuleCoverage { agreement, rule, tried }
            })
            .collect()
    }

    fn add(&mut self, agreement: &str, rule: String) {
        self.tried.insert((agreement.to_owned(), rule));
    }

    /// Notes what a case that passes has tried.
    pub async fn tried_by(
        &mut self,
        engine: &Engine,
        case: &Case,
        tables: &[CaseTable],
        answer: &Result<Answered, Error>,
    ) -> Result<(), Error> {
        match answer {
            Err(Error::AgreementNotInForce { agreement, .. }) => self.add(agreement, OUT_OF_TIME.to_owned()),
            Err(Error::RequirementMissing { agreement, what, .. }) => self.add(agreement, without(what)),
            Err(Error::AggregatesOnly { agreement, .. }) => self.add(agreement, SINGLE_ROWS.to_owned()),
            Err(_) => {}
            Ok(answer) => {
                for table in tables.iter().filter(|table| touches(case, table)) {
                    let examination = engine.examine(&case.session, &here(&table.name), None).await?;
                    let Ok(entitlement) = &examination.decision else { continue };
                    let id = entitlement.agreement.id.clone();
                    let Some(agreement) = self.set.agreements.iter().find(|agreement| agreement.id == id) else {
                        continue;
                    };
                    let Some(share) = agreement.share_of(&table.name) else { continue };
                    match &entitlement.passed_over {
                        Some(PassedOver::Override { .. }) => self.add(&agreement.id, OVERRIDDEN.to_owned()),
                        Some(PassedOver::BreakGlass { .. }) => self.add(&agreement.id, GLASS_BROKEN.to_owned()),
                        None => {}
                    }
                    self.columns(agreement, share, case, answer);
                    self.persons(engine, case, agreement, share, table).await?;
                }
            }
        }
        Ok(())
    }

    fn columns(&mut self, agreement: &Agreement, share: &Share, case: &Case, answer: &Answered) {
        if answer.rows.is_empty() {
            return;
        }
        self.add(&agreement.id, released(share));
        for column in share.masks.keys() {
            let looked_at = match (&case.asked, &case.expected) {
                (Asked::Query(sql), _) => sql.contains(column.as_str()),
                (Asked::Table(_), Expected::Answer { rows: Some(rows), .. }) => compared(rows).contains(column),
                (Asked::Table(_), _) => false,
            };
            if looked_at {
                self.add(&agreement.id, masked(share, column));
            }
        }
    }

    /// What each person of the table is withheld by.
    async fn persons(
        &mut self,
        engine: &Engine,
        case: &Case,
        agreement: &Agreement,
        share: &Share,
        table: &CaseTable,
    ) -> Result<(), Error> {
        let Some((column, format)) = &table.subject else { return Ok(()) };
        let written = table.rows.iter().filter_map(|row| row.get(column)).map(ToString::to_string);
        let keys: BTreeSet<String> = written
            .filter_map(|written| format.canonical(&written))
            .filter(|key| format.scheme != Scheme::NhsNumber || Scheme::NhsNumber.is_canonical(key))
            .collect();
        for key in keys {
            let person = AskedAbout { scheme: format.scheme, key };
            let Examination { person, .. } = engine.examine(&case.session, &here(&table.name), Some(&person)).await?;
            let (mut rows, mut permitted) = (0, false);
            for finding in person.iter().flatten() {
                match finding {
                    PersonFinding::Rows(count) => rows = *count,
                    PersonFinding::RowsThatMeet(Demand::RowFilter, count) if *count < rows => {
                        self.add(&agreement.id, filtered(share));
                    }
                    PersonFinding::Deciding { register, entry: RegisterEntry::Denies, count } if *count > 0 => {
                        self.add(&agreement.id, refused_in(register));
                    }
                    PersonFinding::Deciding { entry: RegisterEntry::Permits, count, .. } => permitted |= *count > 0,
                    PersonFinding::RowsThatMeet(..)
                    | PersonFinding::RowsThatMeetAll(_)
                    | PersonFinding::Entries { .. }
                    | PersonFinding::Deciding { .. } => {}
                }
            }
            if !permitted {
                self.add(&agreement.id, SILENT.to_owned());
            }
        }
        Ok(())
    }
}

fn touches(case: &Case, table: &CaseTable) -> bool {
    match &case.asked {
        Asked::Table(asked) => *asked == table.name,
        Asked::Query(sql) => sql.contains(&table.name.to_string()),
    }
}

const OUT_OF_TIME: &str = "it refuses outside its dates";
const SINGLE_ROWS: &str = "it refuses what is no aggregate";
const OVERRIDDEN: &str = "consent is overridden";
const GLASS_BROKEN: &str = "the glass is broken";
const SILENT: &str = "who has said nothing";

/// Every rule of one agreement, in words.
fn rules(agreement: &Agreement) -> Vec<String> {
    let mut rules = vec![OUT_OF_TIME.to_owned()];
    if agreement.require.case_reference {
        rules.push(without("a case reference"));
    }
    if agreement.require.reason {
        rules.push(without("a reason"));
    }
    if agreement.output.is_some_and(|output| output.aggregate_only) {
        rules.push(SINGLE_ROWS.to_owned());
    }
    if agreement.statutory_override.is_some() {
        rules.push(OVERRIDDEN.to_owned());
    }
    if agreement.break_glass.is_some() {
        rules.push(GLASS_BROKEN.to_owned());
    }
    if let Consent::Required { registers, no_information, .. } = &agreement.consent {
        rules.extend(registers.iter().map(|register| refused_in(register)));
        // Where silence is consent, whoever is released has tried it.
        if *no_information == Decision::Deny {
            rules.push(SILENT.to_owned());
        }
    }
    for share in &agreement.shares {
        rules.push(released(share));
        rules.extend(share.masks.keys().map(|column| masked(share, column)));
        if share.rows.is_some() {
            rules.push(filtered(share));
        }
    }
    rules
}

fn without(what: &str) -> String {
    format!("it refuses without {what}")
}

fn released(share: &Share) -> String {
    format!("{} is released", share.table)
}

fn masked(share: &Share, column: &str) -> String {
    format!("{}.{column}: {}", share.table, words::seen_as(share.masks.get(column)))
}

fn filtered(share: &Share) -> String {
    format!("{}: a row is withheld unless {}", share.table, share.rows.as_deref().unwrap_or_default())
}

fn refused_in(register: &str) -> String {
    format!("a refusal in register {register} withholds")
}
