//! What a fuzzer may do to policy: any bytes at all, and no panic, and no rule broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use wayleave::catalog::Agencies;
use wayleave::config::Config;
use wayleave::names::QualifiedTable;
use wayleave::policy::files::{AgreementState, PolicySet, Share};
use wayleave::policy::{Clock, Policy};
use wayleave::session::{BeyondConsent, BrokenGlass, Identity, Session};
use wayleave::stewardship::CaseFile;

pub const REGISTERS: &str = "[register.r]\ntable = \"a.main.consents\"\nkind = \"dissent\"\nsubject = { column = \"k\", \
                             scheme = \"opaque\" }\n";
pub const PURPOSES: &str = "[purpose.p0]\ntitle = \"P\"\n[purpose.p1]\ntitle = \"Q\"\n";

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 6, 1).unwrap()
}

/// Reads the bytes as each kind of file. Whatever is wrong is said, and what is right can be asked.
pub fn parse(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    for name in ["agreements/a.toml", "registers.toml", "purposes.toml"] {
        let mut files = BTreeMap::from([
            (PathBuf::from("registers.toml"), REGISTERS.to_owned()),
            (PathBuf::from("purposes.toml"), PURPOSES.to_owned()),
        ]);
        files.insert(PathBuf::from(name), text.clone());
        match PolicySet::parse(Path::new("policies"), &files) {
            Ok(set) => ask(set),
            Err(found) => {
                assert!(!found.0.is_empty(), "refused without a word");
                for diagnostic in &found.0 {
                    let shown = diagnostic.to_string();
                    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
                    assert!(!shown.contains(steers), "a message would steer the terminal: {shown:?}");
                }
            }
        }
    }
    let _ = CaseFile::parse(Path::new("a.case.toml"), &text).map_err(|found| found.to_string());
    // No file that it might name is there, and no variable.
    let _ = Config::parse(&text, Path::new("/nonexistent/wayleave.toml")).map_err(|found| found.to_string());
}

/// Consent asked, overridden, and passed over in an emergency.
fn ways(share: &Share) -> [(&Share, Option<BeyondConsent>); 3] {
    let broken = BeyondConsent::BreakGlass(BrokenGlass::now());
    [None, Some(BeyondConsent::Override), Some(broken)].map(|way| (share, way))
}

/// Asks a set for every table that it shares, as each of its recipients.
fn ask(set: PolicySet) {
    let policy = Policy::new(set, Agencies::default(), None, Clock::Fixed(today()));
    for agreement in &policy.set().agreements {
        for recipient in &agreement.recipients {
            for role in &recipient.roles {
                let session = Session {
                    user: "u".to_owned(),
                    organisation: recipient.organisation.clone(),
                    role: role.clone(),
                    purpose: agreement.basis.purpose.clone(),
                    case_reference: Some("c".to_owned()),
                    reason: Some("r".to_owned()),
                    beyond_consent: None,
                };
                for (share, beyond_consent) in agreement.shares.iter().flat_map(ways) {
                    let session = Session { beyond_consent, ..session.clone() };
                    let released = policy.entitlement(&session, &share.table);
                    let _ = policy.examine(&session, &share.table);
                    if let Ok(entitlement) = released {
                        let answering = &entitlement.agreement;
                        assert_eq!(answering.state(today()), AgreementState::InForce);
                        assert!(answering.names(&session.organisation, &session.role));
                        assert_eq!(answering.basis.purpose, session.purpose);
                        assert!(entitlement.passed_over.is_none() || session.beyond_consent.is_some());
                    }
                }
            }
        }
    }
}

/// Makes agreements of the bytes, takes each away, and compares who may see what: without it never more than with it, and a
/// draft counts as if it were not there.
pub fn decide(input: &[u8]) {
    let mut choices = Choices(input.iter().copied());
    let agreements: Vec<String> = (0..=choices.below(5)).map(|number| agreement(number, &mut choices)).collect();
    let all: BTreeSet<usize> = (0..agreements.len()).collect();
    // What overlaps is refused as a whole, and then there is nothing to compare.
    let Some(whole) = seen(&agreements, &all, None) else { return };
    for taken in 0..agreements.len() {
        let rest: BTreeSet<usize> = all.iter().copied().filter(|number| *number != taken).collect();
        let without = seen(&agreements, &rest, None).expect("less of what is in order is in order");
        assert!(without.is_subset(&whole), "taking {taken} away releases more: {agreements:#?}");
        let as_draft = seen(&agreements, &all, Some(taken)).expect("a draft breaks nothing");
        assert_eq!(as_draft, without, "a draft releases something: {agreements:#?}");
    }
}

