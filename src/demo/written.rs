//! The ways in which offices write the same things differently.

use chrono::NaiveDate;
use wayleave_connector_api::Form;

use super::population::{Person, Role};
use super::random::Random;

/// Ten digits in a written form; [`Form::Mixed`] draws one of the three.
pub fn number(digits: &str, form: Form, random: &mut Random) -> String {
    let separator = form.separator().unwrap_or_else(|| random.pick(&["", " ", "-"]));
    let groups = [digits.get(..3), digits.get(3..6), digits.get(6..)];
    groups.map(Option::unwrap_or_default).join(separator)
}

/// The number with its last digit mistyped, so that its check digit no longer holds.
pub fn mistyped(digits: &str) -> String {
    let (kept, last) = digits.split_at_checked(9).unwrap_or((digits, ""));
    let wrong = last.parse::<u8>().map_or(0, |digit| (digit + 3) % 10);
    format!("{kept}{wrong}")
}

/// `DD/MM/YYYY`, as an older office system keeps a date in a text.
pub fn british_date(date: NaiveDate) -> String {
    date.format("%d/%m/%Y").to_string()
}

/// A name as people type it: most of them right, some in capitals, turned round, shortened or with a stray blank.
pub fn typed_name(person: &Person, random: &mut Random) -> String {
    if person.role != Role::Crowd {
        return person.full_name();
    }
    match random.below(100) {
        0..=5 => person.full_name().to_uppercase(),
        6..=10 => format!("{}, {}", person.last_name, person.first_name),
        11..=13 => format!("{} {}", initial(&person.first_name), person.last_name),
        14..=15 => format!("{}  {} ", person.first_name, person.last_name),
        16..=17 => transposed(&person.full_name()),
        _ => person.full_name(),
    }
}

/// `ELLIS, Margaret`, as a rent ledger files its tenants.
pub fn filed_name(person: &Person) -> String {
    format!("{}, {}", person.last_name.to_uppercase(), person.first_name)
}

fn initial(name: &str) -> String {
    name.chars().take(1).chain(['.']).collect()
}

/// Two letters in the wrong order, the commonest typing error.
fn transposed(name: &str) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    if letters.len() > 3 {
        letters.swap(2, 3);
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use wayleave_connector_api::{KeyFormat, Scheme};

    use super::*;

    #[test]
    fn a_number_is_canonical_again_from_the_form_it_was_written_in() {
        let mut random = Random::new(1);
        for (_, form) in Form::NAMES {
            let format = KeyFormat { scheme: Scheme::NhsNumber, form, assured: false };
            let written = number("9992019441", form, &mut random);
            assert_eq!(format.canonical(&written).as_deref(), Some("9992019441"), "{written}");
        }
    }

    #[test]
    fn a_mistyped_number_is_never_a_key() {
        for digits in ["9992019441", "9993201154", "9434765919"] {
            assert!(Scheme::NhsNumber.is_canonical(digits));
            assert!(!Scheme::NhsNumber.is_canonical(&mistyped(digits)));
        }
    }

    #[test]
    fn dates_and_names_are_written_as_the_offices_do() {
        let margaret = &super::super::population::persons(1, 0)[0];
        assert_eq!(british_date(margaret.born), "17/03/1944");
        assert_eq!(filed_name(margaret), "ELLIS, Margaret");
        assert_eq!(initial("Zoë"), "Z.");
        assert_eq!(transposed("Zoë Reed"), "Zo ëReed");
    }
}
