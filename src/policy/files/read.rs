//! Reading one agreement file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wayleave_connector_api::KeyDisclosure;

use super::agreement::{
    Agreement, Basis, Consent, ConsentMode, Decision, MaskRule, MinimumPersons, OutputRule, Recipient, Require, Share,
};
use crate::diagnostic::document::{Document, Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Rule, Shape, Then, Value, words};
use crate::diagnostic::{Diagnostic, Located, Place, quoted};
use crate::names::QualifiedTable;

pub(super) const AGREEMENT_FILE: FileKind = FileKind {
    name: "agreement",
    title: "A data-sharing agreement",
    description: "One agreement a file. Rows leave their agency only where an agreement in force allows it.",
    keys: ROOT_KEYS,
    rules: &[],
};

pub(super) const ROOT_KEYS: &[Key] = &[
    Key::new("agreement", "[agreement]\nid = \"ISA-2026-014\"")
        .says("What the agreement is, and when it counts.")
        .of(Shape::Section(AGREEMENT_KEYS, &[]))
        .required(),
    Key::new("basis", "[basis]\npurpose = \"joint-needs-assessment\"\narticle_6 = \"e\"")
        .says("Why the sharing is lawful.")
        .of(Shape::Section(BASIS_KEYS, &[]))
        .required(),
    Key::new("recipient", "[[recipient]]\norganisation = \"torbay-asc\"\nroles = [\"social-worker\"]")
        .says("Who may ask.")
        .of(Shape::Sections { least: 1, keys: RECIPIENT_KEYS, rules: &[] })
        .required(),
    Key::new("consent", "[consent]\nmode = \"opt-out\"\nregisters = [\"shared-care\"]\nno_information = \"permit\"")
        .says("What the person's own decision counts for.")
        .of(Shape::Section(CONSENT_KEYS, CONSENT_RULES))
        .required(),
    Key::new("share", "[[share]]\ntable = \"health.public.patients\"\ncolumns = [\"nhs_number\", \"name\"]")
        .says("The tables that are shared, one entry each.")
        .of(Shape::Sections { least: 1, keys: SHARE_KEYS, rules: &[] })
        .required(),
    Key::new("require", "[require]\ncase_reference = true\nreason = true")
        .says("What a session must give before a query runs.")
        .of(Shape::Section(REQUIRE_KEYS, &[])),
    Key::new("output", "[output]\naggregate_only = true\nminimum_persons = 10")
        .says("What may leave as an answer.")
        .of(Shape::Section(OUTPUT_KEYS, OUTPUT_RULES)),
];
pub(super) const AGREEMENT_KEYS: &[Key] = &[
    Key::new("id", "id = \"ISA-2026-014\"")
        .says("The agreement's own reference. No two files have the same.")
        .required(),
    Key::new("title", "title = \"Joint assessment of older people\"")
        .says("What it is about, in a few words.")
        .required(),
    Key::new("owner", "owner = \"dpo@torbay.example\"")
        .says("Who answers for it: an address that alerts may go to.")
        .required(),
    Key::new("starts", "starts = 2026-04-01")
        .says("The first day of its force: a date without quotes.")
        .of(Shape::Date)
        .required(),
    Key::new("ends", "ends = 2027-03-31")
        .says("The last day of its force: a date without quotes.")
        .of(Shape::Date)
        .required(),
    Key::new("review_by", "review_by = 2026-12-31")
        .says(
            "The last day on which it counts without a review; past it, the agreement refuses. A date without quotes.",
        )
        .of(Shape::Date)
        .required(),
    Key::new("draft", "draft = true")
        .says("A draft releases nothing, and may overlap with other agreements. It is no draft unless said.")
        .of(Shape::Flag),
];
pub(super) const BASIS_KEYS: &[Key] = &[
    Key::new("purpose", "purpose = \"joint-needs-assessment\"").says("A code of purposes.toml.").required(),
    Key::new("article_6", "article_6 = \"e\"")
        .says("The point of article 6(1) of the UK GDPR.")
        .of(Shape::OneOf(|| words(&ARTICLE_6)))
        .required(),
    Key::new("article_9", "article_9 = \"h\"")
        .says("The point of article 9(2) of the UK GDPR, for special categories.")
        .of(Shape::OneOf(|| words(&ARTICLE_9))),
    Key::new("gateway", "gateway = \"Care Act 2014\"").says("The statute that allows the sharing."),
    Key::new("dpia", "dpia = \"DPIA-2026-07\"").says("The data protection impact assessment."),
];
pub(super) const RECIPIENT_KEYS: &[Key] = &[
    Key::new("organisation", "organisation = \"torbay-asc\"").says("The asking organisation.").required(),
    Key::new("roles", "roles = [\"social-worker\"]")
        .says("The roles in it that may ask.")
        .of(Shape::Texts { least: 1 })
        .required(),
];
pub(super) const CONSENT_KEYS: &[Key] = &[
    Key::new("mode", "mode = \"opt-out\"")
        .says(
            "opt-in: only those who agreed. opt-out: all but those who refused. not-required: a statutory basis, and \
             then case reference and reason are required.",
        )
        .of(Shape::OneOf(|| words(&MODES)))
        .required(),
    Key::new("registers", "registers = [\"shared-care\"]")
        .says("Registers of registers.toml in which the decisions are kept.")
        .of(Shape::Texts { least: 1 }),
    Key::new("no_information", "no_information = \"permit\"")
        .says("What happens to a person of whom no register knows anything. It must be said.")
        .of(Shape::OneOf(|| words(&DECISIONS))),
];
const CONSENT_RULES: &[Rule] = &[
    Rule::Where("mode", &[Value::Word("not-required")], Then::Forbids(&["registers", "no_information"])),
    Rule::Where(
        "mode",
        &[Value::Word("opt-in"), Value::Word("opt-out")],
        Then::Needs(&["registers", "no_information"]),
    ),
    Rule::Where("mode", &[Value::Word("opt-in")], Then::Says("no_information", Value::Word("deny"))),
];
pub(super) const SHARE_KEYS: &[Key] = &[
    Key::new("table", "table = \"health.public.patients\"")
        .says("agency.schema.table; a part that holds a dot in double quotes.")
        .of(TABLE_NAME)
        .required(),
    Key::new("columns", "columns = [\"nhs_number\", \"name\"]")
        .says("The columns that are released. Nothing else of the table is.")
        .of(Shape::SomeNames { never: "*" })
        .required(),
    Key::new("mask", "mask.postcode = \"outward\"")
        .says(
            "What takes the place of a released column's values. null: nothing. outward: the first half of a postcode. \
             year: the year of a date. pseudonym: a keyed one-way form, joinable inside one purpose.",
        )
        .of(Shape::Names(&Shape::Either(&[
            Shape::OneOf(|| words(&MASKS)),
            Shape::Section(MASK_KEYS, &[Rule::One(&["last", "constant"])]),
        ]))),
    Key::new("rows", "rows = \"deceased = false\"").says(
        "A predicate in SQL over the table's own columns, released or not. Only rows for which it is true are shared.",
    ),
    Key::new("disclose_keys_to", "disclose_keys_to = [\"social\"] # or { social = \"pseudonymised\" }")
        .says(
            "Agencies that may be sent this table's subject keys to narrow a join: it tells them who is in it. A table \
             says of each agency as what they go: plain, or pseudonymised under a secret of that one join.",
        )
        .of(Shape::Either(&[
            Shape::Texts { least: 0 },
            Shape::Names(&Shape::OneOf(|| words(&DISCLOSURES))),
        ])),
    Key::new("join_at_source_with", "join_at_source_with = [\"social\"]")
        .says(
            "Agencies whose tables may be joined with this one's rows inside one server, where both are kept in the same \
             and the other's share names this agency too.",
        )
        .of(Shape::Texts { least: 0 }),
];
pub(super) const MASK_KEYS: &[Key] = &[
    Key::new("last", "last = 3")
        .says("*** and this many characters of the end.")
        .of(Shape::Number { least: 1, most: Some(MOST) }),
    Key::new("constant", "constant = \"withheld\"").says("This text in every row.").of(Shape::AnyText),
];
pub(super) const REQUIRE_KEYS: &[Key] = &[
    Key::new("case_reference", "case_reference = true").says("The case that the query is for.").of(Shape::Flag),
    Key::new("reason", "reason = true").says("Why it is asked, in the asker's words.").of(Shape::Flag),
];
pub(super) const OUTPUT_KEYS: &[Key] = &[
    Key::new("aggregate_only", "aggregate_only = true")
        .says("Only aggregates leave, never single rows.")
        .of(Shape::Flag)
        .required(),
    Key::new("minimum_persons", "minimum_persons = 10")
        .says("Groups of fewer persons are suppressed.")
        .of(Shape::Number { least: 2, most: Some(MOST) }),
    Key::new("round_to", "round_to = 5")
        .says("Counts are rounded to a multiple of this.")
        .of(Shape::Number { least: 2, most: Some(MOST) }),
];
const OUTPUT_RULES: &[Rule] = &[
    Rule::Where("aggregate_only", &[Value::Flag(true)], Then::Needs(&["minimum_persons"])),
    Rule::Where("aggregate_only", &[Value::Flag(false)], Then::Forbids(&["minimum_persons", "round_to"])),
];

