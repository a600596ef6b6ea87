//! Which share of which agreement answers for a table, if any: deny by default.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, NaiveDate, Utc};

use crate::catalog::Agencies;
use crate::config::PseudonymKey;
use crate::error::Error;
use crate::names::QualifiedTable;
use crate::policy::files::{Agreement, AgreementState, Consent, PolicySet, Share};
use crate::session::{BeyondConsent, Session};

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
    /// Why persons' own decisions are not asked for, where they otherwise would be.
    pub passed_over: Option<PassedOver>,
}

/// Why persons' own decisions are passed over, minimisation never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassedOver {
    Override { gateway: String },
    BreakGlass { id: String, until: DateTime<Utc> },
}

/// Positions of the agreements of one recipient, in the order of their files.
#[derive(Debug, Default)]
struct OfRecipient {
    all: Vec<usize>,
    by_table: HashMap<QualifiedTable, Vec<usize>>,
}

/// A policy set in force over these agencies.
#[derive(Debug)]
pub struct Policy {
    set: PolicySet,
    agreements: Vec<Arc<Agreement>>,
    /// Positions in `agreements` by organisation, role and purpose: a decision looks at no other agreement.
    by_recipient: HashMap<(String, String, String), OfRecipient>,
    agencies: Agencies,
    pub(super) pseudonym_key: Option<PseudonymKey>,
    clock: Clock,
}

impl Policy {
    pub fn new(set: PolicySet, agencies: Agencies, pseudonym_key: Option<PseudonymKey>, clock: Clock) -> Self {
        let agreements: Vec<_> = set.agreements.iter().cloned().map(Arc::new).collect();
        let mut by_recipient: HashMap<_, OfRecipient> = HashMap::new();
        for (position, agreement) in agreements.iter().enumerate() {
            for recipient in &agreement.recipients {
                for role in &recipient.roles {
                    let key = (recipient.organisation.clone(), role.clone(), agreement.basis.purpose.clone());
                    let of_recipient: &mut OfRecipient = by_recipient.entry(key).or_default();
                    of_recipient.all.push(position);
                    for share in &agreement.shares {
                        of_recipient.by_table.entry(share.table.clone()).or_default().push(position);
                    }
                }
            }
        }
        Self { set, agreements, by_recipient, agencies, pseudonym_key, clock }
    }

    /// The same agencies, key and clock under another set.
    pub(super) fn succeeded_by(&self, set: PolicySet) -> Self {
        Self::new(set, self.agencies.clone(), self.pseudonym_key.clone(), self.clock)
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

    /// The share that releases a table to a session: that of the one agreement whose every [`Rule`] holds.
    ///
    /// # Errors
    /// [`Error::TableNotReleased`] without an agreement, whether or not the table exists; [`Error::AgreementNotInForce`]
    /// where the session's agreement is not valid today; [`Error::RequirementMissing`] where it asks for a case
    /// reference or a reason that the session does not give; [`Error::ConsentNotPassedOver`] where the session asks past
    /// consent and may not.
    pub fn entitlement(&self, session: &Session, table: &QualifiedTable) -> Result<Entitlement, Error> {
        let mut refusal = None;
        let request = Request { session, table, today: self.today(), now: Utc::now() };
        // The others would fail by `Rule::Table`, which says nothing to an asker.
        for agreement in self.sharing_agreements(session, table) {
            let failing = Rule::ALL.into_iter().find_map(|rule| Some((rule, rule.failing(agreement, &request)?)));
            let missing = |what, flag| Error::RequirementMissing { agreement: agreement.id.clone(), what, flag };
            match (failing, agreement.share_of(table)) {
                (None, Some(share)) => {
                    let passed_over = passing_over(agreement, session, request.now).unwrap_or_default();
                    return Ok(Entitlement { agreement: Arc::clone(agreement), share: share.clone(), passed_over });
                }
                (Some((Rule::InForce, why)), _) => {
                    refusal.get_or_insert(Error::AgreementNotInForce { agreement: agreement.id.clone(), why });
                }
                (Some((Rule::CaseReference, _)), _) => return Err(missing("a case reference", "--case")),
                (Some((Rule::Reason, _)), _) => return Err(missing("a reason", "--reason")),
                (Some((Rule::PassingOver, why)), _) => {
                    return Err(Error::ConsentNotPassedOver { agreement: agreement.id.clone(), why });
                }
                (Some((Rule::Recipient | Rule::Purpose | Rule::Published | Rule::Table, _)), _) | (None, None) => {}
            }
        }
        Err(refusal.unwrap_or_else(|| Error::TableNotReleased {
            table: table.to_string(),
            organisation: session.organisation.clone(),
            role: session.role.clone(),
            purpose: session.purpose.clone(),
        }))
    }

    /// What every rule of every agreement that shares a table says of a session, in the order of the files: the reasons of
    /// [`Policy::entitlement`], which asks the same rules. For those who write agreements, never for an asker.
    pub fn examine(&self, session: &Session, table: &QualifiedTable) -> Vec<Examined> {
        let request = Request { session, table, today: self.today(), now: Utc::now() };
        let sharing = self.agreements.iter().filter(|agreement| agreement.share_of(table).is_some());
        sharing
            .map(|agreement| Examined {
                agreement: Arc::clone(agreement),
                findings: Rule::ALL.map(|rule| Finding { rule, failing: rule.failing(agreement, &request) }),
            })
            .collect()
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
        self.published(self.of_recipient(session).map(|of_recipient| &of_recipient.all))
    }

    /// [`Policy::recipient_agreements`] that share a table.
    fn sharing_agreements(&self, session: &Session, table: &QualifiedTable) -> impl Iterator<Item = &Arc<Agreement>> {
        self.published(self.of_recipient(session).and_then(|of_recipient| of_recipient.by_table.get(table)))
    }

    fn of_recipient(&self, session: &Session) -> Option<&OfRecipient> {
        let key = (session.organisation.clone(), session.role.clone(), session.purpose.clone());
        self.by_recipient.get(&key)
    }

    fn published(&self, positions: Option<&Vec<usize>>) -> impl Iterator<Item = &Arc<Agreement>> {
        let positions = positions.map_or(&[][..], Vec::as_slice);
        positions.iter().filter_map(|position| self.agreements.get(*position)).filter(|agreement| !agreement.draft)
    }
}

/// What is asked for.
struct Request<'a> {
    session: &'a Session,
    table: &'a QualifiedTable,
    today: NaiveDate,
    /// By the machine's clock: an emergency is of now, whatever day agreements are tried on.
    now: DateTime<Utc>,
}

