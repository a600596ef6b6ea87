//! What a data-sharing agreement says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::NaiveDate;
use wayleave_connector_api::KeyDisclosure;

use crate::names::QualifiedTable;

/// One agreement, as its file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    pub id: String,
    pub title: String,
    /// Who answers for it, and is told of breaches.
    pub owner: String,
    /// The first and the last day of its force.
    pub starts: NaiveDate,
    pub ends: NaiveDate,
    /// The last day on which it counts without a review.
    pub review_by: NaiveDate,
    /// A draft releases nothing, and may overlap with others.
    pub draft: bool,
    /// Pseudonyms of another version are others.
    pub pseudonym_version: u32,
    pub basis: Basis,
    pub recipients: Vec<Recipient>,
    pub consent: Consent,
    /// Registers of persons whose keys are not released.
    pub do_not_link: Vec<String>,
    /// Registers whose refusals are told beside a row, not withheld by; there where some share says `dissent_as`.
    pub record_dissent: Vec<String>,
    /// There only where consent is required.
    pub statutory_override: Option<Override>,
    /// There only where consent is required.
    pub break_glass: Option<BreakGlass>,
    pub shares: Vec<Share>,
    pub require: Require,
    pub output: Option<OutputRule>,
    pub file: PathBuf,
    /// SHA-256 of the file, as hexadecimal digits.
    pub hash: String,
}

impl Agreement {
    /// Whether it names a role of an organisation.
    pub fn names(&self, organisation: &str, role: &str) -> bool {
        let named = |recipient: &Recipient| {
            recipient.organisation == organisation && recipient.roles.iter().any(|known| known == role)
        };
        self.recipients.iter().any(named)
    }

    /// Every register that it asks, by name.
    pub fn registers(&self) -> impl Iterator<Item = &String> {
        self.consent.registers().iter().chain(&self.do_not_link).chain(&self.record_dissent)
    }

    pub fn share_of(&self, table: &QualifiedTable) -> Option<&Share> {
        self.shares.iter().find(|share| share.table == *table)
    }

    /// What the agreement is on a given day.
    pub fn state(&self, today: NaiveDate) -> AgreementState {
        if self.draft {
            AgreementState::Draft
        } else if today < self.starts {
            AgreementState::NotStarted { starts: self.starts }
        } else if today > self.ends {
            AgreementState::Ended { ends: self.ends }
        } else if today > self.review_by {
            AgreementState::ReviewPassed { review_by: self.review_by }
        } else {
            AgreementState::InForce
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgreementState {
    InForce,
    Draft,
    NotStarted { starts: NaiveDate },
    Ended { ends: NaiveDate },
    ReviewPassed { review_by: NaiveDate },
}

/// Why the sharing is lawful: articles of the United Kingdom GDPR and what stands beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// A code of `purposes.toml`.
    pub purpose: String,
    /// The point of article 6(1), `a` to `f`.
    pub article_6: String,
    /// The point of article 9(2), `a` to `j`, for special categories.
    pub article_9: Option<String>,
    /// The statute that allows it.
    pub gateway: Option<String>,
    /// The data protection impact assessment.
    pub dpia: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub organisation: String,
    /// At least one, none twice.
    pub roles: Vec<String>,
}

/// What the person's own decision counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// A statutory basis; the agreement requires case reference and reason.
    NotRequired,
    Required {
        mode: ConsentMode,
        /// Names of registers; at least one.
        registers: Vec<String>,
        /// What happens to a person of whom no register knows anything; deny where the mode is opt-in.
        no_information: Decision,
    },
}

impl Consent {
    /// The registers that are asked for persons' decisions.
    pub fn registers(&self) -> &[String] {
        match self {
            Self::NotRequired => &[],
            Self::Required { registers, .. } => registers,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentMode {
    OptIn,
    OptOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Permit,
    Deny,
}

/// Who may pass over consent under a statute, with a case and a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// At least one, each some recipient's.
    pub roles: Vec<String>,
    pub gateway: String,
}

/// Who may pass over consent in an emergency, with a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakGlass {
    /// At least one, each some recipient's.
    pub roles: Vec<String>,
    /// How long a session may, from when it says so.
    pub hours: u32,
}

/// One table that the agreement shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub table: QualifiedTable,
    /// The released columns, in the file's order; at least one, none twice.
    pub columns: Vec<String>,
    /// Masks of released columns.
    pub masks: BTreeMap<String, MaskRule>,
    /// A predicate over the table's own columns, as SQL text.
    pub rows: Option<String>,
    /// The class of data that it holds, for registers that decide class by class.
    pub class: Option<String>,
    /// The column of each row's own date, for registers that decide by the dates of records.
    pub dated_by: Option<String>,
    /// A column of true and false that is added: whether the person has refused in a register of `record_dissent`.
    pub dissent_as: Option<String>,
    /// Agencies that may be sent this table's keys, and as what.
    pub disclose_keys_to: BTreeMap<String, KeyDisclosure>,
    /// Agencies whose tables may be joined with this one's rows inside one server, where both are kept in the same.
    pub join_at_source_with: BTreeSet<String>,
    /// The line of the share's heading.
    pub line: usize,
}

/// What takes a column's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskRule {
    Null,
    Constant(String),
    /// `TQ1 4AA` becomes `TQ1`.
    OutwardPostcode,
    YearOfDate,
    /// `***` and the last n characters, n at least 1.
    LastCharacters(u32),
    /// A keyed one-way form, joinable inside one purpose.
    Pseudonym,
    /// Only where a predicate over the table's own columns, as SQL text, is true or unknown. The mask is one that keeps the
    /// column's type.
    When {
        when: String,
        mask: Box<MaskRule>,
    },
}

/// What a session must give before a query runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Require {
    pub case_reference: bool,
    pub reason: bool,
}

/// What may leave as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRule {
    pub aggregate_only: bool,
    pub minimum_persons: MinimumPersons,
    /// Counts are rounded to a multiple of this, at least 2.
    pub round_to: Option<u32>,
}

/// The fewest persons that a released group may hold, at least 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinimumPersons(u32);

impl MinimumPersons {
    /// `None` below 2: a group of one is that one person's record.
    pub fn parse(persons: u32) -> Option<Self> {
        (persons >= 2).then_some(Self(persons))
    }

    pub fn persons(self) -> u32 {
        self.0
    }
}
