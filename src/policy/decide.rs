//! Which share of which agreement answers for a table, if any: deny by default.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{NaiveDate, Utc};

use crate::catalog::Agencies;
use crate::config::PseudonymKey;
use crate::error::Error;
use crate::names::QualifiedTable;
use crate::policy::files::{Agreement, AgreementState, PolicySet, Share};
use crate::session::Session;

/// Where today's date comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock, in UTC.
    System,
    /// A fixed day, for cases that must not change with time.
    Fixed(NaiveDate),
}

impl Clock {
    pub fn today(self) -> NaiveDate {
        match self {
            Self::System => Utc::now().date_naive(),
            Self::Fixed(day) => day,
        }
    }
}

/// The one share that answers for a table.
#[derive(Clone, Debug)]
pub struct Entitlement {
    pub agreement: Arc<Agreement>,
    pub share: Share,
}

/// A policy set in force over these agencies.
#[derive(Debug)]
pub struct Policy {
    set: PolicySet,
    agreements: Vec<Arc<Agreement>>,
    /// Positions in `agreements` by organisation, role and purpose: a decision looks at no other agreement.
    by_recipient: HashMap<(String, String, String), Vec<usize>>,
    agencies: Agencies,
    pub(super) pseudonym_key: Option<PseudonymKey>,
    clock: Clock,
}

impl Policy {
    pub fn new(set: PolicySet, agencies: Agencies, pseudonym_key: Option<PseudonymKey>, clock: Clock) -> Self {
        let agreements: Vec<_> = set.agreements.iter().cloned().map(Arc::new).collect();
        let mut by_recipient: HashMap<_, Vec<usize>> = HashMap::new();
        for (position, agreement) in agreements.iter().enumerate() {
            for recipient in &agreement.recipients {
                for role in &recipient.roles {
                    let key = (recipient.organisation.clone(), role.clone(), agreement.basis.purpose.clone());
                    by_recipient.entry(key).or_default().push(position);
                }
            }
        }
        Self { set, agreements, by_recipient, agencies, pseudonym_key, clock }
    }

    pub fn set(&self) -> &PolicySet {
        &self.set
    }

    pub fn agencies(&self) -> &Agencies {
        &self.agencies
    }

    pub fn today(&self) -> NaiveDate {
        self.clock.today()
    }

    /// The share that releases a table to a session.
    ///
    /// # Errors
    /// [`Error::TableNotReleased`] without an agreement, whether or not the table exists; [`Error::AgreementNotInForce`]
    /// where the session's agreement is not valid today; [`Error::RequirementMissing`] where it asks for a case
    /// reference or a reason that the session does not give.
    pub fn entitlement(&self, session: &Session, table: &QualifiedTable) -> Result<Entitlement, Error> {
        let mut refusal = None;
        for agreement in self.recipient_agreements(session) {
            let Some(share) = agreement.shares.iter().find(|share| share.table == *table) else { continue };
            match not_in_force(agreement, self.today()) {
                Some(why) => {
                    refusal.get_or_insert(Error::AgreementNotInForce { agreement: agreement.id.clone(), why });
                }
                None => {
                    check_requirements(agreement, session)?;
                    return Ok(Entitlement { agreement: Arc::clone(agreement), share: share.clone() });
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Error::TableNotReleased {
            table: table.to_string(),
            organisation: session.organisation.clone(),
            role: session.role.clone(),
            purpose: session.purpose.clone(),
        }))
    }

    /// Every table that some agreement in force releases to the session, with that agreement's id, by name.
    pub fn entitled_tables(&self, session: &Session) -> Vec<(QualifiedTable, String)> {
        let today = self.today();
        let mut tables: Vec<_> = self
            .recipient_agreements(session)
            .filter(|agreement| not_in_force(agreement, today).is_none())
            .flat_map(|agreement| agreement.shares.iter().map(|share| (share.table.clone(), agreement.id.clone())))
            .filter(|(table, _)| self.agencies.get(&table.agency).is_some())
            .collect();
        tables.sort();
        tables.dedup();
        tables
    }

    fn recipient_agreements(&self, session: &Session) -> impl Iterator<Item = &Arc<Agreement>> {
        let key = (session.organisation.clone(), session.role.clone(), session.purpose.clone());
        let positions = self.by_recipient.get(&key).map_or(&[][..], Vec::as_slice);
        positions.iter().filter_map(|position| self.agreements.get(*position)).filter(|agreement| !agreement.draft)
    }
}

fn not_in_force(agreement: &Agreement, today: NaiveDate) -> Option<String> {
    match agreement.state(today) {
        AgreementState::InForce => None,
        AgreementState::Draft => Some("it is a draft".to_owned()),
        AgreementState::NotStarted { starts } => Some(format!("it starts on {starts}")),
        AgreementState::Ended { ends } => Some(format!("it ended on {ends}")),
        AgreementState::ReviewPassed { review_by } => Some(format!("its review was due by {review_by}")),
    }
}

fn check_requirements(agreement: &Agreement, session: &Session) -> Result<(), Error> {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    let missing = |what, flag| Error::RequirementMissing { agreement: agreement.id.clone(), what, flag };
    if agreement.require.case_reference && !given(&session.case_reference) {
        return Err(missing("a case reference", "--case"));
    }
    if agreement.require.reason && !given(&session.reason) {
        return Err(missing("a reason", "--reason"));
    }
    Ok(())
}
