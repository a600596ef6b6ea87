//! What a data protection officer works with: reports on the policy files, comparisons, explanations and rehearsals.
//!
//! In: a [`PolicySet`](crate::policy::files::PolicySet), and an engine where a report looks at the agencies. Out: plain
//! values that can be written as JSON, and [`render`] apart from them, which makes CSV, HTML and Markdown. Every surface
//! (the command line, a web page) shows the same values. Nothing here decides what may be seen: it asks the code that does.

mod cases;
mod difference;
mod draft;
mod explanation;
mod inspection;
mod matrix;
mod record;
pub mod render;
mod replay;
mod schemas;
mod words;

pub use cases::{CaseFile, CaseResult, Rehearsal, RuleCoverage, find_case_files, rehearse};
pub use difference::{Change, Difference, Effect};
pub use draft::{AgreementDraft, DraftConsent, Force};
pub use explanation::{AgreementRules, EntryWords, PersonRules, PolicyExplanation, Reason, RegisterRules};
pub use inspection::{Inspection, InspectionFinding, Severity, inspect};
pub use matrix::{Matrix, MatrixFilter, MatrixRow};
pub use record::{Activity, ActivityColumn, ActivityTable, Paper, ProcessingRecord};
pub use replay::{Extent, REPLAYED, Replay, ReplayEffect, Replayed, ReplayedQuery, ReplayedTable, replay};
pub use schemas::schemas;