/// What the readers take for the name of a table.
pub(super) const TABLE_NAME: Shape = Shape::Pattern("^.+\\..+\\..+$");
/// The largest number that an agreement may hold.
const MOST: u64 = 0xffff_ffff;

const MODES: [(&str, Option<ConsentMode>); 3] =
    [("opt-in", Some(ConsentMode::OptIn)), ("opt-out", Some(ConsentMode::OptOut)), ("not-required", None)];
const DECISIONS: [(&str, Decision); 2] = [("permit", Decision::Permit), ("deny", Decision::Deny)];
const DISCLOSURES: [(&str, KeyDisclosure); 2] =
    [("plain", KeyDisclosure::Plain), ("pseudonymised", KeyDisclosure::Pseudonymised)];
/// The masks that are one word.
const MASKS: [(&str, MaskRule); 4] = [
    ("null", MaskRule::Null),
    ("outward", MaskRule::OutwardPostcode),
    ("year", MaskRule::YearOfDate),
    ("pseudonym", MaskRule::Pseudonym),
];

/// The points of article 6(1) and of article 9(2).
const ARTICLE_6: [(&str, &str); 6] = [("a", "a"), ("b", "b"), ("c", "c"), ("d", "d"), ("e", "e"), ("f", "f")];
const ARTICLE_9: [(&str, &str); 10] = [
    ("a", "a"),
    ("b", "b"),
    ("c", "c"),
    ("d", "d"),
    ("e", "e"),
    ("f", "f"),
    ("g", "g"),
    ("h", "h"),
    ("i", "i"),
    ("j", "j"),
];

