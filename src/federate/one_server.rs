//! Two agencies in one server: when their rows may meet there.

use super::node::Origin;
use super::piece::Piece;

/// Whether two pieces may become one statement. Of one agency they may; of several only inside one source, and only where the
/// shares of every two tables of different agencies name each other's agency.
///
/// INVARIANT: a table's name says whose it is. Where two agencies release a table of the same name they do not meet, since
/// the proof over the finished SQL could not tell whose policy a scan of it must carry.
pub(super) fn may_meet(left: &Piece, right: &Piece) -> bool {
    let one_source = left.agency.name == right.agency.name || left.agency.shares_source_with(&right.agency);
    one_source
        && left.origins.iter().all(|left| right.origins.iter().all(|right| agree(left, right)))
        // A register has no origin: nobody has agreed to anything of it.
        && (left.agency.name == right.agency.name || !(left.origins.is_empty() || right.origins.is_empty()))
}

fn agree(left: &Origin, right: &Origin) -> bool {
    left.agency == right.agency
        || (left.table != right.table
            && left.join_at_source_with.contains(&right.agency)
            && right.join_at_source_with.contains(&left.agency))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn origin(agency: &str, table: &str, with: &[&str]) -> Origin {
        Origin {
            agency: agency.to_owned(),
            table: table.to_owned(),
            agreement: "A".to_owned(),
            disclose_keys_to: BTreeMap::new(),
            join_at_source_with: with.iter().map(|&agency| agency.to_owned()).collect(),
        }
    }

    #[test]
    fn both_shares_must_name_the_other_agency() {
        let social = origin("social", "main.clients", &["housing"]);
        assert!(agree(&social, &origin("housing", "main.tenants", &["social"])));
        assert!(!agree(&social, &origin("housing", "main.tenants", &[])));
        assert!(!agree(&social, &origin("housing", "main.tenants", &["health"])));
        assert!(!agree(&origin("social", "main.clients", &[]), &origin("housing", "main.tenants", &["social"])));
    }

    #[test]
    fn a_name_that_both_have_is_nobodys() {
        let social = origin("social", "main.people", &["housing"]);
        assert!(!agree(&social, &origin("housing", "main.people", &["social"])));
        assert!(agree(&social, &origin("social", "main.people", &[])));
    }
}
