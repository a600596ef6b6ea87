mod consent;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use wayleave_connector_api::{Form, KeyDisclosure, Scheme};

use super::*;
use crate::diagnostic::Diagnostics;
use crate::names::QualifiedTable;

const AGREEMENT: &str = r#"[agreement]
id = "ISA-2026-014"
title = "Joint assessment of older people"
owner = "dpo@torbay.example"
starts = 2026-04-01
ends = 2027-03-31
review_by = 2026-12-31

[basis]
purpose = "joint-needs-assessment"
article_6 = "e"
article_9 = "h"
gateway = "Care Act 2014"
dpia = "DPIA-2026-07"

[[recipient]]
organisation = "torbay-asc"
roles = ["social-worker"]

[consent]
mode = "opt-out"
registers = ["shared-care"]
no_information = "permit"

[[share]]
table = "health.public.patients"
columns = ["nhs_number", "name", "dob", "postcode", "phone", "note", "team"]
mask.postcode = "outward"
mask.dob = "year"
mask.phone = { last = 3 }
mask.note = "null"
mask.team = { constant = "withheld" }
mask.nhs_number = "pseudonym"
rows = "deceased = false"
disclose_keys_to = ["social"]

[require]
case_reference = true
reason = true

[output]
aggregate_only = true
minimum_persons = 10
round_to = 5
"#;

const REGISTERS: &str = r#"[register.shared-care]
table = "health.public.consents"
kind = "decisions"
subject = { column = "nhs_number", scheme = "nhs-number", form = "spaced" }
purpose = { column = "purpose", codes = { joint-needs-assessment = ["direct_care"] } }
recipient = { column = "recipient" }
decision = { column = "status", permit = ["granted"], deny = ["refused", "withdrawn"] }
from = "valid_from"
until = "valid_to"

[register.opt-outs]
table = "social.public.objections"
kind = "dissent"
subject = { column = "id", scheme = "opaque" }
"#;

const PURPOSES: &str = r#"[purpose.joint-needs-assessment]
title = "Joint assessment of needs"
dpv = "dpv:ServiceProvision"
hl7 = "TREAT"
"#;

fn parse(files: &[(&str, &str)]) -> Result<PolicySet, Diagnostics> {
    let files: BTreeMap<PathBuf, String> =
        files.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).collect();
    PolicySet::parse(Path::new("policies"), &files)
}

fn parse_agreement(text: &str) -> Result<PolicySet, Diagnostics> {
    parse(&[("agreements/a.toml", text), ("registers.toml", REGISTERS), ("purposes.toml", PURPOSES)])
}

/// The faults as `file:line:column message`, without the directories.
fn faults<T: std::fmt::Debug>(result: Result<T, Diagnostics>) -> Vec<String> {
    let Diagnostics(found) = result.unwrap_err();
    assert!(!found.is_empty());
    found
        .iter()
        .map(|one| {
            let file = one.file.file_name().unwrap().to_string_lossy();
            format!("{file}:{}:{} {}", one.line, one.column, one.message)
        })
        .collect()
}

