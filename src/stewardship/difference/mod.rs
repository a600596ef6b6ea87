//! Who gains and who loses what between two sets of policy files.
//!
//! From the files alone. Agreements are compared by what they release: where one takes another's place for the same role,
//! purpose and table, its terms are compared with those that it replaces. Drafts release nothing, and count as nothing.

mod effect;

use std::collections::{BTreeMap, BTreeSet};

pub use effect::Effect;
use effect::{by_order, consent_effect, mask_effect, output_effect};
use serde::Serialize;
use wayleave_connector_api::KeyDisclosure;

use super::render::{Document, Grid};
use super::words;
use crate::policy::files::{Agreement, PolicySet, Register, Share};

/// One thing that is otherwise, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    pub effect: Effect,
    pub agreement: String,
    /// Roles and purposes, as `torbay-asc/social-worker for joint-needs-assessment`; none where it concerns nobody's access.
    pub who: BTreeSet<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    /// Of what: `column`, `mask`, `rows`, `consent`, `ends` …
    pub what: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Change {
    /// The change as a sentence.
    pub fn sentence(&self) -> String {
        let place = match (&self.table, &self.column) {
            (Some(table), Some(column)) => format!(" of {table}.{column}"),
            (Some(table), None) => format!(" of {table}"),
            (None, _) => String::new(),
        };
        let what = match (&self.before, &self.after) {
            (Some(before), Some(after)) => format!("{}{place}: {before} → {after}", self.what),
            (None, Some(after)) => format!("{}{place}: {after} (new)", self.what),
            (Some(before), None) => format!("{}{place}: {before} (gone)", self.what),
            (None, None) => format!("{}{place}", self.what),
        };
        format!("{what} [{}]", self.agreement)
    }
}

/// Every change between two sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub changes: Vec<Change>,
}

/// A role of an organisation, a purpose and a table: what at most one agreement serves at a time.
type Access = (String, String, String, String);
type Term<'a> = (&'a Agreement, &'a Share);
type ChangeKey = (Effect, String, Option<String>, Option<String>, String, Option<String>, Option<String>);

impl Difference {
    pub fn between(old: &PolicySet, new: &PolicySet) -> Self {
        let mut found = Found::default();
        let (before, after) = (terms(old), terms(new));
        for access in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let none = Vec::new();
            found.access(access, before.get(access).unwrap_or(&none), after.get(access).unwrap_or(&none));
        }
        found.papers(old, new);
        found.registers(old, new);
        let change = |(key, who): (ChangeKey, BTreeSet<String>)| {
            let (effect, agreement, table, column, what, before, after) = key;
            Change { effect, agreement, who, table, column, what, before, after }
        };
        Self { changes: found.changes.into_iter().map(change).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Each change in a row.
    pub fn grid(&self) -> Grid {
        let mut grid = Grid::new(&["effect", "who", "agreement", "table", "column", "what", "before", "after"]);
        for change in &self.changes {
            grid.push([
                change.effect.word().to_owned(),
                change.who.iter().cloned().collect::<Vec<_>>().join("; "),
                change.agreement.clone(),
                change.table.clone().unwrap_or_default(),
                change.column.clone().unwrap_or_default(),
                change.what.clone(),
                change.before.clone().unwrap_or_default(),
                change.after.clone().unwrap_or_default(),
            ]);
        }
        grid
    }

    /// In words, by effect and by whom it concerns; then all as a table.
    pub fn document(&self) -> Document {
        let mut document = Document::new("What changes");
        if self.changes.is_empty() {
            document.paragraph("Nothing: the two say the same.");
            return document;
        }
        for (effect, heading) in [
            (Effect::Gains, "gains"),
            (Effect::Loses, "loses"),
            (Effect::Changes, "sees something else, more or less: look at it"),
        ] {
            let of_effect = || self.changes.iter().filter(|change| change.effect == effect);
            let everyone: BTreeSet<&String> = of_effect().flat_map(|change| &change.who).collect();
            for who in everyone {
                document.heading(2, format!("{who} {heading}"));
                document.list(of_effect().filter(|change| change.who.contains(who)).map(Change::sentence).collect());
            }
            let nobodys: Vec<String> =
                of_effect().filter(|change| change.who.is_empty()).map(Change::sentence).collect();
            if !nobodys.is_empty() {
                document.heading(2, "Every role that it concerns sees something else: look at it");
                document.list(nobodys);
            }
        }
        let notes: Vec<String> =
            self.changes.iter().filter(|change| change.effect == Effect::Notes).map(Change::sentence).collect();
        if !notes.is_empty() {
            document.heading(2, "Nobody sees more or less by");
            document.list(notes);
        }
        document.heading(2, "All changes");
        document.table(self.grid());
        document
    }
}

/// What releases each access, in the order of time.
fn terms(set: &PolicySet) -> BTreeMap<Access, Vec<Term<'_>>> {
    let mut terms: BTreeMap<Access, Vec<Term<'_>>> = BTreeMap::new();
    for agreement in set.agreements.iter().filter(|agreement| !agreement.draft) {
        for recipient in &agreement.recipients {
            for role in &recipient.roles {
                for share in &agreement.shares {
                    let purpose = agreement.basis.purpose.clone();
                    let access = (recipient.organisation.clone(), role.clone(), purpose, share.table.to_string());
                    terms.entry(access).or_default().push((agreement, share));
                }
            }
        }
    }
    for of_access in terms.values_mut() {
        of_access.sort_by_key(|(agreement, _)| agreement.starts);
    }
    terms
}