const MASK_HINT: &str =
    "write \"null\", \"outward\", \"year\", \"pseudonym\", { last = 3 } or { constant = \"withheld\" }";

/// An agreement, and the places that other files are needed to check.
#[derive(Clone)]
pub(super) struct ReadAgreement {
    pub agreement: Agreement,
    pub id: Place,
    pub purpose: Place,
    pub registers: Vec<Located<String>>,
    /// One a share, in order.
    pub tables: Vec<Place>,
    pub agencies: Vec<Located<String>>,
}

pub(super) fn read_agreement(document: &Document<'_>, file: &Path, hash: String) -> Option<ReadAgreement> {
    let root = document.root(ROOT_KEYS);
    let heading = root.required("agreement").and_then(|entry| read_heading(&entry));
    let basis = root.required("basis").and_then(|entry| read_basis(&entry));
    let recipients = root.required("recipient").and_then(|entry| read_recipients(&entry));
    let require = match root.optional("require") {
        Some(entry) => read_require(&entry),
        None => Some(Require::default()),
    };
    let consent = root.required("consent").and_then(|entry| read_consent(&entry));
    if let (Some(consent), Some(require)) = (&consent, require) {
        check_statutory(&root, consent, require);
    }
    let shares = root.required("share").and_then(|entry| read_shares(&entry));
    let output = match root.optional("output") {
        Some(entry) => read_output(&entry),
        None => Some(None),
    };
    let (heading, (basis, purpose), consent, shares) = (heading?, basis?, consent?, shares?);
    let agencies = shares.iter().flat_map(|share| share.agencies.clone()).collect();
    let tables = shares.iter().map(|share| share.table.clone()).collect();
    let agreement = Agreement {
        id: heading.id.value,
        title: heading.title,
        owner: heading.owner,
        starts: heading.starts,
        ends: heading.ends,
        review_by: heading.review_by,
        draft: heading.draft,
        basis,
        recipients: recipients?,
        consent: consent.consent,
        shares: shares.into_iter().map(|share| share.share).collect(),
        require: require?,
        output: output?,
        file: file.to_owned(),
        hash,
    };
    Some(ReadAgreement { agreement, id: heading.id.place, purpose, registers: consent.registers, tables, agencies })
}

struct Heading {
    id: Located<String>,
    title: String,
    owner: String,
    starts: chrono::NaiveDate,
    ends: chrono::NaiveDate,
    review_by: chrono::NaiveDate,
    draft: bool,
}

