//! What a data protection officer works with: reports on the policy files, comparisons, explanations and rehearsals.
//!
//! In: a [`PolicySet`](crate::policy::files::PolicySet), and an engine where a report looks at the agencies. Out: plain
//! values that can be written as JSON, and [`render`] apart from them, which makes CSV, HTML and Markdown. Every surface
//! (the command line, a web page) shows the same values. Nothing here decides what may be seen: it asks the code that does.

mod difference;
mod explanation;
mod matrix;
pub mod render;
mod words;

pub use difference::{Change, Difference, Effect};
pub use explanation::{AgreementRules, EntryWords, PersonRules, PolicyExplanation, Reason, RegisterRules};
pub use matrix::{Matrix, MatrixFilter, MatrixRow};
