//! The rule that a row answers to one agreement: two that may be in force together never share one table with the same
//! role for the same purpose.

use std::collections::HashMap;

use super::agreement::Agreement;
use super::read::ReadAgreement;
use crate::diagnostic::Diagnostic;
use crate::names::QualifiedTable;

/// Who is shared a table for what: agreements that have none of these in common are never compared.
type Shared<'a> = (&'a str, &'a str, &'a str, &'a QualifiedTable);

/// Every overlap, told at the later agreement's share.
pub(super) fn overlaps(agreements: &[ReadAgreement]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut earlier_of: HashMap<Shared<'_>, Vec<&ReadAgreement>> = HashMap::new();
    for later in agreements.iter().filter(|read| !read.agreement.draft) {
        for (share, place) in later.agreement.shares.iter().zip(&later.tables) {
            // Two agreements may have several roles in common, and are told of once.
            let mut told: Vec<&str> = Vec::new();
            for recipient in roles(&later.agreement) {
                let shared = shared_with(&later.agreement, recipient, &share.table);
                for earlier in earlier_of.get(&shared).into_iter().flatten() {
                    let earlier = &earlier.agreement;
                    let common = common_recipient(earlier, &later.agreement);
                    let (Some((organisation, role)), false) = (common, told.contains(&earlier.id.as_str())) else {
                        continue;
                    };
                    told.push(&earlier.id);
                    let message = format!(
                        "`{}` shares `{}` with `{role}` of `{organisation}` for `{}` at the same time ({}, line {})",
                        earlier.id,
                        share.table,
                        later.agreement.basis.purpose,
                        earlier.file.display(),
                        earlier.share_of(&share.table).map_or(0, |share| share.line),
                    );
                    let hint = "a released row answers to one agreement: end the one before the other starts, or take the \
                                table, the role or the purpose out of one";
                    found.push(Diagnostic::at(place, message).with_hint(hint));
                }
            }
        }
        for share in &later.agreement.shares {
            for recipient in roles(&later.agreement) {
                earlier_of.entry(shared_with(&later.agreement, recipient, &share.table)).or_default().push(later);
            }
        }
    }
    found
}

fn shared_with<'a>(
    agreement: &'a Agreement,
    (organisation, role): (&'a str, &'a str),
    table: &'a QualifiedTable,
) -> Shared<'a> {
    (organisation, role, &agreement.basis.purpose, table)
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