struct Choices<I>(I);

impl<I: Iterator<Item = u8>> Choices<I> {
    /// A number below the limit; zero when the bytes have come to their end.
    fn below(&mut self, limit: u8) -> usize {
        usize::from(self.0.next().unwrap_or(0) % limit)
    }
}

const COLUMNS: [&str; 3] = ["k", "name", "born"];

fn agreement(number: usize, choices: &mut Choices<impl Iterator<Item = u8>>) -> String {
    let starts = ["2026-01-01", "2026-06-01", "2026-07-01"][choices.below(3)];
    let ends = ["2026-07-01", "2026-12-31", "2027-12-31"][choices.below(3)];
    let review = ["2026-12-31", "2026-07-01"][choices.below(2)];
    let (purpose, organisation) = (choices.below(2), choices.below(2));
    let roles = [r#""r0""#, r#""r1""#, r#""r0", "r1""#][choices.below(3)];
    let consent = [
        "mode = \"not-required\"\n[require]\ncase_reference = true\nreason = true",
        "mode = \"opt-out\"\nregisters = [\"r\"]\nno_information = \"permit\"",
        "mode = \"opt-in\"\nregisters = [\"r\"]\nno_information = \"deny\"",
    ][choices.below(3)];
    let mut text = format!(
        "[agreement]\nid = \"A{number}\"\ntitle = \"T\"\nowner = \"o\"\nstarts = {starts}\nends = {ends}\nreview_by = \
         {review}\n#draft\n[basis]\npurpose = \"p{purpose}\"\narticle_6 = \"e\"\n[[recipient]]\norganisation = \
         \"o{organisation}\"\nroles = [{roles}]\n[consent]\n{consent}\n"
    );
    let first = choices.below(4);
    for table in first..=first + choices.below(3) {
        let columns = &COLUMNS[..=choices.below(3)];
        let _ = write!(text, "[[share]]\ntable = \"a.main.t{}\"\ncolumns = {columns:?}\n", table % 4);
        if choices.below(2) == 1 {
            let mask = ["\"null\"", "{ last = 2 }", "\"pseudonym\""][choices.below(3)];
            let _ = writeln!(text, "mask.{} = {mask}", columns[choices.below(3) % columns.len()]);
        }
    }
    text
}

/// Session, table, column, and how it is shown: everything that these agreements release.
fn seen(agreements: &[String], which: &BTreeSet<usize>, draft: Option<usize>) -> Option<BTreeSet<String>> {
    let mut files = BTreeMap::from([
        (PathBuf::from("registers.toml"), REGISTERS.to_owned()),
        (PathBuf::from("purposes.toml"), PURPOSES.to_owned()),
    ]);
    for number in which {
        let text = &agreements[*number];
        let text = if draft == Some(*number) { text.replace("#draft", "draft = true") } else { text.clone() };
        files.insert(PathBuf::from(format!("agreements/{number}.toml")), text);
    }
    let set = PolicySet::parse(Path::new("policies"), &files).ok()?;
    let policy = Policy::new(set, Agencies::default(), None, Clock::Fixed(today()));
    let mut seen = BTreeSet::new();
    for (organisation, role) in [("o0", "r0"), ("o0", "r1"), ("o1", "r0"), ("o1", "r1")] {
        for (purpose, reason) in [("p0", None), ("p1", None), ("p0", Some("r")), ("p1", Some("r"))] {
            let identity = Identity::parse(&format!("u@{organisation}/{role}")).expect("an identity");
            let mut session = Session::new(identity, purpose);
            session.case_reference = reason.map(str::to_owned);
            session.reason = reason.map(str::to_owned);
            for table in 0..4 {
                let table = QualifiedTable::new("a", "main", format!("t{table}"));
                let Ok(entitlement) = policy.entitlement(&session, &table) else { continue };
                let consent = &entitlement.agreement.consent;
                for column in &entitlement.share.columns {
                    let mask = entitlement.share.masks.get(column);
                    seen.insert(format!(
                        "{organisation} {role} {purpose} {reason:?} {table} {column} {mask:?} {consent:?}"
                    ));
                }
            }
        }
    }
    Some(seen)
}
