//! What a policy file says, in the words of its readers: one wording in every report.

use wayleave_connector_api::KeyDisclosure;

use crate::policy::files::{
    Agreement, AgreementState, CodedColumn, Consent, ConsentMode, Decision, Giver, MaskRule, OutputRule, Register,
    RegisterKind, Require, Share,
};

/// What is seen of a column.
pub(super) fn seen_as(mask: Option<&MaskRule>) -> String {
    match mask {
        None => "as it is".to_owned(),
        Some(MaskRule::Null) => "always empty".to_owned(),
        Some(MaskRule::Constant(text)) => format!("always `{text}`"),
        Some(MaskRule::OutwardPostcode) => "outward postcode only".to_owned(),
        Some(MaskRule::YearOfDate) => "year only".to_owned(),
        Some(MaskRule::LastCharacters(1)) => "last character only".to_owned(),
        Some(MaskRule::LastCharacters(count)) => format!("last {count} characters only"),
        Some(MaskRule::Pseudonym) => "pseudonym".to_owned(),
        Some(MaskRule::When { when, mask }) => format!("{} unless `{when}` is false", seen_as(Some(mask))),
    }
}

/// The column that a share adds to the table's own, and how it is seen.
pub(super) fn dissent_column(share: &Share) -> Option<(&String, String)> {
    share.dissent_as.as_ref().map(|column| (column, "whether the person has refused".to_owned()))
}

/// Who may pass over consent; nothing where nobody may.
pub(super) fn passing_over(agreement: &Agreement) -> Vec<String> {
    let by_override = agreement.statutory_override.iter().map(|may| {
        format!("{} may override consent under {}, with a case and a reason", may.roles.join(", "), may.gateway)
    });
    let in_emergencies = agreement.break_glass.iter().map(|may| {
        let hours = if may.hours == 1 { "hour" } else { "hours" };
        format!(
            "{} may break the glass for {} {hours}, with a reason: {} is told, and it is reviewed",
            may.roles.join(", "),
            may.hours,
            agreement.owner
        )
    });
    by_override.chain(in_emergencies).collect()
}

/// Consent, who may pass over it, and whose keys are not released.
pub(super) fn whole_consent(agreement: &Agreement) -> String {
    let lists = (!agreement.do_not_link.is_empty())
        .then(|| format!("keys of persons in {} are withheld", agreement.do_not_link.join(", ")));
    std::iter::once(consent(&agreement.consent))
        .chain(passing_over(agreement))
        .chain(lists)
        .chain(
            (!agreement.record_dissent.is_empty())
                .then(|| format!("dissent in {} is told", agreement.record_dissent.join(", "))),
        )
        .collect::<Vec<_>>()
        .join("; ")
}

pub(super) fn consent(consent: &Consent) -> String {
    match consent {
        Consent::NotRequired => "not required (statutory basis)".to_owned(),
        Consent::Required { mode, registers, no_information } => {
            let silent = match no_information {
                Decision::Permit => "who has said nothing is included",
                Decision::Deny => "who has said nothing is left out",
            };
            let mode = match mode {
                ConsentMode::OptIn => "opt-in",
                ConsentMode::OptOut => "opt-out",
            };
            format!("{mode} by {}; {silent}", registers.join(", "))
        }
    }
}

/// What a session must give; empty where nothing.
pub(super) fn requires(require: Require) -> String {
    match (require.case_reference, require.reason) {
        (true, true) => "a case reference and a reason",
        (true, false) => "a case reference",
        (false, true) => "a reason",
        (false, false) => "",
    }
    .to_owned()
}

pub(super) fn answers(output: Option<&OutputRule>) -> String {
    match output.filter(|output| output.aggregate_only) {
        None => "single rows".to_owned(),
        Some(output) => {
            let persons = output.minimum_persons.persons();
            match output.round_to {
                Some(step) => format!("aggregates of at least {persons} persons, counts rounded to {step}"),
                None => format!("aggregates of at least {persons} persons"),
            }
        }
    }
}