#[derive(Default)]
struct Found {
    changes: BTreeMap<ChangeKey, BTreeSet<String>>,
}

/// Where a change is.
struct Place<'a> {
    who: String,
    agreement: &'a str,
    table: &'a str,
}

impl Found {
    fn add(&mut self, key: ChangeKey, who: Option<&str>) {
        self.changes.entry(key).or_default().extend(who.map(str::to_owned));
    }

    fn of_column(&mut self, place: &Place<'_>, column: &str, effect: Effect, what: &str, values: [Option<String>; 2]) {
        let [before, after] = values;
        let table = Some(place.table.to_owned());
        let key = (effect, place.agreement.to_owned(), table, Some(column.to_owned()), what.to_owned(), before, after);
        self.add(key, Some(&place.who));
    }

    fn of_table(&mut self, place: &Place<'_>, effect: Effect, what: &str, values: [Option<String>; 2]) {
        let [before, after] = values;
        let table = Some(place.table.to_owned());
        self.add((effect, place.agreement.to_owned(), table, None, what.to_owned(), before, after), Some(&place.who));
    }

    fn of_agreement(&mut self, place: &Place<'_>, effect: Effect, what: &str, values: [Option<String>; 2]) {
        let [before, after] = values;
        self.add((effect, place.agreement.to_owned(), None, None, what.to_owned(), before, after), Some(&place.who));
    }

    fn access(&mut self, access: &Access, before: &[Term<'_>], after: &[Term<'_>]) {
        let (organisation, role, purpose, table) = access;
        let who = format!("{organisation}/{role} for {purpose}");
        let mut old: Vec<Term<'_>> = before.to_vec();
        let mut unpaired = Vec::new();
        let mut pairs = Vec::new();
        for term in after {
            match old.iter().position(|(agreement, _)| agreement.id == term.0.id) {
                Some(position) => pairs.push((old.remove(position), *term)),
                None => unpaired.push(*term),
            }
        }
        // What takes another's place under a new name is compared with what it replaces.
        for term in unpaired {
            if old.is_empty() {
                let place = Place { who: who.clone(), agreement: &term.0.id, table };
                self.of_table(&place, Effect::Gains, "table", [None, Some(columns(term.1))]);
            } else {
                pairs.push((old.remove(0), term));
            }
        }
        for (agreement, share) in old {
            let place = Place { who: who.clone(), agreement: &agreement.id, table };
            self.of_table(&place, Effect::Loses, "table", [Some(columns(share)), None]);
        }
        for ((old, old_share), (new, new_share)) in pairs {
            let place = Place { who: who.clone(), agreement: &new.id, table };
            if old.id != new.id {
                self.of_agreement(&place, Effect::Notes, "agreement", [Some(old.id.clone()), Some(new.id.clone())]);
            }
            self.share(&place, old_share, new_share);
            self.terms(&place, old, new);
        }
    }

