//! Who may see which column of which table, for which purpose, under which agreement.
//!
//! From the files alone: no agency is asked. A row is a role, a purpose and a column; each answers to one agreement.

use chrono::NaiveDate;
use serde::Serialize;

use super::render::{Document, Grid};
use super::words;
use crate::names::QualifiedTable;
use crate::policy::files::{Agreement, AgreementState, PolicySet, Share};

/// Which rows are wanted; what is `None` does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatrixFilter {
    pub organisation: Option<String>,
    pub role: Option<String>,
    pub purpose: Option<String>,
    pub table: Option<QualifiedTable>,
    /// Agreements that are drafts, ended, not begun or past their review as well, with their state.
    pub all_states: bool,
}

/// The matrix on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The day that says which agreements are in force, as `2026-06-01`.
    pub on: String,
    /// By organisation, role, purpose, agreement; then in the order of the agreement.
    pub rows: Vec<MatrixRow>,
}

/// One column that one role may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatrixRow {
    pub organisation: String,
    pub role: String,
    pub purpose: String,
    pub agreement: String,
    /// `in force`, or why not.
    pub state: String,
    pub table: String,
    pub column: String,
    /// `as it is`, or what the mask leaves.
    pub seen_as: String,
    /// The row filter, where there is one.
    pub rows: Option<String>,
    pub consent: String,
    /// What a session must say, where anything.
    pub requires: Option<String>,
    pub answers: String,
}

impl Matrix {
    pub fn of(set: &PolicySet, on: NaiveDate, filter: &MatrixFilter) -> Self {
        let mut rows = Vec::new();
        for agreement in &set.agreements {
            let state = agreement.state(on);
            if state != AgreementState::InForce && !filter.all_states {
                continue;
            }
            if filter.purpose.as_ref().is_some_and(|purpose| *purpose != agreement.basis.purpose) {
                continue;
            }
            for recipient in &agreement.recipients {
                if filter.organisation.as_ref().is_some_and(|wanted| *wanted != recipient.organisation) {
                    continue;
                }
                for role in recipient.roles.iter().filter(|role| filter.role.as_ref().is_none_or(|r| r == *role)) {
                    for share in &agreement.shares {
                        if filter.table.as_ref().is_some_and(|table| *table != share.table) {
                            continue;
                        }
                        rows.extend(columns(agreement, state, &recipient.organisation, role, share));
                    }
                }
            }
        }
        // Stable: tables and columns stay in their agreement's order.
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        Self { on: on.to_string(), rows }
    }

    /// Every row as it is, for spreadsheets.
    pub fn grid(&self) -> Grid {
        let mut grid = Grid::new(&[
            "organisation",
            "role",
            "purpose",
            "agreement",
            "state",
            "table",
            "column",
            "seen as",
            "rows",
            "consent",
            "requires",
            "answers",
        ]);
        for row in &self.rows {
            grid.push([
                row.organisation.clone(),
                row.role.clone(),
                row.purpose.clone(),
                row.agreement.clone(),
                row.state.clone(),
                row.table.clone(),
                row.column.clone(),
                row.seen_as.clone(),
                row.rows.clone().unwrap_or_default(),
                row.consent.clone(),
                row.requires.clone().unwrap_or_default(),
                row.answers.clone(),
            ]);
        }
        grid
    }

    /// A section for each role and purpose, and below it what it may see.
    pub fn document(&self) -> Document {
        let mut document = Document::new(format!("Who may see what, on {}", self.on));
        if self.rows.is_empty() {
            document.paragraph("Nobody may see anything: no agreement in force shares what was asked for.");
        }
        for section in self.rows.chunk_by(|a, b| order(a) == order(b)) {
            let Some(first) = section.first() else { continue };
            document.heading(2, format!("{}/{} for {}", first.organisation, first.role, first.purpose));
            let mut terms = vec![
                format!("Agreement {}, {}", first.agreement, first.state),
                format!("Consent: {}", first.consent),
                format!("Answers: {}", first.answers),
            ];
            terms.extend(first.requires.as_ref().map(|what| format!("Each question must give {what}")));
            document.list(terms);
            let mut grid = Grid::new(&["table", "column", "seen as", "only rows where"]);
            let mut above: Option<&str> = None;
            for row in section {
                // A table is named once, with its filter, and its columns stand below it.
                let again = above == Some(row.table.as_str());
                let once = |text: &str| if again { String::new() } else { text.to_owned() };
                grid.push([
                    once(&row.table),
                    row.column.clone(),
                    row.seen_as.clone(),
                    once(row.rows.as_deref().unwrap_or("")),
                ]);
                above = Some(&row.table);
            }
            document.table(grid);
        }
        document
    }
}

fn columns<'a>(
    agreement: &'a Agreement,
    state: AgreementState,
    organisation: &'a str,
    role: &'a str,
    share: &'a Share,
) -> impl Iterator<Item = MatrixRow> + 'a {
    let requires = words::requires(agreement.require);
    let own = share.columns.iter().map(|column| (column, words::seen_as(share.masks.get(column))));
    own.chain(words::dissent_column(share)).map(move |(column, seen_as)| MatrixRow {
        organisation: organisation.to_owned(),
        role: role.to_owned(),
        purpose: agreement.basis.purpose.clone(),
        agreement: agreement.id.clone(),
        state: words::state(state),
        table: share.table.to_string(),
        column: column.clone(),
        seen_as,
        rows: share.rows.clone(),
        consent: words::whole_consent(agreement),
        requires: (!requires.is_empty()).then(|| requires.clone()),
        answers: words::answers(agreement.output.as_ref()),
    })
}