pub(super) fn state(state: AgreementState) -> String {
    match state {
        AgreementState::InForce => "in force".to_owned(),
        AgreementState::Draft => "draft".to_owned(),
        AgreementState::NotStarted { starts } => format!("starts on {starts}"),
        AgreementState::Ended { ends } => format!("ended on {ends}"),
        AgreementState::ReviewPassed { review_by } => format!("review was due by {review_by}"),
    }
}

/// To whom a table's keys go, empty where to nobody.
pub(super) fn disclosures(share: &Share) -> String {
    let one = |(agency, form): (&String, &KeyDisclosure)| match form {
        KeyDisclosure::Plain => agency.clone(),
        KeyDisclosure::Pseudonymised => format!("{agency} (pseudonymised)"),
    };
    share.disclose_keys_to.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn recipients(agreement: &Agreement) -> Vec<String> {
    let of = |organisation: &str, role: &str| format!("{organisation}/{role}");
    agreement.recipients.iter().flat_map(|r| r.roles.iter().map(move |role| of(&r.organisation, role))).collect()
}

/// What a register is, where it stands, and what its rows mean.
pub(super) fn register(register: &Register) -> String {
    let kind = match (register.kind, &register.decision) {
        (RegisterKind::Decisions, Some(decision)) => format!(
            "`{}` says what was decided ({} permit, {} deny)",
            decision.column,
            listed(&decision.permit),
            listed(&decision.deny)
        ),
        (RegisterKind::Decisions, None) => "each row says what was decided".to_owned(),
        (RegisterKind::Dissent, _) => "each row is a refusal".to_owned(),
        (RegisterKind::Allow, _) => "each row is a permission".to_owned(),
    };
    let coded = |what: &str, column: &Option<CodedColumn>| match column {
        None => format!("for every {what}"),
        Some(column) if column.codes.is_empty() => format!("`{}` names the {what}", column.column),
        Some(column) => {
            let codes: Vec<String> =
                column.codes.iter().map(|(ours, theirs)| format!("{ours} = {}", theirs.join(" or "))).collect();
            format!("`{}` names the {what} ({})", column.column, codes.join("; "))
        }
    };
    let period = match (&register.from, &register.until) {
        (None, None) => "without dates".to_owned(),
        (Some(from), None) => format!("in force from `{from}`"),
        (None, Some(until)) => format!("in force until `{until}`"),
        (Some(from), Some(until)) => format!("in force from `{from}` until `{until}`"),
    };
    let mut text = format!(
        "{kind}; persons by `{}` ({}); {}; {}; {period}",
        register.subject.column,
        register.subject.format.scheme.name(),
        coded("purpose", &register.purpose),
        coded("recipient", &register.recipient),
    );
    if register.class.is_some() {
        text.extend(["; ", &coded("class of data", &register.class)]);
    }
    if let Some(records) = &register.records {
        let until = records.until.as_ref().map(|until| format!(" until `{until}`")).unwrap_or_default();
        text.push_str(&format!("; for records dated from `{}`{until}", records.from));
    }
    if let Some(given_by) = &register.given_by {
        let one = |(giver, codes): (&Giver, &Vec<String>)| format!("{} = {}", giver_word(*giver), codes.join(" or "));
        let givers: Vec<String> = given_by.codes.iter().map(one).collect();
        text.push_str(&format!("; `{}` names who decided ({})", given_by.column, givers.join("; ")));
    }
    if let Some(child) = &register.child {
        text.push_str(&format!("; a parent decides until the age of {} by `{}`", child.decides_from, child.born));
    }
    text
}

fn giver_word(giver: Giver) -> &'static str {
    match giver {
        Giver::Person => "the person",
        Giver::Parent => "a parent",
        Giver::Attorney => "an attorney",
        Giver::BestInterests => "best interests",
    }
}

pub(super) fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