    fn share(&mut self, place: &Place<'_>, old: &Share, new: &Share) {
        let all: BTreeSet<&String> = old.columns.iter().chain(&new.columns).collect();
        for column in all {
            let seen = |share: &Share| share.columns.contains(column).then(|| words::seen_as(share.masks.get(column)));
            match (seen(old), seen(new)) {
                (None, after @ Some(_)) => self.of_column(place, column, Effect::Gains, "column", [None, after]),
                (before @ Some(_), None) => self.of_column(place, column, Effect::Loses, "column", [before, None]),
                (before, after) if before != after => {
                    let effect = mask_effect(old.masks.get(column), new.masks.get(column));
                    self.of_column(place, column, effect, "mask", [before, after]);
                }
                _ => {}
            }
        }
        if old.rows != new.rows {
            let effect = match (&old.rows, &new.rows) {
                (Some(_), None) => Effect::Gains,
                (None, Some(_)) => Effect::Loses,
                _ => Effect::Changes,
            };
            self.of_table(place, effect, "only rows where", [old.rows.clone(), new.rows.clone()]);
        }
        for (what, before, after) in [
            ("class", &old.class, &new.class),
            ("dated by", &old.dated_by, &new.dated_by),
            ("dissent told as", &old.dissent_as, &new.dissent_as),
        ] {
            if before != after {
                self.of_table(place, Effect::Changes, what, [before.clone(), after.clone()]);
            }
        }
        let agencies: BTreeSet<&String> = old.disclose_keys_to.keys().chain(new.disclose_keys_to.keys()).collect();
        for agency in agencies {
            let form = |share: &Share| share.disclose_keys_to.get(agency).copied();
            let word = |form: Option<KeyDisclosure>| {
                form.map(|form| match form {
                    KeyDisclosure::Plain => format!("to {agency}, as they are"),
                    KeyDisclosure::Pseudonymised => format!("to {agency}, as pseudonyms"),
                })
            };
            let weight = |form: Option<KeyDisclosure>| match form {
                None => 0,
                Some(KeyDisclosure::Pseudonymised) => 1,
                Some(KeyDisclosure::Plain) => 2,
            };
            let (before, after) = (form(old), form(new));
            if let Some(effect) = by_order(weight(before).cmp(&weight(after))) {
                self.of_table(place, effect, "keys disclosed", [word(before), word(after)]);
            }
        }
        let agencies: BTreeSet<&String> = old.join_at_source_with.union(&new.join_at_source_with).collect();
        for agency in agencies {
            let named = |share: &Share| share.join_at_source_with.contains(agency);
            let word = |named: bool| named.then(|| format!("with {agency}"));
            let (before, after) = (named(old), named(new));
            if let Some(effect) = by_order(before.cmp(&after)) {
                self.of_table(place, effect, "joined at the source", [word(before), word(after)]);
            }
        }
    }

