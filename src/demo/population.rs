//! The persons of the demo: who they are and which agencies know them.
//!
//! In: a number of persons and a seed. Out: the same persons each time. What each agency makes of them (written forms,
//! gaps, typing errors) is that agency's own file.

use chrono::{Datelike, Days, NaiveDate};

use super::names;
use super::random::Random;

/// Numbers start with 999: the range that the NHS Data Dictionary keeps for tests and never issues.
const TEST_PREFIX: &str = "999";

/// Of a million serials in the test range about one in eleven has no check digit; this many always fit.
pub const MOST_PERSONS: usize = 900_000;

/// The day on which the demo's records end, fixed so that a seed gives the same files on any day.
const LAST_RECORD: (i32, u32, u32) = (2026, 6, 30);

/// One person, as nobody but the demo knows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Ten digits.
    pub nhs_number: String,
    pub first_name: String,
    pub last_name: String,
    pub sex: Sex,
    pub born: NaiveDate,
    pub deceased: bool,
    pub address: String,
    pub postcode: String,
    pub phone: String,
    pub known_to: KnownTo,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    Female,
    Male,
}

/// Whether a person has a part in the demo's story; those are recorded without gaps or errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Margaret Ellis, known to health, social care and housing.
    OlderClient,
    /// Callum Reed, known to health, social care, education and police.
    Child,
    Crowd,
}

/// Which agencies hold a record of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownTo {
    pub health: bool,
    pub social: bool,
    pub housing: bool,
    pub education: bool,
    pub police: bool,
}

impl Person {
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }

    /// Full years on the day the records end.
    pub fn age(&self) -> i32 {
        let (year, month, day) = LAST_RECORD;
        let had_birthday = (self.born.month(), self.born.day()) <= (month, day);
        year - self.born.year() - i32::from(!had_birthday)
    }
}

/// Makes the persons: the two with a part first, then the crowd.
pub fn persons(count: usize, seed: u64) -> Vec<Person> {
    let mut random = Random::stream(seed, "population");
    let (margaret, callum) = (margaret_ellis(), callum_reed());
    // A step that shares no factor with a million visits every serial once.
    let mut serial = random.below(1_000_000);
    let mut crowd_numbers = std::iter::from_fn(move || {
        serial = (serial + 616_877) % 1_000_000;
        Some(nhs_number(serial))
    })
    .flatten()
    .filter({
        let taken = [margaret.nhs_number.clone(), callum.nhs_number.clone()];
        move |number| !taken.contains(number)
    });
    let mut persons = vec![margaret, callum];
    while persons.len() < count.min(MOST_PERSONS) {
        let Some(number) = crowd_numbers.next() else { break };
        persons.push(crowd_member(number, &mut random));
    }
    persons
}

/// A day, given as days before the records end.
pub fn days_ago(days: u64) -> NaiveDate {
    let (year, month, day) = LAST_RECORD;
    NaiveDate::from_ymd_opt(year, month, day)
        .and_then(|last| last.checked_sub_days(Days::new(days)))
        .unwrap_or_default()
}

/// The ten digits of a serial below a million, or `None` where its check digit would be ten.
fn nhs_number(serial: u64) -> Option<String> {
    let digits = format!("{TEST_PREFIX}{serial:06}");
    let weighted: u32 =
        digits.bytes().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    match 11 - weighted % 11 {
        10 => None,
        11 => Some(format!("{digits}0")),
        check => Some(format!("{digits}{check}")),
    }
}

fn margaret_ellis() -> Person {
    Person {
        nhs_number: nhs_number(201_944).unwrap_or_default(),
        first_name: "Margaret".to_owned(),
        last_name: "Ellis".to_owned(),
        sex: Sex::Female,
        born: NaiveDate::from_ymd_opt(1944, 3, 17).unwrap_or_default(),
        deceased: false,
        address: "14 Chelston Road".to_owned(),
        postcode: "TQ2 6PU".to_owned(),
        phone: "01632 960417".to_owned(),
        known_to: KnownTo { health: true, social: true, housing: true, ..KnownTo::default() },
        role: Role::OlderClient,
    }
}

fn callum_reed() -> Person {
    Person {
        nhs_number: nhs_number(320_115).unwrap_or_default(),
        first_name: "Callum".to_owned(),
        last_name: "Reed".to_owned(),
        sex: Sex::Male,
        born: NaiveDate::from_ymd_opt(2014, 11, 2).unwrap_or_default(),
        deceased: false,
        address: "3 Warbro Rise".to_owned(),
        postcode: "TQ1 4NL".to_owned(),
        phone: "07700 900518".to_owned(),
        known_to: KnownTo { health: true, social: true, housing: false, education: true, police: true },
        role: Role::Child,
    }
}

