//! Registers that decide by more than purpose and recipient, who may pass over consent, and whose keys are not linked.

use super::*;

const DETAILED: &str = r#"[register.shared-care]
table = "health.public.consents"
kind = "decisions"
subject = { column = "nhs_number", scheme = "nhs-number", form = "spaced" }
class = { column = "data_class", codes = { mental-health = ["MH"] } }
decision = { column = "status", permit = ["granted"], deny = ["refused"] }
records = { from = "records_from", until = "records_until" }
given_by = { column = "given_by", self = ["patient"], parent = ["mother", "father"], attorney = ["lpa"] }
child = { born = "date_of_birth", decides_from = 16 }

[register.adopted]
table = "health.public.adopted"
kind = "dissent"
subject = { column = "id", scheme = "opaque" }
"#;

const SHARE: &str = "[[share]]\ntable = \"health.public.patients\"\n";

fn parse_with(agreement: &str, registers: &str) -> Result<PolicySet, Diagnostics> {
    parse(&[("agreements/a.toml", agreement), ("registers.toml", registers), ("purposes.toml", PURPOSES)])
}

fn register_faults(from: &str, to: &str) -> Vec<String> {
    let agreement = edited(AGREEMENT, SHARE, &format!("{SHARE}class = \"x\"\ndated_by = \"dob\"\n"));
    faults(parse_with(&agreement, &edited(DETAILED, from, to)))
}

#[test]
fn a_register_says_who_may_decide_and_for_which_records() {
    let agreement = edited(AGREEMENT, SHARE, &format!("{SHARE}class = \"mental-health\"\ndated_by = \"dob\"\n"));
    let set = parse_with(&agreement, DETAILED).unwrap();
    let register = &set.registers["shared-care"];
    assert_eq!(register.class.as_ref().unwrap().codes["mental-health"], ["MH"]);
    let records = register.records.as_ref().unwrap();
    assert_eq!((records.from.as_str(), records.until.as_deref()), ("records_from", Some("records_until")));
    let given_by = register.given_by.as_ref().unwrap();
    assert_eq!(given_by.codes.keys().collect::<Vec<_>>(), [&Giver::Person, &Giver::Parent, &Giver::Attorney]);
    assert_eq!(given_by.codes[&Giver::Parent], ["mother", "father"]);
    assert_eq!(register.child.as_ref().unwrap().decides_from, 16);
    assert_eq!(set.agreements[0].shares[0].class.as_deref(), Some("mental-health"));
}

#[test]
fn parents_decide_until_an_age_that_is_said() {
    let child = "child = { born = \"date_of_birth\", decides_from = 16 }\n";
    assert_eq!(
        register_faults(child, ""),
        ["registers.toml:1:1 `given_by` names parents, but not until which age they decide"]
    );
    assert_eq!(
        register_faults("parent = [\"mother\", \"father\"], ", ""),
        ["registers.toml:1:1 `child` has no meaning where `given_by` names no parents"]
    );
    assert_eq!(
        register_faults("decides_from = 16", "decides_from = 99"),
        ["registers.toml:9:50 `register.shared-care.child.decides_from` must be between 1 and 25"]
    );
    assert_eq!(
        register_faults("attorney = [\"lpa\"]", "attorney = [\"father\"]"),
        ["registers.toml:8:98 `father` stands for two who may decide"]
    );
    let nobody = "self = [\"patient\"], parent = [\"mother\", \"father\"], attorney = [\"lpa\"] ";
    assert_eq!(register_faults(nobody, "")[0], "registers.toml:8:12 nobody's permission would count");
}

#[test]
fn what_a_register_decides_by_is_said_by_every_share() {
    let found = faults(parse_with(AGREEMENT, DETAILED));
    assert_eq!(
        found,
        [
            "a.toml:26:9 register `shared-care` decides by classes of data, and the share says no `class`",
            "a.toml:26:9 register `shared-care` decides by the dates of records, and the share says no `dated_by`",
        ]
    );
}