    /// What an agreement says of all its tables.
    fn terms(&mut self, place: &Place<'_>, old: &Agreement, new: &Agreement) {
        let days = |day: chrono::NaiveDate| Some(day.to_string());
        for (what, before, after, effect) in [
            ("starts", old.starts, new.starts, new.starts.cmp(&old.starts)),
            ("ends", old.ends, new.ends, old.ends.cmp(&new.ends)),
            ("review by", old.review_by, new.review_by, old.review_by.cmp(&new.review_by)),
        ] {
            if let Some(effect) = by_order(effect) {
                self.of_agreement(place, effect, what, [days(before), days(after)]);
            }
        }
        if old.consent != new.consent {
            let values = [Some(words::consent(&old.consent)), Some(words::consent(&new.consent))];
            self.of_agreement(place, consent_effect(&old.consent, &new.consent), "consent", values);
        }
        let (before, after) = (words::passing_over(old), words::passing_over(new));
        if before != after {
            let more = |of: &[String], than: &[String]| than.iter().all(|one| of.contains(one));
            let effect = match (more(&after, &before), more(&before, &after)) {
                (true, false) => Effect::Gains,
                (false, true) => Effect::Loses,
                _ => Effect::Changes,
            };
            let said = |of: Vec<String>| (!of.is_empty()).then(|| of.join("; "));
            self.of_agreement(place, effect, "consent passed over", [said(before), said(after)]);
        }
        for list in old.do_not_link.iter().chain(&new.do_not_link).collect::<BTreeSet<_>>() {
            let named = |agreement: &Agreement| agreement.do_not_link.contains(list);
            if let Some(effect) = by_order(named(new).cmp(&named(old))) {
                let word = |agreement| named(agreement).then(|| format!("by register {list}"));
                self.of_agreement(place, effect, "not linked", [word(old), word(new)]);
            }
        }
        if old.record_dissent != new.record_dissent {
            let said = |agreement: &Agreement| {
                (!agreement.record_dissent.is_empty()).then(|| agreement.record_dissent.join(", "))
            };
            self.of_agreement(place, Effect::Changes, "dissent told", [said(old), said(new)]);
        }
        if old.pseudonym_version != new.pseudonym_version {
            let values = [old, new].map(|agreement| Some(agreement.pseudonym_version.to_string()));
            self.of_agreement(place, Effect::Changes, "version of pseudonyms", values);
        }
        for (what, before, after) in [
            ("case reference", old.require.case_reference, new.require.case_reference),
            ("reason", old.require.reason, new.require.reason),
        ] {
            if let Some(effect) = by_order(after.cmp(&before)) {
                let word = |required: bool| Some(if required { "required" } else { "not required" }.to_owned());
                self.of_agreement(place, effect, what, [word(before), word(after)]);
            }
        }
        if old.output != new.output {
            let values = [Some(words::answers(old.output.as_ref())), Some(words::answers(new.output.as_ref()))];
            self.of_agreement(place, output_effect(old.output, new.output), "answers", values);
        }
    }

    /// What stands in the files and releases nothing by itself.
    fn papers(&mut self, old: &PolicySet, new: &PolicySet) {
        let by_id = |set: &'_ PolicySet| -> BTreeMap<String, Agreement> {
            set.agreements.iter().map(|agreement| (agreement.id.clone(), agreement.clone())).collect()
        };
        let (before, after) = (by_id(old), by_id(new));
        let mut note = |id: &str, what: &str, values: [Option<String>; 2]| {
            let [before, after] = values;
            if before != after {
                self.add((Effect::Notes, id.to_owned(), None, None, what.to_owned(), before, after), None);
            }
        };
        for id in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let (old, new) = (before.get(id), after.get(id));
            let paper = |read: &dyn Fn(&Agreement) -> Option<String>| [old.and_then(read), new.and_then(read)];
            let is_draft = |agreement: &Agreement| agreement.draft.then(|| "draft, releases nothing".to_owned());
            note(id, "state", paper(&is_draft));
            if old.is_some() && new.is_some() {
                note(id, "title", paper(&|agreement| Some(agreement.title.clone())));
                note(id, "owner", paper(&|agreement| Some(agreement.owner.clone())));
                note(id, "article 6(1)", paper(&|agreement| Some(agreement.basis.article_6.clone())));
                note(id, "article 9(2)", paper(&|agreement| agreement.basis.article_9.clone()));
                note(id, "gateway", paper(&|agreement| agreement.basis.gateway.clone()));
                note(id, "impact assessment", paper(&|agreement| agreement.basis.dpia.clone()));
            }
        }
        let codes: BTreeSet<&String> = old.purposes.keys().chain(new.purposes.keys()).collect();
        for code in codes {
            let purpose = |set: &PolicySet| {
                set.purposes.get(code).map(|purpose| {
                    let vocabularies = [&purpose.dpv, &purpose.hl7].map(|term| term.clone().unwrap_or_default());
                    [vec![purpose.title.clone()], vocabularies.to_vec()].concat().join(", ")
                })
            };
            note("purposes.toml", &format!("purpose {code}"), [purpose(old), purpose(new)]);
        }
    }

    /// A register's meaning decides for every agreement that names it.
    fn registers(&mut self, old: &PolicySet, new: &PolicySet) {
        let names: BTreeSet<&String> = old.registers.keys().chain(new.registers.keys()).collect();
        for name in names {
            let (before, after) = (old.registers.get(name), new.registers.get(name));
            if before == after {
                continue;
            }
            let words = |register: Option<&Register>| {
                register.map(|register| format!("{}: {}", register.table, words::register(register)))
            };
            let who: BTreeSet<String> = [old, new]
                .into_iter()
                .flat_map(|set| &set.agreements)
                .filter(|agreement| !agreement.draft && agreement.consent.registers().contains(name))
                .flat_map(|agreement| {
                    let purpose = &agreement.basis.purpose;
                    words::recipients(agreement).into_iter().map(move |who| format!("{who} for {purpose}"))
                })
                .collect();
            let effect = if who.is_empty() { Effect::Notes } else { Effect::Changes };
            let mut values = [words(before), words(after)];
            if values.iter().all(Option::is_some) && values.first() == values.last() {
                // What the words do not tell: how a key is written, and whether it is assured.
                values = [before, after].map(|register| register.map(|r| format!("{:?}", r.subject.format)));
            }
            let [before, after] = values;
            let key = (effect, "registers.toml".to_owned(), None, None, format!("register {name}"), before, after);
            self.changes.entry(key).or_default().extend(who);
        }
    }
}

