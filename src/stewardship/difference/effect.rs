//! What a change does: whether more is seen after it than before.

use std::cmp::Ordering;

use serde::Serialize;

use crate::policy::files::{Consent, ConsentMode, Decision, MaskRule, OutputRule};

/// What a change does to what is seen or passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// More is seen, by more, for longer, or under fewer conditions.
    Gains,
    /// Less is.
    Loses,
    /// It may be either, and somebody must look.
    Changes,
    /// Nothing that is seen changes.
    Notes,
}

impl Effect {
    pub fn word(self) -> &'static str {
        match self {
            Self::Gains => "gains",
            Self::Loses => "loses",
            Self::Changes => "changes",
            Self::Notes => "notes",
        }
    }
}

/// `Less` than before where more is seen after.
pub(super) fn by_order(order: Ordering) -> Option<Effect> {
    match order {
        Ordering::Less => Some(Effect::Gains),
        Ordering::Equal => None,
        Ordering::Greater => Some(Effect::Loses),
    }
}

/// Masks that hide all are below every other, no mask is above; of the rest only like and like can be compared.
pub(super) fn mask_effect(old: Option<&MaskRule>, new: Option<&MaskRule>) -> Effect {
    let hides_all = |mask: &MaskRule| matches!(mask, MaskRule::Null | MaskRule::Constant(_));
    match (old, new) {
        (Some(MaskRule::When { mask: old, .. }), Some(new)) if old.as_ref() == new => Effect::Loses,
        (Some(old), Some(MaskRule::When { mask: new, .. })) if new.as_ref() == old => Effect::Gains,
        (Some(_), None) => Effect::Gains,
        (None, Some(_)) => Effect::Loses,
        (Some(MaskRule::LastCharacters(old)), Some(MaskRule::LastCharacters(new))) => {
            by_order(old.cmp(new)).unwrap_or(Effect::Notes)
        }
        (Some(old), Some(new)) => match (hides_all(old), hides_all(new)) {
            (true, true) => Effect::Notes,
            (true, false) => Effect::Gains,
            (false, true) => Effect::Loses,
            (false, false) => Effect::Changes,
        },
        (None, None) => Effect::Notes,
    }
}

pub(super) fn consent_effect(old: &Consent, new: &Consent) -> Effect {
    let silent_permitted = |consent: &Consent| match consent {
        Consent::NotRequired => 2,
        Consent::Required { no_information: Decision::Permit, .. } => 1,
        Consent::Required { no_information: Decision::Deny, .. } => 0,
    };
    let (before, after) = (old.registers(), new.registers());
    let subset = |small: &[String], large: &[String]| small.iter().all(|register| large.contains(register));
    match silent_permitted(old).cmp(&silent_permitted(new)) {
        // Fewer or other registers beside a stricter rule may leave out less, and the other way round.
        Ordering::Less if subset(after, before) => Effect::Gains,
        Ordering::Greater if subset(before, after) => Effect::Loses,
        Ordering::Less | Ordering::Greater => Effect::Changes,
        Ordering::Equal if silent_permitted(old) == 1 && subset(after, before) && before.len() > after.len() => {
            Effect::Gains
        }
        Ordering::Equal if silent_permitted(old) == 1 && subset(before, after) && after.len() > before.len() => {
            Effect::Loses
        }
        Ordering::Equal => {
            let mode = |consent: &Consent| match consent {
                Consent::NotRequired => None,
                Consent::Required { mode, .. } => Some(matches!(mode, ConsentMode::OptIn)),
            };
            // The mode is a word for the rule about silence, which is the same.
            let same = subset(before, after) && subset(after, before);
            if same && mode(old) != mode(new) { Effect::Notes } else { Effect::Changes }
        }
    }
}

pub(super) fn output_effect(old: Option<OutputRule>, new: Option<OutputRule>) -> Effect {
    let rule = |output: Option<OutputRule>| output.filter(|output| output.aggregate_only);
    match (rule(old), rule(new)) {
        (None, None) => Effect::Notes,
        (Some(_), None) => Effect::Gains,
        (None, Some(_)) => Effect::Loses,
        (Some(old), Some(new)) => {
            let persons = by_order(new.minimum_persons.cmp(&old.minimum_persons));
            let rounded = by_order(new.round_to.cmp(&old.round_to));
            match (persons, rounded) {
                (None, None) => Effect::Notes,
                (Some(effect), None) | (None, Some(effect)) => effect,
                (Some(one), Some(other)) if one == other => one,
                (Some(_), Some(_)) => Effect::Changes,
            }
        }
    }
}
