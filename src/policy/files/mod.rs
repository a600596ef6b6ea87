//! The files that a data protection officer edits: agreements, consent registers and purposes.
//!
//! In: a directory. Out: a [`PolicySet`] in which every reference holds and every rule that a file can break is kept, so
//! that later stages never check again. It knows no session, no plan and no database; predicates stay text here.

mod agreement;
mod overlap;
mod purposes;
mod read;
mod register;
mod set;

pub use agreement::{
    Agreement, AgreementState, Basis, Consent, ConsentMode, Decision, MaskRule, MinimumPersons, OutputRule, Recipient,
    Require, Share,
};
pub use purposes::Purpose;
pub use register::{CodedColumn, DecisionColumn, Register, RegisterKind, SubjectColumn};
pub use set::PolicySet;

#[cfg(test)]
mod tests;
