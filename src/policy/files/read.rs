//! Reading one agreement file.

use std::collections::BTreeSet;
use std::path::Path;

use super::agreement::{
    Agreement, Basis, BreakGlass, Consent, ConsentMode, Decision, MinimumPersons, OutputRule, Override, Recipient,
    Require, Share,
};
use super::share::{SHARE_KEYS, read_shares};
use crate::diagnostic::document::{Document, Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Rule, Shape, Then, Value, words};
use crate::diagnostic::{Diagnostic, Located, Place};
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
    Key::new("override", "[override]\nroles = [\"safeguarding-lead\"]\ngateway = \"Children Act 1989, section 47\"")
        .says("Who may pass over consent under a statute, where a session says so, with its case and its reason.")
        .of(Shape::Section(OVERRIDE_KEYS, &[])),
    Key::new("break_glass", "[break_glass]\nroles = [\"duty-doctor\"]\nhours = 4")
        .says(
            "Who may pass over consent in an emergency, where a session says so, with its reason: the owner is told at \
             once, and each use stays open until it is reviewed.",
        )
        .of(Shape::Section(BREAK_GLASS_KEYS, &[])),
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
    Key::new("pseudonym_version", "pseudonym_version = 2")
        .says("Another number makes other pseudonyms of the same persons. It is 1 unless said.")
        .of(Shape::Number { least: 1, most: Some(MOST) }),
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
    Key::new("do_not_link", "do_not_link = [\"adopted\"]")
        .says(
            "Registers of the kind dissent, each of whose rows names a person whose key is not released, so that their \
             records cannot be linked, such as those from before and after an adoption. They hold in every mode.",
        )
        .of(Shape::Texts { least: 1 }),
    Key::new("record_dissent", "record_dissent = [\"shared-care\"]")
        .says(
            "Registers whose refusals are told beside each row, in the column that a share names by `dissent_as`: where a \
             statute stands above consent, whoever acts under it knows and records that the person dissents.",
        )
        .of(Shape::Texts { least: 1 }),
];
pub(super) const OVERRIDE_KEYS: &[Key] = &[
    Key::new("roles", "roles = [\"safeguarding-lead\"]")
        .says("The recipients' roles that may.")
        .of(Shape::Texts { least: 1 })
        .required(),
    Key::new("gateway", "gateway = \"Children Act 1989, section 47\"").says("The statute that allows it.").required(),
];
pub(super) const BREAK_GLASS_KEYS: &[Key] = &[
    Key::new("roles", "roles = [\"duty-doctor\"]")
        .says("The recipients' roles that may.")
        .of(Shape::Texts { least: 1 })
        .required(),
    Key::new("hours", "hours = 4")
        .says("How long one session may, from when it says so.")
        .of(Shape::Number { least: 1, most: Some(LONGEST_HOURS) })
        .required(),
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
/// An emergency that lasts longer is none.
const LONGEST_HOURS: u64 = 72;
/// The largest number that an agreement may hold.
pub(super) const MOST: u64 = 0xffff_ffff;

const MODES: [(&str, Option<ConsentMode>); 3] =
    [("opt-in", Some(ConsentMode::OptIn)), ("opt-out", Some(ConsentMode::OptOut)), ("not-required", None)];
const DECISIONS: [(&str, Decision); 2] = [("permit", Decision::Permit), ("deny", Decision::Deny)];

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

/// An agreement, and the places that other files are needed to check.
#[derive(Clone)]
pub(super) struct ReadAgreement {
    pub agreement: Agreement,
    pub id: Place,
    pub purpose: Place,
    pub registers: Vec<Located<String>>,
    /// Of `do_not_link`.
    pub lists: Vec<Located<String>>,
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
    let passing = read_passing(&root, consent.as_ref(), recipients.as_deref());
    let shares = root.required("share").and_then(|entry| read_shares(&entry));
    let output = match root.optional("output") {
        Some(entry) => read_output(&entry),
        None => Some(None),
    };
    let (heading, (basis, purpose), consent, shares) = (heading?, basis?, consent?, shares?);
    check_dissent(&root, &consent, shares.iter().map(|share| &share.share))?;
    let agencies = shares.iter().flat_map(|share| share.agencies.clone()).collect();
    let tables = shares.iter().map(|share| share.table.clone()).collect();
    let (statutory_override, break_glass) = passing?;
    let agreement = Agreement {
        id: heading.id.value,
        title: heading.title,
        owner: heading.owner,
        starts: heading.starts,
        ends: heading.ends,
        review_by: heading.review_by,
        draft: heading.draft,
        pseudonym_version: heading.pseudonym_version,
        basis,
        recipients: recipients?,
        consent: consent.consent,
        do_not_link: consent.do_not_link.iter().map(|list| list.value.clone()).collect(),
        record_dissent: consent.record_dissent.iter().map(|register| register.value.clone()).collect(),
        statutory_override,
        break_glass,
        shares: shares.into_iter().map(|share| share.share).collect(),
        require: require?,
        output: output?,
        file: file.to_owned(),
        hash,
    };
    Some(ReadAgreement {
        agreement,
        id: heading.id.place,
        purpose,
        registers: consent.registers.into_iter().chain(consent.record_dissent).collect(),
        lists: consent.do_not_link,
        tables,
        agencies,
    })
}

struct Heading {
    id: Located<String>,
    title: String,
    owner: String,
    starts: chrono::NaiveDate,
    ends: chrono::NaiveDate,
    review_by: chrono::NaiveDate,
    pseudonym_version: u32,
    draft: bool,
}

fn read_heading(entry: &Entry<'_>) -> Option<Heading> {
    let table = entry.table(AGREEMENT_KEYS)?;
    let text = |key: &str| table.required(key).and_then(|entry| entry.text());
    let date = |key: &str| table.required(key).and_then(|entry| entry.date());
    let (id, title, owner) = (text("id"), text("title"), text("owner"));
    let (starts, ends, review_by) = (date("starts"), date("ends"), date("review_by"));
    let draft = read_flag(&table, "draft");
    let pseudonym_version = match table.optional("pseudonym_version") {
        Some(entry) => entry.integer(1..=MOST).and_then(|number| u32::try_from(number.value).ok()),
        None => Some(1),
    };
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
    let (id, title, owner, draft, pseudonym_version) = (id?, title?.value, owner?.value, draft?, pseudonym_version?);
    orderly.then_some(Heading {
        id,
        title,
        owner,
        starts: starts.value,
        ends: ends.value,
        review_by: review_by.value,
        pseudonym_version,
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
    do_not_link: Vec<Located<String>>,
    record_dissent: Vec<Located<String>>,
}

/// Dissent is told by the one and named by the other.
fn check_dissent<'s>(
    root: &Table<'_>,
    consent: &ReadConsent,
    mut shares: impl Iterator<Item = &'s Share>,
) -> Option<()> {
    let told = shares.find_map(|share| share.dissent_as.as_ref());
    let report = |message: &str, hint: &str| {
        root.document().report(Diagnostic::at(&consent.mode, message).with_hint(hint));
        None
    };
    match (told, consent.record_dissent.is_empty()) {
        (Some(_), false) | (None, true) => Some(()),
        (Some(_), true) => {
            report("a share says `dissent_as`, and no register says who dissents", "write `record_dissent = [\"…\"]`")
        }
        (None, false) => {
            report("`record_dissent` is told by no share", "write `dissent_as = \"dissented\"` in a `[[share]]`")
        }
    }
}

fn read_consent(entry: &Entry<'_>) -> Option<ReadConsent> {
    let table = entry.table(CONSENT_KEYS)?;
    let do_not_link = match table.optional("do_not_link") {
        Some(entry) => entry.some_texts()?,
        None => Vec::new(),
    };
    let record_dissent = match table.optional("record_dissent") {
        Some(entry) => entry.some_texts()?,
        None => Vec::new(),
    };
    let mode = table.required("mode")?.one_of(&MODES)?;
    let Some(required) = mode.value else {
        let forbidden: Vec<Entry<'_>> =
            ["registers", "no_information"].iter().filter_map(|key| table.optional(key)).collect();
        for entry in &forbidden {
            let message = format!("`{}` has no meaning where consent is not required", entry.key());
            let hint = "take it out, or write `mode = \"opt-in\"` or `mode = \"opt-out\"`";
            table.document().report(Diagnostic::at(&entry.key_place(), message).with_hint(hint));
        }
        let (consent, registers) = (Consent::NotRequired, Vec::new());
        let consent = ReadConsent { consent, mode: mode.place, registers, do_not_link, record_dissent };
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
    Some(ReadConsent { consent, mode: mode.place, registers, do_not_link, record_dissent })
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

/// Who may pass over consent; `None` where it is wrong.
fn read_passing(
    root: &Table<'_>,
    consent: Option<&ReadConsent>,
    recipients: Option<&[Recipient]>,
) -> Option<(Option<Override>, Option<BreakGlass>)> {
    let statutory_override = match root.optional("override") {
        Some(entry) => {
            let table = entry.table(OVERRIDE_KEYS)?;
            let roles = read_roles(&table, recipients);
            let gateway = table.required("gateway").and_then(|entry| entry.text());
            Some(Override { roles: roles?, gateway: gateway?.value })
        }
        None => None,
    };
    let break_glass = match root.optional("break_glass") {
        Some(entry) => {
            let table = entry.table(BREAK_GLASS_KEYS)?;
            let roles = read_roles(&table, recipients);
            let hours = table.required("hours").and_then(|entry| entry.integer(1..=LONGEST_HOURS));
            Some(BreakGlass { roles: roles?, hours: u32::try_from(hours?.value).ok()? })
        }
        None => None,
    };
    if consent.is_some_and(|consent| consent.consent == Consent::NotRequired) {
        let meaningless: Vec<Entry<'_>> =
            ["override", "break_glass"].iter().filter_map(|key| root.optional(key)).collect();
        for entry in &meaningless {
            let message = format!("`{}` has no meaning where consent is not required", entry.key());
            root.document().report(Diagnostic::at(&entry.key_place(), message).with_hint("take it out"));
        }
        meaningless.is_empty().then_some(())?;
    }
    Some((statutory_override, break_glass))
}

/// Roles, each of which is some recipient's.
fn read_roles(table: &Table<'_>, recipients: Option<&[Recipient]>) -> Option<Vec<String>> {
    let roles = table.required("roles")?.some_texts()?;
    let unknown = |role: &&Located<String>| {
        recipients.is_some_and(|recipients| recipients.iter().all(|recipient| !recipient.roles.contains(&role.value)))
    };
    if let Some(role) = roles.iter().find(unknown) {
        let message = format!("no recipient of this agreement has the role `{}`", role.value);
        table
            .document()
            .report(Diagnostic::at(&role.place, message).with_hint("add it to the `roles` of a `[[recipient]]`"));
        return None;
    }
    Some(roles.into_iter().map(|role| role.value).collect())
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
        let number = entry.integer(2..=MOST)?;
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