#[test]
fn lists_of_persons_are_registers_of_dissent() {
    let listed =
        |list: &str| edited(AGREEMENT, "no_information", &format!("do_not_link = [\"{list}\"]\nno_information"));
    let agreement = parse_agreement(&listed("opt-outs")).unwrap().agreements.remove(0);
    assert_eq!(agreement.do_not_link, ["opt-outs"]);
    assert_eq!(faults(parse_agreement(&listed("nobody"))), ["a.toml:23:16 there is no register `nobody`"]);
    assert_eq!(
        faults(parse_agreement(&listed("shared-care"))),
        ["a.toml:23:16 register `shared-care` is no list of persons"]
    );
}

#[test]
fn those_who_may_pass_over_consent_are_recipients() {
    let passing = |text: &str| edited(AGREEMENT, "[[share]]", &format!("{text}[[share]]"));
    let whole = "[override]\nroles = [\"social-worker\"]\ngateway = \"an Act\"\n[break_glass]\nroles = [\"social-worker\"]\n\
                 hours = 4\n";
    let agreement = parse_agreement(&passing(whole)).unwrap().agreements.remove(0);
    assert_eq!(agreement.statutory_override.unwrap().gateway, "an Act");
    assert_eq!(agreement.break_glass.unwrap().hours, 4);
    assert_eq!(
        faults(parse_agreement(&passing("[break_glass]\nroles = [\"doctor\"]\nhours = 4\n"))),
        ["a.toml:26:10 no recipient of this agreement has the role `doctor`"]
    );
    assert_eq!(
        faults(parse_agreement(&passing("[break_glass]\nroles = [\"social-worker\"]\nhours = 100\n"))),
        ["a.toml:27:9 `break_glass.hours` must be between 1 and 72"]
    );
    let consent = "mode = \"opt-out\"\nregisters = [\"shared-care\"]\nno_information = \"permit\"\n";
    let statutory = edited(&passing(whole), consent, "mode = \"not-required\"\n");
    assert_eq!(
        faults(parse_agreement(&statutory)),
        [
            "a.toml:23:2 `override` has no meaning where consent is not required",
            "a.toml:26:2 `break_glass` has no meaning where consent is not required",
        ]
    );
}

#[test]
fn dissent_is_told_where_a_share_says_by_which_column() {
    let told = edited(AGREEMENT, "no_information", "record_dissent = [\"shared-care\"]\nno_information");
    assert_eq!(faults(parse_agreement(&told)), ["a.toml:21:8 `record_dissent` is told by no share"]);
    let both = edited(&told, SHARE, &format!("{SHARE}dissent_as = \"dissented\"\n"));
    let agreement = parse_agreement(&both).unwrap().agreements.remove(0);
    assert_eq!(agreement.shares[0].dissent_as.as_deref(), Some("dissented"));
    let taken = edited(&both, "dissented", "name");
    assert_eq!(faults(parse_agreement(&taken)), ["a.toml:28:14 `name` is in `columns` already"]);
    let named = edited(AGREEMENT, SHARE, &format!("{SHARE}dissent_as = \"dissented\"\n"));
    assert_eq!(
        faults(parse_agreement(&named)),
        ["a.toml:21:8 a share says `dissent_as`, and no register says who dissents"]
    );
}

#[test]
fn a_mask_may_have_a_condition() {
    let mask = |text: &str| edited(AGREEMENT, "mask.postcode = \"outward\"", &format!("mask.postcode = {text}"));
    let agreement = parse_agreement(&mask("{ as = \"outward\", when = \"sensitive\" }")).unwrap().agreements.remove(0);
    let expected = MaskRule::When { when: "sensitive".to_owned(), mask: Box::new(MaskRule::OutwardPostcode) };
    assert_eq!(agreement.shares[0].masks["postcode"], expected);
    let always = parse_agreement(&mask("{ as = \"outward\" }")).unwrap().agreements.remove(0);
    assert_eq!(always.shares[0].masks["postcode"], MaskRule::OutwardPostcode);
    for word in ["year", "pseudonym"] {
        assert_eq!(
            faults(parse_agreement(&mask(&format!("{{ as = \"{word}\", when = \"sensitive\" }}")))),
            ["a.toml:28:24 a masked row must hold the same kind of value as the others"]
        );
    }
    assert_eq!(
        faults(parse_agreement(&mask("{ when = \"sensitive\" }"))),
        ["a.toml:28:17 `share.mask.postcode` must say one of `last`, `constant` and `as`"]
    );
}