fn crowd_member(nhs_number: String, random: &mut Random) -> Person {
    let age = draw_age(random);
    let born = days_ago(age * 365 + age / 4 + random.below(365));
    let sex = if random.chance(510) { Sex::Female } else { Sex::Male };
    let given = match (sex, born.year() < 1970) {
        (Sex::Female, true) => names::WOMEN_BEFORE_1970,
        (Sex::Female, false) => names::WOMEN_SINCE_1970,
        (Sex::Male, true) => names::MEN_BEFORE_1970,
        (Sex::Male, false) => names::MEN_SINCE_1970,
    };
    let last_name = if random.chance(25) {
        format!("{}-{}", random.pick(names::LAST_NAMES), random.pick(names::LAST_NAMES))
    } else {
        random.pick(names::LAST_NAMES).to_owned()
    };
    let deceased = random.chance(if age >= 85 { 60 } else { age / 8 });
    Person {
        nhs_number,
        first_name: random.pick(given).to_owned(),
        last_name,
        sex,
        born,
        deceased,
        address: format!("{} {}", random.between(1, 180), random.pick(names::STREETS)),
        postcode: postcode(random),
        phone: phone(random),
        known_to: known_to(age, random),
        role: Role::Crowd,
    }
}

/// Ages of a seaside town: more old people than the country has.
fn draw_age(random: &mut Random) -> u64 {
    match random.below(100) {
        0..=4 => random.between(0, 4),
        5..=15 => random.between(5, 16),
        16..=20 => random.between(17, 24),
        21..=42 => random.between(25, 44),
        43..=70 => random.between(45, 64),
        71..=84 => random.between(65, 74),
        85..=94 => random.between(75, 84),
        _ => random.between(85, 101),
    }
}

/// Which agencies know a person of this age, each a share of a thousand.
fn known_to(age: u64, random: &mut Random) -> KnownTo {
    let (social, housing, education, police) = match age {
        0..=4 => (25, 0, 0, 2),
        5..=16 => (45, 0, 920, 15),
        17..=18 => (45, 30, 400, 50),
        19..=64 => (30, 130, 0, 60),
        65..=74 => (70, 150, 0, 15),
        75..=84 => (200, 200, 0, 12),
        _ => (420, 230, 0, 10),
    };
    // Those whom social care knows are likelier to be known to the landlord and the police.
    let social = random.chance(social);
    let (housing, police) = if social { (housing * 2, police * 3) } else { (housing, police) };
    KnownTo {
        health: random.chance(972),
        social,
        housing: random.chance(housing),
        education: random.chance(education),
        police: random.chance(police),
    }
}

fn postcode(random: &mut Random) -> String {
    // The letters that Royal Mail uses in the last two places.
    const LETTERS: &[&str] =
        &["A", "B", "D", "E", "F", "G", "H", "J", "L", "N", "P", "Q", "R", "S", "T", "U", "W", "X", "Y", "Z"];
    let outward = random.pick_weighted(names::OUTWARD_CODES);
    format!("{outward} {}{}{}", random.between(1, 9), random.pick(LETTERS), random.pick(LETTERS))
}

fn phone(random: &mut Random) -> String {
    let range = random.pick(&["01632 960", "07700 900"]);
    format!("{range}{:03}", random.below(1000))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use wayleave_connector_api::Scheme;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_persons_and_another_seed_others() {
        assert_eq!(persons(500, 42), persons(500, 42));
        assert_ne!(persons(500, 42), persons(500, 43));
    }

    #[test]
    fn every_number_is_valid_in_the_test_range_and_given_once() {
        let persons = persons(20_000, 42);
        assert_eq!(persons.len(), 20_000);
        assert!(persons.iter().all(|person| person.nhs_number.starts_with(TEST_PREFIX)));
        assert!(persons.iter().all(|person| Scheme::NhsNumber.is_canonical(&person.nhs_number)));
        let distinct: HashSet<&str> = persons.iter().map(|person| person.nhs_number.as_str()).collect();
        assert_eq!(distinct.len(), persons.len());
    }

    #[test]
    fn a_serial_whose_check_digit_would_be_ten_has_no_number() {
        let without = (0..1_000_000).filter(|serial| nhs_number(*serial).is_none()).count();
        assert!((80_000..100_000).contains(&without), "{without}");
        assert!(1_000_000 - without >= MOST_PERSONS);
    }

    #[test]
    fn the_persons_of_the_story_do_not_depend_on_the_seed() {
        for seed in [0, 42] {
            let persons = persons(100, seed);
            assert_eq!(persons[0].nhs_number, "9992019441");
            assert_eq!(persons[0].full_name(), "Margaret Ellis");
            assert_eq!(persons[0].age(), 82);
            assert_eq!(persons[1].nhs_number, "9993201154");
        }
    }

    #[test]
    fn agencies_overlap_as_their_ages_say() {
        let persons = persons(20_000, 42);
        let count = |keep: fn(&Person) -> bool| persons.iter().filter(|person| keep(person)).count();
        assert!(count(|p| p.known_to.health) > 19_000);
        assert!(count(|p| p.known_to.health && p.known_to.social && p.known_to.housing) > 200);
        assert!(count(|p| p.known_to.education && p.known_to.social) > 50);
        assert!(count(|p| p.known_to.social && p.known_to.police) > 30);
        assert_eq!(count(|p| p.known_to.education && p.age() > 19), 0);
    }
}