fn edited(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn agreement_faults(from: &str, to: &str) -> Vec<String> {
    faults(parse_agreement(&edited(AGREEMENT, from, to)))
}

fn assert_allowed(from: &str, to: &str) -> Agreement {
    parse_agreement(&edited(AGREEMENT, from, to)).unwrap().agreements.remove(0)
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_whole_agreement_is_read() {
    let set = parse_agreement(AGREEMENT).unwrap();
    let agreement = &set.agreements[0];
    assert_eq!(agreement.file, Path::new("policies/agreements/a.toml"));
    assert_eq!((agreement.id.as_str(), agreement.draft), ("ISA-2026-014", false));
    assert_eq!((agreement.starts, agreement.review_by), (day("2026-04-01"), day("2026-12-31")));
    assert_eq!((agreement.basis.article_6.as_str(), agreement.basis.article_9.as_deref()), ("e", Some("h")));
    assert_eq!(agreement.recipients[0].roles, ["social-worker"]);
    let Consent::Required { mode, registers, no_information } = &agreement.consent else { panic!("not required") };
    assert_eq!((*mode, *no_information), (ConsentMode::OptOut, Decision::Permit));
    assert_eq!(registers, &["shared-care"]);
    let share = &agreement.shares[0];
    assert_eq!((share.table.clone(), share.line), (QualifiedTable::new("health", "public", "patients"), 25));
    assert_eq!(share.rows.as_deref(), Some("deceased = false"));
    assert_eq!(share.disclose_keys_to, BTreeMap::from([("social".to_owned(), KeyDisclosure::Plain)]));
    let expected = [
        ("dob", MaskRule::YearOfDate),
        ("nhs_number", MaskRule::Pseudonym),
        ("note", MaskRule::Null),
        ("phone", MaskRule::LastCharacters(3)),
        ("postcode", MaskRule::OutwardPostcode),
        ("team", MaskRule::Constant("withheld".to_owned())),
    ];
    assert_eq!(share.masks, expected.map(|(column, mask)| (column.to_owned(), mask)).into_iter().collect());
    assert_eq!(agreement.require, Require { case_reference: true, reason: true });
    let output = agreement.output.unwrap();
    assert_eq!((output.aggregate_only, output.minimum_persons.persons(), output.round_to), (true, 10, Some(5)));
    assert_eq!(set.purposes["joint-needs-assessment"].hl7.as_deref(), Some("TREAT"));
}

#[test]
fn registers_are_read() {
    let set = parse_agreement(AGREEMENT).unwrap();
    let register = &set.registers["shared-care"];
    assert_eq!(
        (register.kind, register.table.to_string().as_str()),
        (RegisterKind::Decisions, "health.public.consents")
    );
    assert_eq!((register.subject.format.scheme, register.subject.format.form), (Scheme::NhsNumber, Form::Spaced));
    assert_eq!(register.purpose.as_ref().unwrap().codes["joint-needs-assessment"], ["direct_care"]);
    assert!(register.recipient.as_ref().unwrap().codes.is_empty());
    assert_eq!(register.decision.as_ref().unwrap().deny, ["refused", "withdrawn"]);
    assert_eq!((register.from.as_deref(), register.until.as_deref()), (Some("valid_from"), Some("valid_to")));
    let dissent = &set.registers["opt-outs"];
    assert_eq!((dissent.kind, dissent.decision.clone(), dissent.purpose.clone()), (RegisterKind::Dissent, None, None));
}

#[test]
fn every_error_of_every_file_is_told_at_once() {
    let agreement =
        edited(&edited(AGREEMENT, "owner", "ownr"), "table = \"health.public.patients\"", "table = \"patients\"");
    let registers = edited(REGISTERS, "kind = \"dissent\"", "kind = \"disent\"");
    let purposes = edited(PURPOSES, "title", "titel");
    let found = faults(parse(&[
        ("agreements/a.toml", &agreement),
        ("registers.toml", &registers),
        ("purposes.toml", &purposes),
    ]));
    assert_eq!(
        found,
        [
            "a.toml:1:1 `owner` is missing in `agreement`",
            "a.toml:4:1 unknown key `ownr` in `agreement`",
            "a.toml:26:9 a name of the form `agency.schema.table` is wanted, and this has 1 parts",
            "purposes.toml:1:1 `title` is missing in `purpose.joint-needs-assessment`",
            "purposes.toml:2:1 unknown key `titel` in `purpose.joint-needs-assessment`",
            "registers.toml:13:8 `disent` is no value of `register.opt-outs.kind`",
        ]
    );
}

#[test]
fn a_syntax_error_has_a_place_and_the_other_files_are_read() {
    let agreement = edited(AGREEMENT, "starts = 2026-04-01", "starts = = 2026-04-01");
    let registers = edited(REGISTERS, "kind = \"dissent\"", "kind = 5");
    let found = faults(parse(&[
        ("agreements/a.toml", &agreement),
        ("registers.toml", &registers),
        ("purposes.toml", PURPOSES),
    ]));
    assert!(found[0].starts_with("a.toml:5:10 this is not TOML"), "{found:?}");
    assert_eq!(
        found[1],
        "registers.toml:13:8 `register.opt-outs.kind` must be text in quotes, and this is a whole number"
    );
}

#[test]
fn dates_are_days_in_order() {
    assert_eq!(
        agreement_faults("2026-04-01", "\"2026-04-01\""),
        ["a.toml:5:10 `agreement.starts` must be a date without quotes, and this is text"]
    );
    assert_eq!(
        agreement_faults("2026-04-01", "2026-04-01T00:00:00Z"),
        ["a.toml:5:10 `agreement.starts` must be a date without quotes, and this is a date or time"]
    );
    assert_eq!(
        agreement_faults("2027-03-31", "2026-03-31"),
        ["a.toml:6:8 `ends` is before `starts`, so that the agreement is never in force"]
    );
    assert_eq!(agreement_faults("review_by = 2026-12-31\n", ""), ["a.toml:1:1 `review_by` is missing in `agreement`"]);
    assert_eq!(agreement_faults("2026-12-31", "2026-03-31")[0].split(' ').next(), Some("a.toml:7:13"));
    assert_allowed("2027-03-31", "2026-04-01");
}

#[test]
fn consent_says_what_no_information_means() {
    let no_information = "no_information = \"permit\"\n";
    assert_eq!(agreement_faults(no_information, ""), ["a.toml:20:1 `no_information` is missing in `consent`"]);
    assert_eq!(agreement_faults("\"opt-out\"", "\"opt-in\""), ["a.toml:23:18 who has said nothing has not opted in"]);
    let in_and_deny = edited(&edited(AGREEMENT, "\"opt-out\"", "\"opt-in\""), "\"permit\"", "\"deny\"");
    assert!(parse_agreement(&in_and_deny).is_ok());
    assert_allowed("\"permit\"", "\"deny\"");
    assert_eq!(agreement_faults("[\"shared-care\"]", "[]"), ["a.toml:22:13 `consent.registers` is empty"]);
    assert_eq!(
        agreement_faults("registers = [\"shared-care\"]\n", ""),
        ["a.toml:20:1 `registers` is missing in `consent`"]
    );
}

#[test]
fn a_statutory_basis_asks_for_case_and_reason() {
    let consent = "mode = \"opt-out\"\nregisters = [\"shared-care\"]\nno_information = \"permit\"\n";
    let statutory = edited(AGREEMENT, consent, "mode = \"not-required\"\n");
    assert_eq!(parse_agreement(&statutory).unwrap().agreements[0].consent, Consent::NotRequired);
    let fault = "a.toml:21:8 without consent, each query must give a case reference and a reason";
    assert_eq!(faults(parse_agreement(&edited(&statutory, "reason = true", "reason = false"))), [fault]);
    assert_eq!(faults(parse_agreement(&edited(&statutory, "case_reference = true\n", ""))), [fault]);
    let nothing = edited(&statutory, "[require]\ncase_reference = true\nreason = true\n", "");
    assert_eq!(faults(parse_agreement(&nothing)), [fault]);
    assert_eq!(
        agreement_faults("\"opt-out\"", "\"not-required\""),
        [
            "a.toml:22:1 `registers` has no meaning where consent is not required",
            "a.toml:23:1 `no_information` has no meaning where consent is not required",
        ]
    );
    assert_eq!(
        assert_allowed("[require]\ncase_reference = true\nreason = true\n", "").require,
        Require { case_reference: false, reason: false }
    );
}

#[test]
fn columns_are_named_one_by_one() {
    let columns = "[\"nhs_number\", \"name\", \"dob\", \"postcode\", \"phone\", \"note\", \"team\"]";
    assert_eq!(
        agreement_faults(columns, "[\"*\"]")[0],
        "a.toml:27:12 `*` would share columns that nobody has agreed to, now or later"
    );
    assert_eq!(agreement_faults(columns, "[]")[0], "a.toml:27:11 `share.columns` is empty");
    assert_eq!(agreement_faults("\"name\"", "\"dob\"")[0], "a.toml:27:33 `dob` stands twice in `share.columns`");
    assert_eq!(assert_allowed("\"name\"", "\"Name\", \"name\"").shares[0].columns[1..3], ["Name", "name"]);
}

#[test]
fn masks_are_for_released_columns() {
    assert_eq!(agreement_faults("\"postcode\", ", ""), ["a.toml:28:6 `postcode` is masked but not in `columns`"]);
    assert_eq!(agreement_faults("\"outward\"", "\"outwards\""), ["a.toml:28:17 `outwards` is no mask"]);
    assert_eq!(agreement_faults("\"outward\"", "5"), ["a.toml:28:17 `share.mask.postcode` is no mask"]);
    assert_eq!(
        agreement_faults("{ last = 3 }", "{ last = 0 }"),
        ["a.toml:30:23 `share.mask.phone.last` must be between 1 and 4294967295"]
    );
    assert_eq!(
        agreement_faults("{ last = 3 }", "{ last = 3, constant = \"x\" }"),
        ["a.toml:30:14 `share.mask.phone` must say one of `last`, `constant` and `as`"]
    );
    assert_eq!(
        agreement_faults("{ last = 3 }", "{ first = 3 }")[1],
        "a.toml:30:16 unknown key `first` in `share.mask.phone`"
    );
    let empty = assert_allowed("\"withheld\"", "\"\"");
    assert_eq!(empty.shares[0].masks["team"], MaskRule::Constant(String::new()));
}

#[test]
fn a_row_predicate_is_not_blank() {
    assert_eq!(agreement_faults("\"deceased = false\"", "\" \""), ["a.toml:34:8 `share.rows` is empty"]);
    assert_eq!(assert_allowed("rows = \"deceased = false\"\n", "").shares[0].rows, None);
}

#[test]
fn an_agreement_shares_a_table_once() {
    let second = "\n[[share]]\ntable = \"health.public.patients\"\ncolumns = [\"name\"]\n\n[require]";
    assert_eq!(agreement_faults("\n[require]", second), ["a.toml:38:9 `health.public.patients` is shared twice"]);
    assert_eq!(assert_allowed("\n[require]", &edited(second, "patients", "visits")).shares.len(), 2);
    assert_eq!(
        agreement_faults("[[share]]", "[share]"),
        ["a.toml:25:1 `share` must be a list of tables, and this is a table"]
    );
}

#[test]
fn recipients_are_named_once() {
    let again = "[[recipient]]\norganisation = \"torbay-asc\"\nroles = [\"manager\", \"social-worker\"]\n\n[consent]";
    assert_eq!(agreement_faults("[consent]", again), ["a.toml:22:21 `social-worker` of `torbay-asc` is named twice"]);
    assert_eq!(assert_allowed("[consent]", &edited(again, ", \"social-worker\"", "")).recipients.len(), 2);
    assert_eq!(agreement_faults("[\"social-worker\"]", "[]"), ["a.toml:18:9 `recipient.roles` is empty"]);
}

#[test]
fn small_numbers_belong_to_aggregates() {
    assert_eq!(
        agreement_faults("minimum_persons = 10\n", ""),
        ["a.toml:41:1 `minimum_persons` is missing in `output`"]
    );
    assert_eq!(
        agreement_faults("minimum_persons = 10", "minimum_persons = 1")[0].split(' ').next(),
        Some("a.toml:43:19")
    );
    assert_eq!(agreement_faults("round_to = 5", "round_to = 1")[0].split(' ').next(), Some("a.toml:44:12"));
    assert_eq!(
        agreement_faults("aggregate_only = true", "aggregate_only = false"),
        [
            "a.toml:43:1 `minimum_persons` has no meaning without `aggregate_only = true`",
            "a.toml:44:1 `round_to` has no meaning without `aggregate_only = true`",
        ]
    );
    assert_eq!(
        agreement_faults("aggregate_only = true\n", ""),
        ["a.toml:41:1 `aggregate_only` is missing in `output`"]
    );
    let least = assert_allowed("minimum_persons = 10\nround_to = 5", "minimum_persons = 2");
    assert_eq!((least.output.unwrap().minimum_persons.persons(), least.output.unwrap().round_to), (2, None));
    let rows = "aggregate_only = true\nminimum_persons = 10\nround_to = 5";
    assert_eq!(assert_allowed(rows, "aggregate_only = false").output, None);
}

#[test]
fn articles_are_points_of_the_regulation() {
    assert_eq!(
        agreement_faults("article_6 = \"e\"", "article_6 = \"g\""),
        ["a.toml:11:13 `g` is no value of `basis.article_6`"]
    );
    assert_eq!(agreement_faults("article_6 = \"e\"\n", ""), ["a.toml:9:1 `article_6` is missing in `basis`"]);
    assert_eq!(assert_allowed("article_9 = \"h\"\n", "").basis.article_9, None);
}

#[test]
fn registers_and_purposes_exist() {
    let set = parse_agreement(&edited(AGREEMENT, "\"shared-care\"", "\"shard-care\""));
    let found = set.unwrap_err().0;
    assert_eq!(
        (found[0].line, found[0].column, found[0].message.as_str()),
        (22, 14, "there is no register `shard-care`")
    );
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `shared-care`?"));
    assert_eq!(
        agreement_faults("\"joint-needs-assessment\"", "\"audit\""),
        ["a.toml:10:11 there is no purpose `audit`"]
    );
    let no_purposes = faults(parse(&[("agreements/a.toml", AGREEMENT), ("registers.toml", REGISTERS)]));
    assert_eq!(no_purposes, ["purposes.toml:0:0 the file is missing, and agreements need it"]);
    let no_registers = faults(parse(&[("agreements/a.toml", AGREEMENT), ("purposes.toml", PURPOSES)]));
    assert_eq!(no_registers, ["a.toml:22:14 there is no register `shared-care`"]);
    let coded = edited(REGISTERS, "{ joint-needs-assessment =", "{ joint-needs =");
    let coded =
        faults(parse(&[("agreements/a.toml", AGREEMENT), ("registers.toml", &coded), ("purposes.toml", PURPOSES)]));
    assert_eq!(coded, ["registers.toml:5:43 there is no purpose `joint-needs`"]);
}

fn second_agreement() -> String {
    edited(AGREEMENT, "ISA-2026-014", "ISA-2026-015")
}

fn parse_two(second: &str) -> Result<PolicySet, Diagnostics> {
    parse(&[
        ("agreements/a.toml", AGREEMENT),
        ("agreements/b.toml", second),
        ("registers.toml", REGISTERS),
        ("purposes.toml", PURPOSES),
    ])
}

#[test]
fn ids_are_unique() {
    let apart = edited(AGREEMENT, "\"social-worker\"", "\"manager\"");
    assert_eq!(faults(parse_two(&apart)), ["b.toml:2:6 policies/agreements/a.toml has the id `ISA-2026-014` already"]);
    assert!(parse_two(&edited(&apart, "ISA-2026-014", "ISA-2026-015")).is_ok());
}

#[test]
fn a_row_answers_to_one_agreement() {
    let fault = "b.toml:26:9 `ISA-2026-014` shares `health.public.patients` with `social-worker` of `torbay-asc` for \
                 `joint-needs-assessment` at the same time (policies/agreements/a.toml, line 25)";
    let second = second_agreement();
    assert_eq!(faults(parse_two(&second)), [fault]);
    // One common day is an overlap; the day after is none.
    let from = |starts: &str| {
        let text =
            edited(&second, "starts = 2026-04-01\nends = 2027-03-31", &format!("starts = {starts}\nends = 2028-03-31"));
        edited(&text, "review_by = 2026-12-31", "review_by = 2027-12-31")
    };
    assert_eq!(faults(parse_two(&from("2027-03-31"))), [fault]);
    assert!(parse_two(&from("2027-04-01")).is_ok());
    for (part, other) in [
        ("\"torbay-asc\"", "\"devon-asc\""),
        ("\"social-worker\"", "\"manager\""),
        ("\"health.public.patients\"", "\"health.public.visits\""),
        ("review_by", "draft = true\nreview_by"),
    ] {
        assert!(parse_two(&edited(&second, part, other)).is_ok(), "{part}");
    }
    let purposes = PURPOSES.to_owned() + "[purpose.safeguarding]\ntitle = \"Safeguarding\"\n";
    let other = edited(&second, "\"joint-needs-assessment\"", "\"safeguarding\"");
    let set = parse(&[
        ("agreements/a.toml", AGREEMENT),
        ("agreements/b.toml", &other),
        ("registers.toml", REGISTERS),
        ("purposes.toml", &purposes),
    ]);
    assert_eq!(set.unwrap().agreements.len(), 2);
}

#[test]
fn an_agreement_is_in_force_between_its_days() {
    let set = parse_agreement(AGREEMENT).unwrap();
    let agreement = &set.agreements[0];
    for (today, state) in [
        ("2026-03-31", AgreementState::NotStarted { starts: day("2026-04-01") }),
        ("2026-04-01", AgreementState::InForce),
        ("2026-12-31", AgreementState::InForce),
        ("2027-01-01", AgreementState::ReviewPassed { review_by: day("2026-12-31") }),
        ("2027-04-01", AgreementState::Ended { ends: day("2027-03-31") }),
    ] {
        assert_eq!(agreement.state(day(today)), state, "{today}");
    }
    let draft = assert_allowed("review_by", "draft = true\nreview_by");
    assert_eq!(draft.state(day("2026-05-01")), AgreementState::Draft);
    let last = assert_allowed("review_by = 2026-12-31", "review_by = 2028-01-01");
    assert_eq!(last.state(day("2027-03-31")), AgreementState::InForce);
}

fn register_faults(from: &str, to: &str) -> Vec<String> {
    let registers = edited(REGISTERS, from, to);
    faults(parse(&[("agreements/a.toml", AGREEMENT), ("registers.toml", &registers), ("purposes.toml", PURPOSES)]))
}

#[test]
fn decisions_are_the_one_or_the_other() {
    let decision = "decision = { column = \"status\", permit = [\"granted\"], deny = [\"refused\", \"withdrawn\"] }\n";
    assert_eq!(register_faults(decision, ""), ["registers.toml:1:1 `decision` is missing in `register.shared-care`"]);
    assert_eq!(
        register_faults("[\"refused\",", "[\"granted\","),
        ["registers.toml:7:63 `granted` is in `permit` and in `deny`"]
    );
    assert_eq!(
        register_faults("[\"refused\", \"withdrawn\"]", "[]"),
        ["registers.toml:7:62 `register.shared-care.decision.deny` is empty"]
    );
    assert_eq!(
        register_faults("kind = \"decisions\"", "kind = \"allow\""),
        ["registers.toml:7:1 only a register of the kind `decisions` has a `decision`"]
    );
    let none_permits = edited(REGISTERS, "[\"granted\"]", "[]");
    assert!(
        parse(&[("agreements/a.toml", AGREEMENT), ("registers.toml", &none_permits), ("purposes.toml", PURPOSES)])
            .is_ok()
    );
}

#[test]
fn codes_are_not_wildcards() {
    assert_eq!(
        register_faults("[\"direct_care\"]", "[\"*\"]"),
        ["registers.toml:5:69 `*` stands for every code already"]
    );
    assert_eq!(
        register_faults("[\"direct_care\"]", "[]"),
        ["registers.toml:5:68 `register.shared-care.purpose.codes.joint-needs-assessment` is empty"]
    );
    assert_eq!(
        register_faults("purpose = { column = \"purpose\", ", "purpose = { "),
        ["registers.toml:5:11 `column` is missing in `register.shared-care.purpose`"]
    );
}

#[test]
fn keys_are_disclosed_as_they_are_or_as_pseudonyms() {
    const LIST: &str = "disclose_keys_to = [\"social\"]";
    let disclosed = |written: &str| assert_allowed(LIST, written).shares.remove(0).disclose_keys_to;
    let (plain, pseudonymised) = (KeyDisclosure::Plain, KeyDisclosure::Pseudonymised);
    let of = |pairs: &[(&str, KeyDisclosure)]| -> BTreeMap<String, KeyDisclosure> {
        pairs.iter().map(|(agency, form)| ((*agency).to_owned(), *form)).collect()
    };
    assert_eq!(
        disclosed("disclose_keys_to = { social = \"plain\", police = \"pseudonymised\" }"),
        of(&[("social", plain), ("police", pseudonymised)])
    );
    assert_eq!(disclosed("disclose_keys_to.police = \"pseudonymised\""), of(&[("police", pseudonymised)]));
    assert_eq!(disclosed("disclose_keys_to = [\"police\", \"social\"]"), of(&[("police", plain), ("social", plain)]));
    assert_eq!(disclosed("disclose_keys_to = {}"), of(&[]));

    let fault = |written: &str| {
        let Diagnostics(faults) = parse_agreement(&edited(AGREEMENT, LIST, written)).unwrap_err();
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        (fault.line, fault.column, fault.message.clone(), fault.hint.clone().unwrap_or_default())
    };
    let (line, column, message, hint) = fault("disclose_keys_to = { police = \"pseudonymized\" }");
    assert_eq!((line, column), (35, 31));
    assert_eq!(message, "`pseudonymized` is no value of `share.disclose_keys_to.police`");
    assert_eq!(hint, "did you mean `pseudonymised`?");
    let (line, column, message, hint) = fault("disclose_keys_to = { police = true }");
    assert_eq!((line, column), (35, 31));
    assert_eq!(message, "`share.disclose_keys_to.police` must say as what keys are sent");
    assert_eq!(hint, "write `police = \"pseudonymised\"` or `police = \"plain\"`");
    let (line, _, message, hint) = fault("disclose_keys_to = \"police\"");
    assert_eq!((line, message.as_str()), (35, "`share.disclose_keys_to` must be a list of texts, and this is text"));
    assert!(hint.contains("{ social = \"pseudonymised\" }"), "{hint}");

    let named = edited(AGREEMENT, LIST, "disclose_keys_to = { polise = \"pseudonymised\" }");
    let configured: BTreeSet<String> = ["health", "social", "police"].map(str::to_owned).into();
    let Diagnostics(faults) = parse_agreement(&named).unwrap().check_agencies(&configured).unwrap_err();
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((fault.line, fault.column, fault.hint.as_deref()), (35, 22, Some("did you mean `police`?")));
}

#[test]
fn agencies_whose_rows_may_meet_in_one_server_are_named() {
    let share =
        assert_allowed("disclose_keys_to = [\"social\"]", "join_at_source_with = [\"social\"]").shares.remove(0);
    assert_eq!(share.join_at_source_with, BTreeSet::from(["social".to_owned()]));
    assert!(share.disclose_keys_to.is_empty());
    let named = edited(AGREEMENT, "disclose_keys_to", "join_at_source_with = [\"socail\"]\ndisclose_keys_to");
    let set = parse_agreement(&named).unwrap();
    let configured: BTreeSet<String> = ["health", "social", "police"].map(str::to_owned).into();
    let Diagnostics(faults) = set.check_agencies(&configured).unwrap_err();
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((fault.line, fault.column), (35, 24));
    assert_eq!(fault.message, "no agency `socail` is configured");
    assert_eq!(fault.hint.as_deref(), Some("did you mean `social`?"));
    let wrong = agreement_faults("disclose_keys_to = [\"social\"]", "join_at_source_with = 7");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("a.toml:35:"), "{wrong:?}");
}

#[test]
fn agencies_are_configured() {
    let set = parse_agreement(AGREEMENT).unwrap();
    let agencies = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert!(set.check_agencies(&agencies(&["health", "social", "police"])).is_ok());
    assert_eq!(
        faults(set.check_agencies(&agencies(&["health"]))),
        ["a.toml:35:21 no agency `social` is configured", "registers.toml:12:9 no agency `social` is configured"]
    );
    let Diagnostics(near) = set.check_agencies(&agencies(&["healt", "social"])).unwrap_err();
    assert_eq!(near[0].hint.as_deref(), Some("did you mean `healt`?"));
}

#[test]
fn a_directory_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    assert!(PolicySet::load(directory.path()).unwrap().agreements.is_empty());
    std::fs::create_dir(directory.path().join("agreements")).unwrap();
    write("registers.toml", REGISTERS);
    write("purposes.toml", PURPOSES);
    write("agreements/b.toml", AGREEMENT);
    for ignored in ["agreements/b.case.toml", "agreements/.#b.toml", "agreements/notes.md"] {
        write(ignored, "not = = toml");
    }
    let set = PolicySet::load(directory.path()).unwrap();
    assert_eq!(set.agreements[0].file, directory.path().join("agreements/b.toml"));
    assert_eq!(set.hash.len(), 64);
    write("agreements/c.toml", "[agreement");
    assert!(faults(PolicySet::load(directory.path()))[0].starts_with("c.toml:1:11 this is not TOML"));
    std::fs::write(directory.path().join("agreements/c.toml"), [0xff, 0xfe]).unwrap();
    assert!(faults(PolicySet::load(directory.path()))[0].starts_with("c.toml:0:0 it cannot be read"));
    let missing = faults(PolicySet::load(&directory.path().join("nowhere")));
    assert_eq!(missing, ["nowhere:0:0 there is no such directory of policy files"]);
}