fn columns(share: &Share) -> String {
    let of = |column: &String| match share.masks.get(column) {
        None => column.clone(),
        mask => format!("{column} ({})", words::seen_as(mask)),
    };
    share.columns.iter().map(of).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    const BASE: &str = r#"[agreement]
id = "A"
title = "T"
owner = "o"
starts = 2026-04-01
ends = 2027-03-31
review_by = 2026-12-31

[basis]
purpose = "p"
article_6 = "e"

[[recipient]]
organisation = "org"
roles = ["r1", "r2"]

[consent]
mode = "opt-out"
registers = ["reg"]
no_information = "permit"

[[share]]
table = "a.b.t"
columns = ["k", "x", "y"]
mask.y = "year"
rows = "z = 1"
disclose_keys_to = ["c"]

[output]
aggregate_only = true
minimum_persons = 10
round_to = 5
"#;
    const REGISTERS: &str = "[register.reg]\ntable = \"a.b.c\"\nkind = \"dissent\"\nsubject = { column = \"k\", scheme = \
                             \"nhs-number\" }\n[register.other]\ntable = \"a.b.d\"\nkind = \"dissent\"\nsubject = { column = \
                             \"k\", scheme = \"nhs-number\" }\n";

    fn set(agreement: &str, registers: &str) -> PolicySet {
        let files = [
            ("agreements/a.toml", agreement),
            ("registers.toml", registers),
            ("purposes.toml", "[purpose.p]\ntitle = \"P\"\n[purpose.q]\ntitle = \"Q\"\n"),
        ];
        let files = files.into_iter().map(|(name, text)| (PathBuf::from(name), text.to_owned())).collect();
        PolicySet::parse(Path::new("x"), &files).unwrap()
    }

    /// The changes that editing the agreement makes, as `effect what: before → after`, and the same back.
    fn edit(from: &str, to: &str) -> (Vec<String>, Vec<String>) {
        assert!(BASE.contains(from), "{from}");
        let (old, new) = (set(BASE, REGISTERS), set(&BASE.replacen(from, to, 1), REGISTERS));
        let told = |old: &PolicySet, new: &PolicySet| {
            let difference = Difference::between(old, new);
            let line = |change: &Change| {
                let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
                let (before, after) = (value(&change.before), value(&change.after));
                format!("{} {}: {before} → {after}", change.effect.word(), change.what)
            };
            difference.changes.iter().map(line).collect()
        };
        (told(&old, &new), told(&new, &old))
    }

    #[test]
    fn the_same_is_no_change_and_comments_are_none() {
        assert!(edit("title = \"T\"", "title = \"T\" # hello").0.is_empty());
        let difference = Difference::between(&set(BASE, REGISTERS), &set(BASE, REGISTERS));
        assert!(difference.is_empty());
        assert!(format!("{:?}", difference.document()).contains("the two say the same"));
    }

    #[test]
    fn every_rule_says_who_gains_and_the_way_back_who_loses() {
        let cases = [
            (r#"["k", "x", "y"]"#, r#"["k", "x", "y", "w"]"#, "gains column: - → as it is"),
            ("mask.y = \"year\"\n", "", "gains mask: year only → as it is"),
            ("mask.y = \"year\"", "mask.y = { last = 2 }", "changes mask: year only → last 2 characters only"),
            ("mask.y = \"year\"\n", "mask.y = \"year\"\nmask.x = \"null\"\n", "loses mask: as it is → always empty"),
            ("rows = \"z = 1\"\n", "", "gains only rows where: z = 1 → -"),
            ("rows = \"z = 1\"", "rows = \"z = 2\"", "changes only rows where: z = 1 → z = 2"),
            ("[\"c\"]", "[\"c\", \"d\"]", "gains keys disclosed: - → to d, as they are"),
            ("[\"c\"]", "{ c = \"pseudonymised\" }", "loses keys disclosed: to c, as they are → to c, as pseudonyms"),
            ("ends = 2027-03-31", "ends = 2028-03-31", "gains ends: 2027-03-31 → 2028-03-31"),
            ("starts = 2026-04-01", "starts = 2026-05-01", "loses starts: 2026-04-01 → 2026-05-01"),
            (
                "minimum_persons = 10",
                "minimum_persons = 5",
                "gains answers: aggregates of at least 10 persons, counts \
              rounded to 5 → aggregates of at least 5 persons, counts rounded to 5",
            ),
            (
                "round_to = 5\n",
                "",
                "gains answers: aggregates of at least 10 persons, counts rounded to 5 → aggregates of \
              at least 10 persons",
            ),
            ("[output]", "[require]\nreason = true\n[output]", "loses reason: not required → required"),
            (
                "[\"reg\"]",
                "[\"reg\", \"other\"]",
                "loses consent: opt-out by reg; who has said nothing is included → \
              opt-out by reg, other; who has said nothing is included",
            ),
            (
                "\"permit\"",
                "\"deny\"",
                "loses consent: opt-out by reg; who has said nothing is included → opt-out by reg; \
              who has said nothing is left out",
            ),
            ("title = \"T\"", "title = \"U\"", "notes title: T → U"),
        ];
        for (from, to, expected) in cases {
            let (there, back) = edit(from, to);
            assert_eq!(there, [expected], "{from} → {to}");
            let opposite = match expected.split_once(' ').unwrap().0 {
                "gains" => "loses",
                "loses" => "gains",
                same => same,
            };
            assert!(back.len() == 1 && back[0].starts_with(opposite), "{from} ← {to}: {back:?}");
        }
    }

    #[test]
    fn a_role_a_purpose_and_a_draft_move_whole_tables() {
        let (there, back) = edit("[\"r1\", \"r2\"]", "[\"r1\"]");
        assert_eq!(there, ["loses table: k, x, y (year only) → -"]);
        assert_eq!(back, ["gains table: - → k, x, y (year only)"]);
        let (there, _) = edit("purpose = \"p\"", "purpose = \"q\"");
        assert_eq!(there.iter().filter(|line| line.contains(" table: ")).count(), 2, "{there:?}");
        let (there, _) = edit("owner = \"o\"", "owner = \"o\"\ndraft = true");
        assert_eq!(there, ["loses table: k, x, y (year only) → -", "notes state: - → draft, releases nothing"]);
    }

    #[test]
    fn a_successor_under_a_new_name_is_compared_with_what_it_replaces() {
        let (there, _) = edit("id = \"A\"", "id = \"B\"");
        assert_eq!(there, ["notes agreement: A → B"]);
    }

    #[test]
    fn a_changed_register_concerns_those_who_depend_on_it() {
        let other = REGISTERS.replacen("\"dissent\"", "\"allow\"", 1);
        let changes = Difference::between(&set(BASE, REGISTERS), &set(BASE, &other)).changes;
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].effect, changes[0].what.as_str()), (Effect::Changes, "register reg"));
        assert_eq!(changes[0].who.len(), 2);
        let form = REGISTERS.replacen("\"nhs-number\"", "\"nhs-number\", form = \"spaced\"", 1);
        assert_eq!(Difference::between(&set(BASE, REGISTERS), &set(BASE, &form)).changes.len(), 1);
    }

    #[test]
    fn both_forms_name_everyone_concerned() {
        let new = BASE.replacen("mask.y = \"year\"\n", "", 1);
        let difference = Difference::between(&set(BASE, REGISTERS), &set(&new, REGISTERS));
        let text = format!("{:?}", difference.document());
        assert!(text.contains("org/r1 for p gains") && text.contains("org/r2 for p gains"), "{text}");
        assert_eq!(difference.grid().rows().len(), 1);
    }
}