/// What must hold of an agreement and a session before a table is released, in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The agreement names the session's organisation and role.
    Recipient,
    /// It is made for the session's purpose.
    Purpose,
    /// It is no draft.
    Published,
    /// It shares the table.
    Table,
    /// Today is between its first and its last day, and its review is not overdue.
    InForce,
    /// The session asks past consent only where the agreement lets it.
    PassingOver,
    /// A case reference is given, where the agreement or an override requires one.
    CaseReference,
    /// A reason is given, where the agreement requires one, and wherever consent is passed over.
    Reason,
}

impl Rule {
    pub const ALL: [Self; 8] = [
        Self::Recipient,
        Self::Purpose,
        Self::Published,
        Self::Table,
        Self::InForce,
        Self::PassingOver,
        Self::CaseReference,
        Self::Reason,
    ];

    /// Why the rule does not hold, or `None` where it does.
    fn failing(self, agreement: &Agreement, request: &Request<'_>) -> Option<String> {
        let session = request.session;
        let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
        let unless = |holds: bool, why: &dyn Fn() -> String| (!holds).then(why);
        match self {
            Self::Recipient => unless(agreement.names(&session.organisation, &session.role), &|| {
                format!("it does not name role `{}` of `{}`", session.role, session.organisation)
            }),
            Self::Purpose => unless(agreement.basis.purpose == session.purpose, &|| {
                format!("it is made for `{}`, not for `{}`", agreement.basis.purpose, session.purpose)
            }),
            Self::Published => unless(!agreement.draft, &|| "it is a draft".to_owned()),
            Self::Table => unless(agreement.share_of(request.table).is_some(), &|| {
                format!("it does not share `{}`", request.table)
            }),
            Self::InForce => not_in_force(agreement, request.today),
            Self::PassingOver => passing_over(agreement, session, request.now).err(),
            Self::CaseReference => {
                let overrides = passed(agreement, session) == Some(&BeyondConsent::Override);
                unless(!(agreement.require.case_reference || overrides) || given(&session.case_reference), &|| {
                    "it requires a case reference, and none is given".to_owned()
                })
            }
            Self::Reason => {
                let required = agreement.require.reason || passed(agreement, session).is_some();
                unless(!required || given(&session.reason), &|| "it requires a reason, and none is given".to_owned())
            }
        }
    }
}

/// What one rule says of one agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    /// Why it does not hold; `None` where it does.
    pub failing: Option<String>,
}

/// What every rule says of one agreement.
#[derive(Clone, Debug)]
pub struct Examined {
    pub agreement: Arc<Agreement>,
    pub findings: [Finding; Rule::ALL.len()],
}

/// How a session asks past the consent that an agreement requires.
fn passed<'s>(agreement: &Agreement, session: &'s Session) -> Option<&'s BeyondConsent> {
    session.beyond_consent.as_ref().filter(|_| agreement.consent != Consent::NotRequired)
}

/// How persons' own decisions are passed over, where a session asks for it; an error says why the agreement does not let it.
fn passing_over(agreement: &Agreement, session: &Session, now: DateTime<Utc>) -> Result<Option<PassedOver>, String> {
    let nobody = |what: &str| format!("it names nobody who may {what}");
    let may_not = |what: &str| format!("it does not let role `{}` {what}", session.role);
    Ok(Some(match passed(agreement, session) {
        None => return Ok(None),
        Some(BeyondConsent::Override) => {
            let may = agreement.statutory_override.as_ref().ok_or_else(|| nobody("override it"))?;
            if !may.roles.contains(&session.role) {
                return Err(may_not("override it"));
            }
            PassedOver::Override { gateway: may.gateway.clone() }
        }
        Some(BeyondConsent::BreakGlass(broken)) => {
            let may = agreement.break_glass.as_ref().ok_or_else(|| nobody("break the glass"))?;
            if !may.roles.contains(&session.role) {
                return Err(may_not("break the glass"));
            }
            let until = broken.at + Duration::hours(i64::from(may.hours));
            // A moment to come is no moment at which it was broken.
            if broken.at > now {
                return Err("the glass has not been broken yet".to_owned());
            }
            if now > until {
                return Err(format!("the glass was broken more than {} hours ago", may.hours));
            }
            PassedOver::BreakGlass { id: broken.id.clone(), until }
        }
    }))
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