fn read_heading(entry: &Entry<'_>) -> Option<Heading> {
    let table = entry.table(AGREEMENT_KEYS)?;
    let text = |key: &str| table.required(key).and_then(|entry| entry.text());
    let date = |key: &str| table.required(key).and_then(|entry| entry.date());
    let (id, title, owner) = (text("id"), text("title"), text("owner"));
    let (starts, ends, review_by) = (date("starts"), date("ends"), date("review_by"));
    let draft = read_flag(&table, "draft");
    let (starts, ends, review_by) = (starts?, ends?, review_by?);
    let mut orderly = true;
    for (key, late) in [("ends", &ends), ("review_by", &review_by)] {
        if late.value < starts.value {
            let message = format!("`{key}` is before `starts`, so that the agreement is never in force");
            let hint = format!("write a day on or after {}", starts.value);
            table.document().report(Diagnostic::at(&late.place, message).with_hint(hint));
            orderly = false;
        }
    }
    let (id, title, owner, draft) = (id?, title?.value, owner?.value, draft?);
    orderly.then_some(Heading {
        id,
        title,
        owner,
        starts: starts.value,
        ends: ends.value,
        review_by: review_by.value,
        draft,
    })
}

/// A flag that is false unless it is said; `None` where it is wrong.
fn read_flag(table: &Table<'_>, key: &str) -> Option<bool> {
    match table.optional(key) {
        Some(entry) => entry.boolean().map(|flag| flag.value),
        None => Some(false),
    }
}

fn read_basis(entry: &Entry<'_>) -> Option<(Basis, Place)> {
    let table = entry.table(BASIS_KEYS)?;
    let optional = |key: &str| match table.optional(key) {
        Some(entry) => entry.text().map(|text| Some(text.value)),
        None => Some(None),
    };
    let purpose = table.required("purpose").and_then(|entry| entry.text());
    let article_6 = table.required("article_6").and_then(|entry| entry.one_of(&ARTICLE_6));
    let article_9 = match table.optional("article_9") {
        Some(entry) => entry.one_of(&ARTICLE_9).map(|point| Some(point.value.to_owned())),
        None => Some(None),
    };
    let (gateway, dpia) = (optional("gateway"), optional("dpia"));
    let purpose = purpose?;
    let basis = Basis {
        purpose: purpose.value,
        article_6: article_6?.value.to_owned(),
        article_9: article_9?,
        gateway: gateway?,
        dpia: dpia?,
    };
    Some((basis, purpose.place))
}

fn read_recipients(entry: &Entry<'_>) -> Option<Vec<Recipient>> {
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    let mut recipients = Vec::new();
    let mut complete = true;
    for table in entry.tables(RECIPIENT_KEYS)? {
        let organisation = table.required("organisation").and_then(|entry| entry.text());
        let roles = table.required("roles").and_then(|entry| entry.some_texts());
        let (Some(organisation), Some(roles)) = (organisation, roles) else {
            complete = false;
            continue;
        };
        for role in &roles {
            if !named.insert((organisation.value.clone(), role.value.clone())) {
                let message = format!("`{}` of `{}` is named twice", role.value, organisation.value);
                let hint = "name each role of an organisation once";
                table.document().report(Diagnostic::at(&role.place, message).with_hint(hint));
                complete = false;
            }
        }
        let roles = roles.into_iter().map(|role| role.value).collect();
        recipients.push(Recipient { organisation: organisation.value, roles });
    }
    complete.then_some(recipients)
}

struct ReadConsent {
    consent: Consent,
    mode: Place,
    registers: Vec<Located<String>>,
}

fn read_consent(entry: &Entry<'_>) -> Option<ReadConsent> {
    let table = entry.table(CONSENT_KEYS)?;
    let mode = table.required("mode")?.one_of(&MODES)?;
    let Some(required) = mode.value else {
        let forbidden: Vec<Entry<'_>> =
            ["registers", "no_information"].iter().filter_map(|key| table.optional(key)).collect();
        for entry in &forbidden {
            let message = format!("`{}` has no meaning where consent is not required", entry.key());
            let hint = "take it out, or write `mode = \"opt-in\"` or `mode = \"opt-out\"`";
            table.document().report(Diagnostic::at(&entry.key_place(), message).with_hint(hint));
        }
        let consent = ReadConsent { consent: Consent::NotRequired, mode: mode.place, registers: Vec::new() };
        return forbidden.is_empty().then_some(consent);
    };
    let registers = table.required("registers").and_then(|entry| entry.some_texts());
    let no_information = table.required("no_information").and_then(|entry| entry.one_of(&DECISIONS));
    let (registers, no_information) = (registers?, no_information?);
    if required == ConsentMode::OptIn && no_information.value == Decision::Permit {
        table.document().report(
            Diagnostic::at(&no_information.place, "who has said nothing has not opted in").with_hint(
                "write `mode = \"opt-out\"` to share unless a person objects, or `no_information = \"deny\"`",
            ),
        );
        return None;
    }
    let consent = Consent::Required {
        mode: required,
        registers: registers.iter().map(|register| register.value.clone()).collect(),
        no_information: no_information.value,
    };
    Some(ReadConsent { consent, mode: mode.place, registers })
}