fn order(row: &MatrixRow) -> (&str, &str, &str, &str) {
    (&row.organisation, &row.role, &row.purpose, &row.agreement)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::catalog::Agencies;
    use crate::policy::{Clock, Policy};
    use crate::session::{Identity, Session};

    fn seed() -> PolicySet {
        PolicySet::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed/policies")).unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn each_row_is_what_a_query_would_be_granted_and_nothing_is_left_out() {
        let set = seed();
        let on = day("2026-06-01");
        let matrix = Matrix::of(&set, on, &MatrixFilter::default());
        let policy = Policy::new(set.clone(), Agencies::default(), None, Clock::Fixed(on));
        let session = |organisation: &str, role: &str, purpose: &str| {
            let identity = Identity::parse(&format!("x@{organisation}/{role}")).unwrap();
            Session::new(identity, purpose).with_case("C").with_reason("r")
        };
        assert!(matrix.rows.len() > 50);
        for row in &matrix.rows {
            let table = QualifiedTable::parse(&row.table).unwrap();
            let granted = policy.entitlement(&session(&row.organisation, &row.role, &row.purpose), &table).unwrap();
            assert_eq!(granted.agreement.id, row.agreement);
            let share = &granted.share;
            assert!(share.columns.iter().chain(&share.dissent_as).any(|column| *column == row.column), "{row:?}");
        }
        // The other way: every grant of every role, purpose and table that any file names has its rows.
        for agreement in &set.agreements {
            for name in words::recipients(agreement) {
                let (organisation, role) = name.split_once('/').unwrap();
                for share in set.agreements.iter().flat_map(|agreement| &agreement.shares) {
                    for purpose in set.purposes.keys() {
                        let granted = policy.entitlement(&session(organisation, role, purpose), &share.table);
                        let columns = granted.map_or(0, |granted| {
                            granted.share.columns.len() + usize::from(granted.share.dissent_as.is_some())
                        });
                        let filter = MatrixFilter {
                            organisation: Some(organisation.to_owned()),
                            role: Some(role.to_owned()),
                            purpose: Some(purpose.clone()),
                            table: Some(share.table.clone()),
                            all_states: false,
                        };
                        assert_eq!(Matrix::of(&set, on, &filter).rows.len(), columns, "{name} {purpose}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_day_decides_what_is_in_force_and_all_states_say_theirs() {
        let set = seed();
        let of = |on: &str, all_states: bool| {
            let filter = MatrixFilter { organisation: Some("torbay-asc".to_owned()), all_states, ..Default::default() };
            Matrix::of(&set, day(on), &filter).rows
        };
        assert!(of("2026-06-01", false).iter().all(|row| row.state == "in force"));
        let states: Vec<String> = of("2026-06-01", true).into_iter().map(|row| row.state).collect();
        for state in ["draft", "in force"] {
            assert!(states.iter().any(|found| found == state), "{state}: {states:?}");
        }
        assert!(states.iter().any(|state| state.starts_with("ended on ")), "{states:?}");
        assert!(of("2020-01-01", false).is_empty());
    }

    #[test]
    fn what_an_agreement_tells_of_dissent_is_a_column_like_any() {
        let set = PolicySet::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap();
        let matrix = Matrix::of(&set, day("2026-06-01"), &MatrixFilter::default());
        let told: Vec<&MatrixRow> = matrix.rows.iter().filter(|row| row.column == "dissented").collect();
        assert_eq!(told.len(), 2, "a row for each role: {told:?}");
        assert!(told.iter().all(|row| row.seen_as == "whether the person has refused"));
    }

    #[test]
    fn masks_filters_and_requirements_stand_in_their_rows() {
        let on = day("2026-06-01");
        let set = seed();
        let table = QualifiedTable::parse("health.main.patients").unwrap();
        let filter = MatrixFilter {
            purpose: Some("joint-needs-assessment".to_owned()),
            table: Some(table),
            ..MatrixFilter::default()
        };
        let matrix = Matrix::of(&set, on, &filter);
        let postcode = matrix.rows.iter().find(|row| row.column == "postcode").unwrap();
        assert_eq!(postcode.seen_as, "outward postcode only");
        assert_eq!(postcode.rows.as_deref(), Some("deceased = false"));
        assert_eq!(postcode.consent, "opt-out by shared-care; who has said nothing is included");
        let safeguarding = MatrixFilter { purpose: Some("safeguarding".to_owned()), ..MatrixFilter::default() };
        let matrix = Matrix::of(&set, on, &safeguarding);
        assert!(matrix.rows.iter().all(|row| row.requires.as_deref() == Some("a case reference and a reason")));
        assert_eq!(matrix.grid().rows().len(), matrix.rows.len());
        let title = &Matrix::of(&set, day("2020-01-01"), &safeguarding).document();
        assert!(format!("{title:?}").contains("Nobody may see anything"));
    }
}
