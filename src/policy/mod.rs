//! Policy: what may be released, to whom, for which purpose.
//!
//! In: agreements and registers as files, a session, a logical plan. Out: released relations (a table with hidden columns
//! gone, masks applied and unreleased rows left at the source) and the [`EnforcedPlan`] that only this module can build.
//! It knows no driver and no SQL text of any source; it never reads a row.

mod consent;
mod decide;
mod enforce;
pub mod files;
mod in_force;
mod inquiry;
mod output;
mod pseudonym;
mod release;
mod released;

pub use consent::{ElsewhereCheck, RegisterSet};
pub use decide::{Clock, Entitlement, Examined, Finding, PassedOver, Policy, Rule};
pub use enforce::{EnforcedPlan, Obligation};
pub use in_force::{PoliciesInForce, PolicySource, PolicyState};
pub use inquiry::{Inquiry, InquiryKind, RegisterEntry};
pub use pseudonym::Pseudonym;
pub use released::{ColumnValue, Demand, ReleaseNotice, ReleasedColumn, ReleasedTable, Subject};
