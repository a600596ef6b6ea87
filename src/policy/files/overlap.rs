//! The rule that a row answers to one agreement: two that may be in force together never share one table with the same
//! role for the same purpose.

use super::agreement::Agreement;
use super::read::ReadAgreement;
use crate::diagnostic::Diagnostic;

/// Every overlap, told at the later agreement's share.
pub(super) fn overlaps(agreements: &[ReadAgreement]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, later) in agreements.iter().enumerate() {
        for earlier in agreements.iter().take(index) {
            let Some((organisation, role)) = common_recipient(&earlier.agreement, &later.agreement) else { continue };
            for (share, place) in later.agreement.shares.iter().zip(&later.tables) {
                let Some(other) = earlier.agreement.shares.iter().find(|other| other.table == share.table) else {
                    continue;
                };
                let message = format!(
                    "`{}` shares `{}` with `{role}` of `{organisation}` for `{}` at the same time ({}, line {})",
                    earlier.agreement.id,
                    share.table,
                    later.agreement.basis.purpose,
                    earlier.agreement.file.display(),
                    other.line,
                );
                let hint = "a released row answers to one agreement: end the one before the other starts, or take the \
                            table, the role or the purpose out of one";
                found.push(Diagnostic::at(place, message).with_hint(hint));
            }
        }
    }
    found
}

/// A role that both serve for one purpose on one day at least.
fn common_recipient<'a>(left: &'a Agreement, right: &'a Agreement) -> Option<(&'a str, &'a str)> {
    let apart = left.draft
        || right.draft
        || left.basis.purpose != right.basis.purpose
        || left.ends < right.starts
        || right.ends < left.starts;
    if apart {
        return None;
    }
    roles(left).find(|recipient| roles(right).any(|other| other == *recipient))
}

fn roles(agreement: &Agreement) -> impl Iterator<Item = (&str, &str)> {
    agreement
        .recipients
        .iter()
        .flat_map(|recipient| recipient.roles.iter().map(|role| (recipient.organisation.as_str(), role.as_str())))
}