#[test]
fn the_hash_changes_with_any_file() {
    let whole = parse_agreement(AGREEMENT).unwrap();
    assert_eq!(whole.hash, parse_agreement(AGREEMENT).unwrap().hash);
    let commented = parse_agreement(&(AGREEMENT.to_owned() + "# a comment\n")).unwrap();
    assert_ne!(whole.hash, commented.hash);
    // What `sha256sum` says of the file.
    assert_eq!(whole.agreements[0].hash, "6f90ef5fbdefc9a2d741bb47192761199a36fc9712c67364c85030bb0302cf0d");
    assert_ne!(whole.agreements[0].hash, commented.agreements[0].hash);
    let registers = REGISTERS.to_owned() + "\n";
    let other = parse(&[("agreements/a.toml", AGREEMENT), ("registers.toml", &registers), ("purposes.toml", PURPOSES)]);
    let other = other.unwrap();
    assert_ne!(whole.hash, other.hash);
    assert_eq!(whole.agreements[0].hash, other.agreements[0].hash);
}

#[test]
fn the_policies_that_come_with_wayleave_are_read() {
    let directory = Path::new("policies").to_owned();
    let set = PolicySet::load(&directory).unwrap_or_else(|found| panic!("{found}"));
    assert!(!set.agreements.is_empty());
}
