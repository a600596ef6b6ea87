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
mod share;
mod signature;

pub use agreement::{
    Agreement, AgreementState, Basis, BreakGlass, Consent, ConsentMode, Decision, MaskRule, MinimumPersons, OutputRule,
    Override, Recipient, Require, Share,
};
pub use purposes::Purpose;
pub use register::{
    Child, CodedColumn, DecisionColumn, GivenBy, Giver, RecordDates, Register, RegisterKind, SubjectColumn,
};
pub use set::PolicySet;
pub use signature::{SIGNATURES, Signature, SigningKey, read_signatures, write_signatures};

/// The kinds of policy files, for the schemas that editors read.
pub const FILE_KINDS: [crate::diagnostic::schema::FileKind; 4] =
    [read::AGREEMENT_FILE, register::REGISTERS_FILE, purposes::PURPOSES_FILE, signature::SIGNATURES_FILE];

#[cfg(test)]
mod tests;