fn read_require(entry: &Entry<'_>) -> Option<Require> {
    let table = entry.table(REQUIRE_KEYS)?;
    let (case_reference, reason) = (read_flag(&table, "case_reference"), read_flag(&table, "reason"));
    Some(Require { case_reference: case_reference?, reason: reason? })
}

/// A statutory basis passes over the person's own decision, so that each use must say which case it is for, and why.
fn check_statutory(root: &Table<'_>, consent: &ReadConsent, require: Require) {
    if consent.consent != Consent::NotRequired || (require.case_reference && require.reason) {
        return;
    }
    root.document().report(
        Diagnostic::at(&consent.mode, "without consent, each query must give a case reference and a reason")
            .with_hint("write `[require]`, then `case_reference = true`, then `reason = true`"),
    );
}

struct ReadShare {
    share: Share,
    table: Place,
    agencies: Vec<Located<String>>,
}

fn read_shares(entry: &Entry<'_>) -> Option<Vec<ReadShare>> {
    let mut shares: Vec<ReadShare> = Vec::new();
    let mut complete = true;
    for table in entry.tables(SHARE_KEYS)? {
        let Some(share) = read_share(&table) else {
            complete = false;
            continue;
        };
        if shares.iter().any(|earlier| earlier.share.table == share.share.table) {
            table.document().report(
                Diagnostic::at(&share.table, format!("`{}` is shared twice", share.share.table))
                    .with_hint("write one `[[share]]` a table: each released row answers to one share"),
            );
            complete = false;
        }
        shares.push(share);
    }
    complete.then_some(shares)
}

fn read_share(table: &Table<'_>) -> Option<ReadShare> {
    let name = table.required("table").and_then(|entry| read_table_name(&entry));
    let columns = table.required("columns").and_then(|entry| read_columns(&entry));
    let masks = match table.optional("mask") {
        Some(entry) => read_masks(&entry, columns.as_deref()),
        None => Some(BTreeMap::new()),
    };
    let rows = match table.optional("rows") {
        Some(entry) => entry.text().map(|text| Some(text.value)),
        None => Some(None),
    };
    let disclosed = match table.optional("disclose_keys_to") {
        Some(entry) => read_disclosed(&entry),
        None => Some(Vec::new()),
    };
    let joined = match table.optional("join_at_source_with") {
        Some(entry) => entry.texts(),
        None => Some(Vec::new()),
    };
    let (name, disclosed, joined) = (name?, disclosed?, joined?);
    let own = Located { value: name.value.agency.clone(), place: name.place.clone() };
    let share = Share {
        table: name.value,
        columns: columns?,
        masks: masks?,
        rows: rows?,
        disclose_keys_to: disclosed.iter().map(|(agency, form)| (agency.value.clone(), *form)).collect(),
        join_at_source_with: joined.iter().map(|agency| agency.value.clone()).collect(),
        line: table.place().line,
    };
    let agencies = std::iter::once(own).chain(disclosed.into_iter().map(|(agency, _)| agency)).chain(joined).collect();
    Some(ReadShare { share, table: name.place, agencies })
}

/// A list of agencies, each of which may be sent keys as they are, or a table that says of each as what.
fn read_disclosed(entry: &Entry<'_>) -> Option<Vec<(Located<String>, KeyDisclosure)>> {
    if !entry.is_table() {
        let agencies = entry.texts()?;
        return Some(agencies.into_iter().map(|agency| (agency, KeyDisclosure::Plain)).collect());
    }
    let mut disclosed = Vec::new();
    let mut complete = true;
    for entry in entry.open_table()?.entries() {
        let agency = Located { value: entry.key().to_owned(), place: entry.key_place() };
        let form = if entry.is_text() {
            entry.one_of(&DISCLOSURES)
        } else {
            let hint = format!("write `{0} = \"pseudonymised\"` or `{0} = \"plain\"`", entry.key());
            entry.report(format!("`{}` must say as what keys are sent", entry.name()), hint);
            None
        };
        match form {
            Some(form) => disclosed.push((agency, form.value)),
            None => complete = false,
        }
    }
    complete.then_some(disclosed)
}

fn read_columns(entry: &Entry<'_>) -> Option<Vec<String>> {
    let columns = entry.some_texts()?;
    if let Some(star) = columns.iter().find(|column| column.value == "*") {
        entry.document().report(
            Diagnostic::at(&star.place, "`*` would share columns that nobody has agreed to, now or later")
                .with_hint("name each column that may be released"),
        );
        return None;
    }
    Some(columns.into_iter().map(|column| column.value).collect())
}

fn read_masks(entry: &Entry<'_>, columns: Option<&[String]>) -> Option<BTreeMap<String, MaskRule>> {
    let mut masks = BTreeMap::new();
    let mut complete = true;
    for entry in entry.open_table()?.entries() {
        let column = entry.key();
        if columns.is_some_and(|columns| !columns.iter().any(|known| known == column)) {
            entry.document().report(
                Diagnostic::at(&entry.key_place(), format!("{} is masked but not in `columns`", quoted(column)))
                    .with_hint("add it to `columns`, or take the mask out: what is not named is not released"),
            );
            complete = false;
        }
        match read_mask(&entry) {
            Some(mask) => {
                masks.insert(column.to_owned(), mask);
            }
            None => complete = false,
        }
    }
    complete.then_some(masks)
}

fn read_mask(entry: &Entry<'_>) -> Option<MaskRule> {
    if entry.is_text() {
        let text = entry.any_text()?;
        let mask = MASKS.into_iter().find(|(word, _)| *word == text.value).map(|(_, mask)| mask);
        if mask.is_none() {
            entry.report(format!("{} is no mask", quoted(&text.value)), MASK_HINT);
        }
        return mask;
    }
    if !entry.is_table() {
        entry.report(format!("`{}` is no mask", entry.name()), MASK_HINT);
        return None;
    }
    let table = entry.table(MASK_KEYS)?;
    match (table.optional("last"), table.optional("constant")) {
        (Some(last), None) => {
            let count = last.integer(1..=u64::from(u32::MAX))?.value;
            Some(MaskRule::LastCharacters(u32::try_from(count).ok()?))
        }
        (None, Some(constant)) => Some(MaskRule::Constant(constant.any_text()?.value)),
        (None, None) | (Some(_), Some(_)) => {
            entry.report(format!("`{}` must say one of `last` and `constant`", entry.name()), MASK_HINT);
            None
        }
    }
}

/// `Some(None)` where the section allows single rows.
fn read_output(entry: &Entry<'_>) -> Option<Option<OutputRule>> {
    let table = entry.table(OUTPUT_KEYS)?;
    let aggregate_only = table.required("aggregate_only").and_then(|entry| entry.boolean())?.value;
    if !aggregate_only {
        let meaningless: Vec<Entry<'_>> =
            ["minimum_persons", "round_to"].iter().filter_map(|key| table.optional(key)).collect();
        for entry in &meaningless {
            let message = format!("`{}` has no meaning without `aggregate_only = true`", entry.key());
            let hint = "write `aggregate_only = true`, or take it out: single rows cannot be made less exact so";
            table.document().report(Diagnostic::at(&entry.key_place(), message).with_hint(hint));
        }
        return meaningless.is_empty().then_some(None);
    }
    let number = |entry: Entry<'_>| {
        let number = entry.integer(2..=u64::from(u32::MAX))?;
        u32::try_from(number.value).ok()
    };
    let minimum_persons = table.required("minimum_persons").and_then(number).and_then(MinimumPersons::parse);
    let round_to = match table.optional("round_to") {
        Some(entry) => number(entry).map(Some),
        None => Some(None),
    };
    Some(Some(OutputRule { aggregate_only, minimum_persons: minimum_persons?, round_to: round_to? }))
}

pub(super) fn read_table_name(entry: &Entry<'_>) -> Option<Located<QualifiedTable>> {
    let text = entry.text()?;
    match QualifiedTable::parse(&text.value) {
        Ok(value) => Some(Located { value, place: text.place }),
        Err(fault) => {
            entry.report(fault.to_string(), "write `table = \"agency.schema.table\"`");
            None
        }
    }
}

pub(super) fn read_column_name(entry: &Entry<'_>) -> Option<String> {
    entry.text().map(|text| text.value)
}
